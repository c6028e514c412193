//! What `--check` shows without `--json`: one screen, however much there is to say.

use serde_json::json;

use crate::support::*;

/// A screen of a terminal as it always was.
#[track_caller]
fn assert_on_one_screen(outcome: &Outcome) {
    let lines: Vec<_> = outcome.text().lines().collect();
    assert!(lines.len() <= 24, "{} lines\n{outcome}", lines.len());
    for line in lines {
        assert!(line.chars().count() <= 80, "{line:?}");
    }
}

/// Three levels with names enough for every list to be too long.
fn many() -> Project {
    let names = |from: usize, text: &str| -> String {
        let names = from..from + 40;
        names
            .map(|number| format!("NAME_{number}={text}\n"))
            .collect()
    };
    Project::new("p", Custody::client())
        .level("", &(names(0, "value") + &names(100, "")))
        .level("t", &names(200, "value"))
        .level("t/e", &names(300, "value"))
}

pub fn a_check_fits_on_one_screen() {
    let service = Service::of(World::new(vec![many()]));
    // The only one in the list, so that it is known.
    let abilities = ["secret:read", "key:retrieve", "api-token:read"];
    let key = json!({ "abilities": abilities, "expires_at": "2199-01-01T00:00:00Z" });
    let list = Reply::json(200, &json!({ "data": [key] }));
    service.fail(Route::ApiKeys, Fault::Reply(list));
    let renamed: Vec<_> = (200..240).map(|it| format!("NAME_{it}=NEW_{it}")).collect();
    let run = || {
        let run = service
            .dotenv_run_with(Key::new().scopes(&abilities))
            .client_key();
        let run = run.env("GITHUB_ACTIONS", "true").arg("p/t/e");
        let run = run.args([
            "--except",
            "NAME_1?,NAME_2?",
            "--rename",
            &renamed.join(","),
        ]);
        let inherited = (300..380).map(|number| format!("NAME_{number}"));
        let run = inherited.fold(run, |run, name| run.env(name, "x"));
        let dropped = (0..80).map(|number| format!("DROPPED_{number}"));
        let run = dropped.fold(run, |run, name| run.env(name, "x"));
        let passed: Vec<_> = (300..380).map(|number| format!("NAME_{number}")).collect();
        let run = run.args(["--clean-env", "--pass", &passed.join(",")]);
        run.args(["--preserve-env=NAME_301,NAME_302", "--check", "--", "sh"])
    };
    let outcome = run().finish();
    outcome.assert_status(0);
    assert_on_one_screen(&outcome);
    let lines: Vec<_> = outcome.text().lines().collect();
    let labels: Vec<_> = lines.iter().map(|line| line[..14].trim_end()).collect();
    let expected = [
        "result",
        "path",
        "source",
        "organization",
        "API key",
        "abilities",
        "expires",
        "client key",
        "custody",
        "level project",
        "level target",
        "level environ",
        "secrets",
        "empty",
        "left out",
        "renamed",
        "preserved",
        "overridden",
        "dropped",
        "size",
        "mask",
        "command",
        "memory",
        "time in ms",
    ];
    assert_eq!(labels, expected, "{outcome}");
    for said in [
        "the command would be started",
        "DOTENV_API_KEY, fingerprint ",
        "3: secret:read, key:retrieve, api-token:read",
        "2199-01-01T00:00:00Z",
        "client-managed, key version 1, 1000 iterations, fewer than 600000",
        " names",
        " more\n",
        "2: NAME_301, NAME_302\n",
    ] {
        assert!(outcome.text().contains(said), "{said}\n{outcome}");
    }
}

pub fn a_failed_check_shows_a_screen_too() {
    let tree = Tree::holding("A=1\n");
    let run = tree.run().args(["--require", "B", "--check"]);
    let outcome = run.args(["--", "true"]).finish();
    outcome.assert_status(125);
    assert_on_one_screen(&outcome);
    assert!(
        outcome
            .text()
            .starts_with("result        the command would not be started: status 125\n"),
        "{outcome}"
    );
    assert_eq!(
        outcome.stderr,
        "dotenv-run: required secrets that are missing or empty: B\n"
    );
}
