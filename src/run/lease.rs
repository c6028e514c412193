//! The right to change the settings of a terminal, which one of our runs has at a time: what it puts back is what was there
//! before any of us changed it.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use crate::sys;

/// The lease of a terminal. The front and the filter have it together.
pub struct Lease {
    /// The terminal once more, by a description of our own, to lock. Without one (no `/proc`, another user's terminal),
    /// every run takes itself for the only one.
    lock: Option<File>,
    /// Whether we have it.
    taken: &'static AtomicU32,
    /// Whether one of us is about to change settings.
    busy: &'static AtomicU32,
}

/// How often, and how long each time, a process waits for the other one, which may have been killed.
const ATTEMPTS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(1);

impl Lease {
    /// That of the terminal which is one of our streams.
    ///
    /// # Errors
    ///
    /// Any error of mmap(2).
    pub fn of(stream: &File) -> io::Result<Self> {
        let [taken, busy] = sys::share_words()?;
        Ok(Lease {
            lock: sys::open_terminal_again(stream),
            taken,
            busy,
        })
    }

    /// The descriptor that is needed.
    pub fn descriptor(&self) -> Option<RawFd> {
        self.lock.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Takes it, unless another run has it. Returns whether we have it now.
    pub fn take(&self) -> bool {
        // A lock that cannot be had for another reason keeps nobody from anything.
        let lock = self.lock.as_ref();
        let is_ours = self.is_taken() || lock.is_none_or(|it| sys::try_lock(it).unwrap_or(true));
        if is_ours {
            self.assume();
        }
        is_ours
    }

    /// Takes it without the lock.
    pub fn assume(&self) {
        self.taken.store(1, Ordering::SeqCst);
    }

    /// Whether we have it.
    pub fn is_taken(&self) -> bool {
        self.taken.load(Ordering::SeqCst) != 0
    }

    /// Changes settings if we have it, while the other process does not.
    pub fn change(&self, change: impl FnOnce()) {
        self.exclusively(|| {
            if self.is_taken() {
                change();
            }
        });
    }

    /// The same for the last time, and gives it back.
    pub fn end(&self, change: impl FnOnce()) {
        self.exclusively(|| {
            if self.taken.swap(0, Ordering::SeqCst) != 0 {
                change();
                // The end of all processes that have the description open ends it too.
                let _ = self.lock.as_ref().map(sys::unlock);
            }
        });
    }

    fn exclusively(&self, act: impl FnOnce()) {
        let enter = || {
            let entered = Ordering::SeqCst;
            let change = self.busy.compare_exchange(0, 1, entered, entered);
            change.is_ok()
        };
        for _ in 0..ATTEMPTS {
            if enter() {
                break;
            }
            thread::park_timeout(PAUSE);
        }
        act();
        self.busy.store(0, Ordering::SeqCst);
    }
}
