//! The text formats that variables are printed in.
//!
//! The text goes to a sink in pieces, each of them a slice of a value or a constant, so that a secret is written
//! exactly once: to its destination. Render once to count and once to write.

#![forbid(unsafe_code)]

use crate::dotenv::handover::{self, Delimiter};
use crate::dotenv::parse::Value;
use crate::dotenv::shells;
use crate::dotenv::spelling::{Sink, no_spelling, replaced};

pub use crate::dotenv::spelling::NoSpelling;

/// A format to print variables in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `NAME=value` lines that `.env` readers agree on.
    Env,
    /// `export` commands for a POSIX shell to evaluate.
    Shell,
    /// `set` commands for fish.
    Fish,
    /// One JSON object.
    Json,
    /// One YAML mapping.
    Yaml,
    /// `NAME=value` lines without quotes, for container engines and `kubectl`.
    Docker,
    /// What a runner of GitHub Actions reads from the files that it names.
    GitHub,
    /// The names alone.
    Names,
}

impl Form {
    /// Every format, in the order in which they are documented.
    pub const ALL: [Form; 8] = [
        Form::Env,
        Form::Shell,
        Form::Fish,
        Form::Json,
        Form::Yaml,
        Form::Docker,
        Form::GitHub,
        Form::Names,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Form::Env => "env",
            Form::Shell => "shell",
            Form::Fish => "fish",
            Form::Json => "json",
            Form::Yaml => "yaml",
            Form::Docker => "docker",
            Form::GitHub => "github",
            Form::Names => "names",
        }
    }

    /// Whether its readers make environment variables of the names, rather than take them as data.
    pub fn becomes_variables(self) -> bool {
        match self {
            Form::Env | Form::Shell | Form::Fish | Form::Docker | Form::GitHub => true,
            Form::Json | Form::Yaml | Form::Names => false,
        }
    }

    pub fn named(name: &str) -> Option<Form> {
        Form::ALL.into_iter().find(|form| form.name() == name)
    }
}

/// Renders the variables, in their order, into `sink`. Every name matches `[A-Za-z_][A-Za-z0-9_]*` and occurs once.
/// `delimiter` is for those who need one, and has to be new each time.
///
/// # Errors
///
/// The first variable without a spelling; `sink` must then discard what it received.
pub fn render<'a>(
    form: Form,
    delimiter: &Delimiter,
    variables: impl IntoIterator<Item = (&'a str, Value<'a>)>,
    sink: Sink<'_>,
) -> Result<(), NoSpelling> {
    let mut variables = variables.into_iter();
    match form {
        Form::Env => variables.try_for_each(|(name, value)| env(name, value, sink)),
        Form::Shell => variables.try_for_each(|(name, value)| shells::posix(name, value, sink)),
        Form::Fish => variables.try_for_each(|(name, value)| shells::fish(name, value, sink)),
        Form::Json => {
            json(variables, sink);
            Ok(())
        }
        Form::Yaml => {
            yaml(variables, sink);
            Ok(())
        }
        Form::Docker => variables.try_for_each(|(name, value)| handover::docker(name, value, sink)),
        Form::GitHub => {
            variables.try_for_each(|(name, value)| handover::github(name, value, delimiter, sink))
        }
        Form::Names => {
            variables.for_each(|(name, _)| handover::name(name, sink));
            Ok(())
        }
    }
}

/// How a value is written in `.env` text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quoting {
    Bare,
    Single,
    Double,
}

/// A name that npm `dotenv` assigns to the prototype of its result instead of to a variable.
const PROTOTYPE: &str = "__proto__";

/// Writes a variable as a line of `.env` text.
pub(super) fn env(name: &str, value: Value<'_>, sink: Sink<'_>) -> Result<(), NoSpelling> {
    let quoting = quoting(value).filter(|_| name != PROTOTYPE);
    let (open, close) = match quoting {
        None => return Err(no_spelling(name)),
        // A backtick quotes for npm `dotenv`, up to one that ends a line; this comment has one that does not.
        Some(Quoting::Bare) if characters(value).next() == Some('`') => ("", " #`.\n"),
        Some(Quoting::Bare) => ("", "\n"),
        Some(Quoting::Single) => ("'", "'\n"),
        Some(Quoting::Double) => ("\"", "\"\n"),
    };
    [name, "=", open].into_iter().for_each(&mut *sink);
    // Only a value in double quotes has a CR.
    replaced(value, &[('\r', "\\r")], sink);
    sink(close);
    Ok(())
}

