//! Every way in which a run can fail before the command exists: its wording, its hint and its exit status.
//!
//! Wording: one line in lower case without a full stop, which names the path, level, line, variable, file or host, and
//! never holds a value, a key or what a server sent. A hint says what to do, and is left out where that is plain.

#![forbid(unsafe_code)]

mod profile_flaw;
mod sealing;
mod unreachable;

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::dotenv::parse::ParseError;
use crate::dotenv::resolve::ResolveError;
use crate::path::LevelName;
use crate::sys::StartFailure;
use crate::sys::locked::NoMemory;

pub use crate::error::unreachable::{Denied, Flaw, FromMirror, Unreachable};
use crate::error::unreachable::{Seconds, fmt_wait};
pub use profile_flaw::ProfileFlaw;
pub use sealing::Seal;

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
    /// A required key is in none of its places.
    NoKey(MissingKey),
    /// The first place of a key that is set does not contain a valid one.
    BadKey { source: String, reason: BadKey },
    /// The prompt for the client key failed.
    Prompt(io::Error),
    /// A file of trusted certificates is invalid; `source` is the option or variable that names it.
    CaFile {
        source: &'static str,
        file: PathBuf,
        reason: String,
    },
    /// The C library does not let us choose how host names are resolved.
    Resolver(io::Error),
    /// The variable that names a proxy is invalid.
    Proxy {
        variable: &'static str,
        reason: &'static str,
    },
    /// A thread could not be started.
    Thread(io::Error),
    /// The service did not answer in time.
    Timeout { host: String, time: Duration },
    /// No connection, or a connection that broke.
    Unreachable { host: String, reason: Unreachable },
    /// The certificate is not trusted.
    Certificate { host: String, flaw: Flaw },
    /// The TLS handshake failed.
    Tls { host: String },
    /// The server sent something that is not HTTP.
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
    /// A document does not have the expected form.
    Malformed { document: String, flaw: String },
    /// The organization of the key or tree is not the one that was given.
    OtherOrganization { wanted: String, actual: String },
    /// A slug was given, but the service names none.
    OrganizationWithoutSlug { wanted: String },
    /// The answer contains a level that is deeper than the path.
    UnaskedLevel { path: String, level: LevelName },
    /// A mirror has something that is accepted only from the service.
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
    /// A value cannot be written in a format so that every reader gets it back.
    NoSpelling { name: String, form: &'static str },
    /// No file in memory.
    MemoryFile(io::Error),
    /// No path by which the command could open a file in memory.
    NoPathOfDescriptor,
    /// Secrets have names that would take over the command.
    UnsafeNames { names: Vec<String> },
    /// One variable is larger than the kernel allows, in bytes.
    VariableTooLong {
        name: String,
        size: usize,
        limit: usize,
    },
    /// All variables and arguments together are larger than the kernel allows, in bytes.
    EnvironmentTooLong {
        size: usize,
        limit: usize,
        largest: String,
    },
    /// The masking commands could not be written.
    Mask(io::Error),
    /// The audit line could not be written.
    Audit {
        destination: String,
        error: io::Error,
    },
    /// A descriptor that is to be read or written was closed when the program started.
    NotOpen {
        named_by: String,
        number: i32,
        error: io::Error,
    },
    /// The file of `--profile` is invalid.
    Profile { file: PathBuf, flaw: ProfileFlaw },
    /// Memory for secrets could not be allocated or locked.
    Memory(NoMemory),
    /// The process could not be protected before `main`.
    Unprotected(StartFailure),
    /// Signals could not be set up.
    Signals(io::Error),
    /// The parent process could not be started.
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
    /// An option with a value that it does not take.
    UnwantedValue { option: String },
    /// More than one PATH.
    ExtraArgument,
    /// No `--`; `path` is the argument that would be the PATH.
    MissingSeparator { path: Option<String> },
    /// Nothing after `--`.
    NoCommand,
    /// No PATH.
    NoPath,
    /// PATH, or the variable that gives it, is not a path; `path` is what was given, if it may be shown.
    InvalidPath {
        source: String,
        path: Option<String>,
        reason: &'static str,
    },
    /// The value of an option or a variable is invalid.
    BadValue {
        source: String,
        reason: Cow<'static, str>,
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
    /// A mirror of a tree.
    MirrorOfTree,
    /// An option that needs one of these other ones.
    Alone {
        option: &'static str,
        needed: &'static [&'static str],
    },
}

