//! Where the command, or the run, is not where it is by default: in another group, session, namespace or directory.

use std::fs;

use super::{Place, SECRET};
use crate::support::*;
use crate::watch::family;

pub fn a_command_that_left_the_group_is_interrupted() {
    let place = Place::new();
    let script = "trap 'echo interrupted; exit 5' INT; echo begun; while :; do sleep 0.01; done";
    for mode in [
        "--supervise",
        "--watch=1",
        "--stop-timeout=100",
        "--die-with-parent",
        "--subreaper",
    ] {
        // Led by a shell, so that the command can begin a session.
        let run = place.run(&[mode]).args(["setsid", "sh", "-c", script]);
        let mut terminal = Terminal::spawn(run.under(["sh", "-c", "\"$@\"; exit $?", "sh"]));
        terminal.expect("begun");
        terminal.send("\x03");
        terminal.expect("interrupted");
        terminal.wait();
    }
}

/// The terminal was that of another session.
pub fn a_command_with_its_own_session_survives_a_hangup() {
    let place = Place::new();
    let log = place.dir.path().join("log");
    let script = "trap 'echo hung up' HUP; echo $$; read line <go; echo over";
    place.dir.fifo("go");
    let run = place
        .run(&["--supervise"])
        .args(["setsid", "sh", "-c", script]);
    let run = run.under(["sh", "-c", "\"$@\" >log 2>&1", "sh"]);
    let logged = || fs::read_to_string(&log).unwrap_or_default();
    let hung_up = Terminal::hang_up(run, || logged().ends_with('\n'));
    hung_up.end();
    fs::write(place.dir.path().join("go"), "\n").expect("a reader");
    wait_until("the end of the command", || logged().ends_with("over\n"));
    assert!(!logged().contains("hung up"), "{}", logged());
}

/// The directory of a process.
fn directory(process: i32) -> String {
    let link = fs::read_link(format!("/proc/{process}/cwd"));
    link.expect("a process").display().to_string()
}

pub fn no_waiting_process_keeps_a_directory_busy() {
    let place = Place::new();
    let own = place.dir.path().display().to_string();
    for (mode, on_terminal) in [
        ("--supervise", false),
        ("--group", false),
        ("--redact", false),
        ("--redact", true),
    ] {
        let script = "echo begun $$; exec sleep 1000";
        let run = place.run(&[mode]).args(["sh", "-c", script]);
        let check = |first| {
            let family = family(first);
            let count = |name: &str| {
                let directories = family.iter().map(|process| directory(process.as_raw()));
                directories.filter(|it| it == name).count()
            };
            wait_until("processes that wait elsewhere", || {
                (count(&own), count("/")) == (1, family.len() - 1)
            });
        };
        if on_terminal {
            let mut terminal = Terminal::spawn(run);
            terminal.expect("begun");
            check(terminal.pid());
            terminal.send("\x03");
            terminal.wait();
        } else {
            let live = run.spawn();
            live.wait_for_output("begun");
            check(live.pid());
            live.signal(nix::sys::signal::Signal::SIGTERM);
            live.wait();
        }
    }
}

pub fn jobs_are_controlled_in_a_new_pid_namespace() {
    let place = Place::new();
    let shell = ["bash", "--norc", "--noprofile", "--noediting", "-i"];
    let unshare = ["unshare", "--user", "--map-root-user", "--pid", "--fork"];
    for (mode, shown) in [("--exec", SECRET), ("--redact", "[SECRET]")] {
        let run = place.run(&[mode]).args(shell).env("PS1", "prompt> ");
        let mut terminal = Terminal::spawn(run.env("HISTFILE", "").under(unshare));
        terminal.expect("prompt> ");
        let greeting = terminal.output_so_far();
        assert!(!greeting.contains("job control"), "{greeting}");
        terminal.send("sh -c 'echo begun-$((6*7)); read line; echo \"<$line>\"'\r");
        terminal.expect("begun-42");
        terminal.send("\x1a");
        terminal.expect("Stopped");
        terminal.send("fg\r");
        terminal.expect("read line");
        terminal.send("typed\r");
        terminal.expect("<typed>");
        terminal.send("echo $SECRET; exit 3\r");
        terminal.expect(shown);
        terminal.wait().assert_status(3);
    }
}

pub fn a_missing_pseudo_terminal_is_named() {
    let place = Place::new();
    let witness = Witness::new();
    let run = place.run(&["--redact"]).args(witness.command());
    let nodes =
        "mount -t tmpfs none /dev && mknod /dev/tty c 5 0 && mknod /dev/null c 1 3 && exec \"$@\"";
    let mut terminal = Terminal::spawn(run.under(["unshare", "--mount", "sh", "-c", nodes, "sh"]));
    let outcome = terminal.wait();
    outcome.assert_status(125);
    for fragment in ["--redact", "/dev/ptmx: no such file", "hint: "] {
        assert!(outcome.text().contains(fragment), "{outcome}");
    }
    witness.assert_not_started();
}

/// A run in which the stack may be so large, in KiB.
fn with_stack(run: Run, size: u32) -> Outcome {
    let limit = format!("ulimit -s {size} && exec \"$@\"");
    run.under(["bash", "-c", &limit, "bash"]).finish()
}

/// However low the limit is, it works or is named; the command itself has to get by with it.
pub fn a_small_stack_is_enough_or_named() {
    let place = Place::new();
    let witness = Witness::new();
    for mode in ["--exec", "--supervise", "--group", "--redact", "--watch"] {
        let run = place.run(&[mode]).args(["echo", "begun"]);
        with_stack(run, 64)
            .assert_status(0)
            .assert_stdout("begun\n");
        let run = place.run(&[mode]).args(witness.command());
        with_stack(run, 32).assert_refused(125, &["the stack", "hint: ", "ulimit -s"]);
    }
    for size in 20..64 {
        let outcome = with_stack(place.run(&[]).args(["echo", "begun"]), size);
        if outcome.status.code() != Some(0) {
            outcome.assert_refused(125, &["the stack"]);
        }
    }
    let profile = place
        .dir
        .file("profile", "path = \"p\"\n")
        .display()
        .to_string();
    let profiled = || {
        let run = place.tree.dotenv_run().args(["-q", "--profile", &profile]);
        run.arg("--").args(witness.command())
    };
    with_stack(profiled(), 64).assert_refused(125, &["--profile", "the stack", "ulimit -s"]);
    witness.assert_not_started();
    with_stack(profiled(), 128).assert_status(0);
    let service = Service::example();
    let run = service
        .dotenv_run()
        .args(["-q", "legacy/production/api", "--", "true"]);
    with_stack(run, 64).assert_status(0);
}
