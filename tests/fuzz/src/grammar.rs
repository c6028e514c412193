//! The grammar of `.env` texts told a second time, from the page and not from the parser: one
//! character after the other, with copies wherever they make it simpler.

use dotenv_run::inside::dotenv::parse::Reason;

/// What a text says.
#[derive(Debug, Default, PartialEq)]
pub struct Reading {
    /// The variables: one a name, the last value at the first one's place.
    pub variables: Vec<(String, String)>,
    /// The numbers of the lines without `=`.
    pub skipped: Vec<usize>,
    /// The variables whose value begins with a backtick.
    pub backticked: Vec<String>,
}

/// Line, variable and reason of an error.
pub type Refusal = (usize, Option<String>, Reason);

const BLANK: [char; 2] = [' ', '\t'];

/// Reads a whole text.
pub fn read(bytes: &[u8]) -> Result<Reading, Refusal> {
    let text = decode(bytes)?;
    let mut reading = Reading::default();
    let (mut rest, mut line) = (text.as_str(), 1);
    while !rest.is_empty() {
        let before = rest;
        rest = reading.line(rest, line)?;
        let consumed = &before[..before.len() - rest.len()];
        line += consumed.matches('\n').count();
    }
    Ok(reading)
}

/// The characters of the text, with LF at the end of every line.
fn decode(bytes: &[u8]) -> Result<String, Refusal> {
    let refuse = |at: usize, reason| {
        let line = bytes[..at].split(|byte| *byte == b'\n').count();
        (line, None, reason)
    };
    let beginning = &bytes[..bytes.len().min(64) & !1];
    let has_nuls = |odd: usize| {
        let is_nul = |(at, byte): (usize, &u8)| (*byte == 0) == (at % 2 == odd);
        beginning.len() > 2 && beginning.iter().enumerate().all(is_nul)
    };
    let marks: [&[u8]; 2] = [&[0xff, 0xfe], &[0xfe, 0xff]];
    if marks.iter().any(|mark| bytes.starts_with(mark)) || has_nuls(0) || has_nuls(1) {
        return Err(refuse(0, Reason::Utf16));
    }
    let text = std::str::from_utf8(bytes);
    let text = text.map_err(|error| refuse(error.valid_up_to(), Reason::Encoding))?;
    if let Some(at) = text.find('\0') {
        return Err(refuse(at, Reason::Nul));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Ok(text.replace("\r\n", "\n"))
}

impl Reading {
    /// Reads what `text` begins with, whose first line has the number `number`; gives back the rest.
    fn line<'a>(&mut self, text: &'a str, number: usize) -> Result<&'a str, Refusal> {
        let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
        let content = line.trim_matches(BLANK);
        let equals = line.find('=').filter(|_| !content.starts_with('#'));
        let Some(equals) = equals else {
            if line.contains('\r') {
                return Err((number, None, Reason::LoneCarriageReturn));
            }
            if !content.is_empty() && !content.starts_with('#') {
                self.skipped.push(number);
            }
            return Ok(rest);
        };
        let before = &line[..equals];
        let name = name(before).ok_or_else(|| (number, None, why_no_name(before)))?;
        let value = text[equals + 1..].trim_start_matches(BLANK);
        let Some(quote @ ('\'' | '"')) = value.chars().next() else {
            let value = unquoted(&line[equals + 1..]);
            if let Some(reason) = not_guessed(&line[equals + 1..], &value) {
                return Err((number, Some(name.to_owned()), reason));
            }
            if value.starts_with('`') {
                self.backticked.push(name.to_owned());
            }
            self.set(name, value);
            return Ok(rest);
        };
        let refuse = |reason| (number, Some(name.to_owned()), reason);
        let (value, behind) = quoted(&value[1..], quote).ok_or(refuse(Reason::OpenQuote))?;
        let (comment, rest) = behind.split_once('\n').unwrap_or((behind, ""));
        let comment = comment.trim_matches(BLANK);
        if comment.contains('\r') {
            return Err(refuse(Reason::LoneCarriageReturn));
        }
        if !comment.is_empty() && !comment.starts_with('#') {
            return Err(refuse(Reason::TextAfterQuote));
        }
        self.set(name, value);
        Ok(rest)
    }

    fn set(&mut self, name: &str, value: String) {
        match self.variables.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.variables.push((name.to_owned(), value)),
        }
    }
}

/// The name in what stands before the `=`: one word, or two of which the first is `export`.
fn name(before: &str) -> Option<&str> {
    let words: Vec<_> = before
        .split(BLANK)
        .filter(|word| !word.is_empty())
        .collect();
    let (["export", name] | [name]) = words[..] else {
        return None;
    };
    let is_part = |at, part: char| {
        part == '_' || part.is_ascii_alphabetic() || (at > 0 && part.is_ascii_digit())
    };
    name.chars()
        .enumerate()
        .all(|(at, part)| is_part(at, part))
        .then_some(name)
}

/// Why what stands before the `=` is no name: by the first character in it that cannot be seen, if there is one.
fn why_no_name(before: &str) -> Reason {
    for character in before.chars() {
        let code = u32::from(character);
        let is_format = [
            0xad..=0xad,
            0x34f..=0x34f,
            0x61c..=0x61c,
            0x180b..=0x180f,
            0x200b..=0x200f,
            0x202a..=0x202e,
            0x2060..=0x206f,
            0x3164..=0x3164,
            0xfe00..=0xfe0f,
            0xfeff..=0xfeff,
            0xfff9..=0xfffb,
            0xe_0000..=0xe_0fff,
        ];
        let is_unseen = is_format.iter().any(|range| range.contains(&code))
            || character.is_control()
            || character.is_whitespace();
        match character {
            ' ' | '\t' => (),
            '\r' => return Reason::LoneCarriageReturn,
            _ if is_unseen => return Reason::InvisibleInName(character),
            _ => (),
        }
    }
    Reason::Name
}

/// Why an unquoted value is refused: because readers differ about where it ends.
fn not_guessed(after: &str, value: &str) -> Option<Reason> {
    let is_key = value.starts_with("-----BEGIN ") && value.split("-----END ").count() == 1;
    match value.split('`').count() {
        _ if after.contains('\r') => Some(Reason::LoneCarriageReturn),
        _ if is_key => Some(Reason::UnquotedPem),
        2 if value.starts_with('`') => Some(Reason::OpenBacktick),
        _ => None,
    }
}

fn unquoted(after: &str) -> String {
    let mut value = String::new();
    for character in after.chars() {
        if character == '#' && value.ends_with(BLANK) {
            break;
        }
        value.push(character);
    }
    value.trim_matches(BLANK).to_owned()
}

/// The value up to the closing quote, and what is behind that; `None` if it never closes.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.chars();
    loop {
        let character = characters.next()?;
        if character == quote {
            return Some((value, characters.as_str()));
        }
        let next = characters.clone().next();
        let decoded = match (character, quote, next) {
            ('\\', _, Some('\'')) => '\'',
            ('\\', '"', Some('n')) => '\n',
            ('\\', '"', Some('r')) => '\r',
            ('\\', '"', Some('t')) => '\t',
            ('\\', '"', Some(same @ ('\\' | '"'))) => same,
            _ => {
                value.push(character);
                continue;
            }
        };
        value.push(decoded);
        characters.next();
    }
}
