//! What `dotenv-seal` refuses, and the wording of it.

#![forbid(unsafe_code)]

use std::io;

use crate::dotenv::parse::ParseError;
use crate::error::Sealed;
use crate::path::LevelName;
use crate::sys::plain;

/// What `dotenv-seal` refuses.
#[derive(Debug, thiserror::Error)]
pub enum Seal {
    #[error("project {project} already exists in the tree")]
    ProjectExists { project: String },
    #[error("this command takes a project, not a longer path")]
    ProjectOnly,
    #[error(
        "a client key must not have exactly 32 bytes: it would be its own proof, which the service stores"
    )]
    KeyOf32Bytes,
    #[error("project {project} is not client-managed")]
    NotClientManaged { project: String },
    #[error("level {level} is not encrypted")]
    Plaintext { level: LevelName },
    /// A level of another path does not open.
    #[error("level {level} in the document of {path}: {reason}")]
    LevelOf {
        path: String,
        level: LevelName,
        reason: Sealed,
    },
    #[error("{project} has no manifest")]
    NoManifest { project: String },
    /// Nothing is sealed under the key.
    #[error(
        "{project} has no level, so it cannot be checked that the key and its salt are the right ones"
    )]
    NoLevel { project: String },
    #[error("the generation of the manifest cannot grow")]
    LastGeneration,
    #[error("a target in a tree cannot be named manifest")]
    ReservedTarget,
    /// The iterations are fewer than those of a new project.
    #[error(
        "the key of {project} is weakly protected: {count} PBKDF2 iterations, 600000 are required"
    )]
    FewIterations { project: String, count: u32 },
    #[error(
        "the key of {project} has a salt that dotenv-seal did not make: it is not 16 bytes long"
    )]
    ForeignSalt { project: String },
    /// The levels are not `.env` text.
    #[error("the levels of {path} have the format json; only .env text can be sealed")]
    NotEnv { path: String },
    /// The text breaks the grammar.
    #[error("standard input: {0}")]
    Text(ParseError),
    /// A text that is sealed breaks the grammar.
    #[error("the level: {0}")]
    Level(ParseError),
    /// The grammar has no way to write the value.
    #[error("{name} has a value that .env text cannot represent")]
    NoSpelling { name: String },
    #[error("standard input contains no value for {name}")]
    EmptyValue { name: String },
    #[error("standard input is not UTF-8, so it cannot be the value of {name}")]
    NotText { name: String },
    #[error("{path} has no variable {name}")]
    NoVariable { path: String, name: String },
    #[error("{path} has no level of its own, only inherited ones")]
    NoOwnLevel { path: String },
    #[error("{path} would keep {kept} of its variables and lose {removed}")]
    Loss {
        path: String,
        removed: usize,
        kept: usize,
    },
    /// Deeper levels stand on the one that is to be removed.
    #[error("{path} has paths below it: {below}")]
    HasPathsBelow { path: String, below: String },
    #[error("nothing was removed")]
    NotConfirmed,
    #[error("a path can only be renamed within its project, and keeps its number of segments")]
    OtherPlace,
    #[error("both paths are the same")]
    SamePath,
    #[error("{path} already exists")]
    PathExists { path: String },
    #[error("the tree has no such project")]
    NoProject,
    #[error("{count} of the paths are not as they should be")]
    NotVerified { count: usize },
    #[error("standard input contains no variables")]
    EmptyText,
    #[error("cannot read standard input: {}", plain(.0))]
    Input(io::Error),
    /// The system has no random bytes or cannot seal.
    #[error("cannot seal: {}", plain(.0))]
    System(io::Error),
}
