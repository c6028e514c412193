//! Every way in which a run can fail before the command exists: its wording, its hint and its exit status.
//!
//! Wording: one line in lower case without a full stop, which names the path, level, line, variable, file or host, and
//! never holds a value, a key or what a server sent. A hint says what to do, and is left out where that is plain.

#![forbid(unsafe_code)]

mod network;
mod profile;
mod seal;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::dotenv::parse::ParseError;
use crate::dotenv::resolve::ResolveError;
use crate::path::LevelName;
use crate::sys::locked::NoMemory;

pub use crate::error::network::{Denied, Flaw, FromMirror, Unreachable};
use crate::error::network::{Seconds, fmt_wait};
pub use profile::ProfileFlaw;
pub use seal::Seal;

/// The exit status for a fetch that failed in a way that may pass.
pub const TRY_AGAIN: u8 = 124;

/// The exit status for every other failure of ours.
pub const FAILED: u8 = 125;

/// The exit status for a command that cannot be executed.
const NOT_EXECUTABLE: u8 = 126;

/// The exit status for a command that was not found.
const NOT_FOUND: u8 = 127;

/// Why the command was not started.
#[derive(Debug)]
pub enum Error {
    /// The command line cannot be understood.
    Usage(Usage),
    /// The output of `--help` or `--version` could not be written.
    Output(io::Error),
    /// A key that is needed is nowhere; `places` are those that were looked at.
    NoKey {
        key: &'static str,
        places: Vec<String>,
    },
    /// A source of a key was chosen, and it is of no use.
    BadKey { source: String, reason: BadKey },
    /// The prompt for the client key failed.
    Prompt(io::Error),
    /// A file of trusted certificates is of no use, and what names it.
    CaFile {
        source: &'static str,
        file: PathBuf,
        reason: String,
    },
    /// The variable that names a proxy is of no use.
    Proxy {
        variable: &'static str,
        reason: &'static str,
    },
    /// No thread.
    Thread(io::Error),
    /// The service did not answer in time.
    Timeout { host: String, time: Duration },
    /// No connection, or a connection that broke.
    Unreachable { host: String, reason: Unreachable },
    /// The certificate is not one to trust.
    Certificate { host: String, flaw: Flaw },
    /// The other side does not speak TLS as it should.
    Tls { host: String },
    /// The other side does not speak HTTP.
    NotHttp { host: String },
    /// A header is malformed, or there are more than `limit`.
    BadHeader { host: String, limit: usize },
    /// Status 401.
    Unauthorized { host: String },
    /// Status 403.
    Forbidden { path: String, denied: Denied },
    /// Status 404, or no such document in a tree.
    NotFound {
        path: String,
        what: &'static str,
        place: String,
    },
    /// Status 422.
    Unprocessable { document: String },
    /// Status 429, and how long the service asks to wait.
    RateLimited {
        host: String,
        wait: Option<Duration>,
    },
    /// A redirect.
    Redirected { host: String, status: u16 },
    /// Status 500 to 599, and how long the service asks to wait.
    ServerFailed {
        host: String,
        status: u16,
        wait: Option<Duration>,
    },
    /// Any other status but 200.
    UnexpectedStatus { host: String, status: u16 },
    /// A document is larger than is accepted, in bytes.
    AnswerTooLong { document: String, limit: u64 },
    /// A document is not what it should be.
    Malformed { document: String, flaw: String },
    /// The organization of the key or tree is not the one that was given.
    OtherOrganization { wanted: String, actual: String },
    /// A slug was given, and the service does not tell the organization's.
    OrganizationWithoutSlug { wanted: String },
    /// A level came that is deeper than the path.
    UnaskedLevel { path: String, level: LevelName },
    /// A mirror has what is taken from the service only.
    Mirror { mirror: String, refused: FromMirror },
    /// A file or directory of a tree cannot be used.
    Tree { path: PathBuf, error: io::Error },
    /// A symbolic link leads out of a tree.
    OutsideTree { path: PathBuf },
    /// There is no secret.
    Empty { path: String },
    /// A client-managed project has a level that is not encrypted.
    Plaintext { level: LevelName },
    /// A client-managed project has no salt.
    NoSalt { project: String },
    /// The iterations are outside of what is accepted.
    Iterations { count: u32 },
    /// A level cannot be opened.
    Sealed { level: LevelName, reason: Sealed },
    /// A level breaks the `.env` grammar.
    Parse { level: LevelName, error: ParseError },
    /// A level in JSON is not one object of strings.
    JsonLevel { level: LevelName, flaw: String },
    /// References in values cannot be resolved.
    Resolve(ResolveError),
    /// With `--strict`, variables that refer to a name that is not set.
    Unset { names: Vec<String> },
    /// With `--strict`, variables that hold a `${` that is not closed, or has a tail that means nothing.
    MalformedReference { names: Vec<String> },
    /// `--rename` of a secret that is not there.
    NothingToRename { name: String },
    /// Two variables would have the same name.
    NameCollision { name: String },
    /// Required secrets are missing or empty.
    Required { names: Vec<String> },
    /// Standard output is a regular file.
    PrintToFile,
    /// A value cannot be written in a format so that it reads back.
    NoSpelling { name: String, form: &'static str },
    /// No file in memory.
    MemoryFile(io::Error),
    /// Secrets have names that would take over the command.
    UnsafeNames { names: Vec<String> },
    /// One variable is larger than the kernel takes, in bytes.
    VariableTooLong {
        name: String,
        size: usize,
        limit: usize,
    },
    /// All variables and arguments together are larger than the kernel takes, in bytes.
    EnvironmentTooLong {
        size: usize,
        limit: usize,
        largest: String,
    },
    /// The runner could not be told what to mask.
    Mask(io::Error),
    /// The audit line could not be written.
    Audit {
        destination: String,
        error: io::Error,
    },
    /// The file of `--profile` is of no use.
    Profile { file: PathBuf, flaw: ProfileFlaw },
    /// No locked memory.
    Memory(NoMemory),
    /// The supervisor could not be put in front.
    Supervise(io::Error),
    /// The filter of the command's output is not ready.
    NoFilter { reason: String },
    /// The command could not be executed.
    Command { command: String, error: io::Error },
    /// `dotenv-seal` refuses what it was asked for.
    Seal(Seal),
}

/// What is wrong with a command line.
#[derive(Debug)]
pub enum Usage {
    /// No such option.
    UnknownOption { option: String },
    /// An option without the value it needs.
    MissingValue { option: String },
    /// An option with a value it has no use for.
    UnwantedValue { option: String },
    /// More than one PATH.
    ExtraArgument,
    /// No `--`.
    MissingSeparator,
    /// Nothing after `--`.
    NoCommand,
    /// No PATH.
    NoPath,
    /// A value that is not what it should be, and where it comes from.
    BadValue {
        source: String,
        reason: &'static str,
    },
    /// No such command of `dotenv-seal`, or not with these words.
    SealForm,
    /// A command with an option that takes none.
    UnwantedCommand { option: &'static str },
    /// Two options that exclude each other.
    Conflict {
        one: &'static str,
        other: &'static str,
    },
    /// A mirror, and no service that it could stand in for.
    MirrorOfTree,
    /// An option that means nothing without another one.
    Alone {
        option: &'static str,
        needed: &'static str,
    },
}

/// What is wrong with a key or where it should be.
#[derive(Debug)]
pub enum BadKey {
    /// Its file cannot be read.
    Unreadable(io::Error),
    /// The value of `--client-key` names no file. It may be a key, so that it is not shown.
    NoSuchFile,
    /// It is empty.
    Empty,
    /// It has a line end inside.
    SeveralLines,
    /// It starts with a byte order mark.
    ByteOrderMark,
    /// It is longer than any key.
    TooLong,
    /// It has characters that a header of HTTP cannot carry.
    NotPrintable,
    /// It is to be read again and again, and cannot be.
    ReadOnce,
}

/// Why a level stays closed.
#[derive(Debug)]
pub enum Sealed {
    /// Its content is no blob.
    NoBlob,
    /// The client key opens no level at all.
    WrongClientKey,
    /// The project's own key does not open it.
    WrongServerKey,
    /// The key opens other levels, but not this one.
    Changed,
}

impl Error {
    /// The exit status of a run that fails with this error.
    pub fn status(&self) -> u8 {
        match self {
            _ if self.may_pass() => TRY_AGAIN,
            Error::Command { error, .. } if error.kind() == io::ErrorKind::NotFound => NOT_FOUND,
            Error::Command { .. } => NOT_EXECUTABLE,
            _ => FAILED,
        }
    }

