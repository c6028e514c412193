//! The two keys, all the places that they can be given in, and what they open.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::run::Run;
use super::service::{Key, Service};
use super::temp::TempDir;
use super::tree::Tree;
use super::world::CLIENT_KEY;

/// A key, a run that needs nothing else, and where the key can be put.
pub struct Lock {
    pub run: Run,
    pub right: String,
    pub wrong: String,
    pub option: &'static str,
    pub file_variable: &'static str,
    pub variable: &'static str,
    /// The name of the file in `$CREDENTIALS_DIRECTORY`.
    pub credential: &'static str,
    pub container: &'static str,
    /// Where the key files are.
    pub dir: TempDir,
}

impl Lock {
    /// The API key, which opens a server-managed project.
    pub fn api_key(service: &Service) -> Self {
        Lock {
            run: Run::on_service_without_key(service).arg("legacy"),
            right: service.api_key().into(),
            wrong: Key::new().token().into(),
            option: "--api-key-file",
            file_variable: "DOTENV_API_KEY_FILE",
            variable: "DOTENV_API_KEY",
            credential: "dotenv-api-key",
            container: "/run/secrets/dotenv_api_key",
            dir: TempDir::new(),
        }
    }

    /// The client key, which opens a client-managed project.
    pub fn client_key(tree: &Tree) -> Self {
        Lock {
            run: tree.dotenv_run().arg("my-app"),
            right: CLIENT_KEY.into(),
            wrong: "another-key".into(),
            option: "--client-key",
            file_variable: "DOTENV_CLIENT_KEY_FILE",
            variable: "DOTENV_CLIENT_KEY",
            credential: "dotenv-client-key",
            container: "/run/secrets/dotenv_client_key",
            dir: TempDir::new(),
        }
    }

    /// Runs a test on each of them.
    pub fn each(test: impl Fn(&Lock)) {
        let (service, tree) = (Service::plain(), Tree::example());
        test(&Lock::api_key(&service));
        test(&Lock::client_key(&tree));
    }

    /// How many places there are outside of `/run`, in the order in which they are looked at.
    pub const PLACES: usize = 4;

    /// Puts a key into the place with this rank.
    pub fn put(&self, run: Run, rank: usize, key: impl AsRef<[u8]>) -> Run {
        let key = key.as_ref();
        match rank {
            0 => run.arg(self.option).arg(self.file("by-option", key)),
            1 => run.env(self.file_variable, self.file("by-variable", key)),
            2 => run.env(self.variable, OsStr::from_bytes(key)),
            _ => {
                self.file(self.credential, key);
                run.env("CREDENTIALS_DIRECTORY", self.dir.path())
            }
        }
    }

    /// The same for a run that has nothing else.
    pub fn with(&self, rank: usize, key: impl AsRef<[u8]>) -> Run {
        self.put(self.run.clone(), rank, key)
    }

    /// What a message calls the place with this rank.
    pub fn source(&self, rank: usize) -> String {
        let credential = self.dir.path().join(self.credential).display().to_string();
        let names = [self.option, self.file_variable, self.variable, &credential];
        names[rank].into()
    }

    /// A file that nobody else can read.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.file(name, content);
        set_mode(&path, 0o600);
        path
    }
}

pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode of our file");
}
