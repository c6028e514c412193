//! Job control: under an interactive shell the command behaves as it would without us.

use std::fs;
use std::path::Path;

use nix::libc;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support::*;

tests![
    bash_interrupts needs(|| tool("bash")),
    dash_interrupts needs(|| tool("dash")),
    zsh_interrupts needs(|| tool("zsh")),
    bash_stops_and_continues needs(|| tool("bash")),
    dash_stops_and_continues needs(|| tool("dash")),
    zsh_stops_and_continues needs(|| tool("zsh")),
    bash_runs_in_the_background needs(|| tool("bash")),
    dash_runs_in_the_background needs(|| tool("dash")),
    zsh_runs_in_the_background needs(|| tool("zsh")),
    bash_controls_a_pipeline needs(|| tool("bash")),
    dash_controls_a_pipeline needs(|| tool("dash")),
    zsh_controls_a_pipeline needs(|| tool("zsh")),
    the_settings_of_the_terminal_stay needs(|| tool("stty")),
    the_terminal_tells_once,
    a_hangup_reaches_the_command_of_a_session_leader,
    a_key_cannot_stop_what_nobody_could_continue,
];

const MODES: [&str; 4] = ["--exec", "--supervise", "--group", "--redact"];

const PLAIN: &str = "legacy/production/api";

const PROMPT: &str = "prompt> ";

/// 128 and the number of TSTP.
const STOPPED: i32 = 148;

/// Reads a line of the terminal, and says so.
const READ: &str = "run sh -c 'echo begun-$((6*7)); read line; echo \"<$line>\"'";

/// Runs until it is ended.
const WAIT: &str = "run sh -c 'echo begun-$((6*7)); exec sleep 1000'";

/// Runs until somebody writes to the pipe `go`. It starts no process: one that is stopped in the middle of
/// vfork(2) keeps its parent from stopping, with us or without.
const WATCH: &str = "run sh -c 'echo begun-$((6*7)); read line <go; exit 5'";

/// An interactive shell in which `run` stands for a run from a tree. What it is to print is typed as
/// an expression, so that its own echo is no answer.
struct Shell {
    terminal: Terminal,
    name: String,
    mode: &'static str,
    _dir: TempDir,
    _tree: Tree,
}

impl Shell {
    #[track_caller]
    fn start(name: &str, mode: &'static str) -> Self {
        let (tree, dir) = (Tree::example(), TempDir::new());
        let (program, url) = (env!("CARGO_BIN_EXE_dotenv-run"), tree.url());
        let run =
            format!("exec {program} -q --api-url {url} --custody any {mode} {PLAIN} -- \"$@\"\n");
        dir.executable("run", format!("#!/bin/sh\n{run}"));
        mkfifo(&dir.path().join("go"), Mode::S_IRWXU).expect("a named pipe");
        let options: &[&str] = match name {
            "bash" => &["--norc", "--noprofile", "--noediting", "-i"],
            "zsh" => &["-f", "-i", "+Z"],
            _ => &["-i"],
        };
        let path = std::env::var("PATH").expect("a PATH");
        let path = format!("{}:{path}", dir.path().display());
        let shell = Run::program(name).args(options).dir(dir.path());
        let shell = shell
            .env("PATH", path)
            .env("TERM", "dumb")
            .env("PS1", PROMPT);
        let mut shell = Shell {
            terminal: Terminal::spawn(shell.env("HISTFILE", "")),
            name: name.into(),
            mode,
            _dir: dir,
            _tree: tree,
        };
        shell.answer("echo ready-$((6*7))", "ready-42");
        shell
    }

    fn each(name: &str, test: impl Fn(&mut Shell)) {
        for mode in MODES {
            let mut shell = Shell::start(name, mode);
            test(&mut shell);
            shell.exit();
        }
    }

    fn type_line(&mut self, line: &str) {
        self.terminal.send(format!("{line}\r"));
    }

    /// Types a line, and waits for what comes of it and for the shell to take the next one.
    #[track_caller]
    fn answer(&mut self, line: &str, expected: &str) {
        self.type_line(line);
        self.terminal.expect(expected);
        self.terminal.expect(PROMPT);
    }

    /// Types a line that starts a command, and waits until it has begun.
    #[track_caller]
    fn begin(&mut self, line: &str) {
        self.type_line(line);
        self.terminal.expect("begun-42");
    }

    /// Types a key that gives the terminal back to the shell. What is typed before the shell has it
    /// would be lost: the kernel drops it with the key.
    #[track_caller]
    fn key(&mut self, key: &str, status: i32) {
        self.terminal.send(key);
        self.terminal.expect(PROMPT);
        self.answer("echo status-$?", &format!("status-{status}"));
    }

    /// Whether every process below the shell, or none, is stopped.
    #[track_caller]
    fn wait_for_state(&self, stopped: bool) {
        let what = format!("stopped: {stopped}, in {} {}", self.name, self.mode);
        let shell = self.terminal.pid().as_raw();
        wait_until(&what, || {
            let states = states_below(shell);
            !states.is_empty() && states.iter().all(|state| (*state == 'T') == stopped)
        });
    }

