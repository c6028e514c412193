//! The values that are looked for: all secrets, and the lines of those that have several.

#![forbid(unsafe_code)]

use crate::deliver::mask::is_common;
use crate::run::redact::automaton::Automaton;
use crate::run::redact::beginnings::Beginnings;
use crate::sys::locked::NoMemory;

/// The most bytes that all values and lines have together: so many take 60 MB.
pub const MOST: usize = 4_500_000;

/// What a set of secrets is looked for with.
pub struct Patterns {
    pub(super) automaton: Automaton,
    pub(super) beginnings: Beginnings,
    /// What is put in the place of each secret.
    names: Vec<String>,
    longest: usize,
    shortest: usize,
}

/// Why secrets cannot be looked for.
#[derive(Debug, thiserror::Error)]
pub enum Unlearnable {
    /// There is no locked memory for them.
    #[error(transparent)]
    Memory(#[from] NoMemory),
    /// There is too much of them; the largest is this one.
    #[error(
        "{0} is too long to look for: its lines and the other secrets have more than {MOST} bytes together"
    )]
    TooLong(String),
}

impl Patterns {
    /// Makes the patterns of secrets, given as names and values. Of equal values, the first name counts.
    ///
    /// # Errors
    ///
    /// If they are too long, and those of [`crate::sys::locked::Locked::with_capacity`].
    pub fn of<'a>(secrets: impl Iterator<Item = (&'a str, &'a [u8])>) -> Result<Self, Unlearnable> {
        let (mut names, mut values) = (Vec::new(), Vec::new());
        let (mut size, mut largest) = (0, ("", 0));
        for (name, value) in secrets {
            let (secret, first) = (names.len() as u32, values.len());
            each_pattern(value, |pattern| values.push((pattern, secret)));
            let added: usize = values[first..].iter().map(|(value, _)| value.len()).sum();
            size += added;
            if added > largest.1 {
                largest = (name, added);
            }
            names.push(format!("[{name}]"));
        }
        // Most of a set are the values of the one before, which count once.
        values.sort_unstable();
        values.dedup_by_key(|(value, _)| *value);
        let lengths = || values.iter().map(|(value, _)| value.len());
        if size > MOST && lengths().sum::<usize>() > MOST {
            return Err(Unlearnable::TooLong(largest.0.to_owned()));
        }
        Ok(Patterns {
            longest: lengths().max().unwrap_or(0),
            shortest: lengths().min().unwrap_or(0),
            beginnings: Beginnings::of(values.iter().map(|(value, _)| *value)),
            automaton: Automaton::of(&values)?,
            names,
        })
    }

    /// The length in bytes of the longest pattern.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// The length in bytes of the shortest pattern; zero if there is none.
    pub fn shortest(&self) -> usize {
        self.shortest
    }

    /// What is put in the place of a secret.
    pub fn name(&self, secret: u32) -> &str {
        &self.names[secret as usize]
    }
}

/// Gives a value and its lines. A value that is too common has none, and neither has a line that is.
fn each_pattern<'a>(value: &'a [u8], mut found: impl FnMut(&'a [u8])) {
    if is_common(value) {
        return;
    }
    found(value);
    if value.contains(&b'\n') {
        let lines = value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        lines.filter(|line| !is_common(line)).for_each(found);
    }
}
