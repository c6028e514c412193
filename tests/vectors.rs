//! The known answers: every case of `crypto.json` and `parse.json` through the library, and every
//! case of `responses.json` through the program, from the service and from a tree, with what our
//! own rules demand of it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use dotenv_run::inside::crypto::{self, DataKey, OpenError};
use dotenv_run::inside::dotenv::parse::parse;
use dotenv_run::inside::path::SecretPath;
use dotenv_run::inside::report::{Report, Verbosity};
use dotenv_run::inside::store::documents;
use dotenv_run::inside::store::open;
use serde_json::{Deserializer, Value, json};

use crate::support::*;

tests![
    no_group_of_known_answers_is_left_out,
    keys_are_derived_as_the_known_answers_say,
    keys_are_derived_with_600000_iterations_as_the_known_answers_say,
    keys_with_the_same_proof_are_different_keys,
    blobs_open_as_the_known_answers_say,
    blobs_of_the_web_application_open,
    blobs_that_must_not_open_do_not,
    a_salt_at_the_edge_is_read_as_the_known_answers_say,
    iterations_that_are_zero_mean_600000,
    every_text_is_parsed_as_the_grammar_says,
    every_answer_of_the_service_is_taken_as_our_rules_say,
    every_answer_as_a_document_of_a_tree_is_taken_as_our_rules_say,
];

const CRYPTO: &str = include_str!("vectors/crypto.json");
const PARSE: &str = include_str!("vectors/parse.json");
const RESPONSES: &str = include_str!("vectors/responses.json");

/// The groups of `crypto.json` that the tests here go through.
const GROUPS: [&str; 8] = [
    "blobs",
    "blobs_published_by_web_app",
    "blobs_random_nonce",
    "iteration_fallback",
    "kdf",
    "negative",
    "proof_aliasing",
    "salt_edge",
];

/// The cases of a group of `crypto.json`; there are some.
fn group(name: &str) -> Vec<Value> {
    let mut all: Value = serde_json::from_str(CRYPTO).unwrap();
    let Value::Array(cases) = all[name].take() else {
        panic!("{name} is no group")
    };
    assert!(!cases.is_empty(), "{name} is empty");
    cases
}

fn text<'a>(case: &'a Value, field: &str) -> &'a str {
    let value = case[field].as_str();
    value.unwrap_or_else(|| panic!("{field} is missing in {case}"))
}

fn base64(case: &Value, field: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(text(case, field)).unwrap()
}

/// A key in hexadecimal digits.
fn key(case: &Value, field: &str) -> [u8; 32] {
    let digits = text(case, field);
    std::array::from_fn(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap())
}

fn iterations(case: &Value) -> u32 {
    case["iterations"].as_u64().unwrap().try_into().unwrap()
}

/// A key of the program shows its bytes to nobody; but each of the two opens what the other sealed.
#[track_caller]
fn assert_is(key: &DataKey, expected: &[u8; 32], case: &Value) {
    let opened = key.open(&seal(expected, b"text"));
    let opened = opened.unwrap_or_else(|error| panic!("{error:?} in {case}"));
    assert_eq!(opened.bytes(), b"text", "{case}");
    let blob = key.seal(b"text").unwrap();
    assert_eq!(
        open(expected, &blob).as_deref(),
        Some(&b"text"[..]),
        "{case}"
    );
}

fn no_group_of_known_answers_is_left_out() {
    let all: Value = serde_json::from_str(CRYPTO).unwrap();
    let lists = all.as_object().unwrap().iter();
    let lists = lists.filter(|(_, value)| value.is_array());
    let mut names: Vec<_> = lists.map(|(name, _)| name.as_str()).collect();
    names.sort();
    assert_eq!(names, GROUPS);
}

fn check_derivations(is_wanted: impl Fn(u32) -> bool) {
    let mut checked = 0;
    for case in group("kdf")
        .iter()
        .filter(|case| is_wanted(iterations(case)))
    {
        let (secret, salt) = (base64(case, "key_b64"), base64(case, "salt_b64"));
        assert_eq!(crypto::decode(text(case, "salt_b64")), Some(salt.clone()));
        let derived = DataKey::derive(&secret, &salt, iterations(case)).unwrap();
        assert_is(&derived, &key(case, "data_key_hex"), case);
        let padded = DataKey::legacy(&secret).unwrap();
        assert_is(&padded, &key(case, "pad_key_hex"), case);
        checked += 1;
    }
    assert!(checked > 0);
}

/// Few iterations are below what the program accepts, but the derivation is the same.
fn keys_are_derived_as_the_known_answers_say() {
    check_derivations(|iterations| iterations < 600_000);
}

