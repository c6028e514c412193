//! Reads a stream in all encodings at once.

#![forbid(unsafe_code)]

use crate::deliver::encodings::digits::{self, Radix};
use crate::deliver::encodings::escapes::Escaping;
use crate::deliver::encodings::{Spelled, is_space};
use crate::run::redact::automaton::{ROOT, State};
use crate::run::redact::beginnings::{Beginnings, kind};
use crate::run::redact::lanes::{Digits, Dump, Escapes, Search, Start, Wide};
use crate::run::redact::track::Occurrence;

/// How far a stream was read in each encoding.
pub struct Reader {
    at: usize,
    /// The last characters, for [`Beginnings`].
    last: u64,
    plain: Plain,
    escapes: Vec<Escapes>,
    digits: Vec<Digits>,
    wide: Vec<Wide>,
    dump: Dump,
    /// What must not be shown yet begins here.
    pub held: usize,
    /// What is needed still begins here.
    pub kept: usize,
    /// How many bytes of a secret have begun at most.
    pub depth: usize,
}

/// What has begun in the text as it is.
struct Plain {
    state: State,
    at: usize,
}

impl Plain {
    /// Reads up to a place. What began before a few characters would be known already.
    fn read(&mut self, place: usize, search: &mut Search<'_>) {
        if self.at >= place {
            return;
        }
        let automaton = &search.patterns.automaton;
        let mut new = &search.rest(self.at)[..place - self.at];
        if automaton.depth(self.state) < search.patterns.beginnings.length() {
            let skipped = Beginnings::back(new, search.patterns.beginnings.length());
            if skipped > 0 {
                self.state = ROOT;
                self.at += skipped;
                new = &new[skipped..];
            }
        }
        new.iter().for_each(|byte| self.step(*byte, search));
    }

    fn step(&mut self, byte: u8, search: &mut Search<'_>) {
        self.state = search.patterns.automaton.next(self.state, byte);
        self.at += 1;
        if let Some((length, secret)) = search.patterns.automaton.end(self.state) {
            search.found.push(Occurrence {
                start: self.at - length,
                end: self.at,
                secret,
            });
            self.state = search.patterns.automaton.open(self.state);
        }
    }
}

impl Reader {
    /// One that begins at a place of a stream.
    pub fn at(place: usize) -> Self {
        Reader {
            at: place,
            last: 0,
            plain: Plain {
                state: ROOT,
                at: place,
            },
            escapes: Escaping::ALL.map(Escapes::new).into(),
            digits: Radix::ALL.map(|radix| Digits::new(radix, place)).into(),
            wide: Wide::all(place),
            dump: Dump::at(place),
            held: place,
            kept: place,
            depth: 0,
        }
    }

    /// Reads all of a text.
    pub fn read(&mut self, search: &mut Search<'_>) {
        let (patterns, end) = (search.patterns, search.end());
        if patterns.longest() == 0 {
            *self = Reader::at(end);
            return;
        }
        self.escapes.iter_mut().for_each(|lane| lane.read(search));
        for lane in &mut self.digits {
            lane.read(Start::on(lane.at), lane.at, search);
        }
        for lane in &mut self.wide {
            lane.read(Start::on(lane.at), lane.at, search);
        }
        self.dump.read(search);
        while self.at < end {
            if patterns.automaton.depth(self.plain.state) < patterns.beginnings.length() {
                let rest = search.rest(self.at);
                let found = patterns.beginnings.next(rest, &mut self.last);
                let (index, kinds) = found.unwrap_or((rest.len() - 1, 0));
                self.look(self.at + index, kinds, search);
                self.at += index + 1;
            } else {
                let byte = &search.rest(self.at)[..1];
                if let Some((_, kinds)) = patterns.beginnings.next(byte, &mut self.last) {
                    self.look(self.at, kinds & !kind::PLAIN, search);
                }
                self.plain.step(byte[0], search);
                self.at += 1;
            }
        }
        self.finish(search);
    }

    /// Reads up to behind a place that shows that something may have begun.
    fn look(&mut self, place: usize, mut kinds: u8, search: &mut Search<'_>) {
        let mut until = place + 1;
        if kinds & kind::ESCAPE != 0 {
            let byte = search.rest(place)[0];
            self.plain.read(place, search);
            self.begin_escapes(place, search);
            // Digits may be wrapped by an escape, and the first ones of a secret may stand before it.
            let before = (self.last >> 8) as u8;
            let is_first = before != b'\\' && digits::may_be_read(before);
            if byte == b'\\' && is_first && is_wrap(search.rest(place)) {
                kinds |= kind::ALL_DIGITS;
                until = place + 2 * (search.patterns.beginnings.length() + 1);
            }
        }
        if kinds & kind::PLAIN != 0 {
            self.plain.read(place + 1, search);
        }
        for (index, lane) in self.digits.iter_mut().enumerate() {
            if kinds & kind::DIGITS << index != 0 {
                let start = start(lane.at, lane.at.max(place + 1), search);
                lane.read(start, until, search);
            }
        }
        if kinds & kind::WIDE != 0 {
            for lane in self.wide.iter_mut().filter(|lane| lane.at <= place) {
                let start = start(lane.at, place + 1, search);
                lane.read(start, place + 1, search);
            }
        }
        if kinds & kind::LINE != 0 {
            self.dump.begin(place + 1, search);
        }
    }

