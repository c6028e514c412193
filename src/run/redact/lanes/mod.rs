//! What reads the output in one encoding each. All of them stand still until something hints at a secret, and as soon as
//! nothing of one has begun.

#![forbid(unsafe_code)]

mod digit_lane;
mod dump_lane;
mod escape_lane;
mod search;
mod wide_lane;

pub use digit_lane::Digits;
pub use dump_lane::Dump;
pub use escape_lane::Escapes;
pub use search::{Search, Start, Text};
pub use wide_lane::Wide;
