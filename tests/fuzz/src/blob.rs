//! A blob opens with its own key and unchanged, or not at all.
//!
//! The input is a blob, and a text to make one of.

use dotenv_run::inside::crypto::{self, DataKey, OpenError};

pub fn holds(input: &[u8]) {
    let key = DataKey::legacy(b"fuzz").expect("memory");
    if let Ok(text) = std::str::from_utf8(input) {
        opens_or_not(&key, text);
    }
    is_sealed(&key, input);
}

/// Any text, which is a blob of this key only if it comes from `corpus/blob`.
fn opens_or_not(key: &DataKey, text: &str) {
    let decoded = crypto::decode(text);
    let lines: String = text.split(['\r', '\n']).collect();
    assert_eq!(decoded, crypto::decode(&lines), "line ends matter");
    let size = decoded
        .as_ref()
        .map_or(0, |bytes| bytes.len().saturating_sub(28));
    assert_eq!(crypto::sealed_size(text), size);
    match key.open(text) {
        Ok(plaintext) => {
            assert_eq!(plaintext.bytes().len(), size);
            is_sealed(key, plaintext.bytes());
        }
        Err(OpenError::Base64) => assert_eq!(decoded, None),
        Err(OpenError::TooShort) => assert!(decoded.is_some_and(|bytes| bytes.len() < 28)),
        Err(OpenError::NotAuthentic) => assert!(decoded.is_some_and(|bytes| bytes.len() >= 28)),
        Err(OpenError::Memory(error)) => panic!("{error}"),
    }
}

fn is_sealed(key: &DataKey, plaintext: &[u8]) {
    let blob = key.seal(plaintext).expect("random bytes");
    assert_ne!(
        blob,
        key.seal(plaintext).expect("random bytes"),
        "the nonce is not fresh"
    );
    assert_eq!(crypto::sealed_size(&blob), plaintext.len());
    let opens = |text: &str| {
        key.open(text)
            .is_ok_and(|opened| opened.bytes() == plaintext)
    };
    assert!(opens(&blob));
    let (start, end) = blob.split_at(blob.len() / 2);
    for line_end in ["\n", "\r\n", "\r"] {
        let lines = [start, end, ""].join(line_end);
        assert!(opens(&lines), "{line_end:?} matters");
    }

    let is_not_authentic =
        |text: &str, key: &DataKey| matches!(key.open(text), Err(OpenError::NotAuthentic));
    let other = DataKey::legacy(b"fuzz1").expect("memory");
    assert!(is_not_authentic(&blob, &other));
    // A digit of the base64 text stands for six bits of the blob, but not always at the end.
    let at = plaintext.len() % (blob.len() - 4);
    let digit = if blob.as_bytes()[at] == b'A' {
        "B"
    } else {
        "A"
    };
    let changed = format!("{}{digit}{}", &blob[..at], &blob[at + 1..]);
    assert!(
        is_not_authentic(&changed, key),
        "a changed digit is not noticed"
    );
    let shorter = key.open(&blob[..blob.len() - 4]);
    assert!(matches!(
        shorter,
        Err(OpenError::NotAuthentic | OpenError::TooShort)
    ));
}
