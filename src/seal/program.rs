//! The program `dotenv-seal`: which command is asked for, its keys and its input.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Arc;

use crate::cli::Named;
use crate::cli::seal::{Deed, HELP, KeyAccess, SealOptions, SealRequest};
use crate::crypto;
use crate::deliver::output;
use crate::dotenv::editing::{self, NoSpelling, Unchangeable};
use crate::dotenv::parse::parse;
use crate::error::{Error, Seal, visible};
use crate::keys::loose;
use crate::keys::prompt::prompt;
use crate::keys::{Claimed, ClientKey, KeyFiles, Variables};
use crate::path::{LevelName, SecretPath};
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
    let mask = sys::initial_mask().set_as_mask();
    let signals = mask.and_then(|_| sys::restore_signals());
    let report = Report::new("dotenv-seal", Verbosity::Normal);
    let environ = Environ::take();
    let request = SealRequest::parse(std::env::args_os().skip(1), &|name| environ.value(name));
    let prepared = signals
        .map_err(Error::Signals)
        .and_then(|()| Ok(sys::check_start()?));
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
        SealRequest::Act(action, options, named) => {
            let keys = Keys::claim(environ, named, options.access)?;
            let verbosity = match options.quiet {
                true => Verbosity::Quiet,
                false => Verbosity::Normal,
            };
            act(
                action,
                &options,
                keys,
                &Report::new("dotenv-seal", verbosity),
            )
        }
        SealRequest::Verify {
            tree,
            project,
            access,
            named,
        } => {
            if let Some(path) = &project {
                check_project(path)?;
            }
            let key = Arc::new(Keys::claim(environ, named, access)?.find(report)?);
            let (lines, count) = seal::verify(&tree, project.as_ref(), &key, report)?;
            print(&lines)?;
            match count {
                0 => Ok(()),
                count => Err(Seal::NotVerified { count }.into()),
            }
        }
        SealRequest::List { tree } => print(&seal::list(&Tree::open(&tree)?)?),
    }
}

fn act(action: Deed, options: &SealOptions, keys: Keys, report: &Report) -> Result<(), Error> {
    match action {
        Deed::Init => {
            check_project(&options.path)?;
            seal::init(options, keys.find(report)?, report)
        }
        Deed::Sign => {
            check_project(&options.path)?;
            seal::sign(options, keys.find(report)?, report)
        }
        Deed::Put => {
            let text = read_text(options, report)?;
            seal::change(options, keys.find(report)?, report, |before| {
                if let (Some(before), false) = (before, options.replace) {
                    seal::check_loss(&options.path, before, &text)?;
                }
                Ok(text)
            })
        }
        Deed::Set { name } => {
            refuse_unsafe([&*name].into_iter(), &options.allow_unsafe)?;
            let value = read_value(&name, options, report)?;
            seal::change(options, keys.find(report)?, report, |before| {
                editing::set(before.unwrap_or_default(), &name, &value).map_err(|error| match error
                {
                    Unchangeable::Text(error) => Seal::Level(error).into(),
                    Unchangeable::Value(NoSpelling { name }) => Seal::NoSpelling { name }.into(),
                })
            })
        }
        Deed::Unset { names } => seal::change(options, keys.find(report)?, report, |before| {
            check_names(before.unwrap_or_default(), &names, options)?;
            Ok(editing::unset(before.unwrap_or_default(), &names).map_err(Seal::Level)?)
        }),
        Deed::Get { name } => {
            output::check_destination(options.allow_file)?;
            let text = seal::get(
                options,
                &Arc::new(keys.find(report)?),
                name.as_deref(),
                report,
            )?;
            output::write(text.bytes())
        }
        Deed::Diff { with } => {
            if options.values {
                output::check_destination(options.allow_file)?;
            }
            let input = match with {
                Some(_) => Vec::new(),
                None => read_input(report)?,
            };
            let with = with.as_ref().ok_or(&*input);
            let key = Arc::new(keys.find(report)?);
            print(&seal::compare(options, &key, with, report)?)
        }
        Deed::Remove => seal::remove(options, keys.find(report)?, report, |below| {
            confirm(options, below)
        }),
        Deed::Move { to } => seal::rename(options, keys.find(report)?, &to, report),
    }
}

