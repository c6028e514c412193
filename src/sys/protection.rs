//! What protects the memory that secrets lie in, on this machine and for this process.

use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use miniserde::Serialize;
use rustix::mm::MlockAllFlags;

use crate::sys::exposure::was_exposed;
use crate::sys::pages::{Mapping, page_size};

/// What is known of the protection of all buffers.
struct State {
    swap_allowed: AtomicBool,
    /// The bytes that are locked now.
    locked: AtomicUsize,
    /// The most bytes that were locked at a time.
    peak: AtomicUsize,
    any_unlocked: AtomicBool,
    keys_hidden: AtomicBool,
    all_locked: AtomicBool,
}

static STATE: State = State {
    swap_allowed: AtomicBool::new(false),
    locked: AtomicUsize::new(0),
    peak: AtomicUsize::new(0),
    any_unlocked: AtomicBool::new(false),
    keys_hidden: AtomicBool::new(false),
    all_locked: AtomicBool::new(false),
};

/// Accepts from now on that pages which cannot be locked may be written to swap space.
pub fn allow_swap() {
    STATE.swap_allowed.store(true, Ordering::Relaxed);
}

/// Whether pages need not be locked: somebody accepts it, or there is nothing that they could be written to.
pub(super) fn may_be_unlocked() -> bool {
    STATE.swap_allowed.load(Ordering::Relaxed) || !has_swap()
}

/// Records that so many bytes are locked.
pub(super) fn note_locked(size: usize) {
    let now = STATE.locked.fetch_add(size, Ordering::Relaxed) + size;
    STATE.peak.fetch_max(now, Ordering::Relaxed);
}

/// Records that so many bytes are locked no more.
pub(super) fn note_released(size: usize) {
    STATE.locked.fetch_sub(size, Ordering::Relaxed);
}

/// Records that a buffer could not be locked.
pub(super) fn note_unlocked() {
    STATE.any_unlocked.store(true, Ordering::Relaxed);
}

/// Records that a key lies in memory of memfd_secret(2).
pub(super) fn note_hidden() {
    STATE.keys_hidden.store(true, Ordering::Relaxed);
}

/// In a child process: no lock is inherited.
pub(super) fn note_forked() {
    STATE.locked.store(0, Ordering::Relaxed);
}

/// The bytes that are locked now.
pub(super) fn locked() -> usize {
    STATE.locked.load(Ordering::Relaxed)
}

/// Locks all other memory of the process too, page by page as it is used, where no limit can make a later thread or
/// buffer fail for it (mlockall(2)). What exists already is left out where nothing can be swapped out: to lock the
/// pages of the program takes longer than everything else here.
///
/// # Errors
///
/// Any error of mlockall(2). A limit is none.
pub fn lock_everything() -> io::Result<()> {
    if is_limited() {
        return Ok(());
    }
    let mut flags = MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    if has_swap() {
        flags |= MlockAllFlags::CURRENT;
    }
    rustix::mm::mlockall(flags)?;
    STATE.all_locked.store(true, Ordering::Relaxed);
    Ok(())
}

/// Whether the limit on locked memory holds for this process. Whose capability lifts it is not told by the
/// capabilities alone (user_namespaces(7)), so it is tried with one page more than the limit.
fn is_limited() -> bool {
    let Some(limit) = limit() else {
        return false;
    };
    let Some(Ok(trial)) = limit.checked_add(page_size()).map(Mapping::inaccessible) else {
        return true;
    };
    // The pages are not accessible, so none of them is made.
    trial.lock_on_fault().is_err()
}

/// The limit on locked memory in bytes, if there is one; 0 where that cannot be told.
pub(super) fn limit() -> Option<usize> {
    let limit = get_limit(libc::RLIMIT_MEMLOCK).map_or(0, |limit| limit.rlim_cur);
    (limit != libc::RLIM_INFINITY).then(|| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// A limit of the process. That of rustix takes it for granted that the call cannot fail, which a filter may have it do.
///
/// # Errors
///
/// Any error of getrlimit(2).
pub(super) fn get_limit(resource: libc::__rlimit_resource_t) -> io::Result<libc::rlimit> {
    let mut limit = MaybeUninit::<libc::rlimit>::uninit();
    // SAFETY: `limit` is writable memory of exactly the type that getrlimit fills.
    if unsafe { libc::getrlimit(resource, limit.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: getrlimit returned success, so it has filled all of `limit`.
    Ok(unsafe { limit.assume_init() })
}

/// Whether the machine has any swap space; where that cannot be told, it is taken to have some.
fn has_swap() -> bool {
    let mut info = MaybeUninit::uninit();
    // SAFETY: `info` is writable memory of exactly the type that sysinfo fills.
    let told = unsafe { libc::sysinfo(info.as_mut_ptr()) } == 0;
    // SAFETY: sysinfo returned success, so it has filled all of `info`.
    !told || unsafe { info.assume_init() }.totalswap > 0
}

/// How the buffers made so far are protected, and in words for the user.
#[derive(Serialize)]
pub struct Protection {
    /// Whether all of them are locked.
    pub locked: bool,
    /// The most bytes that were locked at a time.
    pub peak: usize,
    /// The limit of the process on locked memory in bytes; `None` where there is none.
    pub limit: Option<usize>,
    /// Whether the machine has swap space.
    pub swap: bool,
    /// Whether keys lie in memory of memfd_secret(2).
    pub keys_hidden: bool,
    /// Whether all other memory of the process is locked too.
    pub all_locked: bool,
    /// Whether other processes of the same user could read this one before its first instruction.
    pub exposed_at_start: bool,
}

impl Protection {
    /// As it is now.
    pub fn now() -> Self {
        let is = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        Protection {
            locked: !is(&STATE.any_unlocked),
            peak: STATE.peak.load(Ordering::Relaxed),
            limit: limit(),
            swap: has_swap(),
            keys_hidden: is(&STATE.keys_hidden),
            all_locked: is(&STATE.all_locked),
            exposed_at_start: was_exposed(),
        }
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.locked {
            write!(
                f,
                "secrets are in locked memory, {} bytes at most",
                self.peak
            )?;
        } else {
            let swap = if self.swap {
                "it may be swapped out (--allow-swap)"
            } else {
                "there is no swap space"
            };
            let limit = self.limit.unwrap_or(usize::MAX);
            write!(
                f,
                "memory for secrets is not locked (limit {limit} bytes); {swap}"
            )?;
        }
        if self.keys_hidden {
            f.write_str("; keys are in memory of memfd_secret(2)")?;
        }
        if self.all_locked {
            f.write_str("; all other memory is locked too")?;
        }
        if self.exposed_at_start {
            f.write_str(
                "; the program file is readable, so other processes of the user could read this one at its start",
            )?;
        }
        Ok(())
    }
}
