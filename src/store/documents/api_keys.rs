//! The list of an organization's API keys, which the service shows without the keys themselves.

#![forbid(unsafe_code)]

use crate::store::json::{Fields, Json, Malformed};

/// The longest name of an ability in bytes.
const MAX_ABILITY: usize = 64;

/// What the service tells of one API key.
pub struct ApiKeyRecord {
    /// What it may do: `secret:read`, or `*` for everything.
    pub abilities: Vec<String>,
    /// When it ends, as RFC 3339 has times; `None` if never.
    pub expires_at: Option<String>,
}

/// Reads one page of the list, and how many pages there are. A key is an object by itself, or has its fields in
/// `attributes`.
///
/// # Errors
///
/// What is wrong with it, naming the field.
pub fn api_keys(text: &str) -> Result<(Vec<ApiKeyRecord>, u64), Malformed> {
    let mut document = Json::parse(text)?.into_fields(String::new())?;
    let items = match document.required("data")? {
        Json::Array(items) => items,
        other => return Err(document.wrong("data", &other, "an array")),
    };
    let mut records = Vec::new();
    for item in items {
        records.push(record(item)?);
    }
    let pages = match document.take("meta") {
        None | Some(Json::Null) => None,
        Some(meta) => meta
            .into_fields("meta".into())?
            .optional_number("last_page")?,
    };
    Ok((records, pages.unwrap_or(1)))
}

fn record(item: Json) -> Result<ApiKeyRecord, Malformed> {
    let mut fields = item.into_fields("data[]".into())?;
    if let Some(attributes) = fields.take("attributes") {
        fields = attributes.into_fields("data[].attributes".into())?;
    }
    let items = match fields.required("abilities")? {
        Json::Array(items) => items,
        other => return Err(fields.wrong("abilities", &other, "an array")),
    };
    let mut abilities = Vec::new();
    for item in items {
        abilities.push(ability(item, &fields)?);
    }
    Ok(ApiKeyRecord {
        abilities,
        expires_at: fields.optional_string("expires_at")?,
    })
}

/// An ability, whose name is harmless to show.
fn ability(item: Json, fields: &Fields) -> Result<String, Malformed> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b":*-_.".contains(&byte);
    match item {
        Json::String(name) if name.len() <= MAX_ABILITY && name.bytes().all(is_plain) => Ok(name),
        _ => Err(format!(
            "{} contains an invalid ability name",
            fields.path_of("abilities")
        )),
    }
}
