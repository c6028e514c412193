//! Answers of the service that are no documents: refusals, redirects, failures, and documents that
//! are broken or hostile.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::cloud::{failing, good_body, secrets};
use crate::support::*;

tests![
    a_redirect_is_not_followed,
    every_status_has_its_own_refusal,
    a_refusal_of_any_route_is_final,
    an_unknown_key_is_refused,
    a_key_without_a_scope_is_told_which,
    what_does_not_exist_is_named_as_it_was_asked_for,
    a_page_in_place_of_a_document_is_refused,
    a_document_that_is_no_good_json_is_refused,
    a_name_that_appears_twice_is_refused,
    a_document_that_nests_too_deep_is_refused,
    a_document_of_any_kind_names_what_is_wrong,
    a_level_that_was_not_asked_for_is_refused,
];

/// A text that only a server could have sent.
const BODY: &str = "words-of-the-server";

fn a_redirect_is_not_followed() {
    let other = Service::example();
    let routes = [Route::Organization, Route::Secrets, Route::EncryptionKey];
    for (requests, route) in [1, 3, 3].into_iter().zip(routes) {
        for status in [301, 302, 303, 307, 308] {
            let service = Service::example();
            let mut reply = Reply::redirect(&(other.url() + &secrets("legacy")));
            reply.status = status;
            let run = failing(&service, route, Fault::Reply(reply));
            run.refuses(125, &["redirect", &status.to_string()]);
            assert!(service.targets().len() <= requests);
        }
    }
    assert!(other.requests().is_empty());
    let service = Service::example();
    let same = Reply::redirect(&secrets("legacy/production"));
    service.fail_times(1, Route::Secrets, Fault::Reply(same));
    service
        .dotenv_run()
        .arg("legacy")
        .refuses(125, &["redirect"]);
    assert!(!service.targets().contains(&secrets("legacy/production")));
}

/// The host is named where it is to blame, and nothing that it sent is shown.
fn every_status_has_its_own_refusal() {
    let cases = [
        (401, 125, "API key"),
        (403, 125, "legacy"),
        (404, 125, "legacy/production"),
        (422, 125, "422"),
        (429, 124, "429"),
        (500, 124, "500"),
        (502, 124, "502"),
        (503, 124, "503"),
        (504, 124, "504"),
        (599, 124, "599"),
        (204, 125, "204"),
        (206, 125, "206"),
        (304, 125, "304"),
        (400, 125, "400"),
        (409, 125, "409"),
        (418, 125, "418"),
    ];
    let mut messages = Vec::new();
    for (sent, expected, fragment) in cases {
        let service = Service::plain();
        service.fail(Route::Secrets, Fault::Reply(Reply::error(sent, BODY, BODY)));
        let refused = service
            .dotenv_run()
            .arg("legacy/production")
            .refuses(expected, &[fragment]);
        assert!(!refused.stderr.contains(BODY), "{refused}");
        let host = service.address().to_string();
        let named = refused.stderr.contains(&host) || refused.stderr.contains("legacy");
        assert!(named, "{refused}");
        messages.push(refused.stderr.replace(&host, "HOST"));
    }
    for (index, message) in messages.iter().enumerate() {
        assert!(
            !messages[..index].contains(message),
            "{message} comes twice"
        );
    }
}

fn a_refusal_of_any_route_is_final() {
    let cases = [
        (Route::Organization, 1),
        (Route::Secrets, 3),
        (Route::EncryptionKey, 3),
    ];
    for (route, requests) in cases {
        for status in [401, 403, 404, 422] {
            let service = Service::plain();
            let reply = Reply::error(status, BODY, BODY);
            let refused = failing(&service, route, Fault::Reply(reply)).refuses(125, &[]);
            assert!(!refused.stderr.contains(BODY), "{refused}");
            assert!(service.requests().len() <= requests, "{refused}");
        }
        for status in [429, 500, 503] {
            let service = Service::plain();
            let reply = Reply::error(status, BODY, BODY);
            let run = failing(&service, route, Fault::Reply(reply));
            run.refuses(124, &[&status.to_string()]);
        }
    }
}

fn an_unknown_key_is_refused() {
    let service = Service::example();
    let stranger = Key::new();
    let run = service.dotenv_run().env("DOTENV_API_KEY", stranger.token());
    let host = service.address().to_string();
    let refused = run.arg("my-app").refuses(125, &["API key", &host]);
    assert!(!refused.stderr.contains(stranger.token()), "{refused}");
}

