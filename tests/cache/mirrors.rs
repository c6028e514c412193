//! `--cache` beside `--mirror`: which of them is asked first, and what a mirror may do to what is kept.

use super::{cached, requests_during};
use crate::support::keys::{self, SESSION};
use crate::support::*;

tests![
    a_warm_start_asks_neither_the_service_nor_a_mirror,
    what_a_mirror_gave_is_kept_until_it_is_old,
    a_mirror_comes_before_a_stale_answer,
    a_stale_answer_is_used_when_the_mirrors_fail_too,
    a_refusal_of_a_mirror_is_final_and_deletes_nothing,
];

const PATH: &str = "my-app";

/// A project whose one level tells where it is from.
fn world(from: &str) -> World {
    let text = format!("FROM={from}\n");
    World::new(vec![Project::new(PATH, Custody::client()).level("", &text)])
}

fn busy() -> Fault {
    Fault::Reply(Reply::error(503, "busy", "later"))
}

/// A run on both that keeps what it gets.
fn run(service: &Service, mirror: &Service) -> Run {
    let run = cached(service, PATH).client_key().arg("--mirror");
    run.arg(mirror.url()).args(["--timeout", "2"])
}

/// The same where everything that is kept is too old, but may be used for a minute more.
fn stale(service: &Service, mirror: &Service) -> Run {
    let run = run(service, mirror).args(["--cache", "0.001"]);
    run.args(["--stale", "60"])
}

/// A service whose answer is kept, in a session of its own, and a mirror.
fn kept() -> (Service, Service) {
    keys::enter_new_session();
    let (service, mirror) = (
        Service::of(world("service")),
        Service::mirror_of(world("mirror")),
    );
    run(&service, &mirror).assert_shows("FROM", "service");
    (service, mirror)
}

fn a_warm_start_asks_neither_the_service_nor_a_mirror() {
    let (service, mirror) = kept();
    service.fail(Route::Secrets, busy());
    let asked = requests_during(&service, || {
        let outcome = run(&service, &mirror).assert_shows("FROM", "service");
        assert_eq!(outcome.warnings(), [""; 0], "{outcome}");
    });
    assert_eq!((asked, mirror.connections()), (0, 0));
}

fn what_a_mirror_gave_is_kept_until_it_is_old() {
    let (service, mirror) = kept();
    service.fail_times(1, Route::Secrets, busy());
    stale(&service, &mirror).assert_shows("FROM", "mirror");
    // The service is back: that shows when what is kept is too old.
    let asked = requests_during(&service, || {
        run(&service, &mirror).assert_shows("FROM", "mirror");
    });
    assert_eq!(asked, 0);
    stale(&service, &mirror).assert_shows("FROM", "service");
    run(&service, &mirror).assert_shows("FROM", "service");
}

fn a_mirror_comes_before_a_stale_answer() {
    let (service, mirror) = kept();
    service.fail(Route::Secrets, busy());
    let outcome = stale(&service, &mirror).assert_shows("FROM", "mirror");
    assert_eq!(outcome.stderr.matches("from the mirror").count(), 1);
    assert!(!outcome.stderr.contains(" s ago"), "{outcome}");
}

fn a_stale_answer_is_used_when_the_mirrors_fail_too() {
    let (service, mirror) = kept();
    service.fail(Route::Secrets, busy());
    mirror.fail(Route::Secrets, busy());
    let outcome = stale(&service, &mirror).assert_shows("FROM", "service");
    let [warning] = outcome.warnings()[..] else {
        panic!("not one warning\n{outcome}");
    };
    assert!(warning.contains(" s ago"), "{outcome}");
    assert!(mirror.connections() > 0);
}

/// A mirror cannot know what the API key may have.
fn a_refusal_of_a_mirror_is_final_and_deletes_nothing() {
    for status in [401, 403, 404] {
        let (service, mirror) = kept();
        service.fail(Route::Secrets, busy());
        let before = keys::entries(SESSION);
        assert_eq!(before.len(), 2);
        let refusal = Reply::error(status, "no", "no");
        mirror.fail(Route::Secrets, Fault::Reply(refusal));
        let witness = Witness::new();
        let refused = stale(&service, &mirror).arg("--").args(witness.command());
        let host = mirror.address().to_string();
        refused.finish().assert_refused(125, &[&host]);
        witness.assert_not_started();
        assert_eq!(keys::entries(SESSION), before, "{status}");
    }
}
