//! Memory for secrets: pages of our own that are locked, left out of core dumps, fenced by guard pages and wiped.
//!
//! The type has neither `Debug`, `Display` nor `Clone`, so that its bytes are shown and copied only on purpose.

use std::fmt;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use miniserde::Serialize;

/// A byte buffer of fixed capacity in locked pages of its own.
///
/// The pages lie between two inaccessible ones, are left out of core dumps, reach no child process, and are
/// overwritten before they go back to the kernel. Comparing two buffers takes a time that depends on their lengths
/// only.
pub struct Locked {
    pages: Pages,
    length: usize,
    is_locked: bool,
}

/// Why there is no memory for a secret.
#[derive(Debug)]
pub enum NoMemory {
    /// The pages cannot be locked, and the machine has swap space that they could be written to.
    Unlockable {
        /// What was to be locked, in bytes.
        needed: usize,
        /// What is locked already, in bytes.
        locked: usize,
        /// The limit of the process in bytes (`RLIMIT_MEMLOCK`, getrlimit(2)).
        limit: usize,
    },
    /// An error of mmap(2) or mprotect(2).
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
    /// If there is no memory, or it cannot be locked although the machine has swap space and [`allow_swap`] was not
    /// called.
    pub fn with_capacity(capacity: usize) -> Result<Self, NoMemory> {
        let pages = Pages::reserve(capacity)?;
        pages.make_accessible()?;
        let is_locked = pages.lock();
        if !is_locked && !STATE.swap_allowed.load(Ordering::Relaxed) && has_swap() {
            return Err(NoMemory::Unlockable {
                needed: pages.capacity,
                locked: STATE.locked.load(Ordering::Relaxed),
                limit: limit(),
            });
        }
        pages.advise(libc::MADV_WIPEONFORK);
        Ok(Locked::over(pages, is_locked))
    }

    /// Makes an empty buffer for a key of up to `capacity` bytes. Where the kernel has memfd_secret(2), the pages are
    /// taken out of its own view of memory too, so that not even root reads them through it.
    ///
    /// # Errors
    ///
    /// Those of [`Locked::with_capacity`].
    pub fn for_key(capacity: usize) -> Result<Self, NoMemory> {
        let pages = Pages::reserve(capacity)?;
        if pages.hide().is_err() {
            return Locked::with_capacity(capacity);
        }
        pages.advise(libc::MADV_DONTFORK);
        STATE.keys_hidden.store(true, Ordering::Relaxed);
        Ok(Locked::over(pages, true))
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

    fn over(pages: Pages, is_locked: bool) -> Self {
        if is_locked {
            let before = STATE.locked.fetch_add(pages.capacity, Ordering::Relaxed);
            let now = before + pages.capacity;
            STATE.peak.fetch_max(now, Ordering::Relaxed);
        } else {
            STATE.any_unlocked.store(true, Ordering::Relaxed);
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
        let length = self.length;
        &mut self.whole()[length..]
    }

    /// Counts `added` bytes of the spare capacity as content.
    pub fn grow(&mut self, added: usize) {
        assert!(added <= self.pages.capacity - self.length);
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

    /// Lets go of pages that a child process did not get from fork(2), and tells how long their content was. There is
    /// nothing to wipe then, and nothing to give back.
    pub fn lose(&mut self) -> usize {
        let nothing = Locked {
            pages: Pages {
                data: NonNull::dangling(),
                capacity: 0,
            },
            length: 0,
            is_locked: false,
        };
        let lost = std::mem::replace(self, nothing);
        let length = lost.length;
        std::mem::forget(lost);
        length
    }

    /// The content.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the first `length` bytes at `data` are initialised, readable and ours until drop.
        unsafe { std::slice::from_raw_parts(self.pages.data.as_ptr(), self.length) }
    }

    /// The content, to be changed in place.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let length = self.length;
        &mut self.whole()[..length]
    }

    fn whole(&mut self) -> &mut [u8] {
        // SAFETY: anonymous pages start as zeros, so all `capacity` bytes are initialised; `&mut self` makes them ours.
        unsafe { std::slice::from_raw_parts_mut(self.pages.data.as_ptr(), self.pages.capacity) }
    }
}

impl PartialEq for Locked {
    fn eq(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.bytes(), other.bytes());
        ours.len() == theirs.len() && {
            // SAFETY: both pointers are to live slices of the length that is passed.
            unsafe { memsec::memeq(ours.as_ptr(), theirs.as_ptr(), ours.len()) }
        }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        wipe(self.whole());
        if self.is_locked {
            let capacity = self.pages.capacity;
            STATE.locked.fetch_sub(capacity, Ordering::Relaxed);
        }
    }
}

