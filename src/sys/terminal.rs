//! The terminal: its settings and size, and its foreground group.

use std::ffi::c_int;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd;

use rustix::process::Pid as Process;
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, OutputModes, SpecialCodeIndex, Termios,
};

use crate::sys::persisting::persist;
use crate::sys::processes::{Pid, group, session as own_session};

/// The foreground process group of a terminal: 0 if it is none of our PID namespace, which rustix knows no way to say;
/// `None` if it is not our controlling terminal, or gone.
///
/// # Errors
///
/// Any other error of tcgetpgrp(3).
pub fn foreground_group(terminal: &File) -> io::Result<Option<Pid>> {
    // SAFETY: tcgetpgrp takes a descriptor that is open for the call.
    match unsafe { libc::tcgetpgrp(terminal.as_raw_fd()) } {
        -1 => unless_gone(Err(io::Error::last_os_error())),
        group => Ok(Some(group)),
    }
}

/// Whether our process group is the foreground group of our terminal, which must be open so that reading does not wait,
/// while SIGTTIN is blocked.
///
/// # Errors
///
/// Any error of tcgetpgrp(3) and of read(2) that does not say that it is not.
pub fn is_in_foreground(terminal: &File) -> io::Result<bool> {
    match (foreground_group(terminal)?, group()?) {
        // Two groups of other PID namespaces: both have no number here. In the background even reading nothing is refused.
        (Some(0), 0) => match (&*terminal).read(&mut []) {
            Err(error) if error.raw_os_error() == Some(libc::EIO) => Ok(false),
            // Somebody else is reading.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(true),
            read => read.map(|_| true),
        },
        (foreground, group) => Ok(foreground == Some(group)),
    }
}

/// What an ioctl(2) gives back, or `None` if the terminal is gone: nothing of it is needed then.
fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if [Some(libc::ENOTTY), Some(libc::EIO)].contains(&error.raw_os_error()) => {
            Ok(None)
        }
        result => result.map(Some),
    }
}

/// Makes a process group of our session the foreground group of its terminal.
///
/// # Errors
///
/// Any error of tcsetpgrp(3); `ENOTTY` if it is not our controlling terminal.
pub fn set_foreground_group(terminal: &File, group: Pid) -> io::Result<()> {
    let group = Process::from_raw(group).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::termios::tcsetpgrp(terminal, group)?)
}

/// Whether a file is our controlling terminal: only of that one the session is told, but for the master of a
/// pseudo-terminal, which tells of its other side.
///
/// # Errors
///
/// If that cannot be known, as for [`is_terminal`].
pub fn is_controlling(file: &File) -> io::Result<bool> {
    // SAFETY: tcgetsid takes a descriptor that is open for the call. That of rustix knows no session of another namespace,
    // which is 0, as our own is then (unshare --pid --fork).
    let session = unsafe { libc::tcgetsid(file.as_raw_fd()) };
    let is_told = answered(session != -1)?;
    Ok(is_told && session == own_session()?)
}

/// Whether a file is a terminal. That of the standard library takes a refusal of the call for a no.
///
/// # Errors
///
/// If that cannot be known: a filter of system calls refuses ioctl(2), or there is no memory.
pub fn is_terminal(file: &File) -> io::Result<bool> {
    // SAFETY: isatty takes a descriptor that is open for the call.
    answered(unsafe { libc::isatty(file.as_raw_fd()) } == 1)
}

/// What an ioctl(2) says that only a terminal of some kind grants. A file of another kind refuses it with one of several
/// errors, a terminal that is gone with `EIO`, and Landlock (landlock(7)) has us use the file as if it were none.
fn answered(is_granted: bool) -> io::Result<bool> {
    if is_granted {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EPERM | libc::ENOSYS | libc::ENOMEM | libc::EINTR) => Err(error),
        _ => Ok(false),
    }
}

/// The settings of a terminal (termios(3)).
#[derive(Clone)]
pub struct Settings(Termios);

