//! The encodings in which a value shows up in what a program writes, as redaction reads them.
//!
//! Redaction reads the output in every encoding and looks for the value itself in what it reads. Masking spells its
//! own forms of a value, in `mask`, and names those to the runner.

#![forbid(unsafe_code)]

pub mod digits;
pub mod dump;
pub mod escapes;
pub mod wide;

/// The most bytes that one token stands for.
const MOST: usize = 8;

/// What a decoder reads at a place of a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Token {
    /// So many bytes of the text stand for bytes.
    Bytes(usize, Spelled),
    /// So many bytes of the text mean nothing.
    Nothing(usize),
    /// Here is something else; what comes behind so many bytes does not continue what was before.
    Break(usize),
    /// The text ends before this can be told.
    Unfinished,
}

/// A few bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spelled {
    bytes: [u8; MOST],
    count: usize,
}

impl Spelled {
    /// One byte.
    pub fn byte(byte: u8) -> Self {
        Self::of(&[byte])
    }

    /// A character in UTF-8.
    pub fn character(character: char) -> Self {
        Self::of(character.encode_utf8(&mut [0; 4]).as_bytes())
    }

    fn of(text: &[u8]) -> Self {
        let mut bytes = [0; MOST];
        bytes[..text.len()].copy_from_slice(text);
        let count = text.len();
        Spelled { bytes, count }
    }

    /// They.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.count]
    }
}

impl Token {
    /// A byte that stands for itself.
    pub fn literal(byte: u8) -> Self {
        Token::Bytes(1, Spelled::byte(byte))
    }
}

/// White space, at which texts are wrapped.
pub fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}
