//! The table of options: all that is known of each. Parsing, precedence, profiles, `--help` and completions go by it.

#![forbid(unsafe_code)]

use lexopt::Arg;

use crate::cli::given::{Given, Setting};
use crate::cli::paths::Paths;

/// One thing that can be given, as the user sees it.
#[derive(Clone, Copy)]
pub struct Spec {
    /// The name without its dashes; the key in a profile.
    pub long: &'static str,
    /// The one-letter form, for the few that have one.
    pub short: Option<char>,
    /// What its value is made of.
    pub kind: Kind,
    /// The placeholder of the value; empty for a flag.
    pub value: &'static str,
    /// What a shell can complete the value with.
    pub completion: Completion,
    /// Where in the value a path is.
    pub paths: Paths,
    /// What in the environment says the same.
    pub variable: FromEnvironment,
    /// The options that it cannot be given with.
    pub excludes: &'static [&'static str],
    /// The options that do not count beside it.
    pub replaces: &'static [&'static str],
    /// The options without all of which it means nothing.
    pub needs: &'static [&'static str],
    /// Where it can be given.
    pub scope: Scope,
    /// Where its values are kept.
    pub setting: fn(&mut Given) -> &mut Setting,
    /// What it does.
    pub help: &'static str,
}

/// What the value of an option is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// There is none.
    Flag,
    /// One text.
    Text,
    /// One number.
    Number,
    /// One number, or a text that begins with one.
    NumberOrText,
    /// Any number of texts.
    List,
    /// One text or none.
    OptionalText,
    /// One number or none.
    OptionalNumber,
    /// Any number of texts, or none.
    OptionalList,
    /// Several texts that belong together.
    Words,
    /// One text, or several.
    Texts,
    /// Texts under names, each of which is one value: `NAME=TEXT`.
    Table,
}

/// What stands for the value of an option in completions.
#[derive(Clone, Copy)]
pub enum Completion {
    /// What only the user knows.
    Unknown,
    /// A file.
    File,
    /// One of these words.
    Words(&'static [&'static str]),
}

/// What in the environment says the same as an option.
#[derive(Clone, Copy)]
pub enum FromEnvironment {
    /// Nothing.
    None,
    /// This variable; an empty one counts as not set.
    Text(&'static str),
    /// This variable, for a list separated by white space; an empty one counts as not set.
    List(&'static str),
    /// The key in one variable, or its file in the other one, which comes first. They count even if they are empty: a
    /// key that cannot be used must not be replaced by another one.
    Key {
        /// The variable that names the file.
        file: &'static str,
        /// The variable that holds the key.
        key: &'static str,
    },
}

/// Where something can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// As an option or in a profile.
    Anywhere,
    /// As an option only: in a profile it would be found after it has to take effect.
    CommandLine,
    /// In a profile, and on the command line without a name.
    Positional,
    /// In a profile: on the command line, another option takes it.
    Profile,
}

impl Spec {
    /// Everything that can be given, in the order of `--help`.
    pub fn all() -> &'static [Spec] {
        SPECS
    }

