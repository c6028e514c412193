//! Which file the command is, as execvp(3) finds it. What only an attempt to execute it shows, such as a script's missing
//! interpreter or a program's missing loader, is not predicted.

#![forbid(unsafe_code)]

use std::ffi::{CStr, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use libc::{EACCES, ENODEV, ENOENT, ENOTDIR, ESTALE, ETIMEDOUT};

use crate::sys;

/// Where execvp(3) looks if there is no `PATH`.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// The longest place in `PATH` in bytes; it takes a longer one for an empty one, unless it is the last.
const MAX_PLACE: usize = 4095;

/// Finds the file that `name` stands for with this `PATH`.
///
/// # Errors
///
/// The one that the attempt to execute it would end with.
pub fn find(name: &CStr, path: Option<&OsStr>) -> io::Result<PathBuf> {
    let name = OsStr::from_bytes(name.to_bytes());
    if name.is_empty() {
        return Err(error(ENOENT));
    }
    if name.as_bytes().contains(&b'/') {
        return executable(name.into());
    }
    let path = path.map_or(DEFAULT_PATH, OsStrExt::as_bytes);
    let mut places = path.split(|byte| *byte == b':').peekable();
    let (mut last, mut denied) = (ENOENT, false);
    while let Some(place) = places.next() {
        let place = if place.len() <= MAX_PLACE {
            Path::new(OsStr::from_bytes(place))
        } else if places.peek().is_some() {
            Path::new("")
        } else {
            break;
        };
        let outcome = executable(place.join(name));
        match outcome.as_ref().err().and_then(io::Error::raw_os_error) {
            Some(EACCES) => denied = true,
            Some(code @ (ENOENT | ESTALE | ENOTDIR | ENODEV | ETIMEDOUT)) => last = code,
            _ => return outcome,
        }
    }
    Err(error(if denied { EACCES } else { last }))
}

fn executable(file: PathBuf) -> io::Result<PathBuf> {
    sys::check_executable(&file)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(error(EACCES))
    }
}

fn error(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}
