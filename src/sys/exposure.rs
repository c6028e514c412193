//! What other processes of the same user can see of this one: a tracer of it, and all of its memory until its first
//! instruction if its program file is readable.

#![forbid(unsafe_code)]

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;

use crate::sys::start::was_dumpable;

/// The permission of group and others to read a file.
const READABLE: u32 = 0o044;

/// How much of `/proc/self/status` is read, in bytes: one read(2).
const BEGINNING: u64 = 2048;

/// The process that traces this one (ptrace(2)). One outside of our PID namespace is not seen.
///
/// # Errors
///
/// If `/proc` does not tell.
pub fn tracer() -> io::Result<Option<u32>> {
    // The line is far up. Text behind it may be as long as there are groups, and the name above it in any encoding.
    let mut status = Vec::with_capacity(BEGINNING as usize);
    let file = fs::File::open("/proc/self/status")?;
    file.take(BEGINNING).read_to_end(&mut status)?;
    let status = String::from_utf8_lossy(&status);
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("TracerPid:"));
    match line.and_then(|number| number.trim().parse().ok()) {
        Some(0) => Ok(None),
        Some(tracer) => Ok(Some(tracer)),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Whether another process of the same user could read this one between `execve` and its first instruction.
///
/// The kernel makes a process undumpable from the start if its user may not read the program file. Root may read every
/// file; so for root the mode counts by which others could.
pub fn was_exposed() -> bool {
    let is_hidden = || {
        let file = fs::metadata("/proc/self/exe");
        rustix::process::geteuid().is_root() && file.is_ok_and(|file| file.mode() & READABLE == 0)
    };
    was_dumpable() && !is_hidden()
}
