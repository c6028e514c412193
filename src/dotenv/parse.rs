//! The `.env` grammar: text in, borrowed entries out.
//!
//! The parser copies nothing. An entry points into the text, and a value that needs decoding is read as a
//! sequence of pieces, so a secret is written exactly once: to its destination.

#![forbid(unsafe_code)]

use std::hash::BuildHasher;
use std::ops::Range;

use hashbrown::{DefaultHashBuilder as RandomState, HashTable, hash_table};

/// One variable of a level, with its value not yet decoded.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    /// A name that matches `[A-Za-z_][A-Za-z0-9_]*`.
    pub name: &'a str,
    /// The value, to be read with [`Value::pieces`].
    pub value: Value<'a>,
}

/// An undecoded value without its quotes.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    raw: &'a str,
    quoting: Quoting,
}

/// The quoting of a value, which decides what a backslash in it means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quoting {
    Verbatim,
    Single,
    Double,
}

impl<'a> Value<'a> {
    /// A value that needs no decoding.
    pub fn verbatim(raw: &'a str) -> Self {
        Value {
            raw,
            quoting: Quoting::Verbatim,
        }
    }

    /// The decoded value as consecutive pieces; none of them is a copy.
    pub fn pieces(self) -> Pieces<'a> {
        Pieces {
            rest: self.raw,
            quoting: self.quoting,
        }
    }

    /// The length of the decoded value in bytes.
    pub fn len(self) -> usize {
        self.pieces().map(str::len).sum()
    }

    /// Whether the decoded value is the empty string.
    pub fn is_empty(self) -> bool {
        self.raw.is_empty()
    }

    fn begins_with_backtick(self) -> bool {
        self.quoting == Quoting::Verbatim && self.raw.starts_with('`')
    }

    /// Whether the value was written in single quotes, in which references are not resolved.
    pub fn is_single_quoted(self) -> bool {
        self.quoting == Quoting::Single
    }
}

/// The decoded pieces of a [`Value`], in order.
pub struct Pieces<'a> {
    rest: &'a str,
    quoting: Quoting,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        if self.quoting == Quoting::Verbatim {
            return Some(std::mem::take(&mut self.rest));
        }
        let bytes = self.rest.as_bytes();
        let special = bytes
            .iter()
            .position(|byte| matches!(byte, b'\\' | b'\r'))
            .unwrap_or(bytes.len());
        if special > 0 {
            return Some(self.take(special));
        }
        let (length, decoded) = match (self.quoting, bytes[0], bytes.get(1)) {
            (_, b'\r', Some(b'\n')) => (2, "\n"),
            (_, b'\\', Some(b'\'')) => (2, "'"),
            (Quoting::Double, b'\\', Some(b'n')) => (2, "\n"),
            (Quoting::Double, b'\\', Some(b'r')) => (2, "\r"),
            (Quoting::Double, b'\\', Some(b't')) => (2, "\t"),
            (Quoting::Double, b'\\', Some(b'\\')) => (2, "\\"),
            (Quoting::Double, b'\\', Some(b'"')) => (2, "\""),
            _ => return Some(self.take(1)),
        };
        self.rest = &self.rest[length..];
        Some(decoded)
    }
}

impl<'a> Pieces<'a> {
    fn take(&mut self, length: usize) -> &'a str {
        let (piece, rest) = self.rest.split_at(length);
        self.rest = rest;
        piece
    }
}

/// A parsed text.
pub struct Parsed<'a> {
    text: &'a str,
    spans: Vec<Span>,
    /// The lines without `=`, which were skipped.
    pub skipped: Skipped,
    /// The variables whose value begins with a backtick, which npm `dotenv` takes for a quote.
    pub backticked: Vec<&'a str>,
}

/// The position of an entry in the text. Sixteen bytes each, because a level can have very many.
struct Span {
    name_at: u32,
    name_length: u32,
    raw_at: u32,
    /// The length of the raw value and, in the two highest bits, its quoting.
    raw_length_and_quoting: u32,
}

/// The lines that were skipped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Skipped {
    /// The number of the first one, counted from 1; 0 if there is none.
    pub first: usize,
    pub count: usize,
}

