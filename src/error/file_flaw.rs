//! What can be wrong with a file that the user names beside the secrets.

#![forbid(unsafe_code)]

use std::io;
use std::time::Duration;

use crate::dotenv::parse::ParseError;
use crate::error::wording::Seconds;
use crate::sys::plain;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileFlaw {
    /// It cannot be opened or read.
    #[error("{}", plain(.0))]
    Unreadable(io::Error),
    /// It has more bytes than are accepted.
    #[error("larger than {limit} bytes")]
    TooLong { limit: usize },
    /// A pipe or terminal that somebody has not written to the end.
    #[error("not complete within {}", Seconds(*.time))]
    NotInTime { time: Duration },
    /// It can be read once only, and has to be read again.
    #[error("--watch needs a file that can be read again")]
    ReadOnce,
    /// It breaks the `.env` grammar.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// It is a template with something in it that cannot be replaced.
    #[error("line {line}, column {column}: {reason}")]
    Template {
        line: usize,
        column: usize,
        reason: TemplateFlaw,
    },
}

/// Why a place in a template cannot be filled.
#[derive(Debug, thiserror::Error)]
pub enum TemplateFlaw {
    #[error("'{{{{' is not closed by '}}}}' on its line")]
    Unclosed,
    #[error("'{{{{' is not followed by a name, with a filter or '}}}}' behind it")]
    NotAName,
    #[error("unknown filter")]
    UnknownFilter,
    #[error("there is no secret {name}")]
    NoSuchSecret { name: String },
}
