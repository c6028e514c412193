//! The time that fetching and opening may take together.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::error::Error;

/// That time, without that in which somebody types a key.
pub struct Stopwatch {
    begun: Instant,
    paused: Cell<Duration>,
    allowed: Duration,
}

impl Stopwatch {
    pub fn start(allowed: Duration) -> Self {
        Stopwatch {
            begun: Instant::now(),
            paused: Cell::default(),
            allowed,
        }
    }

    /// Does what takes none of the time.
    pub fn paused<T>(&self, work: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let result = work();
        self.paused.set(self.paused.get() + begun.elapsed());
        result
    }

    /// # Errors
    ///
    /// If it is over.
    pub fn check(&self) -> Result<(), Error> {
        let taken = self.begun.elapsed().saturating_sub(self.paused.get());
        if taken > self.allowed {
            let time = self.allowed;
            return Err(Error::OutOfTime { time });
        }
        Ok(())
    }
}
