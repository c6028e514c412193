//! Which processes there are while the command runs, and what the waiting one still has.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::{MODES, PLAIN, Sources, around};
use crate::support::*;

const WAIT: [&str; 3] = ["sh", "-c", "echo pid $$ ready; exec sleep 1000"];

/// A process as its line in `/proc` tells.
#[derive(Debug, PartialEq)]
struct Process {
    pid: i32,
    parent: i32,
    group: i32,
}

/// The processes of a session, its leader first. Numbers begin again at some point, so a child may have a lower one.
fn session(leader: Pid) -> Vec<Process> {
    let directories = fs::read_dir("/proc").expect("/proc");
    let names = directories.flatten().map(|entry| entry.file_name());
    let pids = names.filter_map(|name| name.to_str()?.parse().ok());
    let process = |pid: i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields = stat.rsplit_once(") ")?.1.split(' ').skip(1);
        let numbers: Vec<i32> = fields.map_while(|field| field.parse().ok()).collect();
        let process = Process {
            pid,
            parent: numbers[0],
            group: numbers[1],
        };
        (numbers[2] == leader.as_raw()).then_some(process)
    };
    let mut processes: Vec<_> = pids.filter_map(process).collect();
    processes.sort_by_key(|process| (process.pid != leader.as_raw(), process.pid));
    processes
}

pub fn in_place_there_is_one_process_and_it_is_ours() {
    let sources = Sources::new();
    let default = sources.tree.dotenv_run().arg(PLAIN).arg("--");
    let runs = sources.runs().into_iter();
    let runs = runs.filter_map(|(name, run)| name.contains("--exec").then_some(run));
    for run in runs.chain([default]) {
        let live = run.args(WAIT).spawn();
        live.wait_for_output(&format!("pid {} ready\n", live.pid()));
        let processes = session(live.pid());
        assert_eq!(processes.len(), 1, "{processes:?}");
        live.signal(Signal::SIGTERM);
        live.wait().assert_killed_by(Signal::SIGTERM);
    }
}

/// The command of a supervised run that prints its pid, once it is there.
#[track_caller]
fn supervised(live: &Live) -> Process {
    live.wait_for_output(" ready\n");
    let mut processes = session(live.pid());
    let supervisor = processes.remove(0);
    assert_eq!(supervisor.pid, live.pid().as_raw());
    assert_eq!(processes.len(), 1, "{processes:?}");
    let command = processes.remove(0);
    live.wait_for_output(&format!("pid {} ready\n", command.pid));
    command
}

pub fn a_supervisor_is_the_parent_of_the_command() {
    let runs = Sources::new();
    for (name, run) in runs.runs() {
        if name.contains("--supervise") {
            let live = run.args(WAIT).spawn();
            assert_eq!(supervised(&live).parent, live.pid().as_raw(), "{name}");
            live.signal(Signal::SIGTERM);
            live.wait().assert_killed_by(Signal::SIGTERM);
        }
    }
}

pub fn the_command_stays_in_our_session_and_group() {
    let tree = Tree::example();
    for mode in MODES {
        let live = tree
            .dotenv_run()
            .arg(PLAIN)
            .args([mode, "--"])
            .args(WAIT)
            .spawn();
        live.wait_for_output(" ready\n");
        let groups: Vec<_> = session(live.pid()).iter().map(|one| one.group).collect();
        assert!(!groups.is_empty());
        assert!(
            groups.iter().all(|group| *group == live.pid().as_raw()),
            "{groups:?}"
        );
        live.signal(Signal::SIGTERM);
        live.wait();
    }
}

/// A reader of the output sees its end as soon as the command has closed it, though the supervisor
/// waits on.
pub fn a_supervisor_holds_no_descriptor() {
    let (tree, dir) = (Tree::example(), TempDir::new());
    let script = "mkfifo end; \"$@\" sh -c 'exec >&- 2>&- 5>&-; read line <end' 2>&1 5>&1 | \
                      { cat; echo closed; echo >end; }";
    let run = tree
        .dotenv_run()
        .arg(PLAIN)
        .args(["--supervise", "--"])
        .dir(dir.path());
    let outcome = run
        .under(around(script))
        .limit(Duration::from_secs(10))
        .finish();
    outcome.assert_status(0).assert_stdout("closed\n");
}

/// Whether the memory of a process holds some bytes.
/// `None` if it is just executing a program, and has no memory but its stack.
fn holds(pid: i32, needle: &str) -> Option<bool> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).expect("a process of ours");
    let memory = File::open(format!("/proc/{pid}/mem")).expect("a process of ours");
    let region = |line: &str| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let number = |digits| u64::from_str_radix(digits, 16).ok();
        rest.starts_with('r')
            .then_some((number(start)?, number(end)?))
    };
    let regions: Vec<_> = maps.lines().filter_map(region).collect();
    let is_there = regions.len() > 3;
    let holds = regions.into_iter().any(|(start, end)| {
        let mut bytes = vec![0; (end - start) as usize];
        // A few regions belong to the kernel and cannot be read.
        let read = memory.read_at(&mut bytes, start).unwrap_or(0);
        bytes[..read]
            .windows(needle.len())
            .any(|window| window == needle.as_bytes())
    });
    is_there.then_some(holds)
}

pub fn a_waiting_supervisor_holds_no_secret() {
    let sources = Sources::new();
    let secrets = [
        CLIENT_KEY,
        sources.service.api_key(),
        "sk_live_x",
        "postgres://prod",
    ];
    for (name, run) in sources.runs() {
        if name.contains("--supervise") {
            let live = run.args(WAIT).spawn();
            let command = supervised(&live);
            // That the search finds what is there; the command may still be on its way to `sleep`.
            wait_until("a secret in the command", || {
                holds(command.pid, "sk_live_x") == Some(true)
            });
            for secret in secrets {
                let gone = || holds(live.pid().as_raw(), secret) == Some(false);
                wait_until(&format!("no {secret} in the supervisor: {name}"), gone);
            }
            live.signal(Signal::SIGTERM);
            live.wait();
        }
    }
}

pub fn a_supervisor_shows_neither_arguments_nor_environment() {
    let tree = Tree::example();
    let run = tree.dotenv_run().arg(PLAIN).env("HIDDEN", "hunter2");
    let run = run.args(["--supervise", "--"]).args(WAIT);
    let live = run.arg("--password=hunter3").spawn();
    let command = supervised(&live).pid;
    let read = |pid: i32, name| fs::read(format!("/proc/{pid}/{name}")).expect("a process of ours");
    let shown = |pid: i32, name, word: &str| {
        let bytes = read(pid, name);
        bytes
            .windows(word.len())
            .any(|window| window == word.as_bytes())
    };
    wait_until("the environment of the command", || {
        shown(command, "environ", "hunter2")
    });
    for name in ["environ", "cmdline"] {
        for word in ["hunter", "HIDDEN", PLAIN, "sleep", "supervise"] {
            let gone = || !shown(live.pid().as_raw(), name, word);
            wait_until(&format!("no {word} in {name}"), gone);
        }
    }
    live.signal(Signal::SIGTERM);
    live.wait();
}
