//! Signals, each of them and at every moment: the command gets what it would get without us, and until
//! there is a command they end us.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::signal::Signal;

use crate::support::*;

tests![
    every_signal_reaches_the_command_once,
    every_signal_keeps_its_value,
    real_time_signals_are_queued_in_order,
    what_the_command_sends_us_is_not_sent_back,
    a_stopped_command_is_continued_and_gets_what_came_before,
    the_status_of_a_command_that_is_gone_stays_its_own,
    the_timer_of_the_caller_reaches_the_command,
    a_signal_that_the_library_hides_is_mirrored,
    every_deadly_signal_during_the_fetch_ends_the_run,
    every_harmless_signal_during_the_fetch_leaves_it_alone,
    no_early_term_is_lost_in_place,
    no_early_term_is_lost_behind_a_supervisor,
    no_early_term_is_lost_behind_a_supervisor_of_a_group,
    no_early_term_is_lost_beside_a_filter,
    every_inherited_disposition_reaches_the_command,
    every_inherited_mask_reaches_the_command,
];

const MODES: [&str; 3] = ["--exec", "--supervise", "--redact"];

/// A path whose project needs no key, so that a run is short.
const PLAIN: &str = "legacy/production/api";

/// A run whose command records the signals that reach it.
struct Recorder {
    live: Live,
    command: i32,
    expected: String,
}

impl Recorder {
    #[track_caller]
    fn start(tree: &Tree, options: &[&str]) -> Self {
        Recorder::of(tree, options, recorder())
    }

    #[track_caller]
    fn of(tree: &Tree, options: &[&str], command: [std::ffi::OsString; 3]) -> Self {
        let run = tree
            .dotenv_run()
            .arg("-q")
            .args(options)
            .args([PLAIN, "--"]);
        let live = run.args(command).spawn();
        let command = live.wait_for_number("ready ");
        Recorder {
            live,
            command,
            expected: format!("ready {command}\n"),
        }
    }

    /// The process that was started: the supervisor, or the command itself.
    fn ours(&self) -> i32 {
        self.live.pid().as_raw()
    }

    /// Sends a signal to what was started; it must come out at the other end.
    #[track_caller]
    fn send(&mut self, sent: Sent) {
        sent.to(self.ours());
        self.expect(sent);
    }

    #[track_caller]
    fn expect(&mut self, sent: Sent) {
        self.expected += &sent.to_string();
        self.live.wait_for_output(&self.expected);
    }

    /// Ends it: it must have got what was expected and nothing else.
    #[track_caller]
    fn end(mut self) {
        self.send(Sent::plain(END));
        let outcome = self.live.wait();
        outcome.assert_status(RECORDER_STATUS);
        outcome.assert_stdout(self.expected);
        assert_eq!(outcome.stderr, "");
    }
}

/// Runs with a recorder: in place, behind a supervisor, behind one of a group, and beside a filter.
fn recorders(tree: &Tree) -> [Recorder; 4] {
    ["--exec", "--supervise", "--group", "--redact"].map(|mode| Recorder::start(tree, &[mode]))
}

pub fn every_signal_reaches_the_command_once() {
    let tree = Tree::example();
    for mut recorder in recorders(&tree) {
        for number in signals().filter(|number| *number != END) {
            recorder.send(Sent::plain(number));
            recorder.send(Sent::plain(number));
        }
        recorder.end();
    }
}

pub fn every_signal_keeps_its_value() {
    let tree = Tree::example();
    for mode in MODES {
        let mut recorder = Recorder::start(&tree, &[mode]);
        for number in signals().filter(|number| *number != END) {
            recorder.send(Sent::with_value(number, number * 1000));
            recorder.send(Sent::with_value(number, -number));
        }
        recorder.end();
    }
}

/// Between numbers there is no order to keep: the lowest that waits comes first.
pub fn real_time_signals_are_queued_in_order() {
    let tree = Tree::example();
    for mode in MODES {
        let recorder = Recorder::start(&tree, &[mode]);
        let numbers = [35, 50, 63];
        let values = 0..200;
        for value in values.clone() {
            for number in numbers {
                Sent::with_value(number, value).to(recorder.ours());
            }
        }
        Sent::plain(END).to(recorder.ours());
        let outcome = recorder.live.wait();
        outcome.assert_status(RECORDER_STATUS);
        for number in numbers {
            let line = format!("signal {number} with ");
            let lines = outcome.text().lines();
            let arrived: Vec<_> = lines.filter_map(|text| text.strip_prefix(&line)).collect();
            let sent: Vec<_> = values.clone().map(|value| value.to_string()).collect();
            assert_eq!(arrived, sent, "{mode}, signal {number}");
        }
    }
}

pub fn what_the_command_sends_us_is_not_sent_back() {
    let tree = Tree::example();
    for mode in ["--supervise", "--group", "--redact"] {
        Recorder::of(&tree, &[mode], accuser()).end();
    }
}

