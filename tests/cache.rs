//! `--cache` and `--stale`: what is used again and for how long, and when the service is asked all the same. Who can
//! get at what is kept, and what happens where keeping fails, have modules of their own.

pub mod mirrors;
pub mod reach;
pub mod trouble;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::support::Key as ApiKey;
use crate::support::keys::{self, Key, SESSION, USER};
use crate::support::*;

tests![
    a_warm_start_asks_nobody_and_needs_no_client_key,
    a_warm_start_gives_what_the_cold_one_gave,
    nothing_is_kept_unless_asked_for,
    no_cache_beats_the_variable_and_an_option_too,
    an_older_answer_is_fetched_again_and_replaced,
    the_kernel_forgets_an_answer_when_its_time_is_over,
    an_answer_that_is_denied_is_deleted,
    a_failure_that_may_pass_leaves_an_answer_alone,
    a_stale_answer_is_used_only_while_the_service_is_out_of_reach,
    without_stale_or_after_its_time_the_failure_stands,
    only_the_same_question_gets_the_answer,
    an_organization_that_must_be_asked_for_is_kept_too,
    a_wrong_client_key_is_not_kept,
    a_changed_client_key_is_noticed_when_the_answer_is_old,
    what_holds_a_key_is_closed_though_it_is_not_read,
    plaintext_is_refused_from_the_cache_too,
    what_breaks_the_grammar_is_not_kept,
    times_out_of_bounds_are_refused,
    a_sealed_tree_is_not_cached,
];

/// Long enough for any test.
const MINUTE: &str = "--cache=60";

const PATHS: [&str; 3] = [
    "my-app/production/api",
    "managed/production/api",
    "legacy/production/api",
];

/// Runs a test in a session of its own, and in the one of processes that were never given one. The test is told where
/// answers are kept.
fn in_every_session(test: impl Fn(Key)) {
    keys::enter_new_session();
    test(SESSION);
    in_default_session(|| test(USER));
}

/// Runs a test in the session of processes that were never given one.
fn in_default_session(test: impl FnOnce()) {
    in_turn(|| {
        keys::enter_default_session();
        test();
    });
}

/// Runs a test that uses the user's keyring, one at a time, and removes what it keeps there.
fn in_turn(test: impl FnOnce()) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let before = keys::entries(USER);
    test();
    for key in new_entries(USER, &before) {
        let _ = key.unlink_from(USER);
    }
}

/// The keys of ours in a keyring but those that were there before.
fn new_entries(keyring: Key, before: &[Key]) -> Vec<Key> {
    let mut entries = keys::entries(keyring);
    entries.retain(|key| !before.contains(key));
    entries
}

/// A run of a kind that is kept.
fn cached(service: &Service, path: &str) -> Run {
    service.dotenv_run().args([MINUTE, path])
}

/// How many requests the service gets while something is done.
#[track_caller]
fn requests_during<T>(service: &Service, work: impl FnOnce() -> T) -> usize {
    let before = service.requests().len();
    work();
    service.requests().len() - before
}

/// Everything in the session keyring and what it holds, in order.
fn contents() -> Vec<(Key, Vec<u8>)> {
    let members = SESSION.members().into_iter();
    let mut contents: Vec<_> = members
        .map(|key| (key, key.read().expect("a key that can be read")))
        .collect();
    contents.sort();
    contents
}

fn a_warm_start_asks_nobody_and_needs_no_client_key() {
    in_every_session(|_| {
        let mut service = Service::stoppable();
        for path in PATHS {
            let cold = cached(&service, path).client_key().any_custody();
            let mut expected = Vec::new();
            assert_eq!(requests_during(&service, || expected = cold.variables()), 2);
            let warm = || cached(&service, path);
            let asked = requests_during(&service, || assert_eq!(warm().variables(), expected));
            assert_eq!(asked, 0, "{path}");
            let supervised = warm().arg("--supervise");
            let asked = requests_during(&service, || {
                assert_eq!(supervised.variables(), expected);
            });
            assert_eq!(asked, 0, "{path}");
        }
        let runs = PATHS.map(|path| cached(&service, path));
        service.stop();
        for run in runs {
            let outcome = run.args(["--", "printenv", "DATABASE_URL"]).finish();
            outcome.assert_status(0).assert_stdout("postgres://prod\n");
            assert_eq!(outcome.stderr, "");
        }
    });
}

