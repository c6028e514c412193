//! The commands of `dotenv-seal` on a tree: each is a function that does the whole of it.
//!
//! Only ciphertext is written. Every document is replaced whole, one process at a time changes a tree, and at every
//! moment it has a manifest that says so.

#![forbid(unsafe_code)]

mod changes;
mod looking;
mod moving;
pub mod program;
mod project;

pub use changes::check_loss;
pub use looking::{compare, get, verify};
pub use moving::{remove, rename};
use std::sync::Arc;

use crate::cli::seal::SealOptions;
use crate::crypto::{self, DEFAULT_ITERATIONS, DataKey, SALT_LENGTH};
use crate::error::{Error, Seal};
use crate::keys::ClientKey;
use crate::path::{LevelName, SecretPath};
use crate::report::Report;
use crate::seal::changes::Changes;
use crate::seal::project::{Project, Store};
use crate::store::manifest::{ListedLevel, Manifest, state_of};
use crate::store::model::{Custody, Document, KeyDescriptor, Level};
use crate::store::open;
use crate::store::tree::Tree;
use crate::store::{documents, writing};
use crate::sys::locked::Locked;

/// The first generation of a project.
const FIRST: u64 = 1;

/// Makes a project. Its level `project` is sealed from the start, though empty, so that from the
/// start a wrong key can be told.
///
/// # Errors
///
/// If the project is there already, or cannot be made.
pub fn init(options: &SealOptions, client_key: ClientKey, report: &Report) -> Result<(), Error> {
    if client_key.bytes().len() == 32 {
        return Err(Seal::KeyOf32Bytes.into());
    }
    let path = &options.path;
    let salt = crypto::new_salt().map_err(Seal::System)?;
    let descriptor = writing::descriptor_document(&salt, DEFAULT_ITERATIONS);
    let parsed = documents::descriptor(&descriptor).map_err(|flaw| Error::Malformed {
        document: "the new key descriptor".to_owned(),
        flaw,
    })?;
    let key = open::data_key(&parsed, path, report, || Ok(Arc::new(client_key)))?;
    let level = sealed(LevelName::Project, &key, b"")?;
    let tree = locked(Tree::create(&options.tree)?)?;
    let organization = &organization(&tree, options.organization.as_deref())?;
    if tree.has(Document::EncryptionKey { organization, path })? {
        return Err(Seal::ProjectExists {
            project: path.project().to_owned(),
        }
        .into());
    }
    let entry = (path.clone(), ListedLevel::Settled(state_of(Some(&level))));
    let mut project = Project {
        store: Store {
            tree: &tree,
            organization,
        },
        key: &key,
        manifest: Manifest {
            organization: organization.clone(),
            project: path.project().to_owned(),
            generation: FIRST,
            entries: [entry].into(),
        },
    };
    tree.write(
        Document::Secrets { organization, path },
        &writing::secrets_document(organization, path, &[level]),
    )?;
    project.write_manifest()?;
    // It is a project from now on.
    tree.write(Document::EncryptionKey { organization, path }, &descriptor)?;
    report.tell(format_args!("{path}: new project"));
    Ok(())
}

/// The organization that a tree names; a tree without one gets `wanted` or a new ID.
fn organization(tree: &Tree, wanted: Option<&str>) -> Result<String, Error> {
    if tree.has(Document::Organization)? {
        let actual = tree.decoded(Document::Organization, documents::organization)?;
        let actual = actual.ulid;
        return match wanted {
            Some(wanted) if !wanted.eq_ignore_ascii_case(&actual) => {
                Err(Error::OtherOrganization {
                    wanted: wanted.to_owned(),
                    actual,
                })
            }
            _ => Ok(actual),
        };
    }
    let ulid = match wanted {
        Some(ulid) => ulid.to_owned(),
        None => crypto::new_ulid().map_err(Seal::System)?,
    };
    tree.write(
        Document::Organization,
        &writing::organization_document(&ulid),
    )?;
    Ok(ulid)
}

/// Gives the deepest level of a path the text that `edit` makes of the one it has, and rewrites every document that holds
/// it. A text that stays the same is not sealed again.
///
/// # Errors
///
/// If the key is not that of the project, the tree is not whole, or cannot be written.
pub fn change(
    options: &SealOptions,
    client_key: ClientKey,
    report: &Report,
    edit: impl FnOnce(Option<&[u8]>) -> Result<Vec<u8>, Error>,
) -> Result<(), Error> {
    let path = &options.path;
    let tree = locked(Tree::open(&options.tree)?)?;
    let (organization, key) = opened(&tree, options, client_key, report)?;
    let store = Store {
        tree: &tree,
        organization: &organization,
    };
    let mut project = Project::open(store, &key, path)?;
    let before = project.text(path)?;
    let before = before.as_ref().map(Locked::bytes);
    let text = edit(before)?;
    let is_first = before.is_none();
    let changes = Changes::between(changes::readable(before.unwrap_or_default()), &text)?;
    if before == Some(&*text) {
        report.tell(format_args!("{path}: nothing changed"));
        return Ok(());
    }
    project.replace(path, sealed(path.deepest(), &key, &text)?)?;
    let new = if is_first { "new level, " } else { "" };
    report.tell(format_args!("{path}: {new}{changes}"));
    Ok(())
}

