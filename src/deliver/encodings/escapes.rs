//! Encodings that leave most characters as they are and escape others.

#![forbid(unsafe_code)]

use super::{MOST, Spelled, Token};

/// An encoding with escapes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Escaping {
    /// A line feed becomes CR and LF, as on terminals.
    Lines,
    /// `%41`, as in URLs.
    Percent,
    /// `%41`, and `+` for a space, as in forms.
    Form,
    /// [`Escaping::Percent`] twice.
    PercentTwice,
    /// [`Escaping::Form`] twice.
    FormTwice,
    /// `\n`, `\"`, `\x41` (a byte), `\101`, `\u0041`: JSON, C, shells' `$'…'`, Python's bytes, Ruby.
    Backslash,
    /// The same, with the number of a character behind `\x`: Python's and JavaScript's texts.
    Character,
    /// [`Escaping::Backslash`] twice: JSON inside JSON.
    BackslashTwice,
    /// A backslash before any character means that one: `printf %q`.
    Quoted,
    /// `'\''` and `'"'"'` for a single quote between single quotes: `${x@Q}`, traces of shells.
    Quotes,
    /// `&amp;`, `&#38;`, `&#x26;`: HTML and XML.
    Html,
}

impl Escaping {
    /// All of them.
    pub const ALL: [Escaping; 11] = [
        Escaping::Lines,
        Escaping::Percent,
        Escaping::Form,
        Escaping::PercentTwice,
        Escaping::FormTwice,
        Escaping::Backslash,
        Escaping::Character,
        Escaping::BackslashTwice,
        Escaping::Quoted,
        Escaping::Quotes,
        Escaping::Html,
    ];

    /// Whether an escape begins with this byte.
    pub const fn begins_with(self, byte: u8) -> bool {
        match self {
            Escaping::Lines => byte == b'\r',
            Escaping::Percent | Escaping::PercentTwice => byte == b'%',
            Escaping::Form | Escaping::FormTwice => matches!(byte, b'%' | b'+'),
            Escaping::Backslash
            | Escaping::Character
            | Escaping::BackslashTwice
            | Escaping::Quoted => byte == b'\\',
            Escaping::Quotes => byte == b'\'',
            Escaping::Html => byte == b'&',
        }
    }

    /// A bit for each of [`Escaping::ALL`] of which an escape begins with this byte.
    pub fn beginning_with(byte: u8) -> u16 {
        BEGINNINGS[usize::from(byte)]
    }

    /// All that an escape can stand for in any of the encodings of which one begins here, if that can be told at once:
    /// they differ in few.
    pub fn meanings(text: &[u8]) -> Option<[Spelled; 2]> {
        let (escaping, other) = match text {
            // Numbers behind `x` are read in two ways.
            [b'\\', b'x', ..] => return None,
            [b'\\', letter, ..] => (Escaping::Backslash, Some(*letter)),
            [b'%' | b'+', ..] => (Escaping::Form, None),
            _ => return None,
        };
        let Token::Bytes(length, spelled) = escaping.read(text) else {
            return None;
        };
        // That may be the beginning of what is escaped twice, unless nothing is escaped here.
        let is_escape = escaping.begins_with(spelled.bytes()[0]) && length > 1;
        (!is_escape).then(|| [spelled, other.map_or(spelled, Spelled::byte)])
    }

    /// Reads the beginning of a text that is not empty.
    pub fn read(self, text: &[u8]) -> Token {
        if !self.begins_with(text[0]) {
            return Token::literal(text[0]);
        }
        match self {
            Escaping::Lines => lines(text),
            Escaping::Percent => percent(text),
            Escaping::Form if text[0] == b'+' => Token::literal(b' '),
            Escaping::Form => percent(text),
            Escaping::PercentTwice => twice(Escaping::Percent, text),
            Escaping::FormTwice => twice(Escaping::Form, text),
            Escaping::Backslash => backslash(text, Spelled::byte),
            Escaping::Character => backslash(text, |number| Spelled::character(number.into())),
            Escaping::BackslashTwice => twice(Escaping::Backslash, text),
            Escaping::Quoted => match text {
                [_] => Token::Unfinished,
                _ => Token::Bytes(2, Spelled::byte(text[1])),
            },
            Escaping::Quotes => quotes(text),
            Escaping::Html => html(text),
        }
    }
}

const BEGINNINGS: [u16; 256] = {
    let mut beginnings = [0; 256];
    let mut at = 0;
    while at < 256 * Escaping::ALL.len() {
        let (byte, escaping) = (at % 256, at / 256);
        if Escaping::ALL[escaping].begins_with(byte as u8) {
            beginnings[byte] |= 1 << escaping;
        }
        at += 1;
    }
    beginnings
};

fn lines(text: &[u8]) -> Token {
    match text {
        [_] => Token::Unfinished,
        [_, b'\n', ..] => Token::Bytes(2, Spelled::byte(b'\n')),
        _ => Token::literal(text[0]),
    }
}

