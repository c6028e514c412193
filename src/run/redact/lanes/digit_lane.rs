//! Digits that stand for bits.

#![forbid(unsafe_code)]

use crate::deliver::encodings::digits::{Radix, Symbol};
use crate::run::redact::automaton::Automaton;
use crate::run::redact::lanes::search::{Search, Start};
use crate::run::redact::track::Track;

/// The digits before the last one in which the last byte can have begun.
const BEFORE: usize = 2;

/// Reads digits, for every place among them where a byte can begin.
pub struct Digits {
    pub radix: Radix,
    tracks: Vec<Track>,
    pub at: usize,
    /// Up to where it reads in any case.
    until: usize,
    /// How many digits came since it began, and the last ones.
    count: u32,
    bits: u32,
    /// A bit for each track in which more has begun than is seen again.
    begun: u32,
    places: [usize; BEFORE + 1],
}

impl Digits {
    pub fn new(radix: Radix, at: usize) -> Self {
        let tracks = (0..radix.period()).map(|_| Track::new());
        Digits {
            radix,
            tracks: tracks.collect(),
            at,
            until: at,
            count: 0,
            bits: 0,
            begun: 0,
            places: [0; BEFORE + 1],
        }
    }

    /// Reads up to a place, and further while anything has begun.
    pub fn read(&mut self, start: Start, end: usize, search: &mut Search<'_>) {
        if start.is_new {
            self.forget();
        }
        self.at = self.at.max(start.place);
        self.until = self.until.max(end);
        let mut has_begun = self.begun != 0 || search.is_shown_by_nothing();
        while self.at < search.end() && (self.at < self.until || has_begun) {
            match self.radix.read(search.rest(self.at)) {
                Symbol::Digit(value) => {
                    has_begun = self.digit(value, search);
                    self.at += 1;
                }
                Symbol::Nothing(length) => self.at += length,
                Symbol::Break => {
                    self.forget();
                    self.at += 1;
                    has_begun = false;
                }
                Symbol::Unfinished => return,
            }
        }
    }

    /// Takes a digit; returns whether anything has begun.
    fn digit(&mut self, value: u32, search: &mut Search<'_>) -> bool {
        let (bits, period) = (self.radix.bits(), self.radix.period());
        self.places = [self.places[1], self.places[2], self.at];
        self.bits = self.bits << bits | value;
        self.count += 1;
        // Up to this depth, the beginning will be seen again with one more digit.
        let shown_by_beginning =
            (search.patterns.beginnings.length() * bits as usize / 8).saturating_sub(2);
        for (end, before) in self.radix.ends_of_bytes() {
            if *before < self.count {
                // The track for which this digit is the one in which a byte ends.
                let first = (self.count + 2 * period - end.div_ceil(bits)) % period;
                let track = &mut self.tracks[first as usize];
                let byte = (self.bits >> (end % 8)) as u8;
                let start = self.places[BEFORE - *before as usize];
                search.take(track, byte, start..self.at + 1);
                let begun = u32::from(track.depth() > shown_by_beginning);
                self.begun = self.begun & !(1 << first) | begun << first;
            }
        }
        if self.count >= 2 * period {
            self.count -= period;
        }
        self.begun != 0 || search.is_shown_by_nothing()
    }

    /// What must not be shown yet begins here: also with a part of a byte with which a secret could begin.
    pub fn held(&self, automaton: &Automaton) -> Option<usize> {
        let (bits, period) = (self.radix.bits(), self.radix.period());
        let parts = (0..period).filter_map(|first| {
            let part = end_of_digit(self.radix, self.count, first) % 8;
            let digits = part.div_ceil(bits);
            let is_known = part > 0 && digits <= self.count;
            let begins = is_known && automaton.may_begin(self.bits & ((1 << part) - 1), part);
            begins.then(|| self.places[BEFORE + 1 - digits as usize])
        });
        parts.chain(self.begun()).min()
    }

    /// Where whole bytes of a secret begin.
    pub fn begun(&self) -> Option<usize> {
        self.tracks.iter().filter_map(Track::start).min()
    }

    pub fn depth(&self) -> usize {
        self.tracks.iter().map(Track::depth).max().unwrap_or(0)
    }

    pub fn forget(&mut self) {
        self.tracks.iter_mut().for_each(Track::reset);
        (self.begun, self.count) = (0, 0);
    }
}

/// How many bits of a period have passed with the last of so many digits, if the first one was so far behind its
/// beginning.
fn end_of_digit(radix: Radix, count: u32, first: u32) -> u32 {
    let period = radix.period();
    radix.bits() * ((count + 2 * period - 1 - first) % period + 1)
}
