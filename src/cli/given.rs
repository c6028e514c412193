//! What is given, by the command line, the environment or a profile, before it is looked at together.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::ffi::{CString, OsStr, OsString};

use crate::cli::paths::of_project;
use crate::error::{Error, Usage};

/// What one of the three gives.
#[derive(Default)]
pub struct Given {
    pub path: Setting,
    pub command: Setting,
    pub organization: Setting,
    pub api_url: Setting,
    pub mirror: Setting,
    pub api_key_file: Setting,
    pub client_key: Setting,
    pub client_keys: Setting,
    pub ca_file: Setting,
    pub timeout: Setting,
    pub allow_swap: Setting,
    pub allow_loose_files: Setting,
    pub allow_tracer: Setting,
    pub cache: Setting,
    pub no_cache: Setting,
    pub stale: Setting,
    pub custody: Setting,
    pub allow_plaintext: Setting,
    pub allow_unsigned_tree: Setting,
    pub min_generation: Setting,
    pub require_levels: Setting,
    pub level_only: Setting,
    pub refs: Setting,
    pub allow_empty: Setting,
    pub text: Setting,
    pub resolve: Setting,
    pub resolve_env: Setting,
    pub strict: Setting,
    pub only: Setting,
    pub except: Setting,
    pub rename: Setting,
    pub prefix: Setting,
    pub require: Setting,
    pub require_from: Setting,
    pub defaults: Setting,
    pub overrides: Setting,
    pub preserve_env: Setting,
    pub clean_env: Setting,
    pub pass: Setting,
    pub drop: Setting,
    pub allow_unsafe_env: Setting,
    pub keep_credentials: Setting,
    pub file: Setting,
    pub file_only: Setting,
    pub secret_file: Setting,
    pub file_mode: Setting,
    pub template: Setting,
    pub expand_args: Setting,
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
    origin: GivenIn,
    /// In their order; `None` for an option without a value.
    values: Option<Vec<Option<OsString>>>,
}

/// Where something is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum GivenIn {
    /// On the command line or in a profile, which stands for one.
    #[default]
    Option,
    /// In the environment.
    Variable,
}

impl Given {
    /// Puts the client keys that are each for one project where they belong.
    pub fn divide_client_keys(&mut self) {
        let Some(values) = self.client_key.values.take() else {
            return;
        };
        let is_for_one =
            |value: &Option<OsString>| value.as_deref().is_some_and(|it| of_project(it).is_some());
        let (for_one, for_others): (Vec<_>, Vec<_>) = values.into_iter().partition(is_for_one);
        for value in for_one {
            self.client_keys.add(self.client_key.source.clone(), value);
        }
        self.client_key.values = (!for_others.is_empty()).then_some(for_others);
    }
}

impl Setting {
    /// Says that a variable gives it.
    pub fn mark_as_variable(&mut self) {
        self.origin = GivenIn::Variable;
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

    /// Puts what is given elsewhere before what is given here.
    pub fn extend_below(&mut self, lower: Setting) {
        let mut values = lower.values.unwrap_or_default();
        values.extend(self.values.take().unwrap_or_default());
        self.values = Some(values);
    }

    /// Whether it is given.
    pub fn is_given(&self) -> bool {
        self.values.is_some()
    }

    /// Whether it is given by a variable.
    pub fn is_variable(&self) -> bool {
        self.origin == GivenIn::Variable
    }

    /// The option or variable that gives it.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The value, of several the last.
    pub fn last(&self) -> Option<&OsStr> {
        self.values.as_ref()?.last()?.as_deref()
    }

    /// How many values there are.
    pub fn count(&self) -> usize {
        self.values.as_ref().map_or(0, Vec::len)
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

    /// The value, of several the last, as `reader` understands it whatever its bytes are.
    pub fn read_bytes<T>(
        &self,
        reader: fn(&OsStr) -> Result<T, &'static str>,
    ) -> Result<Option<T>, Error> {
        let value = self.last().map(reader).transpose();
        value.map_err(|reason| self.bad(reason))
    }

    /// All values, as `reader` understands them whatever their bytes are.
    pub fn read_each_bytes<T>(
        &self,
        reader: fn(&OsStr) -> Result<T, &'static str>,
    ) -> Result<Vec<T>, Error> {
        let values = self.each().map(reader).collect::<Result<_, _>>();
        values.map_err(|reason| self.bad(reason))
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

    /// The patterns of names in all lists that are given.
    pub fn patterns(&self) -> Result<Vec<CString>, Error> {
        let pattern = |text| CString::new(text).map_err(|_| self.bad("contains a NUL byte"));
        self.list()?.into_iter().map(pattern).collect()
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

/// The error of an invalid value, and what gives it.
pub fn bad(source: &str, reason: impl Into<Cow<'static, str>>) -> Error {
    Usage::BadValue {
        named_by: source.to_owned(),
        reason: reason.into(),
    }
    .into()
}

/// The elements of a list.
fn elements(list: &str) -> Result<Vec<String>, &'static str> {
    if list.split(',').any(str::is_empty) {
        return Err("must be a comma-separated list without empty elements");
    }
    Ok(list.split(',').map(str::to_owned).collect())
}
