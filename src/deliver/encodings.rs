//! The forms in which a value shows up in what a program writes.

#![forbid(unsafe_code)]

use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use base64::engine::{Engine, GeneralPurpose};

use crate::deliver::mask::is_common;

/// Gives every form of a value, itself first, to `found`; some come more than once. A value that is too common has none,
/// and neither has a line of it that is.
pub fn each_form(value: &[u8], found: &mut dyn FnMut(&[u8])) {
    if is_common(value) {
        return;
    }
    forms_of(value, found);
    if value.contains(&b'\n') {
        found(&replaced(value, b'\n', b"\r\n"));
        let lines = value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        lines
            .filter(|line| !is_common(line))
            .for_each(|line| forms_of(line, found));
    }
}

fn forms_of(value: &[u8], found: &mut dyn FnMut(&[u8])) {
    found(value);
    hexadecimal(value, found);
    base64(value, found);
    for spared in SPARED {
        for upper in [true, false] {
            found(&percent_encoded(value, spared, upper));
        }
    }
    quoted(value, found);
    if let Ok(text) = std::str::from_utf8(value) {
        json(text, found);
    }
}

/// The width of the lines of `xxd -p`.
const HEX_LINE: usize = 60;

fn hexadecimal(value: &[u8], found: &mut dyn FnMut(&[u8])) {
    for upper in [false, true] {
        let mut text = Vec::with_capacity(2 * value.len());
        value
            .iter()
            .for_each(|byte| text.extend(digits(*byte, upper)));
        found(&text);
        in_lines(&text, HEX_LINE, found);
    }
}

/// The two hexadecimal digits of a byte.
fn digits(byte: u8, upper: bool) -> [u8; 2] {
    let digit = |value: u8| match (value, upper) {
        (0..10, _) => b'0' + value,
        (_, true) => b'A' + value - 10,
        (_, false) => b'a' + value - 10,
    };
    [digit(byte >> 4), digit(byte & 15)]
}

/// The widths of the lines of base64(1) and MIME, and of PEM.
const BASE64_LINES: [usize; 2] = [76, 64];

/// The value by itself, in lines too, and as it shows behind any number of other bytes: only the characters that the
/// neighbours have no part in.
fn base64(value: &[u8], found: &mut dyn FnMut(&[u8])) {
    let engines: [[&GeneralPurpose; 2]; 2] =
        [[&STANDARD, &STANDARD_NO_PAD], [&URL_SAFE, &URL_SAFE_NO_PAD]];
    for [padded, unpadded] in engines {
        found(padded.encode(value).as_bytes());
        found(unpadded.encode(value).as_bytes());
        for before in 0..3 {
            let text = [&[0; 3][..before], value].concat();
            let bits = 8 * text.len();
            let text = unpadded.encode(text).into_bytes();
            let own = &text[(8 * before).div_ceil(6)..bits / 6];
            found(own);
            if before == 0 {
                BASE64_LINES
                    .iter()
                    .for_each(|width| in_lines(own, *width, found));
            }
        }
    }
}

/// A line that an encoding leaves at the end is looked for from this length on.
const SHORTEST_PIECE: usize = 8;

/// The lines of an encoded text that is broken at every `width` characters.
fn in_lines(text: &[u8], width: usize, found: &mut dyn FnMut(&[u8])) {
    if text.len() > width {
        let lines = text.chunks(width);
        lines
            .filter(|line| line.len() >= SHORTEST_PIECE)
            .for_each(found);
    }
}

/// What programs leave as it is in a URL, beside letters and digits: by RFC 3986, JavaScript's encodeURIComponent and
/// encodeURI, and Python's quote; then the forms, in which a space becomes `+`: those of browsers and of Python.
const SPARED: [&[u8]; 6] = [
    b"-._~",
    b"-._~!'()*",
    b"-._~!'()*;/?:@&=+$,#",
    b"-._~/",
    b"-._* ",
    b"-._~ ",
];

fn percent_encoded(value: &[u8], spared: &[u8], upper: bool) -> Vec<u8> {
    let mut text = Vec::with_capacity(3 * value.len());
    for byte in value {
        match byte {
            b' ' if spared.contains(&b' ') => text.push(b'+'),
            _ if byte.is_ascii_alphanumeric() || spared.contains(byte) => text.push(*byte),
            _ => {
                text.push(b'%');
                text.extend(digits(*byte, upper));
            }
        }
    }
    text
}

