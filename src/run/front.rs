//! The terminal that we were started on, while the command has a pseudo-terminal in its place.
//!
//! As long as the command is in the foreground, keys are passed on to it as they are typed, and the pseudo-terminal
//! makes of them what they mean: line, signal or neither. What the user's shell is given back is what the command left.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::time::Instant;

use crate::sys::{self, Interest, Pid, PseudoTerminal, Settings, Signal, SignalSet};

/// How many bytes of keys wait for the command until no more are taken from the terminal.
const MOST_TYPED: usize = 64 * 1024;

/// How many are taken at once: what a terminal holds.
const TYPED_AT_ONCE: usize = 4096;

/// The controlling terminal, and the master of the one that stands in for it.
pub struct Screen {
    terminal: File,
    master: File,
    /// The settings that the user's shell has made.
    before: Settings,
    /// Whether others read keys from it and write to it, as the other commands of a pipeline may.
    is_shared: bool,
    /// Whether the command is to have it: from the start, or because it has asked for it.
    is_wanted: bool,
    /// Whether keys are passed on.
    is_in_use: bool,
    /// Those that the pseudo-terminal has not taken yet.
    typed: Vec<u8>,
    /// Readable when there are signals.
    signals: OwnedFd,
}

impl Screen {
    /// Opens the controlling terminal, and makes a pseudo-terminal like it, whose slave is for the command.
    ///
    /// # Errors
    ///
    /// If there is no such terminal, or the system has no more of them.
    pub fn open(is_shared: bool) -> io::Result<(Self, OwnedFd)> {
        let mut terminal = File::options();
        // Not one of our streams: others would find that reading from it does not wait.
        let terminal = terminal
            .read(true)
            .write(true)
            .custom_flags(sys::NOT_WAITING);
        let terminal = terminal.open("/dev/tty")?;
        let before = Settings::of(&terminal)?;
        let PseudoTerminal { master, slave } = PseudoTerminal::like(&terminal)?;
        sys::set_nonblocking(master.as_fd())?;
        let screen = Screen {
            terminal,
            master,
            before,
            is_shared,
            is_wanted: !is_shared,
            is_in_use: false,
            typed: Vec::new(),
            signals: SignalSet::ALL.descriptor()?,
        };
        Ok((screen, slave))
    }

    /// Where the command's output comes out.
    ///
    /// # Errors
    ///
    /// Any error of dup(2).
    pub fn output(&self) -> io::Result<File> {
        self.master.try_clone()
    }

    /// All descriptors that it needs.
    pub fn descriptors(&self) -> [RawFd; 3] {
        let signals = self.signals.as_raw_fd();
        [self.terminal.as_raw_fd(), self.master.as_raw_fd(), signals]
    }

    /// Whether our process group has the terminal.
    pub fn is_ours(&self) -> bool {
        sys::foreground_group(&self.terminal) == Some(sys::group())
    }

    /// Whether the command is to have the terminal now.
    pub fn is_for_command(&self) -> bool {
        self.is_wanted && self.is_ours()
    }

    /// The command has asked for the terminal, as one does that is stopped because it is in the background.
    pub fn ask_for(&mut self) {
        self.is_wanted = true;
    }

    /// Whether keys are passed on.
    pub fn is_in_use(&self) -> bool {
        self.is_in_use
    }

    /// Leaves all work to the pseudo-terminal.
    pub fn make_raw(&self) {
        // A terminal that is gone needs no settings.
        let _ = self.raw().set(&self.terminal);
    }

    /// The settings under which the pseudo-terminal does all work. What others write stays readable.
    fn raw(&self) -> Settings {
        let raw = self.before.raw();
        match self.is_shared {
            true => raw.with_output_of(&self.before),
            false => raw,
        }
    }

    fn is_raw(&self) -> bool {
        Settings::of(&self.terminal).is_ok_and(|now| now.are_like(&self.raw()))
    }

