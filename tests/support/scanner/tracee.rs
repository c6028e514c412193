//! Processes under ptrace(2): stopped for their registers, or held where they become the command.

use std::ffi::OsString;
use std::fs;

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use super::{Find, Findings, Needles, outside_of_memory, scan};
use crate::support::probe;
use crate::support::run::{Live, Run};
use crate::support::wait::wait_until;

/// More than any processor has of registers, in bytes.
const REGISTERS: usize = 64 * 1024;

/// The children and tracees of this thread, whatever they are.
const TRACEES: WaitPidFlag = WaitPidFlag::__WALL.union(WaitPidFlag::__WNOTHREAD);

/// The sets of registers: their names, and their numbers in core files.
const SETS: [(&str, libc::c_int); 2] = [("general registers", 1), VECTORS];

#[cfg(target_arch = "x86_64")]
const VECTORS: (&str, libc::c_int) = ("vector registers", 0x202);

#[cfg(not(target_arch = "x86_64"))]
const VECTORS: (&str, libc::c_int) = ("vector registers", 2);

/// A program that is stopped at the system call that starts the command. Dropped, it is killed.
///
/// It belongs to the thread that stopped it.
pub struct Held {
    /// The one that is about to become the command.
    pub process: Pid,
    live: Live,
}

impl Held {
    /// Runs until `process` is about to execute the command; that must be named by its path, because
    /// a name is tried in one directory after the other.
    #[track_caller]
    pub fn before_command(run: Run) -> Self {
        let live = run.allowing_a_tracer().under(probe::halted()).spawn();
        let program = live.pid();
        let stat = format!("/proc/{program}/stat");
        wait_until("a program that has not begun", || {
            fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T "))
        });
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACECLONE;
        ptrace::seize(program, options).expect("a process of ours to trace");
        kill(program, Signal::SIGCONT).expect("a process of ours to continue");
        Held {
            process: run_to_command(program),
            live,
        }
    }

    /// Everything that is in the process now.
    #[track_caller]
    pub fn scan(&self, needles: &Needles) -> Findings {
        let mut findings = scan(self.process, needles);
        let threads = threads(self.process).into_iter();
        threads
            .filter(|thread| *thread != self.process)
            .for_each(stop);
        findings.0.extend(registers(self.process, needles));
        findings
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let program = self.live.pid();
        // What waits for the program would wait for ever: its threads are ours to be waited for.
        let _ = killpg(program, Signal::SIGKILL);
        let ended = TRACEES | WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        while let Ok(seen) = waitid(Id::All, ended) {
            match seen.pid() {
                Some(tracee) if tracee != program => drop(waitpid(tracee, Some(TRACEES))),
                _ => return,
            }
        }
    }
}

/// Lets a program and what it forks run up to the second execve(2): the first one starts it.
#[track_caller]
fn run_to_command(program: Pid) -> Pid {
    let mut has_begun = false;
    loop {
        let (tracee, signal) = match next_stop(program) {
            WaitStatus::PtraceEvent(tracee, _, libc::PTRACE_EVENT_EXEC) => {
                has_begun = true;
                (tracee, None)
            }
            WaitStatus::PtraceSyscall(tracee) if has_begun && executes(tracee) => return tracee,
            WaitStatus::PtraceEvent(tracee, ..) | WaitStatus::PtraceSyscall(tracee) => {
                (tracee, None)
            }
            WaitStatus::Stopped(tracee, signal) => (tracee, Some(signal)),
            _ => continue,
        };
        match ptrace::syscall(tracee, signal) {
            // It was killed in the meantime, which the next stop tells.
            Ok(()) | Err(Errno::ESRCH) => (),
            Err(error) => panic!("cannot continue {tracee}: {error}"),
        }
    }
}

/// Waits for the next stop of any tracee of this thread. The end of the program itself is left for
/// its owner to see.
#[track_caller]
fn next_stop(program: Pid) -> WaitStatus {
    let any = TRACEES | WaitPidFlag::WEXITED | WaitPidFlag::WSTOPPED | WaitPidFlag::WNOWAIT;
    let seen = waitid(Id::All, any).expect("a tracee to wait for");
    let tracee = seen.pid().expect("a status of a tracee");
    let has_ended = matches!(seen, WaitStatus::Exited(..) | WaitStatus::Signaled(..));
    assert!(
        !(has_ended && tracee == program),
        "it ended before there was a command: {seen:?}"
    );
    waitpid(tracee, Some(TRACEES)).expect("a tracee that has changed")
}

/// Whether a tracee that is stopped at a system call is about to execute a program.
fn executes(tracee: Pid) -> bool {
    let info = ptrace::syscall_info(tracee).expect("the system call of a stopped tracee");
    if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
        return false;
    }
    // SAFETY: at the entry of a call, this is the member that the kernel has filled.
    let number = unsafe { info.u.entry.nr } as libc::c_long;
    [libc::SYS_execve, libc::SYS_execveat].contains(&number)
}

/// Looks into a running process: its memory, and the registers of its threads, for which it is
/// stopped for a moment.
#[track_caller]
pub fn scan_running(process: Pid, needles: &Needles) -> Findings {
    for thread in threads(process) {
        match ptrace::seize(thread, Options::empty()) {
            Ok(()) => stop(thread),
            Err(error) => assert_ne!(thread, process, "cannot trace {process}: {error}"),
        }
    }
    let mut findings = scan(process, needles);
    findings.0.extend(registers(process, needles));
    for thread in threads(process) {
        // A thread may have ended.
        let _ = ptrace::detach(thread, None);
    }
    findings
}

fn threads(process: Pid) -> Vec<Pid> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).expect("a process that runs");
    let names = threads.flatten().map(|thread| thread.file_name());
    let number = |name: OsString| name.to_str()?.parse().ok().map(Pid::from_raw);
    names.filter_map(number).collect()
}

/// Stops a tracee that runs, unless it ends.
fn stop(thread: Pid) {
    match ptrace::interrupt(thread) {
        Ok(()) => drop(waitpid(thread, Some(WaitPidFlag::__WALL))),
        Err(error) => assert_eq!(error, Errno::ESRCH),
    }
}

/// What is found in the registers of the threads, all of which must be stopped.
fn registers(process: Pid, needles: &Needles) -> Vec<Find> {
    let mut finds = Vec::new();
    for thread in threads(process) {
        for (name, set) in SETS {
            let place = match thread == process {
                true => name.into(),
                false => format!("{name} of another thread"),
            };
            finds.extend(outside_of_memory(
                needles,
                &register_set(thread, set),
                &place,
            ));
        }
    }
    finds
}

/// A set of registers; nothing of a thread that has ended.
fn register_set(thread: Pid, set: libc::c_int) -> Vec<u8> {
    let mut bytes = vec![0; REGISTERS];
    let mut vector = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    let request = libc::PTRACE_GETREGSET;
    // SAFETY: `vector` describes a live buffer, of which the kernel fills as much as there is.
    let done = unsafe { libc::ptrace(request, thread.as_raw(), set, &raw mut vector) };
    if done != 0 {
        assert_eq!(Errno::last(), Errno::ESRCH, "register set {set}");
        return Vec::new();
    }
    bytes.truncate(vector.iov_len);
    bytes
}
