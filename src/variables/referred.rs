//! What references in variables lead to. A value that is found is taken as it is, also if it looks like a reference.

#![forbid(unsafe_code)]

use std::borrow::Cow;

use crate::cli::{Options, Reference, References};
use crate::error::Error;
use crate::event::{Event, ReferenceEvent};
use crate::report::Report;
use crate::variables::{Layer, Variable};

/// Records the references before it is known whether what they lead to is there.
pub fn announce(references: &References, options: &Options, report: &Report) {
    let event = |reference: &Reference| ReferenceEvent {
        variable: reference.variable.clone(),
        path: looked_in(reference, references, options),
        name: reference.name.clone(),
    };
    report.record(|| Event::References(references.each.iter().map(event).collect()));
}

/// Names the variables whose references lead to a path that is denied.
pub fn named(error: Error, options: &Options) -> Error {
    let (Some(references), Some(path)) = (&options.references, error.denied_path()) else {
        return error;
    };
    let leads_there = |reference: &&Reference| {
        let target = reference
            .path
            .map(|index| options.paths.get(index).to_string());
        target.is_some_and(|target| target == path)
    };
    let variables = references.each.iter().filter(leads_there);
    let variables: Vec<_> = variables.map(|it| it.variable.clone()).collect();
    match variables.is_empty() {
        true => error,
        false => Error::OfReference {
            variables,
            error: Box::new(error),
        },
    }
}

/// The variables that hold references, with the values that these lead to. `has_own` tells whether a path has its own
/// level.
///
/// # Errors
///
/// If a path has no own level, or no secret of that name.
pub fn referred<'a>(
    sets: &[Vec<Variable<'a>>],
    references: &References,
    options: &Options,
    has_own: &dyn Fn(usize) -> bool,
    report: &Report,
) -> Result<Vec<Variable<'a>>, Error> {
    let mut found = Vec::new();
    for reference in &references.each {
        if let Some(path) = reference.path.filter(|path| !has_own(*path)) {
            let path = options.paths.get(path);
            return Err(Error::ReferenceToNoLevel {
                variable: reference.variable.clone(),
                path: path.to_string(),
                level: path.deepest(),
            });
        }
        // The first set is that of all paths that are given.
        let set = &sets[reference.path.map_or(0, |path| path + 1)];
        let secret = set.iter().find(|secret| secret.name == reference.name);
        let secret = secret.ok_or_else(|| Error::ReferenceToNothing {
            variable: reference.variable.clone(),
            name: reference.name.clone(),
            path: looked_in(reference, references, options),
        })?;
        found.push(Variable {
            name: Cow::Owned(reference.variable.clone()),
            ..secret.clone()
        });
    }
    report.record(|| {
        let each = references.each.iter().zip(&found);
        let event = |(reference, secret): (&Reference, &Variable<'_>)| ReferenceEvent {
            variable: reference.variable.clone(),
            path: match secret.layer {
                Layer::Level(origin) => options.paths.get(origin.path).to_string(),
                layer => layer.as_str().to_owned(),
            },
            name: reference.name.clone(),
        };
        Event::References(each.map(event).collect())
    });
    Ok(found)
}

/// The path or paths that a reference means.
fn looked_in(reference: &Reference, references: &References, options: &Options) -> String {
    match reference.path {
        Some(path) => options.paths.get(path).to_string(),
        None => {
            let given = options.paths.iter().take(references.given);
            given.map(ToString::to_string).collect::<Vec<_>>().join(" ")
        }
    }
}
