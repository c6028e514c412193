//! The test binary itself as a program that shells cannot be: one that tells which signals reach it,
//! one that starts another with any disposition and mask, and one that reads every key it can.
//!
//! What is about signals makes system calls directly, because the C library hides two signals from its users.

use std::collections::BTreeSet;
use std::ffi::{CString, OsString};
use std::fmt;
use std::fs;
use std::io::Error;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::process::{ExitCode, abort};
use std::ptr;
use std::time::Duration;

use nix::libc;

use super::injector;
use super::keys::{self, Key, REACHABLE};
use super::network;

/// The signal that ends a recorder, with [`RECORDER_STATUS`]. As the highest number it is delivered
/// behind all others that are waiting.
pub const END: i32 = 64;
pub const RECORDER_STATUS: i32 = 7;

const FLAG: &str = "--as-probe";

/// What a process may be told by a signal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sent {
    pub number: i32,
    /// What it was queued with (sigqueue(3)).
    pub value: Option<i32>,
}

impl Sent {
    pub fn plain(number: i32) -> Self {
        let value = None;
        Sent { number, value }
    }

    pub fn with_value(number: i32, value: i32) -> Self {
        let value = Some(value);
        Sent { number, value }
    }

    /// Sends it to a process.
    #[track_caller]
    pub fn to(self, process: i32) {
        let value = self.value.unwrap_or_default();
        let value = libc::sigval {
            sival_ptr: ptr::without_provenance_mut(value.cast_unsigned() as usize),
        };
        let sent = match self.value {
            // SAFETY: kill takes integers.
            None => unsafe { libc::kill(process, self.number) },
            // SAFETY: sigqueue takes integers and a value that it does not look at.
            Some(_) => unsafe { libc::sigqueue(process, self.number, value) },
        };
        assert_eq!(sent, 0, "{self:?} to {process}: {}", Error::last_os_error());
    }
}

/// A line of a recorder.
impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            None => writeln!(f, "signal {}", self.number),
            Some(value) => writeln!(f, "signal {} with {value}", self.number),
        }
    }
}

/// A command that prints `ready PID`, then a line for each signal that reaches it, until [`END`].
pub fn recorder() -> [OsString; 3] {
    command("record")
}

/// A command that sends every signal but [`END`] to its parent, and then is a [`recorder`].
pub fn accuser() -> [OsString; 3] {
    command("accuse")
}

/// A command that reads all keys that it can get at: those in its keyrings, those that it sees, and those whose serial
/// numbers follow, which it also tries to make its own. It prints a line `session SERIAL PERMISSIONS NAME`, then one
/// for each key that it can read: serial number, type, payload in hexadecimal, description.
pub fn keyreader() -> [OsString; 3] {
    command("read-keys")
}

/// To be put in front of a program: it is started with exactly these signals (bit N-1 for N) ignored
/// and blocked.
pub fn with_signals(ignored: u64, blocked: u64) -> Vec<OsString> {
    let numbers = [ignored, blocked].map(|set| set.to_string().into());
    [command("prepare").to_vec(), numbers.to_vec()].concat()
}

/// To be put in front of a program: so long after its start, it gets an ALRM from the kernel.
pub fn with_timer(delay: Duration) -> Vec<OsString> {
    let delay = delay.as_micros().to_string().into();
    [command("time").to_vec(), vec![delay]].concat()
}

/// To be put in front of a program: it waits for a CONT before it is executed.
pub fn halted() -> [OsString; 3] {
    command("halt")
}

/// To be put in front of a program: these descriptors are non-blocking, and full if they are the ends of pipes that can be
/// written to and `fill` says so.
pub fn non_blocking(descriptors: &[i32], fill: Fill) -> Vec<OsString> {
    let role = match fill {
        Fill::Nothing => "unblock",
        Fill::Pipes => "fill",
    };
    let numbers: Vec<_> = descriptors.iter().map(ToString::to_string).collect();
    [command(role).to_vec(), vec![numbers.join(",").into()]].concat()
}

/// What is written to a descriptor before the program starts.
#[derive(Clone, Copy, PartialEq)]
pub enum Fill {
    Nothing,
    /// NUL bytes, until it takes no more.
    Pipes,
}

/// Makes a socket and hands it over, as its words say.
pub fn binder() -> [OsString; 3] {
    command("bind")
}

