//! The process on the user's terminal, with `--redact` there: what the user's shell sees of the command, which has a
//! pseudo-terminal and a monitor in front of it.

#![forbid(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::error::FAILED;
use crate::run::messages::{Channel, JobNews, Order};
use crate::run::stand_in::Screen;
use crate::run::supervisor::FilterReports;
use crate::run::waiting::{Waiting, Wake};
use crate::sys::signal_names::{
    SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGPIPE, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU,
    SIGWINCH,
};
use crate::sys::{self, Change, Interest, Pid, Signal, SignalSet};

/// How long the end of the command may come behind the first sign that the others have ended.
const GRACE: Duration = Duration::from_millis(100);

/// How long it is until the terminal is asked for again that another run has.
const RETRY: Duration = Duration::from_millis(50);

/// How long the filter may take to say that a signal has come to it too.
const WITNESS: Duration = Duration::from_millis(20);

/// How long after the end of the terminal a hangup is one for that.
const HANGUP: Duration = Duration::from_secs(1);

/// The process on the terminal.
pub struct Front {
    monitor: Pid,
    filter: FilterReports,
    /// `None` once we have given up, because one of the processes is gone that the command needs to be on the terminal.
    desk: Option<Desk>,
    /// When we give up, after a sign of that which may be one of the end of the command as well.
    give_up_at: Option<Instant>,
    /// When our terminal was found to be gone.
    hung_up_at: Option<Instant>,
    waiting: Waiting,
}

/// The terminal, and the line to the process that leads the session on the other one.
pub struct Desk {
    screen: Screen,
    monitor: Channel<Order, JobNews>,
    /// How often we were continued.
    round: u32,
}

impl Desk {
    /// That of a command which has not been continued yet.
    pub fn of(screen: Screen, monitor: Channel<Order, JobNews>) -> Self {
        Desk {
            screen,
            monitor,
            round: 0,
        }
    }
}

impl Front {
    /// The process in front of a monitor.
    pub fn of(monitor: Pid, filter: FilterReports, desk: Option<Desk>, waiting: Waiting) -> Self {
        Front {
            monitor,
            filter,
            desk,
            give_up_at: None,
            hung_up_at: None,
            waiting,
        }
    }

    /// Forgets all that the caller gave us, passes keys and signals on until the command has ended and all that it wrote is
    /// shown, and ends as it did.
    pub fn run(mut self) -> ExitCode {
        let desk = self.desk.iter();
        let desk = desk.flat_map(|desk| {
            let monitor = desk.monitor.as_fd().as_raw_fd();
            desk.screen.descriptors().chain([monitor])
        });
        let others = [self.filter.descriptor(), self.waiting.descriptor()];
        let mut kept: Vec<_> = desk.chain(others.into_iter().flatten()).collect();
        if sys::forget_caller(&mut kept).is_err() {
            // Without us, the monitor ends its command.
            return ExitCode::from(FAILED);
        }
        let end = self.wait_for_monitor();
        if let Some(desk) = &mut self.desk {
            desk.screen.pause();
        }
        self.filter.wait_for_rest(&mut self.waiting);
        match (&mut self.desk, end) {
            (Some(desk), Change::Exited(_)) => desk.screen.leave_as_command_did(),
            (Some(desk), Change::Killed(_) | Change::Stopped(_)) => desk.screen.put_back(),
            (None, _) => (),
        }
        self.filter.mirror(end)
    }

    fn wait_for_monitor(&mut self) -> Change {
        loop {
            match self.next() {
                Wake::Signal(signal) if self.is_for_command(&signal) => self.forward(&signal),
                Wake::Signal(_) => (),
                Wake::Ready(ready) => self.receive(ready),
                Wake::Due if self.give_up_at.is_some() => self.give_up(),
                Wake::Due => self.begin(),
            }
            if let Some(end) = self.end_of_monitor() {
                return end;
            }
        }
    }

    fn next(&mut self) -> Wake {
        // What is gone would be ready all the time.
        let desk = self.desk.as_ref().filter(|_| self.give_up_at.is_none());
        let monitor = desk.map(|desk| (desk.monitor.as_fd(), Interest::Readable));
        let [keys, room] = desk.map_or([None; 2], |desk| desk.screen.events());
        let events = [self.filter.event(), monitor, keys, room];
        // Nobody tells when another run gives the terminal back.
        let waits = desk.is_some_and(|desk| desk.screen.waits_for_others());
        let retry_at = waits.then(|| Instant::now() + RETRY);
        self.waiting.next(self.give_up_at.or(retry_at), events)
    }

