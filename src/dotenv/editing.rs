//! Changes to `.env` text that leave everything around them as it is: comments, order, the quoting of the rest.

#![forbid(unsafe_code)]

use crate::dotenv::parse::{AssignedLines, ParseError, Value, assignments, parse};
use crate::dotenv::render::env;
use crate::dotenv::spelling::no_spelling;

pub use crate::dotenv::spelling::NoSpelling;

/// Why a text cannot be changed.
#[derive(Debug)]
pub enum Unchangeable {
    /// It breaks the grammar as it is.
    Text(ParseError),
    /// The grammar has no spelling for the value.
    Value(NoSpelling),
}

impl From<ParseError> for Unchangeable {
    fn from(error: ParseError) -> Self {
        Unchangeable::Text(error)
    }
}

/// Gives a variable a value: in the place of the one that counts, or on a line of its own behind the text.
///
/// # Errors
///
/// If the text breaks the grammar, or the value has no spelling in it.
pub fn set(text: &[u8], name: &str, value: &str) -> Result<Vec<u8>, Unchangeable> {
    let all = assignments(text)?;
    let place = all.iter().rfind(|assignment| assignment.name == name);
    for spelled in spellings(name, value) {
        let changed = match place {
            Some(AssignedLines { value, .. }) => {
                [&text[..value.start], spelled.as_bytes(), &text[value.end..]].concat()
            }
            None => appended(text, &format!("{name}={spelled}")),
        };
        if reads_back(&changed, name, value) && others(&changed, name) == others(text, name) {
            return Ok(changed);
        }
    }
    Err(Unchangeable::Value(no_spelling(name)))
}

/// Removes every assignment to the names, with its lines.
///
/// # Errors
///
/// If the text breaks the grammar.
pub fn unset(text: &[u8], names: &[String]) -> Result<Vec<u8>, ParseError> {
    let (mut changed, mut at) = (Vec::with_capacity(text.len()), 0);
    for assignment in assignments(text)? {
        if names.iter().any(|name| name == assignment.name) {
            changed.extend(&text[at..assignment.lines.start]);
            at = assignment.lines.end;
        }
    }
    changed.extend(&text[at..]);
    Ok(changed)
}

/// The ways to write a value: the one that most programs read, then those that this grammar reads.
fn spellings(name: &str, value: &str) -> Vec<String> {
    let mut spellings = Vec::with_capacity(3);
    let mut line = String::new();
    let rendered = env(name, Value::verbatim(value), &mut |piece| {
        line.push_str(piece);
    });
    if rendered.is_ok() {
        let spelled = line.strip_prefix(name).and_then(|it| it.strip_prefix('='));
        spellings.extend(spelled.map(|it| it.trim_end_matches('\n').to_owned()));
    }
    spellings.push(format!("'{}'", value.replace('\'', "\\'")));
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
    let escaped = escaped.replace('\r', "\\r").replace('\n', "\\n");
    // A reference is resolved in these quotes.
    if !value.contains('$') {
        spellings.push(format!("\"{escaped}\""));
    }
    spellings
}

/// A text with one more line, which ends as the others do.
fn appended(text: &[u8], line: &str) -> Vec<u8> {
    let has_crlf = text.windows(2).any(|pair| pair == b"\r\n");
    let end = if has_crlf { "\r\n" } else { "\n" };
    let is_open = !text.is_empty() && !text.ends_with(b"\n");
    let before = if is_open { end } else { "" };
    [text, before.as_bytes(), line.as_bytes(), end.as_bytes()].concat()
}

fn reads_back(text: &[u8], name: &str, value: &str) -> bool {
    let parsed = parse(text);
    let entries = parsed.iter().flat_map(|parsed| parsed.entries());
    let mut own = entries.filter(|entry| entry.name == name);
    own.any(|entry| entry.value.pieces().collect::<String>() == value)
}

/// All other variables, and their values.
fn others(text: &[u8], name: &str) -> Vec<(String, String)> {
    let parsed = parse(text);
    let entries = parsed.iter().flat_map(|parsed| parsed.entries());
    let others = entries.filter(|entry| entry.name != name);
    others
        .map(|entry| (entry.name.to_owned(), entry.value.pieces().collect()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(changed: Result<Vec<u8>, Unchangeable>) -> String {
        String::from_utf8(changed.unwrap()).unwrap()
    }

    #[test]
    fn a_value_is_replaced_and_nothing_else() {
        let before = "# a\nexport A = 'x' # why\n\nB=\"1\n2\" # b\nA=old # new\nC=`c`";
        let after = before.replace("A=old", "A='it is'");
        assert_eq!(text(set(before.as_bytes(), "A", "it is")), after);
        let after = before.replace("\"1\n2\"", "3");
        assert_eq!(text(set(before.as_bytes(), "B", "3")), after);
        assert_eq!(
            text(set(b"A= # x\r\nB=\r\n", "A", "1")),
            "A=1 # x\r\nB=\r\n"
        );
        assert_eq!(text(set("\u{feff}A=1".as_bytes(), "A", "2")), "\u{feff}A=2");
    }

    #[test]
    fn a_new_variable_gets_a_line_of_its_own() {
        assert_eq!(text(set(b"", "A", "1")), "A=1\n");
        assert_eq!(text(set(b"# x", "A", "1")), "# x\nA=1\n");
        assert_eq!(text(set(b"B=2\r\n", "A", "1")), "B=2\r\nA=1\r\n");
    }

    #[test]
    fn every_value_is_set_or_refused() {
        for value in [
            "",
            " ",
            "#",
            "a #b",
            "'",
            "\"",
            "'\"",
            "\\",
            "\\'",
            "a\\",
            "\n",
            "\r\n",
            "a\rb",
            "$A",
            "${A}'",
            "`",
            "`a`",
            "-----BEGIN X-----\nYQ==\n-----END X-----\n",
            "\u{feff}",
            "é\u{2028}",
            "'\\\"\n$x",
        ] {
            for before in ["", "A=1\n", "A='1' # c\nB=2\n", "B='\nA=1\n'\nA=\"2\n3\"\n"] {
                match set(before.as_bytes(), "A", value) {
                    Ok(after) => {
                        assert!(reads_back(&after, "A", value), "{value:?} in {before:?}");
                        assert_eq!(others(&after, "A"), others(before.as_bytes(), "A"));
                    }
                    Err(Unchangeable::Value(_)) => assert!(value.contains('$'), "{value:?}"),
                    Err(Unchangeable::Text(error)) => panic!("{error}"),
                }
            }
        }
    }

    #[test]
    fn all_assignments_to_a_name_are_removed() {
        let before = "# a\nA=1\nB=2 # b\nA='x\ny' # c\n\nC=3";
        let after = unset(before.as_bytes(), &["A".to_owned(), "C".to_owned()]).unwrap();
        assert_eq!(after, b"# a\nB=2 # b\n\n");
    }
}
