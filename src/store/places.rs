//! Places that have documents: the service, its mirrors, and sealed trees.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::sync::Arc;

use crate::cli::{ApiUrl, Network, ServiceUrl};
use crate::error::{Error, shown};
use crate::event::Event;
use crate::path::{PathList, SecretPath};
use crate::report::Report;
use crate::store::documents;
use crate::store::http::client::{Cloud, Identity};
use crate::store::http::deadline::Time;
use crate::store::http::{at_once, tls};
use crate::store::json::Malformed;
use crate::store::model::{Document, OrganizationHint, Origin, SealedLevels, SealedPaths};
use crate::store::tree::Tree;

/// Something that has the documents.
pub enum Place {
    /// An HTTP server.
    Server(Cloud),
    /// A tree in this directory, opened only when it is needed.
    Tree(PathBuf),
}

impl Place {
    /// Reads one document; `begun` is called when the server has begun to answer.
    pub fn read(
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

    /// The host, or the directory of a tree.
    pub fn name(&self) -> String {
        match self {
            Place::Server(cloud) => cloud.host().to_owned(),
            Place::Tree(root) => shown(root),
        }
    }
}

/// The places that a path is fetched from: a service, then the mirrors.
///
/// # Errors
///
/// If a setting of the network is invalid.
pub fn of_service(
    url: &ServiceUrl,
    identity: Identity,
    network: &Network,
    report: &Report,
) -> Result<Vec<Place>, Error> {
    let authorities = Arc::new(tls::authorities(&network.trust, Some(report))?);
    let server = |url, identity| {
        Cloud::new(url, identity, &authorities, &network.proxies).map(Place::Server)
    };
    let mut places = vec![server(url, Some(identity))?];
    for mirror in &network.mirrors {
        places.push(match mirror {
            ApiUrl::Service(url) => server(url, None)?,
            ApiUrl::Tree(root) => Place::Tree(root.clone()),
        });
    }
    at_once::send_requests_at_once();
    Ok(places)
}

/// The service alone.
///
/// # Errors
///
/// Those of [`of_service`].
pub fn service(url: &ServiceUrl, identity: Identity, network: &Network) -> Result<Place, Error> {
    let authorities = Arc::new(tls::authorities(&network.trust, None)?);
    let cloud = Cloud::new(url, Some(identity), &authorities, &network.proxies)?;
    at_once::send_requests_at_once();
    Ok(Place::Server(cloud))
}

/// Reads what `paths` hold in a sealed tree.
///
/// # Errors
///
/// Any error of the tree, and a document that is not what it should be.
pub fn read_tree(
    tree: &Tree,
    paths: &PathList,
    organization: &OrganizationHint,
    report: Report,
) -> Result<SealedPaths, Error> {
    let text = tree.read(Document::Organization)?;
    let record = decoded(&text, Document::Organization, documents::organization)?;
    let organization = &organization.check(record)?;
    record_organization(organization, &report);
    let mut each: Vec<_> = paths.iter().map(|_| None).collect();
    for (project, first) in paths.projects().enumerate() {
        let all: Vec<_> = paths.all_in(project).collect();
        let settled = all.iter().map(|path| paths.get(*path));
        let settled: Vec<_> = settled.collect();
        let read_project = |tree: &Tree| read_project(tree, organization, &settled);
        let there = tree.at_project(organization, first);
        // Somebody may have put another directory in its place, or in that of the tree, and removed it. What is there
        // now is what counts.
        let (texts, manifest, key) = match there.map(|at| read_project(&at)) {
            Ok(Ok(texts)) => texts,
            _ => read_project(&Tree::open(&tree.root)?)?,
        };
        let mut found = Vec::new();
        for (path, text) in all.iter().map(|path| paths.get(*path)).zip(texts) {
            let document = Document::Secrets { organization, path };
            let secrets = decoded(&text, document, documents::secrets)?;
            secrets.check_depth(path)?;
            found.push(secrets);
        }
        let path = first;
        let document = Document::EncryptionKey { organization, path };
        let descriptor = decoded(&key, document, documents::descriptor)?;
        let descriptor = Arc::new(descriptor);
        let document = Document::Manifest { organization, path };
        let manifest = manifest.map(|text| decoded(&text, document, documents::manifest));
        let manifest = manifest.transpose()?.map(Arc::new);
        for (path, secrets) in all.into_iter().zip(found) {
            each[path] = Some(SealedLevels {
                organization: Some(organization.clone()),
                secrets,
                descriptor: Some(Arc::clone(&descriptor)),
                manifest: manifest.clone(),
                origin: Origin::Tree,
            });
        }
    }
    Ok(SealedPaths {
        each: each.into_iter().flatten().collect(),
        texts: None,
    })
}

/// The texts of the secrets of paths, of the manifest of their project if there is one, and of its key descriptor.
type ProjectTexts = (Vec<String>, Option<String>, String);

fn read_project(
    tree: &Tree,
    organization: &str,
    paths: &[&SecretPath],
) -> Result<ProjectTexts, Error> {
    let (secrets, manifest) = read_settled(tree, organization, paths)?;
    let path = paths[0];
    let key = tree.read(Document::EncryptionKey { organization, path })?;
    Ok((secrets, manifest, key))
}

/// How often a manifest may have changed while the secrets were read: each time somebody has sealed a level meanwhile.
const MAX_CHANGES: usize = 100;

/// Reads the secrets of paths of one project, and the manifest that was in place before they were read and after. They
/// belong together then: `dotenv-seal` writes the manifest before and after it writes anything else, never twice the same.
fn read_settled(
    tree: &Tree,
    organization: &str,
    paths: &[&SecretPath],
) -> Result<(Vec<String>, Option<String>), Error> {
    let path = paths[0];
    let read_manifest = || match tree.read(Document::Manifest { organization, path }) {
        Err(Error::NotFound { .. }) => Ok(None),
        read => read.map(Some),
    };
    let read_secrets = |path: &&SecretPath| tree.read(Document::Secrets { organization, path });
    let mut before = read_manifest();
    for change in 0.. {
        let secrets = paths.iter().map(read_secrets).collect::<Result<_, _>>()?;
        let after = read_manifest()?;
        if before? == after || change == MAX_CHANGES {
            return Ok((secrets, after));
        }
        before = Ok(after);
    }
    unreachable!("a number has no end")
}

/// Records whose secrets they are.
pub fn record_organization(organization: &str, report: &Report) {
    report.note(format_args!("organization {organization}"));
    report.record(|| Event::Organization(organization));
}

/// Reads the text of a document by `decoder`.
///
/// # Errors
///
/// If it is not what it should be.
pub fn decoded<T>(
    text: &str,
    document: Document<'_>,
    decoder: fn(&str) -> Result<T, Malformed>,
) -> Result<T, Error> {
    decoder(text).map_err(|flaw| Error::Malformed {
        document: document.to_string(),
        flaw,
    })
}
