//! Ending a child.

use std::io;

use rustix::process::WaitOptions;

use crate::sys::processes::Pid;
use crate::sys::signals::send_surely;

/// Kills a child and waits for its end.
///
/// # Errors
///
/// `ECHILD` if it is none, or was waited for; any other error of kill(2) and waitpid(2).
pub fn end_child(child: Pid) -> io::Result<()> {
    send_surely(child, libc::SIGKILL)?;
    let child = rustix::process::Pid::from_raw(child);
    let ended = rustix::io::retry_on_intr(|| {
        rustix::process::waitpid(child, WaitOptions::empty()).map(drop)
    });
    Ok(ended?)
}
