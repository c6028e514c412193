//! Levels whose format is `json`: one object of strings, and an error that names the key otherwise.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{HIDDEN, OneLevel, PATH, entries, refused_unseen, variables};
use crate::support::*;

pub fn a_level_of_strings_arrives_byte_for_byte() {
    let vectors: Value = serde_json::from_str(include_str!("../vectors/values.json")).unwrap();
    let cases = vectors["cases"].as_array().unwrap().iter();
    let values = cases.flat_map(|case| case["vars"].as_object().unwrap().values());
    // A few values are no text, and none is in JSON.
    let values = values.filter_map(Value::as_str);
    let values = values.filter(|value| !value.contains('\0')).enumerate();
    let values: BTreeMap<_, _> = values
        .map(|(n, value)| (format!("V{n:03}"), value))
        .collect();
    assert!(values.len() > 50, "only {} values", values.len());
    let expected = values.iter().map(|(name, value)| format!("{name}={value}"));
    let level = OneLevel::of("json", &json!(values).to_string());
    assert_eq!(variables(level.run()), expected.collect::<Vec<_>>());

    let text = " {\t\"A\" : \"\\u00e9\\ud83d\\ude00\\/\\b\\f\" ,\r\n \"\\u0042_1\":\"\" } \n";
    let found = variables(OneLevel::of("json", text).run());
    assert_eq!(found, ["A=\u{e9}\u{1f600}/\u{8}\u{c}", "B_1="]);
}

pub fn whatever_is_no_string_is_an_error_that_names_the_key() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let values = [
        "17",
        "-1",
        "1.5",
        "true",
        "false",
        "null",
        "[]",
        "[\"hunter2\"]",
        "{}",
        "{\"INNER\":\"hunter2\"}",
        "\"hunter2\\u0000\"",
    ];
    for value in values {
        let text = format!("{{\"GOOD\":\"{HIDDEN}\",\"ODD_ONE\":{value}}}");
        refused_unseen(
            OneLevel::of("json", &text).run(),
            &["level project", "ODD_ONE"],
        );
    }
    for value in ["1e400", &deep] {
        let text = format!("{{\"ODD_ONE\":{value}}}");
        OneLevel::of("json", &text)
            .run()
            .refuses(125, &["level project"]);
    }
}

pub fn a_name_that_no_variable_can_have_is_an_error_that_counts_it() {
    let names = [
        "1X",
        "A-B",
        "A.B",
        "A B",
        "A=B",
        "X;cmd;Y",
        "caf\u{e9}",
        "",
        " ",
        "A\0",
        "X=1\nexport EVIL",
        " A",
        "A\u{1b}[31m",
        "hunter2-and-more",
    ];
    for name in names {
        let text = format!("{{\"GOOD\": \"{HIDDEN}\", {}: \"{HIDDEN}\"}}", json!(name));
        let level = OneLevel::of("json", &text);
        refused_unseen(
            level.run(),
            &["level project: name 2 is not a valid variable name\n"],
        );
        let twice = format!("{{{0}: \"{HIDDEN}\", {0}: \"{HIDDEN}\"}}", json!(name));
        let level = OneLevel::of("json", &twice);
        refused_unseen(level.run(), &["level project"]);
    }
}

pub fn a_key_that_comes_twice_is_an_error_that_names_it() {
    let texts = [
        "{\"SAME\":\"hunter2\",\"SAME\":\"hunter2\"}",
        "{\"SAME\":\"1\",\"B\":\"2\",\"SAME\":\"\"}",
        "{\"SAME\":\"1\",\"\\u0053AME\":\"2\"}",
    ];
    for text in texts {
        refused_unseen(OneLevel::of("json", text).run(), &["level project", "SAME"]);
    }
}

pub fn a_level_that_is_not_one_object_is_an_error() {
    let texts = [
        "[]",
        "[{\"A\":\"hunter2\"}]",
        "null",
        "\"hunter2\"",
        "17",
        "A=hunter2",
        "{\"A\":\"hunter2\"} {}",
        "{\"A\":\"hunter2\"}x",
        "{\"A\":\"hunter2\",}",
        "{\"A\":\"hunter2\"",
        "{A:\"hunter2\"}",
        "{\"A\":\"\\ud800\"}",
        "{\"A\":\"hunter2\n\"}",
        "{\"A\":\"\\x41\"}",
        "\u{feff}{\"A\":\"hunter2\"}",
        " ",
    ];
    for text in texts {
        refused_unseen(OneLevel::of("json", text).run(), &["level project"]);
    }
}

pub fn text_that_is_not_utf_8_is_an_error() {
    let level = OneLevel::bytes("json", b"{\"A\":\"hunter2\xff\"}");
    refused_unseen(level.run(), &["level project"]);
}

pub fn levels_merge_as_others_do() {
    let app = Project::new("app", Custody::legacy()).format("json");
    let app = app.level("", "{\"A\":\"p\",\"B\":\"p\",\"C\":\"p\"}");
    let app = app.level("production", "{}");
    let app = app.level("production/api", "{\"B\":\"\",\"C\":\"'$A\\n\"}");
    let tree = Tree::of(&World::new(vec![app]));
    let found = variables(tree.dotenv_run().arg(PATH));
    assert_eq!(found, ["A=p", "B=", "C='$A\n"]);
    tree.dotenv_run()
        .arg("app/production")
        .arg("--level-only")
        .refuses(125, &[]);
    let run = tree.dotenv_run().arg(PATH).arg("--clean-env");
    assert_eq!(entries(run), [&b"A=p"[..], b"B=", b"C='$A\n"]);
}

pub fn any_other_format_is_an_error_that_names_it() {
    for format in ["yml", "TEXT", "ENV", "Json", "hierarchical", "hierarchy"] {
        OneLevel::of(format, "A=1\n").run().refuses(125, &[format]);
    }
    for format in ["odd\nformat", "\u{1b}[31m"] {
        OneLevel::of(format, "A=1\n").run().refuses(125, &[]);
    }
}
