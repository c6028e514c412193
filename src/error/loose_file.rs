//! A file that everyone can change, and the wording of it.

#![forbid(unsafe_code)]

use std::fmt;
use std::path::PathBuf;

use crate::error::shown;

/// A file that carries trust and that everyone can write or replace.
#[derive(Clone, Debug)]
pub struct LooseFile {
    pub file: PathBuf,
    /// The directory in which everyone can replace it, if it is that.
    pub directory: Option<PathBuf>,
}

/// What others can do to a file that carries trust.
#[derive(Clone, Debug)]
pub enum Looseness {
    /// Everyone can change what it says.
    Open(LooseFile),
    /// Somebody can, or can read a key: a warning.
    Doubtful(String),
}

impl fmt::Display for LooseFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: every user on this machine can ", shown(&self.file))?;
        match &self.directory {
            Some(directory) => write!(f, "replace this file in {}", shown(directory)),
            None => f.write_str("write to this file"),
        }
    }
}

impl std::error::Error for LooseFile {}

impl LooseFile {
    /// What to do about it.
    pub(super) fn hint(&self) -> String {
        let what = self.directory.as_ref().unwrap_or(&self.file);
        format!(
            "use 'chmod o-w {}', or --allow-loose-files to accept it",
            shown(what)
        )
    }
}
