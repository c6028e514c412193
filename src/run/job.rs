//! The command, as the process that it is a child of sees it: with its group, its terminal, the time that it has to end,
//! and the processes behind it with `--watch`.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use libc::ESRCH;

use crate::cli::{StopTimeout, Supervision};
use crate::error::FAILED;
use crate::run::job_terminal::{Lending, Terminal};
use crate::run::watch::{Due, Reaped, Watch};
use crate::sys::signal_names::{SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM};
use crate::sys::{self, Change, Pid, Signal};

/// The command and what there is around it.
pub struct Job {
    /// Until there is a command, with `--watch`, the keeper.
    worker: Pid,
    reach: Reach,
    /// When the command's group is lent the terminal, if it has a group of its own.
    lending: Option<Lending>,
    /// Whether it was, since it asked for it.
    was_lent: bool,
    clock: Clock,
    watch: Option<Watch>,
    remains: Option<Remains>,
}

/// What is left of a command that has ended before others of its group: the next one waits for them.
struct Remains {
    end: Change,
    /// When it is looked again whether they have ended, which nobody tells us of.
    look_at: Instant,
    /// How long it is until the look after that.
    pause: Duration,
    /// When it is not waited any more: they were killed, and nobody has taken note of it.
    give_up_at: Option<Instant>,
}

/// How long it is to the first look, and from one to the next at the most.
const FIRST_LOOK: Duration = Duration::from_millis(5);
const RARELY: Duration = Duration::from_millis(100);

/// How long those that were killed may take to be gone.
const KILLED: Duration = Duration::from_secs(1);

/// Who gets the signals that we are sent.
#[derive(Clone, Copy)]
enum Reach {
    Process,
    Group,
}

/// The time that the command has to end.
struct Clock {
    timeout: Option<StopTimeout>,
    kill_at: Option<Instant>,
}

impl Clock {
    fn start(&mut self) {
        if let (Some(timeout), None) = (&self.timeout, self.kill_at) {
            self.kill_at = Some(Instant::now() + timeout.after);
        }
    }

    fn note(&mut self, signal: i32) {
        let starts = |timeout: &StopTimeout| timeout.signals.contains(&signal);
        if self.timeout.as_ref().is_some_and(starts) {
            self.start();
        }
    }
}

impl Job {
    /// The job of `worker`, whose group is lent the terminal like this if it has one of its own.
    pub fn of(
        worker: Pid,
        lending: Option<Lending>,
        how: &Supervision,
        watch: Option<Watch>,
    ) -> Self {
        Job {
            worker,
            reach: if how.group {
                Reach::Group
            } else {
                Reach::Process
            },
            lending,
            was_lent: false,
            clock: Clock {
                timeout: how.stop_timeout.clone(),
                kill_at: None,
            },
            watch,
            remains: None,
        }
    }

    /// Whether the command leads a group of its own.
    pub fn has_own_group(&self) -> bool {
        self.lending.is_some()
    }

    /// Whether the command is in another group than we: in one of its own, or it has left ours. The terminal's keys reach
    /// only those in ours.
    pub fn is_apart(&self) -> bool {
        self.has_own_group() || !sys::is_in_our_group(self.worker)
    }

    /// Whether the command has not begun a session of its own.
    pub fn is_in_our_session(&self) -> bool {
        sys::is_in_our_session(self.worker)
    }

    /// Whether it is not certain yet which process signals are for; they have to wait then.
    pub fn is_beginning(&self) -> bool {
        self.watch.as_ref().is_some_and(Watch::is_beginning)
    }

    /// Whether a process is the command or one of those behind it. What these send us is not sent back.
    pub fn is_ours(&self, process: Option<Pid>) -> bool {
        let is_behind = self.watch.as_ref().is_some_and(|it| it.is_ours(process));
        process == Some(self.worker) || is_behind
    }

    /// Sends a signal to the command, or to its group with `--group`.
    pub fn send(&self, signal: i32) {
        // It may have ended, or run as another user.
        let _ = sys::send(self.target(), signal);
    }

