//! Descriptors that are named by their numbers: what is closed is refused before anything else happens, what is open is
//! ours alone, and a number never comes to mean something that we have opened.

use std::path::Path;

use crate::support::*;

tests![
    a_closed_descriptor_is_refused_whatever_it_is_named_for needs(|| tool("bash")),
    an_open_descriptor_is_not_inherited_whatever_it_is_named_for needs(|| tool("bash")),
    a_run_within_a_run_does_not_take_what_was_closed needs(|| tool("bash")),
    a_descriptor_of_what_counts_less_is_closed_and_no_harm needs(|| tool("bash")),
    a_descriptor_that_is_named_twice_is_shared needs(|| tool("bash")),
    a_closed_standard_stream_is_refused,
    a_refusal_is_a_finding_of_a_check needs(|| tool("bash")),
    the_other_program_refuses_it_too needs(|| tool("bash")),
];

/// A secret that no output holds by chance.
const TOKEN: &str = "q7Zr2LmX9vKp4sTd";

/// Shows the secret, and becomes the command that is given.
const SHOW_AND_GO_ON: &str = "echo $TOKEN; exec \"$0\" \"$@\"";

/// The numbers that our own pipes, sockets and files would get.
const NUMBERS: std::ops::RangeInclusive<i32> = 3..=20;

const MODES: [&[&str]; 7] = [
    &["--exec"],
    &["--supervise"],
    &["--redact"],
    &["--watch"],
    &["--redact", "--watch"],
    &["--audit=journal-of-the-test"],
    &["--group", "--stop-timeout=9"],
];

/// How a descriptor is named: by an option, or by a variable.
const WAYS: [&str; 5] = [
    "--api-key-file",
    "--client-key",
    "--audit",
    "DOTENV_API_KEY_FILE",
    "DOTENV_CLIENT_KEY_FILE",
];

fn tree() -> Tree {
    let project = Project::new("p", Custody::client());
    Tree::of_project(project.level("", &format!("TOKEN={TOKEN}\n")))
}

/// A run that is quiet and needs nothing but a client key.
fn run(tree: &Tree) -> Run {
    Run::dotenv_run().args(["-q", "--api-url", &tree.url(), "p"])
}

/// The same in a mode; one of them is an audit line to standard error.
fn in_mode(run: Run, mode: &[&str]) -> Run {
    let mode = mode.iter().map(|word| match word.starts_with("--audit") {
        true => "--audit=2",
        false => word,
    });
    run.args(mode)
}

/// The same with a descriptor that is named in one of the ways.
fn naming(run: Run, way: &str, number: i32) -> Run {
    let run = match way {
        "--client-key" | "DOTENV_CLIENT_KEY_FILE" => run,
        _ => run.env("DOTENV_CLIENT_KEY", CLIENT_KEY),
    };
    match (way, way.starts_with("--")) {
        ("--audit", _) => run.arg(format!("--audit={number}")),
        (_, true) => run.arg(format!("{way}=fd:{number}")),
        (_, false) => run.env(way, format!("fd:{number}")),
    }
}

/// Runs it with descriptor `number` open on a file, for reading and writing.
fn opened(run: Run, number: i32, file: &Path) -> Run {
    let script = format!("exec {number}<>\"$0\"; exec \"$@\"");
    let file = file.to_str().expect("UTF-8");
    run.under(["bash", "-c", &script, file])
}

/// Runs it with descriptor `number` closed, whatever the tests themselves have inherited.
fn closed(run: Run, number: i32) -> Run {
    let script = format!("exec {number}>&-; exec \"$@\"");
    run.under(["bash", "-c", &script, "bash"])
}

