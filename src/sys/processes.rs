//! Processes: who we are, where we stand among others, and what becomes of our children.

use std::ffi::c_int;
use std::io;

use rustix::io::Errno;
use rustix::process::{WaitOptions, WaitStatus};

use crate::sys::persisting::persist;

/// A process, or with a minus sign a process group.
pub type Pid = libc::pid_t;

/// The first process of a PID namespace.
pub const INIT: Pid = 1;

/// The process ID of this process.
pub fn id() -> Pid {
    std::process::id() as Pid
}

/// The user and the group that this process acts for.
pub fn user() -> (u32, u32) {
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    (user.as_raw(), group.as_raw())
}

/// The process ID of the parent.
pub fn parent() -> Pid {
    std::os::unix::process::parent_id() as Pid
}

/// The process group that we are in: 0 if it is none of our PID namespace. The calls of rustix take it for granted that a
/// group or session has a number, which it has in its own PID namespace only.
///
/// # Errors
///
/// Any error of getpgid(2), which only a filter of system calls makes fail.
pub fn group() -> io::Result<Pid> {
    group_of(0)
}

fn group_of(process: Pid) -> io::Result<Pid> {
    // SAFETY: getpgid takes an integer and touches no memory.
    known(unsafe { libc::getpgid(process) })
}

/// The session that we are in, or 0 as for [`group`].
///
/// # Errors
///
/// Any error of getsid(2), as above.
pub(super) fn session() -> io::Result<Pid> {
    session_of(0)
}

fn session_of(process: Pid) -> io::Result<Pid> {
    // SAFETY: getsid takes an integer and touches no memory.
    known(unsafe { libc::getsid(process) })
}

fn known(returned: Pid) -> io::Result<Pid> {
    match returned {
        -1 => Err(io::Error::last_os_error()),
        number => Ok(number),
    }
}

/// Whether a process is in our process group. One that has ended counts as one that is.
pub fn is_in_our_group(process: Pid) -> bool {
    is_same(group_of(process), group())
}

/// The same about our session.
pub fn is_in_our_session(process: Pid) -> bool {
    is_same(session_of(process), session())
}

fn is_same(one: io::Result<Pid>, other: io::Result<Pid>) -> bool {
    match (one, other) {
        (Ok(one), Ok(other)) => one == other,
        _ => true,
    }
}

/// Whether we are the leader of our process group.
///
/// # Errors
///
/// Those of [`group`].
pub fn leads_group() -> io::Result<bool> {
    Ok(group()? == id())
}

/// Whether we are the leader of our session.
pub fn leads_session() -> bool {
    session().is_ok_and(|session| session == id())
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
    let (Ok(session), Ok(group)) = (session(), group()) else {
        return false;
    };
    let mut ancestor = parent();
    while ancestor > 0 && session_of(ancestor).ok() == Some(session) {
        if group_of(ancestor).ok() != Some(group) {
            return true;
        }
        ancestor = parent_of(ancestor).unwrap_or(0);
    }
    false
}

/// The parent of any process, as /proc tells it.
pub fn parent_of(process: Pid) -> Option<Pid> {
    stat_of(process, PARENT)
}

/// Whether our session has a controlling terminal, as /proc tells it, where that cannot be opened.
pub fn has_terminal() -> Option<bool> {
    stat_of(id(), TERMINAL).map(|number| number != 0)
}

/// Fields of `/proc/PID/stat` (proc(5)), counted from behind the name, which may hold anything.
const PARENT: usize = 1;
const TERMINAL: usize = 4;

fn stat_of(process: Pid, field: usize) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(field)?.parse().ok()
}

/// Whether there may be a process of this ID, be it one that has ended and was not waited for: only the kernel's word for it
/// says that there is none.
pub fn may_exist(process: Pid) -> bool {
    let process = rustix::process::Pid::from_raw(process);
    process.is_some_and(|process| rustix::process::test_kill_process(process) != Err(Errno::SRCH))
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

/// What happened to one child of which nobody was told yet, whichever it is; `None` if nothing did, or there is no child.
///
/// # Errors
///
/// Any other error of wait4(2), which lasts: that a child has ended would not be known without it, so it was tried again.
pub fn reap() -> io::Result<Option<(Pid, Change)>> {
    let options = WaitOptions::NOHANG | WaitOptions::UNTRACED;
    let changed = persist(|| match rustix::process::wait(options) {
        Err(Errno::CHILD) => Ok(None),
        changed => Ok(changed?),
    })?;
    Ok(changed.map(|(child, status)| (child.as_raw_pid(), Change::of(status))))
}
