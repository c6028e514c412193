//! What the stages of a run find out, as plain data: `--check` and `--audit` listen to it.
//!
//! No event holds a value, a key or a part of one.

#![forbid(unsafe_code)]

use std::time::Duration;

/// Something that a stage has found out.
pub enum Event<'a> {
    /// A part of a stage took this long.
    Took(Stage, Duration),
    /// The user was warned of something.
    Warned(&'a str),
    /// The ULID of the organization that the secrets belong to.
    Organization(&'a str),
    /// Where the API key comes from, and the first 16 hexadecimal digits of its SHA-256.
    ApiKey {
        place: &'a str,
        fingerprint: &'a str,
    },
    /// Where the client key comes from.
    ClientKey { place: &'a str },
    /// What the API key may do.
    Abilities(Abilities),
    /// The levels come from the mirror of this name.
    Mirror(&'a str),
    /// The levels were cached this many seconds ago.
    Cached { freshness: Freshness, seconds: u64 },
    /// Which custody of a project is accepted, and why.
    ExpectedCustody {
        project: &'a str,
        custody: &'static str,
        reason: &'a str,
    },
    /// How a project's key is derived.
    KeyDescriptor {
        project: &'a str,
        custody: &'static str,
        version: Option<u64>,
        /// The iterations of the derivation; a legacy key is not derived.
        iterations: Option<u32>,
        has_few_iterations: Option<bool>,
    },
    /// The levels that are present, before any is opened.
    Levels(Vec<LevelEvent>),
    /// The levels on the way to the paths that are absent.
    AbsentLevels(Vec<String>),
    /// The generation of a project's manifest.
    Generation { project: &'a str, generation: u64 },
    /// The size of the text of a level in bytes; levels are counted as in [`Event::Levels`].
    LevelOpened { index: usize, bytes: usize },
    /// The number of variables that a level sets.
    LevelRead { index: usize, names: usize },
    /// A file beside the secrets, the option that names it, and how many names it has.
    LocalFile {
        option: &'static str,
        file: String,
        names: usize,
    },
    /// The references in variables, and where they lead.
    References(Vec<ReferenceEvent>),
    /// Secrets that the selection leaves out.
    LeftOut(Vec<String>),
    /// Secrets that get another name: the stored one and the new one.
    Renamed(Vec<(String, String)>),
    /// The names that are given out, and those of them that have an empty value.
    Secrets {
        names: Vec<String>,
        empty: Vec<String>,
    },
    /// Inherited variables that stand against a secret of the same name.
    Preserved(Vec<String>),
    /// Inherited variables that a secret of the same name replaces.
    Overridden(Vec<String>),
    /// Inherited variables that the command does not get.
    Dropped(Vec<String>),
    /// What arguments and environment come to, and what the kernel takes, in bytes.
    Size {
        bytes: usize,
        limit: usize,
        largest: &'a str,
    },
    /// The runner that is told to mask the values, if any, and the names whose values it is not told.
    Masked {
        runner: Option<&'static str>,
        skipped: &'a [String],
    },
    /// The command, and the file that would be executed if there is one.
    Command { name: String, file: Option<String> },
}

/// A reference in a variable.
#[derive(Clone)]
pub struct ReferenceEvent {
    pub variable: String,
    /// The path that the value comes from; until that is known, the path or paths that are looked in.
    pub path: String,
    /// The name of the secret.
    pub name: String,
}

/// A level that is present.
pub struct LevelEvent {
    /// `project`, `target` or `environment`.
    pub name: &'static str,
    /// The path that it is a level of.
    pub path: String,
    /// Whether it is sealed.
    pub encrypted: bool,
}

/// What is known of the API key's abilities.
pub enum Abilities {
    /// Nothing, and why.
    Unknown(String),
    /// These.
    Known {
        names: Vec<String>,
        /// Those that allow more than reading.
        excess: Vec<String>,
        /// When the key expires, as RFC 3339 writes times.
        expires_at: Option<String>,
    },
}

/// Whether a cached answer was young enough to be used without asking the service.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// It was.
    Fresh,
    /// It was not, but the service could not be reached.
    Stale,
}

/// A stage of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Finding the keys, and perhaps asking for one.
    Keys,
    /// Fetching the documents.
    Fetch,
    /// Deriving the data key.
    Derive,
    /// Decrypting the levels.
    Open,
    /// Reading, merging and resolving them.
    Parse,
    /// Selecting, and building the environment.
    Environment,
    /// Asking what the API key may do.
    Abilities,
}

/// Listens to a run.
pub trait Listener: Sync {
    /// Records what it is interested in.
    fn record(&self, event: &Event<'_>);
}
