//! What happens before `main`: the process becomes undumpable, and what the Rust runtime is about to change is recorded.

use std::ffi::{c_char, c_int};
use std::io;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU64, Ordering};

use rustix::process::DumpableBehavior;

use crate::sys::errno::plain;
use crate::sys::processes::{INIT, id};
use crate::sys::signals::{SignalSet, handle_failed_writing, is_ignored, restore_faults};

/// What the process was before the Rust runtime changed it, kept for the command.
struct Start {
    /// Whether the kernel let processes of the same user read this one.
    was_dumpable: AtomicBool,
    /// The error of making the process undumpable; 0 if there was none.
    dumpable: AtomicI32,
    /// The error of reading the signal mask, or of blocking all signals; 0 if there was none.
    mask_unknown: AtomicI32,
    sigpipe_ignored: AtomicBool,
    closed: [AtomicBool; 3],
    argument_count: AtomicI32,
    arguments: AtomicPtr<*mut c_char>,
    mask: AtomicU64,
}

static START: Start = Start {
    was_dumpable: AtomicBool::new(true),
    dumpable: AtomicI32::new(0),
    mask_unknown: AtomicI32::new(0),
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

/// Runs before `main`, where no error can be reported: they are kept for [`check_start`]. As PID 1 it blocks all signals,
/// because the kernel drops those that nobody waits for.
extern "C" fn at_start(count: c_int, arguments: *mut *mut c_char, _environment: *mut *mut c_char) {
    let before = rustix::process::dumpable_behavior();
    let was_dumpable = !matches!(
        before,
        Ok(DumpableBehavior::NotDumpable | DumpableBehavior::DumpableReadableOnlyByRoot)
    );
    START.was_dumpable.store(was_dumpable, Ordering::Relaxed);
    let undumpable = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
    keep_error(&START.dumpable, undumpable.map_err(io::Error::from));
    START
        .sigpipe_ignored
        .store(is_ignored(libc::SIGPIPE), Ordering::Relaxed);
    for (descriptor, closed) in (0..).zip(&START.closed) {
        // SAFETY: fcntl with F_GETFD takes integers and touches no memory.
        let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFD) };
        // A filter that refuses the call says nothing about the descriptor.
        let is_closed =
            flags == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::EBADF);
        closed.store(is_closed, Ordering::Relaxed);
    }
    let mask = if id() == INIT {
        SignalSet::ALL.set_as_mask()
    } else {
        SignalSet::of(&[]).block()
    };
    let mask = mask.map(|mask| START.mask.store(mask.0, Ordering::Relaxed));
    keep_error(&START.mask_unknown, mask);
    START.argument_count.store(count, Ordering::Relaxed);
    START.arguments.store(arguments, Ordering::Relaxed);
}

fn keep_error(place: &AtomicI32, result: io::Result<()>) {
    let code = result.map_or_else(|error| error.raw_os_error().unwrap_or(libc::EIO), |()| 0);
    place.store(code, Ordering::Relaxed);
}

/// What the process could not do for itself before `main`.
#[derive(Debug, thiserror::Error)]
#[error("{call}: {}", plain(error))]
pub struct StartFailure {
    /// The call that failed, as strace(1) names it.
    pub call: &'static str,
    /// Its error.
    pub error: io::Error,
}

/// Whether the process is undumpable, and its signal mask is known. To be asked before anything secret is read.
///
/// # Errors
///
/// The first call that failed.
pub fn check_start() -> Result<(), StartFailure> {
    let calls = [
        ("prctl(PR_SET_DUMPABLE)", &START.dumpable),
        ("rt_sigprocmask", &START.mask_unknown),
    ];
    for (call, code) in calls {
        match code.load(Ordering::Relaxed) {
            0 => (),
            code => {
                let error = io::Error::from_raw_os_error(code);
                return Err(StartFailure { call, error });
            }
        }
    }
    Ok(())
}

/// Whether the process was dumpable at its first instruction, and so open to others of the same user.
pub(super) fn was_dumpable() -> bool {
    START.was_dumpable.load(Ordering::Relaxed)
}

/// The signal mask that the process was started with.
pub fn initial_mask() -> SignalSet {
    SignalSet(START.mask.load(Ordering::Relaxed))
}

/// Undoes what the Rust runtime did to signals before `main`. SIGPIPE, which it ignores, stays so only if it was. A limit on
/// the size of files must not end us when we make one in memory.
///
/// # Errors
///
/// Any error of sigaction(2).
pub fn restore_signals() -> io::Result<()> {
    restore_faults()?;
    if !START.sigpipe_ignored.load(Ordering::Relaxed) {
        handle_failed_writing(libc::SIGPIPE)?;
    }
    if is_ignored(libc::SIGXFSZ) {
        return Ok(());
    }
    handle_failed_writing(libc::SIGXFSZ)
}

/// Whether standard input (0), output (1) or error (2) was closed when the process started. The Rust runtime has opened
/// `/dev/null` in its place since.
pub(super) fn was_closed(number: usize) -> bool {
    let closed = START.closed.get(number);
    closed.is_some_and(|closed| closed.load(Ordering::Relaxed))
}

/// The arguments that the kernel put on our stack, without the name that the program was started by.
pub(super) fn arguments() -> impl Iterator<Item = *mut c_char> {
    let arguments = START.arguments.load(Ordering::Relaxed);
    let count = usize::try_from(START.argument_count.load(Ordering::Relaxed)).unwrap_or(0);
    (1..count).map(move |index| {
        // SAFETY: the loader passed `count` valid pointers at `arguments`, which live as long as the process.
        unsafe { *arguments.wrapping_add(index) }
    })
}
