//! From a path to its sealed levels and the key descriptor, from the service or from a sealed tree.

#![forbid(unsafe_code)]

pub mod cloud;
pub mod tree;
pub mod wire;

use std::fmt;

use crate::error::Error;
use crate::path::{LevelName, SecretPath, is_ulid};
use crate::report::Report;

/// A document of the API, named as its route names it.
#[derive(Clone, Copy)]
#[allow(missing_docs)]
pub enum Document<'a> {
    /// Whose organization the API key, or the tree, is.
    Organization,
    /// The key descriptor of a project.
    EncryptionKey {
        organization: &'a str,
        path: &'a SecretPath,
    },
    /// The levels of a path.
    Secrets {
        organization: &'a str,
        path: &'a SecretPath,
    },
}

impl fmt::Display for Document<'_> {
    /// Writes the route, without a leading slash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Document::Organization => write!(f, "api/v1/organization"),
            Document::EncryptionKey { organization, path } => {
                write!(f, "api/v1/{organization}/{}/encryption-key", path.project())
            }
            Document::Secrets { organization, path } => {
                write!(f, "api/v1/{organization}/{path}/secrets")
            }
        }
    }
}

/// Where documents come from.
pub trait Source {
    /// Reads one document whole.
    ///
    /// # Errors
    ///
    /// Why it could not be had; nothing partial is ever returned.
    fn read(&self, document: Document<'_>) -> Result<String, Error>;
}

/// The levels of a path as they lie in the store.
pub struct Secrets {
    /// The format of every level's plaintext.
    pub format: Format,
    /// The levels that are present, the deepest last.
    pub levels: Vec<Level>,
}

/// How the plaintext of a level is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The `.env` grammar.
    Env,
    /// One JSON object of strings.
    Json,
}

/// One level as it lies in the store.
#[derive(Clone)]
pub struct Level {
    /// Which level it is.
    pub name: LevelName,
    /// Whether `content` is a sealed blob; if not, it is the text itself.
    pub encrypted: bool,
    /// The blob or the text; never empty.
    pub content: String,
}

/// How a project's data key comes about.
pub struct Descriptor {
    /// Who holds the secret that the key is derived from.
    pub custody: Custody,
    /// The salt of the derivation; projects from before salts have none.
    pub salt: Option<Vec<u8>>,
    /// The iterations of the derivation.
    pub iterations: u32,
    /// The version of the key, where it is given.
    pub version: Option<u64>,
}

/// Who holds the secret that a project's data key is derived from.
pub enum Custody {
    /// The service, which hands it out with the descriptor.
    Server {
        /// The project's own key.
        secret: String,
    },
    /// The user.
    Client,
}

/// An organization as the service or a tree names it.
pub struct OrganizationRecord {
    /// Its ID in routes.
    pub ulid: String,
    /// Its readable name, where it is given.
    pub slug: Option<String>,
}

/// What a path holds, still sealed.
pub struct Sealed {
    /// The levels.
    pub secrets: Secrets,
    /// How they are opened; `None` only if there is no level.
    pub descriptor: Option<Descriptor>,
}

impl Sealed {
    /// Whether the service holds the project's secret, so that no client key is of use.
    pub fn is_server_managed(&self) -> bool {
        matches!(self.custody(), Some(Custody::Server { .. }))
    }

    /// Whether the user holds the project's secret.
    pub fn is_client_managed(&self) -> bool {
        matches!(self.custody(), Some(Custody::Client))
    }

    fn custody(&self) -> Option<&Custody> {
        self.descriptor
            .as_ref()
            .map(|descriptor| &descriptor.custody)
    }
}

/// Fetches what `path` holds.
///
/// # Errors
///
/// Any error of the source, and a document that is not what it should be.
pub fn fetch(
    source: &dyn Source,
    path: &SecretPath,
    organization: &OrganizationHint,
    report: &Report,
) -> Result<Sealed, Error> {
    let organization = &organization.resolve(source)?;
    report.note(format_args!("organization {organization}"));
    let secrets = decode(
        source,
        Document::Secrets { organization, path },
        wire::secrets,
    )?;
    if let Some(level) = secrets
        .levels
        .iter()
        .find(|level| level.name > path.deepest())
    {
        return Err(Error::UnaskedLevel {
            path: path.to_string(),
            level: level.name,
        });
    }
    if secrets.levels.is_empty() {
        return Ok(Sealed {
            secrets,
            descriptor: None,
        });
    }
    let descriptor = decode(
        source,
        Document::EncryptionKey { organization, path },
        wire::descriptor,
    )?;
    Ok(Sealed {
        secrets,
        descriptor: Some(descriptor),
    })
}

/// What is known of the organization before anything is fetched.
pub enum OrganizationHint {
    /// Its ULID.
    Known(String),
    /// Nothing but, perhaps, the slug that it must have.
    Ask(Option<String>),
    /// A tree says it; the ULID or slug that was given must not contradict.
    InTree(Option<String>),
}

impl OrganizationHint {
    /// What to go by for the service: a ULID given, else the one inside the key unless a slug is to be compared.
    pub fn new(given: Option<String>, in_key: Option<&str>) -> Self {
        match (given, in_key) {
            (Some(ulid), _) if is_ulid(&ulid) => OrganizationHint::Known(ulid),
            (None, Some(ulid)) => OrganizationHint::Known(ulid.to_owned()),
            (slug, _) => OrganizationHint::Ask(slug),
        }
    }

    fn resolve(&self, source: &dyn Source) -> Result<String, Error> {
        let (wanted, must_tell) = match self {
            OrganizationHint::Known(ulid) => return Ok(ulid.clone()),
            OrganizationHint::Ask(slug) => (slug, true),
            OrganizationHint::InTree(given) => (given, false),
        };
        let actual = decode(source, Document::Organization, wire::organization)?;
        match (wanted, actual.slug) {
            (Some(wanted), _) if wanted.eq_ignore_ascii_case(&actual.ulid) => (),
            (Some(wanted), _) if is_ulid(wanted) => {
                return Err(Error::OtherOrganization {
                    wanted: wanted.clone(),
                    actual: actual.ulid,
                });
            }
            (Some(wanted), Some(slug)) if *wanted != slug => {
                return Err(Error::OtherOrganization {
                    wanted: wanted.clone(),
                    actual: slug,
                });
            }
            (Some(wanted), None) if must_tell => {
                return Err(Error::OrganizationWithoutSlug {
                    wanted: wanted.clone(),
                });
            }
            _ => (),
        }
        Ok(actual.ulid)
    }
}

fn decode<T>(
    source: &dyn Source,
    document: Document<'_>,
    decoder: fn(&str) -> Result<T, wire::Malformed>,
) -> Result<T, Error> {
    let text = source.read(document)?;
    decoder(&text).map_err(|flaw| Error::Malformed {
        document: document.to_string(),
        flaw,
    })
}
