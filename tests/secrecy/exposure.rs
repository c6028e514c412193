//! What another process of the same user can do before our first instruction, and whether we go on while one traces us.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::thread;

use nix::unistd::Pid;

use super::access::become_user;
use crate::support::*;

/// How many starts are attacked. Of a readable program, any attack that wins shows what is to be shown.
const STARTS: usize = 40;

const SECRET: &[u8] = b"DOTENV_API_KEY=secret";

/// In front of a program: it becomes the user's. setpriv(1) keeps the right to read every file until it executes the
/// next program, which is therefore a shell.
const AS_POWERLESS_USER: [&str; 9] = [
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "--",
    "sh",
    "-c",
    "exec env \"$@\"",
    "sh",
];

/// A copy of the program with this mode, in a directory that the user can enter.
fn copied(mode: u32) -> (TempDir, Run) {
    let dir = TempDir::new();
    set_mode(dir.path(), 0o755);
    let run = Run::dotenv_run().copied_to(dir.path());
    set_mode(&dir.path().join("dotenv-run"), mode);
    (dir, run)
}

/// Whether a process of the user that opens a file of `/proc` as soon as it can reads the API key of another one.
fn reads_the_key(process: Pid) -> bool {
    let attack = move || {
        become_user();
        let environ = Path::new("/proc").join(process.to_string()).join("environ");
        let mut text = Vec::new();
        let finds = |text: &[u8]| text.windows(SECRET.len()).any(|part| part == SECRET);
        while !has_ended(process) && !finds(&text) {
            text.clear();
            if let Ok(mut file) = File::open(&environ) {
                // A process that has just ended has nothing to read.
                let _ = file.read_to_end(&mut text);
            }
        }
        finds(&text)
    };
    thread::spawn(attack)
        .join()
        .expect("a thread of another user")
}

/// Whether there is nothing left of a process but its status.
fn has_ended(process: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"));
    stat.is_ok_and(|stat| stat.contains(") Z "))
}

/// How many of the attacks on programs with this mode win.
fn attacks_that_win(mode: u32) -> usize {
    let (_dir, run) = copied(mode);
    let attack = |_: &usize| {
        // The key is in the environment of the program alone, not in that of those before it.
        let run = run
            .clone()
            .arg("--version")
            .under(["DOTENV_API_KEY=secret"]);
        let live = run.under(AS_POWERLESS_USER).spawn();
        let wins = reads_the_key(live.pid());
        live.wait().assert_status(0);
        wins
    };
    (0..STARTS).filter(attack).count()
}

pub fn an_unreadable_program_is_hidden_from_its_start() {
    assert_ne!(attacks_that_win(0o755), 0, "no attack wins");
    assert_eq!(attacks_that_win(0o711), 0);
}

pub fn a_check_and_a_verbose_run_tell_whether_the_start_was_hidden() {
    let tree = Tree::example();
    set_mode(tree.root(), 0o755);
    for user in [&[][..], &AS_POWERLESS_USER[..]] {
        for (mode, is_exposed) in [(0o755, true), (0o711, false), (0o751, true)] {
            let (_dir, program) = copied(mode);
            // For the user, a group that is not theirs changes nothing.
            let is_exposed = is_exposed && (user.is_empty() || mode & 0o004 != 0);
            let run = |arguments: &[&str]| {
                let run = program.clone().args(["--api-url", &tree.url()]);
                let run = run.client_key().arg("my-app").args(arguments);
                if user.is_empty() {
                    run
                } else {
                    run.under(user)
                }
            };
            let what = format!("{user:?} {mode:o}");
            let found = run(&["--check", "--json"]).finish();
            let found: serde_json::Value = serde_json::from_str(found.text()).expect("JSON");
            let exposed = &found["memory"]["exposed_at_start"];
            assert_eq!(exposed, &serde_json::json!(is_exposed), "{what}");
            let screen = run(&["--check"]).finish();
            let line = ", exposed at start\n";
            assert_eq!(screen.text().contains(line), is_exposed, "{what} {screen}");
            let verbose = run(&["-v", "--", "true"]).finish();
            let note = verbose.stderr.contains("the program file is readable");
            assert_eq!(note, is_exposed, "{what} {verbose}");
        }
    }
}

/// A run under strace(1), which is told of by no option.
fn traced(tree: &Tree, arguments: &[&str]) -> Run {
    let strace = [
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        env!("CARGO_BIN_EXE_dotenv-run"),
    ];
    let run = Run::program("strace").args(strace);
    run.args(["--api-url", &tree.url()])
        .client_key()
        .args(arguments)
}

pub fn a_traced_process_is_refused_unless_that_is_allowed() {
    let (tree, dir) = (Tree::example(), TempDir::new());
    let witness = dir.path().join("witness").display().to_string();
    for mode in ["--exec", "--supervise", "--group", "--redact", "--watch"] {
        let command = ["my-app", mode, "--", "touch", &witness];
        let outcome = traced(&tree, &command).finish();
        outcome.assert_refused(125, &["traces this one", "--allow-tracer"]);
        assert!(!Path::new(&witness).exists(), "{mode}");
    }
    for action in [&["--print", "json"][..], &["--list"]] {
        let outcome = traced(&tree, &[&["my-app"], action].concat()).finish();
        outcome.assert_refused(125, &["traces this one"]);
    }
    let check = traced(&tree, &["my-app", "--check", "--json"]).finish();
    check.assert_status(125);
    let found: serde_json::Value = serde_json::from_str(check.text()).expect("JSON");
    assert_eq!(found["error"]["kind"], "traced", "{check}");

    let command = ["--allow-tracer", "my-app", "--", "touch", &witness];
    traced(&tree, &command).finish().assert_status(0);
    assert!(Path::new(&witness).exists());
}

pub fn without_proc_a_run_goes_on_and_says_what_is_not_known() {
    let tree = Tree::example();
    let run = tree.dotenv_run().client_key();
    let run = run.args(["-v", "my-app", "--", "echo", "started"]);
    let wrapper = ["unshare", "--mount", "sh", "-c"];
    let script = "mount -t tmpfs none /proc && exec \"$@\"";
    let outcome = run.under([&wrapper[..], &[script, "sh"]].concat()).finish();
    outcome.assert_status(0).assert_stdout("started\n");
    let note = "whether another process traces this one is not known";
    assert!(outcome.stderr.contains(note), "{outcome}");
}
