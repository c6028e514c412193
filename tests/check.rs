//! `--check`: all that a run finds, on one screen or as JSON, with the status and the message that the run itself would
//! have; and nothing else happens. What the API key may do has a module of its own; that no failure shows a secret or
//! differs from that of the run is checked with all other failures, in `secrecy`.

pub mod key;
mod screen;

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::launch::lookup;
use crate::support::keys;
use crate::support::*;

tests![
    a_check_on_the_service_tells_everything,
    a_check_on_a_tree_needs_no_api_key,
    every_field_is_in_the_manual,
    every_custody_is_told,
    the_rules_of_the_environment_are_told,
    what_was_found_before_a_failure_is_shown,
    screen::a_check_fits_on_one_screen,
    screen::a_failed_check_shows_a_screen_too,
    the_command_may_be_left_out,
    a_command_line_that_is_not_understood_is_a_finding_too,
    the_command_is_found_as_execvp_finds_it,
    nothing_is_started_or_masked,
    a_check_is_recorded_as_one,
    a_check_leaves_the_cache_alone,
    a_check_tells_of_mirrors,
    a_parent_in_front_tells_nothing_itself,
    a_profile_and_files_in_memory_count,
    warnings_are_in_the_json_even_if_they_are_not_wanted,
    a_check_that_cannot_be_written_is_an_error,
    a_check_is_no_print_and_no_list,
];

/// The object that a check writes.
#[track_caller]
fn object(outcome: &Outcome) -> Value {
    let line = outcome.text().strip_suffix('\n').expect("a line");
    assert!(!line.contains('\n'), "{outcome}");
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}\n{outcome}"))
}

/// Runs a check in front of a command that must not be started.
#[track_caller]
fn checked(run: Run, status: i32) -> Value {
    let witness = Witness::new();
    let run = run.args(["--check", "--json", "--"]);
    let outcome = run.args(witness.command()).finish();
    witness.assert_not_started();
    outcome.assert_status(status);
    object(&outcome)
}

/// Takes fields out that differ from run to run.
#[track_caller]
fn take(object: &mut Value, name: &str) -> Value {
    let fields = object.as_object_mut().expect("an object");
    fields.remove(name).unwrap_or_else(|| panic!("no {name}"))
}

fn fingerprint(key: &str) -> String {
    let digest = Sha256::digest(key);
    let digits = digest[..8].iter().map(|byte| format!("{byte:02x}"));
    digits.collect()
}

fn which(program: &str) -> String {
    let script = format!("command -v {program}");
    Run::shell(&script).finish().text().trim().into()
}

fn a_check_on_the_service_tells_everything() {
    let service = Service::example();
    let run = service.dotenv_run().client_key();
    let mut found = checked(run.arg("my-app/production/api"), 0);
    let times = take(&mut found, "times");
    for stage in [
        "keys",
        "fetch",
        "derive",
        "open",
        "parse",
        "environment",
        "abilities",
    ] {
        let time = times[stage].as_f64().expect("a number");
        assert!((0.0..30_000.0).contains(&time), "{stage} {times}");
    }
    let memory = take(&mut found, "memory");
    assert!(memory["peak"].as_u64() > Some(4096), "{memory}");
    for flag in [
        "locked",
        "swap",
        "keys_hidden",
        "all_locked",
        "exposed_at_start",
    ] {
        assert!(memory[flag].is_boolean(), "{flag} {memory}");
    }
    let size = take(&mut found, "size");
    let [bytes, limit] = ["bytes", "limit"].map(|name| size[name].as_u64().expect("a number"));
    assert!((100..limit).contains(&bytes) && limit > 100_000, "{size}");
    assert_eq!(size["largest"], json!("DATABASE_URL"));
    let host = service.url().replace("https://", "");
    let level = |name, bytes, names| {
        json!({
            "name": name,
            "path": "my-app/production/api",
            "encrypted": true,
            "bytes": bytes,
            "names": names,
        })
    };
    let accepted = json!({ "custody": "client", "reason": "a client key is given" });
    let expected = json!({
        "path": "my-app/production/api",
        "paths": ["my-app/production/api"],
        "status": 0,
        "error": null,
        "command": { "name": "sh", "file": which("sh") },
        "source": { "kind": "service", "name": host, "age": null },
        "organization": ORGANIZATION,
        "api_key": { "source": "DOTENV_API_KEY", "fingerprint": fingerprint(service.api_key()) },
        "client_key": { "source": "DOTENV_CLIENT_KEY", "fingerprint": null },
        "abilities": {
            "known": false,
            "reason": "the key is not allowed to list API keys",
            "names": [],
            "excess": [],
            "expires_at": null,
        },
        "custody": "client-managed",
        "expected_custody": accepted,
        "projects": [{
            "name": "my-app",
            "custody": "client-managed",
            "expected_custody": accepted,
            "key_version": 1,
            "iterations": 1000,
            "few_iterations": true,
            "generation": null,
        }],
        "generation": null,
        "absent_levels": [],
        "local_files": [],
        "key_version": 1,
        "iterations": 1000,
        "few_iterations": true,
        "levels": [
            level("project", 60, 3),
            level("target", 16, 1),
            level("environment", 57, 2),
        ],
        "names": ["APP_NAME", "LOG_LEVEL", "DATABASE_URL", "STRIPE_SECRET_KEY"],
        "empty": [],
        "references": [],
        "left_out": [],
        "renamed": [],
        "preserved": [],
        "overridden": [],
        "dropped": ["DOTENV_API_KEY", "DOTENV_CLIENT_KEY"],
        "refused": [],
        "mask": { "runner": null, "skipped": [] },
        "warnings": ["the key of my-app is weakly protected: 1000 PBKDF2 iterations, 600000 are recommended"],
    });
    assert_eq!(found, expected);
}