/// Which characters an encoder of JSON writes as `\uXXXX` though it need not, beside control characters.
struct Escapes {
    /// Those that mean something in HTML.
    html: &'static str,
    /// All that are not ASCII.
    beyond_ascii: bool,
    /// A slash is written as `\/`.
    slash: bool,
}

/// Those of JavaScript, Rust and Python's json without ensure_ascii; PHP; Go; .NET; with and without what is not ASCII.
const ESCAPES: [Escapes; 8] = [
    escapes("", false, false),
    escapes("", true, false),
    escapes("", true, true),
    escapes("", false, true),
    escapes("<>&", false, false),
    escapes("<>&'", true, false),
    escapes("<>&'+`\"", true, false),
    escapes("<>&'\"", true, true),
];

const fn escapes(html: &'static str, beyond_ascii: bool, slash: bool) -> Escapes {
    Escapes {
        html,
        beyond_ascii,
        slash,
    }
}

fn json(text: &str, found: &mut dyn FnMut(&[u8])) {
    for escapes in &ESCAPES {
        for upper in [false, true] {
            let mut escaped = Vec::with_capacity(text.len());
            text.chars()
                .for_each(|character| escape(character, escapes, upper, &mut escaped));
            found(&escaped);
        }
    }
}

fn escape(character: char, how: &Escapes, upper: bool, text: &mut Vec<u8>) {
    let is_unicode = how.html.contains(character)
        || character.is_ascii_control()
        || how.beyond_ascii && !character.is_ascii()
        || !how.html.is_empty() && matches!(character, '\u{2028}' | '\u{2029}');
    let short = match character {
        '\u{8}' => Some(b'b'),
        '\t' => Some(b't'),
        '\n' => Some(b'n'),
        '\u{c}' => Some(b'f'),
        '\r' => Some(b'r'),
        '\\' => Some(b'\\'),
        '"' if !how.html.contains('"') => Some(b'"'),
        '/' if how.slash => Some(b'/'),
        _ => None,
    };
    if let Some(letter) = short {
        text.extend([b'\\', letter]);
    } else if is_unicode && character != '\u{7f}' {
        for unit in character.encode_utf16(&mut [0; 2]) {
            text.extend(b"\\u");
            unit.to_be_bytes()
                .iter()
                .for_each(|byte| text.extend(digits(*byte, upper)));
        }
    } else {
        text.extend(character.encode_utf8(&mut [0; 4]).bytes());
    }
}

/// What gets a backslash: between double quotes (POSIX, 2.2.3); outside of quotes, as bash's `printf %q` has it; in an
/// extended regular expression, as bash traces `=~`.
const ESCAPED: [&[u8]; 3] = [b"\"\\$`", b" \t'\"\\|&;()<>!{}*[]?^$`,", b".[]*^$()+?{}|\\"];

/// The value as shells show it between single quotes, and as bash does where there are control characters; and with
/// backslashes, down to one before each character as bash traces `==` in `[[`.
fn quoted(value: &[u8], found: &mut dyn FnMut(&[u8])) {
    for escaped in ESCAPED {
        if value.iter().any(|byte| escaped.contains(byte)) {
            found(&with_backslash_before(value, |byte| {
                escaped.contains(&byte)
            }));
        }
    }
    found(&with_backslash_before(value, |byte| byte != b'\n'));
    if !value.is_ascii() {
        let continues = |byte: u8| byte & 0xc0 == 0x80;
        found(&with_backslash_before(value, |byte| {
            byte != b'\n' && !continues(byte)
        }));
    }
    if value.contains(&b'\'') {
        found(&replaced(value, b'\'', br"'\''"));
        found(&with_quotes_in_quotes(value));
    }
    if value.iter().any(|byte| !(b' '..=b'~').contains(byte)) {
        for beyond_ascii in [false, true] {
            found(&with_backslashes(value, beyond_ascii));
        }
    }
}

fn with_backslash_before(value: &[u8], is_meant: impl Fn(u8) -> bool) -> Vec<u8> {
    let mut text = Vec::with_capacity(2 * value.len());
    for byte in value {
        if is_meant(*byte) {
            text.push(b'\\');
        }
        text.push(*byte);
    }
    text
}

