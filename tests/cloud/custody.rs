//! Whose key opens a level, in both custody modes, and that nothing starts when one stays closed.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::cloud::encryption_key;
use crate::support::keys;
use crate::support::*;

tests![
    a_key_of_the_service_is_padded_or_cut_where_there_is_no_salt,
    a_wrong_client_key_is_called_that,
    one_flipped_bit_in_any_level_starts_nothing,
    a_level_that_is_no_blob_is_named,
    a_level_under_another_key_stays_closed,
    a_client_key_is_needed_only_where_the_user_holds_the_key,
    plaintext_in_a_client_managed_project_is_refused_unless_allowed,
    plaintext_in_a_server_managed_project_is_read,
    a_level_that_opens_and_breaks_the_grammar_starts_nothing,
    the_flag_of_the_whole_answer_decides_nothing,
    a_client_managed_project_cannot_be_passed_off_as_another,
    a_tree_and_a_mirror_are_held_to_client_custody_without_a_key_too,
    another_custody_is_accepted_only_on_demand,
    a_client_managed_project_can_be_unwanted_too,
    a_custody_that_is_none_is_refused,
    plaintext_is_accepted_from_the_service_alone,
    a_renewal_never_changes_the_custody,
    a_cached_answer_never_changes_the_custody,
    a_check_says_which_custody_is_expected_and_why,
];

const PLACES: [(&str, &str); 3] = [
    ("my-app", "project"),
    ("my-app/production", "target"),
    ("my-app/production/api", "environment"),
];

fn a_key_of_the_service_is_padded_or_cut_where_there_is_no_salt() {
    let long = "x".repeat(31) + "é and more";
    let keys = [
        "k",
        &"k".repeat(31),
        &"k".repeat(32),
        &"k".repeat(33),
        &long,
    ];
    for key in keys {
        let custody = Custody {
            key: key.into(),
            ..Custody::legacy()
        };
        let project = Project::new("p", custody).level("", "A=1\n");
        let service = Service::of(World::new(vec![project]));
        assert_eq!(service.dotenv_run().arg("p").variables(), ["A=1"]);
        // A salt that is there only in name is none.
        service.fail(
            Route::EncryptionKey,
            Fault::edit(set_in_descriptor("key_check_salt", json!(""))),
        );
        assert_eq!(service.dotenv_run().arg("p").variables(), ["A=1"]);
    }
}

fn a_wrong_client_key_is_called_that() {
    let service = Service::example();
    for key in ["otters", &CLIENT_KEY[1..], &format!("{CLIENT_KEY}0")] {
        for (path, _) in PLACES {
            let run = service.dotenv_run().env("DOTENV_CLIENT_KEY", key);
            run.arg(path).refuses(125, &["wrong client key"]);
        }
    }
}

/// In the nonce, the ciphertext and the tag of every level, in every custody.
fn one_flipped_bit_in_any_level_starts_nothing() {
    for project in ["my-app", "managed", "legacy"] {
        for level in ["project", "target", "environment"] {
            // The tag begins 16 bytes before the end; bits count from the beginning again there.
            for bit in [0, 95, 96, 100] {
                let service = Service::plain();
                service.fail(Route::Secrets, Fault::edit(flip_bit(level, bit)));
                let run = service.dotenv_run().client_key().any_custody();
                let run = run.arg("--allow-empty");
                let path = format!("{project}/production/api");
                let refused = run.arg(path).refuses(125, &[&format!("level {level}")]);
                assert!(!refused.stderr.contains("wrong client key"), "{refused}");
            }
            let service = Service::plain();
            service.fail(Route::Secrets, Fault::edit(flip_tag(level)));
            let run = service.dotenv_run().client_key().any_custody();
            let path = format!("{project}/production/api");
            run.arg(path).refuses(125, &[level]);
        }
    }
    // A level that is alone cannot be told from one under another key, and is refused all the same.
    let service = Service::plain();
    service.fail(Route::Secrets, Fault::edit(flip_bit("project", 100)));
    for project in ["my-app", "managed", "legacy"] {
        let run = service.dotenv_run().client_key().any_custody();
        run.arg(project).refuses(125, &["level project"]);
    }
}

/// Turns over the last bit of a level.
fn flip_tag(level: &'static str) -> impl Fn(&mut Value) {
    move |document| {
        let content = &document["data"]["attributes"]["levels"][level]["content"];
        let size = BASE64_STANDARD.decode(content.as_str().unwrap()).unwrap();
        flip_bit(level, size.len() * 8 - 1)(document);
    }
}

