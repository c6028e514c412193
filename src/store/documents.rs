//! The service's documents: text to types and types to text. Nothing here touches the outside.
//!
//! Whatever is not exactly what `protocol.md` section 3 describes is refused with the field's name. The one leniency:
//! levels that are absent, null or `[]` mean that there are none.

#![forbid(unsafe_code)]

mod api_keys;

use std::collections::HashSet;

use miniserde::de::{Deserialize, Map, Seq, Visitor};
use miniserde::{Result as Parsed, json};

use crate::crypto::{self, DEFAULT_ITERATIONS};
use crate::path::{LevelName, SecretPath, is_slug, is_ulid};
use crate::store::{Custody, Descriptor, Format, Level, OrganizationRecord, Secrets};

pub use api_keys::{ApiKeyRecord, api_keys};

/// How deep arrays and objects may nest in a document.
const MAX_DEPTH: usize = 16;

/// The size in bytes of the longest word that passes for the name of a format and is shown; a longer one may be a
/// secret that strayed there.
const MAX_FORMAT: usize = 16;

/// What is wrong with a document, in words that hold nothing of its content but names of fields and variables.
pub type Malformed = String;

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
pub fn descriptor(text: &str) -> Result<Descriptor, Malformed> {
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
    Ok(Descriptor {
        custody,
        salt,
        iterations,
        version: key.optional_number("version")?,
    })
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
/// What is wrong with it, naming the variable.
pub fn json_level(text: &str) -> Result<Vec<(String, String)>, Malformed> {
    let fields = match Json::parse(text)? {
        value @ Json::Object(_) => value.into_fields(String::new())?,
        other => return Err(format!("{} instead of one object of strings", other.kind())),
    };
    let string = |(name, value): (String, Json)| match value {
        _ if !crate::dotenv::parse::is_name(&name) => {
            let name = name.escape_debug();
            Err(format!("'{name}' is not a valid variable name"))
        }
        Json::String(value) if value.contains('\0') => Err(format!("{name} contains a NUL byte")),
        Json::String(value) => Ok((name, value)),
        other => Err(format!("{name}: {} instead of a string", other.kind())),
    };
    fields.entries.into_iter().map(string).collect()
}

/// Writes the document of secrets of a path, with the fields that the service's own client goes by.
pub fn secrets_document(organization: &str, path: &SecretPath, levels: &[Level]) -> String {
    let slug = |level: LevelName| {
        path.slug(level)
            .map_or("null".to_owned(), |slug| format!("\"{slug}\""))
    };
    let level = |level: &Level| {
        let (name, content) = (level.name.as_str(), json::to_string(&level.content));
        format!(
            "\"{name}\":{{\"encrypted\":{},\"content\":{content},\"source\":{}}}",
            level.encrypted,
            slug(level.name)
        )
    };
    let levels: Vec<_> = levels.iter().map(level).collect();
    let hierarchy = LevelName::ALL.map(|level| format!("\"{level}\":{}", slug(level)));
    format!(
        "{{\"data\":{{\"type\":\"secrets\",\"attributes\":{{\"encrypted\":true,\"format\":\"env\",\"levels\":{{{}}}}}}},\
         \"meta\":{{\"api_path\":\"/api/v1/{organization}/{path}/secrets\",\"hierarchy\":{{{}}}}}}}\n",
        levels.join(","),
        hierarchy.join(",")
    )
}

/// Writes the key descriptor of a client-managed project.
pub fn descriptor_document(salt: &str, iterations: u32) -> String {
    let content = format!(
        "{{\"key\":{{\"managed\":\"client\",\"version\":1,\"key_check_salt\":{},\"key_check_iterations\":{iterations}}}}}",
        json::to_string(salt)
    );
    format!(
        "{{\"data\":{{\"type\":\"encryption_keys\",\"attributes\":{{\"format\":\"json\",\"content\":{}}}}}}}\n",
        json::to_string(&content)
    )
}

/// Writes the document that names the organization of a tree.
pub fn organization_document(ulid: &str) -> String {
    format!(
        "{{\"data\":{{\"type\":\"organizations\",\"id\":{},\"attributes\":{{}}}}}}\n",
        json::to_string(ulid)
    )
}

/// A text as JSON has it, in quotes.
pub fn string(text: &str) -> String {
    json::to_string(text)
}

/// Writes a list of variables: name, level, levels overridden, length class.
pub fn list_document<'a>(
    rows: impl Iterator<Item = (&'a str, &'a str, &'a [&'a str], &'a str)>,
) -> String {
    let object = |(name, level, overrides, length): (&str, &str, &[&str], &str)| {
        let overrides: Vec<_> = overrides
            .iter()
            .map(|level| json::to_string(*level))
            .collect();
        format!(
            "{{\"name\":{},\"level\":{},\"overrides\":[{}],\"length\":{}}}",
            json::to_string(name),
            json::to_string(level),
            overrides.join(","),
            json::to_string(length)
        )
    };
    let objects: Vec<_> = rows.map(object).collect();
    format!("[{}]\n", objects.join(",\n "))
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

/// A word of the document in quotes, if it is harmless to show; else only that there is one.
fn shown(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if word.len() <= 128 && word.bytes().all(is_plain) {
        format!("'{word}'")
    } else {
        "(not shown)".to_owned()
    }
}

/// A JSON value as it stands in a document.
enum Json {
    Null,
    Boolean(bool),
    Number(Option<u64>),
    String(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
    /// A value that breaks a rule of ours inside, and which one.
    Flawed(Malformed),
}

impl Json {
    fn parse(text: &str) -> Result<Json, Malformed> {
        match json::from_str(text) {
            Ok(Root(Node {
                value: Some(Json::Flawed(flaw)),
                ..
            })) => Err(flaw),
            Ok(Root(Node {
                value: Some(value), ..
            })) => Ok(value),
            Ok(Root(Node { value: None, .. })) | Err(_) => Err("not valid JSON".to_owned()),
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Boolean(_) => "a boolean",
            Json::Number(_) => "a number",
            Json::String(_) => "a string",
            Json::Array(_) => "an array",
            Json::Object(_) | Json::Flawed(_) => "an object",
        }
    }

    fn into_fields(self, path: String) -> Result<Fields, Malformed> {
        match self {
            Json::Object(entries) => Ok(Fields { path, entries }),
            other if path.is_empty() => Err(format!("{} instead of an object", other.kind())),
            other => Err(format!("{path} is {} instead of an object", other.kind())),
        }
    }
}

/// The fields of an object that are not read yet, and where in the document it stands.
struct Fields {
    path: String,
    entries: Vec<(String, Json)>,
}

impl Fields {
    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    fn wrong(&self, name: &str, value: &Json, wanted: &str) -> Malformed {
        format!(
            "{} is {} instead of {wanted}",
            self.path_of(name),
            value.kind()
        )
    }

    fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|(known, _)| known == name)
    }

    fn take(&mut self, name: &str) -> Option<Json> {
        let index = self.entries.iter().position(|(known, _)| known == name)?;
        Some(self.entries.swap_remove(index).1)
    }

    fn required(&mut self, name: &str) -> Result<Json, Malformed> {
        self.take(name)
            .ok_or_else(|| format!("{} is missing", self.path_of(name)))
    }

    fn optional_string(&mut self, name: &str) -> Result<Option<String>, Malformed> {
        match self.take(name) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(name, &other, "a string")),
        }
    }

    /// A number that may also be written as a decimal string, as some routes of the service do.
    fn optional_number(&mut self, name: &str) -> Result<Option<u64>, Malformed> {
        let number = match self.take(name) {
            None | Some(Json::Null) => return Ok(None),
            Some(Json::Number(number)) => number,
            Some(Json::String(digits)) => digits.parse().ok(),
            Some(other) => return Err(self.wrong(name, &other, "a number")),
        };
        number
            .map(Some)
            .ok_or_else(|| format!("{} is not a whole number", self.path_of(name)))
    }
}

