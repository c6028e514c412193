//! Where the API key and the client key come from.
//!
//! Each key is taken from the first of its places that is set. A place that is set and of no use is an error, never a
//! reason to look further. Keys go straight into locked memory.

#![forbid(unsafe_code)]

mod claims;
pub mod loose;
pub mod profile_file;
pub mod prompt;
pub mod reading;

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::crypto;
use crate::error::{BadKey, Error, MissingKey, shown};
use crate::event::Event;
use crate::report::Report;
use crate::sys::locked::Locked;
use crate::sys::{self, Environ, names_of};

pub use crate::keys::claims::{Claimed, KeyFiles};
use crate::keys::claims::{KeyFile, KeyPlace};
use crate::keys::loose::Holds;
use crate::keys::reading::{PATIENCE, open, read_up_to};

/// The variables that hold keys or name their files. They are taken out of our environment before anything else.
pub const VARIABLES: [&str; 4] = [
    API_KEY.variable,
    API_KEY.file_variable,
    CLIENT_KEY.variable,
    CLIENT_KEY.file_variable,
];

/// Those of them that hold keys themselves.
pub const KEYS: [&str; 2] = [API_KEY.variable, CLIENT_KEY.variable];

/// The largest key in bytes that is read.
const MAX_KEY: usize = 4096;

/// The places of one key.
struct Places {
    what: &'static str,
    option: &'static str,
    file_variable: &'static str,
    variable: &'static str,
    systemd: &'static str,
    container: &'static str,
}

const API_KEY: Places = Places {
    what: "API key",
    option: "--api-key-file",
    file_variable: "DOTENV_API_KEY_FILE",
    variable: "DOTENV_API_KEY",
    systemd: "dotenv-api-key",
    container: "/run/secrets/dotenv_api_key",
};

const CLIENT_KEY: Places = Places {
    what: "client key",
    option: "--client-key",
    file_variable: "DOTENV_CLIENT_KEY_FILE",
    variable: "DOTENV_CLIENT_KEY",
    systemd: "dotenv-client-key",
    container: "/run/secrets/dotenv_client_key",
};

/// The variables of [`VARIABLES`] that were set, moved out of the environment into locked memory.
pub struct Variables {
    strings: Locked,
    /// The files that count more than the keys in variables.
    files: KeyFiles,
    credentials_directory: Option<PathBuf>,
    /// Whether the keys must be such that they can be read again.
    is_repeated: bool,
}

impl Variables {
    /// Moves them, and overwrites them where they were. `files` are those that options, variables or a profile name.
    ///
    /// # Errors
    ///
    /// If there is no locked memory.
    pub fn take(environ: &mut Environ, files: KeyFiles) -> Result<Self, Error> {
        let directory = environ
            .entries()
            .find_map(|entry| sys::value_of(entry, "CREDENTIALS_DIRECTORY"));
        // systemd's is absolute; a key must not come from wherever we happen to be started.
        let credentials_directory = directory
            .map(|path| PathBuf::from(OsStr::from_bytes(path)))
            .filter(|path| path.is_absolute());
        let strings = environ.extract(&VARIABLES).map_err(Error::Memory)?;
        Ok(Variables {
            strings,
            files,
            credentials_directory,
            is_repeated: false,
        })
    }

    /// From now on refuses keys that cannot be read once more: those typed, and those that come from a pipe.
    pub fn repeat(&mut self) {
        self.is_repeated = true;
    }

    /// The memory of their strings.
    pub fn memory(&mut self) -> &mut Locked {
        &mut self.strings
    }

    /// Forgets the file of the API key where none is needed: its name may be a key itself.
    pub fn forget_api_key_file(&mut self) {
        self.files.api_key = None;
    }

    /// Forgets the names of files: one may be a key that was given in a file's stead.
    pub fn forget_files(&mut self) {
        self.files = KeyFiles::default();
    }

    /// Forgets them all, so that the command does not get them.
    pub fn forget(&mut self, report: &Report) {
        report.record(|| Event::Dropped(names_of(self.entries())));
        self.strings.keep(0..0);
    }

