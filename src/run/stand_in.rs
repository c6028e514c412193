//! The terminal that we were started on, while the command has a pseudo-terminal in its place.
//!
//! As long as the command is in the foreground, keys are passed on to it as they are typed, and the pseudo-terminal
//! makes of them what they mean: line, signal or neither. What the user's shell is given back is what the command left.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::run::lease::Lease;
use crate::run::line_ends::{has_bare_feed, remove_returns};
use crate::run::messages::Ground;
use crate::sys::signal_names::SIGTTIN;
use crate::sys::{self, Interest, Pid, PseudoTerminal, Settings};

/// How many bytes of keys wait for the command until no more are taken from the terminal.
const MOST_TYPED: usize = 64 * 1024;

/// How many are read at once: what a terminal holds.
const TYPED_AT_ONCE: usize = 4096;

/// How long a lock is respected under which the terminal does not become raw: one of us makes it so at once.
const STRANGER: Duration = Duration::from_secs(1);

/// The controlling terminal, and the master of the one that stands in for it.
pub struct Screen {
    terminal: File,
    master: File,
    /// The settings that the user's shell has made.
    before: Settings,
    /// Those that the pseudo-terminal was given, if these could not be known because of another run.
    guessed: Option<Settings>,
    sharing: Sharing,
    keys: Keys,
    /// Those that the pseudo-terminal has not taken yet.
    typed: Vec<u8>,
    lease: Lease,
    /// Since when another program has had the lease.
    refused_since: Option<Instant>,
    /// The last byte that was shown.
    last: Cell<u8>,
}

/// Whether others read keys from the terminal and write to it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Nobody does.
    Alone,
    /// The other commands of a pipeline may, or the script that has started us in the background.
    Shared,
}

/// What happens to keys.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keys {
    /// The command has not asked for the terminal.
    NotWanted,
    /// It is to have the terminal, and does not get keys at the moment.
    Held,
    /// The same, until another run gives the terminal back.
    Awaited,
    /// They are passed on.
    Passed,
}

