//! The waiting parent: it forwards signals, reaps, and ends as the command did.

#![forbid(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::cli::Supervision;
use crate::error::Error;
use crate::run::front::Screen;
use crate::run::job_terminal::Terminal;
use crate::run::redact::progress::Word;
use crate::run::watch::{Due, Watch};
use crate::sys::signal_names::{
    MESSAGE, SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN,
    SIGTTOU, SIGWINCH,
};
use crate::sys::{self, Change, Duty, Pid, Signal, SignalSet};

/// The waiting parent.
pub struct Supervisor {
    worker: Pid,
    /// Whether the command leads a group of its own.
    has_own_group: bool,
    /// Whether that group gets the signals that we are sent.
    tells_group: bool,
    /// The terminal, which the command's group is given while it is in the foreground.
    terminal: Option<Terminal>,
    stop_timeout: Option<Duration>,
    /// When the command is killed because it has not ended.
    kill_at: Option<Instant>,
    /// When the waiting parent is confined, if it is not yet.
    confine_at: Option<Instant>,
    /// How the command has ended.
    end: Option<Change>,
    filter: Option<Pid>,
    /// Whether the filter has not yet passed on all that the command wrote.
    is_filtering: bool,
    /// The user's terminal, for which the worker, a monitor, has another one.
    screen: Option<Screen>,
    /// For whom we are the monitor.
    front: Option<Front>,
    /// How often we were continued, so that what was told before is known from what was told after.
    round: i32,
    /// What else there is to watch over. Until there is a command, the worker is the keeper.
    watch: Option<Watch>,
}

/// A monitor's view of its supervisor.
struct Front {
    supervisor: Pid,
    /// Kept, so that the terminal is not gone when the command closes it for a while.
    slave: OwnedFd,
    /// By which signal the command is stopped, as was told last.
    told: Option<i32>,
    /// Whether the command was sent SIGTSTP and has not stopped since.
    is_asked_to_stop: bool,
}

/// How long a run may be that does not pay for the confinement of its supervisor, which takes the kernel
/// as long as all the rest of the start.
pub const SHORT: Duration = Duration::from_millis(20);

/// What supervisor and monitor tell each other beside the number of a signal: that the command is to be, and is, in the
/// foreground of its terminal.
const IN_FOREGROUND: i32 = 0x80;

/// The bits of the number of a signal. The round is told behind these and the one above.
const NUMBER: i32 = 0x7f;
const ROUND_AT: u32 = 8;
const ROUNDS: i32 = 0x1_0000;

impl Supervisor {
    /// The parent of `worker`, whose group is given `terminal` if it has one of its own.
    pub fn of(
        worker: Pid,
        terminal: Option<Terminal>,
        how: &Supervision,
        watch: Option<Watch>,
    ) -> Self {
        Supervisor {
            worker,
            has_own_group: terminal.is_some(),
            tells_group: how.group,
            terminal,
            stop_timeout: how.stop_timeout,
            kill_at: None,
            confine_at: Some(Instant::now() + SHORT),
            end: None,
            filter: None,
            is_filtering: false,
            screen: None,
            front: None,
            round: 0,
            watch,
        }
    }

    /// Has a filter beside the command. With a screen, the worker is a monitor, who does all that has to do with the
    /// command.
    pub fn filter_with(&mut self, filter: Pid, screen: Option<Screen>) {
        (self.filter, self.is_filtering) = (Some(filter), true);
        if screen.is_some() {
            (self.tells_group, self.stop_timeout) = (false, None);
        }
        self.screen = screen;
    }

    /// Is a monitor for `supervisor`.
    pub fn monitor_for(&mut self, supervisor: Pid, slave: OwnedFd) {
        self.front = Some(Front {
            supervisor,
            slave,
            told: None,
            is_asked_to_stop: false,
        });
    }

    /// Forgets all that the caller gave us, passes signals on until the command has ended, and ends as it did.
    ///
    /// # Errors
    ///
    /// If it cannot do that: the command is killed then.
    pub fn run(mut self) -> Result<ExitCode, Error> {
        self.stand_in_front().map_err(|error| {
            send_signal(self.target(false), SIGKILL);
            Error::Supervise(error)
        })
    }

    fn stand_in_front(&mut self) -> io::Result<ExitCode> {
        let screen = self.screen.iter().flat_map(Screen::descriptors);
        let slave = self.front.iter().map(|front| front.slave.as_raw_fd());
        sys::forget_caller(&mut screen.chain(slave).collect::<Vec<_>>())?;
        let end = self.wait_for_end()?;
        if let Some(screen) = &mut self.screen {
            screen.leave(matches!(end, Change::Exited(_)));
        }
        Ok(mirror(end))
    }

