//! Starting a program as posix_spawn(3) does. The tests are one large process, and fork(2) copies its tables each
//! time, which takes longer than most programs run.

use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_short, c_uint};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::ptr;

use nix::libc;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{AccessFlags, Pid, access};

/// A program with its words and exactly the strings of its environment.
pub struct Image {
    /// The first one is the path of the program, or its name.
    pub words: Vec<CString>,
    pub environment: Vec<CString>,
    /// Where a name is looked up.
    pub path: PathBuf,
    pub directory: Option<CString>,
}

impl Image {
    /// Starts it as the leader of a new session, with the dispositions and the mask of signals that a program
    /// expects. `terminal` becomes the controlling one.
    pub fn spawn(&self, streams: &[OwnedFd; 3], terminal: Option<&CStr>) -> io::Result<Pid> {
        let program = self.program()?;
        let mut actions = Actions::new()?;
        if let Some(terminal) = terminal {
            // The first terminal that a session leader opens; where it is opened, standard input comes after it.
            actions.open(0, terminal)?;
        }
        for (number, stream) in (0..).zip(streams) {
            actions.duplicate(stream, number)?;
        }
        if let Some(directory) = &self.directory {
            actions.enter(directory)?;
        }
        let attributes = Attributes::of_a_new_session()?;
        let [words, environment] = [&self.words, &self.environment].map(|strings| {
            let pointers = strings.iter().map(|string| string.as_ptr().cast_mut());
            pointers
                .chain([ptr::null_mut()])
                .collect::<Vec<*mut c_char>>()
        });
        let mut pid = 0;
        // SAFETY: the path is a string, both arrays end with a null pointer and point to strings that live in `self`,
        // and actions and attributes were initialized and live until the end of this function.
        check(unsafe {
            libc::posix_spawn(
                &mut pid,
                program.as_ptr(),
                &raw const actions.0,
                &raw const attributes.0,
                words.as_ptr(),
                environment.as_ptr(),
            )
        })?;
        Ok(Pid::from_raw(pid))
    }

    /// The path of the program, as a shell would find it.
    fn program(&self) -> io::Result<CString> {
        let name = &self.words[0];
        if name.to_bytes().contains(&b'/') {
            return Ok(name.clone());
        }
        let directories = std::env::split_paths(&self.path);
        let mut files = directories.map(|it| it.join(OsStr::from_bytes(name.to_bytes())));
        let file = files.find(|it| it.is_file() && access(it, AccessFlags::X_OK).is_ok());
        let file = file.ok_or(io::ErrorKind::NotFound)?;
        Ok(CString::new(file.into_os_string().as_bytes())?)
    }
}

/// Withholds from all programs what we were started with beside the standard streams, such as the lock of a script or
/// the job server of make: they must find the descriptors free that are free for us.
pub fn withhold_inherited_descriptors() {
    let flags = libc::CLOSE_RANGE_CLOEXEC.cast_signed();
    // SAFETY: nothing is closed before execve(2). Where the kernel cannot do it, a test that counts descriptors fails
    // if there are any, and says which number it found.
    unsafe { libc::close_range(3, c_uint::MAX, flags) };
}

/// What the child does before it becomes the program.
struct Actions(libc::posix_spawn_file_actions_t);

impl Actions {
    fn new() -> io::Result<Self> {
        let mut actions = MaybeUninit::uninit();
        // SAFETY: it writes to what the pointer is to, which has room for it.
        check(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) })?;
        // SAFETY: it was initialized.
        Ok(Actions(unsafe { actions.assume_init() }))
    }

    fn open(&mut self, number: c_int, path: &CStr) -> io::Result<()> {
        // SAFETY: the actions are initialized, and the string is copied.
        check(unsafe {
            libc::posix_spawn_file_actions_addopen(
                &mut self.0,
                number,
                path.as_ptr(),
                libc::O_RDWR,
                0,
            )
        })
    }

    fn duplicate(&mut self, from: &OwnedFd, to: c_int) -> io::Result<()> {
        // SAFETY: the actions are initialized; the numbers have no meaning before the child.
        check(unsafe { libc::posix_spawn_file_actions_adddup2(&mut self.0, from.as_raw_fd(), to) })
    }

    fn enter(&mut self, directory: &CStr) -> io::Result<()> {
        // SAFETY: the actions are initialized, and the string is copied.
        check(unsafe {
            libc::posix_spawn_file_actions_addchdir_np(&mut self.0, directory.as_ptr())
        })
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: the actions are initialized, and nobody uses them any more.
        unsafe { libc::posix_spawn_file_actions_destroy(&mut self.0) };
    }
}

struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    /// A new session, no signal blocked, and none ignored because of us.
    fn of_a_new_session() -> io::Result<Self> {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: it writes to what the pointer is to, which has room for it.
        check(unsafe { libc::posix_spawnattr_init(attributes.as_mut_ptr()) })?;
        // SAFETY: it was initialized.
        let mut attributes = Attributes(unsafe { attributes.assume_init() });
        let flags = [
            c_int::from(libc::POSIX_SPAWN_SETSID),
            libc::POSIX_SPAWN_SETSIGMASK,
            libc::POSIX_SPAWN_SETSIGDEF,
        ];
        let flags = flags.into_iter().fold(0, |flags, flag| flags | flag);
        let (none, default) = (SigSet::empty(), default_signals());
        // SAFETY: the attributes are initialized.
        check(unsafe { libc::posix_spawnattr_setflags(&mut attributes.0, flags as c_short) })?;
        // SAFETY: the attributes are initialized, and the set is copied.
        check(unsafe { libc::posix_spawnattr_setsigmask(&mut attributes.0, none.as_ref()) })?;
        // SAFETY: as above.
        check(unsafe { libc::posix_spawnattr_setsigdefault(&mut attributes.0, &default) })?;
        Ok(attributes)
    }
}

/// SIGPIPE, which our own runtime ignores, and the two signals that the C library has for itself: posix_spawn(3) leaves
/// them ignored, and a program with threads would be seen to differ from one without.
fn default_signals() -> libc::sigset_t {
    const OF_THE_LIBRARY: u64 = 0b11 << 31;
    let mut set = SigSet::empty();
    set.add(Signal::SIGPIPE);
    let mut set = *set.as_ref();
    // SAFETY: a set is an array of words with a bit for each signal, and it is ours alone.
    unsafe { *(&raw mut set).cast::<u64>() |= OF_THE_LIBRARY };
    set
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: the attributes are initialized, and nobody uses them any more.
        unsafe { libc::posix_spawnattr_destroy(&mut self.0) };
    }
}

/// These functions return the number of an error.
fn check(error: c_int) -> io::Result<()> {
    match error {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}
