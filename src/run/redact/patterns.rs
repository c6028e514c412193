//! All forms of all secrets, and which of them begins at a place.

#![forbid(unsafe_code)]

use std::ops::Range;

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, MatchKind};

use crate::deliver::encodings::each_form;
use crate::deliver::mask::SHORTEST;
use crate::sys::locked::{Locked, NoMemory};

/// How many bytes of a pattern the automaton knows. It lies on the heap, and its size goes by this number; the whole
/// patterns lie in locked memory, and what begins like one is compared with it.
const KEY: usize = 8;

/// The patterns of a set of secrets.
pub struct Patterns {
    /// All patterns, one behind the other, in their order.
    bytes: Locked,
    patterns: Vec<Pattern>,
    /// What is put in the place of each secret.
    names: Vec<String>,
    /// Finds the keys: the first bytes of the patterns.
    automaton: NFA,
    keys: Vec<Key>,
    beginnings: Beginnings,
    longest: usize,
    shortest: usize,
}

struct Pattern {
    place: Range<usize>,
    /// Of which secret it is a form.
    secret: usize,
}

/// The first bytes of patterns.
struct Key {
    /// The patterns that begin with it.
    patterns: Range<usize>,
    /// Whether a longer key begins with it.
    is_beginning: bool,
}

/// What begins at a place.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Found {
    /// The longest pattern that is there: its length, and the number of its secret.
    pub longest: Option<(usize, usize)>,
    /// Whether the text ends within a longer one.
    pub is_open: bool,
}

impl Patterns {
    /// Makes the patterns of secrets, given as names and values. Of equal values, the first name counts.
    ///
    /// # Errors
    ///
    /// Those of [`Locked::with_capacity`].
    pub fn of<'a>(secrets: impl Iterator<Item = (&'a str, &'a [u8])>) -> Result<Self, NoMemory> {
        let (mut names, mut all) = (Vec::new(), Vec::new());
        for (name, value) in secrets {
            let secret = names.len();
            each_form(value, &mut |form| {
                if form.len() >= SHORTEST {
                    all.push((form.to_vec(), secret));
                }
            });
            names.push(format!("[{name}]"));
        }
        all.sort_unstable();
        all.dedup_by(|next, one| next.0 == one.0);
        let size = all.iter().map(|(form, _)| form.len()).sum();
        let mut bytes = Locked::with_capacity(size)?;
        let mut patterns = Vec::with_capacity(all.len());
        for (form, secret) in &all {
            let start = bytes.bytes().len();
            bytes.push(form);
            let place = start..start + form.len();
            patterns.push(Pattern {
                place,
                secret: *secret,
            });
        }
        let forms: Vec<_> = all.iter().map(|(form, _)| form.as_slice()).collect();
        let (keys, automaton) = keys(&forms);
        let lengths = || forms.iter().map(|form| form.len());
        Ok(Patterns {
            longest: lengths().max().unwrap_or(0),
            shortest: lengths().min().unwrap_or(0),
            beginnings: Beginnings::of(&forms),
            bytes,
            patterns,
            names,
            automaton,
            keys,
        })
    }

    /// The length in bytes of the longest pattern.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// The length in bytes of the shortest pattern.
    pub fn shortest(&self) -> usize {
        self.shortest
    }

    /// What is put in the place of a secret.
    pub fn name(&self, secret: usize) -> &str {
        &self.names[secret]
    }

    /// The first place from `start` on where a pattern can begin; the length of the text if there is none.
    pub fn next_beginning(&self, text: &[u8], start: usize) -> usize {
        self.beginnings.next(text, start)
    }

    /// What begins at the start of a text.
    pub fn at(&self, text: &[u8]) -> Found {
        let mut found = Found::default();
        let Ok(mut state) = self.automaton.start_state(Anchored::Yes) else {
            return found;
        };
        for (index, byte) in text.iter().enumerate().take(KEY) {
            state = self.automaton.next_state(Anchored::Yes, state, *byte);
            if self.automaton.is_dead(state) {
                return found;
            }
            let is_end = index + 1 == text.len();
            found.is_open = is_end;
            if let Some(key) = self.key_of(state, index + 1) {
                found.is_open &= key.is_beginning;
                self.compare(text, key, &mut found);
            }
        }
        found
    }

    /// The key of a length that ends in a state. Keys that end there and have begun later are of no interest.
    fn key_of(&self, state: StateID, length: usize) -> Option<&Key> {
        if !self.automaton.is_match(state) {
            return None;
        }
        let mut keys = (0..self.automaton.match_len(state))
            .map(|index| self.automaton.match_pattern(state, index));
        let key = keys.find(|key| self.automaton.pattern_len(*key) == length)?;
        Some(&self.keys[key.as_usize()])
    }

    /// Looks at the patterns that begin with a key.
    fn compare(&self, text: &[u8], key: &Key, found: &mut Found) {
        for pattern in &self.patterns[key.patterns.clone()] {
            let bytes = &self.bytes.bytes()[pattern.place.clone()];
            if text.starts_with(bytes) {
                found.longest = Some((bytes.len(), pattern.secret));
            } else if bytes.starts_with(text) {
                found.is_open = true;
            }
        }
    }
}

