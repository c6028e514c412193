//! Pages of memory, mapped and unmapped as one, and what the kernel is asked to do with them.

use std::fs::File;
use std::io;
use std::os::fd::{FromRawFd, RawFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use rustix::mm::{Advice, MapFlags, MlockFlags, MprotectFlags, ProtFlags};
use rustix::thread::SecureComputingMode;

/// The size of a page in bytes.
pub fn page_size() -> usize {
    rustix::param::page_size()
}

/// How many forks lie between this process and the first one.
static GENERATION: AtomicU32 = AtomicU32::new(0);

fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// In a child process: the mappings that there are belong to the parent. Some of them are missing here, and what lies at
/// their addresses later is something else.
pub(super) fn leave_to_parent() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// Pages that are mapped by this process and by nobody else. Dropping unmaps just these.
pub(super) struct Mapping {
    start: NonNull<u8>,
    size: usize,
    generation: u32,
}

impl Mapping {
    /// Maps pages for `size` bytes that cannot be accessed, at an address of the kernel's choice.
    pub fn inaccessible(size: usize) -> io::Result<Self> {
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no memory of ours.
        let start = unsafe {
            rustix::mm::mmap_anonymous(ptr::null_mut(), size, ProtFlags::empty(), flags)
        }?;
        Mapping::at(start.cast(), size)
    }

    /// Maps a file for reading and writing to where nothing is mapped.
    fn of_file(file: &File, start: *mut u8, size: usize) -> io::Result<Self> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // Without this flag the address is a proposal, and MAP_FIXED would replace what is there.
        let flags = MapFlags::SHARED | MapFlags::FIXED_NOREPLACE;
        // SAFETY: the kernel refuses the address if anything is mapped there, so no memory of ours is touched.
        let mapped = unsafe { rustix::mm::mmap(start.cast(), size, access, flags, file, 0) }?;
        Mapping::at(mapped.cast(), size)
    }

    fn at(start: *mut u8, size: usize) -> io::Result<Self> {
        let start = NonNull::new(start).ok_or(io::ErrorKind::OutOfMemory)?;
        let generation = generation();
        Ok(Mapping {
            start,
            size,
            generation,
        })
    }

    /// Takes it apart: what lies before and behind the `size` bytes in the middle, and these.
    fn around(self, size: usize) -> [Self; 3] {
        let whole = std::mem::ManuallyDrop::new(self);
        let side = (whole.size - size) / 2;
        let part = |offset: usize, size| {
            // SAFETY: all three offsets lie within the mapping.
            let start = unsafe { whole.start.add(offset) };
            Mapping {
                start,
                size,
                ..*whole
            }
        };
        [part(0, side), part(side, size), part(side + size, side)]
    }

    /// Lets the pages be read and written.
    fn make_accessible(&self) -> io::Result<()> {
        let access = MprotectFlags::READ | MprotectFlags::WRITE;
        // SAFETY: the range is this mapping, to which nobody has a reference before it is accessible.
        Ok(unsafe { rustix::mm::mprotect(self.start.as_ptr().cast(), self.size, access) }?)
    }

    /// Locks the pages.
    fn lock(&self) -> io::Result<()> {
        // SAFETY: the range is this mapping; the call changes nothing of its content.
        Ok(unsafe { rustix::mm::mlock(self.start.as_ptr().cast(), self.size) }?)
    }

    /// Locks each of the pages as soon as there is one.
    pub fn lock_on_fault(&self) -> io::Result<()> {
        let flags = MlockFlags::ONFAULT;
        // SAFETY: as above.
        Ok(unsafe { rustix::mm::mlock_with(self.start.as_ptr().cast(), self.size, flags) }?)
    }

    fn advise(&self, advice: Advice) -> io::Result<()> {
        // SAFETY: the range is this mapping, and the advices used are about children and dumps, not about its content.
        Ok(unsafe { rustix::mm::madvise(self.start.as_ptr().cast(), self.size, advice) }?)
    }

    fn is_ours(&self) -> bool {
        self.generation == generation()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.is_ours() {
            // SAFETY: just the pages that were mapped for this value, to which no reference outlives it. That of a
            // whole mapping cannot fail; if that of a part does, its pages stay for as long as the process.
            let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.size) };
        }
    }
}

// SAFETY: a mapping owns its pages alone; nothing about them is tied to a thread.
unsafe impl Send for Mapping {}

// SAFETY: a shared mapping gives out shared slices only.
unsafe impl Sync for Mapping {}

/// Pages that can be read and written, between two that cannot.
pub(super) struct FencedPages {
    pages: Mapping,
    _fences: [Mapping; 2],
}

impl FencedPages {
    /// Makes some for `size` bytes: they are left out of core dumps, and a child process finds zeros in them.
    pub fn with_capacity(size: usize) -> io::Result<Self> {
        let [before, pages, behind] = FencedPages::reserve(size)?;
        pages.make_accessible()?;
        pages.advise(Advice::LinuxDontDump)?;
        pages.advise(Advice::LinuxWipeOnFork)?;
        Ok(FencedPages {
            pages,
            _fences: [before, behind],
        })
    }