fn a_check_on_a_tree_needs_no_api_key() {
    let tree = Tree::example();
    let found = checked(tree.dotenv_run().client_key().arg("my-app"), 0);
    let name = tree.root().to_str();
    assert_eq!(
        found["source"],
        json!({ "kind": "tree", "name": name, "age": null })
    );
    assert_eq!(found["organization"], json!(ORGANIZATION));
    for nothing in [
        &found["api_key"],
        &found["abilities"],
        &found["times"]["abilities"],
    ] {
        assert_eq!(nothing, &Value::Null, "{found}");
    }
}

fn every_field_is_in_the_manual() {
    let lines = include_str!("../man/dotenv-run.1").lines();
    let macros = [".It Cm ", ".Ql ", ".Pq Ql "];
    let arguments = lines.filter_map(|line| macros.iter().find_map(|it| line.strip_prefix(it)));
    let terms: BTreeSet<_> = arguments.flat_map(str::split_whitespace).collect();
    let service = Service::only_with(Key::new().scopes(&["*"]));
    let run = service.dotenv_run().args(["--prefix", "X_", "managed"]);
    let mut found = vec![checked(run, 0)];
    found.push(json!({ "error": { "kind": "", "message": "" } }));
    let mut count = 0;
    while let Some(value) = found.pop() {
        if let Some(fields) = value.as_object() {
            for name in fields.keys() {
                assert!(terms.contains(name.as_str()), "{name}");
                count += 1;
            }
            found.extend(fields.values().cloned());
        } else if let Some(values) = value.as_array() {
            found.extend(values.iter().cloned());
        }
    }
    assert!(count > 60, "{count}");
}

fn every_custody_is_told() {
    let (tree, service) = (Tree::example(), Service::example());
    let cases = [
        ("my-app", "client-managed", json!(1000)),
        ("managed", "server-managed", json!(1000)),
        ("legacy", "legacy", Value::Null),
    ];
    for (project, custody, iterations) in cases {
        for run in [tree.dotenv_run(), service.dotenv_run()] {
            let found = checked(run.client_key().any_custody().arg(project), 0);
            let told = (
                &found["custody"],
                &found["iterations"],
                &found["key_version"],
            );
            assert_eq!(told, (&json!(custody), &iterations, &json!(1)), "{found}");
        }
    }
    let strong = Custody {
        iterations: Some(600_000),
        ..Custody::server()
    };
    let tree = Tree::of_project(Project::new("p", strong).level("", "A=1\n"));
    let found = checked(tree.run(), 0);
    assert_eq!(
        (&found["few_iterations"], &found["warnings"]),
        (&json!(false), &json!([]))
    );
    let client = Project::new("p", Custody::client());
    let plain = Tree::of_project(client.plain_level("", "A=1\n"));
    checked(plain.run().client_key().arg("--allow-plaintext"), 125);
    let client = Project::new("p", Custody::client());
    let plain = Service::of(World::new(vec![client.plain_level("", "A=1\n")]));
    let run = plain.dotenv_run().client_key().arg("p");
    let found = checked(run.arg("--allow-plaintext"), 0);
    let level =
        json!([{ "name": "project", "path": "p", "encrypted": false, "bytes": 4, "names": 1 }]);
    assert_eq!(found["levels"], level);
}