    /// The end of the monitor, if it has ended. That it is stopped is not for us to mind, as long as we have a terminal.
    ///
    /// Where the kernel does not tell any more, it is killed, which hangs up for its command, as in [`Job::next_change`].
    ///
    /// [`Job::next_change`]: crate::run::job::Job::next_change
    fn end_of_monitor(&self) -> Option<Change> {
        loop {
            let (child, change) = match sys::reap() {
                Ok(changed) => changed?,
                Err(_) => {
                    // It may have ended.
                    let _ = sys::send_surely(self.monitor, SIGKILL);
                    return Some(Change::Exited(FAILED.into()));
                }
            };
            match change {
                Change::Stopped(_) => (),
                Change::Exited(_) | Change::Killed(_) if child == self.monitor => {
                    return Some(change);
                }
                Change::Exited(_) | Change::Killed(_) => (),
            }
        }
    }

    /// Takes what has come: messages first, which may be about who is to get the keys.
    fn receive(&mut self, [filter, monitor, keys, room]: [bool; 4]) {
        if filter {
            self.hear_filter();
        }
        if monitor {
            self.hear_monitor();
        }
        let Some(desk) = &mut self.desk else {
            return;
        };
        if filter || monitor {
            return;
        }
        if keys {
            desk.screen.take_keys(self.monitor);
        } else if room {
            desk.screen.pass_keys_on();
        }
    }

    fn hear_filter(&mut self) {
        if self.filter.receive_all() {
            self.begin();
        }
        if !self.filter.are_open() {
            // Nobody shows any more what the command writes.
            self.expect_end();
        }
    }

    fn hear_monitor(&mut self) {
        while let Some(desk) = &self.desk {
            let round = desk.round;
            match desk.monitor.receive() {
                Ok(Some(JobNews::InForeground { round: of })) if of == round => self.begin(),
                Ok(Some(JobNews::Stopped { round: of, signal })) if of == round => {
                    self.command_has_stopped(signal);
                }
                // What was sent before the monitor knew that we were continued.
                Ok(Some(_)) => (),
                Ok(None) => return,
                // It is about to end, or has given up.
                Err(_) => return self.expect_end(),
            }
        }
    }

    /// One of the others is gone. If the command has not just ended, we give up.
    fn expect_end(&mut self) {
        if let Some(desk) = &mut self.desk {
            desk.screen.pause();
            self.give_up_at = self.give_up_at.or(Some(Instant::now() + GRACE));
        }
    }

    /// Puts the terminal back, and lets go of the monitor, which hangs up.
    fn give_up(&mut self) {
        self.give_up_at = None;
        if let Some(mut desk) = self.desk.take() {
            desk.screen.put_back();
        }
    }

    /// Passes keys on, if the command is to have them.
    fn begin(&mut self) {
        if let Some(desk) = &mut self.desk {
            // From here on we see what is typed.
            self.waiting.confine();
            desk.screen.begin();
        }
    }

    /// The command may have asked for the terminal only, and we may have it.
    fn command_has_stopped(&mut self, signal: i32) {
        let Some(desk) = &mut self.desk else {
            return;
        };
        let asks_for_terminal = matches!(signal, SIGTTIN | SIGTTOU);
        if asks_for_terminal {
            desk.screen.ask_for();
        }
        if asks_for_terminal && !desk.screen.passes_keys() && desk.screen.is_ours() {
            self.resume();
        } else {
            self.stop(signal);
        }
    }

    /// Stops like the command, so that the shell that started us takes over, where there is one.
    fn stop(&mut self, signal: i32) {
        if sys::id() != sys::INIT && sys::can_be_continued() {
            if let Some(desk) = &mut self.desk {
                desk.screen.leave_as_command_did();
            }
            if matches!(signal, SIGTSTP | SIGTTIN | SIGTTOU) {
                // The kernel tells all of our group, too. Whoever may not be told is not.
                let _ = sys::send(0, signal);
            }
            // If we cannot stop, we are continued already.
            let _ = sys::stop_by(signal);
        } else if signal == SIGTSTP {
            self.resume_anew();
        }
    }

