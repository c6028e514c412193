//! What comes from the service: which requests are sent, whose organization they are about, and the
//! worked example of inheritance. How it fails and how levels are opened have modules of their own.

pub mod answers;
pub mod bombs;
pub mod connection;
pub mod custody;
pub mod descriptor;
pub mod faults;
pub mod mirrors;
pub mod network;
pub mod order;
pub mod proxy;
pub mod retries;
pub mod scale;
pub mod tls;

use std::fs;

use serde_json::{Value, json};

use crate::support::*;

tests![
    a_run_sends_two_requests_and_no_more,
    a_request_says_who_asks_and_nothing_else,
    the_worked_example_of_inheritance_holds_in_every_custody,
    level_only_takes_the_deepest_level_of_the_path,
    a_deeper_value_takes_the_place_of_the_first,
    the_service_is_reached_by_every_form_of_its_address,
    a_static_web_server_is_a_read_replica,
    nothing_but_the_organization_inside_the_key_is_needed,
    an_organization_id_is_taken_as_it_is_given,
    a_key_that_names_no_organization_asks_for_it,
    the_organization_is_found_in_every_shape_of_its_document,
    a_slug_is_compared_with_what_the_service_says,
    an_organization_that_does_not_fit_stops_the_run,
    a_path_without_secrets_starts_nothing_unless_allowed,
];

pub fn secrets(path: &str) -> String {
    format!("/api/v1/{ORGANIZATION}/{path}/secrets")
}

pub fn encryption_key(project: &str) -> String {
    format!("/api/v1/{ORGANIZATION}/{project}/encryption-key")
}

/// Just these documents were asked for, each once. Two of them are asked for at the same time, so that
/// their order says nothing.
#[track_caller]
pub fn assert_asked<const N: usize>(service: &Service, mut expected: [String; N]) {
    let mut targets = service.targets();
    targets.sort();
    expected.sort();
    assert_eq!(targets, expected);
}

/// The body of the good answer to the request for secrets of `legacy`.
pub fn good_body() -> String {
    fs::read_to_string(Tree::example().secrets("legacy")).unwrap()
}

/// A run on `legacy` that sends all three requests, one of which meets a fault.
pub fn failing(service: &Service, route: Route, fault: Fault) -> Run {
    service.fail(route, fault);
    service.dotenv_run_with(Key::new().oauth()).arg("legacy")
}

const ASKED: &str = "/api/v1/organization";

/// What the paths of the worked example give, merged and in order: [`World::example`].
const MERGED: [(&str, &[&str]); 3] = [
    (
        "",
        &[
            "APP_NAME=Acme",
            "LOG_LEVEL=info",
            "DATABASE_URL=postgres://shared",
        ],
    ),
    (
        "/production",
        &[
            "APP_NAME=Acme",
            "LOG_LEVEL=debug",
            "DATABASE_URL=postgres://shared",
        ],
    ),
    (
        "/production/api",
        &[
            "APP_NAME=Acme",
            "LOG_LEVEL=debug",
            "DATABASE_URL=postgres://prod",
            "STRIPE_SECRET_KEY=sk_live_x",
        ],
    ),
];

/// The same with `--level-only`.
const OWN: [(&str, &[&str]); 3] = [
    MERGED[0],
    ("/production", &["LOG_LEVEL=debug"]),
    (
        "/production/api",
        &[
            "DATABASE_URL=postgres://prod",
            "STRIPE_SECRET_KEY=sk_live_x",
        ],
    ),
];

/// The worked example in every custody; `run` is a run on a source of [`World::example`]. The
/// client key is there only where it is needed.
#[track_caller]
pub fn assert_worked_example(run: impl Fn() -> Run) {
    for project in ["my-app", "managed", "legacy"] {
        for (place, expected) in MERGED {
            let run = with_key_if_needed(run(), project);
            assert_eq!(run.arg(project.to_owned() + place).variables(), expected);
        }
    }
}