    /// Whether the fetch failed in a way that may pass.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Error::Timeout { .. }
                | Error::Unreachable { .. }
                | Error::RateLimited { .. }
                | Error::ServerFailed { .. }
        )
    }

    /// Whether it may pass so soon that the same is asked for once more.
    pub fn is_worth_another_attempt(&self) -> bool {
        match self {
            Error::ServerFailed { status, .. }
            | Error::Unreachable {
                reason: Unreachable::Proxy { status },
                ..
            } => matches!(status, 429 | 500 | 502 | 503 | 504),
            _ => self.may_pass(),
        }
    }

    /// How long the service asks to wait.
    pub fn asked_wait(&self) -> Option<Duration> {
        match self {
            Error::RateLimited { wait, .. } | Error::ServerFailed { wait, .. } => *wait,
            _ => None,
        }
    }

    /// The name of the error for programs: `rate-limited`.
    pub fn kind(&self) -> String {
        // What `Debug` starts with is the name of the variant; nothing of what is in it is taken.
        let shown = format!("{self:?}");
        let name = shown.split(|letter: char| !letter.is_ascii_alphanumeric());
        let mut kind = String::new();
        for letter in name.into_iter().next().unwrap_or_default().chars() {
            if letter.is_ascii_uppercase() && !kind.is_empty() {
                kind.push('-');
            }
            kind.push(letter.to_ascii_lowercase());
        }
        kind
    }

