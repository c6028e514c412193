//! What `--check` says: what the stages of a run find out, and never a key, a value or a part of one.
//!
//! A check is a run like any other up to the command. The stages know nothing of it: it listens to the events that they
//! report.

#![forbid(unsafe_code)]

mod findings;
mod screen;

use std::sync::{Mutex, PoisonError};

use miniserde::json;

use crate::check::findings::Findings;
use crate::cli::{CheckForm, Options};
use crate::deliver::output;
use crate::error::{Error, visible_json};
use crate::event::{Event, Listener};

/// A check, which listens to a run.
pub struct Check {
    form: CheckForm,
    findings: Mutex<Findings>,
}

impl Check {
    /// The check of the one run of this process; `options` are missing if they were not understood.
    pub fn of(form: CheckForm, options: Option<&Options>) -> &'static Self {
        let findings = Mutex::new(options.map(Findings::about).unwrap_or_default());
        Box::leak(Box::new(Check { form, findings }))
    }

    /// Shows what was found in a run that ended with `outcome`, and passes that on.
    ///
    /// # Errors
    ///
    /// That of the run or, without one, that the findings cannot be written.
    pub fn conclude<T>(&self, outcome: Result<T, Error>) -> Result<T, Error> {
        let text = {
            let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
            findings.end(outcome.as_ref().err());
            match self.form {
                CheckForm::Screen => screen::show(&findings),
                CheckForm::Json => visible_json(&json::to_string(&*findings)) + "\n",
            }
        };
        let written = output::write(text.as_bytes());
        outcome.and_then(|done| written.map(|()| done))
    }
}

impl Listener for Check {
    fn record(&self, event: &Event<'_>) {
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        findings.add(event);
    }
}
