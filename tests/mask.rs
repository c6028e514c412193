//! What a CI runner is told to mask: the very bytes that GitHub Actions and Azure Pipelines expect, on a stream that
//! they read and nowhere else, and nothing that could pass for another command.

mod expected;

use std::collections::BTreeSet;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::support::*;
use expected::EXPECTED;

tests![
    github_is_told_what_it_expects,
    azure_is_told_what_it_expects,
    base64_is_also_masked_as_the_tool_breaks_it,
    a_log_that_a_runner_masks_shows_no_value,
    no_value_is_a_command_of_its_own,
    the_runner_is_the_one_that_the_environment_names,
    the_runner_is_told_before_the_command_starts,
    a_parent_in_front_changes_nothing,
    standard_output_is_used_if_standard_error_is_not_read,
    nothing_is_masked_into_a_file_or_away,
    nothing_is_masked_on_a_terminal,
    a_stream_that_does_not_wait_gets_everything needs(|| tool("python3")),
    what_is_printed_stays_what_it_is,
    a_list_of_names_masks_nothing,
    what_would_ruin_the_log_is_named_and_not_masked,
    a_long_set_is_masked_whole,
    a_runner_that_is_gone_keeps_the_command_from_starting needs(|| tool("mkfifo")),
    a_run_that_fails_masks_nothing,
    runners_that_cannot_be_told_draw_one_hint,
];

pub const GITHUB: &str = "::add-mask::";
pub const AZURE: &str = "##vso[task.setsecret]";

/// A tree whose only variable, `V`, has this value.
fn holding(value: &str) -> Tree {
    Tree::holding_json(&json!({ "V": value }))
}

#[track_caller]
fn assert_expected(mask: &str, start: &str, expected: impl Fn(usize) -> &'static [&'static str]) {
    for (index, (value, ..)) in EXPECTED.iter().enumerate() {
        let tree = holding(value);
        let run = tree.run().args([mask, "--", "true"]).finish();
        let lines = expected(index).iter();
        let expected: String = lines.map(|data| format!("{start}{data}\n")).collect();
        run.assert_status(0).assert_stdout("");
        assert_eq!(run.stderr, expected, "{value:?}");
    }
}

fn github_is_told_what_it_expects() {
    assert_expected("--mask=github", GITHUB, |index| EXPECTED[index].1);
}

fn azure_is_told_what_it_expects() {
    assert_expected("--mask=azure", AZURE, |index| EXPECTED[index].2);
}

fn base64_is_also_masked_as_the_tool_breaks_it() {
    let value = "swordfish and seventeen otters, ".repeat(5);
    let tree = holding(&value);
    let run = tree.run().args(["--mask=github", "--", "sh", "-c"]);
    let outcome = run
        .arg("echo \"$V\" | base64; printf %s \"$V\" | base64")
        .finish();
    outcome.assert_status(0);
    let masked: Vec<_> = outcome
        .stderr
        .lines()
        .filter_map(|line| line.strip_prefix(GITHUB))
        .collect();
    let printed: Vec<_> = outcome.text().lines().collect();
    assert_eq!(printed.len(), 6, "{outcome}");
    for line in printed {
        // What is added behind the value changes no more than the last group of four.
        let without_end = &line[..line.len() - 4];
        let is_covered = |mask: &&str| mask.len() >= without_end.len() && line.starts_with(*mask);
        assert!(masked.iter().any(is_covered), "{line}\n{outcome}");
    }
}

/// The commands that a runner sees in a text, as its own code finds them: lines end at any CR or LF. Whatever is none is
/// returned as the error.
fn commands(runner: &str, text: &str) -> Result<Vec<String>, String> {
    let percent = if runner == GITHUB { "%25" } else { "%AZP25" };
    let lines = text.split(['\r', '\n']).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let data = line.strip_prefix(runner).ok_or(line)?;
            let data = data.replace("%0D", "\r").replace("%0A", "\n");
            let data = match runner {
                GITHUB => data,
                _ => data.replace("%3B", ";").replace("%5D", "]"),
            };
            Ok(data.replace(percent, "%"))
        })
        .collect()
}

