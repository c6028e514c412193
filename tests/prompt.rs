//! The prompt for the client key, on a real terminal: nothing is shown of what is typed, and the
//! terminal is as before on every way out.

use nix::sys::signal::Signal;
use nix::sys::termios::Termios;

use crate::support::*;

tests![
    a_key_is_asked_for_without_echo,
    a_key_is_asked_for_only_where_it_is_needed,
    a_typed_key_is_edited_and_trimmed_like_any_other,
    an_answer_that_is_no_key_is_refused,
    a_wrong_key_is_refused,
    control_c_ends_the_run_by_its_signal,
    a_signal_ends_the_run_and_restores_the_terminal,
    a_signal_that_is_ignored_does_not_end_the_question,
    a_stopped_run_gives_the_terminal_back_and_asks_again needs(|| tool("bash")),
    a_run_in_the_background_asks_when_it_comes_to_the_front needs(|| tool("bash")),
    a_redirected_input_is_left_to_the_command,
    redirected_outputs_hold_nothing_of_the_question,
    the_command_inherits_nothing_of_the_question,
    without_a_terminal_nothing_is_asked,
];

const QUESTION: &str = "client key: ";

/// What a test varies: nothing, a process in front, another terminal, no warnings.
const VARIATIONS: [&[&str]; 4] = [
    &["--exec"],
    &["--supervise"],
    &["--redact", "--quiet"],
    &["--quiet"],
];

/// What the command shows of a value.
fn shown(options: &[&str]) -> &'static str {
    match options {
        ["--redact", ..] => "[APP_NAME]",
        _ => "Acme",
    }
}

/// A run that has to ask.
fn asking(tree: &Tree) -> Run {
    tree.dotenv_run().arg("my-app")
}

/// Starts it on a terminal and waits for the question.
#[track_caller]
fn asked(run: Run) -> Terminal {
    let mut terminal = Terminal::spawn(run);
    terminal.expect(QUESTION);
    assert!(!terminal.echoes(), "{}", terminal.output_so_far());
    terminal
}

/// The settings of a terminal that nobody has changed.
fn fresh_settings() -> Termios {
    let mut terminal = Terminal::spawn(Run::program("true"));
    terminal.wait();
    terminal.termios()
}

#[track_caller]
fn assert_restored(terminal: &Terminal) {
    let output = terminal.output_so_far();
    assert_eq!(terminal.termios(), fresh_settings(), "{output}");
}

/// Runs `leave` in the face of the question, once for every variation, and checks what it leaves
/// behind.
fn leaving(leave: impl Fn(&mut Terminal)) {
    let tree = Tree::example();
    for options in VARIATIONS {
        let witness = Witness::new();
        let run = asking(&tree)
            .args(options)
            .arg("--")
            .args(witness.command());
        let mut terminal = asked(run);
        leave(&mut terminal);
        assert_restored(&terminal);
        witness.assert_not_started();
    }
}

fn a_key_is_asked_for_without_echo() {
    let tree = Tree::example();
    for options in VARIATIONS {
        let run = asking(&tree)
            .args(options)
            .args(["--", "printenv", "APP_NAME"]);
        let mut terminal = asked(run);
        terminal.send(format!("{CLIENT_KEY}\r"));
        terminal.expect(shown(options));
        let outcome = terminal.wait();
        outcome.assert_status(0);
        // The question stands on a line of its own, and there is one.
        let asked = outcome.text().matches(QUESTION).count();
        assert_eq!(asked, 1, "{outcome}");
        assert!(
            outcome
                .text()
                .ends_with(&format!("client key: \r\n{}\r\n", shown(options))),
            "{outcome}"
        );
        assert!(!outcome.text().contains(CLIENT_KEY), "{outcome}");
        assert_restored(&terminal);
    }
}

fn a_key_is_asked_for_only_where_it_is_needed() {
    let tree = Tree::example();
    let lock = Lock::client_key(&tree);
    let given = (0..Lock::PLACES).map(|rank| lock.with(rank, CLIENT_KEY));
    for run in given.chain([tree.dotenv_run().arg("managed")]) {
        let mut terminal = Terminal::spawn(run.args(["--", "printenv", "APP_NAME"]));
        let outcome = terminal.wait();
        outcome.assert_status(0);
        assert!(!outcome.text().contains(QUESTION), "{outcome}");
    }
}

