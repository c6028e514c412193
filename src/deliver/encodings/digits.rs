//! Encodings that write bytes as digits: base64, base32 and hexadecimal.

#![forbid(unsafe_code)]

use super::is_space;

/// An encoding in digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Radix {
    /// Either case.
    Hexadecimal,
    /// RFC 4648, 6; either case.
    Base32,
    /// RFC 4648, 4 and 5.
    Base64,
}

/// What a byte is to one that reads digits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Symbol {
    /// A digit.
    Digit(u32),
    /// So many bytes between digits: where a text is wrapped, also as `\n`.
    Nothing(usize),
    /// The end of the digits.
    Break,
    /// The text ends before this can be told.
    Unfinished,
}

impl Radix {
    /// All of them.
    pub const ALL: [Radix; 3] = [Radix::Hexadecimal, Radix::Base32, Radix::Base64];

    /// How many bits a digit has.
    pub const fn bits(self) -> u32 {
        match self {
            Radix::Hexadecimal => 4,
            Radix::Base32 => 5,
            Radix::Base64 => 6,
        }
    }

    /// After how many digits bytes begin with a digit again.
    pub const fn period(self) -> u32 {
        match self {
            Radix::Hexadecimal => 2,
            Radix::Base32 => 8,
            Radix::Base64 => 4,
        }
    }

    /// Where bytes end in a period: after how many bits with the digit that holds the last of them, and how many digits
    /// before that one the byte begins.
    pub fn ends_of_bytes(self) -> &'static [(u32, u32)] {
        match self {
            Radix::Hexadecimal => &[(8, 1)],
            Radix::Base32 => &[(10, 1), (20, 2), (25, 1), (35, 2), (40, 1)],
            Radix::Base64 => &[(12, 1), (18, 1), (24, 1)],
        }
    }

    const fn value(self, digit: u8) -> Option<u8> {
        Some(match (self, digit) {
            (Radix::Base64, b'A'..=b'Z') => digit - b'A',
            (Radix::Base64, b'a'..=b'z') => digit - b'a' + 26,
            (Radix::Base64, b'0'..=b'9') => digit - b'0' + 52,
            (Radix::Base64, b'+' | b'-') => 62,
            (Radix::Base64, b'/' | b'_') => 63,
            (Radix::Base32, b'A'..=b'Z') => digit - b'A',
            (Radix::Base32, b'a'..=b'z') => digit - b'a',
            (Radix::Base32, b'2'..=b'7') => digit - b'2' + 26,
            (Radix::Hexadecimal, b'0'..=b'9') => digit - b'0',
            (Radix::Hexadecimal, b'a'..=b'f') => digit - b'a' + 10,
            (Radix::Hexadecimal, b'A'..=b'F') => digit - b'A' + 10,
            _ => return None,
        })
    }

    const fn table(self) -> [u8; 256] {
        let mut table = [BREAK; 256];
        let mut byte = 0;
        while byte < 256 {
            if let Some(value) = self.value(byte as u8) {
                table[byte] = value;
            }
            byte += 1;
        }
        table
    }

    /// Reads the beginning of a text that is not empty.
    #[inline]
    pub fn read(self, text: &[u8]) -> Symbol {
        let value = TABLES[self as usize][usize::from(text[0])];
        if value != BREAK {
            return Symbol::Digit(value.into());
        }
        match text {
            [byte, ..] if is_space(*byte) => Symbol::Nothing(1),
            [b':', ..] if self == Radix::Hexadecimal => Symbol::Nothing(1),
            [b'\\'] => Symbol::Unfinished,
            [b'\\', b'n' | b'r', ..] => Symbol::Nothing(2),
            // Two backslashes before an n, or one before a slash, in JSON.
            [b'\\', b'\\' | b'/', ..] => Symbol::Nothing(1),
            _ => Symbol::Break,
        }
    }

    /// The digits that are wholly those of a value behind so many other bytes, whatever these are.
    pub fn spell(self, value: &[u8], before: usize, alphabet: &[u8]) -> Vec<u8> {
        let bits = self.bits() as usize;
        let bit = |at: usize| usize::from(value[at / 8 - before] >> (7 - at % 8) & 1);
        let first = (8 * before).div_ceil(bits);
        let last = 8 * (before + value.len()) / bits;
        let digits = first..last.max(first);
        let digit =
            |at: usize| (at * bits..(at + 1) * bits).fold(0, |digit, at| digit << 1 | bit(at));
        digits.map(|at| alphabet[digit(at)]).collect()
    }

    /// Its alphabets.
    pub fn alphabets(self) -> [&'static [u8]; 2] {
        match self {
            Radix::Hexadecimal => [b"0123456789abcdef", b"0123456789ABCDEF"],
            Radix::Base32 => [
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567",
                b"abcdefghijklmnopqrstuvwxyz234567",
            ],
            Radix::Base64 => [
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
            ],
        }
    }

    /// Behind how many bytes a value can be that make a difference.
    pub fn alignments(self) -> usize {
        (self.period() * self.bits() / 8) as usize
    }
}

/// Whether the digits of any radix may go on with this byte.
pub fn may_be_read(byte: u8) -> bool {
    // Base64 has all digits that the others have.
    let is_digit = TABLES[Radix::Base64 as usize][usize::from(byte)] != BREAK;
    is_digit || is_space(byte) || matches!(byte, b':' | b'\\')
}

const BREAK: u8 = u8::MAX;

const TABLES: [[u8; 256]; 3] = [
    Radix::Hexadecimal.table(),
    Radix::Base32.table(),
    Radix::Base64.table(),
];
