//! From what is given to options: every value in its type.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::collections::HashSet;
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::cli::Outside;
use crate::cli::address::ApiUrl;
use crate::cli::caching::Caching;
use crate::cli::completions::Shell;
use crate::cli::given::{Given, Setting, bad};
use crate::cli::in_memory::{MODE, content, mode};
use crate::cli::network::ProxyVariables;
use crate::cli::options::{
    Action, CheckForm, Destination, ExpectedCustody, Inheritance, LocalFiles, Masking, Options,
    Parent, Preserve, Resolve, Run, Selection, StopTimeout, Supervision,
};
use crate::cli::readers::{name, seconds, showable, signal};
use crate::cli::references::{self, Reference, References, WrittenReference};
use crate::cli::table::SUPERVISING;
use crate::error::{Error, Usage};
use crate::path::{LevelName, MAX_PATHS, PathList, SecretPath, is_slug, is_ulid};
use crate::report::Verbosity;
use crate::sys::signal_names;

/// The service's own address.
const DEFAULT_API_URL: &str = "https://api.dotenv.cloud";

impl Given {
    /// The options that it makes, but for the profile.
    pub fn options(
        &mut self,
        proxies: ProxyVariables,
        references: Vec<WrittenReference>,
    ) -> Result<Options, Error> {
        let api_url = match self.api_url.read_bytes(ApiUrl::parse)? {
            Some(url) => url,
            None => ApiUrl::parse(DEFAULT_API_URL.as_ref())
                .map_err(|reason| bad("--api-url", reason))?,
        };
        let action = self.action(&api_url)?;
        let (paths, references) = self.paths(references)?;
        Ok(Options {
            require_levels: self.required_levels(&paths)?,
            paths,
            references,
            action,
            check: self.check_form(),
            organization: self.organization.read(organization)?,
            network: self.network(&api_url, proxies)?,
            api_url,
            caching: Caching::given(self)?,
            level_only: self.level_only.is_given(),
            allow_empty: self.allow_empty.is_given(),
            allow_swap: self.allow_swap.is_given(),
            allow_tracer: self.allow_tracer.is_given(),
            allow_plaintext: self.allow_plaintext.is_given(),
            custody: self.expected_custody()?,
            allow_unsigned_tree: self.allow_unsigned_tree.is_given(),
            min_generation: self.min_generation.read(generation)?,
            text: self.text.read(name)?,
            resolve: self.resolution(),
            local: self.local_files(),
            selection: self.selection()?,
            inheritance: self.inheritance()?,
            mask: self.mask.read(masking)?.unwrap_or_default(),
            attribution: !self.no_attribution.is_given(),
            audit: self.audit.read(destination)?,
            profile_looseness: None,
            allow_loose_files: self.allow_loose_files.is_given(),
            verbosity: self.verbosity(),
        })
    }

    /// The references in the environment, if they are to be followed: because that is said, or because there are some and
    /// no path is given. Those that the command would not inherit do not count.
    pub(super) fn references(
        &mut self,
        outside: &Outside<'_>,
    ) -> Result<Vec<WrittenReference>, Error> {
        if !self.refs.is_given() && self.path.is_given() {
            return Ok(Vec::new());
        }
        let passed = self.pass.names()?;
        let is_passed =
            |name: &str| !self.clean_env.is_given() || passed.iter().any(|it| it == name);
        let mut seen = HashSet::new();
        let names = (outside.names)().into_iter();
        let names = names.filter(|name| seen.insert(*name) && is_passed(name));
        let values = names.filter_map(|name| Some((name, (outside.variable)(name)?)));
        let meant = values.filter(|(_, value)| references::is_reference(value));
        let found: Vec<_> = meant
            .map(|(name, value)| references::read(name, value))
            .collect();
        if !found.is_empty() && !self.refs.is_given() {
            self.refs.give("a reference in the environment".to_owned());
        }
        found.into_iter().collect()
    }

    /// The paths that are given, then those that only references name.
    fn paths(
        &self,
        written: Vec<WrittenReference>,
    ) -> Result<(PathList, Option<References>), Error> {
        let read = |value: &OsStr| {
            let text = value.to_str().ok_or_else(|| self.path.bad("not UTF-8"))?;
            secret_path(self.path.source(), text)
        };
        let mut paths = PathList::new(self.path.each().map(read).collect::<Result<_, _>>()?);
        let (given, mut each) = (paths.len(), Vec::new());
        for WrittenReference {
            variable,
            path,
            name,
        } in written
        {
            if path.is_none() && given == 0 {
                return Err(Usage::ReferenceWithoutPath { variable }.into());
            }
            each.push(Reference {
                variable,
                path: path.map(|path| paths.place_of(path)),
                name,
            });
        }
        match paths.len() {
            0 if self.refs.is_given() => return Err(Usage::NoReference.into()),
            0 => return Err(Usage::NoPath.into()),
            1..=MAX_PATHS => (),
            count => return Err(Usage::TooManyPaths { count }.into()),
        }
        if self.refs.is_given() && each.is_empty() && !self.allow_empty.is_given() {
            return Err(Usage::NoReference.into());
        }
        let references = References { given, each };
        Ok((paths, self.refs.is_given().then_some(references)))
    }

