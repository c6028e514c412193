//! What reads the output in one encoding each. All of them stand still until something hints at a secret, and as soon as
//! nothing of one has begun.

#![forbid(unsafe_code)]

use std::ops::Range;

use crate::deliver::encodings::Token;
use crate::deliver::encodings::digits::{Radix, Symbol};
use crate::deliver::encodings::dump::Column;
use crate::deliver::encodings::escapes::Escaping;
use crate::deliver::encodings::wide::ByteOrder;
use crate::run::redact::Patterns;
use crate::run::redact::automaton::{Automaton, ROOT, State};
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
    fn is_shown_by_nothing(&self) -> bool {
        self.patterns.beginnings.length() < 2
    }

    fn take(&mut self, track: &mut Track, byte: u8, at: Range<usize>) -> Option<Occurrence> {
        let found = track.take(&self.patterns.automaton, byte, at);
        self.found.extend(found);
        found
    }
}

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
