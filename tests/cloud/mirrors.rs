//! Read replicas: when they are asked, what they are told, and what is taken from them.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::cloud::connection::fill_queue;
use crate::cloud::{encryption_key, secrets};
use crate::support::*;

tests![
    a_mirror_of_every_kind_takes_over,
    a_tree_served_by_nginx_takes_over needs(|| tool("nginx")),
    a_mirror_is_not_asked_while_the_service_answers,
    a_mirror_is_not_asked_after_a_refusal,
    a_mirror_never_gets_the_key,
    mirrors_are_asked_in_their_order_and_round_by_round,
    a_refusal_of_a_mirror_is_final,
    documents_of_two_places_are_never_mixed,
    nothing_that_is_not_sealed_is_taken_from_a_mirror,
    a_mirror_tells_the_organization_where_the_key_does_not,
    a_mirror_takes_over_within_the_time_for_a_connection,
    a_service_that_hangs_leaves_time_for_the_mirror,
    a_wait_that_the_service_asks_for_is_not_needed_with_a_mirror,
    the_variable_lists_mirrors_and_the_option_wins,
    a_mirror_that_is_none_is_a_usage_error,
];

/// A service that fails in a way that may pass.
fn failing_service() -> Service {
    let service = Service::example();
    for route in [Route::Organization, Route::Secrets, Route::EncryptionKey] {
        service.fail(route, Fault::Reply(Reply::error(503, "busy", "later")));
    }
    service
}

fn mirror() -> Service {
    Service::mirror_of(World::example())
}

/// A run on the client-managed project.
fn run(service: &Service, mirrors: &[&str]) -> Run {
    let run = service.dotenv_run().client_key().arg("my-app");
    mirrors
        .iter()
        .fold(run, |run, mirror| run.args(["--mirror", mirror]))
}

/// It runs, and says once where the secrets come from.
#[track_caller]
fn assert_from(run: Run, mirror: &str) -> Outcome {
    let outcome = run.args(["--", "printenv", "LOG_LEVEL"]).finish();
    outcome.assert_status(0).assert_stdout("info\n");
    let named = format!("from the mirror {mirror}: ");
    assert_eq!(outcome.stderr.matches(&named).count(), 1, "{outcome}");
    assert!(!outcome.stderr.contains("hint: "), "{outcome}");
    outcome
}

fn a_mirror_of_every_kind_takes_over() {
    let (service, tree) = (failing_service(), Tree::example());
    let root = tree.root().display().to_string();
    assert_from(run(&service, &[&tree.url()]), &root);
    let plain = mirror();
    let host = plain.address().to_string();
    let outcome = assert_from(run(&service, &[&plain.url()]), &host);
    assert!(outcome.stderr.contains("503"), "{outcome}");

    // One that cuts off, one that is not there, one that answers in part.
    let cutting = Service::example();
    cutting.fail(Route::EncryptionKey, Fault::Close);
    assert_from(run(&cutting, &[&plain.url()]), &host);
    let url = format!("https://{}", refusing_port());
    let absent = run(&service, &[&plain.url()]).args(["--api-url", &url]);
    assert_from(absent, &host);
    let quiet = run(&service, &[&tree.url()]).args(["-q", "--", "true"]);
    assert_eq!(quiet.finish().assert_status(0).stderr, "");
}

/// A configuration that serves the tree as it is, and logs what it is told of who asks. `within` puts it
/// into a network. Its user counts only where it is started as root, be it that of a namespace.
pub fn nginx(
    tree: &Path,
    dir: &TempDir,
    address: SocketAddr,
    within: impl Fn(Run) -> Run,
) -> (Live, String) {
    let (work, root) = (dir.path().display(), tree.display());
    let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {work}/{kind};"));
    let configuration = format!(
        "user root; daemon off; master_process off; pid {work}/pid; error_log {work}/error;\n\
         events {{}}\n\
         http {{ log_format all '\"$request\" $status authorization: $http_authorization';\n\
           access_log {work}/access all; {}\n\
           server {{ listen {address}; root {root}; }} }}\n",
        paths.concat()
    );
    let file = dir.file("nginx.conf", configuration).display().to_string();
    let nginx = Run::program("nginx").args(["-e", "stderr", "-c", &file]);
    let live = within(nginx.limit(Duration::from_secs(60))).spawn();
    // It writes its number when it listens.
    wait_until("nginx", || dir.path().join("pid").exists());
    (live, format!("http://{address}"))
}

