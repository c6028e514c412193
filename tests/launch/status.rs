//! What the caller learns: the command's status, the signal that killed it, or our refusal.

use std::os::unix::process::ExitStatusExt;

use nix::sys::signal::Signal;

use super::{MODES, PLAIN, SEALED, around};
use crate::support::*;

/// The signals that end a process unless it says otherwise. Those of real time begin at 34: glibc
/// keeps two for itself.
fn deadly() -> impl Iterator<Item = i32> {
    let harmless = [
        Signal::SIGCHLD,
        Signal::SIGCONT,
        Signal::SIGSTOP,
        Signal::SIGTSTP,
        Signal::SIGTTIN,
        Signal::SIGTTOU,
        Signal::SIGURG,
        Signal::SIGWINCH,
    ];
    let is_harmless = move |number: &i32| harmless.map(|signal| signal as i32).contains(number);
    (1..32)
        .filter(move |number| !is_harmless(number))
        .chain(34..=64)
}

pub fn every_exit_status_is_the_commands() {
    let tree = Tree::example();
    let script = "for status in $(seq 0 255); do \
                      \"$@\" sh -c \"exit $status\"; got=$?; \
                      test $got = $status || echo \"$got for $status\"; \
                  done; echo tried all";
    let start = |mode| {
        let run = tree
            .dotenv_run()
            .arg(PLAIN)
            .args([mode, "--"])
            .under(around(script));
        run.spawn()
    };
    for live in MODES.map(start) {
        let outcome = live.wait();
        outcome.assert_status(0).assert_stdout("tried all\n");
        assert_eq!(outcome.stderr, "", "{outcome}");
    }
}

pub fn every_deadly_signal_is_mirrored() {
    let tree = Tree::example();
    for number in deadly() {
        for mode in MODES {
            let run = tree.dotenv_run().arg(PLAIN).args([mode, "--", "sh", "-c"]);
            let outcome = run.arg(format!("kill -{number} $$")).finish();
            assert_eq!(outcome.status.signal(), Some(number), "{outcome}");
            assert_eq!((outcome.stderr.as_str(), outcome.text()), ("", ""));
        }
    }
}

/// The command gives itself the default back; the supervisor inherited the ignoring as well.
pub fn a_signal_that_was_inherited_ignored_is_mirrored() {
    let tree = Tree::example();
    for mode in MODES {
        let run = tree
            .dotenv_run()
            .arg(PLAIN)
            .args([mode, "--", "env", "--default-signal=TERM"]);
        let run = run.args(["sh", "-c", "kill -TERM $$"]);
        let outcome = run.under(["env", "--ignore-signal=TERM"]).finish();
        outcome.assert_killed_by(Signal::SIGTERM);
    }
}

pub fn an_inherited_mask_does_not_hide_the_status() {
    let tree = Tree::example();
    let wrappers = [
        ["env", "--ignore-signal=CHLD"],
        ["env", "--block-signal=CHLD"],
        ["env", "--block-signal"],
        ["env", "--ignore-signal"],
    ];
    for wrapper in wrappers {
        for mode in MODES {
            let run = |script| {
                tree.dotenv_run()
                    .arg(PLAIN)
                    .args([mode, "--", "sh", "-c", script])
            };
            run("exit 42").under(wrapper).finish().assert_status(42);
            let killed = run("kill -KILL $$").under(wrapper).finish();
            killed.assert_killed_by(Signal::SIGKILL);
        }
    }
}

pub fn one_flipped_bit_in_any_level_stops_everything() {
    for level in ["project", "target", "environment"] {
        for (bit, mode) in [
            (0, MODES[0]),
            (12 * 8, MODES[1]),
            (usize::MAX / 8 * 8, MODES[0]),
        ] {
            let tree = Tree::example();
            tree.edit(&tree.secrets(SEALED), flip_bit(level, bit));
            let run = tree.dotenv_run().arg(SEALED).client_key();
            run.arg(mode).refuses(125, &[level]);
        }
    }
}

pub fn a_wrong_client_key_stops_everything() {
    let tree = Tree::example();
    for mode in MODES {
        let run = tree
            .dotenv_run()
            .arg(SEALED)
            .env("DOTENV_CLIENT_KEY", "wrong");
        run.arg(mode).refuses(125, &["wrong client key"]);
    }
}

/// Nobody can read the message; the status says the same.
pub fn a_refusal_keeps_its_status_without_standard_error() {
    let (tree, witness) = (Tree::example(), Witness::new());
    for script in [
        "exec \"$@\" 2>&-",
        "exec \"$@\" 2>/dev/full",
        "exec \"$@\" <&- >&- 2>&-",
    ] {
        for mode in MODES {
            let run = |path| {
                tree.dotenv_run()
                    .arg(path)
                    .args([mode, "--"])
                    .under(around(script))
            };
            let sealed = run(SEALED).args(witness.command()).finish();
            sealed.assert_status(125).assert_stdout("");
            let absent = run(PLAIN).arg("/no/such/tool").finish();
            absent.assert_status(127).assert_stdout("");
        }
    }
    witness.assert_not_started();
}

pub fn exec_and_supervise_exclude_each_other() {
    let tree = Tree::example();
    tree.dotenv_run()
        .arg(PLAIN)
        .args(MODES)
        .refuses(125, &["--exec", "--supervise"]);
}
