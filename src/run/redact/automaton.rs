//! Finds all values in one pass over bytes, whatever they are (Aho and Corasick, 1975).
//!
//! The library of that name takes several times the memory, on the heap, where the values would lie open; here a byte of
//! a value takes 13 bytes, and the values themselves lie in locked memory.

#![forbid(unsafe_code)]

use hashbrown::HashMap;

use crate::sys::locked::{Locked, NoMemory};

/// A state: how much of which values the last bytes are. They are numbered depth first, so that the first longer state
/// of most is the next one.
pub type State = u32;

/// The state in which nothing has begun.
pub const ROOT: State = 0;

/// Set in [`Node::depth`] if the next state is one byte longer.
const HAS_CHILD: u32 = 1 << 31;

/// Set in [`Node::depth`] if there are other longer states.
const HAS_MORE: u32 = 1 << 30;

const DEPTH: u32 = HAS_MORE - 1;

#[derive(Clone, Copy, Default)]
struct Node {
    /// The length of what has begun, and two flags.
    depth: u32,
    /// The longest other state that the last bytes are.
    shorter: State,
    /// The longest value that ends here, as its state; the root if there is none.
    ends: State,
}

/// The values to be looked for.
pub struct Automaton {
    nodes: Vec<Node>,
    /// The last byte of each state.
    labels: Locked,
    first: Box<[State; 256]>,
    /// Longer states that are not the next one.
    more: HashMap<(State, u8), State>,
    /// Which secret a value belongs to.
    secrets: HashMap<State, u32>,
}

impl Automaton {
    /// Learns values with the numbers of their secrets, in the order of the values and without equal ones.
    ///
    /// # Errors
    ///
    /// Those of [`Locked::with_capacity`].
    pub fn of(values: &[(&[u8], u32)]) -> Result<Self, NoMemory> {
        let size = 1 + values
            .iter()
            .scan(&[][..], |before, (value, _)| {
                let new = value.len() - common(before, value);
                *before = value;
                Some(new)
            })
            .sum::<usize>();
        let mut automaton = Automaton {
            nodes: Vec::with_capacity(size),
            labels: Locked::with_capacity(size)?,
            first: Box::new([ROOT; 256]),
            more: HashMap::new(),
            secrets: HashMap::new(),
        };
        automaton.add(0, 0);
        let mut before: &[u8] = &[];
        let mut path = vec![ROOT];
        for (value, secret) in values {
            path.truncate(1 + common(before, value));
            for byte in &value[path.len() - 1..] {
                let state = automaton.extend(*path.last().unwrap_or(&ROOT), *byte);
                path.push(state);
            }
            automaton
                .secrets
                .insert(*path.last().unwrap_or(&ROOT), *secret);
            before = value;
        }
        automaton.link();
        Ok(automaton)
    }

    fn add(&mut self, label: u8, depth: u32) -> State {
        let node = Node {
            depth,
            ..Node::default()
        };
        self.nodes.push(node);
        self.labels.push(&[label]);
        self.nodes.len() as State - 1
    }

    fn extend(&mut self, parent: State, byte: u8) -> State {
        let state = self.add(byte, self.depth(parent) as u32 + 1);
        if parent == ROOT {
            self.first[usize::from(byte)] = state;
        } else if state == parent + 1 {
            self.nodes[parent as usize].depth |= HAS_CHILD;
        } else {
            self.nodes[parent as usize].depth |= HAS_MORE;
            self.more.insert((parent, byte), state);
        }
        state
    }

    /// Finds what to go on with where nothing longer fits, for shorter states before longer ones.
    fn link(&mut self) {
        let mut more: Vec<_> = self
            .more
            .iter()
            .map(|((parent, _), it)| (*parent, *it))
            .collect();
        more.sort_unstable();
        let mut level: Vec<State> = self
            .first
            .iter()
            .copied()
            .filter(|it| *it != ROOT)
            .collect();
        while !level.is_empty() {
            let mut next = Vec::with_capacity(level.len());
            for state in level {
                let shorter = self.nodes[state as usize].shorter;
                let is_end = self.secrets.contains_key(&state);
                let ends = if is_end {
                    state
                } else {
                    self.nodes[shorter as usize].ends
                };
                self.nodes[state as usize].ends = ends;
                let from = more.partition_point(|(parent, _)| *parent < state);
                let others = more[from..]
                    .iter()
                    .take_while(|(parent, _)| *parent == state);
                let child =
                    (self.nodes[state as usize].depth & HAS_CHILD != 0).then_some(state + 1);
                for child in child.into_iter().chain(others.map(|(_, child)| *child)) {
                    let label = self.labels.bytes()[child as usize];
                    self.nodes[child as usize].shorter = self.next(shorter, label);
                    next.push(child);
                }
            }
            level = next;
        }
    }

    /// The state after one more byte.
    #[inline]
    pub fn next(&self, mut state: State, byte: u8) -> State {
        while state != ROOT {
            let node = &self.nodes[state as usize];
            if node.depth & HAS_CHILD != 0 && self.labels.bytes()[state as usize + 1] == byte {
                return state + 1;
            }
            if node.depth & HAS_MORE != 0
                && let Some(child) = self.more.get(&(state, byte))
            {
                return *child;
            }
            state = node.shorter;
        }
        self.first[usize::from(byte)]
    }

    /// What may go on, of what the last bytes are: not a value that has ended and begins no longer one.
    pub fn open(&self, mut state: State) -> State {
        while state != ROOT && self.nodes[state as usize].depth & (HAS_CHILD | HAS_MORE) == 0 {
            state = self.nodes[state as usize].shorter;
        }
        state
    }

    /// How many bytes have begun something.
    #[inline]
    pub fn depth(&self, state: State) -> usize {
        (self.nodes[state as usize].depth & DEPTH) as usize
    }

    /// The longest value that ends in a state: its length, and the number of its secret.
    #[inline]
    pub fn end(&self, state: State) -> Option<(usize, u32)> {
        let end = self.nodes[state as usize].ends;
        (end != ROOT).then(|| (self.depth(end), self.secrets[&end]))
    }

    /// Whether a value begins with a byte of which the highest `count` bits are these.
    pub fn may_begin(&self, bits: u32, count: u32) -> bool {
        let first = (bits << (8 - count)) as usize;
        let range = first..first + (1 << (8 - count));
        self.first[range].iter().any(|state| *state != ROOT)
    }
}

/// How many bytes are the same at the beginning of both.
fn common(one: &[u8], other: &[u8]) -> usize {
    let pairs = one.iter().zip(other);
    pairs.take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_value_that_ends_at_each_byte_is_found() {
        let values: [&[u8]; 5] = [b"aab", b"aabc", b"abca", b"bc", b"c"];
        let numbered: Vec<_> = values.iter().copied().zip(0..).collect();
        let automaton = Automaton::of(&numbered).unwrap();
        let text = b"aaabcabcaxbcc";
        let mut state = ROOT;
        for end in 1..=text.len() {
            state = automaton.next(state, text[end - 1]);
            let ending = numbered
                .iter()
                .filter(|(value, _)| text[..end].ends_with(value));
            let longest = ending.map(|(value, secret)| (value.len(), *secret)).max();
            assert_eq!(automaton.end(state), longest, "after {end}");
            let begun = (1..=end).rev().find(|length| {
                let last = &text[end - length..end];
                values.iter().any(|value| value.starts_with(last))
            });
            assert_eq!(automaton.depth(state), begun.unwrap_or(0), "after {end}");
        }
    }
}
