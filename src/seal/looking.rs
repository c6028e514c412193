//! Commands that change nothing: what is in a level, how two differ, and whether a tree is as it should be.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::path::Path;
use std::slice;
use std::sync::Arc;

use crate::cli::seal::SealOptions;
use crate::crypto::DataKey;
use crate::dotenv::parse::{Value, parse};
use crate::error::{Error, Seal};
use crate::keys::ClientKey;
use crate::path::{PathList, SecretPath};
use crate::report::Report;
use crate::seal::changes::{Changed, Changes};
use crate::seal::project::Store;
use crate::store::manifest::{Found, Manifest};
use crate::store::model::{
    Document, Format, KeyDescriptor, OrganizationHint, Origin, SealedLevels,
};
use crate::store::places::read_tree;
use crate::store::tree::Tree;
use crate::store::{documents, open};
use crate::sys::locked::Locked;
use crate::variables;

/// The text of a level as it was put, or the value of one of its variables.
///
/// # Errors
///
/// If the tree is not whole, the key is another one, or there is no such level or variable.
pub fn get(
    options: &SealOptions,
    client_key: &Arc<ClientKey>,
    name: Option<&str>,
    report: &Report,
) -> Result<Locked, Error> {
    let path = &options.path;
    let text = level_text(&options.tree, path, client_key, report)?;
    let Some(name) = name else {
        return Ok(text);
    };
    let parsed = parse(text.bytes()).map_err(Seal::Level)?;
    let mut entries = parsed.entries();
    let value = entries.find(|entry| entry.name == name).map(|it| it.value);
    let value = value.ok_or_else(|| Seal::NoVariable {
        path: path.to_string(),
        name: name.to_owned(),
    })?;
    let mut bytes = Locked::with_capacity(value.len()).map_err(Error::Memory)?;
    value
        .pieces()
        .for_each(|piece| bytes.push(piece.as_bytes()));
    Ok(bytes)
}

/// The text of the deepest level of a path, checked against the manifest as `dotenv-run` does.
fn level_text(
    tree: &Path,
    path: &SecretPath,
    client_key: &Arc<ClientKey>,
    report: &Report,
) -> Result<Locked, Error> {
    let tree = Tree::open(tree)?;
    let paths = PathList::new(vec![path.clone()]);
    let sealed = read_tree(&tree, &paths, &OrganizationHint::InTree(None), *report)?;
    let sealed = sealed.each.into_iter().next().expect("one for each path");
    let organization = sealed.organization.as_deref().unwrap_or_default();
    let descriptor = sealed
        .descriptor
        .as_ref()
        .filter(|it| it.is_client_managed());
    let descriptor = descriptor.ok_or_else(|| Seal::NotClientManaged {
        project: path.project().to_owned(),
    })?;
    let key = open::data_key(descriptor, path, report, || Ok(Arc::clone(client_key)))?;
    let manifest = sealed.manifest.as_ref().ok_or_else(|| Seal::NoManifest {
        project: path.project().to_owned(),
    })?;
    let manifest = Manifest::open(manifest, &key, (organization, path))?;
    manifest.verify(&Found::of(path, &sealed.secrets.levels))?;
    if sealed.secrets.format != Format::Env {
        let path = path.to_string();
        return Err(Seal::NotEnv { path }.into());
    }
    open::admit(slice::from_ref(&sealed), &paths, false, report)?;
    let levels = open::open(sealed, (0, &paths), Some(&key), report)?;
    let own = levels
        .into_iter()
        .find(|level| level.name == path.deepest());
    let path = path.to_string();
    Ok(own.ok_or(Seal::NoOwnLevel { path })?.text)
}

/// The lines that tell how a level differs from another text: that of the level at `with`, or `input`.
///
/// # Errors
///
/// Those of [`get`].
pub fn compare(
    options: &SealOptions,
    client_key: &Arc<ClientKey>,
    with: Result<&SecretPath, &[u8]>,
    report: &Report,
) -> Result<String, Error> {
    let before = level_text(&options.tree, &options.path, client_key, report)?;
    let opened;
    let after = match with {
        Ok(path) => {
            opened = level_text(&options.tree, path, client_key, report)?;
            opened.bytes()
        }
        Err(input) => input,
    };
    let changes = Changes::between(before.bytes(), after)?;
    let mut lines = String::new();
    let lists = [
        ('-', changes.removed),
        ('~', changes.changed),
        ('+', changes.added),
    ];
    for (sign, list) in lists {
        for changed in &list {
            lines += &line(sign, changed, options.values);
        }
    }
    Ok(lines)
}

