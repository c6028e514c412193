//! System calls: each function wraps one of them, or the few that make one act, behind a safe interface.
//!
//! All `unsafe` code of the program is here and in `locked.rs`.

use std::ffi::{CStr, CString, c_char, c_int};
use std::fs::{File, Permissions};
use std::io::{self, Seek, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU64, Ordering};
use std::time::Instant;

use crate::locked::{self, Locked};

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

// SAFETY: the loader calls the entries of `.init_array` once, before `main` and before any thread, with this signature.
#[unsafe(link_section = ".init_array")]
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
    START.mask.store(mask.0, Ordering::Relaxed);
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

fn is_ignored(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: `action` is writable memory of the type that sigaction fills; no new disposition is given.
    let told = unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) } == 0;
    // SAFETY: sigaction returned success, so it has filled all of `action`.
    told && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

fn set_disposition(signal: c_int, disposition: libc::sighandler_t) {
    // SAFETY: the disposition is SIG_IGN or SIG_DFL, so no handler of ours can run.
    unsafe { libc::signal(signal, disposition) };
}

/// Undoes what the Rust runtime did to signals before `main`: it handles SIGSEGV and SIGBUS such that the
/// first one that somebody sends is lost, and ignores SIGPIPE.
///
/// SIGPIPE gets a handler instead, under which writing to a closed pipe fails as if it were ignored and
/// the signal ends us if another process sent it. execve(2) makes it the default again.
pub fn restore_signals() {
    for fault in [libc::SIGSEGV, libc::SIGBUS] {
        if !is_ignored(fault) {
            set_disposition(fault, libc::SIG_DFL);
        }
    }
    if !START.sigpipe_ignored.load(Ordering::Relaxed) {
        handle(libc::SIGPIPE, end_unless_own);
    }
}

/// As PID 1, which the kernel keeps from dying by a signal: ends on each of those that would end any other
/// process, until execve(2) makes them the default again.
pub fn end_by_signals() {
    let real_time = libc::SIGRTMIN()..=libc::SIGRTMAX();
    for signal in ENDING.into_iter().chain(real_time) {
        if !is_ignored(signal) {
            handle(signal, end_unless_own);
        }
    }
}

/// The signals that end a process unless it says otherwise, without SIGPIPE, those of a fault and those
/// of real time.
const ENDING: [c_int; 15] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGABRT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGTERM,
    libc::SIGSTKFLT,
    libc::SIGXCPU,
    libc::SIGXFSZ,
    libc::SIGVTALRM,
    libc::SIGPROF,
    libc::SIGIO,
    libc::SIGPWR,
];

type Handler = extern "C" fn(c_int, *const libc::siginfo_t, *const libc::c_void);

fn handle(signal: c_int, handler: Handler) {
    // SAFETY: `sigaction` is a plain structure for which all zeros is valid: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = handler as libc::sighandler_t;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
    // SAFETY: `action` is live, and its handler, of the type that SA_SIGINFO asks for, only makes calls
    // that are safe in handlers.
    unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
}

