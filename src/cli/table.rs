//! The table of options: what is parsed, and what `--help` prints.

#![forbid(unsafe_code)]

use lexopt::Arg;

/// What the value of an option is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// There is none.
    Flag,
    /// One text.
    Text,
    /// One number.
    Number,
    /// Any number of texts.
    List,
    /// One text or none.
    OptionalText,
    /// One number or none.
    OptionalNumber,
    /// Any number of texts, or none.
    OptionalList,
}

/// One option as the user sees it.
pub struct Spec {
    /// The name without its dashes.
    pub long: &'static str,
    /// The one-letter form, for the few that have one.
    pub short: Option<char>,
    /// The placeholder of the value; empty for a flag, and with a leading `=` where the value may be
    /// left out.
    pub value: &'static str,
    /// What it does.
    pub help: &'static str,
}

impl Spec {
    /// Every option, in the order of `--help`.
    pub fn all() -> &'static [Spec] {
        SPECS
    }

    /// The option of that long name.
    pub fn named(long: &str) -> Option<&'static Spec> {
        SPECS.iter().find(|spec| spec.long == long)
    }

    /// What its value is made of.
    pub fn kind(&self) -> Kind {
        let is_list = self.value.ends_with(",...") || self.long == "file";
        match (self.value.chars().next(), is_list) {
            (None, _) => Kind::Flag,
            (Some('='), false) if self.value == "=SECONDS" => Kind::OptionalNumber,
            (Some('='), false) => Kind::OptionalText,
            (Some('='), true) => Kind::OptionalList,
            (Some(_), true) => Kind::List,
            (Some(_), false) if self.value == "SECONDS" => Kind::Number,
            (Some(_), false) => Kind::Text,
        }
    }

    /// The option that an argument names.
    pub fn find(argument: &Arg<'_>) -> Option<&'static Spec> {
        SPECS.iter().find(|spec| match argument {
            Arg::Long(long) => spec.long == *long,
            Arg::Short(short) => spec.short == Some(*short),
            Arg::Value(_) => false,
        })
    }
}

const fn option(long: &'static str, value: &'static str, help: &'static str) -> Spec {
    Spec {
        long,
        short: None,
        value,
        help,
    }
}

/// Every option, in the order of `--help`.
#[rustfmt::skip]
const SPECS: &[Spec] = &[
    option("organization", "ID|SLUG", "the organization, if the key does not identify it [DOTENV_ORGANIZATION]"),
    option("api-url", "URL", "the service, or file:///TREE for a sealed tree [DOTENV_API_URL]"),
    option("mirror", "URL", "fetch from URL if the service fails; repeatable [DOTENV_RUN_MIRRORS]"),
    option("api-key-file", "FILE", "read the API key from FILE, '-' or 'fd:N'"),
    option("client-key", "FILE", "read the client key from FILE, '-' or 'fd:N'"),
    option("ca-file", "FILE", "trust only the certificates in FILE [SSL_CERT_FILE]"),
    option("timeout", "SECONDS", "stop fetching after SECONDS in total (default 30)"),
    option("allow-swap", "", "continue if memory cannot be locked and the machine has swap space"),
    option("cache", "SECONDS", "keep answers in kernel memory, reuse for SECONDS [DOTENV_RUN_CACHE]"),
    option("no-cache", "", "do not use the cache, even if DOTENV_RUN_CACHE is set"),
    option("stale", "SECONDS", "with --cache, reuse SECONDS longer while the service is unreachable"),
    option("allow-plaintext", "", "accept unencrypted levels in a client-managed project"),
    option("level-only", "", "use only the deepest level of PATH"),
    option("allow-empty", "", "start the command even if there are no secrets"),
    option("resolve", "", "resolve $NAME, ${NAME}, ${NAME:-default} and similar in values"),
    option("resolve-env", "", "like --resolve, but also look in the inherited environment"),
    option("strict", "", "with --resolve, fail if a name in a reference is not set"),
    option("only", "GLOB,...", "select only the secrets whose names match"),
    option("except", "GLOB,...", "exclude the secrets whose names match"),
    option("rename", "OLD=NEW,...", "rename secrets"),
    option("prefix", "PREFIX", "add PREFIX to every name"),
    option("require", "NAME,...", "fail if any of these secrets is missing or empty"),
    option("preserve-env", "=NAME,...", "keep inherited variables over secrets: all, or these"),
    option("clean-env", "", "start from an empty environment"),
    option("pass", "NAME,...", "with --clean-env, inherit these variables"),
    option("allow-unsafe-env", "NAME,...", "accept secrets with these names, such as PATH or LD_PRELOAD"),
    option("keep-credentials", "", "leave the variables that hold keys in the command's environment"),
    option("file", "VAR[=FORMAT]", "pass a file in memory, and its path in VAR (default format: env)"),
    option("file-only", "", "with --file, do not put the secrets in the environment"),
    option("print", "FORMAT", "print the secrets as env, shell, json or yaml; no command"),
    option("allow-file", "", "with --print, write even to a regular file"),
    option("list", "", "print names, levels and length ranges; no command"),
    option("check", "", "do everything except start COMMAND (optional), and report the findings"),
    option("json", "", "with --list or --check, write JSON"),
    option("mask", "=RUNNER", "make the CI runner mask values: auto (default), github, azure or off"),
    option("no-attribution", "", "do not send the pipeline's name to the service"),
    option("audit", "FD|journal|syslog", "record the run, without values, as one line of JSON"),
    option("profile", "FILE", "read options that are not given from FILE, in TOML"),
    option("exec", "", "become the command even as PID 1; no parent"),
    option("supervise", "", "stay as the parent of the command (implied by the next six options)"),
    option("group", "", "run the command in its own process group; forward signals to the group"),
    option("subreaper", "", "reap all orphaned descendants, as PID 1 does"),
    option("stop-timeout", "SECONDS", "kill the command SECONDS after a forwarded TERM, INT, HUP or QUIT"),
    option("die-with-parent", "=SIGNAL", "send SIGNAL (default TERM) to the command if the parent is killed"),
    option("redact", "", "replace secrets in the command's output by [NAME]"),
    option("watch", "=SECONDS", "restart the command when its secrets change; checks every 30 s"),
    option("on-change", "ACTION", "with --watch: restart (default), exit, or send this signal instead"),
    Spec { short: Some('q'), ..option("quiet", "", "print no warnings") },
    Spec { short: Some('v'), ..option("verbose", "", "report what is done at every stage") },
    option("completions", "SHELL", "print completions for bash, zsh or fish and exit"),
    option("help", "", "print this help and exit"),
    option("version", "", "print the version and exit"),
];

/// The text of `--help`.
pub fn help() -> String {
    let mut text = String::from(
        "Usage: dotenv-run [OPTION]... [PATH] -- COMMAND [ARG]...\n       \
         dotenv-run [OPTION]... [PATH] --print FORMAT | --list | --check\n\
         Run COMMAND with the secrets of PATH (project[/target[/environment]]) in its environment.\n\n",
    );
    for Spec {
        long,
        short,
        value,
        help,
    } in SPECS
    {
        let short = short.map_or("    ".to_owned(), |short| format!("-{short}, "));
        let value = match value.chars().next() {
            None => String::new(),
            Some('=') => format!("[{value}]"),
            Some(_) => format!(" {value}"),
        };
        let name = format!("{short}--{long}{value}");
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
