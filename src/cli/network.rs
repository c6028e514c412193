//! How the network is used: mirrors, time, trust and proxies.

#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use crate::cli::address::ApiUrl;
use crate::cli::given::Given;
use crate::cli::readers::seconds;
use crate::error::{Error, Usage};

/// The time in seconds that the whole fetch may take unless the user says otherwise.
const DEFAULT_TIMEOUT: f64 = 30.0;

/// How often a server is asked.
const ATTEMPTS: u32 = 4;

/// How the network is used.
#[derive(Clone)]
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
#[derive(Clone)]
pub enum Trust {
    /// Mozilla's, as they were when the program was built.
    BuiltIn,
    /// Those in the file of `--ca-file`.
    Option(PathBuf),
    /// Those in the file that `SSL_CERT_FILE` names.
    Variable(PathBuf),
}

/// What the environment says about proxies.
#[derive(Clone)]
pub struct ProxyVariables {
    /// The variable that names the proxy for https, and its value; it may hold a password.
    pub proxy: Option<(&'static str, String)>,
    /// The hosts that are reached without it.
    pub exceptions: String,
}

impl ProxyVariables {
    /// Of each pair the lower-case one wins, and the one for https before the one for everything.
    pub(super) fn read<'a>(variable: &dyn Fn(&str) -> Option<&'a OsStr>) -> Self {
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

impl Network {
    /// The same for a service that will be asked again before long: it is asked once, and no mirror in its stead, which
    /// may have what is older.
    pub fn for_renewal(&self) -> Self {
        Network {
            attempts: 1,
            mirrors: Vec::new(),
            ..self.clone()
        }
    }
}

impl Given {
    pub(super) fn network(
        &self,
        api_url: &ApiUrl,
        proxies: ProxyVariables,
    ) -> Result<Network, Error> {
        let default = Duration::from_secs_f64(DEFAULT_TIMEOUT);
        let authorities = self.ca_file.last().map(PathBuf::from);
        Ok(Network {
            timeout: self.timeout.read(seconds)?.unwrap_or(default),
            attempts: ATTEMPTS,
            mirrors: self.mirrors(api_url)?,
            trust: match authorities {
                Some(file) if self.ca_file.is_variable() => Trust::Variable(file),
                Some(file) => Trust::Option(file),
                None => Trust::BuiltIn,
            },
            proxies,
        })
    }

    /// The mirrors. A tree has none: what can happen to it does not pass by itself. The variable may be meant for other
    /// runs, so that it does no harm there.
    fn mirrors(&self, api_url: &ApiUrl) -> Result<Vec<ApiUrl>, Error> {
        if matches!(api_url, ApiUrl::Tree(_)) && self.mirror.is_variable() {
            return Ok(Vec::new());
        }
        let mirrors = self.mirror.read_each_bytes(ApiUrl::parse_mirror)?;
        match api_url {
            ApiUrl::Tree(_) if !mirrors.is_empty() => Err(Usage::MirrorOfTree.into()),
            _ => Ok(mirrors),
        }
    }
}