/// A command that writes each line of its input in two pieces, split at every byte, and each piece when the one before has
/// been read: to standard output, or to standard error.
pub fn splitter(number: i32) -> [OsString; 4] {
    let [program, flag, role] = command("split");
    [program, flag, role, number.to_string().into()]
}

pub(super) fn command(role: &str) -> [OsString; 3] {
    let program = std::env::current_exe().expect("the path of the tests");
    [program.into(), FLAG.into(), role.into()]
}

/// Every signal that a process can take: not KILL and STOP.
pub fn signals() -> impl Iterator<Item = i32> {
    (1..=64).filter(|number| ![libc::SIGKILL, libc::SIGSTOP].contains(number))
}

/// For the beginning of `main`: does its work if this process was started as one of these.
pub fn main() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != FLAG {
        return None;
    }
    match arguments.next()?.to_str()? {
        "record" => Some(record()),
        "accuse" => {
            change_mask(!0);
            let parent = std::os::unix::process::parent_id().cast_signed();
            signals().for_each(|number| {
                if number != END {
                    Sent::plain(number).to(parent);
                    Sent::with_value(number, 1).to(parent);
                }
            });
            Some(record())
        }
        "bind" => Some(network::bind(&arguments.collect::<Vec<_>>())),
        "refuse" => Some(injector::refuse(&arguments.collect::<Vec<_>>())),
        "inject" => Some(injector::run(&arguments.collect::<Vec<_>>())),
        "halt" => {
            // SAFETY: raise takes an integer.
            unsafe { libc::raise(libc::SIGSTOP) };
            become_program(arguments.collect())
        }
        "read-keys" => {
            let serials = arguments.filter_map(|word| word.to_str()?.parse().ok());
            read_keys(serials.map(Key).collect());
            Some(ExitCode::SUCCESS)
        }
        "split" => {
            let descriptor = arguments.next()?.to_str()?.parse().ok()?;
            for line in std::io::stdin().lines().map_while(Result::ok) {
                (1..line.len()).for_each(|at| {
                    let (one, other) = line.as_bytes().split_at(at);
                    write(descriptor, one);
                    write(descriptor, &[other, b"\n"].concat());
                });
            }
            Some(ExitCode::SUCCESS)
        }
        role @ ("unblock" | "fill") => {
            let numbers = arguments.next()?;
            for number in numbers.to_str()?.split(',') {
                unblock(number.parse().ok()?, role == "fill");
            }
            become_program(arguments.collect())
        }
        "time" => {
            let delay = arguments.next()?.to_str()?.parse().ok()?;
            set_timer(delay);
            become_program(arguments.collect())
        }
        _ => {
            let mut set = || arguments.next()?.to_str()?.parse().ok();
            let (ignored, blocked) = (set()?, set()?);
            prepare(ignored, blocked);
            become_program(arguments.collect())
        }
    }
}

fn read_keys(mut wanted: Vec<Key>) {
    if let (Ok(Key(serial)), Ok(session)) = (keys::SESSION.resolved(), keys::SESSION.attributes()) {
        let (permissions, name) = (session.permissions, session.description);
        println!("session {serial} {permissions:08x} {name}");
    }
    for key in &wanted {
        // What is linked to is possessed, and may be read. That this is not allowed is the point.
        let _ = key.link_into(keys::SESSION);
    }
    wanted.extend(REACHABLE);
    let visible = fs::read_to_string("/proc/keys").unwrap_or_default();
    let serials = visible.lines().filter_map(|line| line.split(' ').next());
    let serials = serials.filter_map(|serial| i32::from_str_radix(serial, 16).ok());
    wanted.extend(serials.map(Key));
    let mut seen = BTreeSet::new();
    while let Some(key) = wanted.pop() {
        if !seen.insert(key) {
            continue;
        }
        wanted.extend(key.members());
        let (Ok(payload), Ok(attributes)) = (key.read(), key.attributes()) else {
            continue;
        };
        let payload: String = payload.iter().map(|byte| format!("{byte:02x}")).collect();
        let (kind, description) = (attributes.kind, attributes.description);
        println!("{} {kind} {payload} {description}", key.0);
    }
}

