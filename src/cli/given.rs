//! What is given, by the command line, the environment or a profile, before it is looked at together.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};

use serde::Deserialize;

use crate::cli::bad;
use crate::cli::profile::Written;
use crate::cli::table::{FromEnvironment, Scope, Spec};
use crate::error::{Error, Usage};

/// What one of the three gives. A profile is read into it as it is, with the names of the options for keys.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Given {
    pub path: Setting,
    pub command: Setting,
    pub organization: Setting,
    pub api_url: Setting,
    pub mirror: Setting,
    pub api_key_file: Setting,
    pub client_key: Setting,
    pub ca_file: Setting,
    pub timeout: Setting,
    pub allow_swap: Setting,
    pub cache: Setting,
    pub no_cache: Setting,
    pub stale: Setting,
    pub allow_plaintext: Setting,
    pub level_only: Setting,
    pub allow_empty: Setting,
    pub resolve: Setting,
    pub resolve_env: Setting,
    pub strict: Setting,
    pub only: Setting,
    pub except: Setting,
    pub rename: Setting,
    pub prefix: Setting,
    pub require: Setting,
    pub preserve_env: Setting,
    pub clean_env: Setting,
    pub pass: Setting,
    pub allow_unsafe_env: Setting,
    pub keep_credentials: Setting,
    pub file: Setting,
    pub file_only: Setting,
    pub print: Setting,
    pub allow_file: Setting,
    pub list: Setting,
    pub check: Setting,
    pub json: Setting,
    pub mask: Setting,
    pub no_attribution: Setting,
    pub audit: Setting,
    pub profile: Setting,
    pub exec: Setting,
    pub supervise: Setting,
    pub group: Setting,
    pub subreaper: Setting,
    pub stop_timeout: Setting,
    pub die_with_parent: Setting,
    pub redact: Setting,
    pub watch: Setting,
    pub on_change: Setting,
    pub quiet: Setting,
    pub verbose: Setting,
    pub completions: Setting,
    pub help: Setting,
    pub version: Setting,
}

/// The values of one option, if it is given.
#[derive(Default)]
pub struct Setting {
    /// The option or variable that they come from, for messages.
    source: String,
    origin: Origin,
    /// In their order; `None` for an option without a value.
    values: Option<Vec<Option<OsString>>>,
    /// How a profile writes it, until it is known that it may.
    written: Option<Written>,
}

/// Where something is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// On the command line or in a profile, which stands for one.
    #[default]
    Option,
    /// In the environment.
    Variable,
}

impl Setting {
    /// What a profile writes, not looked at yet.
    pub fn written(written: Written) -> Self {
        Setting {
            written: Some(written),
            ..Setting::default()
        }
    }

    /// Takes what a profile writes, to be looked at.
    pub fn take_written(&mut self) -> Option<Written> {
        self.written.take()
    }

    /// What is given without a value.
    pub fn give(&mut self, source: String) {
        self.source = source;
        self.values.get_or_insert_default();
    }

    /// Gives it with these values.
    pub fn fill(&mut self, source: String, values: Vec<Option<OsString>>) {
        self.source = source;
        self.values = Some(values);
    }

    /// Adds a value to what is given, or that it is given without one.
    pub fn add(&mut self, source: String, value: Option<OsString>) {
        self.give(source);
        self.values.get_or_insert_default().push(value);
    }

    /// Whether it is given.
    pub fn is_given(&self) -> bool {
        self.values.is_some()
    }

    /// Whether it is given by a variable.
    pub fn is_variable(&self) -> bool {
        self.origin == Origin::Variable
    }

    /// The option or variable that gives it.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The value, of several the last.
    pub fn last(&self) -> Option<&OsStr> {
        self.values.as_ref()?.last()?.as_deref()
    }

    /// The values in their order, without those that are left out.
    pub fn each(&self) -> impl Iterator<Item = &OsStr> {
        self.values
            .iter()
            .flatten()
            .flatten()
            .map(OsString::as_os_str)
    }

    /// Whether a value is left out.
    pub fn is_without_value(&self) -> bool {
        self.values.iter().flatten().any(Option::is_none)
    }

    /// The value, of several the last, as `reader` understands it.
    pub fn read<T, E: Into<Cow<'static, str>>>(
        &self,
        reader: fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Error> {
        self.last()
            .map(|value| self.understood(value, reader))
            .transpose()
    }