fn a_tree_served_by_nginx_takes_over() {
    let (tree, dir) = (Tree::example(), TempDir::new());
    let (_nginx, url) = nginx(tree.root(), &dir, free_port(), |run| run);
    let host = url.strip_prefix("http://").unwrap();
    let absent = format!("https://{}", refusing_port());
    let service = failing_service();
    let run = run(&service, &[&url]).args(["--api-url", &absent]);
    let outcome = assert_from(run, host);
    assert!(outcome.elapsed < Duration::from_secs(5), "{outcome}");
    let log = std::fs::read_to_string(dir.path().join("access")).unwrap();
    assert_eq!(log.matches("\" 200 ").count(), 3, "{log}");
}

fn a_mirror_is_not_asked_while_the_service_answers() {
    let (service, mirror) = (Service::example(), mirror());
    let outcome = run(&service, &[&mirror.url()])
        .args(["--", "true"])
        .finish();
    outcome.assert_status(0);
    assert!(!outcome.stderr.contains("mirror"), "{outcome}");
    assert_eq!(mirror.connections(), 0);
}

fn a_mirror_is_not_asked_after_a_refusal() {
    let mirror = mirror();
    let reply = |status| Fault::Reply(Reply::error(status, "code", "message"));
    let faults = [400, 401, 403, 404, 418, 422, 302].map(reply).into_iter();
    let others = [
        Fault::Raw(b"SSH-2.0\r\n".into()),
        Fault::Reply(Reply::json(200, &json!({}))),
    ];
    for (index, fault) in faults.chain(others).enumerate() {
        let service = Service::example();
        let route = [Route::Secrets, Route::EncryptionKey][index % 2];
        service.fail(route, fault);
        run(&service, &[&mirror.url()]).refuses(125, &[]);
    }
    let service = Service::with_certificate(Certificate::Expired);
    run(&service, &[&mirror.url()]).refuses(125, &["expired"]);
    assert_eq!(mirror.connections(), 0);
}

fn a_mirror_never_gets_the_key() {
    // It refuses every request with a key.
    let (service, mirror) = (failing_service(), mirror());
    assert_from(
        run(&service, &[&mirror.url()]),
        &mirror.address().to_string(),
    );
    assert_eq!(mirror.requests().len(), 3);
    for request in mirror.requests() {
        let all = format!("{request:?}");
        assert!(!all.contains(service.api_key()), "{all}");
        assert_eq!(request.header("Authorization"), None);
    }
    // Those of the service do not.
    for request in service.requests() {
        assert!(request.header("Authorization").is_some());
    }
}

fn mirrors_are_asked_in_their_order_and_round_by_round() {
    let places = [failing_service(), mirror(), mirror()];
    for mirror in &places[1..] {
        mirror.fail(Route::Secrets, Fault::Close);
    }
    let urls = [places[1].url(), places[2].url()];
    let refused = run(&places[0], &[&urls[0], &urls[1]]).refuses(124, &["503"]);
    // It is the service that failed.
    assert!(
        refused.stderr.contains(&places[0].address().to_string()),
        "{refused}"
    );
    let mut asked: Vec<_> = (0..3)
        .flat_map(|place| {
            let requests = places[place].requests().into_iter();
            let secrets = requests.filter(|request| request.target == secrets("my-app"));
            secrets.map(move |request| (request.received, place))
        })
        .collect();
    asked.sort();
    let order: Vec<_> = asked.iter().map(|(_, place)| *place).collect();
    assert_eq!(order, [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2]);

    // The second one has recovered by the second round.
    let places = [failing_service(), mirror(), mirror()];
    places[1].fail(Route::Secrets, Fault::Close);
    places[2].fail_times(1, Route::Secrets, Fault::Close);
    let urls = [places[1].url(), places[2].url()];
    let run = run(&places[0], &[&urls[0], &urls[1]]);
    assert_from(run, &places[2].address().to_string());
}