fn the_rules_of_the_environment_are_told() {
    let tree = Tree::holding("A=1\nB=\nC=3\nD=4\nHOSTNAME=/x\nUSER=u\n");
    let run = || {
        let run = tree.run().env("HOSTNAME", "/home").env("USER", "me");
        run.env("OTHER", "o").env("DOTENV_API_KEY", "key")
    };
    let fields = |found: &Value, names: &[&str]| -> Vec<Value> {
        names.iter().map(|name| found[name].clone()).collect()
    };
    let options = [
        "--except",
        "D",
        "--rename",
        "A=Z",
        "--preserve-env=USER",
        "--clean-env",
        "--pass",
        "HOSTNAME,USER",
    ];
    let found = checked(run().args(options), 0);
    let names = [
        "names",
        "empty",
        "left_out",
        "renamed",
        "preserved",
        "overridden",
    ];
    let expected = [
        json!(["Z", "B", "C", "HOSTNAME", "USER"]),
        json!(["B"]),
        json!(["D"]),
        json!([{ "from": "A", "to": "Z" }]),
        json!(["USER"]),
        json!(["HOSTNAME"]),
    ];
    assert_eq!(fields(&found, &names), expected);
    let mut dropped: Vec<_> = found["dropped"].as_array().expect("names").clone();
    dropped.sort_by_key(Value::to_string);
    assert_eq!(dropped, ["DOTENV_API_KEY", "OTHER", "PATH"]);
    let prefixed = checked(run().args(["--only", "A", "--prefix", "P_"]), 0);
    assert_eq!(prefixed["renamed"], json!([{ "from": "A", "to": "P_A" }]));
    let refused = checked(run().args(["--rename", "A=LD_PRELOAD,C=PATH"]), 125);
    assert_eq!(refused["refused"], json!(["LD_PRELOAD", "PATH"]));
    // What is no variable has no name, and may be anything.
    let block: [&[u8]; 3] = [
        b"PATH=/usr/bin:/bin",
        b"a secret in the wrong place",
        b"X\xff=1",
    ];
    let found = checked(tree.run().environment_block(&block).arg("--clean-env"), 0);
    assert_eq!(found["dropped"], json!(["PATH"]));
}

fn what_was_found_before_a_failure_is_shown() {
    let service = Service::example();
    let run = || service.dotenv_run().arg("my-app");
    let wrong = checked(run().env("DOTENV_CLIENT_KEY", "wrong"), 125);
    assert_eq!(
        wrong["error"],
        json!({
            "kind": "sealed",
            "message": "level project: wrong client key, or the level was changed after it was sealed",
        })
    );
    let told = (&wrong["status"], &wrong["custody"], &wrong["organization"]);
    assert_eq!(
        told,
        (&json!(125), &json!("client-managed"), &json!(ORGANIZATION))
    );
    let level = json!([{ "name": "project", "path": "my-app", "encrypted": true, "bytes": null, "names": null }]);
    assert_eq!((&wrong["levels"], &wrong["names"]), (&level, &Value::Null));
    // Nobody is asked about a key that opens nothing.
    assert!(
        !service
            .targets()
            .iter()
            .any(|target| target.contains("api-keys"))
    );

    let empty = checked(run().client_key().args(["--only", "X*"]), 125);
    assert_eq!(
        (&empty["error"]["kind"], &empty["names"]),
        (&json!("empty"), &json!([]))
    );
    let mut stopped = Service::stoppable();
    let run = stopped.dotenv_run().args(["--timeout", "2", "my-app"]);
    stopped.stop();
    let found = checked(run, 124);
    assert_eq!(
        (&found["error"]["kind"], &found["source"]["kind"]),
        (&json!("unreachable"), &json!("service"))
    );
    assert_eq!(found["api_key"]["source"], json!("DOTENV_API_KEY"));
}

fn the_command_may_be_left_out() {
    let tree = Tree::holding("A=1\n");
    let outcome = tree.run().args(["--check", "--json"]).finish();
    outcome.assert_status(0);
    let found = object(&outcome);
    assert_eq!(
        (&found["command"], &found["names"]),
        (&Value::Null, &json!(["A"]))
    );
    let screen = tree.run().arg("--check").finish();
    screen.assert_status(0);
    assert!(!screen.text().contains("\ncommand"), "{screen}");
    // Half a command is none.
    for (rest, says) in [
        ("--", "no command after '--'"),
        ("ls", "ls: no such project"),
    ] {
        let outcome = tree.run().args(["--check", rest]).finish();
        outcome.assert_status(125);
        assert!(outcome.stderr.contains(says), "{outcome}");
    }
}