extern "C" fn end_unless_own(
    signal: c_int,
    info: *const libc::siginfo_t,
    _context: *const libc::c_void,
) {
    // SAFETY: the kernel passes a live siginfo_t.
    let info = unsafe { &*info };
    // SAFETY: whatever the code, the sender's place is readable; it is compared only.
    let own = signal == libc::SIGPIPE
        && info.si_code == libc::SI_USER
        && unsafe { info.si_pid() } == id();
    if !own {
        die_by(signal);
        // SAFETY: _exit ends the process without running anything of ours.
        unsafe { libc::_exit(128 + signal) };
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

    /// The value of a variable, if it is UTF-8.
    pub fn text(&self, name: &str) -> Option<String> {
        let value = self.entries().find_map(|entry| value_of(entry, name))?;
        String::from_utf8(value.to_vec()).ok()
    }

    /// Moves every entry of the given names into locked memory, each with its final NUL, and overwrites it in place.
    ///
    /// # Errors
    ///
    /// Those of [`Locked::with_capacity`].
    pub fn extract(&mut self, names: &[&str]) -> io::Result<Locked> {
        let is_named = |entry: &CStr| names.iter().any(|name| value_of(entry, name).is_some());
        let size = self
            .entries()
            .filter(|entry| is_named(entry))
            .map(|entry| entry.count_bytes() + 1)
            .sum();
        let mut extracted = Locked::with_capacity(size)?;
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

/// The value of an entry of the environment, if it has the given name.
pub fn value_of<'a>(entry: &'a CStr, name: &str) -> Option<&'a [u8]> {
    entry
        .to_bytes()
        .strip_prefix(name.as_bytes())?
        .strip_prefix(b"=")
}

/// Overwrites the process's arguments in place, all but the name it was started by.
fn wipe_arguments() {
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

/// An open descriptor that the caller of the program named by its number. Reading is not buffered.
pub struct Descriptor(RawFd);

impl Descriptor {
    /// Refers to descriptor `number`, whether it is open or not.
    pub fn numbered(number: RawFd) -> Self {
        Descriptor(number)
    }
}

impl io::Read for Descriptor {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // SAFETY: pointer and length are those of a live exclusive slice.
        let read = unsafe { libc::read(self.0, buffer.as_mut_ptr().cast(), buffer.len()) };
        usize::try_from(read).map_err(|_| io::Error::last_os_error())
    }
}

impl Drop for Descriptor {
    /// Closes the descriptor, so that the command cannot read the key again; standard ones stay open.
    fn drop(&mut self) {
        if self.0 > libc::STDERR_FILENO {
            // SAFETY: the caller handed this descriptor to us by number; nothing of ours owns it.
            unsafe { libc::close(self.0) };
        }
    }
}

/// Opens a file below a directory for reading; a symbolic link that leads out of it is refused by the kernel.
///
/// # Errors
///
/// [`io::ErrorKind::CrossesDevices`] if the path leads out of the directory,
/// [`io::ErrorKind::Unsupported`] where there is no openat2(2) (Linux before 5.6, old filters of
/// containers), any other error of it.
pub fn open_beneath(directory: &File, path: &Path) -> io::Result<File> {
    let path = CString::new(path.as_os_str().as_encoded_bytes())?;
    // SAFETY: `open_how` is a plain structure of integers for which all zeros is valid.
    let mut how: libc::open_how = unsafe { MaybeUninit::zeroed().assume_init() };
    how.flags = (libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY) as u64;
    how.resolve = libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS;
    // SAFETY: the path is NUL-terminated, `how` is of the size given, and both outlive the call.
    let opened = unsafe {
        libc::syscall(
            libc::SYS_openat2,
            directory.as_raw_fd(),
            path.as_ptr(),
            &raw const how,
            size_of_val(&how),
        )
    };
    if opened < 0 {
        let error = io::Error::last_os_error();
        // A filter says EPERM, which the call itself never does for reading.
        return match error.raw_os_error() {
            Some(libc::EPERM) => Err(io::ErrorKind::Unsupported.into()),
            _ => Err(error),
        };
    }
    // SAFETY: the kernel has just given us this descriptor, and nothing else owns it.
    Ok(unsafe { File::from_raw_fd(opened as RawFd) })
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

/// Forgets what the caller gave us and only the command needs: arguments, environment, descriptors and
/// their contents. Standard descriptors are closed too, since who waits for the end of a pipe must not
/// wait for us.
pub fn forget_caller() {
    wipe_arguments();
    Environ::take().wipe();
    // SAFETY: the supervisor owns no descriptor and uses none from here on.
    unsafe { libc::close_range(0, libc::c_uint::MAX, 0) };
    release_program();
}

/// Gives back the pages of program and libraries that are only read: most of them served the start, and
/// those that are needed come back from the file.
fn release_program() {
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
    // SAFETY: getpgrp has no arguments and cannot fail.
    unsafe { libc::getpgrp() }
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
/// time that either goes on; the one that comes second fails, which is no harm.
pub fn set_group(process: Pid) {
    // SAFETY: setpgid takes integers and touches no memory.
    unsafe { libc::setpgid(process, process) };
}

/// Makes us the parent of all descendants that lose theirs.
pub fn adopt_orphans() {
    // SAFETY: prctl with PR_SET_CHILD_SUBREAPER takes an integer and touches no memory.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
}

/// Has the kernel send us `signal` when our parent dies, also after execve(2).
pub fn die_with_parent(signal: c_int) {
    // SAFETY: prctl with PR_SET_PDEATHSIG takes an integer and touches no memory.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal, 0, 0, 0) };
}

/// The foreground process group of a terminal: 0, as for [`group`], if it is none of our PID namespace.
pub fn foreground_group(terminal: &File) -> Option<Pid> {
    // SAFETY: tcgetpgrp takes a descriptor that is open for the call.
    let group = unsafe { libc::tcgetpgrp(terminal.as_raw_fd()) };
    (group >= 0).then_some(group)
}

/// Makes a process group of our session the foreground group of its terminal.
pub fn set_foreground_group(terminal: &File, group: Pid) {
    // SAFETY: tcsetpgrp takes a descriptor that is open for the call, and an integer.
    unsafe { libc::tcsetpgrp(terminal.as_raw_fd(), group) };
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
fn parent_of(process: Pid) -> Option<Pid> {
    let status = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    status
        .rsplit_once(')')?
        .1
        .split_whitespace()
        .nth(1)?
        .parse()
        .ok()
}

/// Sends `signal` to the process `target`; that it is gone already is not an error.
pub fn send(target: Pid, signal: c_int) {
    // SAFETY: kill takes integers and touches no memory.
    unsafe { libc::kill(target, signal) };
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

/// A set of signals as the kernel has it: bit N-1 stands for signal N.
///
/// The C library's own sets leave out the two signals that it uses itself, and the command must find
/// even these as the caller had them. So the system calls are made directly.
#[derive(Clone, Copy)]
pub struct SignalSet(u64);

impl SignalSet {
    /// Every signal there is.
    pub const ALL: SignalSet = SignalSet(!0);

    /// The given signals.
    pub fn of(signals: &[c_int]) -> Self {
        SignalSet(
            signals
                .iter()
                .fold(0, |set, signal| set | 1 << (signal - 1)),
        )
    }

    /// The signals that end or stop a process unless it says otherwise, without those of a fault of its
    /// own, and without those that stop it because it is in the background.
    pub fn ending_or_stopping() -> Self {
        const OTHERS: [c_int; 13] = [
            libc::SIGILL,
            libc::SIGTRAP,
            libc::SIGBUS,
            libc::SIGFPE,
            libc::SIGKILL,
            libc::SIGSEGV,
            libc::SIGCHLD,
            libc::SIGCONT,
            libc::SIGSTOP,
            libc::SIGTTIN,
            libc::SIGTTOU,
            libc::SIGURG,
            libc::SIGWINCH,
        ];
        SignalSet::ALL.without(SignalSet::of(&OTHERS))
    }

    /// This set without the signals of another one.
    pub fn without(self, other: SignalSet) -> Self {
        SignalSet(self.0 & !other.0)
    }

    /// Every signal but the given one.
    fn all_but(signal: c_int) -> Self {
        SignalSet(!(1 << (signal - 1)))
    }

    /// Makes this set the thread's signal mask and returns the one before.
    pub fn set_as_mask(self) -> SignalSet {
        self.change_mask(libc::SIG_SETMASK)
    }

    /// Adds this set to the thread's signal mask and returns the mask before.
    pub fn block(self) -> SignalSet {
        self.change_mask(libc::SIG_BLOCK)
    }

    fn change_mask(self, how: c_int) -> SignalSet {
        let (set, mut before) = (self.0, 0u64);
        let (new, old) = (&raw const set, &raw mut before);
        // SAFETY: both pointers are to live 64-bit sets, the size that is passed.
        unsafe { libc::syscall(libc::SYS_rt_sigprocmask, how, new, old, size_of::<u64>()) };
        SignalSet(before)
    }

    /// Waits for one of these signals, which must be blocked, and takes it; `None` when `until` has come.
    pub fn wait(self, until: Option<Instant>) -> Option<Signal> {
        loop {
            let remaining = until.map(|until| until.saturating_duration_since(Instant::now()));
            let timeout = remaining.map(|remaining| libc::timespec {
                tv_sec: remaining.as_secs().try_into().unwrap_or(libc::time_t::MAX),
                tv_nsec: remaining.subsec_nanos().into(),
            });
            let timeout = timeout.as_ref().map_or(ptr::null(), ptr::from_ref);
            let mut info = MaybeUninit::<libc::siginfo_t>::uninit();
            let set = &raw const self.0;
            // SAFETY: `set` is a live set of the size that is passed, `timeout` is null or live, and
            // `info` is writable memory of the type that the call fills.
            let number = unsafe {
                let call = libc::SYS_rt_sigtimedwait;
                libc::syscall(call, set, info.as_mut_ptr(), timeout, size_of::<u64>())
            };
            if let Ok(number @ 1..) = c_int::try_from(number) {
                // SAFETY: the call returned a signal, so it has filled `info`.
                let info = unsafe { info.assume_init() };
                return Some(Signal { number, info });
            }
            if io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock {
                return None;
            }
        }
    }

    /// A descriptor that is readable while one of these signals, which must be blocked, is pending.
    ///
    /// # Errors
    ///
    /// Any error of signalfd(2).
    pub fn descriptor(self) -> io::Result<OwnedFd> {
        let set = &raw const self.0;
        let flags = libc::SFD_CLOEXEC;
        // SAFETY: `set` is a live set of the size that is passed.
        let made = unsafe { libc::syscall(libc::SYS_signalfd4, -1, set, size_of::<u64>(), flags) };
        match RawFd::try_from(made) {
            // SAFETY: the kernel has just given us this descriptor, and nothing else owns it.
            Ok(descriptor @ 0..) => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// A signal that was taken with [`SignalSet::wait`].
pub struct Signal {
    /// Its number.
    pub number: c_int,
    info: libc::siginfo_t,
}

impl Signal {
    /// Whether the kernel sent it, as it does for the terminal's keys, and not a process.
    pub fn is_from_kernel(&self) -> bool {
        self.info.si_code > 0
    }

    /// The process that sent it, where a process did.
    pub fn sender(&self) -> Option<Pid> {
        let by_process = matches!(
            self.info.si_code,
            libc::SI_USER | libc::SI_QUEUE | libc::SI_TKILL
        );
        // SAFETY: for these codes the kernel fills the sender's ID.
        by_process.then(|| unsafe { self.info.si_pid() })
    }
}

impl Signal {
    /// Sends it on, with the value that came with it if it was queued with one (sigqueue(3)). A process
    /// group gets it without a value.
    pub fn forward(&self, target: Pid) {
        let has_value = self.info.si_code < 0 && self.info.si_code != libc::SI_TKILL;
        if !has_value || target < 0 {
            return send(target, self.number);
        }
        let info = &raw const self.info;
        // SAFETY: `info` is what the kernel filled for this signal, and outlives the call.
        unsafe { libc::syscall(libc::SYS_rt_sigqueueinfo, target, self.number, info) };
    }
}

/// The signal mask that the process was started with.
pub fn initial_mask() -> SignalSet {
    SignalSet(START.mask.load(Ordering::Relaxed))
}

/// Stops the process by `signal` until somebody continues it; returns at once where it does not stop.
pub fn stop_by(signal: c_int) {
    if signal != libc::SIGSTOP {
        set_disposition(signal, libc::SIG_DFL);
    }
    send(id(), signal);
    let before = SignalSet::all_but(signal).set_as_mask();
    before.set_as_mask();
}

/// Gives SIGCHLD its default disposition, without which an ended child could not be waited for, and tells whether it
/// was ignored.
pub fn expect_children() -> bool {
    let ignored = is_ignored(libc::SIGCHLD);
    if ignored {
        set_disposition(libc::SIGCHLD, libc::SIG_DFL);
    }
    ignored
}

/// Ignores SIGCHLD, as before [`expect_children`].
pub fn ignore_children() {
    set_disposition(libc::SIGCHLD, libc::SIG_IGN);
}

/// Ends the process by `signal`, as a command that was killed by it; returns if the signal does not kill.
pub fn die_by(signal: c_int) {
    set_disposition(signal, libc::SIG_DFL);
    send(id(), signal);
    SignalSet::all_but(signal).set_as_mask();
}

/// Waits until one of the descriptors is readable, and tells which are.
///
/// # Errors
///
/// Any error of poll(2).
pub fn wait_readable<const N: usize>(descriptors: [BorrowedFd<'_>; N]) -> io::Result<[bool; N]> {
    let mut polled = descriptors.map(|fd| libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    });
    // SAFETY: pointer and length are those of a live exclusive array.
    if unsafe { libc::poll(polled.as_mut_ptr(), N as libc::nfds_t, -1) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(polled.map(|entry| entry.revents != 0))
}

/// The settings of a terminal, restored when dropped.
pub struct TerminalMode<'a> {
    terminal: &'a File,
    before: libc::termios,
}

impl<'a> TerminalMode<'a> {
    /// Turns echo off; what was typed before is discarded.
    ///
    /// # Errors
    ///
    /// `ENOTTY` if it is not a terminal; any other error of tcgetattr(3) and tcsetattr(3).
    pub fn without_echo(terminal: &'a File) -> io::Result<Self> {
        let mut before = MaybeUninit::<libc::termios>::uninit();
        // SAFETY: `before` is writable memory of the type that tcgetattr fills.
        if unsafe { libc::tcgetattr(terminal.as_raw_fd(), before.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: tcgetattr returned success, so it has filled all of `before`.
        let before = unsafe { before.assume_init() };
        let mut silent = before;
        silent.c_lflag &= !(libc::ECHO | libc::ECHOE | libc::ECHOK | libc::ECHONL);
        silent.c_lflag |= libc::ICANON | libc::ISIG;
        // SAFETY: `silent` is an initialised termios that outlives the call.
        if unsafe { libc::tcsetattr(terminal.as_raw_fd(), libc::TCSAFLUSH, &raw const silent) } != 0
        {
            return Err(io::Error::last_os_error());
        }
        Ok(TerminalMode { terminal, before })
    }
}

impl Drop for TerminalMode<'_> {
    fn drop(&mut self) {
        // SAFETY: `before` is what tcgetattr filled.
        unsafe {
            libc::tcsetattr(
                self.terminal.as_raw_fd(),
                libc::TCSADRAIN,
                &raw const self.before,
            )
        };
    }
}

/// The largest total size in bytes of arguments and environment that execve(2) takes, pointers included.
pub fn argument_limit() -> usize {
    // SAFETY: sysconf only reads a limit of the process.
    let limit = unsafe { libc::sysconf(libc::_SC_ARG_MAX) };
    usize::try_from(limit).unwrap_or(128 * 1024)
}

/// Becomes `command`, looked up in `PATH` as execvp(3) does, with exactly the given environment; returns only on failure.
///
/// Standard descriptors are first put back to what they were when the process started.
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
    // SAFETY: both arrays end with a null pointer and hold NUL-terminated strings that outlive the call.
    unsafe { libc::execvpe(file.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
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
