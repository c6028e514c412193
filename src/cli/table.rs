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
            (Some(_), false) if self.value.starts_with("SECONDS") => Kind::NumberOrText,
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
    option("organization", "ID|SLUG", "the organization, if the key does not tell [DOTENV_ORGANIZATION]"),
    option("api-url", "URL", "the service, or file:///TREE for a sealed tree [DOTENV_API_URL]"),
    option("mirror", "URL", "read here if the service fails; repeatable [DOTENV_RUN_MIRRORS]"),
    option("api-key-file", "FILE", "read the API key from FILE, '-' or 'fd:N'"),
    option("client-key", "FILE", "read the client key from FILE, '-' or 'fd:N'"),
    option("ca-file", "FILE", "trust the certificates in FILE, not the built-in roots [SSL_CERT_FILE]"),
    option("timeout", "SECONDS", "give up on the whole fetch after SECONDS (default 30)"),
    option("allow-swap", "", "go on where memory cannot be locked and the machine swaps"),
    option("cache", "SECONDS", "use an answer again for SECONDS, kept in the kernel [DOTENV_RUN_CACHE]"),
    option("no-cache", "", "keep nothing, whatever DOTENV_RUN_CACHE says"),
    option("stale", "SECONDS", "with --cache, use it SECONDS longer while the service is unreachable"),
    option("allow-plaintext", "", "accept unencrypted levels in a client-managed project"),
    option("level-only", "", "take only the deepest level of PATH"),
    option("allow-empty", "", "go on even if there is no secret"),
    option("resolve", "", "resolve $NAME, ${NAME}, ${NAME:-default} and the like in values"),
    option("resolve-env", "", "the same, and look in the inherited environment too"),
    option("strict", "", "with --resolve, a name that is not set is an error"),
    option("only", "GLOB,...", "take only the secrets whose names match"),
    option("except", "GLOB,...", "leave out the secrets whose names match"),
    option("rename", "OLD=NEW,...", "give a secret another name"),
    option("prefix", "PREFIX", "put PREFIX before every name"),
    option("require", "NAME,...", "fail if one of these is missing or empty"),
    option("preserve-env", "=NAME,...", "let inherited variables win: all, or those named"),
    option("clean-env", "", "start from an empty environment"),
    option("pass", "NAME,...", "with --clean-env, inherit these variables all the same"),
    option("allow-unsafe-env", "NAME,...", "accept secrets named like a loader's or shell's own variables"),
    option("keep-credentials", "", "leave the variables that hold our keys to the command"),
    option("file", "VAR[=FORMAT]", "give the command a file in memory, its path in VAR (default env)"),
    option("file-only", "", "with --file, leave the secrets out of the environment"),
    option("print", "FORMAT", "print the secrets as env, shell, json or yaml; no command"),
    option("allow-file", "", "with --print, write even to a regular file"),
    option("list", "", "print names, levels and length classes; no command"),
    option("check", "", "do all but start the command, which may be left out, and say what was found"),
    option("json", "", "with --list or --check, as JSON"),
    option("mask", "=RUNNER", "have the CI runner mask every value: auto (default), github, azure or off"),
    option("no-attribution", "", "do not tell the service which pipeline asks"),
    option("audit", "FD|journal|syslog", "write a line of JSON about the run, without values"),
    option("profile", "FILE", "take options that are not given from FILE, in TOML"),
    option("exec", "", "become the command in place even as PID 1; no supervisor"),
    option("supervise", "", "keep a parent in front that forwards signals; so do the next six"),
    option("group", "", "give the command a process group of its own, and signals to the group"),
    option("subreaper", "", "reap all orphans below, as PID 1 does"),
    option("stop-timeout", "SECONDS[:SIG]", "kill the command SECONDS after a forwarded TERM, INT or QUIT"),
    option("die-with-parent", "=SIGNAL", "send the command SIGNAL (TERM) if we are killed"),
    option("redact", "", "put [NAME] in the place of each secret in what the command writes"),
    option("watch", "=SECONDS", "start the command again when the secrets change, asked for every 30 s"),
    option("on-change", "ACTION", "with --watch, restart (default), exit, or SIGNAL for the command"),
    Spec { short: Some('q'), ..option("quiet", "", "no warnings") },
    Spec { short: Some('v'), ..option("verbose", "", "say what is done at every stage") },
    option("completions", "SHELL", "print completions for bash, zsh or fish and exit"),
    option("help", "", "print this and exit"),
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
        "\nPATH may come from DOTENV_RUN_PATH. The API key comes from --api-key-file, DOTENV_API_KEY_FILE,\n\
         DOTENV_API_KEY, $CREDENTIALS_DIRECTORY/dotenv-api-key or /run/secrets/dotenv_api_key, the client key\n\
         from --client-key, DOTENV_CLIENT_KEY_FILE, DOTENV_CLIENT_KEY, the same two places, or a prompt.\n\n\
         Exit status: the command's; 124 could not fetch in time; 125 any other failure of ours;\n\
         126 the command cannot be executed; 127 the command was not found.\n",
    );
    text
}
