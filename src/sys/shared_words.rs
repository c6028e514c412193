//! Numbers that processes share, and waiting for them to change.

use std::io;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags};
use rustix::thread::futex;

/// Makes `N` zeros that we and all processes that come from us by fork have in common. A program that one of them
/// executes has no access to them.
///
/// They are plain numbers, since anything else may mean something in one process only: an address, a lock, a descriptor.
///
/// # Errors
///
/// Any error of mmap(2).
pub fn share_words<const N: usize>() -> io::Result<&'static [AtomicU32; N]> {
    let (size, access) = (
        size_of::<[AtomicU32; N]>(),
        ProtFlags::READ | ProtFlags::WRITE,
    );
    // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no memory of ours.
    let pages =
        unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), size, access, MapFlags::SHARED) }?;
    // SAFETY: the pages are zeros, as large as the type, aligned, and stay until the process ends; no process has any
    // other reference to them than this type, which may be changed by several at a time.
    Ok(unsafe { &*pages.cast() })
}

/// Waits until a word that processes share is no longer `value`, which its changer tells with [`wake`].
///
/// # Errors
///
/// Any error of futex(2) but those that say that there may be something new.
pub fn wait_while(word: &AtomicU32, value: u32) -> io::Result<()> {
    while word.load(Ordering::Acquire) == value {
        match futex::wait(word, futex::Flags::empty(), value, None) {
            Ok(()) | Err(Errno::AGAIN | Errno::INTR) => (),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Wakes whoever waits for a change of this word.
///
/// # Errors
///
/// Any error of futex(2).
pub fn wake(word: &AtomicU32) -> io::Result<()> {
    futex::wake(word, futex::Flags::empty(), i32::MAX as u32)?;
    Ok(())
}
