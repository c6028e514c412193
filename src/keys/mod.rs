//! Where the API key and the client key come from.
//!
//! Each key is taken from the first of its places that is set. A place that is set and of no use is an error, never a
//! reason to look further. Keys go straight into locked memory.

#![forbid(unsafe_code)]

pub mod profile_file;

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::check;
use crate::cli::{KeyFiles, Options};
use crate::crypto;
use crate::error::{BadKey, Error, MissingKey, shown};
use crate::report::Report;
use crate::sys::locked::Locked;
use crate::sys::{self, Descriptor, Environ, SignalSet, TerminalMode};

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
    credentials_directory: Option<PathBuf>,
    /// Whether the keys must be such that they can be read again.
    is_repeated: bool,
}

impl Variables {
    /// Moves them, and overwrites them where they were.
    ///
    /// # Errors
    ///
    /// If there is no locked memory.
    pub fn take(environ: &mut Environ) -> Result<Self, Error> {
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

    /// Forgets them all, so that the command does not get them.
    pub fn forget(&mut self, report: &Report) {
        report.found(|findings| findings.drop(self.entries()));
        self.strings.keep(0..0);
    }

    /// Has the files of a profile count where neither an option nor a variable says where the key is; a descriptor that
    /// does not count is closed, so that the command does not get it.
    pub fn complete(&self, options: &mut Options) {
        let KeyFiles {
            api_key,
            client_key,
        } = std::mem::take(&mut options.profile_keys);
        for (file, given, places) in [
            (api_key, &mut options.api_key_file, API_KEY),
            (client_key, &mut options.client_key, CLIENT_KEY),
        ] {
            let is_set = |name| self.get(name).is_some();
            if given.is_none() && !is_set(places.file_variable) && !is_set(places.variable) {
                *given = file;
            } else if *given != file {
                let number = file.as_deref().and_then(descriptor_number);
                drop(number.map(Descriptor::numbered));
            }
        }
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
    pub fn find(
        option: Option<&Path>,
        variables: &Variables,
        report: &Report,
    ) -> Result<Self, Error> {
        let (source, key) = API_KEY
            .find(option, variables, report)?
            .ok_or_else(|| API_KEY.missing(MissingKey::Api, variables, report))?;
        if !key.bytes().iter().all(u8::is_ascii_graphic) {
            return Err(Error::BadKey {
                source,
                reason: BadKey::NotPrintable,
            });
        }
        let key = ApiKey(key);
        report.found(|findings| {
            findings.api_key = Some(check::Key {
                source,
                fingerprint: Some(key.fingerprint()),
            });
        });
        Ok(key)
    }

    /// Closes the descriptor of a key that is not needed, so that the command does not get it.
    pub fn discard(option: Option<&Path>, variables: &Variables) {
        API_KEY.discard(option, variables);
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
    /// Finds the key, in the end by asking for it on the terminal.
    ///
    /// # Errors
    ///
    /// If it is nowhere, or the first place that is set has none.
    pub fn find(
        option: Option<&Path>,
        variables: &Variables,
        report: &Report,
    ) -> Result<Self, Error> {
        let (source, key) = match CLIENT_KEY.find(option, variables, report)? {
            Some(found) => found,
            None if variables.is_repeated => {
                return Err(CLIENT_KEY.missing(MissingKey::Client, variables, report));
            }
            None => {
                let terminal = File::options().read(true).write(true).open("/dev/tty");
                let terminal = terminal
                    .map_err(|_| CLIENT_KEY.missing(MissingKey::Terminal, variables, report))?;
                let typed = prompt(&terminal, report.program())?;
                (
                    "a prompt".to_owned(),
                    checked("the client key typed", typed)?,
                )
            }
        };
        report.found(|findings| {
            findings.client_key = Some(check::Key {
                source,
                fingerprint: None,
            });
        });
        Ok(ClientKey(key))
    }

    /// Closes the descriptor of a key that turned out not to be needed, so that the command does not get it.
    pub fn discard(option: Option<&Path>, variables: &Variables) {
        CLIENT_KEY.discard(option, variables);
    }

    /// Whether a key is given anywhere, without looking at it.
    pub fn is_given(option: Option<&Path>, variables: &Variables) -> bool {
        option.is_some()
            || variables.get(CLIENT_KEY.file_variable).is_some()
            || variables.get(CLIENT_KEY.variable).is_some()
            || CLIENT_KEY
                .default_files(variables)
                .any(|file| file.exists())
    }

    /// Whether [`ClientKey::find`] would give the key, or fail, at once: it comes from a variable or a regular file, and
    /// neither a prompt nor a pipe is waited for.
    pub fn is_at_hand(option: Option<&Path>, variables: &Variables) -> bool {
        CLIENT_KEY.is_at_hand(option, variables)
    }

    /// The key's bytes.
    pub fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }
}

impl Places {
    /// The key in the first place that is set, and that place's name for messages.
    fn find(
        &self,
        option: Option<&Path>,
        variables: &Variables,
        report: &Report,
    ) -> Result<Option<(String, Locked)>, Error> {
        if let Some(file) = option {
            return self.read(self.option, file, variables, report).map(Some);
        }
        if let Some(file) = variables.get(self.file_variable) {
            let file = Path::new(OsStr::from_bytes(file));
            let read = self.read(self.file_variable, file, variables, report);
            return read.map(Some);
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
            Some(file) => self.read("", &file, variables, report).map(Some),
            None => Ok(None),
        }
    }

    fn discard(&self, option: Option<&Path>, variables: &Variables) {
        let number = self
            .named_file(option, variables)
            .and_then(descriptor_number);
        drop(number.map(Descriptor::numbered));
    }

    fn is_at_hand(&self, option: Option<&Path>, variables: &Variables) -> bool {
        let is_regular = |file: &Path| file.metadata().is_ok_and(|it| it.is_file());
        match self.named_file(option, variables) {
            Some(file) => descriptor_number(file).is_none() && is_regular(file),
            None if variables.get(self.variable).is_some() => true,
            None => self
                .default_files(variables)
                .find(|file| file.symlink_metadata().is_ok())
                .is_some_and(|file| is_regular(&file)),
        }
    }

    /// The file that the option or, without one, the variable names.
    fn named_file<'a>(
        &self,
        option: Option<&'a Path>,
        variables: &'a Variables,
    ) -> Option<&'a Path> {
        let variable = variables.get(self.file_variable);
        option.or(variable.map(|file| Path::new(OsStr::from_bytes(file))))
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

    /// Reads the key in FILE: `-` for standard input, `fd:N` for a descriptor, or a path. `named_by` is the option or
    /// variable that named it.
    fn read(
        &self,
        named_by: &str,
        file: &Path,
        variables: &Variables,
        report: &Report,
    ) -> Result<(String, Locked), Error> {
        let source = match (named_by, file.to_str()) {
            ("", _) => shown(file),
            (_, Some("-")) => format!("{named_by}: standard input"),
            _ => format!("{named_by}: {}", shown(file)),
        };
        let fail = |error| Error::BadKey {
            source: source.clone(),
            reason: BadKey::Unreadable(error),
        };
        let once = || Error::BadKey {
            source: source.clone(),
            reason: BadKey::ReadOnce,
        };
        let key = empty_key()?;
        let key = match descriptor_number(file) {
            Some(_) if variables.is_repeated => return Err(once()),
            Some(number) => read_key(&mut Descriptor::numbered(number), key).map_err(fail)?,
            None => {
                let mut opened = match File::open(file) {
                    Err(error) if is_absent(&error) && !named_by.is_empty() => {
                        return Err(Error::BadKey {
                            source: named_by.to_owned(),
                            reason: BadKey::NoSuchFile,
                        });
                    }
                    opened => opened.map_err(fail)?,
                };
                warn_if_open_to_others(&opened, file, report).map_err(fail)?;
                if variables.is_repeated && !opened.metadata().map_err(fail)?.is_file() {
                    return Err(once());
                }
                read_key(&mut opened, key).map_err(fail)?
            }
        };
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

/// The number in `fd:N`; standard input is `-`.
fn descriptor_number(file: &Path) -> Option<i32> {
    match file.to_str()? {
        "-" => Some(0),
        name => name
            .strip_prefix("fd:")?
            .parse()
            .ok()
            .filter(|number| *number >= 0),
    }
}

fn warn_if_open_to_others(opened: &File, file: &Path, report: &Report) -> io::Result<()> {
    let metadata = opened.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let mode = metadata.permissions().mode();
    if metadata.is_file() && mode & 0o006 != 0 {
        let act = if mode & 0o002 != 0 { "write" } else { "read" };
        report.warn(format_args!(
            "{}: every user on this machine can {act} this key file",
            shown(file)
        ));
    }
    Ok(())
}

/// Room for a key that is read, and for the byte that tells that it is too long.
fn empty_key() -> Result<Locked, Error> {
    Locked::for_key(MAX_KEY + 1).map_err(Error::Memory)
}

/// Reads everything up to the end of `input` into `key`, without a buffer in between.
fn read_key(input: &mut impl Read, mut key: Locked) -> io::Result<Locked> {
    loop {
        let room = (MAX_KEY + 1) - key.bytes().len();
        match input.read(&mut key.spare()[..room]) {
            Ok(0) => return Ok(key),
            Ok(read) => key.grow(read),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
}

/// The key without white space around it, if it is one.
fn checked(source: &str, mut key: Locked) -> Result<Locked, Error> {
    let fail = |reason| {
        Err(Error::BadKey {
            source: source.to_owned(),
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

/// Asks for the client key without showing what is typed. The terminal is put back on every way out: a signal that ends
/// or stops the process takes effect only after that, and the question is asked again when the process goes on.
fn prompt(terminal: &File, program: &str) -> Result<Locked, Error> {
    loop {
        let before = SignalSet::ending_or_stopping().block();
        // Those that were blocked before stay pending for the command, and must not be waited for.
        let signals = SignalSet::ending_or_stopping().without(before);
        let answer = ask(terminal, program, signals, empty_key()?);
        let _ = (&*terminal).write_all(b"\n");
        before.set_as_mask();
        if let Some(key) = answer.map_err(Error::Prompt)? {
            return Ok(key);
        }
    }
}

/// One line from the terminal without its end, or `None` if a signal came first.
fn ask(
    terminal: &File,
    program: &str,
    signals: SignalSet,
    mut key: Locked,
) -> io::Result<Option<Locked>> {
    let signalled = signals.descriptor()?;
    let _mode = TerminalMode::without_echo(terminal)?;
    (&*terminal).write_all(format!("{program}: client key: ").as_bytes())?;
    let [_, interrupted] = sys::wait_readable([terminal.as_fd(), signalled.as_fd()])?;
    if interrupted {
        return Ok(None);
    }
    let read = (&*terminal).read(&mut key.spare()[..=MAX_KEY])?;
    key.grow(read);
    Ok(Some(key))
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
