//! Who runs, holds what, and ends when.

use std::fs;

use nix::sys::signal::{Signal, kill};

use super::{PLAIN, redacting, tree};
use crate::secrecy::memory::children;
use crate::secrecy::vault::{PATH, Vault};
use crate::support::*;

pub fn only_a_command_can_be_filtered() {
    let tree = tree();
    for (arguments, message) in [
        (
            &["--redact", "--print", "env"][..],
            "--print cannot be used with --redact",
        ),
        (
            &["--redact", "--list"],
            "--list cannot be used with --redact",
        ),
        (
            &["--redact", "--exec", "--", "true"],
            "--exec cannot be used with --redact",
        ),
        (&["--redact=x", "--", "true"], "takes no value"),
    ] {
        let outcome = tree.dotenv_run().arg("p").args(arguments).finish();
        outcome.assert_refused(125, &[message]);
    }
}

pub fn the_status_and_the_signal_are_those_of_the_command() {
    let tree = tree();
    for status in [0, 1, 7, 125, 255] {
        let run = redacting(&tree).args(["sh", "-c", &format!("echo $PLAIN; exit {status}")]);
        run.finish()
            .assert_status(status)
            .assert_stdout("[PLAIN]\n");
    }
    let run = redacting(&tree).args(["sh", "-c", "echo $PLAIN; kill -9 $$"]);
    run.finish()
        .assert_killed_by(Signal::SIGKILL)
        .assert_stdout("[PLAIN]\n");
}

pub fn a_command_that_cannot_be_executed_is_told() {
    let outcome = redacting(&tree()).arg("/nonexistent/program").finish();
    outcome.assert_refused(127, &["/nonexistent/program"]);
}

pub fn a_refusal_is_told_without_a_filter() {
    let (tree, witness) = (tree(), Witness::new());
    let run = tree.dotenv_run().args(["absent", "--redact", "--"]);
    run.args(witness.command())
        .finish()
        .assert_refused(125, &["absent"]);
    witness.assert_not_started();
}

pub fn the_command_has_no_child_that_it_did_not_start() {
    let tree = tree();
    let script = "read children </proc/$$/task/$$/children; echo \"<$children>\"; wait; echo done";
    let outcome = redacting(&tree).args(["sh", "-c", script]).finish();
    outcome.assert_status(0).assert_stdout("<>\ndone\n");
}

pub fn who_writes_on_behind_the_command_is_filtered_and_not_waited_for() {
    let (tree, dir) = (tree(), TempDir::new());
    let go = dir.fifo("go");
    let script = "(read line <\"$1\"; echo late $PLAIN) & printf early; exit 7";
    let run = redacting(&tree).args(["sh", "-c", script, "sh"]).arg(&go);
    let run = run
        .dir(dir.path())
        .under(["sh", "-c", "\"$@\" >file; echo $?", "sh"]);
    let live = run.spawn();
    live.wait_for_output("7");
    let shown = || fs::read_to_string(dir.path().join("file")).expect("a file");
    assert_eq!(shown(), "early");
    fs::write(&go, "\n").expect("a pipe that is read");
    wait_until("what was written late", || shown() == "earlylate [PLAIN]\n");
    live.wait().assert_status(0);
}

pub fn a_command_whose_reader_is_gone_gets_a_pipe_signal() {
    let tree = tree();
    let script = "\"$@\" | head -n 1; echo ${PIPESTATUS[0]}";
    let run = redacting(&tree)
        .arg("yes")
        .under(["bash", "-c", script, "bash"]);
    run.finish().assert_status(0).assert_stdout("y\n141\n");
}

pub fn the_end_of_the_filter_ends_the_output_only() {
    let tree = tree();
    let script = "trap '' PIPE; echo begun; read line <\"$1\"; echo more; exit 5";
    let dir = TempDir::new();
    let go = dir.fifo("go");
    let live = redacting(&tree)
        .args(["sh", "-c", script, "sh"])
        .arg(&go)
        .spawn();
    live.wait_for_output("begun");
    let filter = children(live.pid())[1];
    kill(filter, Signal::SIGKILL).expect("a process of ours");
    wait_until("the end of the filter", || children(live.pid()).len() == 1);
    fs::write(&go, "\n").expect("a pipe that is read");
    live.wait().assert_status(5).assert_stdout("begun\n");
}

pub fn the_supervisor_holds_no_secret_and_the_filter_locked_ones() {
    let vault = Vault::new();
    let run = vault
        .on_service()
        .args([PATH, "--redact", "--"])
        .args(recorder());
    let live = run.spawn();
    live.wait_for_output("ready");
    let filter = children(live.pid())[1];
    let findings = scan_running(filter, &vault.needles);
    assert!(findings.count("ZONE", Find::is_protected) > 0, "{findings}");
    for key in ["API key", "client key"] {
        assert_eq!(findings.count(key, |_| true), 0, "{findings}");
    }
    findings
        .only(|find| !find.is_protected())
        .assert_none("the filter");
    scan_running(live.pid(), &vault.needles).assert_none("the supervisor");
    Sent::plain(END).to(live.pid().as_raw());
    live.wait().assert_status(RECORDER_STATUS);
}

/// The end of process 1 is the end of the filter.
pub fn a_supervisor_as_process_1_shows_everything() {
    let tree = tree();
    let script = "i=0; while [ $i -lt 5000 ]; do echo $i $PLAIN; i=$((i+1)); done; exit 7";
    let run = redacting(&tree).args(["sh", "-c", script]);
    let unshare = [
        "unshare",
        "--user",
        "--map-root-user",
        "--pid",
        "--fork",
        "--mount-proc",
    ];
    let outcome = run.under(unshare).finish();
    let expected: String = (0..5000)
        .map(|number| format!("{number} [PLAIN]\n"))
        .collect();
    outcome.assert_status(7).assert_stdout(expected);
    assert!(!outcome.text().contains(PLAIN));
}