fn a_typed_key_is_edited_and_trimmed_like_any_other() {
    let tree = Tree::example();
    // The erase key, the kill key, and the end of input in the middle of a line, which submits it.
    let keys = [
        format!("  {CLIENT_KEY}\t \r"),
        format!("wrong\x15{CLIENT_KEY}\r"),
        format!("{CLIENT_KEY}xy\x7f\x7f\r"),
        format!("{CLIENT_KEY}\n"),
        format!("{CLIENT_KEY}\x04"),
    ];
    for typed in keys {
        let mut terminal = asked(asking(&tree).args(["--", "printenv", "APP_NAME"]));
        terminal.send(typed);
        terminal.expect("Acme");
        terminal.wait().assert_status(0);
        assert_restored(&terminal);
    }
}

fn an_answer_that_is_no_key_is_refused() {
    for typed in ["\r", "  \r", "\x04"] {
        leaving(|terminal| {
            terminal.send(typed);
            terminal.expect("client key typed: the key is empty");
            terminal.wait().assert_status(125);
        });
    }
}

fn a_wrong_key_is_refused() {
    leaving(|terminal| {
        terminal.send("not-the-right-one\r");
        terminal.expect("wrong client key");
        let outcome = terminal.wait();
        assert!(!outcome.text().contains("not-the-right"), "{outcome}");
        outcome.assert_status(125);
    });
}

fn control_c_ends_the_run_by_its_signal() {
    for (key, signal) in [("\x03", Signal::SIGINT), ("\x1c", Signal::SIGQUIT)] {
        leaving(|terminal| {
            terminal.send("half-a-key");
            terminal.send(key);
            let outcome = terminal.wait();
            assert!(!outcome.text().contains("half"), "{outcome}");
            outcome.assert_killed_by(signal);
        });
    }
}

fn a_signal_ends_the_run_and_restores_the_terminal() {
    let signals = [
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGALRM,
    ];
    for signal in signals {
        leaving(|terminal| {
            terminal.signal(signal);
            terminal.wait().assert_killed_by(signal);
        });
    }
}

fn a_signal_that_is_ignored_does_not_end_the_question() {
    let tree = Tree::example();
    for options in VARIATIONS {
        let run = asking(&tree)
            .args(options)
            .args(["--", "printenv", "APP_NAME"]);
        let run = run.under(["sh", "-c", "trap '' INT HUP; exec \"$@\"", "sh"]);
        let mut terminal = asked(run);
        terminal.send("half-a-key\x03");
        terminal.expect(QUESTION);
        terminal.signal(Signal::SIGHUP);
        terminal.expect(QUESTION);
        terminal.signal(Signal::SIGWINCH);
        terminal.signal(Signal::SIGCONT);
        assert!(!terminal.echoes(), "{}", terminal.output_so_far());
        terminal.send(format!("{CLIENT_KEY}\r"));
        let outcome = terminal.wait();
        outcome.assert_status(0);
        assert!(!outcome.text().contains(CLIENT_KEY), "{outcome}");
        assert_restored(&terminal);
    }
}

/// Runs the program as a job of a shell, under both that people have.
fn as_job(tree: &Tree, options: &[&str], script: &str, test: impl Fn(Terminal)) {
    for shell in ["sh", "bash"] {
        let run = asking(tree)
            .args(options)
            .args(["--", "printenv", "APP_NAME"]);
        let run = run.under([shell, "-c", script, shell]);
        test(Terminal::spawn(run));
    }
}

/// Answers the question of a job that was just brought to the front.
#[track_caller]
fn answer_in_front(mut terminal: Terminal, options: &[&str]) {
    terminal.expect(QUESTION);
    assert!(!terminal.echoes(), "{}", terminal.output_so_far());
    terminal.send(format!("{CLIENT_KEY}\r"));
    terminal.expect(&format!("{}\r\nended 0", shown(options)));
    let outcome = terminal.wait();
    outcome.assert_status(0);
    assert!(!outcome.text().contains(CLIENT_KEY), "{outcome}");
    assert!(!outcome.text().contains("half-a-key"), "{outcome}");
    assert_restored(&terminal);
}