/// Makes a manifest for a tree as it is.
///
/// # Errors
///
/// If a level does not open, or the documents contradict each other.
pub fn sign(options: &SealOptions, client_key: ClientKey, report: &Report) -> Result<(), Error> {
    let path = &options.path;
    let tree = locked(Tree::open(&options.tree)?)?;
    let (organization, key) = opened(&tree, options, client_key, report)?;
    let store = Store {
        tree: &tree,
        organization: &organization,
    };
    let before = store.manifest(path, &key)?;
    let mut project = Project {
        manifest: Manifest {
            organization: organization.clone(),
            project: path.project().to_owned(),
            generation: before.as_ref().map_or(0, |before| before.generation),
            entries: [].into(),
        },
        store,
        key: &key,
    };
    if let Some(before) = before {
        project.manifest = before;
        project.repair()?;
    }
    project.sign(options.allow_weak_key, report)?;
    let generation = project.manifest.generation;
    report.tell(format_args!("{path}: signed as generation {generation}"));
    Ok(())
}

/// Waits until nobody else changes the tree, and cleans up behind those who could not.
fn locked(tree: Tree) -> Result<Tree, Error> {
    tree.lock()?;
    tree.remove_leftovers();
    Ok(tree)
}

/// The organization of a tree, and the data key of a project that a level may be sealed under.
fn opened(
    tree: &Tree,
    options: &SealOptions,
    client_key: ClientKey,
    report: &Report,
) -> Result<(String, DataKey), Error> {
    let path = &options.path;
    // Where a document of the tree lies, a target of its name would have to lie.
    if path.slug(LevelName::Target) == Some("manifest") {
        return Err(Seal::ReservedTarget.into());
    }
    let organization = tree.decoded(Document::Organization, documents::organization)?;
    let organization = organization.ulid;
    let descriptor = tree.decoded(
        Document::EncryptionKey {
            organization: &organization,
            path,
        },
        documents::descriptor,
    )?;
    if !matches!(descriptor.custody, Custody::Client) {
        return Err(Seal::NotClientManaged {
            project: path.project().to_owned(),
        }
        .into());
    }
    check_strength(&descriptor, options, report)?;
    let key = open::data_key(&descriptor, path, report, || Ok(Arc::new(client_key)))?;
    Ok((organization, key))
}

/// Refuses to seal under a key descriptor that `init` would not have made: who can write the tree could make a guess at
/// the key cheap by it.
fn check_strength(
    descriptor: &KeyDescriptor,
    options: &SealOptions,
    report: &Report,
) -> Result<(), Error> {
    let Some(salt) = &descriptor.salt else {
        // There is no key without one.
        return Ok(());
    };
    let project = || options.path.project().to_owned();
    let weakness = if descriptor.iterations < DEFAULT_ITERATIONS {
        Seal::FewIterations {
            project: project(),
            count: descriptor.iterations,
        }
    } else if salt.len() != SALT_LENGTH {
        Seal::ForeignSalt { project: project() }
    } else {
        return Ok(());
    };
    if !options.allow_weak_key {
        return Err(weakness.into());
    }
    report.warn(format_args!("{}", Error::from(weakness)));
    Ok(())
}

fn sealed(name: LevelName, key: &DataKey, text: &[u8]) -> Result<Level, Error> {
    let content = key.seal(text).map_err(Seal::System)?;
    Ok(Level {
        name,
        encrypted: true,
        content,
    })
}

/// Each path with its own level and the size of the level's text in bytes, and the generation of each project.
///
/// # Errors
///
/// If a document cannot be read.
pub fn list(tree: &Tree) -> Result<String, Error> {
    let organization = &tree
        .decoded(Document::Organization, documents::organization)?
        .ulid;
    let store = Store { tree, organization };
    let (mut text, mut project) = (String::new(), None);
    for path in tree.paths(organization, "")? {
        if project.as_deref() != Some(path.project()) {
            project = Some(path.project().to_owned());
            text.push_str(&generation(&store, &path)?);
        }
        let levels = store.levels(&path)?;
        let own = levels.iter().find(|level| level.name == path.deepest());
        let size = own.map_or(0, |level| crypto::sealed_size(&level.content));
        text.push_str(&format!("{path}\t{}\t{size}\n", path.deepest()));
    }
    Ok(text)
}

/// The line about the generation of a project; none if it has no manifest.
fn generation(store: &Store<'_>, path: &SecretPath) -> Result<String, Error> {
    let manifest = store.sealed_manifest(path)?;
    Ok(manifest.map_or(String::new(), |manifest| {
        format!("{}\tgeneration\t{}\n", path.project(), manifest.generation)
    }))
}
