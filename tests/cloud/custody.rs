//! Whose key opens a level, in both custody modes, and that nothing starts when one stays closed.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::cloud::encryption_key;
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
                let run = service.dotenv_run().client_key().arg("--allow-empty");
                let path = format!("{project}/production/api");
                let refused = run.arg(path).refuses(125, &[&format!("level {level}")]);
                assert!(!refused.stderr.contains("wrong client key"), "{refused}");
            }
            let service = Service::plain();
            service.fail(Route::Secrets, Fault::edit(flip_tag(level)));
            let run = service.dotenv_run().client_key();
            let path = format!("{project}/production/api");
            run.arg(path).refuses(125, &[level]);
        }
    }
    // A level that is alone cannot be told from one under another key, and is refused all the same.
    let service = Service::plain();
    service.fail(Route::Secrets, Fault::edit(flip_bit("project", 100)));
    for project in ["my-app", "managed", "legacy"] {
        let run = service.dotenv_run().client_key();
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
            let run = service.dotenv_run().client_key().arg("--allow-empty");
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
        let run = service.dotenv_run().client_key();
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
        let run = service.dotenv_run().client_key();
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
