//! Parts of messages that more than one failure has.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use crate::dotenv::parse::is_hidden;
use crate::dotenv::render::Form;
use crate::sys::plain;

/// The name of a file as messages show it.
pub fn shown(file: &Path) -> String {
    file.display().to_string().escape_debug().to_string()
}

/// Text that comes from elsewhere as one line shows it: what acts on a terminal, ends a line, turns the text around or
/// cannot be seen is an escape.
pub fn visible(text: &str) -> Cow<'_, str> {
    let is_harmless = |letter: char| !is_hidden(letter);
    if text.chars().all(is_harmless) {
        return Cow::Borrowed(text);
    }
    let shown = |letter: char| {
        if is_hidden(letter) {
            letter.escape_default().collect()
        } else {
            String::from(letter)
        }
    };
    text.chars().map(shown).collect::<String>().into()
}

/// A JSON text in which the same are escapes of JSON. Line feeds between its parts stay.
pub fn visible_json(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for letter in json.chars() {
        if letter == '\n' || !is_hidden(letter) {
            text.push(letter);
            continue;
        }
        for unit in letter.encode_utf16(&mut [0; 2]) {
            text.push_str(&format!("\\u{unit:04x}"));
        }
    }
    text
}

/// A time in seconds, as far as it matters.
pub(super) struct Seconds(pub Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", (self.0.as_secs_f64() * 100.0).round() / 100.0)
    }
}

/// The end of a message about an answer that may ask to wait.
pub(super) struct Wait(pub Option<Duration>);

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(wait) => write!(f, ", and asks to wait {} s", wait.as_secs()),
            None => Ok(()),
        }
    }
}

pub(super) fn no_spelling(name: &str, form: &Form, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let form_name = form.name();
    write!(f, "{name} cannot be written as {form_name}")?;
    f.write_str(match form {
        Form::Docker => ": the value has a line end, or is longer than 65535 bytes with its name",
        Form::GitHub => ": the runner keeps this name for itself",
        _ => " so that every reader gets the same value",
    })
}

pub(super) fn not_open(
    named_by: &str,
    number: &i32,
    error: &io::Error,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    match number {
        0 => write!(f, "{named_by}: standard input")?,
        _ => write!(f, "{named_by}: descriptor {number}")?,
    }
    match error.kind() {
        io::ErrorKind::NotFound => f.write_str(" is not open"),
        _ => write!(f, ": {}", plain(error)),
    }
}
