//! Standing in front of the command: the parent forwards signals and mirrors the status, and holds no
//! secret, because it is there before any is read.
//!
//! The command stays in the caller's session and process group unless `--group` says otherwise, and so
//! gets the terminal's signals from the terminal itself.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::terminal::Terminal;
use crate::error::Error;
use crate::options::{Parent, Supervision};
use crate::process::{self, Change, Fork, Pid, Signal, SignalSet};
use crate::signals::{
    SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN, SIGTTOU,
    SIGWINCH,
};

/// Which process the caller has become.
pub enum Side {
    /// The one that runs the pipeline and becomes the command.
    Worker {
        /// The process that stands in front of it, if one does.
        supervisor: Option<Pid>,
    },
    /// The one that stands in front of it.
    Supervisor(Supervisor),
}

/// Puts a supervisor in front of the rest of the program if one is needed. The process must still have a
/// single thread.
///
/// # Errors
///
/// If there can be no other process.
pub fn supervise(how: &Supervision) -> Result<Side, Error> {
    let is_needed = match how.parent {
        Parent::Always => true,
        Parent::AsInit => process::id() == process::INIT,
        Parent::Never => false,
    };
    if !is_needed {
        if process::id() == process::INIT {
            process::end_by_signals();
        }
        process::initial_mask().set_as_mask();
        return Ok(Side::Worker { supervisor: None });
    }
    let mask = process::initial_mask();
    SignalSet::ALL.set_as_mask();
    let children_ignored = process::expect_children();
    if how.subreaper {
        process::adopt_orphans();
    }
    let supervisor = process::id();
    let terminal = how.group.then_some(Terminal);
    let in_foreground = terminal
        .as_ref()
        .is_some_and(|terminal| terminal.is_held_by(process::group()));
    match process::fork().map_err(Error::Supervise)? {
        Fork::Child => {
            begin_worker(how, supervisor, terminal.as_ref().filter(|_| in_foreground));
            if children_ignored {
                process::ignore_children();
            }
            mask.set_as_mask();
            Ok(Side::Worker {
                supervisor: Some(supervisor),
            })
        }
        Fork::Parent(worker) => {
            if how.group {
                process::set_group(worker);
            }
            Ok(Side::Supervisor(Supervisor {
                worker,
                has_own_group: how.group,
                terminal,
                stop_timeout: how.stop_timeout,
                kill_at: None,
                confine_at: Some(Instant::now() + SHORT),
            }))
        }
    }
}

/// What only the new process can do for itself.
fn begin_worker(how: &Supervision, supervisor: Pid, terminal: Option<&Terminal>) {
    if how.group {
        process::set_group(process::id());
        if let Some(terminal) = terminal {
            terminal.hand_to(process::id());
        }
    }
    if let Some(signal) = how.die_with_parent {
        process::die_with_parent(signal);
        if process::parent() != supervisor {
            process::die_by(signal);
        }
    }
}

/// The waiting parent.
pub struct Supervisor {
    worker: Pid,
    has_own_group: bool,
    /// The terminal, which the command's group is given while it is in the foreground.
    terminal: Option<Terminal>,
    stop_timeout: Option<Duration>,
    /// When the command is killed because it has not ended.
    kill_at: Option<Instant>,
    /// When the waiting parent is confined, if it is not yet.
    confine_at: Option<Instant>,
}

/// How long a run may be that does not pay for the confinement of its supervisor, which takes the kernel
/// as long as all the rest of the start.
const SHORT: Duration = Duration::from_millis(20);

impl Supervisor {
    /// Forgets all that the caller gave us, passes signals on until the command has ended, and ends as it did.
    pub fn run(mut self) -> ExitCode {
        process::forget_caller();
        loop {
            let Some(signal) = self.next_signal() else {
                process::send(self.target(), SIGKILL);
                self.kill_at = None;
                continue;
            };
            if signal.number == SIGCHLD
                && let Some(end) = self.reap()
            {
                return mirror(end);
            }
            if self.is_to_be_forwarded(&signal) {
                self.forward(&signal);
            }
        }
    }

    /// Waits for the next signal; `None` if it is time to kill the command.
    fn next_signal(&mut self) -> Option<Signal> {
        if self.confine_at.is_some() {
            let early = SignalSet::ALL.wait(self.confine_at);
            if early.is_some() {
                return early;
            }
            process::confine();
            self.confine_at = None;
        }
        SignalSet::ALL.wait(self.kill_at)
    }

    /// Where signals go: the worker, or its group.
    fn target(&self) -> Pid {
        if self.has_own_group {
            -self.worker
        } else {
            self.worker
        }
    }

    /// Takes note of what happened to children: of the worker's end, of its stopping, and of the end of
    /// orphans, which is all that they need of us.
    fn reap(&mut self) -> Option<Change> {
        while let Some((child, change)) = process::reap() {
            match change {
                _ if child != self.worker => (),
                Change::Stopped(signal) => self.stop(signal),
                Change::Exited(_) | Change::Killed(_) => {
                    self.take_terminal_back();
                    return Some(change);
                }
            }
        }
        None
    }

    /// Stops like the command, so that the shell that started us takes over, where there is one. Where there
    /// is none, the kernel lets no key stop the command either, unless it is in a group of its own.
    fn stop(&self, signal: i32) {
        if process::id() != process::INIT && process::can_be_continued() {
            self.take_terminal_back();
            process::stop_by(signal);
        } else if self.has_own_group && signal == SIGTSTP {
            process::send(self.target(), SIGCONT);
        }
    }

    fn take_terminal_back(&self) {
        if let Some(terminal) = &self.terminal
            && terminal.is_held_by(self.worker)
        {
            terminal.hand_to(process::group());
        }
    }

    /// The kernel has sent the terminal's signals to the command too, if it is in our group; only the
    /// hangup goes to the session's leader alone. What the command sends us is not sent back.
    fn is_to_be_forwarded(&self, signal: &Signal) -> bool {
        if !signal.is_from_kernel() {
            return signal.sender() != Some(self.worker);
        }
        match signal.number {
            SIGCHLD => false,
            SIGHUP => self.has_own_group || process::leads_session(),
            SIGINT | SIGQUIT | SIGTSTP | SIGTTIN | SIGTTOU | SIGWINCH => self.has_own_group,
            _ => true,
        }
    }

    fn forward(&mut self, signal: &Signal) {
        if signal.number == SIGCONT
            && let Some(terminal) = &self.terminal
            && terminal.is_held_by(process::group())
        {
            terminal.hand_to(self.worker);
        }
        signal.forward(self.target());
        if matches!(signal.number, SIGTERM | SIGINT | SIGHUP | SIGQUIT) && self.kill_at.is_none() {
            self.kill_at = self.stop_timeout.map(|timeout| Instant::now() + timeout);
        }
    }
}

/// Ends as the command ended: with its status, or by its signal. As PID 1, which no signal can kill,
/// with 128 more.
fn mirror(end: Change) -> ExitCode {
    let status = match end {
        Change::Exited(status) => status,
        Change::Killed(signal) | Change::Stopped(signal) => {
            if process::id() != process::INIT {
                process::die_by(signal);
            }
            128 + signal
        }
    };
    ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX))
}
