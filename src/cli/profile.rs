//! What a profile says: options under their long names, `path` and `command`, in TOML.

#![forbid(unsafe_code)]

use std::ffi::OsString;

use crate::cli::given::Given;
use crate::cli::table::{Kind, Scope, Spec};
use crate::cli::written::Shape;
use crate::error::ProfileFlaw;

/// Reads the text of a profile.
///
/// # Errors
///
/// What is wrong, by its line; never a value.
pub fn parse(text: &str) -> Result<Given, ProfileFlaw> {
    let mut given: Given = toml::from_str(text).map_err(|error| flaw(text, &error))?;
    let take = |spec: &'static Spec| Some((spec, (spec.setting)(&mut given).take_written()?));
    let mut written: Vec<_> = Spec::all().iter().filter_map(take).collect();
    // In the order of the file, so that the first flaw is named.
    written.sort_by_key(|(_, written)| written.offset);
    for (spec, written) in written {
        let (line, key) = (line_at(text, written.offset), spec.long);
        if spec.scope == Scope::CommandLine {
            return Err(ProfileFlaw::NotInProfile { line, key });
        }
        let values = values(spec.kind, written.shape(text));
        let values = values.map_err(|wanted| ProfileFlaw::WrongType { line, key, wanted })?;
        // An empty list is as good as none, but a command without a word is a mistake.
        let values = values.filter(|values| !values.is_empty() || spec.scope == Scope::Positional);
        if let Some(values) = values {
            (spec.setting)(&mut given).fill(spec.shown(), values);
        }
    }
    Ok(given)
}

/// What toml found wrong. Only a name of a key is taken from its message, which may hold a value.
fn flaw(text: &str, error: &toml::de::Error) -> ProfileFlaw {
    let line = line_at(text, error.span().map_or(text.len(), |span| span.start));
    let key = error.message().strip_prefix("unknown field `");
    match key.and_then(|rest| rest.rsplit_once("`, expected one of ")) {
        Some((key, _)) => ProfileFlaw::UnknownKey {
            line,
            key: key.to_owned(),
            nearest: nearest(key),
        },
        None => ProfileFlaw::NotToml { line },
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    let before = text.get(..offset).unwrap_or(text);
    before.matches('\n').count() + 1
}

/// The values that an option would be given with on the command line, none if it would not be given, or what it takes.
fn values(kind: Kind, written: Shape) -> Result<Option<Vec<Option<OsString>>>, &'static str> {
    use Kind::{
        Flag, List, Number, NumberOrText, OptionalList, OptionalNumber, OptionalText, Text, Words,
    };
    let one = |text: String| Ok(Some(vec![Some(text.into())]));
    match (kind, written) {
        (Flag | OptionalText | OptionalNumber | OptionalList, Shape::Flag(is_given)) => {
            Ok(is_given.then(|| vec![None]))
        }
        (Number | NumberOrText | OptionalNumber, Shape::Integer(number)) => one(number.to_string()),
        (Number | NumberOrText | OptionalNumber, Shape::Float(number)) => one(number.to_string()),
        (Text | OptionalText | List | OptionalList, Shape::Text(text)) => one(text),
        (List | OptionalList | Words, Shape::Texts(texts)) => {
            let texts = texts.into_iter().map(|text| Some(text.into()));
            Ok(Some(texts.collect()))
        }
        (Flag, _) => Err("true or false"),
        (Text, _) => Err("a string"),
        (Number, _) => Err("a number"),
        (NumberOrText, _) => Err("a number or a string"),
        (List | Words, _) => Err("an array of strings"),
        (OptionalText, _) => Err("a string, true or false"),
        (OptionalNumber, _) => Err("a number, true or false"),
        (OptionalList, _) => Err("an array of strings, true or false"),
    }
}

/// The key that takes the fewest changes to become this one, if they are few.
fn nearest(key: &str) -> Option<&'static str> {
    let known = Spec::all()
        .iter()
        .filter(|spec| spec.scope != Scope::CommandLine);
    known
        .map(|spec| (distance(key, spec.long), spec.long))
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
    fn the_names_in_a_profile_are_those_of_the_table() {
        for spec in Spec::all() {
            let read = parse(&format!("{} = {{}}\n", spec.long));
            let Err(ProfileFlaw::WrongType { key, .. } | ProfileFlaw::NotInProfile { key, .. }) =
                read
            else {
                panic!("{}", spec.long);
            };
            assert_eq!(key, spec.long);
        }
    }

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
