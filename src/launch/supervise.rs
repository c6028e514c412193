//! Standing in front of the command: the parent forwards signals and mirrors the status, and holds no
//! secret, because it is there before any is read.
//!
//! The command stays in the caller's session and process group unless `--group` says otherwise, and so
//! gets the terminal's signals from the terminal itself.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::board::Board;
use super::keeper::Keeper;
use super::terminal::Terminal;
use super::watch::{Due, Watch};
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
    /// The one that starts others, each of which runs the pipeline.
    Keeper(Keeper),
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
    let beginning = Beginning {
        supervisor,
        mask,
        children_ignored,
        group: how.group,
        die_with_parent: how.die_with_parent,
    };
    let watching = match how.watching {
        Some(watching) => {
            let board = process::share(Board::default()).map_err(Error::Supervise)?;
            Some((watching, board))
        }
        None => None,
    };
    match process::fork().map_err(Error::Supervise)? {
        Fork::Child => {
            if let Some((watching, board)) = watching {
                let keeper = Keeper::new(board, watching, beginning);
                return Ok(Side::Keeper(keeper));
            }
            beginning.begin_in(terminal.as_ref().filter(|_| in_foreground));
            beginning.restore_mask();
            Ok(Side::Worker {
                supervisor: Some(supervisor),
            })
        }
        Fork::Parent(worker) => {
            if how.group && watching.is_none() {
                process::set_group(worker);
            }
            let watch =
                watching.map(|(watching, board)| Watch::new(board, worker, watching.on_change));
            Ok(Side::Supervisor(Supervisor {
                watch,
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

/// How the process that signals are for begins, which only it can do for itself.
#[derive(Clone, Copy)]
pub struct Beginning {
    supervisor: Pid,
    mask: SignalSet,
    children_ignored: bool,
    group: bool,
    die_with_parent: Option<i32>,
}

impl Beginning {
    /// Begins, still in the supervisor's group, and with the terminal if that has it.
    pub fn begin(&self) {
        let terminal = self.group.then_some(Terminal);
        let group = process::group();
        self.begin_in(
            terminal
                .filter(|terminal| terminal.is_held_by(group))
                .as_ref(),
        );
    }

    /// Begins, and takes this terminal over.
    fn begin_in(&self, terminal: Option<&Terminal>) {
        if self.group {
            process::set_group(process::id());
            if let Some(terminal) = terminal {
                terminal.hand_to(process::id());
            }
        }
        if let Some(signal) = self.die_with_parent {
            process::die_with_parent(signal);
            if process::parent() != self.supervisor {
                process::die_by(signal);
            }
        }
        if self.children_ignored {
            process::ignore_children();
        }
    }

    /// Lets those signals through that the caller did.
    pub fn restore_mask(&self) {
        self.mask.set_as_mask();
    }

    /// The process in front of us.
    pub fn supervisor(&self) -> Pid {
        self.supervisor
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
    /// What else there is to watch over. Until there is a command, the worker is the keeper.
    watch: Option<Watch>,
}

/// How long a run may be that does not pay for the confinement of its supervisor, which takes the kernel
/// as long as all the rest of the start.
const SHORT: Duration = Duration::from_millis(20);

impl Supervisor {
    /// Forgets all that the caller gave us, passes signals on until the command has ended, and ends as it did.
    pub fn run(mut self) -> ExitCode {
        process::forget_caller();
        let end = self.wait_for_end();
        if let Some(watch) = &mut self.watch {
            watch.end();
        }
        mirror(end)
    }

    fn wait_for_end(&mut self) -> Change {
        loop {
            let Some(signal) = self.next_signal() else {
                process::send(self.target(), SIGKILL);
                self.kill_at = None;
                continue;
            };
            let is_to_be_forwarded = self.is_to_be_forwarded(&signal);
            if signal.number == SIGCHLD {
                if let Some(end) = self.reap()
                    && !self.has_successor(end)
                {
                    return end;
                }
                self.look();
            } else if self.ends_watch(&signal)
                && let Some(watch) = &mut self.watch
            {
                watch.end();
            }
            if is_to_be_forwarded {
                self.forward(&signal);
            }
        }
    }

    /// Does what is due since the secrets have changed.
    fn look(&mut self) {
        match self.watch.as_mut().map_or(Due::Nothing, Watch::look) {
            Due::Nothing => (),
            Due::Begin(first) => self.worker = first,
            Due::Stop => {
                process::send(self.target(), SIGTERM);
                self.kill_in_time();
            }
            Due::Signal(signal) => process::send(self.target(), signal),
        }
    }

    /// Whether the command that has ended like this is followed by another one, which is then the worker. One that was
    /// ended by a key of a terminal which only its own group is told of is not.
    fn has_successor(&mut self, end: Change) -> bool {
        if matches!(end, Change::Killed(SIGINT | SIGQUIT | SIGHUP)) {
            return false;
        }
        match self.watch.as_mut().and_then(Watch::successor) {
            Some(successor) => {
                self.worker = successor;
                self.kill_at = None;
                true
            }
            None => false,
        }
    }

    /// Whether the caller wants an end: nothing is started after this signal. A hangup may be a way to tell the command
    /// something, if it is not about to be stopped.
    fn ends_watch(&self, signal: &Signal) -> bool {
        let is_stopping = self.watch.as_ref().is_some_and(Watch::is_stopping);
        match signal.number {
            SIGTERM | SIGINT | SIGQUIT => signal.sender() != Some(self.worker),
            SIGHUP => is_stopping || signal.is_from_kernel(),
            _ => false,
        }
    }

    /// Waits for the next signal; `None` if it is time to kill the command.
    fn next_signal(&mut self) -> Option<Signal> {
        let awaited = match &self.watch {
            Some(watch) if watch.is_beginning() => SignalSet::of(&[SIGCHLD]),
            _ => SignalSet::ALL,
        };
        if self.confine_at.is_some() {
            let early = awaited.wait(self.confine_at);
            if early.is_some() {
                return early;
            }
            process::confine();
            self.confine_at = None;
        }
        awaited.wait(self.kill_at)
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
                Change::Stopped(signal) if child == self.worker => self.stop(signal),
                Change::Stopped(_) => (),
                Change::Exited(_) | Change::Killed(_) => {
                    if let Some(watch) = &mut self.watch {
                        watch.reaped(child);
                    }
                    if child == self.worker {
                        self.take_terminal_back();
                        return Some(change);
                    }
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
            let sender = signal.sender();
            let is_ours = self.watch.as_ref().is_some_and(|it| it.is_ours(sender));
            return sender != Some(self.worker) && !is_ours;
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
        if matches!(signal.number, SIGTERM | SIGINT | SIGHUP | SIGQUIT) {
            self.kill_in_time();
        }
    }

    /// Has the command killed if it does not end in time from now.
    fn kill_in_time(&mut self) {
        if self.kill_at.is_none() {
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
