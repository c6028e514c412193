//! The service's documents: text to types.
//!
//! Whatever is not exactly what `protocol.md` section 3 describes is refused with the field's name. The one leniency:
//! levels that are absent, null or `[]` mean that there are none.

#![forbid(unsafe_code)]

mod api_keys;
mod yaml;

use crate::crypto::{self, DEFAULT_ITERATIONS};
use crate::path::{LevelName, is_slug, is_ulid};
use crate::store::json::{Fields, Json, Malformed, shown};
use crate::store::model::{
    Custody, Format, KeyDescriptor, Level, OrganizationRecord, SealedManifest, Secrets,
};

pub use api_keys::{ApiKeyRecord, api_keys};
pub use yaml::yaml_level;

/// The size in bytes of the longest word that passes for the name of a format and is shown; a longer one may be a
/// secret that strayed there.
const MAX_FORMAT: usize = 16;

/// Reads the answer to a request for secrets.
///
/// # Errors
///
/// What is wrong with it, naming the field.
pub fn secrets(text: &str) -> Result<Secrets, Malformed> {
    let mut data = data(text)?;
    // Any other document would read as one without levels.
    if data
        .optional_string("type")?
        .is_some_and(|kind| kind != "secrets")
    {
        return Err("data.type is not 'secrets'".to_owned());
    }
    let mut attributes = attributes_in(data)?;
    let format = match attributes.optional_string("format")?.as_deref() {
        None | Some("" | "env") => Format::Env,
        Some("json") => Format::Json,
        Some("yaml") => Format::Yaml,
        Some("text") => Format::Text,
        Some(other) if other.len() <= MAX_FORMAT => {
            return Err(format!("unsupported format {}", shown(other)));
        }
        Some(_) => return Err("unsupported format".to_owned()),
    };
    let mut levels = Vec::new();
    match attributes.take("levels") {
        None | Some(Json::Null) => (),
        Some(Json::Array(items)) if items.is_empty() => (),
        Some(value) => {
            for (name, value) in value.into_fields(attributes.path_of("levels"))?.entries {
                levels.extend(level(&name, value)?);
            }
        }
    }
    levels.sort_by_key(|level| level.name);
    Ok(Secrets { format, levels })
}

/// Reads one level; `None` if it is there in name only.
fn level(name: &str, value: Json) -> Result<Option<Level>, Malformed> {
    let Some(name) = LevelName::ALL
        .into_iter()
        .find(|known| known.as_str() == name)
    else {
        return Err(format!("unknown level {}", shown(name)));
    };
    let value = match value {
        Json::Null => return Ok(None),
        value => value,
    };
    let mut fields = value.into_fields(format!("data.attributes.levels.{name}"))?;
    if !fields.has("encrypted") && !fields.has("content") {
        return Err(format!(
            "unknown response shape: {} has neither 'encrypted' nor 'content'",
            fields.path
        ));
    }
    let encrypted = match fields.required("encrypted")? {
        Json::Boolean(encrypted) => encrypted,
        other => return Err(fields.wrong("encrypted", &other, "a boolean")),
    };
    let content = match fields.required("content")? {
        Json::Null => return Ok(None),
        Json::String(content) => content,
        other => return Err(fields.wrong("content", &other, "a string")),
    };
    Ok((!content.is_empty()).then_some(Level {
        name,
        encrypted,
        content,
    }))
}

/// Reads the answer to a request for a project's key descriptor.
///
/// # Errors
///
/// What is wrong with it, naming the field.
pub fn descriptor(text: &str) -> Result<KeyDescriptor, Malformed> {
    let mut attributes = attributes(text)?;
    let path = attributes.path_of("content");
    let mut content = match attributes.required("content")? {
        Json::String(inner) => Json::parse(&inner)
            .map_err(|flaw| format!("{path}: {flaw}"))?
            .into_fields(path)?,
        value => value.into_fields(path)?,
    };
    let mut key = content
        .required("key")?
        .into_fields(content.path_of("key"))?;
    let custody = match key.optional_string("managed")?.as_deref() {
        Some("client") => Custody::Client,
        Some("server") => match key.optional_string("key")? {
            Some(secret) if !secret.is_empty() => Custody::Server { secret },
            _ => {
                return Err(format!(
                    "{} is missing or empty in a server-managed project",
                    key.path_of("key")
                ));
            }
        },
        Some(_) => {
            return Err(format!(
                "{} is neither 'client' nor 'server'",
                key.path_of("managed")
            ));
        }
        None => return Err(format!("{} is missing", key.path_of("managed"))),
    };
    let salt = match key.optional_string("key_check_salt")? {
        Some(salt) if !salt.is_empty() => {
            let decoded = crypto::decode(&salt);
            Some(
                decoded
                    .ok_or_else(|| format!("{} is not base64", key.path_of("key_check_salt")))?,
            )
        }
        _ => None,
    };
    let iterations = match key.optional_number("key_check_iterations")? {
        None | Some(0) => DEFAULT_ITERATIONS,
        Some(count) => u32::try_from(count).unwrap_or(u32::MAX),
    };
    Ok(KeyDescriptor {
        custody,
        salt,
        iterations,
        version: key.optional_number("version")?,
    })
}