/// The quoting in which every reader reads the value back: this grammar, npm `dotenv` (which ends an unquoted value at
/// any `#`, turns CR into LF and decodes nothing but `\n` and `\r`, in double quotes only), python-dotenv (which
/// decodes `\\` in single quotes too and expands `${…}` in whatever quotes) and Docker Compose (which expands variables
/// anywhere but in single quotes).
///
/// Where there is a choice, the one that more programs read: `docker run --env-file` knows no quotes at all, and a
/// shell reads single quotes alike.
fn quoting(value: Value<'_>) -> Option<Quoting> {
    if !value.is_empty() && characters(value).all(is_plain) {
        Some(Quoting::Bare)
    } else if fits_single_quotes(value) {
        Some(Quoting::Single)
    } else if fits_double_quotes(value) {
        Some(Quoting::Double)
    } else if fits_no_quotes(value) {
        Some(Quoting::Bare)
    } else {
        None
    }
}

/// A character without a special meaning to any reader, in any position.
fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || "%+,-./:=@_".contains(character)
}

fn fits_single_quotes(value: Value<'_>) -> bool {
    !python_expands(value)
        && pairs(value).all(|(character, next)| match character {
            '\'' | '\r' => false,
            '\\' => !matches!(next, Some('\\') | None),
            _ => true,
        })
}

fn fits_double_quotes(value: Value<'_>) -> bool {
    pairs(value).all(|(character, next)| match character {
        '"' => false,
        '$' => !compose_expands(next),
        // Some reader treats the character as an escape; CR would be written as one.
        '\\' => next.is_some_and(|next| !"\\\"'$0abfnrtv\r".contains(next)),
        _ => true,
    })
}

fn fits_no_quotes(value: Value<'_>) -> bool {
    let first = characters(value).next();
    let last = characters(value).last();
    !first.is_none_or(|first| is_blank(first) || matches!(first, '\'' | '"'))
        && !last.is_none_or(is_blank)
        && !npm_strips(value)
        && !has_open_backtick(value)
        && pairs(value).all(|(character, next)| match character {
            '#' | '\n' | '\r' => false,
            '$' => !compose_expands(next),
            _ => true,
        })
}

/// Whether this grammar refuses the value without quotes: it begins with a backtick, and has no other one.
fn has_open_backtick(value: Value<'_>) -> bool {
    characters(value).next() == Some('`') && characters(value).skip(1).all(|it| it != '`')
}

/// Whether npm `dotenv` removes a pair of quotes: one that starts a line, and the same one at the end of a line.
fn npm_strips(value: Value<'_>) -> bool {
    let ends_line = |character: char| matches!(character, '\u{2028}' | '\u{2029}');
    ['\'', '"', '`'].into_iter().any(|quote| {
        let (mut at_start, mut is_open) = (true, false);
        pairs(value).any(|(character, next)| {
            let closes = is_open && character == quote && next.is_none_or(ends_line);
            is_open |= at_start && character == quote;
            at_start = ends_line(character);
            closes
        })
    })
}

/// Whether Docker Compose sees a variable or an escape in a `$` that `next` follows.
fn compose_expands(next: Option<char>) -> bool {
    // Its pattern ignores case, and the last two are an S and a K to it.
    let is_start = |next: char| next.is_ascii_alphabetic() || "$_{\u{17f}\u{212a}".contains(next);
    next.is_some_and(is_start)
}

/// Whether python-dotenv expands something: `${`, then anything but `}` and `:`, then `}` or `:-` and later a `}`.
fn python_expands(value: Value<'_>) -> bool {
    let (mut in_name, mut in_default, mut after_colon) = (false, false, false);
    let mut opens = false;
    for (character, next) in pairs(value) {
        if character == '}' && (in_name || in_default) {
            return true;
        }
        in_default |= after_colon && character == '-';
        after_colon = in_name && character == ':';
        in_name = opens || (in_name && character != ':');
        opens = character == '$' && next == Some('{');
    }
    false
}

