//! The command line: what was asked for, checked, before anything outside is touched.

#![forbid(unsafe_code)]

pub mod seal;

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::{Arg, Parser};
use url::{Host, Url};

use crate::error::{Error, Usage};
use crate::path::{SecretPath, is_slug, is_ulid};
use crate::report::Verbosity;

/// The service's own address.
const DEFAULT_API_URL: &str = "https://api.dotenv.cloud";

/// The time in seconds that the whole fetch may take unless the user says otherwise, and the longest that can be said.
const DEFAULT_TIMEOUT: f64 = 30.0;
const MAX_TIMEOUT: f64 = 86_400.0;

/// One option as the user sees it. The table of them is what is parsed, and what `--help` prints.
pub struct Spec {
    /// The name without its dashes.
    pub long: &'static str,
    /// The one-letter form, for the few that have one.
    pub short: Option<char>,
    /// The placeholder of the value; with a leading `=` the value may be left out.
    pub value: Option<&'static str>,
    /// The environment variable that gives the option its value where the command line does not.
    pub variable: Option<&'static str>,
    /// What it does, on one line.
    pub help: &'static str,
}

/// Every option, in the order of `--help`.
pub const SPECS: &[Spec] = &[
    flag(
        "exec",
        "become the command in place even as PID 1; no supervisor",
    ),
    flag(
        "supervise",
        "keep a process in front that forwards signals and mirrors the status",
    ),
    valued(
        "organization",
        "ID|SLUG",
        Some("DOTENV_ORGANIZATION"),
        "the organization, if the key does not tell",
    ),
    valued(
        "api-url",
        "URL",
        Some("DOTENV_API_URL"),
        "the service (https, http on loopback) or a sealed tree (file)",
    ),
    valued(
        "api-key-file",
        "FILE",
        None,
        "read the API key from FILE, '-' or 'fd:N'",
    ),
    valued(
        "client-key",
        "FILE",
        None,
        "read the client key from FILE, '-' or 'fd:N'",
    ),
    valued(
        "ca-file",
        "FILE",
        None,
        "trust the certificates in FILE instead of the built-in roots",
    ),
    valued(
        "timeout",
        "SECONDS",
        None,
        "give up on the whole fetch after SECONDS (default 30)",
    ),
    flag("level-only", "take only the deepest level of PATH"),
    flag(
        "allow-empty",
        "start the command even if PATH holds no secret",
    ),
    flag(
        "allow-plaintext",
        "accept unencrypted levels in a client-managed project",
    ),
    valued(
        "preserve-env",
        "=NAME,...",
        None,
        "let inherited variables win over secrets: all, or those named",
    ),
    flag("clean-env", "start from an empty environment"),
    valued(
        "pass",
        "NAME,...",
        None,
        "with --clean-env, inherit these variables all the same",
    ),
    valued(
        "allow-unsafe-env",
        "NAME,...",
        None,
        "accept secrets named like a loader's or shell's own variables",
    ),
    flag(
        "keep-credentials",
        "leave the variables that hold our keys in the command's environment",
    ),
    Spec {
        short: Some('q'),
        ..flag("quiet", "no warnings")
    },
    Spec {
        short: Some('v'),
        ..flag("verbose", "say what is done at every stage")
    },
    flag("help", "print this and exit"),
    flag("version", "print the version and exit"),
];

const fn flag(long: &'static str, help: &'static str) -> Spec {
    Spec {
        long,
        short: None,
        value: None,
        variable: None,
        help,
    }
}

const fn valued(
    long: &'static str,
    value: &'static str,
    variable: Option<&'static str>,
    help: &'static str,
) -> Spec {
    Spec {
        long,
        short: None,
        value: Some(value),
        variable,
        help,
    }
}

/// What the command line asks for.
pub enum Request {
    /// Run a command.
    Run(Box<Options>),
    /// Print the help text.
    Help,
    /// Print the version.
    Version,
}

