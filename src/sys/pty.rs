//! Pseudo-terminals (pty(7)), and sessions on them.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use rustix::pty::OpenptFlags;

use crate::sys::errno::plain;
use crate::sys::terminal::{Settings, copy_size};

/// A new pseudo-terminal.
pub struct PseudoTerminal {
    /// The side where what is written comes out, and keys go in.
    pub master: File,
    /// The side for a command.
    pub slave: OwnedFd,
}

/// Why there is no pseudo-terminal.
#[derive(Debug, thiserror::Error)]
#[error("/dev/ptmx: {}", plain(.0))]
pub struct NoPseudoTerminal(#[from] io::Error);

impl PseudoTerminal {
    /// Makes one with these settings and the size of a terminal, which stands in for it.
    ///
    /// # Errors
    ///
    /// Any error of posix_openpt(3) and of the calls that set it up.
    pub fn like(terminal: &File, settings: &Settings) -> Result<Self, NoPseudoTerminal> {
        let made = PseudoTerminal::new(OpenptFlags::RDWR)?;
        settings.set(&made.master)?;
        copy_size(terminal, &made.master)?;
        Ok(made)
    }

    /// Makes one like a terminal that it leaves all work to: what is written comes out unchanged. It is for writing only,
    /// so that a program that reads from its standard error does not wait for what never comes.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn in_front_of(terminal: &File) -> Result<Self, NoPseudoTerminal> {
        let for_writing = OpenptFlags::from_bits_retain(libc::O_WRONLY as u32);
        let made = PseudoTerminal::new(for_writing)?;
        let settings = Settings::of(terminal)?.with_output_unchanged();
        settings.set(&made.master)?;
        copy_size(terminal, &made.master)?;
        Ok(made)
    }

    fn new(access: OpenptFlags) -> io::Result<Self> {
        let not_inherited = OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = rustix::pty::openpt(OpenptFlags::RDWR | not_inherited)?;
        rustix::pty::unlockpt(&master)?;
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, access | not_inherited)?;
        Ok(PseudoTerminal {
            master: master.into(),
            slave,
        })
    }
}

/// Makes us the leader of a new session, and of a group in it, whose controlling terminal is `terminal`.
///
/// # Errors
///
/// `EPERM` if we lead a process group already, or the terminal has a session.
pub fn lead_session_on(terminal: &OwnedFd) -> io::Result<()> {
    rustix::process::setsid()?;
    Ok(rustix::process::ioctl_tiocsctty(terminal)?)
}
