//! The terminal: its settings, its foreground group, and waiting for what is typed.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::Pid;

/// The foreground process group of a terminal: 0 if it is none of our PID namespace.
pub fn foreground_group(terminal: &File) -> Option<Pid> {
    // SAFETY: tcgetpgrp takes a descriptor that is open for the call.
    let group = unsafe { libc::tcgetpgrp(terminal.as_raw_fd()) };
    (group >= 0).then_some(group)
}

/// Makes a process group of our session the foreground group of its terminal.
pub fn set_foreground_group(terminal: &File, group: Pid) {
    // SAFETY: tcsetpgrp takes a descriptor that is open for the call, and an integer.
    unsafe { libc::tcsetpgrp(terminal.as_raw_fd(), group) };
}

/// Waits until one of the descriptors is readable, and tells which are.
///
/// # Errors
///
/// Any error of poll(2).
pub fn wait_readable<const N: usize>(descriptors: [BorrowedFd<'_>; N]) -> io::Result<[bool; N]> {
    let mut polled = descriptors.map(|fd| libc::pollfd {
        fd: fd.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    });
    // SAFETY: pointer and length are those of a live exclusive array.
    if unsafe { libc::poll(polled.as_mut_ptr(), N as libc::nfds_t, -1) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(polled.map(|entry| entry.revents != 0))
}

/// Waits until a descriptor can be written to, or tells by an error that it cannot.
///
/// # Errors
///
/// Any error of poll(2).
pub fn wait_writable(descriptor: BorrowedFd<'_>) -> io::Result<()> {
    let mut polled = libc::pollfd {
        fd: descriptor.as_raw_fd(),
        events: libc::POLLOUT,
        revents: 0,
    };
    // SAFETY: the pointer is to one live entry.
    match unsafe { libc::poll(&raw mut polled, 1, -1) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// The settings of a terminal, restored when dropped.
pub struct TerminalMode<'a> {
    terminal: &'a File,
    before: libc::termios,
}

impl<'a> TerminalMode<'a> {
    /// Turns echo off; what was typed before is discarded.
    ///
    /// # Errors
    ///
    /// `ENOTTY` if it is not a terminal; any other error of tcgetattr(3) and tcsetattr(3).
    pub fn without_echo(terminal: &'a File) -> io::Result<Self> {
        let mut before = MaybeUninit::<libc::termios>::uninit();
        // SAFETY: `before` is writable memory of the type that tcgetattr fills.
        if unsafe { libc::tcgetattr(terminal.as_raw_fd(), before.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: tcgetattr returned success, so it has filled all of `before`.
        let before = unsafe { before.assume_init() };
        let mut silent = before;
        silent.c_lflag &= !(libc::ECHO | libc::ECHOE | libc::ECHOK | libc::ECHONL);
        silent.c_lflag |= libc::ICANON | libc::ISIG;
        // SAFETY: `silent` is an initialised termios that outlives the call.
        if unsafe { libc::tcsetattr(terminal.as_raw_fd(), libc::TCSAFLUSH, &raw const silent) } != 0
        {
            return Err(io::Error::last_os_error());
        }
        Ok(TerminalMode { terminal, before })
    }
}

impl Drop for TerminalMode<'_> {
    fn drop(&mut self) {
        // SAFETY: `before` is what tcgetattr filled.
        unsafe {
            libc::tcsetattr(
                self.terminal.as_raw_fd(),
                libc::TCSADRAIN,
                &raw const self.before,
            )
        };
    }
}
