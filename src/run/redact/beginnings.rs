//! Where in the output a secret may begin in any encoding, found at the speed of memory.

#![forbid(unsafe_code)]

use crate::deliver::encodings::digits::Radix;
use crate::deliver::encodings::escapes::Escaping;
use crate::deliver::encodings::is_space;
use crate::deliver::encodings::wide::ByteOrder;

/// What may have begun.
pub mod kind {
    /// A value as it is.
    pub const PLAIN: u8 = 1;
    /// UTF-16.
    pub const WIDE: u8 = 2;
    /// Digits; the others of them follow.
    pub const DIGITS: u8 = 4;
    /// Digits of any kind.
    pub const ALL_DIGITS: u8 = 7 * DIGITS;
    /// An escape.
    pub const ESCAPE: u8 = 32;
    /// A line.
    pub const LINE: u8 = 64;
}

/// The most characters that are looked at together.
const MOST: usize = 8;

/// A set of the first characters of all values in all encodings, white space left out. It may hold more than it should:
/// what is in it is looked at closely.
pub struct Beginnings {
    /// How many characters.
    length: usize,
    mask: u64,
    /// A bit for each hash, of two.
    hashes: Vec<u64>,
    shift: u32,
    /// What they may be the beginning of, by another hash.
    kinds: Vec<u8>,
    /// What a byte by itself may begin.
    bytes: [u8; 256],
}

/// The smallest size of the set in bits: half of the fastest cache of small processors.
const FEWEST_BITS: usize = 1 << 17;

const MOST_BITS: usize = 1 << 26;

/// The size of the other set, in bits of a hash.
const KINDS: u32 = 16;

/// Two multiplications spread the bits (Knuth, volume 3, 6.4).
const FACTORS: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93];

impl Beginnings {
    /// Those of values.
    pub fn of<'a>(values: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        let length = values
            .clone()
            .map(shortest)
            .min()
            .unwrap_or(MOST)
            .clamp(1, MOST);
        let mut keys = Vec::new();
        for value in values {
            each_key(value, length, &mut |key, kind| {
                keys.extend(packed(key, length).map(|key| (key, kind)));
            });
        }
        keys.sort_unstable();
        keys.dedup();
        let bits = (keys.len() * 64)
            .next_power_of_two()
            .clamp(FEWEST_BITS, MOST_BITS);
        let mut beginnings = Beginnings {
            length,
            mask: u64::MAX >> (64 - 8 * length),
            hashes: vec![0; bits / 64],
            shift: 64 - bits.trailing_zeros(),
            kinds: vec![0; 1 << KINDS],
            bytes: std::array::from_fn(|byte| alone(byte as u8)),
        };
        for (key, kind) in keys {
            for factor in FACTORS {
                let (word, bit) = beginnings.place(key, factor);
                beginnings.hashes[word] |= 1 << bit;
            }
            beginnings.kinds[Self::kind_place(key)] |= kind;
        }
        beginnings
    }

    /// How many characters it needs.
    pub fn length(&self) -> usize {
        self.length
    }

    fn place(&self, key: u64, factor: u64) -> (usize, u32) {
        let hash = key.wrapping_mul(factor) >> self.shift;
        ((hash >> 6) as usize, hash as u32 & 63)
    }

    fn kind_place(key: u64) -> usize {
        (key.wrapping_mul(FACTORS[0]) >> (64 - KINDS)) as usize
    }

    fn may_have(&self, key: u64, factor: u64) -> bool {
        let (word, bit) = self.place(key, factor);
        self.hashes[word] >> bit & 1 == 1
    }

    /// Takes bytes until something may have begun; returns the index of the byte that shows it, and the kinds.
    pub fn next(&self, text: &[u8], last: &mut u64) -> Option<(usize, u8)> {
        let mut key = *last;
        for (index, byte) in text.iter().enumerate() {
            key = pushed(key, *byte);
            let alone = self.bytes[usize::from(*byte)];
            let masked = key & self.mask;
            if alone != 0 || self.may_have(masked, FACTORS[0]) {
                let kinds = self.kinds_of(masked) | alone;
                if kinds != 0 {
                    *last = key;
                    return Some((index, kinds));
                }
            }
        }
        *last = key;
        None
    }

    fn kinds_of(&self, key: u64) -> u8 {
        let may_have = FACTORS.iter().all(|factor| self.may_have(key, *factor));
        if may_have {
            self.kinds[Self::kind_place(key)]
        } else {
            0
        }
    }

    /// The number of the byte from which on there are so many characters, and the white space before them.
    pub fn back(text: &[u8], count: usize) -> usize {
        let (mut at, mut left) = (text.len(), count);
        while at > 0 && (left > 0 || is_space(text[at - 1])) {
            at -= 1;
            left -= usize::from(!is_space(text[at]));
        }
        at
    }
}

/// The last characters after one more byte.
#[inline]
fn pushed(key: u64, byte: u8) -> u64 {
    if is_space(byte) {
        key
    } else {
        key << 8 | u64::from(byte)
    }
}

/// The first characters of a text, if it has so many.
fn packed(text: &[u8], length: usize) -> Option<u64> {
    let mut characters = text.iter().filter(|byte| !is_space(**byte));
    (0..length).try_fold(0, |key, _| Some(pushed(key, *characters.next()?)))
}

fn alone(byte: u8) -> u8 {
    let is_escape = Escaping::beginning_with(byte) != 0;
    match byte {
        b'\n' => kind::LINE,
        _ if is_escape => kind::ESCAPE,
        _ => 0,
    }
}

/// How many characters of a value there are in the encoding that has the fewest.
fn shortest(whole: &[u8]) -> usize {
    let value = &whole[..whole.len().min(2 * MOST)];
    let digits = (8 * value.len()).saturating_sub(4) / Radix::Base64.bits() as usize;
    let characters = |text: &[u8]| text.iter().filter(|byte| !is_space(**byte)).count();
    let wide = std::str::from_utf8(whole).map(|text| {
        let text = text.chars().take(MOST).collect::<String>();
        characters(&ByteOrder::Little.spell(&text))
    });
    characters(value).min(digits).min(wide.unwrap_or(MOST))
}

/// Gives the first characters of a value in every encoding that is not found by its escapes.
fn each_key(value: &[u8], length: usize, found: &mut dyn FnMut(&[u8], u8)) {
    found(value, kind::PLAIN);
    // No character takes more than four bytes, and a part of one is none.
    let cut = &value[..value.len().min(4 * length)];
    let text = cut.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    for order in [ByteOrder::Little, ByteOrder::Big] {
        found(&order.spell(text), kind::WIDE);
    }
    let cut = &value[..value.len().min(length + 1)];
    for (index, radix) in Radix::ALL.into_iter().enumerate() {
        for alphabet in radix.alphabets() {
            for before in 0..radix.alignments() {
                let digits = radix.spell(cut, before, alphabet);
                found(&digits, kind::DIGITS << index);
                if radix == Radix::Hexadecimal {
                    let pairs: Vec<_> = digits.chunks(2).collect();
                    found(&pairs.join(&b':'), kind::DIGITS << index);
                }
            }
        }
    }
}
