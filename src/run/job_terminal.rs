//! The controlling terminal, which a command in a group of its own is given for as long as it runs.

#![forbid(unsafe_code)]

use std::fs::File;

use crate::sys::{self, Pid};

/// The controlling terminal, if there is one.
///
/// It is opened anew each time, so that the waiting supervisor holds no descriptor.
pub struct Terminal;

impl Terminal {
    /// Whether `group` is the foreground group.
    pub fn is_held_by(&self, group: Pid) -> bool {
        File::open("/dev/tty").is_ok_and(|file| sys::foreground_group(&file) == Some(group))
    }

    /// Makes `group` the foreground group. SIGTTOU must be blocked.
    pub fn hand_to(&self, group: Pid) {
        if let Ok(file) = File::open("/dev/tty") {
            // A terminal whose session we have left, or that is gone, needs no group.
            let _ = sys::set_foreground_group(&file, group);
        }
    }
}
