//! System calls: each function wraps one of them, or the few that make one act, behind a safe interface.
//!
//! All `unsafe` code of the program is here, in the modules below, and in `locked.rs`.

mod beneath;
mod clock;
mod confine;
pub mod keyring;
pub mod locked;
mod pty;
mod registers;
mod resolver;
mod siblings;
pub mod signal_names;
mod signals;
mod sockets;
mod streams;
mod terminal;
mod waiting;

use std::ffi::{CStr, CString, OsStr, c_char, c_int};
use std::fs::{File, Permissions};
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU64, Ordering};
use std::time::Duration;

use crate::sys::locked::{Locked, NoMemory};

pub use crate::sys::beneath::{DIRECTORY_ONLY, find_at, read_at, target_of};
pub use crate::sys::clock::CalendarTime;
pub use crate::sys::confine::{Duty, confine};
pub use crate::sys::pty::{PseudoTerminal, lead_session_on};
pub use crate::sys::registers::clear_registers;
pub use crate::sys::resolver::use_built_in_resolver;
pub use crate::sys::siblings::{end_child, exists, fork_beside, share, wait_while, wake};
use crate::sys::signals::is_ignored;
pub use crate::sys::signals::{
    Signal, SignalSet, die_by, end_by_signals, expect_children, ignore_children, initial_mask,
    restore_signals, send, stop_by,
};
pub use crate::sys::sockets::send_at_once;
pub use crate::sys::streams::{
    Event, NOT_WAITING, end_of, enlarge, is_pipe, is_same_file, put_in_place, set_nonblocking,
    standard_stream, wait_for_events,
};
pub use crate::sys::terminal::{
    Settings, TerminalMode, copy_size, foreground_group, is_controlling, set_foreground_group,
    wait_readable,
};
pub use crate::sys::waiting::{wait_for_input, write_all};

/// What the process was before the Rust runtime changed it, kept for the command.
struct Start {
    sigpipe_ignored: AtomicBool,
    closed: [AtomicBool; 3],
    argument_count: AtomicI32,
    arguments: AtomicPtr<*mut c_char>,
    mask: AtomicU64,
}

static START: Start = Start {
    sigpipe_ignored: AtomicBool::new(false),
    closed: [const { AtomicBool::new(false) }; 3],
    argument_count: AtomicI32::new(0),
    arguments: AtomicPtr::new(ptr::null_mut()),
    mask: AtomicU64::new(0),
};

// SAFETY: the loader calls the entries of `.preinit_array` once, before `main`, before any thread and before the
// entries of any library, with this signature.
#[unsafe(link_section = ".preinit_array")]
#[used]
static AT_START: extern "C" fn(c_int, *mut *mut c_char, *mut *mut c_char) = at_start;

/// Runs before `main`: makes the process undumpable, and records what the Rust runtime is about to
/// change, the disposition of SIGPIPE and standard descriptors that are closed. As PID 1 it blocks all
/// signals, because the kernel drops those that nobody waits for.
extern "C" fn at_start(count: c_int, arguments: *mut *mut c_char, _environment: *mut *mut c_char) {
    // SAFETY: prctl with PR_SET_DUMPABLE takes an integer and touches no memory.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
    START
        .sigpipe_ignored
        .store(is_ignored(libc::SIGPIPE), Ordering::Relaxed);
    for (descriptor, closed) in (0..).zip(&START.closed) {
        // SAFETY: fcntl with F_GETFD takes integers and touches no memory.
        let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFD) };
        closed.store(flags == -1, Ordering::Relaxed);
    }
    let mask = match id() {
        INIT => SignalSet::ALL.set_as_mask(),
        _ => SignalSet::of(&[]).block(),
    };
    START
        .mask
        .store(mask.map_or(0, |mask| mask.0), Ordering::Relaxed);
    START.argument_count.store(count, Ordering::Relaxed);
    START.arguments.store(arguments, Ordering::Relaxed);
}