    /// Begins to read escapes in every encoding of which one may begin here.
    fn begin_escapes(&mut self, place: usize, search: &mut Search<'_>) {
        let (text, state) = (search.rest(place), self.plain.state);
        let next = |state, byte: &u8| search.patterns.automaton.next(state, *byte);
        let is_part = |it: &Spelled| it.bytes().iter().fold(state, next) != ROOT;
        // Most escapes have no part in anything, in whatever encoding.
        if Escaping::meanings(text).is_some_and(|them| !them.iter().any(is_part)) {
            return;
        }
        let mut lanes = Escaping::beginning_with(text[0]);
        while lanes != 0 {
            let lane = &mut self.escapes[lanes.trailing_zeros() as usize];
            lane.begin(place, state, search);
            lanes &= lanes - 1;
        }
    }

    /// Brings all to the end of the text, and says what may go on.
    fn finish(&mut self, search: &mut Search<'_>) {
        let end = search.end();
        self.plain.read(end, search);
        self.escapes.iter_mut().for_each(|lane| lane.read(search));
        for lane in self.digits.iter_mut().filter(|lane| lane.at < end) {
            let start = start(lane.at, end, search);
            lane.read(start, end, search);
        }
        for lane in self.wide.iter_mut().filter(|lane| lane.at < end) {
            let start = start(lane.at, end, search);
            lane.read(start, end, search);
        }
        self.dump.read(search);
        let automaton = &search.patterns.automaton;
        let plain = automaton.depth(self.plain.state);
        let escapes = self.escapes.iter().filter_map(Escapes::held);
        let digits = self.digits.iter().filter_map(|lane| lane.held(automaton));
        let wide = self.wide.iter().filter_map(|lane| lane.held(search));
        let held = escapes
            .chain(digits)
            .chain(wide)
            .chain(self.dump.held(search));
        self.held = held.min().unwrap_or(end).min(end - plain);
        let digits = self.digits.iter().map(|lane| lane.at);
        let wide = self.wide.iter().map(|lane| lane.at);
        let dump = self.dump.is_reading.then_some(self.dump.at);
        let read = digits.chain(wide).chain(dump).min().unwrap_or(end);
        self.kept = self.held.min(read);
        let escapes = self.escapes.iter().map(Escapes::depth);
        let digits = self.digits.iter().map(Digits::depth);
        let wide = self.wide.iter().map(Wide::depth);
        let depth = escapes.chain(digits).chain(wide).max().unwrap_or(0);
        self.depth = depth.max(plain).max(self.dump.depth());
    }

    /// Forgets what began before a place in anything but the text as it is.
    pub fn forget(&mut self, place: usize) {
        let is_before = |held: Option<usize>| held.is_some_and(|held| held < place);
        for lane in &mut self.escapes {
            if is_before(lane.held()) {
                lane.forget();
            }
        }
        for lane in &mut self.digits {
            if is_before(lane.begun()) {
                lane.forget();
            }
        }
        for lane in &mut self.wide {
            if is_before(lane.begun()) {
                lane.forget();
            }
        }
        if is_before(self.dump.begun()) {
            self.dump.forget();
        }
    }
}

/// From where a lane has to read so that it knows at a place what has begun.
fn start(at: usize, place: usize, search: &Search<'_>) -> Start {
    let new = &search.rest(at)[..place - at];
    // The first character can hold the end of another byte and the beginning of a secret.
    let needed = Beginnings::back(new, search.patterns.beginnings.length() + 1);
    // So can the half of a character that is a space by itself; more spaces mean nothing.
    let spaces = new[needed..].iter().take_while(|byte| is_space(**byte));
    Start {
        place: at + needed + spaces.count().saturating_sub(1),
        is_new: needed > 0,
    }
}

/// Whether digits may go on behind this.
fn is_wrap(text: &[u8]) -> bool {
    let behind = match text {
        [_] => return true,
        [_, b'n' | b'r', behind @ ..] => behind,
        [_, b'\\' | b'/', ..] => return true,
        _ => return false,
    };
    behind.first().is_none_or(|byte| digits::may_be_read(*byte))
}