fn a_command_line_that_is_not_understood_is_a_finding_too() {
    let dir = TempDir::new();
    let profile = dir.file("profile", "nonsense = 1\n");
    let profile = profile.to_str().expect("UTF-8");
    for (words, kind) in [
        (&["--nonsense"][..], "usage"),
        (&["--timeout", "never"], "usage"),
        (&["--profile", profile], "profile"),
    ] {
        let run = |check: &[&str]| {
            let run = Run::dotenv_run().args(check).args(words);
            run.args(["p", "--", "true"]).finish()
        };
        let (plain, outcome) = (run(&[]), run(&["--json", "--check"]));
        plain.assert_refused(125, &[]);
        outcome.assert_status(125);
        assert_eq!(outcome.stderr, plain.stderr);
        let found = object(&outcome);
        let told = (&found["error"]["kind"], &found["path"], &found["source"]);
        assert_eq!(told, (&json!(kind), &Value::Null, &Value::Null));
    }
    // Behind `--` it is a word of the command.
    let outcome = Run::dotenv_run().args(["--", "--check"]).finish();
    outcome.assert_refused(125, &["no PATH"]);
}

fn the_command_is_found_as_execvp_finds_it() {
    let (tree, dir) = (Tree::holding("A=1\n"), lookup::things());
    fs::create_dir(dir.path().join("c")).expect("a directory");
    let long = format!("{}:b", "x".repeat(5000));
    let last_is_long = format!("b:{}", "x".repeat(5000));
    let longest = "x".repeat(300);
    let more: [(&str, &[&str], i32); 3] = [
        (&long, &["tool"], 42),
        (&last_is_long, &["no-such-tool"], 127),
        ("b:c", &[&longest], 126),
    ];
    for (path, command, _) in lookup::CASES.iter().chain(&more) {
        // What is wrong with the content of a file shows when it is executed.
        if command[0].contains("interpreter") {
            let run = tree.run().dir(dir.path()).env("PATH", path);
            let run = run.args(["--check", "--"]).args(*command);
            run.finish().assert_status(0);
            continue;
        }
        let run = tree.run().dir(dir.path()).env("PATH", path);
        let run = |check: &[&str]| run.clone().args(check).arg("--").args(*command).finish();
        let (started, checked) = (run(&[]), run(&["--check", "--json"]));
        // A shell that reads a file which is no script is a command too.
        let was_started = !started.stderr.starts_with("dotenv-run: ");
        let status = match was_started {
            true => 0,
            false => started.status.code().expect("a status"),
        };
        checked.assert_status(status);
        let found = object(&checked);
        assert_eq!(
            found["command"]["file"].is_null(),
            !was_started,
            "{checked}"
        );
        if !was_started {
            assert_eq!(checked.stderr, started.stderr, "{checked}");
        }
    }
}

fn nothing_is_started_or_masked() {
    let tree = Tree::holding("SECRET=a-long-value\nPORT=80\n");
    for (variable, runner) in [("GITHUB_ACTIONS", "github"), ("TF_BUILD", "azure")] {
        let witness = Witness::new();
        let run = tree
            .run()
            .env(variable, "true")
            .args(["--check", "--json", "--"]);
        let outcome = run.args(witness.command()).finish();
        outcome.assert_status(0);
        witness.assert_not_started();
        let warning = "these secrets are too short or too common to be masked: PORT";
        assert_eq!(outcome.warnings(), [warning]);
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome}");
        let found = object(&outcome);
        assert_eq!(
            found["mask"],
            json!({ "runner": runner, "skipped": ["PORT"] })
        );
        assert_eq!(found["warnings"], json!([warning]));
    }
}

fn a_check_is_recorded_as_one() {
    let (tree, dir) = (Tree::holding("A=1\n"), TempDir::new());
    let cases = [("true", 0, "checked"), ("no-such-command", 127, "failed")];
    for (command, status, outcome) in cases {
        let run = tree.run().args(["--audit=3", "--check", "--", command]);
        let run = run.dir(dir.path()).redirected("3>audit");
        run.finish().assert_status(status);
        let text = fs::read_to_string(dir.path().join("audit")).expect("a file of ours");
        let line: Value = serde_json::from_str(text.trim_end()).expect("one line");
        let told = (&line["outcome"], &line["command"], &line["names"]);
        assert_eq!(told, (&json!(outcome), &json!(command), &json!(["A"])));
    }
}

