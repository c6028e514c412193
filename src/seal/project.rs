//! A project in a tree while it is changed: its documents, and the manifest that lists their levels before and after
//! each step.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use crate::crypto::{DataKey, OpenError};
use crate::error::{Error, Seal, Sealed};
use crate::path::{LevelName, SecretPath};
use crate::report::Report;
use crate::store::manifest::{Found, LevelState, ListedLevel, Manifest, state_of};
use crate::store::model::{Document, Format, Level, SealedManifest, Secrets};
use crate::store::tree::{MAX_DOCUMENT, Tree};
use crate::store::{documents, writing};
use crate::sys::locked::Locked;

/// The secrets of one organization in a tree.
#[derive(Clone, Copy)]
pub struct Store<'a> {
    pub tree: &'a Tree,
    pub organization: &'a str,
}

impl Store<'_> {
    pub fn document<'a>(&'a self, path: &'a SecretPath) -> Document<'a> {
        Document::Secrets {
            organization: self.organization,
            path,
        }
    }

    /// The levels in the document of a path.
    fn read(&self, path: &SecretPath) -> Result<Vec<Level>, Error> {
        let secrets = self.tree.decoded(self.document(path), documents::secrets)?;
        match secrets.format {
            Format::Env => Ok(secrets.levels),
            Format::Json | Format::Yaml | Format::Text => Err(Seal::NotEnv {
                path: path.to_string(),
            }
            .into()),
        }
    }

    /// The levels that tell whether a key is the right one: those that `path` has, or all of its project.
    pub fn witnesses(&self, path: &SecretPath) -> Result<Vec<Level>, Error> {
        let mut levels = self.levels(path)?;
        if levels.is_empty() {
            for known in self.tree.paths(self.organization, path.project())? {
                levels.extend(self.read(&known)?);
            }
        }
        Ok(levels)
    }

    /// The levels that a path has, or would inherit if it were made now.
    pub fn levels(&self, path: &SecretPath) -> Result<Vec<Level>, Error> {
        for level in LevelName::ALL
            .into_iter()
            .rev()
            .filter(|level| *level <= path.deepest())
        {
            let path = &path.up_to(level);
            if self.tree.has(self.document(path))? {
                return self.read(path);
            }
        }
        Ok(Vec::new())
    }

    /// The manifest of the project of a path, if it has one, as everyone can read it.
    pub fn sealed_manifest(&self, path: &SecretPath) -> Result<Option<SealedManifest>, Error> {
        let organization = self.organization;
        let document = Document::Manifest { organization, path };
        match self.tree.decoded(document, documents::manifest) {
            Err(Error::NotFound { .. }) => Ok(None),
            read => read.map(Some),
        }
    }

    /// The same, opened.
    pub fn manifest(&self, path: &SecretPath, key: &DataKey) -> Result<Option<Manifest>, Error> {
        let sealed = self.sealed_manifest(path)?;
        let open = |sealed| Manifest::open(&sealed, key, (self.organization, path));
        sealed.map(open).transpose()
    }

    pub fn write(&self, path: &SecretPath, levels: &[Level]) -> Result<(), Error> {
        let text = writing::secrets_document(self.organization, path, levels);
        self.tree.write(self.document(path), &text)
    }
}

/// A project that is changed.
pub struct Project<'a> {
    pub store: Store<'a>,
    pub key: &'a DataKey,
    pub manifest: Manifest,
}

/// A document as it will be.
type Planned = (SecretPath, Vec<Level>);

impl<'a> Project<'a> {
    /// Opens the project of a path to change it, and brings to an end what a writer that was killed has begun.
    ///
    /// # Errors
    ///
    /// If the key is not the one that its levels were sealed with, or there is no manifest that opens with it.
    pub fn open(store: Store<'a>, key: &'a DataKey, path: &SecretPath) -> Result<Self, Error> {
        check_witnesses(&store.witnesses(path)?, key)?;
        let manifest = store.manifest(path, key)?;
        let mut project = Project {
            store,
            key,
            manifest: manifest.ok_or_else(|| Seal::NoManifest {
                project: path.project().to_owned(),
            })?,
        };
        project.repair()?;
        Ok(project)
    }

    /// The text of the own level of a path, if it has one.
    ///
    /// # Errors
    ///
    /// If the levels of the path are not those that the manifest lists.
    pub fn text(&self, path: &SecretPath) -> Result<Option<Locked>, Error> {
        let level = self.own_level(path)?;
        let open = |level: Level| self.key.open(&level.content);
        level.map(open).transpose().map_err(|error| match error {
            OpenError::Memory(error) => Error::Memory(error),
            _ => Error::Sealed {
                level: path.deepest().into(),
                reason: Sealed::WrongClientKey,
            },
        })
    }

