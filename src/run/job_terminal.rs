//! The controlling terminal, which a command in a group of its own is given for as long as it runs.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;

use libc::{ENODEV, ENXIO};

use crate::sys::signal_names::SIGTTIN;
use crate::sys::{self, Pid};

/// What stands for the controlling terminal of whoever opens it.
const PATH: &str = "/dev/tty";

/// The controlling terminal, if there is one.
///
/// It is opened anew each time, so that the waiting supervisor holds no descriptor.
#[derive(Clone, Copy)]
pub struct Terminal;

/// When a command in a group of its own is lent the terminal, while our group has it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Lending {
    /// From the start: nobody else is in our group, which a shell has made for us, or the command cannot ask.
    AtOnce,
    /// When it asks. Others in our group may need the terminal until then: those of a pipeline, or a script.
    OnDemand,
}

impl Lending {
    /// What our standard streams and our group say about others in it.
    ///
    /// # Errors
    ///
    /// If that cannot be known.
    pub fn find() -> io::Result<Self> {
        let mut is_in_pipeline = false;
        for number in 0..=2 {
            if let Some(stream) = sys::standard_stream(number)?.map(File::from) {
                if number == 0 && sys::is_ignored(SIGTTIN) && sys::is_controlling(&stream)? {
                    // It could not ask.
                    return Ok(Lending::AtOnce);
                }
                is_in_pipeline |= sys::is_pipe(&stream)?;
            }
        }
        Ok(if !is_in_pipeline && sys::leads_group()? {
            Lending::AtOnce
        } else {
            Lending::OnDemand
        })
    }
}

impl Terminal {
    /// Whether our group is the foreground group. Where there is no terminal, none is.
    ///
    /// # Errors
    ///
    /// If that cannot be known: any error of open(2) and tcgetpgrp(3) that does not say that there is none.
    pub fn is_held_by_us(self) -> io::Result<bool> {
        self.answer(sys::is_in_foreground)
    }

    /// The same, once there is nobody to tell an error. One that comes so late is over as soon, or the terminal is gone.
    pub fn seems_held_by_us(self) -> bool {
        sys::persist(|| self.is_held_by_us()).unwrap_or(false)
    }

    /// Whether `group` is, as far as can be known.
    pub fn seems_held_by(self, group: Pid) -> bool {
        let is_held = |file: &File| Ok(sys::foreground_group(file)? == Some(group));
        sys::persist(|| self.answer(is_held)).unwrap_or(false)
    }

    fn answer(self, question: impl Fn(&File) -> io::Result<bool>) -> io::Result<bool> {
        match open().and_then(|file| question(&file)) {
            Err(error) if is_without(&error) => Ok(false),
            answer => answer,
        }
    }

    /// Makes `group` the foreground group. SIGTTOU must be blocked.
    ///
    /// # Errors
    ///
    /// Any error of open(2) and tcsetpgrp(3).
    pub fn hand_to(self, group: Pid) -> io::Result<()> {
        sys::set_foreground_group(&open()?, group)
    }
}

/// Such that reading does not wait.
fn open() -> io::Result<File> {
    let mut options = File::options();
    options.read(true).custom_flags(sys::NOT_WAITING).open(PATH)
}

/// Whether an error of opening the terminal says that there is none: no controlling terminal, no device for it, or one that
/// the device controller of a control group, or Landlock, keeps from us, whoever has it.
fn is_without(error: &io::Error) -> bool {
    let none = [ENXIO, ENODEV];
    let is_kept_away = || !sys::has_terminal().unwrap_or(true);
    error.kind() == ErrorKind::NotFound
        || error
            .raw_os_error()
            .is_some_and(|code| none.contains(&code))
        || error.kind() == ErrorKind::PermissionDenied && is_kept_away()
}
