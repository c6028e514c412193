//! What goes wrong while a command runs is told, and does nothing to it.

use super::*;

/// As without watching: it fails with the same status, and nothing is started.
pub fn the_first_start_fails_as_ever() {
    let (tree, service) = (tree(), Service::of(world(1)));
    service.fail(
        Route::Secrets,
        Fault::Reply(Reply::error(503, "unavailable", "Later.")),
    );
    let gone = Tree::of(&World::new(Vec::new()));
    let runs = [
        (
            service.dotenv_run().client_key().args(["--timeout", "1"]),
            124,
            "503",
        ),
        (gone.dotenv_run().client_key(), 125, "no such project"),
        (
            tree.dotenv_run().env("DOTENV_CLIENT_KEY", "wrong"),
            125,
            "wrong client key",
        ),
    ];
    for (run, status, words) in runs {
        let witness = Witness::new();
        let run = run.args(["--watch", PATH, "--"]).args(witness.command());
        run.finish().assert_refused(status, &[words]);
        witness.assert_not_started();
    }
    for (command, status) in [("/nowhere/at/all", 127), ("/", 126)] {
        let run = tree
            .dotenv_run()
            .client_key()
            .args(["--watch", PATH, "--", command]);
        run.finish().assert_refused(status, &[command]);
    }
}

pub fn no_refusal_of_the_service_reaches_the_command() {
    let statuses = [401, 403, 404, 422, 429, 500, 502, 503, 302];
    check_all(statuses.len(), &statuses, |status| {
        let service = Service::of(world(1));
        let live = watched(service.dotenv_run().arg("-v"), WAIT).spawn();
        wait_for_starts(&live, 1);
        let reply = Reply::error(*status, "refused", "No.");
        service.fail_times(2, Route::Secrets, Fault::Reply(reply));
        wait_for_message(&live, "the command keeps the old ones");
        wait_for_message(&live, "can be renewed again");
        wait_for_starts(&live, 1);
        let outcome = end(live);
        assert_eq!(
            outcome.stderr.matches("keeps the old ones").count(),
            1,
            "{outcome}"
        );
        Ok(())
    });
    // A service that is gone.
    let mut service = Service::stoppable();
    let command = "echo started; exec sleep 1000";
    let run = service
        .dotenv_run()
        .args(["--watch=1", "managed", "--", "sh", "-c", command]);
    let live = run.spawn();
    live.wait_for_output("started");
    service.stop();
    wait_for_message(&live, "connection refused");
    assert_eq!(end(live).text(), "started\n");
}

/// A renewal that gets no memory ends alone, and something else that ends it does no more.
pub fn a_renewal_that_something_ends_is_told_once() {
    let service = Service::of(world(1));
    let run = watched(service.dotenv_run().arg("-v"), WAIT);
    let live = run.under(["prlimit", "--as=200000000", "--"]).spawn();
    wait_for_starts(&live, 1);
    let large = format!("{{\"data\":\"{}\"}}", "x".repeat(60 << 20));
    let reply = Reply::new(200, "application/json", large);
    service.fail_times(3, Route::Secrets, Fault::Reply(reply));
    wait_for_message(
        &live,
        "the command keeps the old ones: the process that fetches them ended early",
    );
    wait_for_message(&live, "can be renewed again");
    wait_for_questions(&live, 1);
    wait_for_starts(&live, 1);
    let outcome = end(live);
    let told = outcome.stderr.matches("ended early").count();
    assert_eq!(told, 1, "{outcome}");
    assert!(!outcome.stderr.contains("bytes of memory"), "{outcome}");
}

