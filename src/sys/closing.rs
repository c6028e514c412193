//! Closing descriptors that nobody here owns: those that we inherited for the command.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, RawFd};

use crate::sys::protection::get_limit;

/// As many descriptors are closed one by one, which takes some 100 milliseconds; a limit that is higher is none.
const MAX_COUNT: RawFd = 1 << 20;

/// Closes all descriptors but `kept`. Whoever owns a descriptor in this process names it to be kept.
///
/// Where close_range(2) is missing (Linux before 5.9) or refused (old filters of containers), `/proc` tells which
/// descriptors there are; without it, all are closed that the limit on their number allows.
///
/// # Errors
///
/// If none of these can be done. Some descriptors may be closed then.
pub fn close_all_but(kept: &mut [RawFd]) -> io::Result<()> {
    kept.sort_unstable();
    if close_ranges(kept).is_ok() {
        return Ok(());
    }
    let numbers = open_descriptors().or_else(|_| possible_descriptors())?;
    for number in numbers {
        if kept.binary_search(&number).is_err() {
            // SAFETY: whoever owns a descriptor in this process has named it to be kept. That there is none of this
            // number is no harm, and after any other error it is closed too (close(2)).
            unsafe { libc::close(number) };
        }
    }
    Ok(())
}

/// Checks that `close_all_but` will work.
///
/// # Errors
///
/// The one that it would end with.
pub fn check_closing() -> io::Result<()> {
    close_range(RawFd::MAX, RawFd::MAX)
        .or_else(|_| open_descriptors().map(drop))
        .or_else(|_| possible_descriptors().map(drop))
}

/// Closes what lies between the kept ones, which are sorted.
fn close_ranges(kept: &[RawFd]) -> io::Result<()> {
    let mut first = 0;
    for kept in kept.iter().chain([&RawFd::MAX]) {
        if first < *kept {
            close_range(first, *kept - 1)?;
        }
        first = kept.saturating_add(1);
    }
    Ok(())
}

fn close_range(first: RawFd, last: RawFd) -> io::Result<()> {
    // SAFETY: whoever owns a descriptor in this process has named it to be kept.
    match unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Where there is an entry for each open descriptor.
const DESCRIPTORS: &str = "/proc/self/fd";

/// The descriptors that are open, as `/proc` tells them. One that was opened just before is among them: without it, what
/// is there is not what it seems.
fn open_descriptors() -> io::Result<Vec<RawFd>> {
    let own = File::open(DESCRIPTORS)?;
    let entries = fs::read_dir(DESCRIPTORS)?;
    let number = |entry: io::Result<fs::DirEntry>| {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.parse().ok());
        number.ok_or(io::Error::from(io::ErrorKind::InvalidData))
    };
    let numbers = entries.map(number).collect::<io::Result<Vec<RawFd>>>()?;
    if !numbers.contains(&own.as_raw_fd()) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(numbers)
}

/// The descriptors that there can be. The limit may have been lowered since some were opened, but the hard one seldom is.
fn possible_descriptors() -> io::Result<Vec<RawFd>> {
    let limit = get_limit(libc::RLIMIT_NOFILE)?.rlim_max;
    match RawFd::try_from(limit) {
        Ok(limit) if limit <= MAX_COUNT => Ok((0..limit).collect()),
        _ => Err(io::Error::other(
            "no way to close the descriptors that were inherited",
        )),
    }
}
