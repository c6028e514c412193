//! Memory for secrets: pages of our own that are locked, left out of core dumps, fenced by guard pages and wiped.
//!
//! The type has neither `Debug`, `Display` nor `Clone`, so that its bytes are shown and copied only on purpose.

use std::io;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

/// A byte buffer of fixed capacity in locked pages of its own.
///
/// The pages lie between two inaccessible ones, are excluded from core dumps (`MADV_DONTDUMP`), and are overwritten
/// before they go back to the kernel.
pub struct Locked {
    data: NonNull<u8>,
    length: usize,
    capacity: usize,
    page: usize,
}

impl Locked {
    /// Makes an empty buffer for `capacity` bytes, rounded up to whole pages.
    ///
    /// # Errors
    ///
    /// `ENOMEM` or `EPERM` of mlock(2) when the pages cannot be locked and the machine has swap space that they
    /// could be written to; any error of mmap(2).
    pub fn with_capacity(capacity: usize) -> io::Result<Self> {
        let page = page_size();
        let capacity = capacity.max(1).next_multiple_of(page);
        let mapped = capacity + 2 * page;
        // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no memory of ours.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                mapped,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let data = base.cast::<u8>().wrapping_add(page);
        let data = NonNull::new(data).ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let buffer = Locked {
            data,
            length: 0,
            capacity,
            page,
        };
        // SAFETY: the range is the middle of the mapping made above, which nothing else refers to.
        let protected = unsafe {
            libc::mprotect(
                data.as_ptr().cast(),
                capacity,
                libc::PROT_READ | libc::PROT_WRITE,
            )
        };
        if protected != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the range is the readable and writable middle of the mapping made above.
        let locked = unsafe { memsec::mlock(data.as_ptr(), capacity) };
        let error = io::Error::last_os_error();
        if !locked && has_swap() {
            return Err(error);
        }
        Ok(buffer)
    }

    /// Makes a buffer that holds a copy of `bytes`.
    ///
    /// # Errors
    ///
    /// Those of [`Locked::with_capacity`].
    pub fn copy_of(bytes: &[u8]) -> io::Result<Self> {
        let mut buffer = Self::with_capacity(bytes.len())?;
        buffer.push(bytes);
        Ok(buffer)
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
        let length = self.length;
        &mut self.whole()[length..]
    }

    /// Counts `added` bytes of the spare capacity as content.
    pub fn grow(&mut self, added: usize) {
        assert!(added <= self.capacity - self.length);
        self.length += added;
    }

    /// Keeps the range of the content and moves it to the front; the rest is wiped.
    pub fn keep(&mut self, range: std::ops::Range<usize>) {
        let (length, kept) = (self.length, range.len());
        let whole = self.whole();
        whole[..length].copy_within(range, 0);
        wipe(&mut whole[kept..length]);
        self.length = kept;
    }

    /// The content.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the first `length` bytes at `data` are initialised, readable and ours until drop.
        unsafe { std::slice::from_raw_parts(self.data.as_ptr(), self.length) }
    }

    /// The content, to be changed in place.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let length = self.length;
        &mut self.whole()[..length]
    }

    fn whole(&mut self) -> &mut [u8] {
        // SAFETY: anonymous pages start as zeros, so all `capacity` bytes are initialised; `&mut self` makes them ours.
        unsafe { std::slice::from_raw_parts_mut(self.data.as_ptr(), self.capacity) }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        let (base, mapped) = (
            self.data.as_ptr().wrapping_sub(self.page),
            self.capacity + 2 * self.page,
        );
        wipe(self.whole());
        // SAFETY: exactly the mapping made in `with_capacity`; no reference into it outlives `self`.
        unsafe { libc::munmap(base.cast(), mapped) };
    }
}

// SAFETY: a `Locked` owns its pages alone; nothing about them is tied to a thread.
unsafe impl Send for Locked {}

// SAFETY: a shared `Locked` gives out shared slices only.
unsafe impl Sync for Locked {}

/// Overwrites `bytes` with zeros in a way that the compiler does not leave out.
pub fn wipe(bytes: &mut [u8]) {
    // SAFETY: pointer and length are those of a live exclusive slice.
    unsafe { memsec::memzero(bytes.as_mut_ptr(), bytes.len()) };
}

/// The size of a page in bytes.
pub fn page_size() -> usize {
    // SAFETY: sysconf only reads a constant of the system.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096)
}

/// Whether the machine has any swap space; where that cannot be told, it is taken to have some.
fn has_swap() -> bool {
    let mut info = MaybeUninit::uninit();
    // SAFETY: `info` is writable memory of exactly the type that sysinfo fills.
    let told = unsafe { libc::sysinfo(info.as_mut_ptr()) } == 0;
    // SAFETY: sysinfo returned success, so it has filled all of `info`.
    !told || unsafe { info.assume_init() }.totalswap > 0
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

    #[test]
    fn the_pages_are_locked_and_not_dumped() {
        let buffer = Locked::copy_of(b"x").unwrap();
        let address = format!("{:x}-", buffer.data.as_ptr().addr());
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let flags = maps
            .split_once(&address)
            .and_then(|(_, rest)| rest.split_once("VmFlags:"))
            .unwrap()
            .1;
        let flags: Vec<_> = flags.lines().next().unwrap().split(' ').collect();
        assert!(flags.contains(&"lo") && flags.contains(&"dd"), "{flags:?}");
    }
}
