//! Keeping a sealed tree: what only `dotenv-seal` does.

#![forbid(unsafe_code)]

use std::fs::{self, DirEntry, File};
use std::io::{self, Write};
use std::path::Path;

use crate::error::Error;
use crate::path::SecretPath;
use crate::store::model::Document;
use crate::store::tree::Tree;
use crate::sys::{self, Pid};

/// The last segments of the routes of the documents that are written.
const DOCUMENTS: [&str; 4] = ["encryption-key", "manifest", "organization", "secrets"];

/// How deep below `api/v1` there are documents.
const DEEPEST: usize = 4;

impl Tree {
    /// Makes a directory for a tree if there is none, and opens it.
    ///
    /// # Errors
    ///
    /// If it cannot be made or opened.
    pub fn create(root: &Path) -> Result<Self, Error> {
        fs::create_dir_all(root).map_err(|error| Error::Tree {
            path: root.to_owned(),
            error,
        })?;
        Tree::open(root)
    }

    /// Waits until no other process keeps the tree, and keeps it until this `Tree` is dropped.
    ///
    /// # Errors
    ///
    /// If the file system has no locks.
    pub fn lock(&self) -> Result<(), Error> {
        self.directory
            .directory()
            .lock()
            .map_err(|error| Error::Tree {
                path: self.root.clone(),
                error,
            })
    }

    /// Removes what was left behind by writers that were killed, which is only known while the tree is locked: then no
    /// writer is at work but those that know nothing of the lock, and theirs stays. What cannot be removed disturbs
    /// nobody.
    pub fn remove_leftovers(&self) {
        let mut found = vec![(self.root.join("api/v1"), 0)];
        while let Some((directory, depth)) = found.pop() {
            // Not through a link: it may lead elsewhere, and what it leads to in the tree is found without it.
            for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() && depth < DEEPEST => {
                        found.push((entry.path(), depth + 1));
                    }
                    Ok(kind) if kind.is_file() && is_leftover(&entry) => {
                        let _ = fs::remove_file(entry.path());
                    }
                    _ => (),
                }
            }
        }
    }

    /// Whether the tree has a document.
    ///
    /// # Errors
    ///
    /// If that cannot be told; what is there and cannot be opened must not pass for missing.
    pub fn has(&self, document: Document<'_>) -> Result<bool, Error> {
        match self.open_document(document) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(self.failed(document, error)),
        }
    }

    /// Puts a document in place: a reader sees the old one or the new one, never a part, whatever happens.
    ///
    /// # Errors
    ///
    /// If it cannot be written; the old document is then still there, and nothing else is left behind.
    pub fn write(&self, document: Document<'_>, text: &str) -> Result<(), Error> {
        let path = self.root.join(document.to_string());
        replace(&path, text.as_bytes()).map_err(|error| Error::Tree { path, error })
    }

    /// Removes a document that is there, and the directories that are empty then.
    ///
    /// # Errors
    ///
    /// If it cannot be removed.
    pub fn remove(&self, document: Document<'_>) -> Result<(), Error> {
        let route = document.to_string();
        let path = self.root.join(&route);
        let remove = || {
            fs::remove_file(&path)?;
            // Not beyond the organization: it names the tree.
            let parents = path
                .ancestors()
                .skip(1)
                .take(route.matches('/').count() - 2);
            for directory in parents {
                match fs::remove_dir(directory) {
                    Ok(()) => (),
                    Err(_) => return File::open(directory)?.sync_all(),
                }
            }
            Ok(())
        };
        match self.has(document)? {
            true => remove().map_err(|error| Error::Tree {
                path: path.clone(),
                error,
            }),
            false => Ok(()),
        }
    }

    /// The paths that have secrets, in order, each before those below it: those of a project or,
    /// without one, of the whole organization.
    ///
    /// # Errors
    ///
    /// If a directory or document cannot be read.
    pub fn paths(&self, organization: &str, project: &str) -> Result<Vec<SecretPath>, Error> {
        let top = self.root.join("api/v1").join(organization);
        let (mut paths, mut found) = (Vec::new(), vec![project.to_owned()]);
        while let Some(prefix) = found.pop() {
            if let Ok(path) = SecretPath::parse(&prefix)
                && self.has(Document::Secrets {
                    organization,
                    path: &path,
                })?
            {
                paths.push(path);
            }
            let directory = top.join(&prefix);
            let names = subdirectories(&directory).map_err(|error| Error::Tree {
                path: directory,
                error,
            })?;
            let below = |name: String| {
                if prefix.is_empty() {
                    name
                } else {
                    format!("{prefix}/{name}")
                }
            };
            let is_path = |below: &String| SecretPath::parse(below).is_ok();
            found.extend(names.into_iter().map(below).filter(is_path));
        }
        paths.sort();
        Ok(paths)
    }
}

/// The names of the directories in a directory; none if it is missing.
fn subdirectories(directory: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        if fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_dir()) {
            names.extend(entry.file_name().into_string());
        }
    }
    Ok(names)
}

/// Replaces a file by way of a temporary one beside it, and waits until both are on the disk.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    make_directory(directory)?;
    let temporary = directory.join(temporary_name(&name.to_string_lossy(), std::process::id()));
    // A process of the same number may have been killed and left one; whatever stands there is not followed.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => (),
    }
    let written = File::create_new(&temporary).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    });
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written?;
    File::open(directory)?.sync_all()
}

/// Makes a directory and those that lead to it, where they are missing, so that they survive a crash.
fn make_directory(directory: &Path) -> io::Result<()> {
    match fs::create_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) => (),
        Err(error) => {
            make_directory(directory.parent().ok_or(error)?)?;
            return make_directory(directory);
        }
    }
    match directory.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// The name of the file that a process writes before it puts it in place.
fn temporary_name(document: &str, process: u32) -> String {
    format!(".{document}.{process}")
}

/// Whether a file has the name of one that is not in place yet, and the process that would put it there is gone.
fn is_leftover(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    let parts = name.to_str().and_then(|name| name.rsplit_once('.'));
    let Some((document, process)) = parts else {
        return false;
    };
    let document = document.strip_prefix('.').unwrap_or_default();
    let Ok(process) = process.parse::<Pid>() else {
        return false;
    };
    let own = std::process::id();
    DOCUMENTS.contains(&document)
        && name == *temporary_name(document, process.unsigned_abs())
        && process > 0
        && (process.unsigned_abs() == own || !sys::may_exist(process))
}