    fn target(&self) -> Pid {
        match self.reach {
            Reach::Process => self.worker,
            Reach::Group => -self.worker,
        }
    }

    /// Sends a signal to all of the command's group, which it must lead.
    pub fn send_to_group(&self, signal: i32) {
        // As above.
        let _ = sys::send(-self.worker, signal);
    }

    /// Sends a signal on, with the value that came with it if there is one.
    pub fn forward(&mut self, signal: &Signal) {
        if let Reach::Group = self.reach {
            self.send(signal.number);
        } else if signal.forward(self.worker).is_err() {
            // The user may have as many signals queued as the system allows. Without the value it needs no place there.
            self.send(signal.number);
        }
        self.clock.note(signal.number);
    }

    /// Takes note that the command was sent a signal that may be to end it.
    pub fn was_sent(&mut self, signal: i32) {
        self.clock.note(signal);
    }

    /// When something is to be done: the command is killed because it has not ended, or it is looked at its group.
    pub fn due_at(&self) -> Option<Instant> {
        let look_at = self.remains.as_ref().map(|remains| remains.look_at);
        self.clock.kill_at.into_iter().chain(look_at).min()
    }

    /// Kills the command if it is time.
    pub fn kill_if_due(&mut self) {
        let now = Instant::now();
        if self.clock.kill_at.is_some_and(|at| at <= now) {
            self.kill();
            if let Some(remains) = &mut self.remains {
                remains.give_up_at = Some(now + KILLED);
            }
        }
    }

    /// Kills the command.
    pub fn kill(&mut self) {
        // As above.
        let _ = sys::send_surely(self.target(), SIGKILL);
        self.clock.kill_at = None;
    }

    /// Takes note of what happened to children, up to the next thing that happened to the command. Orphans need no more
    /// than that.
    ///
    /// Where the kernel does not tell any more, the command is killed rather than left alone, and its end is taken to be a
    /// failure of ours: there is no standard error any more to say so. That this lasts is found before the start, so it
    /// takes a kernel that has no memory for a while.
    pub fn next_change(&mut self) -> Option<Change> {
        loop {
            let (child, change) = match sys::reap() {
                Ok(Some(changed)) => changed,
                Ok(None) => return self.end_of_remains(),
                Err(_) => {
                    self.start_nothing_more();
                    self.kill();
                    return Some(Change::Exited(FAILED.into()));
                }
            };
            match change {
                Change::Stopped(_) if child == self.worker => return Some(change),
                Change::Stopped(_) => (),
                Change::Exited(_) | Change::Killed(_) if child == self.worker => {
                    if !self.is_followed(change) {
                        return Some(change);
                    }
                }
                Change::Exited(_) | Change::Killed(_) => {
                    let watch = self.watch.as_mut();
                    if watch.map_or(Reaped::Other, |watch| watch.reaped(child)) == Reaped::First {
                        self.start_nothing_more();
                        return Some(change);
                    }
                }
            }
        }
    }

    /// Whether the command that has ended like this is followed by another one. One that was ended by a key of a terminal
    /// which only its own group is told of is not.
    fn is_followed(&mut self, end: Change) -> bool {
        if let Some(watch) = &mut self.watch {
            watch.reaped(self.worker);
        }
        self.take_terminal_back();
        if matches!(end, Change::Killed(SIGINT | SIGQUIT | SIGHUP)) {
            self.start_nothing_more();
            return false;
        }
        if self.has_remains() {
            self.remains = Some(Remains {
                end,
                look_at: Instant::now() + FIRST_LOOK,
                pause: FIRST_LOOK,
                give_up_at: None,
            });
            return true;
        }
        self.begin_next()
    }

    /// Whether another command is to follow, and processes of the group of this one, which is to end as a whole, have not
    /// ended yet.
    fn has_remains(&self) -> bool {
        let is_whole = matches!(self.reach, Reach::Group);
        // Only the kernel's word for it says that there is no such group.
        let has_group = || match sys::send(-self.worker, 0) {
            Ok(()) => true,
            Err(error) => error.raw_os_error() != Some(ESRCH),
        };
        is_whole && self.watch.as_ref().is_some_and(Watch::has_successor) && has_group()
    }

