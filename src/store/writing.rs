//! The documents of a sealed tree, written.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use miniserde::{Serialize, json};

use crate::path::{LevelName, SecretPath};
use crate::store::model::Level;

#[derive(Serialize)]
struct Envelope<A, M> {
    data: Data<A>,
    meta: M,
}

#[derive(Serialize)]
struct Data<A> {
    #[serde(rename = "type")]
    kind: &'static str,
    attributes: A,
}

#[derive(Serialize)]
struct SecretsAttributes<'a> {
    encrypted: bool,
    format: &'static str,
    levels: BTreeMap<String, LevelContent<'a>>,
}

#[derive(Serialize)]
struct LevelContent<'a> {
    encrypted: bool,
    content: &'a str,
    source: Option<&'a str>,
}

/// What the service's own client goes by when it takes one level alone.
#[derive(Serialize)]
struct SecretsMeta<'a> {
    api_path: String,
    hierarchy: BTreeMap<String, Option<&'a str>>,
}

#[derive(Serialize)]
struct DescriptorAttributes {
    format: &'static str,
    content: String,
}

#[derive(Serialize)]
struct DescriptorContent<'a> {
    key: KeyContent<'a>,
}

#[derive(Serialize)]
struct KeyContent<'a> {
    managed: &'static str,
    version: u32,
    key_check_salt: &'a str,
    key_check_iterations: u32,
}

#[derive(Serialize)]
struct ManifestAttributes<'a> {
    generation: u64,
    content: &'a str,
}

#[derive(Serialize)]
struct Organization<'a> {
    data: OrganizationData<'a>,
}

#[derive(Serialize)]
struct OrganizationData<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
}

#[derive(Serialize)]
struct NoMeta {}

fn document(value: &impl Serialize) -> String {
    json::to_string(value) + "\n"
}

/// Writes the document of secrets of a path.
pub fn secrets_document(organization: &str, path: &SecretPath, levels: &[Level]) -> String {
    let slug = |level: LevelName| (level.to_string(), path.slug(level));
    document(&Envelope {
        data: Data {
            kind: "secrets",
            attributes: SecretsAttributes {
                encrypted: true,
                format: "env",
                levels: levels.iter().map(|it| level(it, path)).collect(),
            },
        },
        meta: SecretsMeta {
            api_path: format!("/api/v1/{organization}/{path}/secrets"),
            hierarchy: LevelName::ALL.into_iter().map(slug).collect(),
        },
    })
}

fn level<'a>(level: &'a Level, path: &'a SecretPath) -> (String, LevelContent<'a>) {
    let content = LevelContent {
        encrypted: level.encrypted,
        content: &level.content,
        source: path.slug(level.name),
    };
    (level.name.to_string(), content)
}

/// Writes the key descriptor of a client-managed project.
pub fn descriptor_document(salt: &str, iterations: u32) -> String {
    let content = DescriptorContent {
        key: KeyContent {
            managed: "client",
            version: 1,
            key_check_salt: salt,
            key_check_iterations: iterations,
        },
    };
    document(&Envelope {
        data: Data {
            kind: "encryption_keys",
            attributes: DescriptorAttributes {
                format: "json",
                content: json::to_string(&content),
            },
        },
        meta: NoMeta {},
    })
}

/// Writes the manifest of a project.
pub fn manifest_document(generation: u64, content: &str) -> String {
    document(&Envelope {
        data: Data {
            kind: "manifests",
            attributes: ManifestAttributes {
                generation,
                content,
            },
        },
        meta: NoMeta {},
    })
}

/// Writes the document that names the organization of a tree.
pub fn organization_document(ulid: &str) -> String {
    document(&Organization {
        data: OrganizationData {
            kind: "organizations",
            id: ulid,
        },
    })
}
