//! The calls of which a failure has gone unnoticed, or would: each of them, in each process, with each error.

use std::sync::Mutex;

use nix::libc::{self, EAGAIN, ENOSYS, EPERM};

use super::modes::{MODES, SECRET, Sources};
use super::{Extent, Findings, assert_none, every_target, extent, inject, usual};
use crate::support::*;

/// Which calls, of which one at least is made, and in which mode.
#[rustfmt::skip]
const NAMED: &[(&str, &[i64])] = &[
    ("redact", &[libc::SYS_dup2, libc::SYS_dup3]),
    ("redact", &[libc::SYS_close_range]),
    ("redact", &[libc::SYS_prctl, libc::SYS_seccomp]),
    ("redact", &[libc::SYS_pidfd_open]),
    ("redact", &[libc::SYS_mlock, libc::SYS_mlock2, libc::SYS_mlockall]),
    ("redact", &[libc::SYS_ppoll, libc::SYS_poll]),
    ("redact", &[libc::SYS_socketpair]),
    ("redact with keys and audit by descriptor", &[libc::SYS_fcntl, libc::SYS_dup]),
    ("redact on a terminal", &[libc::SYS_ioctl]),
    ("redact on a terminal", &[libc::SYS_signalfd4, libc::SYS_setsid]),
    ("redact on a terminal", &[libc::SYS_rt_sigqueueinfo, libc::SYS_sendto, libc::SYS_sendmsg, libc::SYS_write]),
    ("group on a terminal", &[libc::SYS_setpgid]),
    ("group on a terminal", &[libc::SYS_ioctl]),
    ("supervise", &[libc::SYS_clone, libc::SYS_clone3]),
    ("supervise", &[libc::SYS_rt_sigtimedwait, libc::SYS_wait4, libc::SYS_waitid]),
    ("watch", &[libc::SYS_clone, libc::SYS_clone3]),
    ("file", &[libc::SYS_memfd_create]),
];

/// A name, the options, and the calls that are refused with their errors.
type Profile = (&'static str, &'static [&'static str], &'static [(i64, i32)]);

pub fn every_single_failure_of_a_call_that_protects() {
    let (sources, findings) = (Sources::new(), Mutex::new(Findings::new()));
    let mut count = 0;
    for mode in MODES {
        let rows = NAMED.iter().filter(|(name, _)| *name == mode.name);
        let rows: Vec<_> = rows.map(|(_, calls)| *calls).collect();
        if rows.is_empty() {
            continue;
        }
        let usual = usual(mode, &sources);
        let every = every_target(&usual);
        for calls in rows {
            let targets = every.iter().filter(|target| calls.contains(&target.call));
            let targets: Vec<_> = targets.step_by(step()).cloned().collect();
            assert!(
                !targets.is_empty(),
                "{}: none of {calls:?} is made",
                mode.name
            );
            count += inject(mode, &sources, &usual, &targets, &findings);
        }
    }
    assert_none(count, &["named calls"], &findings.into_inner().unwrap());
}

/// One of how many failures is tried. Most rows have a multiple of three errors, so this goes through all of them.
fn step() -> usize {
    match extent() {
        Extent::Part => 7,
        Extent::Whole | Extent::Everything => 1,
    }
}

/// A call that a process in front of the command cannot do without, and the options of those that make it.
#[rustfmt::skip]
const WAITING: &[(&str, i64, &[&str])] = &[
    ("wait4", libc::SYS_wait4, &["--supervise"]),
    ("wait4", libc::SYS_wait4, &["--redact"]),
    ("wait4", libc::SYS_wait4, &["--watch=1"]),
    ("kill", libc::SYS_kill, &["--stop-timeout=1"]),
    ("kill", libc::SYS_kill, &["--watch=1", "--redact"]),
    ("rt_sigtimedwait", libc::SYS_rt_sigtimedwait, &["--supervise"]),
    ("rt_sigtimedwait", libc::SYS_rt_sigtimedwait, &["--die-with-parent"]),
    ("rt_sigtimedwait", libc::SYS_rt_sigtimedwait, &["--watch=1", "--redact"]),
    ("ppoll", libc::SYS_ppoll, &["--redact"]),
    ("ppoll", libc::SYS_ppoll, &["--watch=1", "--redact"]),
    ("getpgid", libc::SYS_getpgid, &["--group"]),
    ("getsid", libc::SYS_getsid, &["--subreaper"]),
];

/// It has no way to say so once it waits, and would wait for ever, or lose what it waits for.
pub fn a_call_that_waiting_needs_is_refused_before_the_start() {
    let tree = Tree::holding(&format!("TOKEN={SECRET}\n"));
    check_all(4, WAITING, |(name, call, options)| {
        for error in [EPERM, ENOSYS] {
            let witness = Witness::new();
            let run = tree.run().args(*options).arg("--").args(witness.command());
            let outcome = run.under(refusing(&[(*call, error)])).finish();
            outcome.refusal(125, &[&format!("cannot protect this process: {name}: ")])?;
            witness.assert_not_started();
        }
        Ok(())
    });
}

/// Under a filter that nobody looks on at, and that the command has too.
pub fn a_filter_of_a_container_refuses_what_protects() {
    let tree = Tree::holding(&format!("TOKEN={SECRET}\n"));
    let profiles: [Profile; 9] = [
        (
            "dup",
            &["--redact"],
            &[(libc::SYS_dup2, EPERM), (libc::SYS_dup3, EPERM)],
        ),
        (
            "close_range",
            &["--redact"],
            &[(libc::SYS_close_range, EPERM)],
        ),
        (
            "mlock",
            &["--redact"],
            &[
                (libc::SYS_mlock, EPERM),
                (libc::SYS_mlock2, EPERM),
                (libc::SYS_mlockall, EPERM),
            ],
        ),
        (
            "sigqueue",
            &["--redact"],
            &[(libc::SYS_rt_sigqueueinfo, EAGAIN)],
        ),
        (
            "fork",
            &["--supervise"],
            &[(libc::SYS_clone, EAGAIN), (libc::SYS_clone3, EAGAIN)],
        ),
        (
            "pidfd_open",
            &["--redact"],
            &[(libc::SYS_pidfd_open, EPERM)],
        ),
        (
            "memfd_create",
            &["--file", "CONF"],
            &[(libc::SYS_memfd_create, EPERM)],
        ),
        ("setpgid", &["--group"], &[(libc::SYS_setpgid, EPERM)]),
        ("prctl", &["--exec"], &[(libc::SYS_prctl, EPERM)]),
    ];
    check_all(4, &profiles, |(name, options, calls)| {
        let redacts = options.contains(&"--redact");
        let run = tree.run().args(*options).args(["--", "printenv", "TOKEN"]);
        let outcome = run.under(refusing(calls)).finish();
        let expected = if redacts {
            "[TOKEN]\n"
        } else {
            &format!("{SECRET}\n")
        };
        let has_run = outcome.status.success() && outcome.stdout == expected.as_bytes();
        let is_plain = ["close_range", "mlock", "sigqueue", "pidfd_open"].contains(name);
        match outcome.refusal(125, &[]) {
            Ok(()) => Ok(()),
            Err(_) if has_run && is_plain => Ok(()),
            Err(defect) => Err(format!(
                "{name}: neither runs as asked nor {defect}\n{outcome}"
            )),
        }
    });
}
