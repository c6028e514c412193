//! When a request that failed is sent again: how long to wait, and what the service asks for.

#![forbid(unsafe_code)]

use std::time::{Duration, SystemTime};

/// The least time that an attempt must have left to be worth a wait before it.
pub const WORTHWHILE: Duration = Duration::from_millis(50);

/// The longest wait before the second attempt; it doubles with every further one.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// The wait behind so many failed rounds (at least one): anything from nothing to a limit that doubles each time, so
/// that clients which failed together do not come back together. `random` spans its whole range.
pub fn backoff(failed_rounds: u32, random: u32) -> Duration {
    share(FIRST_WAIT * 2_u32.pow(failed_rounds - 1), random)
}

/// What is added to the wait that the service asked for, because it asks many clients for the same one.
pub fn jitter(asked: Duration, random: u32) -> Duration {
    share(FIRST_WAIT.max(asked / 4), random)
}

fn share(limit: Duration, random: u32) -> Duration {
    limit.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

/// The wait that a `Retry-After` header asks for: a number of seconds, or a date in any of HTTP's three forms, where one
/// that is past asks for none. `None` if it is neither.
pub fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim_matches([' ', '\t']);
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number has are still a wait, and a long one.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_the_wait_doubles_and_chance_decides_below_it() {
        let milliseconds = |rounds, random| backoff(rounds, random).as_millis();
        assert_eq!([1, 2, 3].map(|rounds| milliseconds(rounds, 0)), [0, 0, 0]);
        let limits = [1, 2, 3].map(|rounds| milliseconds(rounds, u32::MAX));
        assert_eq!(limits, [250, 500, 1000]);
        assert_eq!(milliseconds(2, u32::MAX / 2), 250);
    }

    #[test]
    fn a_wait_that_is_asked_for_gets_up_to_a_quarter_on_top() {
        let longest = |seconds| jitter(Duration::from_secs(seconds), u32::MAX).as_millis();
        assert_eq!([0, 1, 60].map(longest), [250, 250, 15_000]);
        assert_eq!(jitter(Duration::from_secs(60), 0), Duration::ZERO);
    }

    #[test]
    fn retry_after_is_read_in_all_its_forms() {
        // 1994-11-06 08:49:37, of which RFC 9110 gives all three.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777 - 90);
        let seconds = |value| retry_after(value, now).map(|wait| wait.as_secs());
        for date in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(seconds(date), Some(90), "{date}");
        }
        assert_eq!(seconds("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        assert_eq!(seconds("0"), Some(0));
        assert_eq!(seconds(" 120 "), Some(120));
        assert_eq!(seconds("99999999999999999999"), Some(u64::MAX));
        for nothing in ["", "-1", "+1", "1.5", "1e3", "soon", "Sun, 06 Nov 1994"] {
            assert_eq!(seconds(nothing), None, "{nothing}");
        }
    }
}
