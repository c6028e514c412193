//! Standing in front of the command: the parent forwards signals and mirrors the status, and holds no secret, because
//! it is there before any is read.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use crate::error::Error;
use crate::options::Parent;
use crate::process::{self, End, Environ, Fork, Signal, SignalSet};

/// Which process the caller has become.
pub enum Side {
    /// The one that runs the pipeline and becomes the command.
    Worker,
    /// The one that stood in front of it; the command has ended with this status.
    Supervisor(ExitCode),
}

/// Puts a supervisor in front of the rest of the program if one is needed. The process must still have a single thread.
///
/// # Errors
///
/// If there can be no other process.
pub fn supervise(parent: Parent) -> Result<Side, Error> {
    let needed = match parent {
        Parent::Always => true,
        Parent::AsInit => process::id() == 1,
        Parent::Never => false,
    };
    if !needed {
        return Ok(Side::Worker);
    }
    let before = SignalSet::ALL.set_as_mask();
    let children_ignored = process::expect_children();
    match process::fork().map_err(Error::Supervise)? {
        Fork::Child => {
            if children_ignored {
                process::ignore_children();
            }
            before.set_as_mask();
            Ok(Side::Worker)
        }
        Fork::Parent(worker) => {
            process::wipe_arguments();
            Environ::take().wipe();
            process::close_all_descriptors();
            Ok(Side::Supervisor(mirror(wait_for(worker))))
        }
    }
}

/// Forwards every signal to the worker until it ends, and reaps whatever else ends meanwhile.
fn wait_for(worker: libc::pid_t) -> End {
    loop {
        let signal = SignalSet::ALL.wait();
        if signal.is_for_children() {
            while let Some((child, end)) = process::reap() {
                if child == worker {
                    return end;
                }
            }
        } else if is_to_be_forwarded(&signal, worker) {
            process::send(worker, signal.number);
        }
    }
}

/// The terminal has sent its signals to the worker too, and the worker's own are not sent back.
fn is_to_be_forwarded(signal: &Signal, worker: libc::pid_t) -> bool {
    !signal.is_from_kernel() && signal.sender() != Some(worker)
}

/// Ends as the command ended: with its status, or by its signal. As PID 1, which no signal can kill, with 128 more.
fn mirror(end: End) -> ExitCode {
    let status = match end {
        End::Exited(status) => status,
        End::Killed(signal) => {
            if process::id() != 1 {
                process::die_by(signal);
            }
            128 + signal
        }
    };
    ExitCode::from(u8::try_from(status).unwrap_or(u8::MAX))
}
