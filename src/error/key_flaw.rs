//! What can be wrong with a key: none given, an invalid one, or one that opens nothing.

#![forbid(unsafe_code)]

use std::io;
use std::time::Duration;

use crate::error::wording::Seconds;
use crate::sys::plain;

/// Which key is missing.
#[derive(Debug, thiserror::Error)]
pub enum MissingKey {
    /// The API key.
    #[error("no API key")]
    Api,
    /// The client key.
    #[error("no client key")]
    Client,
    /// The client key, and there is no terminal to ask for it.
    #[error("no client key, and no terminal to ask for it")]
    Terminal,
}

/// What is wrong with a key or where it should be.
#[derive(Debug, thiserror::Error)]
pub enum BadKey {
    /// Its file cannot be read.
    #[error("{}", plain(.0))]
    Unreadable(io::Error),
    /// It was not complete in time on a pipe or a descriptor.
    #[error("no complete key within {}", Seconds(*.time))]
    NotInTime { time: Duration },
    /// There is no file of that name.
    #[error("there is no such file (the value is not shown: it may be a key)")]
    NoSuchFile,
    #[error("the key is empty")]
    Empty,
    #[error("the key contains a line break")]
    SeveralLines,
    #[error("the key starts with a byte order mark")]
    ByteOrderMark,
    #[error("the key is longer than 4096 bytes")]
    TooLong,
    /// It has characters that an HTTP header cannot contain.
    #[error("the key contains characters that are not printable ASCII")]
    NotPrintable,
    /// It must be read repeatedly, but its place can be read only once.
    #[error("--watch needs a key that can be read again: a file or a variable")]
    ReadOnce,
}

/// Why a level cannot be decrypted.
#[derive(Debug, thiserror::Error)]
pub enum Sealed {
    #[error("the content is not a sealed blob")]
    NoBlob,
    /// The client key opens no level at all.
    #[error("wrong client key, or the level was changed after it was sealed")]
    WrongClientKey,
    #[error("the project's key cannot decrypt it, or it was changed after it was sealed")]
    WrongServerKey,
    #[error("changed after it was sealed: the key decrypts other levels but not this one")]
    Changed,
}
