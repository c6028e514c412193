//! The parser says what the grammar says.

use std::collections::HashSet;

use dotenv_run::inside::dotenv::parse::{ParseError, Parsed, Reason, is_name, parse};

use super::grammar;

pub fn holds(input: &[u8]) {
    let lines = input.split(|byte| *byte == b'\n').count();
    match (parse(input), grammar::read(input)) {
        (Ok(parsed), Ok(reading)) => agree(&parsed, &reading, lines),
        (Err(error), Err(refusal)) => {
            names_a_place(&error, input, lines);
            assert_eq!((error.line, error.name, error.reason), refusal);
        }
        (Ok(_), Err(refusal)) => panic!("accepted in spite of {refusal:?}"),
        (Err(error), Ok(reading)) => panic!("{error:?} instead of {reading:?}"),
    }
}

fn agree(parsed: &Parsed<'_>, reading: &grammar::Reading, lines: usize) {
    let mut names = HashSet::new();
    for entry in parsed.entries() {
        assert!(is_name(entry.name), "{:?} is no name", entry.name);
        assert!(names.insert(entry.name), "{} is there twice", entry.name);
        let value: String = entry.value.pieces().collect();
        assert_eq!(entry.value.len(), value.len());
        assert_eq!(entry.value.is_empty(), value.is_empty());
        assert!(!value.contains('\0'));
    }
    let variables = parsed
        .entries()
        .map(|entry| (entry.name.to_owned(), entry.value.pieces().collect()));
    assert_eq!(
        variables.collect::<Vec<(String, String)>>(),
        reading.variables
    );
    assert_eq!(parsed.backticked, reading.backticked);
    let skipped = parsed.skipped;
    assert_eq!(skipped.count, reading.skipped.len());
    assert_eq!(skipped.first, reading.skipped.first().copied().unwrap_or(0));
    assert!(skipped.first <= lines && skipped.count <= lines);
}

/// An error names a line of the text, a variable that is on it, and nothing that is not a name.
fn names_a_place(error: &ParseError, input: &[u8], lines: usize) {
    assert!(
        (1..=lines).contains(&error.line),
        "line {} of {lines}",
        error.line
    );
    if let Some(name) = &error.name {
        assert!(is_name(name), "{name:?} is no name");
        let line = input.split(|byte| *byte == b'\n').nth(error.line - 1);
        let line = String::from_utf8_lossy(line.unwrap_or_default());
        assert!(
            line.contains(name.as_str()),
            "{name} is not on line {}",
            error.line
        );
    }
    let has_name = matches!(
        error.reason,
        Reason::OpenQuote | Reason::TextAfterQuote | Reason::UnquotedPem | Reason::OpenBacktick
    );
    if error.reason != Reason::LoneCarriageReturn {
        assert_eq!(error.name.is_some(), has_name, "{error}");
    }
    assert!(!error.to_string().contains(char::is_control), "{error}");
}
