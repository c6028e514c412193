//! The command line of `dotenv-seal`.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use lexopt::{Arg, Parser};

use crate::cli::given::Given;
use crate::cli::given::bad;
use crate::cli::values::secret_path;
use crate::cli::{Named, usage};
use crate::dotenv::parse::is_name;
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
    /// Do this with a path, which takes the client key.
    Act(Deed, SealOptions, Named),
    /// Look whether everything in a tree is as it should be.
    Verify {
        tree: PathBuf,
        /// The project to look at; all of the tree without one.
        project: Option<SecretPath>,
        access: KeyAccess,
        named: Named,
    },
    /// Print what is there.
    List {
        /// The directory of the tree.
        tree: PathBuf,
    },
}

/// What is done with a path.
pub enum Deed {
    /// Make a project.
    Init,
    /// Seal a level.
    Put,
    /// Make a manifest for what is there.
    Sign,
    /// Print a level's text, or the value of one variable.
    Get { name: Option<String> },
    /// Change one variable.
    Set { name: String },
    /// Remove variables.
    Unset { names: Vec<String> },
    /// Remove a path and those below it.
    Remove,
    /// Give a path and those below it another name.
    Move { to: SecretPath },
    /// Compare a level with another one, or with standard input.
    Diff { with: Option<SecretPath> },
}

/// What the commands that act on a path go by.
pub struct SealOptions {
    /// The directory of the tree.
    pub tree: PathBuf,
    /// The project, or the path whose deepest level is meant.
    pub path: SecretPath,
    /// `--organization`: a ULID, for the first project of a tree.
    pub organization: Option<String>,
    /// `--allow-empty`: seal a text without any variable, or an empty value.
    pub allow_empty: bool,
    /// `--allow-file`: write secrets to a regular file.
    pub allow_file: bool,
    /// `--allow-unsafe-env`: names that take over a program, and are sealed all the same.
    pub allow_unsafe: Vec<String>,
    /// `--allow-weak-key`: seal under a key descriptor that `init` would not make.
    pub allow_weak_key: bool,
    /// `--recursive`: remove what stands on a level, too.
    pub recursive: bool,
    /// `--replace`: drop more variables than are kept.
    pub replace: bool,
    /// `--values`: print values too.
    pub values: bool,
    /// `--quiet`: say nothing that is no error.
    pub quiet: bool,
    pub access: KeyAccess,
}

/// What is accepted on the way to the client key.
#[derive(Clone, Copy)]
pub struct KeyAccess {
    /// `--allow-swap`: go on where memory cannot be locked.
    pub allow_swap: bool,
    /// `--allow-loose-files`: accept a key file that everyone can write or replace.
    pub allow_loose_files: bool,
}

/// The text of `--help`.
pub const HELP: &str = "\
Usage: dotenv-seal COMMAND [OPTION]... [TREE] [OPERAND]...
Create and update a sealed tree, which dotenv-run reads with --api-url file://TREE.

  keygen                       print a new client key
  init [TREE] PROJECT          create a project without secrets
  put [TREE] PATH              seal the .env text on standard input as the deepest level of
                               PATH (project[/target[/environment]])
  set [TREE] PATH NAME         set one variable to the value on standard input, or to one
                               that is typed without echo
  unset [TREE] PATH NAME...    remove variables
  get [TREE] PATH [NAME]       print the text of a level, or the value of one variable
  diff [TREE] PATH [PATH]      list the variables that differ between two levels, or between
                               a level and the .env text on standard input
  rm [TREE] PATH               remove a level, and those below it with --recursive
  mv [TREE] PATH NEW-PATH      rename a path and those below it, within a project
  sign [TREE] PROJECT          make a manifest for a tree without one, or for a tree that
                               was changed otherwise
  verify [TREE] [PROJECT]      check every document, level and manifest, a line for each path
  list [TREE]                  print paths, levels and sizes in bytes, and the generation of
                               each project

      --tree DIR          the directory of the tree, in the place of TREE; the default is
                          DOTENV_SEAL_TREE
      --client-key FILE   read the client key from FILE or 'fd:N'; the default is
                          DOTENV_CLIENT_KEY_FILE, DOTENV_CLIENT_KEY, the other places
                          where dotenv-run reads it, or a prompt
      --organization ID   with init, the organization of a new tree (default: a new ID)
      --allow-empty       seal a text without variables, or an empty value
      --allow-file        with get and diff --values, write secrets to a regular file
      --allow-loose-files accept a key file that everyone can write or replace
      --allow-swap        continue if memory cannot be locked and the machine has swap space
      --allow-unsafe-env NAME,...
                          seal these names, which dotenv-run refuses, such as PATH
      --allow-weak-key    seal under fewer than 600000 iterations, or another salt than init makes
      --recursive         with rm, remove the paths below, too
      --replace           with put, drop more variables than are kept
      --values            with diff, print values too
  -q, --quiet             print only errors
      --help              print this help and exit
      --version           print the version and exit

