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
use crate::path::PathList;
use crate::report::Report;
use crate::store::documents;
use crate::store::http::deadline::{Deadline, Time};
use crate::store::http::retry::{WORTHWHILE, backoff, jitter};
use crate::store::model::{
    Document, KeyDescriptor, OrganizationHint, Origin, SealedLevels, SealedManifest, SealedPaths,
    Secrets, Texts,
};
use crate::store::places::{Place, decoded, record_organization};
use crate::store::requests::{About, Requested, request, single, spawn};

/// The number of pages of a list that are asked for; a page has up to 100 keys, and each is a request that counts.
const MAX_PAGES: u64 = 20;

/// A fetch that is under way, or over.
pub struct Fetch {
    events: Receiver<Step>,
    over: Option<Result<SealedPaths, Error>>,
    thread: Option<JoinHandle<()>>,
}

/// How far a fetch is.
enum Step {
    /// The key descriptor of the project of this number.
    Descriptor(usize, Arc<KeyDescriptor>),
    Over(Box<Result<SealedPaths, Error>>),
}

/// How much is done for an answer.
pub struct Patience {
    /// How long everything together may take.
    pub timeout: Duration,
    /// How often each place is asked.
    pub attempts: u32,
}

/// What is taken, and what of it is kept.
#[derive(Clone, Default)]
pub struct Keep {
    /// Whether the documents are given back as they came too.
    pub texts: bool,
    /// The custody that each project of a mirror may be in.
    pub of_mirrors: Vec<ExpectedCustody>,
}

impl Fetch {
    /// One that is over.
    pub fn over(outcome: Result<SealedPaths, Error>) -> Self {
        Fetch {
            events: mpsc::channel().1,
            over: Some(outcome),
            thread: None,
        }
    }

