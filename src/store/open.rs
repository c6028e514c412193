//! From sealed levels to their plaintext: whose key opens them, and what is refused on the way.

#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::crypto::{DataKey, ITERATIONS, OpenError};
use crate::error::{Error, Sealed as SealedError};
use crate::event::{Event, LevelEvent, Stage};
use crate::keys::ClientKey;
use crate::path::{LevelName, SecretPath};
use crate::report::Report;
use crate::store::model::{Custody, Format, KeyDescriptor, Level, Origin, SealedLevels, Secrets};
use crate::sys::locked::Locked;

/// The iterations that take no longer than a fetch may be late, which is 200 ms, on any machine of our days.
const FAST_ITERATIONS: u32 = 1_000_000;

/// The plaintext of one level, in locked memory.
pub struct OpenLevel {
    /// Which level it is.
    pub name: LevelName,
    /// How the text is written.
    pub format: Format,
    /// The text.
    pub text: Locked,
}

/// Opens every level, and gives back the key that did it; `key` is asked for it only if a level is sealed.
///
/// Levels of a client-managed project that are not encrypted are accepted only with `allow_plaintext`, and only from the
/// service.
///
/// # Errors
///
/// If any level cannot be opened: then none is given out.
pub fn open(
    sealed: SealedLevels,
    allow_plaintext: bool,
    report: &Report,
    key: impl FnOnce(&Arc<KeyDescriptor>) -> Result<DataKey, Error>,
) -> Result<(Vec<OpenLevel>, Option<DataKey>), Error> {
    let SealedLevels {
        secrets,
        descriptor: Some(descriptor),
        origin,
        ..
    } = sealed
    else {
        return Ok((Vec::new(), None));
    };
    let Secrets { format, levels } = secrets;
    report.record(|| key_descriptor(&descriptor));
    report.record(|| Event::Levels(levels.iter().map(present).collect()));
    let client_managed = descriptor.is_client_managed();
    if let Some(level) = levels.iter().find(|level| !level.encrypted)
        && client_managed
    {
        let level = level.name;
        match origin {
            Origin::Service if allow_plaintext => (),
            Origin::Service => return Err(Error::Plaintext { level }),
            _ => return Err(Error::PlaintextInTree { level }),
        }
    }
    if levels.iter().all(|level| !level.encrypted) {
        let texts = levels.iter().map(|level| plaintext(level, format));
        return Ok((texts.collect::<Result<_, _>>()?, None));
    }
    let key = key(&descriptor)?;
    let opened = report.timed(Stage::Open, || {
        open_with(&levels, format, &key, client_managed)
    });
    Ok((opened?, Some(key)))
}

/// Opens levels with a key.
///
/// # Errors
///
/// Which one does not open, and what that means.
pub fn open_with(
    levels: &[Level],
    format: Format,
    key: &DataKey,
    client_managed: bool,
) -> Result<Vec<OpenLevel>, Error> {
    let opened = levels.iter().map(|level| open_level(level, key, format));
    let opened: Vec<_> = opened.collect();
    let any_opened = opened
        .iter()
        .zip(levels)
        .any(|(result, level)| level.encrypted && result.is_ok());
    let name_failure = |(result, level): (Result<OpenLevel, OpenError>, &Level)| {
        result.map_err(|error| failure(error, level.name, client_managed, any_opened))
    };
    opened.into_iter().zip(levels).map(name_failure).collect()
}

/// Whether a derivation that turns out to be of no use is over so soon that it holds nothing up.
pub fn is_fast_to_derive(descriptor: &KeyDescriptor) -> bool {
    descriptor.iterations <= FAST_ITERATIONS
}

/// The key that a project's levels are sealed with.
///
/// # Errors
///
/// If the descriptor is not acceptable, or there is no client key.
pub fn data_key(
    descriptor: &KeyDescriptor,
    path: &SecretPath,
    report: &Report,
    client_key: impl FnOnce() -> Result<ClientKey, Error>,
) -> Result<DataKey, Error> {
    let Some(salt) = &descriptor.salt else {
        return match &descriptor.custody {
            Custody::Server { secret } => DataKey::legacy(secret.as_bytes()).map_err(Error::Memory),
            Custody::Client => Err(Error::NoSalt {
                project: path.project().to_owned(),
            }),
        };
    };
    let iterations = descriptor.iterations;
    if !ITERATIONS.contains(&iterations) {
        return Err(Error::Iterations { count: iterations });
    }
    let derive = |secret: &[u8]| {
        report.timed(Stage::Derive, || {
            DataKey::derive(secret, salt, iterations).map_err(Error::Memory)
        })
    };
    match &descriptor.custody {
        Custody::Server { secret } => derive(secret.as_bytes()),
        Custody::Client => derive(client_key()?.bytes()),
    }
}

/// Warns if the key of a project is acceptable, and weaker than a new one would be.
pub fn warn_of_few_iterations(descriptor: &KeyDescriptor, path: &SecretPath, report: &Report) {
    if descriptor.has_few_iterations() {
        report.warn(format_args!(
            "the key of {} is weakly protected: {} PBKDF2 iterations, 600000 are recommended",
            path.project(),
            descriptor.iterations
        ));
    }
}

fn key_descriptor(descriptor: &KeyDescriptor) -> Event<'static> {
    let iterations = descriptor.salt.as_ref().map(|_| descriptor.iterations);
    Event::KeyDescriptor {
        custody: match descriptor.custody {
            Custody::Client => "client-managed",
            Custody::Server { .. } if iterations.is_none() => "legacy",
            Custody::Server { .. } => "server-managed",
        },
        version: descriptor.version,
        iterations,
        has_few_iterations: iterations.map(|_| descriptor.has_few_iterations()),
    }
}

fn present(level: &Level) -> LevelEvent {
    LevelEvent {
        name: level.name.as_str(),
        encrypted: level.encrypted,
    }
}

fn open_level(level: &Level, key: &DataKey, format: Format) -> Result<OpenLevel, OpenError> {
    let text = if level.encrypted {
        key.open(&level.content)?
    } else {
        Locked::copy_of(level.content.as_bytes()).map_err(OpenError::Memory)?
    };
    Ok(OpenLevel {
        name: level.name,
        format,
        text,
    })
}

fn plaintext(level: &Level, format: Format) -> Result<OpenLevel, Error> {
    let text = Locked::copy_of(level.content.as_bytes()).map_err(Error::Memory)?;
    Ok(OpenLevel {
        name: level.name,
        format,
        text,
    })
}

/// What it means that a level did not open, given whether the same key opened another one.
fn failure(error: OpenError, level: LevelName, client_managed: bool, any_opened: bool) -> Error {
    let reason = match error {
        OpenError::Memory(error) => return Error::Memory(error),
        OpenError::Base64 | OpenError::TooShort => SealedError::NoBlob,
        OpenError::NotAuthentic if any_opened => SealedError::Changed,
        OpenError::NotAuthentic if client_managed => SealedError::WrongClientKey,
        OpenError::NotAuthentic => SealedError::WrongServerKey,
    };
    Error::Sealed { level, reason }
}
