//! A child process in a session of its own, and what it writes.

use std::ffi::CStr;
use std::fs;
use std::io::{self, ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use nix::libc;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::spawn::Image;

/// A child that leads its own session, so that its whole group can be ended with it, and so that it
/// has no terminal but the one it is given: a test must not prompt on the terminal of whoever runs
/// the tests.
pub struct Process {
    pid: Pid,
    reaped: bool,
}

impl Process {
    /// Starts a program on these standard streams; `terminal` is the pseudo-terminal to make the controlling one.
    pub fn start(
        image: &Image,
        streams: &[OwnedFd; 3],
        terminal: Option<&CStr>,
    ) -> io::Result<Self> {
        Ok(Process {
            pid: image.spawn(streams, terminal)?,
            reaped: false,
        })
    }

    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Sends a signal to the process alone.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("a signal to a child that was not waited for");
    }

    /// Whether it has ended. It is not reaped, so its pid still names it and its group.
    pub fn has_ended(&self) -> bool {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        waitid(Id::Pid(self.pid()), flags) != Ok(WaitStatus::StillAlive)
    }

    pub fn reap(&mut self) -> ExitStatus {
        self.reaped = true;
        let mut status = 0;
        // SAFETY: the pointer is to a number. By nix it would be an error that a real-time signal ended the child.
        let ended = unsafe { libc::waitpid(self.pid.as_raw(), &mut status, 0) };
        assert_eq!(ended, self.pid.as_raw(), "a child of ours");
        ExitStatus::from_raw(status)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.reaped {
            // It may be gone already: the reaping below is what counts.
            let _ = killpg(self.pid(), Signal::SIGKILL);
            self.reap();
        }
    }
}

/// Ends what tests that hung have left running. For the very end of a run: every child of ours is
/// then such a leftover.
pub fn end_leftovers() {
    for child in children() {
        eprintln!("a test left process {child} behind: ended");
        // A child that nobody waited for keeps its pid, so this is the process we started, and its
        // group.
        let _ = killpg(child, Signal::SIGKILL);
    }
}

/// The children of this process: each thread has a list of those that it started.
fn children() -> Vec<Pid> {
    let mut children = Vec::new();
    for thread in fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten()
    {
        let list = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        let pids = list.split_whitespace().filter_map(|pid| pid.parse().ok());
        children.extend(pids.map(Pid::from_raw));
    }
    children
}

/// Everything that comes out of one end of a pipe or a terminal, collected as it arrives.
pub struct Capture {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Capture {
    pub fn start(source: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let collected = Arc::clone(&bytes);
        let reader = thread::spawn(move || collect(source, &collected));
        Capture { bytes, reader }
    }

    pub fn so_far(&self) -> Vec<u8> {
        self.bytes.lock().unwrap().clone()
    }

    /// Whether nothing more can come: every process that could write has ended or closed it.
    pub fn is_complete(&self) -> bool {
        self.reader.is_finished()
    }
}

/// Reads to the end. A terminal whose other side is closed answers with an error instead.
fn collect(mut source: impl Read, bytes: &Mutex<Vec<u8>>) {
    let mut chunk = [0; 4096];
    loop {
        match source.read(&mut chunk) {
            Ok(0) => return,
            Ok(length) => bytes.lock().unwrap().extend_from_slice(&chunk[..length]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
