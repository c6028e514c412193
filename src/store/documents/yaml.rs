//! The plaintext of a level whose format is `yaml`: one mapping of names to scalars, each as it is written.

#![forbid(unsafe_code)]

use saphyr_parser::{Event, Parser};

use crate::dotenv::parse::is_name;
use crate::store::json::{MAX_NAME, MAX_VALUES, Malformed};

/// What a level in YAML is to be.
const WANTED: &str = "one mapping of names to scalars";

/// The size in bytes of the longest text that may hold a collection in brackets or braces. The parser keeps all of one,
/// 200 bytes for each in the text, before it says that there is one.
const MAX_WITH_BRACKETS: usize = 256 * 1024;

/// Reads the plaintext of a level, in its order. A scalar is its text: no type is guessed.
///
/// # Errors
///
/// What is wrong with it, naming the variable or, where that is none, its position or line.
pub fn yaml_level(text: &str) -> Result<Vec<(String, String)>, Malformed> {
    if text.len() > MAX_WITH_BRACKETS && may_have_brackets(text.as_bytes()) {
        return Err(format!(
            "more than {MAX_WITH_BRACKETS} bytes, and a '[' or '{{' that may begin a nested value"
        ));
    }
    let mut events = Events(Parser::new_from_str(
        text.strip_prefix('\u{feff}').unwrap_or(text),
    ));
    match events.next()? {
        Event::DocumentStart(_) => (),
        _ => return Err(format!("nothing instead of {WANTED}")),
    }
    match events.next()? {
        Event::MappingStart(0, None) => (),
        Event::MappingStart(..) => return Err(format!("a tag or an anchor before {WANTED}")),
        other => return Err(format!("{} instead of {WANTED}", kind(&other))),
    }
    let mut pairs = Vec::new();
    while let Some(name) = name(&events.next()?, pairs.len() + 1)? {
        if pairs.len() == MAX_VALUES {
            return Err(format!("more than {MAX_VALUES} values"));
        }
        let value = match events.next()? {
            Event::Scalar(value, _, 0, None) if value.contains('\0') => {
                return Err(format!("{name} contains a NUL byte"));
            }
            Event::Scalar(value, _, 0, None) => value.into_owned(),
            Event::Scalar(_, _, 0, Some(_)) => return Err(format!("{name}: a tag")),
            Event::Scalar(..) => return Err(format!("{name}: an anchor")),
            other => return Err(format!("{name}: {} instead of a scalar", kind(&other))),
        };
        pairs.push((name, value));
    }
    match (events.next()?, events.next()?) {
        (Event::DocumentEnd, Event::StreamEnd) => check_names(pairs),
        _ => Err("more than one document".to_owned()),
    }
}

/// Whether a collection in brackets or braces may begin somewhere: at the beginning of a line, or behind a blank or a
/// quote.
fn may_have_brackets(text: &[u8]) -> bool {
    let mut before = b'\n';
    text.iter().any(|byte| {
        let begins = matches!(byte, b'[' | b'{') && b" \t\r\n\"'".contains(&before);
        before = *byte;
        begins
    })
}

/// The events of a text, of which the beginning of the stream says nothing.
struct Events<'a>(Parser<'a, saphyr_parser::StrInput<'a>>);

impl<'a> Events<'a> {
    /// The next one. What the parser says of a flaw may hold a part of the text, so that only its line is taken.
    fn next(&mut self) -> Result<Event<'a>, Malformed> {
        loop {
            match self.0.next_event() {
                Some(Ok((Event::StreamStart | Event::Nothing, _))) => (),
                Some(Ok((event, _))) => return Ok(event),
                Some(Err(error)) => {
                    return Err(format!("line {} is not valid YAML", error.marker().line()));
                }
                None => return Ok(Event::StreamEnd),
            }
        }
    }
}

/// The name of a variable, or `None` at the end of the mapping. What is not a name may be a value that was put in the
/// wrong place.
fn name(event: &Event<'_>, position: usize) -> Result<Option<String>, Malformed> {
    match event {
        Event::MappingEnd => Ok(None),
        Event::Scalar(name, _, 0, None) if name.len() > MAX_NAME => {
            Err(format!("a name of more than {MAX_NAME} bytes"))
        }
        Event::Scalar(name, _, 0, None) if is_name(name) => Ok(Some(name.to_string())),
        Event::Scalar(name, _, 0, None) if name == "<<" => Err("<<: a merge key".to_owned()),
        _ => Err(format!("name {position} is not a valid variable name")),
    }
}

fn kind(event: &Event<'_>) -> &'static str {
    match event {
        Event::Alias(_) => "an alias",
        Event::Scalar(..) => "a scalar",
        Event::SequenceStart(..) => "a sequence",
        Event::MappingStart(..) => "a mapping",
        _ => "nothing",
    }
}

/// Refuses a name that is there twice.
fn check_names(pairs: Vec<(String, String)>) -> Result<Vec<(String, String)>, Malformed> {
    let mut names: Vec<_> = pairs.iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(twice) => Err(format!("duplicate name {}", twice[0])),
        None => Ok(pairs),
    }
}