/// The place that the document's outermost value is parsed into.
struct Root(Node);

impl Deserialize for Root {
    fn begin(out: &mut Option<Self>) -> &mut dyn Visitor {
        &mut out
            .insert(Root(Node {
                value: None,
                depth: 0,
            }))
            .0
    }
}

/// A place that a value is parsed into, and how deep in the document it lies.
struct Node {
    value: Option<Json>,
    depth: usize,
}

impl Node {
    fn set(&mut self, value: Json) -> Parsed<()> {
        self.value = Some(value);
        Ok(())
    }

    /// Whether another level of nesting is too much; then the value is marked and what it holds is passed over.
    fn is_too_deep(&mut self) -> bool {
        let too_deep = self.depth == MAX_DEPTH;
        if too_deep {
            self.value = Some(Json::Flawed(format!(
                "nested more than {MAX_DEPTH} levels deep"
            )));
        }
        too_deep
    }

    fn inner(&self) -> Node {
        Node {
            value: None,
            depth: self.depth + 1,
        }
    }
}

impl Visitor for Node {
    fn null(&mut self) -> Parsed<()> {
        self.set(Json::Null)
    }

    fn boolean(&mut self, value: bool) -> Parsed<()> {
        self.set(Json::Boolean(value))
    }

    fn string(&mut self, value: &str) -> Parsed<()> {
        self.set(Json::String(value.to_owned()))
    }