    /// All values, as `reader` understands them.
    pub fn read_each<T, E: Into<Cow<'static, str>>>(
        &self,
        reader: fn(&str) -> Result<T, E>,
    ) -> Result<Vec<T>, Error> {
        let values = self.each();
        values.map(|value| self.understood(value, reader)).collect()
    }

    /// The elements of all lists that are given, separated by commas.
    pub fn list(&self) -> Result<Vec<String>, Error> {
        let lists = self.read_each(elements)?;
        Ok(lists.into_iter().flatten().collect())
    }

    /// The names in all lists that are given, which may be any that an environment can hold.
    pub fn names(&self) -> Result<Vec<String>, Error> {
        let names = self.list()?;
        if names.iter().any(|name| name.contains('=')) {
            return Err(self.bad("names must not contain '='"));
        }
        Ok(names)
    }

    /// The error of an invalid value.
    pub fn bad(&self, reason: impl Into<Cow<'static, str>>) -> Error {
        bad(&self.source, reason)
    }

    fn understood<T, E: Into<Cow<'static, str>>>(
        &self,
        value: &OsStr,
        reader: fn(&str) -> Result<T, E>,
    ) -> Result<T, Error> {
        let text = value.to_str().ok_or_else(|| self.bad("not UTF-8"))?;
        reader(text).map_err(|reason| self.bad(reason))
    }
}

impl Given {
    /// What the environment gives.
    pub fn by_environment<'a>(variable: &dyn Fn(&str) -> Option<&'a OsStr>) -> Self {
        let mut given = Given::default();
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        for spec in Spec::all() {
            let setting = (spec.setting)(&mut given);
            match spec.variable {
                FromEnvironment::None => continue,
                FromEnvironment::Text(name) => {
                    let value = set(name).into_iter();
                    value.for_each(|value| setting.add(name.to_owned(), Some(value.to_owned())));
                }
                FromEnvironment::List(name) => {
                    let values = set(name).into_iter().flat_map(words);
                    values.for_each(|value| setting.add(name.to_owned(), Some(value)));
                }
                FromEnvironment::Key { file, key } => match (variable(file), variable(key)) {
                    (Some(name), _) => setting.add(file.to_owned(), Some(name.to_owned())),
                    (None, Some(_)) => setting.give(key.to_owned()),
                    (None, None) => (),
                },
            }
            setting.origin = Origin::Variable;
        }
        given
    }

    /// Takes over what `lower` gives and nothing here says otherwise. What contradicts something here is left out, and
    /// with it what means nothing without it.
    pub fn complete(&mut self, mut lower: Given) {
        let here: Vec<_> = self.entries().collect();
        let there: Vec<_> = lower.entries().collect();
        let gives_way = |spec: &Spec| {
            here.iter()
                .any(|one| one.long == spec.long || one.is_rival_of(spec))
        };
        let is_lost = |long: &str| there.iter().any(|one| one.long == long && gives_way(one));
        let is_here = |long: &str| here.iter().any(|one| one.long == long);
        for spec in &there {
            let lacks = spec.needs.iter().any(|needed| is_lost(needed))
                && !spec.needs.iter().any(|needed| is_here(needed));
            if !gives_way(spec) && !lacks {
                *(spec.setting)(self) = std::mem::take((spec.setting)(&mut lower));
            }
        }
    }

    /// Checks that what is given goes together, and leaves out what does not count beside something else.
    ///
    /// # Errors
    ///
    /// What does not.
    pub fn settle(&mut self) -> Result<(), Error> {
        let here: Vec<_> = self.entries().collect();
        let find = |names: &[&str]| here.iter().find(|one| names.contains(&one.long));
        for spec in &here {
            if let Some(other) = find(spec.excludes) {
                let (one, other) = (spec.long, other.long);
                return Err(match spec.scope {
                    Scope::Positional => Usage::UnwantedCommand { option: other }.into(),
                    Scope::Anywhere | Scope::CommandLine => Usage::Conflict { one, other }.into(),
                });
            }
        }
        for spec in &here {
            let (option, needed) = (spec.long, spec.needs);
            if !needed.is_empty() && find(needed).is_none() {
                return Err(Usage::Alone { option, needed }.into());
            }
        }
        for replaced in here.iter().flat_map(|spec| spec.replaces) {
            if let Some(spec) = find(&[replaced]) {
                *(spec.setting)(self) = Setting::default();
            }
        }
        Ok(())
    }

    /// Whether one of the entries of these names is given.
    pub fn has_one_of(&mut self, names: &[&str]) -> bool {
        self.entries().any(|spec| names.contains(&spec.long))
    }

    /// The entries of the table that are given.
    fn entries(&mut self) -> impl Iterator<Item = &'static Spec> {
        let is_given = |spec: &&Spec| (spec.setting)(self).is_given();
        Spec::all()
            .iter()
            .filter(is_given)
            .collect::<Vec<_>>()
            .into_iter()
    }
}

/// The words of a variable; one that is not UTF-8 is refused as it is.
fn words(value: &OsStr) -> Vec<OsString> {
    match value.to_str() {
        Some(text) => text.split_whitespace().map(OsString::from).collect(),
        None => vec![value.to_owned()],
    }
}

/// The elements of a list.
fn elements(list: &str) -> Result<Vec<String>, &'static str> {
    if list.split(',').any(str::is_empty) {
        return Err("must be a comma-separated list without empty elements");
    }
    Ok(list.split(',').map(str::to_owned).collect())
}