fn set_content(level: &'static str, content: &str) -> Fault {
    let content = content.to_string();
    Fault::edit(move |document| {
        document["data"]["attributes"]["levels"][level]["content"] = json!(content);
    })
}

fn a_level_that_is_no_blob_is_named() {
    let plain = "DATABASE_URL=postgres://prod\n";
    let short = BASE64_STANDARD.encode([7; 27]);
    for content in [plain, &short, "=", "AAAA AAAA", "-_-_", &short[..35]] {
        for (path, level) in PLACES {
            let service = Service::plain();
            service.fail(Route::Secrets, set_content(level, content));
            let run = service.dotenv_run().client_key().any_custody();
            let run = run.arg("--allow-empty");
            run.arg(path)
                .refuses(125, &[&format!("level {level}"), "blob"]);
        }
    }
}

fn a_level_under_another_key_stays_closed() {
    let other = data_key("another key", None, 1);
    let foreign = seal(&other, b"A=1\n");
    let service = Service::plain();
    service.fail(Route::Secrets, set_content("target", &foreign));
    for project in ["my-app", "managed", "legacy"] {
        let run = service.dotenv_run().client_key().any_custody();
        let path = format!("{project}/production");
        run.arg(path).refuses(125, &["level target"]);
    }
    // The descriptor of another project, or of the same one with something exchanged.
    let salt = BASE64_STANDARD.encode("another salt");
    for (project, field, value) in [
        ("managed", "key", json!("another key")),
        ("managed", "key_check_salt", json!(salt)),
        ("managed", "key_check_salt", Value::Null),
        ("managed", "key_check_iterations", json!(1001)),
        ("legacy", "key", json!("another key")),
        ("legacy", "key_check_salt", json!(salt)),
        ("my-app", "key_check_salt", json!(salt)),
        ("my-app", "key_check_iterations", json!(1001)),
    ] {
        let service = Service::plain();
        // Where a descriptor has a salt, it has iterations too, and few of them.
        service.fail(
            Route::EncryptionKey,
            Fault::edit(move |document| {
                set_in_descriptor("key_check_iterations", json!(1000))(document);
                set_in_descriptor(field, value.clone())(document);
            }),
        );
        let run = service.dotenv_run().client_key().any_custody();
        let path = format!("{project}/production/api");
        run.arg(path).refuses(125, &["level project", "key"]);
    }
}

fn a_client_key_is_needed_only_where_the_user_holds_the_key() {
    let service = Service::example();
    let refused = service
        .dotenv_run()
        .arg("my-app")
        .refuses(125, &["client key"]);
    for place in ["--client-key", "DOTENV_CLIENT_KEY"] {
        assert!(refused.stderr.contains(place), "{refused}");
    }
    for project in ["managed", "legacy"] {
        let run = service.dotenv_run().args(["--client-key", "/nonexistent"]);
        let run = run.any_custody();
        assert_eq!(run.arg(project).variables().len(), 3);
    }
}

/// A project in which the target, and only that, is not encrypted.
fn half_plain(custody: Custody) -> Service {
    let project = Project::new("half", custody)
        .level("", "A=1\nB=1\n")
        .plain_level("t", "B=2\n");
    Service::of(World::new(vec![project]))
}

fn plaintext_in_a_client_managed_project_is_refused_unless_allowed() {
    let service = half_plain(Custody::client());
    let run = || service.dotenv_run().client_key();
    let refused = run()
        .arg("half/t")
        .refuses(125, &["level target", "encrypted"]);
    assert!(refused.stderr.contains("--allow-plaintext"), "{refused}");
    run()
        .args(["--level-only", "half/t"])
        .refuses(125, &["level target"]);
    assert_eq!(run().arg("half").variables(), ["A=1", "B=1"]);
    let allowed = run().args(["--allow-plaintext", "half/t"]);
    assert_eq!(allowed.variables(), ["A=1", "B=2"]);
    // What is encrypted must still open.
    let run = service.dotenv_run().env("DOTENV_CLIENT_KEY", "another key");
    let run = run.args(["--allow-plaintext", "half/t"]);
    run.refuses(125, &["level project", "wrong client key"]);

    // A service that strips the flag from ciphertext gets no further with it.
    let service = Service::example();
    let strip = |document: &mut Value| {
        document["data"]["attributes"]["levels"]["project"]["encrypted"] = json!(false);
    };
    service.fail(Route::Secrets, Fault::edit(strip));
    let run = service.dotenv_run().client_key();
    run.clone()
        .arg("my-app")
        .refuses(125, &["level project", "encrypted"]);
}

