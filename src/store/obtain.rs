//! Obtaining the levels of a path, opened: from the service, a mirror, a sealed tree or the cache.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cli::{ApiUrl, Network, Options, ServiceUrl};
use crate::crypto::DataKey;
use crate::error::Error;
use crate::event::{Event, Stage};
use crate::keys::{ApiKey, ClientKey, Variables};
use crate::path::LevelName;
use crate::report::Report;
use crate::store::abilities;
use crate::store::cache::{Answer, Cache, Mode};
use crate::store::custody::{Expectation, InForce};
use crate::store::fetch::{self, Fetch, Keep, Patience};
use crate::store::http::attribution::{self, PRODUCT, Surroundings};
use crate::store::http::client::Identity;
use crate::store::model::{KeyDescriptor, OrganizationHint, Origin, SealedLevels};
use crate::store::open::{self, OpenLevel};
use crate::store::places;
use crate::store::proof::Proof;
use crate::store::tree::Tree;
use crate::sys::Environ;

pub use crate::store::cache::Pending;

/// What decides which levels are obtained, and how.
pub struct Wanted<'a> {
    pub options: &'a Options,
    /// The environment that we were started with.
    pub environ: &'a Environ,
    /// The variables about keys.
    pub variables: &'a Variables,
    /// How the network is used.
    pub network: &'a Network,
    pub occasion: Occasion,
    /// What the command that is running was started with.
    pub in_force: InForce,
    /// Looks at the documents before any level is opened. It does not return if that is of no use.
    pub inspect: &'a dyn Fn(&SealedLevels),
    pub report: &'a Report,
}

/// Why the levels are obtained.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Occasion {
    /// For a command that is about to start, or for what is printed.
    Start,
    /// For a command that runs already, and may have to be started again.
    Renewal,
    /// To see what would happen; nothing may be changed by it.
    Check,
}

/// The levels, and what is left to do with a cache.
pub type Obtained = (Vec<OpenLevel>, Option<Pending>);

/// The time that fetching and opening may take together, without that in which somebody types a key.
struct Stopwatch {
    begun: Instant,
    paused: Cell<Duration>,
    allowed: Duration,
}

impl Stopwatch {
    fn start(allowed: Duration) -> Self {
        Stopwatch {
            begun: Instant::now(),
            paused: Cell::default(),
            allowed,
        }
    }

    fn paused<T>(&self, work: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let result = work();
        self.paused.set(self.paused.get() + begun.elapsed());
        result
    }

    fn check(&self) -> Result<(), Error> {
        let taken = self.begun.elapsed().saturating_sub(self.paused.get());
        if taken > self.allowed {
            let time = self.allowed;
            return Err(Error::OutOfTime { time });
        }
        Ok(())
    }
}

