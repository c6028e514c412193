//! Dumps of bytes, line by line.

#![forbid(unsafe_code)]

use crate::deliver::encodings::Token;
use crate::deliver::encodings::dump::Column;
use crate::run::redact::lanes::search::Search;
use crate::run::redact::track::{Occurrence, Track};

/// Reads dumps, from the beginning of a line on.
pub struct Dump {
    column: Column,
    track: Track,
    pub at: usize,
    pub is_reading: bool,
    /// What was found in the digits of this line, and so stands in its text too.
    shown_again: Option<Occurrence>,
}

impl Dump {
    /// One that reads from a line on.
    pub fn at(place: usize) -> Self {
        Dump {
            column: Column::Offset,
            track: Track::new(),
            at: place,
            is_reading: true,
            shown_again: None,
        }
    }

    /// Begins with the line that begins here.
    pub fn begin(&mut self, place: usize, search: &mut Search<'_>) {
        let may_be = search.rest(place).first().is_none_or(u8::is_ascii_hexdigit);
        if may_be && !self.is_reading && self.at <= place {
            (self.column, self.at, self.is_reading) = (Column::Offset, place, true);
            self.read(search);
        }
    }

    /// Reads on for as long as it is a dump.
    pub fn read(&mut self, search: &mut Search<'_>) {
        while self.is_reading && self.at < search.end() {
            let token = self.column.read(search.rest(self.at));
            let start = self.at;
            match token {
                Token::Bytes(length, spelled) => {
                    self.at += length;
                    let start = start + margin(&search.rest(start)[..length]).min(length - 1);
                    for byte in spelled.bytes() {
                        let found = search.take(&mut self.track, *byte, start..self.at);
                        if found.is_some() && self.column != Column::Characters {
                            self.shown_again = found;
                        }
                    }
                }
                Token::Nothing(length) => self.at += length,
                Token::Break(_) => {
                    self.forget();
                    return;
                }
                Token::Unfinished => return,
            }
            if self.column == Column::Offset {
                self.shown_again = None;
            } else if let Some(found) = &mut self.shown_again {
                found.end = self.at;
                search.found.push(*found);
            }
        }
    }

    /// What must not be shown yet begins here; that may be what shows a part of a byte.
    pub fn held(&self, search: &Search<'_>) -> Option<usize> {
        let again = self.shown_again.map(|found| found.start);
        let has_bytes = !matches!(self.column, Column::Offset | Column::Text);
        let part = (self.is_reading && has_bytes).then(|| self.at + margin(search.rest(self.at)));
        let part = part.filter(|place| *place < search.end());
        self.begun().into_iter().chain(again).chain(part).min()
    }

    /// Where whole bytes of a secret begin.
    pub fn begun(&self) -> Option<usize> {
        self.track.start()
    }

    pub fn depth(&self) -> usize {
        self.track.depth() + usize::from(self.shown_again.is_some())
    }

    pub fn forget(&mut self) {
        self.is_reading = false;
        self.shown_again = None;
        self.track.reset();
    }
}

/// How many spaces a text begins with.
fn margin(text: &[u8]) -> usize {
    text.iter().take_while(|byte| **byte == b' ').count()
}