fn keys_are_derived_with_600000_iterations_as_the_known_answers_say() {
    check_derivations(|iterations| iterations >= 600_000);
}

fn keys_with_the_same_proof_are_different_keys() {
    for case in group("proof_aliasing") {
        let salt = base64(&case, "salt_b64");
        let derive = |secret: &[u8]| DataKey::derive(secret, &salt, iterations(&case)).unwrap();
        for (secret, expected, proof) in [
            ("key_a", "data_key_a_hex", "proof_a"),
            ("key_b", "data_key_b_hex", "proof_b"),
        ] {
            let secret = text(&case, secret).as_bytes();
            assert_is(&derive(secret), &key(&case, expected), &case);
            let mut padded = [b'0'; 32];
            let taken = secret.len().min(32);
            padded[..taken].copy_from_slice(&secret[..taken]);
            let proof = base64(&case, proof).try_into().unwrap();
            assert_is(&derive(&padded), &proof, &case);
        }
        assert_eq!(case["same_data_key"], json!(false));
    }
}

/// The key of a blob: derived if it has a salt, padded if not.
fn key_of(case: &Value) -> DataKey {
    let secret = base64(case, "key_b64");
    match text(case, "custody") {
        "server-no-salt" => DataKey::legacy(&secret),
        _ => DataKey::derive(&secret, &base64(case, "salt_b64"), iterations(case)),
    }
    .unwrap()
}

#[track_caller]
fn assert_opens(key: &DataKey, case: &Value, expected: &[u8]) {
    let opened = key.open(text(case, "blob"));
    let opened = opened.unwrap_or_else(|error| panic!("{error:?} in {case}"));
    assert_eq!(opened.bytes(), expected, "{case}");
}

fn blobs_open_as_the_known_answers_say() {
    for case in group("blobs") {
        let key_of_case = key_of(&case);
        assert_is(&key_of_case, &key(&case, "aes_key_hex"), &case);
        assert_opens(&key_of_case, &case, &base64(&case, "plaintext_b64"));
        let size = crypto::sealed_size(text(&case, "blob"));
        assert_eq!(size, base64(&case, "plaintext_b64").len(), "{case}");
    }
    for case in group("blobs_random_nonce") {
        // A key of 32 bytes is its own padded key.
        let key = DataKey::legacy(&key(&case, "aes_key_hex")).unwrap();
        assert_opens(&key, &case, &base64(&case, "plaintext_b64"));
    }
}

fn blobs_of_the_web_application_open() {
    for case in group("blobs_published_by_web_app") {
        let key = DataKey::legacy(text(&case, "key").as_bytes()).unwrap();
        assert_opens(&key, &case, text(&case, "plaintext").as_bytes());
    }
}

/// One of them must: it only ends in a line feed.
fn blobs_that_must_not_open_do_not() {
    for case in group("negative") {
        let key = DataKey::legacy(text(&case, "key").as_bytes()).unwrap();
        if let Some(plaintext) = case["ok"].as_str() {
            assert_opens(&key, &case, plaintext.as_bytes());
            continue;
        }
        let Err(error) = key.open(text(&case, "blob")) else {
            panic!("it opens: {case}")
        };
        let official = text(&case, "err");
        let is_the_same = match error {
            OpenError::Base64 => official.starts_with("illegal base64"),
            OpenError::TooShort => official == "ciphertext too short",
            OpenError::NotAuthentic => official.ends_with("authentication failed"),
            OpenError::Memory(error) => panic!("{error}"),
        };
        assert!(is_the_same, "{error:?} in {case}");
    }
}

/// The data key of a project whose descriptor has these fields, or what is wrong with them.
fn data_key_from(key: Value) -> Result<DataKey, String> {
    let content = json!({ "key": key }).to_string();
    let document = json!({ "data": { "attributes": { "content": content } } });
    let descriptor = documents::descriptor(&document.to_string())?;
    let Ok(path) = SecretPath::parse("p") else {
        unreachable!()
    };
    let no_client_key = || unreachable!("the key is in the descriptor");
    let report = Report::new("test", Verbosity::Quiet);
    let key = open::data_key(&descriptor, &path, &report, no_client_key);
    Ok(key.unwrap_or_else(|error| panic!("{error}")))
}