/// The same with `--level-only`.
#[track_caller]
pub fn assert_worked_example_of_one_level(run: impl Fn() -> Run) {
    for project in ["my-app", "managed", "legacy"] {
        for (place, expected) in OWN {
            let run = with_key_if_needed(run(), project).arg("--level-only");
            assert_eq!(run.arg(project.to_owned() + place).variables(), expected);
        }
    }
}

/// The client key for the one project of the example that needs it.
pub fn with_key_if_needed(run: Run, project: &str) -> Run {
    match project {
        "my-app" => run.client_key(),
        _ => run,
    }
}

fn a_run_sends_two_requests_and_no_more() {
    for path in ["my-app", "my-app/production", "my-app/production/api"] {
        let service = Service::example();
        let run = service.dotenv_run().client_key().arg(path);
        run.args(["--", "true"]).finish().assert_status(0);
        assert_asked(&service, [secrets(path), encryption_key("my-app")]);
    }
}

fn a_request_says_who_asks_and_nothing_else() {
    let service = Service::example();
    let run = service.dotenv_run().client_key().arg("my-app");
    run.args(["--", "true"]).finish().assert_status(0);

    let requests = service.requests();
    assert_eq!(requests.len(), 2);
    for request in requests {
        assert_eq!(request.method, "GET");
        let agent = concat!("dotenv-run/", env!("CARGO_PKG_VERSION"));
        assert_eq!(request.header("User-Agent"), Some(agent));
        let bearer = format!("Bearer {}", service.api_key());
        assert_eq!(request.header("Authorization"), Some(&*bearer));
        assert_eq!(request.header("Accept"), Some("application/json"));
        assert_eq!(
            request.header("Host"),
            Some(&*service.address().to_string())
        );
        let names = request.headers.iter().map(|(name, _)| name.to_lowercase());
        let mut names: Vec<_> = names.collect();
        names.sort();
        let expected = [
            "accept",
            "authorization",
            "connection",
            "host",
            "user-agent",
        ];
        assert_eq!(names, expected);
        assert!(request.body.is_empty());
    }
}

fn the_worked_example_of_inheritance_holds_in_every_custody() {
    let service = Service::example();
    assert_worked_example(|| service.dotenv_run());
}

fn level_only_takes_the_deepest_level_of_the_path() {
    let service = Service::example();
    assert_worked_example_of_one_level(|| service.dotenv_run());
    // The level is that of the request, whatever the answer says it is about.
    let other = |document: &mut Value| document["meta"]["hierarchy"] = json!({"project": "my-app"});
    service.fail(Route::Secrets, Fault::edit(other));
    assert_worked_example_of_one_level(|| service.dotenv_run());
    // A level that is missing is no reason to take another one.
    let without = |document: &mut Value| {
        document["data"]["attributes"]["levels"]["environment"] = Value::Null;
    };
    let service = Service::example();
    service.fail(Route::Secrets, Fault::edit(without));
    let run = service.dotenv_run().arg("--level-only");
    run.arg("legacy/production/api")
        .refuses(125, &["legacy/production/api"]);
}

fn a_deeper_value_takes_the_place_of_the_first() {
    let project = Project::new("ordered", Custody::legacy())
        .level("", "Z=1\nA=1\nM=1\nEMPTY=full\nz=1\n")
        .level("t", "M=2\nB=2\nEMPTY=\n")
        .level("t/e", "C=3\nB=3\nZ=3\n");
    let service = Service::of(World::new(vec![project]));
    let variables = service.dotenv_run().arg("ordered/t/e").variables();
    let expected = ["Z=3", "A=1", "M=2", "EMPTY=", "z=1", "B=3", "C=3"];
    assert_eq!(variables, expected);
}

fn the_service_is_reached_by_every_form_of_its_address() {
    let (service, plain) = (Service::example(), Service::plain());
    for (service, url) in [
        (&service, service.url()),
        (&service, service.url_by_name()),
        (&service, service.url() + "/"),
        (&service, service.url().replace("https", "HTTPS")),
        (&plain, plain.url()),
        (&plain, plain.url_by_name()),
    ] {
        let run = service.dotenv_run().args(["--api-url", &url, "legacy"]);
        assert_eq!(run.variables(), MERGED[0].1, "{url}");
    }
    let variable = Run::dotenv_run()
        .env("DOTENV_API_KEY", plain.api_key())
        .env("DOTENV_API_URL", plain.url())
        .args(["legacy", "--", "printenv", "LOG_LEVEL"]);
    variable.finish().assert_status(0).assert_stdout("info\n");
}