/// Standard output without the buffer of the standard library, which would keep a copy of a secret.
///
/// # Errors
///
/// `EBADF` if it was closed when the process started: the Rust runtime has opened /dev/null in its
/// place. Any error of dup(2).
pub fn standard_output() -> io::Result<File> {
    if START.closed[1].load(Ordering::Relaxed) {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    let output = io::stdout().as_fd().try_clone_to_owned()?;
    Ok(output.into())
}

/// Takes over a descriptor that the caller of the program left open and named by its number. The command does not
/// inherit it, unless it is a standard one, of which a copy is taken.
///
/// Only what was there before `main` can be taken over, and only once: all that this process opens is opened such that
/// execve(2) closes it, and what was inherited across an execve(2) is not like that until it has been taken over. To be
/// called before anything is made that the command is to inherit.
///
/// # Errors
///
/// [`io::ErrorKind::NotFound`] if it was closed when the process started; any other error of fcntl(2).
pub fn claim(number: RawFd) -> io::Result<OwnedFd> {
    let standard = usize::try_from(number)
        .ok()
        .and_then(|index| START.closed.get(index));
    if let Some(closed) = standard {
        if closed.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::NotFound.into());
        }
        // SAFETY: fcntl with F_DUPFD_CLOEXEC takes integers and touches no memory.
        let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, libc::STDERR_FILENO + 1) };
        return streams::owned(copy.into());
    }
    // SAFETY: fcntl with F_GETFD takes integers and touches no memory.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    if flags == -1 || flags & libc::FD_CLOEXEC != 0 {
        return Err(io::ErrorKind::NotFound.into());
    }
    // SAFETY: fcntl with F_SETFD takes integers and touches no memory.
    if unsafe { libc::fcntl(number, libc::F_SETFD, flags | libc::FD_CLOEXEC) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is open and was inherited, as its flag said: nothing in this process owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Whether a descriptor is open for writing.
///
/// # Errors
///
/// Any error of fcntl(2).
pub fn is_writable(descriptor: BorrowedFd<'_>) -> io::Result<bool> {
    // SAFETY: fcntl with F_GETFL takes integers and touches no memory.
    match unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_GETFL) } {
        -1 => Err(io::Error::last_os_error()),
        flags => Ok(flags & libc::O_ACCMODE != libc::O_RDONLY),
    }
}

/// The environment that the process was started with, as the kernel laid it out.
pub struct Environ {
    entries: Vec<*mut c_char>,
}

unsafe extern "C" {
    static mut environ: *mut *mut c_char;
}

impl Environ {
    /// Takes the entries in their order.
    pub fn take() -> Self {
        // SAFETY: reading the pointer itself; the process has one thread, so nothing is writing it.
        let mut next = unsafe { environ };
        let mut entries = Vec::new();
        while !next.is_null() {
            // SAFETY: `environ` points to an array of pointers that ends with a null pointer, not passed yet.
            let entry = unsafe { *next };
            if entry.is_null() {
                break;
            }
            entries.push(entry);
            next = next.wrapping_add(1);
        }
        Environ { entries }
    }

    /// The `NAME=value` strings in their order.
    pub fn entries(&self) -> impl Iterator<Item = &CStr> {
        // SAFETY: each entry is a string of the environment block, which lives as long as the process and which
        // only `extract` and `wipe` change, after they have taken it out of `entries`.
        self.entries
            .iter()
            .map(|entry| unsafe { CStr::from_ptr(*entry) })
    }

    /// The value of a variable, where it is.
    pub fn value(&self, name: &str) -> Option<&OsStr> {
        let value = self.entries().find_map(|entry| value_of(entry, name))?;
        Some(OsStr::from_bytes(value))
    }

    /// The value of a variable, if it is UTF-8.
    pub fn text(&self, name: &str) -> Option<String> {
        self.value(name)?.to_str().map(str::to_owned)
    }

