//! Programs on a terminal: each is run with the filter and without, and what is shown, the status and the settings of the
//! terminal afterwards are the same.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::termios::{InputFlags, LocalFlags, Termios};

use super::{HARD, LINES, PLAIN, redacting, tree};
use crate::support::*;

/// A supervisor alone, and with a filter beside it.
const MODES: [&str; 2] = ["--supervise", "--redact"];

/// A run of which the command is to follow.
fn run(tree: &Tree, mode: &str) -> Run {
    let run = tree.dotenv_run().args(["-q", "p", mode, "--"]);
    run.env("TERM", "xterm").env("PS1", "prompt> ")
}

/// The settings of a terminal that nobody has changed.
fn fresh_settings() -> Termios {
    let mut terminal = Terminal::spawn(Run::program("true"));
    terminal.wait();
    terminal.termios()
}

/// A command on a terminal, behind the filter.
#[track_caller]
fn on_terminal(tree: &Tree, command: &[&str]) -> Terminal {
    Terminal::spawn(run(tree, "--redact").args(command))
}

/// Runs a command in both ways, has `play` type, and compares. The outcome with the filter is given back.
#[track_caller]
fn compared(command: &[&str], dir: &Path, play: impl Fn(&mut Terminal)) -> Outcome {
    let tree = tree();
    let [without, with] = MODES.map(|mode| {
        let run = run(&tree, mode).args(command).dir(dir);
        let mut terminal = Terminal::spawn(run);
        play(&mut terminal);
        let outcome = terminal.wait();
        assert_eq!(terminal.termios(), fresh_settings(), "{outcome}");
        outcome
    });
    assert_eq!(with.status, without.status, "{with}\n{without}");
    let hidden = without.text().replace(PLAIN, "[PLAIN]");
    assert_eq!(with.text(), hidden, "{with}\n{without}");
    with
}

pub fn colours_are_shown() {
    let dir = TempDir::new();
    fs::create_dir(dir.path().join("folder")).expect("a folder");
    let outcome = compared(&["ls", "-C", "--color=auto"], dir.path(), |_| ());
    assert!(
        outcome.text().contains("\x1b[01;34mfolder\x1b[0m"),
        "{outcome}"
    );
}

pub fn a_progress_bar_is_shown_as_it_grows() {
    let script = "for i in 1 2 3; do printf '\\r%d0 %% of %s' $i $PLAIN; read line; done; echo";
    let tree = tree();
    let mut terminal = on_terminal(&tree, &["sh", "-c", script]);
    for part in [
        "\r10 % of [PLAIN]",
        "\r20 % of [PLAIN]",
        "\r30 % of [PLAIN]",
    ] {
        terminal.expect(part);
        terminal.send("\r");
    }
    terminal.wait().assert_status(0);
}

pub fn secrets_are_hidden() {
    let tree = tree();
    let script = "printf '%s\\n' \"$PLAIN\" \"$LINES\" >&2; printf '%s' \"$HARD\" >/dev/tty";
    let outcome = on_terminal(&tree, &["sh", "-c", script]).wait();
    let expected = "[PLAIN]\r\n[LINES]\r\n[HARD]";
    outcome.assert_status(0).assert_stdout(expected);
    assert!(!outcome.text().contains(HARD) && !outcome.text().contains(LINES));
}

/// A folder with a text of many lines.
fn long_text() -> TempDir {
    let dir = TempDir::new();
    let lines = (0..300).map(|number| format!("line {number} {PLAIN}\n"));
    dir.file("text", lines.collect::<String>());
    dir
}

pub fn less_shows_a_file() {
    compared(&["less", "text"], long_text().path(), |terminal| {
        terminal.expect("line 0 ");
        terminal.send("G");
        terminal.expect("line 299 ");
        terminal.send("q");
    });
}

pub fn less_shows_the_output_of_a_command() {
    let script = "cat text | less";
    compared(&["sh", "-c", script], long_text().path(), |terminal| {
        terminal.expect("line 0 ");
        terminal.send("G");
        terminal.expect("line 299 ");
        terminal.send("q");
    });
}

