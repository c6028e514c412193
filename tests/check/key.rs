//! What `--check` says of the API key: that it can do more than read, and how long it lives. Whatever happens to that
//! question changes nothing else.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::checked;
use crate::support::*;

tests![
    a_key_that_can_do_more_than_read_is_warned_of,
    a_key_that_ends_soon_or_never_is_warned_of,
    a_key_that_may_not_ask_is_the_normal_case,
    a_failure_of_the_question_changes_nothing,
    all_pages_are_read,
    one_key_of_several_is_not_guessed,
    fields_may_lie_in_attributes,
    only_a_check_asks,
    a_token_of_a_user_is_not_looked_for,
];

const READ: [&str; 3] = ["secret:read", "key:retrieve", "api-token:read"];

/// What every run here warns of too.
const FEW: &str =
    "the key of managed is weakly protected: 1000 PBKDF2 iterations, 600000 are recommended";

/// So long from now, as the service writes times.
fn in_hours(hours: i64) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a time");
    let at = now.as_secs() as i64 + hours * 3600;
    let date = Run::program("date")
        .args(["-u", "-d", &format!("@{at}"), "+%Y-%m-%dT%H:%M:%SZ"])
        .finish();
    date.text().trim().into()
}

/// What is found about a key of the only service that knows it.
#[track_caller]
fn found(key: Key) -> (Value, Vec<String>) {
    let service = Service::only_with(key);
    about(&service)
}

/// What is found about the key of a service, and what is warned of.
#[track_caller]
fn about(service: &Service) -> (Value, Vec<String>) {
    let found = checked(service.dotenv_run().arg("managed"), 0);
    let warnings = found["warnings"].as_array().expect("warnings").iter();
    let warnings = warnings.map(|text| text.as_str().expect("a text").to_owned());
    let warnings = warnings.filter(|text| text != FEW).collect();
    (found["abilities"].clone(), warnings)
}

/// A list of keys.
fn list(records: Value) -> Fault {
    Fault::Reply(Reply::json(200, &json!({ "data": records })))
}

fn a_key_that_can_do_more_than_read_is_warned_of() {
    let until = in_hours(24 * 365);
    let cases: [(&[&str], &[&str]); 12] = [
        (&READ, &[]),
        (&["*"], &["*"]),
        (&["secret:write"], &["secret:write"]),
        (&["project:delete"], &["project:delete"]),
        (
            &["secret:delete", "api-token:delete"],
            &["secret:delete", "api-token:delete"],
        ),
        (
            &["secret:purge", "secret:restore"],
            &["secret:purge", "secret:restore"],
        ),
        (&["key:rotate"], &["key:rotate"]),
        (&["project:create"], &["project:create"]),
        (
            &["api-token:create", "member:update"],
            &["api-token:create", "member:update"],
        ),
        (
            &["billing:write", "secret:*"],
            &["billing:write", "secret:*"],
        ),
        (
            &["secret:decrypt", "secret:history", "organization:read"],
            &[],
        ),
        (&["project:read", "deleted:read", "write:read"], &[]),
    ];
    for (scopes, excess) in cases {
        let scopes = match scopes {
            ["*"] => scopes.to_vec(),
            _ => [&READ, scopes].concat(),
        };
        let (abilities, warnings) = found(Key::new().scopes(&scopes).expires_at(&until));
        let expected = json!({
            "known": true,
            "reason": null,
            "names": scopes,
            "excess": excess,
            "expires_at": until,
        });
        assert_eq!(abilities, expected);
        let expected = match excess {
            [] => vec![],
            _ => vec![format!(
                "the API key can do more than read: {}",
                excess.join(", ")
            )],
        };
        assert_eq!(warnings, expected);
    }
}