    /// Waits until a job has the terminal.
    #[track_caller]
    fn wait_for_foreground(&self) {
        let shell = self.terminal.pid();
        wait_until("a job in the foreground", || {
            let stat = fs::read_to_string(format!("/proc/{shell}/stat")).expect("our child");
            let fields = stat.rsplit_once(") ").map(|(_, rest)| rest.split(' '));
            fields.and_then(|mut fields| fields.nth(5)) != Some(&shell.to_string())
        });
    }

    #[track_caller]
    fn exit(&mut self) {
        let shell = self.terminal.pid().as_raw();
        wait_until("the end of all jobs", || states_below(shell).is_empty());
        self.type_line("exit 3");
        self.terminal.wait().assert_status(3);
    }
}

/// Whether a process is the filter of `--redact`, which has several threads, or the monitor, which leads a session: they do
/// not stop, because what was written before is still to be shown, and the command to be continued.
fn is_beside(process: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let leads = status.lines().find(|line| line.starts_with("NSsid:"));
    let leads = leads.and_then(|line| line.split('\t').nth(1)) == Some(&process.to_string());
    status.contains("dotenv-run") && (leads || !status.contains("Threads:\t1\n"))
}

/// The states of all descendants of a process.
fn states_below(process: i32) -> Vec<char> {
    let path = format!("/proc/{process}/task/{process}/children");
    let children = fs::read_to_string(path).unwrap_or_default();
    let children = children.split_whitespace().flat_map(str::parse);
    let states = children.flat_map(|child: i32| {
        let stat = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        let state = stat
            .rsplit_once(") ")
            .and_then(|(_, rest)| rest.chars().next());
        let state = state.filter(|_| !is_beside(child));
        state
            .into_iter()
            .chain(states_below(child))
            .collect::<Vec<_>>()
    });
    states.collect()
}

fn interrupts(shell: &mut Shell) {
    shell.begin(WAIT);
    shell.key("\x1c", 131);
    let before = shell.terminal.output_so_far().matches("begun-42").count();
    shell.begin(&format!("while :; do {WAIT}; done"));
    shell.key("\x03", 130);
    let after = shell.terminal.output_so_far().matches("begun-42").count();
    assert_eq!(after, before + 1, "{}", shell.terminal.output_so_far());
}

pub fn bash_interrupts() {
    Shell::each("bash", interrupts);
}

pub fn dash_interrupts() {
    Shell::each("dash", interrupts);
}

pub fn zsh_interrupts() {
    Shell::each("zsh", interrupts);
}

fn stops_and_continues(shell: &mut Shell) {
    shell.begin(READ);
    for _ in 0..3 {
        shell.key("\x1a", STOPPED);
        shell.wait_for_state(true);
        shell.type_line("fg");
        shell.wait_for_state(false);
    }
    shell.answer("typed", "<typed>");
    shell.answer("echo status-$?", "status-0");

    shell.begin(WATCH);
    shell.key("\x1a", STOPPED);
    shell.wait_for_state(true);
    shell.answer("bg; echo here-$((6*7))", "here-42");
    shell.wait_for_state(false);
    shell.answer("echo >go; wait; echo over-$((6*7))", "over-42");

    shell.begin(WAIT);
    shell.key("\x1a", STOPPED);
    shell.wait_for_state(true);
    shell.answer("bg; echo here-$((6*7))", "here-42");
    shell.wait_for_state(false);
    shell.type_line("fg");
    shell.wait_for_foreground();
    shell.key("\x03", 130);
}

pub fn bash_stops_and_continues() {
    Shell::each("bash", stops_and_continues);
}

pub fn dash_stops_and_continues() {
    Shell::each("dash", stops_and_continues);
}

pub fn zsh_stops_and_continues() {
    Shell::each("zsh", stops_and_continues);
}

fn runs_in_the_background(shell: &mut Shell) {
    shell.begin(&format!("{WAIT} &"));
    shell.answer("echo here-$((6*7))", "here-42");
    shell.answer("kill %1; wait $!; echo status-$?", "status-143");

    shell.begin(&format!("{WATCH} &"));
    shell.answer("echo >go; wait $!; echo status-$?", "status-5");

    // A command that reads in the background is stopped, and goes on where it was. What it printed is not waited for:
    // zsh may report the stop in the middle of it.
    shell.type_line(&format!("{READ} &"));
    shell.wait_for_state(true);
    shell.answer("echo here-$((6*7))", "here-42");
    shell.type_line("fg");
    shell.wait_for_state(false);
    shell.answer("typed", "<typed>");

    // A job that is stopped, continued and stopped again by reading leaves the terminal to the shell.
    shell.begin(READ);
    shell.key("\x1a", STOPPED);
    shell.wait_for_state(true);
    shell.answer("bg; echo here-$((6*7))", "here-42");
    shell.wait_for_state(true);
    shell.answer("echo here-$((6*7))", "here-42");
    shell.type_line("fg");
    shell.wait_for_state(false);
    shell.answer("typed", "<typed>");
}

pub fn bash_runs_in_the_background() {
    Shell::each("bash", runs_in_the_background);
}