fn a_stopped_run_gives_the_terminal_back_and_asks_again() {
    let script = "set -m; \"$@\"; echo \"stopped $?\"; read line; echo \"read $line\"; \
                  fg >/dev/null; echo \"ended $?\"";
    let tree = Tree::example();
    for options in VARIATIONS {
        as_job(&tree, options, script, |mut terminal| {
            terminal.expect(QUESTION);
            terminal.send("half-a-key\x1a");
            terminal.expect("stopped 148");
            assert_restored(&terminal);
            terminal.send("shown\r");
            terminal.expect("shown\r\nread shown");
            answer_in_front(terminal, options);
        });
    }
}

fn a_run_in_the_background_asks_when_it_comes_to_the_front() {
    let script = "set -m; \"$@\" & until grep -q stopped /proc/$!/status; do :; done; \
                  echo waiting; read line; fg >/dev/null; echo \"ended $?\"";
    let tree = Tree::example();
    for options in VARIATIONS {
        as_job(&tree, options, script, |mut terminal| {
            terminal.expect("waiting");
            assert!(terminal.echoes(), "{}", terminal.output_so_far());
            terminal.send("\r");
            answer_in_front(terminal, options);
        });
    }
}

/// Answers the question of a program behind `script` and returns all that was shown.
#[track_caller]
fn answered(run: Run, script: &str) -> Outcome {
    let mut terminal = asked(run.under(["sh", "-c", script, "sh"]));
    terminal.send(format!("{CLIENT_KEY}\r"));
    let outcome = terminal.wait();
    outcome.assert_status(0);
    assert!(!outcome.text().contains(CLIENT_KEY), "{outcome}");
    assert_restored(&terminal);
    outcome
}

fn a_redirected_input_is_left_to_the_command() {
    let tree = Tree::example();
    for script in [
        "echo for-the-command | \"$@\"",
        "exec \"$@\" <<E\nfor-the-command\nE\n",
    ] {
        let outcome = answered(asking(&tree).args(["--", "cat"]), script);
        assert!(
            outcome.text().ends_with("\r\nfor-the-command\r\n"),
            "{outcome}"
        );
    }
    let closed = "exec \"$@\" <&- ";
    let outcome = answered(asking(&tree).args(["--", "printenv", "APP_NAME"]), closed);
    assert!(outcome.text().ends_with("\r\nAcme\r\n"), "{outcome}");
}

fn redirected_outputs_hold_nothing_of_the_question() {
    let (tree, dir) = (Tree::example(), TempDir::new());
    let run = asking(&tree).args(["--quiet", "--", "printenv", "APP_NAME"]);
    answered(run.dir(dir.path()), "exec \"$@\" >out 2>err");
    let read = |name| std::fs::read_to_string(dir.path().join(name)).expect("an output");
    assert_eq!((read("out"), read("err")), ("Acme\n".into(), String::new()));
}

fn the_command_inherits_nothing_of_the_question() {
    let tree = Tree::example();
    let look = "ls /proc/$$/fd; grep ^Sig[BIC] /proc/self/status; :";
    for option in ["--exec", "--supervise"] {
        let run = asking(&tree).args([option, "--quiet", "--", "sh", "-c", look]);
        let outcome = answered(run, "exec \"$@\"");
        let without_us = Terminal::spawn(Run::shell(look)).wait();
        assert!(without_us.text().contains("SigBlk"), "{without_us}");
        assert!(
            outcome.text().ends_with(without_us.text()),
            "{outcome}\n{without_us}"
        );
    }
}

fn without_a_terminal_nothing_is_asked() {
    let tree = Tree::example();
    for options in VARIATIONS {
        let run = asking(&tree).args(options).stdin(format!("{CLIENT_KEY}\n"));
        let outcome = run.refuses(125, &["no client key", "terminal"]);
        assert!(!outcome.stderr.contains(QUESTION), "{outcome}");
    }
}
