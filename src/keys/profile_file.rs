//! The file of `--profile`. It is read only where it is named: none is ever looked for.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::cli::ProfileText;
use crate::error::ProfileFlaw;
use crate::keys::loose::{Holds, looseness};
use crate::sys::check_stack;

/// The size of a profile in bytes that is still accepted.
const MAX_PROFILE: u64 = 1024 * 1024;

/// How far the stack must be able to grow for its text, in bytes.
const STACK: usize = 96 * 1024;

/// Reads a profile.
///
/// # Errors
///
/// If there is too little room for what is in it, or it cannot be read, is too long or is not UTF-8.
pub fn read(file: &Path) -> Result<ProfileText, ProfileFlaw> {
    check_stack(STACK)?;
    let opened = File::open(file).map_err(ProfileFlaw::Unreadable)?;
    let metadata = opened.metadata().map_err(ProfileFlaw::Unreadable)?;
    let looseness = looseness(file, &metadata, Holds::Trust).map_err(ProfileFlaw::Unreadable)?;
    let mut bytes = Vec::new();
    let read = opened.take(MAX_PROFILE + 1).read_to_end(&mut bytes);
    read.map_err(ProfileFlaw::Unreadable)?;
    if bytes.len() as u64 > MAX_PROFILE {
        return Err(ProfileFlaw::TooLong { limit: MAX_PROFILE });
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| ProfileFlaw::Unreadable(io::Error::other("not UTF-8")))?;
    Ok(ProfileText { text, looseness })
}