    /// Looks at what is left of a command that has ended. Once that has ended too, or nothing is to follow any more, either
    /// the next one begins, or this is the end.
    fn end_of_remains(&mut self) -> Option<Change> {
        let now = Instant::now();
        let remains = self.remains.take()?;
        if remains.give_up_at.is_none_or(|at| now < at) && self.has_remains() {
            let pause = (remains.pause * 2).min(RARELY);
            self.remains = Some(Remains {
                look_at: now + pause,
                pause,
                ..remains
            });
            return None;
        }
        (!self.begin_next()).then_some(remains.end)
    }

    /// Makes the process that was prepared the command, if there is one.
    fn begin_next(&mut self) -> bool {
        match self.watch.as_mut().and_then(Watch::successor) {
            Some(successor) => {
                self.worker = successor;
                self.was_lent = false;
                self.clock.kill_at = None;
                true
            }
            None => {
                self.start_nothing_more();
                false
            }
        }
    }

    /// Does what is due since the secrets have changed.
    pub fn look(&mut self) {
        match self.watch.as_mut().map_or(Due::Nothing, Watch::look) {
            Due::Nothing => (),
            Due::Begin(first) => self.worker = first,
            Due::Stop => {
                // As above.
                let _ = sys::send_surely(self.target(), SIGTERM);
                self.clock.start();
            }
            Due::Signal(signal) => self.send(signal),
        }
    }

    /// Ends the watch if a signal says that the caller wants an end. A hangup may be a way to tell the command something,
    /// if it is not about to be stopped.
    pub fn note_wish_to_end(&mut self, signal: &Signal) {
        let is_stopping = self.watch.as_ref().is_some_and(Watch::is_stopping);
        let is_wish = match signal.number {
            SIGTERM | SIGINT | SIGQUIT => signal.sender() != Some(self.worker),
            SIGHUP => is_stopping || signal.is_from_kernel(),
            _ => false,
        };
        if is_wish {
            self.start_nothing_more();
        }
    }

    fn start_nothing_more(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.end();
        }
    }

    /// Makes our group the foreground of the terminal, if the command's is. Returns whether that was so.
    pub fn take_terminal_back(&self) -> bool {
        let is_held = self.has_own_group() && Terminal.seems_held_by(self.worker);
        if is_held {
            // A terminal that is gone has no foreground.
            let _ = sys::persist(|| Terminal.hand_to(sys::group()?));
        }
        is_held
    }

    /// Makes the command's group the foreground of the terminal, if ours is and the command had the terminal before, or has
    /// it from the start.
    pub fn hand_terminal_over(&self) {
        if self.lending == Some(Lending::AtOnce) || self.was_lent {
            self.lend();
        }
    }

    /// The same for a command that asks for the terminal. Returns whether it has it now.
    pub fn lend_terminal(&mut self) -> bool {
        let is_lent = self.lending.is_some() && self.lend();
        self.was_lent |= is_lent && self.lending == Some(Lending::OnDemand);
        is_lent
    }

    fn lend(&self) -> bool {
        // As above. A command that has ended has no group.
        Terminal.seems_held_by_us() && Terminal.hand_to(self.worker).is_ok()
    }

    /// Whether the command was lent the terminal when it asked.
    pub fn was_lent(&self) -> bool {
        self.was_lent
    }
}

/// Ends as the command ended: with its status, or by its signal. As PID 1, which no signal can kill, with 128 more.
pub fn mirror(end: Change) -> ExitCode {
    let status = match end {
        Change::Exited(status) => status,
        Change::Killed(signal) | Change::Stopped(signal) => {
            if sys::id() != sys::INIT {
                // If the signal does not end us, the status says which it was.
                let _ = sys::die_by(signal);
            }
            128 + signal
        }
    };
    ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX))
}
