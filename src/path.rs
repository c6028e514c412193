//! The names of things in the store: paths, levels, slugs and IDs.

#![forbid(unsafe_code)]

use std::fmt;

/// Words that the routes of the API use in the place of a slug.
const RESERVED: [&str; 5] = [
    "encryption-key",
    "environments",
    "projects",
    "secrets",
    "targets",
];

/// The length of the longest slug.
const MAX_SLUG: usize = 100;

/// `project[/target[/environment]]`, each a slug.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretPath(Vec<String>);

impl SecretPath {
    /// Reads a path.
    ///
    /// # Errors
    ///
    /// Why it is not a path.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let segments: Vec<_> = text.split('/').map(str::to_owned).collect();
        if segments.len() > LevelName::ALL.len() {
            return Err("the form is project[/target[/environment]]");
        }
        for segment in &segments {
            if segment.is_empty() {
                return Err("a segment is empty");
            }
            if segment.len() > MAX_SLUG {
                return Err("a segment is longer than 100 characters");
            }
            if !is_slug(segment) {
                return Err("segments are lower-case letters, digits and hyphens");
            }
            if RESERVED.contains(&segment.as_str()) {
                return Err("a segment is a reserved word of the API");
            }
        }
        Ok(SecretPath(segments))
    }

    pub fn project(&self) -> &str {
        &self.0[0]
    }

    /// The slug at `level`, if the path is that deep.
    pub fn slug(&self, level: LevelName) -> Option<&str> {
        self.0.get(level as usize).map(String::as_str)
    }

    /// The deepest level that the path names.
    pub fn deepest(&self) -> LevelName {
        LevelName::ALL[self.0.len() - 1]
    }

    /// The path without the segments below `level`, which must not be deeper than the path.
    pub fn up_to(&self, level: LevelName) -> SecretPath {
        SecretPath(self.0[..=level as usize].to_vec())
    }

    /// Whether this is `other` or below it.
    pub fn is_within(&self, other: &SecretPath) -> bool {
        self.0.starts_with(&other.0)
    }

    /// The path that this one becomes when one that it is within becomes another.
    pub fn moved(&self, from: &SecretPath, to: &SecretPath) -> SecretPath {
        let rest = self.0.iter().skip(from.0.len());
        SecretPath(to.0.iter().chain(rest).cloned().collect())
    }
}

impl fmt::Display for SecretPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("/"))
    }
}

/// The levels that a variable can be set at; a deeper one overrides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LevelName {
    /// Shared by the whole project.
    Project,
    /// Shared by the environments of a target.
    Target,
    /// The deepest.
    Environment,
}

impl LevelName {
    /// All of them, the deepest last.
    pub const ALL: [LevelName; 3] = [
        LevelName::Project,
        LevelName::Target,
        LevelName::Environment,
    ];

    /// The name on the wire and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            LevelName::Project => "project",
            LevelName::Target => "target",
            LevelName::Environment => "environment",
        }
    }
}

impl fmt::Display for LevelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether `text` is a slug: `[a-z0-9-]`, 1 to 100 characters.
pub fn is_slug(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=MAX_SLUG).contains(&text.len()) && text.bytes().all(is_allowed)
}

/// Whether `text` is a ULID: 26 characters of Crockford's base32 alphabet in either case.
pub fn is_ulid(text: &str) -> bool {
    text.len() == 26
        && text.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() && !b"ILOU".contains(&byte.to_ascii_uppercase())
        })
}
