//! The command line: what was asked for, checked, before anything outside is touched.

#![forbid(unsafe_code)]

mod address;
mod caching;
mod combinations;
mod completions;
mod network;
mod profile;
pub mod seal;
mod table;
mod watching;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lexopt::{Arg, Parser};

use crate::audit::Destination;
use crate::check;
use crate::deliver::mask::{Audience, Mask};
use crate::dotenv::parse::is_name;
use crate::dotenv::render::Form;
use crate::error::{Error, ProfileFlaw, Usage};
use crate::keys::profile_file::Profile;
use crate::path::{SecretPath, is_slug, is_ulid};
use crate::report::Verbosity;
use crate::sys::signal_names;

pub use crate::cli::address::{ApiUrl, ServiceUrl};
pub use crate::cli::caching::Caching;
use crate::cli::combinations::SUPERVISING;
pub use crate::cli::completions::{Shell, completions};
use crate::cli::network::seconds;
pub use crate::cli::network::{Network, ProxyVariables, Trust};
use crate::cli::table::Spec;
pub use crate::cli::table::help;
pub use crate::cli::watching::{OnChange, Watching};

/// The service's own address.
const DEFAULT_API_URL: &str = "https://api.dotenv.cloud";

/// The longest word in bytes of an invalid path or name that a message quotes.
const LONGEST_SHOWN: usize = 20;

/// What the command line asks for.
pub enum Request {
    /// Do something with secrets.
    Run(Box<Options>),
    /// Print the help text.
    Help,
    /// Print the version.
    Version,
    /// Print completions for a shell.
    Completions(Shell),
}

/// Everything that decides what a run does.
pub struct Options {
    /// The path whose secrets are wanted.
    pub path: SecretPath,
    /// What is done with them.
    pub action: Action,
    /// `--check`: how it is shown what would be done.
    pub check: Option<check::Form>,
    /// The organization as given, a ULID or a slug.
    pub organization: Option<String>,
    /// Where the secrets come from.
    pub api_url: ApiUrl,
    /// `--api-key-file`.
    pub api_key_file: Option<PathBuf>,
    /// `--client-key`.
    pub client_key: Option<PathBuf>,
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
    /// `--allow-plaintext`.
    pub allow_plaintext: bool,
    /// Whether and how references are resolved.
    pub resolve: Option<Resolve>,
    /// Which secrets are taken, and what they are called.
    pub selection: Selection,
    /// What the command inherits, and what may be set.
    pub inheritance: Inheritance,
    /// Who is told what to mask.
    pub mask: Mask,
    /// Whether the service is told which pipeline asks.
    pub attribution: bool,
    /// Where the run is written down.
    pub audit: Option<Destination>,
    /// The files of keys that a profile names.
    pub profile_keys: KeyFiles,
    /// The profile, if every user of the machine can change it.
    pub open_profile: Option<PathBuf>,
    /// `--quiet` or `--verbose`.
    pub verbosity: Verbosity,
}

/// The files of keys.
#[derive(Default)]
pub struct KeyFiles {
    /// That of the API key.
    pub api_key: Option<PathBuf>,
    /// That of the client key.
    pub client_key: Option<PathBuf>,
}

/// What is done with the secrets.
pub enum Action {
    /// A command runs with them.
    Run(Run),
    /// They are printed.
    Print {
        /// How.
        form: Form,
        /// `--allow-file`: even into a regular file.
        allow_file: bool,
    },
    /// Their names are printed.
    List {
        /// As JSON.
        json: bool,
    },
}

/// How a command is run.
pub struct Run {
    /// The command and its arguments, byte for byte; at least one element, but for a check.
    pub command: Vec<CString>,
    /// Whether and how a parent stays in front of it.
    pub supervision: Supervision,
    /// The files that it gets in memory: the variable with the path, and how the file is written.
    pub files: Vec<(String, Form)>,
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
    pub stop_timeout: Option<Duration>,
    /// `--die-with-parent`: the signal that the command gets if the parent is killed.
    pub die_with_parent: Option<i32>,
    /// `--watch`: what happens when the secrets change.
    pub watching: Option<Watching>,
    /// `--redact`: a filter puts names in the place of secrets in what the command writes.
    pub redact: bool,
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

impl Options {
    /// Whether what the command writes is filtered.
    pub fn redacts(&self) -> bool {
        matches!(&self.action, Action::Run(run) if run.supervision.redact)
    }

