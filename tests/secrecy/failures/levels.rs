//! Levels that stay closed, and texts that break their grammar.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use super::*;

/// A tree whose secrets at `path` are edited.
fn edited(path: &'static str, edit: impl Fn(&mut Value)) -> Scene {
    on_tree(path, |tree| tree.edit(&tree.secrets(path), edit))
}

/// An edit that puts this in the place of the sealed project level.
fn blob(content: impl Into<Value>) -> impl Fn(&mut Value) {
    replacing("/data/attributes/levels/project/content", content.into())
}

/// An edit that exchanges two levels.
fn swap(document: &mut Value) {
    let levels = &mut document["data"]["attributes"]["levels"];
    let project = levels["project"].take();
    levels["project"] = levels["target"].take();
    levels["target"] = project;
    levels["project"]["content"] = json!(BASE64_STANDARD.encode(VALUE));
}

fn closed() -> Vec<Failure> {
    let no_blob = (125, "Sealed::NoBlob", "not a sealed blob");
    let changed = (125, "Sealed::Changed", "changed after");
    vec![
        failure(
            (125, "Error::Plaintext", "not encrypted"),
            "a level",
            || {
                let edit = |document: &mut Value| {
                    let levels = &mut document["data"]["attributes"]["levels"];
                    levels["project"] = json!({ "encrypted": false, "content": VALUE });
                };
                on_service("app", Route::Secrets, Fault::edit(edit))
            },
        ),
        failure(
            (125, "Error::PlaintextInTree", "not encrypted"),
            "a level",
            || {
                edited("app", |document| {
                    let levels = &mut document["data"]["attributes"]["levels"];
                    levels["project"] = json!({ "encrypted": false, "content": VALUE });
                })
            },
        ),
        failure(
            (125, "Error::NoSalt", "no salt"),
            "a client's project",
            || {
                let edit = set_in_descriptor("key_check_salt", Value::Null);
                on_tree("app", |tree| tree.edit(&tree.encryption_key("app"), edit))
            },
        ),
        failure((125, "Error::Iterations", "iterations"), "too few", || {
            let edit = set_in_descriptor("key_check_iterations", json!(999));
            on_tree("app", |tree| tree.edit(&tree.encryption_key("app"), edit))
        }),
        failure(no_blob, "a text", || edited("app", blob(VALUE))),
        failure(no_blob, "a word", || edited("managed", blob(WORD))),
        failure(no_blob, "short", || {
            edited("legacy", blob(BASE64_STANDARD.encode(&VALUE[..20])))
        }),
        failure(no_blob, "another alphabet", || {
            edited("app", |document| {
                let content = document.pointer_mut("/data/attributes/levels/project/content");
                let content = content.expect("a level");
                *content = json!(format!("-_{}", &content.as_str().expect("a blob")[2..]));
            })
        }),
        failure(
            (125, "Sealed::WrongClientKey", "wrong client key"),
            "a key",
            || on_tree("app/t/e", |_| ()).env("DOTENV_CLIENT_KEY", VALUE),
        ),
        failure(
            (125, "Sealed::WrongServerKey", "project's key"),
            "a key",
            || {
                let edit = set_in_descriptor("key", json!(VALUE));
                on_tree("managed", |tree| {
                    tree.edit(&tree.encryption_key("managed"), edit)
                })
            },
        ),
        failure(
            (125, "Sealed::WrongServerKey", "project's key"),
            "a blob",
            || edited("legacy", blob(BASE64_STANDARD.encode(VALUE))),
        ),
        failure(changed, "a nonce", || {
            edited("app/t", flip_bit("target", 0))
        }),
        failure(changed, "a text", || {
            edited("managed/t", flip_bit("target", 100))
        }),
        failure(changed, "a tag", || {
            edited("legacy/t", flip_bit("project", usize::MAX - 7))
        }),
        failure(changed, "swapped levels", || edited("legacy/t", swap)),
        failure(
            (125, "Error::Empty", "contains no secrets"),
            "comments",
            || on_text("env", format!("# {VALUE}\n{WORD}\n")),
        ),
    ]
}

/// A level with this text, which breaks the grammar.
fn text(variant: &'static str, says: &'static str, text: String) -> Failure {
    failure((125, variant, says), text.clone(), move || {
        on_text("env", &text)
    })
}

