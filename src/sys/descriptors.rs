//! Descriptors: the standard ones, what they stand for, and how they behave.

use std::fs::File;
use std::io::{self, PipeWriter};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid as Process, PidfdFlags};

use crate::sys::processes::Pid;
use crate::sys::start;

/// Standard output without the buffer of the standard library, which would keep a copy of a secret.
///
/// # Errors
///
/// `EBADF` if it was closed when the process started: the Rust runtime has opened /dev/null in its
/// place. Any error of dup(2).
pub fn standard_output() -> io::Result<File> {
    if start::was_closed(1) {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    let output = io::stdout().as_fd().try_clone_to_owned()?;
    Ok(output.into())
}

/// A second descriptor of standard input (0), output (1) or error (2); `None` if it was closed when the process started.
///
/// # Errors
///
/// Any error of dup(2).
pub fn standard_stream(number: RawFd) -> io::Result<Option<OwnedFd>> {
    if usize::try_from(number).is_ok_and(start::was_closed) {
        return Ok(None);
    }
    let stream = match number {
        0 => io::stdin().as_fd().try_clone_to_owned(),
        1 => io::stdout().as_fd().try_clone_to_owned(),
        2 => io::stderr().as_fd().try_clone_to_owned(),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    };
    stream.map(Some)
}

/// Whether two descriptors write to the same pipe, socket, terminal or file.
pub fn is_same_file(one: &File, other: &File) -> bool {
    let identity = |file: &File| file.metadata().map(|it| (it.dev(), it.ino())).ok();
    identity(one) == identity(other)
}

/// Opens the terminal that a file is once more; `None` if that cannot be done, or the file stands for whatever terminal its
/// opener has (`/dev/tty`), and so is the same for all terminals.
pub fn open_terminal_again(terminal: &File) -> Option<File> {
    if terminal.metadata().ok()?.rdev() == libc::makedev(5, 0) {
        return None;
    }
    let path = format!("/proc/self/fd/{}", terminal.as_raw_fd());
    let flags = libc::O_NOCTTY | libc::O_NONBLOCK;
    let again = File::options()
        .read(true)
        .custom_flags(flags)
        .open(path)
        .ok()?;
    is_same_file(&again, terminal).then_some(again)
}

/// Locks a file, by the description that is open here, unless it is locked by another one. Returns whether it is ours.
///
/// # Errors
///
/// Any other error of flock(2).
pub fn try_lock(file: &File) -> io::Result<bool> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Ok(false),
        locked => Ok(locked.map(|()| true)?),
    }
}

/// Undoes [`try_lock`].
///
/// # Errors
///
/// Any error of flock(2).
pub fn unlock(file: &File) -> io::Result<()> {
    Ok(rustix::fs::flock(file, FlockOperation::Unlock)?)
}

/// Whether a file is a pipe, or a socket that shells use as one.
///
/// # Errors
///
/// Any error of fstat(2).
pub fn is_pipe(file: &File) -> io::Result<bool> {
    let kind = file.metadata()?.file_type();
    Ok(kind.is_fifo() || kind.is_socket())
}

/// Puts a descriptor in the place of standard input (0), output (1) or error (2), which the command inherits.
///
/// # Errors
///
/// Any error of dup2(2).
pub fn put_in_place(descriptor: &OwnedFd, of: RawFd) -> io::Result<()> {
    let put = match of {
        0 => rustix::stdio::dup2_stdin,
        1 => rustix::stdio::dup2_stdout,
        2 => rustix::stdio::dup2_stderr,
        _ => return Err(io::ErrorKind::InvalidInput.into()),
    };
    Ok(put(descriptor)?)
}

/// Has a pipe hold as much as an unprivileged user may ask for.
///
/// # Errors
///
/// `EPERM` if the user's pipes hold too much already (pipe(7)); any other error of fcntl(2). The pipe is as it was then.
pub fn enlarge(pipe: &PipeWriter) -> io::Result<()> {
    rustix::pipe::fcntl_setpipe_size(pipe, 1024 * 1024)?;
    Ok(())
}

/// Flags for opening a terminal such that reading does not wait, and that it does not become ours (open(2)).
pub const NOT_WAITING: libc::c_int = libc::O_NONBLOCK | libc::O_NOCTTY;

/// Has reading from a descriptor fail with [`io::ErrorKind::WouldBlock`] where it would wait.
///
/// # Errors
///
/// Any error of fcntl(2).
pub fn set_nonblocking(descriptor: BorrowedFd<'_>) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(descriptor)?;
    Ok(rustix::fs::fcntl_setfl(
        descriptor,
        flags | OFlags::NONBLOCK,
    )?)
}

/// A descriptor that is readable once the process, a child that was not waited for, has ended (pidfd_open(2)).
///
/// # Errors
///
/// Any error of the call; `ENOSYS` on Linux before 5.3.
pub fn end_of(process: Pid) -> io::Result<OwnedFd> {
    let process = Process::from_raw(process).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::pidfd_open(process, PidfdFlags::empty())?)
}
