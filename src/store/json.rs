//! The strict reader of JSON: every object is read once, and what is wrong is named by its field.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::collections::HashSet;
use std::rc::Rc;

use miniserde::de::{Deserialize, Map, Seq, Visitor};
use miniserde::{Result as Parsed, json};

use crate::dotenv::parse::is_name;

/// How deep arrays and objects may nest in a document.
const MAX_DEPTH: usize = 16;

/// How deep they may nest in what is passed over, beyond which the rest is not read.
const MAX_SKIPPED_DEPTH: usize = 1000;

/// How many values a document may have. One takes up to 200 bytes here, however short it is in the text, and a list of
/// API keys or a level in JSON has a few thousand.
pub const MAX_VALUES: usize = 100_000;

/// The size in bytes of the longest name of a field. Names are kept twice.
pub const MAX_NAME: usize = 64 * 1024;

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
            Ok(Root(Node { value: None, .. })) | Err(_) => {
                Err("not valid JSON, or nested too deep".to_owned())
            }
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
            .insert(Root(Node::new(0, Rc::new(Cell::new(MAX_VALUES)))))
            .0
    }
}

/// A place that a value is parsed into, and how deep in the document it lies.
struct Node {
    value: Option<Json>,
    depth: usize,
    /// How many more values the document may have.
    room: Rc<Cell<usize>>,
    /// Whether it was said that there is no more room.
    is_full: bool,
    /// Where elements go that are not kept.
    rest: PassedOver,
}

impl Node {
    fn new(depth: usize, room: Rc<Cell<usize>>) -> Self {
        Node {
            value: None,
            depth,
            room,
            is_full: false,
            rest: PassedOver { depth },
        }
    }

    fn set(&mut self, value: Json) -> Parsed<()> {
        self.value = Some(if self.takes_room() {
            value
        } else {
            Json::Flawed(too_many())
        });
        Ok(())
    }

    /// Whether there is room for one more value, which is taken.
    fn takes_room(&self) -> bool {
        let room = self.room.get();
        self.room.set(room.saturating_sub(1));
        room > 0
    }

    /// Whether another array or object is too much; then the value is marked and what it holds is passed over.
    fn is_too_much(&mut self) -> bool {
        let flaw = match self.depth {
            MAX_DEPTH => format!("nested more than {MAX_DEPTH} levels deep"),
            _ if self.takes_room() => return false,
            _ => too_many(),
        };
        self.value = Some(Json::Flawed(flaw));
        true
    }

    fn passed_over(&self) -> Box<PassedOver> {
        let depth = self.depth;
        Box::new(PassedOver { depth })
    }

    fn inner(&self) -> Node {
        Node::new(self.depth + 1, Rc::clone(&self.room))
    }

    /// Where the next element of an array or object goes; nowhere if there is no room for it.
    fn next(&mut self) -> &mut dyn Visitor {
        match self.room.get() {
            0 if self.is_full => &mut self.rest,
            0 => {
                self.is_full = true;
                self.flawed(too_many())
            }
            _ => self,
        }
    }

    /// Marks the value, and passes over what it holds.
    fn flawed(&mut self, flaw: Malformed) -> &mut dyn Visitor {
        self.value = Some(Json::Flawed(flaw));
        &mut self.rest
    }
}

fn too_many() -> Malformed {
    format!("more than {MAX_VALUES} values")
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
        if self.is_too_much() {
            return Ok(self.passed_over());
        }
        Ok(Box::new(Elements {
            element: self.inner(),
            out: &mut self.value,
            done: Vec::new(),
            flaw: None,
        }))
    }

    fn map(&mut self) -> Parsed<Box<dyn Map + '_>> {
        if self.is_too_much() {
            return Ok(self.passed_over());
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
        Ok(self.element.next())
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
        if name.len() > MAX_NAME {
            let flaw = format!("a name of more than {MAX_NAME} bytes");
            return Ok(self.element.flawed(flaw));
        }
        if self.element.room.get() > 0 {
            if !self.names.insert(name.to_owned()) {
                let name = if is_name(name) { name } else { "(not shown)" };
                self.flaw = Some(format!("the name {name} appears twice"));
            }
            name.clone_into(&mut self.name);
        }
        Ok(self.element.next())
    }

    fn finish(&mut self) -> Parsed<()> {
        self.shift();
        let done = std::mem::take(&mut self.done);
        *self.out = Some(self.flaw.take().map_or(Json::Object(done), Json::Flawed));
        Ok(())
    }
}

/// An array or object that is not kept, and how deep it lies. The parser needs memory for every level that is open, so
/// there is an end to them.
struct PassedOver {
    depth: usize,
}

impl PassedOver {
    fn inner(&self) -> Parsed<Box<PassedOver>> {
        match self.depth {
            MAX_SKIPPED_DEPTH => Err(miniserde::Error),
            depth => Ok(Box::new(PassedOver { depth: depth + 1 })),
        }
    }
}

impl Visitor for PassedOver {
    fn null(&mut self) -> Parsed<()> {
        Ok(())
    }

    fn boolean(&mut self, _: bool) -> Parsed<()> {
        Ok(())
    }

    fn string(&mut self, _: &str) -> Parsed<()> {
        Ok(())
    }

    fn nonnegative(&mut self, _: u64) -> Parsed<()> {
        Ok(())
    }

    fn negative(&mut self, _: i64) -> Parsed<()> {
        Ok(())
    }

    fn float(&mut self, _: f64) -> Parsed<()> {
        Ok(())
    }

    fn seq(&mut self) -> Parsed<Box<dyn Seq + '_>> {
        Ok(self.inner()?)
    }

    fn map(&mut self) -> Parsed<Box<dyn Map + '_>> {
        Ok(self.inner()?)
    }
}

impl Seq for PassedOver {
    fn element(&mut self) -> Parsed<&mut dyn Visitor> {
        Ok(self)
    }

    fn finish(&mut self) -> Parsed<()> {
        Ok(())
    }
}

impl Map for PassedOver {
    fn key(&mut self, _: &str) -> Parsed<&mut dyn Visitor> {
        Ok(self)
    }

    fn finish(&mut self) -> Parsed<()> {
        Ok(())
    }
}
