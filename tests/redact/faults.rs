//! What happens when the kernel refuses something, or a process of ours is killed: nothing is shown that should not be,
//! nobody waits for ever, and the terminal is as it was.

use nix::sys::signal::{Signal, kill};

use super::{PLAIN, redacting, tree};
use crate::support::*;
use crate::watch::{family, is_left};

/// No signal can be queued with a value, nor one of real time.
const NO_QUEUE: [&str; 4] = ["sh", "-c", "ulimit -i 0; exec \"$@\"", "sh"];

pub fn no_process_waits_for_a_signal_that_cannot_be_queued() {
    let tree = tree();
    let script = "echo begun $PLAIN; read line; echo \"<$line>\"; exit 5";
    let run = || redacting(&tree).args(["sh", "-c", script]).under(NO_QUEUE);
    let outcome = run().stdin("typed\n").finish();
    outcome
        .assert_status(5)
        .assert_stdout("begun [PLAIN]\n<typed>\n");

    let before = fresh(&tree);
    let mut terminal = Terminal::spawn(run());
    terminal.expect("begun [PLAIN]");
    // Nobody could continue it.
    terminal.send("\x1a");
    terminal.send("typed\r");
    terminal.expect("<typed>");
    terminal.wait().assert_status(5);
    assert_eq!(terminal.termios(), before);

    // Who still holds the output behind the command is not waited for.
    let script = "sleep 1000 & exit 7";
    let run = redacting(&tree).args(["sh", "-c", script]).under(NO_QUEUE);
    let run = run.under([
        "sh",
        "-c",
        "\"$@\" >/dev/null 2>&1; echo status $?; kill 0",
        "sh",
    ]);
    let live = run.under(["setsid", "-w"]).spawn();
    live.wait_for_output("status 7");
    live.wait();
}

/// The settings of a terminal after a run to which nothing happens.
fn fresh(tree: &Tree) -> nix::sys::termios::Termios {
    let mut terminal = Terminal::spawn(redacting(tree).arg("true"));
    terminal.wait().assert_status(0);
    terminal.termios()
}

pub fn nothing_is_shown_where_an_output_cannot_be_replaced() {
    let (tree, witness) = (tree(), Witness::new());
    for when in ["1", "2"] {
        let inject = format!("inject=/^dup[23]$:error=EPERM:when={when}");
        let strace = [
            "strace",
            "-f",
            "-o",
            "/dev/null",
            "-e",
            "trace=/^dup[23]$",
            "-e",
        ];
        let strace = [&strace[..], &[&inject]].concat();
        let run = redacting(&tree).args(witness.command()).under(&strace);
        let outcome = run.finish();
        outcome.assert_refused(125, &["the output filter of --redact is not ready"]);
        witness.assert_not_started();
        let mut terminal = Terminal::spawn(redacting(&tree).args(witness.command()).under(&strace));
        let outcome = terminal.wait();
        outcome.assert_status(125);
        assert!(!outcome.text().contains(PLAIN), "{outcome}");
        witness.assert_not_started();
    }
}

/// Also if the command has ended well before, and cannot learn of it any more.
pub fn output_that_cannot_be_written_is_told_and_is_a_failure() {
    let tree = tree();
    let full = |redirected: &str| {
        let shell = format!("exec \"$@\" {redirected}");
        let run = redacting(&tree).args(["sh", "-c", "echo $PLAIN; echo $PLAIN >&2"]);
        run.under(["sh", "-c", &shell, "sh"]).finish()
    };
    let message = "dotenv-run: some of the command's output is lost: no space left on device\n";
    let outcome = full(">/dev/full");
    outcome.assert_status(125);
    // What the command writes to the same place at the same moment may be divided by it.
    let (before, after) = outcome.stderr.split_once(message).expect("the message");
    assert_eq!(format!("{before}{after}"), "[PLAIN]\n", "{outcome}");
    // There is no place for the message.
    full("2>/dev/full")
        .assert_status(125)
        .assert_stdout("[PLAIN]\n");
}