    /// Starts to fetch what `paths` hold from the first of `places`, or, where that fails in a way that may pass, from
    /// the mirrors behind it.
    ///
    /// # Errors
    ///
    /// If no thread can be started.
    pub fn start(
        places: Vec<Place>,
        paths: PathList,
        organization: OrganizationHint,
        patience: Patience,
        keep: Keep,
        report: Report,
    ) -> Result<Self, Error> {
        let (mut rounds, events) = Rounds::new(places, paths, organization, patience, report);
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

    /// Waits until the next key descriptor is there, which is often before the secrets are, and gives the number of its
    /// project too. `None` if the fetch was over first. Only a descriptor that is also part of the result is of any use.
    pub fn descriptor(&mut self) -> Option<(usize, Arc<KeyDescriptor>)> {
        if self.over.is_some() {
            return None;
        }
        match self.events.recv().expect("a fetch comes to an end") {
            Step::Descriptor(project, descriptor) => Some((project, descriptor)),
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
    pub fn finish(mut self) -> Result<SealedPaths, Error> {
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
    /// Those of each path.
    secrets: Vec<Option<Secrets>>,
    /// That of each project.
    descriptors: Vec<Option<Arc<KeyDescriptor>>>,
    /// Whether each project has a manifest; only a mirror is asked for it.
    manifests: Vec<Option<Option<Arc<SealedManifest>>>>,
    /// The documents, as far as they are there and are kept.
    texts: Texts,
    /// From when on it may be asked; `None` if never again.
    next: Option<Instant>,
}

impl Endpoint {
    fn new((index, place): (usize, Place), paths: &PathList) -> Self {
        let projects = paths.projects().len();
        Endpoint {
            name: place.name(),
            place: Arc::new(place),
            is_mirror: index > 0,
            organization: None,
            secrets: paths.iter().map(|_| None).collect(),
            descriptors: vec![None; projects],
            manifests: vec![None; projects],
            texts: Texts::of(paths),
            next: Some(Instant::now()),
        }
    }

    /// The documents that it has not given yet, those that decide first.
    fn lacking(&self) -> Vec<Requested> {
        let secrets = self.secrets.iter().enumerate();
        let secrets = secrets.filter(|(_, secrets)| secrets.is_none());
        let secrets = secrets.map(|(path, _)| Requested::Secrets { path });
        let descriptors = self.descriptors.iter().enumerate();
        let descriptors = descriptors.filter(|(_, descriptor)| descriptor.is_none());
        let descriptors = descriptors.map(|(project, _)| Requested::EncryptionKey { project });
        let manifests = self.manifests.iter().enumerate();
        let manifests = manifests.filter(|(_, manifest)| manifest.is_none() && self.is_mirror);
        let manifests = manifests.map(|(project, _)| Requested::Manifest { project });
        secrets.chain(descriptors).chain(manifests).collect()
    }

    /// Whether all is there to tell that a project has no level, so that its descriptor makes no difference; that of a
    /// mirror tells that it may have none.
    fn has_none(&self, paths: &PathList, project: usize) -> bool {
        let is_none = |path: usize| self.secrets[path].as_ref().is_some_and(Secrets::are_none);
        !self.is_mirror && paths.all_in(project).all(is_none)
    }
}

/// Why documents of an endpoint are not there.
type Failures = Vec<(Requested, Error)>;

/// The rounds over all endpoints.
struct Rounds {
    endpoints: Vec<Endpoint>,
    paths: PathList,
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
        paths: PathList,
        hint: OrganizationHint,
        patience: Patience,
        report: Report,
    ) -> (Self, Receiver<Step>) {
        let (sender, events) = mpsc::channel();
        let endpoints = places.into_iter().enumerate();
        let rounds = Rounds {
            endpoints: endpoints.map(|it| Endpoint::new(it, &paths)).collect(),
            paths,
            hint,
            attempts: patience.attempts,
            deadline: Deadline::after(patience.timeout),
            keep: Keep::default(),
            report,
            events: sender,
        };
        (rounds, events)
    }

    /// Goes round until one endpoint has given everything, one has failed for good, or it is of no use to go on.
    fn run(&mut self) -> Result<SealedPaths, Error> {
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
        let path = match error {
            Error::Forbidden { path, .. } | Error::NotFound { path, .. } => path,
            _ => self.paths.to_string(),
        };
        Error::Mirror {
            mirror: endpoint.name.clone(),
            refused: FromMirror::Denial { path, status },
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
    fn ask(&mut self, index: usize, time: &Time) -> Result<SealedPaths, Error> {
        let organization = self.organization(index, time)?;
        let endpoint = &self.endpoints[index];
        let (place, wanted) = (Arc::clone(&endpoint.place), endpoint.lacking());
        let about = Arc::new((organization, self.paths.clone()));
        let mut failed = Failures::new();
        request(&place, &about, &wanted, time, &mut |wanted, answer| {
            let accepted = self.accept(index, &about, wanted, answer);
            let is_over = match &accepted {
                Err(error) => matches!(wanted, Requested::Secrets { .. }) && !error.may_pass(),
                Ok(()) => self.has_nothing(index),
            };
            failed.extend(accepted.err().map(|error| (wanted, error)));
            if is_over {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        self.outcome(index, failed)
    }

    /// Whether an endpoint has said that there is no level at all.
    fn has_nothing(&self, index: usize) -> bool {
        let endpoint = &self.endpoints[index];
        let mut projects = 0..endpoint.descriptors.len();
        projects.all(|project| endpoint.has_none(&self.paths, project))
    }

    /// What the answers of one endpoint, as far as there are any, come to.
    fn outcome(&mut self, index: usize, mut failed: Failures) -> Result<SealedPaths, Error> {
        let paths = &self.paths;
        let endpoint = &mut self.endpoints[index];
        // The failure of a document that is of no use does not count.
        failed.retain(|(wanted, _)| match wanted {
            Requested::EncryptionKey { project } => !endpoint.has_none(paths, *project),
            _ => true,
        });
        failed.sort_by_key(|(wanted, _)| rank(*wanted));
        let errors = failed.into_iter().map(|(_, error)| error);
        if let Some(error) = errors.reduce(decisive) {
            return Err(error);
        }
        let organization = endpoint.organization.as_deref().or(self.hint.known());
        let organization = organization.map(str::to_owned);
        endpoint.texts.organization = organization.clone().unwrap_or_default();
        let origin = match endpoint.is_mirror {
            true => Origin::Mirror,
            false => Origin::Service,
        };
        let needed = |path: usize| {
            let project = paths.project_of(path);
            (!endpoint.has_none(paths, project)).then_some(project)
        };
        let needed: Vec<_> = (0..paths.len()).map(needed).collect();
        let secrets = endpoint.secrets.iter_mut().zip(needed).enumerate();
        let each = secrets.map(|(path, (secrets, project))| SealedLevels {
            organization: organization.clone(),
            secrets: secrets.take().expect("secrets that did not fail"),
            descriptor: project.and_then(|project| endpoint.descriptors[project].clone()),
            manifest: endpoint.manifests[paths.project_of(path)].clone().flatten(),
            origin,
        });
        Ok(SealedPaths {
            each: each.collect(),
            texts: self.keep.texts.then(|| mem::take(&mut endpoint.texts)),
        })
    }

    /// The organization in the routes of an endpoint: what is known, or what it says itself.
    fn organization(&mut self, index: usize, time: &Time) -> Result<String, Error> {
        let endpoint = &self.endpoints[index];
        if let Some(known) = endpoint.organization.as_deref().or(self.hint.known()) {
            return Ok(known.to_owned());
        }
        let about = Arc::new((String::new(), self.paths.clone()));
        let text = single(&endpoint.place, &about, Requested::Organization, time)?;
        let record = decoded(&text, Document::Organization, documents::organization)?;
        let organization = self.hint.check(record)?;
        record_organization(&organization, &self.report);
        self.endpoints[index].organization = Some(organization.clone());
        Ok(organization)
    }

    /// Takes a document of an endpoint.
    fn accept(
        &mut self,
        index: usize,
        about: &About,
        wanted: Requested,
        answer: Result<String, Error>,
    ) -> Result<(), Error> {
        let document = wanted.document(about);
        match wanted {
            Requested::Secrets { path } => self.accept_secrets((index, path), document, answer),
            Requested::Manifest { project } => {
                self.accept_manifest((index, project), document, answer)
            }
            Requested::EncryptionKey { project } => {
                self.accept_descriptor((index, project), document, answer)
            }
            Requested::Organization | Requested::ApiKeys { .. } => Ok(()),
        }
    }

    fn accept_secrets(
        &mut self,
        (index, path): (usize, usize),
        document: Document<'_>,
        answer: Result<String, Error>,
    ) -> Result<(), Error> {
        let text = answer?;
        let secrets = decoded(&text, document, documents::secrets)?;
        secrets.check_depth(self.paths.get(path))?;
        let endpoint = &mut self.endpoints[index];
        if let Some(level) = secrets.levels.iter().find(|level| !level.encrypted)
            && endpoint.is_mirror
        {
            return Err(Error::Mirror {
                mirror: endpoint.name.clone(),
                refused: FromMirror::Plaintext {
                    level: self.paths.level(path, level.name),
                },
            });
        }
        endpoint.secrets[path] = Some(secrets);
        if self.keep.texts {
            endpoint.texts.secrets[path] = text;
            endpoint.texts.receive();
        }
        Ok(())
    }

    fn accept_manifest(
        &mut self,
        (index, project): (usize, usize),
        document: Document<'_>,
        answer: Result<String, Error>,
    ) -> Result<(), Error> {
        let text = match answer {
            // What that means is decided where it is known whether one is needed.
            Err(Error::NotFound { .. }) => None,
            answer => Some(answer?),
        };
        let manifest = text
            .as_ref()
            .map(|text| decoded(text, document, documents::manifest));
        let endpoint = &mut self.endpoints[index];
        endpoint.manifests[project] = Some(manifest.transpose()?.map(Arc::new));
        if self.keep.texts {
            endpoint.texts.manifests[project] = text.unwrap_or_default();
        }
        Ok(())
    }

    fn accept_descriptor(
        &mut self,
        (index, project): (usize, usize),
        document: Document<'_>,
        answer: Result<String, Error>,
    ) -> Result<(), Error> {
        let text = answer?;
        let descriptor = decoded(&text, document, documents::descriptor)?;
        let endpoint = &mut self.endpoints[index];
        let accepted = self.keep.of_mirrors.get(project);
        let is_accepted = accepted.is_some_and(|it| it.accepts(descriptor.is_client_managed()));
        if endpoint.is_mirror && !descriptor.is_client_managed() && !is_accepted {
            return Err(Error::Mirror {
                mirror: endpoint.name.clone(),
                refused: FromMirror::ServerManaged {
                    project: self.paths.in_project(project).project().to_owned(),
                },
            });
        }
        let descriptor = Arc::new(descriptor);
        endpoint.descriptors[project] = Some(Arc::clone(&descriptor));
        if self.keep.texts {
            endpoint.texts.descriptors[project] = text;
            endpoint.texts.receive();
        }
        let _ = self.events.send(Step::Descriptor(project, descriptor));
        Ok(())
    }
}

/// Where the failure of a document stands among those of others: that of the secrets comes first.
fn rank(wanted: Requested) -> (u8, usize) {
    match wanted {
        Requested::Secrets { path } => (0, path),
        Requested::EncryptionKey { project } => (1, project),
        Requested::Manifest { project } => (2, project),
        Requested::Organization | Requested::ApiKeys { .. } => (3, 0),
    }
}

/// Asks a place once for the list of API keys, page by page.
///
/// # Errors
///
/// Why there is no list, or not all of it.
pub fn api_keys(
    place: Place,
    paths: &PathList,
    organization: OrganizationHint,
    timeout: Duration,
    report: Report,
) -> Result<Vec<documents::ApiKeyRecord>, Error> {
    let patience = Patience {
        timeout,
        attempts: 1,
    };
    let (mut rounds, _) = Rounds::new(vec![place], paths.clone(), organization, patience, report);
    let time = rounds.deadline.share(1);
    let about = Arc::new((rounds.organization(0, &time)?, rounds.paths.clone()));
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

/// Which of two failures counts: one that stays before one that may pass, and then the first, unless the other comes with
/// a longer wait.
fn decisive(first: Error, other: Error) -> Error {
    let waits_longer = other.asked_wait() > first.asked_wait();
    if first.may_pass() && (waits_longer || !other.may_pass()) {
        other
    } else {
        first
    }
}

/// A number that nobody can guess or share; the largest, which means the longest wait, where the system has none.
fn random() -> u32 {
    crypto::random().map_or(u32::MAX, u32::from_le_bytes)
}
