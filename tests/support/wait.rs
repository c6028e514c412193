//! Waiting for a condition with a deadline, never for a time.

use std::thread;
use std::time::{Duration, Instant};

/// How long a condition may take by default: far more than any needs, so that a loaded machine does
/// not fail a test.
pub const PATIENCE: Duration = Duration::from_secs(10);

const INTERVAL: Duration = Duration::from_millis(1);

/// Whether `condition` came true before `limit` was over.
pub fn poll(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(INTERVAL);
    }
}

/// Waits until `condition` is true; `what` completes "waited for" in the failure.
#[track_caller]
pub fn wait_until(what: &str, condition: impl FnMut() -> bool) {
    assert!(
        poll(PATIENCE, condition),
        "waited {PATIENCE:?} in vain for {what}"
    );
}

/// Waits until `find` finds something and returns it.
#[track_caller]
pub fn wait_for<T>(what: &str, mut find: impl FnMut() -> Option<T>) -> T {
    let mut found = None;
    wait_until(what, || {
        found = find();
        found.is_some()
    });
    found.expect("the condition was that something was found")
}
