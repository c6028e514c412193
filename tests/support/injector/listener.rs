//! Starting a program behind a filter, and answering what that asks.

use std::ffi::{CString, OsStr, OsString};
use std::fs;
use std::io::{self, Error};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::libc;
use nix::poll::{PollFd, PollFlags, poll};
use nix::unistd::{ForkResult, Pid, execv, fork};

use super::Target;
use super::filter::{filter, install};

/// How long a program may take until it is behind its filter.
const DEADLINE: Duration = Duration::from_secs(10);

/// A call that waits for an answer.
#[derive(Clone, Copy)]
pub struct Asked {
    pub id: u64,
    pub thread: i32,
    pub call: i64,
    pub arguments: [u64; 6],
}

/// Where the calls of a program behind a filter are asked about.
pub struct Listener(OwnedFd);

impl Listener {
    /// Waits for a call, for so many milliseconds at most.
    pub fn wait(&self, patience: u16) -> PollFlags {
        let mut events = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut events, patience);
        events[0].revents().unwrap_or(PollFlags::empty())
    }

    /// The call that waits.
    pub fn asked(&self) -> Option<Asked> {
        // SAFETY: all zeros is valid, and what the kernel asks for.
        let mut question: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        let (listener, request) = (self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV);
        // SAFETY: `question` is live and of the type that the request fills.
        let told = unsafe { libc::ioctl(listener, request, &raw mut question) };
        (told == 0).then_some(Asked {
            id: question.id,
            thread: question.pid as i32,
            call: question.data.nr.into(),
            arguments: question.data.args,
        })
    }

    /// Has a call made, or fail with an error.
    pub fn answer(&self, id: u64, error: i32) {
        let answer = libc::seccomp_notif_resp {
            id,
            val: 0,
            error: -error,
            flags: match error {
                0 => libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32,
                _ => 0,
            },
        };
        let (listener, request) = (self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND);
        // SAFETY: `answer` is live and of the type that the request reads. Who asked may have been killed.
        unsafe { libc::ioctl(listener, request, &raw const answer) };
    }
}

/// Starts the program behind a filter that asks us about its calls.
pub fn start(program: &[OsString], target: Option<&Target>) -> io::Result<(Pid, Listener)> {
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

/// The listener that a child has made, taken from there: the child can make no call to hand it over.
fn listener_of(child: Pid) -> io::Result<Listener> {
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
            return taken_from(child, number).map(Listener);
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
