//! The command line: what was asked for, checked, before anything outside is touched.

#![forbid(unsafe_code)]

mod address;
mod caching;
mod completions;
mod given;
mod in_memory;
mod named;
mod network;
mod options;
mod paths;
mod precedence;
mod profile;
mod readers;
mod references;
pub mod seal;
mod table;
mod values;
mod watching;

use std::ffi::{OsStr, OsString};
use std::path::Path;

use lexopt::{Arg, Parser};

pub use crate::cli::address::{ApiUrl, ServiceUrl};
pub use crate::cli::caching::Caching;
pub use crate::cli::completions::{Shell, completions};
use crate::cli::given::{Given, bad};
pub use crate::cli::named::{Named, NamedFile};
pub use crate::cli::network::{Network, ProxyVariables, Trust};
pub use crate::cli::options::*;
pub use crate::cli::paths::FileName;
use crate::cli::profile::{Profile, ProfileName};
pub use crate::cli::references::{Reference, References};
pub use crate::cli::table::help;
use crate::cli::table::{Kind, Spec};
pub use crate::cli::watching::{OnChange, Watching};
use crate::error::{Error, Looseness, ProfileFlaw, Usage};
use crate::path::SecretPath;

/// What the command line asks for.
pub enum Request {
    /// Do something with secrets.
    Run(Box<Options>, Named),
    /// Print the help text.
    Help,
    /// Print the version.
    Version,
    /// Print completions for a shell.
    Completions(Shell),
}

/// A command line that is not understood.
pub struct Refusal {
    /// Why.
    pub error: Error,
    /// `--check`: how it is shown.
    pub check: Option<CheckForm>,
}

/// A profile as it is in its file.
pub struct ProfileText {
    /// Its text.
    pub text: String,
    /// Who else can change it, and with it what is started.
    pub looseness: Option<Looseness>,
}

/// What there is outside of the command line.
pub struct Outside<'a> {
    /// The value of a variable of the environment.
    pub variable: &'a dyn Fn(&str) -> Option<&'a OsStr>,
    /// The names of all of them, in their order.
    pub names: &'a dyn Fn() -> Vec<&'a str>,
    /// Reads the file of a profile.
    pub profile: fn(&Path) -> Result<ProfileText, ProfileFlaw>,
}

/// Reads the arguments, without the program's own name, and completes them by what there is outside.
///
/// # Errors
///
/// An [`Error::Usage`] for whatever is not understood, an [`Error::Profile`] for a profile that is of no use; nothing
/// has happened then.
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    outside: &Outside<'_>,
) -> Result<Request, Refusal> {
    let mut given = Given::default();
    let request = match read_arguments(arguments, &mut given) {
        Ok(None) => understand(&mut given, outside),
        Ok(Some(request)) => Ok(request),
        Err(error) => Err(error),
    };
    request.map_err(|error| Refusal {
        error,
        check: given.refused_check(),
    })
}

/// Reads what is on the command line into `given`, to its end even if something is not understood: the first error
/// counts. A request is given back where an option makes it and nothing else.
fn read_arguments(
    arguments: impl IntoIterator<Item = OsString>,
    given: &mut Given,
) -> Result<Option<Request>, Error> {
    let mut ours: Vec<_> = arguments.into_iter().collect();
    if let Some(at) = ours.iter().position(|argument| argument == "--") {
        let words = ours.split_off(at).into_iter().skip(1).map(Some);
        given.command.fill("COMMAND".to_owned(), words.collect());
    }
    let mut parser = Parser::from_args(ours);
    let mut first = None;
    loop {
        match read_argument(&mut parser, given) {
            Ok(Read::Argument) => (),
            Ok(Read::Request(request)) if first.is_none() => return Ok(Some(request)),
            Ok(Read::Request(_) | Read::End) => return first.map_or(Ok(None), Err),
            Err(error) => {
                // An option of the command, if what stands before is one.
                let lacks_separator = !given.command.is_given() && given.path.count() > 1;
                let error = match lacks_separator {
                    true => given.missing_separator(),
                    false => error,
                };
                first = first.or(Some(error));
            }
        }
    }
}

/// What was read of a command line.
enum Read {
    Argument,
    Request(Request),
    End,
}

