//! From open levels to the environment of the command: merging, the rules about names, the kernel's limits, and the
//! block itself, whose secrets lie in locked memory.

#![forbid(unsafe_code)]

use std::collections::{HashMap, HashSet, hash_map};
use std::ffi::{CStr, CString};

use crate::credentials;
use crate::dotenv::parse::{Parsed, Value, parse};
use crate::error::Error;
use crate::levels::OpenLevel;
use crate::locked::Locked;
use crate::options::Selection;
use crate::path::LevelName;
use crate::process;
use crate::report::Report;
use crate::source::{Format, wire};

/// The size in bytes of the largest `NAME=value` that Linux passes on, without its NUL (`MAX_ARG_STRLEN`, execve(2)).
const MAX_VARIABLE: usize = 32 * 4096 - 1;

/// The most that Linux passes on in all, whatever the stack limit says (three quarters of `_STK_LIM`).
const MAX_TOTAL: usize = 6 * 1024 * 1024;

/// Beginnings of names that take over a loader or a shell.
const UNSAFE_PREFIXES: [&str; 3] = ["BASH_FUNC_", "DYLD_", "LD_"];

/// Names that take over a loader, a shell or an interpreter, and those of our own settings.
const UNSAFE_NAMES: [&str; 30] = [
    "BASHOPTS",
    "BASH_ENV",
    "DOTENV_API_URL",
    "DOTENV_ORGANIZATION",
    "DOTENV_RUN_PATH",
    "ENV",
    "GCONV_PATH",
    "GIT_EXEC_PATH",
    "GIT_SSH_COMMAND",
    "GLIBC_TUNABLES",
    "IFS",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "NODE_OPTIONS",
    "PATH",
    "PERL5LIB",
    "PERL5OPT",
    "PROMPT_COMMAND",
    "PS4",
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "RUBYLIB",
    "RUBYOPT",
    "SHELLOPTS",
    "_JAVA_OPTIONS",
    credentials::VARIABLES[0],
    credentials::VARIABLES[1],
    credentials::VARIABLES[2],
    credentials::VARIABLES[3],
];

/// One variable after merging.
#[derive(Clone, Copy)]
pub struct Variable<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value.
    pub value: Value<'a>,
    /// The level that the value comes from.
    pub level: LevelName,
}

/// The variables of one level, read.
pub enum LevelEntries<'a> {
    /// From `.env` text, which they point into.
    Env(LevelName, Parsed<'a>),
    /// From JSON.
    Json(LevelName, Vec<(String, String)>),
}

impl LevelEntries<'_> {
    /// Which level it is.
    pub fn name(&self) -> LevelName {
        match self {
            LevelEntries::Env(level, _) | LevelEntries::Json(level, _) => *level,
        }
    }

    fn variables(&self) -> Vec<Variable<'_>> {
        match self {
            LevelEntries::Env(level, parsed) => parsed
                .entries
                .iter()
                .map(|entry| Variable {
                    name: entry.name,
                    value: entry.value,
                    level: *level,
                })
                .collect(),
            LevelEntries::Json(level, pairs) => pairs
                .iter()
                .map(|(name, value)| Variable {
                    name,
                    value: Value::verbatim(value),
                    level: *level,
                })
                .collect(),
        }
    }
}

/// Reads every level.
///
/// # Errors
///
/// If one breaks its grammar.
pub fn read<'a>(levels: &'a [OpenLevel], report: &Report) -> Result<Vec<LevelEntries<'a>>, Error> {
    levels
        .iter()
        .map(|level| read_level(level, report))
        .collect()
}

fn read_level<'a>(level: &'a OpenLevel, report: &Report) -> Result<LevelEntries<'a>, Error> {
    let (name, text) = (level.name, level.text.bytes());
    match level.format {
        Format::Env => {
            let parsed = parse(text).map_err(|error| Error::Parse { level: name, error })?;
            if let [first, others @ ..] = &parsed.skipped[..] {
                let others = if others.is_empty() {
                    String::new()
                } else {
                    format!(", as are {} more", others.len())
                };
                report.warn(format_args!(
                    "level {name}: line {first} has no '=' and is skipped{others}"
                ));
            }
            Ok(LevelEntries::Env(name, parsed))
        }
        Format::Json => {
            let text = std::str::from_utf8(text).map_err(|_| "not UTF-8".to_owned());
            let pairs = text.and_then(wire::json_level);
            pairs
                .map(|pairs| LevelEntries::Json(name, pairs))
                .map_err(|flaw| Error::JsonLevel { level: name, flaw })
        }
    }
}

