//! Which calls fail, and when a command may go on.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::libc;
use nix::poll::PollFlags;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::Target;
use super::family::{Family, Stage};
use super::listener::{Asked, Listener};

/// How long a program may run.
const DEADLINE: Duration = Duration::from_secs(10);

/// How long what it leaves behind may run on.
const GRACE: Duration = Duration::from_secs(2);

/// How many processes a program may start.
const MOST_PROCESSES: usize = 60;

/// How long the processes around a command have to get where they are without a failure.
const SETTLING: Duration = Duration::from_millis(600);

/// Decides about the calls of a program, and notes what it sees.
pub struct Watcher {
    pub child: Pid,
    pub listener: Listener,
    pub program: PathBuf,
    pub target: Option<Target>,
    pub hook: OsString,
    pub expected: Option<String>,
    pub family: Family,
    /// A command, held until all around it has settled, and since when.
    pub held: Option<(u64, Instant)>,
    pub was_held: bool,
    pub was_hit: bool,
    pub log: String,
}

impl Watcher {
    /// Answers until nobody is left behind the filter, and ends as the program did.
    pub fn watch(&mut self) -> ExitCode {
        let started = Instant::now();
        let mut end: Option<(WaitStatus, Instant)> = None;
        loop {
            let patience = if self.held.is_some() { 2 } else { 20 };
            let events = self.listener.wait(patience);
            if events.contains(PollFlags::POLLIN) {
                self.answer_one();
            }
            if let Some(status) = self.reap() {
                end = Some((status, Instant::now()));
            }
            if events.contains(PollFlags::POLLHUP) && end.is_some() {
                break;
            }
            self.release_held();
            if self.family.threads() > MOST_PROCESSES {
                self.say("starts processes without end");
                break;
            }
            if end.is_none() && started.elapsed() > DEADLINE {
                self.say("hang");
                break;
            }
            if end.is_some_and(|(_, at)| at.elapsed() > GRACE) {
                self.say("leftover");
                break;
            }
        }
        match end {
            Some((WaitStatus::Exited(_, status), _)) => {
                self.say(&format!("exited {status}"));
                ExitCode::from(status as u8)
            }
            Some((WaitStatus::Signaled(_, signal, _), _)) => {
                self.say(&format!("killed {}", signal as i32));
                ExitCode::from(128 + signal as u8)
            }
            _ => ExitCode::FAILURE,
        }
    }

    /// Takes note of the ends of children, of which orphans are some; that of the program.
    fn reap(&self) -> Option<WaitStatus> {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) | Err(_) => return None,
                Ok(status) if status.pid() == Some(self.child) => return Some(status),
                Ok(_) => (),
            }
        }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.log, "{line}").expect("memory");
    }

    fn answer_one(&mut self) {
        let Some(asked) = self.listener.asked() else {
            return;
        };
        match self.verdict(asked) {
            Verdict::Allow => self.listener.answer(asked.id, 0),
            Verdict::Fail(error) => self.listener.answer(asked.id, error),
            Verdict::Hold => self.held = Some((asked.id, Instant::now())),
        }
    }

    fn verdict(&mut self, asked: Asked) -> Verdict {
        let is_signal = [libc::SYS_kill, libc::SYS_rt_sigqueueinfo].contains(&asked.call);
        if is_signal && asked.arguments[0] as i32 == -1 {
            self.say("kills everything");
            return Verdict::Fail(libc::EPERM);
        }
        let process = self.family.process_of(asked.thread);
        let path = fs::read_link(format!("/proc/{}/exe", asked.thread));
        let is_program = path.is_ok_and(|path| path == self.program);
        let Some(known) = self.family.get_mut(process) else {
            return self.held_or_allowed(asked);
        };
        if known.stage == Stage::Executing {
            known.stage = if is_program {
                Stage::Own
            } else {
                Stage::Command
            };
            if !is_program {
                let line = format!("command {}", known.name);
                self.say(&line);
            }
        }
        let known = self.family.get_mut(process).expect("known above");
        if known.stage == Stage::Loading && is_program && begins(asked) {
            known.stage = Stage::Own;
        }
        known.stage = match (known.stage, asked.call) {
            (Stage::Own, libc::SYS_poll) if known.name == "0" && !known.has_begun => Stage::Runtime,
            (stage, _) => stage,
        };
        match known.stage {
            Stage::Own => self.own(process, asked),
            // The last thing that the runtime does is to set up a stack for signals.
            Stage::Runtime if asked.call == libc::SYS_sigaltstack && asked.arguments[0] != 0 => {
                (known.stage, known.has_begun) = (Stage::Own, true);
                Verdict::Allow
            }
            _ => Verdict::Allow,
        }
    }

    /// A call of the program's own.
    fn own(&mut self, process: i32, asked: Asked) -> Verdict {
        let known = self.family.get_mut(process).expect("a known process");
        let count = known.counts.entry(asked.call).or_default();
        let (nth, name) = (*count, known.name.clone());
        *count += 1;
        if asked.call == libc::SYS_execve {
            known.stage = Stage::Executing;
        }
        match &self.target {
            None => {
                let [first, second, ..] = asked.arguments;
                self.say(&format!(
                    "call {name} {} {nth} {first:x} {second:x}",
                    asked.call
                ));
                Verdict::Allow
            }
            Some(target) if target.fits(&name, &asked, nth) => {
                let error = target.error;
                let [first, second, third, ..] = asked.arguments;
                self.say(&format!("hit {name} {nth} {first:x} {second:x} {third:x}"));
                self.was_hit = true;
                Verdict::Fail(error)
            }
            Some(target) => {
                if self.was_hit && target.call == asked.call {
                    let [first, second, third, ..] = asked.arguments;
                    self.say(&format!(
                        "passed {name} {nth} {first:x} {second:x} {third:x}"
                    ));
                }
                Verdict::Allow
            }
        }
    }

    /// What a command executes is held once.
    fn held_or_allowed(&mut self, asked: Asked) -> Verdict {
        if asked.call != libc::SYS_execve || self.was_held {
            return Verdict::Allow;
        }
        self.was_held = true;
        Verdict::Hold
    }

    /// Lets a command go on when all processes around it are as they are to be, or will not be.
    fn release_held(&mut self) {
        let Some((id, since)) = self.held else {
            return;
        };
        let around = self.family.around();
        let has_settled = match &self.expected {
            Some(expected) => around == *expected,
            None => since.elapsed() > SETTLING / 2,
        };
        if !has_settled && since.elapsed() < SETTLING {
            return;
        }
        self.held = None;
        self.log.push_str(&around);
        if !self.hook.is_empty() {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(&self.hook).arg("sh");
            shell.arg(self.child.to_string());
            shell.stdin(Stdio::null()).stdout(Stdio::null());
            let status = shell.status().expect("a shell");
            assert!(status.success(), "the hook");
        }
        self.listener.answer(id, 0);
    }
}

enum Verdict {
    Allow,
    Fail(i32),
    Hold,
}

/// Whether a call is the first that a program makes by itself: to be undumpable, or else the first one of Rust's runtime.
fn begins(asked: Asked) -> bool {
    let first = asked.arguments[0] as i32;
    match asked.call {
        libc::SYS_prctl => first == libc::PR_SET_DUMPABLE,
        libc::SYS_rt_sigaction => first == libc::SIGPIPE,
        _ => false,
    }
}
