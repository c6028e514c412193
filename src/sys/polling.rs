//! Waiting for descriptors, with ppoll(2).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::time::Duration;

use crate::sys::persisting::persist;

/// What a descriptor is waited for.
#[derive(Clone, Copy)]
pub enum Interest {
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
/// Any error of ppoll(2) that lasts. After another one the whole time is waited for again.
pub fn wait_for_events<const N: usize>(
    events: [Option<(BorrowedFd<'_>, Interest)>; N],
    patience: Option<Duration>,
) -> io::Result<[bool; N]> {
    // That of rustix has no way to leave an entry out.
    let mut polled = events.map(|event| libc::pollfd {
        fd: event.map_or(-1, |(descriptor, _)| descriptor.as_raw_fd()),
        events: match event {
            Some((_, Interest::Readable)) => libc::POLLIN,
            Some((_, Interest::Writable)) => libc::POLLOUT,
            Some((_, Interest::Broken)) | None => 0,
        },
        revents: 0,
    });
    let timeout = patience.map(|patience| libc::timespec {
        tv_sec: patience.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: patience.subsec_nanos().into(),
    });
    let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
    let (first, count) = (polled.as_mut_ptr(), N as libc::nfds_t);
    // Neither a signal that nobody handles nor a kernel that is short of memory for a moment is a reason to lose what comes.
    persist(|| {
        // SAFETY: pointer and length are those of a live exclusive array, and `timeout` is null or live.
        match unsafe { libc::ppoll(first, count, timeout, ptr::null()) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    })?;
    Ok(polled.map(|entry| entry.revents != 0))
}

/// Waits until one of the descriptors is readable, and tells which are.
///
/// # Errors
///
/// Any error of ppoll(2).
pub fn wait_readable<const N: usize>(descriptors: [BorrowedFd<'_>; N]) -> io::Result<[bool; N]> {
    wait_for_events(descriptors.map(|fd| Some((fd, Interest::Readable))), None)
}