/// Merges the levels, given with the deepest last: the deepest value wins, at the position of the first one.
pub fn merge<'a>(levels: &'a [LevelEntries<'_>]) -> Vec<Variable<'a>> {
    let mut merged: Vec<Variable<'a>> = Vec::new();
    let mut positions = HashMap::new();
    for variable in levels.iter().flat_map(LevelEntries::variables) {
        match positions.entry(variable.name) {
            hash_map::Entry::Vacant(slot) => {
                slot.insert(merged.len());
                merged.push(variable);
            }
            hash_map::Entry::Occupied(position) => merged[*position.get()] = variable,
        }
    }
    merged
}

/// The environment of the command.
pub struct Environment<'a> {
    inherited: Vec<&'a CStr>,
    secrets: Locked,
}

impl<'a> Environment<'a> {
    /// Puts the secrets over what is inherited and writes them, once, into locked memory. `command` counts toward the
    /// kernel's limit.
    ///
    /// # Errors
    ///
    /// If a name is refused, or the kernel would not take the result.
    pub fn build(
        mut secrets: Vec<Variable<'_>>,
        inherited: impl Iterator<Item = &'a CStr>,
        selection: &Selection,
        command: &[CString],
    ) -> Result<Self, Error> {
        let mut inherited: Vec<_> = inherited
            .filter(|entry| is_passed(entry, selection))
            .collect();
        let present: HashSet<_> = inherited.iter().map(|entry| name_of(entry)).collect();
        secrets.retain(|secret| {
            !(selection.preserve.covers(secret.name) && present.contains(secret.name.as_bytes()))
        });
        refuse_unsafe(&secrets, selection)?;
        let set: HashSet<_> = secrets
            .iter()
            .map(|secret| secret.name.as_bytes())
            .collect();
        inherited.retain(|entry| !set.contains(name_of(entry)));
        check_sizes(&secrets, &inherited, command)?;
        Ok(Environment {
            inherited,
            secrets: write(&secrets)?,
        })
    }

    /// The `NAME=value` strings, the inherited ones first.
    pub fn entries(&self) -> Vec<&CStr> {
        let secrets = self.secrets.bytes().split_inclusive(|byte| *byte == 0);
        let secrets = secrets.filter_map(|entry| CStr::from_bytes_with_nul(entry).ok());
        self.inherited.iter().copied().chain(secrets).collect()
    }
}

/// The name in a `NAME=value` string; a string without `=`, which an environment may hold too, is all name.
fn name_of(entry: &CStr) -> &[u8] {
    entry
        .to_bytes()
        .split(|byte| *byte == b'=')
        .next()
        .unwrap_or_default()
}

fn is_passed(entry: &CStr, selection: &Selection) -> bool {
    !selection.clean
        || selection
            .pass
            .iter()
            .any(|name| name.as_bytes() == name_of(entry))
}

fn refuse_unsafe(secrets: &[Variable<'_>], selection: &Selection) -> Result<(), Error> {
    let is_unsafe = |name: &str| {
        UNSAFE_NAMES.contains(&name)
            || UNSAFE_PREFIXES
                .iter()
                .any(|prefix| name.starts_with(prefix))
    };
    let is_refused = |name: &&str| {
        is_unsafe(name) && !selection.allow_unsafe.iter().any(|allowed| allowed == name)
    };
    let names: Vec<_> = secrets
        .iter()
        .map(|secret| secret.name)
        .filter(is_refused)
        .map(str::to_owned)
        .collect();
    if names.is_empty() {
        Ok(())
    } else {
        Err(Error::UnsafeNames { names })
    }
}

/// The size of a secret as `NAME=value`, without its NUL.
fn size_of(secret: &Variable<'_>) -> usize {
    secret.name.len() + 1 + secret.value.len()
}

/// Checks what execve(2) checks: each string, and all strings with a pointer for each.
fn check_sizes(
    secrets: &[Variable<'_>],
    inherited: &[&CStr],
    command: &[CString],
) -> Result<(), Error> {
    let Some(largest) = secrets.iter().max_by_key(|secret| size_of(secret)) else {
        return Ok(());
    };
    let (name, size) = (largest.name.to_owned(), size_of(largest));
    if size > MAX_VARIABLE {
        return Err(Error::VariableTooLong {
            name,
            size,
            limit: MAX_VARIABLE,
        });
    }
    let strings = secrets.iter().map(size_of);
    let strings = strings.chain(inherited.iter().map(|entry| entry.count_bytes()));
    let strings = strings.chain(command.iter().map(|argument| argument.count_bytes()));
    let total: usize = strings
        .map(|size| size + 1 + std::mem::size_of::<usize>())
        .sum();
    let limit = process::argument_limit().min(MAX_TOTAL);
    if total > limit {
        return Err(Error::EnvironmentTooLong {
            size: total,
            limit,
            largest: name,
        });
    }
    Ok(())
}

/// Writes `NAME=value` strings, each with its NUL.
fn write(secrets: &[Variable<'_>]) -> Result<Locked, Error> {
    let size = secrets.iter().map(|secret| size_of(secret) + 1).sum();
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
