//! What the threads of the filter know together.

#![forbid(unsafe_code)]

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::error::FAILED;
use crate::run::messages::{Channel, FilterNews, Nothing};
use crate::run::redact::{Patterns, Redactor};
use crate::run::stand_in::Screen;
use crate::sys::{self, Interest};

/// How far all streams are, and what is looked for.
pub struct Progress {
    /// Those that may still hold what the command wrote.
    pending: AtomicUsize,
    /// To the process in front, which waits for this.
    reporter: Channel<FilterNews, Nothing>,
    screen: Option<Mutex<Screen>>,
    has_begun: AtomicBool,
    patterns: Mutex<Arc<Patterns>>,
}

impl Progress {
    /// So many streams have begun, in which nothing is looked for yet.
    pub fn of(
        streams: usize,
        reporter: Channel<FilterNews, Nothing>,
        screen: Option<Screen>,
        none: Arc<Patterns>,
    ) -> Self {
        Progress {
            pending: AtomicUsize::new(streams),
            reporter,
            screen: screen.map(Mutex::new),
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
            let screen = screen.lock().unwrap_or_else(PoisonError::into_inner);
            if screen.is_for_command() {
                screen.make_raw();
            }
            drop(screen);
            self.report(FilterNews::NeedsTerminal);
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

    /// All that the command wrote to a stream is through, or the stream has ended. After the last one the process in front
    /// is told.
    pub fn is_through(&self) {
        if self.pending.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.report(FilterNews::AllWritten);
        }
    }

    /// What is [`Interest::Broken`] when the process in front is gone.
    pub fn front(&self) -> BorrowedFd<'_> {
        self.reporter.as_fd()
    }

    /// The process in front is gone. If it had no time to put the terminal back, we do.
    pub fn front_is_gone(&self) {
        if let Some(screen) = &self.screen
            && self.pending.load(Ordering::SeqCst) > 0
        {
            let mut screen = screen.lock().unwrap_or_else(PoisonError::into_inner);
            screen.put_back();
        }
    }

    fn report(&self, news: FilterNews) {
        if self.reporter.send(news).is_ok() {
            return;
        }
        let front = Some((self.front(), Interest::Broken));
        let is_gone = sys::wait_for_events([front], Some(Duration::ZERO));
        if !matches!(is_gone, Ok([true])) {
            // It would wait for ever. Our end tells it.
            std::process::exit(FAILED.into());
        }
    }
}