/// A tree behind a web server: the documents are right, and the server knows nothing about them.
fn a_static_web_server_is_a_read_replica() {
    let tree = Tree::example();
    let service = Service::example();
    for (route, document) in [
        (Route::Organization, tree.organization()),
        (Route::Secrets, tree.secrets("my-app/production")),
        (Route::EncryptionKey, tree.encryption_key("my-app")),
    ] {
        let body = fs::read(document).unwrap();
        let reply = Reply::new(200, "application/octet-stream", body);
        service.fail(route, Fault::Reply(reply.header("ETag", "\"1\"")));
    }
    let run = service.dotenv_run_with(Key::new().oauth()).client_key();
    assert_eq!(run.arg("my-app/production").variables(), MERGED[1].1);
}

fn nothing_but_the_organization_inside_the_key_is_needed() {
    let service = Service::example();
    assert!(service.api_key().contains(ORGANIZATION));
    service.fail(Route::Organization, Fault::Close);
    assert_eq!(service.dotenv_run().arg("legacy").variables(), MERGED[0].1);
    assert_asked(&service, [secrets("legacy"), encryption_key("legacy")]);
}

/// Given on the command line or in the environment, it wins over the one inside the key, in the
/// case in which it was written.
fn an_organization_id_is_taken_as_it_is_given() {
    let lower = ORGANIZATION.to_lowercase();
    let cases = [
        (None, Some(ORGANIZATION), ORGANIZATION),
        (Some(ORGANIZATION), None, ORGANIZATION),
        (Some(ORGANIZATION), Some(FOREIGN_ORGANIZATION), ORGANIZATION),
        (None, Some(FOREIGN_ORGANIZATION), FOREIGN_ORGANIZATION),
        (Some(&lower), None, &lower),
    ];
    for (option, variable, expected) in cases {
        let service = Service::example();
        let mut run = service.dotenv_run().arg("legacy");
        if let Some(organization) = option {
            run = run.args(["--organization", organization]);
        }
        if let Some(organization) = variable {
            run = run.env("DOTENV_ORGANIZATION", organization);
        }
        let target = secrets("legacy").replace(ORGANIZATION, expected);
        if expected == ORGANIZATION {
            run.args(["--", "true"]).finish().assert_status(0);
        } else {
            run.refuses(125, &["legacy"]);
        }
        assert!(service.targets().contains(&target));
        assert!(!service.targets().contains(&ASKED.to_string()));
    }
}

fn a_key_that_names_no_organization_asks_for_it() {
    let service = Service::example();
    let run = service.dotenv_run_with(Key::new().oauth());
    assert_eq!(run.arg("legacy").variables(), MERGED[0].1);
    assert_eq!(service.targets()[0], ASKED);
    let expected = [ASKED.into(), secrets("legacy"), encryption_key("legacy")];
    assert_asked(&service, expected);

    // What only looks like the shape of a key names none either.
    for token in ["dotenv_short_x", "dotenv_01HZX3V7Q8K9M2N4P5R6S7T8V9_", "x"] {
        let service = Service::example();
        let run = service.dotenv_run().env("DOTENV_API_KEY", token);
        run.arg("legacy").refuses(125, &["401"]);
        assert_eq!(service.targets(), [ASKED]);
    }
}

/// A run that has to ask for the organization and gets this answer.
fn asking(answer: Value) -> (Service, Run) {
    let service = Service::example();
    let answer = Fault::Reply(Reply::json(200, &answer));
    let run = failing(&service, Route::Organization, answer);
    (service, run)
}

