//! The TCP sockets of this process.

use std::fs;
use std::io;
use std::os::fd::RawFd;

/// Lets every TCP socket that this process has opened itself send small segments at once.
///
/// Ours are closed on exec, as all that the standard library opens; what was inherited is not, or it would not be there.
///
/// # Errors
///
/// If `/proc` does not tell which descriptors there are.
pub fn send_at_once() -> io::Result<()> {
    for entry in fs::read_dir("/proc/self/fd")? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.parse().ok());
        if let Some(number) = number.filter(|number| is_ours(*number)) {
            // Most descriptors are no TCP sockets, and refuse it.
            let _ = set_no_delay(number);
        }
    }
    Ok(())
}

fn set_no_delay(number: RawFd) -> io::Result<()> {
    let yes: libc::c_int = 1;
    let (level, option) = (libc::IPPROTO_TCP, libc::TCP_NODELAY);
    let (value, size) = (
        (&raw const yes).cast(),
        size_of_val(&yes) as libc::socklen_t,
    );
    // SAFETY: the kernel reads as many bytes as an integer has, and refuses what is no TCP socket; a number that was
    // closed or given to another file of ours meanwhile is refused as well, or is a TCP socket of ours too.
    match unsafe { libc::setsockopt(number, level, option, value, size) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn is_ours(number: RawFd) -> bool {
    // SAFETY: fcntl only looks the number up.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    flags >= 0 && flags & libc::FD_CLOEXEC != 0
}