fn read_argument(parser: &mut Parser, given: &mut Given) -> Result<Read, Error> {
    let Some(argument) = parser.next().map_err(usage)? else {
        return Ok(Read::End);
    };
    if let Arg::Value(path) = argument {
        given.path.add("PATH".to_owned(), Some(path));
        return Ok(Read::Argument);
    }
    let spec = Spec::find(&argument).ok_or_else(|| usage(argument.unexpected()))?;
    let value = match spec.kind {
        Kind::Flag => None,
        _ if spec.is_optional() => parser.optional_value(),
        _ => Some(parser.value().map_err(usage)?),
    };
    let request = match spec.long {
        "help" => Request::Help,
        "version" => Request::Version,
        "completions" => {
            given.completions.add(spec.shown(), value);
            match given.completions.read(values::shell)? {
                Some(shell) => Request::Completions(shell),
                None => return Ok(Read::Argument),
            }
        }
        _ => {
            (spec.setting)(given).add(spec.shown(), value);
            return Ok(Read::Argument);
        }
    };
    match parser.optional_value() {
        None => Ok(Read::Request(request)),
        Some(_) => Err(Usage::UnwantedValue {
            option: spec.shown(),
        }
        .into()),
    }
}

/// Completes what the command line gives by the environment, then by the profile, and looks at it together.
fn understand(given: &mut Given, outside: &Outside<'_>) -> Result<Request, Error> {
    let mut named = Named::default();
    let mut looseness = None;
    given.divide_client_keys();
    let keyed = given.keyed_projects();
    named.note(given);
    let profile_name = given.profile.last().map(ProfileName::read);
    complete_by_environment(given, &mut named, outside);
    if let Some(name) = profile_name {
        let read = (outside.profile)(&name.file).map_err(|flaw| name.unread(flaw));
        let read = read.and_then(|read| {
            complete_by_profile(given, &mut named, &read.text, &name)?;
            Ok(read.looseness)
        });
        match read {
            Ok(found) => looseness = found,
            Err(flaw) => {
                let file = name.file;
                return Err(Error::Profile { file, flaw });
            }
        }
    }
    let references = given.references(outside);
    given.settle()?;
    let mut options = given.options(ProxyVariables::read(outside.variable), references?)?;
    check_keyed(&keyed, &options)?;
    options.profile_looseness = looseness;
    named.choose(given, options.audit);
    Ok(Request::Run(Box::new(options), named))
}

/// The first step of [`understand`]. What is given takes much of the stack, which is to be free again afterwards.
#[inline(never)]
fn complete_by_environment(given: &mut Given, named: &mut Named, outside: &Outside<'_>) {
    let mut by_environment = Given::by_environment(outside.variable);
    named.note(&by_environment);
    given.complete(&mut by_environment);
}

/// The second one.
#[inline(never)]
fn complete_by_profile(
    given: &mut Given,
    named: &mut Named,
    text: &str,
    name: &ProfileName,
) -> Result<(), ProfileFlaw> {
    let profile = Profile::parse(text, name)?;
    profile.each().for_each(|table| named.note(table));
    given.complete(&mut profile.given());
    Ok(())
}

/// Refuses client keys of projects that are not asked for: they would protect nothing.
fn check_keyed(keyed: &[String], options: &Options) -> Result<(), Error> {
    let known: Vec<_> = options.paths.projects().map(SecretPath::project).collect();
    if keyed
        .iter()
        .all(|project| known.contains(&project.as_str()))
    {
        return Ok(());
    }
    // What stands in its place is not shown: it may be a part of a key.
    Err(bad(
        "--client-key",
        format!("PROJECT must be that of a PATH: {}", known.join(", ")),
    ))
}

/// What lexopt found wrong, without the value that it found.
fn usage(error: lexopt::Error) -> Error {
    match error {
        lexopt::Error::MissingValue { option } => Usage::MissingValue {
            option: option.unwrap_or_default(),
        },
        lexopt::Error::UnexpectedOption(option) => Usage::UnknownOption { option },
        lexopt::Error::UnexpectedValue { option, .. } => Usage::UnwantedValue { option },
        // What else lexopt knows of is about values that we read ourselves.
        _ => Usage::UnknownOption {
            option: String::new(),
        },
    }
    .into()
}