Exit status: 0 on success, 125 on failure; no document is ever written in part.
";

/// A command, the operands behind its tree, and the options that it has a use for beside those of all that take a key.
struct Form {
    name: &'static str,
    least: usize,
    most: usize,
    options: &'static [&'static str],
}

/// The options of the commands that take a client key.
const KEY_OPTIONS: [&str; 4] = [
    "--client-key",
    "--allow-swap",
    "--allow-loose-files",
    "--quiet",
];

const fn form(
    name: &'static str,
    least: usize,
    most: usize,
    options: &'static [&'static str],
) -> Form {
    Form {
        name,
        least,
        most,
        options,
    }
}

const MANY: usize = usize::MAX;

const FORMS: [Form; 11] = [
    form("init", 1, 1, &["--organization"]),
    form(
        "put",
        1,
        1,
        &[
            "--allow-empty",
            "--allow-unsafe-env",
            "--allow-weak-key",
            "--replace",
        ],
    ),
    form(
        "set",
        2,
        2,
        &["--allow-empty", "--allow-unsafe-env", "--allow-weak-key"],
    ),
    form("unset", 2, MANY, &["--allow-weak-key"]),
    form("get", 1, 2, &["--allow-file"]),
    form("diff", 1, 2, &["--allow-file", "--values"]),
    form("rm", 1, 1, &["--allow-weak-key", "--recursive"]),
    form("mv", 2, 2, &["--allow-weak-key"]),
    form("sign", 1, 1, &["--allow-weak-key"]),
    form("verify", 0, 1, &[]),
    form("list", 0, 0, &[]),
];

/// All options, and whether they take a value.
const OPTIONS: [(&str, bool); 13] = [
    ("--tree", true),
    ("--client-key", true),
    ("--organization", true),
    ("--allow-empty", false),
    ("--allow-file", false),
    ("--allow-loose-files", false),
    ("--allow-swap", false),
    ("--allow-unsafe-env", true),
    ("--allow-weak-key", false),
    ("--recursive", false),
    ("--replace", false),
    ("--values", false),
    ("--quiet", false),
];

/// The variable that names the tree.
const TREE_VARIABLE: &str = "DOTENV_SEAL_TREE";

/// The arguments, taken apart.
#[derive(Default)]
struct Words {
    words: VecDeque<OsString>,
    options: Vec<(&'static str, OsString)>,
}

/// What stands before everything else.
enum First {
    Help,
    Version,
    Words(Words),
}

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
        let mut words = match Words::read(Parser::from_args(arguments))? {
            First::Help => return Ok(SealRequest::Help),
            First::Version => return Ok(SealRequest::Version),
            First::Words(words) => words,
        };
        let command = words.words.pop_front().ok_or(Usage::SealForm)?;
        if command == "keygen" && words.words.is_empty() {
            words.check_options(&[])?;
            return Ok(SealRequest::Keygen);
        }
        let form = FORMS.iter().find(|form| command == form.name);
        let form = form.ok_or(Usage::SealForm)?;
        let tree = words.tree(form, variable)?;
        let takes_key = form.name != "list";
        let common: &[&str] = if takes_key { &KEY_OPTIONS } else { &[] };
        words.check_options(&[form.options, common].concat())?;
        let named = Named::client_key(words.keys(), Given::by_environment(variable));
        let access = KeyAccess {
            allow_swap: words.has("--allow-swap"),
            allow_loose_files: words.has("--allow-loose-files"),
        };
        match form.name {
            "list" => Ok(SealRequest::List { tree }),
            "verify" => Ok(SealRequest::Verify {
                tree,
                project: words.optional_path()?,
                access,
                named,
            }),
            name => {
                let options = words.act_options(tree, access)?;
                Ok(SealRequest::Act(words.action(name)?, options, named))
            }
        }
    }
}

impl Words {
    fn read(mut parser: Parser) -> Result<First, Error> {
        let mut words = Words::default();
        while let Some(argument) = parser.next().map_err(usage)? {
            let name = match argument {
                Arg::Value(word) => {
                    words.words.push_back(word);
                    continue;
                }
                Arg::Long("help") => return Ok(First::Help),
                Arg::Long("version") => return Ok(First::Version),
                Arg::Short('q') => "--quiet".to_owned(),
                Arg::Long(name) => format!("--{name}"),
                other => return Err(usage(other.unexpected())),
            };
            let Some((option, takes_value)) = OPTIONS.into_iter().find(|(known, _)| *known == name)
            else {
                let name = name.trim_start_matches('-');
                return Err(usage(Arg::Long(name).unexpected()));
            };
            let value = if takes_value {
                parser.value().map_err(usage)?
            } else {
                OsString::new()
            };
            words.options.push((option, value));
        }
        Ok(First::Words(words))
    }

