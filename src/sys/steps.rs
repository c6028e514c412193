//! One step of a walk below a directory: no call here follows a symbolic link or waits.

use std::ffi::{CStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};

/// The flag of open(2) for opening a directory or nothing.
pub const DIRECTORY_ONLY: libc::c_int = libc::O_DIRECTORY;

/// Opens the directory that stands in a directory under a name, to go on from it.
///
/// # Errors
///
/// `ENOTDIR` for a symbolic link too; any other error of openat(2).
pub fn enter_at(directory: impl AsFd, name: &CStr) -> io::Result<File> {
    open_at(directory, name, OFlags::PATH | OFlags::DIRECTORY)
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

/// What stands in a directory under a name, without opening it: opening a device may do something to it.
///
/// # Errors
///
/// Any error of fstatat(2).
pub fn kind_at(directory: impl AsFd, name: &CStr) -> io::Result<FileType> {
    let found = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(found.st_mode))
}

/// Where the symbolic link leads that stands in a directory under a name.
///
/// # Errors
///
/// `EINVAL` if it is not a symbolic link; any other error of readlinkat(2).
pub fn target_at(directory: impl AsFd, name: &CStr) -> io::Result<PathBuf> {
    let target = rustix::fs::readlinkat(directory, name, Vec::new())?;
    Ok(OsString::from_vec(target.into_bytes()).into())
}
