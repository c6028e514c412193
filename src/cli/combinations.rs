//! Which options go together.

#![forbid(unsafe_code)]

use crate::cli::Given;
use crate::error::{Error, Usage};

/// The options that need a parent in front of the command.
pub const SUPERVISING: [&str; 7] = [
    "supervise",
    "group",
    "subreaper",
    "stop-timeout",
    "die-with-parent",
    "watch",
    "redact",
];

/// The options that exclude each other.
pub const CONFLICTS: [[&str; 2]; 19] = [
    ["cache", "no-cache"],
    ["stale", "no-cache"],
    ["exec", "supervise"],
    ["exec", "group"],
    ["exec", "subreaper"],
    ["exec", "stop-timeout"],
    ["exec", "die-with-parent"],
    ["exec", "watch"],
    ["print", "watch"],
    ["list", "watch"],
    ["exec", "redact"],
    ["print", "list"],
    ["print", "file"],
    ["print", "redact"],
    ["list", "file"],
    ["list", "redact"],
    ["print", "json"],
    ["print", "check"],
    ["list", "check"],
];

/// The options that mean nothing without one of others.
pub const NEEDS: [(&str, &[&str]); 6] = [
    ("pass", &["clean-env"]),
    ("strict", &["resolve", "resolve-env"]),
    ("file-only", &["file"]),
    ("allow-file", &["print"]),
    ("json", &["list", "check"]),
    ("on-change", &["watch"]),
];

impl Given {
    /// Checks that what is given goes together.
    ///
    /// # Errors
    ///
    /// What does not.
    pub fn check_combinations(&self) -> Result<(), Error> {
        if let Some([one, other]) = CONFLICTS
            .iter()
            .find(|pair| pair.iter().all(|it| self.has(it)))
        {
            return Err(Usage::Conflict { one, other }.into());
        }
        let is_alone = |(option, needed): &&(&str, &[&str])| {
            self.has(option) && !needed.iter().any(|one| self.has(one))
        };
        match NEEDS.iter().find(is_alone) {
            Some((option, needed)) => Err(Usage::Alone { option, needed }.into()),
            None => Ok(()),
        }
    }
}
