//! Parts of messages that more than one failure has.

#![forbid(unsafe_code)]

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use crate::sys::plain;

/// The name of a file as messages show it.
pub fn shown(file: &Path) -> String {
    file.display().to_string().escape_debug().to_string()
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
