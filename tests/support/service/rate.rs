//! A limit on how many requests are answered in a time.

use std::time::{Duration, Instant};

use super::http::Reply;

/// So many requests in a window of time; the next window begins with the first request behind it.
pub struct Rate {
    requests: usize,
    window: Duration,
    /// Whether a refusal says when the next window begins.
    tells: bool,
    begun: Instant,
    count: usize,
}

impl Rate {
    pub fn new(requests: usize, window: Duration, tells: bool) -> Self {
        Rate {
            requests,
            window,
            tells,
            begun: Instant::now(),
            count: 0,
        }
    }

    /// Counts a request; the refusal if it is one too many.
    pub(super) fn refusal(&mut self) -> Option<Reply> {
        if self.begun.elapsed() >= self.window {
            (self.begun, self.count) = (Instant::now(), 0);
        }
        self.count += 1;
        if self.count <= self.requests {
            return None;
        }
        let reply = Reply::error(429, "too_many_requests", "Slow down.");
        let left = self.window.saturating_sub(self.begun.elapsed());
        let seconds = left.as_secs_f64().ceil().to_string();
        Some(match self.tells {
            true => reply.header("Retry-After", &seconds),
            false => reply,
        })
    }
}
