//! A fetch over the network: both documents at the same time, again where that may help, and from a mirror where the
//! service itself fails.

#![forbid(unsafe_code)]

use std::mem;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::cli::ExpectedCustody;
use crate::crypto;
use crate::error::{Error, FromMirror};
use crate::event::{Event, Stage};
use crate::path::SecretPath;
use crate::report::Report;
use crate::store::documents;
use crate::store::http::deadline::{Deadline, Time};
use crate::store::http::retry::{WORTHWHILE, backoff, jitter};
use crate::store::model::{
    Document, KeyDescriptor, OrganizationHint, Origin, SealedLevels, SealedManifest, Secrets, Texts,
};
use crate::store::places::{Place, decoded, record_organization};
use crate::store::requests::{About, Requested, request, single, spawn};

/// The number of pages of a list that are asked for; a page has up to 100 keys, and each is a request that counts.
const MAX_PAGES: u64 = 20;

/// A fetch that is under way, or over.
pub struct Fetch {
    events: Receiver<Step>,
    over: Option<Result<SealedLevels, Error>>,
    thread: Option<JoinHandle<()>>,
}

/// How far a fetch is.
enum Step {
    Descriptor(Arc<KeyDescriptor>),
    Over(Box<Result<SealedLevels, Error>>),
}

/// How much is done for an answer.
pub struct Patience {
    /// How long everything together may take.
    pub timeout: Duration,
    /// How often each place is asked.
    pub attempts: u32,
}

/// What is taken, and what of it is kept.
#[derive(Clone, Copy)]
pub struct Keep {
    /// Whether the documents are given back as they came too.
    pub texts: bool,
    /// The custody that a mirror's project may be in.
    pub of_mirrors: ExpectedCustody,
}

impl Fetch {
    /// One that is over.
    pub fn over(outcome: Result<SealedLevels, Error>) -> Self {
        Fetch {
            events: mpsc::channel().1,
            over: Some(outcome),
            thread: None,
        }
    }

    /// Starts to fetch what `path` holds from the first of `places`, or, where that fails in a way that may pass, from
    /// the mirrors behind it.
    ///
    /// # Errors
    ///
    /// If no thread can be started.
    pub fn start(
        places: Vec<Place>,
        path: SecretPath,
        organization: OrganizationHint,
        patience: Patience,
        keep: Keep,
        report: Report,
    ) -> Result<Self, Error> {
        let (mut rounds, events) = Rounds::new(places, path, organization, patience, report);
        rounds.keep = keep;
        let thread = spawn(move || {
            let outcome = report.timed(Stage::Fetch, || rounds.run());
            let events = rounds.events.clone();
            // With it goes the API key.
            drop(rounds);
            let _ = events.send(Step::Over(Box::new(outcome)));
        })?;
        Ok(Fetch {
            events,
            over: None,
            thread: Some(thread),
        })
    }

    /// Waits until the key descriptor is there, which is often before the secrets are. `None` if the fetch was over
    /// first. Only a descriptor that is also part of the result is of any use.
    pub fn descriptor(&mut self) -> Option<Arc<KeyDescriptor>> {
        if self.over.is_some() {
            return None;
        }
        match self.events.recv().expect("a fetch comes to an end") {
            Step::Descriptor(descriptor) => Some(descriptor),
            Step::Over(outcome) => {
                self.over = Some(*outcome);
                self.thread.take().map(JoinHandle::join);
                None
            }
        }
    }

    /// Waits for the end.
    ///
    /// # Errors
    ///
    /// Why there is no result: a failure that will not pass before one that may, and that of the secrets before that
    /// of the descriptor, whichever came first.
    pub fn finish(mut self) -> Result<SealedLevels, Error> {
        loop {
            if let Some(outcome) = self.over {
                return outcome;
            }
            self.descriptor();
        }
    }
}

/// One place, and what is known of it.
struct Endpoint {
    place: Arc<Place>,
    name: String,
    is_mirror: bool,
    organization: Option<String>,
    secrets: Option<Secrets>,
    descriptor: Option<Arc<KeyDescriptor>>,
    /// Whether there is a manifest; only a mirror is asked for it.
    manifest: Option<Option<SealedManifest>>,
    /// The documents, as far as they are there and are kept.
    texts: Texts,
    /// From when on it may be asked; `None` if never again.
    next: Option<Instant>,
}

