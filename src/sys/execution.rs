//! Becoming the command.

use std::ffi::{CStr, CString};
use std::io;
use std::ptr;

use crate::sys::registers::clear_registers;
use crate::sys::stack::clear_stack;
use crate::sys::start;

/// Becomes `command`, looked up in `PATH` as execvp(3) does, with exactly the given environment; returns only on failure.
///
/// Standard descriptors are first put back to what they were when the process started, and what the work so far left on
/// the stack and in registers is cleared.
pub fn become_command(command: &[CString], environment: &[&CStr]) -> io::Error {
    let Some(file) = command.first() else {
        return io::Error::from(io::ErrorKind::NotFound);
    };
    let arguments: Vec<_> = command
        .iter()
        .map(|argument| argument.as_ptr())
        .chain([ptr::null()])
        .collect();
    let environment: Vec<_> = environment
        .iter()
        .map(|entry| entry.as_ptr())
        .chain([ptr::null()])
        .collect();
    if let Err(error) = close_again() {
        return error;
    }
    clear_traces();
    // SAFETY: both arrays end with a null pointer and hold NUL-terminated strings that outlive the call.
    unsafe { libc::execvpe(file.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

/// Closes those standard descriptors that were closed when the process started.
fn close_again() -> io::Result<()> {
    for (number, descriptor) in (0..=2).zip(0..) {
        // SAFETY: the Rust runtime opened /dev/null here because the descriptor was closed; nothing uses it any more, since
        // what comes next is execve(2).
        if start::was_closed(number) && unsafe { libc::close(descriptor) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Clears what functions that have returned left on the stack and in registers.
pub fn clear_traces() {
    clear_stack();
    clear_registers();
}

/// The largest total size in bytes of arguments and environment that execve(2) takes, pointers included.
pub fn argument_limit() -> usize {
    // SAFETY: sysconf only reads a limit of the process.
    let limit = unsafe { libc::sysconf(libc::_SC_ARG_MAX) };
    usize::try_from(limit).unwrap_or(128 * 1024)
}
