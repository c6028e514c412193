//! Texts that hand variables over to what starts other programs: container engines, a runner of jobs, and scripts.

#![forbid(unsafe_code)]

use crate::dotenv::parse::Value;
use crate::dotenv::spelling::{NoSpelling, Sink, no_spelling};

/// The longest line in bytes that `docker` and `kubectl` read. `kubectl` leaves out a longer one, and all behind it,
/// without a word.
const LONGEST_LINE: usize = 64 * 1024 - 1;

/// Names that a runner of GitHub Actions does not take from a file: the first it refuses, whatever its case; the others
/// it replaces by its own values, or goes by them itself. A `*` at the end stands for any characters.
const OF_GITHUB: &[&str] = &[
    "NODE_OPTIONS",
    "ACTIONS_ALLOW_UNSECURE_*",
    "GITHUB_*",
    "RUNNER_*",
];

/// The one that the runner does not set itself, although its name looks like it.
const GITHUB_TOKEN: &str = "GITHUB_TOKEN";

/// What ends a value for a runner of GitHub Actions: a line that no value has, because nobody can know it before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delimiter(String);

impl Delimiter {
    /// The delimiter with this randomness.
    pub fn of(random: [u8; 16]) -> Self {
        let digits = random.iter().map(|byte| format!("{byte:02x}"));
        Delimiter(format!("end_{}", digits.collect::<String>()))
    }
}

/// `NAME=value`, verbatim: there are no quotes and no escapes.
pub fn docker(name: &str, value: Value<'_>, sink: Sink<'_>) -> Result<(), NoSpelling> {
    let has_line_end = value.pieces().any(|piece| piece.contains(['\n', '\r']));
    if has_line_end || name.len() + 1 + value.len() > LONGEST_LINE {
        return Err(no_spelling(name));
    }
    [name, "="].into_iter().for_each(&mut *sink);
    value.pieces().for_each(&mut *sink);
    sink("\n");
    Ok(())
}

/// `NAME<<DELIMITER`, the value, and the delimiter on a line of its own.
pub fn github(
    name: &str,
    value: Value<'_>,
    Delimiter(delimiter): &Delimiter,
    sink: Sink<'_>,
) -> Result<(), NoSpelling> {
    let is_kept = |kept: &&str| match kept.strip_suffix('*') {
        Some(start) => name.starts_with(start) && name != GITHUB_TOKEN,
        None => kept.eq_ignore_ascii_case(name),
    };
    if OF_GITHUB.iter().any(is_kept) || has_line(value, delimiter) {
        return Err(no_spelling(name));
    }
    [name, "<<", delimiter, "\n"]
        .into_iter()
        .for_each(&mut *sink);
    value.pieces().for_each(&mut *sink);
    // An empty value is no line.
    sink(if value.is_empty() { "" } else { "\n" });
    [delimiter, "\n"].into_iter().for_each(&mut *sink);
    Ok(())
}

/// Whether one of the lines of a value is this one.
fn has_line(value: Value<'_>, line: &str) -> bool {
    let mut rest = Some(line);
    for byte in value.pieces().flat_map(str::bytes) {
        if byte == b'\n' {
            if rest == Some("") {
                return true;
            }
            rest = Some(line);
        } else {
            let expected = rest.filter(|rest| rest.as_bytes().first() == Some(&byte));
            rest = expected.and_then(|rest| rest.get(1..));
        }
    }
    rest == Some("")
}

/// The name alone.
pub fn name(name: &str, sink: Sink<'_>) {
    [name, "\n"].into_iter().for_each(&mut *sink);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_wherever_it_is() {
        for (text, expected) in [
            ("end", true),
            ("end\n", true),
            ("a\nend\nb", true),
            ("a\nend", true),
            ("ends", false),
            ("an end", false),
            ("en\nd", false),
            ("", false),
            ("\n", false),
            ("end\r", false),
        ] {
            assert_eq!(has_line(Value::verbatim(text), "end"), expected, "{text:?}");
        }
    }

    #[test]
    fn a_value_with_the_delimiter_is_refused() {
        let delimiter = Delimiter::of([7; 16]);
        let mut text = String::new();
        let mut render = |value: &str| {
            text.clear();
            let rendered = github("A", Value::verbatim(value), &delimiter, &mut |piece| {
                text.push_str(piece);
            });
            rendered.map(|()| text.clone())
        };
        let end = format!("end_{}", "07".repeat(16));
        assert_eq!(render("x\ny").unwrap(), format!("A<<{end}\nx\ny\n{end}\n"));
        assert_eq!(render("").unwrap(), format!("A<<{end}\n{end}\n"));
        assert_eq!(render("\n").unwrap(), format!("A<<{end}\n\n\n{end}\n"));
        assert!(render(&end).is_err());
    }
}
