//! What the threads of the filter know together.

#![forbid(unsafe_code)]

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use crate::error::{Error, FAILED};
use crate::report::{Report, Verbosity};
use crate::run::messages::{Channel, FilterNews, Nothing};
use crate::run::redact::{Patterns, Redactor};
use crate::run::stand_in::Screen;
use crate::sys::{self, Interest, Signal};

/// How long the place for messages is kept open for those of the other streams, at the most.
const PATIENCE: Duration = Duration::from_millis(100);

/// Where a stream comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum StreamOrigin {
    Pipe,
    /// A pseudo-terminal for writing only.
    Terminal,
    /// The terminal that stands in for ours.
    StandIn,
}

/// How far all streams are, and what is looked for.
pub struct Progress {
    /// Those that may still hold what the command wrote.
    pending: AtomicUsize,
    /// Notified, with the lock held, whenever there is one less of them.
    fewer: (Mutex<()>, Condvar),
    /// To the process in front, which waits for this.
    reporter: Channel<FilterNews, Nothing>,
    screen: Mutex<Option<Screen>>,
    has_begun: AtomicBool,
    patterns: Mutex<Option<Arc<Patterns>>>,
    /// Where standard error goes, for as long as its stream does.
    messages: Weak<File>,
    /// Why output is lost, if some is.
    lost: Mutex<Option<String>>,
}

impl Progress {
    /// So many streams have begun, in which nothing is looked for yet. Messages belong where standard error goes.
    pub fn of(
        streams: usize,
        messages: Weak<File>,
        reporter: Channel<FilterNews, Nothing>,
        screen: Option<Screen>,
    ) -> Self {
        Progress {
            pending: AtomicUsize::new(streams),
            fewer: Default::default(),
            reporter,
            screen: Mutex::new(screen),
            has_begun: AtomicBool::new(false),
            patterns: Mutex::new(None),
            messages,
            lost: Mutex::new(None),
        }
    }

    /// The terminal is needed from now on. Its settings are made before anything is shown on it.
    pub fn begin(&self) {
        let screen = self.screen();
        let Some(screen) = &*screen else {
            return;
        };
        if !self.has_begun.swap(true, Ordering::SeqCst) {
            screen.begin_to_show();
            self.report(FilterNews::NeedsTerminal);
        }
    }

    fn screen(&self) -> MutexGuard<'_, Option<Screen>> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes ready what is to be shown on the terminal that we stand in for.
    pub fn fit(&self, shown: &mut Vec<u8>) {
        if let Some(screen) = &*self.screen() {
            screen.fit(shown);
        }
    }

    /// Something is about to be written elsewhere, which may be shown on that terminal by another program.
    pub fn follow(&self) {
        if let Some(screen) = &*self.screen() {
            screen.follow();
        }
    }

    /// Nothing is shown on that terminal any more. If it is gone, nobody keeps the one that stands in for it.
    pub fn close_screen(&self) {
        let mut screen = self.screen();
        if screen.as_ref().is_some_and(Screen::is_gone) {
            *screen = None;
        }
    }

    /// Somebody has sent a signal to all of our process group.
    pub fn witness(&self, signal: &Signal) {
        if let Some(sender) = signal.sender() {
            self.report(FilterNews::Witnessed {
                signal: signal.number,
                sender,
            });
        }
    }

    /// Looks for something else from now on.
    ///
    /// # Errors
    ///
    /// Why output is lost, if some is: the command is not to be started then.
    pub fn set(&self, patterns: Arc<Patterns>) -> Result<(), String> {
        let lost = self.lost();
        match &*lost {
            Some(reason) => return Err(reason.clone()),
            None => *self.patterns() = Some(patterns),
        }
        drop(lost);
        self.begin();
        Ok(())
    }

    fn patterns(&self) -> MutexGuard<'_, Option<Arc<Patterns>>> {
        self.patterns.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be looked for, if it is not what the redactor looks for.
    pub fn news_for(&self, redactor: &Redactor) -> Option<Arc<Patterns>> {
        let patterns = self.patterns();
        let patterns = patterns.as_ref();
        let news = patterns.filter(|patterns| !redactor.knows(patterns));
        news.cloned()
    }

    /// Some output is lost: the process in front is told, and the user why, where messages go.
    ///
    /// Before there is a command, that is said by the process which is to become it and does not. Only what that one says
    /// on a terminal which stands in for ours is lost as well.
    pub fn output_is_lost(&self, reason: &str, origin: StreamOrigin) {
        let mut lost = self.lost();
        let has_command = self.patterns().is_some();
        let is_known = lost.replace(reason.to_owned()).is_some();
        drop(lost);
        if is_known || !has_command && origin != StreamOrigin::StandIn {
            return;
        }
        if let Some(messages) = self.messages.upgrade() {
            let lost = Error::OutputLost {
                reason: reason.to_owned(),
            };
            Report::new("dotenv-run", Verbosity::Quiet).error_to(&*messages, &lost);
        }
        self.report(FilterNews::OutputLost);
    }

    fn lost(&self) -> MutexGuard<'_, Option<String>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows as it is what comes out of the terminal that stands in for ours, until the end of all who could write there.
    /// There is no filter, and without one the process that holds the secrets becomes no command and only says so.
    pub fn show_messages(&self) {
        self.begin();
        if let Some(screen) = &*self.screen() {
            screen.show_output();
        }
    }

    /// All that the command wrote to a stream is through, or the stream has ended. After the last one the process in front
    /// is told.
    pub fn is_through(&self) {
        if self.pending.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.report(FilterNews::AllWritten);
        }
        let _lock = self.fewer.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.fewer.1.notify_all();
    }

    /// Waits a moment for the other streams, if messages go to `output` and it is about to be closed: what the command
    /// wrote to another one just before its end may be lost. `own` says whether this stream itself is still pending.
    pub fn keep_for_messages(&self, output: &Arc<File>, own: bool) {
        if self.messages.as_ptr() != Arc::as_ptr(output) {
            return;
        }
        let (lock, fewer) = &self.fewer;
        let lock = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let others = |(): &mut ()| self.pending.load(Ordering::SeqCst) > usize::from(own);
        // The time is over, or the others are through: it is closed either way.
        let _ = fewer.wait_timeout_while(lock, PATIENCE, others);
    }

    /// What is [`Interest::Broken`] when the process in front is gone.
    pub fn front(&self) -> BorrowedFd<'_> {
        self.reporter.as_fd()
    }

    /// The process in front is gone. If it had no time to put the terminal back, we do.
    pub fn front_is_gone(&self) {
        if let Some(screen) = &mut *self.screen()
            && self.pending.load(Ordering::SeqCst) > 0
        {
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