    /// Whether keys are needed again and again.
    pub fn watches(&self) -> bool {
        matches!(&self.action, Action::Run(run) if run.supervision.watching.is_some())
    }

    /// Who is to be told what to mask, given the environment that we were started with. That a runner cannot be told
    /// makes no difference to what is filtered anyway.
    pub fn audience(&self, variable: impl Fn(&str) -> Option<String>) -> Audience {
        match self.mask.audience(variable) {
            Audience::Deaf(_) if self.redacts() => Audience::Nobody,
            audience => audience,
        }
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

    /// Forgets the names of the files that hold keys: one may be a key that was given in a file's stead.
    pub fn forget_key_files(&mut self) {
        self.api_key_file = None;
        self.client_key = None;
    }

    /// Reads the arguments, without the program's own name. `variable` gives the value of an
    /// environment variable, `read_profile` the file of a profile.
    ///
    /// # Errors
    ///
    /// An [`Error::Usage`] for whatever is not understood, an [`Error::Profile`] for a profile that is
    /// of no use; nothing has happened then.
    pub fn parse(
        arguments: impl IntoIterator<Item = OsString>,
        variable: impl Fn(&str) -> Option<OsString>,
        read_profile: impl FnOnce(&Path) -> Result<Profile, ProfileFlaw>,
    ) -> Result<Request, Error> {
        let mut ours: Vec<_> = arguments.into_iter().collect();
        let separator = ours.iter().position(|argument| argument == "--");
        let mut command = separator.map(|at| {
            let command = ours.split_off(at + 1);
            ours.truncate(at);
            command
        });
        let mut given = Given::default();
        let mut parser = Parser::from_args(ours);
        while let Some(argument) = parser.next().map_err(usage)? {
            match argument {
                Arg::Long("help") => return alone(Request::Help, "--help", &mut parser),
                Arg::Long("version") => return alone(Request::Version, "--version", &mut parser),
                Arg::Long("completions") => {
                    let shell = read("--completions", &parser.value().map_err(usage)?, shell)?;
                    return Ok(Request::Completions(shell));
                }
                Arg::Value(path) if given.path.is_none() => given.path = Some(path),
                Arg::Value(_) if command.is_none() => {
                    let path = given.path.as_deref().and_then(OsStr::to_str);
                    let path = path.filter(|path| SecretPath::parse(path).is_ok());
                    let path = path.map(str::to_owned);
                    return Err(Usage::MissingSeparator { path }.into());
                }
                Arg::Value(_) => return Err(Usage::ExtraArgument.into()),
                Arg::Long(_) | Arg::Short(_) => {
                    let spec = Spec::find(&argument).ok_or_else(|| usage(argument.unexpected()))?;
                    given.accept(spec, &mut parser)?;
                }
            }
        }
        let (mut profile_keys, mut open_profile) = (KeyFiles::default(), None);
        if let Some(file) = given.last("profile").map(PathBuf::from) {
            let profile = read_profile(&file).and_then(|profile| {
                open_profile = profile.is_open_to_all.then(|| file.clone());
                profile::parse(&profile.text)
            });
            let profile = profile.map_err(|flaw| Error::Profile { file, flaw })?;
            profile_keys = given.complete(profile, &mut command, &variable);
        }
        let mut options = given.into_options(command, variable)?;
        options.profile_keys = profile_keys;
        options.open_profile = open_profile;
        Ok(Request::Run(Box::new(options)))
    }
}

/// The request of an option that takes no value and ends the command line.
fn alone(request: Request, option: &str, parser: &mut Parser) -> Result<Request, Error> {
    match parser.optional_value() {
        None => Ok(request),
        Some(_) => Err(Usage::UnwantedValue {
            option: option.to_owned(),
        }
        .into()),
    }
}

/// What lexopt found wrong, without the value that it found.
fn usage(error: lexopt::Error) -> Error {
    match error {
        lexopt::Error::MissingValue { option } => Usage::MissingValue {
            option: option.unwrap_or_default(),
        },
        lexopt::Error::UnexpectedOption(option) => Usage::UnknownOption { option },
        lexopt::Error::UnexpectedValue { option, .. } => Usage::UnwantedValue { option },
        _ => Usage::ExtraArgument,
    }
    .into()
}

/// The options as they were given, before they are looked at together.
#[derive(Default)]
struct Given {
    path: Option<OsString>,
    /// The values of each option in their order, as far as it was given with one.
    options: HashMap<&'static str, Vec<Option<OsString>>>,
}

impl Given {
    fn accept(&mut self, spec: &'static Spec, parser: &mut Parser) -> Result<(), Error> {
        let value = match spec.value.chars().next() {
            None => None,
            Some('=') => parser.optional_value(),
            Some(_) => Some(parser.value().map_err(usage)?),
        };
        self.options.entry(spec.long).or_default().push(value);
        Ok(())
    }