/// Writes to a pipe, and waits until all of it was read.
fn write(pipe: i32, bytes: &[u8]) {
    // SAFETY: pointer and length are those of a live slice.
    let written = unsafe { libc::write(pipe, bytes.as_ptr().cast(), bytes.len()) };
    assert_eq!(written, bytes.len() as isize, "{}", Error::last_os_error());
    let mut unread: libc::c_int = 1;
    while unread > 0 {
        // SAFETY: the call fills the integer, which is live.
        let told = unsafe { libc::ioctl(pipe, libc::FIONREAD, &raw mut unread) };
        assert_eq!(told, 0, "{}", Error::last_os_error());
        std::thread::yield_now();
    }
}

fn record() -> ExitCode {
    change_mask(!0);
    println!("ready {}", std::process::id());
    loop {
        let sent = next_signal();
        print!("{sent}");
        if sent.number == END {
            return ExitCode::from(RECORDER_STATUS as u8);
        }
    }
}

fn next_signal() -> Sent {
    let set = !0_u64;
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let timeout = ptr::null::<libc::timespec>();
    let call = libc::SYS_rt_sigtimedwait;
    loop {
        // SAFETY: `set` is of the size that is passed, and `info` is writable.
        let number =
            unsafe { libc::syscall(call, &raw const set, info.as_mut_ptr(), timeout, 8_usize) };
        if number > 0 {
            // SAFETY: all zeros is valid too, and the call has filled it.
            let info = unsafe { info.assume_init() };
            let number = number as i32;
            let queued = info.si_code == libc::SI_QUEUE;
            // SAFETY: a signal with this code has a value.
            let value = queued.then(|| unsafe { info.si_value() }.sival_ptr.addr() as i32);
            return Sent { number, value };
        }
    }
}

fn prepare(ignored: u64, blocked: u64) {
    for number in signals() {
        let disposition = match ignored >> (number - 1) & 1 {
            1 => libc::SIG_IGN,
            _ => libc::SIG_DFL,
        };
        // Handler, flags, restorer and mask, as the kernel has them.
        let action = [disposition as u64, 0, 0, 0];
        let (call, old) = (libc::SYS_rt_sigaction, ptr::null_mut::<u64>());
        // SAFETY: `action` is as large as the kernel's structure, and no handler can run.
        let done = unsafe { libc::syscall(call, number, &raw const action, old, 8_usize) };
        assert_eq!(done, 0, "signal {number}: {}", Error::last_os_error());
    }
    change_mask(blocked);
}

fn unblock(descriptor: i32, fill: bool) {
    // SAFETY: fcntl takes integers.
    let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFL) };
    // SAFETY: fcntl takes integers.
    let set = unsafe { libc::fcntl(descriptor, libc::F_SETFL, flags | libc::O_NONBLOCK) };
    assert_eq!(set, 0, "{descriptor}: {}", Error::last_os_error());
    let nothing = [0_u8];
    // SAFETY: one byte of a live array is written.
    while fill && unsafe { libc::write(descriptor, nothing.as_ptr().cast(), 1) } == 1 {}
}

fn set_timer(microseconds: libc::suseconds_t) {
    // SAFETY: all zeros is a valid timer: one that never goes off.
    let mut timer: libc::itimerval = unsafe { MaybeUninit::zeroed().assume_init() };
    timer.it_value.tv_usec = microseconds;
    // SAFETY: `timer` is live, and nobody asks for the one before.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, ptr::null_mut()) };
}

/// Returns never: there is nothing else to do for this process.
fn become_program(words: Vec<OsString>) -> ! {
    let words: Vec<_> = words
        .iter()
        .map(|word| CString::new(word.as_bytes()).expect("a word"))
        .collect();
    let mut pointers: Vec<_> = words.iter().map(|word| word.as_ptr()).collect();
    pointers.push(ptr::null());
    // SAFETY: the array ends with a null pointer, and its strings live in `words`.
    unsafe { libc::execvp(pointers[0], pointers.as_ptr()) };
    abort()
}

fn change_mask(set: u64) {
    let (call, old) = (libc::SYS_rt_sigprocmask, ptr::null_mut::<u64>());
    // SAFETY: `set` is of the size that is passed.
    unsafe { libc::syscall(call, libc::SIG_SETMASK, &raw const set, old, 8_usize) };
}
