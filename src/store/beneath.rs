//! Opening a file below a directory, step by step, so that nothing leads out of it: neither `..` nor a symbolic link, whoever
//! exchanges files meanwhile. It needs no openat2(2), which filters of containers forbid and old kernels do not have.

#![forbid(unsafe_code)]

use std::ffi::CString;
use std::fs::{File, FileType};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use libc::ELOOP;

use crate::sys;

/// How many symbolic links may stand on the way, as for the kernel (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// Opens the regular file at `path` below `root`. Symbolic links are followed as long as they stay below `root`.
///
/// # Errors
///
/// [`io::ErrorKind::CrossesDevices`] if the path leads out of the directory; what else stands there if it is not a
/// regular file; any error of openat(2).
pub fn open(root: &File, path: &Path) -> io::Result<File> {
    let mut walk = Walk {
        root,
        entered: Vec::new(),
        steps: Vec::new(),
        links: 0,
    };
    walk.append(path)?;
    loop {
        if let Some(file) = walk.step()? {
            return Ok(file);
        }
    }
}

/// A walk on its way.
struct Walk<'a> {
    root: &'a File,
    /// The directories from the root to where it stands. `..` goes back to the one before, which need not be asked for.
    entered: Vec<File>,
    /// The names that are left, the next one last.
    steps: Vec<CString>,
    links: usize,
}

impl Walk<'_> {
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

    /// Takes the next step; returns the file if it was the last one.
    fn step(&mut self) -> io::Result<Option<File>> {
        let Some(name) = self.steps.pop() else {
            return Err(io::ErrorKind::IsADirectory.into());
        };
        match name.as_bytes() {
            b"." => return Ok(None),
            b".." => {
                let left = self.entered.pop().map(|_| None);
                return left.ok_or(io::ErrorKind::CrossesDevices.into());
            }
            _ => (),
        }
        let directory = self.entered.last().unwrap_or(self.root);
        let found = sys::find_at(directory, &name)?;
        let kind = found.metadata()?.file_type();
        if kind.is_symlink() {
            self.count_link()?;
            self.append(&sys::target_of(&found)?)?;
        } else if kind.is_dir() {
            self.entered.push(found);
        } else if !self.steps.is_empty() {
            return Err(io::ErrorKind::NotADirectory.into());
        } else {
            // Only what is a regular file is opened: opening a device may do something to it.
            check_kind(kind)?;
            match sys::read_at(directory, &name) {
                // A symbolic link has just been put in its place: look again.
                Err(error) if error.raw_os_error() == Some(ELOOP) => {
                    self.count_link()?;
                    self.steps.push(name);
                }
                opened => {
                    let file = opened?;
                    check_kind(file.metadata()?.file_type())?;
                    return Ok(Some(file));
                }
            }
        }
        Ok(None)
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
