//! What the program says on standard error: errors, warnings and, when asked, notes.
//!
//! A message is one line that starts with `dotenv-run: ` in lower case and has no full stop; an error may have one more
//! line, a hint. None of them ever holds a value, a key or what a server sent.

#![forbid(unsafe_code)]

use std::fmt;
use std::io::Write;
use std::os::fd::AsFd;
use std::time::Instant;

use crate::error::{Error, FAILED, visible};
use crate::event::{Event, Listener, Stage};
use crate::sys;

/// How many may listen: a check and an audit.
const LISTENERS: usize = 2;

/// Where messages go, and which of them are wanted.
#[derive(Clone, Copy)]
pub struct Report {
    program: &'static str,
    verbosity: Verbosity,
    listeners: [Option<&'static dyn Listener>; LISTENERS],
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

/// Has a panic of `program`, and a lack of memory, end it as a failure of its own: with the place of the mistake and
/// without the message, which could hold anything.
pub fn end_as_failures(program: &'static str) {
    sys::name_program(program);
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

/// One line, whatever a path or a name in it holds.
fn visible_line(line: fmt::Arguments<'_>) -> String {
    format!("{}\n", visible(&line.to_string()))
}

impl Report {
    /// A report in the name of `program`.
    pub fn new(program: &'static str, verbosity: Verbosity) -> Self {
        Report {
            program,
            verbosity,
            listeners: [None; LISTENERS],
        }
    }

    /// The same, and `listener` learns what the stages find out.
    pub fn with_listener(mut self, listener: &'static dyn Listener) -> Self {
        let free = self.listeners.iter_mut().find(|slot| slot.is_none());
        *free.expect("a place for each listener") = Some(listener);
        self
    }

    /// Whether what the stages find out interests anybody.
    pub fn has_listeners(&self) -> bool {
        self.listeners[0].is_some()
    }

    /// Passes on what a stage has found out; it is put together only if somebody listens.
    pub fn record<'a>(&self, event: impl FnOnce() -> Event<'a>) {
        if self.has_listeners() {
            self.pass_on(&event());
        }
    }

    #[cold]
    #[inline(never)]
    fn pass_on(&self, event: &Event<'_>) {
        let listeners = self.listeners.iter().flatten();
        listeners.for_each(|listener| listener.record(event));
    }

    /// Does a part of a stage, and records how long it took.
    pub fn timed<T>(&self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let begun = self.has_listeners().then(Instant::now);
        let result = work();
        if let Some(begun) = begun {
            self.pass_on(&Event::Took(stage, begun.elapsed()));
        }
        result
    }

    /// The program in whose name it speaks.
    pub fn program(&self) -> &'static str {
        self.program
    }

    /// Says why nothing was done.
    pub fn error(&self, error: &Error) {
        self.error_to(std::io::stderr(), error);
    }

    /// The same where standard error has another descriptor. That nobody reads it is no reason to fail.
    pub fn error_to(&self, output: impl Write + AsFd, error: &Error) {
        let mut text = visible_line(format_args!("{}: {error}", self.program));
        if let Some(hint) = error.hint() {
            text += &visible_line(format_args!("hint: {hint}"));
        }
        let _ = sys::write_all(output, text.as_bytes());
    }

    /// Says what the user should look at, though it does not keep the command from starting.
    pub fn warn(&self, message: fmt::Arguments<'_>) {
        if self.has_listeners() {
            self.pass_on(&Event::Warned(&message.to_string()));
        }
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
        let _ = sys::write_all(std::io::stderr(), visible_line(line).as_bytes());
    }
}
