//! Filters of system calls: those that ask about calls, and those that refuse them at once.

use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use nix::libc;
use nix::unistd::execv;

use super::Target;
use crate::support::probe;

/// To be put in front of a program: a filter refuses these calls with these errors, to the command too. Nobody looks on.
pub fn refusing(calls: &[(i64, i32)]) -> Vec<OsString> {
    let words = calls.iter().map(|(call, error)| format!("{call}:{error}"));
    let words = words.collect::<Vec<_>>().join(",");
    [probe::command("refuse").to_vec(), vec![words.into()]].concat()
}

/// Does the work of [`refusing`].
pub fn refuse(words: &[OsString]) -> ExitCode {
    let [calls, program @ ..] = words else {
        return ExitCode::from(2);
    };
    let calls = calls.to_string_lossy().into_owned();
    let calls = calls.split(',').filter_map(|pair| {
        let (call, error) = pair.split_once(':')?;
        Some((call.parse().ok()?, error.parse::<u32>().ok()?))
    });
    let verdicts = calls.map(|(call, error)| (call, libc::SECCOMP_RET_ERRNO | error));
    let filter = filter_of(verdicts, libc::SECCOMP_RET_ALLOW);
    let words = program.iter().map(|word| CString::new(word.as_bytes()));
    let words: Vec<_> = words.map(|word| word.expect("a word")).collect();
    // SAFETY: the default disposition runs no handler. Rust's runtime has ignored it.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    install(&filter, 0);
    let _ = execv(&words[0], &words);
    ExitCode::from(2)
}

/// The calls that are always asked about: those by which the beginning and the end of the program's own are known, and
/// the one that must not end everything on this machine.
const ALWAYS: [i64; 7] = [
    libc::SYS_execve,
    libc::SYS_poll,
    libc::SYS_sigaltstack,
    libc::SYS_prctl,
    libc::SYS_rt_sigaction,
    libc::SYS_kill,
    libc::SYS_rt_sigqueueinfo,
];

/// Asks about all calls, or about those that matter for a target.
pub fn filter(target: Option<&Target>) -> Vec<libc::sock_filter> {
    const ASK: u32 = libc::SECCOMP_RET_USER_NOTIF;
    let Some(target) = target else {
        return filter_of([].into_iter(), ASK);
    };
    let calls = ALWAYS.into_iter().chain([target.call]);
    filter_of(calls.map(|call| (call, ASK)), libc::SECCOMP_RET_ALLOW)
}

/// The verdicts on some calls, and on all others.
fn filter_of(verdicts: impl Iterator<Item = (i64, u32)>, others: u32) -> Vec<libc::sock_filter> {
    let instruction = |code: u32, k: u32, jf: u8| libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf,
        k,
    };
    let end = |verdict| instruction(libc::BPF_RET, verdict, 0);
    let number = instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0);
    let tests = verdicts.flat_map(|(call, verdict)| {
        let is_other = instruction(libc::BPF_JMP | libc::BPF_JEQ, call as u32, 1);
        [is_other, end(verdict)]
    });
    [number]
        .into_iter()
        .chain(tests)
        .chain([end(others)])
        .collect()
}

pub fn install(filter: &[libc::sock_filter], flags: u64) {
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_ptr().cast_mut(),
    };
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: `program` refers to a live array of the length that it gives; the kernel copies it.
    unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) };
}