fn a_warm_start_gives_what_the_cold_one_gave() {
    keys::enter_new_session();
    let service = Service::example();
    let run = || cached(&service, PATHS[0]).client_key();
    let variants: [&[&str]; 5] = [
        &[],
        &["--level-only"],
        &["--only", "D*,A*", "--prefix", "X_"],
        &["--resolve"],
        &["--require", "LOG_LEVEL"],
    ];
    for options in variants {
        let cold = run().args(["--cache", "0"]).args(options).values();
        run().values();
        let run = run().args(options);
        let asked = requests_during(&service, || assert_eq!(run.values(), cold));
        assert_eq!(asked, 0, "{options:?}");
    }
    let listed = run().arg("--list").finish();
    let cold = service.dotenv_run().client_key();
    let cold = cold.args([PATHS[0], "--list"]).finish();
    assert_eq!(listed.text(), cold.text());
    let outcome = run().args(["-v", "--", "true"]).finish();
    assert!(
        outcome.stderr.contains("using the answer cached"),
        "{outcome}"
    );
}

fn nothing_is_kept_unless_asked_for() {
    keys::enter_new_session();
    keys::add(SESSION, "user", "foreign", b"untouched").unwrap();
    let before = contents();
    let service = Service::example();
    let run = || service.dotenv_run().arg("legacy");
    for run in [
        run(),
        run().env("DOTENV_RUN_CACHE", ""),
        run().env("DOTENV_RUN_CACHE", "0"),
        run().args(["--cache", "0"]),
        run().args(["--cache", "0", "--stale", "60"]),
        run().args(["--cache", "0"]).env("DOTENV_RUN_CACHE", "60"),
        run().arg("--no-cache"),
    ] {
        let asked = requests_during(&service, || {
            run.assert_shows("APP_NAME", "Acme");
        });
        assert_eq!(asked, 2);
        assert_eq!(contents(), before);
    }
    // The same with it keeps two keys, and leaves the other alone.
    cached(&service, "legacy").assert_shows("APP_NAME", "Acme");
    assert_eq!(keys::entries(SESSION).len(), 2);
    assert_eq!(contents().len(), 3);
    assert!(before.iter().all(|key| contents().contains(key)));
}

fn no_cache_beats_the_variable_and_an_option_too() {
    keys::enter_new_session();
    let service = Service::example();
    let run = || {
        let run = service.dotenv_run().arg("legacy");
        run.env("DOTENV_RUN_CACHE", "60")
    };
    let asked = |run: Run| {
        requests_during(&service, || {
            run.assert_shows("APP_NAME", "Acme");
        })
    };
    assert_eq!(asked(run()), 2);
    assert_eq!(asked(run()), 0);
    let kept = contents();
    assert_eq!(asked(run().arg("--no-cache")), 2);
    assert_eq!(contents(), kept);
    // Whatever it says.
    let rubbish = run().env("DOTENV_RUN_CACHE", "rubbish");
    assert_eq!(asked(rubbish.arg("--no-cache")), 2);
    assert_eq!(asked(run().args(["--cache", "30"])), 0);
    assert_eq!(asked(run()), 0);
    for other in ["--cache=60", "--stale=60"] {
        let run = run().args(["--no-cache", other]);
        run.refuses(125, &["--no-cache", "cannot be used with"]);
    }
}

fn an_older_answer_is_fetched_again_and_replaced() {
    in_every_session(|_| {
        let service = Service::example();
        let run = |seconds: &str| {
            let run = service.dotenv_run().args(["legacy", "--cache", seconds]);
            let run = run.args(["--stale", "60"]);
            requests_during(&service, || {
                run.assert_shows("APP_NAME", "Acme");
            })
        };
        assert_eq!(run("60"), 2);
        // Any run takes longer than that.
        assert_eq!(run("0.001"), 2);
        assert_eq!(run("60"), 0);
    });
    // What is fetched again is what counts from then on.
    keys::enter_new_session();
    let service = Service::example();
    cached(&service, "legacy").values();
    let first = contents();
    stale(&service, "legacy").values();
    let second = contents();
    assert_eq!(first.len(), 2);
    assert_eq!(second.len(), 2);
    for (_, payload) in &first {
        assert!(second.iter().all(|(_, other)| other != payload));
    }
}