/// Characters that some reader trims: white space as defined by Unicode, JavaScript or Python.
fn is_blank(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{1c}'..='\u{1f}' | '\u{feff}')
}

fn json<'a>(variables: impl Iterator<Item = (&'a str, Value<'a>)>, sink: Sink<'_>) {
    let mut separator = "\n";
    sink("{");
    for (name, value) in variables {
        [separator, "  \"", name, "\": "]
            .into_iter()
            .for_each(&mut *sink);
        double_quoted(value, sink);
        separator = ",\n";
    }
    sink(if separator == "\n" { "}\n" } else { "\n}\n" });
}

fn yaml<'a>(variables: impl Iterator<Item = (&'a str, Value<'a>)>, sink: Sink<'_>) {
    let mut is_empty = true;
    for (name, value) in variables {
        let (open, close) = if name.len() > LONGEST_YAML_KEY {
            ("? \"", "\"\n: ")
        } else {
            ("\"", "\": ")
        };
        // The name is quoted too: without quotes, some readers do not read `on`, `null` or `e5` as strings.
        [open, name, close].into_iter().for_each(&mut *sink);
        double_quoted(value, sink);
        sink("\n");
        is_empty = false;
    }
    if is_empty {
        sink("{}\n");
    }
}

/// The longest name that YAML, with quotes, accepts as a key without a leading `?`.
const LONGEST_YAML_KEY: usize = 1022;

/// Writes a string that is the same in JSON, YAML 1.1 and YAML 1.2.
pub fn double_quoted(value: Value<'_>, sink: Sink<'_>) {
    sink("\"");
    for piece in value.pieces() {
        let mut rest = piece;
        while let Some(at) = rest.find(must_be_escaped) {
            sink(&rest[..at]);
            let mut characters = rest[at..].chars();
            if let Some(character) = characters.next() {
                escaped(character, sink);
            }
            rest = characters.as_str();
        }
        sink(rest);
    }
    sink("\"");
}

/// Whether a character is special in a double-quoted string or not printable in YAML.
fn must_be_escaped(character: char) -> bool {
    matches!(
        character,
        '"' | '\\'
            | '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}'
    )
}

fn escaped(character: char, sink: Sink<'_>) {
    match character {
        '"' => sink("\\\""),
        '\\' => sink("\\\\"),
        '\n' => sink("\\n"),
        '\r' => sink("\\r"),
        '\t' => sink("\\t"),
        _ => {
            sink("\\u");
            for shift in [12, 8, 4, 0] {
                let digit = (character as usize >> shift) & 0xf;
                sink(&"0123456789abcdef"[digit..=digit]);
            }
        }
    }
}

fn characters(value: Value<'_>) -> impl Iterator<Item = char> {
    value.pieces().flat_map(str::chars)
}

