//! Has chosen system calls of a program fail, as a filter of system calls would (seccomp_unotify(2)): nothing traces the
//! program, and a call that is let through is made by it itself.
//!
//! A process is named by its birth: `0` is the program, `00` its first child, `01` its second. Counted are the calls of
//! the program's own, from the first one that it makes by itself up to its end or to the command that it becomes; what
//! the command does is let through.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{CString, OsStr, OsString};
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Error, IsTerminal};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::libc;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, execv, fork, setsid};

/// How long a program may run.
const DEADLINE: Duration = Duration::from_secs(10);

/// How long what it leaves behind may run on.
const GRACE: Duration = Duration::from_secs(2);

/// How many processes a program may start.
const MOST_PROCESSES: usize = 60;

/// How long the processes around a command have to get where they are without a failure.
const SETTLING: Duration = Duration::from_millis(600);

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

/// To be put in front of a program: a filter refuses these calls with these errors, to the command too. Nobody looks on.
pub fn refusing(calls: &[(i64, i32)]) -> Vec<OsString> {
    let words = calls.iter().map(|(call, error)| format!("{call}:{error}"));
    let words = words.collect::<Vec<_>>().join(",");
    [super::probe::command("refuse").to_vec(), vec![words.into()]].concat()
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
        processes: BTreeMap::new(),
        births: HashMap::new(),
        threads: HashMap::new(),
        held: None,
        was_held: false,
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

/// Starts the program behind a filter that asks us about its calls.
fn start(program: &[OsString], target: Option<&Target>) -> io::Result<(Pid, OwnedFd)> {
    let words = program.iter().map(|word| CString::new(word.as_bytes()));
    let words: Vec<_> = words.collect::<Result<_, _>>()?;
    let filter = filter(target);
    // SAFETY: there is one thread.
    match unsafe { fork() }? {
        ForkResult::Child => {
            // SAFETY: the default disposition runs no handler. Rust's runtime has ignored it.
            unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
            install(
                &filter,
                libc::SECCOMP_FILTER_FLAG_NEW_LISTENER
                    | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
            );
            let _ = execv(&words[0], &words);
            std::process::abort()
        }
        ForkResult::Parent { child } => Ok((child, listener_of(child)?)),
    }
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
fn filter(target: Option<&Target>) -> Vec<libc::sock_filter> {
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

fn install(filter: &[libc::sock_filter], flags: u64) {
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_ptr().cast_mut(),
    };
    let mode = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: `program` refers to a live array of the length that it gives; the kernel copies it.
    unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) };
}

/// The listener that a child has made, taken from there: the child can make no call to hand it over.
fn listener_of(child: Pid) -> io::Result<OwnedFd> {
    let descriptors = PathBuf::from(format!("/proc/{child}/fd"));
    let deadline = Instant::now() + DEADLINE;
    while Instant::now() < deadline {
        let entries = fs::read_dir(&descriptors)?.flatten();
        let mut entries = entries.filter(|entry| {
            let target = fs::read_link(entry.path());
            target.is_ok_and(|target| target == OsStr::new("anon_inode:seccomp notify"))
        });
        if let Some(entry) = entries.next() {
            let number: i32 = entry.file_name().to_string_lossy().parse().unwrap_or(-1);
            return taken_from(child, number);
        }
        sleep(Duration::from_micros(200));
    }
    Err(io::ErrorKind::TimedOut.into())
}

fn taken_from(process: Pid, number: i32) -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes integers.
    let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, process.as_raw(), 0) };
    // SAFETY: pidfd_getfd takes integers.
    let taken = unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd, number, 0) };
    match i32::try_from(taken) {
        // SAFETY: the kernel has just given us this descriptor, and nothing else owns it.
        Ok(taken @ 0..) => Ok(unsafe { OwnedFd::from_raw_fd(taken) }),
        _ => Err(Error::last_os_error()),
    }
}

