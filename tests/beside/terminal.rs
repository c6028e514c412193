//! `--redact` on a terminal that others have too.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{PROMPT, Place, is_running};
use crate::support::*;

pub fn a_command_that_may_not_stop_for_reading_has_the_terminal() {
    let place = Place::new();
    let mut terminal = Terminal::spawn(place.shell());
    let before = terminal.termios();
    terminal.expect(PROMPT);
    // bash ignores TTIN here.
    let read = "bash -c 'read -rp \"type\"\": \" v && printf %s \"$v\"'";
    for (run, typed) in [
        (format!("x=$(D --redact p -- {read})"), "one"),
        (
            format!(
                "x=$(D --redact p -- {} )",
                read.replace(" v &&", " v </dev/tty &&")
            ),
            "two",
        ),
        (
            format!(
                "x=$(D --redact p -- {} </dev/null)",
                read.replace(" v &&", " v </dev/tty &&")
            ),
            "three",
        ),
    ] {
        terminal.send(format!("{run}; echo \"got-$x-\"\r"));
        terminal.expect("type: ");
        terminal.send(format!("{typed}\r"));
        terminal.expect(&format!("got-{typed}-"));
        terminal.expect(PROMPT);
    }
    terminal.send("exit\r");
    terminal.wait();
    assert_eq!(terminal.termios(), before);
}

pub fn nothing_is_left_raw_by_several_at_once() {
    let place = Place::new();
    let scripts = [
        "seq 6 | xargs -P3 -I@ D --redact p -- echo n@",
        "seq 6 | xargs -o -P3 -I@ D --redact p -- echo n@",
        "D --redact p -- sleep 0.05 & D --redact p -- sleep 0.05 & wait; echo n1 n2 n3 n4 n5 n6",
        "D --redact p -- sh -c 'sleep 0.05; echo n1 n2 n3' & D --redact p -- echo n4 n5 n6; wait",
        "D --redact p -- echo n1 n2 n3 <&0 & D --redact p -- echo n4 n5 n6; wait",
        "for i in 1 2 3 4 5 6; do D --redact p -- echo n$i | cat & done; wait",
        "D --redact p -- sh -c 'stty raw; kill -9 $$' <&0 & exec 2>&-; wait; echo n1 n2 n3 n4 n5 n6",
    ];
    for round in 0..rounds(24, 1000) {
        let script = scripts[round % scripts.len()];
        let mut terminal = Terminal::spawn(place.script(script));
        let before = terminal.termios();
        let outcome = terminal.wait();
        outcome.assert_status(0);
        assert_eq!(terminal.termios(), before, "{outcome}");
        let mut words: Vec<_> = outcome.text().split_whitespace().collect();
        words.sort_unstable();
        assert_eq!(words, ["n1", "n2", "n3", "n4", "n5", "n6"], "{outcome}");
    }
}

pub fn a_script_reads_beside_a_run_in_its_background() {
    let place = Place::new();
    place.dir.fifo("go");
    let script =
        "D --redact p -- sh -c 'echo begun; read x <go' & read x; echo \"<$x>\"; echo >go; wait";
    let mut terminal = Terminal::spawn(place.script(script));
    let before = terminal.termios();
    terminal.expect("begun\r\n");
    assert_eq!(terminal.termios(), before);
    terminal.send("typed\r");
    terminal.expect("<typed>\r\n");
    terminal.wait().assert_status(0);
    assert_eq!(terminal.termios(), before);
}

/// The second one gets the keys when the first one has ended.
pub fn two_that_read_take_turns() {
    let place = Place::new();
    place.dir.fifo("go");
    let read = |name: &str| {
        format!("D --redact p -- sh -c 'echo {name}; read x </dev/tty; echo \"{name} <$x>\"'")
    };
    let (first, second) = (read("first"), read("second"));
    let script = format!("{{ {first}; echo over; }} & read y <go; {second}; wait");
    let mut terminal = Terminal::spawn(place.script(&script));
    let before = terminal.termios();
    terminal.expect("first\r\n");
    wait_until("a raw terminal", || !terminal.echoes());
    fs::write(place.dir.path().join("go"), "\n").expect("a reader");
    terminal.expect("second\r\n");
    terminal.send("one\r");
    terminal.expect("first <one>");
    // Until then it may take what is typed.
    terminal.expect("over\r\n");
    terminal.send("two\r");
    terminal.expect("second <two>");
    terminal.wait().assert_status(0);
    assert_eq!(terminal.termios(), before);
}

/// Neither what it writes to the terminal nor what another program of the pipeline writes for it.
pub fn a_raw_program_in_a_pipeline_gets_no_returns() {
    let place = Place::new();
    let raw = |output: &str| {
        format!(
            "sh -c 's=$(stty -g </dev/tty); stty raw </dev/tty; printf \"AB\\nCD\\n\" {output}; \
             read x <go; stty \"$s\" </dev/tty; echo EF {output}'"
        )
    };
    place.dir.fifo("go");
    for (output, end) in [
        ("", "| cat"),
        (">&2", "| cat"),
        (">/dev/tty", "| cat"),
        ("", ""),
    ] {
        let [expected, found] = ["env", "D --redact p --"].map(|wrapper| {
            let script = format!("{wrapper} {} {end}", raw(output));
            let mut terminal = Terminal::spawn(place.script(&script));
            let before = terminal.termios();
            terminal.expect("CD");
            fs::write(place.dir.path().join("go"), "\n").expect("a reader");
            let outcome = terminal.wait();
            outcome.assert_status(0);
            assert_eq!(terminal.termios(), before);
            outcome.text().to_owned()
        });
        assert_eq!(expected, "AB\nCD\nEF\r\n");
        assert_eq!(found, expected, "{output} {end}");
    }
}