/// The status says of itself that something went wrong, or the command was stopped by that.
pub fn the_status_of_a_command_whose_output_is_lost_stays() {
    let tree = tree();
    let run = |script: &str| {
        let run = redacting(&tree).args(["sh", "-c", script]);
        run.under(["sh", "-c", "exec \"$@\" >/dev/full", "sh"])
    };
    let message = "dotenv-run: some of the command's output is lost: no space left on device\n";
    for (script, end) in [
        ("echo 1; exit 3", Ok(3)),
        ("echo 1; kill -9 $$", Err(Signal::SIGKILL)),
        // It is told when it writes on.
        ("while echo 1; do :; done", Err(Signal::SIGPIPE)),
        (
            "trap '' PIPE; while echo 1 2>/dev/null; do :; done; exit 4",
            Ok(4),
        ),
        ("(while echo 1; do :; done); exit 0", Ok(125)),
    ] {
        for on_terminal in [false, true] {
            let outcome = if on_terminal {
                Terminal::spawn(run(script)).wait()
            } else {
                run(script).finish()
            };
            match end {
                Ok(status) => outcome.assert_status(status),
                Err(signal) => outcome.assert_killed_by(signal),
            };
            let told = [outcome.text(), &outcome.stderr].concat().replace('\r', "");
            assert_eq!(told, message, "{outcome}");
        }
    }
}

/// What we make in memory is no larger file of the command's, and does not end us.
pub fn a_limit_on_the_size_of_files_is_for_the_command() {
    let (tree, dir) = (tree(), TempDir::new());
    let limited = |mode: &str, size: u32, script: &str| {
        let run = tree.dotenv_run().args(["-q", "p", mode, "--"]);
        let run = run.args(["sh", "-c", script]).dir(dir.path());
        let limit = format!("ulimit -f {size} && exec \"$@\"");
        run.under(["bash", "-c", &limit, "bash"]).finish()
    };
    for mode in ["--exec", "--supervise", "--group", "--watch", "--redact"] {
        for size in [0, 1] {
            let outcome = limited(mode, size, "echo begun");
            outcome.assert_status(0).assert_stdout("begun\n");
        }
        // The signal that ends it is its own.
        limited(mode, 0, "echo 1 >file").assert_killed_by(Signal::SIGXFSZ);
    }
    let outcome = limited("--redact", 1, "exec >file; exit 3");
    outcome.assert_status(3);
    let run = redacting(&tree).args(["sh", "-c", "head -c 3000 /dev/zero"]);
    let script = "ulimit -f 1; \"$@\" >file; echo $?; wc -c <file";
    let run = run.under(["bash", "-c", script, "bash"]).dir(dir.path());
    let outcome = run.finish();
    outcome.assert_status(0).assert_stdout("125\n1024\n");
    let message = "dotenv-run: some of the command's output is lost: file too large\n";
    assert_eq!(outcome.stderr, message);
}

/// Front, monitor, command and filter: kills each in turn, and waits for the end of all others.
#[track_caller]
fn killed_in_turn(run: impl Fn() -> Run, is_ready: impl Fn(&mut Terminal)) {
    let tree = tree();
    let before = fresh(&tree);
    for victim in 0..4 {
        let mut terminal = Terminal::spawn(run());
        is_ready(&mut terminal);
        wait_until("all processes", || family(terminal.pid()).len() == 4);
        let processes = family(terminal.pid());
        kill(processes[victim], Signal::SIGKILL).expect("a process of ours");
        // The first one is our child, which stays until we have waited for it.
        let what = format!("the end of {processes:?} after that of number {victim}");
        wait_until(&what, || !processes[1..].iter().any(is_left));
        terminal.wait();
        wait_until("the settings of the terminal", || {
            terminal.termios() == before
        });
    }
}

pub fn the_end_of_any_process_ends_the_run_and_puts_the_terminal_back() {
    let tree = tree();
    let script = "stty -echo raw; echo begun; exec sleep 1000";
    killed_in_turn(
        || redacting(&tree).args(["sh", "-c", script]),
        |terminal| terminal.expect("begun"),
    );
    // One that is stopped, when nobody is left to continue it.
    killed_in_turn(
        || redacting(&tree).args(["sh", "-c", "echo begun; kill -STOP $$"]),
        |terminal| terminal.expect("begun"),
    );
}

pub fn the_end_of_any_process_before_the_command_puts_the_terminal_back() {
    let service = Service::example();
    service.fail(Route::Secrets, Fault::Hang);
    killed_in_turn(
        || {
            let run = service.dotenv_run().args(["-q", "legacy/production/api"]);
            run.args(["--redact", "--", "true"])
        },
        |_| (),
    );
}