    /// The own level of a path, as the manifest lists it.
    pub fn own_level(&self, path: &SecretPath) -> Result<Option<Level>, Error> {
        let is_there = self.store.tree.has(self.store.document(path))?;
        let listed = self.manifest.entries.get(path);
        if !is_there && matches!(listed, None | Some(ListedLevel::Settled(None))) {
            return Ok(None);
        }
        // Without its document, these are the levels above it, and the own one is missing.
        let mut levels = self.store.levels(path)?;
        self.manifest.verify(&Found::of(path, &levels))?;
        let own = levels.iter().position(|level| level.name == path.deepest());
        Ok(own.map(|index| levels.swap_remove(index)))
    }
}

impl Project<'_> {
    /// Puts the manifest in place.
    pub fn write_manifest(&mut self) -> Result<(), Error> {
        let content = self.key.seal_manifest(&self.manifest.text());
        let content = content.map_err(Seal::System)?;
        let path = SecretPath::parse(&self.manifest.project).expect("the name of a project");
        let document = Document::Manifest {
            organization: self.store.organization,
            path: &path,
        };
        let text = writing::manifest_document(self.manifest.generation, &content);
        check_size(document, &text)?;
        self.store.tree.write(document, &text)
    }

    /// Puts the manifest in place as that of the next generation.
    pub fn write_next_manifest(&mut self) -> Result<(), Error> {
        let next = self.manifest.generation.checked_add(1);
        self.manifest.generation = next.ok_or(Seal::LastGeneration)?;
        self.write_manifest()
    }

    /// Writes `level` into every document at and below `path`, and makes those that lead to it.
    ///
    /// # Errors
    ///
    /// If a document would be too large, or cannot be written; then the manifest lists both states of the level.
    pub fn replace(&mut self, path: &SecretPath, level: Level) -> Result<(), Error> {
        let planned = self.planned(path, &level)?;
        for (path, levels) in &planned {
            let text = writing::secrets_document(self.store.organization, path, levels);
            check_size(self.store.document(path), &text)?;
        }
        // A document below that the manifest does not list is somebody else's, and stays unlisted.
        let made = planned.iter().filter(|(made, _)| path.is_within(made));
        for (path, _) in made {
            let entries = &mut self.manifest.entries;
            entries
                .entry(path.clone())
                .or_insert(ListedLevel::Settled(None));
        }
        let old = match self.manifest.entries.get(path) {
            Some(ListedLevel::Settled(state)) => state.clone(),
            _ => None,
        };
        let new = state_of(Some(&level));
        let changing = ListedLevel::Changing {
            old,
            new: new.clone(),
        };
        self.manifest.entries.insert(path.clone(), changing);
        self.write_manifest()?;
        for (path, levels) in &planned {
            self.store.write(path, levels)?;
        }
        self.settle(path, new)
    }

    /// Says that a level is what it is to be in every document.
    fn settle(&mut self, path: &SecretPath, state: LevelState) -> Result<(), Error> {
        let entries = &mut self.manifest.entries;
        entries.insert(path.clone(), ListedLevel::Settled(state));
        self.write_next_manifest()
    }

    /// The documents that `level` changes: first those that lead to its path, then that of the path, then those below.
    fn planned(&self, path: &SecretPath, level: &Level) -> Result<Vec<Planned>, Error> {
        let store = &self.store;
        let mut planned = Vec::new();
        for shallower in LevelName::ALL
            .into_iter()
            .filter(|name| *name < path.deepest())
        {
            let above = &path.up_to(shallower);
            if !store.tree.has(store.document(above))? {
                planned.push((above.clone(), store.levels(above)?));
            }
        }
        let mut below = store.tree.paths(store.organization, path.project())?;
        below.retain(|known| known.is_within(path) && known != path);
        for path in [path.clone()].into_iter().chain(below) {
            let levels = with(store.levels(&path)?, level);
            planned.push((path, levels));
        }
        Ok(planned)
    }

    /// Brings to an end what a writer that was killed has begun: if the new level is in any document, it is put into
    /// all of them.
    ///
    /// # Errors
    ///
    /// If a document cannot be read or written.
    pub fn repair(&mut self) -> Result<(), Error> {
        let changing = |(path, entry): (&SecretPath, &ListedLevel)| match entry {
            ListedLevel::Changing { old, new } => Some((path.clone(), old.clone(), new.clone())),
            ListedLevel::Settled(_) => None,
        };
        let unfinished: Vec<_> = self.manifest.entries.iter().filter_map(changing).collect();
        for (path, old, new) in unfinished {
            let name = path.deepest();
            let mut affected = self
                .store
                .tree
                .paths(self.store.organization, path.project())?;
            affected.retain(|known| known.is_within(&path));
            let mut found = None;
            for known in &affected {
                let levels = self.store.read(known)?.into_iter();
                let mut own = levels.filter(|level| level.name == name);
                found = found.or(own.find(|level| state_of(Some(level)) == new));
            }
            match found {
                Some(level) => {
                    for (path, levels) in self.planned(&path, &level)? {
                        self.store.write(&path, &levels)?;
                    }
                    self.settle(&path, new)?;
                }
                None => self.settle(&path, old)?,
            }
        }
        Ok(())
    }

    /// Signs the levels as they are. Where a document has another level than that of its path, that one counts, and is
    /// put in its place: a writer of an older version may have been killed.
    ///
    /// # Errors
    ///
    /// If a level does not open or is not encrypted, or there is none.
    pub fn sign(&mut self, allow_no_level: bool, report: &Report) -> Result<(), Error> {
        let project = &self.manifest.project;
        let mut documents = BTreeMap::new();
        for path in self.store.tree.paths(self.store.organization, project)? {
            let document = self.store.document(&path);
            let secrets = self.store.tree.decoded(document, documents::secrets)?;
            for level in &secrets.levels {
                self.check(&path, level)?;
            }
            documents.insert(path, secrets);
        }
        let has_none = documents.values().all(|it| it.levels.is_empty());
        if has_none && !allow_no_level {
            let project = project.clone();
            return Err(Seal::NoLevel { project }.into());
        }
        let own = own_levels(&documents);
        for (path, secrets) in &documents {
            self.put_right(path, secrets, &own, report)?;
        }
        let entry = |(path, level): (&SecretPath, &Option<Level>)| {
            (path.clone(), ListedLevel::Settled(state_of(level.as_ref())))
        };
        let entries = own.iter().map(entry).collect();
        self.tell_of_changes(&entries, report);
        self.manifest.entries = entries;
        self.write_next_manifest()
    }

    /// Gives a document the levels that their own paths have.
    fn put_right(
        &self,
        path: &SecretPath,
        secrets: &Secrets,
        own: &BTreeMap<SecretPath, Option<Level>>,
        report: &Report,
    ) -> Result<(), Error> {
        let levels = LevelName::ALL.into_iter().take(path.deepest() as usize + 1);
        let levels = levels.filter_map(|level| own.get(&path.up_to(level)).cloned().flatten());
        let levels: Vec<_> = levels.collect();
        let content = |levels: &[Level]| -> Vec<_> {
            levels
                .iter()
                .map(|level| (level.name, level.content.clone()))
                .collect()
        };
        if content(&levels) == content(&secrets.levels) {
            return Ok(());
        }
        if secrets.format != Format::Env {
            let path = path.to_string();
            return Err(Seal::NotEnv { path }.into());
        }
        report.warn(format_args!(
            "{path} did not have the levels of the paths above it; it has them now"
        ));
        self.store.write(path, &levels)
    }

    /// Warns of what an older manifest lists otherwise.
    fn tell_of_changes(&self, entries: &BTreeMap<SecretPath, ListedLevel>, report: &Report) {
        for (path, before) in &self.manifest.entries {
            match entries.get(path) {
                Some(entry) if entry == before => (),
                Some(_) => report.warn(format_args!(
                    "level {} of {path} was not the one in the manifest; it is signed as it is",
                    path.deepest()
                )),
                None => report.warn(format_args!(
                    "{path} is missing, though the manifest lists it; the tree is signed without it"
                )),
            }
        }
    }

    fn check(&self, path: &SecretPath, level: &Level) -> Result<(), Error> {
        if !level.encrypted {
            return Err(Seal::Plaintext { level: level.name }.into());
        }
        let opened = self.key.open(&level.content);
        opened.map(drop).map_err(|_| Seal::LevelOf {
            path: path.to_string(),
            level: level.name,
            reason: Sealed::WrongClientKey,
        })?;
        Ok(())
    }
}

