//! The key descriptor: every form in which the service may send it, and what is refused.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::cloud::with_key_if_needed;
use crate::support::*;

tests![
    a_number_may_be_written_as_a_string,
    iterations_out_of_bounds_are_refused,
    few_iterations_draw_a_warning,
    iterations_that_are_not_given_are_600000,
    a_salt_is_standard_base64,
    a_client_managed_project_without_a_salt_is_refused,
    a_server_managed_project_without_its_key_is_refused,
    the_custody_must_be_one_of_two,
    the_content_may_be_an_object,
    a_descriptor_of_another_shape_is_refused,
];

/// A run on `project` whose descriptor has this field changed.
fn with(project: &str, field: &'static str, value: Value) -> (Service, Run) {
    let service = Service::plain();
    service.fail(
        Route::EncryptionKey,
        Fault::edit(set_in_descriptor(field, value)),
    );
    let run = with_own_key(&service, project);
    (service, run)
}

fn with_own_key(service: &Service, project: &str) -> Run {
    with_key_if_needed(service.dotenv_run(), project).arg(project)
}

fn a_number_may_be_written_as_a_string() {
    for project in ["my-app", "managed"] {
        let (_service, run) = with(project, "key_check_iterations", json!("1000"));
        assert_eq!(run.variables().len(), 3);
    }
    for version in [json!(7), json!("7"), Value::Null] {
        let (_service, run) = with("my-app", "version", version);
        assert_eq!(run.variables().len(), 3);
    }
}

fn iterations_out_of_bounds_are_refused() {
    for count in [
        json!(1),
        json!(999),
        json!("999"),
        json!(10_000_001),
        json!("10000001"),
        json!(u32::MAX),
        json!(u64::from(u32::MAX) + 1 + 1000),
        json!(u64::MAX),
        json!(-1),
        json!(-1000),
        json!("-1000"),
        json!(1000.5),
        json!(1e300),
        json!("18446744073709552616"),
        json!("1e4"),
        json!("1000 "),
        json!("0x3e8"),
        json!("many"),
        json!(""),
        json!(true),
        json!([1000]),
        json!({}),
    ] {
        for project in ["my-app", "managed"] {
            let (_service, run) = with(project, "key_check_iterations", count.clone());
            run.refuses(125, &["iterations"]);
        }
    }
    let (_service, run) = with("my-app", "key_check_iterations", json!(999));
    run.refuses(125, &["999", "1000", "10000000"]);
    assert_eq!(dotenv_run::inside::crypto::ITERATIONS, 1_000..=10_000_000);
}

fn few_iterations_draw_a_warning() {
    let service = Service::example();
    for project in ["my-app", "managed"] {
        let run = with_own_key(&service, project);
        let outcome = run.clone().args(["--", "true"]).finish();
        outcome.assert_status(0).assert_stdout("");
        let warnings = outcome.stderr.lines().collect::<Vec<_>>();
        let [warning] = warnings[..] else {
            panic!("one warning was expected\n{outcome}")
        };
        assert!(warning.starts_with("dotenv-run: warning: "), "{outcome}");
        assert!(warning.contains("1000 PBKDF2 iterations"), "{outcome}");
        let quiet = run.args(["--quiet", "--", "true"]).finish();
        assert_eq!(quiet.assert_status(0).stderr, "");
    }
    let legacy = with_own_key(&service, "legacy")
        .args(["--", "true"])
        .finish();
    assert_eq!(legacy.assert_status(0).stderr, "");
}

/// Zero too: so the service's own client reads it.
fn iterations_that_are_not_given_are_600000() {
    let custody = |custody: Custody| Custody {
        iterations: Some(600_000),
        ..custody
    };
    let projects = vec![
        Project::new("my-app", custody(Custody::client())).level("", "A=1\n"),
        Project::new("managed", custody(Custody::server())).level("", "A=1\n"),
    ];
    let service = Service::of(World::new(projects));
    let run = with_own_key(&service, "my-app").args(["--", "true"]);
    assert_eq!(run.finish().assert_status(0).stderr, "");
    for value in [Value::Null, json!(0)] {
        let edit = set_in_descriptor("key_check_iterations", value);
        service.fail_times(1, Route::EncryptionKey, Fault::edit(edit));
        assert_eq!(with_own_key(&service, "managed").variables(), ["A=1"]);
    }
}