/// Each character with the one that follows it.
fn pairs(value: Value<'_>) -> impl Iterator<Item = (char, Option<char>)> {
    let mut rest = characters(value).peekable();
    std::iter::from_fn(move || Some((rest.next()?, rest.peek().copied())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(form: Form, variables: &[(&str, &str)]) -> Result<String, NoSpelling> {
        let variables = variables
            .iter()
            .map(|(name, value)| (*name, Value::verbatim(value)));
        let mut text = String::new();
        let delimiter = Delimiter::of([0; 16]);
        render(form, &delimiter, variables, &mut |piece| {
            text.push_str(piece)
        })
        .map(|()| text)
    }

    #[test]
    fn a_format_is_found_by_its_name() {
        assert_eq!(
            Form::ALL.map(|form| Form::named(form.name())),
            Form::ALL.map(Some)
        );
        assert_eq!(
            [
                Form::named("ENV"),
                Form::named(""),
                Form::named("dockerfile")
            ],
            [None; 3]
        );
    }

    #[test]
    fn an_env_value_gets_the_quotes_that_it_needs() {
        let spellings = [
            ("", "''"),
            ("https://h:80/p?", "'https://h:80/p?'"),
            ("a.b@h:80/p=1", "a.b@h:80/p=1"),
            ("a b", "'a b'"),
            ("a\nb\\c", "'a\nb\\c'"),
            ("$2y$10$", "'$2y$10$'"),
            ("${A:x}", "'${A:x}'"),
            ("it's #1, $5", "\"it's #1, $5\""),
            ("'\\d\r\n", "\"'\\d\\r\n\""),
            ("\\\\server\\", "\\\\server\\"),
            ("it's \"\\n\"", "it's \"\\n\""),
            ("`it`s'\"", "`it`s'\" #`."),
        ];
        for (value, spelling) in spellings {
            assert_eq!(
                text(Form::Env, &[("A", value)]),
                Ok(format!("A={spelling}\n"))
            );
        }
    }

    #[test]
    fn an_env_value_without_a_spelling_is_refused() {
        let values = [
            "${A}",
            "'$A",
            "'${",
            "'$$",
            "'\\n\r",
            "`it's\"",
            "\"'#",
            "\"'\n",
            " \"'",
            "\"' ",
            "\u{a0}\"'",
            "\"'\u{1f}",
            "'\"'",
            "\\\n\r\\",
            "`\"'`",
            "'\r\"",
            "\"'\u{2028}`\u{2029}`",
        ];
        for value in values {
            let refusal = text(Form::Env, &[("A", "1"), ("B", value)]);
            assert_eq!(refusal, Err(no_spelling("B")), "{value:?}");
        }
    }

    #[test]
    fn what_python_dotenv_expands_is_found() {
        let expands = |value: &str| {
            value.match_indices("${").any(|(at, _)| {
                let body = &value[at + 2..];
                let tail = &body[body.find(['}', ':']).unwrap_or(body.len())..];
                tail.starts_with('}') || (tail.starts_with(":-") && tail.contains('}'))
            })
        };
        let mut values = vec![String::new()];
        for length in 0..7 {
            let longest: Vec<_> = values
                .iter()
                .filter(|value| value.len() == length)
                .cloned()
                .collect();
            values.extend(
                longest
                    .iter()
                    .flat_map(|value| "${}:-".chars().map(move |last| format!("{value}{last}"))),
            );
        }
        for value in values {
            assert_eq!(
                python_expands(Value::verbatim(&value)),
                expands(&value),
                "{value}"
            );
        }
    }

    #[test]
    fn a_shell_value_is_in_single_quotes() {
        let printed = text(Form::Shell, &[("A", "$(x)`\\\n"), ("B", "''x'")]);
        let expected = "export A='$(x)`\\\n'\nexport B=''\\'''\\''x'\\'''\n";
        assert_eq!(printed.unwrap(), expected);
    }

    #[test]
    fn a_value_for_fish_is_in_single_quotes() {
        let printed = text(Form::Fish, &[("A", "$(x)`\\\n"), ("B", "''x\\'")]);
        let expected = "set -gx A '$(x)`\\\\\n'\nset -gx B '\\'\\'x\\\\\\''\n";
        assert_eq!(printed.unwrap(), expected);
    }

    #[test]
    fn json_and_yaml_share_their_strings() {
        let variables = [
            ("A", "\"\\\t\r\n/é\u{1f30d}"),
            ("B", "\u{1}\u{7f}\u{85}\u{2028}\u{feff}\u{ffff}"),
        ];
        let json = "{\n  \"A\": \"\\\"\\\\\\t\\r\\n/é🌍\",\n  \"B\": \"\\u0001\\u007f\\u0085\\u2028\\ufeff\\uffff\"\n}\n";
        let yaml = "\"A\": \"\\\"\\\\\\t\\r\\n/é🌍\"\n\"B\": \"\\u0001\\u007f\\u0085\\u2028\\ufeff\\uffff\"\n";
        assert_eq!(text(Form::Json, &variables).unwrap(), json);
        assert_eq!(text(Form::Yaml, &variables).unwrap(), yaml);
    }

    #[test]
    fn a_yaml_name_that_is_too_long_for_a_plain_key_is_marked() {
        let name = "N".repeat(LONGEST_YAML_KEY + 1);
        let printed = text(Form::Yaml, &[(&name[1..], "x"), (&name, "y")]).unwrap();
        assert_eq!(
            printed,
            format!("\"{}\": \"x\"\n? \"{name}\"\n: \"y\"\n", &name[1..])
        );
    }

    #[test]
    fn no_variables_are_an_empty_document() {
        assert_eq!(
            Form::ALL.map(|form| text(form, &[]).unwrap()),
            ["", "", "", "{}\n", "{}\n", "", "", ""]
        );
    }
}