/// No shell is there to continue us, so we do not stop either.
pub fn a_stopped_command_is_continued_and_gets_what_came_before() {
    let tree = Tree::example();
    for mode in ["--supervise", "--group", "--redact"] {
        let mut recorder = Recorder::start(&tree, &[mode]);
        Sent::plain(libc::SIGSTOP).to(recorder.command);
        wait_until("a stopped command", || state(recorder.command) == 'T');
        Sent::plain(libc::SIGTERM).to(recorder.ours());
        wait_until("a signal that waits", || {
            field(recorder.command, "ShdPnd") == Some(1 << (libc::SIGTERM - 1))
        });
        assert_eq!(state(recorder.ours()), 'S', "{mode}");
        Sent::plain(libc::SIGCONT).to(recorder.ours());
        recorder.expect(Sent::plain(libc::SIGTERM));
        recorder.expect(Sent::plain(libc::SIGCONT));
        recorder.end();
    }
}

/// The letter for the state of a process.
fn state(process: i32) -> char {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("a process of ours");
    let state = status
        .lines()
        .find_map(|line| line.strip_prefix("State:\t"));
    state.and_then(|text| text.chars().next()).expect("a state")
}

/// A set of signals in the status of a process.
fn field(process: i32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    u64::from_str_radix(line?.trim_start_matches(':').trim(), 16).ok()
}

/// The command ends while the supervisor cannot see it; the signals come after that.
pub fn the_status_of_a_command_that_is_gone_stays_its_own() {
    let tree = Tree::example();
    for mode in ["--supervise", "--group", "--redact"] {
        let recorder = Recorder::start(&tree, &[mode]);
        Sent::plain(libc::SIGSTOP).to(recorder.ours());
        wait_until("a stopped supervisor", || state(recorder.ours()) == 'T');
        Sent::plain(END).to(recorder.command);
        wait_until("a command that has ended", || {
            state(recorder.command) == 'Z'
        });
        for number in signals() {
            Sent::plain(number).to(recorder.ours());
        }
        let outcome = recorder.live.wait();
        outcome.assert_status(RECORDER_STATUS);
        assert_eq!(outcome.stderr, "", "{outcome}");
    }
}

/// A timer that the caller set on itself goes on over execve(2), for the process that was started.
pub fn the_timer_of_the_caller_reaches_the_command() {
    let tree = Tree::example();
    for mode in MODES {
        let run = tree.dotenv_run().args([mode, PLAIN, "--"]).args(recorder());
        let live = run.under(with_timer(Duration::from_millis(500))).spawn();
        let command = live.wait_for_number("ready ");
        live.wait_for_output(&Sent::plain(libc::SIGALRM).to_string());
        Sent::plain(END).to(command);
        let expected = format!("ready {command}\nsignal 14\nsignal 64\n");
        live.wait().assert_status(7).assert_stdout(expected);
    }
}

pub fn a_signal_that_the_library_hides_is_mirrored() {
    let tree = Tree::example();
    for number in HIDDEN {
        for mode in MODES {
            let run = tree.dotenv_run().args([mode, PLAIN, "--", "sh", "-c"]);
            let run = run.arg(format!("kill -{number} $$"));
            let outcome = run.under(with_signals(0, 0)).finish();
            assert_eq!(outcome.status.signal(), Some(number), "{outcome}");
        }
    }
}

const HARMLESS: [i32; 4] = [libc::SIGCHLD, libc::SIGCONT, libc::SIGURG, libc::SIGWINCH];

/// The C library takes these for itself as soon as there are threads.
const HIDDEN: [i32; 2] = [32, 33];

const STOPPING: [i32; 3] = [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU];

/// A run that waits for an answer of the service, with a witness as its command.
#[track_caller]
fn fetching(service: &Service, mode: &str, witness: &Witness) -> Live {
    let before = service.requests().len();
    let run = service.dotenv_run().args([mode, "-q", PLAIN, "--"]);
    let run = run.args(witness.command());
    let live = run.under(with_signals(0, 0)).spawn();
    // Both of them: one that comes late would be taken for one of the next run.
    wait_until("two requests", || service.requests().len() == before + 2);
    live
}

pub fn every_deadly_signal_during_the_fetch_ends_the_run() {
    let (service, witness) = (Service::plain(), Witness::new());
    service.fail(Route::Secrets, Fault::Hang);
    let deadly = signals().filter(|number| {
        ![&HARMLESS[..], &STOPPING, &HIDDEN]
            .concat()
            .contains(number)
    });
    for number in deadly {
        for mode in MODES {
            let live = fetching(&service, mode, &witness);
            Sent::plain(number).to(live.pid().as_raw());
            let outcome = live.wait();
            let status = (outcome.status.signal(), outcome.status.core_dumped());
            assert_eq!(status, (Some(number), false), "{mode}\n{outcome}");
            outcome.assert_stdout("");
            assert_eq!(outcome.stderr, "", "{outcome}");
            witness.assert_not_started();
        }
    }
}

