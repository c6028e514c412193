//! How a process becomes the one that signals are for, which only it can do for itself.

#![forbid(unsafe_code)]

use std::io;

use crate::run::job_terminal::{Lending, Terminal};
use crate::sys::{self, Pid, SignalSet};

/// What the command is to find as it was before there was a parent in front, and what the user wants to be different.
#[derive(Clone, Copy)]
pub struct WorkerStart {
    /// The process in front of it.
    pub parent: Pid,
    pub mask: SignalSet,
    pub children: Children,
    pub group: Group,
    /// The signal that it gets when the parent is gone.
    pub die_with_parent: Option<i32>,
}

/// What becomes of children that nobody waits for.
#[derive(Clone, Copy)]
pub enum Children {
    Expected,
    /// They vanish: SIGCHLD was ignored when we were started.
    Ignored,
}

/// The process group of the command.
#[derive(Clone, Copy)]
pub enum Group {
    Inherited,
    Own(Lending),
}

impl WorkerStart {
    /// Begins, still in the parent's group, and in the foreground if that is there.
    ///
    /// # Errors
    ///
    /// Those of [`WorkerStart::begin_on`].
    pub fn begin(&self) -> io::Result<()> {
        let terminal = match self.group {
            Group::Own(Lending::AtOnce) if Terminal.is_held_by_us()? => Some(Terminal),
            Group::Own(_) | Group::Inherited => None,
        };
        self.begin_on(terminal)
    }

    /// Begins, and makes the group, if it is one of our own, the foreground of this terminal.
    ///
    /// # Errors
    ///
    /// If the kernel refuses any of it. The command must not be started then.
    pub fn begin_on(&self, terminal: Option<Terminal>) -> io::Result<()> {
        if let Group::Own(_) = self.group {
            sys::set_group(sys::id())?;
            if let Some(terminal) = terminal {
                terminal.hand_to(sys::id())?;
            }
        }
        if let Some(signal) = self.die_with_parent {
            die_with_parent(signal, self.parent)?;
        }
        match self.children {
            Children::Expected => Ok(()),
            Children::Ignored => sys::ignore_children(),
        }
    }

    /// Lets those signals through that the caller did.
    ///
    /// # Errors
    ///
    /// Any error of rt_sigprocmask(2).
    pub fn restore_mask(&self) -> io::Result<()> {
        self.mask.set_as_mask().map(drop)
    }
}

/// Has the kernel send us `signal` when `parent` is gone, or dies of it if it is already.
///
/// # Errors
///
/// Any error of prctl(2), and of kill(2) if the parent is gone.
pub fn die_with_parent(signal: i32, parent: Pid) -> io::Result<()> {
    sys::die_with_parent(signal)?;
    if sys::parent() == parent {
        Ok(())
    } else {
        sys::die_by(signal)
    }
}
