//! Readers of values that several options take.

#![forbid(unsafe_code)]

use std::time::Duration;

use crate::sys::signal_names;

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
