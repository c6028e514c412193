//! What an init and a supervisor owe the command: orphans, the end of a run that has no command yet, a
//! group, a time limit, and to be nothing but a small process that waits.

use std::ffi::OsStr;
use std::fs;
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::signal::Signal;

use crate::launch::init::UNSHARE;
use crate::support::*;

tests![
    pid_1_is_ended_by_a_signal_during_the_fetch needs(NAMESPACES),
    pid_1_is_ended_at_the_prompt needs(NAMESPACES),
    pid_1_ignores_a_command_that_stops needs(NAMESPACES),
    a_subreaper_reaps_every_orphan,
    orphans_do_not_hold_up_the_end,
    without_a_subreaper_orphans_go_elsewhere,
    a_group_is_the_commands_from_the_start,
    signals_go_to_the_whole_group,
    a_stop_timeout_kills_when_it_is_up_and_not_before,
    a_stop_timeout_is_for_signals_that_end,
    a_stop_timeout_kills_the_whole_group,
    a_command_that_ends_in_time_is_not_killed,
    the_command_dies_with_its_parent,
    the_command_outlives_its_parent_by_default,
    the_process_that_systemd_means_is_the_command,
    a_waiting_supervisor_is_not_woken,
    a_waiting_supervisor_has_no_descriptor,
    a_waiting_supervisor_shows_its_name_only,
];

const PLAIN: &str = "legacy/production/api";

/// A path whose project needs the client key.
const SEALED: &str = "my-app/production/api";

/// The only child of a process.
#[track_caller]
fn child(process: i32) -> i32 {
    let path = format!("/proc/{process}/task/{process}/children");
    wait_for("a child", || {
        let children = fs::read_to_string(&path).ok()?;
        children.trim().parse().ok()
    })
}

/// Signals to PID 1 that nobody handles are dropped by the kernel: it must handle them by itself.
pub fn pid_1_is_ended_by_a_signal_during_the_fetch() {
    let (service, witness) = (Service::plain(), Witness::new());
    service.fail(Route::Secrets, Fault::Hang);
    for options in [&["-q"][..], &["-q", "--exec"], &["-q", "--group"]] {
        for number in [1, 2, 3, 10, 12, 13, 15, 24, 34, 64] {
            let before = service.requests().len();
            let run = service.dotenv_run().args(options).args([PLAIN, "--"]);
            let live = run.args(witness.command()).under(UNSHARE).spawn();
            // Both of them: one that comes late would be taken for one of the next run.
            wait_until("two requests", || service.requests().len() == before + 2);
            Sent::plain(number).to(child(live.pid().as_raw()));
            let outcome = live.wait();
            outcome.assert_status(128 + number).assert_stdout("");
            assert_eq!(outcome.stderr, "", "{outcome}");
            witness.assert_not_started();
        }
    }
}

pub fn pid_1_is_ended_at_the_prompt() {
    let (tree, witness) = (Tree::example(), Witness::new());
    for options in [&[][..], &["--exec"], &["--group"]] {
        let run = tree.dotenv_run().args(options).args([SEALED, "--"]);
        let mut terminal = Terminal::spawn(run.args(witness.command()).under(UNSHARE));
        terminal.expect("client key: ");
        assert!(!terminal.echoes());
        let before = Instant::now();
        terminal.send("\x03");
        terminal.wait().assert_status(130);
        assert!(before.elapsed() < Duration::from_secs(2));
        assert!(terminal.echoes(), "{options:?}");
        witness.assert_not_started();
    }
}

pub fn pid_1_ignores_a_command_that_stops() {
    let tree = Tree::example();
    for mode in ["--supervise", "--group"] {
        let run = tree
            .dotenv_run()
            .args([mode, PLAIN, "--"])
            .args(["sh", "-c"]);
        let script = "(until grep -q 'State:.T' /proc/$$/status; do :; done; kill -CONT $$) & \
                      echo begun; kill -STOP $$; echo continued; exit 5";
        let wrapper = [&["unshare", "--mount-proc"], &UNSHARE[1..]].concat();
        let outcome = run.arg(script).under(wrapper).finish();
        outcome.assert_status(5).assert_stdout("begun\ncontinued\n");
    }
}

/// Makes five orphans that say who became their parent, and waits until nothing is left of them.
const ORPHANS: &str = "mkfifo end; exec 3<>end; \
    for n in 1 2 3 4 5; do orphans=\"$orphans $(sh -c '(read line <&3; exit 9) >&- & echo $!')\"; done; \
    for orphan in $orphans; do grep PPid /proc/$orphan/status; done; \
    printf '\\n\\n\\n\\n\\n' >&3; \
    for orphan in $orphans; do \
        n=0; while test -e /proc/$orphan; do n=$((n + 1)); test $n -lt 500 || exit 1; sleep 0.01; done; \
    done; exit 3";

