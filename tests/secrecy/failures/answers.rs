//! Answers of the service that are refusals, and documents that are not what they should be.

use std::fs::{self, File};
use std::os::unix::fs::symlink;

use serde_json::json;

use super::*;

/// A status for the request for the secrets, or for the descriptor, with a secret wherever an answer
/// has room for one.
fn status(row: (i32, &'static str, &'static str), sent: u16, route: Route) -> Failure {
    failure(row, format!("{sent} for {route:?}"), move || {
        let reply = Reply::error(sent, WORD, VALUE)
            .header(
                "Location",
                &format!("https://{WORD}@127.0.0.1/?token={WORD}"),
            )
            .header("WWW-Authenticate", &format!("Bearer {WORD}"))
            .header("Set-Cookie", VALUE)
            .header(&format!("X-{WORD}"), WORD);
        on_service("managed/t", route, Fault::Reply(reply))
    })
}

fn statuses() -> Vec<Failure> {
    let both = |row: (i32, &'static str, &'static str), sent| {
        [Route::Secrets, Route::EncryptionKey].map(|route| status(row, sent, route))
    };
    let groups = [
        both((125, "Error::Unauthorized", "(401)"), 401),
        both((125, "Error::NotFound", "no "), 404),
        both((125, "Error::Unprocessable", "(422)"), 422),
        both((124, "Error::RateLimited", "(429)"), 429),
        both((125, "Error::Redirected", "redirect"), 302),
        both((125, "Error::Redirected", "redirect"), 307),
        both((124, "Error::ServerFailed", "failed (500)"), 500),
        both((124, "Error::ServerFailed", "failed (503)"), 503),
        both((125, "Error::UnexpectedStatus", "status 418"), 418),
    ];
    let denied = [
        status(
            (125, "Denied::Secrets", "the secrets of"),
            403,
            Route::Secrets,
        ),
        status(
            (125, "Denied::KeyDescriptor", "descriptor of"),
            403,
            Route::EncryptionKey,
        ),
        failure(
            (125, "Denied::Organization", "organization at"),
            "403",
            || {
                let reply = Reply::error(403, WORD, VALUE);
                asking_organization(Fault::Reply(reply))
            },
        ),
    ];
    groups.into_iter().flatten().chain(denied).collect()
}

/// A run that asks whose organization its key is, and gets this.
fn asking_organization(fault: Fault) -> Scene {
    let mut token = String::new();
    let scene = on_good_service("managed", |service| {
        service.fail(Route::Organization, fault);
        token = service.issue(Key::new().oauth());
    });
    let mut scene = scene.env("DOTENV_API_KEY", &token);
    scene.planted.push(token);
    scene
}

const MALFORMED: &str = "Error::Malformed";

/// A tree in which this stands in the place of the secrets of `managed`.
fn secrets(says: &'static str, name: &str, text: impl Into<Vec<u8>>) -> Failure {
    let text = text.into();
    failure((125, MALFORMED, says), name, move || {
        on_tree("managed", |tree| {
            tree.write(&tree.secrets("managed"), &text)
        })
    })
}

/// The same with these attributes.
fn attributes(says: &'static str, attributes: Value) -> Failure {
    let document = json!({ "data": { "type": "secrets", "attributes": attributes } });
    secrets(says, &attributes.to_string(), document.to_string())
}

/// The same with a level in which this field holds this.
fn level(says: &'static str, field: &str, value: Value) -> Failure {
    let mut level = json!({ "encrypted": true, "content": VALUE, "source": WORD });
    level[field] = value;
    attributes(says, json!({ "levels": { "project": level } }))
}

