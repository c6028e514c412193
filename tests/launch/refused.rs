//! What happens where the kernel, or a filter in front of it, refuses a call that a protection is made of.

use std::fs;

use crate::support::*;

/// New mount namespaces.
pub const MOUNTS: Need = || {
    let trial = Run::program("unshare").args(["--mount", "mount", "-t", "tmpfs", "none", "/proc"]);
    match trial.finish().status.success() {
        true => Ok(()),
        false => Err("needs mount namespaces".into()),
    }
};

/// Puts strace in front that has calls fail: `close_range:error=ENOSYS`. The process stays the test's child.
fn refusing(run: Run, injections: &[&str]) -> Run {
    let calls: Vec<_> = injections
        .iter()
        .filter_map(|text| text.split(':').next())
        .collect();
    let trace = format!("trace={}", calls.join(","));
    let mut strace: Vec<String> = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", &trace]
        .map(String::from)
        .into();
    for injection in injections {
        strace.extend(["-e".to_owned(), format!("inject={injection}")]);
    }
    run.under(strace.into_iter().chain(["--".to_owned()]))
}

/// The same without `/proc`.
fn refusing_without_proc(run: Run, injections: &[&str]) -> Run {
    let script = "mount -t tmpfs none /proc && exec \"$@\"";
    refusing(run, injections).under(["unshare", "--mount", "sh", "-c", script, "sh"])
}

fn run(tree: &Tree, options: &[&str]) -> Run {
    tree.dotenv_run().args(["-q", "p"]).args(options).arg("--")
}

fn tree() -> Tree {
    Tree::holding("TOKEN=kX4tQ9vZ2mB7wR5n\n")
}

#[track_caller]
fn assert_refused(run: Run, injections: &[&str], fragments: &[&str]) {
    let witness = Witness::new();
    let outcome = refusing(run.args(witness.command()), injections).finish();
    outcome.assert_refused(125, fragments);
    witness.assert_not_started();
}

pub fn a_process_that_others_could_read_reads_no_key() {
    let tree = tree();
    // The second of these calls, before `main`: the first only reads.
    let refused = ["prctl:error=EPERM:when=2"];
    for options in [&[][..], &["--supervise"], &["--redact"]] {
        let fragments = ["PR_SET_DUMPABLE", "not permitted", "hint: "];
        assert_refused(run(&tree, options), &refused, &fragments);
    }
    let sealing = Run::dotenv_seal().args(["init", "/nonexistent/tree", "p"]);
    let outcome = refusing(sealing.client_key(), &refused).finish();
    outcome.assert_refused(125, &["PR_SET_DUMPABLE"]);
}

/// Waits until the supervisor has no descriptor left, in front of a command that stays.
#[track_caller]
fn assert_closes(refusing: impl Fn(Run, &[&str]) -> Run) {
    let tree = tree();
    let waiting = run(&tree, &["--supervise"]).args(["sh", "-c", "echo ready; exec sleep 1000"]);
    let live = refusing(waiting, &["close_range:error=ENOSYS"]).spawn();
    live.wait_for_output("ready");
    let descriptors = format!("/proc/{}/fd", live.pid());
    wait_until("a supervisor without descriptors", || {
        fs::read_dir(&descriptors).is_ok_and(|entries| entries.count() == 0)
    });
    live.signal(nix::sys::signal::Signal::SIGTERM);
    live.wait()
        .assert_killed_by(nix::sys::signal::Signal::SIGTERM);
}

pub fn descriptors_are_closed_without_close_range() {
    assert_closes(refusing);
}

pub fn descriptors_are_closed_without_proc_too() {
    assert_closes(refusing_without_proc);
}

pub fn a_supervisor_that_would_keep_descriptors_starts_nothing() {
    let (tree, witness) = (tree(), Witness::new());
    let run = run(&tree, &["--supervise"]).args(witness.command());
    let refused = ["close_range:error=ENOSYS", "prlimit64:error=EPERM"];
    let outcome = refusing_without_proc(run, &refused).finish();
    outcome.assert_refused(125, &["cannot start the parent process"]);
    witness.assert_not_started();
}

/// A filter that cannot be confined is among the calls that [`crate::injection`] refuses.
pub fn a_supervisor_may_stay_unconfined() {
    let tree = tree();
    let run = run(&tree, &["--supervise"]).args(["sh", "-c", "sleep 0.1; echo done; exit 7"]);
    // What comes after the two calls before `main`.
    let outcome = refusing(run, &["prctl:error=EPERM:when=3+"]).finish();
    outcome.assert_status(7).assert_stdout("done\n");
}

pub fn an_output_that_cannot_be_filtered_starts_nothing() {
    let refused = ["dup2:error=EPERM", "dup3:error=EPERM"];
    let fragments = ["the output filter of --redact", "not permitted"];
    assert_refused(run(&tree(), &["--redact"]), &refused, &fragments);
}

pub fn keys_lie_elsewhere_without_memfd_secret() {
    let tree = Tree::example();
    let run = tree.dotenv_run().arg("my-app/production/api").client_key();
    let run = run.args(["-v", "--", "printenv", "LOG_LEVEL"]);
    let outcome = refusing(run, &["memfd_secret:error=ENOMEM"]).finish();
    outcome.assert_status(0).assert_stdout("debug\n");
    assert!(!outcome.stderr.contains("memfd_secret"), "{outcome}");
}