/// The log that a runner keeps: commands are taken out, and what they name is replaced line by line, the longest first.
pub fn log(runner: &str, written: &str) -> String {
    let (orders, lines): (Vec<_>, Vec<_>) = written
        .split(['\r', '\n'])
        .partition(|line| line.starts_with(runner));
    let mut masked = commands(runner, &orders.join("\n")).expect("commands");
    masked.sort_by_key(|text| std::cmp::Reverse(text.len()));
    let replaced = |line: &str| {
        let masked = masked.iter();
        masked.fold(line.to_owned(), |line, text| line.replace(text, "***"))
    };
    lines
        .into_iter()
        .map(replaced)
        .collect::<Vec<_>>()
        .join("\n")
}

fn a_log_that_a_runner_masks_shows_no_value() {
    let script = "set -x; echo \"$V\"; printf %s \"$V\" | base64 -w 0; echo; echo \"$V\" | base64; \
        echo \"in the middle of $V something\"; set +x; echo end";
    for (value, ..) in EXPECTED {
        for (mask, runner) in [("--mask=github", GITHUB), ("--mask=azure", AZURE)] {
            let tree = holding(value);
            let run = tree.run().args([mask, "--", "sh", "-c", script]);
            let outcome = run.redirected("2>&1").finish();
            let log = log(runner, outcome.assert_status(0).text());
            assert!(log.contains("***") && log.ends_with("end\n"), "{log}");
            let secrets = value.split(['\r', '\n']).map(str::trim);
            for secret in secrets.filter(|line| line.len() > 3) {
                assert!(!log.contains(secret), "{secret:?}\n{log}");
            }
            // As much of it as a line feed behind the value does not change, and as the tool breaks it.
            let base64 = BASE64_STANDARD.encode(&value[..value.len() / 3 * 3]);
            for line in base64.as_bytes().chunks(76) {
                let line = str::from_utf8(line).expect("ASCII");
                assert!(!log.contains(line), "{line:?}\n{log}");
            }
        }
    }
}

fn no_value_is_a_command_of_its_own() {
    let commands_of_theirs = [
        "::stop-commands::x",
        "::set-env name=LD_PRELOAD::/x",
        "::add-path::/x",
        "##[set-env name=A]b",
        "##vso[task.setvariable variable=A]b",
        "##vso[task.complete result=Failed;]x",
        "]##vso[task.x]y",
    ];
    let ends = [
        "\n", "\r", "\r\n", "\n\r", "%0A", "%0D", "%0a", "%250A", "%AZP250A", "\u{2028}", "\u{85}",
        "\u{b}", "\0",
    ];
    for (mask, runner) in [("--mask=github", GITHUB), ("--mask=azure", AZURE)] {
        let mut values = serde_json::Map::new();
        for (row, command) in commands_of_theirs.iter().enumerate() {
            for (column, end) in ends.iter().filter(|end| **end != "\0").enumerate() {
                let value = format!("{end}start{end}{command}{end}");
                values.insert(format!("V{row}_{column}"), Value::String(value));
            }
        }
        let tree = Tree::holding_json(&Value::Object(values.clone()));
        let outcome = tree.run().args([mask, "--", "true"]).finish();
        outcome.assert_status(0);
        let masked = commands(runner, &outcome.stderr);
        let masked: BTreeSet<_> = masked
            .unwrap_or_else(|line| panic!("{line:?}"))
            .into_iter()
            .collect();
        for value in values.values() {
            let value = value.as_str().expect("a text");
            assert!(masked.contains(value), "{value:?}");
            for line in value
                .split(['\r', '\n'])
                .map(str::trim)
                .filter(|line| !line.is_empty())
            {
                assert!(masked.contains(line), "{line:?}");
            }
        }
    }
}

/// What is set, the options, and what the commands start with if there are any.
type Case = (
    &'static [(&'static str, &'static str)],
    &'static [&'static str],
    Option<&'static str>,
);