impl Endpoint {
    fn new((index, place): (usize, Place)) -> Self {
        Endpoint {
            name: place.name(),
            place: Arc::new(place),
            is_mirror: index > 0,
            organization: None,
            secrets: None,
            descriptor: None,
            manifest: None,
            texts: Texts::default(),
            next: Some(Instant::now()),
        }
    }
}

/// Why documents of an endpoint are not there.
#[derive(Default)]
struct Failures {
    secrets: Option<Error>,
    descriptor: Option<Error>,
    manifest: Option<Error>,
}

/// The rounds over all endpoints.
struct Rounds {
    endpoints: Vec<Endpoint>,
    path: SecretPath,
    hint: OrganizationHint,
    attempts: u32,
    deadline: Deadline,
    keep: Keep,
    report: Report,
    events: Sender<Step>,
}

impl Rounds {
    /// Those of a fetch that begins now, and where it tells how it goes.
    fn new(
        places: Vec<Place>,
        path: SecretPath,
        hint: OrganizationHint,
        patience: Patience,
        report: Report,
    ) -> (Self, Receiver<Step>) {
        let (sender, events) = mpsc::channel();
        let endpoints = places.into_iter().enumerate();
        let rounds = Rounds {
            endpoints: endpoints.map(Endpoint::new).collect(),
            path,
            hint,
            attempts: patience.attempts,
            deadline: Deadline::after(patience.timeout),
            keep: Keep {
                texts: false,
                of_mirrors: ExpectedCustody::Client,
            },
            report,
            events: sender,
        };
        (rounds, events)
    }

    /// Goes round until one endpoint has given everything, one has failed for good, or it is of no use to go on.
    fn run(&mut self) -> Result<SealedLevels, Error> {
        let mut first_failure = None;
        if let Some(organization) = self.hint.known() {
            record_organization(organization, &self.report);
        }
        for round in 1..=self.attempts {
            let now = Instant::now();
            let is_ready = |it: &usize| self.endpoints[*it].next.is_some_and(|next| next <= now);
            let ready: Vec<_> = (0..self.endpoints.len()).filter(is_ready).collect();
            for (done, index) in ready.iter().enumerate() {
                let time = self.deadline.share(ready.len() - done);
                let error = match self.ask(*index, &time) {
                    Ok(sealed) => {
                        self.tell_of_mirror(*index, first_failure.as_ref());
                        return Ok(sealed);
                    }
                    Err(error) if !error.may_pass() => {
                        return Err(self.final_failure(*index, error));
                    }
                    Err(error) => error,
                };
                let name = &self.endpoints[*index].name;
                self.report
                    .note(format_args!("attempt {round} at {name}: {error}"));
                self.endpoints[*index].next = self.next_attempt(&error);
                // The service is what was asked for, so that its failure is what counts.
                if *index == 0 || first_failure.is_none() {
                    first_failure = Some(error);
                }
            }
            if round == self.attempts || !self.wait(round) {
                break;
            }
        }
        Err(first_failure.expect("there is an endpoint, and it failed"))
    }

    /// A failure that stays. What a mirror denies says nothing about what the service would, so that nobody must take
    /// it for the service's word.
    fn final_failure(&self, index: usize, error: Error) -> Error {
        let status = match error {
            Error::Unauthorized { .. } => 401,
            Error::Forbidden { .. } => 403,
            Error::NotFound { .. } => 404,
            _ => return error,
        };
        let endpoint = &self.endpoints[index];
        if !endpoint.is_mirror {
            return error;
        }
        Error::Mirror {
            mirror: endpoint.name.clone(),
            refused: FromMirror::Denial {
                path: self.path.to_string(),
                status,
            },
        }
    }

    /// When an endpoint that failed may be asked again: in the next round, or when it says.
    fn next_attempt(&self, error: &Error) -> Option<Instant> {
        if !error.is_worth_another_attempt() {
            return None;
        }
        let Some(asked) = error.asked_wait() else {
            return Some(Instant::now());
        };
        let spare = self.room()?.checked_sub(asked)?;
        let jitter = jitter(asked, random()).min(spare / 2);
        Some(Instant::now() + asked + jitter)
    }

    /// Waits for the next round; tells whether there is one.
    fn wait(&self, failed_rounds: u32) -> bool {
        let Some(next) = self.endpoints.iter().filter_map(|it| it.next).min() else {
            return false;
        };
        let wait = match next.checked_duration_since(Instant::now()) {
            Some(asked) if !asked.is_zero() => asked,
            _ => backoff(failed_rounds, random()),
        };
        if self.room().is_none_or(|room| wait > room) {
            return false;
        }
        self.report
            .note(format_args!("next attempt in {:.1} s", wait.as_secs_f64()));
        thread::sleep(wait);
        true
    }

