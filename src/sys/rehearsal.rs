//! Making calls ahead of the time when they are needed, while an error can still be reported and nothing depends on them.

use std::io;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{Pid as Process, WaitOptions};

use crate::sys::polling::wait_for_events;
use crate::sys::processes::{group, id, session};
use crate::sys::signals::{SignalSet, send};
use crate::sys::start::StartFailure;

/// Makes each call once that a process in front of a command cannot do without. It has no standard error any more when it
/// makes them in earnest, so a filter of system calls that refuses one (of a container, of a service) must be found now.
///
/// # Errors
///
/// The first call that fails.
pub fn check_waiting() -> Result<(), StartFailure> {
    let nothing = || wait_for_events::<0>([], Some(Duration::ZERO)).map(drop);
    let no_signal = || SignalSet::of(&[]).wait(Some(Instant::now())).map(drop);
    let checks: [(_, &dyn Fn() -> io::Result<()>); 6] = [
        ("wait4", &check_wait),
        ("kill", &|| send(id(), 0)),
        ("rt_sigtimedwait", &no_signal),
        ("ppoll", &nothing),
        ("getpgid", &|| group().map(drop)),
        ("getsid", &|| session().map(drop)),
    ];
    for (call, check) in checks {
        check().map_err(|error| StartFailure { call, error })?;
    }
    Ok(())
}

/// Waits for a process that is no child of ours, so that no end of a child is lost.
fn check_wait() -> io::Result<()> {
    let ourselves = Process::from_raw(id());
    let wait = || rustix::process::waitpid(ourselves, WaitOptions::NOHANG);
    match rustix::io::retry_on_intr(wait) {
        Ok(_) | Err(Errno::CHILD) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
