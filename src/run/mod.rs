//! Running the command: becoming it, and standing in front of it.

#![forbid(unsafe_code)]

pub mod attending;
pub mod beginning;
pub mod exec;
pub mod front;
mod job;
mod job_terminal;
mod lease;
mod line_ends;
mod lookup;
mod messages;
pub mod monitor;
pub mod redact;
mod stand_in;
pub mod supervisor;
mod waiting;
pub mod watch;
mod worker;
