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

/// How many paths can be asked for at a time.
pub const MAX_PATHS: usize = 32;

/// The paths that are asked for, each once. What a later one has counts more.
#[derive(Clone)]
pub struct PathList {
    paths: Vec<SecretPath>,
    /// The first path of each project.
    projects: Vec<usize>,
}

impl PathList {
    /// Of paths that are the same, the last one stays.
    pub fn new(paths: Vec<SecretPath>) -> Self {
        let mut kept: Vec<SecretPath> = Vec::new();
        for path in paths.into_iter().rev() {
            if !kept.contains(&path) {
                kept.push(path);
            }
        }
        kept.reverse();
        let is_first = |index: &usize| {
            let project = kept[*index].project();
            !kept[..*index].iter().any(|path| path.project() == project)
        };
        PathList {
            projects: (0..kept.len()).filter(is_first).collect(),
            paths: kept,
        }
    }

    /// The number of a path, which is added at the end if it is not there.
    pub fn place_of(&mut self, path: SecretPath) -> usize {
        if let Some(place) = self.paths.iter().position(|it| *it == path) {
            return place;
        }
        let project = path.project();
        if !self.projects().any(|it| it.project() == project) {
            self.projects.push(self.paths.len());
        }
        self.paths.push(path);
        self.paths.len() - 1
    }

    pub fn iter(&self) -> impl Iterator<Item = &SecretPath> {
        self.paths.iter()
    }

    pub fn len(&self) -> usize {
        self.paths.len()
    }

    pub fn get(&self, index: usize) -> &SecretPath {
        &self.paths[index]
    }

    /// A path of each project.
    pub fn projects(&self) -> impl ExactSizeIterator<Item = &SecretPath> {
        self.projects.iter().map(|index| &self.paths[*index])
    }

    /// A path of the project of this number.
    pub fn in_project(&self, project: usize) -> &SecretPath {
        self.get(self.projects[project])
    }

    /// The number of the project that a path is in.
    pub fn project_of(&self, path: usize) -> usize {
        let project = self.paths[path].project();
        let position = self.projects().position(|it| it.project() == project);
        position.expect("a project for each path")
    }

    /// The numbers of all paths in a project.
    pub fn all_in(&self, project: usize) -> impl Iterator<Item = usize> {
        (0..self.len()).filter(move |path| self.project_of(*path) == project)
    }

    /// A level of a path, for messages, which name the path if there is more than one.
    pub fn level(&self, path: usize, name: LevelName) -> LevelAt {
        let is_plain = self.len() == 1;
        LevelAt {
            name,
            path: (!is_plain).then(|| self.get(path).to_string()),
        }
    }
}

impl fmt::Display for PathList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths: Vec<_> = self.iter().map(SecretPath::to_string).collect();
        f.write_str(&paths.join(" "))
    }
}

/// A level, and the path if it is one of several.
#[derive(Clone, Debug)]
pub struct LevelAt {
    pub name: LevelName,
    path: Option<String>,
}

impl From<LevelName> for LevelAt {
    fn from(name: LevelName) -> Self {
        LevelAt { name, path: None }
    }
}

impl fmt::Display for LevelAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{} of {path}", self.name),
            None => write!(f, "{}", self.name),
        }
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