/// What is escaped in what an escape stands for. What needs more bytes than this is none.
const MOST_INNER: usize = 12;

fn twice(escaping: Escaping, text: &[u8]) -> Token {
    // Who escapes twice escapes what escapes begin with.
    let first = escaping.read(text);
    match first {
        Token::Bytes(2.., spelled) if escaping.begins_with(spelled.bytes()[0]) => (),
        first => return first,
    }
    let (mut inner, mut ends) = ([0; MOST_INNER], [0; MOST_INNER]);
    let (mut count, mut end) = (0, 0);
    loop {
        let token = text.get(end..).filter(|rest| !rest.is_empty());
        let Some(Token::Bytes(length, spelled)) = token.map(|rest| escaping.read(rest)) else {
            return Token::Unfinished;
        };
        end += length;
        for byte in spelled.bytes() {
            if count < MOST_INNER {
                (inner[count], ends[count]) = (*byte, end);
                count += 1;
            }
        }
        match escaping.read(&inner[..count]) {
            Token::Bytes(length, spelled) if length > 1 || spelled.bytes() != &inner[..1] => {
                return Token::Bytes(ends[length - 1], spelled);
            }
            Token::Unfinished if count < MOST_INNER => {}
            _ => return first,
        }
    }
}

/// The number that some digits are; `Err` if there are too few and the text has ended.
fn number(text: &[u8], count: usize, radix: u32) -> Result<Option<u32>, ()> {
    let digits = text.iter().take(count);
    let valid = digits.map_while(|digit| char::from(*digit).to_digit(radix));
    let (read, number) = valid.fold((0, 0), |(read, number), digit| {
        (read + 1, number * radix + digit)
    });
    match read {
        _ if read == count => Ok(Some(number)),
        _ if read == text.len() => Err(()),
        _ => Ok(None),
    }
}

fn percent(text: &[u8]) -> Token {
    match number(&text[1..], 2, 16) {
        Ok(Some(number)) => Token::Bytes(3, Spelled::byte(number as u8)),
        Ok(None) => Token::literal(b'%'),
        Err(()) => Token::Unfinished,
    }
}

fn backslash(text: &[u8], hexadecimal: fn(u8) -> Spelled) -> Token {
    let Some(letter) = text.get(1) else {
        return Token::Unfinished;
    };
    let byte = match letter {
        b'a' => 0x07,
        b'b' => 0x08,
        b't' => b'\t',
        b'n' => b'\n',
        b'v' => 0x0b,
        b'f' => 0x0c,
        b'r' => b'\r',
        b'e' | b'E' => 0x1b,
        b'0'..=b'7' => return octal(text),
        b'x' => {
            return match number(&text[2..], 2, 16) {
                Ok(Some(number)) => Token::Bytes(4, hexadecimal(number as u8)),
                Ok(None) => Token::Bytes(2, Spelled::byte(b'x')),
                Err(()) => Token::Unfinished,
            };
        }
        b'u' if text.get(2) == Some(&b'{') => return in_braces(text),
        b'u' => return unicode(text),
        b'U' => {
            return match number(&text[2..], 8, 16) {
                Ok(Some(number)) => character(10, number),
                Ok(None) => Token::Bytes(2, Spelled::byte(b'U')),
                Err(()) => Token::Unfinished,
            };
        }
        _ => *letter,
    };
    Token::Bytes(2, Spelled::byte(byte))
}

/// One to three octal digits.
fn octal(text: &[u8]) -> Token {
    let digits = text[1..].iter().take(3);
    let valid = digits.map_while(|digit| char::from(*digit).to_digit(8));
    let (count, value) = valid.fold((0, 0), |(count, value), digit| {
        (count + 1, value * 8 + digit)
    });
    if count < 3 && text.len() == 1 + count {
        return Token::Unfinished;
    }
    Token::Bytes(1 + count, Spelled::byte(value as u8))
}

fn character(length: usize, number: u32) -> Token {
    let character = char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER);
    Token::Bytes(length, Spelled::character(character))
}

/// Four hexadecimal digits, and those of the other surrogate if they are one.
fn unicode(text: &[u8]) -> Token {
    let high = match number(&text[2..], 4, 16) {
        Ok(Some(number)) => number,
        Ok(None) => return Token::Bytes(2, Spelled::byte(b'u')),
        Err(()) => return Token::Unfinished,
    };
    if !(0xd800..0xdc00).contains(&high) {
        return character(6, high);
    }
    let rest = &text[6..];
    if rest.len() < 2 && b"\\u".starts_with(rest) {
        return Token::Unfinished;
    }
    let low = rest
        .strip_prefix(b"\\u")
        .map(|digits| number(digits, 4, 16));
    match low {
        Some(Ok(Some(low @ 0xdc00..0xe000))) => {
            character(12, 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))
        }
        Some(Err(())) => Token::Unfinished,
        _ => character(6, high),
    }
}