/// A process of the program.
struct Process {
    name: String,
    stage: Stage,
    /// Whether `main` has begun.
    has_begun: bool,
    counts: HashMap<i64, u32>,
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    /// The loader and what runs before the program's own first call.
    Loading,
    Own,
    /// The runtime of the language, between the program's first calls and its `main`.
    Runtime,
    /// It has asked to be replaced.
    Executing,
    Command,
}

/// A call that waits for an answer.
#[derive(Clone, Copy)]
struct Asked {
    id: u64,
    thread: i32,
    call: i64,
    arguments: [u64; 6],
}

struct Watcher {
    child: Pid,
    listener: OwnedFd,
    program: PathBuf,
    target: Option<Target>,
    hook: OsString,
    expected: Option<String>,
    processes: BTreeMap<i32, Process>,
    /// How many children of each process have a name.
    births: HashMap<i32, u32>,
    /// The process of each thread.
    threads: HashMap<i32, i32>,
    /// A command, held until all around it has settled, and since when.
    held: Option<(u64, Instant)>,
    was_held: bool,
    log: String,
}

impl Watcher {
    /// Answers until nobody is left behind the filter, and ends as the program did.
    fn watch(&mut self) -> ExitCode {
        let started = Instant::now();
        let mut end: Option<(WaitStatus, Instant)> = None;
        loop {
            let events = self.wait();
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
            if self.threads.len() > MOST_PROCESSES {
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

    fn wait(&self) -> PollFlags {
        let mut events = [PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
        let patience: u16 = if self.held.is_some() { 2 } else { 20 };
        let _ = poll(&mut events, patience);
        events[0].revents().unwrap_or(PollFlags::empty())
    }

    fn answer_one(&mut self) {
        let Some(asked) = self.asked() else {
            return;
        };
        match self.verdict(asked) {
            Verdict::Allow => self.answer(asked.id, 0),
            Verdict::Fail(error) => self.answer(asked.id, error),
            Verdict::Hold => self.held = Some((asked.id, Instant::now())),
        }
    }

    fn asked(&self) -> Option<Asked> {
        // SAFETY: all zeros is valid, and what the kernel asks for.
        let mut question: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        let (listener, request) = (self.listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV);
        // SAFETY: `question` is live and of the type that the request fills.
        let told = unsafe { libc::ioctl(listener, request, &raw mut question) };
        (told == 0).then_some(Asked {
            id: question.id,
            thread: question.pid as i32,
            call: question.data.nr.into(),
            arguments: question.data.args,
        })
    }

    fn answer(&self, id: u64, error: i32) {
        let answer = libc::seccomp_notif_resp {
            id,
            val: 0,
            error: -error,
            flags: match error {
                0 => libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
                _ => 0,
            },
        };
        let (listener, request) = (self.listener.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND);
        // SAFETY: `answer` is live and of the type that the request reads. Who asked may have been killed.
        unsafe { libc::ioctl(listener, request, &raw const answer) };
    }

    fn verdict(&mut self, asked: Asked) -> Verdict {
        let is_signal = [libc::SYS_kill, libc::SYS_rt_sigqueueinfo].contains(&asked.call);
        if is_signal && asked.arguments[0] as i32 == -1 {
            self.say("kills everything");
            return Verdict::Fail(libc::EPERM);
        }
        let process = self.process_of(asked.thread);
        let path = fs::read_link(format!("/proc/{}/exe", asked.thread));
        let is_program = path.is_ok_and(|path| path == self.program);
        let Some(known) = self.processes.get_mut(&process) else {
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
        let known = self.processes.get_mut(&process).expect("known above");
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
        let known = self.processes.get_mut(&process).expect("a known process");
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
                Verdict::Fail(error)
            }
            Some(_) => Verdict::Allow,
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

    /// The process that a thread belongs to, which gets a name if it is one of the program's.
    fn process_of(&mut self, thread: i32) -> i32 {
        if let Some(process) = self.threads.get(&thread) {
            return *process;
        }
        let process = status_of(thread, "Tgid").and_then(|id| id.parse().ok());
        let process = process.unwrap_or(thread);
        self.threads.insert(thread, process);
        if self.processes.is_empty() {
            self.insert(process, "0".into(), Stage::Loading);
        } else if !self.processes.contains_key(&process) {
            let parent = status_of(process, "PPid").and_then(|id| id.parse().ok());
            if let Some(parent) = parent {
                self.name_children_of(parent);
            }
        }
        process
    }

    /// Names the children of a process of the program in the order of their birth.
    fn name_children_of(&mut self, parent: i32) {
        let known = self.processes.get(&parent);
        let Some(known) = known.filter(|known| known.stage == Stage::Own) else {
            return;
        };
        let name = known.name.clone();
        let list = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
        let children = list.unwrap_or_default();
        for child in children.split_whitespace().filter_map(|id| id.parse().ok()) {
            if !self.processes.contains_key(&child) {
                let birth = self.births.entry(parent).or_default();
                let name = format!("{name}{birth}");
                *birth += 1;
                self.insert(child, name, Stage::Own);
            }
        }
    }

    fn insert(&mut self, id: i32, name: String, stage: Stage) {
        let process = Process {
            name,
            stage,
            has_begun: false,
            counts: HashMap::new(),
        };
        self.processes.insert(id, process);
    }

    /// Lets a command go on when all processes around it are as they are to be, or will not be.
    fn release_held(&mut self) {
        let Some((id, since)) = self.held else {
            return;
        };
        let around = self.around();
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
        self.answer(id, 0);
    }

    /// What the processes around the command are like, one in a line.
    fn around(&self) -> String {
        let mut lines: Vec<_> = self
            .processes
            .iter()
            .filter(|(_, process)| process.stage == Stage::Own)
            .filter_map(|(id, process)| Some(format!("around {} {}\n", process.name, state(*id)?)))
            .collect();
        lines.sort();
        lines.concat()
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

fn status_of(process: i32, field: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let mut lines = status.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(name, _)| *name == field)?;
    Some(value.trim().to_owned())
}

/// What protects a process, what it holds open and what is left of what it was started with.
fn state(process: i32) -> Option<String> {
    let mut state = String::new();
    for field in [
        "NoNewPrivs",
        "Seccomp_filters",
        "SigBlk",
        "SigIgn",
        "SigCgt",
    ] {
        write!(state, "{field}={} ", status_of(process, field)?).ok()?;
    }
    let is_locked = status_of(process, "VmLck")? != "0 kB";
    let open = fs::read_dir(format!("/proc/{process}/fd")).ok()?.flatten();
    let open = open.filter_map(|entry| fs::read_link(entry.path()).ok());
    let open = open.map(|target| without_number(&target));
    // The standard library opens it where getrandom(2) is refused.
    let mut open: Vec<_> = open.filter(|name| name != "urandom").collect();
    open.sort();
    let is_wiped = |file| {
        let bytes = fs::read(format!("/proc/{process}/{file}")).unwrap_or_default();
        let first = bytes.iter().position(|byte| *byte == 0).unwrap_or(0);
        let from = if file == "cmdline" { first } else { 0 };
        bytes[from..].iter().all(|byte| *byte == 0)
    };
    let wiped = [is_wiped("cmdline"), is_wiped("environ")];
    write!(
        state,
        "locked={is_locked} wiped={wiped:?} open={}",
        open.join(",")
    )
    .ok()?;
    Some(state)
}

/// What a descriptor stands for, without what differs between two runs.
fn without_number(target: &Path) -> String {
    let target = target.to_string_lossy();
    if target.starts_with("/dev/pts/") {
        return "terminal".to_owned();
    }
    let name = target.rsplit('/').next().unwrap_or_default();
    name.split('[').next().unwrap_or_default().to_owned()
}
