//! Core dumps: the command's are its own business, and of ours there is none.

use std::fs;
use std::os::unix::process::ExitStatusExt;

use nix::sys::signal::Signal;

use super::{MODES, PLAIN, around, awaiting, endless_key, wait_for_reader};
use crate::support::*;

const UNLIMITED: &str = "ulimit -c unlimited && exec \"$@\"";

/// A kernel that writes core files where it is told to, and a limit that can be lifted.
pub const CORES: fn() -> Result<(), String> = || {
    let dir = TempDir::new();
    let run = Run::shell("kill -QUIT $$").under(around(UNLIMITED));
    let outcome = run.dir(dir.path()).finish();
    match outcome.status.core_dumped() && files(&dir) == 1 {
        true => Ok(()),
        false => Err("needs core files in the working directory".into()),
    }
};

fn files(dir: &TempDir) -> usize {
    let entries = fs::read_dir(dir.path()).expect("a directory of ours");
    entries.count()
}

pub fn a_supervisor_leaves_no_core_file() {
    let (tree, dir) = (Tree::example(), TempDir::new());
    for signal in [
        Signal::SIGQUIT,
        Signal::SIGSEGV,
        Signal::SIGABRT,
        Signal::SIGXCPU,
    ] {
        let run = tree
            .dotenv_run()
            .arg(PLAIN)
            .args(["--supervise", "--", "sh", "-c"]);
        let run = run.arg(format!("ulimit -c 0; kill -{} $$", signal as i32));
        let outcome = run.dir(dir.path()).under(around(UNLIMITED)).finish();
        outcome.assert_killed_by(signal);
        assert!(!outcome.status.core_dumped(), "{outcome}");
        assert_eq!(files(&dir), 0, "{outcome}");
    }
}

pub fn the_command_leaves_its_own() {
    let tree = Tree::example();
    for mode in MODES {
        let dir = TempDir::new();
        let run = tree
            .dotenv_run()
            .arg(PLAIN)
            .args([mode, "--", "sh", "-c", "kill -QUIT $$"]);
        let outcome = run.dir(dir.path()).under(around(UNLIMITED)).finish();
        outcome.assert_killed_by(Signal::SIGQUIT);
        assert_eq!(outcome.status.core_dumped(), mode == "--exec", "{outcome}");
        assert_eq!(files(&dir), 1, "{outcome}");
    }
}

/// While the client key is awaited, all else is in our memory already.
pub fn a_signal_before_the_command_leaves_none() {
    let tree = Tree::example();
    for mode in MODES {
        let dir = TempDir::new();
        let key = endless_key(&dir);
        let live = awaiting(&tree, mode, &key).arg("true").dir(dir.path());
        let live = live.under(around(UNLIMITED)).spawn();
        let _pipe = wait_for_reader(&key);
        live.signal(Signal::SIGQUIT);
        let outcome = live.wait();
        outcome.assert_killed_by(Signal::SIGQUIT);
        assert!(!outcome.status.core_dumped(), "{outcome}");
        assert_eq!(files(&dir), 1, "only the pipe is there\n{outcome}");
    }
}
