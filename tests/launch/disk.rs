//! Nothing on disk: no file is opened for writing, made, renamed or removed in a whole run.

use std::fs;

use super::{PLAIN, SEALED, Sources};
use crate::support::*;

/// Every call that names a file, and those that change one through a descriptor or make one without
/// a name.
const CALLS: &str = "%file,ftruncate,fallocate,fchmod,fchown,fsetxattr,fremovexattr,\
                     memfd_create,?memfd_secret,?io_uring_setup,?open_by_handle_at";

/// The calls that change nothing, an `open` provided that it is for reading. Whatever is not here
/// counts as a change, also what no kernel has yet.
const READING: [&str; 17] = [
    "access",
    "execve",
    "faccessat",
    "faccessat2",
    "fstat",
    "getcwd",
    "lstat",
    "newfstatat",
    "open",
    "openat",
    "openat2",
    "readlink",
    "readlinkat",
    "stat",
    "statfs",
    "statx",
    "uname",
];

fn changes(trace: &Trace) -> Vec<&Call> {
    let is_change =
        |call: &&Call| call.opens_for_writing() || !READING.contains(&call.name.as_str());
    trace.calls.iter().filter(is_change).collect()
}

pub fn the_check_catches_every_planted_change() {
    let tree = Tree::example();
    let scripts = [
        ": >planted",
        ": >>planted",
        ": <>planted",
        "mv planted planted-too",
        "rm planted",
        "mkdir planted-too",
        "rmdir planted-directory",
        "ln planted planted-too",
        "ln -s x planted-too",
        "truncate -s 1 planted",
        "mkfifo planted-too",
        "touch planted",
        "chmod 600 planted",
    ];
    for script in scripts {
        let dir = TempDir::new();
        dir.file("planted", "");
        fs::create_dir(dir.path().join("planted-directory")).expect("a directory of ours");
        let run = tree
            .dotenv_run()
            .arg(PLAIN)
            .args(["--", "sh", "-c", script])
            .dir(dir.path());
        let trace = strace(run, CALLS);
        trace.outcome.assert_status(0);
        let caught = changes(&trace);
        assert!(!caught.is_empty(), "{script}: {:?}", trace.calls);
    }
}

pub fn a_run_changes_nothing_on_disk() {
    let sources = Sources::new();
    let dir = TempDir::new();
    let key = dir.file("key", CLIENT_KEY).display().to_string();
    let refused = sources
        .tree
        .dotenv_run()
        .arg(SEALED)
        .env("DOTENV_CLIENT_KEY", "wrong");
    let from_file = sources
        .tree
        .dotenv_run()
        .arg(SEALED)
        .args(["-q", "--client-key", &key, "--"]);
    let runs = sources.runs().into_iter().map(|(name, run)| (name, run, 0));
    let others = [
        ("a key file".to_string(), from_file, 0),
        ("a wrong key".to_string(), refused.args(["-q", "--"]), 125),
    ];
    for (name, run, status) in runs.chain(others) {
        let trace = strace(run.arg("true"), CALLS);
        trace.outcome.assert_status(status);
        assert_eq!(changes(&trace), [] as [&Call; 0], "{name}");
        // Only we make this call, for the documents of a tree.
        let read = trace.calls.iter().any(|call| call.name == "openat2");
        assert_eq!(read, !name.contains("cloud"), "{name}: {:?}", trace.calls);
    }
    assert!(!sources.service.requests().is_empty());
}
