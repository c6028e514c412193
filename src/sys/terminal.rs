//! The terminal: its settings and size, its foreground group, and waiting for what is typed.

use std::ffi::c_int;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::sys::streams::{Event, wait_for_events};
use crate::sys::{Pid, checked};

/// The foreground process group of a terminal: 0 if it is none of our PID namespace.
pub fn foreground_group(terminal: &File) -> Option<Pid> {
    // SAFETY: tcgetpgrp takes a descriptor that is open for the call.
    let group = unsafe { libc::tcgetpgrp(terminal.as_raw_fd()) };
    (group >= 0).then_some(group)
}

/// Makes a process group of our session the foreground group of its terminal.
///
/// # Errors
///
/// Any error of tcsetpgrp(3).
pub fn set_foreground_group(terminal: &File, group: Pid) -> io::Result<()> {
    // SAFETY: tcsetpgrp takes a descriptor that is open for the call, and an integer.
    checked(unsafe { libc::tcsetpgrp(terminal.as_raw_fd(), group) })
}

/// Whether a file is our controlling terminal: only of that one the session is told.
pub fn is_controlling(file: &File) -> bool {
    // SAFETY: tcgetsid takes a descriptor that is open for the call.
    unsafe { libc::tcgetsid(file.as_raw_fd()) > 0 }
}

/// Waits until one of the descriptors is readable, and tells which are.
///
/// # Errors
///
/// Any error of poll(2).
pub fn wait_readable<const N: usize>(descriptors: [BorrowedFd<'_>; N]) -> io::Result<[bool; N]> {
    wait_for_events(descriptors.map(|fd| Some((fd, Event::Readable))), None)
}

/// The settings of a terminal (termios(3)).
#[derive(Clone, Copy)]
pub struct Settings(libc::termios);

impl Settings {
    /// Those of `terminal`; of a pseudo-terminal, its master tells them too.
    ///
    /// # Errors
    ///
    /// `ENOTTY` if it is not one; any other error of tcgetattr(3).
    pub fn of(terminal: &File) -> io::Result<Self> {
        let mut settings = MaybeUninit::<libc::termios>::uninit();
        // SAFETY: `settings` is writable memory of the type that tcgetattr fills.
        if unsafe { libc::tcgetattr(terminal.as_raw_fd(), settings.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: tcgetattr returned success, so it has filled all of `settings`.
        Ok(Settings(unsafe { settings.assume_init() }))
    }

    /// Sets them at once; what was typed stays.
    ///
    /// # Errors
    ///
    /// Any error of tcsetattr(3).
    pub fn set(&self, terminal: &File) -> io::Result<()> {
        self.change(terminal, libc::TCSANOW)
    }

    fn change(&self, terminal: &File, when: c_int) -> io::Result<()> {
        // SAFETY: the settings are an initialised termios that outlives the call.
        match unsafe { libc::tcsetattr(terminal.as_raw_fd(), when, &raw const self.0) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// These, without echo, for a line that nobody is to see.
    fn without_echo(mut self) -> Self {
        self.0.c_lflag &= !(libc::ECHO | libc::ECHOE | libc::ECHOK | libc::ECHONL);
        self.0.c_lflag |= libc::ICANON | libc::ISIG;
        self
    }

    /// These, but every key is passed on as it is (cfmakeraw(3)).
    pub fn raw(mut self) -> Self {
        // SAFETY: cfmakeraw changes the settings, which are live and initialised, and nothing else.
        unsafe { libc::cfmakeraw(&raw mut self.0) };
        self.with_line_of(&self)
    }

    /// These, with what is written left as it is.
    pub fn with_output_unchanged(mut self) -> Self {
        self.0.c_oflag &= !libc::OPOST;
        self
    }

    /// These, with what is written treated as by others.
    pub fn with_output_of(mut self, other: &Settings) -> Self {
        self.0.c_oflag = other.0.c_oflag;
        self
    }

    /// These, with the line itself as others have it: speed, size of characters and parity, which mean nothing on a
    /// pseudo-terminal.
    pub fn with_line_of(mut self, other: &Settings) -> Self {
        self.0.c_cflag = other.0.c_cflag;
        self.0.c_ispeed = other.0.c_ispeed;
        self.0.c_ospeed = other.0.c_ospeed;
        self
    }

    /// Whether they are the same but for the line itself.
    pub fn are_like(&self, other: &Settings) -> bool {
        let flags = |it: &Settings| [it.0.c_iflag, it.0.c_oflag, it.0.c_lflag];
        flags(self) == flags(other) && self.0.c_cc == other.0.c_cc
    }

    /// The signal that a key sends to the foreground, if it is the one for SIGINT or SIGQUIT.
    pub fn signal_of(&self, key: u8) -> Option<c_int> {
        let keys = [(libc::VINTR, libc::SIGINT), (libc::VQUIT, libc::SIGQUIT)];
        let is_sent = |(index, _): &(usize, c_int)| key != DISABLED && self.0.c_cc[*index] == key;
        let sent = keys.into_iter().find(is_sent)?;
        (self.0.c_lflag & libc::ISIG != 0).then_some(sent.1)
    }
}

/// A key that is none (_POSIX_VDISABLE).
const DISABLED: u8 = 0;

/// Gives a terminal the size of another one, if it has a different one. The kernel tells the foreground of a
/// pseudo-terminal whose master this is done to.
///
/// # Errors
///
/// Any error of ioctl(2).
pub fn copy_size(from: &File, to: &File) -> io::Result<()> {
    let (size, before) = (size_of(from)?, size_of(to)?);
    let dimensions =
        |size: &libc::winsize| [size.ws_row, size.ws_col, size.ws_xpixel, size.ws_ypixel];
    if dimensions(&size) == dimensions(&before) {
        return Ok(());
    }
    // SAFETY: the call reads the structure, which is live.
    checked(unsafe { libc::ioctl(to.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) })
}

fn size_of(terminal: &File) -> io::Result<libc::winsize> {
    let mut size = MaybeUninit::<libc::winsize>::uninit();
    // SAFETY: `size` is writable memory of the type that the call fills.
    let told = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCGWINSZ, size.as_mut_ptr()) };
    if told != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call returned success, so it has filled all of `size`.
    Ok(unsafe { size.assume_init() })
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
        before.without_echo().change(terminal, libc::TCSAFLUSH)?;
        Ok(TerminalMode { terminal, before })
    }
}

impl Drop for TerminalMode<'_> {
    fn drop(&mut self) {
        // There is nobody to tell that it could not be done.
        let _ = self.before.change(self.terminal, libc::TCSADRAIN);
    }
}
