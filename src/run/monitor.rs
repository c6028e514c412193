//! The process between the one on the user's terminal and the command, with `--redact` on a terminal: it leads the session
//! of the pseudo-terminal, and does there what a shell does for a job.

#![forbid(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::error::FAILED;
use crate::run::attending::CommandParent;
use crate::run::job::{Job, mirror};
use crate::run::messages::{Channel, Ground, JobNews, Order};
use crate::run::waiting::{Waiting, Wake};
use crate::sys::signal_names::{SIGCHLD, SIGCONT, SIGHUP, SIGPIPE, SIGTSTP, SIGTTIN, SIGTTOU};
use crate::sys::{self, Interest, Pid, Signal};

/// How long the kernel may take to tell us that the process in front has ended, after its end of the line is gone.
const GRACE: Duration = Duration::from_millis(100);

/// The monitor.
pub struct Monitor {
    job: Job,
    /// The process in front of us.
    front: Pid,
    line: Line,
    /// The command's side of the pseudo-terminal, kept so that the terminal is not gone when the command closes it for a
    /// while.
    slave: OwnedFd,
    state: JobState,
    /// Whether the command was last continued to have the terminal.
    is_in_front: bool,
    /// Whether the command was told that its terminal is gone.
    has_hung_up: bool,
    /// The last one in which the command was continued.
    round: u32,
    waiting: Waiting,
}

/// What the process in front of the monitor and the terminal that it stands for leave to it.
pub struct Link {
    /// That process.
    pub front: Pid,
    /// The line to it.
    pub channel: Channel<JobNews, Order>,
    /// The command's side of the pseudo-terminal.
    pub slave: OwnedFd,
}

/// The line to the process in front.
enum Line {
    Open(Channel<JobNews, Order>),
    /// One side has given it up. If the other process has not ended by this time, we hang up.
    Broken {
        hang_up_at: Instant,
    },
    Gone,
}

/// What the command does, as far as the process in front was told.
#[derive(Clone, Copy)]
enum JobState {
    Running,
    /// It was sent SIGTSTP and has not stopped since.
    AskedToStop,
    /// It was stopped by this signal.
    Stopped(i32),
}

impl Monitor {
    /// The monitor of a command.
    pub fn of(job: Job, link: Link, waiting: Waiting) -> Self {
        Monitor {
            job,
            front: link.front,
            line: Line::Open(link.channel),
            slave: link.slave,
            state: JobState::Running,
            is_in_front: false,
            has_hung_up: false,
            round: 0,
            waiting,
        }
    }

    /// Forgets all that the caller gave us, does what the process in front orders until the command has ended, and ends as
    /// it did.
    pub fn run(mut self) -> ExitCode {
        let channel = self.channel().map(|channel| channel.as_fd().as_raw_fd());
        let descriptors = channel.into_iter().chain([self.slave.as_raw_fd()]);
        let descriptors = descriptors.chain(self.waiting.descriptor());
        if sys::forget_caller(&mut descriptors.collect::<Vec<_>>()).is_err() {
            self.job.kill();
            return ExitCode::from(FAILED);
        }
        mirror(self.wait_for_command())
    }

    fn channel(&self) -> Option<&Channel<JobNews, Order>> {
        match &self.line {
            Line::Open(channel) => Some(channel),
            Line::Broken { .. } | Line::Gone => None,
        }
    }

    fn report_stop(&mut self, signal: i32) {
        let round = self.round;
        self.report(JobNews::Stopped { round, signal });
    }

    fn report(&mut self, news: JobNews) {
        let channel = self.channel();
        if channel.is_some_and(|channel| channel.send(news).is_err()) {
            self.lose_front();
        }
    }

    fn lose_front(&mut self) {
        let hang_up_at = Instant::now() + GRACE;
        self.line = Line::Broken { hang_up_at };
    }

    /// Nobody continues the command or types for it any more, as after a hangup. If the process in front has ended, the
    /// kernel has sent us the signal for that.
    fn hang_up(&mut self) {
        self.line = Line::Gone;
        let was_told = std::mem::replace(&mut self.has_hung_up, true);
        if !was_told && sys::parent() == self.front {
            self.job.send_to_group(SIGHUP);
        }
        if let JobState::Stopped(_) = std::mem::replace(&mut self.state, JobState::Running) {
            self.job.send_to_group(SIGCONT);
        }
    }