/// The own level of every path: that in its own document, or the first one elsewhere if it has none.
fn own_levels(documents: &BTreeMap<SecretPath, Secrets>) -> BTreeMap<SecretPath, Option<Level>> {
    let mut own = BTreeMap::new();
    for (path, secrets) in documents {
        for name in LevelName::ALL {
            if name <= path.deepest() {
                let level = secrets.levels.iter().find(|level| level.name == name);
                // Shorter paths come first, each with its own document if it has one.
                own.entry(path.up_to(name))
                    .or_insert_with(|| level.cloned());
            }
        }
    }
    own
}

/// Checks that the key is the one that the levels were sealed with.
fn check_witnesses(levels: &[Level], key: &DataKey) -> Result<(), Error> {
    for level in levels {
        if !level.encrypted {
            return Err(Seal::Plaintext { level: level.name }.into());
        }
        if key.open(&level.content).is_err() {
            return Err(Error::Sealed {
                level: level.name.into(),
                reason: Sealed::WrongClientKey,
            });
        }
    }
    Ok(())
}

/// Levels with one of them replaced, or added.
fn with(mut levels: Vec<Level>, level: &Level) -> Vec<Level> {
    levels.retain(|known| known.name != level.name);
    levels.push(level.clone());
    levels.sort_by_key(|level| level.name);
    levels
}

fn check_size(document: Document<'_>, text: &str) -> Result<(), Error> {
    if text.len() as u64 > MAX_DOCUMENT {
        return Err(Error::AnswerTooLong {
            document: document.to_string(),
            limit: MAX_DOCUMENT,
        });
    }
    Ok(())
}