pub fn a_subreaper_reaps_every_orphan() {
    let (tree, dir) = (Tree::example(), TempDir::new());
    let run = tree
        .dotenv_run()
        .args(["--subreaper", PLAIN, "--", "sh", "-c"]);
    let live = run.arg(ORPHANS).dir(dir.path()).spawn();
    let parent = format!("PPid:\t{}\n", live.pid());
    live.wait().assert_status(3).assert_stdout(parent.repeat(5));
}

pub fn orphans_do_not_hold_up_the_end() {
    let (tree, dir) = (Tree::example(), TempDir::new());
    let script = "mkfifo end; sh -c '(read line <end) >&- 2>&- & echo $!'; exit 3";
    let run = tree
        .dotenv_run()
        .args(["--subreaper", PLAIN, "--", "sh", "-c", script]);
    let outcome = run.dir(dir.path()).finish();
    outcome.assert_status(3);
    let orphan: i32 = outcome.text().trim().parse().expect("a number");
    assert!(
        fs::exists(format!("/proc/{orphan}")).expect("/proc"),
        "it was ended"
    );
    Sent::plain(libc::SIGKILL).to(orphan);
}

pub fn without_a_subreaper_orphans_go_elsewhere() {
    let tree = Tree::example();
    let script = "mkfifo end; orphan=$(sh -c '(read line <end) >&- & echo $!'); \
                  grep PPid /proc/$orphan/status; echo >end";
    let dir = TempDir::new();
    let run = tree
        .dotenv_run()
        .args(["--supervise", PLAIN, "--", "sh", "-c", script]);
    let live = run.dir(dir.path()).spawn();
    let parent = format!("PPid:\t{}\n", live.pid());
    let outcome = live.wait();
    outcome.assert_status(0);
    assert_ne!(outcome.text(), parent);
}

pub fn a_group_is_the_commands_from_the_start() {
    let tree = Tree::example();
    for _ in 0..rounds(50, 500) {
        let run = tree.dotenv_run().args(["--group", PLAIN, "--"]);
        let live = run.args(["cat", "/proc/self/stat"]).spawn();
        let ours = live.pid().as_raw();
        let outcome = live.wait();
        let numbers = outcome
            .text()
            .rsplit_once(") ")
            .map(|(_, rest)| rest.split(' '));
        let numbers = numbers.into_iter().flatten().skip(1);
        let numbers: Vec<i32> = numbers.map_while(|field| field.parse().ok()).collect();
        let pid = outcome
            .text()
            .split(' ')
            .next()
            .and_then(|pid| pid.parse().ok());
        assert_eq!(
            numbers[..3],
            [ours, pid.expect("a number"), ours],
            "{outcome}"
        );
    }
}

