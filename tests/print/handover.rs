//! The formats for those who start other programs (container engines, `kubectl`, runners of jobs, scripts), and single
//! values.

use std::collections::BTreeMap;
use std::fs;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

use crate::mask::GITHUB;
use crate::support::*;

/// Values that some format or reader would change if it quoted, trimmed, split or expanded.
const VALUES: [&str; 16] = [
    "plain",
    "",
    " both ends \t",
    "\"quoted\"",
    "'quoted'",
    "\"",
    "$HOME ${HOME} `id`",
    "a=b=c",
    "# no comment",
    "a #b",
    "\\n\\",
    "A<<B",
    "::set-env name=X::y",
    "äöü €",
    "\u{feff}\u{a0}",
    "%25",
];

/// Those that have lines.
const LINES: [&str; 8] = [
    "\n",
    "a\nb",
    "a\n",
    "\n\na",
    "a\r\nb\r\n",
    "\r",
    "EOF\nX=1",
    "a\n\nend_\n",
];

fn named(values: &[&str]) -> Map<String, Value> {
    let name = |(at, value): (usize, &&str)| (format!("V{at:02}"), json!(value));
    values.iter().enumerate().map(name).collect()
}

fn holding(variables: &Map<String, Value>) -> Tree {
    Tree::holding_json(&Value::from(variables.clone()))
}

fn print(tree: &Tree, format: &str) -> Run {
    tree.run().args(["--print", format])
}

pub fn docker_writes_values_as_they_are() {
    let variables = named(&VALUES);
    let expected: String = VALUES
        .iter()
        .enumerate()
        .map(|(at, value)| format!("V{at:02}={value}\n"))
        .collect();
    let tree = holding(&variables);
    let outcome = print(&tree, "docker").finish();
    outcome.assert_status(0).assert_stdout(&expected);
    let run = tree.run().args(["--file", "F=docker", "--file-only"]);
    let run = run.args(["--", "sh", "-c", "cat \"$F\""]);
    run.finish().assert_status(0).assert_stdout(&expected);
}

pub fn docker_refuses_what_a_line_cannot_hold() {
    let longest = "x".repeat(65535 - 2);
    print(&holding(&named(&[&longest[2..]])), "docker")
        .finish()
        .assert_status(0);
    let longer = format!("{longest}y");
    for value in LINES.into_iter().chain([longer.as_str()]) {
        let tree = Tree::holding_json(&json!({"GOOD": "s3cret", "B": value}));
        let outcome = print(&tree, "docker").finish();
        outcome.assert_refused(125, &["B cannot be written as docker", "hint: "]);
        tree.run()
            .args(["--file", "F=docker"])
            .refuses(125, &["B cannot be written as docker"]);
    }
}

/// What a container has, by a real engine: with the names, with a file in memory, and with a pipe.
pub fn docker_run_gives_a_container_the_values() {
    let engine = Engine::start().expect("an engine");
    let mut variables = named(&VALUES);
    variables.insert("LONG".into(), json!("x".repeat(65535 - 5)));
    let tree = holding(&variables);
    let run = "run --rm --network none";
    let by_file = format!("exec docker {run} --env-file \"$F\" {IMAGE} env");
    let by_names = format!("exec docker {run} $(sed 's/^/-e /' \"$N\") {IMAGE} env");
    let by_pipe = format!("\"$@\" | docker {run} --env-file /dev/stdin {IMAGE} env");
    let of_names = tree
        .run()
        .args(["--file", "N=names", "--", "sh", "-c", &by_names]);
    let of_file = tree.run().args(["--file", "F=docker", "--file-only"]);
    for run in [
        of_names,
        of_file.args(["--", "sh", "-c", &by_file]),
        print(&tree, "docker").under(["sh", "-c", &by_pipe, "sh"]),
    ] {
        let outcome = engine.reached_by(run).finish();
        outcome.assert_status(0);
        let lines: Vec<_> = outcome.text().lines().collect();
        for (name, value) in &variables {
            let line = format!("{name}={}", value.as_str().unwrap());
            assert!(lines.contains(&line.as_str()), "{line:?}\n{outcome}");
        }
    }
}