fn the_kernel_forgets_an_answer_when_its_time_is_over() {
    keys::enter_new_session();
    let service = Service::example();
    let start = Instant::now();
    let run = || {
        let run = service.dotenv_run().args(["legacy", "--cache", "1"]);
        run.args(["--stale", "0.5"])
    };
    run().values();
    let entries = keys::entries(SESSION);
    assert_eq!(entries.len(), 2);
    assert!(entries.iter().all(|key| !key.has_expired()));
    // 1.5 s are two full ones for the kernel.
    wait_until("the kernel to let both keys expire", || {
        entries.iter().all(|key| key.has_expired())
    });
    let passed = start.elapsed();
    assert!(passed > Duration::from_millis(1000), "{passed:?}");
    assert_eq!(requests_during(&service, || run().values()), 2);
    assert_eq!(requests_during(&service, || run().values()), 0);
}

fn an_answer_that_is_denied_is_deleted() {
    for (status, code) in [(401, "unauthenticated"), (403, "forbidden"), (404, "none")] {
        for route in [Route::Secrets, Route::EncryptionKey] {
            keys::enter_new_session();
            let service = Service::example();
            let run = |seconds: &str| {
                let run = service.dotenv_run().args(["legacy", "--cache", seconds]);
                run.args(["--stale", "60"])
            };
            run("60").values();
            assert_eq!(keys::entries(SESSION).len(), 2);
            let refusal = Reply::error(status, code, "no");
            service.fail_times(1, route, Fault::Reply(refusal));
            run("0.001").refuses(125, &[]);
            wait_until("both keys to be gone", || keys::entries(SESSION).is_empty());
            assert_eq!(requests_during(&service, || run("60").values()), 2);
        }
    }
}

fn a_failure_that_may_pass_leaves_an_answer_alone() {
    keys::enter_new_session();
    let service = Service::example();
    cached(&service, "legacy").values();
    let kept = contents();
    for status in [429, 500, 503] {
        let reply = Reply::error(status, "later", "later");
        service.fail(Route::Secrets, Fault::Reply(reply));
        let run = service.dotenv_run().args(["legacy", "--cache", "0.001"]);
        run.args(["--timeout", "2"]).refuses(124, &[]);
        assert_eq!(contents(), kept);
    }
    let asked = requests_during(&service, || cached(&service, "legacy").values());
    assert_eq!(asked, 0);
}

/// A run that finds only an answer that is too old, and may use it for a minute more.
fn stale(service: &Service, path: &str) -> Run {
    let run = service.dotenv_run().args(["--cache", "0.001"]);
    run.args(["--stale", "60", "--timeout", "2", path])
}

fn a_stale_answer_is_used_only_while_the_service_is_out_of_reach() {
    in_every_session(|_| {
        let mut service = Service::stoppable();
        for path in PATHS {
            cached(&service, path).client_key().any_custody().values();
        }
        let unavailable = Fault::Reply(Reply::error(503, "later", "later"));
        for fault in [unavailable, Fault::Hang, Fault::Close] {
            let failing = Service::example();
            cached(&failing, "legacy/production/api").values();
            failing.fail(Route::EncryptionKey, fault);
            let run = stale(&failing, "legacy/production/api").args(["--timeout", "0.5"]);
            let outcome = run.assert_shows("DATABASE_URL", "postgres://prod");
            assert_eq!(outcome.warnings().len(), 1, "{outcome}");
        }
        // Every other failure stands.
        let rubbish = Fault::Raw(b"rubbish\r\n\r\n".into());
        service.fail_times(1, Route::Secrets, rubbish);
        stale(&service, "legacy/production/api").refuses(125, &[]);
        let redirect = Fault::Reply(Reply::error(302, "elsewhere", "elsewhere"));
        service.fail_times(1, Route::Secrets, redirect);
        stale(&service, "legacy/production/api").refuses(125, &["redirect"]);

        let runs = PATHS.map(|path| stale(&service, path));
        service.stop();
        for run in runs {
            let shows = |run: Run| run.assert_shows("DATABASE_URL", "postgres://prod");
            let outcome = shows(run.clone());
            let [warning] = outcome.warnings()[..] else {
                panic!("not one warning\n{outcome}");
            };
            assert!(warning.contains("connection refused"), "{outcome}");
            assert!(warning.contains(" s ago"), "{outcome}");
            assert_eq!(outcome.stderr.lines().count(), 1, "{outcome}");
            assert_eq!(shows(run.arg("--quiet")).stderr, "");
        }
    });
}