/// A new set that cannot be used as it is.
pub fn no_broken_set_reaches_the_command() {
    let broken = |place: &str, text: &str| {
        let custody = Custody::client();
        let project = PLACES
            .iter()
            .fold(Project::new("my-app", custody), |project, it| {
                project.level(it, if *it == place { text } else { "REQUIRED=1\n" })
            });
        fs::read(Tree::of(&World::new(vec![project])).secrets(PATH)).expect("a document")
    };
    let long = format!("A={}\n", "x".repeat(200_000));
    let sets = [
        ("line 2", broken("production", "A=1\nB=\"no end\n")),
        ("LD_PRELOAD", broken("", "LD_PRELOAD=/tmp/x.so\n")),
        ("131071", broken("", &long)),
        ("REQUIRED", broken("production/api", "REQUIRED=\n")),
    ];
    check_all(sets.len(), &sets, |(words, set)| {
        let project = project(1).level("production/api", "REQUIRED=1\n");
        let tree = Tree::of(&World::new(vec![project]));
        let command = "echo \"started $REQUIRED\"; exec sleep 1000";
        let run = tree
            .dotenv_run()
            .client_key()
            .args(["--require", "REQUIRED", "--watch=1", "-v"]);
        let live = run.args([PATH, "--", "sh", "-c", command]).spawn();
        live.wait_for_output("started 1");
        let good = fs::read(tree.secrets(PATH)).expect("a document");
        replace_secrets(&tree, PATH, set);
        wait_for_message(&live, "the command keeps the old ones");
        let opened = || live.errors_so_far().matches("client key from").count();
        // It is tried again, and nothing more is said.
        wait_until("another attempt", || opened() >= 3);
        replace_secrets(&tree, PATH, good);
        wait_for_message(&live, "can be renewed again");
        let outcome = end(live);
        assert_eq!(outcome.text(), "started 1\n", "{outcome}");
        let warnings = outcome.warnings();
        let warnings: Vec<_> = warnings
            .into_iter()
            .filter(|warning| warning.contains("keeps the old ones"))
            .collect();
        assert!(
            warnings.len() == 1 && warnings[0].contains(words),
            "{words}\n{outcome}"
        );
        Ok(())
    });
}

pub fn a_command_that_is_gone_is_not_stopped() {
    let (tree, dir) = (tree(), TempDir::new());
    let program = dir.executable("program", format!("#!/bin/sh\n{TELL} {WAIT}\n"));
    let log = dir.path().join("log");
    let run = tree.dotenv_run().client_key();
    let run = run
        .args(["--audit=3", "--watch=1", PATH, "--"])
        .arg(&program);
    let live = run.redirected(&format!("3>{}", log.display())).spawn();
    let first = wait_for_starts(&live, 1);
    let away = dir.path().join("away");
    fs::rename(&program, &away).expect("a program that goes away");
    put(&tree, 2);
    wait_for_message(&live, "the command keeps the old ones");
    assert_eq!(starts(&live), [(first, 1)]);
    set_mode(&away, 0o600);
    fs::rename(&away, &program).expect("a program that comes back");
    wait_for_message(&live, "permission denied");
    set_mode(&program, 0o755);
    wait_for_starts(&live, 2);
    end(live);
    // Only what was started is on record.
    let log = fs::read_to_string(log).expect("a log");
    assert_eq!(log.matches("\"outcome\":\"started\"").count(), 2, "{log}");
    assert_eq!(log.lines().count(), 2, "{log}");
}

pub fn a_trouble_is_told_once_and_so_is_its_end() {
    let tree = tree();
    let live = watched(tree.dotenv_run().arg("-v"), WAIT).spawn();
    wait_for_starts(&live, 1);
    let good = fs::read(tree.secrets(PATH)).expect("a document");
    for round in 1..=2 {
        let count = |text: &str| live.errors_so_far().matches(text).count();
        replace_secrets(&tree, PATH, "{}");
        wait_until("a warning", || count("keeps the old ones") == 2 * round - 1);
        fs::remove_file(tree.secrets(PATH)).expect("a document");
        wait_until("another warning", || {
            count("keeps the old ones") == 2 * round
        });
        replace_secrets(&tree, PATH, "{}");
        // The first one again, which is known.
        let before = count("organization");
        wait_until("another attempt", || count("organization") > before + 1);
        assert_eq!(count("keeps the old ones"), 2 * round);
        replace_secrets(&tree, PATH, &good);
        wait_until("the end of it", || count("can be renewed again") == round);
    }
    wait_for_starts(&live, 1);
    end(live);
}