fn replaced(value: &[u8], byte: u8, by: &[u8]) -> Vec<u8> {
    let parts: Vec<_> = value.split(|other| *other == byte).collect();
    parts.join(by)
}

/// Each run of single quotes between double ones, as dash has it.
fn with_quotes_in_quotes(value: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(2 * value.len());
    for run in value.chunk_by(|one, next| (*one == b'\'') == (*next == b'\'')) {
        if run[0] == b'\'' {
            text.extend([b"'\"", run, b"\"'"].concat());
        } else {
            text.extend(run);
        }
    }
    text
}

/// What stands between `$'` and `'`.
fn with_backslashes(value: &[u8], beyond_ascii: bool) -> Vec<u8> {
    let mut text = Vec::with_capacity(2 * value.len());
    for byte in value {
        let letter = match byte {
            0x07 => b'a',
            0x08 => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            0x0b => b'v',
            0x0c => b'f',
            b'\r' => b'r',
            0x1b => b'E',
            b'\\' | b'\'' => *byte,
            0..b' ' | 0x7f => {
                text.extend(format!("\\{byte:03o}").into_bytes());
                continue;
            }
            0x80.. if beyond_ascii => {
                text.extend(format!("\\{byte:03o}").into_bytes());
                continue;
            }
            _ => {
                text.push(*byte);
                continue;
            }
        };
        text.extend([b'\\', letter]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(value: &str) -> Vec<String> {
        let mut forms = Vec::new();
        each_form(value.as_bytes(), &mut |form| {
            forms.push(String::from_utf8_lossy(form).into_owned());
        });
        forms
    }

    #[test]
    fn a_value_is_known_in_every_form() {
        let forms = forms("it's \"a/b\"\n<ü>+");
        for form in [
            "it's \"a/b\"\n<ü>+",
            "it's \"a/b\"\r\n<ü>+",
            "it's \"a/b\"",
            "697427732022612f62220a3cc3bc3e2b",
            "697427732022612F62220A3CC3BC3E2B",
            "aXQncyAiYS9iIgo8w7w+Kw==",
            "aXQncyAiYS9iIgo8w7w-Kw",
            "it%27s%20%22a%2Fb%22%0A%3C%C3%BC%3E%2B",
            "it%27s%20%22a%2fb%22%0a%3c%c3%bc%3e%2b",
            "it's%20%22a%2Fb%22%0A%3C%C3%BC%3E%2B",
            "it%27s%20%22a/b%22%0A%3C%C3%BC%3E%2B",
            "it%27s+%22a%2Fb%22%0A%3C%C3%BC%3E%2B",
            r#"it's \"a/b\"\n<ü>+"#,
            r#"it's \"a\/b\"\n<\u00fc>+"#,
            r#"it's \"a/b\"\n\u003cü\u003e+"#,
            r"it\u0027s \u0022a/b\u0022\n\u003C\u00FC\u003E\u002B",
            r#"it'\''s "a/b""#,
            r#"it'"'"'s "a/b""#,
            r#"it\'s "a/b"\n<ü>+"#,
            r#"it's \"a/b\""#,
            r#"it\'s\ \"a/b\""#,
            r"\<\ü\>\+",
            r"<ü>\+",
            r#"it\'s "a/b"\n<\303\274>+"#,
        ] {
            assert!(
                forms.iter().any(|known| known == form),
                "{form} in {forms:#?}"
            );
        }
    }

    #[test]
    fn base64_is_known_behind_any_number_of_bytes() {
        let forms = forms("hunter22");
        for before in 0..9 {
            for after in 0..9 {
                let text = [&vec![b'<'; before][..], b"hunter22", &vec![b'>'; after]].concat();
                let text = STANDARD.encode(text);
                let known = forms
                    .iter()
                    .filter(|form| form.len() >= 9 && text.contains(*form));
                assert!(known.count() > 0, "{text} in {forms:#?}");
            }
        }
    }

    #[test]
    fn what_says_nothing_has_no_form() {
        for value in ["", "1", "abc", "true", "Production", "no", "54321"] {
            assert_eq!(forms(value), [""; 0], "{value}");
        }
        assert!(!forms("{\n  \"key\": 1\n}").contains(&"}".to_owned()));
    }
}