    /// Makes the terminal ready if the command is to have it, and tells whether it is.
    pub fn prepare(&mut self) -> bool {
        if !self.is_for_command() {
            return false;
        }
        if !self.is_raw()
            && let Ok(now) = Settings::of(&self.terminal)
        {
            self.before = now;
            self.make_raw();
        }
        self.copy_size();
        true
    }

    /// Passes keys on from now on if the command is to have the terminal, and is in the foreground of the other one: a
    /// key that is a signal must reach it.
    pub fn begin(&mut self) {
        self.is_in_use = self.prepare();
    }

    /// Takes no more keys.
    pub fn pause(&mut self) {
        self.is_in_use = false;
    }

    /// Gives the terminal back, with what the command has set, or as it was.
    pub fn leave(&mut self, as_command_left_it: bool) {
        self.pause();
        if !self.is_raw() {
            return;
        }
        let left = Settings::of(&self.master).ok();
        let left = left.filter(|left| as_command_left_it && !left.are_like(&self.before));
        let settings = left.map_or(self.before.clone(), |left| left.with_line_of(&self.before));
        let _ = settings.set(&self.terminal);
    }

    /// Has the kernel tell the command of a new size of the window, if it is one.
    pub fn copy_size(&self) {
        // A terminal that is gone has no size; the command is hung up.
        let _ = sys::copy_size(&self.terminal, &self.master);
    }

    /// Passes keys on until a signal comes, and takes that; `None` when `until` has come. `monitor` stands in front of
    /// the command.
    ///
    /// # Errors
    ///
    /// If signals cannot be waited for.
    pub fn wait(&mut self, until: Option<Instant>, monitor: Pid) -> io::Result<Option<Signal>> {
        loop {
            let now = Instant::now();
            if let Some(signal) = SignalSet::ALL.wait(Some(now))? {
                return Ok(Some(signal));
            }
            if until.is_some_and(|until| until <= now) {
                return Ok(None);
            }
            let takes_keys = self.is_in_use && self.typed.len() < MOST_TYPED;
            let events = [
                Some((self.signals.as_fd(), Interest::Readable)),
                takes_keys.then(|| (self.terminal.as_fd(), Interest::Readable)),
                (!self.typed.is_empty()).then(|| (self.master.as_fd(), Interest::Writable)),
            ];
            let patience = until.map(|until| until.saturating_duration_since(now));
            match sys::wait_for_events(events, patience) {
                Ok([false, true, _]) => self.take_keys(monitor),
                Ok([false, false, true]) => self.pass_keys_on(),
                _ => (),
            }
        }
    }

    fn take_keys(&mut self, monitor: Pid) {
        let mut keys = [0; TYPED_AT_ONCE];
        match self.terminal.read(&mut keys) {
            Ok(count @ 1..) => {
                self.signal_neighbours(&keys[..count], monitor);
                self.typed.extend(&keys[..count]);
                self.pass_keys_on();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => (),
            // We are in the background, or the terminal is gone.
            _ => self.pause(),
        }
    }

    /// Gives the pseudo-terminal as many keys as it takes.
    fn pass_keys_on(&mut self) {
        match self.master.write(&self.typed) {
            Ok(count) => drop(self.typed.drain(..count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => (),
            Err(_) => self.typed.clear(),
        }
    }

    /// Sends the signal of a key to our own group too, where it would have come from the terminal: a script that waits
    /// for us is to see it, and the rest of a pipeline.
    fn signal_neighbours(&self, keys: &[u8], monitor: Pid) {
        let Ok(settings) = Settings::of(&self.master) else {
            return;
        };
        let mut signals = keys.iter().filter_map(|key| settings.signal_of(*key));
        if let Some(signal) = signals.next()
            && let Some(group) = sys::foreground_group(&self.master)
            && (group == monitor || sys::parent_of(group) == Some(monitor))
        {
            // Our own group cannot be gone.
            let _ = sys::send(0, signal);
        }
    }
}
