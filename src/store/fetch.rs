//! A fetch over the network: both documents at the same time, again where that may help, and from a mirror where the
//! service itself fails.

#![forbid(unsafe_code)]

use std::mem;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::check::Stage;
use crate::crypto;
use crate::error::{Error, FromMirror, Unreachable, shown};
use crate::path::SecretPath;
use crate::report::Report;
use crate::store::http::client::Cloud;
use crate::store::http::deadline::{Deadline, Time};
use crate::store::http::retry::{WORTHWHILE, backoff, jitter};
use crate::store::tree::Tree;
use crate::store::{
    Descriptor, Document, OrganizationHint, Sealed, Secrets, Source, Texts, decoded, documents,
    tell_of_organization,
};
use crate::sys;

/// The number of pages of a list that are asked for; a page has up to 100 keys, and each is a request that counts.
const MAX_PAGES: u64 = 20;

/// Something that has the documents.
pub enum Place {
    /// An HTTP server.
    Server(Cloud),
    /// A tree in this directory, opened only when it is needed.
    Tree(PathBuf),
}

impl Place {
    fn read(
        &self,
        document: Document<'_>,
        time: &Time,
        begun: impl FnOnce(),
    ) -> Result<String, Error> {
        match self {
            Place::Server(cloud) => cloud.read(document, time, begun),
            Place::Tree(root) => Tree::open(root)?.read(document),
        }
    }

    fn name(&self) -> String {
        match self {
            Place::Server(cloud) => cloud.host().to_owned(),
            Place::Tree(root) => shown(root),
        }
    }
}

/// A fetch that is under way, or over.
pub struct Fetch {
    events: Receiver<Event>,
    over: Option<Result<Sealed, Error>>,
    thread: Option<JoinHandle<()>>,
}

enum Event {
    Descriptor(Arc<Descriptor>),
    Over(Result<Sealed, Error>),
}

/// How much is done for an answer.
pub struct Patience {
    /// How long everything together may take.
    pub timeout: Duration,
    /// How often each place is asked.
    pub attempts: u32,
}

impl Fetch {
    /// One that is over.
    pub fn over(outcome: Result<Sealed, Error>) -> Self {
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
        keep_texts: bool,
        report: Report,
    ) -> Result<Self, Error> {
        let (mut rounds, events) = Rounds::new(places, path, organization, patience, report);
        rounds.keep_texts = keep_texts;
        let thread = spawn(move || {
            let outcome = report.timed(Stage::Fetch, || rounds.run());
            let events = rounds.events.clone();
            // With it goes the API key.
            drop(rounds);
            let _ = events.send(Event::Over(outcome));
        })?;
        Ok(Fetch {
            events,
            over: None,
            thread: Some(thread),
        })
    }

