//! Files that exist in memory only, for the command: the set, or one secret.

#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

use crate::cli::{FileHolds, Inheritance, MemoryFile, Run};
use crate::deliver::alone::value_of;
use crate::deliver::output::rendered;
use crate::error::Error;
use crate::sys;
use crate::sys::locked::Locked;
use crate::variables::Variable;
use crate::variables::takeover::refuse_unsafe;

/// Makes the files that the command inherits. Whoever reads one that is made to become variables sets what is in it, as a
/// shell does, so that the rules about names hold for it too.
///
/// # Errors
///
/// If one cannot be filled as it is asked for, or the system gives no such file.
pub fn make(
    run: &Run,
    secrets: &[Variable<'_>],
    inheritance: &Inheritance,
) -> Result<Vec<File>, Error> {
    let becomes_variables = |file: &MemoryFile| match file.holds {
        FileHolds::Set(content) => content.becomes_variables(),
        FileHolds::Secret { .. } => false,
    };
    if run.files.iter().any(becomes_variables) {
        refuse_unsafe(
            secrets.iter().map(|secret| &*secret.name),
            &inheritance.allow_unsafe,
        )?;
    }
    let make = |file: &MemoryFile| {
        let content = content_of(file, secrets)?;
        let made = sys::sealed_memory_file(content.bytes(), run.file_mode);
        made.map(File::from).map_err(Error::MemoryFile)
    };
    run.files.iter().map(make).collect()
}

fn content_of(file: &MemoryFile, secrets: &[Variable<'_>]) -> Result<Locked, Error> {
    match &file.holds {
        FileHolds::Set(content) => rendered(secrets, *content),
        FileHolds::Secret { name, decoding } => {
            let secret = secrets.iter().find(|secret| secret.name == *name);
            let secret = secret.ok_or_else(|| Error::NoSecretForFile { name: name.clone() })?;
            value_of(secret, *decoding)
        }
    }
}

/// Whether a secret is in a file of its own, in place of the environment.
pub fn is_in_file_alone(run: &Run, secret: &str) -> bool {
    run.files.iter().any(|file| match &file.holds {
        FileHolds::Set(_) => false,
        FileHolds::Secret { name, .. } => name == secret,
    })
}

/// The path by which the command opens a file in memory. `/dev/fd` is a symbolic link that a bare `/dev` lacks, and that
/// may be something else.
///
/// # Errors
///
/// If there is none.
pub fn path_of(file: &File) -> Result<String, Error> {
    let actual = file.metadata().map_err(Error::MemoryFile)?;
    let leads_to_it = |path: &String| {
        fs::metadata(path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (actual.dev(), actual.ino()))
    };
    ["/dev/fd", "/proc/self/fd"]
        .map(|directory| format!("{directory}/{}", file.as_raw_fd()))
        .into_iter()
        .find(leads_to_it)
        .ok_or(Error::NoPathOfDescriptor)
}