/// It reads keys from its standard error.
pub fn more_shows_a_file() {
    compared(&["more", "text"], long_text().path(), |terminal| {
        terminal.expect("line 0 ");
        terminal.expect("--More--");
        terminal.send(" ");
        terminal.expect("--More--");
        terminal.send("q");
    });
}

/// A pager of ours that shows what a filtered command writes has all the keys.
pub fn a_pager_behind_the_command_has_the_keys() {
    let dir = long_text();
    let tree = tree();
    for mode in MODES {
        let run = run(&tree, mode).args(["cat", "text"]).dir(dir.path());
        let mut terminal = Terminal::spawn(run.under(["sh", "-c", "\"$@\" | less", "sh"]));
        terminal.expect("line 0 ");
        terminal.send("G");
        terminal.expect("line 299 ");
        terminal.send("q");
        terminal.wait().assert_status(0);
        assert_eq!(terminal.termios(), fresh_settings());
    }
}

pub fn vim_edits_a_file() {
    let dir = TempDir::new();
    let path = dir.path().join("text");
    let vim = ["vim", "-u", "NONE", "-i", "NONE", "-n", "text"];
    let tree = tree();
    for mode in MODES {
        fs::write(&path, "one\n").expect("a file");
        let mut terminal = Terminal::spawn(run(&tree, mode).args(vim).dir(dir.path()));
        terminal.expect("one");
        terminal.send("otwo\x1b");
        terminal.expect("two");
        terminal.send(":wq\r");
        terminal.wait().assert_status(0);
        assert_eq!(fs::read_to_string(&path).expect("a file"), "one\ntwo\n");
        assert_eq!(terminal.termios(), fresh_settings(), "{mode}");
    }
}

pub fn a_password_is_read_without_echo() {
    let script = "read -rsp 'Password: ' word; echo; echo \"<$word>\"";
    let dir = TempDir::new();
    compared(&["bash", "-c", script], dir.path(), |terminal| {
        terminal.expect("Password: ");
        terminal.send("typed\r");
    })
    .assert_stdout("Password: \r\n<typed>\r\n");
}

pub fn settings_that_the_command_makes_stay() {
    let tree = tree();
    let settings = MODES.map(|mode| {
        let run = run(&tree, mode).args(["stty", "-echo", "-ixon"]);
        let mut terminal = Terminal::spawn(run);
        terminal.wait().assert_status(0);
        terminal.termios()
    });
    let [without, with] = &settings;
    assert_eq!(with, without);
    assert!(!with.local_flags.contains(LocalFlags::ECHO));
    assert!(!with.input_flags.contains(InputFlags::IXON));
}

pub fn the_terminal_is_put_back_after_a_command_that_was_killed() {
    let tree = tree();
    for script in [
        "stty raw -echo; echo begun; kill -9 $$",
        "stty raw -echo; echo begun; exec sleep 1000",
    ] {
        let mut terminal = on_terminal(&tree, &["sh", "-c", script]);
        terminal.expect("begun");
        if script.contains("sleep") {
            terminal.signal(Signal::SIGTERM);
        }
        terminal.wait();
        assert_eq!(terminal.termios(), fresh_settings(), "{script}");
    }
}

pub fn keys_that_are_signals_end_the_command() {
    let dir = TempDir::new();
    for (key, signal) in [("\x03", Signal::SIGINT), ("\x1c", Signal::SIGQUIT)] {
        let command = ["sh", "-c", "echo begun; exec sleep 1000"];
        let outcome = compared(&command, dir.path(), |terminal| {
            terminal.expect("begun");
            terminal.send(key);
        });
        outcome.assert_killed_by(signal);
    }
    let script = "trap 'echo caught; exit 9' INT; echo begun; while :; do sleep 0.01; done";
    let outcome = compared(&["sh", "-c", script], dir.path(), |terminal| {
        terminal.expect("begun");
        terminal.send("\x03");
    });
    outcome.assert_status(9);
}

