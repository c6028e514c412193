//! How long an answer may be used again.

#![forbid(unsafe_code)]

use std::time::Duration;

use crate::cli::given::Given;
use crate::error::Error;

/// The longest time in seconds that can be given: 30 days.
const LONGEST: f64 = 2_592_000.0;

/// How long an answer of the service may be used again.
#[derive(Clone, Copy)]
pub struct Caching {
    /// `--cache`: in place of another fetch.
    pub age: Duration,
    /// `--stale`: for so much longer, where another fetch fails in a way that may pass.
    pub stale: Duration,
}

impl Caching {
    /// What is given for `--cache` and `--stale`.
    ///
    /// # Errors
    ///
    /// If a time is none.
    pub(super) fn given(given: &Given) -> Result<Option<Self>, Error> {
        let age = given.cache.read(seconds)?.unwrap_or_default();
        let stale = given.stale.read(seconds)?.unwrap_or_default();
        Ok((!age.is_zero()).then_some(Caching { age, stale }))
    }
}

fn seconds(text: &str) -> Result<Duration, &'static str> {
    match text.parse() {
        Ok(seconds) if (0.0..=LONGEST).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("must be a number of seconds from 0 to 2592000 (30 days)"),
    }
}
