//! Documents in good HTTP that are not what they should be: of every kind at every endpoint, and levels that were
//! changed.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use serde_json::{Value, json};

use super::*;

/// How a text is changed, and what is said of it.
type Change = (&'static str, fn(&str) -> Vec<u8>, &'static str);

const CHANGES: [Change; 28] = [
    ("nothing", |_| Vec::new(), "JSON"),
    ("white space", |_| b" \r\n\t ".into(), "JSON"),
    (
        "a page",
        |_| b"<!DOCTYPE html>words-of-the-server".into(),
        "JSON",
    ),
    ("the first half", |it| it[..it.len() / 2].into(), "JSON"),
    (
        "all but the last byte",
        |it| it[..it.len() - 1].into(),
        "JSON",
    ),
    ("twice", |it| it.repeat(2).into(), "JSON"),
    (
        "a word behind it",
        |it| format!("{it}words-of-the-server").into(),
        "JSON",
    ),
    (
        "a byte order mark",
        |it| format!("\u{feff}{it}").into(),
        "JSON",
    ),
    ("a NUL before it", |it| format!("\0{it}").into(), "JSON"),
    ("a NUL behind it", |it| format!("{it}\0").into(), "JSON"),
    (
        "a NUL in a name",
        |it| it.replacen("\"data\"", "\"\0data\"", 1).into(),
        "",
    ),
    ("not UTF-8", |it| [it.as_bytes(), b"\xe4"].concat(), "UTF-8"),
    (
        "a surrogate",
        |it| [b"\"\xed\xa0\x80\"", it.as_bytes()].concat(),
        "UTF-8",
    ),
    (
        "UTF-16",
        |it| it.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        "",
    ),
    (
        "gzip",
        |_| b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0".into(),
        "UTF-8",
    ),
    ("null", |_| b"null".into(), ""),
    ("a number", |_| b"1e999".into(), ""),
    ("a string", |_| b"\"words-of-the-server\"".into(), ""),
    ("an array", |it| format!("[{it}]").into(), "array"),
    ("an empty object", |_| b"{}".into(), "data is missing"),
    (
        "no data",
        |it| it.replacen("\"data\"", "\"date\"", 1).into(),
        "data is missing",
    ),
    (
        "data twice",
        |it| it.replacen('{', "{\"data\":null,", 1).into(),
        "twice",
    ),
    (
        "data twice, once escaped",
        |it| it.replacen('{', "{\"d\\u0061ta\":null,", 1).into(),
        "twice",
    ),
    (
        "deep arrays",
        |_| format!("{}1{}", "[".repeat(1000), "]".repeat(1000)).into(),
        "deep",
    ),
    ("arrays without end", |_| "[".repeat(1 << 20).into(), "JSON"),
    (
        "deep objects inside",
        |it| {
            let deep = format!("{}1{}", "{\"a\":".repeat(1000), "}".repeat(1000));
            it.replacen('{', &format!("{{\"deep\":{deep},"), 1).into()
        },
        "deep",
    ),
    ("single quotes", |it| it.replace('"', "'").into(), "JSON"),
    ("a comment", |it| format!("/* */{it}").into(), "JSON"),
];

/// A document of one endpoint at another.
fn exchanged() -> Vec<Cell> {
    let tree = Tree::example();
    let text = |file| std::fs::read_to_string(file).unwrap();
    let organization = text(tree.organization());
    let descriptor = text(tree.encryption_key("my-app"));
    let secrets = text(tree.secrets(PATH));
    [
        (Route::Organization, "secrets", &secrets, "no ULID"),
        (
            Route::EncryptionKey,
            "secrets",
            &secrets,
            "content is missing",
        ),
        (
            Route::EncryptionKey,
            "an organization",
            &organization,
            "content is missing",
        ),
        (
            Route::Secrets,
            "a descriptor",
            &descriptor,
            "data.type is not",
        ),
        (
            Route::Secrets,
            "an organization",
            &organization,
            "data.type is not",
        ),
    ]
    .into_iter()
    .map(|(route, name, body, says)| {
        let reply = Reply::new(200, "application/json", body.as_str());
        at(route, name, LONG, &Fault::Reply(reply), &stays(says))
    })
    .collect()
}

/// What becomes of the blob of a level.
type Spoiling = (&'static str, fn(&str) -> String, &'static str);