fn plaintext_in_a_server_managed_project_is_read() {
    for custody in [Custody::server(), Custody::legacy()] {
        let service = half_plain(custody);
        let run = service.dotenv_run().arg("half/t");
        assert_eq!(run.variables(), ["A=1", "B=2"]);
        assert!(service.targets().contains(&encryption_key("half")));
        service.fail(Route::Secrets, Fault::edit(flip_bit("project", 100)));
        let run = service.dotenv_run().arg("half/t");
        run.refuses(125, &["level project"]);
    }
}

fn a_level_that_opens_and_breaks_the_grammar_starts_nothing() {
    for (text, fragments) in [
        (
            "A=1\nBAD-NAME=postgres://x\n",
            &["level target", "line 2"][..],
        ),
        ("A=1\nB='postgres://x\n", &["level target", "line 2", "B"]),
        ("A=1\nB=\0\n", &["level target", "line 2"]),
    ] {
        for custody in [Custody::client(), Custody::legacy()] {
            let project = Project::new("p", custody)
                .level("", "A=0\n")
                .level("t", text)
                .level("t/e", "A=2\n");
            let service = Service::of(World::new(vec![project]));
            service
                .dotenv_run()
                .client_key()
                .any_custody()
                .arg("p/t/e")
                .refuses(125, fragments);
        }
    }
}

fn the_flag_of_the_whole_answer_decides_nothing() {
    for flag in [json!(false), Value::Null, json!("no")] {
        let service = Service::example();
        let edit = move |document: &mut Value| {
            document["data"]["attributes"]["encrypted"] = flag.clone();
        };
        service.fail(Route::Secrets, Fault::edit(edit));
        let run = service.dotenv_run().client_key().arg("my-app");
        assert_eq!(run.variables().len(), 3);
    }
}

/// What somebody without any key would put in the place of a client-managed project.
fn hostile() -> World {
    let project = Project::new("my-app", Custody::legacy()).plain_level("", "MODE=hostile\n");
    World::new(vec![project])
}

/// A service that fails in a way that may pass, in front of what a mirror has.
fn with_mirror(url: &str) -> (Service, Run) {
    let service = Service::example();
    for route in [Route::Secrets, Route::EncryptionKey] {
        let busy = Fault::Reply(Reply::error(503, "busy", "later"));
        service.fail(route, busy);
    }
    let run = service.dotenv_run().args(["--mirror", url]);
    (service, run)
}

/// Whatever place the client key comes from, the store cannot do without it.
fn a_client_managed_project_cannot_be_passed_off_as_another() {
    let (service, tree) = (Service::of(hostile()), Tree::of(&hostile()));
    let mirror = Service::mirror_of(hostile());
    let (_first, by_mirror) = with_mirror(&mirror.url());
    let (_second, by_tree) = with_mirror(&tree.url());
    let dir = TempDir::new();
    let key = dir.file("key", CLIENT_KEY);
    let credential = dir.file("dotenv-client-key", CLIENT_KEY);
    for file in [&key, &credential] {
        set_mode(file, 0o600);
    }
    let places: [&dyn Fn(Run) -> Run; 5] = [
        &|run| run.client_key(),
        &|run| run.arg("--client-key").arg(&key),
        &|run| run.env("DOTENV_CLIENT_KEY_FILE", &key),
        &|run| run.env("CREDENTIALS_DIRECTORY", dir.path()),
        // A place that is set counts, though nothing can be read from it.
        &|run| run.env("DOTENV_CLIENT_KEY", ""),
    ];
    let url = tree.url();
    let from_tree = Run::dotenv_run().args(["--api-url", &url]);
    for place in places {
        for run in [service.dotenv_run(), from_tree.clone()] {
            let refused = place(run).args(["-q", "--allow-empty", "my-app"]);
            let refused = refused.refuses(125, &["my-app is server-managed", "client-managed"]);
            assert!(refused.stderr.contains("--custody any"), "{refused}");
        }
        for run in [by_mirror.clone(), by_tree.clone()] {
            let run = place(run).args(["--allow-plaintext", "-q", "my-app"]);
            run.refuses(125, &["mirror", "hint: "]);
        }
    }
}

