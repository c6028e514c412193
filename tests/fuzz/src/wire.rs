//! The documents of the service: what is taken is JSON and says what we took from it, and what is
//! written reads back.

use dotenv_run::inside::crypto;
use dotenv_run::inside::dotenv::parse::is_name;
use dotenv_run::inside::path::{LevelName, SecretPath, is_slug, is_ulid};
use dotenv_run::inside::store::documents as wire;
use dotenv_run::inside::store::model::{Custody, Level};
use dotenv_run::inside::store::writing;
use serde_json::Value;

pub fn holds(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    secrets(text);
    descriptor(text);
    organization(text);
    json_level(text);
    written_documents_read_back(text);
}

/// What came out; an error only if it is fit to be shown.
fn taken<T>(outcome: Result<T, String>) -> Option<T> {
    if let Err(error) = &outcome {
        assert!(
            !error.is_empty() && !error.contains(char::is_control),
            "{error:?}"
        );
    }
    outcome.ok()
}

/// What `serde_json` reads in a text that was taken.
fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("taken, and no JSON: {error}"))
}

fn secrets(text: &str) {
    let Some(secrets) = taken(wire::secrets(text)) else {
        return;
    };
    let document = json(text);
    let levels = &document["data"]["attributes"]["levels"];
    assert!(
        secrets
            .levels
            .is_sorted_by(|one, next| one.name < next.name)
    );
    for level in &secrets.levels {
        let there = &levels[level.name.as_str()];
        assert_eq!(there["encrypted"].as_bool(), Some(level.encrypted));
        assert_eq!(there["content"].as_str(), Some(level.content.as_str()));
    }
    let is_there = |name: &LevelName| {
        levels[name.as_str()]["content"]
            .as_str()
            .is_some_and(|content| !content.is_empty())
    };
    let count = LevelName::ALL.iter().filter(|name| is_there(name)).count();
    assert_eq!(secrets.levels.len(), count, "a level was dropped");
}

fn descriptor(text: &str) {
    let Some(descriptor) = taken(wire::descriptor(text)) else {
        return;
    };
    let document = json(text);
    let content = &document["data"]["attributes"]["content"];
    let content = content.as_str().map_or_else(|| content.clone(), json);
    let key = &content["key"];
    match &descriptor.custody {
        Custody::Client => assert_eq!(key["managed"], "client"),
        Custody::Server { secret } => {
            assert_eq!(key["managed"], "server");
            assert_eq!(key["key"].as_str(), Some(secret.as_str()));
        }
    }
    let salt = key["key_check_salt"]
        .as_str()
        .filter(|salt| !salt.is_empty());
    assert_eq!(descriptor.salt, salt.and_then(crypto::decode));
    assert_eq!(descriptor.salt.is_some(), salt.is_some());
    assert_ne!(descriptor.iterations, 0);
    assert_eq!(descriptor.version, number(&key["version"]));
}

/// A number, or a string of one.
fn number(value: &Value) -> Option<u64> {
    let digits = value.as_str().and_then(|digits| digits.parse().ok());
    value.as_u64().or(digits)
}

fn organization(text: &str) {
    let Some(record) = taken(wire::organization(text)) else {
        return;
    };
    let data = &json(text)["data"];
    let attributes = &data["attributes"];
    assert!(is_ulid(&record.ulid));
    let candidates = [&attributes["ulid"], &data["ulid"], &data["id"]];
    assert!(
        candidates
            .into_iter()
            .any(|candidate| *candidate == record.ulid)
    );
    if let Some(slug) = record.slug {
        assert!(is_slug(&slug));
        assert!(attributes["slug"] == slug || data["slug"] == slug);
    }
}

fn json_level(text: &str) {
    let outcome = wire::json_level(text);
    let is_double = matches!(&outcome, Err(error) if error.contains("appears twice"));
    let document = serde_json::from_str::<Value>(text);
    let members = document.as_ref().ok().and_then(Value::as_object);
    let is_acceptable = |(name, value): (&String, &Value)| {
        is_name(name) && value.as_str().is_some_and(|value| !value.contains('\0'))
    };
    let should = members.is_some_and(|members| members.iter().all(is_acceptable));
    let Some(variables) = taken(outcome) else {
        return assert!(!should || is_double, "refused for nothing");
    };
    assert!(should, "taken against the rules");
    let members = members.expect("checked above");
    assert_eq!(variables.len(), members.len(), "a name is there twice");
    for (name, value) in variables {
        assert_eq!(members[&name], value, "{name}");
    }
}

/// The text as what a level holds, as a salt and as a name.
fn written_documents_read_back(text: &str) {
    const ORGANIZATION: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let path = SecretPath::parse("a/b/c").expect("a path");
    let levels = LevelName::ALL.map(|name| Level {
        name,
        encrypted: !matches!(name, LevelName::Project),
        content: text.to_owned(),
    });
    let read = wire::secrets(&writing::secrets_document(ORGANIZATION, &path, &levels))
        .expect("our own document");
    let expected = levels.iter().filter(|level| !level.content.is_empty());
    let parts = |level: &Level| (level.name, level.encrypted, level.content.clone());
    assert!(read.levels.iter().map(parts).eq(expected.map(parts)));

    let read = wire::descriptor(&writing::descriptor_document(text, 1_000));
    assert_eq!(read.is_ok(), crypto::decode(text).is_some());
    if let Ok(descriptor) = read {
        assert_eq!(
            descriptor.salt,
            crypto::decode(text).filter(|_| !text.is_empty())
        );
        assert_eq!(descriptor.iterations, 1_000);
    }

    let read = wire::organization(&writing::organization_document(text));
    assert_eq!(read.is_ok(), is_ulid(text));
}
