//! What Docker Compose makes of an `.env` file: a model of the `dotenv` package of its compose-go 2.13, which cannot be
//! installed for a test as easily as the other readers.
//!
//! It is stricter than the original where that cannot matter: a text that makes it expand a variable, or that has more
//! than `NAME=value` lines, is an error.

use std::iter::Peekable;
use std::str::Chars;

use super::readers::{Reading, Variables};

/// Reads a whole text.
pub fn read(text: &str) -> Reading {
    let mut variables = Variables::new();
    let mut rest = statement(text);
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').ok_or("a line without =")?;
        if name.is_empty() || name.contains(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            return Err("no name".into());
        }
        let after =
            after.trim_start_matches(['\t', '\u{b}', '\u{c}', '\r', ' ', '\u{85}', '\u{a0}']);
        let (value, after) = match after.chars().next() {
            Some(quote @ ('\'' | '"')) => quoted(&after[1..], quote)?,
            _ => unquoted(after)?,
        };
        variables.insert(name.into(), value);
        rest = statement(after);
    }
    Ok(variables)
}

/// The text from its first character that is neither white space nor part of a comment line.
fn statement(text: &str) -> &str {
    let mut rest = text.trim_start();
    while rest.starts_with('#') {
        rest = rest
            .split_once('\n')
            .map_or("", |(_, next)| next.trim_start());
    }
    rest
}

fn unquoted(text: &str) -> Result<(String, &str), String> {
    let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
    let value = line.split(" #").next().unwrap_or_default().trim_end();
    Ok((unexpanded(value)?, rest))
}

fn quoted(text: &str, quote: char) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut rest = text.chars();
    loop {
        match (rest.next().ok_or("a quote that never closes")?, quote) {
            (end, _) if end == quote => break,
            ('\\', _) => {
                let next = rest.next().ok_or("a backslash at the end")?;
                value.extend((next != quote).then_some('\\'));
                value.push(next);
            }
            (other, _) => value.push(other),
        }
    }
    let value = match quote {
        '"' => unexpanded(&decoded(value.chars().peekable())?)?,
        _ => value,
    };
    Ok((value, rest.as_str()))
}

fn decoded(mut text: Peekable<Chars<'_>>) -> Result<String, String> {
    let mut value = String::new();
    while let Some(character) = text.next() {
        let escape = text.peek().filter(|_| character == '\\');
        let decoded = match escape {
            Some('a') => '\u{7}',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('v') => '\u{b}',
            Some(same @ ('"' | '\\')) => *same,
            Some('$' | '0') => return Err("an escape that is not modelled".into()),
            _ => {
                value.push(character);
                continue;
            }
        };
        value.push(decoded);
        text.next();
    }
    Ok(value)
}

/// The value itself, if no variable in it is expanded.
fn unexpanded(value: &str) -> Result<String, String> {
    let is_start = |c: char| c.is_ascii_alphabetic() || "$_{\u{17f}\u{212a}".contains(c);
    match value
        .split('$')
        .skip(1)
        .any(|tail| tail.starts_with(is_start))
        || value.contains("$$")
    {
        true => Err("a variable to expand".into()),
        false => Ok(value.into()),
    }
}