fn a_refusal_of_a_mirror_is_final() {
    let (service, first, second) = (failing_service(), mirror(), mirror());
    let reply = Reply::error(404, "not_found", "");
    first.fail(Route::Secrets, Fault::Reply(reply));
    let host = first.address().to_string();
    run(&service, &[&first.url(), &second.url()]).refuses(125, &["my-app", &host]);
    assert_eq!(second.connections(), 0);
}

/// Each has another salt, so that the levels of one do not open with the descriptor of the other.
fn documents_of_two_places_are_never_mixed() {
    let world = |salt: &[u8], text: &str| {
        let salt = Some(salt.to_vec());
        let custody = Custody {
            salt,
            ..Custody::client()
        };
        World::new(vec![Project::new("my-app", custody).level("", text)])
    };
    for route in [Route::Secrets, Route::EncryptionKey] {
        let service = Service::of(world(b"one salt", "LOG_LEVEL=none\n"));
        let mirror = Service::mirror_of(world(b"another salt", "LOG_LEVEL=info\n"));
        service.fail(route, Fault::Close);
        assert_from(
            run(&service, &[&mirror.url()]),
            &mirror.address().to_string(),
        );

        // What one of them has given is still good when the other has failed in between.
        let service = Service::of(world(b"one salt", "LOG_LEVEL=info\n"));
        service.fail_times(1, route, Fault::Close);
        let mirror = Service::mirror_of(world(b"another salt", "LOG_LEVEL=none\n"));
        mirror.fail(route, Fault::Close);
        let outcome = run(&service, &[&mirror.url()]).args(["--", "printenv", "LOG_LEVEL"]);
        outcome.finish().assert_status(0).assert_stdout("info\n");
    }
}

fn nothing_that_is_not_sealed_is_taken_from_a_mirror() {
    let half = Project::new("half", Custody::client())
        .level("", "A=1\n")
        .plain_level("t", "A=2\n");
    let plain = Project::new("plain", Custody::client()).plain_level("", "A=1\n");
    let world = || {
        let mut world = World::example();
        world.projects.extend([
            Project::new("half", Custody::client()).empty_place("t"),
            Project::new("plain", Custody::client()),
        ]);
        world
    };
    let service = Service::of(world());
    for route in [Route::Secrets, Route::EncryptionKey] {
        service.fail(route, Fault::Reply(Reply::error(503, "busy", "later")));
    }
    let mut world = World::example();
    world.projects.extend([half, plain]);
    let tree = Tree::of(&world);
    let mirror = Service::mirror_of(world);
    for url in [mirror.url(), tree.url()] {
        for (path, says) in [
            ("managed", "project managed is not client-managed"),
            ("legacy/production", "project legacy is not client-managed"),
            ("half/t", "level target is not encrypted"),
            ("plain", "level project is not encrypted"),
        ] {
            let run = service.dotenv_run().client_key().arg("--allow-plaintext");
            let run = run.args(["--mirror", &url, path]);
            run.refuses(125, &["mirror", says]);
        }
        let run = service.dotenv_run().client_key().args(["--mirror", &url]);
        assert_eq!(run.arg("half").variables(), ["A=1"]);
    }
}

fn a_mirror_tells_the_organization_where_the_key_does_not() {
    let (service, mirror) = (failing_service(), mirror());
    let key = service.issue(Key::new().oauth());
    let run = run(&service, &[&mirror.url()]).env("DOTENV_API_KEY", key);
    assert_from(run, &mirror.address().to_string());
    assert_eq!(service.targets(), ["/api/v1/organization"]);
    assert_eq!(mirror.targets()[0], "/api/v1/organization");
    assert!(mirror.targets().contains(&encryption_key("my-app")));
}

