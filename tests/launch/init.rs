//! As PID 1 of a container: a supervisor without being asked, which does what an init must.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{PLAIN, SEALED};
use crate::support::*;

/// What makes a program PID 1 of a namespace that ends with us.
pub const UNSHARE: [&str; 6] = [
    "unshare",
    "--user",
    "--map-root-user",
    "--pid",
    "--fork",
    "--kill-child",
];

/// Namespaces, and a `/proc` that shows the new one.
pub const OWN_PROC: fn() -> Result<(), String> = || {
    let run = Run::program("true").under(UNSHARE.iter().chain(&["--mount-proc"]));
    match tool("unshare").is_ok() && run.finish().status.success() {
        true => Ok(()),
        false => Err("needs an unshare that may mount /proc".into()),
    }
};

/// The command `sh -c SCRIPT` of a run as PID 1.
fn as_pid_1(tree: &Tree, script: &str) -> Run {
    let run = tree
        .dotenv_run()
        .arg(PLAIN)
        .args(["--", "sh", "-c", script]);
    run.under(UNSHARE)
}

fn with_own_proc(run: Run) -> Run {
    let [unshare, rest @ ..] = UNSHARE;
    assert_eq!(unshare, "unshare");
    run.under([&["unshare", "--mount-proc"][..], &rest].concat())
}

pub fn the_command_of_pid_1_is_its_child() {
    let tree = Tree::example();
    let script = "echo $$ $PPID \"$LOG_LEVEL\"; echo /proc/[0-9]*";
    for options in [&[][..], &["--supervise"]] {
        let run = tree
            .dotenv_run()
            .arg(PLAIN)
            .args(options)
            .args(["--", "sh", "-c", script]);
        let outcome = with_own_proc(run).finish();
        outcome
            .assert_status(0)
            .assert_stdout("2 1 debug\n/proc/1 /proc/2\n");
    }
}

pub fn exec_makes_the_command_pid_1() {
    let tree = Tree::example();
    let run = tree
        .dotenv_run()
        .arg(PLAIN)
        .args(["--exec", "--", "sh", "-c"]);
    let run = run.arg("echo $$; echo /proc/[0-9]*; exit 42");
    let outcome = with_own_proc(run).finish();
    outcome.assert_status(42).assert_stdout("1\n/proc/1\n");
}

pub fn the_status_is_mirrored() {
    let tree = Tree::example();
    for status in [0, 1, 42, 124, 125, 128, 254, 255] {
        let outcome = as_pid_1(&tree, &format!("exit {status}")).finish();
        outcome.assert_status(status);
        assert_eq!(outcome.stderr, "", "{outcome}");
    }
}

pub fn death_by_a_signal_is_128_and_its_number() {
    let tree = Tree::example();
    for number in [1, 2, 3, 6, 9, 11, 13, 15, 34, 64] {
        let outcome = as_pid_1(&tree, &format!("kill -{number} $$")).finish();
        outcome.assert_status(128 + number);
        assert_eq!(outcome.stderr, "", "{outcome}");
    }
}

pub fn refusals_keep_their_status() {
    let tree = Tree::example();
    let refusal = |path, command: &str| {
        let run = tree
            .dotenv_run()
            .arg(path)
            .env("DOTENV_CLIENT_KEY", "wrong");
        run.args(["-q", "--", command]).under(UNSHARE).finish()
    };
    refusal(SEALED, "true").assert_refused(125, &["wrong client key"]);
    refusal(PLAIN, "/").assert_refused(126, &["/"]);
    refusal(PLAIN, "/no/such/tool").assert_refused(127, &["/no/such/tool"]);
}

/// A process whose parent has ended belongs to PID 1, which must take its end, and not for the
/// command's.
pub fn orphans_are_reaped() {
    let (tree, dir) = (Tree::example(), TempDir::new());
    let script = "mkfifo end; \
                  orphan=$(sh -c '(read line <end; exit 9) >/dev/null & echo $!'); \
                  grep PPid /proc/$orphan/status; echo >end; n=0; \
                  while test -e /proc/$orphan; do \
                      n=$((n + 1)); test $n -lt 500 || exit 1; sleep 0.01; \
                  done; exit 3";
    let run = tree
        .dotenv_run()
        .arg(PLAIN)
        .args(["--", "sh", "-c", script]);
    let outcome = with_own_proc(run.dir(dir.path())).finish();
    outcome.assert_status(3).assert_stdout("PPid:\t1\n");
}

pub fn what_outlives_the_command_ends_with_it() {
    let tree = Tree::example();
    as_pid_1(&tree, "sleep 1000 & exit 3")
        .finish()
        .assert_status(3);
}