    /// The `NAME=value` strings, for `--keep-credentials`.
    pub fn entries(&self) -> impl Iterator<Item = &CStr> {
        self.strings
            .bytes()
            .split_inclusive(|byte| *byte == 0)
            .filter_map(|entry| CStr::from_bytes_with_nul(entry).ok())
    }

    /// The first value of a name, as getenv(3) finds it.
    fn get(&self, name: &str) -> Option<&[u8]> {
        self.entries().find_map(|entry| sys::value_of(entry, name))
    }
}

/// An API key: printable ASCII without blanks, in locked memory.
pub struct ApiKey(Locked);

impl ApiKey {
    /// Finds the key.
    ///
    /// # Errors
    ///
    /// If it is nowhere, or the first place that is set has none.
    pub fn find(variables: &Variables, report: &Report) -> Result<Self, Error> {
        let file = variables.files.api_key.as_ref();
        let (source, key) = API_KEY
            .find(file, variables, report)?
            .ok_or_else(|| API_KEY.missing(MissingKey::Api, variables, report))?;
        if !key.bytes().iter().all(u8::is_ascii_graphic) {
            return Err(Error::BadKey {
                place: source,
                reason: BadKey::NotPrintable,
            });
        }
        let key = ApiKey(key);
        if report.has_listeners() {
            let (place, fingerprint) = (&*source, &*key.fingerprint());
            report.record(|| Event::ApiKey { place, fingerprint });
        }
        Ok(key)
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.0.bytes()).unwrap_or_default()
    }

    /// The first 16 hexadecimal digits of its SHA-256, which tell keys apart and say nothing of them.
    pub fn fingerprint(&self) -> String {
        crypto::fingerprint(self.0.bytes())
    }

    /// The ID of the organization inside a key of the form `dotenv_<ULID>_<secret>`; other tokens have none.
    pub fn organization(&self) -> Option<&str> {
        let (organization, secret) = self.as_str().strip_prefix("dotenv_")?.split_once('_')?;
        (crate::path::is_ulid(organization) && !secret.is_empty()).then_some(organization)
    }
}

/// A client key: any bytes, in locked memory.
pub struct ClientKey(Locked);

impl ClientKey {
    /// Finds the key of one project, if it has one of its own.
    ///
    /// # Errors
    ///
    /// If there is none where it should be.
    pub fn find_own(
        project: &str,
        variables: &Variables,
        report: &Report,
    ) -> Result<Option<Self>, Error> {
        let Some(file) = variables.files.client_keys.get(project) else {
            return Ok(None);
        };
        let (source, key) = CLIENT_KEY.read(file, variables, report)?;
        report.record(|| Event::ClientKey { place: &source });
        Ok(Some(ClientKey(key)))
    }

    /// Finds the key of all projects without one of their own, in the end by asking for it on the terminal.
    ///
    /// # Errors
    ///
    /// If it is nowhere, or the first place that is set has none.
    pub fn find(variables: &Variables, report: &Report) -> Result<Self, Error> {
        let file = variables.files.client_key.as_ref();
        let (source, key) = match CLIENT_KEY.find(file, variables, report)? {
            Some(found) => found,
            None if variables.is_repeated => {
                return Err(CLIENT_KEY.missing(MissingKey::Client, variables, report));
            }
            None => {
                let terminal = File::options().read(true).write(true).open("/dev/tty");
                let terminal = terminal
                    .map_err(|_| CLIENT_KEY.missing(MissingKey::Terminal, variables, report))?;
                let typed =
                    prompt::prompt(&terminal, &format!("{}: client key", report.program()))?;
                (
                    "a prompt".to_owned(),
                    checked("the client key typed", typed)?,
                )
            }
        };
        report.record(|| Event::ClientKey { place: &source });
        Ok(ClientKey(key))
    }

    /// Whether a key of a project is given anywhere, without looking at it.
    pub fn is_given(project: &str, variables: &Variables) -> bool {
        ClientKey::is_own(project, variables)
            || variables.files.client_key.is_some()
            || variables.get(CLIENT_KEY.variable).is_some()
            || CLIENT_KEY
                .default_files(variables)
                .any(|file| file.symlink_metadata().is_ok())
    }