fn a_tree_and_a_mirror_are_held_to_client_custody_without_a_key_too() {
    let (tree, service) = (Tree::example(), Service::example());
    let (_failing, by_mirror) = with_mirror(&tree.url());
    for project in ["managed", "legacy"] {
        let from_tree = Run::dotenv_run().args(["--api-url", &tree.url(), project]);
        let refused = from_tree.refuses(125, &[project, "server-managed", "a tree"]);
        assert!(refused.stderr.contains("--custody any"), "{refused}");
        let refused = by_mirror
            .clone()
            .arg(project)
            .refuses(125, &["mirror", project]);
        assert!(refused.stderr.contains("--custody any"), "{refused}");
        // The service's own word is taken as before.
        let run = service.dotenv_run().arg(project);
        assert_eq!(run.variables().len(), 3);
    }
}

fn another_custody_is_accepted_only_on_demand() {
    let (service, tree) = (Service::example(), Tree::example());
    let (_failing, by_mirror) = with_mirror(&tree.url());
    let from_tree = Run::dotenv_run().args(["--api-url", &tree.url()]);
    for run in [service.dotenv_run(), from_tree, by_mirror] {
        let run = run.client_key().args(["-q", "managed"]);
        for custody in ["any", "server"] {
            let option = run.clone().args(["--custody", custody]);
            assert_eq!(option.variables().len(), 3);
            let variable = run.clone().env("DOTENV_RUN_CUSTODY", custody);
            assert_eq!(variable.variables().len(), 4);
            // The option counts more.
            let both = run.clone().env("DOTENV_RUN_CUSTODY", custody);
            let both = both.args(["--custody", "client"]);
            both.refuses(125, &["managed"]);
        }
        let dir = TempDir::new();
        let profile = dir.file("profile", "custody = \"server\"\n");
        set_mode(&profile, 0o600);
        let run = run.arg("--profile").arg(profile);
        assert_eq!(run.variables().len(), 3);
    }
}

fn a_client_managed_project_can_be_unwanted_too() {
    let (service, tree) = (Service::example(), Tree::example());
    for run in [service.dotenv_run(), tree.dotenv_run()] {
        let run = run.client_key().args(["--custody", "server", "my-app"]);
        run.refuses(
            125,
            &["my-app is client-managed", "set by --custody", "hint: "],
        );
    }
    // That the key is missing is not even noticed.
    let run = service.dotenv_run().arg("my-app");
    let run = run.env("DOTENV_RUN_CUSTODY", "server");
    run.refuses(125, &["my-app is client-managed", "DOTENV_RUN_CUSTODY"]);
}

fn a_custody_that_is_none_is_refused() {
    let service = Service::example();
    for word in ["Client", "both", "client,server", "0"] {
        let run = || service.dotenv_run().arg("managed");
        run()
            .args(["--custody", word])
            .refuses(125, &["--custody: must be client, server or any"]);
        run()
            .env("DOTENV_RUN_CUSTODY", word)
            .refuses(125, &["DOTENV_RUN_CUSTODY: must be"]);
    }
    assert_eq!(service.connections(), 0);
}

fn plaintext_is_accepted_from_the_service_alone() {
    let project = || Project::new("plain", Custody::client()).plain_level("", "A=1\n");
    let service = Service::of(World::new(vec![project()]));
    let run = |run: Run| run.client_key().args(["--allow-plaintext", "plain"]);
    assert_eq!(run(service.dotenv_run()).variables(), ["A=1"]);
    let tree = Tree::of_project(project());
    let refused = run(tree.dotenv_run()).refuses(125, &["level project", "not encrypted"]);
    assert!(refused.stderr.contains("the service only"), "{refused}");
}

/// The documents of another world in the place of those of the service.
fn exchange(service: &Service, world: &World) {
    let tree = Tree::of(world);
    for (route, document) in [
        (Route::Secrets, tree.secrets("my-app")),
        (Route::EncryptionKey, tree.encryption_key("my-app")),
    ] {
        let text = std::fs::read(document).expect("a document");
        let reply = Reply::new(200, "application/json", text);
        service.fail(route, Fault::Reply(reply));
    }
}

