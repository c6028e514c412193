//! Dumps, line by line: `xxd`, `hexdump -C` and `od -t x1`; `od -c` and `hexdump -c`.

#![forbid(unsafe_code)]

use super::{Spelled, Token};

/// Where in a line of a dump the next byte stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Column {
    /// The offset.
    Offset,
    /// Two digits for each byte, up to two spaces.
    GroupedDigits,
    /// Two digits for each byte, up to the end of the line or its text.
    Digits,
    /// Four columns for each byte.
    Characters,
    /// The bytes as text, which repeats what stood in digits.
    Text,
}

/// The digits that an offset has.
const OFFSET: std::ops::RangeInclusive<usize> = 6..=16;

impl Column {
    /// Reads the beginning of a text that is not empty, and moves on.
    pub fn read(&mut self, text: &[u8]) -> Token {
        if text[0] == b'\n' && *self != Column::Offset {
            *self = Column::Offset;
            return Token::Nothing(1);
        }
        match *self {
            Column::Offset => self.offset(text),
            Column::GroupedDigits if text[0] == b' ' => match text.get(1) {
                None => Token::Unfinished,
                Some(b' ') => self.text(),
                Some(_) => Token::Nothing(1),
            },
            Column::GroupedDigits => pair(text),
            Column::Digits if text[0] == b' ' => Token::Nothing(1),
            Column::Digits if matches!(text[0], b'|' | b'>') => self.text(),
            Column::Digits => pair(text),
            Column::Characters => cell(text),
            Column::Text => {
                let end = text.iter().position(|byte| *byte == b'\n');
                Token::Nothing(end.unwrap_or(text.len()))
            }
        }
    }

    fn text(&mut self) -> Token {
        *self = Column::Text;
        Token::Nothing(1)
    }

    fn offset(&mut self, text: &[u8]) -> Token {
        let digits = text.iter().take_while(|byte| byte.is_ascii_hexdigit());
        let count = digits.take(*OFFSET.end() + 1).count();
        let behind = &text[count..];
        if behind.is_empty() && count <= *OFFSET.end() {
            return Token::Unfinished;
        }
        if !OFFSET.contains(&count) {
            return Token::Break(0);
        }
        let (column, length) = match behind {
            [b':', b' ', ..] => (Column::GroupedDigits, count + 2),
            [b' ', ..] if behind.len() < 5 && !behind.contains(&b'\n') => return Token::Unfinished,
            [b' ', ..] if is_cell(behind) => (Column::Characters, count),
            [b' ', ..] => (Column::Digits, count + 1),
            [b':'] => return Token::Unfinished,
            _ => return Token::Break(0),
        };
        *self = column;
        Token::Nothing(length)
    }
}

/// Whether a line that begins so has characters and not digits.
fn is_cell(text: &[u8]) -> bool {
    match text {
        [b' ', b' ', b' ' | b'\\', ..] => true,
        [b' ', digits @ .., end] if digits.len() == 3 => is_octal(digits) && *end == b' ',
        [b' ', one, two, three, end, ..] => {
            is_octal(&[*one, *two, *three]) && matches!(end, b' ' | b'\n')
        }
        _ => false,
    }
}

fn is_octal(digits: &[u8]) -> bool {
    digits.iter().all(|digit| (b'0'..=b'7').contains(digit))
}

fn pair(text: &[u8]) -> Token {
    let digit = |at: usize| text.get(at).map(|byte| char::from(*byte).to_digit(16));
    match (digit(0), digit(1)) {
        (Some(Some(_)), None) => Token::Unfinished,
        (Some(Some(high)), Some(Some(low))) => {
            Token::Bytes(2, Spelled::byte((high << 4 | low) as u8))
        }
        _ => Token::Break(0),
    }
}

fn cell(text: &[u8]) -> Token {
    let Some(cell) = text.first_chunk::<4>() else {
        return if text.starts_with(b" ") && !text.contains(&b'\n') {
            Token::Unfinished
        } else {
            Token::Break(0)
        };
    };
    let byte = match cell {
        [b' ', b' ', b' ', byte] => *byte,
        [b' ', b' ', b'\\', letter] => match letter {
            b'0' => 0,
            b'a' => 0x07,
            b'b' => 0x08,
            b't' => b'\t',
            b'n' => b'\n',
            b'v' => 0x0b,
            b'f' => 0x0c,
            b'r' => b'\r',
            _ => return Token::Break(0),
        },
        [b' ', digits @ ..] if is_octal(digits) => {
            let digit = |value: u32, digit: &u8| value * 8 + u32::from(digit - b'0');
            digits.iter().fold(0, digit) as u8
        }
        _ => return Token::Break(0),
    };
    Token::Bytes(4, Spelled::byte(byte))
}
