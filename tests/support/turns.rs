//! How many tests run at a time. Most of them wait for most of their time, so there are always more than
//! there are processors, and still more where the processors have nothing else to do.

use std::fs;
use std::sync::{Condvar, Mutex};
use std::thread::available_parallelism;
use std::time::Duration;

/// How many tests there are at a time for each processor, and how many there may be.
const LEAST: usize = 2;
const MOST: usize = 8;

/// How often in a row, and in which intervals, one must be seen with nothing to do.
const LOOKS: usize = 4;
const INTERVAL: Duration = Duration::from_millis(5);

/// Lets tests begin.
pub struct Turns {
    processors: usize,
    /// Held by the one test that is the next to begin.
    next: Mutex<()>,
    running: Mutex<usize>,
    ended: Condvar,
}

impl Default for Turns {
    fn default() -> Self {
        Turns {
            processors: available_parallelism().map_or(1, usize::from),
            next: Mutex::default(),
            running: Mutex::default(),
            ended: Condvar::new(),
        }
    }
}

impl Turns {
    /// The most tests that ever run at a time.
    pub fn most(&self) -> usize {
        self.processors * MOST
    }

    /// Does something as soon as there is room for it.
    pub fn with_one<T>(&self, test: impl FnOnce() -> T) -> T {
        self.begin();
        let _turn = Turn(self);
        test()
    }

    fn begin(&self) {
        let _next = self.next.lock().unwrap();
        let mut running = self.running.lock().unwrap();
        let mut idle = 0;
        while *running >= self.processors * LEAST && idle < LOOKS {
            running = self.ended.wait_timeout(running, INTERVAL).unwrap().0;
            let is_idle = busy().is_some_and(|busy| busy < self.processors);
            idle = if is_idle { idle + 1 } else { 0 };
        }
        *running += 1;
    }
}

/// How many threads of the machine run or could run, but for this one.
fn busy() -> Option<usize> {
    let load = fs::read_to_string("/proc/loadavg").ok()?;
    let (running, _) = load.split(' ').nth(3)?.split_once('/')?;
    Some(running.parse::<usize>().ok()?.saturating_sub(1))
}

/// A test that runs. Its turn ends when this is dropped, by a panic too.
struct Turn<'a>(&'a Turns);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.running.lock().unwrap() -= 1;
        self.0.ended.notify_one();
    }
}
