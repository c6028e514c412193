//! Becoming the command.

#![forbid(unsafe_code)]

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd};

use crate::environment::Variable;
use crate::environment::block::{Environment, is_passed, refuse_unsafe};
use crate::error::Error;
use crate::options::{Inheritance, Run};
use crate::output;
use crate::process::{self, Pid};

/// Replaces the process by the command of `run`, which is looked up in the `PATH` that we inherited;
/// returns only why it could not. `supervisor` is the process in front of us, if there is one.
pub fn launch<'a>(
    run: &Run,
    secrets: &[Variable<'_>],
    inherited: impl Iterator<Item = &'a CStr>,
    inheritance: &Inheritance,
    supervisor: Option<Pid>,
) -> Error {
    let files = match memory_files(run, secrets, inheritance) {
        Ok(files) => files,
        Err(error) => return error,
    };
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
    match Environment::build(secrets, &added, inherited, inheritance, &run.command) {
        Ok(environment) => exec(&run.command, &environment),
        Err(error) => error,
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

fn exec(command: &[CString], environment: &Environment<'_>) -> Error {
    let error = process::become_command(command, &environment.entries());
    let name = command
        .first()
        .map(|name| name.to_string_lossy().escape_debug().to_string());
    Error::Command {
        command: name.unwrap_or_default(),
        error,
    }
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
