//! Becoming the command.

#![forbid(unsafe_code)]

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use crate::environment::Variable;
use crate::environment::block::{Environment, is_passed, refuse_unsafe};
use crate::error::Error;
use crate::options::{Inheritance, Run};
use crate::output;
use crate::process::{self, Pid};

/// All that the command is given. What it was made from is gone by the time that it starts.
pub struct Ready<'a> {
    command: &'a [CString],
    environment: Environment<'a>,
    /// The files in memory, open until the command has them.
    _files: Vec<OwnedFd>,
}

/// Makes ready what the command of `run` is given. `supervisor` is the process in front of us, if there is one.
///
/// # Errors
///
/// If the secrets cannot be passed on in the way that is asked for.
pub fn prepare<'a>(
    run: &'a Run,
    secrets: &[Variable<'_>],
    inherited: impl Iterator<Item = &'a CStr>,
    inheritance: &Inheritance,
    supervisor: Option<Pid>,
) -> Result<Ready<'a>, Error> {
    let files = memory_files(run, secrets, inheritance)?;
    let paths = files
        .iter()
        .map(|file| format!("/dev/fd/{}", file.as_raw_fd()));
    let names = run.files.iter().map(|(variable, _)| variable.as_str());
    let mut inherited: Vec<_> = inherited
        .filter(|entry| is_passed(entry, inheritance))
        .collect();
    let mut added: Vec<_> = names.zip(paths).collect();
    let renamed = meant_for(&inherited, supervisor);
    if renamed.iter().any(|(name, _)| *name == "LISTEN_PID") {
        // It says the same in a form that cannot be rewritten, and contradicts.
        inherited.retain(|entry| process::value_of(entry, "LISTEN_PIDFDID").is_none());
    }
    added.extend(renamed);
    let secrets = if run.file_only { &[] } else { secrets };
    let command = &run.command;
    Ok(Ready {
        command,
        environment: Environment::build(secrets, &added, inherited, inheritance, command)?,
        _files: files,
    })
}

impl Ready<'_> {
    /// Checks that the command is there and can be executed, as far as that can be told without executing it.
    ///
    /// # Errors
    ///
    /// If it is not.
    pub fn check_command(&self) -> Result<(), Error> {
        let name = self.command.first().map_or(c"", |name| name);
        process::check_command(name).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> Error {
        let name = self
            .command
            .first()
            .map(|name| name.to_string_lossy().escape_debug().to_string());
        Error::Command {
            command: name.unwrap_or_default(),
            error,
        }
    }

    /// Replaces the process by the command, which is looked up in the `PATH` that we inherited; returns only why it
    /// could not.
    pub fn launch(self) -> Error {
        let error = process::become_command(self.command, &self.environment.entries());
        self.failed(error)
    }
}

/// The files that `--file` asks for. A command that reads one sets what is in it, as a shell does, so
/// that the rules about names hold for them too.
fn memory_files(
    run: &Run,
    secrets: &[Variable<'_>],
    inheritance: &Inheritance,
) -> Result<Vec<OwnedFd>, Error> {
    if !run.files.is_empty() {
        refuse_unsafe(secrets.iter().map(|secret| &*secret.name), inheritance)?;
    }
    let forms = run.files.iter().map(|(_, form)| *form);
    forms
        .map(|form| output::memory_file(secrets, form))
        .collect()
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
            .find_map(|entry| process::value_of(entry, name));
        value == Some(supervisor.as_bytes())
    };
    let names = ["LISTEN_PID", "WATCHDOG_PID"]
        .into_iter()
        .filter(names_supervisor);
    names
        .map(|name| (name, process::id().to_string()))
        .collect()
}
