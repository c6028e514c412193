//! The command line of `dotenv-seal`.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use lexopt::{Arg, Parser};

use crate::cli::given::Given;
use crate::cli::given::bad;
use crate::cli::values::secret_path;
use crate::cli::{Named, usage};
use crate::error::{Error, Usage};
use crate::path::{SecretPath, is_ulid};

/// What `dotenv-seal` is asked for.
pub enum SealRequest {
    /// Print the help text.
    Help,
    /// Print the version.
    Version,
    /// Print a fresh client key.
    Keygen,
    /// Make a project.
    Init(SealOptions, Named),
    /// Seal a level.
    Put(SealOptions, Named),
    /// Make a manifest for what is there.
    Sign(SealOptions, Named),
    /// Print what is there.
    List {
        /// The directory of the tree.
        tree: PathBuf,
    },
}

/// What `init`, `put` and `sign` go by.
pub struct SealOptions {
    /// The directory of the tree.
    pub tree: PathBuf,
    /// The project, or the path whose deepest level is put.
    pub path: SecretPath,
    /// `--organization`: a ULID, for the first project of a tree.
    pub organization: Option<String>,
    /// `--allow-empty`: seal a text without any variable.
    pub allow_empty: bool,
    /// `--allow-unsafe-env`: names that take over a program, and are sealed all the same.
    pub allow_unsafe: Vec<String>,
    /// `--allow-weak-key`: seal under a key descriptor that `init` would not make.
    pub allow_weak_key: bool,
    /// `--allow-swap`: go on where memory cannot be locked.
    pub allow_swap: bool,
    /// `--allow-loose-files`: accept a key file that everyone can write or replace.
    pub allow_loose_files: bool,
}

/// The text of `--help`.
pub const HELP: &str = "\
Usage: dotenv-seal keygen
       dotenv-seal init TREE PROJECT [--organization ID] [--allow-swap] [--client-key FILE]
       dotenv-seal put TREE PATH [--allow-empty] [--allow-swap] [--allow-unsafe-env NAME,...]
                       [--allow-weak-key] [--client-key FILE]
       dotenv-seal sign TREE PROJECT [--allow-swap] [--allow-weak-key] [--client-key FILE]
       dotenv-seal list TREE
Create and update a sealed tree, which dotenv-run reads with --api-url file://TREE.

  keygen  print a new client key
  init    create a project without secrets
  put     seal the .env text on standard input as the deepest level of PATH
          (project[/target[/environment]])
  sign    make a manifest for a tree without one, or for a tree that was changed otherwise
  list    print paths, levels and sizes in bytes, and the generation of each project

      --client-key FILE   read the client key from FILE or 'fd:N'; the default is
                          DOTENV_CLIENT_KEY_FILE, DOTENV_CLIENT_KEY, the other places
                          where dotenv-run reads it, or a prompt
      --organization ID   with init, the organization of a new tree (default: a new ID)
      --allow-empty       seal a text without variables
      --allow-loose-files accept a key file that everyone can write or replace
      --allow-swap        continue if memory cannot be locked and the machine has swap space
      --allow-unsafe-env NAME,...
                          seal these names, which dotenv-run refuses, such as PATH
      --allow-weak-key    seal under fewer than 600000 iterations, or another salt than init makes
      --help              print this help and exit
      --version           print the version and exit

Exit status: 0 on success, 125 on failure; no document is ever written in part.
";