fn a_closed_descriptor_is_refused_whatever_it_is_named_for() {
    let tree = tree();
    for number in NUMBERS {
        for (index, mode) in MODES.iter().enumerate() {
            // Every way with every mode and every number would be thousands of runs.
            let ways = WAYS
                .iter()
                .enumerate()
                .filter(|(way, _)| number == 9 || (number as usize + index) % WAYS.len() == *way);
            for (_, way) in ways {
                let witness = Witness::new();
                let run = in_mode(naming(run(&tree), way, number), mode);
                // Of two options the last one counts.
                let run = if *way == "--audit" {
                    naming(run, way, number)
                } else {
                    run
                };
                let run = run
                    .args(["--", "sh", "-c", SHOW_AND_GO_ON])
                    .args(witness.command());
                let outcome = closed(run, number).finish();
                let says = format!("dotenv-run: {way}: descriptor {number} is not open\n");
                assert!(outcome.stderr.starts_with(&says), "{mode:?}: {outcome}");
                outcome.assert_refused(125, &[&says]);
                assert!(outcome.stdout.is_empty(), "{mode:?}: {outcome}");
                witness.assert_not_started();
            }
        }
    }
}

fn an_open_descriptor_is_not_inherited_whatever_it_is_named_for() {
    let (tree, dir) = (tree(), TempDir::new());
    for number in NUMBERS {
        for (index, mode) in MODES.iter().enumerate() {
            let way = WAYS[(number as usize + index) % WAYS.len()];
            let file = dir.file("file", if way == "--audit" { "" } else { CLIENT_KEY });
            set_mode(&file, 0o600);
            let run = naming(in_mode(run(&tree), mode), way, number);
            let script = format!("echo $TOKEN; [ -e /proc/$$/fd/{number} ] && echo inherited; :");
            let run = run.args(["--", "dash", "-c", &script]);
            let outcome = opened(run, number, &file).finish();
            if mode.contains(&"--watch") && way.to_lowercase().contains("client") {
                outcome.assert_refused(125, &["can be read again"]);
                continue;
            }
            outcome.assert_status(0);
            let shown = if mode.contains(&"--redact") {
                "[TOKEN]"
            } else {
                TOKEN
            };
            assert_eq!(
                outcome.text(),
                format!("{shown}\n"),
                "{way} {mode:?}: {outcome}"
            );
            let is_audit = way == "--audit";
            let written = std::fs::read_to_string(&file).expect("a file");
            assert_eq!(
                written.contains("\"outcome\":\"started\""),
                is_audit,
                "{written}"
            );
            assert!(!written.contains(TOKEN), "{written}");
        }
    }
}

/// The outer run leaves the variable, whose descriptor it has read and closed.
fn a_run_within_a_run_does_not_take_what_was_closed() {
    let (tree, dir) = (tree(), TempDir::new());
    let file = dir.file("key", CLIENT_KEY);
    set_mode(&file, 0o600);
    for variable in ["DOTENV_API_KEY_FILE", "DOTENV_CLIENT_KEY_FILE"] {
        for mode in MODES {
            let witness = Witness::new();
            let inner = in_mode(run(&tree), mode).args(["--", "sh", "-c", SHOW_AND_GO_ON]);
            let inner = inner.args(witness.command());
            let url = tree.url();
            let outer = [
                env!("CARGO_BIN_EXE_dotenv-run"),
                "-q",
                "--api-url",
                &url,
                "p",
                "--keep-credentials",
                "--",
            ];
            let nested = naming(inner.under(outer), variable, 9);
            let outcome = opened(nested, 9, &file).finish();
            outcome.assert_refused(125, &[&format!("{variable}: descriptor 9 is not open")]);
            assert!(outcome.stdout.is_empty(), "{mode:?}: {outcome}");
            witness.assert_not_started();
        }
    }
}

