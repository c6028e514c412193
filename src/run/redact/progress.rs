//! What the threads of the filter know together.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::run::front::Screen;
use crate::run::redact::{Patterns, Redactor};
use crate::sys::signal_names::MESSAGE;
use crate::sys::{self, Pid};

/// What the filter tells the process in front, as the value of a signal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// The command, or who asks for a key before it, is about to need the terminal.
    Begin = 1,
    /// All that the command wrote is through.
    Through,
}

/// How far all streams are, and what is looked for.
pub struct Progress {
    /// Those that may still hold what the command wrote.
    pending: AtomicUsize,
    /// Those that somebody may still write to.
    open: AtomicUsize,
    /// The process in front, which waits for this.
    supervisor: Pid,
    screen: Option<Screen>,
    has_begun: AtomicBool,
    patterns: Mutex<Arc<Patterns>>,
}

impl Progress {
    /// So many streams have begun, in which nothing is looked for yet, and `supervisor` waits for them.
    pub fn of(
        streams: usize,
        supervisor: Pid,
        screen: Option<Screen>,
        none: Arc<Patterns>,
    ) -> Self {
        Progress {
            pending: AtomicUsize::new(streams),
            open: AtomicUsize::new(streams),
            supervisor,
            screen,
            has_begun: AtomicBool::new(false),
            patterns: Mutex::new(none),
        }
    }

    /// The terminal is needed from now on. Its settings are made before anything is shown on it.
    pub fn begin(&self) {
        let Some(screen) = &self.screen else {
            return;
        };
        if !self.has_begun.swap(true, Ordering::SeqCst) {
            if screen.is_for_command() {
                screen.make_raw();
            }
            self.tell(Word::Begin);
        }
    }

    /// Looks for something else from now on.
    pub fn set(&self, patterns: Arc<Patterns>) {
        *self.patterns.lock().unwrap_or_else(PoisonError::into_inner) = patterns;
    }

    /// What is to be looked for, if it is not what the redactor looks for.
    pub fn news_for(&self, redactor: &Redactor) -> Option<Arc<Patterns>> {
        let patterns = self.patterns.lock().unwrap_or_else(PoisonError::into_inner);
        (!redactor.knows(&patterns)).then(|| Arc::clone(&patterns))
    }

    /// All that the command wrote to a stream is through. After the last one the supervisor is told, unless no stream is
    /// open any more: then our own end tells it.
    pub fn is_through(&self) {
        let is_last = self.pending.fetch_sub(1, Ordering::SeqCst) == 1;
        if is_last && self.open.load(Ordering::SeqCst) > 0 {
            self.tell(Word::Through);
        }
    }

    /// A stream has ended, and its command with it if that was not told before.
    pub fn has_ended(&self, with_command: bool) {
        self.open.fetch_sub(1, Ordering::SeqCst);
        if with_command {
            self.is_through();
        }
    }

    fn tell(&self, word: Word) {
        if sys::parent() == self.supervisor {
            // It may be gone since.
            let _ = sys::tell(self.supervisor, MESSAGE, word as i32);
        }
    }
}
