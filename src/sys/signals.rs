//! Signals: masks, dispositions, sending, waiting for them.

use std::ffi::c_int;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Instant;

use crate::sys::persisting::persist;
use crate::sys::processes::{Pid, id};

/// Whether a signal is ignored.
pub fn is_ignored(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: `action` is writable memory of the type that sigaction fills; no new disposition is given.
    let told = unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) } == 0;
    // SAFETY: sigaction returned success, so it has filled all of `action`.
    told && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_IGN
}

/// What a process does with a signal without a handler.
#[derive(Clone, Copy)]
enum Disposition {
    Default,
    Ignored,
}

fn set_disposition(signal: c_int, disposition: Disposition) -> io::Result<()> {
    let disposition = match disposition {
        Disposition::Default => libc::SIG_DFL,
        Disposition::Ignored => libc::SIG_IGN,
    };
    // SAFETY: the disposition is SIG_IGN or SIG_DFL, so no handler of ours can run.
    match unsafe { libc::signal(signal, disposition) } {
        libc::SIG_ERR => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// The result of a call that returns 0 if it has done what it was asked for.
fn checked(returned: libc::c_long) -> io::Result<()> {
    match returned {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Gives SIGSEGV and SIGBUS their default disposition. The Rust runtime handles them such that the first one that
/// somebody sends is lost.
///
/// # Errors
///
/// Any error of sigaction(2).
pub(super) fn restore_faults() -> io::Result<()> {
    for fault in [libc::SIGSEGV, libc::SIGBUS] {
        if !is_ignored(fault) {
            set_disposition(fault, Disposition::Default)?;
        }
    }
    Ok(())
}

/// Gives one of [`OF_WRITING`] a handler under which writing fails as if it were ignored, and the signal ends us if another
/// process sent it. execve(2) makes it the default again.
///
/// # Errors
///
/// Any error of sigaction(2).
pub(super) fn handle_failed_writing(signal: c_int) -> io::Result<()> {
    handle(signal, end_unless_own)
}

/// What the kernel sends in our own name when we write to a pipe that nobody reads, or make a file larger than the limit,
/// be it one in memory.
const OF_WRITING: [c_int; 2] = [libc::SIGPIPE, libc::SIGXFSZ];

/// As PID 1, which the kernel keeps from dying by a signal: ends on each of those that would end any other
/// process, until execve(2) makes them the default again.
///
/// # Errors
///
/// Any error of sigaction(2).
pub fn end_by_signals() -> io::Result<()> {
    let real_time = libc::SIGRTMIN()..=libc::SIGRTMAX();
    for signal in ENDING.into_iter().chain(real_time) {
        if !is_ignored(signal) {
            handle(signal, end_unless_own)?;
        }
    }
    Ok(())
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

fn handle(signal: c_int, handler: Handler) -> io::Result<()> {
    // SAFETY: `sigaction` is a plain structure for which all zeros is valid: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = handler as libc::sighandler_t;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
    // SAFETY: `action` is live, and its handler, of the type that SA_SIGINFO asks for, only makes calls
    // that are safe in handlers.
    checked(unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) }.into())
}

extern "C" fn end_unless_own(
    signal: c_int,
    info: *const libc::siginfo_t,
    _context: *const libc::c_void,
) {
    // SAFETY: the kernel passes a live siginfo_t.
    let info = unsafe { &*info };
    // SAFETY: whatever the code, the sender's place is readable; it is compared only.
    let sender = unsafe { info.si_pid() };
    let is_own = info.si_code == libc::SI_USER && sender == id();
    if !(OF_WRITING.contains(&signal) && is_own) {
        // If it does not kill us, we end all the same.
        let _ = die_by(signal);
        // SAFETY: _exit ends the process without running anything of ours.
        unsafe { libc::_exit(128 + signal) };
    }
}

/// Sends `signal` to the process `target`, or to a group.
///
/// # Errors
///
/// `ESRCH` if it is gone already, `EPERM` if it has become another user's; any other error of kill(2).
pub fn send(target: Pid, signal: c_int) -> io::Result<()> {
    // SAFETY: kill takes integers and touches no memory. That of rustix takes no signals of real time.
    checked(unsafe { libc::kill(target, signal) }.into())
}

/// The same for a signal on which something waits: one that is refused is sent again.
///
/// # Errors
///
/// As above; `ESRCH` at once, any other error if it lasts.
pub fn send_surely(target: Pid, signal: c_int) -> io::Result<()> {
    let sent = persist(|| match send(target, signal) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(Err(error)),
        sent => sent.map(Ok),
    });
    sent?
}

/// A set of signals as the kernel has it: bit N-1 stands for signal N.
///
/// The C library's own sets leave out the two signals that it uses itself, and the command must find
/// even these as the caller had them. So the system calls are made directly.
#[derive(Clone, Copy)]
pub struct SignalSet(pub(super) u64);

impl SignalSet {
    /// Every signal there is.
    pub const ALL: SignalSet = SignalSet(!0);

    /// Those that a process sends to all of a job, and that neither stop nor continue it: HUP, INT, QUIT, USR1, USR2, ALRM,
    /// TERM and WINCH.
    pub const FOR_JOBS: SignalSet = SignalSet(
        1 << (libc::SIGHUP - 1)
            | 1 << (libc::SIGINT - 1)
            | 1 << (libc::SIGQUIT - 1)
            | 1 << (libc::SIGUSR1 - 1)
            | 1 << (libc::SIGUSR2 - 1)
            | 1 << (libc::SIGALRM - 1)
            | 1 << (libc::SIGTERM - 1)
            | 1 << (libc::SIGWINCH - 1),
    );

    /// Whether a signal is one of them.
    pub fn contains(self, signal: c_int) -> bool {
        self.0 & SignalSet::of(&[signal]).0 != 0
    }

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
    ///
    /// # Errors
    ///
    /// Any error of rt_sigprocmask(2).
    pub fn set_as_mask(self) -> io::Result<SignalSet> {
        self.change_mask(libc::SIG_SETMASK)
    }

    /// Adds this set to the thread's signal mask and returns the mask before.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn block(self) -> io::Result<SignalSet> {
        self.change_mask(libc::SIG_BLOCK)
    }

    fn change_mask(self, how: c_int) -> io::Result<SignalSet> {
        let (set, mut before) = (self.0, 0u64);
        let (new, old) = (&raw const set, &raw mut before);
        // SAFETY: both pointers are to live 64-bit sets, the size that is passed.
        checked(unsafe {
            libc::syscall(libc::SYS_rt_sigprocmask, how, new, old, size_of::<u64>())
        })?;
        Ok(SignalSet(before))
    }

    /// Waits for one of these signals, which must be blocked, and takes it; `None` when `until` has come.
    ///
    /// # Errors
    ///
    /// Any error of rt_sigtimedwait(2).
    pub fn wait(self, until: Option<Instant>) -> io::Result<Option<Signal>> {
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
                return Ok(Some(Signal { number, info }));
            }
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::WouldBlock => return Ok(None),
                io::ErrorKind::Interrupted => (),
                _ => return Err(error),
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
    ///
    /// # Errors
    ///
    /// Any error of kill(2) and of rt_sigqueueinfo(2): `EAGAIN` if the user has too many signals queued.
    pub fn forward(&self, target: Pid) -> io::Result<()> {
        let has_value = self.info.si_code < 0 && self.info.si_code != libc::SI_TKILL;
        if !has_value || target < 0 {
            return send(target, self.number);
        }
        let info = &raw const self.info;
        // SAFETY: `info` is what the kernel filled for this signal, and outlives the call.
        checked(unsafe { libc::syscall(libc::SYS_rt_sigqueueinfo, target, self.number, info) })
    }
}

/// Stops the process by `signal` until somebody continues it; returns at once where it does not stop.
///
/// # Errors
///
/// Any error of kill(2) and of the calls around it.
pub fn stop_by(signal: c_int) -> io::Result<()> {
    if signal != libc::SIGSTOP {
        set_disposition(signal, Disposition::Default)?;
    }
    send(id(), signal)?;
    let before = SignalSet::all_but(signal).set_as_mask()?;
    before.set_as_mask().map(drop)
}

/// Gives SIGCHLD its default disposition, without which an ended child could not be waited for, and tells whether it
/// was ignored.
///
/// # Errors
///
/// Any error of sigaction(2).
pub fn expect_children() -> io::Result<bool> {
    let ignored = is_ignored(libc::SIGCHLD);
    if ignored {
        set_disposition(libc::SIGCHLD, Disposition::Default)?;
    }
    Ok(ignored)
}

/// Ignores SIGCHLD, as before [`expect_children`].
///
/// # Errors
///
/// Any error of sigaction(2).
pub fn ignore_children() -> io::Result<()> {
    set_disposition(libc::SIGCHLD, Disposition::Ignored)
}

/// Ends the process by `signal`, as a command that was killed by it; returns if the signal does not kill.
///
/// # Errors
///
/// Any error of kill(2) and of the calls around it.
pub fn die_by(signal: c_int) -> io::Result<()> {
    // Of SIGKILL and the signals of the C library it cannot be set, and is the default.
    let _ = set_disposition(signal, Disposition::Default);
    if send_to_this_thread(signal).is_err() {
        send(id(), signal)?;
    }
    SignalSet::all_but(signal).set_as_mask().map(drop)
}

/// One that is sent to the process may be taken by another thread, and this one would go on meanwhile.
fn send_to_this_thread(signal: c_int) -> io::Result<()> {
    // SAFETY: gettid takes nothing and touches no memory.
    let thread = unsafe { libc::gettid() };
    // SAFETY: tgkill takes integers and touches no memory. The C library's own function refuses two signals.
    checked(unsafe { libc::syscall(libc::SYS_tgkill, id(), thread, signal) })
}