    /// Whether a project has a key of its own, without looking at it.
    pub fn is_own(project: &str, variables: &Variables) -> bool {
        variables.files.client_keys.contains_key(project)
    }

    /// Whether [`ClientKey::find`] would give the key, or fail, at once: it comes from a variable or a regular file, and
    /// neither a prompt nor a pipe is waited for.
    pub fn is_at_hand(project: &str, variables: &Variables) -> bool {
        let own = variables.files.client_keys.get(project);
        let file = own.or(variables.files.client_key.as_ref());
        CLIENT_KEY.is_at_hand(file, variables)
    }

    /// The key's bytes.
    pub fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }
}

impl Places {
    /// The key in the first place that is set, and that place's name for messages. `file` is the one that an option or
    /// variable names.
    fn find(
        &self,
        file: Option<&KeyFile>,
        variables: &Variables,
        report: &Report,
    ) -> Result<Option<(String, Locked)>, Error> {
        if let Some(file) = file {
            return self.read(file, variables, report).map(Some);
        }
        if let Some(key) = variables.get(self.variable) {
            let mut copy = Locked::for_key(key.len()).map_err(Error::Memory)?;
            copy.push(key);
            report.note(format_args!("{} from {}", self.what, self.variable));
            return checked(self.variable, copy).map(|key| Some((self.variable.to_owned(), key)));
        }
        match self
            .default_files(variables)
            .find(|file| file.symlink_metadata().is_ok())
        {
            Some(file) => {
                let file = KeyFile::unnamed(file);
                self.read(&file, variables, report).map(Some)
            }
            None => Ok(None),
        }
    }

    fn is_at_hand(&self, file: Option<&KeyFile>, variables: &Variables) -> bool {
        let is_regular = |file: &Path| file.metadata().is_ok_and(|it| it.is_file());
        match file.map(|file| &file.place) {
            Some(KeyPlace::Path(path)) => is_regular(path),
            Some(KeyPlace::Descriptor(_)) => false,
            None if variables.get(self.variable).is_some() => true,
            None => self
                .default_files(variables)
                .find(|file| file.symlink_metadata().is_ok())
                .is_some_and(|file| is_regular(&file)),
        }
    }

    /// The files that are looked at though nobody named them: systemd's credential, then a container's secret.
    fn default_files(&self, variables: &Variables) -> impl Iterator<Item = PathBuf> {
        let credential = variables
            .credentials_directory
            .as_ref()
            .map(|directory| directory.join(self.systemd));
        credential
            .into_iter()
            .chain([PathBuf::from(self.container)])
    }

    /// The error of a key that is in none of its places, which are reported.
    fn missing(&self, key: MissingKey, variables: &Variables, report: &Report) -> Error {
        let systemd = match &variables.credentials_directory {
            Some(directory) => shown(&directory.join(self.systemd)),
            None => format!("$CREDENTIALS_DIRECTORY/{}", self.systemd),
        };
        report.note(format_args!(
            "no {} in {}, {}, {}, {systemd} or {}",
            self.what, self.option, self.file_variable, self.variable, self.container
        ));
        Error::NoKey(key)
    }

    /// Reads the key in a file.
    fn read(
        &self,
        file: &KeyFile,
        variables: &Variables,
        report: &Report,
    ) -> Result<(String, Locked), Error> {
        let source = file.shown();
        let bad = |reason| Error::BadKey {
            place: source.clone(),
            reason,
        };
        let key = empty_key()?;
        let key = match &file.place {
            KeyPlace::Descriptor(_) if variables.is_repeated => return Err(bad(BadKey::ReadOnce)),
            KeyPlace::Descriptor(opened) => read_key(&mut opened.as_ref(), key),
            KeyPlace::Path(path) => match open(path) {
                // The value may be a key itself, so that it is not shown.
                Err(error) if is_absent(&error) && !file.named_by.is_empty() => {
                    return Err(Error::BadKey {
                        place: file.named_by.clone(),
                        reason: BadKey::NoSuchFile,
                    });
                }
                Err(error) => Err(error),
                Ok((_, metadata)) if variables.is_repeated && !metadata.is_file() => {
                    return Err(bad(BadKey::ReadOnce));
                }
                Ok((mut opened, metadata)) => {
                    let found = loose::looseness(path, &metadata, Holds::Key);
                    loose::settle(found.map_err(|error| bad(unreadable(error)))?, report)?;
                    read_key(&mut opened, key)
                }
            },
        };
        let key = key.map_err(|error| bad(unreadable(error)))?;
        report.note(format_args!("{} from {source}", self.what));
        Ok((source.clone(), checked(&source, key)?))
    }
}

