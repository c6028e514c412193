//! That the levels of a tree or mirror are all there and belong together.

#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::cli::Options;
use crate::crypto::DataKey;
use crate::error::{Error, ManifestFlaw};
use crate::event::Event;
use crate::path::SecretPath;
use crate::report::Report;
use crate::store::manifest::{Found, Manifest};
use crate::store::model::{Origin, SealedLevels, SealedManifest};

/// What proves it once the key is there.
pub struct Proof {
    organization: String,
    manifest: Arc<SealedManifest>,
    found: Found,
    path: SecretPath,
}

impl Proof {
    /// Takes the manifest of what a tree or mirror has. `None` where there is none to be had: the service's word is
    /// taken, and a server-managed project has nothing that a manifest could be sealed with.
    ///
    /// # Errors
    ///
    /// If there is no manifest, and that is not accepted.
    pub fn of(
        sealed: &mut SealedLevels,
        path: &SecretPath,
        options: &Options,
    ) -> Result<Option<Self>, Error> {
        if sealed.origin == Origin::Service {
            return Ok(None);
        }
        let flawed = |flaw| {
            let project = path.project().to_owned();
            Err(Error::NotWhole { project, flaw })
        };
        let manifest = sealed
            .manifest
            .take()
            .filter(|_| !sealed.is_server_managed());
        if let (Some(manifest), Some(organization)) = (manifest, &sealed.organization) {
            return Ok(Some(Proof {
                organization: organization.clone(),
                manifest,
                found: Found::of(path, &sealed.secrets.levels),
                path: path.clone(),
            }));
        }
        if options.min_generation.is_some() {
            return flawed(ManifestFlaw::NoGeneration);
        }
        if sealed.is_server_managed() {
            return Ok(None);
        }
        if !options.allow_unsigned_tree {
            return flawed(ManifestFlaw::Missing);
        }
        Ok(None)
    }

    /// Whether a tree or mirror should have one.
    pub fn is_due(sealed: &SealedLevels) -> bool {
        sealed.origin != Origin::Service && !sealed.is_server_managed()
    }

    /// Checks the levels.
    ///
    /// # Errors
    ///
    /// If the manifest does not open, is older than is accepted, or lists other levels.
    pub fn check(
        self,
        key: Option<&DataKey>,
        options: &Options,
        report: &Report,
    ) -> Result<(), Error> {
        let path = &self.path;
        let flawed = |flaw| Error::NotWhole {
            project: path.project().to_owned(),
            flaw,
        };
        let key = key.ok_or_else(|| flawed(ManifestFlaw::NotAuthentic))?;
        let manifest = Manifest::open(&self.manifest, key, (&self.organization, path))?;
        let generation = manifest.generation;
        let project = path.project();
        report.record(|| Event::Generation {
            project,
            generation,
        });
        report.note(format_args!(
            "generation {generation} of {}",
            path.project()
        ));
        if let Some(minimum) = options.min_generation
            && generation < minimum
        {
            return Err(flawed(ManifestFlaw::TooOld {
                generation,
                minimum,
            }));
        }
        manifest.verify(&self.found)
    }
}

/// Warns of a project that has none, where that is accepted.
pub fn warn_of_none(path: &SecretPath, report: &Report) {
    report.warn(format_args!(
        "{}: there is no manifest; a level that is missing, moved or old is not noticed",
        path.project()
    ));
}