    /// What the user can do about it, where that is not plain.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Error::Usage(Usage::MissingSeparator | Usage::NoCommand) => {
                "dotenv-run [OPTION]... [PATH] -- COMMAND [ARG]..."
            }
            Error::Usage(Usage::NoPath) => "give PATH before '--', or set DOTENV_RUN_PATH",
            Error::Usage(_) => "--help lists what there is",
            Error::BadKey {
                source,
                reason: BadKey::NoSuchFile,
            } if !source.starts_with("--") => {
                "the variable names a file; a key itself goes into the variable without _FILE"
            }
            Error::BadKey {
                reason: BadKey::NoSuchFile,
                ..
            } => {
                "a key is not taken from the command line, where every process can read it; \
                 put it in a file, or use '-', fd:N or the environment"
            }
            Error::BadKey {
                reason: BadKey::ByteOrderMark,
                ..
            } => "save the file as UTF-8 without a byte order mark",
            Error::BadKey {
                reason: BadKey::ReadOnce,
                ..
            } => "--watch reads keys again each time; name a regular file, or set the variable",
            Error::Unauthorized { .. } => "the API key is unknown, expired or revoked",
            Error::Forbidden {
                denied: Denied::KeyDescriptor,
                ..
            } => "the API key needs the scope key:retrieve, which the read-only preset lacks",
            Error::Forbidden {
                denied: Denied::Secrets,
                ..
            } => "the API key needs the scope secret:read",
            Error::NotFound { .. } => "check the path and the organization",
            Error::RateLimited { .. } => {
                "the service allows 100 requests a minute for an organization"
            }
            Error::Redirected { .. } => "redirects are never followed; check the API URL",
            Error::Certificate {
                flaw: Flaw::SelfSigned | Flaw::UnknownAuthority,
                ..
            } => "certificates are always verified; --ca-file names a private authority",
            Error::Certificate {
                flaw: Flaw::Expired | Flaw::NotYetValid,
                ..
            } => "check the clock of this machine too",
            Error::Mirror { .. } => {
                "whoever has the mirror could choose the environment; only sealed levels of \
                 client-managed projects are taken from one"
            }
            Error::Unreachable {
                reason: Unreachable::Proxy { status: 407 },
                ..
            } => "the URL of the proxy may hold a user name and a password",
            Error::Empty { .. } => "--allow-empty starts the command all the same",
            Error::Plaintext { .. } => "--allow-plaintext accepts it",
            Error::Sealed {
                reason: Sealed::WrongClientKey,
                ..
            } => "give the key that this project's secrets were sealed with",
            Error::UnsafeNames { .. } => "--allow-unsafe-env NAME,... accepts them",
            Error::PrintToFile => {
                "a file keeps the secrets on disk; --allow-file writes them all the same"
            }
            Error::Profile {
                flaw: ProfileFlaw::UnknownKey { .. } | ProfileFlaw::NotInProfile { .. },
                ..
            } => "the keys are path, command and the long names of options, as --help lists them",
            Error::Mask(_) => "--mask=off starts the command all the same",
            Error::NoSpelling { .. } => "json and yaml can hold every value",
            Error::VariableTooLong { .. } | Error::EnvironmentTooLong { .. } => {
                "--file VAR --file-only gives the command a file in memory instead"
            }
            Error::Memory(NoMemory::Unlockable { .. }) => {
                "raise the limit on locked memory (ulimit -l, LimitMEMLOCK=, --ulimit memlock=), \
                 or let secrets be swapped out with --allow-swap"
            }
            Error::OtherOrganization { .. } => {
                "check --organization, and where the secrets come from"
            }
            Error::Seal(Seal::EmptyText) => "--allow-empty empties the level",
            Error::Seal(Seal::KeyOf32Bytes) => "make one with 'dotenv-seal keygen'",
            _ => return None,
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Usage(usage) => usage.fmt(f),
            Error::Output(error) => write!(f, "cannot write to standard output: {}", plain(error)),
            Error::NoKey { key, places } => write!(f, "no {key}; looked at {}", places.join(", ")),
            Error::BadKey { source, reason } => write!(f, "{source}: {reason}"),
            Error::Prompt(error) => write!(f, "cannot ask for the client key: {}", plain(error)),
            Error::CaFile {
                source,
                file,
                reason,
            } => write!(f, "{source}: {}: {reason}", shown(file)),
            Error::Proxy { variable, reason } => write!(f, "{variable}: {reason}"),
            Error::Thread(error) => write!(f, "cannot start a thread: {}", plain(error)),
            Error::Timeout { host, time } => {
                write!(f, "no answer from {host} within {}", Seconds(*time))
            }
            Error::Unreachable { host, reason } => write!(f, "cannot reach {host}: {reason}"),
            Error::Certificate { host, flaw } => {
                write!(f, "no secure connection to {host}: its certificate {flaw}")
            }
            Error::Tls { host } => {
                write!(
                    f,
                    "no secure connection to {host}: it does not speak TLS as it should"
                )
            }
            Error::NotHttp { host } => write!(f, "{host} does not answer in HTTP"),
            Error::BadHeader { host, limit } => write!(
                f,
                "{host} does not answer in good HTTP: a malformed header, or more than {limit}"
            ),
            Error::Unauthorized { host } => write!(f, "{host} does not accept the API key (401)"),
            Error::Forbidden { path, denied } => {
                write!(f, "the API key may not read {denied} {path} (403)")
            }
            Error::NotFound { path, what, place } => write!(f, "{path}: {what} at {place}"),
            Error::Unprocessable { document } => {
                write!(f, "the service refuses the request for {document} (422)")
            }
            Error::RateLimited { host, wait } => {
                write!(f, "{host} takes no more requests for now (429)")?;
                fmt_wait(f, *wait)
            }
            Error::Redirected { host, status } => {
                write!(f, "{host} answers with a redirect ({status})")
            }
            Error::ServerFailed { host, status, wait } => {
                write!(f, "{host} failed ({status})")?;
                fmt_wait(f, *wait)
            }
            Error::UnexpectedStatus { host, status } => {
                write!(f, "{host} answers with status {status}")
            }
            Error::AnswerTooLong { document, limit } => {
                write!(f, "{document} is larger than {limit} bytes")
            }
            Error::Malformed { document, flaw } => write!(f, "{document}: {flaw}"),
            Error::OtherOrganization { wanted, actual } => {
                write!(f, "the organization is {actual}, not {wanted}")
            }
            Error::OrganizationWithoutSlug { wanted } => {
                write!(
                    f,
                    "the service does not tell whether the organization is {wanted}"
                )
            }
            Error::UnaskedLevel { path, level } => write!(
                f,
                "{path}: the answer holds a level {level}, which is deeper"
            ),
            Error::Mirror { mirror, refused } => write!(f, "mirror {mirror}: {refused}"),
            Error::Tree { path, error } => write!(f, "{}: {}", shown(path), plain(error)),
            Error::OutsideTree { path } => {
                write!(f, "{}: a symbolic link leads out of the tree", shown(path))
            }
            Error::Empty { path } => write!(f, "{path} holds no secret"),
            Error::Plaintext { level } => {
                write!(
                    f,
                    "level {level} is not encrypted, though the project is client-managed"
                )
            }
            Error::NoSalt { project } => write!(
                f,
                "{project} is client-managed, and its key descriptor has no salt"
            ),
            Error::Iterations { count } => {
                write!(
                    f,
                    "the key descriptor asks for {count} iterations; 1000 to 10000000 are accepted"
                )
            }
            Error::Sealed { level, reason } => write!(f, "level {level}: {reason}"),
            Error::Parse { level, error } => write!(f, "level {level}: {error}"),
            Error::JsonLevel { level, flaw } => write!(f, "level {level}: {flaw}"),
            Error::Resolve(error) => error.fmt(f),
            Error::Unset { names } => {
                write!(
                    f,
                    "{}: reference to a variable that is not set",
                    names.join(", ")
                )
            }
            Error::MalformedReference { names } => {
                write!(f, "{}: invalid ${{…}} reference", names.join(", "))
            }
            Error::NothingToRename { name } => write!(f, "--rename: there is no secret {name}"),
            Error::NameCollision { name } => write!(f, "two variables would be called {name}"),
            Error::Required { names } => write!(f, "missing or empty: {}", names.join(", ")),
            Error::PrintToFile => f.write_str("standard output is a regular file"),
            Error::NoSpelling { name, form } => {
                write!(
                    f,
                    "{name} has no spelling in the format {form} that reads back the same"
                )
            }
            Error::MemoryFile(error) => write!(f, "cannot make a file in memory: {}", plain(error)),
            Error::UnsafeNames { names } => {
                write!(
                    f,
                    "secrets that would take over the command's loader, shell or interpreter: {}",
                    names.join(", ")
                )
            }
            Error::VariableTooLong { name, size, limit } => {
                write!(
                    f,
                    "{name} has {size} bytes; the kernel takes {limit} for one variable"
                )
            }
            Error::EnvironmentTooLong {
                size,
                limit,
                largest,
            } => {
                write!(
                    f,
                    "arguments and environment have {size} bytes, the largest in {largest}; the kernel takes {limit}"
                )
            }
            Error::Mask(error) => {
                write!(f, "cannot tell the runner what to mask: {}", plain(error))
            }
            Error::Audit { destination, error } => {
                write!(
                    f,
                    "cannot write the audit line to {destination}: {}",
                    plain(error)
                )
            }
            Error::Profile { file, flaw } => write!(f, "--profile: {}: {flaw}", shown(file)),
            Error::Memory(reason) => reason.fmt(f),
            Error::Supervise(error) => write!(f, "cannot start a supervisor: {}", plain(error)),
            Error::NoFilter { reason } => {
                write!(f, "the filter of --redact is not ready: {reason}")
            }
            Error::Command { command, error } => write!(f, "{command}: {}", plain(error)),
            Error::Seal(seal) => seal.fmt(f),
        }
    }
}

