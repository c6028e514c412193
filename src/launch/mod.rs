//! Running the command: becoming it, and standing in front of it.

#![forbid(unsafe_code)]

mod board;
pub mod exec;
pub mod filter;
pub mod keeper;
mod lookup;
mod progress;
mod screen;
mod stream;
pub mod supervise;
pub mod supervisor;
mod terminal;
mod watch;
