//! Where in the output the bytes came from that were decoded from it.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::ops::Range;

use crate::run::redact::automaton::{Automaton, ROOT, State};

/// A place where a secret stands in the output, counted from the beginning of the stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Occurrence {
    pub start: usize,
    pub end: usize,
    pub secret: u32,
}

/// What of the values has begun in one sequence of decoded bytes.
pub struct Track {
    state: State,
    /// Where the bytes of what has begun were read: first those that stand for themselves, one behind the other, then
    /// each of the others.
    plain: Range<usize>,
    starts: VecDeque<usize>,
}

impl Track {
    /// Nothing has begun.
    pub fn new() -> Self {
        Track {
            state: ROOT,
            plain: 0..0,
            starts: VecDeque::new(),
        }
    }

    /// What has begun with the bytes up to a place, which stand for themselves.
    pub fn fork(automaton: &Automaton, state: State, end: usize) -> Self {
        Track {
            state,
            plain: end - automaton.depth(state)..end,
            starts: VecDeque::new(),
        }
    }

    /// How many bytes have begun something.
    pub fn depth(&self) -> usize {
        self.plain.len() + self.starts.len()
    }

    /// Where that begins.
    pub fn start(&self) -> Option<usize> {
        if self.plain.is_empty() {
            self.starts.front().copied()
        } else {
            Some(self.plain.start)
        }
    }

    /// Forgets what has begun.
    pub fn reset(&mut self) {
        if self.state != ROOT {
            self.state = ROOT;
            self.plain = 0..0;
            self.starts.clear();
        }
    }

    /// Takes a byte that was read in a range of the output; returns the longest value that ends with it.
    #[inline]
    pub fn take(
        &mut self,
        automaton: &Automaton,
        byte: u8,
        at: Range<usize>,
    ) -> Option<Occurrence> {
        let state = automaton.next(self.state, byte);
        if state == ROOT {
            self.reset();
            return None;
        }
        self.state = state;
        self.starts.push_back(at.start);
        self.trim(automaton.depth(state));
        let (length, secret) = automaton.end(state)?;
        let first = self.depth() - length;
        let start = match first.checked_sub(self.plain.len()) {
            None => self.plain.start + first,
            Some(index) => self.starts[index],
        };
        self.state = automaton.open(state);
        self.trim(automaton.depth(self.state));
        Some(Occurrence {
            start,
            end: at.end,
            secret,
        })
    }

    /// Forgets all but the last bytes.
    fn trim(&mut self, depth: usize) {
        let surplus = self.depth() - depth;
        let plain = surplus.min(self.plain.len());
        self.plain.start += plain;
        for _ in plain..surplus {
            self.starts.pop_front();
        }
    }
}
