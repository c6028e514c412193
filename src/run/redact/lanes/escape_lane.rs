//! Escapes in a text.

#![forbid(unsafe_code)]

use crate::deliver::encodings::Token;
use crate::deliver::encodings::escapes::Escaping;
use crate::run::redact::automaton::{ROOT, State};
use crate::run::redact::lanes::search::Search;
use crate::run::redact::track::Track;

/// Reads escapes. Between them a text is what it is, so nothing needs to be read that no escape is part of.
pub struct Escapes {
    pub escaping: Escaping,
    track: Track,
    /// Up to where it has read.
    pub at: usize,
    is_reading: bool,
    /// How many bytes have stood for themselves since the last escape.
    plain: usize,
}

impl Escapes {
    pub fn new(escaping: Escaping) -> Self {
        Escapes {
            escaping,
            track: Track::new(),
            at: 0,
            is_reading: false,
            plain: 0,
        }
    }

    /// Begins to read at what may be an escape, with what has begun before it.
    pub fn begin(&mut self, place: usize, state: State, search: &mut Search<'_>) {
        if self.is_reading || self.at > place {
            return;
        }
        let text = search.rest(place);
        let token = self.escaping.read(text);
        if token == Token::literal(text[0]) {
            return;
        }
        let automaton = &search.patterns.automaton;
        if let Token::Bytes(_, spelled) = token {
            // Most escapes have no part in anything.
            let next = |state, byte: &u8| automaton.next(state, *byte);
            if spelled.bytes().iter().fold(state, next) == ROOT {
                return;
            }
        }
        self.track = Track::fork(automaton, state, place);
        (self.at, self.is_reading, self.plain) = (place, true, 0);
        self.read(search);
    }

    /// Reads on for as long as an escape is part of what has begun.
    pub fn read(&mut self, search: &mut Search<'_>) {
        while self.is_reading && self.at < search.end() {
            let rest = search.rest(self.at);
            let Token::Bytes(length, spelled) = self.escaping.read(rest) else {
                return;
            };
            for byte in spelled.bytes() {
                search.take(&mut self.track, *byte, self.at..self.at + length);
            }
            let is_plain = length == 1 && spelled.bytes() == &rest[..1];
            self.plain = if is_plain { self.plain + 1 } else { 0 };
            self.at += length;
            self.is_reading = self.track.depth() > self.plain;
        }
    }

    /// What must not be shown yet begins here.
    pub fn held(&self) -> Option<usize> {
        self.is_reading
            .then(|| self.track.start().unwrap_or(self.at))
    }

    /// From how many bytes of a secret more would follow.
    pub fn depth(&self) -> usize {
        if self.is_reading {
            self.track.depth()
        } else {
            0
        }
    }

    pub fn forget(&mut self) {
        self.is_reading = false;
        self.track.reset();
    }
}
