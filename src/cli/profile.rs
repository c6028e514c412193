//! What a profile says: options under their long names, `path` and `command`, in TOML.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::cli::KeyFiles;
use crate::cli::combinations::{CONFLICTS, NEEDS};
use crate::cli::table::{Kind, Spec};
use crate::error::ProfileFlaw;

/// The options that make no sense where they would be found only after they have taken effect.
const COMMAND_LINE_ONLY: [&str; 4] = ["completions", "help", "profile", "version"];

/// What a profile says, as it would be given on the command line.
#[derive(Default)]
pub struct Given {
    /// `path`.
    pub path: Option<OsString>,
    /// `command`.
    pub command: Option<Vec<OsString>>,
    /// The values of each option in their order, as far as it has one. A flag that is false is not here.
    pub options: HashMap<&'static str, Vec<Option<OsString>>>,
}

/// Reads the text of a profile.
///
/// # Errors
///
/// What is wrong, by its line; never a value.
pub fn parse(text: &str) -> Result<Given, ProfileFlaw> {
    let line_at = |offset: usize| {
        let before = text.get(..offset).unwrap_or(text);
        before.matches('\n').count() + 1
    };
    let table = DeTable::parse(text).map_err(|error| ProfileFlaw::NotToml {
        line: line_at(error.span().map_or(text.len(), |span| span.start)),
    })?;
    // In the order of the file, so that the first flaw is named and not a random one.
    let mut entries: Vec<_> = table.into_inner().into_iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let mut given = Given::default();
    for (key, value) in entries {
        let line = line_at(key.span().start);
        given.accept(key.get_ref(), value.get_ref(), line)?;
    }
    Ok(given)
}

impl Given {
    fn accept(&mut self, key: &str, value: &DeValue<'_>, line: usize) -> Result<(), ProfileFlaw> {
        let wrong = |key, wanted| ProfileFlaw::WrongType { line, key, wanted };
        if key == "path" {
            let path = value.as_str().ok_or_else(|| wrong("path", "a string"))?;
            self.path = Some(path.into());
        } else if key == "command" {
            let words = value.as_array().and_then(texts);
            let words = words.ok_or_else(|| wrong("command", "an array of strings"))?;
            self.command = Some(words);
        } else {
            let spec = Spec::named(key).ok_or_else(|| ProfileFlaw::UnknownKey {
                line,
                key: key.to_owned(),
                nearest: nearest(key),
            })?;
            let key = spec.long;
            if COMMAND_LINE_ONLY.contains(&key) {
                return Err(ProfileFlaw::NotInProfile { line, key });
            }
            let (values, wanted) = values(spec.kind(), value);
            let values = values.ok_or_else(|| wrong(key, wanted))?;
            if !values.is_empty() {
                self.options.insert(key, values);
            }
        }
        Ok(())
    }
}

impl crate::cli::Given {
    /// Takes over what a profile says where neither the command line nor the environment says it. An option that
    /// contradicts one of the command line gives way, and with it what means nothing without it. The files of keys are
    /// given back instead: variables are looked at for keys only later.
    pub(super) fn complete(
        &mut self,
        profile: Given,
        command: &mut Option<Vec<OsString>>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> KeyFiles {
        let is_set = |name| variable(name).is_some_and(|value| !value.is_empty());
        let prints = self.has("print") || self.has("list");
        let gives_way = |long: &str| match long {
            "print" | "list" if command.is_some() => true,
            "organization" if is_set("DOTENV_ORGANIZATION") => true,
            "api-url" if is_set("DOTENV_API_URL") => true,
            _ => rivals(long).any(|rival| self.has(rival)),
        };
        let (beaten, mut taken): (HashMap<_, _>, HashMap<_, _>) = profile
            .options
            .into_iter()
            .partition(|(long, _)| gives_way(long));
        let is_lost = |needed: &&str| beaten.contains_key(needed);
        for (option, needed) in NEEDS {
            if needed.iter().any(is_lost) && !needed.iter().any(|one| self.has(one)) {
                taken.remove(option);
            }
        }
        let mut file = |long| taken.remove(long)?.pop()?.map(PathBuf::from);
        let keys = KeyFiles {
            api_key: file("api-key-file"),
            client_key: file("client-key"),
        };
        self.options.extend(taken);
        if !is_set("DOTENV_RUN_PATH") {
            self.path = self.path.take().or(profile.path);
        }
        if command.is_none() && !prints {
            *command = profile.command;
        }
        keys
    }
}

/// The options that an option gives way to if they are on the command line: itself, and those that contradict it.
fn rivals(long: &str) -> impl Iterator<Item = &str> {
    let conflicts = CONFLICTS.iter().chain(&[["quiet", "verbose"]]);
    let others = conflicts.filter_map(move |[one, other]| match long {
        long if long == *one => Some(*other),
        long if long == *other => Some(*one),
        _ => None,
    });
    [long].into_iter().chain(others)
}

/// The values that an option would be given with, if they are what it takes, and what that is.
fn values(kind: Kind, value: &DeValue<'_>) -> (Option<Vec<Option<OsString>>>, &'static str) {
    let flag = value.as_bool().map(|flag| match flag {
        true => vec![None],
        false => Vec::new(),
    });
    let text = value.as_str().map(|text| vec![Some(text.into())]);
    let list = value.as_array().and_then(texts);
    let list = list.map(|texts| texts.into_iter().map(Some).collect());
    match kind {
        Kind::Flag => (flag, "true or false"),
        Kind::Text => (text, "a string"),
        Kind::Number => (number(value), "a number"),
        Kind::NumberOrText => (number(value).or(text), "a number or a string"),
        Kind::List => (list.or(text), "an array of strings"),
        Kind::OptionalText => (text.or(flag), "a string, true or false"),
        Kind::OptionalNumber => (number(value).or(flag), "a number, true or false"),
        Kind::OptionalList => (list.or(text).or(flag), "an array of strings, true or false"),
    }
}

fn number(value: &DeValue<'_>) -> Option<Vec<Option<OsString>>> {
    let digits = match value {
        DeValue::Integer(number) if number.radix() == 10 => number.as_str(),
        DeValue::Float(number) => number.as_str(),
        _ => return None,
    };
    Some(vec![Some(digits.into())])
}

fn texts(array: &DeArray<'_>) -> Option<Vec<OsString>> {
    let text = |item: &Spanned<DeValue<'_>>| item.get_ref().as_str().map(OsString::from);
    array.iter().map(text).collect()
}

/// The key that takes the fewest changes to become this one, if they are few.
fn nearest(key: &str) -> Option<&'static str> {
    let options = Spec::all().iter().map(|spec| spec.long);
    let known = options.filter(|long| !COMMAND_LINE_ONLY.contains(long));
    known
        .chain(["path", "command"])
        .map(|known| (distance(key, known), known))
        .min()
        .filter(|(distance, known)| *distance <= known.len().div_ceil(3))
        .map(|(_, known)| known)
}

/// How many characters have to be added, left out or replaced to get from one word to the other.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (index, letter) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, against) in other.chars().enumerate() {
            let replaced = diagonal + usize::from(letter != against);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_near() {
        assert_eq!(nearest("tiemout"), Some("timeout"));
        assert_eq!(nearest("api_url"), Some("api-url"));
        assert_eq!(nearest("comand"), Some("command"));
        assert_eq!(nearest("DOTENV_API_KEY"), None);
        assert_eq!(nearest("hlep"), None);
    }

    #[test]
    fn the_distance_counts_changes() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("same", "same"), 0);
    }
}
