//! Becoming the command.

#![forbid(unsafe_code)]

use std::ffi::{CStr, CString, OsStr};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::cli::{Inheritance, Run};
use crate::deliver::output;
use crate::error::{Error, shown};
use crate::event::Event;
use crate::keys;
use crate::report::Report;
use crate::run::beginning::WorkerContext;
use crate::run::lookup;
use crate::run::redact::connection::CommandEnd;
use crate::sys::{self, Pid, names_of};
use crate::variables::Variable;
use crate::variables::block::{Environment, is_passed};
use crate::variables::takeover::refuse_unsafe;

/// All that the command is given. What it was made from is gone by the time that it starts.
pub struct Ready<'a> {
    command: &'a [CString],
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
    inherited: impl Iterator<Item = &'a CStr>,
    inheritance: &Inheritance,
    context: WorkerContext,
    report: &Report,
) -> Result<Ready<'a>, Error> {
    let files = memory_files(run, secrets, inheritance)?;
    let paths = files.iter().map(path_of).collect::<Result<Vec<_>, _>>()?;
    let names = run.files.iter().map(|(variable, _)| variable.as_str());
    let (mut inherited, left): (Vec<_>, Vec<_>) =
        inherited.partition(|entry| is_passed(entry, inheritance));
    report.record(|| Event::Dropped(names_of(left.into_iter())));
    let mut added: Vec<_> = names.zip(paths).collect();
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
    let set = if run.file_only { &[] } else { secrets };
    let command = &run.command;
    let environment = Environment::build(set, &added, inherited, inheritance, command, report)?;
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
        let error = sys::become_command(self.command, &self.environment.entries());
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

/// The files that `--file` asks for. Whoever reads one that is made to become variables sets what is in it, as a shell
/// does, so that the rules about names hold for it too.
fn memory_files(
    run: &Run,
    secrets: &[Variable<'_>],
    inheritance: &Inheritance,
) -> Result<Vec<File>, Error> {
    if run
        .files
        .iter()
        .any(|(_, content)| content.becomes_variables())
    {
        refuse_unsafe(
            secrets.iter().map(|secret| &*secret.name),
            &inheritance.allow_unsafe,
        )?;
    }
    let contents = run.files.iter().map(|(_, content)| *content);
    contents
        .map(|content| output::memory_file(secrets, content))
        .collect()
}

/// The path by which the command opens a file in memory. `/dev/fd` is a symbolic link that a bare `/dev` lacks, and that
/// may be something else.
fn path_of(file: &File) -> Result<String, Error> {
    let actual = file.metadata().map_err(Error::MemoryFile)?;
    let leads_to_it = |path: &String| {
        fs::metadata(path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (actual.dev(), actual.ino()))
    };
    ["/dev/fd", "/proc/self/fd"]
        .map(|directory| format!("{directory}/{}", file.as_raw_fd()))
        .into_iter()
        .find(leads_to_it)
        .ok_or(Error::NoPathOfDescriptor)
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
