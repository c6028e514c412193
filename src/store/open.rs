//! From sealed levels to their plaintext: whose key opens them, and what is refused on the way.

#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::crypto::{DataKey, ITERATIONS, OpenError};
use crate::error::{Error, Sealed as SealedError};
use crate::event::{Event, LevelEvent, Stage};
use crate::keys::ClientKey;
use crate::path::{LevelAt, LevelName, PathList, SecretPath};
use crate::report::Report;
use crate::store::model::{Custody, Format, KeyDescriptor, Level, Origin, SealedLevels, Secrets};
use crate::sys::locked::Locked;

/// The iterations that take no longer than a fetch may be late, which is 200 ms, on any machine of our days.
const FAST_ITERATIONS: u32 = 1_000_000;

/// The plaintext of one level, in locked memory.
pub struct OpenLevel {
    /// The number of the path that it is a level of.
    pub path: usize,
    /// Which level it is.
    pub name: LevelName,
    /// How the text is written.
    pub format: Format,
    /// The text.
    pub text: Locked,
}

/// Looks at the levels of all paths before any is opened. Those of a client-managed project that are not encrypted are
/// accepted only with `allow_plaintext`, and only from the service.
///
/// # Errors
///
/// If one is not accepted.
pub fn admit(
    sealed: &[SealedLevels],
    paths: &PathList,
    allow_plaintext: bool,
    report: &Report,
) -> Result<(), Error> {
    for (index, levels) in sealed.iter().enumerate() {
        let is_first = paths.all_in(paths.project_of(index)).next() == Some(index);
        if let Some(descriptor) = levels.descriptor.as_ref().filter(|_| is_first) {
            report.record(|| key_descriptor(descriptor, paths.get(index)));
        }
    }
    let present = |(path, levels): (usize, &SealedLevels)| {
        let levels = levels.secrets.levels.iter();
        let present = levels.map(|level| present(paths.get(path), level));
        present.collect::<Vec<_>>()
    };
    let with_descriptor = || sealed.iter().any(|levels| levels.descriptor.is_some());
    if with_descriptor() {
        report.record(|| Event::Levels(sealed.iter().enumerate().flat_map(present).collect()));
    }
    for (path, levels) in sealed.iter().enumerate() {
        let is_ours = |it: &Arc<KeyDescriptor>| it.is_client_managed();
        if !levels.descriptor.as_ref().is_some_and(is_ours) {
            continue;
        }
        if let Some(level) = levels.secrets.levels.iter().find(|level| !level.encrypted) {
            let level = paths.level(path, level.name);
            match levels.origin {
                Origin::Service if allow_plaintext => (),
                Origin::Service => return Err(Error::Plaintext { level }),
                _ => return Err(Error::PlaintextInTree { level }),
            }
        }
    }
    Ok(())
}

impl SealedLevels {
    /// Whether a level is sealed, so that a key is needed.
    pub fn needs_key(&self) -> bool {
        self.descriptor.is_some() && self.secrets.levels.iter().any(|level| level.encrypted)
    }
}

/// Opens every level of the path of this number with the key of its project; there is none only if no level is sealed.
///
/// # Errors
///
/// If any level cannot be opened: then none is given out.
pub fn open(
    sealed: SealedLevels,
    (path, paths): (usize, &PathList),
    key: Option<&DataKey>,
    report: &Report,
) -> Result<Vec<OpenLevel>, Error> {
    let SealedLevels {
        secrets,
        descriptor: Some(descriptor),
        ..
    } = sealed
    else {
        return Ok(Vec::new());
    };
    let client_managed = descriptor.is_client_managed();
    let Secrets { format, levels } = secrets;
    let open_level = |level: &Level| {
        let text = match key {
            Some(key) if level.encrypted => key.open(&level.content)?,
            None if level.encrypted => return Err(OpenError::NotAuthentic),
            _ => Locked::copy_of(level.content.as_bytes()).map_err(OpenError::Memory)?,
        };
        Ok(OpenLevel {
            path,
            name: level.name,
            format,
            text,
        })
    };
    let opened = levels.iter().map(open_level);
    let opened: Vec<_> = match key {
        Some(_) => report.timed(Stage::Open, || opened.collect()),
        None => opened.collect(),
    };
    let any_opened = opened
        .iter()
        .zip(&levels)
        .any(|(result, level)| level.encrypted && result.is_ok());
    let name_failure = |(result, level): (Result<OpenLevel, OpenError>, &Level)| {
        let level = paths.level(path, level.name);
        result.map_err(|error| failure(error, level, client_managed, any_opened))
    };
    let opened = opened.into_iter().zip(&levels).map(name_failure);
    opened.collect()
}

/// Whether a derivation that turns out to be of no use is over so soon that it holds nothing up.
pub fn is_fast_to_derive(descriptor: &KeyDescriptor) -> bool {
    descriptor.iterations <= FAST_ITERATIONS
}

/// Checks that a key can be derived as a descriptor says.
///
/// # Errors
///
/// If it cannot, or must not.
pub fn check_derivation(descriptor: &KeyDescriptor, path: &SecretPath) -> Result<(), Error> {
    let count = descriptor.iterations;
    match &descriptor.salt {
        None if descriptor.is_client_managed() => Err(Error::NoSalt {
            project: path.project().to_owned(),
        }),
        Some(_) if !ITERATIONS.contains(&count) => Err(Error::Iterations { count }),
        _ => Ok(()),
    }
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
    client_key: impl FnOnce() -> Result<Arc<ClientKey>, Error>,
) -> Result<DataKey, Error> {
    check_derivation(descriptor, path)?;
    let iterations = descriptor.iterations;
    let salt = match (&descriptor.salt, &descriptor.custody) {
        (Some(salt), _) => salt,
        (None, Custody::Server { secret }) => {
            return DataKey::legacy(secret.as_bytes()).map_err(Error::Memory);
        }
        (None, Custody::Client) => &Vec::new(),
    };
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

fn key_descriptor<'a>(descriptor: &KeyDescriptor, path: &'a SecretPath) -> Event<'a> {
    let iterations = descriptor.salt.as_ref().map(|_| descriptor.iterations);
    Event::KeyDescriptor {
        project: path.project(),
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

fn present(path: &SecretPath, level: &Level) -> LevelEvent {
    LevelEvent {
        name: level.name.as_str(),
        path: path.to_string(),
        encrypted: level.encrypted,
    }
}

/// What it means that a level did not open, given whether the same key opened another one.
fn failure(error: OpenError, level: LevelAt, client_managed: bool, any_opened: bool) -> Error {
    let reason = match error {
        OpenError::Memory(error) => return Error::Memory(error),
        OpenError::Base64 | OpenError::TooShort => SealedError::NoBlob,
        OpenError::NotAuthentic if any_opened => SealedError::Changed,
        OpenError::NotAuthentic if client_managed => SealedError::WrongClientKey,
        OpenError::NotAuthentic => SealedError::WrongServerKey,
    };
    Error::Sealed { level, reason }
}