const SPOILINGS: [Spoiling; 14] = [
    (
        "no base64",
        |_| "words of the server".into(),
        "not a sealed blob",
    ),
    (
        "the other alphabet",
        |it| BASE64_URL_SAFE.encode(bytes(it)) + "-_",
        "not a sealed blob",
    ),
    (
        "no padding",
        |it| BASE64_STANDARD.encode(&bytes(it)[..29]).replace('=', ""),
        "not a sealed blob",
    ),
    (
        "padding in the middle",
        |it| format!("{}=={it}", &it[..4]),
        "not a sealed blob",
    ),
    (
        "a space",
        |it| format!("{} {}", &it[..8], &it[8..]),
        "not a sealed blob",
    ),
    ("a NUL", |it| format!("{it}\0"), "not a sealed blob"),
    ("one byte", |_| "AA==".into(), "not a sealed blob"),
    (
        "one byte too few",
        |it| BASE64_STANDARD.encode(&bytes(it)[..27]),
        "not a sealed blob",
    ),
    (
        "nonce and tag of zeros",
        |_| BASE64_STANDARD.encode([0; 28]),
        "changed after",
    ),
    (
        "no last byte",
        |it| BASE64_STANDARD.encode(&bytes(it)[..bytes(it).len() - 1]),
        "changed after",
    ),
    (
        "one byte more",
        |it| BASE64_STANDARD.encode([bytes(it), vec![0]].concat()),
        "changed after",
    ),
    (
        "no first byte",
        |it| BASE64_STANDARD.encode(&bytes(it)[1..]),
        "changed after",
    ),
    (
        "half of it",
        |it| BASE64_STANDARD.encode(&bytes(it)[..28]),
        "changed after",
    ),
    (
        "twice",
        |it| BASE64_STANDARD.encode(bytes(it).repeat(2)),
        "changed after",
    ),
];

fn bytes(blob: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(blob).expect("a sealed level")
}

/// Levels that do not open.
fn spoiled() -> Vec<Cell> {
    let of_level = |name: String, fault: Fault, says: &str| {
        at(Route::Secrets, &name, LONG, &fault, &stays(says))
    };
    let mut cells = Vec::new();
    for level in ["project", "environment"] {
        for (name, spoil, says) in SPOILINGS {
            let fault = Fault::edit(move |document| {
                let content = &mut document["data"]["attributes"]["levels"][level]["content"];
                *content = spoil(content.as_str().expect("a blob")).into();
            });
            cells.push(of_level(format!("{level}: {name}"), fault, says));
        }
        // In the nonce, the text and the tag.
        for bit in [0, 95, 96, 120, usize::MAX] {
            let fault = Fault::edit(flip_bit(level, bit));
            cells.push(of_level(
                format!("{level}: bit {bit}"),
                fault,
                "changed after",
            ));
        }
        let plain = Fault::edit(move |document| {
            let fields = &mut document["data"]["attributes"]["levels"][level];
            fields["encrypted"] = false.into();
            fields["content"] = "LD_PRELOAD=words-of-the-server\n".into();
        });
        cells.push(of_level(
            format!("{level}: in the clear"),
            plain,
            "is not encrypted",
        ));
    }
    let all = Fault::edit(|document| {
        for level in ["project", "target", "environment"] {
            flip_bit(level, 100)(document);
        }
    });
    cells.push(of_level("all levels".into(), all, "wrong client key"));
    cells
}

/// Descriptors that make no key, or another one.
fn descriptors() -> Vec<Cell> {
    let fields: [(&'static str, Value, &str); 12] = [
        ("managed", json!("nobody"), "managed is"),
        ("managed", json!("server"), "key is missing"),
        ("managed", Value::Null, "managed is missing"),
        ("key_check_salt", Value::Null, "has no salt"),
        ("key_check_salt", json!("no base64"), "not base64"),
        ("key_check_salt", json!("AAAA"), "wrong client key"),
        ("key_check_iterations", json!(1), "requires 1 iterations"),
        (
            "key_check_iterations",
            json!(999),
            "requires 999 iterations",
        ),
        (
            "key_check_iterations",
            json!(10_000_001),
            "requires 10000001 iterations",
        ),
        (
            "key_check_iterations",
            json!(u64::MAX),
            "requires 4294967295 iterations",
        ),
        ("key_check_iterations", json!(-1), "whole number"),
        ("key_check_iterations", json!(1001), "wrong client key"),
    ];
    let cell = |(field, value, says): (&'static str, Value, &str)| {
        let name = format!("{field} is {value}");
        let fault = Fault::edit(set_in_descriptor(field, value));
        at(Route::EncryptionKey, &name, LONG, &fault, &stays(says))
    };
    fields.into_iter().map(cell).collect()
}

pub fn cells() -> Vec<Cell> {
    let mut cells = [exchanged(), spoiled(), descriptors()].concat();
    for (name, change, says) in CHANGES {
        let fault = Fault::write(move |text| {
            let body = change(text);
            let length = format!("Content-Length: {}\r\n", body.len());
            [ok(&length, ""), body].concat()
        });
        cells.extend(everywhere(name, LONG, &fault, &stays(says)));
    }
    cells
}

pub fn no_broken_document_starts_a_command() {
    check_cells(&cells());
}

/// Every level is authenticated by itself, and nothing in it says where it belongs: whoever can write may exchange two
/// of them, and each counts where it stands.
pub fn levels_that_were_exchanged_are_opened_as_they_stand() {
    let service = Service::example();
    let exchange = Fault::edit(|document| {
        let levels = &mut document["data"]["attributes"]["levels"];
        let project = levels["project"]["content"].take();
        levels["project"]["content"] = levels["target"]["content"].take();
        levels["target"]["content"] = project;
    });
    service.fail(Route::Secrets, exchange);
    let run = service.dotenv_run().client_key().arg("my-app/production");
    let variables = run.variables();
    assert!(
        variables.contains(&"LOG_LEVEL=info".to_owned()),
        "{variables:?}"
    );
    assert!(
        !variables.contains(&"LOG_LEVEL=debug".to_owned()),
        "{variables:?}"
    );
}
