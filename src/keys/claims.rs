//! Taking over the descriptors that the user names by their numbers, before anything of ours is opened.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use crate::cli::{FileName, Named, NamedFile};
use crate::error::{Error, shown};
use crate::sys;

/// What the user names, with every descriptor owned.
pub struct Claimed {
    /// The files of keys.
    pub keys: KeyFiles,
    /// The descriptor of `--audit`.
    pub audit: Option<Arc<File>>,
}

/// The files that are named for keys.
#[derive(Default)]
pub struct KeyFiles {
    /// That of the API key.
    pub api_key: Option<KeyFile>,
    /// That of the client key.
    pub client_key: Option<KeyFile>,
    /// Those of client keys that are each for one project.
    pub client_keys: BTreeMap<String, KeyFile>,
}

/// A file that a key is read from.
pub struct KeyFile {
    /// The option or variable that names it; empty for a file that nobody names.
    pub named_by: String,
    /// Where it is.
    pub place: KeyPlace,
    shown: String,
}

/// Where a file that a key is read from is.
pub enum KeyPlace {
    /// It is open already.
    Descriptor(Arc<File>),
    /// It is opened when the key is needed.
    Path(PathBuf),
}

impl Claimed {
    /// Takes over what is named. Descriptors that are named for keys are closed if something else counts more, so that
    /// the command does not inherit them.
    ///
    /// # Errors
    ///
    /// If one that counts is not open.
    pub fn claim(named: Named) -> Result<Self, Error> {
        let mut claims = Claims::default();
        let audit = named.audit.map(|(by, number)| claims.claim(&by, number));
        let audit = audit.transpose()?;
        let mut key = |file: Option<NamedFile>| file.map(|file| claims.key_file(file)).transpose();
        let (api_key, client_key) = (key(named.api_key)?, key(named.client_key)?);
        let keyed = named.client_keys.into_iter();
        let keyed = keyed.map(|(project, file)| Ok((project, claims.key_file(file)?)));
        let client_keys = keyed.collect::<Result<_, Error>>()?;
        for number in named.for_keys {
            // One that is not open is no harm: it does not count.
            let _ = claims.claim("", number);
        }
        let keys = KeyFiles {
            api_key,
            client_key,
            client_keys,
        };
        Ok(Claimed { keys, audit })
    }
}

/// The descriptors that are taken over already, by their numbers: one may be named more than once.
#[derive(Default)]
struct Claims(BTreeMap<i32, Arc<File>>);

impl Claims {
    fn claim(&mut self, named_by: &str, number: i32) -> Result<Arc<File>, Error> {
        match self.0.entry(number) {
            Entry::Occupied(claimed) => Ok(Arc::clone(claimed.get())),
            Entry::Vacant(free) => match sys::claim(number) {
                Ok(descriptor) => Ok(Arc::clone(free.insert(Arc::new(descriptor.into())))),
                Err(error) => Err(Error::NotOpen {
                    named_by: named_by.to_owned(),
                    number,
                    error,
                }),
            },
        }
    }

    fn key_file(&mut self, NamedFile { named_by, file }: NamedFile) -> Result<KeyFile, Error> {
        let (shown, place) = match file {
            FileName::StandardInput => {
                let descriptor = self.claim(&named_by, 0)?;
                (
                    "standard input".to_owned(),
                    KeyPlace::Descriptor(descriptor),
                )
            }
            FileName::Descriptor(number) => {
                let descriptor = self.claim(&named_by, number)?;
                (format!("fd:{number}"), KeyPlace::Descriptor(descriptor))
            }
            FileName::Path(path) => (shown(&path), KeyPlace::Path(path)),
        };
        Ok(KeyFile {
            named_by,
            place,
            shown,
        })
    }
}

impl KeyFile {
    /// A file that is looked at though nobody names it.
    pub fn unnamed(path: PathBuf) -> Self {
        KeyFile {
            named_by: String::new(),
            shown: shown(&path),
            place: KeyPlace::Path(path),
        }
    }

    /// The file as messages name it.
    pub fn shown(&self) -> String {
        match self.named_by.as_str() {
            "" => self.shown.clone(),
            named_by => format!("{named_by}: {}", self.shown),
        }
    }
}