/// In both directions, and also where nothing but the start says which custody it is.
fn a_renewal_never_changes_the_custody() {
    let client = || {
        let project = Project::new("my-app", Custody::client()).level("", "MODE=good\n");
        World::new(vec![project])
    };
    let options: [&[&str]; 2] = [&[], &["--custody", "any"]];
    let worlds: [[fn() -> World; 2]; 2] = [[client, hostile], [hostile, client]];
    for [first, second] in worlds {
        for options in options {
            let service = Service::of(first());
            let is_default = options.is_empty() && first().projects[0].custody.managed == "server";
            // Where the service holds the key, a client key on top would be refused at the start.
            let run = match is_default {
                true => service.dotenv_run(),
                false => service.dotenv_run().client_key(),
            };
            let command = "echo \"started $MODE\"; exec sleep 1000";
            let run = run.args(options).args(["-v", "--watch=1", "my-app", "--"]);
            let live = run.args(["sh", "-c", command]).spawn();
            live.wait_for_output("started");
            exchange(&service, &second());
            let told = |words: &str| live.errors_so_far().matches(words).count();
            wait_until("a warning", || told("keeps the old ones") > 0);
            let asked = service.requests().len();
            wait_until("more questions", || service.requests().len() >= asked + 4);
            live.signal(nix::sys::signal::Signal::SIGTERM);
            let outcome = live.wait();
            assert_eq!(
                outcome.stderr.matches("keeps the old ones").count(),
                1,
                "{outcome}"
            );
            assert!(outcome.stderr.contains("was started with it"), "{outcome}");
            assert_eq!(outcome.text().lines().count(), 1, "{outcome}");
        }
    }
}

fn a_cached_answer_never_changes_the_custody() {
    keys::enter_new_session();
    let service = Service::of(hostile());
    let run = || {
        service
            .dotenv_run()
            .args(["--cache=60", "--stale=60", "my-app"])
    };
    assert_eq!(run().variables(), ["MODE=hostile"]);
    assert_eq!(
        keys::entries(keys::SESSION).len(),
        0,
        "no key, nothing is kept"
    );
    let sealed = Project::new("my-app", Custody::legacy()).level("", "MODE=hostile\n");
    let service = Service::of(World::new(vec![sealed]));
    let run = || {
        service
            .dotenv_run()
            .args(["--cache=60", "--stale=60", "my-app"])
    };
    assert_eq!(run().variables(), ["MODE=hostile"]);
    assert_eq!(keys::entries(keys::SESSION).len(), 2);
    run()
        .client_key()
        .refuses(125, &["my-app is server-managed"]);
    assert_eq!(run().variables(), ["MODE=hostile"]);
    // Not even where the service cannot be asked.
    let busy = || Fault::Reply(Reply::error(503, "busy", "later"));
    service.fail(Route::Secrets, busy());
    let late = run().client_key().args(["--timeout", "1"]);
    late.refuses(124, &["503"]);
}

fn a_check_says_which_custody_is_expected_and_why() {
    let (service, tree) = (Service::example(), Tree::example());
    let from_tree = || Run::dotenv_run().args(["--api-url", &tree.url()]);
    let cases = [
        (
            service.dotenv_run(),
            "managed",
            0,
            "any",
            "no client key is given",
        ),
        (
            service.dotenv_run().client_key(),
            "my-app",
            0,
            "client",
            "a client key is given",
        ),
        (
            service.dotenv_run().client_key(),
            "managed",
            125,
            "client",
            "a client key is given",
        ),
        (
            from_tree().client_key(),
            "my-app",
            0,
            "client",
            "a client key is given",
        ),
        (
            from_tree(),
            "managed",
            125,
            "client",
            "the secrets come from a tree",
        ),
        (
            from_tree().any_custody(),
            "managed",
            0,
            "any",
            "set by --custody",
        ),
        (
            from_tree().env("DOTENV_RUN_CUSTODY", "server"),
            "managed",
            0,
            "server",
            "set by DOTENV_RUN_CUSTODY",
        ),
    ];
    for (run, project, status, custody, reason) in cases {
        let run = run.args(["--check", project]);
        let outcome = run.clone().arg("--json").finish();
        outcome.assert_status(status);
        let found: Value = serde_json::from_slice(&outcome.stdout).expect("JSON");
        let expected = json!({ "custody": custody, "reason": reason });
        assert_eq!(found["expected_custody"], expected, "{outcome}");
        let outcome = run.finish();
        let line = match (custody, status) {
            ("client", 0) => {
                "client key    DOTENV_CLIENT_KEY, so client custody is expected\n".into()
            }
            _ => format!("expected      {custody} custody: {reason}\n"),
        };
        let text = outcome.assert_status(status).text();
        assert!(text.contains(&line), "{outcome}");
    }
    let (_service, by_mirror) = with_mirror(&tree.url());
    let outcome = by_mirror
        .args(["--check", "--json", "--custody", "any", "managed"])
        .finish();
    outcome.assert_status(0);
}
