//! UTF-16.

#![forbid(unsafe_code)]

use super::{Spelled, Token};

/// The order of the two bytes of a unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ByteOrder {
    /// The lower one first.
    Little,
    /// The higher one first.
    Big,
}

impl ByteOrder {
    fn unit(self, bytes: [u8; 2]) -> u16 {
        match self {
            ByteOrder::Little => u16::from_le_bytes(bytes),
            ByteOrder::Big => u16::from_be_bytes(bytes),
        }
    }

    /// The bytes of a text.
    pub fn spell(self, text: &str) -> Vec<u8> {
        let bytes = |unit: u16| match self {
            ByteOrder::Little => unit.to_le_bytes(),
            ByteOrder::Big => unit.to_be_bytes(),
        };
        text.encode_utf16().flat_map(bytes).collect()
    }

    /// Reads the beginning of a text that is not empty.
    pub fn read(self, text: &[u8]) -> Token {
        let Some(first) = text.first_chunk() else {
            return Token::Unfinished;
        };
        let first = self.unit(*first);
        if !(0xd800..0xdc00).contains(&first) {
            return match char::from_u32(first.into()) {
                Some(character) => Token::Bytes(2, Spelled::character(character)),
                None => Token::Break(2),
            };
        }
        let Some(second) = text[2..].first_chunk() else {
            return Token::Unfinished;
        };
        let pair = [first, self.unit(*second)];
        match char::decode_utf16(pair).next() {
            Some(Ok(character)) => Token::Bytes(4, Spelled::character(character)),
            _ => Token::Break(2),
        }
    }
}
