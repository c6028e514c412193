//! The `.env` text formats: pure functions from text to text that touch nothing outside.

#![forbid(unsafe_code)]

pub mod editing;
pub mod handover;
pub mod parse;
pub mod render;
pub mod resolve;
mod shells;
mod spelling;
