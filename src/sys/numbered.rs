//! Descriptors that the caller of the program named by their number.

use std::fs::File;
use std::io;
use std::os::fd::{FromRawFd, RawFd};

use crate::sys::start;

/// Takes over an output that the caller of the program named by its number: the command does not inherit it, unless it
/// is a standard one, of which a copy is taken.
///
/// # Errors
///
/// `EBADF` if it was not open when the process started, or not for writing; any other error of fcntl(2).
pub fn take_output(number: RawFd) -> io::Result<File> {
    // SAFETY: fcntl with F_GETFL takes integers and touches no memory.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFL) };
    let is_closed = usize::try_from(number).is_ok_and(start::was_closed);
    if is_closed || flags == -1 || flags & libc::O_ACCMODE == libc::O_RDONLY {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: fcntl with F_DUPFD_CLOEXEC takes integers and touches no memory.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, libc::STDERR_FILENO + 1) };
    if copy == -1 {
        return Err(io::Error::last_os_error());
    }
    drop(Descriptor::numbered(number));
    // SAFETY: the kernel has just given us this descriptor, and nothing else owns it.
    Ok(unsafe { File::from_raw_fd(copy) })
}

/// An open descriptor that the caller of the program named by its number. Reading is not buffered.
pub struct Descriptor(RawFd);

impl Descriptor {
    /// Refers to descriptor `number`, whether it is open or not.
    pub fn numbered(number: RawFd) -> Self {
        Descriptor(number)
    }
}

impl io::Read for Descriptor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // SAFETY: pointer and length are those of a live exclusive slice.
        let read = unsafe { libc::read(self.0, buffer.as_mut_ptr().cast(), buffer.len()) };
        usize::try_from(read).map_err(|_| io::Error::last_os_error())
    }
}

impl Drop for Descriptor {
    /// Closes the descriptor, so that the command cannot read the key again; standard ones stay open.
    fn drop(&mut self) {
        if self.0 > libc::STDERR_FILENO {
            // SAFETY: the caller handed this descriptor to us by number; nothing of ours owns it.
            unsafe { libc::close(self.0) };
        }
    }
}
