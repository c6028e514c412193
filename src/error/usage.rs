//! What can be wrong with a command line.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::fmt;

use crate::path::MAX_PATHS;

/// What is wrong with a command line.
#[derive(Debug, thiserror::Error)]
pub enum Usage {
    /// No such option.
    #[error("unknown option '{}'", option.escape_debug())]
    UnknownOption { option: String },
    /// An option without the value it needs.
    #[error("option '{option}' needs a value")]
    MissingValue { option: String },
    /// An option with a value that it does not take.
    #[error("option '{option}' takes no value")]
    UnwantedValue { option: String },
    #[error("{count} PATHs are more than the {MAX_PATHS} that can be asked for at a time")]
    TooManyPaths { count: usize },
    /// No `--`; `path` is the argument that would be the PATH.
    #[error("missing '--' before the command")]
    MissingSeparator { path: Option<String> },
    /// Nothing after `--`.
    #[error("no command after '--'")]
    NoCommand,
    /// No PATH.
    #[error("no PATH")]
    NoPath,
    /// PATH, or the variable that gives it, is not a path; `path` is what was given, if it may be shown.
    #[error(fmt = invalid_path)]
    InvalidPath {
        named_by: String,
        path: Option<String>,
        reason: &'static str,
    },
    /// A variable that looks like a reference to a secret, and is none.
    #[error("{}: not a valid reference: {reason}", variable.escape_debug())]
    BadReference {
        variable: String,
        reason: &'static str,
    },
    /// A reference to the paths that are given, and there is none.
    #[error("{variable}: the reference names no PATH, and none is given")]
    ReferenceWithoutPath { variable: String },
    /// References are wanted, and there are none.
    #[error("--refs: no variable of the environment holds a reference")]
    NoReference,
    /// The value of an option or a variable is invalid.
    #[error("{named_by}: {reason}")]
    BadValue {
        named_by: String,
        reason: Cow<'static, str>,
    },
    /// No such command of `dotenv-seal`, or not with these words.
    #[error(
        "expected keygen, init TREE PROJECT, put TREE PATH, set TREE PATH NAME, unset TREE PATH NAME, get TREE PATH, \
         diff TREE PATH, rm TREE PATH, mv TREE PATH PATH, sign TREE PROJECT, verify TREE or list TREE"
    )]
    SealForm,
    /// A command with an option that takes none.
    #[error("--{option} takes no command")]
    UnwantedCommand { option: &'static str },
    /// Two options that exclude each other.
    #[error("--{one} cannot be used with --{other}")]
    Conflict {
        one: &'static str,
        other: &'static str,
    },
    /// A mirror of a tree.
    #[error("--mirror cannot be used with a sealed tree")]
    MirrorOfTree,
    /// An option that needs one of these other ones.
    #[error("--{option} needs --{}", needed.join(" or --"))]
    Alone {
        option: &'static str,
        needed: &'static [&'static str],
    },
}

fn invalid_path(
    named_by: &str,
    path: &Option<String>,
    reason: &str,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    match path {
        Some(path) => write!(f, "'{path}' is not a valid {named_by}: {reason}"),
        None => write!(f, "not a valid {named_by}: {reason}"),
    }
}