/// A script sees the key too, and does not go on.
pub fn an_interrupt_ends_the_script_around_the_command() {
    let tree = tree();
    for mode in MODES {
        let run = run(&tree, mode).args(["sh", "-c", "echo begun; exec sleep 1000"]);
        let script = "for i in 1 2 3; do \"$@\"; done; echo over";
        let mut terminal = Terminal::spawn(run.under(["bash", "-c", script, "bash"]));
        terminal.expect("begun");
        terminal.send("\x03");
        let outcome = terminal.wait();
        outcome.assert_killed_by(Signal::SIGINT);
        assert_eq!(outcome.text().matches("begun").count(), 1, "{outcome}");
        assert_eq!(terminal.termios(), fresh_settings());
    }
}

pub fn the_end_of_input_is_typed() {
    let dir = TempDir::new();
    let outcome = compared(
        &["sh", "-c", "echo begun; exec cat"],
        dir.path(),
        |terminal| {
            terminal.expect("begun\r\n");
            terminal.send("typed\r");
            terminal.expect("typed\r\ntyped\r\n");
            terminal.send("\x04");
        },
    );
    outcome.assert_status(0);
}

pub fn output_is_held_and_let_go_by_keys() {
    let tree = tree();
    let script = "while :; do echo more; sleep 0.001; done";
    let mut terminal = on_terminal(&tree, &["sh", "-c", script]);
    terminal.expect("more");
    terminal.send("\x13");
    wait_until("no more output", || {
        let before = terminal.output_so_far().len();
        sleep(Duration::from_millis(100));
        terminal.output_so_far().len() == before
    });
    let held = terminal.output_so_far().len();
    terminal.send("\x11");
    wait_until("more output", || {
        terminal.output_so_far().len() > held + 100
    });
    terminal.send("\x03");
    terminal.wait().assert_killed_by(Signal::SIGINT);
}

/// It is larger than all that lies between the keys and the command, which shows something meanwhile.
pub fn a_large_paste_is_read_whole_and_holds_up_no_output() {
    let dir = TempDir::new();
    let text: String = (0..65_536)
        .map(|at| char::from(b'a' + (at % 23) as u8))
        .collect();
    let script = "stty raw -echo; echo begun; seq 2000; echo shown; head -c 65536 | cksum; \
        stty sane; stty cooked echo";
    let tree = tree();
    let shown = MODES.map(|mode| {
        let run = run(&tree, mode).args(["sh", "-c", script]).dir(dir.path());
        let mut terminal = Terminal::spawn(run);
        terminal.expect("begun");
        terminal.send(&text);
        terminal.expect("shown");
        let outcome = terminal.wait();
        outcome.assert_status(0);
        outcome.stdout
    });
    assert_eq!(shown[0], shown[1]);
}

/// By the size of its output, and not only by that of its input.
pub fn a_new_size_is_known_to_the_command() {
    let script = "while :; do new=$(stty size <&2); test \"$new\" = \"$old\" || echo \"$new\"; \
        old=$new; sleep 0.01; done";
    let dir = TempDir::new();
    compared(&["sh", "-c", script], dir.path(), |terminal| {
        terminal.expect("0 0");
        for rows in [10, 50] {
            terminal.resize(rows, 77);
            terminal.expect(&format!("{rows} 77"));
        }
        terminal.send("\x03");
    });
}

pub fn a_shell_controls_jobs() {
    let dir = TempDir::new();
    let shell = ["bash", "--norc", "--noprofile", "--noediting", "-i"];
    compared(&shell, dir.path(), |terminal| {
        terminal.expect("prompt> ");
        let mut answer = |line: &str, expected: &str| {
            terminal.send(format!("{line}\r"));
            terminal.expect(expected);
            terminal.expect("prompt> ");
        };
        answer("unset HISTFILE; echo ready-$((6*7))", "ready-42");
        terminal.send("sh -c 'echo begun-$((6*7)); read line; echo \"<$line>\"'\r");
        terminal.expect("begun-42");
        terminal.send("\x1a");
        terminal.expect("Stopped");
        terminal.expect("prompt> ");
        terminal.send("fg\r");
        terminal.expect("echo");
        terminal.send("typed\r");
        terminal.expect("<typed>");
        terminal.expect("prompt> ");
        terminal.send("sh -c 'echo begun-$((6*7)); exec sleep 1000'\r");
        terminal.expect("begun-42");
        terminal.send("\x03");
        terminal.expect("prompt> ");
        terminal.send("exit 3\r");
    })
    .assert_status(3);
}

