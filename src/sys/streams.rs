//! What stands between a command and the places that it writes to, and waiting for them.

use std::fs::File;
use std::io::{self, PipeWriter};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::ptr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::sys::{Pid, START, checked};

/// A second descriptor of standard input (0), output (1) or error (2); `None` if it was closed when the process started.
///
/// # Errors
///
/// Any error of dup(2).
pub fn standard_stream(number: RawFd) -> io::Result<Option<OwnedFd>> {
    if START.closed[number as usize].load(Ordering::Relaxed) {
        return Ok(None);
    }
    // SAFETY: the descriptor was open at the start, and nothing of ours closes it.
    let stream = unsafe { BorrowedFd::borrow_raw(number) };
    stream.try_clone_to_owned().map(Some)
}

/// Whether two descriptors write to the same pipe, socket, terminal or file.
pub fn is_same_file(one: &File, other: &File) -> bool {
    let identity = |file: &File| file.metadata().map(|it| (it.dev(), it.ino())).ok();
    identity(one) == identity(other)
}

/// Whether a file is a pipe, or a socket that shells use as one.
pub fn is_pipe(file: &File) -> bool {
    file.metadata()
        .is_ok_and(|it| it.file_type().is_fifo() || it.file_type().is_socket())
}

/// Puts a descriptor in the place of another one, which the command inherits.
///
/// # Errors
///
/// Any error of dup2(2).
pub fn put_in_place(descriptor: &OwnedFd, of: RawFd) -> io::Result<()> {
    // SAFETY: dup2 takes integers; what is replaced is a standard descriptor, which nothing of ours owns.
    match unsafe { libc::dup2(descriptor.as_raw_fd(), of) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Has a pipe hold as much as an unprivileged user may ask for (pipe(7)).
///
/// # Errors
///
/// Any error of fcntl(2): `EPERM` if the user has too many large pipes.
pub fn enlarge(pipe: &PipeWriter) -> io::Result<()> {
    // SAFETY: fcntl with F_SETPIPE_SZ takes integers and touches no memory.
    match unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_SETPIPE_SZ, 1024 * 1024) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Flags for opening a terminal such that reading does not wait, and that it does not become ours (open(2)).
pub const NOT_WAITING: libc::c_int = libc::O_NONBLOCK | libc::O_NOCTTY;

/// Has reading from a descriptor fail with [`io::ErrorKind::WouldBlock`] where it would wait.
///
/// # Errors
///
/// Any error of fcntl(2).
pub fn set_nonblocking(descriptor: BorrowedFd<'_>) -> io::Result<()> {
    let descriptor = descriptor.as_raw_fd();
    // SAFETY: fcntl with F_GETFL takes integers and touches no memory.
    let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFL) };
    if flags == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: fcntl with F_SETFL takes integers and touches no memory.
    checked(unsafe { libc::fcntl(descriptor, libc::F_SETFL, flags | libc::O_NONBLOCK) })
}

/// A descriptor that is readable once the process, a child that was not waited for, has ended (pidfd_open(2)).
///
/// # Errors
///
/// Any error of the call; `ENOSYS` on Linux before 5.3.
pub fn end_of(process: Pid) -> io::Result<OwnedFd> {
    // SAFETY: the call takes integers and touches no memory.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, process, 0) })
}

/// The descriptor that a call has returned.
pub(super) fn owned(made: libc::c_long) -> io::Result<OwnedFd> {
    match RawFd::try_from(made) {
        // SAFETY: the kernel has just given us this descriptor, and nothing else owns it.
        Ok(descriptor @ 0..) => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What a descriptor is waited for.
#[derive(Clone, Copy)]
pub enum Event {
    /// Something can be read, or nothing will ever be.
    Readable,
    /// Something can be written, or nothing can ever be.
    Writable,
    /// Nobody reads any more what is written.
    Broken,
}

/// Waits for one of the events, and tells which have come; none if `patience` is over.
///
/// # Errors
///
/// Any error of ppoll(2).
pub fn wait_for_events<const N: usize>(
    events: [Option<(BorrowedFd<'_>, Event)>; N],
    patience: Option<Duration>,
) -> io::Result<[bool; N]> {
    let mut polled = events.map(|event| libc::pollfd {
        fd: event.map_or(-1, |(descriptor, _)| descriptor.as_raw_fd()),
        events: match event {
            Some((_, Event::Readable)) => libc::POLLIN,
            Some((_, Event::Writable)) => libc::POLLOUT,
            Some((_, Event::Broken)) | None => 0,
        },
        revents: 0,
    });
    let timeout = patience.map(|patience| libc::timespec {
        tv_sec: patience.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: patience.subsec_nanos().into(),
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    let (first, count) = (polled.as_mut_ptr(), N as libc::nfds_t);
    // SAFETY: pointer and length are those of a live exclusive array, and `timeout` is null or live.
    if unsafe { libc::ppoll(first, count, timeout, ptr::null()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(polled.map(|entry| entry.revents != 0))
}