/// Who has locked the terminal for something else does not keep the keys from the command.
pub fn a_lock_of_another_program_is_waited_for_in_vain_only_once() {
    let place = Place::new();
    place.dir.fifo("go");
    let lock = "import fcntl, os, time; fcntl.flock(os.open(os.ttyname(1), 0), fcntl.LOCK_EX); \
        open(\"go\", \"w\").write(\"\\n\"); time.sleep(1000)";
    let run = "D --redact p -- sh -c 'echo begun; read x; echo \"<$x>\"'";
    let script = format!("python3 -c '{lock}' & read y <go; {run}; kill %1");
    let mut terminal = Terminal::spawn(place.script(&script));
    let before = terminal.termios();
    terminal.expect("begun\r\n");
    wait_until("a raw terminal", || !terminal.echoes());
    terminal.send("typed\r");
    terminal.expect("<typed>");
    terminal.wait();
    assert_eq!(terminal.termios(), before);
}

/// What others write is not in the middle of it, though its end may begin a secret.
pub fn a_line_is_written_at_once() {
    let place = Place::new();
    let script = "for i in 1 2 3 4 5 6 7 8; do D --redact p -- sh -c 'echo err-k >&2; echo out-k' & done; wait";
    let mut terminal = Terminal::spawn(place.script(script));
    let outcome = terminal.wait();
    let mut lines: Vec<_> = outcome.text().split("\r\n").collect();
    lines.sort_unstable();
    let expected = [vec![""], vec!["err-k"; 8], vec!["out-k"; 8]].concat();
    assert_eq!(lines, expected, "{outcome}");
}

pub fn what_is_for_the_job_reaches_the_whole_job() {
    let place = Place::new();
    let tag = format!("7{}", std::process::id());
    let command = format!("sh -c 'sleep 77.{tag}; echo'");
    let script = format!("timeout 0.5 D --redact p -- {command}; echo status $?");
    let outcome = Terminal::spawn(place.script(&script)).wait();
    assert_eq!(outcome.text(), "status 124\r\n");
    wait_until("the end of all", || !is_running(&format!("77.{tag}")));

    let mut terminal = Terminal::spawn(place.shell());
    terminal.expect(PROMPT);
    terminal.send(format!(
        "D --redact p -- sh -c 'echo be\"\"gun; sleep 78.{tag}; echo' &\r"
    ));
    terminal.expect("begun");
    wait_until("a command", || is_running(&format!("78.{tag}")));
    terminal.send("kill %1; wait; echo over-$((6*7))\r");
    terminal.expect("over-42");
    wait_until("the end of all", || !is_running(&format!("78.{tag}")));
    terminal.send("exit\r");
    terminal.wait();
}

/// As without us: what is sent to one process is not for those that it has started.
pub fn what_is_for_one_process_reaches_that_alone() {
    let place = Place::new();
    let script = "sh -c 'trap \"echo wrong\" USR1; while :; do sleep 0.01; done' & child=$!; \
        trap \"echo caught\" USR1; trap \"kill -9 $child; exit 5\" TERM; \
        echo begun; while :; do sleep 0.01; done";
    let mut terminal = Terminal::spawn(place.run(&["--redact"]).args(["sh", "-c", script]));
    terminal.expect("begun");
    for _ in 0..3 {
        terminal.signal(Signal::SIGUSR1);
        terminal.expect("caught");
    }
    // The other one would have said so by now.
    terminal.signal(Signal::SIGTERM);
    let outcome = terminal.wait();
    outcome.assert_status(5);
    assert!(!outcome.text().contains("wrong"), "{outcome}");
}

pub fn a_hangup_comes_once_and_to_all() {
    let place = Place::new();
    let log = place.dir.path().join("log");
    let logged = || fs::read_to_string(&log).unwrap_or_default();
    for mode in ["--exec", "--supervise", "--redact"] {
        fs::write(&log, "").expect("a log");
        let tag = format!("79.{}{}", std::process::id(), mode.len());
        let script = format!(
            "trap 'echo hangup >>log' HUP; trap 'echo continued >>log' CONT; sleep {tag} & \
             echo $$ >>log; while :; do sleep 0.01; done"
        );
        place.dir.file("command", script);
        // The shell leads the session, and so the kernel tells it, and all that are in front when it has ended.
        let run = place.run(&[mode]).args(["sh", "command"]);
        let run = run.under(["sh", "-c", "\"$@\"; :", "sh"]);
        let is_ready = || logged().ends_with('\n') && is_running(&tag);
        let hung_up = Terminal::hang_up(run, is_ready);
        // What the hangup brought may stand below it already.
        let first = logged().lines().next().map(str::parse::<i32>);
        let command = first.expect("a line").expect("a number");
        wait_until("a hangup", || logged().contains("hangup"));
        wait_until("the end of the other", || !is_running(&tag));
        std::thread::sleep(std::time::Duration::from_millis(300));
        let count = |text: &str| logged().matches(text).count();
        assert!(
            count("hangup") == 1 && count("continued") <= 1,
            "{mode}: {}",
            logged()
        );
        kill(Pid::from_raw(command), Signal::SIGKILL).expect("the command");
        hung_up.end();
    }
}