pub fn a_pager_stops_and_goes_on() {
    let (tree, dir) = (tree(), long_text());
    let run = redacting(&tree).args(["less", "text"]).dir(dir.path());
    let run = run.env("TERM", "xterm").env("PS1", "prompt> ");
    let shell = ["bash", "--norc", "--noprofile", "--noediting", "-i"];
    let script = "set -m; \"$@\"; echo back-$((6*7)); fg; echo over-$((6*7))";
    let run = run.under([&shell[..], &["-c", script, "bash"]].concat());
    let mut terminal = Terminal::spawn(run);
    terminal.expect("line 0 ");
    terminal.send("\x1a");
    terminal.expect("back-42");
    terminal.expect("line 0 ");
    terminal.send("q");
    terminal.expect("over-42");
    terminal.wait();
}

pub fn who_writes_on_behind_the_command_is_not_hung_up() {
    let (tree, dir) = (tree(), TempDir::new());
    let go = dir.fifo("go");
    let script = "(read line <\"$1\"; echo late $PLAIN) & echo early; exit 7";
    let run = run(&tree, "--redact")
        .args(["sh", "-c", script, "sh"])
        .arg(&go);
    let script = "\"$@\"; echo status $?; read line";
    let mut terminal = Terminal::spawn(run.under(["bash", "-c", script, "bash"]));
    terminal.expect("early\r\nstatus 7\r\n");
    assert_eq!(terminal.termios(), fresh_settings());
    fs::write(&go, "\n").expect("a pipe that is read");
    terminal.expect("late [PLAIN]");
    terminal.send("\r");
    terminal.wait().assert_status(0);
}

/// Nobody types any more.
pub fn the_end_of_the_supervisor_hangs_up() {
    let (tree, dir) = (tree(), TempDir::new());
    let log = dir.path().join("log");
    let script = "trap 'echo hung up >\"$1\"; exit' HUP; echo begun; while :; do sleep 0.01; done";
    let run = run(&tree, "--redact")
        .args(["sh", "-c", script, "sh"])
        .arg(&log);
    let mut terminal = Terminal::spawn(run);
    terminal.expect("begun");
    terminal.signal(Signal::SIGKILL);
    wait_until("a hangup", || {
        fs::read(&log).is_ok_and(|text| text == b"hung up\n")
    });
    terminal.wait().assert_killed_by(Signal::SIGKILL);
}

pub fn a_terminal_for_one_stream_is_one_for_it_alone() {
    let (tree, dir) = (tree(), TempDir::new());
    let script = "test -t 1 && echo one; test -t 2 && echo two; echo $PLAIN; echo $PLAIN >&2";
    let run = redacting(&tree).args(["sh", "-c", script]).dir(dir.path());
    let outcome = Terminal::spawn(run.under(["sh", "-c", "exec \"$@\" >file", "sh"])).wait();
    outcome.assert_status(0).assert_stdout("[PLAIN]\r\n");
    let file = fs::read_to_string(dir.path().join("file")).expect("a file");
    assert_eq!(file, "two\n[PLAIN]\n");
}

/// One that is not the controlling terminal.
pub fn another_terminal_stays_one() {
    let tree = tree();
    let script = "test -t 1 && echo one; echo $PLAIN; echo $PLAIN >&2";
    let run = redacting(&tree).args(["sh", "-c", script]);
    let outcome = Terminal::spawn(run.under(["setsid", "-w"])).wait();
    outcome
        .assert_status(0)
        .assert_stdout("one\r\n[PLAIN]\r\n[PLAIN]\r\n");
}
