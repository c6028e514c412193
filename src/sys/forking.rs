//! Duplicating the process.

use std::io;

use crate::sys::locked;
use crate::sys::processes::Pid;

/// Which side of a fork(2) the caller is on.
pub enum Fork {
    /// The process that called; the child's ID.
    Parent(Pid),
    /// The new process.
    Child,
}

/// Duplicates the process.
///
/// # Errors
///
/// If there has ever been a second thread; any error of fork(2).
pub fn fork() -> io::Result<Fork> {
    check_single_thread()?;
    // SAFETY: there is one thread, so the child has a consistent heap and may go on like the parent.
    side(unsafe { libc::fork() })
}

/// Duplicates the process like [`fork`], but the new process is a child of our parent (clone(2) with `CLONE_PARENT`), who
/// is told of its end.
///
/// The C library has no part in this. Of what its own fork(3) does for the new process, only the thread's ID that it
/// keeps is missed here: that stays ours, and nothing in this program goes by it.
///
/// # Errors
///
/// If there has ever been a second thread; any error of clone(2).
pub fn fork_beside() -> io::Result<Fork> {
    check_single_thread()?;
    let flags = libc::c_long::from(libc::CLONE_PARENT | libc::SIGCHLD);
    // SAFETY: no memory is shared and no stack is given, so the child goes on like the parent on a copy of everything;
    // there is one thread, so the copy is consistent.
    side(
        unsafe { libc::syscall(libc::SYS_clone, flags, 0_usize, 0_usize, 0_usize, 0_usize) } as Pid,
    )
}

fn side(returned: Pid) -> io::Result<Fork> {
    match returned {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            locked::leave_to_parent();
            Ok(Fork::Child)
        }
        child => Ok(Fork::Parent(child)),
    }
}

unsafe extern "C" {
    /// Of the C library since 2.32 (sys/single_threaded.h): not zero as long as no second thread was started.
    static __libc_single_threaded: libc::c_char;
}

/// Refuses a fork with other threads: in the child, locks that they held would stay taken, and what they were changing
/// would stay half changed. The C library knows without `/proc`, which may not be there.
fn check_single_thread() -> io::Result<()> {
    // SAFETY: the C library defines it with this type, and changes it only when this very thread, as long as it is the
    // only one, starts another.
    if unsafe { __libc_single_threaded } == 0 {
        return Err(io::Error::other("this process has had several threads"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_process_with_several_threads_is_not_duplicated() {
        let forked = std::thread::spawn(|| [super::fork(), super::fork_beside()]);
        for forked in forked.join().unwrap() {
            assert!(forked.is_err_and(|error| error.to_string().contains("several threads")));
        }
    }
}
