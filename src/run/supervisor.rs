//! The waiting parent: it forwards signals, reaps, and ends as the command did.

#![forbid(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::error::FAILED;
use crate::run::attending::CommandParent;
use crate::run::job::{Job, mirror};
use crate::run::messages::{Channel, FilterNews, Nothing};
use crate::run::waiting::{Awaited, Waiting, Wake};
use crate::sys::signal_names::{
    SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH,
};
use crate::sys::{self, Change, Interest, Pid, Signal};

/// The waiting parent.
pub struct Supervisor {
    job: Job,
    filter: FilterReports,
    waiting: Waiting,
}

impl Supervisor {
    /// The parent of a command, which waits for what the filter reports too, if there is one.
    pub fn of(job: Job, filter: FilterReports, waiting: Waiting) -> Self {
        Supervisor {
            job,
            filter,
            waiting,
        }
    }

    /// A key that has ended the command would have reached all of our group; and who has asked for the terminal meanwhile was
    /// stopped.
    fn tell_neighbours(&self, end: Change) {
        // Whoever may not be told is not.
        if let Change::Killed(signal @ (SIGINT | SIGQUIT)) = end {
            let _ = sys::send(0, signal);
        }
        let _ = sys::send(0, SIGCONT);
    }

    /// Forgets all that the caller gave us, passes signals on until the command has ended and all that it wrote is passed
    /// on, and ends as it did.
    pub fn run(mut self) -> ExitCode {
        let descriptors = self.filter.descriptor().into_iter();
        let descriptors = descriptors.chain(self.waiting.descriptor());
        if sys::forget_caller(&mut descriptors.collect::<Vec<_>>()).is_err() {
            self.job.kill();
            return ExitCode::from(FAILED);
        }
        let end = self.wait_for_command();
        if self.job.was_lent() {
            self.tell_neighbours(end);
        }
        self.filter.wait_for_rest(&mut self.waiting);
        self.filter.mirror(end)
    }
}

impl CommandParent for Supervisor {
    fn job(&mut self) -> &mut Job {
        &mut self.job
    }

    fn next(&mut self) -> Wake {
        let until = self.job.due_at();
        if self.job.is_beginning() {
            return self.waiting.next_of_children(until);
        }
        let events: Awaited<'_> = [self.filter.event(), None, None, None];
        self.waiting.next(until, events)
    }

    fn take_messages(&mut self) {
        self.filter.receive_all();
    }

    fn do_what_is_due(&mut self) {
        self.job.kill_if_due();
    }

    /// Stops like the command, so that the shell that started us takes over, where there is one. Where there is none, the
    /// kernel lets no key stop the command either, unless it is in a group of its own.
    ///
    /// It may have asked for the terminal only, and we may lend it. Who has it is the only one whom its keys stop: then the
    /// others in our group are told by us.
    fn command_has_stopped(&mut self, signal: i32) {
        if matches!(signal, SIGTTIN | SIGTTOU) && self.job.lend_terminal() {
            self.job.send_to_group(SIGCONT);
        } else if sys::id() != sys::INIT && sys::can_be_continued() {
            let had_terminal = self.job.take_terminal_back();
            if had_terminal && matches!(signal, SIGTSTP | SIGTTIN | SIGTTOU) {
                // Whoever may not be told is not.
                let _ = sys::send(0, signal);
            }
            // If we cannot stop, we are continued already.
            let _ = sys::stop_by(signal);
        } else if signal == SIGTSTP && self.job.has_own_group() {
            self.job.send_to_group(SIGCONT);
        }
    }

    /// The kernel has sent the terminal's signals to the command too, if it is in our group still; only the hangup, and
    /// what continues those that it finds stopped, goes to the session's leader alone, and the hangup is none of a command
    /// that has a session of its own. What the command and those behind it send us is not sent back.
    fn is_for_command(&self, signal: &Signal) -> bool {
        if !signal.is_from_kernel() {
            let sender = signal.sender();
            // What we send to our neighbours is not for the command.
            let is_own = self.job.has_own_group()
                && sender == Some(sys::id())
                && matches!(
                    signal.number,
                    SIGINT | SIGQUIT | SIGTSTP | SIGTTIN | SIGTTOU | SIGCONT
                );
            return !is_own && !self.job.is_ours(sender);
        }
        match signal.number {
            SIGCHLD => false,
            SIGHUP => sys::leads_session() || self.job.is_apart() && self.job.is_in_our_session(),
            SIGCONT => sys::leads_session() || self.job.is_apart(),
            SIGINT | SIGQUIT | SIGTSTP | SIGWINCH | SIGTTIN | SIGTTOU => self.job.is_apart(),
            _ => true,
        }
    }