fn a_descriptor_of_what_counts_less_is_closed_and_no_harm() {
    let (tree, dir) = (tree(), TempDir::new());
    let file = dir.file("key", CLIENT_KEY);
    set_mode(&file, 0o600);
    let script = "echo $TOKEN; [ -e /proc/$$/fd/9 ] && echo inherited; :";
    let profile = dir.file("p.toml", "client-key = \"fd:9\"\n");
    for mode in MODES {
        let run = || in_mode(run(&tree), mode);
        let by_file = || run().arg("--client-key").arg(&file);
        let runs = [
            by_file().env("DOTENV_CLIENT_KEY_FILE", "fd:9"),
            by_file().arg("--profile").arg(&profile),
            run().args(["--client-key=fd:9", "--client-key"]).arg(&file),
            run()
                .arg("--profile")
                .arg(&profile)
                .env("DOTENV_CLIENT_KEY", CLIENT_KEY),
        ];
        for run in runs {
            let run = run.args(["--", "dash", "-c", script]);
            for run in [closed(run.clone(), 9), opened(run, 9, &file)] {
                let outcome = run.finish();
                outcome.assert_status(0);
                assert_eq!(outcome.text().lines().count(), 1, "{mode:?}: {outcome}");
            }
        }
    }
}

fn a_descriptor_that_is_named_twice_is_shared() {
    let (tree, dir) = (tree(), TempDir::new());
    let file = dir.file("key", CLIENT_KEY);
    set_mode(&file, 0o600);
    let command = ["--", "sh", "-c", "echo $TOKEN"];
    // The API key is not read for a tree.
    let run_on_tree = run(&tree)
        .args(["--client-key=fd:5", "--api-key-file=fd:5"])
        .args(command);
    let outcome = opened(run_on_tree, 5, &file).finish();
    outcome.assert_status(0).assert_stdout(format!("{TOKEN}\n"));
    let service = Service::plain();
    let key = dir.file("api", service.api_key());
    set_mode(&key, 0o600);
    let run = Run::on_service_without_key(&service).args(["my-app", "-q"]);
    let run = run
        .args(["--client-key=fd:5", "--api-key-file=fd:5"])
        .args(command);
    let outcome = opened(run, 5, &key).finish();
    outcome.assert_refused(125, &["--client-key: fd:5: the key is empty"]);
}

fn a_closed_standard_stream_is_refused() {
    let tree = tree();
    for mode in MODES {
        for (name, says) in [
            ("-", "standard input"),
            ("fd:0", "standard input"),
            ("fd:2", "descriptor 2"),
        ] {
            let witness = Witness::new();
            let run = in_mode(run(&tree), mode).args(["--client-key", name, "--"]);
            let outcome = run.args(witness.command()).redirected("<&- 2>&-").finish();
            // With standard error closed, nobody can be told.
            outcome.assert_status(125).assert_stdout("");
            witness.assert_not_started();
            if name != "fd:2" {
                let run = in_mode(self::run(&tree), mode).args(["--client-key", name, "--"]);
                let outcome = run.args(witness.command()).redirected("<&-").finish();
                outcome.assert_refused(125, &[&format!("--client-key: {says} is not open")]);
                witness.assert_not_started();
            }
        }
    }
}

fn a_refusal_is_a_finding_of_a_check() {
    let tree = tree();
    let run = run(&tree).args(["--check", "--json", "--client-key=fd:9", "--", "true"]);
    let outcome = closed(run, 9).finish();
    outcome.assert_status(125);
    let found: serde_json::Value = serde_json::from_slice(&outcome.stdout).expect("JSON");
    assert_eq!(found["error"]["kind"], "not-open");
    assert_eq!(
        found["error"]["message"],
        "--client-key: descriptor 9 is not open"
    );
}

fn the_other_program_refuses_it_too() {
    let tree = tree();
    for number in NUMBERS {
        let run = Run::dotenv_seal()
            .arg("put")
            .arg(tree.root())
            .arg("p")
            .stdin("A=1\n");
        let by_option = run.clone().arg(format!("--client-key=fd:{number}"));
        let by_variable = run.env("DOTENV_CLIENT_KEY_FILE", format!("fd:{number}"));
        for (run, name) in [
            (by_option, "--client-key"),
            (by_variable, "DOTENV_CLIENT_KEY_FILE"),
        ] {
            let before = std::fs::read(tree.secrets("p")).expect("a document");
            let outcome = closed(run, number).finish();
            outcome.assert_refused(125, &[&format!("{name}: descriptor {number} is not open")]);
            assert_eq!(
                std::fs::read(tree.secrets("p")).expect("a document"),
                before
            );
        }
    }
}
