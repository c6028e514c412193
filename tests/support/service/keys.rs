//! API keys as the service issues them.

use ring::rand::{SecureRandom, SystemRandom};
use serde_json::{Value, json};

use crate::support::world::ORGANIZATION;

/// An API key: whose it is and what it allows.
#[derive(Clone)]
pub struct Key {
    token: String,
    organization: String,
    scopes: Vec<String>,
    restriction: Option<String>,
    expires_at: Option<String>,
}

impl Key {
    /// A key of [`ORGANIZATION`] with what a reader needs.
    pub fn new() -> Self {
        Key::of_organization(ORGANIZATION)
    }

    /// A key of another organization.
    pub fn of_organization(organization: &str) -> Self {
        Key {
            token: format!("dotenv_{organization}_{}", random_hex()),
            organization: organization.into(),
            scopes: vec!["secret:read".into(), "key:retrieve".into()],
            restriction: None,
            expires_at: None,
        }
    }

    /// Makes it an OAuth access token: accepted the same, but it names no organization.
    pub fn oauth(mut self) -> Self {
        self.token = format!("eyJhbGciOiJSUzI1NiJ9.{}.{}", random_hex(), random_hex());
        self
    }

    /// Replaces what it allows.
    pub fn scopes(mut self, scopes: &[&str]) -> Self {
        self.scopes = scopes.iter().map(|scope| scope.to_string()).collect();
        self
    }

    /// Limits it to a project, target or environment: `my-app/production`.
    pub fn restricted_to(mut self, path: &str) -> Self {
        self.restriction = Some(path.into());
        self
    }

    /// Lets the list of keys say when it expires. It is accepted all the same.
    pub fn expires_at(mut self, time: &str) -> Self {
        self.expires_at = Some(time.into());
        self
    }

    /// What the list of keys says of it.
    pub(super) fn record(&self) -> Value {
        json!({
            "id": self.organization,
            "name": "a key",
            "abilities": self.scopes,
            "expires_at": self.expires_at,
            "created_at": "2025-01-02T03:04:05Z",
        })
    }

    pub fn token(&self) -> &str {
        &self.token
    }

    pub(super) fn is_of(&self, organization: &str) -> bool {
        self.organization == organization
    }

    pub(super) fn allows(&self, scope: &str) -> bool {
        self.scopes
            .iter()
            .any(|allowed| allowed == scope || allowed == "*")
    }

    /// Whether it may read at a path: anywhere, or at and below the path it is limited to.
    pub(super) fn reaches(&self, path: &str) -> bool {
        let Some(restriction) = &self.restriction else {
            return true;
        };
        path.strip_prefix(restriction.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether it may see the key descriptor of a project: anything that is limited to a part of it
    /// needs that too.
    pub(super) fn reaches_project(&self, project: &str) -> bool {
        self.restriction
            .as_ref()
            .is_none_or(|restriction| restriction.split('/').next() == Some(project))
    }
}

/// Forty characters that no other key has, so that a search for one of them finds that key and
/// nothing else.
fn random_hex() -> String {
    let mut bytes = [0; 20];
    SystemRandom::new().fill(&mut bytes).expect("random bytes");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
