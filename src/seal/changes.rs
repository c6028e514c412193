//! What a change does to the variables of a text, by their names.

#![forbid(unsafe_code)]

use std::fmt;

use hashbrown::HashMap;

use crate::dotenv::parse::{Value, parse};
use crate::error::{Error, Seal};
use crate::path::SecretPath;

/// The variables that differ between two texts, each list in the order of its text.
pub struct Changes<'a> {
    pub added: Vec<Changed<'a>>,
    pub changed: Vec<Changed<'a>>,
    pub removed: Vec<Changed<'a>>,
    /// How many variables are in both.
    kept: usize,
}

/// A variable that differs.
pub struct Changed<'a> {
    pub name: &'a str,
    pub before: Option<Value<'a>>,
    pub after: Option<Value<'a>>,
}

impl<'a> Changes<'a> {
    /// Compares two texts.
    ///
    /// # Errors
    ///
    /// If one of them breaks the grammar.
    pub fn between(before: &'a [u8], after: &'a [u8]) -> Result<Self, Error> {
        let [before, after] = [parse(before), parse(after)];
        let (before, after) = (before.map_err(Seal::Level)?, after.map_err(Seal::Text)?);
        let mut left: HashMap<_, _> = before.entries().map(|it| (it.name, it.value)).collect();
        let (mut added, mut changed) = (Vec::new(), Vec::new());
        for entry in after.entries() {
            let (name, after) = (entry.name, Some(entry.value));
            let before = left.remove(name);
            match before {
                Some(value) if is_same(value, entry.value) => (),
                Some(_) => changed.push(Changed {
                    name,
                    before,
                    after,
                }),
                None => added.push(Changed {
                    name,
                    before,
                    after,
                }),
            }
        }
        let removed = before.entries().filter(|it| left.contains_key(it.name));
        let removed: Vec<_> = removed
            .map(|it| Changed {
                name: it.name,
                before: Some(it.value),
                after: None,
            })
            .collect();
        Ok(Changes {
            kept: before.entries().len() - removed.len(),
            added,
            changed,
            removed,
        })
    }
}

impl fmt::Display for Changes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.added.len(), "added"),
            (self.changed.len(), "changed"),
            (self.removed.len(), "removed"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let words: Vec<_> = counts
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if words.is_empty() {
            // Comments, order, quoting.
            return write!(f, "no variable changed");
        }
        write!(f, "{}", words.join(", "))
    }
}

/// Refuses a text that drops more variables than it keeps: it may be meant for another level.
///
/// # Errors
///
/// If it does.
pub fn check_loss(path: &SecretPath, before: &[u8], after: &[u8]) -> Result<(), Error> {
    let changes = Changes::between(readable(before), after)?;
    let (removed, kept) = (changes.removed.len(), changes.kept);
    if removed > kept {
        return Err(Seal::Loss {
            path: path.to_string(),
            removed,
            kept,
        }
        .into());
    }
    Ok(())
}

/// A text, or none where it breaks the grammar: it has to be possible to replace such a one.
pub fn readable(text: &[u8]) -> &[u8] {
    match parse(text) {
        Ok(_) => text,
        Err(_) => &[],
    }
}

fn is_same(one: Value<'_>, other: Value<'_>) -> bool {
    one.len() == other.len()
        && (one.pieces().flat_map(str::bytes)).eq(other.pieces().flat_map(str::bytes))
}
