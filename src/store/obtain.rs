//! Obtaining the levels of a path, opened: from the service, a mirror, a sealed tree or the cache.

#![forbid(unsafe_code)]

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
use crate::store::custody::{AllInForce, Expectation};
use crate::store::derivations::Derivations;
use crate::store::fetch::{self, Fetch, Keep, Patience};
use crate::store::http::attribution::{self, PRODUCT, Surroundings};
use crate::store::http::client::Identity;
use crate::store::model::{KeyDescriptor, OrganizationHint, Origin, SealedLevels, SealedPaths};
use crate::store::open::{self, OpenLevel};
use crate::store::places;
use crate::store::proof::{self, Proof};
use crate::store::stopwatch::Stopwatch;
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
    pub in_force: AllInForce,
    /// Looks at the documents before any level is opened. It does not return if that is of no use.
    pub inspect: &'a dyn Fn(&[SealedLevels]),
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
        let read = || places::read_tree(&Tree::open(root)?, &options.paths, &hint, *report);
        let expected = self.expectations(Origin::Tree);
        expected.for_each(|it| it.record(report));
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
            of_mirrors: self
                .expectations(Origin::Mirror)
                .map(|it| it.custody)
                .collect(),
        };
        let expected = self.expectations(Origin::Service);
        expected.for_each(|it| it.record(self.report));
        // Only a check still has a use for the key when everything is there.
        let again = (self.occasion == Occasion::Check).then(|| Arc::clone(&key));
        let fetch = || {
            let timeout = self.network.timeout;
            let fetched = |key, timeout| {
                let (identity, keep) = (self.identity(key), keep.clone());
                self.unseal(self.fetch(url, identity, &hint, (keep, timeout))?, timeout)
            };
            let has_mirrors = !self.network.mirrors.is_empty();
            let spare = has_mirrors.then(|| Arc::clone(&key));
            let answer = fetched(key, timeout);
            // A mirror may have been asked in the middle of a change. A key that was typed is not asked for again.
            let may_be_torn = matches!(&answer, Err(Error::NotWhole { flaw, .. }) if flaw.may_be_torn())
                && self.are_client_keys_at_hand();
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
            &self.options.paths,
            *self.report,
        )
    }

    fn are_client_keys_at_hand(&self) -> bool {
        let mut projects = self.options.paths.projects();
        projects.all(|path| ClientKey::is_at_hand(path.project(), self.variables))
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
        let paths = self.options.paths.clone();
        Fetch::start(places, paths, hint.clone(), patience, keep, *self.report)
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
                fetch::api_keys(service, &options.paths, hint.clone(), timeout, *report)
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

    /// Opens what a fetch brings, with keys that are derived as soon as their descriptors are there.
    fn unseal(&self, mut fetch: Fetch, timeout: Duration) -> Result<Answer, Error> {
        let (paths, report) = (&self.options.paths, self.report);
        let time = Stopwatch::start(timeout);
        let mut keys = Derivations::new(paths, self.variables, &time, report);
        while let Some((project, descriptor)) = fetch.descriptor() {
            if self.is_derived_early(project, &descriptor) {
                keys.begin(project, &descriptor);
            }
        }
        let SealedPaths {
            each: sealed,
            texts,
        } = fetch.finish()?;
        time.check()?;
        let (sealed, proofs) = self.looked_at(sealed)?;
        let origin = sealed.first().map_or(Origin::Service, |it| it.origin);
        let keys = keys.finish(&self.needed(&sealed, &proofs))?;
        let levels = self.opened(sealed, &keys)?;
        time.check()?;
        self.prove(proofs, &keys)?;
        Ok(Answer {
            levels,
            keys,
            texts,
            origin,
        })
    }

    /// Whether the key of a project is derived before the secrets are there. Nobody is asked for a key so early, and none
    /// is derived for what is known.
    fn is_derived_early(&self, project: usize, descriptor: &KeyDescriptor) -> bool {
        let slug = self.options.paths.in_project(project).project();
        let is_at_hand = || ClientKey::is_at_hand(slug, self.variables);
        open::is_fast_to_derive(descriptor)
            && self.expected(project, Origin::Service).accepts(descriptor)
            && (!descriptor.is_client_managed() || is_at_hand())
            && self.occasion != Occasion::Renewal
    }

    /// Opens what was cached.
    fn reopen(&self, sealed: SealedPaths, keys: Vec<DataKey>) -> Result<Vec<OpenLevel>, Error> {
        let (sealed, proofs) = self.looked_at(sealed.each)?;
        let keys: Vec<_> = keys.into_iter().map(Some).collect();
        self.prove(proofs, &keys)?;
        self.opened(sealed, &keys)
    }

    /// Looks at the documents of all paths before any key is used: whether they are what is expected, and what has to
    /// prove it.
    fn looked_at(&self, mut sealed: Vec<SealedLevels>) -> Result<Looked, Error> {
        let (options, report) = (self.options, self.report);
        let paths = &options.paths;
        self.check(&sealed)?;
        (self.inspect)(&sealed);
        self.ignore_client_keys(&sealed);
        let proof = |(sealed, path)| Proof::of(sealed, path, options);
        let proofs = sealed.iter_mut().zip(paths.iter()).map(proof);
        let proofs: Vec<_> = proofs.collect::<Result<_, _>>()?;
        for project in 0..paths.projects().len() {
            let lacks = |path: usize| proofs[path].is_none() && Proof::is_due(&sealed[path]);
            if paths.all_in(project).any(lacks) {
                proof::warn_of_none(paths.in_project(project), report);
            }
        }
        self.tell_absent(&sealed, &proofs);
        open::admit(&sealed, paths, options.allow_plaintext, report)?;
        Ok((sealed, proofs))
    }

    /// The descriptors of the projects whose keys are needed. That there is no level has to be shown too.
    fn needed(
        &self,
        sealed: &[SealedLevels],
        proofs: &[Option<Proof>],
    ) -> Vec<Option<Arc<KeyDescriptor>>> {
        let paths = &self.options.paths;
        let is_needed = |path: &usize| sealed[*path].needs_key() || proofs[*path].is_some();
        let needed = |project| {
            let path = paths.all_in(project).find(is_needed)?;
            sealed[path].descriptor.clone()
        };
        (0..paths.projects().len()).map(needed).collect()
    }

    fn opened(
        &self,
        sealed: Vec<SealedLevels>,
        keys: &[Option<DataKey>],
    ) -> Result<Vec<OpenLevel>, Error> {
        let paths = &self.options.paths;
        let mut levels = Vec::new();
        for (path, sealed) in sealed.into_iter().enumerate() {
            let key = keys[paths.project_of(path)].as_ref();
            levels.extend(open::open(sealed, (path, paths), key, self.report)?);
        }
        Ok(levels)
    }

    fn prove(&self, proofs: Vec<Option<Proof>>, keys: &[Option<DataKey>]) -> Result<(), Error> {
        let paths = &self.options.paths;
        for (path, proof) in proofs.into_iter().enumerate() {
            if let Some(proof) = proof {
                let key = keys[paths.project_of(path)].as_ref();
                proof.check(key, self.options, self.report)?;
            }
        }
        Ok(())
    }

    /// Which custody is expected of a project that comes from there.
    fn expected(&self, project: usize, origin: Origin) -> Expectation {
        let paths = &self.options.paths;
        let first = paths.all_in(project).next().unwrap_or_default();
        let in_force = self.in_force[first];
        let path = paths.get(first);
        Expectation::of(path, self.options, self.variables, origin, in_force)
    }

    /// The same of every project.
    fn expectations(&self, origin: Origin) -> impl Iterator<Item = Expectation> {
        let projects = 0..self.options.paths.projects().len();
        projects.map(move |project| self.expected(project, origin))
    }

    /// Refuses documents that are not what the reader expects, before anything is derived or opened.
    fn check(&self, sealed: &[SealedLevels]) -> Result<(), Error> {
        let paths = &self.options.paths;
        let origin = sealed.first().map_or(Origin::Service, |it| it.origin);
        for (project, expected) in self.expectations(origin).enumerate() {
            expected.record(self.report);
            for path in paths.all_in(project) {
                expected.check(&sealed[path])?;
            }
        }
        let absent = sealed.iter().zip(paths.iter());
        let absent: Vec<_> = absent
            .map(|(sealed, path)| sealed.secrets.absent(path))
            .collect();
        self.report.record(|| {
            let each = absent.iter().enumerate();
            let named = each.flat_map(|(path, levels)| {
                levels
                    .iter()
                    .map(move |level| paths.level(path, *level).to_string())
            });
            Event::AbsentLevels(named.collect())
        });
        for (path, mut absent) in paths.iter().zip(absent) {
            absent.retain(|level| self.options.require_levels.contains(level));
            if !absent.is_empty() {
                return Err(Error::AbsentLevels {
                    path: path.to_string(),
                    levels: words(&absent),
                });
            }
        }
        Ok(())
    }

    /// Warns of levels that are absent and were not when the command was started, unless a manifest proves that they
    /// have to be.
    fn tell_absent(&self, sealed: &[SealedLevels], proofs: &[Option<Proof>]) {
        let paths = self.options.paths.iter().zip(self.in_force);
        for (((path, in_force), sealed), proof) in paths.zip(sealed).zip(proofs) {
            let mut absent = sealed.secrets.absent(path);
            absent.retain(|level| !in_force.was_absent(*level));
            if proof.is_none() && !absent.is_empty() {
                let levels = words(&absent);
                self.report.warn(format_args!(
                    "{path}: there is no level {levels}; --require-levels makes that an error"
                ));
            }
        }
    }

    /// Warns of client keys that cannot be used. One that is for all others may be meant for another project.
    fn ignore_client_keys(&self, sealed: &[SealedLevels]) {
        let paths = &self.options.paths;
        for (project, path) in paths.projects().enumerate() {
            let slug = path.project();
            let mut all = paths.all_in(project);
            if !all.any(|path| sealed[path].is_server_managed()) {
                continue;
            }
            if paths.projects().len() > 1 {
                if ClientKey::is_own(slug, self.variables) {
                    self.report.warn(format_args!(
                        "the project {slug} is server-managed: its client key is ignored"
                    ));
                }
            } else if ClientKey::is_given(slug, self.variables) {
                self.report.warn(format_args!(
                    "the project is server-managed: the client key is ignored"
                ));
            }
        }
    }
}

/// Documents that were looked at, and what has to prove that they are whole.
type Looked = (Vec<SealedLevels>, Vec<Option<Proof>>);

fn words(levels: &[LevelName]) -> String {
    let words: Vec<_> = levels.iter().map(|level| level.as_str()).collect();
    words.join(", ")
}