/// A line of a comparison; a value is written as in a string of Rust, so that it stays on its line.
fn line(sign: char, changed: &Changed<'_>, has_values: bool) -> String {
    let text = |value: Value<'_>| format!("{:?}", value.pieces().collect::<String>());
    let values: Vec<_> = match has_values {
        true => [changed.before, changed.after]
            .into_iter()
            .flatten()
            .map(text)
            .collect(),
        false => Vec::new(),
    };
    let gap = if values.is_empty() { "" } else { "\t" };
    format!("{sign} {}{gap}{}\n", changed.name, values.join(" -> "))
}

/// A line for each path of a tree, or of one project: whether its document opens, follows the grammar, and is the one that
/// the manifest lists. Tells how many are not, too.
///
/// # Errors
///
/// If the tree cannot be read at all.
pub fn verify(
    tree: &Path,
    project: Option<&SecretPath>,
    client_key: &Arc<ClientKey>,
    report: &Report,
) -> Result<(String, usize), Error> {
    let tree = Tree::open(tree)?;
    let organization = tree
        .decoded(Document::Organization, documents::organization)?
        .ulid;
    let store = Store {
        tree: &tree,
        organization: &organization,
    };
    let project = project.map_or("", SecretPath::project);
    let paths = tree.paths(&organization, project)?;
    if paths.is_empty() {
        return Err(Seal::NoProject.into());
    }
    let projects: BTreeSet<_> = paths.iter().map(|path| path.project().to_owned()).collect();
    let (mut lines, mut bad) = (String::new(), 0);
    for project in projects {
        let path = SecretPath::parse(&project).expect("the project of a path");
        let opened = open_project(store, &path, client_key, report);
        for path in paths.iter().filter(|path| path.project() == project) {
            let outcome = match &opened {
                Ok(opened) => verify_path(store, path, opened, report).map_err(|it| it.to_string()),
                Err(error) => Err(error.to_string()),
            };
            bad += usize::from(outcome.is_err());
            let outcome = outcome.err().unwrap_or_else(|| "ok".to_owned());
            lines += &format!("{path}\t{outcome}\n");
        }
        let listed = opened
            .iter()
            .flat_map(|(_, _, manifest)| manifest.entries.keys());
        for path in listed.filter(|path| !paths.contains(path)) {
            bad += 1;
            lines += &format!("{path}\tmissing, though the manifest lists it\n");
        }
    }
    Ok((lines, bad))
}

/// What opens the levels of a project, and what lists them.
type OpenedProject = (Arc<KeyDescriptor>, DataKey, Manifest);

/// The key and the manifest of a project.
fn open_project(
    store: Store<'_>,
    path: &SecretPath,
    client_key: &Arc<ClientKey>,
    report: &Report,
) -> Result<OpenedProject, Error> {
    let organization = store.organization;
    let document = Document::EncryptionKey { organization, path };
    let descriptor = store.tree.decoded(document, documents::descriptor)?;
    if !descriptor.is_client_managed() {
        let project = path.project().to_owned();
        return Err(Seal::NotClientManaged { project }.into());
    }
    let key = open::data_key(&descriptor, path, report, || Ok(Arc::clone(client_key)))?;
    let manifest = store.manifest(path, &key)?;
    let project = path.project().to_owned();
    let manifest = manifest.ok_or(Seal::NoManifest { project })?;
    Ok((Arc::new(descriptor), key, manifest))
}

fn verify_path(
    store: Store<'_>,
    path: &SecretPath,
    (descriptor, key, manifest): &OpenedProject,
    report: &Report,
) -> Result<(), Error> {
    let secrets = store
        .tree
        .decoded(store.document(path), documents::secrets)?;
    let paths = PathList::new(vec![path.clone()]);
    let found = Found::of(path, &secrets.levels);
    let name = (secrets.format == Format::Text).then_some("TEXT");
    let sealed = SealedLevels {
        organization: None,
        secrets,
        descriptor: Some(Arc::clone(descriptor)),
        manifest: None,
        origin: Origin::Tree,
    };
    open::admit(slice::from_ref(&sealed), &paths, false, report)?;
    let opened = open::open(sealed, (0, &paths), Some(key), report)?;
    variables::read(&opened, &paths, name, report)?;
    manifest.verify(&found)
}