fn broken_secrets() -> Vec<Failure> {
    let nested = format!("{}\"{VALUE}\"{}", "[".repeat(20), "]".repeat(20));
    let deep = format!("{{\"data\":{}}}", nested.replace(VALUE, WORD));
    let cut = format!("{{\"data\":{{\"attributes\":{{\"content\":\"{WORD}");
    let twice = format!("{{\"data\":{{\"x\":\"{WORD}\",\"x\":\"{WORD}\"}}}}");
    vec![
        secrets("JSON", "a text", VALUE),
        secrets("JSON", "cut", cut),
        secrets("JSON", "more behind it", format!("{{}}{VALUE}")),
        secrets("JSON", "an escape", format!("{{\"data\":\"{WORD}\\x\"}}")),
        secrets("a string instead", "a string", json!(VALUE).to_string()),
        secrets("an array instead", "an array", json!([VALUE]).to_string()),
        secrets(
            "data is missing",
            "no data",
            json!({ "x": VALUE }).to_string(),
        ),
        secrets(
            "data is a string",
            "data",
            json!({ "data": VALUE }).to_string(),
        ),
        secrets("nested", "deep", deep),
        secrets("twice", "a name twice", twice),
        attributes("attributes is a string", json!(VALUE)),
        attributes("levels is a string", json!({ "levels": VALUE })),
        attributes("levels is an array", json!({ "levels": [VALUE] })),
        attributes(
            "format is an array",
            json!({ "levels": {}, "format": [VALUE] }),
        ),
        attributes(
            "unsupported format",
            json!({ "levels": {}, "format": VALUE }),
        ),
        attributes(
            "unsupported format",
            json!({ "levels": {}, "format": WORD }),
        ),
        attributes("unknown level", json!({ "levels": { "region": VALUE } })),
        attributes("unknown level", json!({ "levels": { VALUE: 1 } })),
        attributes(
            "project is a string",
            json!({ "levels": { "project": VALUE } }),
        ),
        attributes("shape", json!({ "levels": { "project": { "A": VALUE } } })),
        attributes(
            "content is missing",
            json!({ "levels": { "project": { "encrypted": true, "x": VALUE } } }),
        ),
        attributes(
            "encrypted is missing",
            json!({ "levels": { "project": { "content": VALUE } } }),
        ),
        level("encrypted is a string", "encrypted", json!(VALUE)),
        level("encrypted is null", "encrypted", Value::Null),
        level("content is an array", "content", json!([VALUE])),
        level("content is an object", "content", json!({ "A": VALUE })),
        failure((125, MALFORMED, "UTF-8"), "not UTF-8", || {
            let body = [VALUE.as_bytes(), b"\xff", WORD.as_bytes()].concat();
            let reply = Reply::new(200, "application/json", body);
            on_service("managed", Route::Secrets, Fault::Reply(reply))
        }),
    ]
}

/// A tree whose descriptor of `managed` has this field changed.
fn descriptor(says: &'static str, field: &'static str, value: Value) -> Failure {
    let name = format!("{field} is {value}");
    failure((125, MALFORMED, says), name, move || {
        let edit = set_in_descriptor(field, value.clone());
        on_tree("managed", |tree| {
            tree.edit(&tree.encryption_key("managed"), edit)
        })
    })
}

/// The same with this in the place of the content.
fn content(says: &'static str, value: Value) -> Failure {
    failure(
        (125, MALFORMED, says),
        format!("content {value}"),
        move || {
            let edit = replacing("/data/attributes/content", value.clone());
            on_tree("managed", |tree| {
                tree.edit(&tree.encryption_key("managed"), edit)
            })
        },
    )
}

fn broken_descriptors() -> Vec<Failure> {
    vec![
        descriptor("managed is", "managed", json!(VALUE)),
        descriptor("managed is", "managed", json!(WORD)),
        descriptor("managed is an array", "managed", json!([SERVER_KEY])),
        descriptor("managed is missing", "managed", Value::Null),
        descriptor("key.key is an array", "key", json!([SERVER_KEY])),
        descriptor("key.key is missing", "key", json!("")),
        descriptor("not base64", "key_check_salt", json!(VALUE)),
        descriptor("salt is an array", "key_check_salt", json!([VALUE])),
        descriptor("whole number", "key_check_iterations", json!(VALUE)),
        descriptor(
            "iterations is an array",
            "key_check_iterations",
            json!([VALUE]),
        ),
        descriptor("whole number", "version", json!(WORD)),
        content("JSON", json!(SERVER_KEY)),
        content(
            "JSON",
            json!(format!("{{\"key\":{{\"key\":\"{SERVER_KEY}\"}}")),
        ),
        content("an array", json!([SERVER_KEY])),
        content(
            "key is missing",
            json!({ "managed": "server", "k": SERVER_KEY }),
        ),
        content("key is a string", json!({ "key": SERVER_KEY })),
        content(
            "twice",
            json!(format!("{{\"key\":\"{SERVER_KEY}\",\"key\":1}}")),
        ),
    ]
}

