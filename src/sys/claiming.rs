//! Taking over descriptors that the caller of the program named by their number.

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::fs::OFlags;

use crate::sys::descriptors::standard_stream;

/// Takes over a descriptor that the caller of the program left open and named by its number. The command does not
/// inherit it, unless it is a standard one, of which a copy is taken.
///
/// Only what was there before `main` can be taken over, and only once: all that this process opens is opened such that
/// execve(2) closes it, and what was inherited across an execve(2) is not like that until it has been taken over. To be
/// called before anything is made that the command is to inherit.
///
/// # Errors
///
/// [`io::ErrorKind::NotFound`] if it was closed when the process started; any other error of fcntl(2).
pub fn claim(number: RawFd) -> io::Result<OwnedFd> {
    if (0..=libc::STDERR_FILENO).contains(&number) {
        return standard_stream(number)?.ok_or(io::ErrorKind::NotFound.into());
    }
    // SAFETY: fcntl with F_GETFD takes integers and touches no memory.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    if flags == -1 || flags & libc::FD_CLOEXEC != 0 {
        return Err(io::ErrorKind::NotFound.into());
    }
    // SAFETY: fcntl with F_SETFD takes integers and touches no memory.
    if unsafe { libc::fcntl(number, libc::F_SETFD, flags | libc::FD_CLOEXEC) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open and was inherited, as its flag said: nothing in this process owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Whether a descriptor is open for writing.
///
/// # Errors
///
/// Any error of fcntl(2).
pub fn is_writable(descriptor: BorrowedFd<'_>) -> io::Result<bool> {
    let access = rustix::fs::fcntl_getfl(descriptor)? & OFlags::ACCMODE;
    Ok(access != OFlags::RDONLY)
}
