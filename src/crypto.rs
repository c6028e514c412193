//! Keys and blobs: derives the data key of a project, opens and seals levels and the entries of the cache.
//!
//! The construction is the service's (AES-256-GCM under a key from PBKDF2-HMAC-SHA256); the primitives are ring's and
//! RustCrypto's.

#![forbid(unsafe_code)]

use std::io;
use std::ops::Range;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::hmac::{self, HMAC_SHA256};
use ring::rand::{SecureRandom, SystemRandom};
use sha2::Digest as _;

use crate::sys;
use crate::sys::locked::{Locked, NoMemory};

/// The length of a data key in bytes.
pub const KEY_LENGTH: usize = 32;

/// The length of a fingerprint in bytes.
const FINGERPRINT_LENGTH: usize = 8;

/// The length of a new salt in bytes.
pub const SALT_LENGTH: usize = 16;

/// What is authenticated with a manifest and with no level, so that neither can be taken for the other.
const MANIFEST: &[u8] = b"dotenv-seal manifest";

/// The iterations of a new project, and of a descriptor without a number.
pub const DEFAULT_ITERATIONS: u32 = 600_000;

/// The iterations that are accepted: fewer do not protect the key, more only delay the client.
pub const ITERATIONS: std::ops::RangeInclusive<u32> = 1_000..=10_000_000;

/// Base64 as the official client reads it: standard alphabet, padding required, trailing bits not checked.
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
    /// There is no locked memory for the plaintext.
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
        sys::clear_traces();
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
    /// An [`OpenError`]; then no part of the plaintext is returned.
    pub fn open(&self, blob: &str) -> Result<Locked, OpenError> {
        let mut buffer = Locked::with_capacity(base64::decoded_len_estimate(blob.len()))
            .map_err(OpenError::Memory)?;
        let length = decode_into(blob, buffer.spare()).ok_or(OpenError::Base64)?;
        buffer.grow(length);
        opened(&self.0, buffer, &[])
    }

    /// Seals a text into a blob under a fresh random nonce.
    ///
    /// # Errors
    ///
    /// An error if the system cannot provide random bytes.
    pub fn seal(&self, plaintext: &[u8]) -> io::Result<String> {
        self.seal_with(&[], plaintext)
    }

    /// Seals the text of a manifest, as [`DataKey::seal`] does a level.
    ///
    /// # Errors
    ///
    /// Those of [`DataKey::seal`].
    pub fn seal_manifest(&self, text: &str) -> io::Result<String> {
        self.seal_with(MANIFEST, text.as_bytes())
    }

    /// Opens a manifest, in ordinary memory: it holds nothing that the tree does not show.
    ///
    /// # Errors
    ///
    /// An [`OpenError`], also for a level.
    pub fn open_manifest(&self, blob: &str) -> Result<Vec<u8>, OpenError> {
        let mut bytes = decode(blob).ok_or(OpenError::Base64)?;
        let text = open_in_place(&self.0, &mut bytes, MANIFEST)?;
        bytes.truncate(text.end);
        bytes.drain(..text.start);
        Ok(bytes)
    }

    fn seal_with(&self, context: &[u8], plaintext: &[u8]) -> io::Result<String> {
        let nonce: [u8; NONCE_LEN] = random()?;
        let mut sealed = plaintext.to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        cipher(&self.0)
            .seal_in_place_append_tag(unique, Aad::from(context), &mut sealed)
            .map_err(|_| io::Error::other("the text is too long to be sealed"))?;
        sealed.splice(..0, nonce);
        Ok(BASE64.encode(sealed))
    }

    /// The key that [`DataKey::bytes`] returned; `None` if it is not one, or there is no memory for it.
    pub fn restored(bytes: &[u8]) -> Option<Self> {
        let mut key = Locked::for_key(KEY_LENGTH).ok()?;
        (bytes.len() == KEY_LENGTH).then(|| {
            key.push(bytes);
            DataKey(key)
        })
    }

    /// The key itself.
    pub fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }
}

/// Not inlined, so that what it leaves on the stack is below the frame of its caller.
#[inline(never)]
fn pbkdf2_into(key: &mut [u8], secret: &[u8], salt: &[u8], iterations: u32) {
    pbkdf2::pbkdf2_hmac::<sha2::Sha256>(secret, salt, iterations, key);
}

/// The AES-256 key of the entries of a cache, in locked memory. It is derived from an API key, so that
/// nobody without the API key can read an entry.
pub struct CacheKey(Locked);

