//! What a service or a tree holds: an organization, its projects, their levels.

use std::collections::BTreeMap;

use super::seal::{data_key, seal};

/// The organization of [`World::example`].
pub const ORGANIZATION: &str = "01HZX3V7Q8K9M2N4P5R6S7T8V9";

/// An organization that exists as well and has nothing to do with it.
pub const FOREIGN_ORGANIZATION: &str = "01J2ABCDEFGHJKMNPQRSTVWXYZ";

/// The user's key of the client-managed projects.
pub const CLIENT_KEY: &str = "swordfish-and-seventeen-otters";

/// Enough for every rule that a client has about it, and fast.
const ITERATIONS: u32 = 1000;

/// What a client is to assume when no number is given.
const DEFAULT_ITERATIONS: u32 = 600_000;

/// Who keeps the key of a project, and how the data key comes from it.
///
/// A variation is written as `Custody { iterations: Some(999), ..Custody::client() }`.
#[derive(Clone)]
pub struct Custody {
    /// `server` or `client`. The service never sees the key of a client.
    pub managed: &'static str,
    pub key: String,
    pub salt: Option<Vec<u8>>,
    pub iterations: Option<u32>,
}

impl Custody {
    /// The user's [`CLIENT_KEY`], derived with a salt.
    pub fn client() -> Self {
        Custody {
            managed: "client",
            key: CLIENT_KEY.into(),
            ..Custody::server()
        }
    }

    /// A key of the service, derived with a salt.
    pub fn server() -> Self {
        let salt = Some(b"sixteen bytes...".into());
        Custody {
            salt,
            iterations: Some(ITERATIONS),
            ..Custody::legacy()
        }
    }

    /// A key of the service from before there were salts.
    pub fn legacy() -> Self {
        let key = "a-key-that-the-service-keeps".into();
        Custody {
            managed: "server",
            key,
            salt: None,
            iterations: None,
        }
    }

    fn data_key(&self) -> [u8; 32] {
        let iterations = self.iterations.unwrap_or(DEFAULT_ITERATIONS);
        data_key(&self.key, self.salt.as_deref(), iterations)
    }
}

/// What one level holds on the wire.
pub struct Level {
    pub encrypted: bool,
    pub content: String,
}

/// A project. A place in it is named by the rest of its path: `""`, `production`, `production/api`.
pub struct Project {
    pub slug: String,
    pub custody: Custody,
    pub format: String,
    key: [u8; 32],
    places: BTreeMap<String, Option<Level>>,
}

impl Project {
    pub fn new(slug: &str, custody: Custody) -> Self {
        let key = custody.data_key();
        let places = BTreeMap::from([(String::new(), None)]);
        Project {
            slug: slug.into(),
            custody,
            format: "env".into(),
            key,
            places,
        }
    }

    /// Declares the format of every level: `env` without it.
    pub fn format(mut self, format: &str) -> Self {
        self.format = format.into();
        self
    }

    /// Stores a text, sealed.
    pub fn level(self, place: &str, text: &str) -> Self {
        self.level_of_bytes(place, text.as_bytes())
    }

    /// Stores what need not be a text, sealed.
    pub fn level_of_bytes(self, place: &str, bytes: &[u8]) -> Self {
        let content = seal(&self.key, bytes);
        self.store(place, true, content)
    }

    /// Stores a text as it is.
    pub fn plain_level(self, place: &str, text: &str) -> Self {
        self.store(place, false, text.into())
    }

    /// A target or environment that exists and holds nothing.
    pub fn empty_place(mut self, place: &str) -> Self {
        if let Some((target, _)) = place.split_once('/') {
            self.places.entry(target.into()).or_default();
        }
        self.places.entry(place.into()).or_default();
        self
    }

    fn store(self, place: &str, encrypted: bool, content: String) -> Self {
        let mut project = self.empty_place(place);
        let level = Level { encrypted, content };
        project.places.insert(place.into(), Some(level));
        project
    }

    /// The path of a place as a user writes it.
    pub fn path(&self, place: &str) -> String {
        match place {
            "" => self.slug.clone(),
            place => format!("{}/{place}", self.slug),
        }
    }

    /// The key that its levels are sealed with.
    pub fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// Every place that exists.
    pub fn places(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(String::as_str)
    }

    pub fn has_place(&self, place: &str) -> bool {
        self.places.contains_key(place)
    }

    /// The levels that a place inherits, and its own: their kind, the slug they belong to and what
    /// they hold.
    pub fn levels<'a>(&'a self, place: &'a str) -> Vec<(&'static str, &'a str, &'a Level)> {
        let slugs: Vec<&str> = place.split('/').filter(|slug| !slug.is_empty()).collect();
        let kinds = ["project", "target", "environment"].into_iter().enumerate();
        let levels = kinds.take(slugs.len() + 1).filter_map(|(depth, kind)| {
            let level = self.places.get(&slugs[..depth].join("/"))?.as_ref()?;
            let slug = slugs[..depth].last().copied().unwrap_or(&self.slug);
            Some((kind, slug, level))
        });
        levels.collect()
    }
}

/// Everything that a service or a tree holds.
pub struct World {
    pub organization: String,
    pub name: String,
    pub slug: String,
    pub projects: Vec<Project>,
}

impl World {
    /// An organization with these projects.
    pub fn new(projects: Vec<Project>) -> Self {
        World {
            organization: ORGANIZATION.into(),
            name: "Acme Corp".into(),
            slug: "acme-corp".into(),
            projects,
        }
    }

    /// The worked example of inheritance in every custody: `my-app` is client-managed, `managed`
    /// and `legacy` are server-managed with and without a salt.
    pub fn example() -> Self {
        World::new(vec![
            example_project("my-app", Custody::client()),
            example_project("managed", Custody::server()),
            example_project("legacy", Custody::legacy()),
        ])
    }

    pub fn project(&self, slug: &str) -> Option<&Project> {
        self.projects.iter().find(|project| project.slug == slug)
    }
}

fn example_project(slug: &str, custody: Custody) -> Project {
    let shared = "APP_NAME=Acme\nLOG_LEVEL=info\nDATABASE_URL=postgres://shared\n";
    let own = "DATABASE_URL=postgres://prod\nSTRIPE_SECRET_KEY=sk_live_x\n";
    Project::new(slug, custody)
        .level("", shared)
        .level("production", "LOG_LEVEL=debug\n")
        .level("production/api", own)
}