fn a_salt_is_standard_base64() {
    let salt = BASE64_STANDARD.encode(Custody::server().salt.unwrap());
    let split = format!("{}\r\n{}\n", &salt[..5], &salt[5..]);
    for project in ["my-app", "managed"] {
        let (_service, run) = with(project, "key_check_salt", json!(split));
        assert_eq!(run.variables().len(), 3);
        for bad in [
            json!(salt.trim_end_matches('=')),
            json!(format!("{salt} ")),
            json!(format!("{salt}=")),
            json!("!!!!"),
            json!("-_-_"),
            json!(17),
            json!(["c2FsdA=="]),
        ] {
            let (_service, run) = with(project, "key_check_salt", bad);
            run.refuses(125, &["salt"]);
        }
    }
}

fn a_client_managed_project_without_a_salt_is_refused() {
    for salt in [Value::Null, json!("")] {
        let (_service, run) = with("my-app", "key_check_salt", salt);
        run.refuses(125, &["my-app", "salt"]);
    }
}

fn a_server_managed_project_without_its_key_is_refused() {
    for project in ["managed", "legacy"] {
        for key in [Value::Null, json!(""), json!(17), json!({})] {
            let (_service, run) = with(project, "key", key);
            run.client_key().refuses(125, &["key"]);
        }
    }
}

fn the_custody_must_be_one_of_two() {
    for managed in [
        json!("Server"),
        json!("both"),
        json!(""),
        Value::Null,
        json!(1),
    ] {
        for project in ["my-app", "managed", "legacy"] {
            let (_service, run) = with(project, "managed", managed.clone());
            run.client_key().refuses(125, &["managed"]);
        }
    }
    // Whoever answers cannot make a project its own by saying so.
    let (_service, run) = with("my-app", "managed", json!("server"));
    run.refuses(125, &["key"]);
}

/// A run on `my-app` whose descriptor document has these attributes.
fn with_attributes(attributes: Value) -> (Service, Run) {
    let service = Service::plain();
    let document = json!({ "data": { "type": "encryption_keys", "attributes": attributes } });
    let reply = Reply::json(200, &document);
    service.fail(Route::EncryptionKey, Fault::Reply(reply));
    let run = with_own_key(&service, "my-app");
    (service, run)
}

/// The descriptor of `my-app`.
fn good() -> Value {
    let salt = BASE64_STANDARD.encode(Custody::client().salt.unwrap());
    json!({ "managed": "client", "key_check_salt": salt, "key_check_iterations": 1000 })
}

fn the_content_may_be_an_object() {
    let content = json!({ "key": good() });
    for content in [content.clone(), json!(content.to_string())] {
        let (_service, run) = with_attributes(json!({ "content": content }));
        assert_eq!(run.variables().len(), 3);
    }
}

fn a_descriptor_of_another_shape_is_refused() {
    let text = json!({ "key": good() }).to_string();
    for (attributes, fragments) in [
        (Value::Null, &["attributes"][..]),
        (json!({}), &["content", "missing"]),
        (good(), &["content", "missing"]),
        (json!({ "key": good() }), &["content", "missing"]),
        (json!({ "content": null }), &["content", "null"]),
        (json!({ "content": 1 }), &["content", "number"]),
        (json!({ "content": "" }), &["content", "JSON"]),
        (json!({ "content": "key" }), &["content", "JSON"]),
        (
            json!({ "content": text.clone() + "x" }),
            &["content", "JSON"],
        ),
        (json!({ "content": "[]" }), &["content", "array"]),
        (json!({ "content": "null" }), &["content", "null"]),
        (json!({ "content": [] }), &["content", "array"]),
        (json!({ "content": {} }), &["content.key", "missing"]),
        (json!({ "content": good() }), &["content.key", "missing"]),
        (
            json!({ "content": { "key": null } }),
            &["content.key", "null"],
        ),
        (
            json!({ "content": { "key": "k" } }),
            &["content.key", "string"],
        ),
        (json!({ "content": { "key": {} } }), &["managed", "missing"]),
    ] {
        let (_service, run) = with_attributes(attributes);
        run.refuses(125, &[&["my-app/encryption-key"], fragments].concat());
    }
}
