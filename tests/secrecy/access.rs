//! What another process of the same user can do to ours: nothing; and to the command: what it can do
//! to any.

use std::fs::{self, File};
use std::path::Path;
use std::thread;

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::unistd::Pid;

use super::memory::held_at;
use super::vault::{PATH, Vault};
use crate::support::*;

/// The user that nobody is.
const USER: u32 = 65534;

const AS_USER: [&str; 5] = [
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "--",
];

/// Everything that another process could look at.
const FILES: [&str; 6] = ["environ", "mem", "maps", "smaps", "auxv", "fd"];

/// What the user gets of a process: the files of /proc that can be opened, and `ptrace`.
fn access(process: Pid) -> Vec<&'static str> {
    let attempts = move || {
        become_user();
        let proc = Path::new("/proc").join(process.to_string());
        let opens = |name: &&&str| match **name {
            "fd" => fs::read_dir(proc.join("fd")).is_ok(),
            name => File::open(proc.join(name)).is_ok(),
        };
        let mut open: Vec<_> = FILES.iter().filter(opens).copied().collect();
        match ptrace::seize(process, Options::empty()) {
            Ok(()) => open.push("ptrace"),
            Err(error) => assert_eq!(error, Errno::EPERM),
        }
        open
    };
    thread::spawn(attempts)
        .join()
        .expect("a thread of another user")
}

/// Makes this thread, and no other, one of [`USER`]: what the C library does is done to all.
pub fn become_user() {
    let groups = std::ptr::null::<libc::gid_t>();
    // SAFETY: an empty list is not looked at.
    let left = unsafe { libc::syscall(libc::SYS_setgroups, 0, groups) };
    // SAFETY: the call takes integers.
    let group = unsafe { libc::syscall(libc::SYS_setresgid, USER, USER, USER) };
    // SAFETY: the call takes integers.
    let user = unsafe { libc::syscall(libc::SYS_setresuid, USER, USER, USER) };
    assert_eq!([left, group, user], [0; 3], "{}", Errno::last());
}

/// What the user gets of the processes of a run that awaits an answer: of the worker, and of the
/// supervisor if there is one.
fn access_while_waiting(mode: &str, build: impl Fn(Run) -> Run) -> Vec<Vec<&'static str>> {
    let (vault, dir) = (Vault::new(), TempDir::new());
    let authority = vault.service.ca_file().parent().expect("a path of a file");
    [authority, dir.path()]
        .into_iter()
        .for_each(|directory| set_mode(directory, 0o755));
    let run = build(vault.on_service()).args([PATH, mode, "--", "/bin/true"]);
    let run = run.copied_to(dir.path()).under(AS_USER);
    let (live, worker) = held_at(&vault.service, Route::Secrets, "/secrets", run);
    let mut processes = vec![worker, live.pid()];
    processes.dedup();
    processes.into_iter().map(access).collect()
}

pub fn another_process_of_the_user_has_no_access() {
    assert_eq!(access_while_waiting("--exec", |run| run), [[""; 0]]);
    assert_eq!(access_while_waiting("--supervise", |run| run), [[""; 0]; 2]);
}

pub fn planted_access_is_found() {
    let everything = [&FILES[..], &["ptrace"]].concat();
    let planted = |mode| access_while_waiting(mode, |run| run.planted("dumpable again"));
    assert_eq!(planted("--exec"), [&everything[..]]);
    assert_eq!(planted("--supervise"), [&everything[..]; 2]);
}

/// The files of a process belong to its user if it is dumpable, and to root if it is not.
pub fn the_command_is_accessible_as_ever() {
    let (tree, dir) = (Tree::example(), TempDir::new());
    [tree.root(), dir.path()]
        .into_iter()
        .for_each(|directory| set_mode(directory, 0o755));
    for mode in ["--exec", "--supervise"] {
        let run = tree
            .dotenv_run()
            .client_key()
            .args(["my-app", mode, "--", "sh", "-c"]);
        let run = run
            .arg("stat -c %u /proc/$$/environ; ulimit -c")
            .copied_to(dir.path());
        let run = run
            .under(AS_USER)
            .under(["sh", "-c", "ulimit -c 1234; exec \"$@\"", "sh"]);
        run.finish().assert_status(0).assert_stdout("65534\n1234\n");
    }
}

/// The shell waits until the supervisor is confined, and tells whether it is itself.
pub fn a_waiting_supervisor_is_confined_and_the_command_is_not() {
    let script = "until grep -q '^Seccomp:.2' /proc/$PPID/status; do :; done
        grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status";
    let tree = Tree::example();
    let run = tree.dotenv_run().client_key();
    let run = run.args(["my-app", "--supervise", "--", "sh", "-c", script]);
    let [privileges, filter] = ["NoNewPrivs", "Seccomp"].map(own_status);
    let outcome = run.finish();
    outcome.assert_status(0);
    outcome.assert_stdout(format!("{privileges}\n{filter}\n"));
}

/// A line of our own status.
fn own_status(name: &str) -> String {
    let status = fs::read_to_string("/proc/self/status").expect("/proc");
    let mut lines = status.lines();
    let line = lines.find(|line| line.split(':').next() == Some(name));
    line.expect("a line of that name").to_owned()
}