    fn into_options(
        mut self,
        command: Option<Vec<OsString>>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Options, Error> {
        self.check_combinations()?;
        let setting = |given: Option<OsString>, option, name: &'static str| match given {
            Some(value) => Some((value, option)),
            None => variable(name)
                .filter(|value| !value.is_empty())
                .map(|value| (value, name)),
        };
        let path = setting(self.path.take(), "PATH", "DOTENV_RUN_PATH");
        let organization = setting(
            self.last("organization"),
            "--organization",
            "DOTENV_ORGANIZATION",
        );
        let api_url = setting(self.last("api-url"), "--api-url", "DOTENV_API_URL")
            .unwrap_or_else(|| (DEFAULT_API_URL.into(), "--api-url"));
        let cache = setting(self.last("cache"), "--cache", "DOTENV_RUN_CACHE");
        let api_url = read(api_url.1, &api_url.0, ApiUrl::parse)?;
        let action = self.action(command, &api_url)?;
        let (path, source) = path.ok_or(Usage::NoPath)?;
        Ok(Options {
            path: read_path(source, &path)?,
            action,
            check: self.has("check").then(|| match self.has("json") {
                true => check::Form::Json,
                false => check::Form::Screen,
            }),
            organization: organization
                .map(|(value, source)| read(source, &value, organization_named))
                .transpose()?,
            network: self.network(&api_url, &variable)?,
            api_url,
            api_key_file: self.last("api-key-file").map(PathBuf::from),
            client_key: self.last("client-key").map(PathBuf::from),
            caching: Caching::given(cache, self.last("stale"), self.has("no-cache"))?,
            level_only: self.has("level-only"),
            allow_empty: self.has("allow-empty"),
            allow_swap: self.has("allow-swap"),
            allow_plaintext: self.has("allow-plaintext"),
            resolve: (self.has("resolve") || self.has("resolve-env")).then(|| Resolve {
                environment: self.has("resolve-env"),
                strict: self.has("strict"),
            }),
            selection: self.selection()?,
            inheritance: self.inheritance()?,
            mask: match self.last("mask") {
                Some(name) => read("--mask", &name, mask)?,
                None => Mask::Auto,
            },
            attribution: !self.has("no-attribution"),
            audit: match self.last("audit") {
                Some(name) => Some(read("--audit", &name, Destination::named)?),
                None => None,
            },
            profile_keys: KeyFiles::default(),
            open_profile: None,
            verbosity: self.verbosity(),
        })
    }

    fn has(&self, long: &str) -> bool {
        self.options.contains_key(long)
    }

    /// The value of an option that is given once; of several, the last.
    fn last(&self, long: &str) -> Option<OsString> {
        self.options.get(long)?.last().cloned().flatten()
    }

