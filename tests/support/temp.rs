//! Temporary directories, and the proof that a command was or was not started.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::mkdtemp;

use super::lock::set_mode;

/// A directory that only its owner can enter and that is removed with its contents.
pub struct TempDir {
    path: PathBuf,
}

impl TempDir {
    pub fn new() -> Self {
        let template = std::env::temp_dir().join("dotenv-run-test.XXXXXX");
        TempDir {
            path: mkdtemp(&template).expect("a temporary directory"),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file below the directory and returns its path.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path.join(name);
        fs::write(&path, content).expect("a file in a temporary directory");
        path
    }

    /// Makes a pipe with a name.
    pub fn fifo(&self, name: &str) -> PathBuf {
        let path = self.path().join(name);
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("a named pipe");
        path
    }

    /// Writes a file that can be executed.
    pub fn executable(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.file(name, content);
        set_mode(&path, 0o755);
        path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // A test that failed half-way may have left something that cannot be removed; that must not
        // hide its own message.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A command that leaves a file behind as soon as it runs.
///
/// [`super::Live::wait`] returns only after everything that inherited the output has ended, so a
/// file that is not there by then will never be.
pub struct Witness {
    dir: TempDir,
}

impl Witness {
    pub fn new() -> Self {
        Witness {
            dir: TempDir::new(),
        }
    }

    /// The command to ask for, behind `--`.
    pub fn command(&self) -> [OsString; 4] {
        [
            "sh".into(),
            "-c".into(),
            ": >\"$0\"".into(),
            self.file().into(),
        ]
    }

    #[track_caller]
    pub fn assert_started(&self) {
        assert!(self.file().exists(), "the command was not started");
    }

    #[track_caller]
    pub fn assert_not_started(&self) {
        assert!(!self.file().exists(), "the command was started");
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("started")
    }
}
