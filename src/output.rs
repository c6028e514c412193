//! Secrets in a text format: printed, or as a file in memory for the command.

#![forbid(unsafe_code)]

use std::io::Write;
use std::os::fd::OwnedFd;

use crate::dotenv::render::{Form, NoSpelling, render};
use crate::environment::Variable;
use crate::error::Error;
use crate::locked::Locked;
use crate::process;

/// Refuses a standard output that is a regular file, unless that is meant: what is printed would be a
/// secret on disk.
///
/// # Errors
///
/// If it is one.
pub fn check_destination(allow_file: bool) -> Result<(), Error> {
    let metadata = process::standard_output()
        .and_then(|output| output.metadata())
        .map_err(Error::Output)?;
    if metadata.is_file() && !allow_file {
        Err(Error::PrintToFile)
    } else {
        Ok(())
    }
}

/// Prints the set on standard output.
///
/// # Errors
///
/// If a value has no spelling in the format, or if writing fails. Nothing is written before the whole
/// text is made.
pub fn print(variables: &[Variable<'_>], form: Form) -> Result<(), Error> {
    write(rendered(variables, form)?.bytes())
}

/// Writes a text to standard output.
///
/// # Errors
///
/// If writing fails.
pub fn write(text: &[u8]) -> Result<(), Error> {
    process::standard_output()
        .and_then(|mut output| output.write_all(text))
        .map_err(Error::Output)
}

/// Makes a file in memory that holds the set and that the command inherits.
///
/// # Errors
///
/// If a value has no spelling in the format, or the system gives no such file.
pub fn memory_file(variables: &[Variable<'_>], form: Form) -> Result<OwnedFd, Error> {
    process::sealed_memory_file(rendered(variables, form)?.bytes()).map_err(Error::MemoryFile)
}

/// The text of the set, in locked memory.
fn rendered(variables: &[Variable<'_>], form: Form) -> Result<Locked, Error> {
    let pairs = || {
        variables
            .iter()
            .map(|variable| (&*variable.name, variable.value))
    };
    let render = |sink: &mut dyn FnMut(&str)| {
        let no_spelling = |NoSpelling { name }| Error::NoSpelling {
            name,
            form: form.name(),
        };
        render(form, pairs(), sink).map_err(no_spelling)
    };
    let mut length = 0;
    render(&mut |piece| length += piece.len())?;
    let mut text = Locked::with_capacity(length).map_err(Error::Memory)?;
    render(&mut |piece| text.push(piece.as_bytes()))?;
    Ok(text)
}
