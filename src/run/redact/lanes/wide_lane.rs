//! UTF-16.

#![forbid(unsafe_code)]

use crate::deliver::encodings::Token;
use crate::deliver::encodings::wide::ByteOrder;
use crate::run::redact::lanes::search::{Search, Start};
use crate::run::redact::track::Track;

/// Reads UTF-16 that begins at an even place of the stream, or at an odd one.
pub struct Wide {
    order: ByteOrder,
    odd: usize,
    track: Track,
    pub at: usize,
}

impl Wide {
    /// One for each way to read it.
    pub fn all(at: usize) -> Vec<Self> {
        let ways = [ByteOrder::Little, ByteOrder::Big]
            .into_iter()
            .flat_map(|order| [(order, 0), (order, 1)]);
        let new = |(order, odd)| Wide {
            order,
            odd,
            track: Track::new(),
            at,
        };
        ways.map(new).collect()
    }

    pub fn read(&mut self, start: Start, end: usize, search: &mut Search<'_>) {
        if start.is_new {
            self.forget();
        }
        if self.track.depth() == 0 {
            self.at = self.at.max(start.place);
        }
        self.at += usize::from(self.at % 2 != self.odd);
        let shown_by_beginning = (search.patterns.beginnings.length() / 2).saturating_sub(2);
        let always = if search.is_shown_by_nothing() {
            search.end()
        } else {
            0
        };
        while self.at < search.end()
            && (self.at < end.max(always) || self.track.depth() > shown_by_beginning)
        {
            match self.order.read(search.rest(self.at)) {
                Token::Bytes(length, spelled) => {
                    for byte in spelled.bytes() {
                        search.take(&mut self.track, *byte, self.at..self.at + length);
                    }
                    self.at += length;
                }
                Token::Break(length) | Token::Nothing(length) => {
                    self.forget();
                    self.at += length;
                }
                Token::Unfinished => return,
            }
        }
    }

    /// What must not be shown yet begins here: also with a zero, which may be the first half of a character.
    pub fn held(&self, search: &Search<'_>) -> Option<usize> {
        let is_half = self.order == ByteOrder::Big && self.at < search.end();
        let half = (is_half && search.rest(self.at)[0] == 0).then_some(self.at);
        self.begun().or(half)
    }

    /// Where whole characters of a secret begin.
    pub fn begun(&self) -> Option<usize> {
        self.track.start()
    }

    pub fn depth(&self) -> usize {
        self.track.depth()
    }

    pub fn forget(&mut self) {
        self.track.reset();
    }
}
