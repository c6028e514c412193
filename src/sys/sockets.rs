//! The TCP sockets of this process.

use std::fs;
use std::os::fd::RawFd;

/// Lets every TCP socket that this process has opened itself send small segments at once. Where `/proc` is missing
/// nothing happens.
///
/// Ours are closed on exec, as all that the standard library opens; what was inherited is not, or it would not be there.
pub fn send_at_once() {
    let numbers = fs::read_dir("/proc/self/fd").into_iter().flatten();
    let numbers = numbers.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    for number in numbers.filter(|number| is_ours(*number)) {
        let yes: libc::c_int = 1;
        // SAFETY: the kernel reads as many bytes as an integer has, and refuses what is no TCP socket; a number that was
        // closed or given to another file of ours meanwhile is refused as well, or is a TCP socket of ours too.
        unsafe {
            libc::setsockopt(
                number,
                libc::IPPROTO_TCP,
                libc::TCP_NODELAY,
                (&raw const yes).cast(),
                size_of_val(&yes) as libc::socklen_t,
            )
        };
    }
}

fn is_ours(number: RawFd) -> bool {
    // SAFETY: fcntl only looks the number up.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    flags >= 0 && flags & libc::FD_CLOEXEC != 0
}
