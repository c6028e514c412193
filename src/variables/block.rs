//! The block of `NAME=value` strings that the command gets: the rules about names, the kernel's limits, and the strings
//! themselves. The secrets are in locked memory.

#![forbid(unsafe_code)]

use std::collections::HashSet;
use std::ffi::{CStr, CString};

use crate::cli::Inheritance;
use crate::error::Error;
use crate::event::Event;
use crate::report::Report;
use crate::sys::locked::Locked;
use crate::sys::{self, name_of};
use crate::variables::Variable;
use crate::variables::takeover::refuse_unsafe;

/// How many pages the largest `NAME=value` that Linux passes on has, with its NUL (`MAX_ARG_STRLEN`, execve(2)).
const MAX_PAGES: usize = 32;

/// The most that Linux passes on in total, whatever the stack limit (three quarters of `_STK_LIM`).
const MAX_TOTAL: usize = 6 * 1024 * 1024;

/// The part of that which is left for the name of the command's file and, if it is a script, of its interpreter,
/// which the kernel counts too.
const FILE_NAME: usize = 4096;

/// The environment of the command.
pub struct Environment<'a> {
    inherited: Vec<&'a CStr>,
    added: Vec<CString>,
    secrets: Locked,
}

impl<'a> Environment<'a> {
    /// Adds `secrets` and then `added`, pairs of name and value, to `inherited`, of which they replace the same names.
    /// The secrets are written once, into locked memory. `command` counts toward the kernel's limit.
    ///
    /// # Errors
    ///
    /// If a name is refused, or the result exceeds a limit of the kernel.
    pub fn build(
        secrets: &[&Variable<'_>],
        added: &[(&str, String)],
        mut inherited: Vec<&'a CStr>,
        inheritance: &Inheritance,
        command: &[CString],
        report: &Report,
    ) -> Result<Self, Error> {
        let present: HashSet<_> = inherited
            .iter()
            .filter_map(|entry| name_of(entry))
            .collect();
        let is_set = |secret: &&Variable<'_>| {
            !(inheritance.preserve.covers(&secret.name) && present.contains(&*secret.name))
        };
        let (secrets, preserved): (Vec<_>, Vec<_>) = secrets.iter().copied().partition(is_set);
        let name = |secret: &&Variable<'_>| secret.name.to_string();
        report.record(|| {
            let is_replaced = |secret: &&&Variable<'_>| present.contains(&*secret.name);
            Event::Overridden(secrets.iter().filter(is_replaced).map(name).collect())
        });
        report.record(|| Event::Preserved(preserved.iter().map(name).collect()));
        refuse_unsafe(
            secrets.iter().map(|secret| &*secret.name),
            &inheritance.allow_unsafe,
        )?;
        let mut set: HashSet<_> = secrets.iter().map(|secret| &*secret.name).collect();
        if let Some((twice, _)) = added.iter().find(|(name, _)| !set.insert(name)) {
            return Err(Error::NameCollision {
                name: (*twice).to_owned(),
            });
        }
        inherited.retain(|entry| !name_of(entry).is_some_and(|name| set.contains(name)));
        let added = added
            .iter()
            .map(|(name, value)| CString::new(format!("{name}={value}")));
        let added: Vec<_> = added.filter_map(Result::ok).collect();
        let others = added.iter().chain(command).map(CString::as_c_str);
        check_sizes(&secrets, inherited.iter().copied().chain(others), report)?;
        Ok(Environment {
            inherited,
            added,
            secrets: write(&secrets)?,
        })
    }

    /// The `NAME=value` strings, the inherited ones first.
    pub fn entries(&self) -> Vec<&CStr> {
        let secrets = self.secrets.bytes().split_inclusive(|byte| *byte == 0);
        let secrets = secrets.filter_map(|entry| CStr::from_bytes_with_nul(entry).ok());
        let added = self.added.iter().map(CString::as_c_str);
        self.inherited
            .iter()
            .copied()
            .chain(added)
            .chain(secrets)
            .collect()
    }
}

/// Whether the command inherits an entry at all.
pub fn is_passed(entry: &CStr, inheritance: &Inheritance) -> bool {
    let is_kept = !inheritance.clean
        || inheritance
            .pass
            .iter()
            .any(|name| Some(name.as_str()) == name_of(entry));
    is_kept && !is_dropped(entry, &inheritance.drop)
}

/// Whether the name of an entry, which need not be text, matches one of the patterns. One without `=` is all name.
fn is_dropped(entry: &CStr, patterns: &[CString]) -> bool {
    if patterns.is_empty() {
        return false;
    }
    let bytes = entry.to_bytes().split(|byte| *byte == b'=').next();
    let name = CString::new(bytes.unwrap_or_default()).unwrap_or_default();
    patterns.iter().any(|pattern| sys::matches(pattern, &name))
}

/// The size of a secret as `NAME=value`, without its NUL.
fn length_of(secret: &Variable<'_>) -> usize {
    secret.name.len() + 1 + secret.value.len()
}

/// Checks what execve(2) checks: each string, and all strings with a pointer for each. `others` are those
/// that are not secrets.
fn check_sizes<'a>(
    secrets: &[&Variable<'_>],
    others: impl Iterator<Item = &'a CStr>,
    report: &Report,
) -> Result<(), Error> {
    let Some(largest) = secrets.iter().max_by_key(|secret| length_of(secret)) else {
        return Ok(());
    };
    let (name, size) = (largest.name.clone().into_owned(), length_of(largest));
    let limit = MAX_PAGES * sys::page_size() - 1;
    if size > limit {
        return Err(Error::VariableTooLong { name, size, limit });
    }
    let sizes = secrets
        .iter()
        .map(|secret| length_of(secret))
        .chain(others.map(CStr::count_bytes));
    let size = sizes.map(|size| size + 1 + size_of::<usize>()).sum();
    let limit = sys::argument_limit().min(MAX_TOTAL) - FILE_NAME;
    report.record(|| Event::Size {
        bytes: size,
        limit,
        largest: &name,
    });
    if size > limit {
        return Err(Error::EnvironmentTooLong {
            size,
            limit,
            largest: name,
        });
    }
    Ok(())
}

/// Writes `NAME=value` strings, each with its NUL.
///
/// # Errors
///
/// Those of [`Locked::with_capacity`].
pub fn write(secrets: &[&Variable<'_>]) -> Result<Locked, Error> {
    let size = secrets.iter().map(|secret| length_of(secret) + 1).sum();
    let mut block = Locked::with_capacity(size).map_err(Error::Memory)?;
    for secret in secrets {
        block.push(secret.name.as_bytes());
        block.push(b"=");
        secret
            .value
            .pieces()
            .for_each(|piece| block.push(piece.as_bytes()));
        block.push(b"\0");
    }
    Ok(block)
}