    /// The longest wait that an attempt can follow.
    fn room(&self) -> Option<Duration> {
        self.deadline.remaining().checked_sub(WORTHWHILE)
    }

    fn tell_of_mirror(&self, index: usize, failure: Option<&Error>) {
        if let (true, Some(failure)) = (self.endpoints[index].is_mirror, failure) {
            let name = &self.endpoints[index].name;
            self.report.record(|| Event::Mirror(name));
            self.report.warn(format_args!(
                "the secrets come from the mirror {name}: {failure}"
            ));
        }
    }

    /// Asks one endpoint for what it has not given yet.
    fn ask(&mut self, index: usize, time: &Time) -> Result<SealedLevels, Error> {
        let organization = self.organization(index, time)?;
        let endpoint = &self.endpoints[index];
        let mut wanted = Vec::new();
        wanted.extend(endpoint.secrets.is_none().then_some(Requested::Secrets));
        wanted.extend(
            endpoint
                .descriptor
                .is_none()
                .then_some(Requested::EncryptionKey),
        );
        let is_mirror = endpoint.is_mirror;
        let lacks_manifest = is_mirror && endpoint.manifest.is_none();
        wanted.extend(lacks_manifest.then_some(Requested::Manifest));
        let place = Arc::clone(&endpoint.place);
        let about = Arc::new((organization, self.path.clone()));
        let mut failed = Failures::default();
        request(&place, &about, &wanted, time, &mut |wanted, answer| {
            match wanted {
                Requested::Secrets => {
                    failed.secrets = self.accept_secrets(index, &about, answer).err()
                }
                Requested::Manifest => {
                    failed.manifest = self.accept_manifest(index, &about, answer).err()
                }
                _ => failed.descriptor = self.accept_descriptor(index, &about, answer).err(),
            }
            let secrets = self.endpoints[index].secrets.as_ref();
            let stays = |error: &Error| !error.may_pass();
            // The descriptor makes no difference then; that of a mirror tells that it may have no level.
            if failed.secrets.as_ref().is_some_and(stays)
                || !is_mirror && secrets.is_some_and(Secrets::are_none)
            {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        self.outcome(index, failed)
    }

    /// What the answers of one endpoint, as far as there are any, come to.
    fn outcome(&mut self, index: usize, failed: Failures) -> Result<SealedLevels, Error> {
        let endpoint = &mut self.endpoints[index];
        let has_levels = !endpoint.secrets.as_ref().is_some_and(Secrets::are_none);
        let is_needed = has_levels || endpoint.is_mirror;
        let failed_descriptor = failed.descriptor.filter(|_| is_needed);
        let others = decisive(failed_descriptor, failed.manifest);
        if let Some(error) = decisive(failed.secrets, others) {
            return Err(error);
        }
        let secrets = endpoint.secrets.take().expect("secrets that did not fail");
        let descriptor = endpoint.descriptor.clone().filter(|_| is_needed);
        let organization = endpoint.organization.as_deref().or(self.hint.known());
        let organization = organization.map(str::to_owned);
        endpoint.texts.organization = organization.clone().unwrap_or_default();
        Ok(SealedLevels {
            organization,
            secrets,
            descriptor,
            manifest: endpoint.manifest.take().flatten(),
            texts: self.keep.texts.then(|| mem::take(&mut endpoint.texts)),
            origin: if endpoint.is_mirror {
                Origin::Mirror
            } else {
                Origin::Service
            },
        })
    }

    /// The organization in the routes of an endpoint: what is known, or what it says itself.
    fn organization(&mut self, index: usize, time: &Time) -> Result<String, Error> {
        let endpoint = &self.endpoints[index];
        if let Some(known) = endpoint.organization.as_deref().or(self.hint.known()) {
            return Ok(known.to_owned());
        }
        let about = Arc::new((String::new(), self.path.clone()));
        let text = single(&endpoint.place, &about, Requested::Organization, time)?;
        let record = decoded(&text, Document::Organization, documents::organization)?;
        let organization = self.hint.check(record)?;
        record_organization(&organization, &self.report);
        self.endpoints[index].organization = Some(organization.clone());
        Ok(organization)
    }

    fn accept_secrets(
        &mut self,
        index: usize,
        about: &About,
        answer: Result<String, Error>,
    ) -> Result<(), Error> {
        let document = Requested::Secrets.document(about);
        let text = answer?;
        let secrets = decoded(&text, document, documents::secrets)?;
        secrets.check_depth(&self.path)?;
        let endpoint = &mut self.endpoints[index];
        if let Some(level) = secrets.levels.iter().find(|level| !level.encrypted)
            && endpoint.is_mirror
        {
            return Err(Error::Mirror {
                mirror: endpoint.name.clone(),
                refused: FromMirror::Plaintext { level: level.name },
            });
        }
        endpoint.secrets = Some(secrets);
        if self.keep.texts {
            endpoint.texts.secrets = text;
            endpoint.texts.receive();
        }
        Ok(())
    }

    fn accept_manifest(
        &mut self,
        index: usize,
        about: &About,
        answer: Result<String, Error>,
    ) -> Result<(), Error> {
        let document = Requested::Manifest.document(about);
        let text = match answer {
            // What that means is decided where it is known whether one is needed.
            Err(Error::NotFound { .. }) => None,
            answer => Some(answer?),
        };
        let manifest = text
            .as_ref()
            .map(|text| decoded(text, document, documents::manifest));
        let endpoint = &mut self.endpoints[index];
        endpoint.manifest = Some(manifest.transpose()?);
        if self.keep.texts {
            endpoint.texts.manifest = text.unwrap_or_default();
        }
        Ok(())
    }

    fn accept_descriptor(
        &mut self,
        index: usize,
        about: &About,
        answer: Result<String, Error>,
    ) -> Result<(), Error> {
        let document = Requested::EncryptionKey.document(about);
        let text = answer?;
        let descriptor = decoded(&text, document, documents::descriptor)?;
        let endpoint = &mut self.endpoints[index];
        let is_accepted = self.keep.of_mirrors.accepts(descriptor.is_client_managed());
        if endpoint.is_mirror && !descriptor.is_client_managed() && !is_accepted {
            return Err(Error::Mirror {
                mirror: endpoint.name.clone(),
                refused: FromMirror::ServerManaged {
                    project: self.path.project().to_owned(),
                },
            });
        }
        let descriptor = Arc::new(descriptor);
        endpoint.descriptor = Some(Arc::clone(&descriptor));
        if self.keep.texts {
            endpoint.texts.descriptor = text;
            endpoint.texts.receive();
        }
        let _ = self.events.send(Step::Descriptor(descriptor));
        Ok(())
    }
}

/// Asks a place once for the list of API keys, page by page.
///
/// # Errors
///
/// Why there is no list, or not all of it.
pub fn api_keys(
    place: Place,
    path: &SecretPath,
    organization: OrganizationHint,
    timeout: Duration,
    report: Report,
) -> Result<Vec<documents::ApiKeyRecord>, Error> {
    let patience = Patience {
        timeout,
        attempts: 1,
    };
    let (mut rounds, _) = Rounds::new(vec![place], path.clone(), organization, patience, report);
    let time = rounds.deadline.share(1);
    let about = Arc::new((rounds.organization(0, &time)?, rounds.path.clone()));
    let mut records = Vec::new();
    for page in 1..=MAX_PAGES {
        let wanted = Requested::ApiKeys { page };
        let text = single(&rounds.endpoints[0].place, &about, wanted, &time)?;
        let (mut more, pages) = decoded(&text, wanted.document(&about), documents::api_keys)?;
        records.append(&mut more);
        if page >= pages {
            return Ok(records);
        }
    }
    Err(Error::Malformed {
        document: Requested::ApiKeys { page: 1 }.document(&about).to_string(),
        flaw: format!("more than {MAX_PAGES} pages"),
    })
}

/// Which of two failures counts: one that stays before one that may pass, and then that of the secrets, unless the other
/// comes with a longer wait.
fn decisive(secrets: Option<Error>, descriptor: Option<Error>) -> Option<Error> {
    match (secrets, descriptor) {
        (Some(secrets), Some(descriptor)) if secrets.may_pass() => {
            let waits_longer = descriptor.asked_wait() > secrets.asked_wait();
            if waits_longer || !descriptor.may_pass() {
                Some(descriptor)
            } else {
                Some(secrets)
            }
        }
        (secrets, descriptor) => secrets.or(descriptor),
    }
}

/// A number that nobody can guess or share; the largest, which means the longest wait, where the system has none.
fn random() -> u32 {
    crypto::random().map_or(u32::MAX, u32::from_le_bytes)
}
