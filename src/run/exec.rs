//! Becoming the command.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::ffi::{CStr, CString, OsStr};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::cli::{Inheritance, Run};
use crate::deliver::arguments::with_paths;
use crate::deliver::memory_files::{self, is_in_file_alone, path_of};
use crate::deliver::template::FileTemplate;
use crate::error::{Error, shown};
use crate::event::Event;
use crate::keys;
use crate::report::Report;
use crate::run::beginning::WorkerContext;
use crate::run::lookup;
use crate::run::redact::connection::CommandEnd;
use crate::sys::{self, Pid, name_of, names_of};
use crate::variables::Variable;
use crate::variables::block::{Environment, is_passed};

/// All that the command is given. What it was made from is gone by the time that it starts.
pub struct Ready<'a> {
    command: Cow<'a, [CString]>,
    environment: Environment<'a>,
    /// The files in memory, open until the command has them.
    _files: Vec<File>,
    /// What it writes to with `--redact`.
    filter: Option<CommandEnd>,
}

/// Makes ready what the command of `run` is given. `supervisor` is the process in front of us, if there is one, and
/// `filter` the one that learns the secrets.
///
/// # Errors
///
/// If the secrets cannot be passed on in the way that is asked for, or the filter is not ready.
pub fn prepare<'a>(
    run: &'a Run,
    secrets: &[Variable<'_>],
    templates: &[FileTemplate<'_>],
    inherited: impl Iterator<Item = &'a CStr>,
    inheritance: &Inheritance,
    context: WorkerContext,
    report: &Report,
) -> Result<Ready<'a>, Error> {
    let files = memory_files::make(run, templates, secrets, inheritance)?;
    let paths = files.iter().map(path_of).collect::<Result<Vec<_>, _>>()?;
    let names = run.files.iter().map(|file| file.variable.as_str());
    let (mut inherited, left): (Vec<_>, Vec<_>) =
        inherited.partition(|entry| is_passed(entry, inheritance));
    report.record(|| Event::Dropped(names_of(left.into_iter())));
    let mut added: Vec<_> = names.zip(paths).collect();
    let command = command_of(run, &added, report);
    let renamed = meant_for(&inherited, context.supervisor);
    if renamed.iter().any(|(name, _)| *name == "LISTEN_PID") {
        // It says the same in a form that cannot be rewritten, and contradicts.
        inherited.retain(|entry| sys::value_of(entry, "LISTEN_PIDFDID").is_none());
    }
    added.extend(renamed);
    let holds_key = |entry: &&&CStr| {
        let keys = keys::KEYS.iter();
        keys.copied()
            .any(|name| sys::value_of(entry, name).is_some())
    };
    let keys: Vec<_> = inherited.iter().filter(holds_key).copied().collect();
    let set: Vec<_> = secrets.iter().filter(|it| is_variable(run, it)).collect();
    // What is in a file must not seem to be in the environment, with another value.
    inherited.retain(|entry| {
        let name = name_of(entry).unwrap_or_default();
        inheritance.preserve.covers(name) || !is_in_file_alone(run, name)
    });
    let environment = Environment::build(&set, &added, inherited, inheritance, &command, report)?;
    let mut filter = context.filter;
    if let Some(filter) = &mut filter {
        filter.tell(secrets, &keys)?;
    }
    Ok(Ready {
        command,
        environment,
        _files: files,
        filter,
    })
}

impl Ready<'_> {
    /// Replaces the process by the command, which is looked up in the `PATH` that we inherited; returns only why it
    /// could not.
    pub fn launch(self) -> Error {
        let placed = self.filter.as_ref().map(CommandEnd::put_in_place);
        if let Some(Err(error)) = placed {
            return error;
        }
        let error = sys::become_command(&self.command, &self.environment.entries());
        self.failed(error)
    }

    /// Looks the command up in its place, if there is one.
    ///
    /// # Errors
    ///
    /// If no place has it, or it may not be executed. [`Ready::launch`] may still fail for what is in the file.
    pub fn look_up(&self, report: &Report) -> Result<(), Error> {
        let Some(command) = self.command.first() else {
            return Ok(());
        };
        let found = lookup::find(command, std::env::var_os("PATH").as_deref());
        report.record(|| Event::Command {
            name: shown(Path::new(OsStr::from_bytes(command.to_bytes()))),
            file: found.as_deref().ok().map(shown),
        });
        found.map(drop).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> Error {
        let name = self.command.first();
        let name = name.map(|name| name.to_string_lossy().escape_debug().to_string());
        Error::Command {
            command: name.unwrap_or_default(),
            error,
        }
    }
}

/// The command with its arguments, and in these the paths that are asked for.
fn command_of<'a>(run: &'a Run, paths: &[(&str, String)], report: &Report) -> Cow<'a, [CString]> {
    if !run.expand_args {
        return Cow::Borrowed(&run.command);
    }
    let (command, count) = with_paths(&run.command, paths);
    if count == 0 && !command.is_empty() {
        report.warn(format_args!(
            "--expand-args: no argument of the command has the name of a file in braces"
        ));
    }
    Cow::Owned(command)
}

/// Whether a secret is in the environment of the command.
fn is_variable(run: &Run, secret: &Variable<'_>) -> bool {
    !run.file_only && !is_in_file_alone(run, &secret.name)
}

/// systemd's variables that name the supervisor as the process that is meant, made to name the command
/// (sd_watchdog_enabled(3), sd_listen_fds(3)).
fn meant_for(inherited: &[&CStr], supervisor: Option<Pid>) -> Vec<(&'static str, String)> {
    let Some(supervisor) = supervisor.map(|supervisor| supervisor.to_string()) else {
        return Vec::new();
    };
    let names_supervisor = |name: &&str| {
        let value = inherited
            .iter()
            .find_map(|entry| sys::value_of(entry, name));
        value == Some(supervisor.as_bytes())
    };
    let names = ["LISTEN_PID", "WATCHDOG_PID"]
        .into_iter()
        .filter(names_supervisor);
    names.map(|name| (name, sys::id().to_string())).collect()
}
