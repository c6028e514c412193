//! One step of a walk below a directory: no call here follows a symbolic link or waits.

use std::ffi::{CStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};

/// The flag of open(2) for opening a directory or nothing.
pub const DIRECTORY_ONLY: libc::c_int = libc::O_DIRECTORY;

/// Opens what stands in a directory under a name, to look at it or to go on from it: nothing happens to what it is, and
/// a symbolic link is opened itself.
///
/// # Errors
///
/// Any error of openat(2).
pub fn find_at(directory: impl AsFd, name: &CStr) -> io::Result<File> {
    open_at(directory, name, OFlags::PATH)
}

/// Opens what stands in a directory under a name for reading.
///
/// # Errors
///
/// `ELOOP` for a symbolic link; any other error of openat(2).
pub fn read_at(directory: impl AsFd, name: &CStr) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    open_at(directory, name, flags)
}

fn open_at(directory: impl AsFd, name: &CStr, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(directory, name, flags, Mode::empty())?;
    Ok(opened.into())
}

/// Where a symbolic link leads that was opened itself.
///
/// # Errors
///
/// `ENOENT` if it is not a symbolic link; any other error of readlinkat(2).
pub fn target_of(link: &File) -> io::Result<PathBuf> {
    let target = rustix::fs::readlinkat(link, c"", Vec::new())?;
    Ok(OsString::from_vec(target.into_bytes()).into())
}