/// A command that takes a project takes no longer path.
fn check_project(path: &SecretPath) -> Result<(), Error> {
    if path.deepest() == LevelName::Project {
        return Ok(());
    }
    Err(Seal::ProjectOnly.into())
}

/// Refuses names that are not there to be removed.
fn check_names(text: &[u8], names: &[String], options: &SealOptions) -> Result<(), Error> {
    let parsed = parse(text).map_err(Seal::Level)?;
    let is_there = |name: &&String| parsed.entries().any(|entry| entry.name == **name);
    match names.iter().find(|name| !is_there(name)) {
        None => Ok(()),
        Some(name) => Err(Seal::NoVariable {
            path: options.path.to_string(),
            name: name.clone(),
        }
        .into()),
    }
}

/// Asks whether the paths below may go, too; without a terminal, they may not.
fn confirm(options: &SealOptions, below: &[SecretPath]) -> Result<(), Error> {
    if options.recursive {
        return Ok(());
    }
    let below: Vec<_> = below.iter().map(ToString::to_string).collect();
    let path = options.path.to_string();
    let below = below.join(", ");
    let input = io::stdin();
    if !input.is_terminal() || !io::stderr().is_terminal() {
        return Err(Seal::HasPathsBelow { path, below }.into());
    }
    let question = format!("dotenv-seal: remove {path} and {below}? [y/N] ");
    sys::write_all(io::stderr(), visible(&question).as_bytes()).map_err(Seal::Input)?;
    let mut answer = String::new();
    input.read_line(&mut answer).map_err(Seal::Input)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Seal::NotConfirmed.into()),
    }
}

/// The value on standard input without its last line end, or one that is typed.
fn read_value(name: &str, options: &SealOptions, report: &Report) -> Result<String, Error> {
    let text = if io::stdin().is_terminal() {
        let terminal = File::options().read(true).write(true).open("/dev/tty");
        let question = format!("{}: value of {name}", report.program());
        prompt(&terminal.map_err(Error::Prompt)?, &question)?
            .bytes()
            .to_vec()
    } else {
        read_bytes()?
    };
    let value = String::from_utf8(text).map_err(|_| Seal::NotText {
        name: name.to_owned(),
    })?;
    let value = value
        .strip_suffix('\n')
        .map_or(&*value, |it| it.strip_suffix('\r').unwrap_or(it));
    if value.is_empty() && !options.allow_empty {
        return Err(Seal::EmptyValue {
            name: name.to_owned(),
        }
        .into());
    }
    Ok(value.to_owned())
}

/// The `.env` text on standard input, which must follow the grammar, and have no name that `dotenv-run` would refuse.
fn read_text(options: &SealOptions, report: &Report) -> Result<Vec<u8>, Error> {
    let text = read_input(report)?;
    let parsed = parse(&text).map_err(Seal::Text)?;
    warn_of_skipped("standard input", parsed.skipped, report);
    if parsed.entries().len() == 0 && !options.allow_empty {
        return Err(Seal::EmptyText.into());
    }
    let names = parsed.entries().map(|entry| entry.name);
    refuse_unsafe(names, &options.allow_unsafe)?;
    Ok(text)
}

/// All of standard input; who sits in front of it is told so.
fn read_input(report: &Report) -> Result<Vec<u8>, Error> {
    if io::stdin().is_terminal() {
        report.tell(format_args!(
            "reading .env text from the terminal; end it with Ctrl-D"
        ));
    }
    read_bytes()
}

fn read_bytes() -> Result<Vec<u8>, Error> {
    let mut text = Vec::new();
    read_all(&mut io::stdin().lock(), &mut text).map_err(Seal::Input)?;
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
    access: KeyAccess,
}

impl Keys {
    fn claim(environ: Environ, named: Named, access: KeyAccess) -> Result<Self, Error> {
        let files = Claimed::claim(named)?.keys;
        Ok(Keys {
            environ,
            files,
            access,
        })
    }

    fn find(mut self, report: &Report) -> Result<ClientKey, Error> {
        if self.access.allow_loose_files {
            loose::allow();
        }
        if self.access.allow_swap {
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
