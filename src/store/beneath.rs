//! Opening a file below a directory, step by step, so that nothing leads out of it: neither `..` nor a symbolic link, whoever
//! exchanges files meanwhile. It needs no openat2(2), which filters of containers forbid and old kernels do not have.

#![forbid(unsafe_code)]

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use libc::{EINVAL, ELOOP, ENOTDIR};
use rustix::fs::FileType;

use crate::sys;

/// How many symbolic links may stand on the way, as for the kernel (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// A directory, and those between the root and it: `..` goes back to the one before, which need not be asked for.
#[derive(Clone)]
pub struct Below {
    /// The root first. There is always one.
    entered: Vec<Arc<File>>,
}

/// A regular file that is open for reading.
pub struct Opened {
    pub file: File,
    /// In bytes, when it was opened.
    pub size: u64,
}

impl Below {
    /// The root itself.
    pub fn root(directory: File) -> Self {
        Below {
            entered: vec![Arc::new(directory)],
        }
    }

    /// The directory itself.
    pub fn directory(&self) -> &File {
        self.entered.last().expect("there is always a root")
    }

    /// Goes on to a directory. Symbolic links are followed as long as they stay below the root.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::CrossesDevices`] if the path leads out of the root; any error of openat(2).
    pub fn enter(&self, path: &Path) -> io::Result<Self> {
        let mut walk = Walk::new(self, path)?;
        while let Some(name) = walk.steps.pop() {
            walk.enter(&name)?;
        }
        Ok(walk.place)
    }

    /// Opens a regular file. Symbolic links are followed as for [`Below::enter`].
    ///
    /// # Errors
    ///
    /// Those of [`Below::enter`]; what else stands there if it is not a regular file.
    pub fn open(&self, path: &Path) -> io::Result<Opened> {
        let mut walk = Walk::new(self, path)?;
        loop {
            let name = walk.steps.pop().ok_or(io::ErrorKind::IsADirectory)?;
            if !walk.steps.is_empty() {
                walk.enter(&name)?;
            } else if let Some(opened) = walk.open(name)? {
                return Ok(opened);
            }
        }
    }
}

/// A walk on its way.
struct Walk {
    /// Where it stands.
    place: Below,
    /// The names that are left, the next one last.
    steps: Vec<CString>,
    links: usize,
}

impl Walk {
    fn new(start: &Below, path: &Path) -> io::Result<Self> {
        let mut walk = Walk {
            place: start.clone(),
            steps: Vec::new(),
            links: 0,
        };
        walk.append(path)?;
        Ok(walk)
    }

    /// Puts the names of a path in front of those that are left.
    fn append(&mut self, path: &Path) -> io::Result<()> {
        let path = path.as_os_str().as_bytes();
        if path.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        if path.starts_with(b"/") {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        for name in path.split(|byte| *byte == b'/').rev() {
            // A slash at the end asks for a directory, as a dot does.
            let name = if name.is_empty() { b"." } else { name };
            self.steps.push(CString::new(name)?);
        }
        Ok(())
    }

    /// Goes on to the directory of a name, or to where a symbolic link of that name leads.
    fn enter(&mut self, name: &CStr) -> io::Result<()> {
        match name.to_bytes() {
            b"." => return Ok(()),
            b".." if self.place.entered.len() == 1 => {
                return Err(io::ErrorKind::CrossesDevices.into());
            }
            b".." => {
                self.place.entered.pop();
                return Ok(());
            }
            _ => (),
        }
        match sys::enter_at(self.place.directory(), name) {
            Err(error) if error.raw_os_error() == Some(ENOTDIR) => self.follow(name),
            entered => {
                self.place.entered.push(Arc::new(entered?));
                Ok(())
            }
        }
    }

    /// Opens the last name; nothing if the walk goes on from there.
    fn open(&mut self, name: CString) -> io::Result<Option<Opened>> {
        if matches!(name.as_bytes(), b"." | b"..") {
            return self.enter(&name).map(|()| None);
        }
        let directory = self.place.directory();
        let kind = sys::kind_at(directory, &name)?;
        if kind.is_symlink() {
            return self.follow(&name).map(|()| None);
        }
        // Only what is a regular file is opened: opening a device may do something to it.
        check_kind(kind)?;
        match sys::read_at(directory, &name) {
            // A symbolic link has just been put in its place: look again.
            Err(error) if error.raw_os_error() == Some(ELOOP) => {
                self.count_link()?;
                self.steps.push(name);
                Ok(None)
            }
            opened => {
                let file = opened?;
                let metadata = file.metadata()?;
                check_kind(FileType::from_raw_mode(metadata.mode()))?;
                let size = metadata.len();
                Ok(Some(Opened { file, size }))
            }
        }
    }

    /// Puts the target of a symbolic link in front of the names that are left.
    fn follow(&mut self, link: &CStr) -> io::Result<()> {
        self.count_link()?;
        let target = sys::target_at(self.place.directory(), link);
        let target = target.map_err(|error| match error.raw_os_error() {
            Some(EINVAL) => io::ErrorKind::NotADirectory.into(),
            _ => error,
        });
        self.append(&target?)
    }

    fn count_link(&mut self) -> io::Result<()> {
        self.links += 1;
        match self.links {
            0..=MAX_LINKS => Ok(()),
            _ => Err(io::Error::from_raw_os_error(ELOOP)),
        }
    }
}

/// Refuses what is not a regular file, by its name.
fn check_kind(kind: FileType) -> io::Result<()> {
    let name = match kind {
        kind if kind.is_file() => return Ok(()),
        kind if kind.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        kind if kind.is_fifo() => "a named pipe",
        kind if kind.is_socket() => "a socket",
        _ => "a device",
    };
    Err(io::Error::other(format!("{name}, not a regular file")))
}