    fn action(&self, command: Option<Vec<OsString>>, api_url: &ApiUrl) -> Result<Action, Error> {
        if self.has("print") || self.has("list") {
            if command.is_some() {
                let option = if self.has("print") { "print" } else { "list" };
                return Err(Usage::UnwantedCommand { option }.into());
            }
            return Ok(match self.last("print") {
                None => Action::List {
                    json: self.has("json"),
                },
                Some(name) => Action::Print {
                    form: read("--print", &name, form)?,
                    allow_file: self.has("allow-file"),
                },
            });
        }
        let command = match command {
            None if self.has("check") => Vec::new(),
            None => return Err(Usage::MissingSeparator { path: None }.into()),
            Some(command) if command.is_empty() => return Err(Usage::NoCommand.into()),
            Some(command) => command,
        };
        let word = |word: OsString| CString::new(word.into_vec());
        let command: Result<_, _> = command.into_iter().map(word).collect();
        let command = command.map_err(|_| bad("COMMAND", "an argument contains a NUL byte"))?;
        let files = self.each("file").map(|value| read("--file", value, file));
        let files = files.collect::<Result<_, _>>()?;
        Ok(Action::Run(Run {
            command,
            supervision: self.supervision(api_url)?,
            files,
            file_only: self.has("file-only"),
        }))
    }

    fn supervision(&self, api_url: &ApiUrl) -> Result<Supervision, Error> {
        let parent = if self.has("exec") {
            Parent::Never
        } else if SUPERVISING.iter().any(|option| self.has(option)) {
            Parent::Always
        } else {
            Parent::AsInit
        };
        let stop_timeout = self.last("stop-timeout");
        Ok(Supervision {
            parent,
            group: self.has("group"),
            subreaper: self.has("subreaper"),
            stop_timeout: stop_timeout
                .map(|value| read("--stop-timeout", &value, seconds))
                .transpose()?,
            die_with_parent: match self.last("die-with-parent") {
                Some(value) => Some(read("--die-with-parent", &value, signal)?),
                None => self.has("die-with-parent").then_some(signal_names::SIGTERM),
            },
            watching: self.watching(api_url)?,
            redact: self.has("redact"),
        })
    }

    fn selection(&self) -> Result<Selection, Error> {
        let pattern =
            |text: String| CString::new(text).map_err(|_| bad("--only", "contains a NUL byte"));
        let patterns = |long| {
            self.list(long)?
                .into_iter()
                .map(pattern)
                .collect::<Result<_, _>>()
        };
        let renamings = self.list("rename")?.into_iter().map(|pair| renaming(&pair));
        let rename: Vec<(String, String)> = renamings.collect::<Result<_, _>>()?;
        let mut renamed = HashSet::new();
        if rename.iter().any(|(old, _)| !renamed.insert(old)) {
            return Err(bad("--rename", "a secret is renamed twice"));
        }
        Ok(Selection {
            only: patterns("only")?,
            except: patterns("except")?,
            rename,
            prefix: match self.last("prefix") {
                Some(prefix) => read("--prefix", &prefix, name)?,
                None => String::new(),
            },
            require: self.names("require")?,
        })
    }

    fn inheritance(&self) -> Result<Inheritance, Error> {
        let preserve = match self.options.get("preserve-env") {
            None => Preserve::Nothing,
            Some(values) if values.contains(&None) => Preserve::All,
            Some(_) => Preserve::Names(self.names("preserve-env")?),
        };
        Ok(Inheritance {
            preserve,
            clean: self.has("clean-env"),
            pass: self.names("pass")?,
            allow_unsafe: self.names("allow-unsafe-env")?,
            keep_credentials: self.has("keep-credentials"),
        })
    }

    fn verbosity(&self) -> Verbosity {
        match (self.has("quiet"), self.has("verbose")) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        }
    }

    fn each(&self, long: &str) -> impl Iterator<Item = &OsString> {
        self.options.get(long).into_iter().flatten().flatten()
    }

