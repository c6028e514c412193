//! The data keys of all projects, derived side by side.

#![forbid(unsafe_code)]

use std::cell::OnceCell;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread::JoinHandle;

use crate::crypto::DataKey;
use crate::error::Error;
use crate::event::Stage;
use crate::keys::{ClientKey, Variables};
use crate::path::{PathList, SecretPath};
use crate::report::Report;
use crate::store::model::KeyDescriptor;
use crate::store::open;
use crate::store::requests::spawn;
use crate::store::stopwatch::Stopwatch;

/// The derivations that have begun.
pub struct Derivations<'a> {
    paths: &'a PathList,
    variables: &'a Variables,
    time: &'a Stopwatch,
    report: &'a Report,
    /// The client key of all projects without one of their own: where it comes from may give it only once.
    shared: OnceCell<Arc<ClientKey>>,
    /// That of each project, and what it is derived by.
    begun: Vec<Option<(Arc<KeyDescriptor>, Derivation)>>,
}

/// One derivation.
enum Derivation {
    Over(Result<DataKey, Error>),
    UnderWay(JoinHandle<()>, Receiver<Result<DataKey, Error>>),
}

impl Derivation {
    fn finish(self) -> Result<DataKey, Error> {
        match self {
            Derivation::Over(outcome) => outcome,
            Derivation::UnderWay(thread, outcome) => {
                let outcome = outcome.recv().expect("a derivation comes to an end");
                // Its registers are gone when it has ended.
                let _ = thread.join();
                outcome
            }
        }
    }
}

impl<'a> Derivations<'a> {
    pub fn new(
        paths: &'a PathList,
        variables: &'a Variables,
        time: &'a Stopwatch,
        report: &'a Report,
    ) -> Self {
        Derivations {
            paths,
            variables,
            time,
            report,
            shared: OnceCell::new(),
            begun: paths.projects().map(|_| None).collect(),
        }
    }

    /// Begins to derive the key of the project of this number, unless one is derived for it already. That of a single
    /// project is derived at once: there is nothing else to be done meanwhile.
    pub fn begin(&mut self, project: usize, descriptor: &Arc<KeyDescriptor>) {
        if self.begun[project].is_none() {
            let path = self.paths.in_project(project);
            let derivation = match self.begun.len() {
                1 => Derivation::Over(self.derive(path, descriptor)),
                _ => self.start(path, descriptor),
            };
            self.begun[project] = Some((Arc::clone(descriptor), derivation));
        }
    }

    /// The key of each project that has a descriptor here.
    ///
    /// # Errors
    ///
    /// If one cannot be derived.
    pub fn finish(
        mut self,
        descriptors: &[Option<Arc<KeyDescriptor>>],
    ) -> Result<Vec<Option<DataKey>>, Error> {
        for (project, descriptor) in descriptors.iter().enumerate() {
            let Some(descriptor) = descriptor else {
                continue;
            };
            open::warn_of_few_iterations(descriptor, self.paths.in_project(project), self.report);
            let begun = &mut self.begun[project];
            if begun
                .as_ref()
                .is_some_and(|(used, _)| !Arc::ptr_eq(used, descriptor))
            {
                *begun = None;
            }
            self.begin(project, descriptor);
        }
        let begun = std::mem::take(&mut self.begun);
        let derived = begun.into_iter().zip(descriptors);
        let derived = derived.map(|(begun, wanted)| match (begun, wanted) {
            (Some((_, derivation)), Some(_)) => derivation.finish().map(Some),
            _ => Ok(None),
        });
        derived.collect()
    }

    fn derive(&self, path: &SecretPath, descriptor: &KeyDescriptor) -> Result<DataKey, Error> {
        open::data_key(descriptor, path, self.report, || self.client_key(path))
    }

    /// Derives in a thread of its own. Whoever has to be asked for a client key is asked here.
    fn start(&self, path: &SecretPath, descriptor: &Arc<KeyDescriptor>) -> Derivation {
        let start = || {
            open::check_derivation(descriptor, path)?;
            let client_key = descriptor
                .is_client_managed()
                .then(|| self.client_key(path))
                .transpose()?;
            let (sender, outcome) = mpsc::channel();
            let (descriptor, path) = (Arc::clone(descriptor), path.clone());
            let report = *self.report;
            let thread = spawn(move || {
                let find = || Ok(client_key.expect("the key of a project that the user holds"));
                let _ = sender.send(open::data_key(&descriptor, &path, &report, find));
            })?;
            Ok(Derivation::UnderWay(thread, outcome))
        };
        start().unwrap_or_else(|error| Derivation::Over(Err(error)))
    }

    /// The client key of a project.
    fn client_key(&self, path: &SecretPath) -> Result<Arc<ClientKey>, Error> {
        let (variables, report) = (self.variables, self.report);
        let find = || {
            let own = ClientKey::find_own(path.project(), variables, report)?;
            match (own, self.shared.get()) {
                (Some(own), _) => Ok(Arc::new(own)),
                (None, Some(shared)) => Ok(Arc::clone(shared)),
                (None, None) => {
                    let shared = Arc::new(ClientKey::find(variables, report)?);
                    Ok(Arc::clone(self.shared.get_or_init(|| shared)))
                }
            }
        };
        let find = || self.time.paused(find);
        report.timed(Stage::Keys, find)
    }
}
