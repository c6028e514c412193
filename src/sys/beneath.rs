//! One step of a walk below a directory: no call here follows a symbolic link or waits.

use std::ffi::{CStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use crate::sys::streams::owned;

/// The flag of open(2) for opening a directory or nothing.
pub const DIRECTORY_ONLY: libc::c_int = libc::O_DIRECTORY;

/// Opens what stands in a directory under a name, to look at it or to go on from it: nothing happens to what it is, and
/// a symbolic link is opened itself.
///
/// # Errors
///
/// Any error of openat(2).
pub fn find_at(directory: impl AsFd, name: &CStr) -> io::Result<File> {
    open_at(directory, name, libc::O_PATH)
}

/// Opens what stands in a directory under a name for reading.
///
/// # Errors
///
/// `ELOOP` for a symbolic link; any other error of openat(2).
pub fn read_at(directory: impl AsFd, name: &CStr) -> io::Result<File> {
    let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY;
    open_at(directory, name, flags)
}

fn open_at(directory: impl AsFd, name: &CStr, flags: libc::c_int) -> io::Result<File> {
    let directory = directory.as_fd().as_raw_fd();
    let flags = flags | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    // SAFETY: the name is NUL-terminated and outlives the call, and without O_CREAT there is no further argument.
    let opened = unsafe { libc::openat(directory, name.as_ptr(), flags) };
    owned(opened.into()).map(OwnedFd::into)
}

/// Where a symbolic link leads that was opened itself.
///
/// # Errors
///
/// `ENOENT` if it is no symbolic link; `ENAMETOOLONG` if the answer may be cut off; any other error of readlinkat(2).
pub fn target_of(link: &File) -> io::Result<PathBuf> {
    let mut target = vec![0; libc::PATH_MAX as usize];
    let (start, size) = (target.as_mut_ptr().cast(), target.len());
    // SAFETY: the kernel writes at most `size` bytes to `start`, which is a live exclusive buffer of that size.
    let length = unsafe { libc::readlinkat(link.as_raw_fd(), c"".as_ptr(), start, size) };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    if length == size {
        return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
    }
    target.truncate(length);
    Ok(OsString::from_vec(target).into())
}