    /// The names in all lists given with an option, which may be any that an environment can hold.
    fn names(&self, long: &'static str) -> Result<Vec<String>, Error> {
        let names = self.list(long)?;
        match names.iter().any(|name| name.contains('=')) {
            true => Err(bad(&format!("--{long}"), "names must not contain '='")),
            false => Ok(names),
        }
    }

    /// The elements of all lists given with an option.
    fn list(&self, long: &'static str) -> Result<Vec<String>, Error> {
        let mut elements = Vec::new();
        for value in self.each(long) {
            let list = value
                .to_str()
                .filter(|list| !list.split(',').any(str::is_empty));
            let list = list.ok_or_else(|| {
                bad(
                    &format!("--{long}"),
                    "must be a comma-separated list without empty elements",
                )
            })?;
            elements.extend(list.split(',').map(str::to_owned));
        }
        Ok(elements)
    }
}

fn bad(source: &str, reason: impl Into<Cow<'static, str>>) -> Error {
    Usage::BadValue {
        source: source.to_owned(),
        reason: reason.into(),
    }
    .into()
}

/// Reads a value that came from `source`, an option or a variable.
fn read<T, E: Into<Cow<'static, str>>>(
    source: &'static str,
    value: &OsStr,
    reader: fn(&str) -> Result<T, E>,
) -> Result<T, Error> {
    let text = value.to_str().ok_or_else(|| bad(source, "not UTF-8"))?;
    reader(text).map_err(|reason| bad(source, reason))
}

fn read_path(source: &'static str, value: &OsStr) -> Result<SecretPath, Error> {
    let text = value.to_str().ok_or_else(|| bad(source, "not UTF-8"))?;
    secret_path(source, text)
}

fn secret_path(source: &'static str, text: &str) -> Result<SecretPath, Error> {
    SecretPath::parse(text).map_err(|reason| {
        let path = showable(text).map(str::to_owned);
        Usage::InvalidPath {
            source,
            path,
            reason,
        }
        .into()
    })
}

/// The text, unless it may be a key that was given in the place of a path or a name: no key of the service is as short
/// as a word that is shown.
fn showable(text: &str) -> Option<&str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_word = |word: &str| word.len() <= LONGEST_SHOWN && word.bytes().all(is_plain);
    (!text.is_empty() && text.split('/').all(is_word)).then_some(text)
}

fn organization_named(text: &str) -> Result<String, &'static str> {
    if is_ulid(text) || is_slug(text) {
        Ok(text.to_owned())
    } else {
        Err("must be an ID (26 characters) or a slug (lower-case letters, digits and hyphens)")
    }
}

fn signal(text: &str) -> Result<i32, &'static str> {
    signal_names::named(text).ok_or("no such signal")
}

fn name(text: &str) -> Result<String, Cow<'static, str>> {
    if is_name(text) {
        return Ok(text.to_owned());
    }
    Err(match showable(text) {
        Some(text) => format!("'{text}' is not a valid variable name").into(),
        None => "not a valid variable name".into(),
    })
}

fn mask(text: &str) -> Result<Mask, &'static str> {
    Mask::named(text).ok_or("must be auto, github, azure or off")
}

fn shell(text: &str) -> Result<Shell, &'static str> {
    Shell::named(text).ok_or("must be bash, zsh or fish")
}

fn form(text: &str) -> Result<Form, &'static str> {
    Form::named(text).ok_or("must be env, shell, json or yaml")
}

fn file(text: &str) -> Result<(String, Form), Cow<'static, str>> {
    match text.split_once('=') {
        Some((variable, format)) => Ok((name(variable)?, form(format)?)),
        None => Ok((name(text)?, Form::Env)),
    }
}

fn renaming(pair: &str) -> Result<(String, String), Error> {
    let (old, new) = pair
        .split_once('=')
        .ok_or_else(|| bad("--rename", "must have the form OLD=NEW"))?;
    let name = |text| name(text).map_err(|reason| bad("--rename", reason));
    Ok((name(old)?, name(new)?))
}