fn a_salt_at_the_edge_is_read_as_the_known_answers_say() {
    for case in group("salt_edge") {
        let fields = json!({
            "managed": "server",
            "key": "hunter2",
            "key_check_salt": case["salt_b64"],
            "key_check_iterations": 1000,
        });
        match (data_key_from(fields), case["err"].as_str()) {
            (Err(flaw), Some(_)) => assert!(flaw.contains("key_check_salt"), "{flaw}"),
            (Ok(derived), None) => assert_is(&derived, &key(&case, "data_key_hex"), &case),
            _ => panic!("the other way round: {case}"),
        }
    }
}

fn iterations_that_are_zero_mean_600000() {
    for case in group("iteration_fallback") {
        let fields = json!({
            "managed": "server",
            "key": case["key"],
            "key_check_salt": case["salt_b64"],
            "key_check_iterations": case["iterations"],
        });
        let derived = data_key_from(fields).unwrap();
        assert_is(&derived, &key(&case, "data_key_hex"), &case);
    }
}

fn every_text_is_parsed_as_the_grammar_says() {
    let all: Value = serde_json::from_str(PARSE).unwrap();
    let cases = all["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let input = base64(case, "input_b64");
        let parsed = parse(&input).map(|parsed| {
            let entries = parsed.entries();
            let pair = |name: &str, value: String| json!([name, value]);
            let pairs = entries.map(|entry| pair(entry.name, entry.value.pieces().collect()));
            Value::Array(pairs.collect())
        });
        let expected = &case["expected"];
        assert_ne!(expected["ok"].is_array(), expected["error"].is_string());
        assert_eq!(parsed.ok().unwrap_or_default(), expected["ok"], "{case}");
    }
}

/// What our rules demand of an answer.
enum Demand {
    /// These variables, in order.
    Variables(&'static [&'static str]),
    /// A refusal that names this, with `--allow-empty` too.
    Refusal(&'static [&'static str]),
    /// That there is no secret.
    Nothing,
    /// A refusal in a client-managed project unless plaintext is allowed, then this.
    Plaintext(&'static Demand),
}

use Demand::{Nothing, Plaintext, Refusal, Variables};

const ALL: Demand = Variables(&["A=p", "B=t", "C=e", "D=e", "F=e"]);
const PROJECT: Demand = Variables(&["A=p", "B=p", "C=p"]);
const ENVIRONMENT: Demand = Variables(&["C=e", "D=e", "F=e"]);

const DEMANDS: [(&str, Demand); 42] = [
    ("three-levels", ALL),
    ("level-only-env", ENVIRONMENT),
    ("level-only-target", Variables(&["B=t", "C=t", "D=t"])),
    ("level-only-project", PROJECT),
    ("level-only-no-meta", ENVIRONMENT),
    ("project-only", PROJECT),
    ("env-only", ENVIRONMENT),
    ("json-key-order-reversed", ALL),
    ("empty-value-overrides", Variables(&["A="])),
    ("case-sensitive-names", Variables(&["a=1", "A=2"])),
    ("level-null", PROJECT),
    ("content-null", PROJECT),
    ("content-empty", PROJECT),
    ("levels-empty-object", Nothing),
    ("levels-null", Nothing),
    ("levels-missing", Nothing),
    ("docs-shape", Refusal(&["format", "hierarchical"])),
    (
        "docs-format-sdk-levels",
        Refusal(&["format", "hierarchical"]),
    ),
    ("format-missing", PROJECT),
    ("format-ENV-upper", Refusal(&["format", "ENV"])),
    ("format-json", Variables(&["A=1", "B=two words"])),
    (
        "format-json-bool",
        Refusal(&["level project", "A", "boolean"]),
    ),
    ("format-json-null", Refusal(&["level project", "A", "null"])),
    (
        "format-json-nested",
        Refusal(&["level project", "A", "object"]),
    ),
    ("format-json-dup", Refusal(&["level project", "A", "twice"])),
    ("format-json-array", Refusal(&["level project", "array"])),
    ("format-json-bad-key", Refusal(&["level project", "name"])),
    ("format-json-bom", Refusal(&["level project", "JSON"])),
    ("format-json-trailing", Refusal(&["level project", "JSON"])),
    ("format-yaml", Variables(&["A=1", "B=two"])),
    ("format-text", Refusal(&["level project", "without a name"])),
    (
        "cipher-flagged-plain",
        Plaintext(&Refusal(&["level project", "line 1"])),
    ),
    (
        "encrypted-flag-missing",
        Refusal(&["levels.project.encrypted"]),
    ),
    ("one-level-tampered", Refusal(&["level target"])),
    (
        "one-level-unparsable",
        Refusal(&["level project", "line 2"]),
    ),
    ("no-decrypt", PROJECT),
    ("no-decrypt-plain", Plaintext(&Variables(&["A=1"]))),
    ("extra-level", Refusal(&["level", "organization"])),
    ("only-comments", Nothing),
    ("blob-with-newlines", Variables(&["A=1"])),
    ("data-null", Refusal(&["data"])),
    ("data-array", Refusal(&["data", "array"])),
];

