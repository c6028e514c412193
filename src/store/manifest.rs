//! The manifest of a project in a tree: which levels there are, and that they are the ones that belong together.
//!
//! It is sealed under the project's data key, so that only who has the client key can write one. Its text is a line for
//! each of what it is about, then a line for each path that has a document, in order: the path, and the digest of the
//! sealed text of its own level, or `-` without one. While a level is changed, the line has what it was and what it will
//! be, so that the tree is whole before and after each step of the change.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::crypto::{self, DataKey, OpenError};
use crate::error::{Error, ManifestFlaw};
use crate::path::{LevelName, SecretPath};
use crate::store::model::{Document, Level, SealedManifest};

/// The first line.
const FORMAT: &str = "dotenv-manifest 1";

/// What stands for a level that is absent.
const ABSENT: &str = "-";

/// A manifest that is open.
pub struct Manifest {
    pub organization: String,
    pub project: String,
    /// Grows with every change.
    pub generation: u64,
    pub entries: BTreeMap<SecretPath, ListedLevel>,
}

/// A level by the digest of its sealed text; `None` if it is absent.
pub type LevelState = Option<String>;

/// What the own level of a path is.
#[derive(Clone, PartialEq, Eq)]
pub enum ListedLevel {
    Settled(LevelState),
    /// It is being changed: what it was, and what it will be.
    Changing {
        old: LevelState,
        new: LevelState,
    },
}

impl ListedLevel {
    /// Whether it allows a level to be like this.
    fn allows(&self, found: &LevelState) -> bool {
        match self {
            ListedLevel::Settled(state) => state == found,
            ListedLevel::Changing { old, new } => old == found || new == found,
        }
    }

    /// Whether the level must be there.
    fn demands_one(&self) -> bool {
        !self.allows(&None)
    }
}

/// What a level is.
pub fn state_of(level: Option<&Level>) -> LevelState {
    level.map(|level| crypto::sha256(level.content.as_bytes()))
}

/// The digests of the levels that came for a path: all that a manifest has to know of them.
pub struct Found {
    path: SecretPath,
    states: [LevelState; LevelName::ALL.len()],
}

impl Found {
    pub fn of(path: &SecretPath, levels: &[Level]) -> Self {
        let own = |name| levels.iter().find(|level| level.name == name);
        Found {
            path: path.clone(),
            states: LevelName::ALL.map(|name| state_of(own(name))),
        }
    }
}

impl Manifest {
    /// Opens the manifest of a project.
    ///
    /// # Errors
    ///
    /// If it was not sealed with this key, is that of another project, or says to everyone what it was not sealed with.
    pub fn open(
        sealed: &SealedManifest,
        key: &DataKey,
        (organization, path): (&str, &SecretPath),
    ) -> Result<Self, Error> {
        let flawed = |flaw| Error::NotWhole {
            project: path.project().to_owned(),
            flaw,
        };
        let text = key
            .open_manifest(&sealed.content)
            .map_err(|error| match error {
                OpenError::Memory(error) => Error::Memory(error),
                OpenError::Base64 | OpenError::TooShort => flawed(ManifestFlaw::NoBlob),
                OpenError::NotAuthentic => flawed(ManifestFlaw::NotAuthentic),
            })?;
        let read = str::from_utf8(&text).ok().and_then(Manifest::parse);
        let manifest = read.ok_or_else(|| Error::Malformed {
            document: Document::Manifest { organization, path }.to_string(),
            flaw: "not a manifest that this version can read".to_owned(),
        })?;
        if manifest.project != path.project() {
            let actual = manifest.project;
            return Err(flawed(ManifestFlaw::OtherProject { actual }));
        }
        if manifest.organization != organization {
            let actual = manifest.organization;
            return Err(flawed(ManifestFlaw::OtherOrganization { actual }));
        }
        if manifest.generation != sealed.generation {
            return Err(flawed(ManifestFlaw::OtherGeneration));
        }
        Ok(manifest)
    }