/// The length of `\u{10ffff}` at most, with zeros before.
const BRACES: usize = 12;

/// `\u{…}`: JavaScript, Rust, Ruby.
fn in_braces(text: &[u8]) -> Token {
    let digits = &text[3..text.len().min(BRACES)];
    let end = digits.iter().position(|digit| !digit.is_ascii_hexdigit());
    match end {
        None if text.len() < BRACES => Token::Unfinished,
        Some(end @ 1..) if digits[end] == b'}' => match number(digits, end, 16) {
            Ok(Some(number)) => character(4 + end, number),
            _ => Token::Bytes(2, Spelled::byte(b'u')),
        },
        _ => Token::Bytes(2, Spelled::byte(b'u')),
    }
}

/// A single quote that ends the quotes, is quoted in another way, and begins them again; dash does it for several.
fn quotes(text: &[u8]) -> Token {
    const ESCAPED: &[u8] = br"'\''";
    if text.starts_with(ESCAPED) {
        return Token::Bytes(ESCAPED.len(), Spelled::byte(b'\''));
    }
    if ESCAPED.starts_with(text) {
        return Token::Unfinished;
    }
    let Some(rest) = text.strip_prefix(b"'\"") else {
        return Token::literal(b'\'');
    };
    let count = rest.iter().take_while(|byte| **byte == b'\'').count();
    let behind = &rest[count..];
    if (1..=MOST).contains(&count) && behind.starts_with(b"\"'") {
        Token::Bytes(count + 4, Spelled::of(&rest[..count]))
    } else if count <= MOST && b"\"'".starts_with(behind) {
        Token::Unfinished
    } else {
        Token::literal(b'\'')
    }
}

/// The length of an entity at most, with zeros before a number.
const ENTITY: usize = 12;

fn html(text: &[u8]) -> Token {
    let name = &text[1..text.len().min(ENTITY)];
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'#';
    let end = name.iter().position(|byte| !is_part(byte));
    let Some(end) = end else {
        return if text.len() < ENTITY {
            Token::Unfinished
        } else {
            Token::literal(b'&')
        };
    };
    let entity = match &name[..end] {
        _ if name[end] != b';' => None,
        [b'#', b'x' | b'X', digits @ ..] => number(digits, digits.len(), 16).ok().flatten(),
        [b'#', digits @ ..] => number(digits, digits.len(), 10).ok().flatten(),
        name => named(name),
    };
    match entity {
        Some(number) => character(end + 2, number),
        None => Token::literal(b'&'),
    }
}

/// The characters of ASCII that HTML has names for.
const NAMES: [(&str, char); 40] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("AMP", '&'),
    ("LT", '<'),
    ("GT", '>'),
    ("QUOT", '"'),
    ("Tab", '\t'),
    ("NewLine", '\n'),
    ("excl", '!'),
    ("num", '#'),
    ("dollar", '$'),
    ("percnt", '%'),
    ("lpar", '('),
    ("rpar", ')'),
    ("ast", '*'),
    ("midast", '*'),
    ("plus", '+'),
    ("comma", ','),
    ("period", '.'),
    ("sol", '/'),
    ("colon", ':'),
    ("semi", ';'),
    ("equals", '='),
    ("quest", '?'),
    ("commat", '@'),
    ("lsqb", '['),
    ("lbrack", '['),
    ("bsol", '\\'),
    ("rsqb", ']'),
    ("rbrack", ']'),
    ("Hat", '^'),
    ("lowbar", '_'),
    ("grave", '`'),
    ("lcub", '{'),
    ("lbrace", '{'),
    ("verbar", '|'),
    ("rcub", '}'),
];

/// The characters from U+00A0 on, in their order.
const LATIN: &str = "nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr deg plusmn sup2 sup3 \
    acute micro para middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest Agrave Aacute Acirc Atilde Auml Aring AElig \
    Ccedil Egrave Eacute Ecirc Euml Igrave Iacute Icirc Iuml ETH Ntilde Ograve Oacute Ocirc Otilde Ouml times Oslash \
    Ugrave Uacute Ucirc Uuml Yacute THORN szlig agrave aacute acirc atilde auml aring aelig ccedil egrave eacute ecirc \
    euml igrave iacute icirc iuml eth ntilde ograve oacute ocirc otilde ouml divide oslash ugrave uacute ucirc uuml \
    yacute thorn yuml";

fn named(name: &[u8]) -> Option<u32> {
    let ascii = NAMES.iter().find(|(known, _)| known.as_bytes() == name);
    let latin = || LATIN.split_ascii_whitespace().zip(0xa0..);
    ascii
        .map(|(_, character)| u32::from(*character))
        .or_else(|| {
            latin()
                .find(|(known, _)| known.as_bytes() == name)
                .map(|(_, number)| number)
        })
}
