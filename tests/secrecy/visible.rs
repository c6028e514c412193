//! Text that comes from elsewhere cannot act on a terminal, end a line or turn it around, whoever writes it.

use std::fs;
use std::path::Path;

use crate::support::*;

/// What acts on a terminal or on the text around it: an escape, controls of both sets, line ends of all kinds, what
/// changes the direction, what cannot be seen.
const HOSTILE: &str = "x\u{1b}[31m\u{7}\u{8}\r\n\u{7f}\u{85}\u{9b}2J\u{9d}0;t\u{9c}\u{ad}\u{61c}\u{200b}\u{200d}\u{200e}\u{200f}\
    \u{2028}\u{2029}\u{202a}\u{202e}\u{2060}\u{2066}\u{2069}\u{feff}\u{e0041}y";

/// Whether a character may stand in what we write, beside line feeds and the tabs of a list.
fn is_harmless(character: char) -> bool {
    let is_hidden =
        character.is_control() || HOSTILE.contains(character) && !character.is_ascii_graphic();
    matches!(character, '\n' | '\t') || !is_hidden
}

#[track_caller]
fn assert_harmless(outcome: &Outcome) {
    for text in [outcome.text(), &outcome.stderr] {
        assert!(text.chars().all(is_harmless), "{text:?}");
    }
}

/// Runs that have something to say about a text that is not ours, wherever it can come from, and what they read, which
/// has to be there as long.
fn runs(dir: &TempDir) -> (Vec<Run>, [Tree; 4]) {
    let tree = Tree::holding("A=1\n");
    let file = dir.file(HOSTILE, "nonsense = true\n");
    let named = |name: &str| tree.run().env(name, HOSTILE);
    let given = |options: &[&str]| {
        let options = options
            .iter()
            .map(|option| option.replace("HOSTILE", HOSTILE));
        tree.run().args(options).args(["--", "true"])
    };
    let nested = format!("{{\"A\": \"b\", {}: \"c\"}}", serde_json::json!(HOSTILE));
    let odd = Project::new("p", Custody::legacy())
        .format("json")
        .level("", &nested);
    let odd = Tree::of_project(odd);
    let format = Project::new("p", Custody::legacy())
        .format(HOSTILE)
        .level("", "A=1\n");
    let format = Tree::of_project(format);
    let message = Tree::holding(&format!(
        "A='1'\nB=\"${{C:?{}}}\"\n",
        HOSTILE.replace(['\r', '\n'], "")
    ));
    let runs = vec![
        given(&["HOSTILE"]),
        given(&["--HOSTILE"]),
        given(&["--only", "HOSTILE"]),
        given(&["--rename", "A=HOSTILE"]),
        given(&["--prefix", "HOSTILE"]),
        given(&["--print", "HOSTILE"]),
        given(&["--mask=HOSTILE"]),
        given(&["--file", "HOSTILE=env"]),
        given(&["--organization", "HOSTILE"]),
        given(&["--api-url", "file:///HOSTILE"]),
        given(&["--api-url", "HOSTILE"]),
        given(&["--mirror", "HOSTILE"]),
        given(&["--ca-file", "HOSTILE"]),
        given(&["--profile", "HOSTILE"]),
        given(&["--client-key", "./HOSTILE"]),
        given(&["--audit", "HOSTILE"]),
        tree.run().arg("--profile").arg(&file).args(["--", "true"]),
        tree.run().arg("--ca-file").arg(&file).args(["--", "true"]),
        tree.run()
            .arg("--client-key")
            .arg(&file)
            .args(["-v", "--", "true"]),
        tree.run().args(["-v", "--", HOSTILE]),
        tree.run().args(["--check", "--", HOSTILE]),
        tree.run().args(["--check", "--json", "--", HOSTILE]),
        named("DOTENV_ORGANIZATION").args(["--", "true"]),
        named("DOTENV_RUN_PATH").args(["--", "true"]),
        named("DOTENV_API_URL").args(["--", "true"]),
        named("CREDENTIALS_DIRECTORY").args(["--", "true"]),
        odd.run().args(["--", "true"]),
        format.run().args(["--", "true"]),
        message.run().args(["--resolve", "--", "true"]),
        Run::dotenv_seal()
            .args(["put", HOSTILE, "p"])
            .stdin("A=1\n"),
        Run::dotenv_seal().args(["list", HOSTILE]),
        Run::dotenv_seal().arg(format!("--{HOSTILE}")),
    ];
    (runs, [tree, odd, format, message])
}

pub fn nothing_that_is_written_acts_on_a_terminal() {
    let dir = TempDir::new();
    let (runs, _trees) = runs(&dir);
    for run in runs {
        assert_harmless(&run.finish());
    }
}

/// `--check --json` and the audit line stay JSON that says what was given.
pub fn json_says_the_same_in_escapes() {
    let tree = Tree::holding("A=1\n");
    let dir = TempDir::new();
    dir.executable(HOSTILE, "#!/bin/sh\n");
    let run = tree
        .run()
        .env("PATH", dir.path())
        .args(["--check", "--json", "--", HOSTILE]);
    let outcome = run.finish();
    assert_harmless(&outcome);
    let found: serde_json::Value = serde_json::from_str(outcome.text()).expect("JSON");
    assert!(found["command"].to_string().contains("[31m"), "{found}");
    let run = tree
        .run()
        .env("PATH", dir.path())
        .args(["--audit", "1", "--", HOSTILE]);
    let outcome = run.finish();
    assert_harmless(&outcome);
    let line = outcome.text().lines().next().expect("an audit line");
    let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(line["command"], HOSTILE);
}

/// The functions of a source that write text for people or programs to read and do not make it visible.
fn forgetful(source: &str) -> Vec<&str> {
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let starts: Vec<_> = code
        .match_indices("fn ")
        .map(|(at, _)| at)
        .chain([code.len()])
        .collect();
    let functions = starts.windows(2).map(|pair| &code[pair[0]..pair[1]]);
    let writes = |function: &&str| {
        [
            "write_all(std::io::std",
            "write_all(output,",
            "eprint",
            "println!",
            "json::to_string(",
        ]
        .iter()
        .any(|way| function.contains(way))
    };
    let forgets = |function: &&str| !function.contains("visible");
    functions.filter(writes).filter(forgets).collect()
}

/// Writers of nothing that comes from elsewhere, and of data.
const EXEMPT: &[&str] = &["end_as_failures", "write(text: &[u8])"];

pub fn every_writer_makes_its_text_visible() {
    let planted = "fn forgets(text: &str) {\n    let _ = sys::write_all(std::io::stderr(), text.as_bytes());\n}\n";
    assert_eq!(forgetful(planted), [planted]);
    assert_eq!(
        forgetful("fn line(l: &Line) -> String { json::to_string(l) }").len(),
        1
    );
    assert_eq!(
        forgetful(&planted.replace("text.as_bytes", "visible(text).as_bytes")),
        [""; 0]
    );
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut directories = vec![root];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("a readable directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            // What is written into a tree is read by programs alone.
            if path.ends_with("store/writing.rs") || path.ends_with("store/documents.rs") {
                continue;
            }
            let source = fs::read_to_string(&path).expect("a source");
            let is_exempt = |function: &&str| {
                EXEMPT
                    .iter()
                    .any(|name| function.starts_with(&format!("fn {name}")))
            };
            for function in forgetful(&source)
                .into_iter()
                .filter(|function| !is_exempt(function))
            {
                found.push(format!(
                    "{}: {}",
                    path.display(),
                    function.lines().next().unwrap_or_default()
                ));
            }
        }
    }
    assert_eq!(found, [""; 0]);
}
