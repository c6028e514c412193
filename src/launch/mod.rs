//! Running the command: becoming it, and standing in front of it.

#![forbid(unsafe_code)]

mod board;
pub mod exec;
pub mod keeper;
mod lookup;
pub mod supervise;
mod terminal;
mod watch;
