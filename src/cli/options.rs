//! What a run goes by: every option as it was given, in the types that the program works with.

#![forbid(unsafe_code)]

use std::ffi::CString;
use std::path::PathBuf;
use std::time::Duration;

use crate::cli::address::ApiUrl;
use crate::cli::caching::Caching;
use crate::cli::network::Network;
use crate::cli::references::References;
use crate::cli::watching::Watching;
use crate::dotenv::render::Form;
use crate::error::Looseness;
use crate::path::{LevelName, PathList};
use crate::report::Verbosity;

/// Everything that decides what a run does.
pub struct Options {
    /// The paths whose secrets are wanted.
    pub paths: PathList,
    /// The references in variables, if they are followed: then the command gets nothing else.
    pub references: Option<References>,
    /// What is done with them.
    pub action: Action,
    /// `--check`: how it is shown what would be done.
    pub check: Option<CheckForm>,
    /// The organization as given, a ULID or a slug.
    pub organization: Option<String>,
    /// Where the secrets come from.
    pub api_url: ApiUrl,
    /// How the network is used.
    pub network: Network,
    /// Whether and how long an answer is used again.
    pub caching: Option<Caching>,
    /// `--level-only`.
    pub level_only: bool,
    /// `--allow-empty`.
    pub allow_empty: bool,
    /// `--allow-swap`.
    pub allow_swap: bool,
    /// `--allow-tracer`.
    pub allow_tracer: bool,
    /// `--allow-plaintext`.
    pub allow_plaintext: bool,
    /// `--allow-unsigned-tree`.
    pub allow_unsigned_tree: bool,
    /// `--min-generation`.
    pub min_generation: Option<u64>,
    /// `--require-levels`: levels that must be there.
    pub require_levels: Vec<LevelName>,
    /// `--custody`: who may hold the project's key, and what says so.
    pub custody: Option<(ExpectedCustody, String)>,
    /// `--text`: the name of a value that has none.
    pub text: Option<String>,
    /// Whether and how references are resolved.
    pub resolve: Option<Resolve>,
    /// The files that have a say in what there must be, and in what values.
    pub local: LocalFiles,
    /// Which secrets are taken, and what they are called.
    pub selection: Selection,
    /// What the command inherits, and what may be set.
    pub inheritance: Inheritance,
    /// `--mask`: the runner that masks the secrets.
    pub mask: Masking,
    /// Whether the name of the pipeline is sent to the service.
    pub attribution: bool,
    /// `--audit`: where the run is recorded.
    pub audit: Option<Destination>,
    /// What others can do to the profile.
    pub profile_looseness: Option<Looseness>,
    /// `--allow-loose-files`.
    pub allow_loose_files: bool,
    /// `--quiet` or `--verbose`.
    pub verbosity: Verbosity,
}

/// Who may hold the key of the project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedCustody {
    Client,
    Server,
    Any,
}

impl ExpectedCustody {
    /// The word that `--custody` takes.
    pub fn as_str(self) -> &'static str {
        match self {
            ExpectedCustody::Client => "client",
            ExpectedCustody::Server => "server",
            ExpectedCustody::Any => "any",
        }
    }

    /// Whether a project is accepted.
    pub fn accepts(self, is_client_managed: bool) -> bool {
        match self {
            ExpectedCustody::Client => is_client_managed,
            ExpectedCustody::Server => !is_client_managed,
            ExpectedCustody::Any => true,
        }
    }
}

/// How what a check found is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckForm {
    /// On one screen.
    Screen,
    /// As one object of JSON.
    Json,
}

/// What is done with the secrets.
pub enum Action {
    /// A command runs with them.
    Run(Run),
    /// They are printed.
    Print {
        /// What of them, and how.
        content: Content,
        /// `--allow-file`: even into a regular file.
        allow_file: bool,
    },
    /// Their names are printed.
    List {
        /// As JSON.
        json: bool,
    },
}

/// A file in memory.
pub struct MemoryFile {
    /// The variable with its path.
    pub variable: String,
    pub holds: FileHolds,
}

/// What a file in memory holds.
pub enum FileHolds {
    /// The set, as it is printed.
    Set(Content),
    /// The value of this secret, which is not in the environment then.
    Secret { name: String, decoding: Decoding },
    /// The text of this file, with secrets in it.
    Template(PathBuf),
}

/// What is written of the secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// All of them, in a format.
    All(Form),
    /// The value of the only one.
    Only(Decoding),
}

impl Content {
    /// The word for the value of the only one.
    pub const RAW: &str = "raw";

    /// The word for the same, decoded.
    pub const RAW_BASE64: &str = "raw:base64";

    /// What a word stands for.
    pub fn named(word: &str) -> Option<Self> {
        match word {
            Content::RAW => Some(Content::Only(Decoding::None)),
            Content::RAW_BASE64 => Some(Content::Only(Decoding::Base64)),
            _ => Form::named(word).map(Content::All),
        }
    }

    /// Whether its readers make environment variables of the names.
    pub fn becomes_variables(self) -> bool {
        matches!(self, Content::All(form) if form.becomes_variables())
    }
}

/// What is done to a value before it is written alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decoding {
    /// Nothing.
    None,
    /// It is taken for base64, and decoded.
    Base64,
}