/// Which key is missing.
#[derive(Debug)]
pub enum MissingKey {
    /// The API key.
    Api,
    /// The client key.
    Client,
    /// The client key, and there is no terminal to ask for it.
    Terminal,
}

/// What is wrong with a key or where it should be.
#[derive(Debug)]
pub enum BadKey {
    /// Its file cannot be read.
    Unreadable(io::Error),
    /// It was not complete in time on a pipe or a descriptor.
    NotInTime { time: Duration },
    /// There is no file of that name. The name may be a key, so it is not shown.
    NoSuchFile,
    /// It is empty.
    Empty,
    /// It contains a line break.
    SeveralLines,
    /// It starts with a byte order mark.
    ByteOrderMark,
    /// It is longer than any key.
    TooLong,
    /// It has characters that an HTTP header cannot contain.
    NotPrintable,
    /// It must be read repeatedly, but its place can be read only once.
    ReadOnce,
}

/// Why a level cannot be decrypted.
#[derive(Debug)]
pub enum Sealed {
    /// Its content is not a blob.
    NoBlob,
    /// The client key opens no level at all.
    WrongClientKey,
    /// The project's own key cannot decrypt it.
    WrongServerKey,
    /// The key decrypts other levels but not this one.
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

    /// What the user can do about it, unless the message says so.
    pub fn hint(&self) -> Option<Cow<'static, str>> {
        if let Error::Usage(Usage::MissingSeparator { path: Some(path) }) = self {
            let line = format!("dotenv-run [OPTION]... {path} -- COMMAND [ARG]...");
            return Some(line.into());
        }
        self.fixed_hint().map(Cow::Borrowed)
    }

    fn fixed_hint(&self) -> Option<&'static str> {
        Some(match self {
            Error::Usage(Usage::MissingSeparator { .. } | Usage::NoCommand) => {
                "dotenv-run [OPTION]... [PATH] -- COMMAND [ARG]..."
            }
            Error::Usage(Usage::NoPath) => "give PATH before '--', or set DOTENV_RUN_PATH",
            Error::Usage(Usage::InvalidPath { .. }) => {
                "PATH has the form project[/target[/environment]]"
            }
            Error::Usage(_) => "see --help",
            Error::NotOpen { number: 1.., .. } => {
                "a shell opens descriptor 3 of a command with 3<FILE, or 3>FILE for writing"
            }
            Error::NoKey(MissingKey::Api) => {
                "set DOTENV_API_KEY, or give --api-key-file FILE; for a sealed directory, --api-url file:///DIRECTORY"
            }
            Error::NoKey(_) => "set DOTENV_CLIENT_KEY, or give --client-key FILE",
            Error::BadKey {
                source,
                reason: BadKey::NoSuchFile,
            } if !source.starts_with("--") => {
                "this variable names a file; put the key itself in the variable without _FILE"
            }
            Error::BadKey {
                reason: BadKey::NoSuchFile,
                ..
            } => {
                "put the key in a file, or use '-', fd:N or the environment; \
                 every process can read the command line"
            }
            Error::NoPathOfDescriptor => "mount /proc",
            Error::BadKey {
                reason: BadKey::NotInTime { .. },
                ..
            } => "the program that writes the key must close its end of the pipe",
            Error::BadKey {
                reason: BadKey::ByteOrderMark,
                ..
            } => "save the file as UTF-8 without a byte order mark",
            Error::Unprotected(_) => {
                "allow this call in the system call filter of the container or service"
            }
            Error::Unauthorized { .. } => "the API key is unknown, expired or revoked",
            Error::Forbidden {
                denied: Denied::KeyDescriptor,
                ..
            } => "give the API key the scope key:retrieve, which the read-only preset lacks",
            Error::Forbidden {
                denied: Denied::Secrets,
                ..
            } => "give the API key the scope secret:read",
            Error::NotFound { .. } => "check the path and the organization",
            Error::RateLimited { .. } => {
                "the service allows 100 requests per minute for each organization; try again later"
            }
            Error::Redirected { .. } => "redirects are never followed; check the API URL",
            Error::Certificate {
                flaw: Flaw::UnknownAuthority,
                ..
            } => "use --ca-file FILE to trust a private certificate authority",
            Error::Certificate {
                flaw: Flaw::Other, ..
            } => {
                "a server certificate must not be a CA certificate (CA:TRUE), \
                 as many self-signed certificates are"
            }
            Error::Certificate {
                flaw: Flaw::Expired | Flaw::NotYetValid,
                ..
            } => "check the clock of this machine",
            Error::Mirror {
                refused: FromMirror::Denial { .. },
                ..
            } => {
                "a mirror is asked without the API key; it must give the documents to everyone who asks"
            }
            Error::Mirror { .. } => {
                "only encrypted levels of client-managed projects are accepted from a mirror"
            }
            Error::Unreachable {
                reason: Unreachable::Proxy { status: 407 },
                ..
            } => "put the user name and the password in the URL of the proxy",
            Error::Empty { .. } => "use --allow-empty to start the command without secrets",
            Error::Plaintext { .. } => "use --allow-plaintext to accept it",
            Error::Sealed {
                reason: Sealed::WrongClientKey,
                ..
            } => "use the key that the secrets of this project were sealed with",
            Error::UnsafeNames { .. } => "use --allow-unsafe-env NAME,... to accept them",
            Error::PrintToFile => "use --allow-file to store the secrets on disk",
            Error::Profile {
                flaw: ProfileFlaw::UnknownKey { .. } | ProfileFlaw::NotInProfile { .. },
                ..
            } => "valid keys are path, command and the long option names that --help lists",
            Error::Mask(_) => "use --mask=off to start the command without masking",
            Error::NoSpelling { .. } => "use json or yaml, which can represent every value",
            Error::VariableTooLong { .. } | Error::EnvironmentTooLong { .. } => {
                "use --file VAR --file-only to pass the secrets in a file in memory"
            }
            Error::Memory(NoMemory::Unlockable { .. }) => {
                "raise the limit on locked memory (ulimit -l, LimitMEMLOCK=, --ulimit memlock=), \
                 or use --allow-swap"
            }
            Error::OtherOrganization { .. } => "check --organization and the source of the secrets",
            Error::Seal(Seal::EmptyText) => "use --allow-empty to empty the level",
            Error::Seal(Seal::KeyOf32Bytes) => "create a key with 'dotenv-seal keygen'",
            _ => return None,
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Usage(usage) => usage.fmt(f),
            Error::Output(error) => write!(f, "cannot write to standard output: {}", plain(error)),
            Error::NoKey(MissingKey::Api) => f.write_str("no API key"),
            Error::NoKey(MissingKey::Client) => f.write_str("no client key"),
            Error::NoKey(MissingKey::Terminal) => {
                f.write_str("no client key, and no terminal to ask for it")
            }
            Error::BadKey { source, reason } => write!(f, "{source}: {reason}"),
            Error::Prompt(error) => write!(
                f,
                "cannot read the client key from the terminal: {}",
                plain(error)
            ),
            Error::CaFile {
                source,
                file,
                reason,
            } => write!(f, "{source}: {}: {reason}", shown(file)),
            Error::Resolver(error) => {
                write!(
                    f,
                    "cannot set up the resolution of host names: {}",
                    plain(error)
                )
            }
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
                write!(f, "no secure connection to {host}: TLS handshake failed")
            }
            Error::NotHttp { host } => write!(f, "{host} sent something that is not HTTP"),
            Error::BadHeader { host, limit } => write!(
                f,
                "{host} sent a malformed HTTP header, or more than {limit} headers"
            ),
            Error::Unauthorized { host } => write!(f, "{host} rejected the API key (401)"),
            Error::Forbidden { path, denied } => {
                write!(f, "the API key may not read {denied} {path} (403)")
            }
            Error::NotFound { path, what, place } => write!(f, "{path}: {what} at {place}"),
            Error::Unprocessable { document } => {
                write!(f, "the service rejected the request for {document} (422)")
            }
            Error::RateLimited { host, wait } => {
                write!(f, "{host} accepts no more requests for now (429)")?;
                fmt_wait(f, *wait)
            }
            Error::Redirected { host, status } => {
                write!(f, "{host} answered with a redirect ({status})")
            }
            Error::ServerFailed { host, status, wait } => {
                write!(f, "{host} failed ({status})")?;
                fmt_wait(f, *wait)
            }
            Error::UnexpectedStatus { host, status } => {
                write!(f, "{host} answered with status {status}")
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
                    "the service names no slug, so the organization {wanted} cannot be checked"
                )
            }
            Error::UnaskedLevel { path, level } => write!(
                f,
                "{path}: the answer contains the level {level}, which is deeper than PATH"
            ),
            Error::Mirror { mirror, refused } => write!(f, "mirror {mirror}: {refused}"),
            Error::Tree { path, error } => write!(f, "{}: {}", shown(path), plain(error)),
            Error::OutsideTree { path } => {
                write!(f, "{}: a symbolic link leads out of the tree", shown(path))
            }
            Error::Empty { path } => write!(f, "{path} contains no secrets"),
            Error::Plaintext { level } => {
                write!(
                    f,
                    "level {level} is not encrypted, although the project is client-managed"
                )
            }
            Error::NoSalt { project } => write!(
                f,
                "{project} is client-managed, but its key descriptor has no salt"
            ),
            Error::Iterations { count } => {
                write!(
                    f,
                    "the key descriptor requires {count} iterations; 1000 to 10000000 are accepted"
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
            Error::NameCollision { name } => write!(f, "two secrets would both be named {name}"),
            Error::Required { names } => write!(
                f,
                "required secrets that are missing or empty: {}",
                names.join(", ")
            ),
            Error::PrintToFile => f.write_str("standard output is a regular file"),
            Error::NoSpelling { name, form } => {
                write!(
                    f,
                    "{name} cannot be written as {form} so that every reader gets the same value"
                )
            }
            Error::MemoryFile(error) => {
                write!(f, "cannot create a file in memory: {}", plain(error))
            }
            Error::NoPathOfDescriptor => f.write_str(
                "--file: neither /dev/fd nor /proc/self/fd has the command's descriptors",
            ),
            Error::UnsafeNames { names } => {
                write!(
                    f,
                    "secrets with unsafe names, which affect the loader, shell or interpreter of the command: {}",
                    names.join(", ")
                )
            }
            Error::VariableTooLong { name, size, limit } => {
                write!(
                    f,
                    "{name} has {size} bytes; the kernel limit for one variable is {limit}"
                )
            }
            Error::EnvironmentTooLong {
                size,
                limit,
                largest,
            } => {
                write!(
                    f,
                    "arguments and environment have {size} bytes; the kernel limit is {limit}, and the largest secret is {largest}"
                )
            }
            Error::Mask(error) => {
                write!(f, "cannot write the masking commands: {}", plain(error))
            }
            Error::Audit { destination, error } => {
                write!(
                    f,
                    "cannot write the audit line to {destination}: {}",
                    plain(error)
                )
            }
            Error::NotOpen {
                named_by,
                number,
                error,
            } => {
                match number {
                    0 => write!(f, "{named_by}: standard input")?,
                    _ => write!(f, "{named_by}: descriptor {number}")?,
                }
                match error.kind() {
                    io::ErrorKind::NotFound => f.write_str(" is not open"),
                    _ => write!(f, ": {}", plain(error)),
                }
            }
            Error::Profile { file, flaw } => write!(f, "--profile: {}: {flaw}", shown(file)),
            Error::Memory(reason) => reason.fmt(f),
            Error::Unprotected(StartFailure { call, error }) => {
                write!(f, "cannot protect this process: {call}: {}", plain(error))
            }
            Error::Signals(error) => write!(f, "cannot set up signals: {}", plain(error)),
            Error::Supervise(error) => {
                write!(f, "cannot start the parent process: {}", plain(error))
            }
            Error::NoFilter { reason } => {
                write!(f, "the output filter of --redact is not ready: {reason}")
            }
            Error::Command { command, error } => write!(f, "{command}: {}", plain(error)),
            Error::Seal(seal) => seal.fmt(f),
        }
    }
}

