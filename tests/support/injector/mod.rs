//! Has chosen system calls of a program fail, as a filter of system calls would (seccomp_unotify(2)): nothing traces the
//! program, and a call that is let through is made by it itself.
//!
//! A process is named by its birth: `0` is the program, `00` its first child, `01` its second. Counted are the calls of
//! the program's own, from the first one that it makes by itself up to its end or to the command that it becomes; what
//! the command does is let through.

mod family;
mod filter;
mod listener;
mod state;
mod watcher;

use std::ffi::OsString;
use std::fs;
use std::io::{Error, IsTerminal};
use std::path::Path;
use std::process::ExitCode;

use nix::libc;
use nix::unistd::setsid;

use family::Family;
pub use filter::{refuse, refusing};
use listener::{Asked, start};
use watcher::Watcher;

/// What an [`injector`] is told, in the order of its words.
pub struct Injection<'a> {
    /// Where it writes what it saw.
    pub log: &'a Path,
    /// What is to fail.
    pub target: Option<Target>,
    /// What the processes around the command are like without a failure, once that is known.
    pub expected: Option<&'a Path>,
    /// What a shell does once the command runs, with the process ID of the program as `$1`.
    pub hook: &'a str,
}

/// Which calls fail.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// Of which process; all of them without one.
    pub process: Option<String>,
    pub call: i64,
    /// Which of its calls, counted from 0; all of them without a number.
    pub nth: Option<u32>,
    pub error: i32,
}

impl Target {
    fn word(&self) -> String {
        let process = self.process.as_deref().unwrap_or("any");
        let nth = self.nth.map_or("all".to_owned(), |nth| nth.to_string());
        format!("{process}:{}:{nth}:{}", self.call, self.error)
    }

    fn parse(word: &str) -> Option<Self> {
        let [process, call, nth, error] = word.split(':').collect::<Vec<_>>().try_into().ok()?;
        Some(Target {
            process: (process != "any").then(|| process.to_owned()),
            call: call.parse().ok()?,
            nth: nth.parse().ok(),
            error: error.parse().ok()?,
        })
    }

    fn fits(&self, process: &str, asked: &Asked, nth: u32) -> bool {
        let is_process = self.process.as_deref().is_none_or(|name| name == process);
        let can_happen = match (asked.call, self.error) {
            // There may be no descriptor left, which only matters to who wants one.
            (libc::SYS_fcntl, libc::EMFILE) => {
                [libc::F_DUPFD, libc::F_DUPFD_CLOEXEC].contains(&(asked.arguments[1] as i32))
            }
            _ => true,
        };
        let is_call = is_process && can_happen && self.call == asked.call;
        is_call && self.nth.is_none_or(|number| number == nth)
    }
}

/// To be put in front of a program, given by its absolute path. It is the first process of a namespace, so that nothing
/// outlives it: a program to which calls are refused may start others for ever.
pub fn injector(injection: &Injection<'_>) -> Vec<OsString> {
    let target = injection.target.as_ref().map(Target::word);
    let expected = injection.expected.unwrap_or(Path::new(""));
    let words: [OsString; 4] = [
        injection.log.into(),
        target.unwrap_or_default().into(),
        expected.into(),
        injection.hook.into(),
    ];
    let namespace = [
        "unshare",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "--",
    ];
    let namespace = namespace.map(OsString::from).to_vec();
    [
        namespace,
        super::probe::command("inject").to_vec(),
        words.to_vec(),
    ]
    .concat()
}

/// Does the work of an [`injector`].
pub fn run(words: &[OsString]) -> ExitCode {
    let [log, target, expected, hook, program @ ..] = words else {
        return ExitCode::from(2);
    };
    let target = Target::parse(&target.to_string_lossy());
    lead_session();
    let (child, listener) = start(program, target.as_ref()).expect("a program under a filter");
    let mut watcher = Watcher {
        child,
        listener,
        program: fs::canonicalize(&program[0]).expect("the path of the program"),
        target,
        hook: hook.clone(),
        expected: fs::read_to_string(expected).ok(),
        family: Family::default(),
        held: None,
        was_held: false,
        was_hit: false,
        log: String::new(),
    };
    let status = watcher.watch();
    fs::write(log, &watcher.log).expect("the log of an injection");
    status
}

/// Leads a session that can be seen in our namespace, with the terminal of the one before.
fn lead_session() {
    setsid().expect("a session");
    if std::io::stdin().is_terminal() {
        // SAFETY: the request takes integers: 1 takes the terminal away from who has it.
        let taken = unsafe { libc::ioctl(0, libc::TIOCSCTTY, 1) };
        assert_eq!(taken, 0, "the terminal: {}", Error::last_os_error());
    }
}