fn a_key_that_ends_soon_or_never_is_warned_of() {
    let key = || Key::new().scopes(&READ);
    let (never, warnings) = found(key());
    assert_eq!(warnings, ["the API key never expires"]);
    assert_eq!(never["expires_at"], Value::Null);
    for (hours, days) in [
        (14 * 24 - 1, Some(13)),
        (14 * 24 + 1, None),
        (25, Some(1)),
        (1, Some(0)),
        // The two clocks differ.
        (-1, Some(0)),
    ] {
        let time = in_hours(hours);
        let (abilities, warnings) = found(key().expires_at(&time));
        assert_eq!(abilities["expires_at"], json!(time));
        let expected = days.map(|days| format!("the API key expires in {days} days, at {time}"));
        assert_eq!(warnings, Vec::from_iter(expected), "{hours}");
    }
    // The same moment in the other forms of RFC 3339.
    let soon = in_hours(24);
    for (from, to) in [("Z", ".000000Z"), ("Z", "+00:00"), ("T", " ")] {
        let (abilities, warnings) = found(key().expires_at(&soon.replace(from, to)));
        assert_eq!(
            (abilities["expires_at"].clone(), warnings.len()),
            (json!(soon), 1)
        );
    }
    let (abilities, warnings) = found(key().expires_at("next year"));
    assert_eq!(
        (&abilities["known"], &abilities["expires_at"]),
        (&json!(true), &Value::Null)
    );
    assert!(
        warnings[0].starts_with("cannot determine when"),
        "{warnings:?}"
    );
}

fn a_key_that_may_not_ask_is_the_normal_case() {
    let service = Service::example();
    let (abilities, warnings) = about(&service);
    assert_eq!(
        (&abilities["known"], &abilities["reason"]),
        (
            &json!(false),
            &json!("the key is not allowed to list API keys")
        )
    );
    assert_eq!(warnings, [""; 0]);
    let run = service.dotenv_run().args(["managed", "--check"]);
    let screen = run.finish();
    let line = "abilities     not known: the key is not allowed to list API keys\n";
    assert!(screen.text().contains(line), "{screen}");
}

fn a_failure_of_the_question_changes_nothing() {
    let reply = |status| Fault::Reply(Reply::error(status, "x", "x"));
    let body = |text: &str| Fault::Reply(Reply::new(200, "application/json", text));
    let cases = [
        (reply(401), "rejected the API key (401)"),
        (reply(404), "answered with status 404"),
        (reply(429), "accepts no more requests"),
        (reply(500), "failed (500)"),
        (reply(503), "failed (503)"),
        (Fault::Reply(Reply::redirect("/login")), "redirect"),
        (Fault::Close, "cannot reach"),
        (Fault::Hang, "no answer from"),
        (
            Fault::Raw(b"rubbish\r\n\r\n".into()),
            "sent something that is not HTTP",
        ),
        (body("<html>"), "not valid JSON"),
        (body("{}"), "data is missing"),
        (
            body("{\"data\":{}}"),
            "data is an object instead of an array",
        ),
        (body("{\"data\":[1]}"), "data[] is a number"),
        (body("{\"data\":[{}]}"), "data[].abilities is missing"),
        (
            body("{\"data\":[{\"abilities\":[\"a b\"]}]}"),
            "invalid ability name",
        ),
        (body("{\"data\":[]}"), "which of its 0 keys"),
    ];
    check_all(8, &cases, |(fault, says)| {
        let service = Service::only_with(Key::new().scopes(&READ));
        service.fail(Route::ApiKeys, fault.clone());
        let run = service.dotenv_run().args(["--timeout", "3", "managed"]);
        let found = checked(run, 0);
        assert_eq!(found["abilities"]["known"], json!(false), "{found}");
        let reason = found["abilities"]["reason"].as_str().expect("a text");
        assert!(reason.contains(says), "{says}: {reason}");
        assert_eq!(found["warnings"], json!([FEW]), "{found}");
        let asked = |target: &&String| target.contains("api-keys");
        // Once: nothing depends on it.
        assert_eq!(service.targets().iter().filter(asked).count(), 1, "{found}");
        Ok(())
    });
}