    /// Waits until the command has ended, and all that it wrote is passed on.
    fn wait_for_end(&mut self) -> io::Result<Change> {
        loop {
            let Some(signal) = self.next_signal()? else {
                send_signal(self.target(false), SIGKILL);
                self.kill_at = None;
                continue;
            };
            let is_to_be_forwarded = self.is_to_be_forwarded(&signal);
            if signal.number == SIGCHLD {
                self.reap();
                self.look();
            } else if self.ends_watch(&signal) {
                self.end_watch();
            }
            let is_word = self.hear(&signal);
            match self.end {
                Some(end) if !self.is_filtering || ends_waiting(&signal) => return Ok(end),
                Some(_) => self.kill_at = None,
                None if !is_word && is_to_be_forwarded => self.forward(&signal),
                None => (),
            }
        }
    }

    /// Does what is due since the secrets have changed.
    fn look(&mut self) {
        if self.end.is_some() {
            return;
        }
        match self.watch.as_mut().map_or(Due::Nothing, Watch::look) {
            Due::Nothing => (),
            Due::Begin(first) => self.worker = first,
            Due::Stop => {
                send_signal(self.target(false), SIGTERM);
                self.expect_end(SIGTERM);
            }
            Due::Signal(signal) => send_signal(self.target(false), signal),
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

    fn end_watch(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.end();
        }
    }

    /// Waits for the next signal; `None` if it is time to kill the command.
    fn next_signal(&mut self) -> io::Result<Option<Signal>> {
        if self.confine_at.is_some() {
            let early = self.wait(self.confine_at)?;
            if early.is_some() {
                return Ok(early);
            }
            let duty = self.screen.as_ref().map_or(Duty::Signals, |_| Duty::Keys);
            // It holds nothing that the filter would have to keep in: this is a second line only.
            let _ = sys::confine(duty);
            self.confine_at = None;
        }
        self.wait(self.kill_at)
    }

    fn wait(&mut self, until: Option<Instant>) -> io::Result<Option<Signal>> {
        let awaited = match &self.watch {
            Some(watch) if watch.is_beginning() => SignalSet::of(&[SIGCHLD]),
            _ => SignalSet::ALL,
        };
        match &mut self.screen {
            Some(screen) => screen.wait(until, self.worker),
            None => awaited.wait(until),
        }
    }

    /// Where signals go: the worker, or its group. A monitor is told by the kernel what is for all of them.
    fn target(&self, is_from_kernel: bool) -> Pid {
        if self.tells_group || self.front.is_some() && is_from_kernel {
            -self.worker
        } else {
            self.worker
        }
    }

    /// Takes note of what happened to children: of the worker's end, of its stopping, of the filter's end, and of the
    /// end of orphans, which is all that they need of us.
    fn reap(&mut self) {
        while let Some((child, change)) = sys::reap() {
            match change {
                Change::Stopped(signal) if child == self.worker => self.worker_has_stopped(signal),
                Change::Stopped(_) => (),
                Change::Exited(_) | Change::Killed(_) if child == self.worker => {
                    self.worker_has_ended(change);
                }
                Change::Exited(_) | Change::Killed(_) if Some(child) == self.filter => {
                    (self.filter, self.is_filtering) = (None, false);
                    // Without it the terminal is gone.
                    if let Some(mut screen) = self.screen.take_if(|_| self.end.is_none()) {
                        screen.leave(false);
                    }
                }
                Change::Exited(_) | Change::Killed(_) => {
                    if let Some(watch) = &mut self.watch {
                        watch.reaped(child);
                    }
                }
            }
        }
    }

    fn worker_has_ended(&mut self, end: Change) {
        if let Some(watch) = &mut self.watch {
            watch.reaped(self.worker);
        }
        self.take_terminal_back();
        if self.has_successor(end) {
            return;
        }
        if let Some(screen) = &mut self.screen {
            screen.pause();
        }
        self.end_watch();
        self.end = Some(end);
    }

    fn worker_has_stopped(&mut self, signal: i32) {
        if self.front.is_some() {
            self.take_terminal_back();
        }
        if let Some(front) = &mut self.front {
            // It may have been stopped by reading right before it was asked to stop.
            let is_asked = std::mem::take(&mut front.is_asked_to_stop);
            let signal = if is_asked { SIGTSTP } else { signal };
            front.told = Some(signal);
            self.tell_supervisor(signal);
        } else if self.screen.is_none() {
            self.stop(signal);
        }
    }

    /// As a monitor: tells that the command is in the foreground now, or by which signal it was stopped.
    fn tell_supervisor(&self, what: i32) {
        if let Some(front) = &self.front {
            // It may be gone: then we are about to be hung up.
            let _ = sys::tell(front.supervisor, MESSAGE, self.round << ROUND_AT | what);
        }
    }

    /// As a monitor: takes note of a signal for the command; whether it is one to stop it that comes too late, since it is
    /// stopped already. That one would be dropped when the command is continued, which may be under way.
    fn is_too_late(&mut self, signal: i32) -> bool {
        let Some(front) = &mut self.front else {
            return false;
        };
        match (signal, front.told) {
            (SIGCONT, _) => (front.told, front.is_asked_to_stop) = (None, false),
            (SIGTSTP, None) => front.is_asked_to_stop = true,
            (SIGTSTP, Some(told)) => {
                front.told = Some(SIGTSTP);
                if matches!(told, SIGTTIN | SIGTTOU) {
                    self.tell_supervisor(SIGTSTP);
                }
                return true;
            }
            _ => (),
        }
        false
    }

    /// Takes what our own processes tell us; whether it was that.
    fn hear(&mut self, signal: &Signal) -> bool {
        let (MESSAGE, Some(sender), Some(value)) = (signal.number, signal.sender(), signal.value())
        else {
            return false;
        };
        let front = self.front.as_ref();
        if front.is_some_and(|front| front.supervisor == sender) {
            self.obey(value);
        } else if Some(sender) == self.filter {
            self.is_filtering &= value != Word::Through as i32;
            if value == Word::Begin as i32 && self.end.is_none() {
                self.begin();
            }
        } else if self.screen.is_some() && sender == self.worker {
            match value & (IN_FOREGROUND | NUMBER) {
                _ if value >> ROUND_AT != self.round => (),
                IN_FOREGROUND => self.begin(),
                signal => self.command_has_stopped(signal),
            }
        } else {
            return false;
        }
        true
    }

    /// As a monitor: gives the command's group a signal, and the terminal if it is to go on in the foreground.
    fn obey(&mut self, value: i32) {
        let (signal, is_for_foreground) = (value & NUMBER, value & IN_FOREGROUND != 0);
        let round = value >> ROUND_AT;
        let is_new_round = std::mem::replace(&mut self.round, round) != round;
        let is_to_stop = self
            .front
            .as_ref()
            .is_some_and(|front| front.told == Some(SIGTSTP));
        if signal == SIGCONT && is_to_stop && !is_new_round {
            // Sent before the supervisor knew, who is about to stop.
            return;
        }
        if is_for_foreground {
            self.hand_terminal_over();
        }
        if !self.is_too_late(signal) {
            send_signal(-self.worker, signal);
            self.expect_end(signal);
        }
        // A key that stops the command would be lost before it was continued.
        if is_for_foreground {
            self.tell_supervisor(IN_FOREGROUND);
        }
    }

    /// Passes keys on, if the command is to have them from the start.
    fn begin(&mut self) {
        if let Some(screen) = &mut self.screen {
            screen.begin();
        }
    }

    /// The monitor has told that the command is stopped. It may have asked for the terminal only, and we may have it.
    fn command_has_stopped(&mut self, signal: i32) {
        let asks_for_terminal = matches!(signal, SIGTTIN | SIGTTOU);
        let is_in_reach = self.screen.as_mut().is_some_and(|screen| {
            if asks_for_terminal {
                screen.ask_for();
            }
            !screen.is_in_use() && screen.is_ours()
        });
        if asks_for_terminal && is_in_reach {
            self.resume();
        } else {
            self.stop(signal);
        }
    }

    /// Stops like the command, so that the shell that started us takes over, where there is one. Where there
    /// is none, the kernel lets no key stop the command either, unless it is in a group of its own.
    fn stop(&mut self, signal: i32) {
        if sys::id() != sys::INIT && sys::can_be_continued() {
            self.take_terminal_back();
            if let Some(screen) = &mut self.screen {
                screen.leave(true);
                // The kernel tells all of our group.
                if matches!(signal, SIGTSTP | SIGTTIN | SIGTTOU) {
                    send_signal(0, signal);
                }
            }
            // If it fails we go on, as if somebody had continued us at once.
            let _ = sys::stop_by(signal);
        } else if signal == SIGTSTP {
            match self.screen {
                Some(_) => self.resume_anew(),
                None if self.has_own_group => send_signal(-self.worker, SIGCONT),
                None => (),
            }
        }
    }

    /// Has the monitor continue the command whatever it has told before.
    fn resume_anew(&mut self) {
        self.round = (self.round + 1) % ROUNDS;
        self.resume();
    }

    /// Has the monitor continue the command, in the foreground if we are there.
    fn resume(&mut self) {
        let is_in_foreground = self.screen.as_mut().is_some_and(Screen::prepare);
        let place = if is_in_foreground { IN_FOREGROUND } else { 0 };
        self.order(SIGCONT | place);
    }

    /// Has the monitor give the command a signal. It is told by number, since one that stops and one that continues would
    /// cancel each other on their way.
    fn order(&self, what: i32) {
        // It may have ended, which we will be told.
        let _ = sys::tell(self.worker, MESSAGE, self.round << ROUND_AT | what);
    }

    fn take_terminal_back(&self) {
        if let Some(terminal) = &self.terminal
            && terminal.is_held_by(self.worker)
        {
            terminal.hand_to(sys::group());
        }
    }

    fn hand_terminal_over(&self) {
        if let Some(terminal) = &self.terminal
            && terminal.is_held_by(sys::group())
        {
            terminal.hand_to(self.worker);
        }
    }

    /// The kernel has sent the terminal's signals to the command too, if it is in our group; only the
    /// hangup goes to the session's leader alone. What the command sends us is not sent back.
    fn is_to_be_forwarded(&self, signal: &Signal) -> bool {
        if !signal.is_from_kernel() {
            let is_our_own = self.screen.is_some()
                && matches!(
                    signal.number,
                    SIGINT | SIGQUIT | SIGTSTP | SIGTTIN | SIGTTOU
                )
                && signal.sender() == Some(sys::id());
            let sender = signal.sender();
            let is_behind = self.watch.as_ref().is_some_and(|it| it.is_ours(sender));
            return sender != Some(self.worker) && !is_our_own && !is_behind;
        }
        match signal.number {
            SIGCHLD => false,
            SIGHUP => self.has_own_group || sys::leads_session(),
            SIGINT | SIGQUIT | SIGTSTP | SIGWINCH => self.has_own_group || self.screen.is_some(),
            SIGTTIN | SIGTTOU => self.has_own_group,
            _ => true,
        }
    }

    fn forward(&mut self, signal: &Signal) {
        let is_from_kernel = signal.is_from_kernel();
        match (&self.screen, signal.number) {
            (Some(_), SIGCONT) => return self.resume_anew(),
            (Some(screen), SIGWINCH) if is_from_kernel => return screen.copy_size(),
            (Some(_), SIGINT | SIGQUIT) if is_from_kernel => return self.order(signal.number),
            (Some(_), SIGTSTP | SIGTTIN | SIGTTOU) => return self.order(signal.number),
            (None, SIGCONT) => self.hand_terminal_over(),
            _ => (),
        }
        if self.is_too_late(signal.number) {
            return;
        }
        // The command may be gone, or another user's.
        let _ = signal.forward(self.target(is_from_kernel));
        self.expect_end(signal.number);
    }

    /// Sets the time at which the command is killed, after a signal that is to end it.
    fn expect_end(&mut self, signal: i32) {
        if matches!(signal, SIGTERM | SIGINT | SIGHUP | SIGQUIT) && self.kill_at.is_none() {
            self.kill_at = self.stop_timeout.map(|timeout| Instant::now() + timeout);
        }
    }
}

/// Sends a signal to a process or group. It may be gone, of which we are told otherwise, or have become another user's.
fn send_signal(target: Pid, signal: i32) {
    let _ = sys::send(target, signal);
}

/// Whether a signal ends the wait for what the command wrote, as it would have ended the command in the middle of it.
fn ends_waiting(signal: &Signal) -> bool {
    matches!(signal.number, SIGTERM | SIGINT | SIGHUP | SIGQUIT)
}

/// Ends as the command ended: with its status, or by its signal. As PID 1, which no signal can kill,
/// with 128 more.
fn mirror(end: Change) -> ExitCode {
    let status = match end {
        Change::Exited(status) => status,
        Change::Killed(signal) | Change::Stopped(signal) => {
            if sys::id() != sys::INIT {
                // A signal that does not kill us is told by the status.
                let _ = sys::die_by(signal);
            }
            128 + signal
        }
    };
    ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX))
}
