//! Signals to the supervisor, and signals that come before there is a command.

use nix::sys::signal::Signal;

use super::{MODES, PLAIN, around, awaiting, endless_key, wait_for_reader};
use crate::support::*;

const FORWARDED: [Signal; 6] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGTERM,
];

pub fn each_signal_to_the_supervisor_reaches_the_command() {
    let tree = Tree::example();
    let script = "for s in HUP INT QUIT USR1 USR2; do trap \"echo SIG$s.\" $s; done; \
                  trap 'echo SIGTERM.; exit 7' TERM; \
                  echo ready.; while :; do sleep 0.01; done";
    for mode in MODES {
        let run = tree
            .dotenv_run()
            .arg(PLAIN)
            .args([mode, "--", "sh", "-c", script]);
        let live = run.spawn();
        let mut expected = "ready.\n".to_string();
        live.wait_for_output(&expected);
        for signal in FORWARDED {
            live.signal(signal);
            expected += &format!("{signal}.\n");
            live.wait_for_output(&expected);
        }
        live.wait().assert_status(7).assert_stdout(&expected);
    }
}

/// The calls that send a signal, for strace.
const SENDING: &str = "kill,tkill,tgkill,rt_sigqueueinfo,rt_tgsigqueueinfo,?pidfd_send_signal";

/// Whether a call sends a signal, and does not only try whether it could.
fn sends(call: &Call) -> bool {
    !call.arguments.ends_with(", 0")
}

/// What the command counts could be one for two, where the second comes before it has looked; what
/// the supervisor sends cannot.
pub fn a_signal_is_passed_on_exactly_once() {
    let tree = Tree::example();
    // A signal from the command itself would not come back: a shell below it sends them.
    let script = "n=0; trap 'n=$((n + 1))' HUP INT QUIT USR1 USR2 TERM; \
                  for s in HUP INT QUIT USR1 USR2 TERM; do \
                      before=$n; (kill -$s $PPID); while test $n = $before; do sleep 0.01; done; \
                  done; echo $PPID $n";
    let run = tree
        .dotenv_run()
        .arg(PLAIN)
        .args(["--supervise", "--", "sh", "-c", script]);
    let trace = strace(run, SENDING);
    trace.outcome.assert_status(0);
    let words: Vec<_> = trace.outcome.text().split_whitespace().collect();
    let [supervisor, "6"] = words[..] else {
        panic!("{}", trace.outcome)
    };
    let (sent, received): (Vec<_>, Vec<_>) = trace
        .calls
        .iter()
        .filter(|call| sends(call))
        .partition(|call| call.pid.to_string() == supervisor);
    assert_eq!(received.len(), 6, "{received:?}");
    let name = |call: &&Call| {
        call.arguments
            .rsplit_once(", ")
            .map(|(_, name)| name.trim().to_string())
    };
    let sent: Vec<_> = sent.iter().filter_map(name).collect();
    assert_eq!(sent, FORWARDED.map(|signal| signal.to_string()));
}

/// The terminal sends its signals to the command as well, so that the supervisor must not.
pub fn a_key_of_the_terminal_reaches_the_command_once() {
    let (tree, dir) = (Tree::example(), TempDir::new());
    let log = dir.path().join("calls");
    let script = "trap 'echo got INT.' INT; trap 'echo got QUIT.' QUIT; \
                  echo ready.; until read line; do :; done; echo \"read $line.\"; exit 7";
    let run = tree
        .dotenv_run()
        .arg(PLAIN)
        .args(["--supervise", "--", "sh", "-c", script]);
    let trace = format!("trace={SENDING}");
    let wrapper = ["strace", "-f", "-qq", "-e", &trace, "-o"];
    let wrapper = wrapper.map(std::ffi::OsStr::new).into_iter();
    let mut terminal = Terminal::spawn(run.under(wrapper.chain([log.as_os_str()])));
    terminal.expect("ready.");
    terminal.send("\x03");
    terminal.expect("got INT.");
    terminal.send("\x1c");
    terminal.expect("got QUIT.");
    terminal.send("typed\r");
    terminal.expect("read typed.");
    let outcome = terminal.wait();
    outcome.assert_status(7);
    for line in ["got INT.", "got QUIT."] {
        assert_eq!(outcome.text().matches(line).count(), 1, "{outcome}");
    }
    let log = std::fs::read_to_string(log).expect("the log of strace");
    assert!(log.contains("SIGINT") && log.contains("SIGQUIT"), "{log}");
    let sent = parse_strace(&log).into_iter().filter(sends);
    assert_eq!(sent.collect::<Vec<_>>(), []);
}

pub fn a_signal_before_the_command_ends_the_run() {
    let (tree, witness) = (Tree::example(), Witness::new());
    for signal in FORWARDED {
        for mode in MODES {
            let dir = TempDir::new();
            let key = endless_key(&dir);
            let live = awaiting(&tree, mode, &key).args(witness.command()).spawn();
            let _pipe = wait_for_reader(&key);
            live.signal(signal);
            let outcome = live.wait();
            outcome.assert_killed_by(signal).assert_stdout("");
            assert_eq!(outcome.stderr, "", "{outcome}");
            witness.assert_not_started();
        }
    }
}

pub fn a_signal_that_the_caller_ignores_kills_neither() {
    let tree = Tree::example();
    let script = "trap 'exit 7' USR1; echo ready; while :; do sleep 0.01; done";
    for mode in MODES {
        let run = tree
            .dotenv_run()
            .arg(PLAIN)
            .args([mode, "--", "sh", "-c", script]);
        let live = run.under(around("trap '' HUP INT; exec \"$@\"")).spawn();
        live.wait_for_output("ready");
        for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGUSR1] {
            live.signal(signal);
        }
        live.wait().assert_status(7);
    }
}

/// It was sent before we began, and is blocked: the command finds it as it would under `env`. A
/// supervisor passes it on, which may be later than the command looks.
pub fn a_signal_that_waits_to_be_taken_waits_for_the_command() {
    let tree = Tree::example();
    let prepared = |run: Run| {
        let run = run.args(["grep", "ShdPnd", "/proc/self/status"]);
        let run = run.under(around("kill -USR1 $$; exec \"$@\""));
        run.under(["env", "--block-signal=USR1"]).finish().stdout
    };
    let direct = prepared(Run::program("env"));
    assert_eq!(direct, b"ShdPnd:\t0000000000000200\n");
    for mode in MODES {
        wait_until(&format!("the signal in the command, {mode}"), || {
            prepared(tree.dotenv_run().arg(PLAIN).args([mode, "--"])) == direct
        });
    }
}
