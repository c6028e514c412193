//! What a store holds: documents, levels and key descriptors, still sealed.

#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::crypto::{DEFAULT_ITERATIONS, ITERATIONS};
use crate::error::Error;
use crate::path::{LevelName, PathList, SecretPath, is_ulid};
use crate::sys::time_since_start;

/// A document of the API, named as its route names it.
#[derive(Clone, Copy)]
pub enum Document<'a> {
    /// Whose organization the API key, or the tree, is.
    Organization,
    /// The key descriptor of a project.
    EncryptionKey {
        organization: &'a str,
        path: &'a SecretPath,
    },
    /// The manifest of a project, which only trees have.
    Manifest {
        organization: &'a str,
        path: &'a SecretPath,
    },
    /// The levels of a path.
    Secrets {
        organization: &'a str,
        path: &'a SecretPath,
    },
    /// A page of the list of an organization's API keys, of which the first has the number 1.
    ApiKeys { organization: &'a str, page: u64 },
}

impl fmt::Display for Document<'_> {
    /// Writes the route, without a leading slash.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Document::Organization => write!(f, "api/v1/organization"),
            Document::EncryptionKey { organization, path } => {
                write!(f, "api/v1/{organization}/{}/encryption-key", path.project())
            }
            Document::Manifest { organization, path } => {
                write!(f, "api/v1/{organization}/{}/manifest", path.project())
            }
            Document::Secrets { organization, path } => {
                write!(f, "api/v1/{organization}/{path}/secrets")
            }
            Document::ApiKeys { organization, page } => {
                write!(f, "api/v1/organizations/{organization}/api-keys")?;
                match page {
                    1 => Ok(()),
                    _ => write!(f, "?page={page}"),
                }
            }
        }
    }
}

/// The levels of a path as they lie in the store.
pub struct Secrets {
    /// The format of every level's plaintext.
    pub format: Format,
    /// The levels that are present, the deepest last.
    pub levels: Vec<Level>,
}

impl Secrets {
    /// Whether there is no level.
    pub fn are_none(&self) -> bool {
        self.levels.is_empty()
    }

    /// The levels on the way to `path` that are absent.
    pub fn absent(&self, path: &SecretPath) -> Vec<LevelName> {
        let is_there = |name: &LevelName| self.levels.iter().any(|level| level.name == *name);
        let all = LevelName::ALL.into_iter();
        all.filter(|name| *name <= path.deepest() && !is_there(name))
            .collect()
    }

    /// Checks that no level is deeper than the path that was asked for.
    ///
    /// # Errors
    ///
    /// If one is.
    pub fn check_depth(&self, path: &SecretPath) -> Result<(), Error> {
        let deeper = |level: &&Level| level.name > path.deepest();
        match self.levels.iter().find(deeper) {
            None => Ok(()),
            Some(level) => Err(Error::UnaskedLevel {
                path: path.to_string(),
                level: level.name,
            }),
        }
    }
}

/// How the plaintext of a level is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The `.env` grammar.
    Env,
    /// One JSON object of strings.
    Json,
    /// One YAML mapping of names to scalars.
    Yaml,
    /// One value without a name.
    Text,
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
pub struct KeyDescriptor {
    /// Who holds the secret that the key is derived from.
    pub custody: Custody,
    /// The salt of the derivation; projects from before salts have none.
    pub salt: Option<Vec<u8>>,
    /// The iterations of the derivation.
    pub iterations: u32,
    /// The version of the key, where it is given.
    pub version: Option<u64>,
}

impl KeyDescriptor {
    /// Whether the user holds the project's secret.
    pub fn is_client_managed(&self) -> bool {
        matches!(self.custody, Custody::Client)
    }

