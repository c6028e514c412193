//! Checking the rows of a table, several at a time, and how often.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::thread;

/// How often to do what may go wrong each time: a few times, or as often as `make soak` wants it.
pub fn rounds<T>(few: T, many: T) -> T {
    match std::env::var_os("SOAK") {
        Some(_) => many,
        None => few,
    }
}

/// Checks all rows, so many at a time, and shows all that is wrong. A panic is a defect too.
#[track_caller]
pub fn check_all<T: Sync>(
    at_a_time: usize,
    table: &[T],
    check: impl Fn(&T) -> Result<(), String> + Sync,
) {
    let (next, defects) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..at_a_time {
            scope.spawn(|| {
                while let Some(row) = table.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let defect = outcome_of(|| check(row)).err();
                    defects.lock().unwrap().extend(defect);
                }
            });
        }
    });
    let defects = defects.into_inner().unwrap();
    let count = defects.len();
    assert!(count == 0, "{count} rows:\n\n{}", defects.join("\n\n"));
}

/// The outcome of a check, of which a panic is a defect too.
pub fn outcome_of(check: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|panic| Err(words_of(&*panic)))
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_owned()
}

/// Room for so many at a time, whoever they belong to.
pub struct Seats {
    free: Mutex<usize>,
    freed: Condvar,
}

impl Seats {
    pub const fn new(count: usize) -> Self {
        Seats {
            free: Mutex::new(count),
            freed: Condvar::new(),
        }
    }

    /// Does something as soon as there is a seat for it.
    pub fn with_one<T>(&self, work: impl FnOnce() -> T) -> T {
        let mut free = self.free.lock().unwrap();
        while *free == 0 {
            free = self.freed.wait(free).unwrap();
        }
        *free -= 1;
        drop(free);
        let _seat = Seat(self);
        work()
    }
}

/// A seat that is taken. It is free again when this is dropped, by a panic too.
struct Seat<'a>(&'a Seats);

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap() += 1;
        self.0.freed.notify_one();
    }
}
