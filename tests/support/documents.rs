//! The documents of the API, as the service sends them and as a tree holds them.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

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
