//! Every way in which a run can fail before the command exists: its wording, its hint and its exit status.
//!
//! Wording: one line in lower case without a full stop, which names the path, level, line, variable, file or host, and
//! never holds a value, a key or what a server sent. A hint says what to do, and is left out where that is plain.

#![forbid(unsafe_code)]

mod file_flaw;
mod hints;
mod key_flaw;
mod loose_file;
mod manifest_flaw;
mod profile_flaw;
mod sealing;
mod unreachable;
mod unsafe_name;
mod usage;
mod wording;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::dotenv::parse::ParseError;
use crate::dotenv::render::Form;
use crate::dotenv::resolve::ResolveError;
use crate::error::unsafe_name::listed;
use crate::error::wording::{Seconds, Wait};
use crate::path::{LevelAt, LevelName};
use crate::sys::NoPseudoTerminal;
use crate::sys::SmallStack;
use crate::sys::StartFailure;
use crate::sys::locked::NoMemory;
use crate::sys::plain;

pub use file_flaw::{FileFlaw, TemplateFlaw};
pub use key_flaw::{BadKey, MissingKey, Sealed};
pub use loose_file::{LooseFile, Looseness};
pub use manifest_flaw::ManifestFlaw;
pub use profile_flaw::ProfileFlaw;
pub use sealing::Seal;
pub use unreachable::{Denied, Flaw, FromMirror, Unreachable};
pub use unsafe_name::UnsafeName;
pub use usage::Usage;
pub use wording::{shown, visible, visible_json};

/// The exit status for a fetch that failed in a way that may pass.
pub const TRY_AGAIN: u8 = 124;

/// The exit status for every other failure of ours.
pub const FAILED: u8 = 125;

/// The exit status for a command that cannot be executed.
const NOT_EXECUTABLE: u8 = 126;

/// The exit status for a command that was not found.
const NOT_FOUND: u8 = 127;