    /// Moves every entry of the given names into locked memory, each with its final NUL, and overwrites it in place.
    ///
    /// # Errors
    ///
    /// Those of [`Locked::for_key`].
    pub fn extract(&mut self, names: &[&str]) -> Result<Locked, NoMemory> {
        let is_named = |entry: &CStr| names.iter().any(|name| value_of(entry, name).is_some());
        let size = self
            .entries()
            .filter(|entry| is_named(entry))
            .map(|entry| entry.count_bytes() + 1)
            .sum();
        let mut extracted = Locked::for_key(size)?;
        self.entries.retain(|entry| {
            // SAFETY: as in `entries`; the reference ends before the string is overwritten below.
            let string = unsafe { CStr::from_ptr(*entry) };
            let named = is_named(string);
            if named {
                extracted.push(string.to_bytes_with_nul());
                wipe_string(*entry);
            }
            !named
        });
        Ok(extracted)
    }

    /// Overwrites the whole environment in place.
    fn wipe(self) {
        self.entries.into_iter().for_each(wipe_string);
    }
}

/// The name in a `NAME=value` string; an environment may hold strings without `=` too, which name
/// nothing, and some that are not UTF-8, which no secret is called.
pub fn name_of(entry: &CStr) -> Option<&str> {
    let entry = entry.to_bytes();
    let end = entry.iter().position(|byte| *byte == b'=')?;
    std::str::from_utf8(&entry[..end]).ok()
}

/// The names in `NAME=value` strings.
pub fn names_of<'a>(entries: impl Iterator<Item = &'a CStr>) -> Vec<String> {
    entries.filter_map(name_of).map(str::to_owned).collect()
}

/// The value of an entry of the environment, if it has the given name.
pub fn value_of<'a>(entry: &'a CStr, name: &str) -> Option<&'a [u8]> {
    entry
        .to_bytes()
        .strip_prefix(name.as_bytes())?
        .strip_prefix(b"=")
}

/// Overwrites the process's arguments in place, all but the name it was started by.
pub fn wipe_arguments() {
    let arguments = START.arguments.load(Ordering::Relaxed);
    let count = usize::try_from(START.argument_count.load(Ordering::Relaxed)).unwrap_or(0);
    for index in 1..count {
        // SAFETY: the loader passed `count` valid pointers at `arguments`, which live as long as the process.
        wipe_string(unsafe { *arguments.wrapping_add(index) });
    }
}

/// Overwrites a string of the argument or environment block. Callers hold no reference into it.
fn wipe_string(string: *mut c_char) {
    // SAFETY: the kernel put the string, NUL-terminated, on our writable stack.
    let length = unsafe { libc::strlen(string) };
    // SAFETY: the range is that string without its NUL; no reference to it exists.
    locked::wipe(unsafe { std::slice::from_raw_parts_mut(string.cast(), length) });
}

