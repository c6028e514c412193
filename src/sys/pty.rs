//! Pseudo-terminals (pty(7)), and sessions on them.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use crate::sys::streams::owned;
use crate::sys::terminal::{Settings, copy_size};

/// A new pseudo-terminal.
pub struct PseudoTerminal {
    /// The side where what is written comes out, and keys go in.
    pub master: File,
    /// The side for a command.
    pub slave: OwnedFd,
}

impl PseudoTerminal {
    /// Makes one with the settings and the size of a terminal, which stands in for it.
    ///
    /// # Errors
    ///
    /// Any error of posix_openpt(3) and of the calls that set it up.
    pub fn like(terminal: &File) -> io::Result<Self> {
        let made = PseudoTerminal::new(libc::O_RDWR)?;
        Settings::of(terminal)?.set(&made.master)?;
        copy_size(terminal, &made.master)?;
        Ok(made)
    }

    /// Makes one like a terminal that it leaves all work to: what is written comes out unchanged. It is for writing only,
    /// so that a program that reads from its standard error does not wait for what never comes.
    ///
    /// # Errors
    ///
    /// As above.
    pub fn in_front_of(terminal: &File) -> io::Result<Self> {
        let made = PseudoTerminal::new(libc::O_WRONLY)?;
        let settings = Settings::of(terminal)?.with_output_unchanged();
        settings.set(&made.master)?;
        copy_size(terminal, &made.master)?;
        Ok(made)
    }

    fn new(access: libc::c_int) -> io::Result<Self> {
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
        // SAFETY: posix_openpt takes flags and touches no memory.
        let master = owned(unsafe { libc::posix_openpt(flags) }.into())?;
        let unlocked: libc::c_int = 0;
        let number = master.as_raw_fd();
        // SAFETY: the call reads the integer, which is live.
        if unsafe { libc::ioctl(number, libc::TIOCSPTLCK, &raw const unlocked) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let flags = access | libc::O_NOCTTY | libc::O_CLOEXEC;
        // SAFETY: the call takes flags and touches no memory.
        let slave = owned(unsafe { libc::ioctl(number, libc::TIOCGPTPEER, flags) }.into())?;
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
    // SAFETY: setsid has no arguments.
    if unsafe { libc::setsid() } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call takes integers and touches no memory.
    match unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
