//! What the program says on standard error: errors, warnings and, when asked, notes.
//!
//! A message is one line that starts with `dotenv-run: ` in lower case and has no full stop; an error may have one more
//! line, a hint. None of them ever holds a value, a key or what a server sent.

#![forbid(unsafe_code)]

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::check::{Findings, Stage};
use crate::error::{Error, FAILED};
use crate::sys;

/// Where messages go, and which of them are wanted.
#[derive(Clone, Copy)]
pub struct Report {
    program: &'static str,
    verbosity: Verbosity,
    /// What is found, where that is to be shown.
    findings: Option<&'static Mutex<Findings>>,
}

/// How much is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// Warnings too.
    #[default]
    Normal,
    /// Notes on every stage too.
    Verbose,
}

/// Has a panic of `program` end it as a failure of its own, with the place of the mistake and without the message,
/// which could hold anything.
pub fn hide_panics(program: &'static str) {
    std::panic::set_hook(Box::new(move |panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        let line = format!("{program}: internal error at {place}\n");
        // There is no other place to say it.
        let _ = sys::write_all(std::io::stderr(), line.as_bytes());
        std::process::exit(FAILED.into());
    }));
}

impl Report {
    /// A report in the name of `program`.
    pub fn new(program: &'static str, verbosity: Verbosity) -> Self {
        Report {
            program,
            verbosity,
            findings: None,
        }
    }

    /// The same for a check, of which there is one in a process: what is found is kept to its end.
    pub fn keeping(self, findings: Findings) -> Self {
        Report {
            findings: Some(Box::leak(Box::new(Mutex::new(findings)))),
            ..self
        }
    }

    /// Whether the command is not to be started, and nothing else to be changed.
    pub fn is_checking(&self) -> bool {
        self.findings.is_some()
    }

    /// Has something taken note of if this is a check.
    pub fn found(&self, note: impl FnOnce(&mut Findings)) {
        if let Some(findings) = self.findings {
            keep(findings, note);
        }
    }

    /// Does a part of a stage, and takes note of how long that took if this is a check.
    pub fn timed<T>(&self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let begun = self.is_checking().then(Instant::now);
        let result = work();
        if let Some(begun) = begun {
            self.took(stage, begun);
        }
        result
    }

    #[cold]
    #[inline(never)]
    fn took(&self, stage: Stage, begun: Instant) {
        self.found(|findings| findings.times.add(stage, begun.elapsed()));
    }

    /// The program in whose name it speaks.
    pub fn program(&self) -> &'static str {
        self.program
    }

    /// Says why nothing was done.
    pub fn error(&self, error: &Error) {
        self.line(format_args!("{}: {error}", self.program));
        if let Some(hint) = error.hint() {
            self.line(format_args!("hint: {hint}"));
        }
    }

    /// Says what the user should look at, though it does not keep the command from starting.
    pub fn warn(&self, message: fmt::Arguments<'_>) {
        self.found(|findings| findings.warnings.push(message.to_string()));
        if self.verbosity >= Verbosity::Normal {
            self.line(format_args!("{}: warning: {message}", self.program));
        }
    }

    /// Says what has changed in the user's favour.
    pub fn tell(&self, message: fmt::Arguments<'_>) {
        if self.verbosity >= Verbosity::Normal {
            self.line(format_args!("{}: {message}", self.program));
        }
    }

    /// The same for something that was done before, of which the user was warned then.
    pub fn without_warnings(self) -> Self {
        Report {
            verbosity: match self.verbosity {
                Verbosity::Normal => Verbosity::Quiet,
                verbosity => verbosity,
            },
            ..self
        }
    }

    /// Says what is going on.
    pub fn note(&self, message: fmt::Arguments<'_>) {
        if self.verbosity >= Verbosity::Verbose {
            self.line(format_args!("{}: {message}", self.program));
        }
    }

    /// Writes one line at once. That nobody reads standard error is no reason to fail.
    fn line(&self, line: fmt::Arguments<'_>) {
        let _ = sys::write_all(std::io::stderr(), format!("{line}\n").as_bytes());
    }
}

/// Out of the way of all runs that are no check.
#[cold]
#[inline(never)]
fn keep(findings: &Mutex<Findings>, note: impl FnOnce(&mut Findings)) {
    note(&mut findings.lock().unwrap_or_else(PoisonError::into_inner));
}