    /// The same of memfd_secret(2): they are always locked and never dumped, the kernel takes them out of its own view of
    /// memory, and a child process does not have them.
    pub fn hidden(size: usize) -> io::Result<Self> {
        let [before, pages, behind] = FencedPages::reserve(size)?;
        let (start, size) = (pages.start.as_ptr(), pages.size);
        let file = secret_file(size)?;
        // Another thread may take the place meanwhile: then the mapping fails, and what is there stays.
        drop(pages);
        let pages = Mapping::of_file(&file, start, size)?;
        pages.advise(Advice::LinuxDontFork)?;
        Ok(FencedPages {
            pages,
            _fences: [before, behind],
        })
    }

    fn reserve(size: usize) -> io::Result<[Mapping; 3]> {
        let page = page_size();
        let size = size.max(1).next_multiple_of(page);
        Ok(Mapping::inaccessible(size + 2 * page)?.around(size))
    }

    /// Locks them.
    pub fn lock(&self) -> io::Result<()> {
        self.pages.lock()
    }

    /// How many bytes they hold.
    pub fn size(&self) -> usize {
        self.pages.size
    }

    /// Whether this process made them. A child process must not touch them.
    pub fn are_ours(&self) -> bool {
        self.pages.is_ours()
    }

    /// What is in them.
    ///
    /// # Panics
    ///
    /// If a parent process made them.
    pub fn bytes(&self) -> &[u8] {
        assert!(
            self.are_ours(),
            "a child process has no secret of its parent"
        );
        // SAFETY: the pages start as zeros, so all bytes are initialised, and they are mapped until drop.
        unsafe { std::slice::from_raw_parts(self.pages.start.as_ptr(), self.pages.size) }
    }

    /// What is in them, to be changed.
    ///
    /// # Panics
    ///
    /// If a parent process made them.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        assert!(
            self.are_ours(),
            "a child process has no secret of its parent"
        );
        // SAFETY: as above; `&mut self` makes them ours alone.
        unsafe { std::slice::from_raw_parts_mut(self.pages.start.as_ptr(), self.pages.size) }
    }
}

/// A file of memfd_secret(2) with `size` bytes.
fn secret_file(size: usize) -> io::Result<File> {
    if !may_call_memfd_secret() {
        return Err(io::ErrorKind::Unsupported.into());
    }
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

/// What is known of whether memfd_secret(2) may be called.
static MAY_HIDE: AtomicU8 = AtomicU8::new(UNKNOWN);

const UNKNOWN: u8 = 0;
const NO: u8 = 1;
const YES: u8 = 2;

/// Whether memfd_secret(2) can be called without being killed for it. A filter of system calls cannot be asked, and that
/// of a service of systemd kills by default; so under a filter a child process tries.
fn may_call_memfd_secret() -> bool {
    match MAY_HIDE.load(Ordering::Relaxed) {
        UNKNOWN => {
            let mode = rustix::thread::secure_computing_mode();
            let may = mode == Ok(SecureComputingMode::Disabled) || survives_memfd_secret();
            MAY_HIDE.store(if may { YES } else { NO }, Ordering::Relaxed);
            may
        }
        known => known == YES,
    }
}

/// Whether a child process comes to its end after the call. Nobody else is told of that end: it sends no signal, and only
/// who asks for it by this number waits for it.
fn survives_memfd_secret() -> bool {
    const NO_SIGNAL: libc::c_long = 0;
    // SAFETY: no memory is shared and no stack is given, so the child goes on like the parent on a copy of everything, and
    // does nothing but the two calls below.
    let child = unsafe {
        libc::syscall(
            libc::SYS_clone,
            NO_SIGNAL,
            0_usize,
            0_usize,
            0_usize,
            0_usize,
        )
    };
    if child == 0 {
        // SAFETY: the call takes flags only.
        unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) };
        // SAFETY: _exit ends the process without running anything of ours.
        unsafe { libc::_exit(0) };
    }
    let mut status = -1;
    loop {
        // SAFETY: `status` is a live integer for waitpid to fill.
        let ended = unsafe { libc::waitpid(child as libc::pid_t, &raw mut status, libc::__WCLONE) };
        if ended >= 0 || io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return ended > 0 && status == 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_mapped_to_nobody_elses_place() {
        let mut pages = FencedPages::with_capacity(1).unwrap();
        pages.bytes_mut()[0] = 7;
        let file = File::open("/proc/self/exe").unwrap();
        let (start, size) = (pages.pages.start.as_ptr(), pages.size());
        assert!(Mapping::of_file(&file, start, size).is_err());
        assert_eq!(pages.bytes()[0], 7);
    }

    #[test]
    fn parts_of_a_mapping_are_released_one_by_one() {
        let page = page_size();
        let [before, middle, behind] = Mapping::inaccessible(3 * page).unwrap().around(page);
        middle.make_accessible().unwrap();
        drop((before, behind));
        let address = format!("{:x}-", middle.start.as_ptr().addr());
        let maps = || std::fs::read_to_string("/proc/self/maps").unwrap();
        let line = |maps: String| {
            maps.lines()
                .find(|line| line.contains(&address))
                .map(str::to_owned)
        };
        assert!(line(maps()).is_some_and(|line| line.contains("rw-p")));
        drop(middle);
    }
}
