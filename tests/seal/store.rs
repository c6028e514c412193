//! What the tests of `dotenv-seal` share: running it, and reading a tree without its help.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::support::*;

/// The names of the levels by depth.
pub const LEVELS: [&str; 3] = ["project", "target", "environment"];

/// The opened levels of a document.
pub type Levels = BTreeMap<String, String>;

pub fn texts(levels: &[(&str, &str)]) -> Levels {
    let owned = levels
        .iter()
        .map(|(name, text)| ((*name).into(), (*text).into()));
    owned.collect()
}

pub fn seal_program(arguments: &[&str]) -> Run {
    Run::dotenv_seal().args(arguments)
}

/// `dotenv-seal init` with [`CLIENT_KEY`].
pub fn init(root: &Path, project: &str) -> Run {
    let run = seal_program(&["init"]).arg(root).arg(project);
    run.env("DOTENV_CLIENT_KEY", CLIENT_KEY)
}

/// `dotenv-seal put` with [`CLIENT_KEY`].
pub fn put(root: &Path, path: &str, text: impl Into<Vec<u8>>) -> Run {
    let run = seal_program(&["put"]).arg(root).arg(path).stdin(text);
    // The projects of the tests are fast to derive a key for.
    let run = run.args(["--allow-weak-key", "--replace"]);
    run.env("DOTENV_CLIENT_KEY", CLIENT_KEY)
}

/// `dotenv-seal sign` with [`CLIENT_KEY`].
pub fn sign(root: &Path, project: &str) -> Run {
    let run = seal_program(&["sign", "--allow-weak-key"])
        .arg(root)
        .arg(project);
    run.env("DOTENV_CLIENT_KEY", CLIENT_KEY)
}

/// `dotenv-run` on a tree, still without a command.
pub fn dotenv_run(root: &Path, path: &str, key: &str) -> Run {
    let url = format!("file://{}", root.display());
    Run::dotenv_run()
        .args(["--api-url", &url, path])
        .env("DOTENV_CLIENT_KEY", key)
}

pub fn keygen() -> String {
    let outcome = seal_program(&["keygen"]).finish();
    outcome.assert_status(0).text().trim_end().to_owned()
}

/// Takes a file from everyone but its owner.
pub fn private(file: PathBuf) -> PathBuf {
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    file
}

