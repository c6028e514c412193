//! A child process in a session of its own, and what it writes.

use std::ffi::{CString, c_char};
use std::fs;
use std::io::{self, ErrorKind, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::ptr;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use nix::fcntl::{self, OFlag};
use nix::libc;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::stat::Mode;
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{Pid, setsid};

/// A child that leads its own session, so that its whole group can be ended with it, and so that it
/// has no terminal but the one it is given: a test must not prompt on the terminal of whoever runs
/// the tests.
pub struct Process {
    child: Child,
    reaped: bool,
}

impl Process {
    /// Starts `command`; `terminal` is the pseudo-terminal to make the controlling one, and `image`
    /// what to execute in its place.
    pub fn start(
        command: &mut Command,
        terminal: Option<CString>,
        image: Option<Image>,
    ) -> io::Result<Self> {
        let enter_session = move || {
            setsid()?;
            if let Some(path) = &terminal {
                // The first terminal that a session leader opens becomes its controlling terminal.
                let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC;
                fcntl::open(path.as_c_str(), flags, Mode::empty())?;
            }
            image.as_ref().map_or(Ok(()), Image::execute)
        };
        // SAFETY: between fork and exec the closure makes system calls only: it allocates nothing
        // and takes no lock, and what it refers to was allocated before the fork.
        unsafe { command.pre_exec(enter_session) };
        Ok(Process {
            child: command.spawn()?,
            reaped: false,
        })
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
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
        self.child.wait().expect("a child of ours")
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

/// A program with its words and exactly the strings of its environment, laid out before the fork.
pub struct Image {
    words: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    _strings: [Vec<CString>; 2],
}

// SAFETY: the pointers are to strings that the image owns and nothing changes.
unsafe impl Send for Image {}

// SAFETY: as above.
unsafe impl Sync for Image {}

impl Image {
    /// `words` starts with the path of the program.
    pub fn new(words: Vec<CString>, environment: Vec<CString>) -> Self {
        let pointers = |strings: &[CString]| {
            let pointers = strings.iter().map(|string| string.as_ptr());
            pointers.chain([ptr::null()]).collect()
        };
        Image {
            words: pointers(&words),
            environment: pointers(&environment),
            _strings: [words, environment],
        }
    }

    /// Replaces the process; returns only if that fails.
    fn execute(&self) -> io::Result<()> {
        let program = self.words[0];
        let [words, environment] = [&self.words, &self.environment].map(|array| array.as_ptr());
        // SAFETY: both arrays end with a null pointer, and `_strings` keeps what they point to.
        unsafe { libc::execvpe(program, words, environment) };
        Err(io::Error::last_os_error())
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