    /// What is wrong with a command line that has no `--`.
    pub(super) fn missing_separator(&self) -> Error {
        let first = self.path.each().next().filter(|_| self.path.count() > 1);
        let first = first.and_then(OsStr::to_str);
        let path = first.filter(|path| SecretPath::parse(path).is_ok());
        let path = path.map(str::to_owned);
        Usage::MissingSeparator { path }.into()
    }

    fn check_form(&self) -> Option<CheckForm> {
        let form = if self.json.is_given() {
            CheckForm::Json
        } else {
            CheckForm::Screen
        };
        self.check.is_given().then_some(form)
    }

    /// How it is shown that the command line is not understood. A reader that waits for secrets on standard output must
    /// not take this for some.
    pub fn refused_check(&self) -> Option<CheckForm> {
        let prints = self.print.is_given() || self.list.is_given();
        self.check_form().filter(|_| !prints)
    }

    fn action(&mut self, api_url: &ApiUrl) -> Result<Action, Error> {
        if let Some(content) = self.print.read(content)? {
            return Ok(Action::Print {
                content,
                allow_file: self.allow_file.is_given(),
            });
        }
        if self.list.is_given() {
            let json = self.json.is_given();
            return Ok(Action::List { json });
        }
        let words = self
            .command
            .each()
            .map(|word| CString::new(word.as_bytes()));
        let command: Result<Vec<_>, _> = words.collect();
        let command = command.map_err(|_| bad("COMMAND", "an argument contains a NUL byte"))?;
        if !self.command.is_given() && !self.check.is_given() {
            return Err(self.missing_separator());
        }
        if self.command.is_given() && command.is_empty() {
            return Err(Usage::NoCommand.into());
        }
        Ok(Action::Run(Run {
            command,
            supervision: self.supervision(api_url)?,
            files: self.memory_files()?,
            expand_args: self.expand_args.is_given(),
            file_mode: self.file_mode.read(mode)?.unwrap_or(MODE),
            file_only: self.file_only.is_given(),
        }))
    }

    fn supervision(&mut self, api_url: &ApiUrl) -> Result<Supervision, Error> {
        let parent = if self.exec.is_given() {
            Parent::Never
        } else if self.has_one_of(SUPERVISING) {
            Parent::Always
        } else {
            Parent::AsInit
        };
        let signal = self.die_with_parent.read(signal)?;
        let default = self
            .die_with_parent
            .is_given()
            .then_some(signal_names::SIGTERM);
        Ok(Supervision {
            parent,
            group: self.group.is_given(),
            subreaper: self.subreaper.is_given(),
            stop_timeout: self.stop_timeout.read(stop_timeout)?,
            die_with_parent: signal.or(default),
            watching: self.watching(api_url)?,
            redact: self.redact.is_given(),
        })
    }

    fn expected_custody(&self) -> Result<Option<(ExpectedCustody, String)>, Error> {
        let expected = self.custody.read(custody)?;
        Ok(expected.map(|expected| (expected, self.custody.source().to_owned())))
    }

    fn required_levels(&self, paths: &PathList) -> Result<Vec<LevelName>, Error> {
        let read = |word: String| {
            let level = LevelName::ALL.into_iter().find(|it| it.as_str() == word);
            let setting = &self.require_levels;
            let level =
                level.ok_or_else(|| setting.bad("levels are project, target and environment"))?;
            if paths.iter().all(|path| level > path.deepest()) {
                return Err(setting.bad(format!("PATH has no {level}")));
            }
            Ok(level)
        };
        self.require_levels.list()?.into_iter().map(read).collect()
    }

    fn resolution(&self) -> Option<Resolve> {
        let environment = self.resolve_env.is_given();
        let strict = self.strict.is_given();
        (environment || self.resolve.is_given()).then_some(Resolve {
            environment,
            strict,
        })
    }

    fn local_files(&self) -> LocalFiles {
        let files = |setting: &Setting| setting.each().map(PathBuf::from).collect();
        LocalFiles {
            defaults: files(&self.defaults),
            overrides: files(&self.overrides),
            required: files(&self.require_from),
        }
    }