/// How a command is run.
pub struct Run {
    /// The command and its arguments, byte for byte; at least one element, but for a check.
    pub command: Vec<CString>,
    /// Whether and how a parent stays in front of it.
    pub supervision: Supervision,
    /// The files that it gets in memory.
    pub files: Vec<MemoryFile>,
    /// `--expand-args`: their paths are put into the arguments of the command.
    pub expand_args: bool,
    /// `--file-mode`: who may open them.
    pub file_mode: u32,
    /// `--file-only`: no secret in its environment.
    pub file_only: bool,
}

/// Whether a parent stays in front of the command, and what it does there.
#[derive(Default)]
pub struct Supervision {
    /// Whether there is one.
    pub parent: Parent,
    /// `--group`: the command gets a process group of its own, to which signals go.
    pub group: bool,
    /// `--subreaper`: the parent reaps all orphans below it.
    pub subreaper: bool,
    /// `--stop-timeout`: how long after a signal to end the command is killed.
    pub stop_timeout: Option<StopTimeout>,
    /// `--die-with-parent`: the signal that the command gets if the parent is killed.
    pub die_with_parent: Option<i32>,
    /// `--watch`: what happens when the secrets change.
    pub watching: Option<Watching>,
    /// `--redact`: a filter puts names in the place of secrets in what the command writes.
    pub redact: bool,
}

/// How long the command has to end before it is killed.
#[derive(Clone)]
pub struct StopTimeout {
    pub after: Duration,
    /// The signals that the time runs from, when they are sent through us.
    pub signals: Vec<i32>,
}

/// Whether a process of ours stays in front of the command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parent {
    /// Only as PID 1, where the command needs an init.
    #[default]
    AsInit,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How references in values are resolved.
#[derive(Clone, Copy)]
pub struct Resolve {
    /// `--resolve-env`: the inherited environment is looked in after the secrets.
    pub environment: bool,
    /// `--strict`: a name that is not set is an error.
    pub strict: bool,
}

/// Files of `.env` text beside the secrets.
#[derive(Default)]
pub struct LocalFiles {
    /// `--defaults`: values for names that no secret has; the last file counts most.
    pub defaults: Vec<PathBuf>,
    /// `--overrides`: values that win over secrets; the last file counts most.
    pub overrides: Vec<PathBuf>,
    /// `--require-from`: final names that must be there.
    pub required: Vec<PathBuf>,
}

/// Which secrets are taken, and what they are called. Applied in the order of the fields.
#[derive(Default)]
pub struct Selection {
    /// `--only`: patterns of the names that are taken; none means all.
    pub only: Vec<CString>,
    /// `--except`: patterns of the names that are left out.
    pub except: Vec<CString>,
    /// `--rename`: old and new name.
    pub rename: Vec<(String, String)>,
    /// `--prefix`: what is put before every name.
    pub prefix: String,
    /// `--require`: final names that must be there and not empty.
    pub require: Vec<String>,
}

/// What the command inherits of the environment, and which secrets may be set in it.
#[derive(Default)]
pub struct Inheritance {
    /// `--preserve-env`: which inherited variables win over a secret of the same name.
    pub preserve: Preserve,
    /// `--clean-env`: inherit only what `pass` names.
    pub clean: bool,
    /// `--pass`.
    pub pass: Vec<String>,
    /// `--drop`: patterns of the names that are not inherited.
    pub drop: Vec<CString>,
    /// `--allow-unsafe-env`.
    pub allow_unsafe: Vec<String>,
    /// `--keep-credentials`.
    pub keep_credentials: bool,
}

/// Which inherited variables win over a secret of the same name.
#[derive(Default)]
pub enum Preserve {
    /// None of them.
    #[default]
    Nothing,
    /// Those named.
    Names(Vec<String>),
    /// All of them.
    All,
}

impl Preserve {
    /// Whether the inherited variable `name` wins.
    pub fn covers(&self, name: &str) -> bool {
        match self {
            Preserve::Nothing => false,
            Preserve::Names(names) => names.iter().any(|known| known == name),
            Preserve::All => true,
        }
    }
}

/// The value of `--mask`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Masking {
    /// The runner that the environment identifies.
    #[default]
    Auto,
    /// GitHub Actions.
    GitHub,
    /// Azure Pipelines.
    Azure,
    /// Nobody.
    Off,
}

/// Where the audit line goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// An open descriptor.
    Descriptor(i32),
    /// systemd's journal, in its own protocol.
    Journal,
    /// syslog, in the format of RFC 3164.
    Syslog,
}

impl Options {
    /// Whether what the command writes is filtered.
    pub fn redacts(&self) -> bool {
        matches!(&self.action, Action::Run(run) if run.supervision.redact)
    }

    /// Whether keys are needed again and again.
    pub fn watches(&self) -> bool {
        matches!(&self.action, Action::Run(run) if run.supervision.watching.is_some())
    }

    /// Whether and how a parent stays in front of what is done.
    pub fn supervision(&self) -> &Supervision {
        const AS_INIT: Supervision = Supervision {
            parent: Parent::AsInit,
            group: false,
            subreaper: false,
            stop_timeout: None,
            die_with_parent: None,
            watching: None,
            redact: false,
        };
        match &self.action {
            Action::Run(run) if self.check.is_none() => &run.supervision,
            Action::Run(_) | Action::Print { .. } | Action::List { .. } => &AS_INIT,
        }
    }
}
