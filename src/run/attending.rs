//! What every process does whose child is the command: it takes signals and messages until the command has ended.

#![forbid(unsafe_code)]

use crate::run::job::Job;
use crate::run::waiting::Wake;
use crate::sys::signal_names::SIGCHLD;
use crate::sys::{Change, Signal};

/// The parent of a command.
pub trait CommandParent {
    fn job(&mut self) -> &mut Job;

    /// Waits for what comes next.
    fn next(&mut self) -> Wake;

    /// Takes the messages that have come.
    fn take_messages(&mut self);

    /// Does what was to be done at the time that has come.
    fn do_what_is_due(&mut self);

    /// The command was stopped by a signal.
    fn command_has_stopped(&mut self, signal: i32);

    /// Whether a signal is to be passed on.
    fn is_for_command(&self, signal: &Signal) -> bool;

    /// Passes a signal on.
    fn forward(&mut self, signal: &Signal);

    /// Does all this until the command has ended, and tells how it did.
    fn wait_for_command(&mut self) -> Change {
        loop {
            let end = match self.next() {
                Wake::Signal(signal) => self.take_signal(&signal),
                Wake::Ready(_) => {
                    self.take_messages();
                    self.look_at_children()
                }
                Wake::Due => {
                    self.do_what_is_due();
                    self.look_at_children()
                }
            };
            if let Some(end) = end {
                return end;
            }
        }
    }

    /// Does what a signal is for, and tells how the command has ended, if it has.
    fn take_signal(&mut self, signal: &Signal) -> Option<Change> {
        // Of a process that ends, nobody knows later whether it was one of ours.
        let is_for_command = self.is_for_command(signal);
        if signal.number == SIGCHLD {
            if let Some(end) = self.look_at_children() {
                return Some(end);
            }
        } else {
            self.job().note_wish_to_end(signal);
        }
        if is_for_command {
            self.forward(signal);
        }
        None
    }

    /// Takes note of what happened to children, and tells how the command has ended, if it has.
    fn look_at_children(&mut self) -> Option<Change> {
        while let Some(change) = self.job().next_change() {
            match change {
                Change::Stopped(signal) => self.command_has_stopped(signal),
                Change::Exited(_) | Change::Killed(_) => return Some(change),
            }
        }
        self.job().look();
        None
    }
}