fn the_runner_is_the_one_that_the_environment_names() {
    let tree = holding("swordfish");
    let cases: [Case; 13] = [
        (&[], &[], None),
        (&[("GITHUB_ACTIONS", "true")], &[], Some(GITHUB)),
        (&[("GITHUB_ACTIONS", "true")], &["--mask"], Some(GITHUB)),
        (
            &[("GITHUB_ACTIONS", "true")],
            &["--mask=auto"],
            Some(GITHUB),
        ),
        (&[("GITHUB_ACTIONS", "true")], &["--mask=off"], None),
        (
            &[("GITHUB_ACTIONS", "true")],
            &["--mask=azure"],
            Some(AZURE),
        ),
        (&[("GITHUB_ACTIONS", "false")], &[], None),
        (&[("GITHUB_ACTIONS", "")], &[], None),
        (&[("TF_BUILD", "True")], &[], Some(AZURE)),
        (&[("TF_BUILD", "True")], &["--mask=off"], None),
        (&[("TF_BUILD", "False")], &[], None),
        (
            &[("GITHUB_ACTIONS", "true"), ("GITLAB_CI", "true")],
            &[],
            Some(GITHUB),
        ),
        (&[("CI", "true")], &[], None),
    ];
    for (variables, options, runner) in cases {
        let run = variables
            .iter()
            .fold(tree.run(), |run, (name, value)| run.env(name, value));
        let outcome = run.args(options).args(["--", "true"]).finish();
        outcome.assert_status(0).assert_stdout("");
        let expected = runner.map(|start| format!("{start}swordfish\n{start}c3dvcmRmaXNo\n"));
        assert_eq!(
            outcome.stderr,
            expected.unwrap_or_default(),
            "{variables:?} {options:?}"
        );
    }
    let outcome = tree.run().args(["--mask=gitlab", "--", "true"]).finish();
    outcome.assert_refused(125, &["--mask: must be auto, github, azure or off"]);
}

fn the_runner_is_told_before_the_command_starts() {
    let tree = holding("swordfish");
    let run = tree.run().args(["--mask=github", "--file", "F"]);
    let outcome = run.args(["--", "sh", "-c", "echo \"$V\" >&2"]).finish();
    outcome.assert_status(0);
    let expected = format!("{GITHUB}swordfish\n{GITHUB}c3dvcmRmaXNo\nswordfish\n");
    assert_eq!(outcome.stderr, expected);
}

fn a_parent_in_front_changes_nothing() {
    let tree = holding("swordfish");
    let run = tree.run().args(["--mask=azure", "--supervise"]);
    let outcome = run.args(["--", "sh", "-c", "exit 7"]).finish();
    outcome.assert_status(7).assert_stdout("");
    assert_eq!(
        outcome.stderr,
        format!("{AZURE}swordfish\n{AZURE}c3dvcmRmaXNo\n")
    );
}

fn standard_output_is_used_if_standard_error_is_not_read() {
    let tree = holding("swordfish");
    for redirection in ["2>/dev/null", "2>error", "2>&-"] {
        let dir = TempDir::new();
        let run = tree.run().dir(dir.path());
        let run = run.args(["--mask=github", "--", "sh", "-c", "echo done"]);
        let outcome = run.redirected(redirection).finish();
        let expected = format!("{GITHUB}swordfish\n{GITHUB}c3dvcmRmaXNo\ndone\n");
        outcome.assert_status(0).assert_stdout(expected);
        let error = std::fs::read_to_string(dir.path().join("error"));
        assert_eq!(error.unwrap_or_default(), "", "{redirection}");
    }
}

const NOT_READ: &str =
    "dotenv-run: warning: nothing is masked: the output does not go to the runner\n";

fn nothing_is_masked_into_a_file_or_away() {
    let tree = holding("swordfish");
    for (redirection, has_warning) in [
        (">out 2>error", true),
        (">/dev/null 2>error", true),
        (">&- 2>error", true),
        ("2>error >error", true),
        (">/dev/null 2>/dev/null", false),
        (">out 2>&-", false),
    ] {
        let dir = TempDir::new();
        let run = tree.run().dir(dir.path());
        let run = run.args(["--mask=github", "--", "true"]);
        let outcome = run.redirected(redirection).finish();
        outcome.assert_status(0).assert_stdout("");
        assert_eq!(outcome.stderr, "", "{redirection}");
        let content = |name| std::fs::read_to_string(dir.path().join(name)).unwrap_or_default();
        assert_eq!(content("out"), "", "{redirection}");
        let expected = if has_warning { NOT_READ } else { "" };
        assert_eq!(content("error"), expected, "{redirection}");
    }
}

fn nothing_is_masked_on_a_terminal() {
    let tree = holding("swordfish");
    let run = tree.run().env("GITHUB_ACTIONS", "true");
    let outcome = Terminal::spawn(run.args(["--", "true"])).wait();
    outcome.assert_status(0);
    assert_eq!(outcome.text().replace("\r\n", "\n"), NOT_READ);
}

