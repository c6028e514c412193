//! Readers of values that several options take.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::time::Duration;

use crate::dotenv::parse::is_name;
use crate::sys::signal_names;

/// The longest word in bytes of an invalid path or name that a message quotes.
const LONGEST_SHOWN: usize = 20;

/// The longest time in seconds that can be given: a day.
const MAX_SECONDS: f64 = 86_400.0;

/// Reads a time in seconds.
pub fn seconds(text: &str) -> Result<Duration, &'static str> {
    match text.parse() {
        Ok(seconds) if seconds > 0.0 && seconds <= MAX_SECONDS => {
            Ok(Duration::from_secs_f64(seconds))
        }
        _ => Err("must be a number of seconds above 0 and up to 86400"),
    }
}

/// Reads the name or number of a signal.
pub fn signal(text: &str) -> Result<i32, &'static str> {
    signal_names::named(text).ok_or("no such signal")
}

/// The text, unless it may be a key that was given in the place of a path or a name: no key of the service is as short
/// as a word that is shown.
pub fn showable(text: &str) -> Option<&str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_word = |word: &str| word.len() <= LONGEST_SHOWN && word.bytes().all(is_plain);
    (!text.is_empty() && text.split('/').all(is_word)).then_some(text)
}

/// Reads the name of a variable.
pub fn name(text: &str) -> Result<String, Cow<'static, str>> {
    if is_name(text) {
        return Ok(text.to_owned());
    }
    Err(match showable(text) {
        Some(text) => format!("'{text}' is not a valid variable name").into(),
        None => "not a valid variable name".into(),
    })
}
