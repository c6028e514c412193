//! The strict reader of JSON: every object is read once, and what is wrong is named by its field.

#![forbid(unsafe_code)]

use std::collections::HashSet;

use miniserde::de::{Deserialize, Map, Seq, Visitor};
use miniserde::{Result as Parsed, json};

/// How deep arrays and objects may nest in a document.
const MAX_DEPTH: usize = 16;

/// What is wrong with a document, in words that hold nothing of its content but names of fields and variables.
pub type Malformed = String;

/// A word of the document in quotes, if it is harmless to show; else only that there is one.
pub fn shown(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if word.len() <= 128 && word.bytes().all(is_plain) {
        format!("'{word}'")
    } else {
        "(not shown)".to_owned()
    }
}

/// A JSON value as it stands in a document.
pub enum Json {
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
    /// Reads a whole text.
    ///
    /// # Errors
    ///
    /// If it is not JSON, an object has a key twice, or it nests too deep.
    pub fn parse(text: &str) -> Result<Json, Malformed> {
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

    /// What it is, in words.
    pub fn kind(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Boolean(_) => "a boolean",
            Json::Number(_) => "a number",
            Json::String(_) => "a string",
            Json::Array(_) => "an array",
            Json::Object(_) | Json::Flawed(_) => "an object",
        }
    }

    /// The fields of an object that stands at `path` in its document.
    ///
    /// # Errors
    ///
    /// If it is not an object.
    pub fn into_fields(self, path: String) -> Result<Fields, Malformed> {
        match self {
            Json::Object(entries) => Ok(Fields { path, entries }),
            other if path.is_empty() => Err(format!("{} instead of an object", other.kind())),
            other => Err(format!("{path} is {} instead of an object", other.kind())),
        }
    }
}

/// The fields of an object that are not read yet, and where in the document it stands.
pub struct Fields {
    pub path: String,
    pub entries: Vec<(String, Json)>,
}

impl Fields {
    pub fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    pub fn wrong(&self, name: &str, value: &Json, wanted: &str) -> Malformed {
        format!(
            "{} is {} instead of {wanted}",
            self.path_of(name),
            value.kind()
        )
    }

    pub fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|(known, _)| known == name)
    }

    pub fn take(&mut self, name: &str) -> Option<Json> {
        let index = self.entries.iter().position(|(known, _)| known == name)?;
        Some(self.entries.swap_remove(index).1)
    }

    pub fn required(&mut self, name: &str) -> Result<Json, Malformed> {
        self.take(name)
            .ok_or_else(|| format!("{} is missing", self.path_of(name)))
    }

    pub fn optional_string(&mut self, name: &str) -> Result<Option<String>, Malformed> {
        match self.take(name) {
            None | Some(Json::Null) => Ok(None),
            Some(Json::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(name, &other, "a string")),
        }
    }

    /// A number that may also be written as a decimal string, as some routes of the service do.
    pub fn optional_number(&mut self, name: &str) -> Result<Option<u64>, Malformed> {
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