fn all_pages_are_read() {
    let key = || json!({ "abilities": ["*"], "expires_at": "2100-01-01T00:00:00Z" });
    let page = |number: u64| {
        let meta = json!({ "current_page": number, "last_page": 3, "per_page": 1 });
        Fault::Reply(Reply::json(200, &json!({ "data": [key()], "meta": meta })))
    };
    let service = Service::only_with(Key::new().scopes(&READ));
    for number in 1..=3 {
        service.fail_times(1, Route::ApiKeys, page(number));
    }
    let (abilities, warnings) = about(&service);
    assert_eq!(abilities["names"], json!(["*"]));
    assert_eq!(warnings, ["the API key can do more than read: *"]);
    let mut targets = service.targets();
    targets.retain(|target| target.contains("api-keys"));
    let route = format!("/api/v1/organizations/{ORGANIZATION}/api-keys");
    let pages = [
        route.clone(),
        format!("{route}?page=2"),
        format!("{route}?page=3"),
    ];
    assert_eq!(targets, pages);

    // A list without an end has one.
    let service = Service::only_with(Key::new().scopes(&READ));
    let endless = json!({ "data": [key()], "meta": { "last_page": u64::MAX } });
    service.fail(Route::ApiKeys, Fault::Reply(Reply::json(200, &endless)));
    let (abilities, _) = about(&service);
    let reason = abilities["reason"].as_str().expect("a text");
    assert!(reason.contains("more than 20 pages"), "{reason}");
    assert!(service.targets().len() < 30, "{:?}", service.targets());
}

fn one_key_of_several_is_not_guessed() {
    let record = |abilities: &[&str], until: &str| {
        let used = "2026-01-01T00:00:01Z";
        json!({ "abilities": abilities, "expires_at": until, "last_used_at": used })
    };
    let [soon, late] = ["2099-01-01T00:00:00Z", "2100-01-01T00:00:00Z"];
    let ours = record(&READ, late);
    let cases = [
        (json!([ours]), true),
        // It makes no difference.
        (json!([ours, ours, ours]), true),
        (json!([ours, record(&["*"], late)]), false),
        (json!([record(&["secret:read"], late), ours]), false),
        (json!([ours, record(&READ, soon)]), false),
    ];
    for (records, is_known) in cases {
        let service = Service::only_with(Key::new().scopes(&READ));
        service.fail(Route::ApiKeys, list(records.clone()));
        let (abilities, warnings) = about(&service);
        let reason = json!("the list does not identify which of its 2 keys this is");
        let expected = match is_known {
            true => (json!(READ), Value::Null),
            false => (json!([]), reason),
        };
        let found = (abilities["names"].clone(), abilities["reason"].clone());
        assert_eq!((found, warnings.len()), (expected, 0), "{records}");
    }
}

fn fields_may_lie_in_attributes() {
    let service = Service::only_with(Key::new().scopes(&READ));
    let attributes = json!({ "abilities": ["*"], "expires_at": null });
    let records = json!([{ "type": "api-keys", "id": "1", "attributes": attributes }]);
    service.fail(Route::ApiKeys, list(records));
    let (_, warnings) = about(&service);
    let expected = [
        "the API key can do more than read: *",
        "the API key never expires",
    ];
    assert_eq!(warnings, expected);
}

fn only_a_check_asks() {
    let service = Service::only_with(Key::new().scopes(&["*"]));
    let run = || service.dotenv_run().arg("managed");
    run().args(["--", "true"]).finish().assert_status(0);
    run().args(["--print", "env"]).finish().assert_status(0);
    run().arg("--list").finish().assert_status(0);
    assert_eq!(service.requests().len(), 6, "{:?}", service.targets());
    // The organization is asked for where it must be, and the question comes last.
    let run = run().args(["--organization", "acme-corp", "--check"]);
    run.finish().assert_status(0);
    let targets = service.targets().split_off(6);
    let list = format!("/api/v1/organizations/{ORGANIZATION}/api-keys");
    assert_eq!(targets.last(), Some(&list), "{targets:?}");
    let request = service.requests().pop().expect("a request");
    let expected = format!("Bearer {}", service.api_key());
    assert_eq!(request.header("Authorization"), Some(expected.as_str()));
    assert!(request.received.elapsed() < Duration::from_secs(60));
}

fn a_token_of_a_user_is_not_looked_for() {
    let service = Service::example();
    let run = service.dotenv_run_with(Key::new().scopes(&["*"]).oauth());
    let found = checked(run.arg("managed"), 0);
    let reason = &found["abilities"]["reason"];
    assert_eq!(reason, &json!("the key does not belong to an organization"));
    let targets = service.targets();
    assert!(
        !targets.iter().any(|it| it.contains("api-keys")),
        "{targets:?}"
    );
}
