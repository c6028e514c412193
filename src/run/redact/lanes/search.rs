//! The text that all lanes read, what they look for, and from where.

#![forbid(unsafe_code)]

use std::ops::Range;

use crate::run::redact::Patterns;
use crate::run::redact::track::{Occurrence, Track};

/// A part of a stream, from its place on.
#[derive(Clone, Copy)]
pub struct Text<'a> {
    /// The number of bytes before it.
    pub start: usize,
    /// What has come.
    pub bytes: &'a [u8],
}

/// A text that is searched, what is looked for, and what was found.
pub struct Search<'a> {
    pub text: Text<'a>,
    pub patterns: &'a Patterns,
    pub found: &'a mut Vec<Occurrence>,
}

impl<'a> Search<'a> {
    /// The text from a place on.
    pub fn rest(&self, place: usize) -> &'a [u8] {
        &self.text.bytes[place - self.text.start..]
    }

    /// The place behind the text.
    pub fn end(&self) -> usize {
        self.text.start + self.text.bytes.len()
    }

    /// Whether a beginning is so short that it may be no whole byte in some encoding: then everything is read.
    pub(super) fn is_shown_by_nothing(&self) -> bool {
        self.patterns.beginnings.length() < 2
    }

    /// Has a track take a byte that was read in a range of the output, and notes what it finds.
    pub(super) fn take(
        &mut self,
        track: &mut Track,
        byte: u8,
        at: Range<usize>,
    ) -> Option<Occurrence> {
        let found = track.take(&self.patterns.automaton, byte, at);
        self.found.extend(found);
        found
    }
}

/// From where to read.
#[derive(Clone, Copy)]
pub struct Start {
    pub place: usize,
    /// Whether something was left out before it, and not only white space.
    pub is_new: bool,
}

impl Start {
    /// From where it was.
    pub fn on(place: usize) -> Self {
        let is_new = false;
        Start { place, is_new }
    }
}