    /// The options, in the order of `--help`.
    pub fn options() -> impl Iterator<Item = &'static Spec> {
        let has_name = |spec: &&Spec| !matches!(spec.scope, Scope::Positional | Scope::Profile);
        SPECS.iter().filter(has_name)
    }

    /// The option that an argument names.
    pub fn find(argument: &Arg<'_>) -> Option<&'static Spec> {
        Spec::options().find(|spec| match argument {
            Arg::Long(long) => spec.long == *long,
            Arg::Short(short) => spec.short == Some(*short),
            Arg::Value(_) => false,
        })
    }

    /// The name for messages.
    pub fn shown(&self) -> String {
        match self.scope {
            Scope::Positional => self.long.to_uppercase(),
            Scope::Profile => self.long.to_owned(),
            Scope::Anywhere | Scope::CommandLine => format!("--{}", self.long),
        }
    }

    /// What it does, and what in the environment says the same.
    pub fn description(&self) -> String {
        match self.variable {
            FromEnvironment::Text(name) | FromEnvironment::List(name) => {
                format!("{} [{name}]", self.help)
            }
            FromEnvironment::None | FromEnvironment::Key { .. } => self.help.to_owned(),
        }
    }

    /// Whether the value may be left out, and then follows an equals sign only.
    pub fn is_optional(&self) -> bool {
        matches!(
            self.kind,
            Kind::OptionalText | Kind::OptionalNumber | Kind::OptionalList
        )
    }

    /// Whether one of the two makes the other one void.
    pub fn is_rival_of(&self, other: &Spec) -> bool {
        let names = |one: &Spec, other: &Spec| {
            one.excludes.contains(&other.long) || one.replaces.contains(&other.long)
        };
        names(self, other) || names(other, self)
    }

    const fn short(self, short: char) -> Self {
        Spec {
            short: Some(short),
            ..self
        }
    }

    const fn files(self) -> Self {
        Spec {
            completion: Completion::File,
            paths: Paths::File,
            ..self
        }
    }

    const fn keys(self) -> Self {
        Spec {
            paths: Paths::Key,
            ..self
        }
    }

    const fn entries(self) -> Self {
        Spec {
            paths: Paths::Entry,
            ..self
        }
    }

    const fn addresses(self) -> Self {
        Spec {
            paths: Paths::Address,
            ..self
        }
    }

    const fn words(self, words: &'static [&'static str]) -> Self {
        Spec {
            completion: Completion::Words(words),
            ..self
        }
    }

    const fn variable(self, variable: FromEnvironment) -> Self {
        Spec { variable, ..self }
    }

    const fn excludes(self, excludes: &'static [&'static str]) -> Self {
        Spec { excludes, ..self }
    }

    const fn replaces(self, replaces: &'static [&'static str]) -> Self {
        Spec { replaces, ..self }
    }

    const fn needs(self, needs: &'static [&'static str]) -> Self {
        Spec { needs, ..self }
    }

    const fn scope(self, scope: Scope) -> Self {
        Spec { scope, ..self }
    }
}

type Slot = fn(&mut Given) -> &mut Setting;

const fn flag(long: &'static str, help: &'static str, setting: Slot) -> Spec {
    Spec {
        long,
        short: None,
        kind: Kind::Flag,
        value: "",
        completion: Completion::Unknown,
        paths: Paths::Nowhere,
        variable: FromEnvironment::None,
        excludes: &[],
        replaces: &[],
        needs: &[],
        scope: Scope::Anywhere,
        setting,
        help,
    }
}

const fn valued(
    (long, kind, value): (&'static str, Kind, &'static str),
    help: &'static str,
    setting: Slot,
) -> Spec {
    Spec {
        kind,
        value,
        ..flag(long, help, setting)
    }
}

/// The options that need a parent in front of the command.
pub const SUPERVISING: &[&str] = &[
    "supervise",
    "group",
    "subreaper",
    "stop-timeout",
    "die-with-parent",
    "watch",
    "redact",
];

use Kind::{
    List, Number, NumberOrText, OptionalList, OptionalNumber, OptionalText, Table, Text, Texts,
    Words,
};

/// The options that make a file in memory.
const FILES: &[&str] = &["file", "secret-file", "template"];

/// The words that a FORMAT can be.
const FORMATS: &[&str] = &[
    "env",
    "shell",
    "fish",
    "json",
    "yaml",
    "docker",
    "github",
    "names",
    "raw",
    "raw:base64",
];

