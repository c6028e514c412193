//! Keys and blobs: derives the data key of a project, opens and seals levels.
//!
//! The construction is the service's (AES-256-GCM under a key from PBKDF2-HMAC-SHA256); the primitives are ring's and
//! RustCrypto's.

#![forbid(unsafe_code)]

use std::io;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

use crate::locked::{self, Locked, NoMemory};

/// The length of a data key in bytes.
const KEY_LENGTH: usize = 32;

/// The length of a new salt in bytes.
const SALT_LENGTH: usize = 16;

/// The iterations of a new project, and those meant where a descriptor gives none.
pub const DEFAULT_ITERATIONS: u32 = 600_000;

/// The iterations that are accepted; fewer protect nothing, more only stall the client.
pub const ITERATIONS: std::ops::RangeInclusive<u32> = 1_000..=10_000_000;

/// Base64 as the service's client reads it: standard alphabet, padding required, trailing bits not checked.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// Why a blob was not opened.
#[derive(Debug)]
pub enum OpenError {
    /// It is not standard base64 with padding.
    Base64,
    /// It is shorter than a nonce and a tag (28 bytes).
    TooShort,
    /// It was not sealed with this key, or was changed since.
    NotAuthentic,
    /// No locked memory for what it holds.
    Memory(NoMemory),
}

/// The AES-256 key of a project's blobs, in locked memory.
pub struct DataKey(Locked);

impl DataKey {
    /// Derives the key from `secret`, the project's own key or the user's.
    ///
    /// # Errors
    ///
    /// Those of [`Locked::for_key`].
    pub fn derive(secret: &[u8], salt: &[u8], iterations: u32) -> Result<Self, NoMemory> {
        let mut key = Locked::for_key(KEY_LENGTH)?;
        pbkdf2_into(&mut key.spare()[..KEY_LENGTH], secret, salt, iterations);
        // The secret, and the state of HMAC that stands for it.
        locked::clear_stack();
        key.grow(KEY_LENGTH);
        Ok(DataKey(key))
    }

    /// The key of a server-managed project from before salts: `secret` cut, or padded with the digit zero, to 32 bytes.
    ///
    /// # Errors
    ///
    /// Those of [`Locked::for_key`].
    pub fn legacy(secret: &[u8]) -> Result<Self, NoMemory> {
        let mut key = Locked::for_key(KEY_LENGTH)?;
        let taken = secret.len().min(KEY_LENGTH);
        key.push(&secret[..taken]);
        key.push(&[b'0'; KEY_LENGTH][taken..]);
        Ok(DataKey(key))
    }

    /// Opens a blob, base64 of `nonce[12] || ciphertext || tag[16]`, in locked memory.
    ///
    /// # Errors
    ///
    /// An [`OpenError`]; nothing of the plaintext is given out then.
    pub fn open(&self, blob: &str) -> Result<Locked, OpenError> {
        let mut buffer = Locked::with_capacity(base64::decoded_len_estimate(blob.len()))
            .map_err(OpenError::Memory)?;
        let length = decode_into(blob, buffer.spare()).ok_or(OpenError::Base64)?;
        buffer.grow(length);
        if length < NONCE_LEN + AES_256_GCM.tag_len() {
            return Err(OpenError::TooShort);
        }
        let (nonce, sealed) = buffer.bytes_mut().split_at_mut(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| OpenError::TooShort)?;
        let plaintext = self.cipher().open_in_place(nonce, Aad::empty(), sealed);
        let length = plaintext.map_err(|_| OpenError::NotAuthentic)?.len();
        buffer.keep(NONCE_LEN..NONCE_LEN + length);
        Ok(buffer)
    }

    /// Seals a text into a blob under a fresh random nonce.
    ///
    /// # Errors
    ///
    /// An error if the system gives no random bytes.
    pub fn seal(&self, plaintext: &[u8]) -> io::Result<String> {
        let nonce: [u8; NONCE_LEN] = random()?;
        let mut sealed = plaintext.to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        self.cipher()
            .seal_in_place_append_tag(unique, Aad::empty(), &mut sealed)
            .map_err(|_| io::Error::other("the text is too long to be sealed"))?;
        sealed.splice(..0, nonce);
        Ok(BASE64.encode(sealed))
    }

    fn cipher(&self) -> LessSafeKey {
        let key = UnboundKey::new(&AES_256_GCM, self.0.bytes()).expect("a data key has 32 bytes");
        LessSafeKey::new(key)
    }
}

/// Not inlined, so that what it leaves on the stack lies below its caller's part.
#[inline(never)]
fn pbkdf2_into(key: &mut [u8], secret: &[u8], salt: &[u8], iterations: u32) {
    pbkdf2::pbkdf2_hmac::<sha2::Sha256>(secret, salt, iterations, key);
}

/// Decodes base64, in which line ends do not count.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = vec![0; base64::decoded_len_estimate(text.len())];
    let length = decode_into(text, &mut bytes)?;
    bytes.truncate(length);
    Some(bytes)
}

fn decode_into(text: &str, output: &mut [u8]) -> Option<usize> {
    if text.contains(['\r', '\n']) {
        let joined: String = text.split(['\r', '\n']).collect();
        return BASE64.decode_slice(joined, output).ok();
    }
    BASE64.decode_slice(text, output).ok()
}

/// A salt for a new project, as base64.
///
/// # Errors
///
/// An error if the system gives no random bytes.
pub fn new_salt() -> io::Result<String> {
    Ok(BASE64.encode(random::<SALT_LENGTH>()?))
}

/// A new client key of 256 random bits: 43 characters of the URL-safe alphabet. Never 32 characters, because such a key
/// would be its own proof, which the service stores.
///
/// # Errors
///
/// An error if the system gives no random bytes.
pub fn new_client_key() -> io::Result<String> {
    Ok(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random::<KEY_LENGTH>()?))
}

/// The size in bytes of the text in a blob, which can be told without opening it; zero if it is no blob.
pub fn sealed_size(blob: &str) -> usize {
    let size = decode(blob).map_or(0, |bytes| bytes.len());
    size.saturating_sub(NONCE_LEN + AES_256_GCM.tag_len())
}

/// A new ULID of random bits: 26 characters of Crockford's alphabet, of which the first carries three bits.
///
/// # Errors
///
/// An error if the system gives no random bytes.
pub fn new_ulid() -> io::Result<String> {
    let digit = |(index, byte): (usize, u8)| {
        let bits = if index == 0 { byte & 7 } else { byte & 31 };
        char::from(b"0123456789ABCDEFGHJKMNPQRSTVWXYZ"[usize::from(bits)])
    };
    Ok(random::<26>()?.into_iter().enumerate().map(digit).collect())
}

/// Random bytes from the operating system.
///
/// # Errors
///
/// An error if the system gives none.
pub fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| io::Error::other("the system gives no random bytes"))?;
    Ok(bytes)
}
