//! Becoming the command.

#![forbid(unsafe_code)]

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, OwnedFd};

use crate::environment::Variable;
use crate::environment::block::{Environment, is_passed};
use crate::error::Error;
use crate::options::{Inheritance, Run};
use crate::output;
use crate::process;

/// Replaces the process by the command of `run`, which is looked up in the `PATH` that we inherited;
/// returns only why it could not.
pub fn launch<'a>(
    run: &Run,
    secrets: &[Variable<'_>],
    inherited: impl Iterator<Item = &'a CStr>,
    inheritance: &Inheritance,
) -> Error {
    let files = run
        .files
        .iter()
        .map(|(_, form)| output::memory_file(secrets, *form));
    let files: Vec<OwnedFd> = match files.collect() {
        Ok(files) => files,
        Err(error) => return error,
    };
    let paths = files
        .iter()
        .map(|file| format!("/dev/fd/{}", file.as_raw_fd()));
    let names = run.files.iter().map(|(variable, _)| variable.as_str());
    let inherited: Vec<_> = inherited
        .filter(|entry| is_passed(entry, inheritance))
        .collect();
    let added: Vec<_> = names.zip(paths).collect();
    let secrets = if run.file_only { &[] } else { secrets };
    match Environment::build(secrets, &added, inherited, inheritance, &run.command) {
        Ok(environment) => exec(&run.command, &environment),
        Err(error) => error,
    }
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
