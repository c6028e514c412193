//! Secrets on their way out: printed, as a file in memory for the command, or as what a CI runner is to mask.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ExitCode;

use crate::cli::Content;
use crate::crypto;
use crate::deliver::alone::only_value;
use crate::deliver::mask::{self, Audience};
use crate::dotenv::handover::Delimiter;
use crate::dotenv::render::{Form, NoSpelling, render};
use crate::error::Error;
use crate::event::Event;
use crate::report::Report;
use crate::sys;
use crate::sys::locked::Locked;
use crate::variables::Variable;

/// Refuses a standard output that is a regular file, unless that is meant: what is printed would be a
/// secret on disk.
///
/// # Errors
///
/// If it is one.
pub fn check_destination(allow_file: bool) -> Result<(), Error> {
    let metadata = sys::standard_output()
        .and_then(|output| output.metadata())
        .map_err(Error::Output)?;
    if metadata.is_file() && !allow_file {
        Err(Error::PrintToFile)
    } else {
        Ok(())
    }
}

/// Writes a text to standard output.
///
/// # Errors
///
/// If writing fails.
pub fn write(text: &[u8]) -> Result<(), Error> {
    sys::standard_output()
        .and_then(|output| sys::write_all(output, text))
        .map_err(Error::Output)
}

/// Writes what was asked for instead of a run to standard output.
///
/// # Errors
///
/// If writing fails.
pub fn print(text: &str) -> Result<ExitCode, Error> {
    write(text.as_bytes()).map(|()| ExitCode::SUCCESS)
}

/// The streams of which a runner may be told on one what to mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Masks {
    /// Standard error, or else standard output.
    OnEitherStream,
    /// Standard error alone: standard output is for data.
    OnStandardError,
    /// The same, and it is an error if nobody reads it: what is printed is for the runner to use.
    OnStandardErrorSurely,
    /// None: it is only found out who would be told.
    Nowhere,
}

impl Masks {
    /// Those that go before what is printed.
    pub fn before(content: Content) -> Self {
        match content {
            Content::All(Form::GitHub) => Masks::OnStandardErrorSurely,
            Content::All(_) | Content::Only(_) => Masks::OnStandardError,
        }
    }
}

/// Tells the runner in `audience` to mask the values, on a stream that somebody reads as it comes. To a terminal or into
/// a file the commands would show what they are to hide.
///
/// # Errors
///
/// If there is no locked memory, or the runner cannot be told: then its log would show what the command says.
pub fn mask(
    variables: &[Variable<'_>],
    audience: Audience,
    streams: Masks,
    report: &Report,
) -> Result<(), Error> {
    let found = |runner, skipped: &[String]| report.record(|| Event::Masked { runner, skipped });
    found(None, &[]);
    let runner = match audience {
        Audience::Nobody => return Ok(()),
        Audience::Deaf(name) => {
            report.warn(format_args!(
                "{name} cannot mask secrets during a job; use --redact to keep them out of the log"
            ));
            return Ok(());
        }
        Audience::Runner(runner) => runner,
    };
    let stream = match (pipe(io::stderr().as_fd()), streams) {
        (Ok(None), Masks::OnEitherStream | Masks::Nowhere) => pipe(io::stdout().as_fd()),
        (stream, _) => stream,
    };
    let Some(stream) = stream.map_err(Error::Mask)? else {
        if streams == Masks::OnStandardErrorSurely {
            return Err(Error::NothingMasked);
        }
        report.warn(format_args!(
            "nothing is masked: the output does not go to the runner"
        ));
        return Ok(());
    };
    let skipped = mask::register(runner, variables, |lines| match streams {
        Masks::Nowhere => Ok(()),
        Masks::OnEitherStream | Masks::OnStandardError | Masks::OnStandardErrorSurely => {
            sys::write_all(&stream, lines).map_err(Error::Mask)
        }
    })?;
    found(Some(runner.name()), &skipped);
    if !skipped.is_empty() {
        report.warn(format_args!(
            "these secrets are too short or too common to be masked: {}",
            skipped.join(", ")
        ));
    }
    Ok(())
}

/// A stream, if it is a pipe or a socket.
fn pipe(stream: BorrowedFd<'_>) -> io::Result<Option<File>> {
    let stream: File = stream.try_clone_to_owned()?.into();
    Ok(sys::is_pipe(&stream)?.then_some(stream))
}

/// What is to be written of the set, in locked memory.
///
/// # Errors
///
/// If a value has no spelling in the format, the value of the only variable is wanted and there are others, or there is
/// no locked memory.
pub fn rendered(variables: &[Variable<'_>], content: Content) -> Result<Locked, Error> {
    match content {
        Content::All(form) => text_of(variables, form),
        Content::Only(decoding) => only_value(variables, decoding),
    }
}

fn text_of(variables: &[Variable<'_>], form: Form) -> Result<Locked, Error> {
    let randomness = match form {
        Form::GitHub => crypto::random().map_err(Error::Random)?,
        _ => [0; 16],
    };
    let delimiter = Delimiter::of(randomness);
    let pairs = || {
        variables
            .iter()
            .map(|variable| (&*variable.name, variable.value))
    };
    let render = |sink: &mut dyn FnMut(&str)| {
        let no_spelling = |NoSpelling { name }| Error::NoSpelling { name, form };
        render(form, &delimiter, pairs(), sink).map_err(no_spelling)
    };
    let mut length = 0;
    render(&mut |piece| length += piece.len())?;
    let mut text = Locked::with_capacity(length).map_err(Error::Memory)?;
    render(&mut |piece| text.push(piece.as_bytes()))?;
    Ok(text)
}