pub fn every_harmless_signal_during_the_fetch_leaves_it_alone() {
    let (service, witness) = (Service::plain(), Witness::new());
    service.fail(Route::Secrets, Fault::Hang);
    for mode in MODES {
        let live = fetching(&service, mode, &witness);
        for number in HARMLESS {
            Sent::plain(number).to(live.pid().as_raw());
        }
        live.signal(Signal::SIGTERM);
        live.wait().assert_killed_by(Signal::SIGTERM);
        witness.assert_not_started();
    }
}

pub fn no_early_term_is_lost_in_place() {
    no_early_term_is_lost("--exec");
}

pub fn no_early_term_is_lost_behind_a_supervisor() {
    no_early_term_is_lost("--supervise");
}

pub fn no_early_term_is_lost_behind_a_supervisor_of_a_group() {
    no_early_term_is_lost("--group");
}

pub fn no_early_term_is_lost_beside_a_filter() {
    no_early_term_is_lost("--redact");
}

/// From 0 to 3 ms in steps of 10 µs, and then in wider ones until well behind the start of the command.
fn no_early_term_is_lost(mode: &str) {
    let tree = Tree::example();
    let delays = (0..300).map(|step| step * 10);
    let later = (0..100).map(|step| 3000 + step * 200);
    let outcomes: Vec<_> = delays
        .chain(later)
        .map(|delay| ends_by_early_term(&tree, mode, Duration::from_micros(delay)))
        .collect();
    // The delays are such that both happen.
    assert!(outcomes.contains(&true) && outcomes.contains(&false));
}

/// Whether the command had begun.
fn ends_by_early_term(tree: &Tree, mode: &str, delay: Duration) -> bool {
    let script = "exec 2>/dev/null; trap 'exit 7' TERM; echo begun; while :; do sleep 0.01; done";
    let run = tree
        .dotenv_run()
        .args(["-q", mode, PLAIN, "--", "sh", "-c", script]);
    let live = run.spawn();
    let sent_at = Instant::now() + delay;
    while Instant::now() < sent_at {
        std::hint::spin_loop();
    }
    live.signal(Signal::SIGTERM);
    let outcome = live.wait();
    assert_eq!(outcome.stderr, "", "after {delay:?}\n{outcome}");
    match outcome.text() {
        // The shell may have begun, but not yet said so.
        "" if outcome.status.code() == Some(7) => true,
        "" => {
            outcome.assert_killed_by(Signal::SIGTERM);
            false
        }
        _ => {
            outcome.assert_status(7).assert_stdout("begun\n");
            true
        }
    }
}

/// The lines of `/proc/PID/status` about signals, as a command finds them that is started by `run`
/// with these signals ignored and blocked.
fn told(run: Run, ignored: u64, blocked: u64) -> String {
    let run = run.args(["cat", "/proc/self/status"]);
    let outcome = run.under(with_signals(ignored, blocked)).finish();
    outcome.assert_status(0);
    let is_about_signals = |line: &&str| line[..3] == *"Sig" || line.contains("Pnd:");
    let lines = outcome.text().lines().filter(is_about_signals);
    let lines = lines.filter(|line| !line.starts_with("SigQ"));
    lines.collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn assert_same_as_env(tree: &Tree, ignored: u64, blocked: u64) {
    let direct = told(Run::program("env"), ignored, blocked);
    let hexadecimal = |set: u64| format!("{set:016x}");
    assert!(
        direct.contains(&hexadecimal(ignored & !UNCATCHABLE)),
        "{direct}"
    );
    assert!(
        direct.contains(&hexadecimal(blocked & !UNCATCHABLE)),
        "{direct}"
    );
    for mode in ["--exec", "--supervise", "--group", "--redact"] {
        let ours = told(
            tree.dotenv_run().args([mode, PLAIN, "--"]),
            ignored,
            blocked,
        );
        assert_eq!(ours, direct, "{mode}");
    }
}

const UNCATCHABLE: u64 = 1 << (libc::SIGKILL - 1) | 1 << (libc::SIGSTOP - 1);

pub fn every_inherited_disposition_reaches_the_command() {
    let tree = Tree::example();
    for number in signals() {
        assert_same_as_env(&tree, 1 << (number - 1), 0);
    }
    assert_same_as_env(&tree, !0, 0);
}

pub fn every_inherited_mask_reaches_the_command() {
    let tree = Tree::example();
    for number in signals() {
        assert_same_as_env(&tree, 0, 1 << (number - 1));
    }
    assert_same_as_env(&tree, !0, !0);
}
