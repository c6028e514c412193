//! What each test took, for who wants the suite faster: `TEST_TIMES=40 cargo test --test behaviour`.

use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// How many of the slowest are told; nothing is, without it.
const VARIABLE: &str = "TEST_TIMES";

/// What the tests that have ended took.
#[derive(Default)]
pub struct Times {
    tests: Mutex<Vec<Taken>>,
}

struct Taken {
    name: &'static str,
    waited: Duration,
    /// Of all tests that ran meanwhile: a test's own with `--test-threads=1` alone.
    computed: Duration,
}

impl Times {
    pub fn measure<T>(&self, name: &'static str, test: impl FnOnce() -> T) -> T {
        let (start, before) = (Instant::now(), computed());
        let result = test();
        self.tests.lock().unwrap().push(Taken {
            name,
            waited: start.elapsed(),
            computed: computed().saturating_sub(before),
        });
        result
    }

    /// The slowest tests, slowest first, where somebody asked for them.
    pub fn print(&self) {
        let wanted = std::env::var(VARIABLE).ok();
        let Some(count) = wanted.and_then(|count| count.parse().ok()) else {
            return;
        };
        let mut tests = self.tests.lock().unwrap();
        tests.sort_by_key(|test| std::cmp::Reverse(test.waited));
        println!("\nseconds  of CPU");
        for test in tests.iter().take(count) {
            println!("{test}");
        }
    }
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [waited, computed] = [self.waited, self.computed].map(|time| time.as_secs_f64());
        write!(f, "{waited:7.2} {computed:7.2}  {}", self.name)
    }
}

/// The processor time of this process and of all children that were waited for.
fn computed() -> Duration {
    let both = [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN].map(|who| {
        let usage = getrusage(who).expect("what we used so far");
        let [user, system] = [usage.user_time(), usage.system_time()];
        let micros = (user.num_microseconds(), system.num_microseconds());
        u64::try_from(micros.0 + micros.1).unwrap_or_default()
    });
    Duration::from_micros(both.iter().sum())
}