    /// Sends the command's group a signal.
    fn signal(&mut self, signal: i32) {
        if !self.is_too_late(signal) {
            self.job.send_to_group(signal);
            self.job.was_sent(signal);
        }
    }

    /// Continues the command, and gives it the terminal if it is to be in the foreground.
    fn resume(&mut self, round: u32, ground: Ground) {
        let is_new_round = std::mem::replace(&mut self.round, round) != round;
        if matches!(self.state, JobState::Stopped(SIGTSTP)) && !is_new_round {
            // Sent before the process in front knew, which is about to stop.
            return;
        }
        self.is_in_front = ground == Ground::Foreground;
        if self.is_in_front {
            self.job.hand_terminal_over();
        }
        self.state = JobState::Running;
        self.job.send_to_group(SIGCONT);
        // A key that stops the command would be lost before it was continued.
        if ground == Ground::Foreground {
            self.report(JobNews::InForeground { round });
        }
    }

    /// Takes note of a signal for the command; whether it is one to stop it that comes too late, since it is stopped
    /// already. That one would be dropped when the command is continued, which may be under way.
    fn is_too_late(&mut self, signal: i32) -> bool {
        match (signal, self.state) {
            (SIGCONT, _) => self.state = JobState::Running,
            (SIGTSTP, JobState::Running) => self.state = JobState::AskedToStop,
            (SIGTSTP, JobState::Stopped(by)) => {
                self.state = JobState::Stopped(SIGTSTP);
                if matches!(by, SIGTTIN | SIGTTOU) {
                    self.report_stop(SIGTSTP);
                }
                return true;
            }
            _ => (),
        }
        false
    }
}

impl CommandParent for Monitor {
    fn job(&mut self) -> &mut Job {
        &mut self.job
    }

    fn next(&mut self) -> Wake {
        let until = match self.line {
            Line::Broken { hang_up_at } => Some(hang_up_at),
            Line::Open(_) | Line::Gone => self.job.due_at(),
        };
        if self.job.is_beginning() {
            return self.waiting.next_of_children(until);
        }
        let orders = match &self.line {
            Line::Open(channel) => Some((channel.as_fd(), Interest::Readable)),
            Line::Broken { .. } | Line::Gone => None,
        };
        self.waiting.next(until, [orders, None, None, None])
    }

    /// Does what the process in front has ordered.
    fn take_messages(&mut self) {
        while let Some(channel) = self.channel() {
            match channel.receive() {
                Ok(Some(Order::Signal(signal))) => self.signal(signal),
                Ok(Some(Order::Continue { round, ground })) => self.resume(round, ground),
                Ok(None) => return,
                Err(_) => self.lose_front(),
            }
        }
    }

    fn do_what_is_due(&mut self) {
        match self.line {
            Line::Broken { .. } => self.hang_up(),
            Line::Open(_) | Line::Gone => self.job.kill_if_due(),
        }
    }

    /// Another command than the one that was given the terminal asks for it again.
    fn command_has_stopped(&mut self, signal: i32) {
        let asks = matches!(signal, SIGTTIN | SIGTTOU);
        if asks && self.is_in_front && self.job.lend_terminal() {
            return self.job.send_to_group(SIGCONT);
        }
        self.job.take_terminal_back();
        let signal = match self.state {
            // It may have been stopped by reading right before it was asked to stop.
            JobState::AskedToStop => SIGTSTP,
            JobState::Running | JobState::Stopped(_) => signal,
        };
        self.state = JobState::Stopped(signal);
        self.report_stop(signal);
    }

    /// What the command and those behind it send us is not sent back. The kernel sends us a signal in our own name when
    /// we write to a process that is gone.
    fn is_for_command(&self, signal: &Signal) -> bool {
        if signal.is_from_kernel() {
            return signal.number != SIGCHLD;
        }
        let sender = signal.sender();
        let is_own = signal.number == SIGPIPE && sender == Some(sys::id());
        !is_own && !self.job.is_ours(sender)
    }

    fn forward(&mut self, signal: &Signal) {
        if signal.number == SIGCONT {
            self.job.hand_terminal_over();
        }
        if self.is_too_late(signal.number) {
            return;
        }
        if signal.is_from_kernel() {
            if signal.number == SIGHUP && std::mem::replace(&mut self.has_hung_up, true) {
                return;
            }
            // It is for all on the terminal.
            self.job.send_to_group(signal.number);
            self.job.was_sent(signal.number);
        } else {
            self.job.forward(signal);
        }
    }
}