/// As Node has its pipes: a socket, and not one that waits.
const SOCKET: &str = "import os, socket, subprocess, sys
ours, theirs = socket.socketpair()
theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
os.set_blocking(theirs.fileno(), False)
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=theirs)
theirs.close()
while data := ours.recv(1000):
    sys.stdout.buffer.write(data)
sys.exit(child.wait())";

fn a_stream_that_does_not_wait_gets_everything() {
    let value = "otter".repeat(20_000);
    let tree = holding(&value);
    let run = tree
        .run()
        .args(["--mask=github", "--file", "F", "--file-only", "--", "true"]);
    let outcome = run.under(["python3", "-c", SOCKET]).finish();
    outcome.assert_status(0);
    let masked = commands(GITHUB, outcome.text()).unwrap_or_else(|line| panic!("{line}"));
    assert_eq!(masked[0], value);
    assert!(masked.len() > 1000, "{}", masked.len());
}

fn what_is_printed_stays_what_it_is() {
    let tree = holding("swordfish");
    let print = || tree.run().args(["--mask=github", "--print", "json"]);
    let outcome = print().finish();
    outcome
        .assert_status(0)
        .assert_stdout("{\n  \"V\": \"swordfish\"\n}\n");
    assert_eq!(
        outcome.stderr,
        format!("{GITHUB}swordfish\n{GITHUB}c3dvcmRmaXNo\n")
    );
    let outcome = print().redirected("2>/dev/null").finish();
    outcome
        .assert_status(0)
        .assert_stdout("{\n  \"V\": \"swordfish\"\n}\n");
    assert_eq!(outcome.stderr, "");
}

fn a_list_of_names_masks_nothing() {
    let tree = holding("swordfish");
    let outcome = tree.run().args(["--mask=github", "--list"]).finish();
    outcome
        .assert_status(0)
        .assert_stdout("V\tproject\t-\t1-15\n");
    assert_eq!(outcome.stderr, "");
}

fn what_would_ruin_the_log_is_named_and_not_masked() {
    let common = [
        "a",
        "abc",
        "\u{e9}\u{e9}\u{e9}",
        "1",
        "80",
        "8080",
        "65535",
        "true",
        "True",
        "FALSE",
        "null",
        "none",
        "info",
        "debug",
        "warning",
        "error",
        "production",
        "staging",
        "development",
        "test",
        "localhost",
        " main ",
        "***",
    ];
    let rare = [
        "abcd",
        "\u{e9}\u{e9}\u{e9}\u{e9}",
        "123456",
        "truth",
        "pass",
        "1.23",
        "****",
    ];
    let mut values = serde_json::Map::new();
    let mut insert = |name: &str, list: &[&str]| {
        for (index, value) in list.iter().enumerate() {
            values.insert(format!("{name}{index}"), json!(value));
        }
    };
    insert("COMMON", &common);
    insert("RARE", &rare);
    insert("EMPTY", &["", "  "]);
    insert("LINES", &["{\n}\n\nabcdef", "abcdefg\nxyz"]);
    let tree = Tree::holding_json(&Value::Object(values));
    let outcome = tree.run().args(["--mask=github", "--", "true"]).finish();
    outcome.assert_status(0);
    let warnings = outcome.warnings();
    let [warning] = warnings[..] else {
        panic!("{outcome}")
    };
    let names = warning
        .strip_prefix("these secrets are too short or too common to be masked: ")
        .expect("names");
    let named: BTreeSet<_> = names.split(", ").map(String::from).collect();
    let numbered = (0..common.len()).map(|index| format!("COMMON{index}"));
    // Of a value with several lines, one that has a letter or digit and is not masked.
    let expected: BTreeSet<_> = numbered.chain(["LINES1".to_string()]).collect();
    assert_eq!(named, expected);
    let masked: Vec<_> = outcome
        .stderr
        .lines()
        .filter_map(|line| line.strip_prefix(GITHUB))
        .collect();
    for value in rare {
        assert!(masked.contains(&value), "{value}");
    }
    for value in common
        .iter()
        .map(|value| value.trim())
        .chain(["", "{", "}", "xyz"])
    {
        assert!(!masked.contains(&value), "{value:?}");
    }
}