fn a_key_without_a_scope_is_told_which() {
    let service = Service::example();
    let read_only = [
        "secret:read",
        "project:read",
        "target:read",
        "environment:read",
        "organization:read",
    ];
    let cases = [
        (&read_only[..], "key:retrieve"),
        (&["secret:read"], "key:retrieve"),
        (&["key:retrieve"], "secret:read"),
        (&[], "secret:read"),
    ];
    for (scopes, missing) in cases {
        let run = service
            .dotenv_run_with(Key::new().scopes(scopes))
            .client_key();
        let refused = run
            .arg("my-app/production")
            .refuses(125, &["my-app", missing]);
        let hint = refused.stderr.lines().last().unwrap();
        assert!(
            hint.starts_with("hint: ") && hint.contains(missing),
            "{refused}"
        );
    }
    let key = || Key::new().restricted_to("my-app/production");
    let run = || service.dotenv_run_with(key()).client_key();
    assert_eq!(run().arg("my-app/production").variables().len(), 3);
    run().arg("my-app").refuses(125, &["my-app", "403"]);
}

fn what_does_not_exist_is_named_as_it_was_asked_for() {
    let service = Service::example();
    for path in [
        "other",
        "other/production",
        "my-app/staging",
        "my-app/production/web",
    ] {
        let refused = service.dotenv_run().arg(path).refuses(125, &[path]);
        assert!(refused.stderr.contains("no such"), "{refused}");
    }
    // Where the descriptor alone is missing, the path is still the one that was asked for.
    service.fail(
        Route::EncryptionKey,
        Fault::Reply(Reply::error(404, BODY, BODY)),
    );
    let run = service.dotenv_run().arg("legacy/production");
    run.refuses(125, &["legacy/production", "key"]);
}

/// Sends this as the body of the answer to the request for secrets of `legacy`.
#[track_caller]
fn refuses_secrets(body: impl Into<Vec<u8>>, fragments: &[&str]) {
    let service = Service::plain();
    let reply = Reply::new(200, "application/json", body);
    service.fail(Route::Secrets, Fault::Reply(reply));
    let run = service.dotenv_run().args(["--allow-empty", "legacy"]);
    let refused = run.refuses(125, fragments);
    assert!(refused.stderr.contains("/legacy/secrets"), "{refused}");
    assert!(!refused.stderr.contains(BODY), "{refused}");
}

fn a_page_in_place_of_a_document_is_refused() {
    let page = format!("<!DOCTYPE html><title>{BODY}</title>");
    refuses_secrets(page.clone(), &["JSON"]);
    for route in [Route::Organization, Route::EncryptionKey] {
        let service = Service::plain();
        let reply = Reply::new(200, "text/html; charset=utf-8", page.clone());
        let refused = failing(&service, route, Fault::Reply(reply)).refuses(125, &["JSON"]);
        assert!(!refused.stderr.contains(BODY), "{refused}");
    }
}

fn a_document_that_is_no_good_json_is_refused() {
    let good = good_body();
    let cut = &good[..good.len() - 1];
    for body in [
        "",
        " ",
        BODY,
        cut,
        &format!("{good}{BODY}"),
        &format!("{good}{good}"),
        &format!("\u{feff}{good}"),
        &good.replacen(':', "=", 1),
        &good.replacen('"', "'", 2),
        &good.replacen("true", "True", 1),
        &good.replacen('{', "{,", 1),
    ] {
        refuses_secrets(body, &["JSON"]);
    }
    let mut latin = good.clone().into_bytes();
    latin.insert(latin.len() - 1, 0xe4);
    refuses_secrets(latin, &["UTF-8"]);
    let lone_surrogate = good.replace("\"source\":\"legacy\"", "\"source\":\"\\ud800\"");
    assert_ne!(lone_surrogate, good);
    refuses_secrets(lone_surrogate, &["JSON"]);
}