impl Skipped {
    fn add(&mut self, line: usize) {
        if self.count == 0 {
            self.first = line;
        }
        self.count += 1;
    }
}

/// The size in bytes of the largest text that is parsed.
pub const MAX_TEXT: usize = (1 << 30) - 1;

impl<'a> Parsed<'a> {
    /// The entries in source order, one for each name: the last value, at the position of the first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = Entry<'a>> {
        self.spans.iter().map(|span| span.entry(self.text))
    }
}

impl Span {
    fn new(text: &str, entry: Entry<'_>) -> Self {
        let offset = |part: &str| (part.as_ptr().addr() - text.as_ptr().addr()) as u32;
        Span {
            name_at: offset(entry.name),
            name_length: entry.name.len() as u32,
            raw_at: offset(entry.value.raw),
            raw_length_and_quoting: entry.value.raw.len() as u32
                | (entry.value.quoting as u32) << 30,
        }
    }

    fn name<'a>(&self, text: &'a str) -> &'a str {
        &text[self.name_at as usize..][..self.name_length as usize]
    }

    fn entry<'a>(&self, text: &'a str) -> Entry<'a> {
        let raw_length = self.raw_length_and_quoting & ((1 << 30) - 1);
        let raw = &text[self.raw_at as usize..][..raw_length as usize];
        let quoting = match self.raw_length_and_quoting >> 30 {
            0 => Quoting::Verbatim,
            1 => Quoting::Single,
            _ => Quoting::Double,
        };
        Entry {
            name: self.name(text),
            value: Value { raw, quoting },
        }
    }
}

/// Why and where a text breaks the grammar; never the text itself.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {}{reason}", prefix(name))]
pub struct ParseError {
    /// The line, counted from 1; for a quoted value, the line where the quote opens.
    pub line: usize,
    /// The variable, if its name was read.
    pub name: Option<String>,
    pub reason: Reason,
}

fn prefix(name: &Option<String>) -> String {
    name.as_ref()
        .map_or(String::new(), |name| format!("{name}: "))
}

/// The ways in which a text can break the grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The text is larger than [`MAX_TEXT`].
    #[error("too long")]
    TooLong,
    #[error("not UTF-8")]
    Encoding,
    /// No environment can carry a NUL byte.
    #[error("contains a NUL byte")]
    Nul,
    #[error("invalid name before '=' (letters, digits and '_', not starting with a digit)")]
    Name,
    #[error("a quote is never closed")]
    OpenQuote,
    /// Something other than a comment follows a closing quote.
    #[error("text after the closing quote")]
    TextAfterQuote,
    #[error("the text is UTF-16; save it as UTF-8")]
    Utf16,
    #[error("the name before '=' contains the invisible character U+{:04X}", u32::from(*.0))]
    InvisibleInName(char),
    /// A carriage return outside quotes has no line feed behind it: half of all readers end a line there.
    #[error(
        "a carriage return without a line feed; end lines with LF or CRLF, or put the value in double quotes \
         and write it as \\r"
    )]
    LoneCarriageReturn,
    /// An unquoted value is the first line of a PEM block.
    #[error("a PEM block of several lines without quotes; put the whole value in double quotes")]
    UnquotedPem,
    /// A value begins with a backtick, and no other one is on the line: some readers would read on.
    #[error(
        "the value begins with a backtick that is not closed on its line; put the value in single quotes"
    )]
    OpenBacktick,
}

