//! The ways to run a command, each with what it must be asked to show that it works.

use std::fs;
use std::path::Path;

use crate::support::*;

/// What no output of a command behind a filter may show.
pub const SECRET: &str = "kX4tQ9vZ2mB7wR5n";

/// The value after a change.
pub const NEXT: &str = "pL8sD3fG6hJ1aC0y";

/// Where the secrets come from.
#[derive(Clone, Copy, PartialEq)]
pub enum Origin {
    /// A sealed directory of a client-managed project.
    Tree,
    /// A service over TLS, with a client-managed project.
    Service,
    /// The same with a project of which the service keeps the key.
    Managed,
}

/// Where the command writes.
#[derive(Clone, Copy, PartialEq)]
pub enum Output {
    Pipes,
    Terminal,
}

/// One way to run a command.
pub struct Mode {
    pub name: &'static str,
    pub options: &'static [&'static str],
    pub origin: Origin,
    pub output: Output,
    /// What the command does before it tells what it sees.
    pub first: &'static str,
    /// What the command does in the end.
    pub last: &'static str,
    /// What is done to it meanwhile, with the process ID of the program as `$1`.
    pub hook: &'static str,
}

const PLAIN: Mode = Mode {
    name: "",
    options: &[],
    origin: Origin::Tree,
    output: Output::Pipes,
    first: "",
    last: "exit 7",
    hook: "",
};

const CHANGE: &str = "cp \"$DIRECTORY/next\" \"$DOCUMENT\"";
const WAIT_FOR_CHANGE: &str = "case $TOKEN in kX*) exec sleep 8;; esac; exit 7";

/// All of them.
#[rustfmt::skip]
pub const MODES: &[Mode] = &[
    Mode { name: "exec", options: &["--exec"], ..PLAIN },
    Mode { name: "supervise", options: &["--supervise"], ..PLAIN },
    Mode { name: "group", options: &["--group"], ..PLAIN },
    Mode { name: "group on a terminal", options: &["--group"], output: Output::Terminal, ..PLAIN },
    Mode { name: "subreaper", options: &["--subreaper"], last: "(sh -c 'sleep 0.1' &) ; exit 7", ..PLAIN },
    Mode { name: "stop-timeout", options: &["--stop-timeout", "0.2"], first: "trap '' TERM",
        last: "exec sleep 8", hook: "kill -TERM \"$1\"", ..PLAIN },
    Mode { name: "die-with-parent", options: &["--die-with-parent"], ..PLAIN },
    Mode { name: "watch", options: &["--watch=1"], last: WAIT_FOR_CHANGE, hook: CHANGE, ..PLAIN },
    Mode { name: "redact", options: &["--redact"], ..PLAIN },
    Mode { name: "redact on a terminal", options: &["--redact"], output: Output::Terminal, ..PLAIN },
    Mode { name: "watch redact", options: &["--watch=1", "--redact"], last: WAIT_FOR_CHANGE, hook: CHANGE, ..PLAIN },
    Mode { name: "watch redact on a terminal", options: &["--watch=1", "--redact"], output: Output::Terminal,
        last: WAIT_FOR_CHANGE, hook: CHANGE, ..PLAIN },
    Mode { name: "audit", options: &["--audit", "9"], ..PLAIN },
    Mode { name: "file", options: &["--file", "CONF=json", "--file-only"], first: "cat \"$CONF\"", ..PLAIN },
    Mode { name: "mask", options: &["--mask=github"], ..PLAIN },
    Mode { name: "client key from a descriptor", options: &["--client-key", "fd:8"], ..PLAIN },
    Mode { name: "redact with keys and audit by descriptor", options: &["--redact", "--audit", "9", "--client-key", "fd:8"], ..PLAIN },
    Mode { name: "service", options: &["--exec"], origin: Origin::Service, ..PLAIN },
    Mode { name: "service redact", options: &["--redact"], origin: Origin::Service, ..PLAIN },
    Mode { name: "service cache", options: &["--supervise", "--cache", "60"], origin: Origin::Managed, ..PLAIN },
];

/// What the command tells: what it was given, and what it inherited.
const REPORT: &str = r#"
echo "token $TOKEN"; echo "error $TOKEN" >&2
for descriptor in /proc/$$/fd/*; do printf '%s ' "${descriptor##*/}"; done; echo
set -- $(cat /proc/$$/stat)
[ $5 = $1 ] && echo own group
[ $8 = $5 ] && echo foreground
grep -E '^(Sig(Blk|Ign)|NoNewPrivs|Seccomp_filters|VmLck)' /proc/self/status
"#;

/// What all runs of a mode read.
pub struct Sources {
    service: Service,
}

fn world(value: &str) -> World {
    let text = format!("TOKEN={value}\n");
    World::new(vec![
        Project::new("p", Custody::client()).level("", &text),
        Project::new("m", Custody::server()).level("", &text),
    ])
}

impl Sources {
    pub fn new() -> Self {
        Sources {
            service: Service::of(world(SECRET)),
        }
    }
}

impl Mode {
    pub fn redacts(&self) -> bool {
        self.options.contains(&"--redact")
    }

    pub fn watches(&self) -> bool {
        self.options
            .iter()
            .any(|option| option.starts_with("--watch"))
    }

    /// A run below a directory of its own, and the tree that it may read.
    pub fn run(&self, sources: &Sources, dir: &Path) -> (Run, Tree) {
        let tree = Tree::of(&world(SECRET));
        let next = Tree::of(&world(NEXT));
        let document = tree.secrets("p");
        fs::copy(next.secrets("p"), dir.join("next")).expect("a copy of a document");
        let run = match self.origin {
            Origin::Tree => tree.dotenv_run().arg("p"),
            Origin::Service => sources.service.dotenv_run().arg("p"),
            Origin::Managed => sources.service.dotenv_run().any_custody().arg("m"),
        };
        let script = format!(
            "{}\necho ran >>\"$DIRECTORY/ran\"\n{REPORT}\n{}",
            self.first, self.last
        );
        let run = run.args(self.options).args(["--", "sh", "-c", &script]);
        let run = match self.options.contains(&"fd:8") {
            true => run,
            false => run.client_key(),
        };
        let run = run.env("DIRECTORY", dir).env("DOCUMENT", document);
        fs::write(dir.join("key"), CLIENT_KEY).expect("a key");
        set_mode(&dir.join("key"), 0o600);
        (run.env("LC_ALL", "C"), tree)
    }
}