/// Everything that can be given: the options in the order of `--help`, then what has no name on the command line.
#[rustfmt::skip]
static SPECS: &[Spec] = &[
    valued(("organization", Text, "ID|SLUG"), "the organization, if the key does not identify it", |it| &mut it.organization)
        .variable(FromEnvironment::Text("DOTENV_ORGANIZATION")),
    valued(("api-url", Text, "URL|./TREE"), "the service, or the directory of a sealed tree", |it| &mut it.api_url)
        .addresses().variable(FromEnvironment::Text("DOTENV_API_URL")),
    valued(("mirror", List, "URL|./TREE"), "fetch from there if the service fails; repeatable", |it| &mut it.mirror)
        .addresses().variable(FromEnvironment::List("DOTENV_RUN_MIRRORS")),
    valued(("api-key-file", Text, "FILE"), "read the API key from FILE, '-' or 'fd:N'", |it| &mut it.api_key_file)
        .files().variable(FromEnvironment::Key { file: "DOTENV_API_KEY_FILE", key: "DOTENV_API_KEY" }),
    valued(("client-key", Text, "[PROJECT=]FILE"), "read the client key from FILE, '-' or 'fd:N'; repeatable", |it| &mut it.client_key)
        .files().keys().variable(FromEnvironment::Key { file: "DOTENV_CLIENT_KEY_FILE", key: "DOTENV_CLIENT_KEY" }),
    valued(("ca-file", Text, "FILE"), "trust only the certificates in FILE", |it| &mut it.ca_file)
        .files().variable(FromEnvironment::Text("SSL_CERT_FILE")),
    valued(("timeout", Number, "SECONDS"), "stop fetching after SECONDS in total (default 30)", |it| &mut it.timeout),
    flag("allow-swap", "continue if memory cannot be locked and the machine has swap space", |it| &mut it.allow_swap),
    flag("allow-tracer", "run even if another process, such as strace, traces this one", |it| &mut it.allow_tracer),
    flag("allow-loose-files", "accept key, profile, CA and local files that everyone can write or replace", |it| &mut it.allow_loose_files)
        .scope(Scope::CommandLine),
    valued(("cache", Number, "SECONDS"), "keep answers in kernel memory, reuse for SECONDS", |it| &mut it.cache)
        .variable(FromEnvironment::Text("DOTENV_RUN_CACHE")).excludes(&["no-cache"]),
    flag("no-cache", "do not use the cache, even if DOTENV_RUN_CACHE is set", |it| &mut it.no_cache),
    valued(("stale", Number, "SECONDS"), "with --cache, reuse SECONDS longer while the service is unreachable", |it| &mut it.stale)
        .needs(&["cache"]).excludes(&["no-cache"]),
    valued(("custody", Text, "HOLDER"), "who may hold the project's key: client, server or any", |it| &mut it.custody)
        .words(&["client", "server", "any"]).variable(FromEnvironment::Text("DOTENV_RUN_CUSTODY")),
    flag("allow-plaintext", "accept unencrypted levels of a client-managed project from the service", |it| &mut it.allow_plaintext),
    flag("allow-unsigned-tree", "accept a tree or mirror without a manifest", |it| &mut it.allow_unsigned_tree),
    valued(("min-generation", Number, "N"), "fail if the manifest of a tree or mirror is older than N", |it| &mut it.min_generation)
        .variable(FromEnvironment::Text("DOTENV_RUN_MIN_GENERATION")),
    valued(("require-levels", List, "LEVEL,..."), "fail if any of these levels is absent: project, target, environment", |it| &mut it.require_levels)
        .variable(FromEnvironment::Text("DOTENV_RUN_REQUIRE_LEVELS")),
    flag("level-only", "use only the deepest level of PATH", |it| &mut it.level_only),
    flag("refs", "give only what variables refer to: dotenv://PATH#NAME or dotenv:#NAME", |it| &mut it.refs)
        .excludes(&["only", "except", "rename", "prefix", "preserve-env"]),
    flag("allow-empty", "start the command even if there are no secrets", |it| &mut it.allow_empty),
    valued(("text", Text, "NAME"), "name the value of a project whose format is text", |it| &mut it.text),
    flag("resolve", "resolve $NAME, ${NAME}, ${NAME:-default} and similar in values", |it| &mut it.resolve),
    flag("resolve-env", "like --resolve, but also look in the inherited environment", |it| &mut it.resolve_env),
    flag("strict", "with --resolve, fail if a name in a reference is not set", |it| &mut it.strict)
        .needs(&["resolve", "resolve-env"]),
    valued(("only", List, "GLOB,..."), "select only the secrets whose names match", |it| &mut it.only),
    valued(("except", List, "GLOB,..."), "exclude the secrets whose names match", |it| &mut it.except),
    valued(("rename", List, "OLD=NEW,..."), "rename secrets", |it| &mut it.rename),
    valued(("prefix", Text, "PREFIX"), "add PREFIX to every name", |it| &mut it.prefix),
    valued(("require", List, "NAME,..."), "fail if any of these secrets is missing or empty", |it| &mut it.require),
    valued(("require-from", List, "FILE"), "fail if a name in FILE (.env text) is missing, or empty unless it is in FILE", |it| &mut it.require_from)
        .files(),
    valued(("defaults", List, "FILE"), "use the variables in FILE (.env text) that no secret sets; repeatable", |it| &mut it.defaults)
        .files(),
    valued(("overrides", List, "FILE"), "use the variables in FILE (.env text) in place of secrets; repeatable", |it| &mut it.overrides)
        .files(),
    valued(("preserve-env", OptionalList, "NAME,..."), "keep inherited variables over secrets: all, or these", |it| &mut it.preserve_env),
    flag("clean-env", "start from an empty environment", |it| &mut it.clean_env),
    valued(("pass", List, "NAME,..."), "with --clean-env, inherit these variables", |it| &mut it.pass)
        .needs(&["clean-env"]),
    valued(("drop", List, "GLOB,..."), "do not inherit the variables whose names match", |it| &mut it.drop),
    valued(("allow-unsafe-env", List, "NAME,..."), "accept secrets with these names, such as PATH or LD_PRELOAD", |it| &mut it.allow_unsafe_env),
    flag("keep-credentials", "leave the variables that hold keys in the command's environment", |it| &mut it.keep_credentials),
    valued(("file", List, "VAR[=FORMAT]"), "pass a file in memory, and its path in VAR (default format: env)", |it| &mut it.file),
    valued(("secret-file", List, "NAME[=VAR][:raw|:base64]"), "pass one secret as a file in memory, and its path in VAR (default NAME_FILE)", |it| &mut it.secret_file),
    valued(("template", List, "VAR=FILE"), "pass FILE with {{NAME}} replaced as a file in memory, and its path in VAR", |it| &mut it.template),
    flag("expand-args", "replace {VAR} in COMMAND's arguments by the path of the file in memory of VAR", |it| &mut it.expand_args)
        .needs(FILES),
    valued(("file-mode", Text, "MODE"), "the mode of files in memory (default 0444)", |it| &mut it.file_mode)
        .needs(FILES),
    flag("file-only", "do not put the secrets in the environment, only in files in memory", |it| &mut it.file_only)
        .needs(FILES),
    valued(("print", Text, "FORMAT"), "print the secrets as env, shell, fish, json, yaml, docker, github, names or raw; no command", |it| &mut it.print)
        .words(FORMATS).excludes(&["watch", "list", "file", "secret-file", "template", "redact", "json", "check"]),
    flag("allow-file", "with --print, write even to a regular file", |it| &mut it.allow_file)
        .needs(&["print"]),
    flag("list", "print names, levels and length ranges; no command", |it| &mut it.list)
        .excludes(&["watch", "file", "secret-file", "template", "redact", "check"]),
    flag("check", "do everything except start COMMAND (optional), and report the findings", |it| &mut it.check),
    flag("json", "with --list or --check, write JSON", |it| &mut it.json)
        .needs(&["list", "check"]),
    valued(("mask", OptionalText, "RUNNER"), "make the CI runner mask values: auto (default), github, azure or off", |it| &mut it.mask)
        .words(&["auto", "github", "azure", "off"]),
    flag("no-attribution", "do not send the pipeline's name to the service", |it| &mut it.no_attribution),
    valued(("audit", Text, "FD|journal|syslog"), "record the run, without values, as one line of JSON", |it| &mut it.audit)
        .words(&["journal", "syslog"]),
    valued(("profile", Text, "FILE[#SECTION]"), "read options that are not given from FILE, in TOML", |it| &mut it.profile)
        .files().scope(Scope::CommandLine),
    flag("exec", "become the command even as PID 1; no parent", |it| &mut it.exec)
        .excludes(SUPERVISING),
    flag("supervise", "stay as the parent of the command (implied by the next six options)", |it| &mut it.supervise),
    flag("group", "run the command in its own process group; forward signals to the group", |it| &mut it.group),
    flag("subreaper", "reap all orphaned descendants, as PID 1 does", |it| &mut it.subreaper),
    valued(("stop-timeout", NumberOrText, "SECONDS[:SIG]"), "kill the command SECONDS after a forwarded TERM, INT or QUIT", |it| &mut it.stop_timeout),
    valued(("die-with-parent", OptionalText, "SIGNAL"), "send SIGNAL (default TERM) to the command if the parent is killed", |it| &mut it.die_with_parent),
    flag("redact", "replace secrets in the command's output by [NAME]", |it| &mut it.redact),
    valued(("watch", OptionalNumber, "SECONDS"), "restart the command when its secrets change; checks every 30 s", |it| &mut it.watch),
    valued(("on-change", Text, "ACTION"), "with --watch: restart (default), exit, or send this signal instead", |it| &mut it.on_change)
        .words(&["restart", "exit", "HUP", "USR1", "USR2"]).needs(&["watch"]),
    flag("quiet", "print no warnings", |it| &mut it.quiet)
        .short('q').replaces(&["verbose"]),
    flag("verbose", "report what is done at every stage", |it| &mut it.verbose)
        .short('v'),
    valued(("completions", Text, "SHELL"), "print completions for bash, zsh or fish and exit", |it| &mut it.completions)
        .words(&["bash", "zsh", "fish"]).scope(Scope::CommandLine),
    flag("help", "print this help and exit", |it| &mut it.help)
        .scope(Scope::CommandLine),
    flag("version", "print the version and exit", |it| &mut it.version)
        .scope(Scope::CommandLine),
    valued(("client-keys", Table, ""), "", |it| &mut it.client_keys)
        .entries().scope(Scope::Profile),
    valued(("path", Texts, ""), "", |it| &mut it.path)
        .variable(FromEnvironment::Text("DOTENV_RUN_PATH")).scope(Scope::Positional),
    valued(("command", Words, ""), "", |it| &mut it.command)
        .excludes(&["print", "list"]).scope(Scope::Positional),
];