/// By the real one, which needs no cluster for it.
pub fn kubectl_makes_a_secret_of_the_values() {
    let mut variables = named(&VALUES);
    variables.insert("LONG".into(), json!("x".repeat(65535 - 5)));
    let tree = holding(&variables);
    let script =
        "exec kubectl create secret generic s --dry-run=client -o json --from-env-file=\"$F\"";
    let run = tree.run().args(["--file", "F=docker", "--file-only"]);
    let outcome = run.args(["--", "sh", "-c", script]).finish();
    outcome.assert_status(0);
    let secret: Value = serde_json::from_str(outcome.text()).expect("a secret");
    let expected: Map<_, _> = variables
        .iter()
        .map(|(name, value)| {
            (
                name.clone(),
                json!(BASE64_STANDARD.encode(value.as_str().unwrap())),
            )
        })
        .collect();
    assert_eq!(secret["data"], Value::from(expected));
}

/// Reads as the runner does: `NAME=value`, or lines up to the delimiter, of which the last has an end.
pub fn read_by_runner(text: &str) -> BTreeMap<String, String> {
    let mut variables = BTreeMap::new();
    let mut lines = text.split_inclusive('\n');
    while let Some(line) = lines.next() {
        let line = line.trim_end_matches('\n');
        let (equals, delimiter) = (line.find('='), line.find("<<"));
        assert!(
            delimiter.is_some() && (equals.is_none() || delimiter < equals),
            "{line:?}"
        );
        let (name, delimiter) = line.split_once("<<").unwrap();
        let mut value = String::new();
        loop {
            let line = lines.next().expect("a delimiter");
            if line.trim_end_matches('\n') == delimiter {
                break;
            }
            value.push_str(line);
        }
        let value = value
            .strip_suffix('\n')
            .map(str::to_owned)
            .unwrap_or_default();
        variables.insert(name.to_owned(), value);
    }
    variables
}

pub fn github_is_read_by_the_runner() {
    let variables = named(&[&VALUES[..], &LINES].concat());
    let tree = holding(&variables);
    let printed = [(); 2].map(|()| print(&tree, "github").finish());
    let [one, other] = printed.map(|it| it.assert_status(0).text().to_owned());
    assert_ne!(one, other, "the delimiter can be known before");
    for text in [&one, &other] {
        let read = read_by_runner(text);
        let expected = variables
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()));
        assert_eq!(read, expected.collect());
        let delimiter = text.lines().next().unwrap().split_once("<<").unwrap().1;
        let digits = delimiter.rsplit('_').next().unwrap();
        assert!(digits.len() >= 32 && digits.bytes().all(|it| it.is_ascii_hexdigit()));
    }
}

pub fn github_is_told_what_to_mask_first() {
    let tree = Tree::holding("A=swordfish\n");
    let run = print(&tree, "github").env("GITHUB_ACTIONS", "true");
    let outcome = run.clone().redirected("2>&1").finish();
    let masks = format!("{GITHUB}swordfish\n{GITHUB}c3dvcmRmaXNo\n");
    assert!(
        outcome
            .assert_status(0)
            .text()
            .starts_with(&format!("{masks}A<<")),
        "{outcome}"
    );
    let outcome = run.clone().finish();
    assert_eq!(outcome.stderr, masks, "{outcome}");
    // Where nobody can be told, nothing is handed over.
    for redirection in ["2>error", "2>/dev/null"] {
        let dir = TempDir::new();
        let outcome = run.clone().redirected(redirection).dir(dir.path()).finish();
        outcome.assert_status(125).assert_stdout("");
        let said = fs::read_to_string(dir.path().join("error")).unwrap_or_default();
        let expected = "dotenv-run: the runner cannot be told what to mask: standard error does not go to it\nhint: ";
        assert!(
            said.is_empty() || said.starts_with(expected) && said.contains("--mask=off"),
            "{said}"
        );
        let outcome = run
            .clone()
            .arg("--mask=off")
            .redirected(redirection)
            .dir(dir.path())
            .finish();
        assert!(
            outcome.assert_status(0).text().contains("swordfish"),
            "{outcome}"
        );
    }
    // The file of the runner is one on a disk.
    let dir = TempDir::new();
    let file = dir.file("env", "OLD=1\n");
    let outcome = run.clone().redirected(">>env").dir(dir.path()).finish();
    outcome.assert_refused(125, &["regular file", "--allow-file"]);
    let outcome = run
        .arg("--allow-file")
        .redirected(">>env")
        .dir(dir.path())
        .finish();
    outcome.assert_status(0).assert_stdout("");
    let written = fs::read_to_string(file).unwrap();
    assert!(
        written.starts_with("OLD=1\nA<<") && outcome.stderr == masks,
        "{written}"
    );
}