/// Parses a whole text.
///
/// # Errors
///
/// A [`ParseError`] for everything that the grammar calls an error; nothing is guessed.
pub fn parse(bytes: &[u8]) -> Result<Parsed<'_>, ParseError> {
    let text = text_in(bytes)?;
    let mut reader = Reader {
        rest: text,
        line: 0,
    };
    // Each entry has a line with a `=`. With more than one entry in six bytes, most names are duplicates.
    let lines = count(text, b'\n') + 1;
    let entries = lines.min(count(text, b'=')).min(text.len() / 6 + 1);
    let mut spans: Vec<Span> = Vec::with_capacity(entries);
    let mut positions: HashTable<u32> = HashTable::with_capacity(entries);
    let mut skipped = Skipped::default();
    let mut backticked = Vec::new();
    let hasher = RandomState::default();
    while !reader.rest.is_empty() {
        let Some(entry) = reader.line(&mut skipped)? else {
            continue;
        };
        if entry.value.begins_with_backtick() {
            backticked.push(entry.name);
        }
        let position = positions.entry(
            hasher.hash_one(entry.name),
            |position| spans[*position as usize].name(text) == entry.name,
            |position| hasher.hash_one(spans[*position as usize].name(text)),
        );
        match position {
            hash_table::Entry::Vacant(slot) => {
                slot.insert(spans.len() as u32);
                spans.push(Span::new(text, entry));
            }
            hash_table::Entry::Occupied(first) => {
                let first = *first.get() as usize;
                let span = Span {
                    name_at: spans[first].name_at,
                    ..Span::new(text, entry)
                };
                spans[first] = span;
            }
        }
    }
    Ok(Parsed {
        text,
        spans,
        skipped,
        backticked,
    })
}

/// One assignment, and where in the text it stands.
pub struct AssignedLines<'a> {
    pub name: &'a str,
    /// The bytes of its lines, with the end of the last one.
    pub lines: Range<usize>,
    /// The bytes of the value, with its quotes.
    pub value: Range<usize>,
}

/// Finds every assignment, in source order: of several with one name, the last one counts.
///
/// # Errors
///
/// Those of [`parse`].
pub fn assignments(bytes: &[u8]) -> Result<Vec<AssignedLines<'_>>, ParseError> {
    let text = text_in(bytes)?;
    let offset = |part: &str| part.as_ptr().addr() - bytes.as_ptr().addr();
    let mut reader = Reader {
        rest: text,
        line: 0,
    };
    let mut found = Vec::new();
    while !reader.rest.is_empty() {
        let before = reader.rest;
        let Some(Entry { name, value }) = reader.line(&mut Skipped::default())? else {
            continue;
        };
        let end = bytes.len() - reader.rest.len();
        let quote = usize::from(value.quoting != Quoting::Verbatim);
        let raw = offset(value.raw);
        found.push(AssignedLines {
            name,
            lines: offset(before)..end,
            value: raw - quote..raw + value.raw.len() + quote,
        });
    }
    Ok(found)
}

/// The text in `bytes` without its byte order mark, if it is UTF-8 of an accepted size without NUL.
///
/// # Errors
///
/// If it is not.
pub fn text_in(bytes: &[u8]) -> Result<&str, ParseError> {
    let fail = |offset: usize, reason| {
        let line = 1 + bytes[..offset]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        Err(ParseError {
            line,
            name: None,
            reason,
        })
    };
    if bytes.len() > MAX_TEXT {
        return fail(0, Reason::TooLong);
    }
    if is_utf16(bytes) {
        return fail(0, Reason::Utf16);
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return fail(error.valid_up_to(), Reason::Encoding),
    };
    match bytes.iter().position(|byte| *byte == 0) {
        Some(offset) => fail(offset, Reason::Nul),
        None => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
    }
}

/// How many bytes tell whether a text without a byte order mark is UTF-16.
const UTF16_SAMPLE: usize = 64;

/// Whether a text is UTF-16: by its byte order mark, or because every other byte of its beginning is a NUL.
fn is_utf16(bytes: &[u8]) -> bool {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return true;
    }
    let pairs = bytes.as_chunks::<2>().0;
    let pairs = &pairs[..pairs.len().min(UTF16_SAMPLE / 2)];
    let is_ascii = |zero: usize| {
        let is_letter = |pair: &[u8; 2]| pair[zero] == 0 && pair[1 - zero] != 0;
        pairs.len() > 1 && pairs.iter().all(is_letter)
    };
    is_ascii(0) || is_ascii(1)
}

/// Whether a character acts on a terminal or on the text around it, or cannot be seen: controls, line and paragraph
/// separators, what changes the direction, what has no width.
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// The first character of a would-be name that cannot be seen.
fn invisible(name: &str) -> Option<char> {
    let is_invisible = |character: char| is_hidden(character) || character.is_whitespace();
    name.chars()
        .find(|character| !BLANK.contains(character) && is_invisible(*character))
}

