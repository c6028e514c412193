//! How often, and what, the service is asked.

use std::time::{Duration, Instant};

use super::*;

pub fn another_host_is_asked_every_30_seconds_at_most() {
    let check = |url: &str, value: &str, allowed: bool| {
        let run = Run::dotenv_run().args(["--api-url", url, &format!("--watch={value}")]);
        let outcome = run.args([PATH, "--", "true"]).finish();
        // What is allowed fails only because there is no key.
        let words: &[&str] = match allowed {
            true => &["key"],
            false => &["--watch: "],
        };
        outcome.assert_refused(125, words);
    };
    for url in [
        "https://example.com",
        "https://192.0.2.1",
        "https://localhost.example",
    ] {
        check(url, "29.9", false);
        check(url, "1", false);
        check(url, "30", true);
        check(url, "86400", true);
    }
    let reason = Run::dotenv_run().args(["--api-url", "https://example.com", "--watch=5"]);
    let outcome = reason.args([PATH, "--", "true"]).finish();
    outcome.assert_refused(125, &["at least 30 seconds", "100 requests per minute"]);
    for url in [
        "http://127.0.0.1:1",
        "http://127.9.9.9:1",
        "http://[::1]:1",
        "http://localhost:1",
    ] {
        check(url, "1", true);
        check(url, "0.9", false);
    }
    for wrong in ["", "0", "-1", "x", "1s", "nan", "inf", "86401"] {
        check("http://localhost:1", wrong, false);
    }
}

pub fn a_service_is_asked_once_in_every_interval() {
    let service = Service::of(world(1));
    let begun = Instant::now();
    let live = watched(service.dotenv_run().arg("-v"), WAIT).spawn();
    wait_for_questions(&live, 3);
    let asked = service.targets().len();
    let time = begun.elapsed().as_secs_f64();
    end(live);
    // Both documents, at the start and then in each interval.
    let most = 2 * (1 + time as usize);
    assert!((8..=most).contains(&asked), "{asked} requests in {time} s");
}

pub fn no_key_is_derived_unless_something_has_changed() {
    let tree = tree();
    let live = watched(tree.dotenv_run().arg("-v"), WAIT).spawn();
    wait_for_questions(&live, 3);
    let derived = || live.errors_so_far().matches("client key from").count();
    assert_eq!(derived(), 1);
    put(&tree, 2);
    wait_for_starts(&live, 2);
    assert_eq!(derived(), 2);
    end(live);
}

pub fn the_wait_that_a_service_asks_for_is_granted() {
    let service = Service::of(world(1));
    let live = watched(service.dotenv_run().arg("-v"), WAIT).spawn();
    wait_for_starts(&live, 1);
    let busy = |seconds| {
        Reply::error(429, "too_many_requests", "Slow down.").header("Retry-After", seconds)
    };
    let asked = || {
        let targets = service.targets();
        targets.iter().filter(|it| it.ends_with("/secrets")).count()
    };
    for seconds in ["3", "1"] {
        service.fail_times(1, Route::Secrets, Fault::Reply(busy(seconds)));
    }
    wait_for_message(&live, "the command keeps the old ones");
    let (begun, before) = (Instant::now(), asked());
    wait_until("another question", || asked() > before);
    let waited = begun.elapsed();
    assert!(waited > Duration::from_millis(2900), "{waited:?}");
    wait_for_message(&live, "can be renewed again");
    wait_for_starts(&live, 1);
    let outcome = end(live);
    // How long is no other trouble.
    assert_eq!(outcome.stderr.matches("keeps the old ones").count(), 1);
}

/// Both may have what is older than what the command has.
pub fn neither_cache_nor_mirror_is_asked_for_news() {
    let (service, mirror) = (Service::of(world(2)), Service::mirror_of(world(1)));
    let run = service.dotenv_run().args([
        "--mirror",
        &mirror.url(),
        "--cache",
        "1000",
        "--stale",
        "1000",
    ]);
    let live = watched(run, WAIT).spawn();
    wait_for_starts(&live, 1);
    let before = service.targets().len();
    wait_until("a question to the service", || {
        service.targets().len() > before
    });
    service.fail(
        Route::Secrets,
        Fault::Reply(Reply::error(503, "unavailable", "Later.")),
    );
    wait_for_message(&live, "the command keeps the old ones");
    let before = service.targets().len();
    wait_until("more questions", || service.targets().len() > before + 2);
    assert_eq!(mirror.connections(), 0);
    assert_eq!(starts(&live).iter().map(|it| it.1).collect::<Vec<_>>(), [2]);
    end(live);
}

pub fn options_that_make_no_sense_are_refused() {
    let tree = tree();
    for (options, words) in [
        (
            &["--on-change", "exit"][..],
            &["--on-change", "--watch"][..],
        ),
        (&["--watch", "--exec"], &["--exec", "--watch"]),
        (
            &["--watch", "--on-change", "stop"],
            &["--on-change", "restart, exit"],
        ),
        (&["--watch", "--on-change", ""], &["--on-change"]),
    ] {
        let witness = Witness::new();
        let run = tree
            .dotenv_run()
            .client_key()
            .args(options)
            .args([PATH, "--"]);
        run.args(witness.command())
            .finish()
            .assert_refused(125, words);
        witness.assert_not_started();
    }
    for what in [&["--print", "env"][..], &["--list"]] {
        let run = tree
            .dotenv_run()
            .client_key()
            .args(what)
            .args(["--watch", PATH]);
        run.finish().assert_refused(125, &[what[0], "--watch"]);
    }
}

pub fn a_profile_may_say_so() {
    let (tree, dir) = (tree(), TempDir::new());
    let profile = dir.file("profile", "watch = 1\non-change = \"exit\"\n");
    let command = format!("{TELL} {WAIT}");
    let run = tree
        .dotenv_run()
        .client_key()
        .arg("--profile")
        .arg(&profile);
    let live = run.args([PATH, "--", "sh", "-c", &command]).spawn();
    wait_for_starts(&live, 1);
    put(&tree, 2);
    live.wait().assert_killed_by(Signal::SIGTERM);
}