    /// Reads the text of a manifest; `None` if a line is not exactly as [`Manifest::text`] writes it.
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        (lines.next()? == FORMAT).then_some(())?;
        let mut about = |what: &str| lines.next()?.strip_prefix(what);
        let organization = about("organization ")?.to_owned();
        let project = about("project ")?.to_owned();
        let number = about("generation ")?;
        let generation: u64 = number.parse().ok()?;
        (generation.to_string() == number).then_some(())?;
        let mut entries = BTreeMap::new();
        for line in lines {
            let (path, entry) = line.split_once(' ')?;
            let path = SecretPath::parse(path).ok()?;
            // Each path once, and only those of the project.
            let is_next = entries
                .last_key_value()
                .is_none_or(|(last, _)| *last < path);
            (is_next && path.project() == project).then_some(())?;
            entries.insert(path, parse_entry(entry)?);
        }
        Some(Manifest {
            organization,
            project,
            generation,
            entries,
        })
    }

    /// The text that is sealed.
    pub fn text(&self) -> String {
        let mut text = format!(
            "{FORMAT}\norganization {}\nproject {}\ngeneration {}\n",
            self.organization, self.project, self.generation
        );
        let word = |state: &LevelState| state.clone().unwrap_or_else(|| ABSENT.to_owned());
        for (path, entry) in &self.entries {
            let _ = match entry {
                ListedLevel::Settled(state) => writeln!(text, "{path} {}", word(state)),
                ListedLevel::Changing { old, new } => {
                    writeln!(text, "{path} {} {}", word(old), word(new))
                }
            };
        }
        text
    }

    /// Checks that the levels of a path are those that belong there.
    ///
    /// # Errors
    ///
    /// Which one is missing, is one too many, or is another one.
    pub fn verify(&self, found: &Found) -> Result<(), Error> {
        self.flaw_in(found).map_or(Ok(()), |flaw| {
            Err(Error::NotWhole {
                project: self.project.clone(),
                flaw,
            })
        })
    }

    fn flaw_in(&self, found: &Found) -> Option<ManifestFlaw> {
        let Found { path, states } = found;
        for level in LevelName::ALL {
            let state = &states[level as usize];
            if level > path.deepest() {
                break;
            }
            let at = path.up_to(level);
            let listed = self.entries.get(&at);
            let path = at.to_string();
            match (listed, state) {
                (Some(entry), state) if entry.allows(state) => (),
                (Some(entry), None) if entry.demands_one() => {
                    return Some(ManifestFlaw::Dropped { level, path });
                }
                (Some(ListedLevel::Settled(None)) | None, Some(_)) => {
                    return Some(ManifestFlaw::Added { level, path });
                }
                (Some(_), _) => return Some(ManifestFlaw::Changed { level, path }),
                (None, None) => (),
            }
        }
        let is_known = self.entries.contains_key(path);
        (!is_known).then(|| ManifestFlaw::UnknownPath {
            path: path.to_string(),
        })
    }
}

fn parse_entry(text: &str) -> Option<ListedLevel> {
    let mut words = text.split(' ').map(parse_state);
    let first = words.next()??;
    match (words.next(), words.next()) {
        (None, None) => Some(ListedLevel::Settled(first)),
        (Some(second), None) => Some(ListedLevel::Changing {
            old: first,
            new: second?,
        }),
        _ => None,
    }
}

fn parse_state(word: &str) -> Option<LevelState> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    match word {
        ABSENT => Some(None),
        _ if word.len() == 64 && word.bytes().all(is_digit) => Some(Some(word.to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "dotenv-manifest 1\norganization o\nproject p\ngeneration 7\n";

    #[test]
    fn a_text_is_read_as_it_is_written() {
        let [one, two] = ["1", "e"].map(|digit| digit.repeat(64));
        let text = format!("{HEAD}p {one}\np/a -\np/a/b {one} {two}\np/b - {two}\n");
        assert_eq!(Manifest::parse(&text).unwrap().text(), text);
        assert_eq!(Manifest::parse(HEAD).unwrap().text(), HEAD);
    }

    #[test]
    fn whatever_is_not_written_like_that_is_refused() {
        let one = "1".repeat(64);
        for lines in [
            "p",
            "p ",
            "p  -",
            "p -\n",
            "p - - -",
            "p x",
            "q -",
            "P -",
            "p/../x -",
            "p/a/b/c -",
            "p -\np -",
            "p/b -\np/a -",
            &format!("p {}", &one[1..]),
            &format!("p {one}1"),
            &format!("p {}A", &one[1..]),
            &format!("p\t{one}"),
            "p -\r",
        ] {
            let text = format!("{HEAD}{lines}\n");
            assert!(Manifest::parse(&text).is_none(), "{lines}");
        }
        for head in [
            "",
            "\n",
            &HEAD[..HEAD.len() - 1],
            &HEAD.replace('1', "2"),
            &HEAD.replace('7', "07"),
            &HEAD.replace('7', "-7"),
            &HEAD.replace('7', "18446744073709551616"),
            &HEAD.replace("project p\n", ""),
        ] {
            assert!(Manifest::parse(head).is_none(), "{head}");
        }
    }
}