impl SealRequest {
    /// Reads the arguments, without the program's own name. `variable` gives the value of a variable of the environment.
    ///
    /// # Errors
    ///
    /// An [`Error::Usage`] for whatever is not understood; nothing has happened then.
    pub fn parse<'a>(
        arguments: impl IntoIterator<Item = OsString>,
        variable: &dyn Fn(&str) -> Option<&'a OsStr>,
    ) -> Result<Self, Error> {
        let (mut words, mut given, mut organization) = (Vec::new(), Given::default(), None);
        let (mut allow_empty, mut allow_swap, mut allow_weak_key) = (false, false, false);
        let mut allow_loose_files = false;
        let mut parser = Parser::from_args(arguments);
        while let Some(argument) = parser.next().map_err(usage)? {
            match argument {
                Arg::Long("client-key") => {
                    let file = parser.value().map_err(usage)?;
                    given.client_key.add("--client-key".to_owned(), Some(file));
                }
                Arg::Long("organization") => organization = Some(parser.value().map_err(usage)?),
                Arg::Long("allow-empty") => allow_empty = true,
                Arg::Long("allow-swap") => allow_swap = true,
                Arg::Long("allow-weak-key") => allow_weak_key = true,
                Arg::Long("allow-unsafe-env") => {
                    let names = parser.value().map_err(usage)?;
                    let option = "--allow-unsafe-env".to_owned();
                    given.allow_unsafe_env.add(option, Some(names));
                }
                Arg::Long("allow-loose-files") => allow_loose_files = true,
                Arg::Long("help") => return Ok(SealRequest::Help),
                Arg::Long("version") => return Ok(SealRequest::Version),
                Arg::Value(word) => words.push(word),
                other => return Err(usage(other.unexpected())),
            }
        }
        let form: Vec<_> = words.iter().map(|word| word.to_str()).collect();
        let used: &[&str] = match form[..] {
            [Some("init"), ..] => &[
                "--client-key",
                "--organization",
                "--allow-swap",
                "--allow-loose-files",
            ],
            [Some("put"), ..] => &[
                "--client-key",
                "--allow-empty",
                "--allow-swap",
                "--allow-unsafe-env",
                "--allow-weak-key",
                "--allow-loose-files",
            ],
            [Some("sign"), ..] => &[
                "--client-key",
                "--allow-swap",
                "--allow-weak-key",
                "--allow-loose-files",
            ],
            _ => &[],
        };
        let options = [
            (given.client_key.is_given(), "--client-key"),
            (organization.is_some(), "--organization"),
            (allow_empty, "--allow-empty"),
            (allow_swap, "--allow-swap"),
            (given.allow_unsafe_env.is_given(), "--allow-unsafe-env"),
            (allow_weak_key, "--allow-weak-key"),
            (allow_loose_files, "--allow-loose-files"),
        ];
        if let Some((_, option)) = options
            .into_iter()
            .find(|(is_given, option)| *is_given && !used.contains(option))
        {
            return Err(bad(option, "not supported by this command"));
        }
        let allow_unsafe = given.allow_unsafe_env.names()?;
        let named = Named::client_key(given, Given::by_environment(variable));
        let options = |path: &str| -> Result<SealOptions, Error> {
            let path = secret_path("PATH", path)?;
            let (tree, organization) = (
                PathBuf::from(&words[1]),
                organization.map(ulid).transpose()?,
            );
            Ok(SealOptions {
                tree,
                path,
                organization,
                allow_empty,
                allow_unsafe,
                allow_swap,
                allow_weak_key,
                allow_loose_files,
            })
        };
        match form[..] {
            [Some("keygen")] => Ok(SealRequest::Keygen),
            [Some("init"), _, Some(project)] => Ok(SealRequest::Init(options(project)?, named)),
            [Some("put"), _, Some(path)] => Ok(SealRequest::Put(options(path)?, named)),
            [Some("sign"), _, Some(project)] => Ok(SealRequest::Sign(options(project)?, named)),
            [Some("list"), _] => Ok(SealRequest::List {
                tree: PathBuf::from(&words[1]),
            }),
            _ => Err(Usage::SealForm.into()),
        }
    }
}

fn ulid(value: OsString) -> Result<String, Error> {
    let ulid = value.into_string().ok().filter(|text| is_ulid(text));
    ulid.ok_or_else(|| bad("--organization", "must be an ID (26 characters)"))
}
