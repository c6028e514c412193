//! Requests for documents, each in a thread of its own.

#![forbid(unsafe_code)]

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::error::{Error, Unreachable};
use crate::path::PathList;
use crate::store::http::deadline::Time;
use crate::store::model::Document;
use crate::store::places::Place;
use crate::sys;

/// The organization and the paths that documents are about.
pub type About = (String, PathList);

/// A document that is asked for. Paths and projects go by their numbers in the list of paths.
#[derive(Clone, Copy, PartialEq)]
pub enum Requested {
    Organization,
    EncryptionKey { project: usize },
    Manifest { project: usize },
    Secrets { path: usize },
    ApiKeys { page: u64 },
}

impl Requested {
    pub fn document(self, (organization, paths): &About) -> Document<'_> {
        match self {
            Requested::Organization => Document::Organization,
            Requested::EncryptionKey { project } => Document::EncryptionKey {
                organization,
                path: paths.in_project(project),
            },
            Requested::Manifest { project } => Document::Manifest {
                organization,
                path: paths.in_project(project),
            },
            Requested::Secrets { path } => Document::Secrets {
                organization,
                path: paths.get(path),
            },
            Requested::ApiKeys { page } => Document::ApiKeys { organization, page },
        }
    }
}

/// What a request says of itself.
enum Progress {
    Begun,
    Over(Result<String, Error>),
}

/// Asks for one document and waits for it.
pub fn single(
    place: &Arc<Place>,
    about: &Arc<About>,
    wanted: Requested,
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
pub fn request(
    place: &Arc<Place>,
    about: &Arc<About>,
    wanted: &[Requested],
    time: &Time,
    answered: &mut dyn FnMut(Requested, Result<String, Error>) -> ControlFlow<()>,
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
                let done = |(thread, _): &mut (Requested, _)| *thread == wanted;
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
    if until == time.until {
        Error::Timeout {
            host,
            time: time.allowed,
        }
    } else {
        Error::Unreachable {
            host,
            reason: Unreachable::Silent { time: time.silence },
        }
    }
}

/// Starts a thread that leaves nothing of its work on its stack, which is kept for the next thread. Its registers are
/// gone when it has ended: who takes its answer waits for that.
pub fn spawn(work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    let and_forget = move || {
        work();
        sys::clear_traces();
    };
    thread::Builder::new()
        .spawn(and_forget)
        .map_err(Error::Thread)
}
