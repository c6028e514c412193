//! Running the command: becoming it, and standing in front of it.

#![forbid(unsafe_code)]

pub mod beginning;
pub mod exec;
mod front;
mod job_terminal;
mod lookup;
pub mod redact;
pub mod supervisor;
pub mod task;
pub mod watch;
