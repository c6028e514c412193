//! Selects and renames secrets.
//!
//! The order is fixed: `--only`, `--except`, `--rename`, `--prefix`, `--require`. The first three use
//! the stored names, the last uses the names that the command sees.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::collections::HashSet;
use std::ffi::CString;

use crate::cli::Selection;
use crate::error::Error;
use crate::event::Event;
use crate::report::Report;
use crate::sys;
use crate::variables::Variable;

/// Applies `selection` to `variables`.
///
/// # Errors
///
/// If a secret to be renamed does not exist, two would have the same name, or a required one is missing
/// or empty.
pub fn select<'a>(
    mut variables: Vec<Variable<'a>>,
    selection: &Selection,
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
    let is_there = |name: &&String| {
        variables
            .iter()
            .any(|variable| variable.name == **name && !variable.value.is_empty())
    };
    let missing: Vec<_> = selection
        .require
        .iter()
        .filter(|name| !is_there(name))
        .cloned()
        .collect();
    if missing.is_empty() {
        Ok(variables)
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