fn a_check_leaves_the_cache_alone() {
    keys::enter_new_session();
    let service = Service::example();
    let run = || service.dotenv_run().args(["--cache=60", "managed"]);
    let members = || {
        let mut members = keys::SESSION.members();
        members.sort();
        members
    };
    let before = members();
    let cold = checked(run(), 0);
    assert_eq!(cold["source"]["kind"], json!("service"));
    assert_eq!(members(), before);
    run().args(["--", "true"]).finish().assert_status(0);
    let kept = members();
    assert!(kept.len() > before.len());
    let asked = service.requests().len();
    let warm = checked(run(), 0);
    assert_eq!(warm["source"]["kind"], json!("cache"));
    assert!(warm["source"]["age"].as_u64() < Some(60), "{warm}");
    assert_eq!(warm["times"]["fetch"], Value::Null);
    // Whoever has an old answer has a key that may be too strong.
    let targets = service.targets().split_off(asked);
    assert_eq!(
        targets,
        [format!("/api/v1/organizations/{ORGANIZATION}/api-keys")]
    );
    // A run would delete what the key may no longer have.
    let denied = Reply::json(401, &json!({}));
    for route in [Route::Secrets, Route::EncryptionKey] {
        service.fail(route, Fault::Reply(denied.clone()));
    }
    let other_age = service
        .dotenv_run()
        .args(["--cache=0.001", "--stale=50", "managed"]);
    checked(other_age.clone(), 125);
    assert_eq!(members(), kept);
    other_age.args(["--", "true"]).finish().assert_status(125);
    // The kernel takes it away in its own time.
    wait_until("the answer to be deleted", || members() == before);
}

fn a_check_tells_of_mirrors() {
    let service = Service::example();
    let busy = Reply::error(503, "busy", "later");
    for route in [Route::Secrets, Route::EncryptionKey] {
        service.fail(route, Fault::Reply(busy.clone()));
    }
    let mirror = Service::mirror_of(World::example());
    let run = service.dotenv_run().client_key();
    let found = checked(run.args(["--mirror", &mirror.url(), "my-app"]), 0);
    let host = mirror.address().to_string();
    assert_eq!(
        found["source"],
        json!({ "kind": "mirror", "name": host, "age": null })
    );
    assert_eq!(found["abilities"]["known"], json!(false));
    for asked in [&service, &mirror] {
        let targets = asked.targets();
        assert!(
            !targets.iter().any(|it| it.contains("api-keys")),
            "{targets:?}"
        );
    }
}

fn a_parent_in_front_tells_nothing_itself() {
    let tree = Tree::holding("A=1\n");
    for (command, status) in [("true", 0), ("no-such-command", 127)] {
        let run = tree.run().args(["--supervise", "--check", "--json"]);
        let outcome = run.args(["--", command]).finish();
        outcome.assert_status(status);
        assert_eq!(object(&outcome)["status"], json!(status));
    }
}

fn a_profile_and_files_in_memory_count() {
    let (tree, dir) = (Tree::holding("A=${B}\nB=2\n"), TempDir::new());
    let url = tree.url();
    let text = format!(
        "path = \"p\"\napi-url = \"{url}\"\nresolve = true\ncustody = \"any\"\ncommand = [\"true\"]\n"
    );
    let profile = dir.file("profile", text);
    let run = Run::dotenv_run().arg("--profile").arg(profile);
    let outcome = run
        .args(["--check", "--json", "--file=F", "--file-only"])
        .finish();
    outcome.assert_status(0);
    let found = object(&outcome);
    assert_eq!(
        (&found["path"], &found["command"]["name"], &found["names"]),
        (&json!("p"), &json!("true"), &json!(["A", "B"]))
    );
}

fn warnings_are_in_the_json_even_if_they_are_not_wanted() {
    let tree = Tree::holding("A=1\nrubbish\n");
    let run = tree.run().args(["-q", "--check", "--json", "--", "true"]);
    let outcome = run.finish();
    outcome.assert_status(0);
    assert_eq!(outcome.stderr, "");
    let warning = "level project: line 2 has no '=' and is skipped";
    assert_eq!(object(&outcome)["warnings"], json!([warning]));
}

fn a_check_that_cannot_be_written_is_an_error() {
    let tree = Tree::holding("A=1\n");
    let run = |command: &str| {
        let run = tree.run().args(["--check", "--", command]);
        run.redirected(">/dev/full").finish()
    };
    run("true").assert_refused(125, &["cannot write to standard output"]);
    // What a run would fail with comes first.
    run("no-such-command").assert_refused(127, &["no-such-command"]);
}

fn a_check_is_no_print_and_no_list() {
    let tree = Tree::holding("A=1\n");
    for other in [&["--print", "env"][..], &["--list"]] {
        // Nothing for who expects secrets there.
        let run = tree.run().arg("--check").args(other).finish();
        run.assert_refused(125, &["cannot be used with"]);
    }
    let run = tree.run().args(["--json", "--", "true"]).finish();
    run.assert_refused(125, &["--json needs --list or --check"]);
}