/// A case of `responses.json`.
struct Case {
    id: String,
    path: String,
    level_only: bool,
    /// The answer byte for byte: the order of its names is part of some cases.
    response: &'static str,
}

impl Case {
    fn all() -> Vec<Case> {
        let all: Value = serde_json::from_str(RESPONSES).unwrap();
        let cases = all["cases"].as_array().unwrap();
        let texts = RESPONSES.split("\"response\":").skip(1).map(first_value);
        let cases: Vec<_> = cases
            .iter()
            .zip(texts)
            .map(|(case, response)| Case::new(case, response))
            .collect();
        let ids: Vec<_> = cases.iter().map(|case| case.id.as_str()).collect();
        assert_eq!(ids, DEMANDS.each_ref().map(|(id, _)| *id));
        cases
    }

    fn new(case: &Value, response: &'static str) -> Case {
        let parsed: Value = serde_json::from_str(response).unwrap();
        assert_eq!(parsed, case["response"]);
        let hierarchy = &parsed["meta"]["hierarchy"];
        let slugs = ["project", "target", "environment"].map(|level| hierarchy[level].as_str());
        let path: Vec<_> = slugs.into_iter().flatten().collect();
        Case {
            id: text(case, "id").into(),
            path: match path[..] {
                [] => "p/backend/production".into(),
                _ => path.join("/"),
            },
            level_only: case["merge"] == json!(false),
            response,
        }
    }
}

/// The JSON value that a text begins with.
fn first_value(text: &str) -> &str {
    let mut values = Deserializer::from_str(text).into_iter::<Value>();
    values.next().unwrap().unwrap();
    text[..values.byte_offset()].trim_start()
}

/// What the data key of the cases is derived from.
fn client_key() -> Value {
    let mut all: Value = serde_json::from_str(RESPONSES).unwrap();
    all["key"].take()
}

/// The project of the cases, in the custody of the user.
fn world() -> World {
    let key = client_key();
    let custody = Custody {
        key: text(&key, "passphrase").into(),
        salt: Some(base64(&key, "salt_b64")),
        iterations: Some(iterations(&key)),
        ..Custody::client()
    };
    let project = Project::new("p", custody);
    World::new(vec![project.empty_place("backend/production")])
}

impl Case {
    /// Checks what a run on a source does that holds the answer.
    fn check(&self, run: Run, demand: &Demand) {
        let key = text(&client_key(), "passphrase").to_string();
        let mut run = run.env("DOTENV_CLIENT_KEY", key).arg(&self.path);
        if self.level_only {
            run = run.arg("--level-only");
        }
        self.check_demand(&run, demand);
    }

    fn check_demand(&self, run: &Run, demand: &Demand) {
        let with = |option: &str| run.clone().arg(option);
        match demand {
            Variables(expected) => assert_eq!(run.clone().variables(), *expected, "{}", self.id),
            Refusal(fragments) => {
                run.clone().refuses(125, fragments);
                with("--allow-empty").refuses(125, fragments);
            }
            Nothing => {
                run.clone().refuses(125, &[&self.path]);
                assert_eq!(with("--allow-empty").variables(), [""; 0], "{}", self.id);
            }
            Plaintext(allowed) => {
                run.clone().refuses(125, &["level project", "encrypted"]);
                self.check_demand(&with("--allow-plaintext"), allowed);
            }
        }
    }
}

fn every_answer_of_the_service_is_taken_as_our_rules_say() {
    for (case, (_, demand)) in Case::all().iter().zip(&DEMANDS) {
        let service = Service::of(world());
        let reply = Reply::new(200, "application/json", case.response);
        service.fail(Route::Secrets, Fault::Reply(reply));
        case.check(service.dotenv_run(), demand);
    }
}

fn every_answer_as_a_document_of_a_tree_is_taken_as_our_rules_say() {
    for (case, (_, demand)) in Case::all().iter().zip(&DEMANDS) {
        let tree = Tree::of(&world());
        tree.write(&tree.secrets(&case.path), case.response);
        tree.sign("p", world().projects[0].key(), 1);
        // No option makes up for a level in a tree that is not encrypted.
        let demand = match demand {
            Plaintext(_) => &Refusal(&["level project", "encrypted"]),
            demand => demand,
        };
        case.check(tree.dotenv_run(), demand);
    }
}
