//! Obtaining the levels of a path, opened: from the service, a mirror, a sealed tree or the cache.

#![forbid(unsafe_code)]

use std::path::Path;
use std::sync::Arc;

use crate::audit::Audit;
use crate::check::{self, Stage};
use crate::cli::{ApiUrl, Network, Options, ServiceUrl};
use crate::crypto::DataKey;
use crate::error::Error;
use crate::keys::{ApiKey, ClientKey, Variables};
use crate::report::Report;
use crate::run::watch::keeper::Candidate;
use crate::store::cache::{Answer, Cache, Pending};
use crate::store::fetch::Fetch;
use crate::store::http::attribution::{self, PRODUCT, Surroundings};
use crate::store::http::client::Identity;
use crate::store::open::{self, OpenLevel};
use crate::store::tree::Tree;
use crate::store::{self, Descriptor, OrganizationHint, Sealed};
use crate::sys::Environ;

/// What decides which levels are obtained, and how.
pub struct Wanted<'a> {
    /// What was asked for.
    pub options: &'a Options,
    /// The environment that we were started with.
    pub environ: &'a Environ,
    /// The variables about keys.
    pub variables: &'a Variables,
    /// How the network is used.
    pub network: &'a Network,
    /// With `--watch`, the run that this is one of.
    pub candidate: Option<&'a Candidate>,
    /// Who is told of it.
    pub report: &'a Report,
}

impl Wanted<'_> {
    /// Brings the levels and opens them. What is left to do with a cache is given back too.
    ///
    /// # Errors
    ///
    /// Why not all of them are there and open.
    pub fn obtain(&self, audit: &mut Audit) -> Result<(Vec<OpenLevel>, Option<Pending>), Error> {
        match &self.options.api_url {
            ApiUrl::Service(url) => self.ask(url, audit),
            ApiUrl::Tree(root) => Ok((self.read(root, audit)?, None)),
        }
    }

    fn read(&self, root: &Path, audit: &mut Audit) -> Result<Vec<OpenLevel>, Error> {
        let (options, report) = (self.options, self.report);
        if options.caching.is_some() {
            report.note(format_args!("a sealed tree is not cached"));
        }
        let hint = OrganizationHint::InTree(options.organization.clone());
        // Its descriptor is free again when the client key is read from one.
        let read = || store::read(&Tree::open(root)?, &options.path, &hint, *report);
        let sealed = report.timed(Stage::Fetch, read);
        Ok(self.unseal(Fetch::over(sealed), audit)?.levels)
    }

    fn ask(
        &self,
        url: &ServiceUrl,
        audit: &mut Audit,
    ) -> Result<(Vec<OpenLevel>, Option<Pending>), Error> {
        let (options, report) = (self.options, self.report);
        let (path, network) = (&options.path, self.network);
        let find = || ApiKey::find(self.variables, report).map(Arc::new);
        let key = report.timed(Stage::Keys, find)?;
        audit.note_key(&key);
        let hint = OrganizationHint::new(options.organization.clone(), key.organization());
        let cache = options
            .caching
            .and_then(|caching| Cache::open(caching, &key, url, &hint, path, *report));
        let keep_texts = cache.is_some();
        // Only a check still has a use for the key when everything is there.
        let again = report
            .is_checking()
            .then(|| (Arc::clone(&key), hint.clone()));
        let fetch = || {
            let identity = self.identity(key);
            let fetch = store::fetch(url, identity, network, path, hint, keep_texts, *report)?;
            self.unseal(fetch, audit)
        };
        let obtained = match cache {
            None => (fetch()?.levels, None),
            Some(cache) => {
                let (levels, pending) = match self.is_renewal() {
                    true => cache.renewed(fetch),
                    false => cache.levels(|sealed, key| self.reopen(sealed, key), fetch),
                }?;
                (levels, Some(pending))
            }
        };
        if let Some((key, hint)) = again {
            let identity = self.identity(Arc::clone(&key));
            check::look_at_key(&key, report, || {
                store::api_keys(url, identity, network, path, hint, report)
            });
        }
        Ok(obtained)
    }

    /// Who the service is told that asks.
    fn identity(&self, key: Arc<ApiKey>) -> Identity {
        let agent = match self.options.attribution {
            true => attribution::user_agent(&Surroundings {
                variable: &|name| self.environ.text(name),
                file: &|file| std::fs::read_to_string(file).ok(),
            }),
            false => PRODUCT.to_owned(),
        };
        Identity { key, agent }
    }

    /// Opens what a fetch brings, with a key that is derived as soon as its descriptor is there.
    fn unseal(&self, mut fetch: Fetch, audit: &mut Audit) -> Result<Answer, Error> {
        let (options, variables, report) = (self.options, self.variables, self.report);
        let path = &options.path;
        let find = || ClientKey::find(variables, report);
        let client_key = || report.timed(Stage::Keys, find);
        // Nobody is asked for a key before the secrets are there, and none is derived for what is known.
        let early = fetch.descriptor().filter(|descriptor| {
            open::is_fast_to_derive(descriptor)
                && (!descriptor.is_client_managed() || ClientKey::is_at_hand(variables))
                && !self.is_renewal()
        });
        let early = early.map(|descriptor| {
            let key = open::data_key(&descriptor, path, report, client_key);
            (descriptor, key)
        });
        let mut sealed = fetch.finish()?;
        audit.note_organization(sealed.organization.as_deref());
        self.check_documents(&sealed);
        let texts = sealed.texts.take();
        self.ignore_client_key(&sealed);
        let key = |descriptor: &Arc<Descriptor>| {
            open::warn_of_few_iterations(descriptor, path, report);
            match early {
                Some((used, key)) if Arc::ptr_eq(&used, descriptor) => key,
                _ => open::data_key(descriptor, path, report, client_key),
            }
        };
        let (levels, key) = open::open(sealed, options.allow_plaintext, report, key)?;
        Ok(Answer { levels, key, texts })
    }

    /// Opens what was cached.
    fn reopen(&self, sealed: Sealed, key: DataKey) -> Result<Vec<OpenLevel>, Error> {
        self.check_documents(&sealed);
        self.ignore_client_key(&sealed);
        let options = self.options;
        let opened = open::open(sealed, options.allow_plaintext, self.report, |_| Ok(key))?;
        Ok(opened.0)
    }

    /// Whether there is a command already.
    fn is_renewal(&self) -> bool {
        self.candidate.is_some_and(Candidate::is_renewal)
    }

    /// Ends a renewal here if there is nothing new.
    fn check_documents(&self, sealed: &Sealed) {
        if let Some(candidate) = self.candidate {
            candidate.check_documents(sealed);
        }
    }

    /// Passes over the client key where it is of no use.
    fn ignore_client_key(&self, sealed: &Sealed) {
        if sealed.is_server_managed() && ClientKey::is_given(self.variables) {
            self.report.warn(format_args!(
                "the project is server-managed: the client key is ignored"
            ));
        }
    }
}
