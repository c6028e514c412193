//! Selects and renames secrets.
//!
//! The order is fixed: `--only`, `--except`, `--rename`, `--prefix`, `--require`. The first three use
//! the stored names, the last uses the names that the command sees.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::ffi::CString;

use crate::cli::Selection;
use crate::error::Error;
use crate::event::Event;
use crate::report::Report;
use crate::sys;
use crate::variables::Variable;
use crate::variables::local::Required;

/// Applies `selection` to `variables`. `required` are names that files say must be there.
///
/// # Errors
///
/// If a secret to be renamed does not exist, two would have the same name, or a required one is missing
/// or empty.
pub fn select<'a>(
    mut variables: Vec<Variable<'a>>,
    selection: &Selection,
    required: &[Required],
    report: &Report,
) -> Result<Vec<Variable<'a>>, Error> {
    let only = matching(&variables, &selection.only, "--only", report);
    let except = matching(&variables, &selection.except, "--except", report);
    let mut left_out = Vec::new();
    variables.retain(|variable| {
        let is_taken = selection.only.is_empty() || only.contains(&*variable.name);
        let is_taken = is_taken && !except.contains(&*variable.name);
        if !is_taken && report.has_listeners() {
            left_out.push(variable.name.to_string());
        }
        is_taken
    });
    report.record(|| Event::LeftOut(left_out));
    rename(&mut variables, selection, report)?;
    let mut names = HashSet::new();
    if let Some(twice) = variables
        .iter()
        .find(|variable| !names.insert(&*variable.name))
    {
        return Err(Error::NameCollision {
            name: twice.name.clone().into_owned(),
        });
    }
    check_required(&variables, selection, required)?;
    Ok(variables)
}

fn check_required(
    variables: &[Variable<'_>],
    selection: &Selection,
    required: &[Required],
) -> Result<(), Error> {
    let names = variables.iter().map(|variable| &*variable.name);
    let are_empty = variables.iter().map(|variable| variable.value.is_empty());
    let present: HashMap<_, _> = names.zip(are_empty).collect();
    let by_option = selection.require.iter().map(|name| (name, false));
    let by_file = required.iter().map(|it| (&it.name, it.may_be_empty));
    let mut missing: Vec<String> = Vec::new();
    for (name, may_be_empty) in by_option.chain(by_file) {
        let is_there = match present.get(&**name) {
            Some(is_empty) => may_be_empty || !is_empty,
            None => false,
        };
        if !is_there && !missing.contains(name) {
            missing.push(name.clone());
        }
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Error::Required { names: missing })
    }
}

/// The names that match one of the patterns of `option`. Warns of a pattern that matches nothing,
/// because it may be a mistake.
fn matching(
    variables: &[Variable<'_>],
    patterns: &[CString],
    option: &str,
    report: &Report,
) -> HashSet<String> {
    let mut matched = HashSet::new();
    for pattern in patterns {
        let is_match = |variable: &&Variable<'_>| {
            CString::new(&*variable.name).is_ok_and(|name| sys::matches(pattern, &name))
        };
        let names = variables.iter().filter(is_match);
        let names: Vec<_> = names.map(|variable| variable.name.to_string()).collect();
        if names.is_empty() {
            let pattern = pattern.to_string_lossy();
            report.warn(format_args!(
                "{option}: {} matches no secret",
                pattern.escape_debug()
            ));
        }
        matched.extend(names);
    }
    matched
}

fn rename(
    variables: &mut [Variable<'_>],
    selection: &Selection,
    report: &Report,
) -> Result<(), Error> {
    let stored: Vec<_> = variables
        .iter()
        .map(|variable| variable.name.to_string())
        .collect();
    for (old, new) in &selection.rename {
        let position = stored.iter().position(|name| name == old);
        let position = position.ok_or_else(|| Error::NothingToRename { name: old.clone() })?;
        variables[position].name = Cow::Owned(new.clone());
    }
    if !selection.prefix.is_empty() {
        for variable in &mut *variables {
            variable.name = Cow::Owned(format!("{}{}", selection.prefix, variable.name));
        }
    }
    report.record(|| {
        let names = stored.iter().zip(&*variables);
        let renamed = names.filter(|(from, variable)| **from != variable.name);
        let pairs = renamed.map(|(from, variable)| (from.clone(), variable.name.to_string()));
        Event::Renamed(pairs.collect())
    });
    Ok(())
}