/// Everything that decides what a run does.
pub struct Options {
    /// The path whose secrets are wanted.
    pub path: SecretPath,
    /// The command and its arguments, byte for byte; at least one element.
    pub command: Vec<CString>,
    /// The organization as given, a ULID or a slug.
    pub organization: Option<String>,
    /// Where the secrets come from.
    pub api_url: ApiUrl,
    /// `--api-key-file`.
    pub api_key_file: Option<PathBuf>,
    /// `--client-key`.
    pub client_key: Option<PathBuf>,
    /// `--ca-file`.
    pub ca_file: Option<PathBuf>,
    /// How long the whole fetch may take.
    pub timeout: Duration,
    /// Whether a parent stays in front of the command.
    pub parent: Parent,
    /// `--level-only`.
    pub level_only: bool,
    /// `--allow-empty`.
    pub allow_empty: bool,
    /// `--allow-plaintext`.
    pub allow_plaintext: bool,
    /// What the command inherits, and what may be set.
    pub selection: Selection,
    /// `--keep-credentials`.
    pub keep_credentials: bool,
    /// `--quiet` or `--verbose`.
    pub verbosity: Verbosity,
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

/// What the command inherits of the environment, and which secrets may be set in it.
#[derive(Default)]
pub struct Selection {
    /// `--preserve-env`: which inherited variables win over a secret of the same name.
    pub preserve: Preserve,
    /// `--clean-env`: inherit only what `pass` names.
    pub clean: bool,
    /// `--pass`.
    pub pass: Vec<String>,
    /// `--allow-unsafe-env`.
    pub allow_unsafe: Vec<String>,
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
    /// Reads the arguments, without the program's own name. `variable` gives the value of an environment variable.
    ///
    /// # Errors
    ///
    /// An [`Error::Usage`] for whatever is not understood; nothing has happened then.
    pub fn parse(
        arguments: impl IntoIterator<Item = OsString>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Request, Error> {
        let mut ours: Vec<_> = arguments.into_iter().collect();
        let command = ours
            .iter()
            .position(|argument| argument == "--")
            .map(|separator| {
                let command = ours.split_off(separator + 1);
                ours.truncate(separator);
                command
            });
        let mut given = Given::default();
        let mut parser = Parser::from_args(ours);
        while let Some(argument) = parser.next().map_err(usage)? {
            match argument {
                Arg::Long("help") => return Ok(Request::Help),
                Arg::Long("version") => return Ok(Request::Version),
                Arg::Value(path) if given.path.is_none() => given.path = Some(path),
                Arg::Value(_) if command.is_none() => return Err(Usage::MissingSeparator.into()),
                Arg::Value(_) => return Err(Usage::ExtraArgument.into()),
                Arg::Long(_) | Arg::Short(_) => {
                    let spec = Spec::find(&argument).ok_or_else(|| usage(argument.unexpected()))?;
                    given.accept(spec, &mut parser)?;
                }
            }
        }
        let command = command.ok_or(Usage::MissingSeparator)?;
        Ok(Request::Run(Box::new(
            given.into_options(command, variable)?,
        )))
    }
}

impl Spec {
    fn find(argument: &Arg<'_>) -> Option<&'static Spec> {
        SPECS.iter().find(|spec| match argument {
            Arg::Long(long) => spec.long == *long,
            Arg::Short(short) => spec.short == Some(*short),
            Arg::Value(_) => false,
        })
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
    exec: bool,
    supervise: bool,
    organization: Option<OsString>,
    api_url: Option<OsString>,
    api_key_file: Option<PathBuf>,
    client_key: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    timeout: Option<OsString>,
    level_only: bool,
    allow_empty: bool,
    allow_plaintext: bool,
    selection: Selection,
    keep_credentials: bool,
    verbosity: Verbosity,
}

impl Given {
    fn accept(&mut self, spec: &'static Spec, parser: &mut Parser) -> Result<(), Error> {
        let value = match spec.value {
            None => OsString::new(),
            Some(placeholder) if placeholder.starts_with('=') => {
                parser.optional_value().unwrap_or_default()
            }
            Some(_) => parser.value().map_err(usage)?,
        };
        match spec.long {
            "exec" => self.exec = true,
            "supervise" => self.supervise = true,
            "organization" => self.organization = Some(value),
            "api-url" => self.api_url = Some(value),
            "api-key-file" => self.api_key_file = Some(value.into()),
            "client-key" => self.client_key = Some(value.into()),
            "ca-file" => self.ca_file = Some(value.into()),
            "timeout" => self.timeout = Some(value),
            "level-only" => self.level_only = true,
            "allow-empty" => self.allow_empty = true,
            "allow-plaintext" => self.allow_plaintext = true,
            "preserve-env" => self.preserve(&value)?,
            "clean-env" => self.selection.clean = true,
            "pass" => self.selection.pass.extend(names(spec.long, &value)?),
            "allow-unsafe-env" => self
                .selection
                .allow_unsafe
                .extend(names(spec.long, &value)?),
            "keep-credentials" => self.keep_credentials = true,
            "quiet" => self.verbosity = Verbosity::Quiet,
            "verbose" => self.verbosity = Verbosity::Verbose,
            other => unreachable!("--{other} is in the table and not here"),
        }
        Ok(())
    }

    fn preserve(&mut self, value: &OsStr) -> Result<(), Error> {
        match (&mut self.selection.preserve, value.is_empty()) {
            (Preserve::All, _) => (),
            (preserve, true) => *preserve = Preserve::All,
            (Preserve::Names(known), false) => known.extend(names("preserve-env", value)?),
            (preserve, false) => *preserve = Preserve::Names(names("preserve-env", value)?),
        }
        Ok(())
    }

    fn into_options(
        self,
        command: Vec<OsString>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Options, Error> {
        let setting = |given: Option<OsString>, option, name: &'static str| match given {
            Some(value) => Some((value, option)),
            None => variable(name)
                .filter(|value| !value.is_empty())
                .map(|value| (value, name)),
        };
        let parent = match (self.exec, self.supervise) {
            (true, true) => {
                return Err(Usage::Conflict {
                    one: "--exec",
                    other: "--supervise",
                }
                .into());
            }
            (true, false) => Parent::Never,
            (false, true) => Parent::Always,
            (false, false) => Parent::AsInit,
        };
        if !self.selection.pass.is_empty() && !self.selection.clean {
            return Err(Usage::Alone {
                option: "--pass",
                needed: "--clean-env",
            }
            .into());
        }
        let (path, source) = setting(self.path, "PATH", "DOTENV_RUN_PATH").ok_or(Usage::NoPath)?;
        let organization = setting(self.organization, "--organization", "DOTENV_ORGANIZATION");
        let api_url = match setting(self.api_url, "--api-url", "DOTENV_API_URL") {
            Some((url, source)) => {
                ApiUrl::parse(text(source, &url)?).map_err(|fault| fault.of(source))?
            }
            None => ApiUrl::parse(DEFAULT_API_URL).map_err(|fault| fault.of("--api-url"))?,
        };
        Ok(Options {
            path: SecretPath::parse(text(source, &path)?)
                .map_err(|reason| Fault(reason).of(source))?,
            command: command_line(command)?,
            organization: organization
                .map(|(value, source)| organization_in(source, &value))
                .transpose()?,
            api_url,
            api_key_file: self.api_key_file,
            client_key: self.client_key,
            ca_file: self.ca_file,
            timeout: timeout(self.timeout.as_deref())?,
            parent,
            level_only: self.level_only,
            allow_empty: self.allow_empty,
            allow_plaintext: self.allow_plaintext,
            selection: self.selection,
            keep_credentials: self.keep_credentials,
            verbosity: self.verbosity,
        })
    }
}

/// Why a value is not what it should be.
pub struct Fault(pub(crate) &'static str);

impl Fault {
    /// The error of a value that came from `source`.
    pub fn of(self, source: &'static str) -> Error {
        Usage::BadValue {
            source,
            reason: self.0,
        }
        .into()
    }
}

fn text<'a>(source: &'static str, value: &'a OsStr) -> Result<&'a str, Error> {
    value.to_str().ok_or_else(|| Fault("not UTF-8").of(source))
}

/// A list of variable names, which may be any that an environment can hold.
fn names(option: &'static str, value: &OsStr) -> Result<Vec<String>, Error> {
    let list = text(option, value)?;
    let is_name = |name: &str| !name.is_empty() && !name.contains('=');
    if !list.split(',').all(is_name) {
        return Err(Fault("a list of names, separated by commas, is needed").of(option));
    }
    Ok(list.split(',').map(str::to_owned).collect())
}

fn command_line(command: Vec<OsString>) -> Result<Vec<CString>, Error> {
    if command.is_empty() {
        return Err(Usage::NoCommand.into());
    }
    let strings: Result<_, _> = command
        .into_iter()
        .map(|word| CString::new(word.into_vec()))
        .collect();
    strings.map_err(|_| Fault("an argument with a NUL byte").of("COMMAND"))
}

fn organization_in(source: &'static str, value: &OsStr) -> Result<String, Error> {
    let name = text(source, value)?;
    if is_ulid(name) || is_slug(name) {
        Ok(name.to_owned())
    } else {
        Err(Fault("neither an ID (26 characters) nor a slug ([a-z0-9-], at most 100)").of(source))
    }
}

fn timeout(value: Option<&OsStr>) -> Result<Duration, Error> {
    let seconds = match value {
        None => DEFAULT_TIMEOUT,
        Some(value) => text("--timeout", value)?.parse().unwrap_or(f64::NAN),
    };
    if seconds > 0.0 && seconds <= MAX_TIMEOUT {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(Fault("a number of seconds above 0 and up to 86400 is needed").of("--timeout"))
    }
}

/// Where documents come from.
#[derive(Clone)]
pub enum ApiUrl {
    /// The service, or something that speaks its API.
    Service(ServiceUrl),
    /// A sealed tree in this directory.
    Tree(PathBuf),
}

/// The address of a service.
#[derive(Clone)]
pub struct ServiceUrl {
    /// The URL without a slash at its end.
    pub base: String,
    /// Host and, if it is not the scheme's own, port, for messages.
    pub host: String,
}

impl ApiUrl {
    fn parse(text: &str) -> Result<Self, Fault> {
        let url = Url::parse(text).map_err(|_| Fault("not a URL"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Fault("a user name or password in the URL"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(Fault("a query or fragment in the URL"));
        }
        match (url.scheme(), url.host()) {
            ("file", _)
                if text.starts_with("file:///") || text.starts_with("file://localhost/") =>
            {
                url.to_file_path()
                    .map(ApiUrl::Tree)
                    .map_err(|()| Fault("a file URL without a path"))
            }
            ("file", _) => Err(Fault("a file URL has the form file:///DIRECTORY")),
            ("https", Some(Host::Ipv6(_))) => Err(Fault(
                "an IPv6 address in an https URL; a host name is needed",
            )),
            ("https", Some(host)) => Ok(service(&url, &host)),
            ("http", Some(host)) if is_loopback(&host) => Ok(service(&url, &host)),
            ("http", _) => Err(Fault("plain http is for loopback addresses only")),
            _ => Err(Fault("the scheme must be https or file")),
        }
    }
}

fn service(url: &Url, host: &Host<&str>) -> ApiUrl {
    let host = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_string(),
    };
    ApiUrl::Service(ServiceUrl {
        base: url.as_str().trim_end_matches('/').to_owned(),
        host,
    })
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

/// The text of `--help`.
pub fn help() -> String {
    let mut text = String::from(
        "Usage: dotenv-run [OPTION]... [PATH] -- COMMAND [ARG]...\n\
         Run COMMAND with the secrets of PATH (project[/target[/environment]]) in its environment.\n\n",
    );
    for spec in SPECS {
        let short = spec
            .short
            .map_or("    ".to_owned(), |short| format!("-{short}, "));
        let value = match spec.value {
            None => String::new(),
            Some(value) if value.starts_with('=') => format!("[{value}]"),
            Some(value) => format!(" {value}"),
        };
        let name = format!("{short}--{}{value}", spec.long);
        let variable = spec
            .variable
            .map_or(String::new(), |variable| format!(" [{variable}]"));
        text.push_str(&format!("  {name:<32}  {}{variable}\n", spec.help));
    }
    text.push_str(
        "\nPATH may come from DOTENV_RUN_PATH. The API key comes from --api-key-file, DOTENV_API_KEY_FILE,\n\
         DOTENV_API_KEY, $CREDENTIALS_DIRECTORY/dotenv-api-key or /run/secrets/dotenv_api_key, the client key\n\
         from --client-key, DOTENV_CLIENT_KEY_FILE, DOTENV_CLIENT_KEY, the same two places, or a prompt.\n\n\
         Exit status: the command's; 124 could not fetch in time; 125 any other failure of ours;\n\
         126 the command cannot be executed; 127 the command was not found.\n",
    );
    text
}