/// Reads the manifest of a project.
///
/// # Errors
///
/// What is wrong with it, naming the field.
pub fn manifest(text: &str) -> Result<SealedManifest, Malformed> {
    let mut data = data(text)?;
    if data.optional_string("type")?.as_deref() != Some("manifests") {
        return Err("data.type is not 'manifests'".to_owned());
    }
    let mut attributes = attributes_in(data)?;
    let generation = attributes.optional_number("generation")?;
    let generation =
        generation.ok_or_else(|| format!("{} is missing", attributes.path_of("generation")))?;
    match attributes.required("content")? {
        Json::String(content) => Ok(SealedManifest {
            generation,
            content,
        }),
        other => Err(attributes.wrong("content", &other, "a string")),
    }
}

/// Reads the answer to the question whose organization a key is.
///
/// # Errors
///
/// What is wrong with it, naming the field.
pub fn organization(text: &str) -> Result<OrganizationRecord, Malformed> {
    let mut data = data(text)?;
    let mut attributes = match data.take("attributes") {
        None | Some(Json::Null) => Fields {
            path: "data.attributes".into(),
            entries: Vec::new(),
        },
        Some(value) => value.into_fields("data.attributes".into())?,
    };
    let candidates = [
        attributes.optional_string("ulid")?,
        data.optional_string("ulid")?,
        data.optional_string("id")?,
    ];
    let ulid = candidates
        .into_iter()
        .flatten()
        .find(|candidate| is_ulid(candidate));
    let ulid = ulid.ok_or("no ULID in data.attributes.ulid, data.ulid or data.id")?;
    let slug = match attributes.optional_string("slug")? {
        Some(slug) => Some(slug),
        None => data.optional_string("slug")?,
    };
    if slug.as_deref().is_some_and(|slug| !is_slug(slug)) {
        return Err("the slug of the organization is invalid".to_owned());
    }
    Ok(OrganizationRecord { ulid, slug })
}

/// Reads the plaintext of a level whose format is `json`: one object of strings, in its order.
///
/// # Errors
///
/// What is wrong with it, naming the variable or, where that is none, its position.
pub fn json_level(text: &str) -> Result<Vec<(String, String)>, Malformed> {
    let fields = match Json::parse(text)? {
        value @ Json::Object(_) => value.into_fields(String::new())?,
        other => return Err(format!("{} instead of one object of strings", other.kind())),
    };
    // What is not a name may be a value that was put in the wrong place.
    let string = |(index, (name, value)): (usize, (String, Json))| match value {
        _ if !crate::dotenv::parse::is_name(&name) => {
            let position = index + 1;
            Err(format!("name {position} is not a valid variable name"))
        }
        Json::String(value) if value.contains('\0') => Err(format!("{name} contains a NUL byte")),
        Json::String(value) => Ok((name, value)),
        other => Err(format!("{name}: {} instead of a string", other.kind())),
    };
    fields.entries.into_iter().enumerate().map(string).collect()
}

/// The fields of `data.attributes`, which all documents but the organization's keep their content in.
fn attributes(text: &str) -> Result<Fields, Malformed> {
    attributes_in(data(text)?)
}

fn data(text: &str) -> Result<Fields, Malformed> {
    let mut document = Json::parse(text)?.into_fields(String::new())?;
    document.required("data")?.into_fields("data".into())
}

fn attributes_in(mut data: Fields) -> Result<Fields, Malformed> {
    data.required("attributes")?
        .into_fields("data.attributes".into())
}
