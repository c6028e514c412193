//! The value of one variable by itself, in locked memory.

#![forbid(unsafe_code)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::cli::Decoding;
use crate::error::Error;
use crate::sys::locked::Locked;
use crate::variables::Variable;

/// The value of the only variable there is.
///
/// # Errors
///
/// If there is none, or another one; and those of [`value_of`].
pub fn only_value(variables: &[Variable<'_>], decoding: Decoding) -> Result<Locked, Error> {
    match variables {
        [variable] => value_of(variable, decoding),
        _ => Err(Error::NotOneSecret {
            count: variables.len(),
        }),
    }
}

/// The bytes of a value, or what it is the base64 of: in the standard alphabet, padded, with line ends anywhere.
///
/// # Errors
///
/// If it is not base64, or there is no locked memory.
pub fn value_of(variable: &Variable<'_>, decoding: Decoding) -> Result<Locked, Error> {
    let mut text = Locked::with_capacity(variable.value.len())?;
    let is_skipped: &[char] = match decoding {
        Decoding::None => &[],
        Decoding::Base64 => &['\r', '\n'],
    };
    for part in variable.value.pieces().flat_map(|it| it.split(is_skipped)) {
        text.push(part.as_bytes());
    }
    if decoding == Decoding::None {
        return Ok(text);
    }
    let mut decoded = Locked::with_capacity(base64::decoded_len_estimate(text.length()))?;
    let length = STANDARD.decode_slice(text.bytes(), decoded.spare());
    decoded.grow(length.map_err(|_| Error::NotBase64 {
        name: variable.name.clone().into_owned(),
    })?);
    Ok(decoded)
}