impl CacheKey {
    /// Derives the key of the entries for `answer`, which identifies everything that their content depends on.
    ///
    /// # Errors
    ///
    /// Those of [`Locked::for_key`].
    pub fn new(api_key: &[u8], answer: &[u8]) -> Result<Self, NoMemory> {
        let mut key = Locked::for_key(KEY_LENGTH)?;
        key.push(&[0; KEY_LENGTH]);
        expand(api_key, &[b"key\0", answer], key.bytes_mut());
        Ok(CacheKey(key))
    }

    /// The name of one of these entries: 64 hexadecimal digits that reveal nothing without the API key.
    pub fn name_of(entry: &[u8], api_key: &[u8], answer: &[u8]) -> String {
        let mut name = [0; KEY_LENGTH];
        expand(api_key, &[b"name\0", entry, b"\0", answer], &mut name);
        hexadecimal(&name)
    }

    /// Seals the parts of `content` one after the other under a new random nonce. `header` stays readable in front of
    /// it and is authenticated too.
    ///
    /// # Errors
    ///
    /// Those of [`Locked::with_capacity`], and an error if the system cannot provide random bytes.
    pub fn seal(&self, header: &[u8], content: &[&[u8]]) -> io::Result<Locked> {
        let nonce: [u8; NONCE_LEN] = random()?;
        let length: usize = content.iter().map(|part| part.len()).sum();
        let start = header.len() + NONCE_LEN;
        let mut entry = Locked::with_capacity(start + length + AES_256_GCM.tag_len())
            .map_err(|_| io::ErrorKind::OutOfMemory)?;
        entry.push(header);
        entry.push(&nonce);
        content.iter().for_each(|part| entry.push(part));
        let tag = cipher(&self.0)
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(header),
                &mut entry.bytes_mut()[start..],
            )
            .map_err(|_| io::Error::other("too long to be sealed"))?;
        entry.push(tag.as_ref());
        Ok(entry)
    }

    /// Opens what [`CacheKey::seal`] made with this header.
    ///
    /// # Errors
    ///
    /// An [`OpenError`], also if the header differs.
    pub fn open(&self, header: &[u8], mut entry: Locked) -> Result<Locked, OpenError> {
        if !entry.bytes().starts_with(header) {
            return Err(OpenError::NotAuthentic);
        }
        entry.keep(header.len()..entry.bytes().len());
        opened(&self.0, entry, header)
    }
}

/// A keyed digest of data that must not be stored. It reveals nothing without its key.
pub type Digest = [u8; KEY_LENGTH];

/// The random key of the digests of one run, in locked memory.
pub struct DigestKey(Locked);

impl DigestKey {
    /// # Errors
    ///
    /// Those of [`Locked::for_key`], and an error if the system cannot provide random bytes.
    pub fn new() -> io::Result<Self> {
        let mut key = Locked::for_key(KEY_LENGTH).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let fill = SystemRandom::new().fill(&mut key.spare()[..KEY_LENGTH]);
        fill.map_err(|_| io::Error::other("cannot get random bytes"))?;
        key.grow(KEY_LENGTH);
        Ok(DigestKey(key))
    }

    /// The memory of the key.
    pub fn memory(&mut self) -> &mut Locked {
        &mut self.0
    }

    /// The HMAC-SHA-256 of the parts that `give` passes one after the other. The boundaries between parts are included.
    pub fn digest(&self, give: impl FnOnce(&mut dyn FnMut(&[u8]))) -> Digest {
        let mut context = hmac::Context::with_key(&hmac::Key::new(HMAC_SHA256, self.0.bytes()));
        give(&mut |part| {
            context.update(&part.len().to_ne_bytes());
            context.update(part);
        });
        let mut digest = Digest::default();
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }
}

/// Derives 32 bytes from an API key for one purpose (HKDF with SHA-256, RFC 5869).
fn expand(api_key: &[u8], purpose: &[&[u8]], output: &mut [u8]) {
    Salt::new(HKDF_SHA256, b"dotenv-run cache")
        .extract(api_key)
        .expand(purpose, HKDF_SHA256)
        .and_then(|material| material.fill(output))
        .expect("as many bytes as the hash has");
}

/// Opens `nonce[12] || ciphertext || tag[16]` in place.
fn opened(key: &Locked, mut buffer: Locked, context: &[u8]) -> Result<Locked, OpenError> {
    let text = open_in_place(key, buffer.bytes_mut(), context)?;
    buffer.keep(text);
    Ok(buffer)
}

/// The same; tells where in `buffer` the text is then.
fn open_in_place(
    key: &Locked,
    buffer: &mut [u8],
    context: &[u8],
) -> Result<Range<usize>, OpenError> {
    if buffer.len() < NONCE_LEN + AES_256_GCM.tag_len() {
        return Err(OpenError::TooShort);
    }
    let (nonce, sealed) = buffer.split_at_mut(NONCE_LEN);
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| OpenError::TooShort)?;
    let plaintext = cipher(key).open_in_place(nonce, Aad::from(context), sealed);
    let length = plaintext.map_err(|_| OpenError::NotAuthentic)?.len();
    Ok(NONCE_LEN..NONCE_LEN + length)
}