impl Settings {
    /// Those of `terminal`; of a pseudo-terminal, its master tells them too.
    ///
    /// # Errors
    ///
    /// `ENOTTY` if it is not one; any other error of tcgetattr(3).
    pub fn of(terminal: &File) -> io::Result<Self> {
        Ok(Settings(rustix::termios::tcgetattr(terminal)?))
    }

    /// Sets them at once; what was typed stays.
    ///
    /// # Errors
    ///
    /// Any error of tcsetattr(3).
    pub fn set(&self, terminal: &File) -> io::Result<()> {
        self.change(terminal, OptionalActions::Now)
    }

    /// The same, if the terminal is still there.
    ///
    /// # Errors
    ///
    /// Any other error of tcsetattr(3).
    pub fn set_unless_gone(&self, terminal: &File) -> io::Result<()> {
        unless_gone(self.set(terminal)).map(drop)
    }

    /// Replaces settings under which keys are read as under `others` by these. A terminal that has others, or is gone, stays
    /// as it is.
    ///
    /// # Errors
    ///
    /// Any error of tcgetattr(3) and tcsetattr(3) that lasts.
    pub fn replace(&self, others: &Settings, terminal: &File) -> io::Result<()> {
        let replace = || {
            if Settings::of(terminal)?.read_like(others) {
                self.set(terminal)
            } else {
                Ok(())
            }
        };
        persist(|| unless_gone(replace())).map(drop)
    }

    fn change(&self, terminal: &File, when: OptionalActions) -> io::Result<()> {
        Ok(rustix::termios::tcsetattr(terminal, when, &self.0)?)
    }

    /// These, without echo, for a line that nobody is to see.
    fn without_echo(mut self) -> Self {
        let modes = &mut self.0.local_modes;
        *modes -= LocalModes::ECHO | LocalModes::ECHOE | LocalModes::ECHOK | LocalModes::ECHONL;
        *modes |= LocalModes::ICANON | LocalModes::ISIG;
        self
    }

    /// These, but every key is passed on as it is (cfmakeraw(3)).
    pub fn raw(&self) -> Self {
        let mut raw = self.clone();
        raw.0.make_raw();
        raw.with_line_of(self)
    }

    /// These, with what is written left as it is.
    pub fn with_output_unchanged(mut self) -> Self {
        self.0.output_modes -= OutputModes::OPOST;
        self
    }

    /// These, with what is written treated as by others.
    pub fn with_output_of(mut self, other: &Settings) -> Self {
        self.0.output_modes = other.0.output_modes;
        self
    }

    /// These, with the line itself as others have it: speed, size of characters and parity, which mean nothing on a
    /// pseudo-terminal.
    pub fn with_line_of(&self, other: &Settings) -> Self {
        // Its speed can be set only together with the rest.
        let mut with = other.clone();
        with.0.input_modes = self.0.input_modes;
        with.0.output_modes = self.0.output_modes;
        with.0.local_modes = self.0.local_modes;
        with.0.line_discipline = self.0.line_discipline;
        with.0.special_codes = self.0.special_codes.clone();
        with
    }

    /// Whether they are the same but for the line itself.
    pub fn are_like(&self, other: &Settings) -> bool {
        self.read_like(other) && self.write_like(other)
    }

    /// Whether they are the same for what is typed.
    pub fn read_like(&self, other: &Settings) -> bool {
        let modes = |it: &Settings| (it.0.input_modes, it.0.local_modes);
        let codes = |it: &Settings| CODES.map(|index| it.0.special_codes[index]);
        modes(self) == modes(other) && codes(self) == codes(other)
    }

    /// Whether they are the same for what is written.
    pub fn write_like(&self, other: &Settings) -> bool {
        self.0.output_modes == other.0.output_modes
    }

    /// Whether a carriage return is put in front of each line feed that is written.
    pub fn add_returns(&self) -> bool {
        let both = OutputModes::OPOST | OutputModes::ONLCR;
        self.0.output_modes.contains(both)
    }

