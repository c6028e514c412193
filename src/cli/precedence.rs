//! Precedence, which is one rule: the command line, the environment, the profile, the default.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};

use crate::cli::given::{Given, Setting};
use crate::cli::table::{FromEnvironment, Kind, Scope, Spec};
use crate::error::{Error, Usage};

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
            setting.mark_as_variable();
        }
        given
    }

    /// Takes over what `lower` gives and nothing here says otherwise. What contradicts something here is left out, and
    /// with it what means nothing without it.
    pub fn complete(&mut self, lower: &mut Given) {
        self.complete_but(lower, &[]);
    }

    /// The same; what has one of the names in `settled` is left out too.
    pub fn complete_but(&mut self, lower: &mut Given, settled: &[&str]) {
        let here: Vec<_> = self.entries().collect();
        let there: Vec<_> = lower.entries().collect();
        for spec in there.iter().filter(|spec| spec.kind == Kind::Table) {
            let below = std::mem::take((spec.setting)(lower));
            (spec.setting)(self).extend_below(below);
        }
        let gives_way = |spec: &Spec| {
            settled.contains(&spec.long)
                || here
                    .iter()
                    .any(|one| one.long == spec.long || one.is_rival_of(spec))
        };
        let is_lost = |long: &str| there.iter().any(|one| one.long == long && gives_way(one));
        let is_here = |long: &str| here.iter().any(|one| one.long == long);
        for spec in &there {
            let lacks = spec.needs.iter().any(|needed| is_lost(needed))
                && !spec.needs.iter().any(|needed| is_here(needed));
            if spec.kind != Kind::Table && !gives_way(spec) && !lacks {
                *(spec.setting)(self) = std::mem::take((spec.setting)(lower));
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
                    _ => Usage::Conflict { one, other }.into(),
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
