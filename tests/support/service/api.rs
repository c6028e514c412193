//! The routes of the API and everything for which the service refuses a request.

use serde_json::{Value, json};

use super::Shared;
use super::http::{Reply, Request};
use super::keys::Key;
use crate::support::documents;
use crate::support::world::Project;

/// The routes that a reader uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Route {
    Organization,
    Secrets,
    EncryptionKey,
    /// Of a mirror only.
    Manifest,
    ApiKeys,
}

/// A path below a project, taken apart.
struct Resource<'a> {
    route: Route,
    organization: &'a str,
    project: &'a str,
    place: String,
}

impl Shared {
    /// The document that a request asks for, or the refusal.
    pub(super) fn answer(&self, request: &Request) -> Result<(Route, Value), Reply> {
        check_form(request)?;
        let key = &self.key(request)?;
        if request.target == "/api/v1/organization" {
            return Ok((Route::Organization, documents::organization(&self.world)));
        }
        if let Some(organization) = api_keys_of(&request.target) {
            return Ok((Route::ApiKeys, self.api_keys(key, organization)?));
        }
        let resource = parse(&request.target).ok_or_else(|| not_found("Route"))?;
        let project = self.project(key, &resource)?;
        let document = match resource.route {
            Route::Secrets => self.secrets(key, project, &resource.place),
            Route::Manifest => self.manifest(project),
            _ => encryption_key(key, project),
        };
        Ok((resource.route, document?))
    }

    /// The key that a request comes with, if it is one to accept.
    fn key(&self, request: &Request) -> Result<Key, Reply> {
        let Some(keys) = &self.keys else {
            let is_anonymous = request.header("Authorization").is_none();
            check(is_anonymous, || {
                Reply::error(400, "bad_request", "A mirror must not be given a key.")
            })?;
            return Ok(Key::new());
        };
        let keys = keys.lock().unwrap();
        let key = bearer(request).and_then(|token| keys.iter().find(|key| key.token() == token));
        key.cloned().ok_or_else(unauthenticated)
    }

    /// The one page that there is of the list of keys.
    fn api_keys(&self, key: &Key, organization: &str) -> Result<Value, Reply> {
        let is_ours = organization == self.world.organization && key.is_of(organization);
        check(is_ours, || not_found("Organization"))?;
        check(key.allows("api-token:read"), || forbidden("api-token:read"))?;
        let keys = self.keys.as_ref().expect("a service with keys");
        let records: Vec<_> = keys.lock().unwrap().iter().map(Key::record).collect();
        Ok(json!({ "data": records }))
    }

    /// The project of a resource, if it is the key's own organization that it belongs to: what
    /// belongs to another does not exist.
    fn project(&self, key: &Key, resource: &Resource) -> Result<&Project, Reply> {
        let organization = resource.organization;
        let is_ours = organization == self.world.organization && key.is_of(organization);
        check(is_ours, || not_found("Organization"))?;
        let project = self.world.project(resource.project);
        project.ok_or_else(|| not_found("Project"))
    }

    /// The service has no such route.
    fn manifest(&self, project: &Project) -> Result<Value, Reply> {
        let has_one = self.keys.is_none() && project.custody.managed == "client";
        check(has_one, || not_found("Route"))?;
        Ok(documents::manifest_of(&self.world.organization, project))
    }

    fn secrets(&self, key: &Key, project: &Project, place: &str) -> Result<Value, Reply> {
        check(project.has_place(place), || {
            not_found("Target or environment")
        })?;
        check(key.reaches(&project.path(place)), || {
            forbidden("a wider restriction")
        })?;
        check(key.allows("secret:read"), || forbidden("secret:read"))?;
        Ok(documents::secrets(&self.world.organization, project, place))
    }
}

fn encryption_key(key: &Key, project: &Project) -> Result<Value, Reply> {
    check(key.reaches_project(&project.slug), || {
        forbidden("a wider restriction")
    })?;
    check(key.allows("key:retrieve"), || forbidden("key:retrieve"))?;
    Ok(documents::encryption_key(project))
}

/// What must be right about a request before anybody looks at what it asks for.
fn check_form(request: &Request) -> Result<(), Reply> {
    let bad = |message: &str| Reply::error(400, "bad_request", message);
    let version = request
        .header("User-Agent")
        .and_then(|agent| agent.strip_prefix("dotenv-run/"));
    let is_ours = version.is_some_and(|version| !version.is_empty());
    check(is_ours, || {
        bad("The User-Agent is not that of the program under test.")
    })?;
    let has_host = request.header("Host").is_some_and(|host| !host.is_empty());
    check(has_host, || bad("There is no Host."))?;
    let is_get = request.method == "GET";
    check(is_get, || {
        Reply::error(405, "method_not_allowed", "Use GET.").header("Allow", "GET")
    })?;
    let is_bare = request.body.is_empty() && request.header("Transfer-Encoding").is_none();
    check(is_bare, || bad("A GET has no body."))?;
    // A page of the web application, as its framework answers whoever does not ask for JSON.
    let wants_json = request.header("Accept") == Some("application/json");
    check(wants_json, || Reply::redirect("/login"))
}

/// The token of the one `Authorization` header.
fn bearer(request: &Request) -> Option<&str> {
    request.header("Authorization")?.strip_prefix("Bearer ")
}

/// Takes a path apart. Only the paths of the routes, written in the one way there is, name
/// anything: a query, a doubled or trailing slash, `..` or a percent sign make it another path.
fn parse(target: &str) -> Option<Resource<'_>> {
    let segments: Vec<&str> = target.strip_prefix("/api/v1/")?.split('/').collect();
    let (organization, project, place, route) = match segments[..] {
        [organization, project, "encryption-key"] => {
            (organization, project, &[][..], Route::EncryptionKey)
        }
        [organization, project, "manifest"] => (organization, project, &[][..], Route::Manifest),
        [organization, project, ref place @ .., "secrets"] => {
            (organization, project, place, Route::Secrets)
        }
        _ => return None,
    };
    if !place.iter().all(|slug| is_slug(slug)) {
        return None;
    }
    let place = place.join("/");
    Some(Resource {
        route,
        organization,
        project,
        place,
    })
}

/// The organization whose keys are to be listed: the first page, or another one by its number.
fn api_keys_of(target: &str) -> Option<&str> {
    let route = target.strip_prefix("/api/v1/organizations/")?;
    let (organization, rest) = route.split_once('/')?;
    let page = rest.strip_prefix("api-keys")?;
    let is_numbered = |page: &str| page.parse::<u32>().is_ok_and(|page| page > 1);
    let is_page = page.is_empty() || page.strip_prefix("?page=").is_some_and(is_numbered);
    is_page.then_some(organization)
}

fn is_slug(text: &str) -> bool {
    let is_allowed = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    !text.is_empty() && text.bytes().all(is_allowed)
}

fn check(condition: bool, refusal: impl FnOnce() -> Reply) -> Result<(), Reply> {
    if condition { Ok(()) } else { Err(refusal()) }
}

fn unauthenticated() -> Reply {
    Reply::json(401, &json!({ "message": "Unauthenticated." }))
}

fn forbidden(need: &str) -> Reply {
    Reply::error(
        403,
        "insufficient_permissions",
        &format!("This token lacks {need}."),
    )
}

fn not_found(what: &str) -> Reply {
    Reply::error(404, "not_found", &format!("{what} not found."))
}
