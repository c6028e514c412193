//! Replaces secrets in a stream of bytes by their names, as the bytes come.
//!
//! Every byte of every occurrence is hidden, also where two overlap. Of what came, only that is held back which may be
//! the beginning of a secret.

#![forbid(unsafe_code)]

mod automaton;
mod beginnings;
pub mod connection;
pub mod filter;
mod lanes;
mod patterns;
pub mod progress;
mod reader;
mod stream;
mod track;

use std::cmp::Reverse;
use std::sync::Arc;

use crate::deliver::mask::is_common;
use crate::report::Report;
use crate::sys::locked::{Locked, NoMemory};
use crate::variables::Variable;
use lanes::{Search, Text};
pub use patterns::{Patterns, Unlearnable};
use reader::Reader;
use track::Occurrence;

/// How many bytes a stream takes at a time: what a pipe holds.
pub const CHUNK: usize = 64 * 1024;

/// The most bytes of a secret that are let through, in any encoding, when nothing follows for a while.
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

/// Where an encoding needs more than this for each byte of the longest secret, and [`CHUNK`] beside it, what has begun
/// is no secret any more: there is an end to what is held back.
const WIDEST: usize = 16;

/// One stream of output.
pub struct Redactor {
    patterns: Arc<Patterns>,
    reader: Reader,
    /// What may be part of a secret still, and what has just come.
    text: Locked,
    /// The places of that, and of what was let through or hidden already, counted from the beginning of the stream.
    start: usize,
    settled: usize,
    /// What is to be hidden, by its beginning.
    found: Vec<Occurrence>,
    /// How many of them are hidden already.
    hidden: usize,
}

impl Redactor {
    /// A stream that has just begun.
    ///
    /// # Errors
    ///
    /// Those of [`Locked::with_capacity`].
    pub fn new(patterns: Arc<Patterns>) -> Result<Self, NoMemory> {
        Ok(Redactor {
            patterns,
            reader: Reader::at(0),
            text: Locked::with_capacity(2 * CHUNK)?,
            start: 0,
            settled: 0,
            found: Vec::new(),
            hidden: 0,
        })
    }

    /// Whether these are the patterns that it looks for.
    pub fn knows(&self, patterns: &Arc<Patterns>) -> bool {
        Arc::ptr_eq(&self.patterns, patterns)
    }

    /// Looks for other patterns in what comes next, and in what is held back.
    pub fn learn(&mut self, patterns: Arc<Patterns>) {
        // What was found is found again, by another number.
        self.found.clear();
        self.hidden = 0;
        self.patterns = patterns;
        self.reader = Reader::at(self.start);
    }

    /// Where the next bytes are to be put, [`CHUNK`] at most, before [`Redactor::take`].
    ///
    /// # Errors
    ///
    /// Those of [`Locked::with_capacity`].
    pub fn spare(&mut self) -> Result<&mut [u8], NoMemory> {
        if self.text.spare().len() < CHUNK {
            let held = self.text.bytes();
            let mut text = Locked::with_capacity(2 * (held.len() + CHUNK))?;
            text.push(held);
            self.text = text;
        }
        Ok(&mut self.text.spare()[..CHUNK])
    }

    /// Takes the first `count` bytes of the spare ones, and adds to `shown` what can be shown now.
    pub fn take(&mut self, count: usize, shown: &mut Vec<u8>) {
        self.text.grow(count);
        let end = self.end();
        let most = CHUNK + WIDEST * self.patterns.longest();
        if end - self.start > most + CHUNK {
            self.reader.forget(end - most);
        }
        let known = self.found.len();
        self.reader.read(&mut Search {
            text: Text {
                start: self.start,
                bytes: self.text.bytes(),
            },
            patterns: &self.patterns,
            found: &mut self.found,
        });
        self.sort(known);
        self.show(self.reader.held, shown);
        let kept = self.reader.kept - self.start;
        self.text.keep(kept..self.text.bytes().len());
        self.start = self.reader.kept;
    }

    /// Shows what is held back: nothing more comes for now, or ever. If what follows makes it a secret after all, the
    /// rest of that one is still hidden.
    pub fn release(&mut self, shown: &mut Vec<u8>) {
        self.show(self.end(), shown);
    }

    /// Whether what is held back says so little that it may be released if nothing follows: one or two bytes of a secret,
    /// at most a quarter of the shortest one. Nearly every letter begins some secret in some encoding, and who waits for
    /// the end of an escape sequence or of a message shall not wait for ever.
    pub fn may_yield(&self) -> bool {
        let most = (self.patterns.shortest() / 4).min(MOST_YIELDED);
        self.settled < self.end() && self.reader.depth <= most
    }

    fn end(&self) -> usize {
        self.start + self.text.bytes().len()
    }

    /// Puts what was found, of which so many were known, in the order of their beginnings.
    fn sort(&mut self, known: usize) {
        let order = |it: &Occurrence| (it.start, Reverse(it.end));
        let new = &mut self.found[known..];
        if !new.is_sorted_by_key(order) {
            new.sort_by_key(order);
        }
        let is_behind = |new: &Occurrence| {
            self.found[..known]
                .last()
                .is_none_or(|last| order(last) <= order(new))
        };
        if !self.found.get(known).is_none_or(is_behind) {
            self.found[self.hidden..].sort_by_key(order);
        }
    }

    /// Shows everything up to a place, with names in the places of secrets.
    fn show(&mut self, place: usize, shown: &mut Vec<u8>) {
        let left = &self.found[self.hidden..];
        let count = left.partition_point(|found| found.start < place);
        for found in &left[..count] {
            if found.end > self.settled {
                let before = found.start.max(self.settled) - self.start;
                let settled = self.settled - self.start;
                shown.extend(&self.text.bytes()[settled..before]);
                shown.extend(self.patterns.name(found.secret).bytes());
                self.settled = found.end;
            }
        }
        self.hidden += count;
        // Not each time: where one begins at every byte, there are as many as a secret is long.
        if 2 * self.hidden >= self.found.len() {
            self.found.drain(..self.hidden);
            self.hidden = 0;
        }
        if self.settled < place {
            let text = self.text.bytes();
            shown.extend(&text[self.settled - self.start..place - self.start]);
            self.settled = place;
        }
    }
}