pub fn dash_runs_in_the_background() {
    Shell::each("dash", runs_in_the_background);
}

pub fn zsh_runs_in_the_background() {
    Shell::each("zsh", runs_in_the_background);
}

/// A group of its own is for one command: of two, only one can have the terminal.
fn controls_a_pipeline(name: &str) {
    for mode in ["--exec", "--supervise", "--redact"] {
        let mut shell = Shell::start(name, mode);
        let pipeline = format!("{READ} | run sed s/typed/read/");
        shell.begin(&pipeline);
        shell.key("\x1a", STOPPED);
        shell.wait_for_state(true);
        shell.type_line("fg");
        shell.wait_for_state(false);
        shell.answer("typed", "<read>");
        // The last one does not end with its input, which another key might be too late for.
        shell.begin(&format!("{READ} | {WAIT}"));
        shell.key("\x03", 130);
        shell.exit();
    }
}

pub fn bash_controls_a_pipeline() {
    controls_a_pipeline("bash");
}

pub fn dash_controls_a_pipeline() {
    controls_a_pipeline("dash");
}

pub fn zsh_controls_a_pipeline() {
    controls_a_pipeline("zsh");
}

pub fn the_settings_of_the_terminal_stay() {
    Shell::each("bash", |shell| {
        shell.answer(
            "stty -echoctl intr ^P; stty -a >before; echo here-$((6*7))",
            "here-42",
        );
        let same = "stty -a >after; cmp before after && echo same-$((6*7))";
        shell.answer(&format!("run true; {same}"), "same-42");
        shell.begin(READ);
        shell.key("\x1a", STOPPED);
        shell.answer(same, "same-42");
        shell.type_line("fg");
        shell.answer("typed", "<typed>");
        shell.answer(same, "same-42");
        // What the command changes on purpose stays changed.
        shell.answer("run stty intr ^B; stty -a", "intr = ^B");
    });
}

/// The kernel sends these to the command as well as to us.
pub fn the_terminal_tells_once() {
    let tree = Tree::example();
    for mode in MODES {
        let run = tree
            .dotenv_run()
            .args(["-q", mode, PLAIN, "--"])
            .args(recorder());
        let mut terminal = Terminal::spawn(run);
        terminal.expect("ready ");
        let mut expected = Vec::new();
        for round in 1..=3 {
            for (key, number) in [("\x03", 2), ("\x1c", 3), ("\x1a", 20)] {
                terminal.send(key);
                expected.push(format!("signal {number}"));
                terminal.expect(expected.last().unwrap());
            }
            terminal.resize(20 + round, 80);
            expected.push("signal 28".into());
            terminal.expect("signal 28");
        }
        Sent::plain(END).to(terminal.pid().as_raw());
        expected.push(format!("signal {END}"));
        let outcome = terminal.wait();
        outcome.assert_status(RECORDER_STATUS);
        let lines = outcome.text().lines();
        let signals = lines.filter_map(|line| line.find("signal").map(|start| &line[start..]));
        assert_eq!(signals.collect::<Vec<_>>(), expected, "{mode}");
    }
}

/// The kernel tells only the leader, as in `docker run -it` and `ssh -t`.
pub fn a_hangup_reaches_the_command_of_a_session_leader() {
    let tree = Tree::example();
    for mode in MODES {
        let dir = TempDir::new();
        let run = tree
            .dotenv_run()
            .args(["-q", mode, PLAIN, "--"])
            .args(recorder());
        let run = run.dir(dir.path());
        let run = run.under(["sh", "-c", "exec \"$@\" >log 2>&1", "sh"]);
        let log = dir.path().join("log");
        let hung_up = Terminal::hang_up(run, || logged(&log).contains("ready "));
        wait_until("a hangup", || logged(&log).contains("signal 1\n"));
        wait_until("what follows a hangup", || {
            logged(&log).contains("signal 18\n")
        });
        let command = logged(&log);
        let command = command
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("ready "));
        let command = command
            .and_then(|number| number.parse().ok())
            .expect("a number");
        Sent::plain(END).to(command);
        assert_eq!(hung_up.end().code(), Some(RECORDER_STATUS), "{mode}");
        let expected = format!("ready {command}\nsignal 1\nsignal 18\nsignal {END}\n");
        assert_eq!(logged(&log), expected, "{mode}");
    }
}

fn logged(log: &Path) -> String {
    fs::read_to_string(log).unwrap_or_default()
}

/// No shell is above us on this terminal: a stopped command would stay so for ever.
pub fn a_key_cannot_stop_what_nobody_could_continue() {
    let tree = Tree::example();
    for mode in MODES {
        let script = "echo begun; read line; echo \"<$line>\"; exit 5";
        let run = tree
            .dotenv_run()
            .args([mode, PLAIN, "--", "sh", "-c", script]);
        let mut terminal = Terminal::spawn(run);
        terminal.expect("begun");
        Sent::plain(libc::SIGTSTP).to(terminal.pid().as_raw());
        terminal.send("\x1a");
        terminal.send("typed\r");
        terminal.expect("<typed>");
        terminal.wait().assert_status(5);
    }
}