    fn selection(&self) -> Result<Selection, Error> {
        let renaming = |pair: String| renaming(&pair).map_err(|reason| self.rename.bad(reason));
        let rename = self.rename.list()?.into_iter().map(renaming);
        let rename: Vec<(String, String)> = rename.collect::<Result<_, _>>()?;
        let mut renamed = HashSet::new();
        if rename.iter().any(|(old, _)| !renamed.insert(old)) {
            return Err(self.rename.bad("a secret is renamed twice"));
        }
        Ok(Selection {
            only: self.only.patterns()?,
            except: self.except.patterns()?,
            rename,
            prefix: self.prefix.read(name)?.unwrap_or_default(),
            require: self.require.names()?,
        })
    }

    fn inheritance(&self) -> Result<Inheritance, Error> {
        let preserve = if self.preserve_env.is_without_value() {
            Preserve::All
        } else if self.preserve_env.is_given() {
            Preserve::Names(self.preserve_env.names()?)
        } else {
            Preserve::Nothing
        };
        Ok(Inheritance {
            preserve,
            clean: self.clean_env.is_given(),
            pass: self.pass.names()?,
            drop: self.drop.patterns()?,
            allow_unsafe: self.allow_unsafe_env.names()?,
            keep_credentials: self.keep_credentials.is_given(),
        })
    }

    fn verbosity(&self) -> Verbosity {
        if self.quiet.is_given() {
            Verbosity::Quiet
        } else if self.verbose.is_given() {
            Verbosity::Verbose
        } else {
            Verbosity::Normal
        }
    }
}

/// The signals that ask a command to end. A hangup is not among them: it often asks a service to read its configuration
/// again.
const STOPPING: [i32; 3] = [
    signal_names::SIGTERM,
    signal_names::SIGINT,
    signal_names::SIGQUIT,
];

/// A time, and the signals that it runs from if they are not the usual ones: `10` or `10:TERM,HUP`.
fn stop_timeout(text: &str) -> Result<StopTimeout, &'static str> {
    let (after, signals) = match text.split_once(':') {
        Some((after, names)) => (after, names.split(',').map(signal).collect()),
        None => (text, Ok(STOPPING.to_vec())),
    };
    Ok(StopTimeout {
        after: seconds(after)?,
        signals: signals?,
    })
}

/// Reads a path that came from `source`, an argument or a variable.
pub fn secret_path(source: &str, text: &str) -> Result<SecretPath, Error> {
    SecretPath::parse(text).map_err(|reason| {
        let path = showable(text).map(str::to_owned);
        Usage::InvalidPath {
            named_by: source.to_owned(),
            path,
            reason,
        }
        .into()
    })
}

pub fn shell(text: &str) -> Result<Shell, &'static str> {
    Shell::named(text).ok_or("must be bash, zsh or fish")
}

fn organization(text: &str) -> Result<String, &'static str> {
    if is_ulid(text) || is_slug(text) {
        Ok(text.to_owned())
    } else {
        Err("must be an ID (26 characters) or a slug (lower-case letters, digits and hyphens)")
    }
}

fn generation(text: &str) -> Result<u64, &'static str> {
    let generation = text.parse();
    generation.map_err(|_| "must be a whole number from 0 to 18446744073709551615")
}

fn custody(text: &str) -> Result<ExpectedCustody, &'static str> {
    match text {
        "client" => Ok(ExpectedCustody::Client),
        "server" => Ok(ExpectedCustody::Server),
        "any" => Ok(ExpectedCustody::Any),
        _ => Err("must be client, server or any"),
    }
}

fn masking(text: &str) -> Result<Masking, &'static str> {
    match text {
        "auto" => Ok(Masking::Auto),
        "github" => Ok(Masking::GitHub),
        "azure" => Ok(Masking::Azure),
        "off" => Ok(Masking::Off),
        _ => Err("must be auto, github, azure or off"),
    }
}

fn destination(text: &str) -> Result<Destination, &'static str> {
    let number = text.strip_prefix("fd:").unwrap_or(text);
    match (text, number.parse()) {
        ("journal", _) => Ok(Destination::Journal),
        ("syslog", _) => Ok(Destination::Syslog),
        (_, Ok(number)) if number > 0 => Ok(Destination::Descriptor(number)),
        _ => Err("must be journal, syslog or the number of a descriptor above 0"),
    }
}

fn renaming(pair: &str) -> Result<(String, String), Cow<'static, str>> {
    let (old, new) = pair.split_once('=').ok_or("must have the form OLD=NEW")?;
    Ok((name(old)?, name(new)?))
}
