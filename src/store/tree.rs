//! A sealed tree: a directory with the API's documents under the API's routes. Read here, and kept by `dotenv-seal`.

#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::path::SecretPath;
use crate::store::beneath;
use crate::store::model::Document;
use crate::sys;

/// The size of a document in bytes that is still read.
pub const MAX_DOCUMENT: u64 = 64 * 1024 * 1024;

/// A sealed tree that is open.
pub struct Tree {
    root: PathBuf,
    directory: File,
}

impl Tree {
    /// Opens the tree at `root`.
    ///
    /// # Errors
    ///
    /// If there is no directory that can be read.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let mut options = File::options();
        // Whatever else stands there is not opened, so that nothing waits for the other end of a pipe.
        let opened = options
            .read(true)
            .custom_flags(sys::DIRECTORY_ONLY)
            .open(root);
        let directory = opened.map_err(|error| Error::Tree {
            path: root.to_owned(),
            error,
        })?;
        Ok(Tree {
            root: root.to_owned(),
            directory,
        })
    }

    /// Opens the file of a document without ever leaving the tree.
    fn open_document(&self, document: Document<'_>) -> io::Result<File> {
        beneath::open(&self.directory, Path::new(&document.to_string()))
    }

    fn failed(&self, document: Document<'_>, error: io::Error) -> Error {
        let path = self.root.join(document.to_string());
        match (error.kind(), document) {
            (
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory,
                Document::Secrets { path, .. },
            ) => {
                let place = self.root.display().to_string();
                Error::NotFound {
                    path: path.to_string(),
                    what: "no such project, target or environment",
                    place,
                }
            }
            (io::ErrorKind::CrossesDevices, _) => Error::OutsideTree { path },
            _ => Error::Tree { path, error },
        }
    }
}

impl Tree {
    /// Reads one document whole.
    ///
    /// # Errors
    ///
    /// Why it could not be read; nothing partial is ever returned.
    pub fn read(&self, document: Document<'_>) -> Result<String, Error> {
        let fail = |error| self.failed(document, error);
        let mut text = String::new();
        let file = self.open_document(document).map_err(fail)?;
        let read = file
            .take(MAX_DOCUMENT + 1)
            .read_to_string(&mut text)
            .map_err(fail)?;
        if read as u64 > MAX_DOCUMENT {
            return Err(Error::AnswerTooLong {
                document: document.to_string(),
                limit: MAX_DOCUMENT,
            });
        }
        Ok(text)
    }
}

/// Keeping a tree: what only `dotenv-seal` does.
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
        self.directory.lock().map_err(|error| Error::Tree {
            path: self.root.clone(),
            error,
        })
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
    let temporary = directory.join(format!(".{}.{}", name.display(), std::process::id()));
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
