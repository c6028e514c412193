//! A program on a terminal that a test types at.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::process::ExitStatus;
use std::time::Instant;

use nix::fcntl::OFlag;
use nix::libc;
use nix::pty::{Winsize, grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::signal::Signal;
use nix::sys::termios::{LocalFlags, Termios, tcgetattr};
use nix::unistd::Pid;

use super::outcome::Outcome;
use super::process::{Capture, Process};
use super::run::Run;
use super::wait::{PATIENCE, poll, wait_until};

/// A program whose standard streams and controlling terminal are a pseudo-terminal of ours.
pub struct Terminal {
    run: Run,
    process: Process,
    master: File,
    output: Capture,
    /// How much of the output [`Terminal::expect`] is already past.
    seen: usize,
    started: Instant,
}

impl Terminal {
    #[track_caller]
    pub fn spawn(run: Run) -> Self {
        let started = Instant::now();
        let (master, path) = open_pair().expect("a pseudo-terminal");
        let streams =
            [(); 3].map(|()| OwnedFd::from(open_slave(&path).expect("the terminal side")));
        let process = run.start(streams, Some(CString::new(path).expect("a device path")));
        let output = Capture::start(master.try_clone().expect("a second descriptor"));
        Terminal {
            run,
            process,
            master,
            output,
            seen: 0,
            started,
        }
    }

    pub fn pid(&self) -> Pid {
        self.process.pid()
    }

    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Types. `\x03` is Ctrl-C, `\x04` Ctrl-D, `\r` the return key.
    #[track_caller]
    pub fn send(&mut self, keys: impl AsRef<[u8]>) {
        self.master
            .write_all(keys.as_ref())
            .expect("typing on the terminal");
    }

    /// Waits until `text` appears behind everything that was expected before.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        let found = poll(PATIENCE, || {
            match find(&self.output.so_far()[self.seen..], text.as_bytes()) {
                Some(end) => {
                    self.seen += end;
                    true
                }
                None => false,
            }
        });
        assert!(
            found,
            "waited {PATIENCE:?} in vain for {text:?} from {}\n{}",
            self.run.command_line(),
            self.output_so_far()
        );
    }

    /// Changes the size of the window.
    #[track_caller]
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let master = self.master.as_raw_fd();
        // SAFETY: the descriptor is open, and `size` is what the call reads.
        let set = unsafe { libc::ioctl(master, libc::TIOCSWINSZ, &raw const size) };
        assert_eq!(set, 0, "the size of a window");
    }

    /// Starts a program on a terminal, and closes that terminal's other side once the program is
    /// ready.
    #[track_caller]
    pub fn hang_up(run: Run, ready: impl FnMut() -> bool) -> HungUp {
        let (master, path) = open_pair().expect("a pseudo-terminal");
        let streams =
            [(); 3].map(|()| OwnedFd::from(open_slave(&path).expect("the terminal side")));
        let process = run.start(streams, Some(CString::new(path).expect("a device path")));
        wait_until("a program that is ready", ready);
        drop(master);
        HungUp(process)
    }

    pub fn output_so_far(&self) -> String {
        String::from_utf8_lossy(&self.output.so_far()).into_owned()
    }

    /// The settings of the terminal, also after the program has ended.
    #[track_caller]
    pub fn termios(&self) -> Termios {
        tcgetattr(&self.master).expect("the settings of the terminal")
    }

    /// Whether what is typed is shown.
    #[track_caller]
    pub fn echoes(&self) -> bool {
        self.termios().local_flags.contains(LocalFlags::ECHO)
    }

    /// Waits for the end of the program. All that it wrote counts as standard output.
    #[track_caller]
    pub fn wait(&mut self) -> Outcome {
        let limit = self.run.time_limit();
        let ended = poll(limit, || {
            self.process.has_ended() && self.output.is_complete()
        });
        assert!(
            ended,
            "{} still runs after {limit:?}\n{}",
            self.run.command_line(),
            self.output_so_far()
        );
        Outcome {
            command: self.run.command_line(),
            status: self.process.reap(),
            stdout: self.output.so_far(),
            stderr: String::new(),
            elapsed: self.started.elapsed(),
        }
    }
}

/// A program whose terminal is gone.
pub struct HungUp(Process);

impl HungUp {
    /// Waits for its end.
    #[track_caller]
    pub fn end(mut self) -> ExitStatus {
        wait_until("the end of a program", || self.0.has_ended());
        self.0.reap()
    }
}

/// The end of the first `needle` in `haystack`.
fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
        .map(|start| start + needle.len())
}

/// The master of a new pseudo-terminal and the path of its other side. `openpty` would do, but
/// without close-on-exec the children of tests that run at the same time would inherit the terminal
/// and keep it open.
fn open_pair() -> nix::Result<(File, String)> {
    let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let path = ptsname_r(&master)?;
    Ok((OwnedFd::from(master).into(), path))
}

/// Opens the terminal side without making it the terminal of the tests.
fn open_slave(path: &str) -> std::io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(OFlag::O_NOCTTY.bits())
        .open(path)
}
