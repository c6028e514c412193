//! The names and numbers of signals.

#![forbid(unsafe_code)]

pub use signal_hook::consts::signal::{
    SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGPIPE, SIGQUIT, SIGTERM, SIGTSTP, SIGTTIN,
    SIGTTOU, SIGWINCH,
};
use signal_hook::low_level::signal_name;

/// The highest number of a signal on Linux.
const MAX: i32 = 64;

/// The signal that a user means by `TERM`, `SIGTERM` or `15`.
pub fn named(text: &str) -> Option<i32> {
    let by_number = text
        .parse()
        .ok()
        .filter(|number| (1..=MAX).contains(number));
    let name = text.strip_prefix("SIG").unwrap_or(text);
    let is_meant = |number: &i32| {
        signal_name(*number).and_then(|known| known.strip_prefix("SIG")) == Some(name)
    };
    by_number.or_else(|| (1..=MAX).find(is_meant))
}
