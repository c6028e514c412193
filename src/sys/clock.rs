//! The time of day, and since the machine was started.

use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A time of the calendar, to the second.
#[derive(Clone, Copy)]
pub struct CalendarTime(libc::tm);

/// The names of months as syslog has them.
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

impl CalendarTime {
    /// Now, in UTC.
    pub fn in_utc() -> Self {
        CalendarTime::of(SystemTime::now())
    }

    /// Now, where this machine is.
    pub fn here() -> Self {
        let seconds = seconds(SystemTime::now());
        let mut broken = MaybeUninit::zeroed();
        // SAFETY: both pointers are to live memory of the types that localtime_r reads and fills.
        unsafe { libc::localtime_r(&raw const seconds, broken.as_mut_ptr()) };
        // SAFETY: it is a plain structure for which all zeros is valid, whether localtime_r filled it or not.
        CalendarTime(unsafe { broken.assume_init() })
    }

    fn of(time: SystemTime) -> Self {
        CalendarTime::at(seconds(time))
    }

    /// In UTC, so many seconds after the beginning of 1970.
    pub fn at(seconds: i64) -> Self {
        let mut broken = MaybeUninit::zeroed();
        // SAFETY: both pointers are to live memory of the types that gmtime_r reads and fills.
        unsafe { libc::gmtime_r(&raw const seconds, broken.as_mut_ptr()) };
        // SAFETY: it is a plain structure for which all zeros is valid, whether gmtime_r filled it or not.
        CalendarTime(unsafe { broken.assume_init() })
    }

    /// As RFC 3339 has times of UTC: `2026-11-23T17:34:00Z`.
    pub fn rfc3339(&self) -> String {
        let tm = &self.0;
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            i64::from(tm.tm_year) + 1900,
            tm.tm_mon + 1,
            tm.tm_mday,
            tm.tm_hour,
            tm.tm_min,
            tm.tm_sec
        )
    }

    /// As RFC 3164 has local times: `Nov  3 17:34:00`.
    pub fn rfc3164(&self) -> impl fmt::Display {
        let tm = &self.0;
        let month = usize::try_from(tm.tm_mon).unwrap_or_default();
        format!(
            "{} {:2} {:02}:{:02}:{:02}",
            MONTHS.get(month).unwrap_or(&MONTHS[0]),
            tm.tm_mday,
            tm.tm_hour,
            tm.tm_min,
            tm.tm_sec
        )
    }
}

fn seconds(time: SystemTime) -> libc::time_t {
    let elapsed = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    libc::time_t::try_from(elapsed.as_secs()).unwrap_or(libc::time_t::MAX)
}

/// The time since the machine was started, also while it slept (CLOCK_BOOTTIME).
///
/// # Errors
///
/// Any error of clock_gettime(2).
pub fn time_since_start() -> io::Result<Duration> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a live structure of the type that clock_gettime fills.
    if unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> CalendarTime {
        CalendarTime::of(UNIX_EPOCH + Duration::from_secs(seconds))
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(at(0).rfc3339(), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_399).rfc3339(), "2000-02-28T23:59:59Z");
        assert_eq!(at(951_782_400).rfc3339(), "2000-02-29T00:00:00Z");
        assert_eq!(at(951_782_400).rfc3164().to_string(), "Feb 29 00:00:00");
        assert_eq!(at(1_783_000_000).rfc3164().to_string(), "Jul  2 13:46:40");
    }
}