pub fn signals_to_pid_1_reach_the_command() {
    let tree = Tree::example();
    let script = "for s in HUP INT QUIT USR1 USR2; do trap \"echo SIG$s.\" $s; done; \
                  echo ready.; while :; do sleep 0.01; done";
    let live = as_pid_1(&tree, script).spawn();
    live.wait_for_output("ready.");
    let children = format!("/proc/{0}/task/{0}/children", live.pid());
    let child = fs::read_to_string(children).expect("the children of unshare");
    let child = Pid::from_raw(child.trim().parse().expect("one child"));
    for signal in [
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGUSR1,
    ] {
        kill(child, signal).expect("a signal to PID 1");
        live.wait_for_output(&format!("{signal}.\n"));
    }
    kill(child, Signal::SIGTERM).expect("a signal to PID 1");
    live.wait().assert_status(128 + 15);
}

/// What `make static` makes, newer than the sources.
pub const STATIC_BUILD: fn() -> Result<(), String> = || {
    let built = static_build().and_then(|program| program.metadata()?.modified());
    let sources = newest(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    match (built, sources) {
        (Ok(built), Ok(sources)) if built > sources => Ok(()),
        _ => Err("needs `make static` after the last change in src".into()),
    }
};

/// A C compiler with a static library, for the command beside us.
pub const STATIC_LINKING: fn() -> Result<(), String> = || {
    let dir = TempDir::new();
    match tool("cc").is_ok()
        && compile(&dir, "int main(void) { return 0; }")
            .status
            .success()
    {
        true => Ok(()),
        false => Err("needs `cc -static`".into()),
    }
};

/// The release of a target that has no interpreter.
pub fn static_build() -> std::io::Result<PathBuf> {
    let program = Path::new(env!("CARGO_BIN_EXE_dotenv-run"));
    let targets = program.ancestors().nth(2).expect("target/debug/dotenv-run");
    let programs = fs::read_dir(targets)?.flatten();
    let mut programs = programs.map(|entry| entry.path().join("release/dotenv-run"));
    let found = programs.find(|program| fs::read(program).is_ok_and(|elf| is_static(&elf)));
    found.ok_or(std::io::ErrorKind::NotFound.into())
}

/// Whether a 64-bit ELF program names no interpreter (`PT_INTERP` is 3).
fn is_static(elf: &[u8]) -> bool {
    let number = |at: usize, size: usize| {
        let bytes = elf.get(at..at + size).unwrap_or_default();
        bytes
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | usize::from(*byte))
    };
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    elf.starts_with(b"\x7fELF") && (0..count).all(|entry| number(table + entry * size, 4) != 3)
}

/// When anything below a directory was changed last.
fn newest(directory: &Path) -> std::io::Result<SystemTime> {
    let mut newest = SystemTime::UNIX_EPOCH;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let (path, metadata) = (entry.path(), entry.metadata()?);
        newest = newest.max(match metadata.is_dir() {
            true => self::newest(&path)?,
            false => metadata.modified()?,
        });
    }
    Ok(newest)
}

/// Compiles a program as `command` in `dir`.
fn compile(dir: &TempDir, source: &str) -> Outcome {
    let source = dir.file("command.c", source);
    let output = dir.path().join("command");
    let run = Run::program("cc")
        .args(["-static", "-o"])
        .arg(output)
        .arg(&source);
    let outcome = run.finish();
    fs::remove_file(source).expect("a file of ours");
    outcome
}

const COMMAND: &str = r#"
    #include <signal.h>
    #include <stdio.h>
    #include <stdlib.h>
    #include <unistd.h>
    int main(int count, char **arguments) {
        printf("%d %s %d\n", (int)getpid(), getenv("STRIPE_SECRET_KEY"), getenv("DOTENV_CLIENT_KEY") != 0);
        fflush(stdout);
        if (count > 1) kill(getpid(), atoi(arguments[1]));
        return 42;
    }
"#;

pub fn a_static_build_is_pid_1_of_an_empty_chroot() {
    let (tree, root) = (Tree::example(), TempDir::new());
    compile(&root, COMMAND).assert_status(0);
    let program = static_build().expect("a static build");
    fs::copy(program, root.path().join("dotenv-run")).expect("a copy of the program");
    let documents = root.path().join("api");
    fs::rename(tree.root().join("api"), documents).expect("a tree in the same directory");

    let run = |options: &[&str]| {
        let run = Run::program("/dotenv-run").args(["--api-url", "file:///", "-q", SEALED]);
        let run = run.client_key().args(options);
        let chroot = ["chroot".as_ref(), root.path().as_os_str()];
        let wrapper = UNSHARE.map(std::ffi::OsStr::new).into_iter().chain(chroot);
        run.under(wrapper).finish()
    };
    run(&["--", "/command"])
        .assert_status(42)
        .assert_stdout("2 sk_live_x 0\n");
    run(&["--", "/command", "9"]).assert_status(128 + 9);
    run(&["--exec", "--", "/command"])
        .assert_status(42)
        .assert_stdout("1 sk_live_x 0\n");
    run(&["--", "/absent"]).assert_refused(127, &["/absent"]);
    run(&["--client-key", "/absent", "--", "/command"]).assert_refused(125, &["--client-key"]);
}
