//! The service's cryptography once more, on another crate's PBKDF2 than the program uses, so that a
//! mistake in one of the two shows as a disagreement.

use std::num::NonZeroU32;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::pbkdf2::{PBKDF2_HMAC_SHA256, derive};
use ring::rand::{SecureRandom, SystemRandom};

/// The AES key of a project: derived with a salt, or the padded key of projects from before there
/// were salts.
pub fn data_key(key: &str, salt: Option<&[u8]>, iterations: u32) -> [u8; 32] {
    match salt {
        Some(salt) => {
            let iterations = NonZeroU32::new(iterations).expect("at least one iteration");
            let mut derived = [0; 32];
            derive(
                PBKDF2_HMAC_SHA256,
                iterations,
                salt,
                key.as_bytes(),
                &mut derived,
            );
            derived
        }
        None => padded(key),
    }
}

/// The first 32 bytes, filled up with ASCII zeros.
fn padded(key: &str) -> [u8; 32] {
    let mut padded = [b'0'; 32];
    let length = key.len().min(padded.len());
    padded[..length].copy_from_slice(&key.as_bytes()[..length]);
    padded
}

/// The blob of a level: base64 of nonce, ciphertext and tag.
pub fn seal(key: &[u8; 32], text: &[u8]) -> String {
    let mut nonce = [0; NONCE_LEN];
    SystemRandom::new().fill(&mut nonce).expect("random bytes");
    seal_with_nonce(key, nonce, text)
}

/// The blob of a manifest, which is no level's.
pub fn seal_manifest(key: &[u8; 32], text: &str) -> String {
    let mut nonce = [0; NONCE_LEN];
    SystemRandom::new().fill(&mut nonce).expect("random bytes");
    seal_in(key, nonce, b"dotenv-seal manifest", text.as_bytes())
}

pub fn seal_with_nonce(key: &[u8; 32], nonce: [u8; NONCE_LEN], text: &[u8]) -> String {
    seal_in(key, nonce, b"", text)
}

fn seal_in(key: &[u8; 32], nonce: [u8; NONCE_LEN], context: &[u8], text: &[u8]) -> String {
    let mut sealed = text.to_vec();
    cipher(key)
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(context),
            &mut sealed,
        )
        .expect("a text that fits");
    BASE64_STANDARD.encode([&nonce, sealed.as_slice()].concat())
}

/// The text of a blob, if the key is right and nothing was changed.
pub fn open(key: &[u8; 32], blob: &str) -> Option<Vec<u8>> {
    let bytes = BASE64_STANDARD.decode(blob).ok()?;
    let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut sealed = sealed.to_vec();
    let text = cipher(key)
        .open_in_place(nonce, Aad::empty(), &mut sealed)
        .ok()?;
    Some(text.to_vec())
}

fn cipher(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("32 bytes"))
}
