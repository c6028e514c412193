//! The processes of a watched run: what they hold, what they do while nothing happens, and who gets which signal.

use std::thread;
use std::time::Duration;

use super::ends::keeper;
use super::*;
use crate::launch::init::UNSHARE;
use crate::secrecy::vault::{self, Vault};

/// A run that has asked again, what is found in its supervisor, and in the process that asks.
fn looked_into(vault: &Vault, run: Run) -> [Findings; 2] {
    let live = run
        .args(["--watch=1", "-v", vault::PATH, "--"])
        .args(recorder())
        .spawn();
    let command = Pid::from_raw(live.wait_for_number("ready "));
    wait_for_questions(&live, 1);
    let processes = [live.pid(), keeper(&live, command)];
    let findings = processes.map(|process| scan_running(process, &vault.needles));
    Sent::plain(END).to(live.pid().as_raw());
    live.wait().assert_status(RECORDER_STATUS);
    findings
}

/// Whether something is in its place in the process that asks: a key, in locked memory. Where the kernel has memory
/// that nobody else can read, there is nothing to be found at all.
fn is_kept(find: &Find) -> bool {
    find.is_protected() && ["API key", "client key"].contains(&find.hit.secret.as_str())
}

pub fn the_processes_in_front_hold_no_secret() {
    let vault = Vault::new();
    for run in [vault.on_service(), vault.on_tree()] {
        let [supervisor, keeper] = looked_into(&vault, run);
        supervisor.assert_none("the supervisor");
        keeper.only(|find| !is_kept(find)).assert_none("the keeper");
    }
}

pub fn a_planted_keeper_is_found() {
    let vault = Vault::new();
    let run = vault.on_service().planted("keeper copies the keys");
    let [supervisor, keeper] = looked_into(&vault, run);
    supervisor.assert_none("the supervisor");
    for secret in ["API key", "client key"] {
        let is_copy = |find: &Find| find.place == "[heap]" && !is_kept(find);
        assert_eq!(keeper.count(secret, is_copy), 1, "{keeper}");
    }
}

/// The context switches of a process so far.
fn switches(process: Pid) -> usize {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
    let lines = status.lines().filter(|line| line.contains("ctxt_switches"));
    let counts = lines.filter_map(|line| line.split('\t').nth(1)?.parse::<usize>().ok());
    counts.sum()
}

pub fn everything_sleeps_between_questions() {
    let tree = tree();
    let command = format!("{TELL} {WAIT}");
    let run = tree.dotenv_run().client_key();
    let live = run
        .args(["--watch", PATH, "--", "sh", "-c", &command])
        .spawn();
    let command = Pid::from_raw(wait_for_starts(&live, 1));
    let waiting = [live.pid(), keeper(&live, command)];
    // The supervisor confines itself after a moment.
    wait_until("a supervisor at rest", || {
        let status = fs::read_to_string(format!("/proc/{}/status", live.pid()));
        status.expect("a process").contains("Seccomp:\t2")
    });
    let before = waiting.map(switches);
    thread::sleep(Duration::from_millis(500));
    assert_eq!(waiting.map(switches), before);
    end(live);
}

pub fn pid_1_starts_the_command_again() {
    let tree = tree();
    let script =
        "trap 'exit 5' USR1; echo \"children $(echo /proc/[0-9]*)\"; while :; do sleep 0.01; done";
    let run = watched(tree.dotenv_run(), script);
    let [unshare, rest @ ..] = UNSHARE;
    let live = run
        .under([&[unshare, "--mount-proc"][..], &rest].concat())
        .spawn();
    wait_for_starts(&live, 1);
    put(&tree, 2);
    wait_for_starts(&live, 2);
    live.wait_for_output("children");
    let init = family(live.pid())[1];
    nix::sys::signal::kill(init, Signal::SIGUSR1).expect("a signal to process 1");
    live.wait().assert_status(5);
}

/// Behind a supervisor of a group, whoever reads from the terminal must be its foreground.
pub fn a_group_gets_the_terminal_at_every_start() {
    for mode in ["--group", "--supervise", "--redact"] {
        let tree = tree();
        let script = "while read line; do echo \"<$line>\"; done";
        let mut terminal = Terminal::spawn(watched(tree.dotenv_run().arg(mode), script));
        for generation in 1..=3 {
            if generation > 1 {
                put(&tree, generation);
            }
            terminal.expect("start ");
            terminal.send(format!("line {generation}\r"));
            terminal.expect(&format!("<line {generation}>"));
        }
        terminal.send("\x03");
        terminal.wait().assert_killed_by(Signal::SIGINT);
    }
}