    /// Has the monitor continue the command whatever it has reported before.
    fn resume_anew(&mut self) {
        if let Some(desk) = &mut self.desk {
            desk.round = desk.round.wrapping_add(1);
        }
        self.resume();
    }

    /// Has the monitor continue the command, in the foreground if we are there.
    fn resume(&mut self) {
        if let Some(desk) = &mut self.desk {
            let round = desk.round;
            let ground = desk.screen.prepare();
            self.order(Order::Continue { round, ground });
        }
    }

    fn order(&mut self, order: Order) {
        let desk = self.desk.as_ref();
        if desk.is_some_and(|desk| desk.monitor.send(order).is_err()) {
            self.expect_end();
        }
    }

    /// The kernel tells only us of what happens on our terminal. What we send ourselves is for our neighbours, and the
    /// kernel does so in our name when we write to a process that is gone.
    fn is_for_command(&self, signal: &Signal) -> bool {
        if !signal.is_from_kernel() {
            let is_own = matches!(
                signal.number,
                SIGINT | SIGQUIT | SIGTSTP | SIGTTIN | SIGTTOU | SIGPIPE
            ) && signal.sender() == Some(sys::id());
            return signal.sender() != Some(self.monitor) && !is_own;
        }
        !matches!(signal.number, SIGCHLD | SIGTTIN | SIGTTOU)
    }

    fn forward(&mut self, signal: &Signal) {
        let is_from_kernel = signal.is_from_kernel();
        if self.is_of_hangup(signal) {
            return self.hang_up();
        }
        match (&self.desk, signal.number) {
            // Our session has lost its leader.
            (Some(_), SIGHUP) if is_from_kernel => self.order(Order::Signal(SIGHUP)),
            (Some(_), SIGCONT) => self.resume_anew(),
            (Some(desk), SIGWINCH) if is_from_kernel => desk.screen.copy_size(),
            (Some(_), SIGINT | SIGQUIT) if is_from_kernel => {
                self.order(Order::Signal(signal.number));
            }
            (Some(_), SIGTSTP | SIGTTIN | SIGTTOU) => self.order(Order::Signal(signal.number)),
            (None, SIGTSTP | SIGWINCH) if is_from_kernel => (),
            (Some(_), number) if SignalSet::FOR_JOBS.contains(number) => {
                if self.is_for_group(signal) {
                    self.order(Order::Signal(number));
                } else {
                    self.forward_to_monitor(signal);
                }
            }
            _ => self.forward_to_monitor(signal),
        }
    }

    /// Whether a signal says that the terminal is gone, or comes of that.
    fn is_of_hangup(&self, signal: &Signal) -> bool {
        match (&self.desk, signal.number, self.hung_up_at) {
            (Some(desk), SIGHUP, _) => desk.screen.is_gone(),
            (_, SIGHUP | SIGCONT, Some(at)) => signal.is_from_kernel() || at.elapsed() < HANGUP,
            _ => false,
        }
    }

    /// Closes the other terminal too, which hangs up for all on it, once.
    fn hang_up(&mut self) {
        self.hung_up_at = self.hung_up_at.or(Some(Instant::now()));
        self.give_up();
    }

    /// Whether a process has sent a signal to all of our group. The filter is in it too, and tells.
    fn is_for_group(&mut self, signal: &Signal) -> bool {
        let until = Instant::now() + WITNESS;
        loop {
            self.hear_filter();
            let patience = until.saturating_duration_since(Instant::now());
            if self.filter.take_witnessed(signal) {
                return true;
            }
            if patience.is_zero() || !self.filter.are_open() {
                return false;
            }
            // If that fails, it is soon over.
            let _ = sys::wait_for_events([self.filter.event()], Some(patience));
        }
    }

    fn forward_to_monitor(&self, signal: &Signal) {
        if signal.forward(self.monitor).is_err() {
            // The user may have as many signals queued as the system allows. Without its value it needs no place there. Of a
            // monitor that has ended we are about to be told.
            let _ = sys::send(self.monitor, signal.number);
        }
    }
}
