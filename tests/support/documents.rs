//! The documents of the API, as the service sends them and as a tree holds them.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::seal::seal_manifest;
use super::world::{Custody, Project, World};

const TIMESTAMP: &str = "2025-01-02T03:04:05+00:00";

pub fn organization(world: &World) -> Value {
    json!({ "data": {
        "type": "organizations",
        "id": world.organization,
        "attributes": { "ulid": world.organization, "name": world.name, "slug": world.slug },
    } })
}

pub fn encryption_key(project: &Project) -> Value {
    let Custody {
        managed,
        key,
        salt,
        iterations,
    } = &project.custody;
    let mut descriptor = json!({
        "managed": managed,
        "version": 1,
        "key_check_salt": salt.as_ref().map(|salt| BASE64_STANDARD.encode(salt)),
        "key_check_iterations": iterations,
        "created_at": TIMESTAMP,
    });
    if *managed == "server" {
        descriptor["key"] = json!(key);
    }
    let content = json!({ "key": descriptor }).to_string();
    json!({ "data": {
        "type": "encryption_keys",
        "id": "1",
        "attributes": { "format": "json", "content": content },
    } })
}

pub fn secrets(organization: &str, project: &Project, place: &str) -> Value {
    let mut slugs = place.split('/').filter(|slug| !slug.is_empty());
    let (target, environment) = (slugs.next(), slugs.next());
    json!({
        "data": { "type": "secrets", "attributes": {
            "encrypted": true,
            "format": project.format,
            "levels": levels(project, place),
        } },
        "meta": {
            "api_path": format!("/api/v1/{organization}/{}/secrets", project.path(place)),
            "format": "structured",
            "merged": "false",
            "timestamp": TIMESTAMP,
            "hierarchy": {
                "project": project.slug,
                "target": target,
                "environment": environment,
            },
            "action": "read",
        },
    })
}

/// The manifest of a project: the text that is sealed, and its generation for everyone.
pub fn manifest(key: &[u8; 32], generation: u64, text: &str) -> Value {
    json!({ "data": {
        "type": "manifests",
        "attributes": { "generation": generation, "content": seal_manifest(key, text) },
    } })
}

/// The manifest of all that a project holds.
pub fn manifest_of(organization: &str, project: &Project) -> Value {
    let state = |place: &str| {
        let own = project.levels(place).into_iter().last();
        let depth = place.split('/').filter(|slug| !slug.is_empty()).count();
        let own = own.filter(|(kind, _, _)| *kind == ["project", "target", "environment"][depth]);
        (
            project.path(place),
            own.map(|(_, _, level)| digest(&level.content)),
        )
    };
    let mut states: Vec<_> = project.places().map(state).collect();
    states.sort_by_key(|(path, _)| path.split('/').map(str::to_owned).collect::<Vec<_>>());
    let text = manifest_text(organization, &project.slug, 1, &states);
    manifest(project.key(), 1, &text)
}

/// The text of a manifest; the paths must be in order.
pub fn manifest_text(
    organization: &str,
    project: &str,
    generation: u64,
    states: &[(String, Option<String>)],
) -> String {
    let head = format!(
        "dotenv-manifest 1\norganization {organization}\nproject {project}\ngeneration {generation}\n"
    );
    let line = |(path, state): &(String, Option<String>)| {
        format!("{path} {}\n", state.as_deref().unwrap_or("-"))
    };
    head + &states.iter().map(line).collect::<String>()
}

/// What a manifest says of a sealed text.
pub fn digest(content: &str) -> String {
    let digest = Sha256::digest(content.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The levels that hold something; none at all are an empty array, as PHP writes its empty map.
fn levels(project: &Project, place: &str) -> Value {
    let levels = project
        .levels(place)
        .into_iter()
        .map(|(kind, source, level)| {
            (
                kind.to_string(),
                json!({ "encrypted": level.encrypted, "content": level.content, "source": source }),
            )
        });
    let levels: Map<String, Value> = levels.collect();
    if levels.is_empty() {
        json!([])
    } else {
        Value::Object(levels)
    }
}

/// An edit of a secrets document: turns over one bit of the nonce, ciphertext and tag of a level.
/// Bits past the end count from the beginning again.
pub fn flip_bit(level: &'static str, bit: usize) -> impl Fn(&mut Value) {
    move |document| {
        let content = &mut document["data"]["attributes"]["levels"][level]["content"];
        let blob = content.as_str().expect("a level of this name");
        let mut bytes = BASE64_STANDARD.decode(blob).expect("a sealed level");
        let bit = bit % (bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        *content = BASE64_STANDARD.encode(bytes).into();
    }
}

/// An edit of a key document: changes one field of the descriptor in its content.
pub fn set_in_descriptor(field: &'static str, value: Value) -> impl Fn(&mut Value) {
    move |document| {
        let content = &mut document["data"]["attributes"]["content"];
        let text = content.as_str().expect("content is a string");
        let mut inner: Value = serde_json::from_str(text).expect("content is JSON");
        inner["key"][field] = value.clone();
        *content = inner.to_string().into();
    }
}
