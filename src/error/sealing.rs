//! What `dotenv-seal` refuses, and the wording of it.

#![forbid(unsafe_code)]

use std::io;

use crate::dotenv::parse::ParseError;
use crate::path::LevelName;
use crate::sys::plain;

/// What `dotenv-seal` refuses.
#[derive(Debug, thiserror::Error)]
pub enum Seal {
    #[error("project {project} already exists in the tree")]
    ProjectExists { project: String },
    #[error("init takes a project, not a longer path")]
    ProjectOnly,
    #[error(
        "a client key must not have exactly 32 bytes: it would be its own proof, which the service stores"
    )]
    KeyOf32Bytes,
    #[error("project {project} is not client-managed")]
    NotClientManaged { project: String },
    #[error("level {level} is not encrypted")]
    Plaintext { level: LevelName },
    /// The levels are not `.env` text.
    #[error("the levels of {path} have the format json; only .env text can be sealed")]
    NotEnv { path: String },
    /// The text breaks the grammar.
    #[error("standard input: {0}")]
    Text(ParseError),
    #[error("standard input contains no variables")]
    EmptyText,
    #[error("cannot read standard input: {}", plain(.0))]
    Input(io::Error),
    /// The system has no random bytes or cannot seal.
    #[error("cannot seal: {}", plain(.0))]
    System(io::Error),
}