    fn has(&self, option: &str) -> bool {
        self.options.iter().any(|(given, _)| *given == option)
    }

    fn value(&self, option: &str) -> Option<&OsString> {
        let given = self.options.iter().rfind(|(given, _)| *given == option);
        given.map(|(_, value)| value)
    }

    /// Refuses options that a command has no use for.
    fn check_options(&self, used: &[&str]) -> Result<(), Error> {
        let is_used = |option: &str| option == "--tree" || used.contains(&option);
        match self.options.iter().find(|(given, _)| !is_used(given)) {
            Some((option, _)) => Err(bad(option, "not supported by this command")),
            None => Ok(()),
        }
    }

    /// The directory of the tree, which is the first operand if it is named nowhere else. Where the variable names one,
    /// an operand too many, or one that can be no path, names another.
    fn tree<'a>(
        &mut self,
        form: &Form,
        variable: &dyn Fn(&str) -> Option<&'a OsStr>,
    ) -> Result<PathBuf, Error> {
        let by_variable = variable(TREE_VARIABLE).filter(|tree| !tree.is_empty());
        let is_path = |word: &OsString| {
            word.to_str()
                .is_some_and(|word| SecretPath::parse(word).is_ok())
        };
        let is_operand = self.words.len() <= form.most && self.words.front().is_none_or(is_path);
        let tree = match (self.value("--tree"), by_variable) {
            (Some(tree), _) => Some(tree.clone()),
            (None, Some(tree)) if is_operand => Some(tree.to_owned()),
            _ => self.words.pop_front(),
        };
        let count = self.words.len();
        match tree {
            Some(tree) if (form.least..=form.most).contains(&count) => Ok(tree.into()),
            _ => Err(Usage::SealForm.into()),
        }
    }

    /// The settings that say where the client key is.
    fn keys(&self) -> Given {
        let mut given = Given::default();
        for (option, value) in &self.options {
            if *option == "--client-key" {
                given
                    .client_key
                    .add((*option).to_owned(), Some(value.clone()));
            }
        }
        given
    }

    fn act_options(&mut self, tree: PathBuf, access: KeyAccess) -> Result<SealOptions, Error> {
        let mut unsafe_names = Given::default();
        for (option, value) in &self.options {
            if *option == "--allow-unsafe-env" {
                let names = Some(value.clone());
                unsafe_names
                    .allow_unsafe_env
                    .add((*option).to_owned(), names);
            }
        }
        Ok(SealOptions {
            tree,
            path: self.path()?,
            organization: self.value("--organization").map(ulid).transpose()?,
            allow_empty: self.has("--allow-empty"),
            allow_file: self.has("--allow-file"),
            allow_unsafe: unsafe_names.allow_unsafe_env.names()?,
            allow_weak_key: self.has("--allow-weak-key"),
            recursive: self.has("--recursive"),
            replace: self.has("--replace"),
            values: self.has("--values"),
            quiet: self.has("--quiet"),
            access,
        })
    }

    /// What is done, with the operands behind the path.
    fn action(&mut self, name: &str) -> Result<Deed, Error> {
        Ok(match name {
            "init" => Deed::Init,
            "put" => Deed::Put,
            "sign" => Deed::Sign,
            "set" => Deed::Set {
                name: self.name()?.ok_or(Usage::SealForm)?,
            },
            "get" => Deed::Get { name: self.name()? },
            "unset" => {
                let mut names = Vec::with_capacity(self.words.len());
                while let Some(name) = self.name()? {
                    names.push(name);
                }
                Deed::Unset { names }
            }
            "mv" => Deed::Move { to: self.path()? },
            "diff" => Deed::Diff {
                with: self.optional_path()?,
            },
            "rm" => Deed::Remove,
            _ => return Err(Usage::SealForm.into()),
        })
    }

    fn path(&mut self) -> Result<SecretPath, Error> {
        self.optional_path()?.ok_or(Usage::SealForm.into())
    }

    fn optional_path(&mut self) -> Result<Option<SecretPath>, Error> {
        let word = self.words.pop_front();
        let path = word.map(|word| secret_path("PATH", &word.to_string_lossy()));
        path.transpose()
    }

    fn name(&mut self) -> Result<Option<String>, Error> {
        let Some(word) = self.words.pop_front() else {
            return Ok(None);
        };
        let name = word.into_string().ok().filter(|name| is_name(name));
        let reason =
            "must be the name of a variable (letters, digits and '_', not starting with a digit)";
        Ok(Some(name.ok_or_else(|| bad("NAME", reason))?))
    }
}

fn ulid(value: &OsString) -> Result<String, Error> {
    let ulid = value.to_str().filter(|text| is_ulid(text));
    let ulid = ulid.ok_or_else(|| bad("--organization", "must be an ID (26 characters)"))?;
    Ok(ulid.to_owned())
}
