//! What the kernel lets each process of each mode do.

use std::fs;

use nix::unistd::Pid;

use crate::support::*;
use crate::watch::family;

/// A process of ours: whether the kernel confines all of its threads, or none.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Free,
    Confined,
    Partly,
}

use Kind::{Confined, Free};

const PATH: &str = "legacy/production/api";

/// Modes, and the processes of ours beside the command.
const ON_PIPES: [(&[&str], &[Kind]); 11] = [
    (&["--exec"], &[]),
    (&["--supervise"], &[Confined]),
    (&["--group"], &[Confined]),
    (&["--subreaper"], &[Confined]),
    (&["--stop-timeout", "9"], &[Confined]),
    (&["--die-with-parent"], &[Confined]),
    // Supervisor and filter.
    (&["--redact"], &[Confined, Confined]),
    // Keeper and supervisor.
    (&["--watch"], &[Free, Confined]),
    (&["--watch", "--group"], &[Free, Confined]),
    (&["--watch", "--redact"], &[Free, Confined, Confined]),
    (
        &["--redact", "--group", "--subreaper"],
        &[Confined, Confined],
    ),
];

/// On a terminal there is a monitor too.
const ON_TERMINAL: [(&[&str], &[Kind]); 4] = [
    (&["--exec"], &[]),
    (&["--supervise"], &[Confined]),
    (&["--redact"], &[Confined, Confined, Confined]),
    (
        &["--watch", "--redact"],
        &[Free, Confined, Confined, Confined],
    ),
];

/// What a thread's status says of its confinement, and of whether what it executes may gain privileges.
fn confinement(status: &str) -> Option<[bool; 2]> {
    let line = |name: &str| {
        let mut lines = status.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"))
    };
    Some([line("Seccomp")? == "2", line("NoNewPrivs")? == "1"])
}

fn kind(process: Pid) -> Option<Kind> {
    let name = fs::read_to_string(format!("/proc/{process}/comm")).ok()?;
    if name.trim_end() != "dotenv-run" {
        return None;
    }
    let threads = fs::read_dir(format!("/proc/{process}/task")).ok()?;
    let threads = threads.flatten().filter_map(|thread| {
        let status = fs::read_to_string(thread.path().join("status")).ok()?;
        confinement(&status)
    });
    let threads: Vec<_> = threads.flatten().collect();
    Some(match (threads.contains(&true), threads.contains(&false)) {
        (true, true) => Kind::Partly,
        (true, false) => Confined,
        (false, _) => Free,
    })
}

#[track_caller]
fn wait_for_kinds(process: Pid, options: &[&str], expected: &[Kind]) {
    wait_until(&format!("{options:?}: {expected:?}"), || {
        let mut kinds: Vec<_> = family(process).into_iter().filter_map(kind).collect();
        kinds.sort();
        kinds == expected
    });
}

pub fn every_process_of_every_mode_is_confined_or_becomes_the_command() {
    let tree = Tree::example();
    let run = |options| {
        let run = tree.dotenv_run().arg("-q").args(options).args([PATH, "--"]);
        let script = "echo begun; read line <${1:-/dev/tty}";
        run.args(["sh", "-c", script, "sh"])
    };
    for (options, expected) in ON_PIPES {
        let dir = TempDir::new();
        let go = dir.fifo("go");
        let live = run(options).arg(&go).spawn();
        live.wait_for_output("begun");
        wait_for_kinds(live.pid(), options, expected);
        fs::write(&go, "\n").expect("a pipe that is read");
        live.wait().assert_status(0);
    }
    for (options, expected) in ON_TERMINAL {
        let mut terminal = Terminal::spawn(run(options));
        terminal.expect("begun");
        wait_for_kinds(terminal.pid(), options, expected);
        terminal.send("\r");
        terminal.wait().assert_status(0);
    }
}

/// Nothing has been written yet, and nothing fetched.
pub fn the_filter_is_confined_before_there_are_secrets() {
    let service = Service::example();
    service.fail(Route::Secrets, Fault::Hang);
    for options in [&["--redact"][..], &["--redact", "--watch"]] {
        let run = service.dotenv_run().args(options).args(["-q", PATH, "--"]);
        let live = run.arg("true").spawn();
        let expected: &[Kind] = match options.len() {
            1 => &[Free, Confined, Confined],
            // The candidate and the keeper.
            _ => &[Free, Free, Confined, Confined],
        };
        wait_for_kinds(live.pid(), options, expected);
        live.signal(nix::sys::signal::Signal::SIGTERM);
        live.wait();
    }
}
