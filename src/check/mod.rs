//! What `--check` says: the facts that every stage of a run leaves, and never a key, a value or a part of one.
//!
//! A check is a run like any other up to the command. The stages are not copied; each of them tells the [`Report`] what
//! it has found, which keeps it only for a check.

#![forbid(unsafe_code)]

mod key;
mod screen;

use std::ffi::CStr;
use std::time::Duration;

use miniserde::{Serialize, json};

pub use crate::check::key::{Abilities, look_at_key};
use crate::cli::{ApiUrl, CheckForm, Options};
use crate::deliver::output;
use crate::error::{Error, shown};
use crate::report::{Report, Verbosity};
use crate::store::{Custody, Descriptor};
use crate::sys::locked::Protection;
use crate::variables::Variable;
use crate::variables::block::name_of;

/// Everything that is found. The names of the fields are those of the JSON, which the manual explains.
#[derive(Default, Serialize)]
#[allow(missing_docs)]
pub struct Findings {
    pub path: Option<String>,
    pub status: u8,
    pub error: Option<Failure>,
    pub command: Option<Command>,
    pub source: Option<Source>,
    pub organization: Option<String>,
    pub api_key: Option<Key>,
    pub client_key: Option<Key>,
    pub abilities: Option<Abilities>,
    pub custody: Option<&'static str>,
    pub key_version: Option<u64>,
    pub iterations: Option<u32>,
    pub few_iterations: Option<bool>,
    pub levels: Vec<Level>,
    pub names: Option<Vec<String>>,
    pub empty: Vec<String>,
    pub left_out: Vec<String>,
    pub renamed: Vec<Renamed>,
    pub preserved: Vec<String>,
    pub overridden: Vec<String>,
    pub dropped: Vec<String>,
    pub refused: Vec<String>,
    pub size: Option<Size>,
    pub memory: Option<Protection>,
    pub mask: Option<Mask>,
    pub times: Times,
    pub warnings: Vec<String>,
}

/// Why the command would not be started.
#[derive(Serialize)]
#[allow(missing_docs)]
pub struct Failure {
    pub kind: String,
    pub message: String,
}

/// The command: its name and the file that would be executed.
#[derive(Serialize)]
#[allow(missing_docs)]
pub struct Command {
    pub name: String,
    pub file: Option<String>,
    pub by_shell: bool,
}

/// Where the levels come from, or are asked for.
#[derive(Serialize)]
#[allow(missing_docs)]
pub struct Source {
    /// `service`, `mirror`, `tree`, `cache`, or `stale-cache` where the service could not be reached.
    pub kind: &'static str,
    /// The host, or the directory of a tree.
    pub name: String,
    /// How old what was cached is, in seconds.
    pub age: Option<u64>,
}

/// Where a key comes from.
#[derive(Serialize)]
#[allow(missing_docs)]
pub struct Key {
    pub source: String,
    pub fingerprint: Option<String>,
}

/// One level, with the size of its text in bytes and the number of its variables as far as it got there.
#[derive(Serialize)]
#[allow(missing_docs)]
pub struct Level {
    pub name: &'static str,
    pub encrypted: bool,
    pub bytes: Option<usize>,
    pub names: Option<usize>,
}

/// A secret that `--rename` or `--prefix` gives another name.
#[derive(Serialize)]
#[allow(missing_docs)]
pub struct Renamed {
    pub from: String,
    pub to: String,
}

/// What the command's arguments and environment come to, against what the kernel takes, in bytes.
#[derive(Serialize)]
#[allow(missing_docs)]
pub struct Size {
    pub bytes: usize,
    pub limit: usize,
    pub largest: String,
}

/// Who would be told what to mask.
#[derive(Serialize)]
#[allow(missing_docs)]
pub struct Mask {
    pub runner: Option<&'static str>,
    pub skipped: Vec<String>,
}

/// How long the stages took, in milliseconds, as far as they were reached. Two of them may run at the same time.
#[derive(Default, Serialize)]
#[allow(missing_docs)]
pub struct Times {
    pub keys: Option<f64>,
    pub fetch: Option<f64>,
    pub derive: Option<f64>,
    pub open: Option<f64>,
    pub parse: Option<f64>,
    pub environment: Option<f64>,
    pub abilities: Option<f64>,
}

/// A stage of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Finding the keys, and perhaps asking for one.
    Keys,
    /// Bringing the documents.
    Fetch,
    /// Deriving the data key.
    Derive,
    /// Decrypting the levels.
    Open,
    /// Reading, merging and resolving them.
    Parse,
    /// Selecting, and building the environment.
    Environment,
    /// Asking what the API key may do.
    Abilities,
}

