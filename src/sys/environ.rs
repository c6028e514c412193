//! The environment and the arguments that the process was started with, which hold keys until they are overwritten.

use std::ffi::{CStr, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::sys::locked::{Locked, NoMemory, wipe};
use crate::sys::start;

/// The environment that the process was started with, as the kernel laid it out. There is one value of this type at
/// most, because it owns these strings.
pub struct Environ {
    entries: Vec<*mut c_char>,
}

unsafe extern "C" {
    static mut environ: *mut *mut c_char;
}

/// Whether the strings have an owner. A child process has a copy of them, and of this.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

impl Environ {
    /// Takes the entries in their order.
    ///
    /// # Panics
    ///
    /// If they were taken before.
    pub fn take() -> Self {
        let was_taken = IS_TAKEN.swap(true, Ordering::Relaxed);
        assert!(!was_taken, "the environment has one owner");
        // SAFETY: reading the pointer itself; nothing in this program sets variables, so nothing is writing it.
        let mut next = unsafe { environ };
        let mut entries = Vec::new();
        while !next.is_null() {
            // SAFETY: `environ` points to an array of pointers that ends with a null pointer, not passed yet.
            let entry = unsafe { *next };
            if entry.is_null() {
                break;
            }
            entries.push(entry);
            next = next.wrapping_add(1);
        }
        Environ { entries }
    }

    /// The `NAME=value` strings in their order.
    pub fn entries(&self) -> impl Iterator<Item = &CStr> {
        // SAFETY: each entry is a string of the environment block, which lives as long as the process and which
        // only `extract` and `drop` change, when nothing refers to it any more.
        self.entries
            .iter()
            .map(|entry| unsafe { CStr::from_ptr(*entry) })
    }

    /// The value of a variable, where it is.
    pub fn value(&self, name: &str) -> Option<&OsStr> {
        let value = self.entries().find_map(|entry| value_of(entry, name))?;
        Some(OsStr::from_bytes(value))
    }

    /// The names of the variables in their order, as far as they are UTF-8.
    pub fn names(&self) -> Vec<&str> {
        self.entries().filter_map(name_of).collect()
    }

    /// The value of a variable, if it is UTF-8.
    pub fn text(&self, name: &str) -> Option<String> {
        self.value(name)?.to_str().map(str::to_owned)
    }

    /// Moves every entry of the given names into locked memory, each with its final NUL, and overwrites it in place.
    ///
    /// # Errors
    ///
    /// Those of [`Locked::for_key`].
    pub fn extract(&mut self, names: &[&str]) -> Result<Locked, NoMemory> {
        let is_named = |entry: &CStr| names.iter().any(|name| value_of(entry, name).is_some());
        let size = self
            .entries()
            .filter(|entry| is_named(entry))
            .map(|entry| entry.count_bytes() + 1)
            .sum();
        let mut extracted = Locked::for_key(size)?;
        self.entries.retain(|entry| {
            // SAFETY: as in `entries`; the reference ends before the string is overwritten below.
            let string = unsafe { CStr::from_ptr(*entry) };
            let named = is_named(string);
            if named {
                extracted.push(string.to_bytes_with_nul());
                // SAFETY: it is on our stack, nothing refers to it any more, and it leaves `entries`.
                unsafe { wipe_string(*entry) };
            }
            !named
        });
        Ok(extracted)
    }
}

impl Drop for Environ {
    /// Overwrites the whole environment in place: who needs it no more is not to keep it.
    fn drop(&mut self) {
        for entry in self.entries.drain(..) {
            // SAFETY: it is on our stack, and nothing can refer to it without `self`.
            unsafe { wipe_string(entry) };
        }
    }
}

/// The name in a `NAME=value` string. An environment can also contain strings without `=`, which have no name,
/// and names that are not UTF-8, which no secret has.
pub fn name_of(entry: &CStr) -> Option<&str> {
    let entry = entry.to_bytes();
    let end = entry.iter().position(|byte| *byte == b'=')?;
    std::str::from_utf8(&entry[..end]).ok()
}

/// The names in `NAME=value` strings.
pub fn names_of<'a>(entries: impl Iterator<Item = &'a CStr>) -> Vec<String> {
    entries.filter_map(name_of).map(str::to_owned).collect()
}

/// The value of an entry of the environment, if it has the given name.
pub fn value_of<'a>(entry: &'a CStr, name: &str) -> Option<&'a [u8]> {
    entry
        .to_bytes()
        .strip_prefix(name.as_bytes())?
        .strip_prefix(b"=")
}

/// Overwrites the process's arguments in place, all but the name it was started by.
pub fn wipe_arguments() {
    for argument in start::arguments() {
        // SAFETY: it is on our stack, and only copies of the arguments are ever referred to.
        unsafe { wipe_string(argument) };
    }
}

/// Overwrites a string of the argument or environment block.
///
/// # Safety
///
/// The kernel put it there, NUL-terminated, and there is no reference into it.
unsafe fn wipe_string(string: *mut c_char) {
    // SAFETY: the string is NUL-terminated, as the caller promises.
    let length = unsafe { libc::strlen(string) };
    // SAFETY: the range is that string without its NUL, writable as our whole stack is; no reference to it exists.
    wipe(unsafe { std::slice::from_raw_parts_mut(string.cast(), length) });
}
