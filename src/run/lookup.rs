//! Which file the command is, without executing it: what execvp(3) and execve(2) would find, and why they would fail.

#![forbid(unsafe_code)]

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use libc::{EACCES, ELOOP, ENODEV, ENOENT, ENOEXEC, ENOTDIR, ESTALE, ETIMEDOUT};

use crate::sys;

/// Where execvp(3) looks if there is no `PATH`.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// The shell that it has read a file which the kernel cannot execute.
const SHELL: &str = "/bin/sh";

/// The longest place in `PATH` in bytes; it takes a longer one for an empty one, unless it is the last.
const MAX_PLACE: usize = 4095;

/// How much of a file in bytes the kernel looks at to tell what it is.
const HEAD: u64 = 256;

/// How many interpreters may stand behind one another.
const MAX_INTERPRETERS: u32 = 5;

/// The machines of ELF whose programs the kernel executes here without more ado.
const MACHINES: &[u64] = match () {
    () if cfg!(target_arch = "x86_64") => &[62, 3],
    () if cfg!(target_arch = "aarch64") => &[183, 40],
    () => &[],
};

/// What would be executed.
pub struct Found {
    /// The file.
    pub file: PathBuf,
    /// Whether a shell would read it.
    pub by_shell: bool,
}

/// Finds the file that `name` stands for with this `PATH`.
///
/// # Errors
///
/// The one that the attempt to execute it would end with.
pub fn find(name: &CStr, path: Option<&OsStr>) -> io::Result<Found> {
    let name = OsStr::from_bytes(name.to_bytes());
    if name.is_empty() {
        return Err(error(ENOENT));
    }
    if name.as_bytes().contains(&b'/') {
        return executed(name.into());
    }
    let path = path.map_or(DEFAULT_PATH, OsStrExt::as_bytes);
    let mut places = path.split(|byte| *byte == b':').peekable();
    let (mut last, mut denied) = (ENOENT, false);
    while let Some(place) = places.next() {
        let place = match place.len() > MAX_PLACE {
            true if places.peek().is_none() => break,
            true => Path::new(""),
            false => Path::new(OsStr::from_bytes(place)),
        };
        let outcome = executed(place.join(name));
        match outcome.as_ref().err().and_then(io::Error::raw_os_error) {
            Some(EACCES) => denied = true,
            Some(code @ (ENOENT | ESTALE | ENOTDIR | ENODEV | ETIMEDOUT)) => last = code,
            _ => return outcome,
        }
    }
    Err(error(if denied { EACCES } else { last }))
}

fn executed(file: PathBuf) -> io::Result<Found> {
    let (tried, by_shell) = match check(&file, 0) {
        Err(error) if error.raw_os_error() == Some(ENOEXEC) => (check(Path::new(SHELL), 0), true),
        tried => (tried, false),
    };
    tried.map(|()| Found { file, by_shell })
}

/// Checks what execve(2) checks of a file that is the interpreter behind so many others.
fn check(file: &Path, depth: u32) -> io::Result<()> {
    check_permission(file)?;
    // Who may execute a file need not be allowed to read it; then what is in it cannot be told.
    let Ok(opened) = File::open(file) else {
        return Ok(());
    };
    let mut head = Vec::new();
    (&opened).take(HEAD).read_to_end(&mut head)?;
    if let Some(line) = head.strip_prefix(b"#!") {
        let interpreter = interpreter(line).ok_or_else(|| error(ENOEXEC))?;
        return match depth {
            MAX_INTERPRETERS => Err(error(ELOOP)),
            _ => check(interpreter, depth + 1),
        };
    }
    if !head.starts_with(b"\x7fELF") {
        return Err(error(ENOEXEC));
    }
    match loader(&opened, &head) {
        Some(Some(loader)) => check_permission(&loader),
        Some(None) => Ok(()),
        None => Err(error(ENOEXEC)),
    }
}

fn check_permission(file: &Path) -> io::Result<()> {
    sys::check_executable(file)?;
    match file.metadata()?.is_file() {
        true => Ok(()),
        false => Err(error(EACCES)),
    }
}

/// The interpreter that the first line of a script names behind its `#!`.
fn interpreter(head: &[u8]) -> Option<&Path> {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let line = head.split(|byte| *byte == b'\n').next()?;
    let start = line.iter().position(|byte| !is_blank(byte))?;
    let name = &line[start..];
    let end = name.iter().position(|byte| is_blank(byte) || *byte == 0);
    let is_cut_off = end.is_none() && head.len() as u64 == HEAD - 2 && line.len() == head.len();
    let name = &name[..end.unwrap_or(name.len())];
    (!is_cut_off).then(|| Path::new(OsStr::from_bytes(name)))
}

/// The loader that a program of ELF asks for, if it asks for one (elf(5)); `None` if it is no program. One for another
/// machine may be executed by whoever is registered for it.
fn loader(file: &File, head: &[u8]) -> Option<Option<PathBuf>> {
    let is_wide = head.get(4)? == &2;
    let (types, machine) = (number(head, 16, 2)?, number(head, 18, 2)?);
    if !matches!(types, 2 | 3) {
        return None;
    }
    if !MACHINES.contains(&machine) {
        return Some(None);
    }
    // Where the table of segments stands, how many there are, and in each its offset, size, and length.
    let (table, count, offset, size, length) = match is_wide {
        true => (
            number(head, 32, 8)?,
            number(head, 56, 2)?,
            (8, 8),
            (32, 8),
            56,
        ),
        false => (
            number(head, 28, 4)?,
            number(head, 44, 2)?,
            (4, 4),
            (16, 4),
            32,
        ),
    };
    for index in 0..count {
        let mut segment = vec![0; length];
        let at = table.checked_add(index * length as u64)?;
        file.read_exact_at(&mut segment, at).ok()?;
        const INTERPRETER: u64 = 3;
        if number(&segment, 0, 4)? == INTERPRETER {
            let size = number(&segment, size.0, size.1).filter(|size| (2..=4096).contains(size))?;
            let mut name = vec![0; size as usize];
            let at = number(&segment, offset.0, offset.1)?;
            file.read_exact_at(&mut name, at).ok()?;
            let name = CStr::from_bytes_until_nul(&name).ok()?;
            return Some(Some(OsStr::from_bytes(name.to_bytes()).into()));
        }
    }
    Some(None)
}

/// A number of so many bytes as both machines have it.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    let mut number = [0; 8];
    number[..length].copy_from_slice(bytes.get(at..at + length)?);
    Some(u64::from_le_bytes(number))
}

fn error(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}
