//! How long what may take.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

/// The longest time for a connection to come about, for each address of a host.
const CONNECT: Duration = Duration::from_secs(5);

/// The least silence after which an attempt is given up.
const SILENCE: Duration = Duration::from_secs(10);

/// The time of a whole fetch.
#[derive(Clone, Copy)]
pub struct Deadline {
    end: Instant,
    timeout: Duration,
}

impl Deadline {
    /// From now on, everything together may take `timeout`.
    pub fn after(timeout: Duration) -> Self {
        Deadline {
            end: Instant::now() + timeout,
            timeout,
        }
    }

    /// What is left.
    pub fn remaining(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// The share of one endpoint when so many (at least one) are still to be asked: the last gets all that is left.
    pub fn share(&self, endpoints: usize) -> Time {
        let remaining = self.remaining();
        let share = remaining / u32::try_from(endpoints).unwrap_or(u32::MAX);
        let (until, allowed) = match endpoints {
            1 => (self.end, self.timeout),
            _ => (Instant::now() + share, share),
        };
        Time {
            until,
            allowed,
            connect: CONNECT,
            silence: SILENCE.max(self.timeout / 3),
        }
    }
}

/// The time of one attempt at one endpoint.
#[derive(Clone, Copy)]
pub struct Time {
    /// Its end.
    pub until: Instant,
    /// How long that is, for messages: the whole timeout where nothing comes after it.
    pub allowed: Duration,
    /// The longest time for a connection to come about.
    pub connect: Duration,
    /// The longest time in which nothing comes.
    pub silence: Duration,
}