/// The values of a generation and of the one before it.
pub fn what_is_written_after_a_restart_is_filtered_too() {
    let secret = |generation| format!("swordfish-{generation}");
    let level = |generation: usize| format!("SECRET={}\n", secret(generation));
    let of = |generation| {
        let project = Project::new("my-app", Custody::client()).level("", &level(generation));
        Tree::of(&World::new(vec![project]))
    };
    let tree = of(1);
    let run = tree
        .dotenv_run()
        .client_key()
        .args(["--watch=1", "--redact"]);
    let script = "trap 'echo stop $SECRET >&2; exit 7' TERM; echo \"start $SECRET swordfish-1\"; \
        while :; do sleep 0.01; done";
    let live = run.args(["my-app", "--", "sh", "-c", script]).spawn();
    for generation in 1..=3 {
        if generation > 1 {
            let document = fs::read(of(generation).secrets("my-app")).expect("a document");
            replace_secrets(&tree, "my-app", document);
        }
        // The secrets of the set before are still looked for, and no older ones.
        let lines = [
            "start [SECRET] [SECRET]\n",
            "start [SECRET] [SECRET]\n",
            "start [SECRET] swordfish-1\n",
        ];
        let lines = lines[..generation].concat();
        wait_until("a command", || live.output_so_far() == lines);
    }
    let processes = family(live.pid());
    live.signal(Signal::SIGTERM);
    let outcome = live.wait();
    outcome.assert_status(7);
    let stops = told(&outcome);
    assert_eq!(stops, ["stop [SECRET]"; 3], "{outcome}");
    // The filter ends by itself when nobody is left who could write.
    wait_until("the end of all processes", || {
        !processes.iter().any(is_left)
    });
}

/// It sends its parent every signal, and so also those by which our own processes speak to each other.
pub fn the_command_cannot_fake_a_change() {
    let tree = tree();
    let run = tree.dotenv_run().client_key();
    let live = run
        .args(["--watch=1", "-v", PATH, "--"])
        .args(accuser())
        .spawn();
    let first = live.wait_for_number("ready ");
    wait_for_questions(&live, 2);
    assert_eq!(live.output_so_far(), format!("ready {first}\n"));
    let family = family(live.pid());
    assert!(
        family.contains(&Pid::from_raw(first)) && family.len() >= 3,
        "{family:?}"
    );
    Sent::plain(END).to(live.pid().as_raw());
    live.wait().assert_status(RECORDER_STATUS);
}

/// Also after a restart, and never to the processes behind it.
pub fn signals_go_to_the_command_that_runs() {
    let tree = tree();
    let script = "trap 'echo \"$$ got it\"' USR1; while :; do sleep 0.01; done";
    for mode in ["--supervise", "--group"] {
        let live = watched(tree.dotenv_run().arg(mode), script).spawn();
        wait_for_starts(&live, 1);
        let generation = starts(&live)[0].1;
        put(&tree, generation + 1);
        let second = wait_for_starts(&live, 2);
        wait_until("a trap", || {
            let status = fs::read_to_string(format!("/proc/{second}/status")).unwrap_or_default();
            let caught = status
                .lines()
                .find_map(|line| line.strip_prefix("SigCgt:\t"));
            let caught = caught.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
            caught.is_some_and(|set| set & 1 << 9 != 0)
        });
        live.signal(Signal::SIGUSR1);
        live.wait_for_output(&format!("{second} got it\n"));
        end(live);
    }
}

/// With `--group`, all of the group is stopped, and the next command begins when all of it has ended.
pub fn a_restart_waits_for_the_whole_group() {
    let (tree, dir) = (tree(), TempDir::new());
    dir.fifo("go");
    let script = "sh -c 'trap \"read line <go; echo end of member; exit\" TERM; echo member; \
        while :; do sleep 0.01; done' & exec sleep 1000";
    let run = watched(tree.dotenv_run().arg("--group"), script);
    let live = run.dir(dir.path()).spawn();
    let first = wait_for_starts(&live, 1);
    live.wait_for_output("member\n");
    put(&tree, 2);
    wait_until("the end of the command", || !is_left(&Pid::from_raw(first)));
    // It would have begun by now.
    thread::sleep(Duration::from_millis(300));
    wait_for_starts(&live, 1);
    fs::write(dir.path().join("go"), "\n").expect("a reader");
    wait_for_starts(&live, 2);
    let output = live.output_so_far();
    let place = |text: &str| output.rfind(text).expect("an output");
    assert!(place("end of member") < place("start "), "{output}");
    // A signal to end that comes while it waits is heeded.
    live.wait_for_output("member\nend of member\n");
    put(&tree, 3);
    wait_until("the end of the second command", || {
        live.output_so_far().matches("member\n").count() >= 3 && family(live.pid()).len() <= 4
    });
    fs::write(dir.path().join("go"), "\n").expect("a reader");
    wait_for_starts(&live, 3);
    live.signal(Signal::SIGTERM);
    fs::write(dir.path().join("go"), "\n").expect("a reader");
    live.wait().assert_killed_by(Signal::SIGTERM);
}

/// The time of `--stop-timeout` is that of the whole group.
pub fn what_is_left_of_a_group_is_killed_in_time() {
    let tree = tree();
    let script =
        "sh -c 'trap \"\" TERM; echo member $$; while :; do sleep 0.01; done' & exec sleep 1000";
    let run = tree.dotenv_run().args(["--group", "--stop-timeout=0.2"]);
    let live = watched(run, script).spawn();
    wait_for_starts(&live, 1);
    let member = Pid::from_raw(live.wait_for_number("member "));
    put(&tree, 2);
    wait_for_starts(&live, 2);
    assert!(!is_left(&member));
    // The end of the run is that of its command alone.
    let second = wait_for("the second member", || {
        let output = live.output_so_far();
        let mut line = output
            .lines()
            .filter_map(|line| line.strip_prefix("member "));
        line.next_back()?
            .parse()
            .ok()
            .filter(|number| *number != member.as_raw())
    });
    live.signal(Signal::SIGTERM);
    Sent::plain(9).to(second);
    live.wait().assert_killed_by(Signal::SIGTERM);
}
