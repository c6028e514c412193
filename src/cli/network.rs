//! How the network is used: mirrors, time, trust and proxies.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use crate::cli::{ApiUrl, Given, read};
use crate::error::{Error, Usage};

/// The time in seconds that the whole fetch may take unless the user says otherwise.
const DEFAULT_TIMEOUT: f64 = 30.0;

/// How often a server is asked.
const ATTEMPTS: u32 = 4;

/// The longest time in seconds that can be given: a day.
const MAX_TIMEOUT: f64 = 86_400.0;

/// How the network is used.
pub struct Network {
    /// How long the whole fetch may take.
    pub timeout: Duration,
    /// How often each server is asked before its failure counts; at least once.
    pub attempts: u32,
    /// The read replicas, in their order.
    pub mirrors: Vec<ApiUrl>,
    /// Which authorities are trusted.
    pub trust: Trust,
    /// The variables about proxies.
    pub proxies: ProxyVariables,
}

/// Which authorities are trusted for https.
pub enum Trust {
    /// Mozilla's, as they were when the program was built.
    BuiltIn,
    /// Those in the file of `--ca-file`.
    Option(PathBuf),
    /// Those in the file that `SSL_CERT_FILE` names.
    Variable(PathBuf),
}

/// What the environment says about proxies.
pub struct ProxyVariables {
    /// The variable that names the proxy for https, and its value; it may hold a password.
    pub proxy: Option<(&'static str, String)>,
    /// The hosts that are reached without it.
    pub exceptions: String,
}

impl ProxyVariables {
    /// Of each pair the lower-case one wins, and the one for https before the one for everything.
    fn read(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let first = |names: &[&'static str]| {
            let set = |name: &'static str| {
                let value = variable(name).filter(|value| !value.is_empty())?;
                Some((name, value.to_string_lossy().trim().to_owned()))
            };
            names.iter().copied().find_map(set)
        };
        let exceptions = first(&["no_proxy", "NO_PROXY"]);
        ProxyVariables {
            proxy: first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
            exceptions: exceptions.map_or(String::new(), |(_, hosts)| hosts),
        }
    }
}

impl Given {
    pub(super) fn network(
        &self,
        api_url: &ApiUrl,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Network, Error> {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        Ok(Network {
            timeout: match self.last("timeout") {
                Some(value) => read("--timeout", &value, seconds)?,
                None => Duration::from_secs_f64(DEFAULT_TIMEOUT),
            },
            attempts: ATTEMPTS,
            mirrors: self.mirrors(api_url, set("DOTENV_RUN_MIRRORS"))?,
            trust: match (self.last("ca-file"), set("SSL_CERT_FILE")) {
                (Some(file), _) => Trust::Option(file.into()),
                (None, Some(file)) => Trust::Variable(file.into()),
                (None, None) => Trust::BuiltIn,
            },
            proxies: ProxyVariables::read(variable),
        })
    }

    /// The mirrors given as options or, without any, those of the variable. A tree has none: what can happen to it does
    /// not pass by itself. The variable may be meant for other runs, so that it does no harm there.
    fn mirrors(&self, api_url: &ApiUrl, listed: Option<OsString>) -> Result<Vec<ApiUrl>, Error> {
        let is_tree = matches!(api_url, ApiUrl::Tree(_));
        let mirror = |source, value: &OsStr| read(source, value, ApiUrl::parse_mirror);
        let given: Result<Vec<_>, _> = self
            .each("mirror")
            .map(|value| mirror("--mirror", value))
            .collect();
        let given = given?;
        if !given.is_empty() && is_tree {
            return Err(Usage::MirrorOfTree.into());
        }
        match listed {
            Some(listed) if given.is_empty() && !is_tree => {
                let listed = listed.to_string_lossy();
                let urls = listed.split_whitespace();
                urls.map(|url| mirror("DOTENV_RUN_MIRRORS", OsStr::new(url)))
                    .collect()
            }
            _ => Ok(given),
        }
    }
}

/// Reads a time in seconds.
pub(super) fn seconds(text: &str) -> Result<Duration, &'static str> {
    match text.parse() {
        Ok(seconds) if seconds > 0.0 && seconds <= MAX_TIMEOUT => {
            Ok(Duration::from_secs_f64(seconds))
        }
        _ => Err("must be a number of seconds above 0 and up to 86400"),
    }
}
