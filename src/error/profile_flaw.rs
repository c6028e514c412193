//! What can be wrong with a profile.

#![forbid(unsafe_code)]

use std::fmt;
use std::io;

use crate::error::plain;

/// What is wrong with a profile.
#[derive(Debug)]
pub enum ProfileFlaw {
    /// It cannot be read.
    Unreadable(io::Error),
    /// It is larger than is accepted, in bytes.
    TooLong { limit: u64 },
    /// It is not TOML from this line on.
    NotToml { line: usize },
    /// A key that is no option's name, and the one that is most like it.
    UnknownKey {
        line: usize,
        key: String,
        nearest: Option<&'static str>,
    },
    /// An option that is for the command line only.
    NotInProfile { line: usize, key: &'static str },
    /// A value of another type than the option takes.
    WrongType {
        line: usize,
        key: &'static str,
        wanted: &'static str,
    },
}

impl fmt::Display for ProfileFlaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProfileFlaw::Unreadable(error) => f.write_str(&plain(error)),
            ProfileFlaw::TooLong { limit } => write!(f, "larger than {limit} bytes"),
            ProfileFlaw::NotToml { line } => write!(f, "line {line} is not valid TOML"),
            ProfileFlaw::UnknownKey { line, key, nearest } => {
                write!(f, "line {line}: unknown key '{}'", key.escape_debug())?;
                nearest.map_or(Ok(()), |nearest| write!(f, "; did you mean '{nearest}'?"))
            }
            ProfileFlaw::NotInProfile { line, key } => {
                write!(
                    f,
                    "line {line}: '{key}' can be used only on the command line"
                )
            }
            ProfileFlaw::WrongType { line, key, wanted } => {
                write!(f, "line {line}: {key} must be {wanted}")
            }
        }
    }
}