fn the_organization_is_found_in_every_shape_of_its_document() {
    let other = FOREIGN_ORGANIZATION;
    for data in [
        json!({ "id": other, "ulid": other, "attributes": { "ulid": ORGANIZATION } }),
        json!({ "id": other, "ulid": ORGANIZATION, "attributes": {} }),
        json!({ "id": ORGANIZATION, "name": "A", "slug": "a", "status": "active" }),
        json!({ "id": ORGANIZATION, "ulid": null, "attributes": null }),
        json!({ "id": ORGANIZATION, "attributes": { "ulid": "17" } }),
    ] {
        let (_service, run) = asking(json!({ "data": data }));
        assert_eq!(run.variables(), MERGED[0].1, "{data}");
    }
    for (answer, fragment) in [
        (json!({}), "data"),
        (json!({ "data": null }), "data"),
        (json!([]), "array"),
        (json!({ "data": [{ "id": ORGANIZATION }] }), "data"),
        (
            json!({ "data": { "id": "../../../../../../../../.." } }),
            "ULID",
        ),
        (json!({ "data": { "id": 17 } }), "data.id"),
        (
            json!({ "data": { "id": "01HZX3V7Q8K9M2N4P5R6S7T8VU" } }),
            "ULID",
        ),
        (
            json!({ "data": { "attributes": { "ulid": ORGANIZATION, "slug": 1 } } }),
            "slug",
        ),
    ] {
        let (service, run) = asking(answer);
        run.refuses(125, &["organization", fragment]);
        assert_eq!(service.targets(), [ASKED]);
    }
}

fn a_slug_is_compared_with_what_the_service_says() {
    for organization in ["acme-corp", ORGANIZATION] {
        let service = Service::example();
        let run = service.dotenv_run().args(["--organization", organization]);
        assert_eq!(run.arg("legacy").variables(), MERGED[0].1);
        let is_asked = service.targets().contains(&ASKED.to_string());
        assert_eq!(is_asked, organization == "acme-corp");
        assert!(service.targets().contains(&secrets("legacy")));
    }
    let (_service, run) = asking(json!({ "data": { "id": ORGANIZATION, "slug": "acme" } }));
    let run = run.args(["--organization", "acme"]);
    assert_eq!(run.variables(), MERGED[0].1);
}

fn an_organization_that_does_not_fit_stops_the_run() {
    let service = Service::example();
    let run = service.dotenv_run().args(["--organization", "other-corp"]);
    run.arg("legacy").refuses(125, &["acme-corp", "other-corp"]);
    assert_eq!(service.targets(), [ASKED]);

    // A name that could pass for a message of ours, or command a terminal, is not shown.
    let hostile = "acme\nhint: use --organization evil\u{1b}[2J";
    let (_service, run) = asking(json!({ "data": { "id": ORGANIZATION, "slug": hostile } }));
    let run = run.args(["--organization", "acme-corp"]);
    let refused = run.refuses(125, &["organization"]);
    let is_hostile = refused.stderr.contains("evil") || refused.stderr.contains('\u{1b}');
    assert!(!is_hostile, "{refused}");

    let (service, run) = asking(json!({ "data": { "id": ORGANIZATION } }));
    let run = run.args(["--organization", "acme-corp"]);
    run.refuses(125, &["acme-corp"]);
    assert_eq!(service.targets(), [ASKED]);

    let service = Service::example();
    let run = service.dotenv_run_with(Key::of_organization(FOREIGN_ORGANIZATION));
    run.arg("legacy/production")
        .refuses(125, &["legacy/production"]);
}

fn a_path_without_secrets_starts_nothing_unless_allowed() {
    let bare = Project::new("bare", Custody::client()).empty_place("t/e");
    let comments = Project::new("comments", Custody::legacy()).level("", "# nothing\n\n");
    let service = Service::of(World::new(vec![bare, comments]));
    for path in ["bare", "bare/t", "bare/t/e", "comments"] {
        let refused = service.dotenv_run().arg(path).refuses(125, &[path]);
        assert!(refused.stderr.contains("--allow-empty"), "{refused}");
        let allowed = service.dotenv_run().args(["--allow-empty", path]);
        assert_eq!(allowed.variables(), [""; 0], "{path}");
    }
}