/// Whether opening failed because the path names nothing. Such a path may be a key that was given in its stead.
fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::InvalidFilename
            | io::ErrorKind::InvalidInput
    )
}

fn unreadable(error: io::Error) -> BadKey {
    match error.kind() {
        io::ErrorKind::TimedOut => BadKey::NotInTime { time: PATIENCE },
        _ => BadKey::Unreadable(error),
    }
}

/// Room for a key that is read, and for the byte that tells that it is too long.
fn empty_key() -> Result<Locked, Error> {
    Locked::for_key(MAX_KEY + 1).map_err(Error::Memory)
}

/// Reads everything up to the end of `input` into `key`.
fn read_key(input: &mut (impl Read + AsFd), mut key: Locked) -> io::Result<Locked> {
    let deadline = Instant::now() + PATIENCE;
    read_up_to(MAX_KEY + 1, input, &mut key, deadline).map(|()| key)
}

/// The key without white space around it, if it is one.
fn checked(source: &str, mut key: Locked) -> Result<Locked, Error> {
    let fail = |reason| {
        Err(Error::BadKey {
            place: source.to_owned(),
            reason,
        })
    };
    if key.bytes().len() > MAX_KEY {
        return fail(BadKey::TooLong);
    }
    let trimmed = trimmed(key.bytes());
    key.keep(trimmed);
    match key.bytes() {
        [] => fail(BadKey::Empty),
        [0xef, 0xbb, 0xbf, ..] => fail(BadKey::ByteOrderMark),
        bytes if bytes.iter().any(|byte| matches!(byte, b'\n' | b'\r')) => {
            fail(BadKey::SeveralLines)
        }
        _ => Ok(key),
    }
}

/// The range that is left without Unicode white space at both ends; bytes that are not UTF-8 are no white space.
fn trimmed(bytes: &[u8]) -> Range<usize> {
    let mut start = 0;
    for chunk in bytes.utf8_chunks() {
        let text = chunk.valid();
        start += text.len() - text.trim_start().len();
        if !text.trim_start().is_empty() || !chunk.invalid().is_empty() {
            break;
        }
    }
    let last = bytes[start..].utf8_chunks().last();
    let trailing = last
        .filter(|chunk| chunk.invalid().is_empty())
        .map_or(0, |chunk| {
            let text = chunk.valid();
            text.len() - text.trim_end().len()
        });
    start..bytes.len() - trailing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trim(bytes: &[u8]) -> &[u8] {
        &bytes[trimmed(bytes)]
    }

    #[test]
    fn white_space_is_trimmed_as_the_official_client_trims_it() {
        assert_eq!(trim(b"  key\r\n"), b"key");
        assert_eq!(trim("\u{a0}\u{2003}a b\u{85}\u{3000}\n".as_bytes()), b"a b");
        assert_eq!(trim(b" \t\n"), b"");
        assert_eq!(trim("\u{feff}key".as_bytes()), "\u{feff}key".as_bytes());
        assert_eq!(trim("\u{200b}key".as_bytes()), "\u{200b}key".as_bytes());
    }

    #[test]
    fn bytes_that_are_not_utf8_belong_to_the_key() {
        assert_eq!(trim(b" \xff \n"), b"\xff");
        assert_eq!(trim(b"\xa0key\xa0 "), b"\xa0key\xa0");
        assert_eq!(trim(b" \xe2\x80 "), b"\xe2\x80");
    }
}