/// A tree whose document about the organization has these data.
fn organization(says: &'static str, data: Value) -> Failure {
    failure(
        (125, MALFORMED, says),
        format!("organization {data}"),
        move || {
            let edit = replacing("/data", data.clone());
            on_tree("managed", |tree| tree.edit(&tree.organization(), edit))
        },
    )
}

fn organizations() -> Vec<Failure> {
    vec![
        organization("data is a string", json!(VALUE)),
        organization("no ULID", json!({ "id": VALUE })),
        organization("id is an array", json!({ "id": [VALUE] })),
        organization(
            "attributes is a string",
            json!({ "id": ORGANIZATION, "attributes": VALUE }),
        ),
        organization(
            "slug of the organization",
            json!({ "id": ORGANIZATION, "slug": VALUE }),
        ),
        failure(
            (125, "Error::OtherOrganization", "the organization is"),
            "a slug",
            || on_tree("managed", |_| ()).args(&["--organization", "other-corp"]),
        ),
        failure(
            (125, "Error::OrganizationWithoutSlug", "names no slug"),
            "a slug",
            || {
                let data = json!({ "data": { "id": ORGANIZATION, "name": VALUE } });
                let scene = asking_organization(Fault::Reply(Reply::json(200, &data)));
                scene.args(&["--organization", "acme-corp"])
            },
        ),
    ]
}

fn documents() -> Vec<Failure> {
    let outside = |tree: &Tree| {
        let file = tree.secrets("managed");
        fs::remove_file(&file).expect("a document of the tree");
        symlink("/etc/hosts", file).expect("a link in the tree");
    };
    vec![
        failure(
            (125, "Error::AnswerTooLong", "larger than"),
            "64 MiB",
            || {
                on_tree("managed", |tree| {
                    let document = tree.secrets("managed");
                    tree.write(&document, VALUE);
                    let file = File::options().write(true).open(document);
                    let file = file.expect("a document of the tree");
                    file.set_len((64 << 20) + 1).expect("a larger document");
                })
            },
        ),
        failure(
            (125, "Error::UnaskedLevel", "which is deeper"),
            "a target",
            || {
                on_tree("managed", |tree| {
                    let deeper = fs::read(tree.secrets("managed/t")).expect("a document");
                    tree.write(&tree.secrets("managed"), deeper);
                })
            },
        ),
        failure(
            (125, "Error::NotFound", "no such project"),
            "in a tree",
            || on_tree("nothing/t", |_| ()),
        ),
        failure((125, "Error::Tree", "UTF-8"), "not UTF-8", || {
            on_tree("managed", |tree| {
                let text = [VALUE.as_bytes(), b"\xff"].concat();
                tree.write(&tree.secrets("managed"), text);
            })
        }),
        failure((125, "Error::Tree", "encryption-key: "), "missing", || {
            on_tree("managed", |tree| {
                fs::remove_file(tree.encryption_key("managed")).expect("a document");
            })
        }),
        failure(
            (125, "Error::OutsideTree", "leads out"),
            "a link",
            move || on_tree("managed", outside),
        ),
    ]
}

pub fn table() -> Vec<Failure> {
    let groups = [
        statuses(),
        broken_secrets(),
        broken_descriptors(),
        organizations(),
        documents(),
    ];
    groups.into_iter().flatten().collect()
}
