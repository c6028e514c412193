//! Processes: who we are, where we stand among others, and what becomes of our children.

use std::ffi::c_int;
use std::io;

use rustix::process::{WaitOptions, WaitStatus};

/// A process, or with a minus sign a process group.
pub type Pid = libc::pid_t;

/// The first process of a PID namespace.
pub const INIT: Pid = 1;

/// The process ID of this process.
pub fn id() -> Pid {
    std::process::id() as Pid
}

/// The process ID of the parent.
pub fn parent() -> Pid {
    std::os::unix::process::parent_id() as Pid
}

/// The process group that we are in: 0 if it is none of our PID namespace.
pub fn group() -> Pid {
    // SAFETY: getpgid takes an integer and touches no memory; for the caller itself it cannot fail.
    unsafe { libc::getpgid(0) }
}

/// Whether we are the leader of our session.
pub fn leads_session() -> bool {
    session_of(id()) == Some(id())
}

fn session_of(process: Pid) -> Option<Pid> {
    // SAFETY: getsid takes an integer and touches no memory.
    let session = unsafe { libc::getsid(process) };
    (session > 0).then_some(session)
}

/// The calls of rustix take it for granted that a group or session has a number, which it has in its own PID namespace
/// only: here it may be 0.
fn group_of(process: Pid) -> Option<Pid> {
    // SAFETY: getpgid takes an integer and touches no memory.
    let group = unsafe { libc::getpgid(process) };
    (group > 0).then_some(group)
}

/// Puts a process into a group of its own. Parent and child both do it, so that it has happened by the time that either
/// goes on.
///
/// # Errors
///
/// Any error of setpgid(2); `EACCES` or `ESRCH` for the parent if the child has executed a program or ended.
pub fn set_group(process: Pid) -> io::Result<()> {
    let process = rustix::process::Pid::from_raw(process);
    Ok(rustix::process::setpgid(process, process)?)
}

/// Makes us the parent of all descendants that lose theirs.
///
/// # Errors
///
/// Any error of prctl(2).
pub fn adopt_orphans() -> io::Result<()> {
    // Any number but 0 turns it on.
    let on = Some(rustix::process::getpid());
    Ok(rustix::process::set_child_subreaper(on)?)
}

/// Has the kernel send us `signal` when our parent dies, also after execve(2); 0 for none.
///
/// # Errors
///
/// Any error of prctl(2).
pub fn die_with_parent(signal: c_int) -> io::Result<()> {
    // SAFETY: prctl with PR_SET_PDEATHSIG takes an integer and touches no memory.
    match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal, 0, 0, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether anybody could continue us if we stopped: a process above us that is in our session and in
/// another process group, as a shell with job control is. Without one our group is orphaned.
pub fn can_be_continued() -> bool {
    let (session, group) = (session_of(id()), group());
    let mut ancestor = parent();
    while ancestor > 0 && session_of(ancestor) == session {
        if group_of(ancestor) != Some(group) {
            return true;
        }
        ancestor = parent_of(ancestor).unwrap_or(0);
    }
    false
}

/// The parent of any process, as /proc tells it: the fourth field, behind a name that may hold anything.
pub fn parent_of(process: Pid) -> Option<Pid> {
    let status = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    status
        .rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(1)?
        .parse()
        .ok()
}

/// Whether there is a process of this ID, be it one that has ended and was not waited for.
pub fn exists(process: Pid) -> bool {
    let process = rustix::process::Pid::from_raw(process);
    process.is_some_and(|process| rustix::process::test_kill_process(process).is_ok())
}

/// What happened to a child process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It exited with this status.
    Exited(c_int),
    /// This signal killed it.
    Killed(c_int),
    /// This signal stopped it.
    Stopped(c_int),
}

impl Change {
    fn of(status: WaitStatus) -> Self {
        if let Some(signal) = status.stopping_signal() {
            Change::Stopped(signal)
        } else if let Some(signal) = status.terminating_signal() {
            Change::Killed(signal)
        } else {
            Change::Exited(status.exit_status().unwrap_or_default())
        }
    }
}

/// What happened to one child of which nobody was told yet, whichever it is; `None` if nothing did.
pub fn reap() -> Option<(Pid, Change)> {
    let options = WaitOptions::NOHANG | WaitOptions::UNTRACED;
    // The only other error is that there is no child.
    let (child, status) = rustix::io::retry_on_intr(|| rustix::process::wait(options)).ok()??;
    Some((child.as_raw_pid(), Change::of(status)))
}

/// Kills a child and waits for its end.
///
/// # Errors
///
/// `ECHILD` if it is none, or was waited for; any other error of kill(2) and waitpid(2).
pub fn end_child(child: Pid) -> io::Result<()> {
    super::send(child, libc::SIGKILL)?;
    let child = rustix::process::Pid::from_raw(child);
    let ended = rustix::io::retry_on_intr(|| {
        rustix::process::waitpid(child, WaitOptions::empty()).map(drop)
    });
    Ok(ended?)
}