fn without_stale_or_after_its_time_the_failure_stands() {
    keys::enter_new_session();
    let mut service = Service::stoppable();
    cached(&service, "legacy").values();
    let run = |cache: &str, stale: &[&str]| {
        let run = service.dotenv_run().args(["legacy", "--timeout", "2"]);
        run.args(["--cache", cache]).args(stale)
    };
    let runs = [
        run("0.001", &[]),
        run("0.001", &["--stale", "0"]),
        run("0.001", &["--stale", "0.001"]),
    ];
    let never = [
        service.dotenv_run().args(["legacy", "--timeout", "2"]),
        run("0", &["--stale", "60"]),
        run(
            "60",
            &["--organization", FOREIGN_ORGANIZATION, "--stale", "60"],
        ),
    ];
    let warm = cached(&service, "legacy");
    service.stop();
    for run in runs.into_iter().chain(never) {
        let refused = run.refuses(124, &["connection refused"]);
        assert_eq!(refused.warnings().len(), 0, "{refused}");
    }
    warm.assert_shows("APP_NAME", "Acme");
}

fn only_the_same_question_gets_the_answer() {
    in_every_session(|_| {
        let service = Service::example();
        let asked = |run: Run| {
            requests_during(&service, || {
                run.args(["--print", "json", "--allow-empty"]).finish();
            })
        };
        let run = || cached(&service, "legacy");
        assert_eq!(asked(run()), 2);
        assert_eq!(asked(run()), 0);
        let other_key = service.issue(ApiKey::new());
        let others: [(&str, Run); 5] = [
            ("API key", run().env("DOTENV_API_KEY", &other_key)),
            ("deeper path", cached(&service, "legacy/production")),
            ("project", cached(&service, "managed")),
            (
                "organization",
                run().args(["--organization", FOREIGN_ORGANIZATION]),
            ),
            ("URL", run().args(["--api-url", &service.url_by_name()])),
        ];
        for (what, run) in others {
            assert!(asked(run) > 0, "another {what}");
        }
        // An organization that is the key's own is the same question.
        assert_eq!(asked(run().args(["--organization", ORGANIZATION])), 0);
        assert_eq!(asked(run()), 0);
    });
}

fn an_organization_that_must_be_asked_for_is_kept_too() {
    keys::enter_new_session();
    let mut service = Service::stoppable();
    let key = service.issue(ApiKey::new().oauth());
    let run = || cached(&service, "legacy").env("DOTENV_API_KEY", &key);
    assert_eq!(requests_during(&service, || run().values()), 3);
    assert_eq!(requests_during(&service, || run().values()), 0);
    let run = || run().args(["--organization", "acme-corp"]);
    assert_eq!(requests_during(&service, || run().values()), 3);
    assert_eq!(requests_during(&service, || run().values()), 0);
    let run = run();
    service.stop();
    run.assert_shows("APP_NAME", "Acme");
}

fn a_wrong_client_key_is_not_kept() {
    keys::enter_new_session();
    let service = Service::example();
    let run = |key: &str| cached(&service, "my-app").env("DOTENV_CLIENT_KEY", key);
    for _ in 0..2 {
        run("another key").refuses(125, &["wrong client key"]);
        assert_eq!(keys::entries(SESSION), []);
    }
    let right = || run(CLIENT_KEY).values();
    assert_eq!(requests_during(&service, right), 2);
    assert_eq!(requests_during(&service, right), 0);
}