impl From<StartFailure> for Error {
    fn from(failure: StartFailure) -> Self {
        Error::Unprotected(failure)
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
                "cannot lock {needed} bytes of memory for secrets ({locked} are locked, the limit is {limit}), \
                 and this machine has swap space"
            ),
            NoMemory::Unmappable(error) => {
                write!(f, "cannot allocate memory for secrets: {}", plain(error))
            }
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
            Usage::MissingSeparator { .. } => f.write_str("missing '--' before the command"),
            Usage::NoCommand => f.write_str("no command after '--'"),
            Usage::NoPath => f.write_str("no PATH"),
            Usage::InvalidPath {
                source,
                path: Some(path),
                reason,
            } => write!(f, "'{path}' is not a valid {source}: {reason}"),
            Usage::InvalidPath { source, reason, .. } => {
                write!(f, "not a valid {source}: {reason}")
            }
            Usage::BadValue { source, reason } => write!(f, "{source}: {reason}"),
            Usage::SealForm => {
                f.write_str("expected keygen, init TREE PROJECT, put TREE PATH or list TREE")
            }
            Usage::UnwantedCommand { option } => write!(f, "--{option} takes no command"),
            Usage::Conflict { one, other } => write!(f, "--{one} cannot be used with --{other}"),
            Usage::MirrorOfTree => f.write_str("--mirror cannot be used with a file URL"),
            Usage::Alone { option, needed } => {
                write!(f, "--{option} needs --{}", needed.join(" or --"))
            }
        }
    }
}

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadKey::Unreadable(error) => f.write_str(&plain(error)),
            BadKey::NotInTime { time } => {
                write!(f, "no complete key within {}", Seconds(*time))
            }
            BadKey::NoSuchFile => {
                f.write_str("there is no such file (the value is not shown: it may be a key)")
            }
            BadKey::Empty => f.write_str("the key is empty"),
            BadKey::SeveralLines => f.write_str("the key contains a line break"),
            BadKey::ByteOrderMark => f.write_str("the key starts with a byte order mark"),
            BadKey::TooLong => f.write_str("the key is longer than 4096 bytes"),
            BadKey::NotPrintable => {
                f.write_str("the key contains characters that are not printable ASCII")
            }
            BadKey::ReadOnce => {
                f.write_str("--watch needs a key that can be read again: a file or a variable")
            }
        }
    }
}

impl fmt::Display for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sealed::NoBlob => "the content is not a sealed blob",
            Sealed::WrongClientKey => {
                "wrong client key, or the level was changed after it was sealed"
            }
            Sealed::WrongServerKey => {
                "the project's key cannot decrypt it, or it was changed after it was sealed"
            }
            Sealed::Changed => {
                "changed after it was sealed: the key decrypts other levels but not this one"
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