impl Screen {
    /// Opens the controlling terminal, which is the one of `stream`, and makes a pseudo-terminal like it, whose slave is for
    /// the command.
    ///
    /// # Errors
    ///
    /// If there is no such terminal, or the system has no more of them.
    pub fn open(stream: &File, sharing: Sharing) -> Result<(Self, OwnedFd), Error> {
        let mut terminal = File::options();
        // Not one of our streams: others would find that reading from it does not wait.
        let terminal = terminal
            .read(true)
            .write(true)
            .custom_flags(sys::NOT_WAITING);
        let terminal = terminal.open("/dev/tty").map_err(Error::Supervise)?;
        let lease = Lease::of(stream).map_err(Error::Supervise)?;
        // Under the lease, the settings are none of another run.
        let is_free = lease.take();
        let now = Settings::of(&terminal).map_err(Error::Supervise)?;
        lease.end(|| ());
        let before = if is_free { now } else { now.or_usual_if_raw() };
        let guessed = Some(before.clone()).filter(|_| !is_free);
        let PseudoTerminal { master, slave } = PseudoTerminal::like(&terminal, &before)?;
        sys::set_nonblocking(master.as_fd()).map_err(Error::Supervise)?;
        // A command that may not be stopped for reading cannot ask.
        let is_wanted = sharing == Sharing::Alone || sys::is_ignored(SIGTTIN);
        let screen = Screen {
            terminal,
            master,
            before,
            guessed,
            sharing,
            keys: if is_wanted {
                Keys::Held
            } else {
                Keys::NotWanted
            },
            typed: Vec::new(),
            lease,
            refused_since: None,
            last: Cell::default(),
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
    pub fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        let terminals = [self.terminal.as_raw_fd(), self.master.as_raw_fd()];
        terminals.into_iter().chain(self.lease.descriptor())
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

    /// Whether another run has the terminal that the command is to have.
    pub fn waits_for_others(&self) -> bool {
        self.keys == Keys::Awaited
    }

    /// Whether the terminal is gone.
    pub fn is_gone(&self) -> bool {
        Settings::of(&self.terminal).is_err()
    }

    /// Leaves all work to the pseudo-terminal before anything is shown, if the command is to have the terminal, and this is
    /// as it was.
    pub fn begin_to_show(&self) {
        if !self.is_for_command() || !self.lease.take() {
            return;
        }
        match Settings::of(&self.terminal) {
            Ok(now) if now.are_like(&self.before) => self.make_raw(),
            // The process that has it makes it raw, and takes note of what it was.
            _ => self.lease.end(|| ()),
        }
    }

    /// Leaves all work to the pseudo-terminal, under the lease.
    fn make_raw(&self) {
        // A terminal that is gone needs no settings.
        let set = || drop(sys::persist(|| self.raw().set_unless_gone(&self.terminal)));
        self.lease.change(set);
    }

    /// The settings under which the pseudo-terminal does all work. What others write stays readable.
    fn raw(&self) -> Settings {
        let raw = self.before.raw();
        match self.sharing {
            Sharing::Alone => raw,
            Sharing::Shared => raw.with_output_of(&self.before),
        }
    }

    fn is_raw(&self) -> bool {
        Settings::of(&self.terminal).is_ok_and(|now| now.read_like(&self.raw()))
    }

    /// Makes the terminal ready if the command is to have it, and tells where the command is to be.
    pub fn prepare(&mut self) -> Ground {
        if !self.is_for_command() {
            return Ground::Background;
        }
        if self.has_lease()
            && !self.is_raw()
            && let Ok(now) = Settings::of(&self.terminal)
        {
            self.correct_guess(&now);
            self.before = now;
            self.make_raw();
        }
        self.copy_size();
        Ground::Foreground
    }

    /// Whether we have the lease now. A program that is none of ours may have locked the terminal as well, but does not make
    /// it raw.
    fn has_lease(&mut self) -> bool {
        let is_taken = self.lease.take();
        let is_raw = || Settings::of(&self.terminal).is_ok_and(|now| now.are_raw());
        if is_taken || is_raw() {
            self.refused_since = None;
            return is_taken;
        }
        let since = *self.refused_since.get_or_insert_with(Instant::now);
        let is_stranger = since.elapsed() >= STRANGER;
        if is_stranger {
            self.lease.assume();
        }
        is_stranger
    }

    /// Gives the pseudo-terminal the settings that it would have been given, had they been known.
    fn correct_guess(&mut self, now: &Settings) {
        let has = |guess: &Settings| Settings::of(&self.master).is_ok_and(|it| it.are_like(guess));
        if self.guessed.take().is_some_and(|guess| has(&guess)) {
            // It keeps those that it has, then.
            let _ = now.set(&self.master);
        }
    }

    /// Passes keys on from now on if the command is to have the terminal, and is in the foreground of the other one: a
    /// key that is a signal must reach it.
    pub fn begin(&mut self) {
        match self.prepare() {
            Ground::Foreground if self.lease.is_taken() => self.keys = Keys::Passed,
            Ground::Foreground => self.keys = Keys::Awaited,
            Ground::Background => self.pause(),
        }
    }

    /// Takes no more keys.
    pub fn pause(&mut self) {
        if matches!(self.keys, Keys::Passed | Keys::Awaited) {
            self.keys = Keys::Held;
        }
    }

    /// Gives the terminal back with what the command has set.
    pub fn leave_as_command_did(&mut self) {
        let left = sys::persist(|| Settings::of(&self.master)).ok();
        let given = [Some(&self.before), self.guessed.as_ref()];
        let is_given = |left: &Settings| given.iter().flatten().any(|given| left.are_like(given));
        let left = left.filter(|left| !is_given(left));
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
        let replace = || drop(settings.replace(&self.raw(), &self.terminal));
        self.lease.end(replace);
    }

    /// Makes what the command has written to the pseudo-terminal ready for the terminal, which treats it too unless that is
    /// raw: of what both would do to the end of a line, the first is undone. A line feed that came without a carriage return
    /// is to stay so.
    pub fn fit(&self, output: &mut Vec<u8>) {
        let last = output.last().copied().unwrap_or_default();
        if has_bare_feed(self.last.replace(last), output) {
            self.treat_output(Settings::with_output_unchanged);
        } else {
            self.follow();
        }
        let outer = Settings::of(&self.terminal);
        if outer.is_ok_and(|outer| outer.add_returns()) {
            remove_returns(output);
        }
    }

    /// Has the terminal treat what others write as the command wants what it writes to be treated.
    pub fn follow(&self) {
        if let Ok(inner) = Settings::of(&self.master) {
            self.treat_output(|now| now.with_output_of(&inner));
        }
    }

    /// Changes how the terminal treats what is written, if others write there and we may change it.
    fn treat_output(&self, change: impl Fn(Settings) -> Settings) {
        if self.sharing == Sharing::Alone || !self.lease.is_taken() {
            return;
        }
        self.lease.change(|| {
            if let Ok(now) = Settings::of(&self.terminal) {
                let wanted = change(now.clone());
                if !now.write_like(&wanted) {
                    // A terminal that is gone needs no settings.
                    let _ = wanted.set_unless_gone(&self.terminal);
                }
            }
        });
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