impl Times {
    /// Adds what another part of a stage took.
    pub fn add(&mut self, stage: Stage, time: Duration) {
        let sum = match stage {
            Stage::Keys => &mut self.keys,
            Stage::Fetch => &mut self.fetch,
            Stage::Derive => &mut self.derive,
            Stage::Open => &mut self.open,
            Stage::Parse => &mut self.parse,
            Stage::Environment => &mut self.environment,
            Stage::Abilities => &mut self.abilities,
        };
        let microseconds = (sum.unwrap_or_default() * 1000.0).round() + time.as_micros() as f64;
        *sum = Some(microseconds / 1000.0);
    }
}

impl Times {
    /// How long the fetch took.
    pub fn spent_on_fetch(&self) -> Duration {
        Duration::from_secs_f64(self.fetch.unwrap_or_default() / 1000.0)
    }
}

impl Findings {
    /// What is known of a run before it begins.
    pub fn about(options: &Options) -> Self {
        let (kind, name) = match &options.api_url {
            ApiUrl::Service(url) => ("service", url.host.clone()),
            ApiUrl::Tree(root) => ("tree", shown(root)),
        };
        Findings {
            path: Some(options.path.to_string()),
            source: Some(Source {
                kind,
                name,
                age: None,
            }),
            ..Findings::default()
        }
    }

    /// Takes note of a mirror that had the levels.
    pub fn from_mirror(&mut self, name: &str) {
        self.source = Some(Source {
            kind: "mirror",
            name: name.to_owned(),
            age: None,
        });
    }

    /// Takes note of a cache that had the levels, since so many seconds.
    pub fn from_cache(&mut self, kind: &'static str, seconds: u64) {
        if let Some(source) = &mut self.source {
            source.kind = kind;
            source.age = Some(seconds);
        }
    }

    /// Takes note of how a project's key comes about.
    pub fn descriptor(&mut self, descriptor: &Descriptor) {
        let derived = descriptor.salt.as_ref().map(|_| descriptor.iterations);
        self.custody = Some(match descriptor.custody {
            Custody::Client => "client-managed",
            Custody::Server { .. } if derived.is_none() => "legacy",
            Custody::Server { .. } => "server-managed",
        });
        self.key_version = descriptor.version;
        self.iterations = derived;
        self.few_iterations = derived.map(|_| descriptor.has_few_iterations());
    }

    /// Takes note of the names that the command would get, and of those without a value.
    pub fn secrets(&mut self, secrets: &[Variable<'_>]) {
        let empty = secrets.iter().filter(|secret| secret.value.is_empty());
        self.empty = empty.map(|secret| secret.name.to_string()).collect();
        let names = secrets.iter().map(|secret| secret.name.to_string());
        self.names = Some(names.collect());
    }

    /// Takes note of inherited strings that the command does not get, by their names.
    pub fn drop<'a>(&mut self, entries: impl Iterator<Item = &'a CStr>) {
        let names = entries.filter_map(name_of).map(str::to_owned);
        self.dropped.extend(names);
    }

    fn end(&mut self, error: Option<&Error>) {
        let memory = Protection::now();
        let is_used = memory.peak > 0 || !memory.locked;
        self.memory = is_used.then_some(memory);
        let Some(error) = error else { return };
        self.status = error.status();
        self.error = Some(Failure {
            kind: error.kind(),
            message: error.to_string(),
        });
        if let Error::UnsafeNames { names } = error {
            self.refused = names.clone();
        }
    }
}

/// Who is told of a run that goes by `options`, or of one that cannot begin.
pub fn report(options: Option<&Options>) -> Report {
    let verbosity = options.map_or(Verbosity::Normal, |options| options.verbosity);
    let report = Report::new("dotenv-run", verbosity);
    match options {
        Some(options) if options.check.is_some() => report.keeping(Findings::about(options)),
        Some(_) => report,
        None => report.keeping(Findings::default()),
    }
}

/// Shows what was found in a run that ended with `outcome`, if that is asked for, and passes that on.
///
/// # Errors
///
/// That of the run or, without one, that the findings cannot be written.
pub fn conclude<T>(
    form: Option<CheckForm>,
    outcome: Result<T, Error>,
    report: &Report,
) -> Result<T, Error> {
    let Some(form) = form else { return outcome };
    let mut text = String::new();
    report.found(|findings| {
        findings.end(outcome.as_ref().err());
        text = match form {
            CheckForm::Screen => screen::show(findings),
            CheckForm::Json => json::to_string(findings) + "\n",
        };
    });
    let written = output::write(text.as_bytes());
    outcome.and_then(|done| written.map(|()| done))
}
