//! The program `dotenv-seal`: which command is asked for, its keys and its input.

#![forbid(unsafe_code)]

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::process::ExitCode;

use crate::cli::Named;
use crate::cli::seal::{HELP, SealOptions, SealRequest};
use crate::crypto;
use crate::dotenv::parse::parse;
use crate::error::{Error, Seal, visible};
use crate::keys::loose;
use crate::keys::{Claimed, ClientKey, KeyFiles, Variables};
use crate::path::LevelName;
use crate::report::{self, Report, Verbosity};
use crate::seal;
use crate::store::tree::Tree;
use crate::sys::locked;
use crate::sys::{self, Environ};
use crate::variables::takeover::refuse_unsafe;
use crate::variables::warn_of_skipped;

/// Runs `dotenv-seal` from its arguments to its exit status.
pub fn run_program() -> ExitCode {
    report::end_as_failures("dotenv-seal");
    let mask = sys::initial_mask().set_as_mask().map_err(Error::Signals);
    let report = Report::new("dotenv-seal", Verbosity::Normal);
    let environ = Environ::take();
    let request = SealRequest::parse(std::env::args_os().skip(1), &|name| environ.value(name));
    let prepared = mask.and_then(|_| Ok(sys::check_start()?));
    let outcome = prepared
        .and(request)
        .and_then(|request| run(request, environ, &report));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report.error(&error);
            ExitCode::from(error.status())
        }
    }
}

fn run(request: SealRequest, environ: Environ, report: &Report) -> Result<(), Error> {
    match request {
        SealRequest::Help => print(HELP),
        SealRequest::Version => print(concat!("dotenv-seal ", env!("CARGO_PKG_VERSION"), "\n")),
        SealRequest::Keygen => print(&(crypto::new_client_key().map_err(Seal::System)? + "\n")),
        SealRequest::Init(options, named) => {
            let keys = Keys::claim(environ, named)?;
            check_project(&options)?;
            seal::init(&options, keys.find(&options, report)?, report)
        }
        SealRequest::Put(options, named) => {
            let keys = Keys::claim(environ, named)?;
            let text = read_text(&options, report)?;
            seal::put(&options, keys.find(&options, report)?, &text, report)
        }
        SealRequest::Sign(options, named) => {
            let keys = Keys::claim(environ, named)?;
            check_project(&options)?;
            seal::sign(&options, keys.find(&options, report)?, report)
        }
        SealRequest::List { tree } => print(&seal::list(&Tree::open(&tree)?)?),
    }
}

/// A command that takes a project takes no longer path.
fn check_project(options: &SealOptions) -> Result<(), Error> {
    if options.path.deepest() == LevelName::Project {
        return Ok(());
    }
    Err(Seal::ProjectOnly.into())
}

/// The `.env` text on standard input, which must follow the grammar, and have no name that `dotenv-run` would refuse.
fn read_text(options: &SealOptions, report: &Report) -> Result<Vec<u8>, Error> {
    let mut text = Vec::new();
    read_all(&mut std::io::stdin().lock(), &mut text).map_err(Seal::Input)?;
    let parsed = parse(&text).map_err(Seal::Text)?;
    warn_of_skipped("standard input", parsed.skipped, report);
    if parsed.entries().len() == 0 && !options.allow_empty {
        return Err(Seal::EmptyText.into());
    }
    let names = parsed.entries().map(|entry| entry.name);
    refuse_unsafe(names, &options.allow_unsafe)?;
    Ok(text)
}

/// Reads to the end, also where reading does not wait: somebody may be typing the text.
fn read_all(input: &mut (impl Read + AsFd), text: &mut Vec<u8>) -> io::Result<()> {
    loop {
        match input.read_to_end(text) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                sys::wait_for_input(input.as_fd(), None)?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Where the client key is, with every descriptor owned that is named for it.
struct Keys {
    environ: Environ,
    files: KeyFiles,
}

impl Keys {
    fn claim(environ: Environ, named: Named) -> Result<Self, Error> {
        let files = Claimed::claim(named)?.keys;
        Ok(Keys { environ, files })
    }

    fn find(mut self, options: &SealOptions, report: &Report) -> Result<ClientKey, Error> {
        if options.allow_loose_files {
            loose::allow();
        }
        if options.allow_swap {
            locked::allow_swap();
        }
        let variables = Variables::take(&mut self.environ, self.files)?;
        ClientKey::find(&variables, report)
    }
}

fn print(text: &str) -> Result<(), Error> {
    let lines = text.split_inclusive('\n').map(|line| {
        let cells = line.trim_end_matches('\n').split('\t').map(visible);
        cells.collect::<Vec<_>>().join("\t") + "\n"
    });
    let text: String = lines.collect();
    sys::write_all(std::io::stdout(), text.as_bytes()).map_err(Error::Output)
}