/// A machine that is gone: packets to it are lost.
fn a_mirror_takes_over_within_the_time_for_a_connection() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let _queue = fill_queue(address);
    let (service, mirror) = (failing_service(), mirror());
    let url = format!("https://{address}");
    let run = run(&service, &[&mirror.url()]).args(["--api-url", &url]);
    let outcome = assert_from(run, &mirror.address().to_string());
    assert!(outcome.elapsed >= Duration::from_secs(5), "{outcome}");
    assert!(outcome.elapsed < Duration::from_secs(8), "{outcome}");
    assert!(
        outcome.stderr.contains("no connection within 5 s"),
        "{outcome}"
    );
}

fn a_service_that_hangs_leaves_time_for_the_mirror() {
    for route in [Route::Organization, Route::Secrets, Route::EncryptionKey] {
        let (service, mirror) = (Service::example(), mirror());
        service.fail(route, Fault::Hang);
        let key = service.issue(Key::new().oauth());
        let run = run(&service, &[&mirror.url()]).env("DOTENV_API_KEY", key);
        let run = run.args(["--timeout", "2"]);
        let outcome = assert_from(run, &mirror.address().to_string());
        assert!(outcome.elapsed >= Duration::from_secs(1), "{outcome}");
        assert!(outcome.elapsed < Duration::from_secs(2), "{outcome}");
    }
}

fn a_wait_that_the_service_asks_for_is_not_needed_with_a_mirror() {
    let (service, mirror) = (Service::example(), mirror());
    let busy = Reply::error(429, "busy", "later").header("Retry-After", "3600");
    service.fail(Route::Secrets, Fault::Reply(busy));
    let host = mirror.address().to_string();
    let outcome = assert_from(run(&service, &[&mirror.url()]), &host);
    assert!(outcome.elapsed < Duration::from_secs(5), "{outcome}");

    // Nor does the mirror have to wait for it when it needs another attempt itself.
    let service = Service::example();
    let busy = Reply::error(429, "busy", "later").header("Retry-After", "3600");
    service.fail(Route::Secrets, Fault::Reply(busy));
    mirror.fail_times(1, Route::Secrets, Fault::Close);
    assert_from(run(&service, &[&mirror.url()]), &host);
    let asked = service.targets();
    assert_eq!(
        asked.iter().filter(|it| **it == secrets("my-app")).count(),
        1
    );
}

fn the_variable_lists_mirrors_and_the_option_wins() {
    let (service, first, second) = (failing_service(), mirror(), mirror());
    first.fail(Route::Secrets, Fault::Close);
    let list = format!("  {}\n\t{} ", first.url(), second.url());
    let listed = |mirrors: &[&str]| run(&service, mirrors).env("DOTENV_RUN_MIRRORS", &list);
    assert_from(listed(&[]), &second.address().to_string());
    let before = first.connections();
    let third = mirror();
    assert_from(listed(&[&third.url()]), &third.address().to_string());
    assert_eq!(first.connections(), before);
    // Where a tree is read it is of no use, and does no harm.
    let tree = Tree::example();
    let run = tree.dotenv_run().env("DOTENV_RUN_MIRRORS", "not a URL");
    run.args(["legacy", "--", "true"]).finish().assert_status(0);
}

fn a_mirror_that_is_none_is_a_usage_error() {
    let service = Service::example();
    for url in [
        "",
        "mirror.example",
        "ftp://mirror.example",
        "https://user:swordfish@mirror.example",
        "https://mirror.example?key=swordfish",
        "file://server/tree",
    ] {
        let refused = run(&service, &[url]).refuses(125, &["--mirror"]);
        assert!(!refused.stderr.contains("swordfish"), "{refused}");
    }
    let run = service.dotenv_run().env("DOTENV_RUN_MIRRORS", "http://a b");
    run.arg("legacy").refuses(125, &["DOTENV_RUN_MIRRORS"]);
    let tree = Tree::example();
    let run = tree
        .dotenv_run()
        .args(["--mirror", "http://mirror.example"]);
    run.arg("legacy").refuses(125, &["--mirror", "sealed tree"]);
    assert!(service.requests().is_empty());
}