fn broken_texts() -> Vec<Failure> {
    let name = |line: String| {
        text(
            "Reason::Name",
            "line 2: invalid name",
            format!("A=1\n{line}\nB={VALUE}\n"),
        )
    };
    let open = |line: String| text("Reason::OpenQuote", "never closed", line);
    let behind = |line: String| text("Reason::TextAfterQuote", "text after", line);
    vec![
        name(format!("{VALUE}={VALUE}")),
        name(format!("1{WORD}={VALUE}")),
        name(format!("A {WORD}={VALUE}")),
        name(format!("export {WORD} {WORD}={VALUE}")),
        name(format!("={VALUE}")),
        open(format!("A='{VALUE}\n{WORD}")),
        open(format!("A=\"{WORD}\nB={WORD}\n")),
        open(format!("A=\"{WORD}\\\"\n")),
        behind(format!("A=\"x\"{VALUE}\n")),
        behind(format!("A='{WORD}'{WORD}\n")),
        behind(format!("A='{WORD}' {VALUE}\nno line\n")),
        text("Reason::Nul", "NUL", format!("A={WORD}\0{VALUE}\n")),
        text(
            "Reason::LoneCarriageReturn",
            "carriage return",
            format!("A={WORD}\rB={VALUE}\n"),
        ),
        text(
            "Reason::InvisibleInName",
            "U+200B",
            format!("{WORD}\u{200b}={VALUE}\n"),
        ),
        text(
            "Reason::UnquotedPem",
            "PEM",
            format!("A=-----BEGIN {WORD}-----\n{VALUE}\n"),
        ),
        text("Reason::OpenBacktick", "backtick", format!("A=`{VALUE}\n")),
        failure((125, "Reason::Utf16", "UTF-16"), "units", || {
            let units = format!("A={VALUE}\n");
            let units = units.encode_utf16().flat_map(u16::to_le_bytes);
            on_text("env", units.collect::<Vec<_>>())
        }),
        failure((125, "Reason::Encoding", "UTF-8"), "bytes", || {
            on_text(
                "env",
                [b"A=", VALUE.as_bytes(), b"\xff", WORD.as_bytes()].concat(),
            )
        }),
    ]
}

/// A level in JSON, which is not one object of strings.
fn json_level(says: &'static str, text: impl Into<String>) -> Failure {
    let text = text.into();
    failure((125, "Error::JsonLevel", says), text.clone(), move || {
        on_text("json", &text)
    })
}

/// A level in another format than `env` and `json`.
fn other_level(
    format: &'static str,
    variant: &'static str,
    says: &'static str,
    bytes: Vec<u8>,
) -> Failure {
    failure((125, variant, says), says, move || {
        let options: &[&str] = match variant {
            "Error::TextLevel" => &["--text", "T"],
            _ => &[],
        };
        on_text(format, &bytes).args(options)
    })
}

fn broken_json_levels() -> Vec<Failure> {
    let of = |value: Value| json!({ "B": WORD, "A": value }).to_string();
    let yaml = |says, text: String| other_level("yaml", "Error::YamlLevel", says, text.into());
    vec![
        yaml("a scalar instead", VALUE.into()),
        yaml("not valid YAML", format!("A: \"{VALUE}\n")),
        yaml("A: a sequence", format!("A: [{VALUE}]\n")),
        yaml("name 1 is not", format!("{VALUE}-: {WORD}\n")),
        yaml("duplicate name A", format!("A: {VALUE}\nA: {WORD}\n")),
        other_level(
            "text",
            "Error::NamelessLevel",
            "without a name",
            VALUE.into(),
        ),
        other_level(
            "text",
            "Error::TextLevel",
            "NUL",
            format!("{VALUE}\0").into(),
        ),
        other_level(
            "text",
            "Error::TextLevel",
            "UTF-8",
            [VALUE.as_bytes(), b"\xff"].concat(),
        ),
        json_level("JSON", VALUE),
        json_level("JSON", format!("{{\"A\":\"{WORD}")),
        json_level("JSON", format!("A={WORD}\n")),
        json_level("an array instead", json!([VALUE]).to_string()),
        json_level("a string instead", json!(VALUE).to_string()),
        json_level("A: an array", of(json!([VALUE]))),
        json_level("A: an object", of(json!({ "secret": VALUE }))),
        json_level("A: a number", of(json!(1_234_567_890))),
        json_level("A: null", of(Value::Null)),
        json_level("A contains a NUL", of(json!(format!("{VALUE}\0{WORD}")))),
        json_level("valid variable name", json!({ "A B": VALUE }).to_string()),
        json_level("twice", format!("{{\"A\":\"{WORD}\",\"A\":\"{WORD}\"}}")),
        json_level(
            "nested",
            of(
                serde_json::from_str(&format!("{}\"{WORD}\"{}", "[".repeat(20), "]".repeat(20)))
                    .expect("JSON"),
            ),
        ),
    ]
}

pub fn table() -> Vec<Failure> {
    [closed(), broken_texts(), broken_json_levels()]
        .into_iter()
        .flatten()
        .collect()
}
