//! A sealed tree: a directory with the API's documents under the API's routes. Read here.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::path::SecretPath;
use crate::store::beneath::{Below, Opened};
use crate::store::json::Malformed;
use crate::store::model::Document;
use crate::sys;

/// The size of a document in bytes that is still read.
pub const MAX_DOCUMENT: u64 = 64 * 1024 * 1024;

/// A sealed tree that is open.
pub struct Tree {
    pub(super) root: PathBuf,
    pub(super) directory: Below,
    /// The directory of the project whose documents are read, and its route.
    project: Option<(String, Below)>,
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
            directory: Below::root(directory),
            project: None,
        })
    }

    /// The same tree, which finds the documents of one project where its directory is now. That saves the way to it for
    /// each of them, and they come from one place though the tree be exchanged meanwhile.
    ///
    /// # Errors
    ///
    /// If there is no such directory.
    pub fn at_project(&self, organization: &str, path: &SecretPath) -> io::Result<Self> {
        let route = format!("api/v1/{organization}/{}/", path.project());
        let entered = self.directory.enter(Path::new(&route))?;
        Ok(Tree {
            root: self.root.clone(),
            directory: self.directory.clone(),
            project: Some((route, entered)),
        })
    }

    /// Opens the file of a document without ever leaving the tree.
    pub(super) fn open_document(&self, document: Document<'_>) -> io::Result<Opened> {
        let route = document.to_string();
        if let Some((project, directory)) = &self.project
            && let Some(rest) = route.strip_prefix(project)
        {
            return directory.open(Path::new(rest));
        }
        self.directory.open(Path::new(&route))
    }

    pub(super) fn failed(&self, document: Document<'_>, error: io::Error) -> Error {
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
            (
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory,
                Document::Manifest { path, .. },
            ) => Error::NotFound {
                path: path.to_string(),
                what: "no manifest of its project",
                place: self.root.display().to_string(),
            },
            (io::ErrorKind::CrossesDevices, _) => Error::OutsideTree { path },
            _ => Error::Tree { path, error },
        }
    }
}

impl Tree {
    /// Reads one document by `decoder`.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is not what it should be.
    pub fn decoded<T>(
        &self,
        document: Document<'_>,
        decoder: fn(&str) -> Result<T, Malformed>,
    ) -> Result<T, Error> {
        decoder(&self.read(document)?).map_err(|flaw| Error::Malformed {
            document: document.to_string(),
            flaw,
        })
    }

    /// Reads one document whole.
    ///
    /// # Errors
    ///
    /// Why it could not be read; nothing partial is ever returned.
    pub fn read(&self, document: Document<'_>) -> Result<String, Error> {
        let fail = |error| self.failed(document, error);
        let opened = self.open_document(document).map_err(fail)?;
        // Room for all of it, so that one read(2) brings it and the next one tells that there is no more.
        let mut text = String::with_capacity(opened.size.min(MAX_DOCUMENT) as usize + 1);
        let read = opened
            .file
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
