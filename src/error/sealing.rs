//! What `dotenv-seal` refuses, and the wording of it.

#![forbid(unsafe_code)]

use std::fmt;
use std::io;

use crate::dotenv::parse::ParseError;
use crate::error::plain;
use crate::path::LevelName;

/// What `dotenv-seal` refuses.
#[derive(Debug)]
pub enum Seal {
    /// The project is there already.
    ProjectExists { project: String },
    /// `init` takes no longer path.
    ProjectOnly,
    /// The key is 32 bytes long.
    KeyOf32Bytes,
    /// The project is not client-managed.
    NotClientManaged { project: String },
    /// A level is not encrypted.
    Plaintext { level: LevelName },
    /// The levels are not `.env` text.
    NotEnv { path: String },
    /// The text breaks the grammar.
    Text(ParseError),
    /// The text has no variable.
    EmptyText,
    /// Standard input cannot be read.
    Input(io::Error),
    /// The system has no random bytes or cannot seal.
    System(io::Error),
}

impl fmt::Display for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Seal::ProjectExists { project } => {
                write!(f, "project {project} already exists in the tree")
            }
            Seal::ProjectOnly => f.write_str("init takes a project, not a longer path"),
            Seal::KeyOf32Bytes => f.write_str(
                "a client key must not have exactly 32 bytes: it would be its own proof, which the service stores",
            ),
            Seal::NotClientManaged { project } => {
                write!(f, "project {project} is not client-managed")
            }
            Seal::Plaintext { level } => write!(f, "level {level} is not encrypted"),
            Seal::NotEnv { path } => write!(
                f,
                "the levels of {path} have the format json; only .env text can be sealed"
            ),
            Seal::Text(error) => write!(f, "standard input: {error}"),
            Seal::EmptyText => f.write_str("standard input contains no variables"),
            Seal::Input(error) => write!(f, "cannot read standard input: {}", plain(error)),
            Seal::System(error) => write!(f, "cannot seal: {}", plain(error)),
        }
    }
}