pub fn github_refuses_the_names_that_the_runner_keeps() {
    for name in [
        "NODE_OPTIONS",
        "Node_Options",
        "GITHUB_ENV",
        "GITHUB_PATH",
        "GITHUB_ACTIONS",
        "RUNNER_TEMP",
        "ACTIONS_ALLOW_UNSECURE_COMMANDS",
    ] {
        let tree = Tree::holding(&format!("A=s3cret\n{name}=s3cret\n"));
        let run = print(&tree, "github").args(["--allow-unsafe-env", name]);
        let outcome = run.env("GITHUB_ACTIONS", "true").finish();
        let says = format!("{name} cannot be written as github: the runner keeps this name");
        outcome.assert_refused(125, &[&says, "hint: "]);
        let run = tree
            .run()
            .args(["--file", "F=github", "--allow-unsafe-env", name]);
        run.refuses(125, &[&says]);
    }
    let tree = Tree::holding("GITHUB_TOKEN=t\nMY_GITHUB_ENV=e\nRUNNER=r\n");
    print(&tree, "github").finish().assert_status(0);
    for format in ["docker", "github"] {
        let tree = Tree::holding("LD_PRELOAD=/x.so\n");
        let outcome = print(&tree, format).finish();
        outcome.assert_refused(125, &["LD_PRELOAD", "--allow-unsafe-env"]);
    }
}

pub fn names_are_printed_alone() {
    let tree = Tree::holding("B=s3cret\nA='x\ny'\nHOME=h\n");
    let outcome = print(&tree, "names").finish();
    outcome.assert_status(0).assert_stdout("B\nA\nHOME\n");
    let run = print(&tree, "names").args(["--only", "A,B", "--prefix", "P_"]);
    run.finish().assert_status(0).assert_stdout("P_B\nP_A\n");
    let none = print(&tree, "names").args(["--except", "*", "--allow-empty"]);
    none.finish().assert_status(0).assert_stdout("");
}

pub fn one_value_is_printed_as_it_is() {
    for value in [&VALUES[..], &LINES].concat() {
        let tree = Tree::holding_json(&json!({"A": value, "B": "s3cret"}));
        let run = print(&tree, "raw").args(["--only", "A"]);
        run.finish().assert_status(0).assert_stdout(value);
        let run = tree.run().args(["--only", "A", "--file", "F=raw"]);
        let run = run.args(["--", "sh", "-c", "cat \"$F\""]);
        run.finish().assert_status(0).assert_stdout(value);
    }
}

pub fn one_value_is_decoded() {
    let bytes: Vec<u8> = (0..=255).rev().collect();
    let whole = BASE64_STANDARD.encode(&bytes);
    let lines: Vec<_> = whole
        .as_bytes()
        .chunks(76)
        .map(|it| str::from_utf8(it).unwrap())
        .collect();
    let (unix, dos) = (lines.join("\n") + "\n", lines.join("\r\n"));
    for (value, expected) in [
        (whole.as_str(), &bytes[..]),
        (&unix, &bytes),
        (&dos, &bytes),
        ("", b""),
        ("YQ==", b"a"),
    ] {
        let tree = Tree::holding_json(&json!({"A": value}));
        print(&tree, "raw:base64")
            .finish()
            .assert_status(0)
            .assert_stdout(expected);
        let run = tree
            .run()
            .args(["--file", "F=raw:base64", "--", "sh", "-c", "cat \"$F\""]);
        run.finish().assert_status(0).assert_stdout(expected);
    }
    for value in [
        "s3cret",
        "YQ",
        "YQ=",
        "YR==",
        "Y Q==",
        "_-8=",
        "YQ==x",
        "====",
        "ä",
        "YQ==\u{a0}",
    ] {
        let tree = Tree::holding_json(&json!({"A": value}));
        let outcome = print(&tree, "raw:base64").finish();
        outcome.assert_refused(125, &["the value of A is not base64\n", "hint: "]);
        assert!(!outcome.stderr.contains(value), "{outcome}");
        tree.run()
            .args(["--file", "F=raw:base64"])
            .refuses(125, &["A is not base64"]);
    }
}

pub fn a_single_value_is_one_of_one() {
    let tree = Tree::holding("A=a\nB=b\nC=c\n");
    for format in ["raw", "raw:base64"] {
        let outcome = print(&tree, format).finish();
        outcome.assert_refused(
            125,
            &["raw needs exactly one secret, and 3 are selected", "--only"],
        );
        let run = print(&tree, format).args(["--except", "*", "--allow-empty"]);
        run.finish().assert_refused(125, &["and 0 are selected"]);
        let file = format!("F={format}");
        tree.run()
            .args(["--file", &file])
            .refuses(125, &["and 3 are selected"]);
    }
}