pub fn signals_go_to_the_whole_group() {
    let tree = Tree::example();
    let script = "sh -c 'trap \"echo inner\" USR1; echo ready; until read line; do :; done' & \
                  trap 'echo outer' USR1; while :; do wait && exit 5; done";
    let dir = TempDir::new();
    nix::unistd::mkfifo(&dir.path().join("end"), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    let run = tree.dotenv_run().args(["--group", PLAIN, "--", "sh", "-c"]);
    let script = script.replace("read line;", "read line <end;");
    let live = run.arg(script).dir(dir.path()).spawn();
    live.wait_for_output("ready");
    // A shell tells only once it has come back from waiting; it is signalled until it has.
    wait_until("both to be told", || {
        live.signal(Signal::SIGUSR1);
        ["outer", "inner"]
            .iter()
            .all(|word| live.output_so_far().contains(word))
    });
    live.signal(Signal::SIGTERM);
    live.wait().assert_killed_by(Signal::SIGTERM);
}

/// A command that does not end by the signals that would end others.
const STUBBORN: &str = "trap '' TERM INT HUP QUIT USR1; echo ready; while :; do sleep 0.01; done";

pub fn a_stop_timeout_kills_when_it_is_up_and_not_before() {
    const TIMEOUT: Duration = Duration::from_secs(3);
    let tree = Tree::example();
    let signals = [
        (Signal::SIGTERM, "3"),
        (Signal::SIGINT, "3"),
        (Signal::SIGQUIT, "3"),
        (Signal::SIGHUP, "3:HUP"),
        (Signal::SIGUSR1, "3:SIGTERM,10"),
    ];
    check_all(signals.len(), &signals, |(signal, time)| {
        let run = tree
            .dotenv_run()
            .args(["--stop-timeout", time, PLAIN, "--"]);
        let live = run.args(["sh", "-c", STUBBORN]).spawn();
        live.wait_for_output("ready");
        let first = Instant::now();
        live.signal(*signal);
        wait_until("most of the time", || first.elapsed() > TIMEOUT * 2 / 3);
        live.signal(*signal);
        let second = Instant::now();
        live.wait().assert_killed_by(Signal::SIGKILL);
        assert!(first.elapsed() >= TIMEOUT, "{:?}", first.elapsed());
        // Had the second one begun the time anew, it would not be over yet.
        assert!(second.elapsed() < TIMEOUT, "{:?}", second.elapsed());
        Ok(())
    });
}

pub fn a_stop_timeout_is_for_signals_that_end() {
    let tree = Tree::example();
    // A hangup has a service read its configuration again.
    for (time, others, last) in [
        ("0.1", [Signal::SIGUSR1, Signal::SIGHUP], Signal::SIGTERM),
        ("0.1:HUP", [Signal::SIGTERM, Signal::SIGINT], Signal::SIGHUP),
    ] {
        for mode in ["--supervise", "--group", "--redact"] {
            let run = tree
                .dotenv_run()
                .args([mode, "--stop-timeout", time, PLAIN, "--"]);
            let live = run.args(["sh", "-c", STUBBORN]).spawn();
            live.wait_for_output("ready");
            for other in others {
                live.signal(other);
            }
            let sent = Instant::now();
            wait_until("three times the time", || {
                sent.elapsed() > Duration::from_millis(300)
            });
            assert!(!live.has_ended(), "{mode} {time}");
            live.signal(last);
            live.wait().assert_killed_by(Signal::SIGKILL);
        }
    }
}

pub fn a_stop_timeout_kills_the_whole_group() {
    let tree = Tree::example();
    let script = format!("trap '' TERM; (sleep 1000 & {STUBBORN}) & wait; {STUBBORN}");
    let run = tree
        .dotenv_run()
        .args(["--group", "--stop-timeout", "0.1", PLAIN, "--"]);
    let live = run.args(["sh", "-c", &script]).spawn();
    live.wait_for_output("ready");
    live.signal(Signal::SIGTERM);
    // Waits for whoever holds the output as well.
    live.wait().assert_killed_by(Signal::SIGKILL);
}

pub fn a_command_that_ends_in_time_is_not_killed() {
    let tree = Tree::example();
    let script = "trap 'sleep 0.2; exit 5' TERM; echo ready; while :; do sleep 0.01; done";
    let run = tree
        .dotenv_run()
        .args(["--stop-timeout", "20", PLAIN, "--"]);
    let live = run.args(["sh", "-c", script]).spawn();
    live.wait_for_output("ready");
    live.signal(Signal::SIGTERM);
    let outcome = live.wait();
    outcome.assert_status(5);
    assert!(outcome.elapsed < Duration::from_secs(10), "{outcome}");
}

/// Kills the supervisor of a recorder; the recorder's PID.
#[track_caller]
fn kill_supervisor(live: &Live) -> i32 {
    let command = live.wait_for_number("ready ");
    live.signal(Signal::SIGKILL);
    wait_until("the end of the supervisor", || live.has_ended());
    command
}

pub fn the_command_dies_with_its_parent() {
    let tree = Tree::example();
    let cases = [
        ("--die-with-parent", 15),
        ("--die-with-parent=TERM", 15),
        ("--die-with-parent=SIGUSR1", 10),
        ("--die-with-parent=34", 34),
    ];
    for (option, number) in cases {
        let run = tree
            .dotenv_run()
            .args([option, PLAIN, "--"])
            .args(recorder());
        let live = run.spawn();
        let command = kill_supervisor(&live);
        live.wait_for_output(&Sent::plain(number).to_string());
        Sent::plain(END).to(command);
        let outcome = live.wait();
        outcome.assert_killed_by(Signal::SIGKILL);
        let end = [Sent::plain(number), Sent::plain(END)].map(|sent| sent.to_string());
        outcome.assert_stdout(format!("ready {command}\n{}", end.concat()));
    }
}

pub fn the_command_outlives_its_parent_by_default() {
    let tree = Tree::example();
    for mode in ["--supervise", "--group"] {
        let run = tree.dotenv_run().args([mode, PLAIN, "--"]).args(recorder());
        let live = run.spawn();
        let command = kill_supervisor(&live);
        Sent::plain(END).to(command);
        let expected = format!("ready {command}\nsignal {END}\n");
        live.wait()
            .assert_killed_by(Signal::SIGKILL)
            .assert_stdout(expected);
    }
}

pub fn the_process_that_systemd_means_is_the_command() {
    let tree = Tree::example();
    let show = "echo $$ $WATCHDOG_PID $LISTEN_PID $LISTEN_FDS";
    for mode in ["--exec", "--supervise", "--group"] {
        let told = |start: &str| {
            let run = tree
                .dotenv_run()
                .args([mode, PLAIN, "--", "sh", "-c", show]);
            let start = format!("{start} exec \"$@\"");
            let outcome = run.under(["sh", "-c", &start, "sh"]).finish();
            outcome.assert_status(0);
            let words = outcome.text().split_whitespace();
            words.map(String::from).collect::<Vec<_>>()
        };
        let both = told("export WATCHDOG_PID=$$ LISTEN_PID=$$ LISTEN_FDS=2;");
        let [pid, watchdog, listen, fds] = &both[..] else {
            panic!("{both:?}")
        };
        assert_eq!((watchdog, listen, &fds[..]), (pid, pid, "2"), "{mode}");
        let others = told("export WATCHDOG_PID=1 LISTEN_PID=0$$;");
        assert_eq!(others[1], "1", "{mode}");
        assert!(others[2].starts_with('0'), "{mode}: {others:?}");
        assert_eq!(
            told("").len(),
            1,
            "{mode}: what was not there is not made up"
        );
    }
}

/// A supervised recorder, ready.
#[track_caller]
fn waiting(tree: &Tree, options: &[&str]) -> Live {
    let run = tree.dotenv_run().env("HIDDEN", "hunter2");
    let run = run.args(options).args([PLAIN, "--"]).args(recorder());
    let live = run.args(["--password", "hunter3"]).spawn();
    live.wait_for_number("ready ");
    live
}

const WAITING: [&[&str]; 4] = [
    &["--supervise"],
    &["--group"],
    &["--subreaper"],
    &["--stop-timeout", "5", "--die-with-parent"],
];

#[track_caller]
fn end(live: Live) {
    Sent::plain(END).to(live.pid().as_raw());
    live.wait().assert_status(RECORDER_STATUS);
}

fn switches(live: &Live) -> Vec<String> {
    let status = fs::read_to_string(format!("/proc/{}/status", live.pid())).expect("our child");
    let lines = status.lines().filter(|line| line.contains("ctxt_switches"));
    lines.map(String::from).collect()
}

pub fn a_waiting_supervisor_is_not_woken() {
    let tree = Tree::example();
    let all: Vec<_> = WAITING.map(|options| waiting(&tree, options)).into();
    let is_settled = |live: &Live| {
        let status = fs::read_to_string(format!("/proc/{}/status", live.pid())).expect("our child");
        status.contains("\nSeccomp:\t2\n") && status.contains("\nState:\tS ")
    };
    wait_until("supervisors that sleep", || all.iter().all(is_settled));
    let before: Vec<_> = all.iter().map(switches).collect();
    let since = Instant::now();
    wait_until("two seconds", || since.elapsed() > Duration::from_secs(2));
    let after: Vec<_> = all.iter().map(switches).collect();
    assert_eq!(after, before);
    assert_eq!(after[0].len(), 2);
    all.into_iter().for_each(end);
}

pub fn a_waiting_supervisor_has_no_descriptor() {
    let tree = Tree::example();
    for options in WAITING {
        let live = waiting(&tree, options);
        let path = format!("/proc/{}/fd", live.pid());
        wait_until("a process without descriptors", || {
            fs::read_dir(&path).expect("our child").count() == 0
        });
        end(live);
    }
}

pub fn a_waiting_supervisor_shows_its_name_only() {
    let tree = Tree::example();
    for options in WAITING {
        let live = waiting(&tree, options);
        let text = |name: &str| {
            let bytes = fs::read(format!("/proc/{}/{name}", live.pid())).expect("our child");
            let words = bytes
                .split(|byte| *byte == 0)
                .filter(|word| !word.is_empty());
            words.map(<[u8]>::to_vec).collect::<Vec<_>>()
        };
        let name = OsStr::new(env!("CARGO_BIN_EXE_dotenv-run"));
        wait_until("an empty environment", || text("environ").is_empty());
        assert_eq!(text("cmdline"), [name.as_encoded_bytes()]);
        end(live);
    }
}