/// What a call has told of its success.
fn checked(returned: c_int) -> io::Result<()> {
    match returned {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The process ID of this process.
pub fn id() -> Pid {
    // SAFETY: getpid has no arguments and cannot fail.
    unsafe { libc::getpid() }
}

/// A process, or with a minus sign a process group.
pub type Pid = libc::pid_t;

/// The first process of a PID namespace.
pub const INIT: Pid = 1;

/// Which side of a fork(2) the caller is on.
pub enum Fork {
    /// The process that called; the child's ID.
    Parent(Pid),
    /// The new process.
    Child,
}

/// Duplicates the process. It must have a single thread: in the child, locks that another thread held stay taken.
///
/// # Errors
///
/// Any error of fork(2).
pub fn fork() -> io::Result<Fork> {
    // SAFETY: there is one thread, so the child has a consistent heap and may go on like the parent.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        child => Ok(Fork::Parent(child)),
    }
}

/// Forgets what the caller gave us and only the command needs: arguments, environment, and descriptors and
/// their contents, all but those that are to be kept. Standard descriptors are closed too, since who waits
/// for the end of a pipe must not wait for us.
pub fn forget_caller(kept: &mut [RawFd]) {
    wipe_arguments();
    Environ::take().wipe();
    kept.sort_unstable();
    let mut first = 0;
    for kept in kept.iter().chain([&RawFd::MAX]) {
        if first < *kept {
            // SAFETY: whoever owns a descriptor in this process has named it to be kept.
            unsafe { libc::close_range(first as libc::c_uint, *kept as libc::c_uint - 1, 0) };
        }
        first = kept.saturating_add(1);
    }
    release_program();
    clear_registers();
}

/// Gives back the pages of program and libraries that are only read: most of them served the start, and
/// those that are needed come back from the file.
pub fn release_program() {
    // SAFETY: the callback is of the type that is asked for, and there is no data for it.
    unsafe { libc::dl_iterate_phdr(Some(release_object), ptr::null_mut()) };
}

extern "C" fn release_object(
    object: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    _data: *mut libc::c_void,
) -> c_int {
    // SAFETY: the loader passes a live description of an object for the time of the call.
    let object = unsafe { &*object };
    let count = usize::from(object.dlpi_phnum);
    // SAFETY: the headers of a loaded object are an array of this length, as long as it is loaded.
    let headers = unsafe { std::slice::from_raw_parts(object.dlpi_phdr, count) };
    for header in headers {
        if header.p_type != libc::PT_LOAD || header.p_flags & libc::PF_W != 0 {
            continue;
        }
        let start = (object.dlpi_addr + header.p_vaddr) as usize;
        let end = start + header.p_memsz as usize;
        let page = start & !(locked::page_size() - 1);
        let pages = ptr::with_exposed_provenance_mut(page);
        // SAFETY: the segment is mapped from a file and never written, so nothing of it can be lost.
        unsafe { libc::madvise(pages, end - page, libc::MADV_DONTNEED) };
    }
    0
}

/// The process ID of the parent.
pub fn parent() -> Pid {
    // SAFETY: getppid has no arguments and cannot fail.
    unsafe { libc::getppid() }
}

/// The process group that we are in.
pub fn group() -> Pid {
    // SAFETY: getpgid takes an integer; for the caller itself it cannot fail.
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

fn group_of(process: Pid) -> Option<Pid> {
    // SAFETY: getpgid takes an integer and touches no memory.
    let group = unsafe { libc::getpgid(process) };
    (group > 0).then_some(group)
}

/// Puts a process into a group of its own. Parent and child both do it, so that it has happened by the
/// time that either goes on; the parent fails if the child has executed a program by then.
///
/// # Errors
///
/// Any error of setpgid(2).
pub fn set_group(process: Pid) -> io::Result<()> {
    // SAFETY: setpgid takes integers and touches no memory.
    checked(unsafe { libc::setpgid(process, process) })
}

/// Makes us the parent of all descendants that lose theirs.
///
/// # Errors
///
/// Any error of prctl(2).
pub fn adopt_orphans() -> io::Result<()> {
    // SAFETY: prctl with PR_SET_CHILD_SUBREAPER takes an integer and touches no memory.
    checked(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) })
}

/// Has the kernel send us `signal` when our parent dies, also after execve(2).
///
/// # Errors
///
/// Any error of prctl(2).
pub fn die_with_parent(signal: c_int) -> io::Result<()> {
    // SAFETY: prctl with PR_SET_PDEATHSIG takes an integer and touches no memory.
    checked(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal, 0, 0, 0) })
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

/// What happened to one child of which nobody was told yet, whichever it is; `None` if nothing did.
pub fn reap() -> Option<(Pid, Change)> {
    let mut status = 0;
    // SAFETY: `status` is a live integer for waitpid to fill.
    let child = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG | libc::WUNTRACED) };
    if child <= 0 {
        return None;
    }
    let change = if libc::WIFSTOPPED(status) {
        Change::Stopped(libc::WSTOPSIG(status))
    } else if libc::WIFSIGNALED(status) {
        Change::Killed(libc::WTERMSIG(status))
    } else {
        Change::Exited(libc::WEXITSTATUS(status))
    };
    Some((child, change))
}

