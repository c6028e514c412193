//! What the formats share: where the text goes, a refusal, and a value with some characters replaced.

#![forbid(unsafe_code)]

use crate::dotenv::parse::Value;

/// A variable that cannot be written in a format so that all of its readers get the same value.
#[derive(Debug, PartialEq, Eq)]
pub struct NoSpelling {
    pub name: String,
}

/// Receives the text, piece by piece.
pub type Sink<'a> = &'a mut dyn FnMut(&str);

/// Writes the value with each of these characters replaced by what stands beside it.
pub fn replaced(value: Value<'_>, replacements: &[(char, &str)], sink: Sink<'_>) {
    for mut piece in value.pieces() {
        let is_replaced = |letter| replacements.iter().any(|(from, _)| *from == letter);
        while let Some(at) = piece.find(is_replaced) {
            let (before, rest) = piece.split_at(at);
            let replacement = replacements
                .iter()
                .find_map(|(from, to)| Some((rest.strip_prefix(*from)?, *to)));
            let (behind, to) = replacement.unwrap_or(("", rest));
            [before, to].into_iter().for_each(&mut *sink);
            piece = behind;
        }
        sink(piece);
    }
}

pub fn no_spelling(name: &str) -> NoSpelling {
    NoSpelling {
        name: name.to_owned(),
    }
}