pub fn read_json(document: &Path) -> Value {
    let text = fs::read(document).unwrap_or_else(|error| panic!("{}: {error}", document.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", document.display()))
}

/// A tree as a reader finds it.
pub struct Store {
    pub organization: String,
    top: PathBuf,
}

impl Store {
    pub fn of(root: &Path) -> Self {
        let api = root.join("api/v1");
        let document = read_json(&api.join("organization"));
        let organization = document["data"]["id"].as_str().expect("an ID").to_owned();
        Store {
            top: api.join(&organization),
            organization,
        }
    }

    pub fn document(&self, path: &str) -> PathBuf {
        self.top.join(path).join("secrets")
    }

    /// The key descriptor of a project.
    pub fn descriptor(&self, project: &str) -> Value {
        let document = read_json(&self.top.join(project).join("encryption-key"));
        let content = document["data"]["attributes"]["content"]
            .as_str()
            .expect("a string");
        serde_json::from_str::<Value>(content).expect("JSON")["key"].clone()
    }

    pub fn key(&self, project: &str, client_key: &str) -> [u8; 32] {
        let descriptor = self.descriptor(project);
        let salt = descriptor["key_check_salt"].as_str().expect("a salt");
        let salt = BASE64_STANDARD.decode(salt).expect("base64");
        let iterations = descriptor["key_check_iterations"]
            .as_u64()
            .expect("a number");
        data_key(client_key, Some(&salt), iterations as u32)
    }

    /// The paths that have a document.
    pub fn places(&self) -> Vec<String> {
        let documents = snapshot(&self.top).into_keys();
        let places = documents.filter(|document| document.ends_with("secrets"));
        let path = |document: PathBuf| {
            let place = document.parent().unwrap().strip_prefix(&self.top).unwrap();
            place.to_str().unwrap().to_owned()
        };
        places.map(path).collect()
    }

    /// The levels of a path, opened with [`CLIENT_KEY`].
    #[track_caller]
    pub fn levels(&self, path: &str) -> Levels {
        self.levels_with(path, CLIENT_KEY)
    }

    #[track_caller]
    pub fn levels_with(&self, path: &str, client_key: &str) -> Levels {
        let project = path.split('/').next().expect("a project");
        self.open(path, &self.key(project, client_key))
    }

    /// The levels of a path, every one of which must open.
    #[track_caller]
    pub fn open(&self, path: &str, key: &[u8; 32]) -> Levels {
        let blobs = blobs(&read_json(&self.document(path)));
        let opened = blobs.into_iter().map(|(name, blob)| {
            let text = open(key, &blob).unwrap_or_else(|| panic!("{path}: {name} does not open"));
            (name, String::from_utf8(text).expect("UTF-8"))
        });
        opened.collect()
    }

    /// The levels of every path.
    #[track_caller]
    pub fn all_levels(&self, client_key: &str) -> BTreeMap<String, Levels> {
        let levels = |path: String| (path.clone(), self.levels_with(&path, client_key));
        self.places().into_iter().map(levels).collect()
    }

    /// Every blob, by its path and level.
    pub fn blobs(&self) -> BTreeMap<(String, String), String> {
        let blobs = |path: String| {
            let blobs = blobs(&read_json(&self.document(&path))).into_iter();
            blobs.map(move |(name, blob)| ((path.clone(), name), blob))
        };
        self.places().into_iter().flat_map(blobs).collect()
    }
}

/// The blobs of a document, every one of which must say that it is encrypted.
fn blobs(document: &Value) -> BTreeMap<String, String> {
    let levels = &document["data"]["attributes"]["levels"];
    let blob = |(name, level): (&String, &Value)| {
        assert_eq!(level["encrypted"], true, "{document}");
        (
            name.clone(),
            level["content"].as_str().expect("a string").to_owned(),
        )
    };
    levels.as_object().into_iter().flatten().map(blob).collect()
}

/// What can be seen of a file, directory or link without its time of access.
#[derive(Debug, PartialEq)]
pub struct Entry {
    mode: u32,
    modified: (i64, i64),
    pub content: Vec<u8>,
}

/// Everything below a directory, and the directory itself.
pub fn snapshot(root: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut entries = BTreeMap::new();
    let mut found = vec![root.to_path_buf()];
    while let Some(path) = found.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let content = if metadata.is_dir() {
            found.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            Vec::new()
        } else if metadata.is_symlink() {
            fs::read_link(&path)
                .unwrap()
                .as_os_str()
                .as_bytes()
                .to_vec()
        } else {
            fs::read(&path).unwrap()
        };
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        entries.insert(
            path,
            Entry {
                mode: metadata.mode(),
                modified,
                content,
            },
        );
    }
    entries
}

/// A refusal that changed nothing below `root`, not even a time, and that names neither the key
/// nor a value: those of the tests start with `value-`.
#[track_caller]
pub fn assert_refused_untouched(root: &Path, run: Run, fragments: &[&str]) {
    let before = snapshot(root);
    let outcome = run.finish();
    outcome.assert_refused(125, fragments);
    for secret in ["value-", CLIENT_KEY] {
        assert!(!outcome.stderr.contains(secret), "{outcome}");
    }
    let after = snapshot(root);
    let names = |entries: &BTreeMap<PathBuf, Entry>| entries.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&before), names(&after), "{outcome}");
    for (path, entry) in before {
        assert!(
            after[&path] == entry,
            "{} was changed\n{outcome}",
            path.display()
        );
    }
}