    fn forward(&mut self, signal: &Signal) {
        if signal.number == SIGCONT {
            self.job.hand_terminal_over();
        }
        self.job.forward(signal);
    }
}

/// How long it may be between two processes of a group being told of the same signal.
const RECENT: Duration = Duration::from_millis(100);

/// What the filter beside the command reports to the process that waits for it, until it has nothing more to report or
/// there is none.
pub struct FilterReports {
    channel: Option<Channel<Nothing, FilterNews>>,
    has_lost: bool,
    /// The last signal for all of our group, with its sender and the time.
    witnessed: Option<(i32, Pid, Instant)>,
}

impl FilterReports {
    /// Those of no filter.
    pub fn none() -> Self {
        FilterReports {
            channel: None,
            has_lost: false,
            witnessed: None,
        }
    }

    /// Those over a channel.
    pub fn over(channel: Channel<Nothing, FilterNews>) -> Self {
        FilterReports {
            channel: Some(channel),
            has_lost: false,
            witnessed: None,
        }
    }

    /// The descriptor that is needed.
    pub fn descriptor(&self) -> Option<RawFd> {
        let channel = self.channel.as_ref();
        channel.map(|channel| channel.as_fd().as_raw_fd())
    }

    /// What is to be waited for.
    pub fn event(&self) -> Option<(BorrowedFd<'_>, Interest)> {
        let channel = self.channel.as_ref();
        channel.map(|channel| (channel.as_fd(), Interest::Readable))
    }

    /// Whether there may be more.
    pub fn are_open(&self) -> bool {
        self.channel.is_some()
    }

    /// Takes what has come; returns whether the terminal is needed. After the last, and when the filter is gone, nothing
    /// more comes.
    pub fn receive_all(&mut self) -> bool {
        let mut needs_terminal = false;
        while let Some(channel) = &self.channel {
            match channel.receive() {
                Ok(Some(FilterNews::NeedsTerminal)) => needs_terminal = true,
                Ok(Some(FilterNews::OutputLost)) => self.has_lost = true,
                Ok(Some(FilterNews::Witnessed { signal, sender })) => {
                    self.witnessed = Some((signal, sender, Instant::now()));
                }
                Ok(Some(FilterNews::AllWritten)) | Err(_) => self.channel = None,
                Ok(None) => break,
            }
        }
        needs_terminal
    }

    /// Takes note that a signal has come which the filter has seen too, so that it was for all of our group; `false` if the
    /// filter has not.
    pub fn take_witnessed(&mut self, signal: &Signal) -> bool {
        let is_same = |(number, sender, at): &(i32, Pid, Instant)| {
            let is_recent = at.elapsed() < RECENT;
            is_recent && (*number, Some(*sender)) == (signal.number, signal.sender())
        };
        self.witnessed
            .take_if(|witnessed| is_same(witnessed))
            .is_some()
    }

    /// Waits until all is written that the command wrote before its end. A signal that would have ended the command ends
    /// the wait.
    pub fn wait_for_rest(&mut self, waiting: &mut Waiting) {
        self.receive_all();
        while self.are_open() {
            // Orphans need no more than this.
            while matches!(sys::reap(), Ok(Some(_))) {}
            match waiting.next(None, [self.event(), None, None, None]) {
                Wake::Signal(signal) if ends_waiting(&signal) => return,
                Wake::Signal(_) | Wake::Due => (),
                Wake::Ready(_) => drop(self.receive_all()),
            }
        }
    }

    /// Ends as the command did, unless some of its output is lost and its status says nothing of that.
    pub fn mirror(&self, end: Change) -> ExitCode {
        if self.has_lost && end == Change::Exited(0) {
            ExitCode::from(FAILED)
        } else {
            mirror(end)
        }
    }
}

fn ends_waiting(signal: &Signal) -> bool {
    matches!(signal.number, SIGTERM | SIGINT | SIGHUP | SIGQUIT)
}
