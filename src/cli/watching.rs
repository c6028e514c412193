//! How often it is asked whether the secrets have changed, and what happens then.

#![forbid(unsafe_code)]

use std::time::Duration;

use crate::cli::address::ApiUrl;
use crate::cli::given::Given;
use crate::cli::readers::{seconds, signal};
use crate::error::Error;

/// The time between two questions unless the user says otherwise, and the shortest for a service on another host: it
/// has many clients, and allows 100 requests a minute to all of an organization.
const COURTESY: Duration = Duration::from_secs(30);

/// The shortest time between two questions.
const SHORTEST: Duration = Duration::from_secs(1);

/// A watched run.
#[derive(Clone, Copy)]
pub struct Watching {
    /// `--watch`: the least time from one question to the next.
    pub interval: Duration,
    /// `--on-change`.
    pub on_change: OnChange,
}

/// What happens to the command when there is another set of secrets.
#[derive(Clone, Copy)]
pub enum OnChange {
    /// It is stopped and started again.
    Restart,
    /// It gets this signal.
    Signal(i32),
    /// It is stopped, and so are we.
    Exit,
}

impl Given {
    pub(super) fn watching(&self, api_url: &ApiUrl) -> Result<Option<Watching>, Error> {
        if !self.watch.is_given() {
            return Ok(None);
        }
        let is_near = match api_url {
            ApiUrl::Tree(_) => true,
            ApiUrl::Service(url) => url.is_loopback,
        };
        let reader: fn(&str) -> _ = if is_near { near } else { far };
        let interval = self.watch.read(reader)?.unwrap_or(COURTESY);
        let on_change = self.on_change.read(on_change)?;
        Ok(Some(Watching {
            interval,
            on_change: on_change.unwrap_or(OnChange::Restart),
        }))
    }
}

fn near(text: &str) -> Result<Duration, &'static str> {
    match seconds(text)? {
        interval if interval < SHORTEST => Err("must be at least 1 second"),
        interval => Ok(interval),
    }
}

fn far(text: &str) -> Result<Duration, &'static str> {
    match seconds(text)? {
        interval if interval < COURTESY => Err(
            "must be at least 30 seconds for a service on another host, which allows 100 requests per minute \
             for each organization",
        ),
        interval => Ok(interval),
    }
}

fn on_change(text: &str) -> Result<OnChange, &'static str> {
    match text {
        "restart" => Ok(OnChange::Restart),
        "exit" => Ok(OnChange::Exit),
        _ => match signal(text) {
            Ok(signal) => Ok(OnChange::Signal(signal)),
            Err(_) => Err("must be restart, exit or the name of a signal"),
        },
    }
}
