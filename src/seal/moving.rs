//! Paths of a tree that go away or get another name.

#![forbid(unsafe_code)]

use crate::cli::seal::SealOptions;
use crate::error::{Error, Seal};
use crate::keys::ClientKey;
use crate::path::{LevelName, SecretPath};
use crate::report::Report;
use crate::seal::project::{Project, Store};
use crate::seal::{locked, opened};
use crate::store::manifest::{ListedLevel, state_of};
use crate::store::model::Document;
use crate::store::tree::Tree;

/// Removes a path and, if `confirm` says so, those below it, which stand on its level. The project of a path of one
/// segment goes with it.
///
/// # Errors
///
/// If there is no such path, the key is another one, or the tree cannot be written.
pub fn remove(
    options: &SealOptions,
    client_key: ClientKey,
    report: &Report,
    confirm: impl FnOnce(&[SecretPath]) -> Result<(), Error>,
) -> Result<(), Error> {
    let path = &options.path;
    let tree = locked(Tree::open(&options.tree)?)?;
    let (organization, key) = opened(&tree, options, client_key, report)?;
    let store = Store {
        tree: &tree,
        organization: &organization,
    };
    let mut project = Project::open(store, &key, path)?;
    let affected = within(store, path)?;
    let below: Vec<_> = affected.iter().filter(|it| *it != path).cloned().collect();
    if !below.is_empty() {
        confirm(&below)?;
    }
    let count = affected.len();
    take_away(&mut project, path, affected)?;
    let paths = if count == 1 { "path" } else { "paths" };
    report.tell(format_args!("{path}: {count} {paths} removed"));
    Ok(())
}

/// The paths at and below one, each before those below it.
fn within(store: Store<'_>, path: &SecretPath) -> Result<Vec<SecretPath>, Error> {
    let mut paths = store.tree.paths(store.organization, path.project())?;
    paths.retain(|known| known.is_within(path));
    if paths.is_empty() {
        return Err(Error::NotFound {
            path: path.to_string(),
            what: "no such project, target or environment",
            place: "the tree".to_owned(),
        });
    }
    Ok(paths)
}

/// Removes documents, the deepest first, so that what is left is whole at every moment.
fn take_away(
    project: &mut Project<'_>,
    path: &SecretPath,
    affected: Vec<SecretPath>,
) -> Result<(), Error> {
    let Store { tree, organization } = project.store;
    let is_project = path.deepest() == LevelName::Project;
    if is_project {
        // It is no project from now on.
        tree.remove(Document::EncryptionKey { organization, path })?;
    }
    for path in affected.iter().rev() {
        tree.remove(project.store.document(path))?;
    }
    if is_project {
        return tree.remove(Document::Manifest { organization, path });
    }
    project
        .manifest
        .entries
        .retain(|known, _| !known.is_within(path));
    project.write_next_manifest()
}

/// Gives a path, and those below it, another name in the same project. What has been made by a call that was killed is
/// taken for what it is.
///
/// # Errors
///
/// If the new path is of another project or depth, or has something else already, and those of [`remove`].
pub fn rename(
    options: &SealOptions,
    client_key: ClientKey,
    to: &SecretPath,
    report: &Report,
) -> Result<(), Error> {
    let path = &options.path;
    let is_project = path.deepest() == LevelName::Project;
    if is_project || path.project() != to.project() || path.deepest() != to.deepest() {
        return Err(Seal::OtherPlace.into());
    }
    if path == to {
        return Err(Seal::SamePath.into());
    }
    if to.slug(LevelName::Target) == Some("manifest") {
        return Err(Seal::ReservedTarget.into());
    }
    let tree = locked(Tree::open(&options.tree)?)?;
    let (organization, key) = opened(&tree, options, client_key, report)?;
    let store = Store {
        tree: &tree,
        organization: &organization,
    };
    let mut project = Project::open(store, &key, path)?;
    let affected = within(store, path)?;
    let new_names: Vec<_> = affected.iter().map(|it| it.moved(path, to)).collect();
    for (old, new) in affected.iter().zip(&new_names) {
        if tree.has(store.document(new))? {
            let [old, new_level] = [project.own_level(old)?, project.own_level(new)?];
            if state_of(old.as_ref()) != state_of(new_level.as_ref()) {
                let path = new.to_string();
                return Err(Seal::PathExists { path }.into());
            }
        }
    }
    for (old, new) in affected.iter().zip(&new_names) {
        match project.own_level(old)? {
            Some(level) => project.replace(new, level)?,
            None => project.make(new)?,
        }
    }
    take_away(&mut project, path, affected)?;
    report.tell(format_args!("{path}: renamed to {to}"));
    Ok(())
}

impl Project<'_> {
    /// Makes a path that has no level of its own, only those that it inherits.
    fn make(&mut self, path: &SecretPath) -> Result<(), Error> {
        let levels = self.store.levels(path)?;
        let entry = ListedLevel::Settled(None);
        self.manifest.entries.insert(path.clone(), entry);
        self.write_next_manifest()?;
        self.store.write(path, &levels)
    }
}
