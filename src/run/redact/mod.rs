//! Replaces secrets in a stream of bytes by their names, as the bytes come.
//!
//! Every byte of every occurrence is hidden, also where two overlap. Of what came, only that is held back which may be
//! the beginning of a secret.

#![forbid(unsafe_code)]

pub mod connection;
pub mod filter;
mod patterns;
pub mod progress;
mod stream;

use std::sync::Arc;

use crate::deliver::mask::is_common;
use crate::report::Report;
use crate::sys::locked::{Locked, NoMemory};
use crate::variables::Variable;
pub use patterns::Patterns;

/// How many bytes a stream takes at a time: what a pipe holds.
pub const CHUNK: usize = 64 * 1024;

/// The most bytes that are let through though a secret could begin with them, when nothing follows for a while.
const MOST_YIELDED: usize = 2;

/// Warns of secrets whose values are too short or too common to be looked for. An empty one is no secret.
pub fn warn_of_common(secrets: &[Variable<'_>], report: &Report) {
    let is_left = |secret: &&Variable<'_>| {
        let value: String = secret.value.pieces().collect();
        !value.is_empty() && is_common(value.as_bytes())
    };
    let names = secrets.iter().filter(is_left).map(|secret| &*secret.name);
    let names: Vec<_> = names.collect();
    if !names.is_empty() {
        report.warn(format_args!(
            "these secrets are too short or too common to be redacted: {}",
            names.join(", ")
        ));
    }
}

/// One stream of output.
pub struct Redactor {
    patterns: Arc<Patterns>,
    /// What may be part of a secret still, and what has just come.
    text: Locked,
    /// How much of that was let through or hidden already.
    settled: usize,
}

impl Redactor {
    /// A stream that has just begun.
    ///
    /// # Errors
    ///
    /// Those of [`Locked::with_capacity`].
    pub fn new(patterns: Arc<Patterns>) -> Result<Self, NoMemory> {
        Ok(Redactor {
            text: Locked::with_capacity(CHUNK + patterns.longest())?,
            patterns,
            settled: 0,
        })
    }

    /// Whether these are the patterns that it looks for.
    pub fn knows(&self, patterns: &Arc<Patterns>) -> bool {
        Arc::ptr_eq(&self.patterns, patterns)
    }

    /// Looks for other patterns in what comes next, and in what is held back.
    ///
    /// # Errors
    ///
    /// Those of [`Locked::with_capacity`].
    pub fn learn(&mut self, patterns: Arc<Patterns>) -> Result<(), NoMemory> {
        let held = self.text.bytes();
        let mut text = Locked::with_capacity(CHUNK + held.len().max(patterns.longest()))?;
        text.push(held);
        (self.text, self.patterns) = (text, patterns);
        Ok(())
    }

    /// Where the next bytes are to be put, [`CHUNK`] at most, before [`Redactor::take`].
    pub fn spare(&mut self) -> &mut [u8] {
        &mut self.text.spare()[..CHUNK]
    }

    /// Takes the first `count` bytes of the spare ones, and adds to `shown` what can be shown now.
    pub fn take(&mut self, count: usize, shown: &mut Vec<u8>) {
        self.text.grow(count);
        self.settle(false, shown);
    }

    /// Shows what is held back: nothing more comes for now, or ever. If what follows makes it a secret after all, the
    /// rest of that one is still hidden.
    pub fn release(&mut self, shown: &mut Vec<u8>) {
        self.settle(true, shown);
    }

    /// Whether what is held back is so little that it may be released if nothing follows: one or two bytes, at most a
    /// quarter of the shortest secret. Nearly every letter begins some secret in some form, and who waits for the end of
    /// an escape sequence or of a message shall not wait for ever.
    pub fn may_yield(&self) -> bool {
        let most = (self.patterns.shortest() / 4).min(MOST_YIELDED);
        self.settled == 0 && (1..=most).contains(&self.text.bytes().len())
    }

    /// Looks at every place where a secret can begin. With `all`, nothing stays unsettled.
    fn settle(&mut self, all: bool, shown: &mut Vec<u8>) {
        let text = self.text.bytes();
        let (mut at, mut settled, mut open) = (0, self.settled, None);
        loop {
            at = self.patterns.next_beginning(text, at);
            if at == text.len() {
                break;
            }
            let found = self.patterns.at(&text[at..]);
            if found.is_open {
                open = open.or(Some(at));
                if !all {
                    break;
                }
            }
            if let Some((length, secret)) = found.longest
                && at + length > settled
            {
                shown.extend(text.get(settled..at).unwrap_or_default());
                shown.extend(self.patterns.name(secret).bytes());
                settled = at + length;
            }
            at += 1;
        }
        shown.extend(text.get(settled..at).unwrap_or_default());
        settled = settled.max(at);
        let kept = open.unwrap_or(text.len());
        self.settled = settled - kept;
        self.text.keep(kept..text.len());
    }
}