    /// Waits until the key descriptor is there, which is often before the secrets are. `None` if the fetch was over
    /// first. Only a descriptor that is also part of the result is of any use.
    pub fn descriptor(&mut self) -> Option<Arc<Descriptor>> {
        if self.over.is_some() {
            return None;
        }
        match self.events.recv().expect("a fetch comes to an end") {
            Event::Descriptor(descriptor) => Some(descriptor),
            Event::Over(outcome) => {
                self.over = Some(outcome);
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
    pub fn finish(mut self) -> Result<Sealed, Error> {
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
    descriptor: Option<Arc<Descriptor>>,
    /// The two documents, as far as they are there and are kept.
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
            texts: Texts::default(),
            next: Some(Instant::now()),
        }
    }
}

/// The rounds over all endpoints.
struct Rounds {
    endpoints: Vec<Endpoint>,
    path: SecretPath,
    hint: OrganizationHint,
    attempts: u32,
    deadline: Deadline,
    keep_texts: bool,
    report: Report,
    events: Sender<Event>,
}

impl Rounds {
    /// Those of a fetch that begins now, and where it tells how it goes.
    fn new(
        places: Vec<Place>,
        path: SecretPath,
        hint: OrganizationHint,
        patience: Patience,
        report: Report,
    ) -> (Self, Receiver<Event>) {
        let (sender, events) = mpsc::channel();
        let endpoints = places.into_iter().enumerate();
        let rounds = Rounds {
            endpoints: endpoints.map(Endpoint::new).collect(),
            path,
            hint,
            attempts: patience.attempts,
            deadline: Deadline::after(patience.timeout),
            keep_texts: false,
            report,
            events: sender,
        };
        (rounds, events)
    }

    /// Goes round until one endpoint has given everything, one has failed for good, or it is of no use to go on.
    fn run(&mut self) -> Result<Sealed, Error> {
        let mut first_failure = None;
        if let Some(organization) = self.hint.known() {
            tell_of_organization(organization, &self.report);
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
                    Err(error) if !error.may_pass() => return Err(error),
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
            self.report.found(|findings| findings.from_mirror(name));
            self.report.warn(format_args!(
                "the secrets come from the mirror {name}: {failure}"
            ));
        }
    }

    /// Asks one endpoint for what it has not given yet.
    fn ask(&mut self, index: usize, time: &Time) -> Result<Sealed, Error> {
        let organization = self.organization(index, time)?;
        let endpoint = &self.endpoints[index];
        let mut wanted = Vec::new();
        wanted.extend(endpoint.secrets.is_none().then_some(Wanted::Secrets));
        wanted.extend(
            endpoint
                .descriptor
                .is_none()
                .then_some(Wanted::EncryptionKey),
        );
        let place = Arc::clone(&endpoint.place);
        let about = Arc::new((organization, self.path.clone()));
        let (mut failed_secrets, mut failed_descriptor) = (None, None);
        request(&place, &about, &wanted, time, &mut |wanted, answer| {
            match wanted {
                Wanted::Secrets => {
                    failed_secrets = self.accept_secrets(index, &about, answer).err()
                }
                _ => failed_descriptor = self.accept_descriptor(index, &about, answer).err(),
            }
            let secrets = self.endpoints[index].secrets.as_ref();
            let stays = |error: &Error| !error.may_pass();
            // The descriptor makes no difference then.
            match failed_secrets.as_ref().is_some_and(stays)
                || secrets.is_some_and(Secrets::are_none)
            {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        })?;
        self.outcome(index, failed_secrets, failed_descriptor)
    }

    /// What the answers of one endpoint, as far as there are any, come to.
    fn outcome(
        &mut self,
        index: usize,
        failed_secrets: Option<Error>,
        failed_descriptor: Option<Error>,
    ) -> Result<Sealed, Error> {
        let endpoint = &mut self.endpoints[index];
        let is_needed = !endpoint.secrets.as_ref().is_some_and(Secrets::are_none);
        let failed_descriptor = failed_descriptor.filter(|_| is_needed);
        if let Some(error) = decisive(failed_secrets, failed_descriptor) {
            return Err(error);
        }
        let secrets = endpoint.secrets.take().expect("secrets that did not fail");
        let descriptor = endpoint.descriptor.clone().filter(|_| is_needed);
        let organization = endpoint.organization.as_deref().or(self.hint.known());
        Ok(Sealed {
            organization: organization.map(str::to_owned),
            secrets,
            descriptor,
            texts: self.keep_texts.then(|| mem::take(&mut endpoint.texts)),
        })
    }

    /// The organization in the routes of an endpoint: what is known, or what it says itself.
    fn organization(&mut self, index: usize, time: &Time) -> Result<String, Error> {
        let endpoint = &self.endpoints[index];
        if let Some(known) = endpoint.organization.as_deref().or(self.hint.known()) {
            return Ok(known.to_owned());
        }
        let about = Arc::new((String::new(), self.path.clone()));
        let text = single(&endpoint.place, &about, Wanted::Organization, time)?;
        let record = decoded(&text, Document::Organization, documents::organization)?;
        let organization = self.hint.check(record)?;
        tell_of_organization(&organization, &self.report);
        self.endpoints[index].organization = Some(organization.clone());
        Ok(organization)
    }

    fn accept_secrets(
        &mut self,
        index: usize,
        about: &About,
        answer: Result<String, Error>,
    ) -> Result<(), Error> {
        let document = Wanted::Secrets.document(about);
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
        if self.keep_texts {
            endpoint.texts.secrets = text;
        }
        Ok(())
    }

    fn accept_descriptor(
        &mut self,
        index: usize,
        about: &About,
        answer: Result<String, Error>,
    ) -> Result<(), Error> {
        let document = Wanted::EncryptionKey.document(about);
        let text = answer?;
        let descriptor = decoded(&text, document, documents::descriptor)?;
        let endpoint = &mut self.endpoints[index];
        if endpoint.is_mirror && !descriptor.is_client_managed() {
            return Err(Error::Mirror {
                mirror: endpoint.name.clone(),
                refused: FromMirror::ServerManaged {
                    project: self.path.project().to_owned(),
                },
            });
        }
        let descriptor = Arc::new(descriptor);
        endpoint.descriptor = Some(Arc::clone(&descriptor));
        if self.keep_texts {
            endpoint.texts.descriptor = text;
        }
        let _ = self.events.send(Event::Descriptor(descriptor));
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
        let wanted = Wanted::ApiKeys { page };
        let text = single(&rounds.endpoints[0].place, &about, wanted, &time)?;
        let (mut more, pages) = decoded(&text, wanted.document(&about), documents::api_keys)?;
        records.append(&mut more);
        if page >= pages {
            return Ok(records);
        }
    }
    Err(Error::Malformed {
        document: Wanted::ApiKeys { page: 1 }.document(&about).to_string(),
        flaw: format!("more than {MAX_PAGES} pages"),
    })
}

/// Which of two failures counts: one that stays before one that may pass, and then that of the secrets, unless the other
/// comes with a longer wait.
fn decisive(secrets: Option<Error>, descriptor: Option<Error>) -> Option<Error> {
    match (secrets, descriptor) {
        (Some(secrets), Some(descriptor)) if secrets.may_pass() => {
            let waits_longer = descriptor.asked_wait() > secrets.asked_wait();
            match waits_longer || !descriptor.may_pass() {
                true => Some(descriptor),
                false => Some(secrets),
            }
        }
        (secrets, descriptor) => secrets.or(descriptor),
    }
}

/// The organization and the path that documents are about.
type About = (String, SecretPath);

/// A document that is asked for.
#[derive(Clone, Copy, PartialEq)]
enum Wanted {
    Organization,
    EncryptionKey,
    Secrets,
    ApiKeys { page: u64 },
}

impl Wanted {
    fn document(self, (organization, path): &About) -> Document<'_> {
        match self {
            Wanted::Organization => Document::Organization,
            Wanted::EncryptionKey => Document::EncryptionKey { organization, path },
            Wanted::Secrets => Document::Secrets { organization, path },
            Wanted::ApiKeys { page } => Document::ApiKeys { organization, page },
        }
    }
}

/// What a request says of itself.
enum Progress {
    Begun,
    Over(Result<String, Error>),
}

/// Asks for one document and waits for it.
fn single(
    place: &Arc<Place>,
    about: &Arc<About>,
    wanted: Wanted,
    time: &Time,
) -> Result<String, Error> {
    let mut told = None;
    request(place, about, &[wanted], time, &mut |_, answer| {
        told = Some(answer);
        ControlFlow::Break(())
    })?;
    told.expect("an answer, or that there was none in time")
}

/// Asks for each document in a thread of its own, and hands on each answer, or that there was none in time, until
/// `answered` breaks off. A thread that is late is left behind: what it waits for cannot be stopped, and ends by itself.
fn request(
    place: &Arc<Place>,
    about: &Arc<About>,
    wanted: &[Wanted],
    time: &Time,
    answered: &mut dyn FnMut(Wanted, Result<String, Error>) -> ControlFlow<()>,
) -> Result<(), Error> {
    let (sender, progress) = mpsc::channel();
    let begins_until = time.until.min(Instant::now() + time.connect + time.silence);
    let mut pending: Vec<_> = wanted
        .iter()
        .map(|wanted| (*wanted, begins_until))
        .collect();
    let mut threads = Vec::new();
    for wanted in wanted.iter().copied() {
        let (place, about, time) = (Arc::clone(place), Arc::clone(about), *time);
        let sender = sender.clone();
        let thread = spawn(move || {
            let begun = || drop(sender.send((wanted, Progress::Begun)));
            let answer = place.read(wanted.document(&about), &time, begun);
            // With it goes this thread's share of the API key.
            drop(place);
            let _ = sender.send((wanted, Progress::Over(answer)));
        })?;
        threads.push((wanted, thread));
    }
    while let Some(next) = pending.iter().map(|(_, until)| *until).min() {
        let received = progress.recv_timeout(next.saturating_duration_since(Instant::now()));
        let (wanted, answer) = match received {
            Ok((wanted, Progress::Begun)) => {
                let begun = pending.iter_mut().find(|(pending, _)| *pending == wanted);
                begun.into_iter().for_each(|(_, until)| *until = time.until);
                continue;
            }
            Ok((wanted, Progress::Over(answer))) => {
                let done = |(thread, _): &mut (Wanted, _)| *thread == wanted;
                let ending = threads.extract_if(.., done);
                ending.for_each(|(_, thread)| drop(thread.join()));
                (wanted, answer)
            }
            Err(_) => {
                let late = pending.iter().find(|(_, until)| *until == next);
                let (wanted, until) = *late.expect("the one that was waited for");
                (wanted, Err(no_answer(place, time, until)))
            }
        };
        pending.retain(|(pending, _)| *pending != wanted);
        if answered(wanted, answer).is_break() {
            break;
        }
    }
    Ok(())
}

fn no_answer(place: &Place, time: &Time, until: Instant) -> Error {
    let host = place.name();
    match until == time.until {
        true => Error::Timeout {
            host,
            time: time.allowed,
        },
        false => Error::Unreachable {
            host,
            reason: Unreachable::Silent { time: time.silence },
        },
    }
}

/// A number that nobody can guess or share; the largest, which means the longest wait, where the system has none.
fn random() -> u32 {
    crypto::random().map_or(u32::MAX, u32::from_le_bytes)
}

/// Starts a thread that leaves nothing of its work on its stack, which is kept for the next thread. Its registers are
/// gone when it has ended: who takes its answer waits for that.
fn spawn(work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    let and_forget = move || {
        work();
        sys::clear_traces();
    };
    thread::Builder::new()
        .spawn(and_forget)
        .map_err(Error::Thread)
}