/// Why the command was not started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line cannot be understood.
    #[error(transparent)]
    Usage(#[from] Usage),
    /// The output of `--help` or `--version` could not be written.
    #[error("cannot write to standard output: {}", plain(.0))]
    Output(io::Error),
    /// A required key is in none of its places.
    #[error(transparent)]
    NoKey(MissingKey),
    /// The first place of a key that is set does not contain a valid one.
    #[error("{place}: {reason}")]
    BadKey { place: String, reason: BadKey },
    /// The prompt for the client key failed.
    #[error("cannot read the client key from the terminal: {}", plain(.0))]
    Prompt(io::Error),
    /// A file of trusted certificates is invalid; `named_by` is an option or a variable.
    #[error("{named_by}: {}: {reason}", shown(file))]
    CaFile {
        named_by: &'static str,
        file: PathBuf,
        reason: String,
    },
    /// The C library does not let us choose how host names are resolved.
    #[error("cannot set up the resolution of host names: {}", plain(.0))]
    Resolver(io::Error),
    /// The variable that names a proxy is invalid.
    #[error("{variable}: {reason}")]
    Proxy {
        variable: &'static str,
        reason: &'static str,
    },
    /// A thread could not be started.
    #[error("cannot start a thread: {}", plain(.0))]
    Thread(io::Error),
    /// The service did not answer in time.
    #[error("no answer from {host} within {}", Seconds(*.time))]
    Timeout { host: String, time: Duration },
    /// The answers came in time, but could not be read and opened in it too.
    #[error("the secrets could not be fetched and opened within {}", Seconds(*.time))]
    OutOfTime { time: Duration },
    /// No connection, or a connection that broke.
    #[error("cannot reach {host}: {reason}")]
    Unreachable { host: String, reason: Unreachable },
    /// The certificate is not trusted.
    #[error("no secure connection to {host}: its certificate {flaw}")]
    Certificate { host: String, flaw: Flaw },
    /// The TLS handshake failed.
    #[error("no secure connection to {host}: TLS handshake failed")]
    Tls { host: String },
    /// The server sent something that is not HTTP.
    #[error("{host} sent something that is not HTTP")]
    NotHttp { host: String },
    /// A header is malformed, or there are more than `limit`.
    #[error("{host} sent a malformed HTTP header, or more than {limit} headers")]
    BadHeader { host: String, limit: usize },
    /// Status 401.
    #[error("{host} rejected the API key (401)")]
    Unauthorized { host: String },
    /// Status 403.
    #[error("the API key may not read {denied} {path} (403)")]
    Forbidden { path: String, denied: Denied },
    /// Status 404, or no such document in a tree.
    #[error("{path}: {what} at {place}")]
    NotFound {
        path: String,
        what: &'static str,
        place: String,
    },
    /// Status 422.
    #[error("the service rejected the request for {document} (422)")]
    Unprocessable { document: String },
    /// Status 429, and how long the service asks to wait.
    #[error("{host} accepts no more requests for now (429){}", Wait(*.wait))]
    RateLimited {
        host: String,
        wait: Option<Duration>,
    },
    /// A redirect.
    #[error("{host} answered with a redirect ({status})")]
    Redirected { host: String, status: u16 },
    /// Status 500 to 599, and how long the service asks to wait.
    #[error("{host} failed ({status}){}", Wait(*.wait))]
    ServerFailed {
        host: String,
        status: u16,
        wait: Option<Duration>,
    },
    /// Any other status but 200.
    #[error("{host} answered with status {status}")]
    UnexpectedStatus { host: String, status: u16 },
    /// A document is larger than is accepted, in bytes.
    #[error("{document} is larger than {limit} bytes")]
    AnswerTooLong { document: String, limit: u64 },
    /// A document does not have the expected form.
    #[error("{document}: {flaw}")]
    Malformed { document: String, flaw: String },
    /// The organization of the key or tree is not the one that was given.
    #[error("the organization is {actual}, not {wanted}")]
    OtherOrganization { wanted: String, actual: String },
    /// A slug was given, but the service names none.
    #[error("the service names no slug, so the organization {wanted} cannot be checked")]
    OrganizationWithoutSlug { wanted: String },
    /// The answer contains a level that is deeper than the path.
    #[error("{path}: the answer contains the level {level}, which is deeper than PATH")]
    UnaskedLevel { path: String, level: LevelName },
    /// A mirror has something that is accepted only from the service.
    #[error("mirror {mirror}: {refused}")]
    Mirror { mirror: String, refused: FromMirror },
    /// A file or directory of a tree cannot be used.
    #[error("{}: {}", shown(path), plain(error))]
    Tree { path: PathBuf, error: io::Error },
    /// A symbolic link leads out of a tree.
    #[error("{}: a symbolic link leads out of the tree", shown(path))]
    OutsideTree { path: PathBuf },
    /// There is no secret.
    #[error("{path} contains no secrets")]
    Empty { path: String },
    /// A client-managed project has a level that is not encrypted.
    #[error("level {level} is not encrypted, although the project is client-managed")]
    Plaintext { level: LevelAt },
    /// The same in a tree, where nothing makes up for it.
    #[error("level {level} is not encrypted, although the project is client-managed")]
    PlaintextInTree { level: LevelAt },
    /// The project's key is not held by whom the reader expects.
    #[error("project {project} is {actual}-managed, but {expected}-managed is expected ({reason})")]
    OtherCustody {
        project: String,
        actual: &'static str,
        expected: &'static str,
        reason: String,
    },
    /// A tree or mirror does not have the levels that belong together.
    #[error("{project}: {flaw}")]
    NotWhole { project: String, flaw: ManifestFlaw },
    /// Levels of `--require-levels` are absent.
    #[error("{path}: required levels are absent: {levels}")]
    AbsentLevels { path: String, levels: String },
    /// A client-managed project has no salt.
    #[error("{project} is client-managed, but its key descriptor has no salt")]
    NoSalt { project: String },
    /// The iterations are outside of what is accepted.
    #[error("the key descriptor requires {count} iterations; 1000 to 10000000 are accepted")]
    Iterations { count: u32 },
    /// A level cannot be opened.
    #[error("level {level}: {reason}")]
    Sealed { level: LevelAt, reason: Sealed },
    /// A level breaks the `.env` grammar.
    #[error("level {level}: {error}")]
    Parse { level: LevelAt, error: ParseError },
    /// A level in JSON is not one object of strings.
    #[error("level {level}: {flaw}")]
    JsonLevel { level: LevelAt, flaw: String },
    /// A level in YAML is not one mapping of names to scalars.
    #[error("level {level}: {flaw}")]
    YamlLevel { level: LevelAt, flaw: String },
    /// A level that is one value is no text that a variable can hold.
    #[error("level {level}: {flaw}")]
    TextLevel { level: LevelAt, flaw: &'static str },
    /// A level that is one value, and no name for it.
    #[error("level {level} is one value without a name: its project has the format text")]
    NamelessLevel { level: LevelAt },
    /// References in values cannot be resolved.
    #[error(transparent)]
    Resolve(ResolveError),
    /// With `--strict`, variables that refer to a name that is not set.
    #[error("{}: reference to a variable that is not set", names.join(", "))]
    Unset { names: Vec<String> },
    /// With `--strict`, variables that hold a `${` that is not closed, or has a tail that means nothing.
    #[error("{}: invalid ${{…}} reference", names.join(", "))]
    MalformedReference { names: Vec<String> },
    /// `--rename` of a secret that is not there.
    #[error("--rename: there is no secret {name}")]
    NothingToRename { name: String },
    /// The path that references lead to is not there, or may not be read.
    #[error("{}: {error}", variables.join(", "))]
    OfReference {
        variables: Vec<String>,
        error: Box<Error>,
    },
    /// The path that a reference leads to has no own level.
    #[error("{variable}: {path} has no level {level}")]
    ReferenceToNoLevel {
        variable: String,
        path: String,
        level: LevelName,
    },
    /// A reference leads to a secret that is not there.
    #[error("{variable}: there is no secret {name} in {path}")]
    ReferenceToNothing {
        variable: String,
        name: String,
        path: String,
    },
    /// Two variables would have the same name.
    #[error("two secrets would both be named {name}")]
    NameCollision { name: String },
    /// Required secrets are missing or empty.
    #[error("required secrets that are missing or empty: {}", names.join(", "))]
    Required { names: Vec<String> },
    /// Standard output is a regular file.
    #[error("standard output is a regular file")]
    PrintToFile,
    /// A value cannot be written in a format so that every reader gets it back.
    #[error(fmt = wording::no_spelling)]
    NoSpelling { name: String, form: Form },
    /// The value of the only secret is wanted, and there is none or another one.
    #[error("raw needs exactly one secret, and {count} are selected")]
    NotOneSecret { count: usize },
    /// A value that is to be decoded cannot be.
    #[error("the value of {name} is not base64")]
    NotBase64 { name: String },
    /// The system gives no random bytes.
    #[error("{}", plain(.0))]
    Random(io::Error),
    /// What is printed is for a runner that has nobody to tell it what to mask.
    #[error("the runner cannot be told what to mask: standard error does not go to it")]
    NothingMasked,
    /// `--secret-file` of a secret that is not there.
    #[error("--secret-file: there is no secret {name}")]
    NoSecretForFile { name: String },
    /// No file in memory.
    #[error("cannot create a file in memory: {}", plain(.0))]
    MemoryFile(io::Error),
    /// No path by which the command could open a file in memory.
    #[error(
        "no path for --file, --secret-file or --template: neither /dev/fd nor /proc/self/fd has the command's descriptors"
    )]
    NoPathOfDescriptor,
    /// Everyone can change a file that carries trust.
    #[error("{0}")]
    Loose(#[from] LooseFile),
    /// Secrets have names that would take over a program.
    #[error("secrets whose names take over a program: {}", listed(names))]
    UnsafeNames { names: Vec<UnsafeName> },
    /// One variable is larger than the kernel allows, in bytes.
    #[error("{name} has {size} bytes; the kernel limit for one variable is {limit}")]
    VariableTooLong {
        name: String,
        size: usize,
        limit: usize,
    },
    /// All variables and arguments together are larger than the kernel allows, in bytes.
    #[error(
        "arguments and environment have {size} bytes; the kernel limit is {limit}, \
         and the largest secret is {largest}"
    )]
    EnvironmentTooLong {
        size: usize,
        limit: usize,
        largest: String,
    },
    /// The masking commands could not be written.
    #[error("cannot write the masking commands: {}", plain(.0))]
    Mask(io::Error),
    /// The audit line could not be written.
    #[error("cannot write the audit line to {destination}: {}", plain(error))]
    Audit {
        destination: String,
        error: io::Error,
    },
    /// A descriptor that is to be read or written was closed when the program started.
    #[error(fmt = wording::not_open)]
    NotOpen {
        named_by: String,
        number: i32,
        error: io::Error,
    },
    /// The file of `--profile` is invalid.
    #[error("--profile: {}: {flaw}", shown(file))]
    Profile { file: PathBuf, flaw: ProfileFlaw },
    /// A file beside the secrets cannot be used.
    #[error("{option}: {}: {flaw}", shown(file))]
    LocalFile {
        option: &'static str,
        file: PathBuf,
        flaw: FileFlaw,
    },
    /// Memory for secrets could not be allocated or locked.
    #[error(transparent)]
    Memory(#[from] NoMemory),
    /// The process could not be protected before `main`.
    #[error("cannot protect this process: {0}")]
    Unprotected(#[from] StartFailure),
    /// The limit on the stack is too low.
    #[error(transparent)]
    Stack(#[from] SmallStack),
    /// Another process traces this one.
    #[error("process {tracer} traces this one, and could read the secrets")]
    Traced { tracer: u32 },
    /// Signals could not be set up.
    #[error("cannot set up signals: {}", plain(.0))]
    Signals(io::Error),
    /// The parent process could not be started.
    #[error("cannot start the parent process: {}", plain(.0))]
    Supervise(io::Error),
    /// There is no terminal to put in the place of the one that the command would write to.
    #[error("--redact needs a pseudo-terminal to filter a terminal: {0}")]
    PseudoTerminal(#[from] NoPseudoTerminal),
    /// A process that was to renew the secrets has ended without a word.
    #[error("the process that fetches them ended early, perhaps for lack of memory")]
    RenewalEnded,
    /// The filter of the command's output is not ready.
    #[error("the output filter of --redact is not ready: {reason}")]
    NoFilter { reason: String },
    /// What the command wrote could not be passed on by the filter.
    #[error("some of the command's output is lost: {reason}")]
    OutputLost { reason: String },
    /// The command could not be executed.
    #[error("{command}: {}", plain(error))]
    Command { command: String, error: io::Error },
    /// `dotenv-seal` refuses what it was asked for.
    #[error(transparent)]
    Seal(#[from] Seal),
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

    /// The path that is not there, or may not be read.
    pub fn denied_path(&self) -> Option<&str> {
        match self {
            Error::NotFound { path, .. } | Error::Forbidden { path, .. } => Some(path),
            Error::Mirror {
                refused: FromMirror::Denial { path, .. },
                ..
            } => Some(path),
            Error::AbsentLevels { path, .. } => Some(path),
            _ => None,
        }
    }

    /// Whether the fetch failed in a way that may pass.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Error::Timeout { .. }
                | Error::OutOfTime { .. }
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
        if let Error::OfReference { error, .. } = self {
            return error.kind();
        }
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
}