fn count(text: &str, wanted: u8) -> usize {
    text.bytes().filter(|byte| *byte == wanted).count()
}

/// Whether `name` can name a variable: `[A-Za-z_][A-Za-z0-9_]*`.
pub fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

const BLANK: [char; 2] = [' ', '\t'];

/// The name in the text before the first `=`, without blanks and without one leading `export`.
fn name_in(before: &str) -> Option<&str> {
    let trimmed = before.trim_matches(BLANK);
    let name = match trimmed.strip_prefix("export") {
        Some(rest) if rest.starts_with(BLANK) => rest.trim_start_matches(BLANK),
        _ => trimmed,
    };
    is_name(name).then_some(name)
}

/// The rest of the text.
struct Reader<'a> {
    rest: &'a str,
    /// The number of the line that was read last, counted from 1.
    line: usize,
}

impl<'a> Reader<'a> {
    /// Reads one line, and the further lines of a quoted value on it.
    fn line(&mut self, skipped: &mut Skipped) -> Result<Option<Entry<'a>>, ParseError> {
        let from_here = self.rest;
        let line = self.up_to_line_end();
        let content = line.trim_start_matches(BLANK);
        let no_value = content.starts_with('#') || !content.contains('=');
        if no_value && content.contains('\r') {
            return Err(self.error(None, Reason::LoneCarriageReturn));
        }
        if content.is_empty() || content.starts_with('#') {
            return Ok(None);
        }
        let Some((before, after)) = content.split_once('=') else {
            skipped.add(self.line);
            return Ok(None);
        };
        let Some(name) = name_in(before) else {
            let reason = match invisible(before) {
                Some('\r') => Reason::LoneCarriageReturn,
                Some(character) => Reason::InvisibleInName(character),
                None => Reason::Name,
            };
            return Err(self.error(None, reason));
        };
        let start = after.trim_start_matches(BLANK);
        let quoting = match start.as_bytes().first() {
            Some(b'\'') => Quoting::Single,
            Some(b'"') => Quoting::Double,
            _ => {
                let value = unquoted(after).map_err(|reason| self.error(Some(name), reason))?;
                let value = Value::verbatim(value);
                return Ok(Some(Entry { name, value }));
            }
        };
        self.rest = &from_here[line.len() - start.len() + 1..];
        let opened_on = self.line;
        let raw = self.quoted(quoting).map_err(|reason| ParseError {
            line: opened_on,
            ..self.error(Some(name), reason)
        })?;
        Ok(Some(Entry {
            name,
            value: Value { raw, quoting },
        }))
    }

    fn error(&self, name: Option<&str>, reason: Reason) -> ParseError {
        ParseError {
            line: self.line,
            name: name.map(str::to_owned),
            reason,
        }
    }

    /// The rest of the current line, without its LF or CRLF.
    fn up_to_line_end(&mut self) -> &'a str {
        self.line += 1;
        match self.rest.split_once('\n') {
            Some((line, rest)) => {
                self.rest = rest;
                line.strip_suffix('\r').unwrap_or(line)
            }
            None => std::mem::take(&mut self.rest),
        }
    }

    /// The text between the quote just read and its closing quote; reads to the end of the last line.
    fn quoted(&mut self, quoting: Quoting) -> Result<&'a str, Reason> {
        let opened_on = self.line;
        let closing = closing_quote(self.rest.as_bytes(), quoting).ok_or(Reason::OpenQuote)?;
        let raw = &self.rest[..closing];
        self.rest = &self.rest[closing + 1..];
        self.line = opened_on - 1 + raw.bytes().filter(|byte| *byte == b'\n').count();
        let after = self.up_to_line_end().trim_start_matches(BLANK);
        if after.contains('\r') {
            Err(Reason::LoneCarriageReturn)
        } else if after.is_empty() || after.starts_with('#') {
            Ok(raw)
        } else {
            Err(Reason::TextAfterQuote)
        }
    }
}

