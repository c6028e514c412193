//! What can be wrong with a profile.

#![forbid(unsafe_code)]

use std::fmt;
use std::io;

use crate::sys::{SmallStack, plain};

/// What is wrong with a profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileFlaw {
    #[error("{}", plain(.0))]
    Unreadable(io::Error),
    /// It could not be read to its end.
    #[error(transparent)]
    Stack(#[from] SmallStack),
    /// There is no file of what stands before the `#`.
    #[error("{}", plain(.0))]
    NoFileOfSection(io::Error),
    /// It is larger than is accepted, in bytes.
    #[error("larger than {limit} bytes")]
    TooLong { limit: u64 },
    /// It is not TOML from this line on.
    #[error("line {line} is not valid TOML")]
    NotToml { line: usize },
    /// A key that is no option's name, and the one that is most like it.
    #[error("line {line}: unknown key '{}'{}", key.escape_debug(), DidYouMean(*.nearest))]
    UnknownKey {
        line: usize,
        key: String,
        nearest: Option<&'static str>,
    },
    #[error("line {line}: section '{}' must be one table: [{}]", section.escape_debug(), section.escape_debug())]
    NotOneSection { line: usize, section: String },
    #[error("line {line}: '{}' is a table inside a section", section.escape_debug())]
    SectionInSection { line: usize, section: String },
    #[error("no section '{}'; {}", section.escape_debug(), Known(known))]
    NoSection { section: String, known: Vec<String> },
    #[error("'{key}' is an option, not a section")]
    OptionNotSection { key: &'static str },
    #[error("line {line}: '{key}' can be used only on the command line")]
    NotInProfile { line: usize, key: &'static str },
    /// A value of another type than the option takes.
    #[error("line {line}: {key} must be {wanted}")]
    WrongType {
        line: usize,
        key: &'static str,
        wanted: &'static str,
    },
}

/// The sections that there are.
struct Known<'a>(&'a [String]);

impl fmt::Display for Known<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("the profile has no sections");
        }
        let names: Vec<_> = self
            .0
            .iter()
            .map(|name| name.escape_debug().to_string())
            .collect();
        write!(f, "the profile has {}", names.join(", "))
    }
}

struct DidYouMean(Option<&'static str>);

impl fmt::Display for DidYouMean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(nearest) => write!(f, "; did you mean '{nearest}'?"),
            None => Ok(()),
        }
    }
}