impl Wanted<'_> {
    /// Brings the levels and opens them.
    ///
    /// # Errors
    ///
    /// Why not all of them are there and open.
    pub fn obtain(&self) -> Result<Obtained, Error> {
        match &self.options.api_url {
            ApiUrl::Service(url) => self.ask(url),
            ApiUrl::Tree(root) => Ok((self.read(root)?, None)),
        }
    }

    fn read(&self, root: &Path) -> Result<Vec<OpenLevel>, Error> {
        let (options, report) = (self.options, self.report);
        if options.caching.is_some() {
            report.note(format_args!("a sealed tree is not cached"));
        }
        let hint = OrganizationHint::InTree(options.organization.clone());
        // Its descriptor is free again when the client key is read from one.
        let read = || places::read_tree(&Tree::open(root)?, &options.path, &hint, *report);
        self.expected(Origin::Tree).record(report);
        let sealed = report.timed(Stage::Fetch, read);
        Ok(self
            .unseal(Fetch::over(sealed), self.network.timeout)?
            .levels)
    }

    fn ask(&self, url: &ServiceUrl) -> Result<Obtained, Error> {
        let begun = Instant::now();
        let key = Arc::new(self.api_key()?);
        let hint = OrganizationHint::new(self.options.organization.clone(), key.organization());
        let cache = self.cache(&key, url, &hint);
        let keep = Keep {
            texts: cache.is_some(),
            of_mirrors: self.expected(Origin::Mirror).custody,
        };
        self.expected(Origin::Service).record(self.report);
        // Only a check still has a use for the key when everything is there.
        let again = (self.occasion == Occasion::Check).then(|| Arc::clone(&key));
        let fetch = || {
            let timeout = self.network.timeout;
            let fetched = |key, timeout| {
                let identity = self.identity(key);
                self.unseal(self.fetch(url, identity, &hint, (keep, timeout))?, timeout)
            };
            let has_mirrors = !self.network.mirrors.is_empty();
            let spare = has_mirrors.then(|| Arc::clone(&key));
            let answer = fetched(key, timeout);
            // A mirror may have been asked in the middle of a change. A key that was typed is not asked for again.
            let may_be_torn = matches!(&answer, Err(Error::NotWhole { flaw, .. }) if flaw.may_be_torn())
                && ClientKey::is_at_hand(self.variables);
            match (spare, timeout.checked_sub(begun.elapsed())) {
                (Some(key), Some(rest)) if may_be_torn => fetched(key, rest),
                _ => answer,
            }
        };
        let (levels, pending, origin) = match (cache, self.occasion) {
            (None, _) => fetch().map(|answer| (answer.levels, None, answer.origin))?,
            (Some(cache), Occasion::Renewal) => cache.renewed(fetch)?,
            (Some(cache), _) => cache.levels(|sealed, key| self.reopen(sealed, key), fetch)?,
        };
        if let Some(key) = again {
            self.look_at_key(url, key, &hint, (origin, begun.elapsed()));
        }
        Ok((levels, pending))
    }

    fn api_key(&self) -> Result<ApiKey, Error> {
        let find = || ApiKey::find(self.variables, self.report);
        self.report.timed(Stage::Keys, find)
    }

    fn cache(&self, key: &ApiKey, url: &ServiceUrl, hint: &OrganizationHint) -> Option<Cache> {
        let mode = match self.occasion {
            Occasion::Check => Mode::ReadOnly,
            Occasion::Start | Occasion::Renewal => Mode::ReadWrite,
        };
        let caching = self.options.caching?;
        Cache::open(
            (caching, mode),
            key,
            url,
            hint,
            &self.options.path,
            *self.report,
        )
    }

    fn fetch(
        &self,
        url: &ServiceUrl,
        identity: Identity,
        hint: &OrganizationHint,
        (keep, timeout): (Keep, Duration),
    ) -> Result<Fetch, Error> {
        let network = self.network;
        let patience = Patience {
            timeout,
            attempts: network.attempts,
        };
        let places = places::of_service(url, identity, network, self.report)?;
        let path = self.options.path.clone();
        Fetch::start(places, path, hint.clone(), patience, keep, *self.report)
    }

    /// Asks what the API key may do, in what is left of the time of the fetch.
    fn look_at_key(
        &self,
        url: &ServiceUrl,
        key: Arc<ApiKey>,
        hint: &OrganizationHint,
        (origin, spent): (Origin, Duration),
    ) {
        let (options, report) = (self.options, self.report);
        let ask = || match origin {
            Origin::Mirror | Origin::StaleCache => Err(Error::Timeout {
                host: url.host.clone(),
                time: self.network.timeout,
            }),
            _ => {
                let timeout = self.network.timeout.saturating_sub(spent);
                let identity = self.identity(Arc::clone(&key));
                let service = places::service(url, identity, self.network)?;
                fetch::api_keys(service, &options.path, hint.clone(), timeout, *report)
            }
        };
        abilities::look_at_key(&key, report, ask);
    }

    /// Who the service is told that asks.
    fn identity(&self, key: Arc<ApiKey>) -> Identity {
        let agent = if self.options.attribution {
            attribution::user_agent(&Surroundings {
                variable: &|name| self.environ.text(name),
                file: &|file| std::fs::read_to_string(file).ok(),
            })
        } else {
            PRODUCT.to_owned()
        };
        Identity { key, agent }
    }

    /// Opens what a fetch brings, with a key that is derived as soon as its descriptor is there.
    fn unseal(&self, mut fetch: Fetch, timeout: Duration) -> Result<Answer, Error> {
        let (options, variables, report) = (self.options, self.variables, self.report);
        let path = &options.path;
        let time = Stopwatch::start(timeout);
        let find = || time.paused(|| ClientKey::find(variables, report));
        let client_key = || report.timed(Stage::Keys, find);
        // Nobody is asked for a key before the secrets are there, and none is derived for what is known.
        let expected = self.expected(Origin::Service);
        let early = fetch.descriptor().filter(|descriptor| {
            open::is_fast_to_derive(descriptor)
                && expected.accepts(descriptor)
                && (!descriptor.is_client_managed() || ClientKey::is_at_hand(variables))
                && self.occasion != Occasion::Renewal
        });
        let early = early.map(|descriptor| {
            let key = open::data_key(&descriptor, path, report, client_key);
            (descriptor, key)
        });
        let mut sealed = fetch.finish()?;
        time.check()?;
        self.check(&sealed)?;
        (self.inspect)(&sealed);
        let (texts, origin) = (sealed.texts.take(), sealed.origin);
        self.ignore_client_key(&sealed);
        let proof = Proof::of(&mut sealed, options, report)?;
        self.tell_absent(&sealed, proof.is_some());
        let key = |descriptor: &Arc<KeyDescriptor>| {
            open::warn_of_few_iterations(descriptor, path, report);
            match early {
                Some((used, key)) if Arc::ptr_eq(&used, descriptor) => key,
                _ => open::data_key(descriptor, path, report, client_key),
            }
        };
        let (levels, key) = match (&proof, &sealed.descriptor) {
            // That there is no level has to be shown too.
            (Some(_), Some(descriptor)) if sealed.secrets.are_none() => {
                (Vec::new(), Some(key(descriptor)?))
            }
            _ => open::open(sealed, options.allow_plaintext, report, key)?,
        };
        time.check()?;
        if let Some(proof) = proof {
            proof.check(key.as_ref(), options, report)?;
        }
        Ok(Answer {
            levels,
            key,
            texts,
            origin,
        })
    }

    /// Opens what was cached.
    fn reopen(&self, mut sealed: SealedLevels, key: DataKey) -> Result<Vec<OpenLevel>, Error> {
        self.check(&sealed)?;
        (self.inspect)(&sealed);
        self.ignore_client_key(&sealed);
        let (options, report) = (self.options, self.report);
        let proof = Proof::of(&mut sealed, options, report)?;
        self.tell_absent(&sealed, proof.is_some());
        if let Some(proof) = proof {
            proof.check(Some(&key), options, report)?;
        }
        let opened = open::open(sealed, options.allow_plaintext, report, |_| Ok(key))?;
        Ok(opened.0)
    }

    /// Which custody is expected of what comes from there.
    fn expected(&self, origin: Origin) -> Expectation {
        Expectation::of(self.options, self.variables, origin, self.in_force)
    }

    /// Refuses documents that are not what the reader expects, before anything is derived or opened.
    fn check(&self, sealed: &SealedLevels) -> Result<(), Error> {
        let expected = self.expected(sealed.origin);
        expected.record(self.report);
        expected.check(sealed, &self.options.path)?;
        let path = &self.options.path;
        let mut absent = sealed.secrets.absent(path);
        self.report
            .record(|| Event::AbsentLevels(absent.iter().map(|level| level.as_str()).collect()));
        absent.retain(|level| self.options.require_levels.contains(level));
        if absent.is_empty() {
            return Ok(());
        }
        Err(Error::AbsentLevels {
            path: path.to_string(),
            levels: words(&absent),
        })
    }

    /// Warns of levels that are absent and were not when the command was started, unless a manifest proves that they
    /// have to be.
    fn tell_absent(&self, sealed: &SealedLevels, is_proven: bool) {
        let path = &self.options.path;
        let mut absent = sealed.secrets.absent(path);
        absent.retain(|level| !self.in_force.was_absent(*level));
        if !is_proven && !absent.is_empty() {
            let levels = words(&absent);
            self.report.warn(format_args!(
                "{path}: there is no level {levels}; --require-levels makes that an error"
            ));
        }
    }

    /// Warns of a client key that cannot be used.
    fn ignore_client_key(&self, sealed: &SealedLevels) {
        if sealed.is_server_managed() && ClientKey::is_given(self.variables) {
            self.report.warn(format_args!(
                "the project is server-managed: the client key is ignored"
            ));
        }
    }
}

fn words(levels: &[LevelName]) -> String {
    let words: Vec<_> = levels.iter().map(|level| level.as_str()).collect();
    words.join(", ")
}
