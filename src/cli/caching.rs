//! How long an answer may be used again.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::time::Duration;

use crate::error::{Error, Usage};

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
    /// What is given for `--cache` and by which option or variable, for `--stale`, and whether there is a `--no-cache`.
    ///
    /// # Errors
    ///
    /// If a time is none, or nothing is kept that could be stale.
    pub(super) fn given(
        age: Option<(OsString, &'static str)>,
        stale: Option<OsString>,
        is_off: bool,
    ) -> Result<Option<Self>, Error> {
        let stale = stale.map(|value| super::read("--stale", &value, seconds));
        let stale = stale.transpose()?;
        match age {
            _ if is_off => Ok(None),
            Some((age, source)) => {
                let age = super::read(source, &age, seconds)?;
                let stale = stale.unwrap_or_default();
                Ok((!age.is_zero()).then_some(Caching { age, stale }))
            }
            None if stale.is_some() => Err(Usage::Alone {
                option: "stale",
                needed: &["cache"],
            }
            .into()),
            None => Ok(None),
        }
    }
}

fn seconds(text: &str) -> Result<Duration, &'static str> {
    match text.parse() {
        Ok(seconds) if (0.0..=LONGEST).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("must be a number of seconds from 0 to 2592000 (30 days)"),
    }
}
