//! The terminal that we were started on, while the command has a pseudo-terminal in its place.
//!
//! As long as the command is in the foreground, keys are passed on to it as they are typed, and the pseudo-terminal
//! makes of them what they mean: line, signal or neither. What the user's shell is given back is what the command left.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;

use crate::error::Error;
use crate::run::messages::Ground;
use crate::sys::{self, Interest, Pid, PseudoTerminal, Settings};

/// How many bytes of keys wait for the command until no more are taken from the terminal.
const MOST_TYPED: usize = 64 * 1024;

/// How many are read at once: what a terminal holds.
const TYPED_AT_ONCE: usize = 4096;

/// The controlling terminal, and the master of the one that stands in for it.
pub struct Screen {
    terminal: File,
    master: File,
    /// The settings that the user's shell has made.
    before: Settings,
    sharing: Sharing,
    keys: Keys,
    /// Those that the pseudo-terminal has not taken yet.
    typed: Vec<u8>,
}

/// Whether others read keys from the terminal and write to it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Nobody does.
    Alone,
    /// The other commands of a pipeline may.
    InPipeline,
}

/// What happens to keys.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keys {
    /// The command has not asked for the terminal.
    NotWanted,
    /// It is to have the terminal, and does not get keys at the moment.
    Held,
    /// They are passed on.
    Passed,
}

impl Screen {
    /// Opens the controlling terminal, and makes a pseudo-terminal like it, whose slave is for the command.
    ///
    /// # Errors
    ///
    /// If there is no such terminal, or the system has no more of them.
    pub fn open(sharing: Sharing) -> Result<(Self, OwnedFd), Error> {
        let mut terminal = File::options();
        // Not one of our streams: others would find that reading from it does not wait.
        let terminal = terminal
            .read(true)
            .write(true)
            .custom_flags(sys::NOT_WAITING);
        let terminal = terminal.open("/dev/tty").map_err(Error::Supervise)?;
        let before = Settings::of(&terminal).map_err(Error::Supervise)?;
        let PseudoTerminal { master, slave } = PseudoTerminal::like(&terminal)?;
        sys::set_nonblocking(master.as_fd()).map_err(Error::Supervise)?;
        let screen = Screen {
            terminal,
            master,
            before,
            sharing,
            keys: match sharing {
                Sharing::Alone => Keys::Held,
                Sharing::InPipeline => Keys::NotWanted,
            },
            typed: Vec::new(),
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
    pub fn descriptors(&self) -> [RawFd; 2] {
        [self.terminal.as_raw_fd(), self.master.as_raw_fd()]
    }

    /// Whether our process group has the terminal.
    pub fn is_ours(&self) -> bool {
        // That these calls are refused for good was found when this was made.
        sys::persist(|| sys::is_in_foreground(&self.terminal)).unwrap_or(false)
    }

    /// Whether the command is to have the terminal now.
    pub fn is_for_command(&self) -> bool {
        self.keys != Keys::NotWanted && self.is_ours()
    }

    /// The command has asked for the terminal, as one does that is stopped because it is in the background.
    pub fn ask_for(&mut self) {
        if self.keys == Keys::NotWanted {
            self.keys = Keys::Held;
        }
    }

    /// Whether keys are passed on.
    pub fn passes_keys(&self) -> bool {
        self.keys == Keys::Passed
    }

    /// Leaves all work to the pseudo-terminal.
    pub fn make_raw(&self) {
        // A terminal that is gone needs no settings.
        let _ = sys::persist(|| self.raw().set_unless_gone(&self.terminal));
    }

    /// The settings under which the pseudo-terminal does all work. What others write stays readable.
    fn raw(&self) -> Settings {
        let raw = self.before.raw();
        match self.sharing {
            Sharing::Alone => raw,
            Sharing::InPipeline => raw.with_output_of(&self.before),
        }
    }

    fn is_raw(&self) -> bool {
        Settings::of(&self.terminal).is_ok_and(|now| now.are_like(&self.raw()))
    }

    /// Makes the terminal ready if the command is to have it, and tells where the command is to be.
    pub fn prepare(&mut self) -> Ground {
        if !self.is_for_command() {
            return Ground::Background;
        }
        if !self.is_raw()
            && let Ok(now) = Settings::of(&self.terminal)
        {
            self.before = now;
            self.make_raw();
        }
        self.copy_size();
        Ground::Foreground
    }

    /// Passes keys on from now on if the command is to have the terminal, and is in the foreground of the other one: a
    /// key that is a signal must reach it.
    pub fn begin(&mut self) {
        match self.prepare() {
            Ground::Foreground => self.keys = Keys::Passed,
            Ground::Background => self.pause(),
        }
    }

    /// Takes no more keys.
    pub fn pause(&mut self) {
        if self.keys == Keys::Passed {
            self.keys = Keys::Held;
        }
    }

    /// Gives the terminal back with what the command has set.
    pub fn leave_as_command_did(&mut self) {
        let left = sys::persist(|| Settings::of(&self.master)).ok();
        let left = left.filter(|left| !left.are_like(&self.before));
        let before = self.before.clone();
        self.leave(left.map_or(before, |left| left.with_line_of(&self.before)));
    }

    /// Gives the terminal back as it was.
    pub fn put_back(&mut self) {
        self.leave(self.before.clone());
    }

    fn leave(&mut self, settings: Settings) {
        self.pause();
        // Nobody is left to whom it could be said that this fails for good.
        let _ = settings.replace(&self.raw(), &self.terminal);
    }

    /// Has the kernel tell the command of a new size of the window, if it is one.
    pub fn copy_size(&self) {
        // It stays as it is where one of the terminals is gone.
        let _ = sys::copy_size(&self.terminal, &self.master);
    }

    /// Shows what the command's side writes, until nobody has that any more.
    pub fn show_output(&self) {
        let mut chunk = [0; TYPED_AT_ONCE];
        loop {
            let readable = Some((self.master.as_fd(), Interest::Readable));
            let read = sys::wait_for_events([readable], None).and_then(|_| {
                // Not waiting, it may find nothing.
                (&self.master).read(&mut chunk)
            });
            let shown = match read {
                Ok(0) => return,
                Ok(count) => sys::write_all(&self.terminal, &chunk[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
                Err(error) => Err(error),
            };
            if shown.is_err() {
                return;
            }
        }
    }

    /// What is to be waited for: keys, and room for those that were not taken yet.
    pub fn events(&self) -> [Option<(BorrowedFd<'_>, Interest)>; 2] {
        let takes_keys = self.passes_keys() && self.typed.len() < MOST_TYPED;
        let has_keys = !self.typed.is_empty();
        [
            takes_keys.then(|| (self.terminal.as_fd(), Interest::Readable)),
            has_keys.then(|| (self.master.as_fd(), Interest::Writable)),
        ]
    }

    /// Takes keys from the terminal and passes them on. `monitor` stands in front of the command.
    pub fn take_keys(&mut self, monitor: Pid) {
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
    pub fn pass_keys_on(&mut self) {
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
            && let Ok(Some(group)) = sys::foreground_group(&self.master)
            && (group == monitor || sys::parent_of(group) == Some(monitor))
        {
            // Whoever may not be told is not.
            let _ = sys::send(0, signal);
        }
    }
}
