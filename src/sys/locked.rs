//! Memory for secrets: pages of our own that are locked, left out of core dumps, fenced by guard pages and wiped.
//!
//! The type has neither `Debug`, `Display` nor `Clone`, so that its bytes are shown and copied only on purpose.

use std::io;

use crate::sys::errno::plain;
use crate::sys::pages::{self, FencedPages};
use crate::sys::protection::{self, limit, may_be_unlocked};

pub use crate::sys::protection::{Protection, allow_swap, lock_everything};

/// A byte buffer of fixed capacity in locked pages of its own.
///
/// The pages lie between two inaccessible ones, are left out of core dumps, reach no child process, and are
/// overwritten before they go back to the kernel. In a child process only the length is left of it.
pub struct Locked {
    pages: FencedPages,
    length: usize,
    is_locked: bool,
}

/// Why there is no memory for a secret.
#[derive(Debug, thiserror::Error)]
pub enum NoMemory {
    /// The pages cannot be locked, and the machine has swap space that they could be written to.
    #[error(
        "cannot lock {needed} bytes of memory for secrets ({locked} are locked, the limit is {limit}), \
         and this machine has swap space"
    )]
    Unlockable {
        /// What was to be locked, in bytes.
        needed: usize,
        /// What is locked already, in bytes.
        locked: usize,
        /// The limit of the process in bytes (`RLIMIT_MEMLOCK`, getrlimit(2)).
        limit: usize,
    },
    /// An error of mmap(2) or mprotect(2).
    #[error("cannot allocate memory for secrets: {}", plain(.0))]
    Unmappable(io::Error),
}

impl From<io::Error> for NoMemory {
    fn from(error: io::Error) -> Self {
        NoMemory::Unmappable(error)
    }
}

impl Locked {
    /// Makes an empty buffer for `capacity` bytes, rounded up to whole pages.
    ///
    /// # Errors
    ///
    /// If there is no memory, or it cannot be locked although the machine has swap space and nobody has accepted that.
    pub fn with_capacity(capacity: usize) -> Result<Self, NoMemory> {
        let pages = FencedPages::with_capacity(capacity)?;
        let is_locked = pages.lock().is_ok();
        if !is_locked && !may_be_unlocked() {
            return Err(NoMemory::Unlockable {
                needed: pages.size(),
                locked: protection::locked(),
                limit: limit().unwrap_or(usize::MAX),
            });
        }
        Ok(Locked::over(pages, is_locked))
    }

    /// Makes an empty buffer for a key of up to `capacity` bytes. Where there is memfd_secret(2), the pages are taken out
    /// of the kernel's own view of memory too, so that not even root reads them through it.
    ///
    /// # Errors
    ///
    /// Those of [`Locked::with_capacity`].
    pub fn for_key(capacity: usize) -> Result<Self, NoMemory> {
        match FencedPages::hidden(capacity) {
            Ok(pages) => {
                protection::note_hidden();
                Ok(Locked::over(pages, true))
            }
            // An old kernel, a filter, the limit on locked memory: other pages are as well locked, or say why not.
            Err(_) => Locked::with_capacity(capacity),
        }
    }

    /// Makes a buffer that holds a copy of `bytes`.
    ///
    /// # Errors
    ///
    /// Those of [`Locked::with_capacity`].
    pub fn copy_of(bytes: &[u8]) -> Result<Self, NoMemory> {
        let mut buffer = Self::with_capacity(bytes.len())?;
        buffer.push(bytes);
        Ok(buffer)
    }

    fn over(pages: FencedPages, is_locked: bool) -> Self {
        if is_locked {
            protection::note_locked(pages.size());
        } else {
            protection::note_unlocked();
        }
        Locked {
            pages,
            length: 0,
            is_locked,
        }
    }

    /// Appends `bytes`.
    ///
    /// # Panics
    ///
    /// If the capacity does not hold them: the caller has counted before.
    pub fn push(&mut self, bytes: &[u8]) {
        self.spare()[..bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    /// The part of the capacity behind the content, to be filled before [`Locked::grow`]; zero or former content.
    pub fn spare(&mut self) -> &mut [u8] {
        &mut self.pages.bytes_mut()[self.length..]
    }

    /// Counts `added` bytes of the spare capacity as content.
    pub fn grow(&mut self, added: usize) {
        assert!(added <= self.pages.size() - self.length);
        self.length += added;
    }

    /// Keeps the range of the content and moves it to the front; the rest is wiped.
    pub fn keep(&mut self, range: std::ops::Range<usize>) {
        let (length, kept) = (self.length, range.len());
        let whole = self.pages.bytes_mut();
        whole[..length].copy_within(range, 0);
        wipe(&mut whole[kept..length]);
        self.length = kept;
    }

    /// The length of the content in bytes, which a child process knows too.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The content.
    ///
    /// # Panics
    ///
    /// In a child of the process that made the buffer.
    pub fn bytes(&self) -> &[u8] {
        &self.pages.bytes()[..self.length]
    }

    /// The content, to be changed in place.
    ///
    /// # Panics
    ///
    /// As above.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.pages.bytes_mut()[..self.length]
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        if !self.pages.are_ours() {
            return;
        }
        wipe(self.pages.bytes_mut());
        if self.is_locked {
            protection::note_released(self.pages.size());
        }
    }
}

/// In a child process: what memory for secrets there is belongs to the parent.
pub(super) fn leave_to_parent() {
    pages::leave_to_parent();
    protection::note_forked();
}

/// Overwrites `bytes` with zeros in a way that the compiler does not leave out.
pub fn wipe(bytes: &mut [u8]) {
    // SAFETY: pointer and length are those of a live exclusive slice.
    unsafe { memsec::memzero(bytes.as_mut_ptr(), bytes.len()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_is_what_was_pushed() {
        let mut buffer = Locked::with_capacity(5000).unwrap();
        buffer.push(&[7; 4999]);
        buffer.push(b"x");
        assert_eq!((buffer.bytes().len(), buffer.bytes()[4999]), (5000, b'x'));
        buffer.keep(4998..5000);
        assert_eq!(buffer.bytes(), [7, b'x']);
        assert!(buffer.spare().iter().all(|byte| *byte == 0));
    }

    /// The flags of the mapping that a buffer lies in, as proc(5) has them.
    fn flags(buffer: &Locked) -> Vec<String> {
        let address = format!("{:x}-", buffer.pages.bytes().as_ptr().addr());
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let (_, mapping) = maps.split_once(&address).unwrap();
        let (_, flags) = mapping.split_once("VmFlags:").unwrap();
        let flags = flags.lines().next().unwrap().split_whitespace();
        flags.map(str::to_owned).collect()
    }

    #[test]
    fn the_pages_are_locked_and_neither_dumped_nor_inherited() {
        let buffer = Locked::copy_of(b"x").unwrap();
        let flags = flags(&buffer);
        for flag in ["lo", "dd", "wf"] {
            assert!(
                flags.iter().any(|known| known == flag),
                "{flag} in {flags:?}"
            );
        }
    }

    #[test]
    fn the_pages_of_a_key_are_as_well_protected() {
        let mut buffer = Locked::for_key(100).unwrap();
        buffer.push(b"key");
        assert_eq!(buffer.bytes(), b"key");
        let flags = flags(&buffer);
        let has = |flag: &str| flags.iter().any(|known| known == flag);
        assert!(has("lo") && has("dd"), "{flags:?}");
        assert!(has("dc") || has("wf"), "{flags:?}");
    }
}
