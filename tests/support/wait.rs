//! Waiting for a condition with a deadline, never for a time.

use std::thread;
use std::time::{Duration, Instant};

/// How long a condition may take by default: far more than any needs, so that a loaded machine does
/// not fail a test.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often a condition is looked at: often at first, then every so much of the time that has passed, because
/// many tests wait at a time.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(20);
const SHARE: u32 = 16;

/// Whether `condition` came true before `limit` was over.
pub fn poll(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    loop {
        if condition() {
            return true;
        }
        let waited = begun.elapsed();
        if waited >= limit {
            return false;
        }
        thread::sleep((waited / SHARE).clamp(SHORTEST, LONGEST));
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
