//! Processes with the same parent, and what they share.

use std::ffi::c_int;
use std::io;
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::sys::{Fork, Pid};

/// Duplicates the process like [`fork`](super::fork), but the new process is a child of our parent (clone(2) with
/// `CLONE_PARENT`), who is told of its end. We must have a single thread.
///
/// The C library has no part in this. Of what its own fork(3) does for the new process, only the thread's ID that it
/// keeps is missed here: that stays ours, and nothing in this program goes by it.
///
/// # Errors
///
/// Any error of clone(2).
pub fn fork_beside() -> io::Result<Fork> {
    let flags = libc::c_long::from(libc::CLONE_PARENT | libc::SIGCHLD);
    // SAFETY: no memory is shared and no stack is given, so the child goes on like the parent on a copy of everything;
    // there is one thread, so the copy is consistent.
    match unsafe { libc::syscall(libc::SYS_clone, flags, 0_usize, 0_usize, 0_usize, 0_usize) } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        child => Ok(Fork::Parent(child as Pid)),
    }
}

/// Whether there is a process of this ID, be it one that has ended and was not waited for.
pub fn exists(process: Pid) -> bool {
    // SAFETY: kill with no signal takes integers and touches no memory.
    unsafe { libc::kill(process, 0) == 0 }
}

/// Kills a child and waits for its end.
///
/// # Errors
///
/// Any error of kill(2) and waitpid(2).
pub fn end_child(child: Pid) -> io::Result<()> {
    super::send(child, libc::SIGKILL)?;
    let mut status: c_int = 0;
    // SAFETY: `status` is a live integer for waitpid to fill.
    while unsafe { libc::waitpid(child, &raw mut status, 0) } < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    Ok(())
}

/// Puts `value` where we and all processes that come from us by fork have it in common. A program that one of them
/// executes has no access to it.
///
/// # Errors
///
/// Any error of mmap(2).
pub fn share<T: Sync>(value: T) -> io::Result<&'static T> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no memory of ours.
    let page = unsafe { libc::mmap(ptr::null_mut(), size_of::<T>(), access, flags, -1, 0) };
    if page == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let place = page.cast::<T>();
    // SAFETY: the mapping is writable, as large as the type, aligned to a page, and nobody else knows of it yet.
    unsafe { place.write(value) };
    // SAFETY: the value was just written, and the mapping stays until the process ends.
    Ok(unsafe { &*place })
}

/// Waits until a word that processes share is no longer `value`, which its changer tells with [`wake`].
pub fn wait_while(word: &AtomicU32, value: u32) {
    while word.load(Ordering::Acquire) == value {
        let (call, forever) = (libc::SYS_futex, ptr::null::<libc::timespec>());
        // SAFETY: the word is live and aligned, and no timeout is given.
        unsafe { libc::syscall(call, word.as_ptr(), libc::FUTEX_WAIT, value, forever) };
    }
}

/// Wakes whoever waits for a change of this word.
pub fn wake(word: &AtomicU32) {
    // SAFETY: the word is live and aligned; the call does not write to it.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, c_int::MAX) };
}
