//! Making a call again that has failed where it must not.

use std::io::{self, ErrorKind};
use std::thread;
use std::time::Duration;

/// How often a call is made, and the pause in between.
const ATTEMPTS: usize = 20;
const PAUSE: Duration = Duration::from_millis(5);

/// Makes a call up to a few times: what the system lacks for a moment it may have in the next. An interruption does not count.
///
/// # Errors
///
/// The last one.
pub fn persist<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut failures = 0;
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) if failures + 1 < ATTEMPTS => failures += 1,
            result => return result,
        }
        // Parking waits by futex(2), which a confined process may call, unlike nanosleep(2).
        thread::park_timeout(PAUSE);
    }
}