impl fmt::Display for NoMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoMemory::Unlockable {
                needed,
                locked,
                limit,
            } => write!(
                f,
                "cannot lock {needed} bytes of memory for secrets, with {locked} locked already and a limit of {limit}, \
                 and this machine swaps"
            ),
            NoMemory::Unmappable(error) => write!(f, "no memory for secrets: {}", plain(error)),
        }
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Usage::UnknownOption { option } => {
                write!(f, "unknown option '{}'", option.escape_debug())
            }
            Usage::MissingValue { option } => write!(f, "option '{option}' needs a value"),
            Usage::UnwantedValue { option } => write!(f, "option '{option}' takes no value"),
            Usage::ExtraArgument => f.write_str("more than one PATH before '--'"),
            Usage::MissingSeparator => f.write_str("no '--' before the command"),
            Usage::NoCommand => f.write_str("no command after '--'"),
            Usage::NoPath => f.write_str("no PATH"),
            Usage::BadValue { source, reason } => write!(f, "{source}: {reason}"),
            Usage::SealForm => {
                f.write_str("keygen, init TREE PROJECT, put TREE PATH or list TREE is needed")
            }
            Usage::UnwantedCommand { option } => write!(f, "--{option} takes no command"),
            Usage::Conflict { one, other } => write!(f, "--{one} and --{other} exclude each other"),
            Usage::MirrorOfTree => f.write_str("--mirror means nothing with a file URL"),
            Usage::Alone { option, needed } => {
                write!(f, "--{option} means nothing without --{needed}")
            }
        }
    }
}

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadKey::Unreadable(error) => f.write_str(&plain(error)),
            BadKey::NoSuchFile => f.write_str("names no file"),
            BadKey::Empty => f.write_str("the key is empty"),
            BadKey::SeveralLines => f.write_str("the key has a line end inside"),
            BadKey::ByteOrderMark => f.write_str("the key starts with a byte order mark"),
            BadKey::TooLong => f.write_str("too long for a key"),
            BadKey::NotPrintable => f.write_str("the key has characters that no API key has"),
            BadKey::ReadOnce => f.write_str("a key that can be read once only, with --watch"),
        }
    }
}

impl fmt::Display for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sealed::NoBlob => "the content is no sealed blob",
            Sealed::WrongClientKey => {
                "wrong client key, or the level was changed after it was sealed"
            }
            Sealed::WrongServerKey => {
                "the project's key does not open it, or it was changed after it was sealed"
            }
            Sealed::Changed => {
                "changed after it was sealed: the key opens other levels, but not this one"
            }
        })
    }
}

/// The system's words for an error, in lower case like every message, without the number.
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| {
        first.to_lowercase().chain(letters).collect()
    })
}

impl From<NoMemory> for Error {
    fn from(error: NoMemory) -> Self {
        Error::Memory(error)
    }
}

impl From<Usage> for Error {
    fn from(usage: Usage) -> Self {
        Error::Usage(usage)
    }
}

impl From<Seal> for Error {
    fn from(seal: Seal) -> Self {
        Error::Seal(seal)
    }
}

/// The name of a file as messages show it.
pub fn shown(file: &Path) -> String {
    file.display().to_string().escape_debug().to_string()
}
