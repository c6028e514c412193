//! Becoming the command.

#![forbid(unsafe_code)]

use std::ffi::CString;

use crate::environment::Environment;
use crate::error::Error;
use crate::process;

/// Replaces the process by `command`, which is looked up in the `PATH` that we inherited; returns only why it could not.
pub fn exec(command: &[CString], environment: &Environment<'_>) -> Error {
    let error = process::become_command(command, &environment.entries());
    let name = command
        .first()
        .map(|name| name.to_string_lossy().escape_debug().to_string());
    Error::Command {
        command: name.unwrap_or_default(),
        error,
    }
}