    /// Whether keys are passed on as they are.
    pub fn are_raw(&self) -> bool {
        !self.0.local_modes.intersects(COOKED)
    }

    /// What they were before another run made them raw, as far as they can be told: a terminal that is raw has the usual
    /// ones instead, and keeps its special codes.
    pub fn or_usual_if_raw(mut self) -> Self {
        if self.are_raw() {
            self.0.local_modes |= COOKED;
            self.0.input_modes |= InputModes::BRKINT | InputModes::ICRNL | InputModes::IXON;
            self.0.output_modes |= OutputModes::OPOST;
        }
        self
    }

    /// The signal that a key sends to the foreground, if it is the one for SIGINT or SIGQUIT.
    pub fn signal_of(&self, key: u8) -> Option<c_int> {
        let keys = [
            (SpecialCodeIndex::VINTR, libc::SIGINT),
            (SpecialCodeIndex::VQUIT, libc::SIGQUIT),
        ];
        let is_sent = |(index, _): &(SpecialCodeIndex, c_int)| {
            key != DISABLED && self.0.special_codes[*index] == key
        };
        let sent = keys.into_iter().find(is_sent)?;
        self.0
            .local_modes
            .contains(LocalModes::ISIG)
            .then_some(sent.1)
    }
}

/// What no terminal has that is raw.
const COOKED: LocalModes = LocalModes::ICANON
    .union(LocalModes::ECHO)
    .union(LocalModes::ISIG)
    .union(LocalModes::IEXTEN);

/// A key that is none (_POSIX_VDISABLE).
const DISABLED: u8 = 0;

/// All special codes of a terminal.
const CODES: [SpecialCodeIndex; 17] = [
    SpecialCodeIndex::VINTR,
    SpecialCodeIndex::VQUIT,
    SpecialCodeIndex::VERASE,
    SpecialCodeIndex::VKILL,
    SpecialCodeIndex::VEOF,
    SpecialCodeIndex::VTIME,
    SpecialCodeIndex::VMIN,
    SpecialCodeIndex::VSWTC,
    SpecialCodeIndex::VSTART,
    SpecialCodeIndex::VSTOP,
    SpecialCodeIndex::VSUSP,
    SpecialCodeIndex::VEOL,
    SpecialCodeIndex::VREPRINT,
    SpecialCodeIndex::VDISCARD,
    SpecialCodeIndex::VWERASE,
    SpecialCodeIndex::VLNEXT,
    SpecialCodeIndex::VEOL2,
];

/// Gives a terminal the size of another one, if it has a different one. The kernel tells the foreground of a
/// pseudo-terminal whose master this is done to.
///
/// # Errors
///
/// `ENOTTY` if one of them is none; `EIO` if it is gone.
pub fn copy_size(from: &File, to: &File) -> io::Result<()> {
    let size = rustix::termios::tcgetwinsize(from)?;
    if size != rustix::termios::tcgetwinsize(to)? {
        rustix::termios::tcsetwinsize(to, size)?;
    }
    Ok(())
}

/// The settings of a terminal, restored when dropped.
pub struct TerminalMode<'a> {
    terminal: &'a File,
    before: Settings,
}

impl<'a> TerminalMode<'a> {
    /// Turns echo off; what was typed before is discarded.
    ///
    /// # Errors
    ///
    /// `ENOTTY` if it is not a terminal; any other error of tcgetattr(3) and tcsetattr(3).
    pub fn without_echo(terminal: &'a File) -> io::Result<Self> {
        let before = Settings::of(terminal)?;
        before
            .clone()
            .without_echo()
            .change(terminal, OptionalActions::Flush)?;
        Ok(TerminalMode { terminal, before })
    }
}

impl Drop for TerminalMode<'_> {
    fn drop(&mut self) {
        // There is nobody to tell that it could not be done.
        let _ = self.before.change(self.terminal, OptionalActions::Drain);
    }
}