    fn nonnegative(&mut self, value: u64) -> Parsed<()> {
        self.set(Json::Number(Some(value)))
    }

    fn negative(&mut self, _: i64) -> Parsed<()> {
        self.set(Json::Number(None))
    }

    fn float(&mut self, _: f64) -> Parsed<()> {
        self.set(Json::Number(None))
    }

    fn seq(&mut self) -> Parsed<Box<dyn Seq + '_>> {
        if self.is_too_deep() {
            return Ok(Box::new(PassedOver));
        }
        Ok(Box::new(Elements {
            element: self.inner(),
            out: &mut self.value,
            done: Vec::new(),
            flaw: None,
        }))
    }

    fn map(&mut self) -> Parsed<Box<dyn Map + '_>> {
        if self.is_too_deep() {
            return Ok(Box::new(PassedOver));
        }
        let element = self.inner();
        Ok(Box::new(Members {
            element,
            out: &mut self.value,
            name: String::new(),
            done: Vec::new(),
            names: HashSet::new(),
            flaw: None,
        }))
    }
}

/// An array while it is parsed.
struct Elements<'a> {
    out: &'a mut Option<Json>,
    element: Node,
    done: Vec<Json>,
    flaw: Option<Malformed>,
}

impl Elements<'_> {
    fn shift(&mut self) {
        match self.element.value.take() {
            None => (),
            Some(Json::Flawed(flaw)) => self.flaw = Some(flaw),
            Some(value) => self.done.push(value),
        }
    }
}

impl Seq for Elements<'_> {
    fn element(&mut self) -> Parsed<&mut dyn Visitor> {
        self.shift();
        Ok(&mut self.element)
    }

    fn finish(&mut self) -> Parsed<()> {
        self.shift();
        let done = std::mem::take(&mut self.done);
        *self.out = Some(self.flaw.take().map_or(Json::Array(done), Json::Flawed));
        Ok(())
    }
}

/// An object while it is parsed.
struct Members<'a> {
    out: &'a mut Option<Json>,
    element: Node,
    name: String,
    done: Vec<(String, Json)>,
    names: HashSet<String>,
    flaw: Option<Malformed>,
}

impl Members<'_> {
    fn shift(&mut self) {
        match self.element.value.take() {
            None => (),
            Some(Json::Flawed(flaw)) => self.flaw = Some(flaw),
            Some(value) => self.done.push((std::mem::take(&mut self.name), value)),
        }
    }
}

impl Map for Members<'_> {
    fn key(&mut self, name: &str) -> Parsed<&mut dyn Visitor> {
        self.shift();
        if !self.names.insert(name.to_owned()) {
            self.flaw = Some(format!("the name {} appears twice", shown(name)));
        }
        name.clone_into(&mut self.name);
        Ok(&mut self.element)
    }

    fn finish(&mut self) -> Parsed<()> {
        self.shift();
        let done = std::mem::take(&mut self.done);
        *self.out = Some(self.flaw.take().map_or(Json::Object(done), Json::Flawed));
        Ok(())
    }
}

/// An array or object that is too deep to be kept.
struct PassedOver;

impl Seq for PassedOver {
    fn element(&mut self) -> Parsed<&mut dyn Visitor> {
        Ok(<dyn Visitor>::ignore())
    }

    fn finish(&mut self) -> Parsed<()> {
        Ok(())
    }
}

impl Map for PassedOver {
    fn key(&mut self, _: &str) -> Parsed<&mut dyn Visitor> {
        Ok(<dyn Visitor>::ignore())
    }

    fn finish(&mut self) -> Parsed<()> {
        Ok(())
    }
}