    /// Whether its key is acceptable, and weaker than a new one would be.
    pub fn has_few_iterations(&self) -> bool {
        let accepted = ITERATIONS.contains(&self.iterations);
        self.salt.is_some() && accepted && self.iterations < DEFAULT_ITERATIONS
    }
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

/// What the paths that are asked for hold, still sealed.
pub struct SealedPaths {
    /// Each of them, in their order.
    pub each: Vec<SealedLevels>,
    /// The documents that say so, where they are to be kept.
    pub texts: Option<Texts>,
}

/// What a path holds, still sealed.
pub struct SealedLevels {
    /// The ID of the organization that the path belongs to, where the documents came with it.
    pub organization: Option<String>,
    /// The levels.
    pub secrets: Secrets,
    /// How they are opened; `None` only if there is no level.
    pub descriptor: Option<Arc<KeyDescriptor>>,
    /// What a tree or mirror says about which levels there are, if it says so.
    pub manifest: Option<Arc<SealedManifest>>,
    pub origin: Origin,
}

/// Who had the documents.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Service,
    /// The tree that was asked for.
    Tree,
    Mirror,
    Cache,
    /// The cache, because the service could not be reached.
    StaleCache,
}

/// The documents of the paths as they came.
#[derive(Default)]
pub struct Texts {
    /// The organization; empty if it was not asked for.
    pub organization: String,
    /// The levels of each path.
    pub secrets: Vec<String>,
    /// The key descriptor of each project.
    pub descriptors: Vec<String>,
    /// The manifest of each project; empty if there is none.
    pub manifests: Vec<String>,
    /// When the first of them was received, since the machine was started; `None` if that is not known.
    pub received: Option<Duration>,
}

impl Texts {
    /// Room for the documents of these paths.
    pub fn of(paths: &PathList) -> Self {
        let projects = vec![String::new(); paths.projects().len()];
        Texts {
            secrets: vec![String::new(); paths.len()],
            descriptors: projects.clone(),
            manifests: projects,
            ..Texts::default()
        }
    }

    /// Records that a document has just been received.
    pub fn receive(&mut self) {
        self.received = self.received.or_else(|| time_since_start().ok());
    }
}

/// The manifest of a project as it lies in a tree.
pub struct SealedManifest {
    /// The generation, for those who have no key.
    pub generation: u64,
    /// The sealed text.
    pub content: String,
}

impl SealedLevels {
    /// Hands over all that decides what the command gets, part by part, and nothing that may change by itself, such as
    /// what the service says about an answer.
    pub fn each_part(&self, give: &mut dyn FnMut(&[u8])) {
        give(&[self.secrets.format as u8]);
        for level in &self.secrets.levels {
            give(&[level.name as u8, level.encrypted.into()]);
            give(level.content.as_bytes());
        }
        let Some(descriptor) = &self.descriptor else {
            return;
        };
        match &descriptor.custody {
            Custody::Server { secret } => give(secret.as_bytes()),
            Custody::Client => give(b""),
        }
        give(descriptor.salt.as_deref().unwrap_or_default());
        give(&descriptor.iterations.to_ne_bytes());
    }

    /// Whether the service holds the project's secret, so that no client key is of use.
    pub fn is_server_managed(&self) -> bool {
        let descriptor = self.descriptor.as_deref();
        descriptor.is_some_and(|descriptor| !descriptor.is_client_managed())
    }
}

/// What is known of the organization before anything is fetched.
#[derive(Clone)]
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

    /// The ULID, where it is known.
    pub fn known(&self) -> Option<&str> {
        match self {
            OrganizationHint::Known(ulid) => Some(ulid),
            OrganizationHint::Ask(_) | OrganizationHint::InTree(_) => None,
        }
    }

    /// The ULID or slug that is known without asking; empty if there is none.
    pub fn known_or_given(&self) -> &str {
        match self {
            OrganizationHint::Known(ulid) => ulid,
            OrganizationHint::Ask(given) | OrganizationHint::InTree(given) => {
                given.as_deref().unwrap_or_default()
            }
        }
    }

    /// The ULID of the organization that a source says it is about, if that is the one that is wanted.
    ///
    /// # Errors
    ///
    /// If it is another one.
    pub fn check(&self, actual: OrganizationRecord) -> Result<String, Error> {
        let (wanted, must_tell) = match self {
            OrganizationHint::Known(ulid) => return Ok(ulid.clone()),
            OrganizationHint::Ask(slug) => (slug, true),
            OrganizationHint::InTree(given) => (given, false),
        };
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
