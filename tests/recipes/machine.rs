//! A machine on which snippets run as they stand: with a service, with stubs for the programs that are the reader's
//! own, and with the absolute paths that a snippet names.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::snippets::Snippet;
use crate::support::*;

/// In the value of every secret, and nowhere else.
pub const SECRET: &str = "tr0ub4dor-and-three";

/// Makes the places below `$0/root` part of the file system, without a trace in the real one.
const OVERLAYS: &str = "
    for place in etc srv usr/local/bin var/lib/systemd; do
        [ -e \"$0/root/$place\" ] || continue
        mkdir -p \"$0/layers/$place\"
        layers=\"lowerdir=/$place,upperdir=$0/root/$place,workdir=$0/layers/$place\"
        mount -t overlay -o \"$layers\" none \"/$place\"
    done";

/// Mounts that need no more than namespaces.
pub const PLACES: fn() -> Result<(), String> = || {
    let directory = TempDir::new();
    fs::create_dir_all(directory.path().join("root/etc")).expect("a directory of ours");
    let run = Run::program("true").with_mounts(directory.path(), OVERLAYS);
    match run.finish().status.success() {
        true => Ok(()),
        false => Err("needs namespaces in which an overlay can be mounted".into()),
    }
};

/// What a stub is to find when it is started.
#[derive(Clone, Copy)]
pub enum Finds<'a> {
    /// Neither secrets nor keys.
    Nothing,
    /// Secrets, and no key.
    Secrets,
    /// The same, and what this command of a shell finds right.
    Also(&'a str),
    /// No key, and what this command finds right.
    Only(&'a str),
}

/// The service, and the directory of everything else.
pub struct Machine {
    service: Service,
    directory: TempDir,
}

impl Machine {
    pub fn new() -> Self {
        Machine::of(Custody::server())
    }

    /// With a project whose keys are kept like this.
    pub fn of(custody: Custody) -> Self {
        Machine::with(world(custody))
    }

    /// With other secrets.
    pub fn with(world: World) -> Self {
        let machine = Machine {
            service: Service::of(world),
            directory: TempDir::new(),
        };
        for directory in ["bin", "work", "root", "home"] {
            fs::create_dir(machine.path(directory)).expect("a directory of ours");
        }
        for program in [
            env!("CARGO_BIN_EXE_dotenv-run"),
            env!("CARGO_BIN_EXE_dotenv-seal"),
        ] {
            let name = Path::new(program).file_name().expect("a file");
            symlink(program, machine.path("bin").join(name)).expect("a link");
        }
        machine
    }

    /// A path below the directory of this machine: in `bin`, which is in PATH, in `work`, where snippets run, in
    /// `home`, or in `root`, whose files appear at their places in the file system.
    pub fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    /// Writes a file, and makes the directories that it is in.
    pub fn file(&self, path: &str, content: &str) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory of ours");
        fs::write(&path, content).expect("a file of ours");
        path
    }

    pub fn executable(&self, path: &str, content: &str) {
        write_program(&self.file(path, ""), content);
    }

    /// A file with the API key that only its owner can read.
    pub fn key_file(&self, path: &str) -> PathBuf {
        let path = self.file(path, &self.api_key());
        set_mode(&path, 0o600);
        path
    }

    pub fn api_key(&self) -> String {
        self.service.api_key().to_owned()
    }

    /// The certificates to trust for the service.
    pub fn authority(&self) -> &Path {
        self.service.ca_file()
    }

    /// The URL of the service.
    pub fn url(&self) -> String {
        self.service.url()
    }

    /// Puts a stub at a path; see [`stub`].
    pub fn stub(&self, path: &str, finds: Finds<'_>) {
        self.executable(path, &stub(path, finds, &self.api_key()));
    }

    /// Puts a stub of pass(1) into PATH, which prints the API key.
    pub fn stub_pass(&self) {
        let script = format!("#!/bin/sh\necho {}\n", self.api_key());
        self.executable("bin/pass", &script);
    }

    /// A program on this machine, in the directory where snippets run. It has no key; where the service is and whom
    /// to trust for it, which no snippet can know, is in the environment.
    pub fn run(&self, program: &str) -> Run {
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", self.path("bin").display());
        let run = Run::program("env").arg(program).env("PATH", path);
        let run = run.env("HOME", self.path("home")).dir(self.path("work"));
        run.env("DOTENV_API_URL", self.url())
            .env("SSL_CERT_FILE", self.authority())
    }

    /// A shell that reads the commands of a snippet, of which none may fail.
    pub fn shell(&self, snippet: &Snippet) -> Run {
        self.run("sh").args(["-euc", &snippet.commands()])
    }

    /// A run that can use the Rust toolchain of whoever runs the tests.
    pub fn with_rust(&self, run: Run) -> Run {
        let names = ["CARGO_HOME", "HOME", "RUSTUP_HOME"].into_iter();
        let variables = names.filter_map(|name| Some((name, std::env::var_os(name)?)));
        variables.fold(run, |run, (name, value)| run.env(name, value))
    }

    /// A run with the places below `root` mounted.
    pub fn with_places(&self, run: Run) -> Run {
        run.with_mounts(self.directory.path(), OVERLAYS)
    }

    /// The words that run a command with these places, for who has namespaces already.
    pub fn places(&self) -> Vec<String> {
        let script = format!("set -e{OVERLAYS}\nexec \"$@\"");
        let directory = self.directory.path().display().to_string();
        vec!["sh".into(), "-c".into(), script, directory]
    }

    /// It ended with 0, these stubs and no others said that all is well, and nothing secret was written.
    #[track_caller]
    pub fn assert_ran(&self, outcome: &Outcome, stubs: &[&str]) {
        outcome.assert_status(0);
        self.assert_said(outcome.text(), stubs);
        self.assert_silent(&outcome.to_string());
    }

    /// What the stubs said, in a text with other lines.
    #[track_caller]
    pub fn assert_said(&self, text: &str, stubs: &[&str]) {
        let said = text.lines().filter_map(|line| line.strip_prefix(SAID));
        assert_eq!(said.collect::<Vec<_>>(), stubs, "{text}");
    }

    #[track_caller]
    pub fn assert_silent(&self, log: &str) {
        for secret in [SECRET, self.service.api_key()] {
            assert!(!log.contains(secret), "{secret} in\n{log}");
        }
    }
}

/// What a line of a stub starts with.
pub const SAID: &str = "started as it should be: ";

/// Writes a file to be executed. By another process: while this one has it open, a child of another test may have it
/// open too, and then it cannot be executed.
pub fn write_program(path: &Path, content: &str) {
    let write = Run::shell("cat >\"$0.new\" && chmod 755 \"$0.new\" && mv \"$0.new\" \"$0\"");
    let outcome = write.arg(path).stdin(content).finish();
    outcome.assert_status(0);
}

/// A script that stands for a program at a path. It says `name arguments` if what it finds, in its environment and in
/// the arguments of all processes above it, is as it should be, and fails otherwise.
pub fn stub(path: &str, finds: Finds<'_>, api_key: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or_default();
    let condition = match finds {
        Finds::Nothing => format!("! env | grep -q -e {SECRET} -e {api_key}"),
        Finds::Secrets => format!("env | grep -q {SECRET}"),
        Finds::Also(command) => format!("env | grep -q {SECRET} && {command}"),
        Finds::Only(command) => command.to_owned(),
    };
    format!(
        "#!/bin/sh
wrong() {{ echo \"{name}: $*\" >&2; exit 1; }}
if env | grep -q '^DOTENV_[A-Z_]*KEY'; then wrong 'there is a key'; fi
if {condition}; then :; else wrong 'something is missing or too much'; fi
process=$$
while [ \"$process\" -gt 0 ]; do
    if tr '\\0' ' ' <\"/proc/$process/cmdline\" | grep -q -e {SECRET} -e {api_key}; then
        wrong 'an argument shows what is secret'
    fi
    process=$(sed -n 's/^PPid:[[:space:]]*//p' \"/proc/$process/status\")
done
echo \"{SAID}{name}${{*:+ }}$*\"
"
    )
}

/// What the snippets ask for.
pub fn world(custody: Custody) -> World {
    let project = Project::new("my-app", custody)
        .level(
            "",
            &format!("DB_HOST=db\nDB_PORT=5432\nDB_URL=postgres://app:{SECRET}@db\n"),
        )
        .level(
            "ci",
            &format!("CACHE=redis://$DB_HOST\nNPM_TOKEN={SECRET}\n"),
        )
        .level("ci/build", "LOG_LEVEL=debug\n")
        .level("development", "AWS_REGION=eu-central-1\n")
        .level("production", "AWS_REGION=eu-central-1\n")
        .level("production/api", &format!("SMTP_PASSWORD={SECRET}\n"));
    World::new(vec![project])
}