// SAFETY: a `Locked` owns its pages alone; nothing about them is tied to a thread.
unsafe impl Send for Locked {}

// SAFETY: a shared `Locked` gives out shared slices only.
unsafe impl Sync for Locked {}

/// Addresses of our own: pages for a buffer, between two pages that cannot be accessed.
struct Pages {
    data: NonNull<u8>,
    capacity: usize,
}

impl Pages {
    /// Reserves addresses for `capacity` bytes; none of the pages can be accessed yet.
    fn reserve(capacity: usize) -> io::Result<Self> {
        let page = page_size();
        let capacity = capacity.max(1).next_multiple_of(page);
        let base = map_nothing(capacity + 2 * page)?;
        let data = base.cast::<u8>().wrapping_add(page);
        let data = NonNull::new(data).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Pages { data, capacity })
    }

    fn make_accessible(&self) -> io::Result<()> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the range is the middle of the reservation, to which there is no reference yet.
        match unsafe { libc::mprotect(self.data.as_ptr().cast(), self.capacity, access) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Locks the pages and leaves them out of core dumps.
    fn lock(&self) -> bool {
        // SAFETY: the range is mapped and accessible; the call changes nothing of its content.
        unsafe { memsec::mlock(self.data.as_ptr(), self.capacity) }
    }

    /// Puts pages of memfd_secret(2), which are always locked and never dumped, in the place of the reserved ones.
    fn hide(&self) -> io::Result<()> {
        let file = secret_file(self.capacity)?;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_FIXED;
        let (place, descriptor) = (self.data.as_ptr().cast(), file.as_raw_fd());
        // SAFETY: the range is the middle of the reservation, to which there is no reference, and the file is as large.
        let mapped = unsafe { libc::mmap(place, self.capacity, access, flags, descriptor, 0) };
        if mapped == libc::MAP_FAILED {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }

    fn advise(&self, advice: libc::c_int) {
        // SAFETY: the range is mapped, and the advices used are about children and dumps, not about its content.
        unsafe { libc::madvise(self.data.as_ptr().cast(), self.capacity, advice) };
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        if self.capacity == 0 {
            return;
        }
        let page = page_size();
        let base = self.data.as_ptr().wrapping_sub(page);
        // SAFETY: exactly the mapping made in `reserve`; no reference into it outlives `self`.
        unsafe { libc::munmap(base.cast(), self.capacity + 2 * page) };
    }
}

/// Maps `size` bytes that cannot be accessed, at an address of the kernel's choice.
fn map_nothing(size: usize) -> io::Result<*mut libc::c_void> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no memory of ours.
    let base = unsafe { libc::mmap(ptr::null_mut(), size, libc::PROT_NONE, flags, -1, 0) };
    if base == libc::MAP_FAILED {
        Err(io::Error::last_os_error())
    } else {
        Ok(base)
    }
}

/// A file of memfd_secret(2) with `size` bytes.
fn secret_file(size: usize) -> io::Result<File> {
    // SAFETY: the call takes flags only; those of open(2) that it knows are all but one invalid.
    let made = unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) };
    if made < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given us this descriptor, and nothing else owns it.
    let file = unsafe { File::from_raw_fd(made as RawFd) };
    file.set_len(size as u64)?;
    Ok(file)
}

/// What is known of the protection of all buffers.
struct State {
    swap_allowed: AtomicBool,
    /// The bytes that are locked now.
    locked: AtomicUsize,
    /// The most bytes that were locked at a time.
    peak: AtomicUsize,
    any_unlocked: AtomicBool,
    keys_hidden: AtomicBool,
    all_locked: AtomicBool,
}

static STATE: State = State {
    swap_allowed: AtomicBool::new(false),
    locked: AtomicUsize::new(0),
    peak: AtomicUsize::new(0),
    any_unlocked: AtomicBool::new(false),
    keys_hidden: AtomicBool::new(false),
    all_locked: AtomicBool::new(false),
};

/// Accepts from now on that pages which cannot be locked may be written to swap space.
pub fn allow_swap() {
    STATE.swap_allowed.store(true, Ordering::Relaxed);
}

/// Locks all other memory of the process too, page by page as it is used, where no limit can make a later thread or
/// buffer fail for it (mlockall(2)). What exists already is left out where nothing can be swapped out: to lock the
/// pages of the program takes longer than everything else here.
pub fn lock_everything() {
    if !is_limited() {
        let existing = if has_swap() { libc::MCL_CURRENT } else { 0 };
        let flags = existing | libc::MCL_FUTURE | libc::MCL_ONFAULT;
        // SAFETY: mlockall takes flags and changes nothing of the content of memory.
        let done = unsafe { libc::mlockall(flags) } == 0;
        STATE.all_locked.store(done, Ordering::Relaxed);
    }
}