/// The keys of patterns that are in order, and the automaton that finds them.
fn keys(forms: &[&[u8]]) -> (Vec<Key>, NFA) {
    let key = |form: &&'_ [u8]| form.len().min(KEY);
    let texts = forms.chunk_by(|one, next| one[..key(one)] == next[..key(next)]);
    let texts: Vec<_> = texts
        .map(|same| (&same[0][..key(&same[0])], same.len()))
        .collect();
    let mut keys: Vec<Key> = Vec::with_capacity(texts.len());
    for (index, (text, count)) in texts.iter().enumerate() {
        let start = keys.last().map_or(0, |key| key.patterns.end);
        let next = texts.get(index + 1);
        keys.push(Key {
            patterns: start..start + count,
            is_beginning: next.is_some_and(|(next, _)| next.starts_with(text)),
        });
    }
    let automaton = NFA::builder()
        .match_kind(MatchKind::LeftmostLongest)
        .prefilter(false)
        .build(texts.iter().map(|(text, _)| text));
    // Numbers of states and patterns have 31 bits; the memory of this machine has fewer bytes.
    (keys, automaton.expect("fewer keys than numbers"))
}

/// The first bytes of all patterns, as a set that is looked up at every byte of the output. It may hold more than it
/// should: what is in it is looked at closely, what is not passes at more than a gigabyte a second.
struct Beginnings {
    /// A bit for each hash.
    hashes: Box<[u64; 1 << (HASH_BITS - 6)]>,
    is_empty: bool,
}

/// The size of a hash: the set has 16 KiB, half of the fastest cache of small processors.
const HASH_BITS: u32 = 17;

impl Beginnings {
    fn of(forms: &[&[u8]]) -> Self {
        let mut hashes = Box::new([0; 1 << (HASH_BITS - 6)]);
        for first in forms.iter().filter_map(|form| form.first_chunk()) {
            let (word, bit) = Self::place(*first);
            hashes[word] |= 1 << bit;
        }
        let is_empty = forms.is_empty();
        Beginnings { hashes, is_empty }
    }

    /// Where the bit of these bytes is: a multiplication spreads them (Knuth, volume 3, 6.4).
    fn place(first: [u8; SHORTEST]) -> (usize, u32) {
        let hash = u32::from_le_bytes(first).wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS);
        ((hash >> 6) as usize, hash & 63)
    }

    /// Too few bytes at the end for a look-up may be a beginning too.
    fn next(&self, text: &[u8], start: usize) -> usize {
        if self.is_empty {
            return text.len();
        }
        let mut windows = text[start..].array_windows();
        let found = windows.position(|window| {
            let (word, bit) = Self::place(*window);
            self.hashes[word] >> bit & 1 == 1
        });
        match found {
            Some(position) => start + position,
            None => text.len().saturating_sub(SHORTEST - 1).max(start),
        }
    }
}