/// The offset of the quote that closes a value, if there is one.
fn closing_quote(text: &[u8], quoting: Quoting) -> Option<usize> {
    let mut at = 0;
    while let Some(found) = text[at..]
        .iter()
        .position(|byte| matches!(byte, b'\'' | b'"' | b'\\'))
    {
        at += found;
        match (text[at], quoting) {
            (b'\'', Quoting::Single) | (b'"', Quoting::Double) => return Some(at),
            (b'\\', Quoting::Double) => at += 2,
            (b'\\', Quoting::Single) if text.get(at + 1) == Some(&b'\'') => at += 2,
            _ => at += 1,
        }
        if at >= text.len() {
            break;
        }
    }
    None
}

/// The unquoted value after the `=`: up to a `#` after a blank, without blanks at both ends.
fn unquoted(after: &str) -> Result<&str, Reason> {
    if after.contains('\r') {
        return Err(Reason::LoneCarriageReturn);
    }
    let bytes = after.as_bytes();
    let is_comment =
        |at: usize| bytes[at] == b'#' && at > 0 && matches!(bytes[at - 1], b' ' | b'\t');
    let end = (0..bytes.len())
        .find(|at| is_comment(*at))
        .unwrap_or(bytes.len());
    let value = after[..end].trim_matches(BLANK);
    if value.starts_with("-----BEGIN ") && !value.contains("-----END ") {
        return Err(Reason::UnquotedPem);
    }
    match value.strip_prefix('`') {
        Some(rest) if !rest.contains('`') => Err(Reason::OpenBacktick),
        _ => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, ParseError> {
        let parsed = parse(text.as_bytes())?;
        Ok(parsed
            .entries()
            .map(|entry| (entry.name.to_owned(), entry.value.pieces().collect()))
            .collect())
    }

    fn value(text: &str) -> String {
        read(text).unwrap().pop().unwrap().1
    }

    fn refusal(text: &str) -> (usize, Option<String>, Reason) {
        let error = read(text).unwrap_err();
        (error.line, error.name, error.reason)
    }

    #[test]
    fn a_single_quoted_value_keeps_every_backslash_but_the_one_before_a_quote() {
        assert_eq!(value(r"A='a\\b\n\'c'"), r"a\\b\n'c");
        assert_eq!(value("A='a\r\nb\rc'"), "a\nb\rc");
    }

    #[test]
    fn a_double_quoted_value_is_decoded_in_one_pass() {
        assert_eq!(value(r#"A="a\\nb\nc""#), "a\\nb\nc");
        assert_eq!(value(r#"A="\$\q\t\"\'""#), "\\$\\q\t\"'");
    }

    #[test]
    fn a_duplicate_takes_the_first_position_and_the_last_value() {
        let all = read("A=1\nB=2\nA=3\n").unwrap();
        assert_eq!(all, [("A".into(), "3".into()), ("B".into(), "2".into())]);
    }

    #[test]
    fn errors_name_the_line_and_the_variable() {
        assert_eq!(
            refusal("A=1\n\nB='x\ny"),
            (3, Some("B".into()), Reason::OpenQuote)
        );
        assert_eq!(
            refusal("A=\"x\ny\" z"),
            (1, Some("A".into()), Reason::TextAfterQuote)
        );
        assert_eq!(refusal("A=\"x\ny\"\nB-C=1"), (3, None, Reason::Name));
        assert_eq!(
            parse(b"A=1\nB=\xff").err().map(|e| (e.line, e.reason)),
            Some((2, Reason::Encoding))
        );
        assert_eq!(
            parse(b"A=1\nB=\0").err().map(|e| (e.line, e.reason)),
            Some((2, Reason::Nul))
        );
    }

    #[test]
    fn a_line_without_an_equals_sign_is_skipped_and_counted() {
        assert_eq!(
            parse(b"A=1\nnothing\n# c\n\xef\xbb\xbf\n").unwrap().skipped,
            Skipped { first: 2, count: 2 }
        );
    }

    #[test]
    fn export_is_dropped_before_a_name_only() {
        assert_eq!(read("export \t A=1").unwrap()[0].0, "A");
        assert_eq!(read("export=1").unwrap()[0].0, "export");
        assert_eq!(read(" export =1").unwrap()[0].0, "export");
        assert_eq!(refusal("export export A=1").2, Reason::Name);
    }
}