fn a_long_set_is_masked_whole() {
    let mut values = serde_json::Map::new();
    for index in 0..500 {
        values.insert(
            format!("V{index}"),
            json!(format!("value-{index}-{}", "%".repeat(index))),
        );
    }
    let tree = Tree::holding_json(&Value::Object(values.clone()));
    let outcome = tree.run().args(["--mask=azure", "--", "true"]).finish();
    outcome.assert_status(0);
    let masked = commands(AZURE, &outcome.stderr).unwrap_or_else(|line| panic!("{line}"));
    let masked: BTreeSet<_> = masked.iter().map(String::as_str).collect();
    for value in values.values() {
        assert!(masked.contains(value.as_str().expect("a text")), "{value}");
    }
}

/// Standard output is a pipe that nobody reads any more; the message goes to a file.
pub const BROKEN_PIPE: &str = "mkfifo pipe
    : <pipe & exec 3>pipe
    wait
    \"$@\" >&3 2>error
    status=$?
    cat error >&2
    exit $status";

fn a_runner_that_is_gone_keeps_the_command_from_starting() {
    let tree = holding("swordfish");
    let (dir, witness) = (TempDir::new(), Witness::new());
    let run = tree.run().dir(dir.path()).args(["--mask=github", "--"]);
    let run = run
        .args(witness.command())
        .under(["sh", "-c", BROKEN_PIPE, "sh"]);
    let outcome = run.finish();
    outcome.assert_refused(
        125,
        &[
            "cannot write the masking commands: broken pipe",
            "--mask=off",
        ],
    );
    witness.assert_not_started();
}

fn a_run_that_fails_masks_nothing() {
    let tree = holding("swordfish");
    let run = |options: &[&str]| tree.run().arg("--mask=github").args(options);
    run(&["--require", "X"]).refuses(125, &["required secrets that are missing or empty: X"]);
    run(&["--rename", "V=LD_PRELOAD"]).refuses(125, &["take over a program: LD_PRELOAD"]);
    run(&["--only", "X"]).refuses(125, &["no secret"]);
    let tree = Tree::holding_json(&json!({ "V": "'\\$\"`\nx\\", "W": "swordfish" }));
    let outcome = tree
        .run()
        .args(["--mask=github", "--print", "env"])
        .finish();
    outcome.assert_refused(125, &["cannot be written as"]);
}

fn runners_that_cannot_be_told_draw_one_hint() {
    let tree = holding("swordfish");
    for (variable, value, name) in [
        ("GITLAB_CI", "true", "GitLab"),
        ("JENKINS_URL", "https://jenkins.example/", "Jenkins"),
        ("CIRCLECI", "true", "CircleCI"),
        ("BUILDKITE", "true", "Buildkite"),
        ("BITBUCKET_BUILD_NUMBER", "7", "Bitbucket"),
        ("CI", "woodpecker", "Woodpecker"),
        ("DRONE", "true", "Drone"),
        ("TRAVIS", "true", "Travis CI"),
        ("TEAMCITY_VERSION", "2025.07", "TeamCity"),
        ("CODEBUILD_BUILD_ID", "p:1", "CodeBuild"),
    ] {
        let run = || tree.run().env(variable, value);
        let outcome = run().args(["--", "true"]).finish();
        outcome.assert_status(0).assert_stdout("");
        let hint = format!(
            "{name} cannot mask secrets during a job; use --redact to keep them out of the log"
        );
        assert_eq!(outcome.warnings(), [hint], "{outcome}");
        for option in ["--mask=off", "--redact"] {
            let outcome = run().args([option, "--", "true"]).finish();
            assert_eq!(outcome.stderr, "", "{outcome}");
        }
    }
    // Woodpecker names itself, and says what Drone does as well.
    let run = tree.run().env("CI", "woodpecker").env("DRONE", "true");
    let outcome = run.args(["--", "true"]).finish();
    assert!(
        outcome.warnings()[0].starts_with("Woodpecker "),
        "{outcome}"
    );
    for (variable, value) in [
        ("CIRCLECI", "false"),
        ("BUILDKITE", ""),
        ("TEAMCITY_VERSION", ""),
        ("CI", "drone"),
    ] {
        let run = tree.run().env(variable, value).args(["--", "true"]);
        assert_eq!(run.finish().stderr, "", "{variable}");
    }
}
