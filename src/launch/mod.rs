//! Running the command: becoming it, and standing in front of it.

#![forbid(unsafe_code)]

pub mod exec;
pub mod supervise;
mod terminal;