fn a_changed_client_key_is_noticed_when_the_answer_is_old() {
    keys::enter_new_session();
    let service = Service::example();
    let run = || service.dotenv_run().arg("my-app");
    run().arg(MINUTE).client_key().values();
    let wrong = || run().env("DOTENV_CLIENT_KEY", "another key");
    wrong().arg(MINUTE).assert_shows("APP_NAME", "Acme");
    let old = wrong().args(["--cache", "0.001"]);
    old.refuses(125, &["wrong client key"]);
}

fn what_holds_a_key_is_closed_though_it_is_not_read() {
    keys::enter_new_session();
    let service = Service::example();
    let dir = TempDir::new();
    let file = dir.file("key", CLIENT_KEY);
    let redirection = format!("7<{}", file.display());
    for path in ["my-app", "legacy"] {
        for _ in 0..2 {
            let run = cached(&service, path).args(["-q", "--client-key", "fd:7"]);
            let run = run.any_custody();
            let run = run.args(["--", "sh", "-c", "test -e /dev/fd/7 || echo closed"]);
            let outcome = run.redirected(&redirection).finish();
            outcome.assert_status(0).assert_stdout("closed\n");
        }
    }
    assert_eq!(service.requests().len(), 4);
}

fn plaintext_is_refused_from_the_cache_too() {
    keys::enter_new_session();
    let project = Project::new("p", Custody::client())
        .level("", "A=1\n")
        .plain_level("t", "A=2\n");
    let service = Service::of(World::new(vec![project]));
    let run = || cached(&service, "p/t").client_key();
    let allowed = || run().arg("--allow-plaintext");
    assert_eq!(allowed().variables(), ["A=2"]);
    assert_eq!(requests_during(&service, || allowed().values()), 0);
    run().refuses(125, &["level target", "not encrypted"]);
}

fn what_breaks_the_grammar_is_not_kept() {
    keys::enter_new_session();
    let project = Project::new("p", Custody::legacy()).level("", "A='1\n");
    let service = Service::of(World::new(vec![project]));
    for _ in 0..2 {
        let asked = requests_during(&service, || {
            cached(&service, "p").refuses(125, &["level project"]);
        });
        assert_eq!(asked, 2);
        assert_eq!(keys::entries(SESSION), []);
    }
}

fn times_out_of_bounds_are_refused() {
    let service = Service::plain();
    let run = || service.dotenv_run().arg("legacy");
    for value in [
        "-1", "x", "", "NaN", "inf", "2592001", "1e99", "60s", "-0.1",
    ] {
        for option in ["--cache", "--stale"] {
            let run = run().args([MINUTE, &format!("{option}={value}")]);
            run.refuses(125, &[&format!("{option}: "), "2592000"]);
        }
        if !value.is_empty() {
            let run = run().env("DOTENV_RUN_CACHE", value);
            run.refuses(125, &["DOTENV_RUN_CACHE: ", "2592000"]);
        }
    }
    run()
        .args(["--stale", "5"])
        .refuses(125, &["--stale needs --cache"]);
    keys::enter_new_session();
    run()
        .args(["--cache=2592000", "--stale=2592000"])
        .assert_shows("APP_NAME", "Acme");
    assert_eq!(keys::entries(SESSION).len(), 2);
}

fn a_sealed_tree_is_not_cached() {
    keys::enter_new_session();
    keys::add(SESSION, "user", "foreign", b"untouched").unwrap();
    let (before, session) = (contents(), SESSION.resolved().unwrap());
    let tree = Tree::example();
    for options in [&["--cache", "60"][..], &["--cache", "60", "--stale", "60"]] {
        let run = || tree.dotenv_run().arg("legacy").args(options);
        assert_eq!(run().assert_shows("APP_NAME", "Acme").stderr, "");
        let outcome = run().arg("-v").assert_shows("APP_NAME", "Acme");
        let notes = outcome.stderr.lines();
        assert_eq!(
            notes.filter(|line| line.contains("cache")).count(),
            1,
            "{outcome}"
        );
        assert_eq!(contents(), before);
        assert_eq!(SESSION.resolved().unwrap(), session);
    }
}