/// Whether the limit on locked memory holds for this process. Whose capability lifts it is not told by the
/// capabilities alone (user_namespaces(7)), so it is tried with one page more than the limit.
fn is_limited() -> bool {
    let limit = limit();
    if limit == usize::MAX {
        return false;
    }
    let Some(Ok(base)) = limit.checked_add(page_size()).map(map_nothing) else {
        return true;
    };
    let size = limit + page_size();
    // SAFETY: the range is the mapping just made; it is not accessible, so no page of it is made.
    let refused = unsafe { libc::mlock2(base, size, libc::MLOCK_ONFAULT as libc::c_uint) } != 0;
    // SAFETY: exactly the mapping made above, to which there is no reference.
    unsafe { libc::munmap(base, size) };
    refused
}

/// The limit on locked memory in bytes; the largest number where there is none.
fn limit() -> usize {
    let mut limit = MaybeUninit::<libc::rlimit>::uninit();
    // SAFETY: `limit` is writable memory of exactly the type that getrlimit fills.
    let told = unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, limit.as_mut_ptr()) } == 0;
    if !told {
        return 0;
    }
    // SAFETY: getrlimit returned success, so it has filled all of `limit`.
    let limit = unsafe { limit.assume_init() };
    limit.rlim_cur.try_into().unwrap_or(usize::MAX)
}

/// How the buffers made so far are protected, and in words for the user.
#[derive(Serialize)]
pub struct Protection {
    /// Whether all of them are locked.
    pub locked: bool,
    /// The most bytes that were locked at a time.
    pub peak: usize,
    /// The limit of the process on locked memory in bytes; `None` where there is none.
    pub limit: Option<usize>,
    /// Whether the machine has swap space.
    pub swap: bool,
    /// Whether keys lie in memory of memfd_secret(2).
    pub keys_hidden: bool,
    /// Whether all other memory of the process is locked too.
    pub all_locked: bool,
}

impl Protection {
    /// As it is now.
    pub fn now() -> Self {
        let is = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        Protection {
            locked: !is(&STATE.any_unlocked),
            peak: STATE.peak.load(Ordering::Relaxed),
            limit: Some(limit()).filter(|limit| *limit != usize::MAX),
            swap: has_swap(),
            keys_hidden: is(&STATE.keys_hidden),
            all_locked: is(&STATE.all_locked),
        }
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.locked {
            write!(
                f,
                "secrets are in locked memory, {} bytes at most",
                self.peak
            )?;
        } else {
            let swap = if self.swap {
                "it may be swapped out (--allow-swap)"
            } else {
                "there is no swap space"
            };
            let limit = self.limit.unwrap_or(usize::MAX);
            write!(
                f,
                "memory for secrets is not locked (limit {limit} bytes); {swap}"
            )?;
        }
        if self.keys_hidden {
            f.write_str("; keys are in memory of memfd_secret(2)")?;
        }
        if self.all_locked {
            f.write_str("; all other memory is locked too")?;
        }
        Ok(())
    }
}

/// Overwrites `bytes` with zeros in a way that the compiler does not leave out.
pub fn wipe(bytes: &mut [u8]) {
    // SAFETY: pointer and length are those of a live exclusive slice.
    unsafe { memsec::memzero(bytes.as_mut_ptr(), bytes.len()) };
}

/// The part of the stack below the caller that is cleared, in bytes: several times what anything here uses.
const DEPTH: usize = 64 * 1024;

/// Overwrites what functions that have returned left on the stack.
#[inline(never)]
pub fn clear_stack() {
    wipe(&mut [0; DEPTH]);
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

    /// The flags of the mapping that a buffer lies in, as proc(5) has them.
    fn flags(buffer: &Locked) -> Vec<String> {
        let address = format!("{:x}-", buffer.pages.data.as_ptr().addr());
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

    #[test]
    fn buffers_are_equal_when_their_contents_are() {
        let buffer = Locked::copy_of(b"content").unwrap();
        assert!(buffer == Locked::copy_of(b"content").unwrap());
        assert!(buffer != Locked::copy_of(b"Content").unwrap());
        assert!(buffer != Locked::copy_of(b"content and more").unwrap());
        assert!(buffer != Locked::copy_of(b"").unwrap());
    }
}