/// The time since the machine was started, also while it slept (CLOCK_BOOTTIME).
pub fn time_since_start() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a live structure of the type that clock_gettime fills.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The largest total size in bytes of arguments and environment that execve(2) takes, pointers included.
pub fn argument_limit() -> usize {
    // SAFETY: sysconf only reads a limit of the process.
    let limit = unsafe { libc::sysconf(libc::_SC_ARG_MAX) };
    usize::try_from(limit).unwrap_or(128 * 1024)
}

/// Checks that whoever the process acts as may execute a file.
///
/// # Errors
///
/// Any error of faccessat(2).
pub fn check_executable(file: &Path) -> io::Result<()> {
    let file = CString::new(file.as_os_str().as_bytes())?;
    // SAFETY: the name is NUL-terminated and outlives the call, which only reads it.
    match unsafe { libc::faccessat(libc::AT_FDCWD, file.as_ptr(), libc::X_OK, libc::AT_EACCESS) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Becomes `command`, looked up in `PATH` as execvp(3) does, with exactly the given environment; returns only on failure.
///
/// Standard descriptors are first put back to what they were when the process started, and what the work so far left on
/// the stack and in registers is cleared.
pub fn become_command(command: &[CString], environment: &[&CStr]) -> io::Error {
    let Some(file) = command.first() else {
        return io::Error::from(io::ErrorKind::NotFound);
    };
    let arguments: Vec<_> = command
        .iter()
        .map(|argument| argument.as_ptr())
        .chain([ptr::null()])
        .collect();
    let environment: Vec<_> = environment
        .iter()
        .map(|entry| entry.as_ptr())
        .chain([ptr::null()])
        .collect();
    for (descriptor, closed) in (0..).zip(&START.closed) {
        if closed.load(Ordering::Relaxed) {
            // SAFETY: the Rust runtime opened /dev/null here because the descriptor was closed; nothing uses it.
            unsafe { libc::close(descriptor) };
        }
    }
    clear_traces();
    // SAFETY: both arrays end with a null pointer and hold NUL-terminated strings that outlive the call.
    unsafe { libc::execvpe(file.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

/// Clears what functions that have returned left on the stack and in registers.
pub fn clear_traces() {
    locked::clear_stack();
    clear_registers();
}

/// Whether `name` matches a pattern of fnmatch(3).
pub fn matches(pattern: &CStr, name: &CStr) -> bool {
    // SAFETY: both strings are NUL-terminated and outlive the call.
    unsafe { libc::fnmatch(pattern.as_ptr(), name.as_ptr(), 0) == 0 }
}

/// Makes a file that exists in memory only, holds `content`, can be neither changed nor executed, and
/// is inherited by the command (memfd_create(2)).
///
/// # Errors
///
/// Any error of memfd_create(2), write(2), fchmod(2) and fcntl(2).
pub fn sealed_memory_file(content: &[u8]) -> io::Result<OwnedFd> {
    let sealable = libc::MFD_ALLOW_SEALING;
    let mut file = match memory_file(sealable | libc::MFD_NOEXEC_SEAL) {
        // Linux before 6.3 does not know the flag; the mode set below does most of what it does.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => memory_file(sealable)?,
        made => made?,
    };
    file.write_all(content)?;
    file.rewind()?;
    file.set_permissions(Permissions::from_mode(0o444))?;
    let seals = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
    // SAFETY: fcntl with F_ADD_SEALS takes integers and touches no memory.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(file.into())
}

fn memory_file(flags: libc::c_uint) -> io::Result<File> {
    // SAFETY: the name is NUL-terminated and outlives the call.
    let descriptor = unsafe { libc::memfd_create(c"dotenv-run".as_ptr(), flags) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor, and nothing else owns it.
    Ok(unsafe { File::from_raw_fd(descriptor) })
}