/// Two readers of such a document could see different secrets in it.
fn a_name_that_appears_twice_is_refused() {
    let good = good_body();
    for (from, to, name) in [
        ("{", "{\"data\":null,", "data"),
        ("\"levels\":", "\"levels\":[],\"levels\":", "levels"),
        ("\"levels\":", "\"\\u006cevels\":null,\"levels\":", "levels"),
        ("\"project\":{", "\"project\":null,\"project\":{", "project"),
        ("\"content\":", "\"content\":\"\",\"content\":", "content"),
        (
            "\"encrypted\":true",
            "\"encrypted\":true,\"encrypted\":false",
            "encrypted",
        ),
        ("\"meta\":{", "\"meta\":{\"x\":1,\"x\":2,", "x"),
    ] {
        let body = good.replacen(from, to, 1);
        assert_ne!(body, good);
        refuses_secrets(body, &["twice", name]);
    }
    let service = Service::example();
    let double = |document: &mut Value| {
        let content = &mut document["data"]["attributes"]["content"];
        let text = content.as_str().unwrap();
        *content = text.replacen("\"key\":", "\"key\":{},\"key\":", 1).into();
    };
    service.fail(Route::EncryptionKey, Fault::edit(double));
    let run = service.dotenv_run().arg("legacy");
    run.refuses(125, &["legacy/encryption-key", "twice"]);
}

fn a_document_that_nests_too_deep_is_refused() {
    let good = good_body();
    let depth = 200_000;
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = format!("{}1{}", open.repeat(depth), close.repeat(depth));
        refuses_secrets(nested.clone(), &["deep"]);
        refuses_secrets(open.repeat(depth), &["JSON"]);
        let inside = format!("\"meta\":{{\"x\":{nested},");
        refuses_secrets(good.replacen("\"meta\":{", &inside, 1), &["deep"]);
        let level = format!("\"levels\":{nested},\"other\":");
        refuses_secrets(good.replacen("\"levels\":", &level, 1), &["deep"]);
    }
    let mut many = String::from("[");
    for index in 0..200_000 {
        write!(many, "{{\"{index}\":[]}},").unwrap();
    }
    refuses_secrets(many + "0]", &["values"]);
}

/// Every field of the wrong type, and every one that may not be missing.
fn a_document_of_any_kind_names_what_is_wrong() {
    let level = |level: Value| json!({ "format": "env", "levels": { "project": level } });
    let sealed = |field: &str, value: Value| {
        let mut good = json!({ "encrypted": true, "content": "x", "source": "legacy" });
        good[field] = value;
        level(good)
    };
    for (attributes, fragments) in [
        (Value::Null, &["data.attributes"][..]),
        (json!([]), &["data.attributes", "array"]),
        (json!({ "levels": "none" }), &["levels", "string"]),
        (json!({ "levels": ["project"] }), &["levels", "array"]),
        (json!({ "levels": 0 }), &["levels", "number"]),
        (json!({ "levels": false }), &["levels", "boolean"]),
        (json!({ "levels": {}, "format": 1 }), &["format", "number"]),
        (
            json!({ "levels": {}, "format": "toml" }),
            &["format", "toml"],
        ),
        (json!({ "levels": {}, "format": "ENV" }), &["format", "ENV"]),
        (
            json!({ "levels": { "organization": null } }),
            &["level", "organization"],
        ),
        (
            json!({ "levels": { "Project": {} } }),
            &["level", "Project"],
        ),
        (level(json!("text")), &["levels.project", "string"]),
        (level(json!([])), &["levels.project", "array"]),
        (level(json!({})), &["levels.project", "encrypted"]),
        (
            level(json!({ "DATABASE_URL": BODY })),
            &["shape", "project"],
        ),
        (level(json!({ "encrypted": true })), &["content", "missing"]),
        (
            level(json!({ "content": "A=1" })),
            &["encrypted", "missing"],
        ),
        (sealed("encrypted", json!("true")), &["encrypted", "string"]),
        (sealed("encrypted", json!(1)), &["encrypted", "number"]),
        (sealed("encrypted", Value::Null), &["encrypted", "null"]),
        (sealed("content", json!(["x"])), &["content", "array"]),
        (sealed("content", json!(7)), &["content", "number"]),
    ] {
        let document = json!({ "data": { "type": "secrets", "attributes": attributes } });
        refuses_secrets(document.to_string(), fragments);
    }
    for document in [json!(null), json!("text"), json!(7), json!([]), json!({})] {
        refuses_secrets(document.to_string(), &[]);
    }
}

/// A service that answers with more than was asked for may be meant for somebody else.
fn a_level_that_was_not_asked_for_is_refused() {
    let tree = Tree::example();
    let deeper = std::fs::read(tree.secrets("legacy/production/api")).unwrap();
    let service = Service::example();
    let reply = Reply::new(200, "application/json", deeper);
    service.fail(Route::Secrets, Fault::Reply(reply));
    for (path, level) in [("legacy", "target"), ("legacy/production", "environment")] {
        service.dotenv_run().arg(path).refuses(125, &[path, level]);
    }
}