/// The text of `--help`.
pub fn help() -> String {
    let mut text = String::from(
        "Usage: dotenv-run [OPTION]... [PATH]... -- COMMAND [ARG]...\n       \
         dotenv-run [OPTION]... [PATH]... --print FORMAT | --list | --check\n\
         Run COMMAND with the secrets of PATH (project[/target[/environment]]) in its environment.\n\
         Of several PATHs, the later one wins.\n\n",
    );
    for spec in Spec::options() {
        let short = spec
            .short
            .map_or("    ".to_owned(), |short| format!("-{short}, "));
        let value = match spec.kind {
            Kind::Flag => String::new(),
            _ if spec.is_optional() => format!("[={}]", spec.value),
            _ => format!(" {}", spec.value),
        };
        let (name, help) = (format!("{short}--{}{value}", spec.long), spec.description());
        text.push_str(&format!("  {name:<32}  {help}\n"));
    }
    text.push_str(
        "\nThe default of PATH is DOTENV_RUN_PATH. The API key is read from --api-key-file, DOTENV_API_KEY_FILE,\n\
         DOTENV_API_KEY, $CREDENTIALS_DIRECTORY/dotenv-api-key or /run/secrets/dotenv_api_key; the client key\n\
         from --client-key, DOTENV_CLIENT_KEY_FILE, DOTENV_CLIENT_KEY, $CREDENTIALS_DIRECTORY/dotenv-client-key,\n\
         /run/secrets/dotenv_client_key or a prompt.\n\n\
         Exit status: that of the command; 124 could not fetch in time; 125 any other failure of dotenv-run;\n\
         126 the command could not be executed; 127 the command was not found.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::options::Content;
    use crate::dotenv::render::Form;

    #[test]
    fn the_entries_name_entries() {
        let is_known = |name: &str| SPECS.iter().any(|spec| spec.long == name);
        for spec in SPECS {
            for other in [spec.excludes, spec.replaces, spec.needs].concat() {
                assert!(is_known(other), "{}: {other}", spec.long);
            }
        }
        for option in SUPERVISING {
            assert!(is_known(option), "{option}");
        }
    }

    #[test]
    fn every_entry_has_a_place_of_its_own_for_its_values() {
        let mut given = Given::default();
        let mut places: Vec<_> = SPECS
            .iter()
            .map(|spec| std::ptr::from_mut((spec.setting)(&mut given)) as usize)
            .collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), SPECS.len());
        let rooms = size_of::<Given>() / size_of::<Setting>();
        assert_eq!(rooms, SPECS.len(), "a setting without an entry");
    }

    #[test]
    fn the_formats_are_those_that_can_be_rendered() {
        let single = [Content::RAW, Content::RAW_BASE64];
        assert_eq!(FORMATS, [&Form::ALL.map(Form::name)[..], &single].concat());
    }
}