fn cipher(key: &Locked) -> LessSafeKey {
    let key = UnboundKey::new(&AES_256_GCM, key.bytes()).expect("a key has 32 bytes");
    LessSafeKey::new(key)
}

/// Decodes base64, ignoring line breaks.
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
/// An error if the system cannot provide random bytes.
pub fn new_salt() -> io::Result<String> {
    Ok(BASE64.encode(random::<SALT_LENGTH>()?))
}

/// A new client key of 256 random bits: 43 characters of the URL-safe alphabet. Never 32 characters: such a key
/// would be its own proof, which the service stores.
///
/// # Errors
///
/// An error if the system cannot provide random bytes.
pub fn new_client_key() -> io::Result<String> {
    Ok(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random::<KEY_LENGTH>()?))
}

/// The first 16 hexadecimal digits of the SHA-256 of a key. Clears what the hash leaves on the stack.
#[inline(never)]
pub fn fingerprint(key: &[u8]) -> String {
    #[inline(never)]
    fn digest(key: &[u8]) -> [u8; FINGERPRINT_LENGTH] {
        let digest = sha2::Sha256::digest(key);
        std::array::from_fn(|index| digest[index])
    }
    let digest = digest(key);
    sys::clear_stack();
    hexadecimal(&digest)
}

/// The SHA-256 of what is no secret, in hexadecimal digits.
pub fn sha256(public: &[u8]) -> String {
    hexadecimal(&sha2::Sha256::digest(public))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The size in bytes of the text in a blob, computed without opening it; zero if it is not a blob.
pub fn sealed_size(blob: &str) -> usize {
    let size = decode(blob).map_or(0, |bytes| bytes.len());
    size.saturating_sub(NONCE_LEN + AES_256_GCM.tag_len())
}

/// A new ULID of random bits: 26 characters of Crockford's alphabet, of which the first carries three bits.
///
/// # Errors
///
/// An error if the system cannot provide random bytes.
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
/// An error if the system cannot provide them.
pub fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| io::Error::other("cannot get random bytes"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed() -> Locked {
        let key = CacheKey::new(b"api key", b"answer").unwrap();
        key.seal(b"head", &[b"con", b"", b"tent"]).unwrap()
    }

    fn opened(api_key: &[u8], answer: &[u8], header: &[u8], entry: Locked) -> Option<Vec<u8>> {
        let key = CacheKey::new(api_key, answer).unwrap();
        let content = key.open(header, entry).ok()?;
        Some(content.bytes().to_vec())
    }

    #[test]
    fn an_entry_opens_with_all_that_it_was_sealed_with_and_nothing_else() {
        let right = opened(b"api key", b"answer", b"head", sealed());
        assert_eq!(right.as_deref(), Some(&b"content"[..]));
        assert_eq!(opened(b"api kez", b"answer", b"head", sealed()), None);
        assert_eq!(opened(b"api key", b"answes", b"head", sealed()), None);
        assert_eq!(opened(b"api key", b"answer", b"heae", sealed()), None);
        assert_eq!(opened(b"api key", b"answer", b"hea", sealed()), None);
        assert_eq!(opened(b"api key", b"answer", b"", sealed()), None);
    }

    #[test]
    fn no_part_of_an_entry_can_be_changed_or_left_out() {
        let length = sealed().bytes().len();
        assert_eq!(length, 4 + 12 + 7 + 16);
        for index in 0..length {
            let mut changed = sealed();
            changed.bytes_mut()[index] ^= 0x10;
            assert_eq!(opened(b"api key", b"answer", b"head", changed), None);
            let mut cut = sealed();
            cut.keep(0..index);
            assert_eq!(opened(b"api key", b"answer", b"head", cut), None);
        }
    }

    #[test]
    fn entries_have_different_names_and_nonces() {
        let name = |entry: &[u8], key: &[u8], answer: &[u8]| CacheKey::name_of(entry, key, answer);
        let names = [
            name(b"a", b"key", b"answer"),
            name(b"b", b"key", b"answer"),
            name(b"a", b"kez", b"answer"),
            name(b"a", b"key", b"answes"),
        ];
        for (index, name) in names.iter().enumerate() {
            assert_eq!(name.len(), 64);
            assert!(!names[..index].contains(name));
        }
        assert_ne!(sealed().bytes()[4..16], sealed().bytes()[4..16]);
    }
}
