//! `--print`: where secrets may be printed to, that nothing but data is on standard output, and that
//! a shell which evaluates them gets the values and runs nothing. What each format looks like is
//! tested with its readers.

pub mod handover;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::{Map, Value, json};

use crate::support::*;

tests![
    handover::docker_writes_values_as_they_are,
    handover::docker_refuses_what_a_line_cannot_hold,
    handover::docker_run_gives_a_container_the_values needs(ENGINE),
    handover::kubectl_makes_a_secret_of_the_values needs(|| tool("kubectl")),
    handover::github_is_read_by_the_runner,
    handover::github_is_told_what_to_mask_first,
    handover::github_refuses_the_names_that_the_runner_keeps,
    handover::names_are_printed_alone,
    handover::one_value_is_printed_as_it_is,
    handover::one_value_is_decoded,
    handover::a_single_value_is_one_of_one,
    every_format_is_printed,
    nothing_but_data_is_printed,
    a_regular_file_is_refused_before_anything_is_fetched,
    a_regular_file_is_written_where_it_is_meant,
    what_is_no_regular_file_is_written,
    a_terminal_is_written,
    an_output_that_cannot_be_written_is_an_error,
    a_reader_that_goes_away_is_an_error,
    a_large_set_goes_through_a_pipe_whole,
    an_output_that_is_non_blocking_gets_all_of_it,
    a_full_output_that_is_non_blocking_is_waited_for,
    nothing_is_printed_if_one_value_has_no_spelling,
    nothing_is_printed_if_one_level_does_not_open,
    the_word_print_takes_a_known_format_and_no_command,
    a_shell_that_evaluates_it_gets_the_values_and_runs_nothing needs(
        || tool("dash"),
        || tool("bash")
    ),
];

const FORMATS: [(&str, &str); 5] = [
    ("env", "B=two\nA='one and'\n"),
    ("shell", "export B='two'\nexport A='one and'\n"),
    ("fish", "set -gx B 'two'\nset -gx A 'one and'\n"),
    ("json", "{\n  \"B\": \"two\",\n  \"A\": \"one and\"\n}\n"),
    ("yaml", "B: \"two\"\nA: \"one and\"\n"),
];

fn tree() -> Tree {
    Tree::holding("B=two\nA=one and\n")
}

fn print(tree: &Tree, format: &str) -> Run {
    tree.run().args(["--print", format])
}

fn every_format_is_printed() {
    let tree = tree();
    for (format, expected) in FORMATS {
        let outcome = print(&tree, format).finish();
        outcome.assert_status(0);
        // YAML may quote its names.
        let text = match format {
            "yaml" => outcome.text().replace("\"B\"", "B").replace("\"A\"", "A"),
            _ => outcome.text().to_owned(),
        };
        assert_eq!(text, expected, "{outcome}");
        assert_eq!(outcome.stderr, "", "{outcome}");
    }
}

fn nothing_but_data_is_printed() {
    let tree = Tree::holding("B=two\nno variable\nA=$NO\n");
    for (format, _) in FORMATS {
        let quiet = print(&tree, format).arg("--quiet").finish();
        let loud = print(&tree, format).args(["--verbose", "--resolve"]);
        let loud = loud.args(["--except", "NO"]).finish();
        assert_eq!(quiet.assert_status(0).stderr, "", "{quiet}");
        loud.assert_status(0).assert_stdout(&quiet.stdout);
        assert_eq!(loud.warnings().len(), 3, "{loud}");
    }
}

fn a_regular_file_is_refused_before_anything_is_fetched() {
    let service = Service::plain();
    for redirection in [">f", ">>f", "<f 1<>f", ">f 2>&1"] {
        for (format, _) in FORMATS {
            let dir = TempDir::new();
            let file = dir.file("f", if redirection == ">>f" { "kept" } else { "" });
            let before = fs::read(&file).unwrap();
            let run = Run::on_service(&service).args(["legacy", "--print", format]);
            let run = run.args(["--api-key-file", "/no/such/file"]);
            let outcome = run.redirected(redirection).dir(dir.path()).finish();
            outcome.assert_status(125);
            let (message, after) = match redirection.ends_with("2>&1") {
                true => (fs::read_to_string(&file).unwrap(), before.clone()),
                false => (outcome.stderr.clone(), fs::read(&file).unwrap()),
            };
            let expected = "dotenv-run: standard output is a regular file\nhint: ";
            assert!(message.starts_with(expected), "{message}");
            assert!(message.contains("--allow-file") && message.lines().count() == 2);
            assert_eq!(after, before);
        }
    }
    assert!(service.requests().is_empty(), "{:?}", service.requests());
}

fn a_regular_file_is_written_where_it_is_meant() {
    let tree = tree();
    for (format, _) in FORMATS {
        let (dir, expected) = (TempDir::new(), print(&tree, format).finish());
        for (redirection, times) in [(">f", 1), (">>f", 2)] {
            let run = print(&tree, format).arg("--allow-file");
            let outcome = run.redirected(redirection).dir(dir.path()).finish();
            outcome.assert_status(0).assert_stdout("");
            let content = fs::read_to_string(dir.path().join("f")).unwrap();
            assert_eq!(content, expected.text().repeat(times));
        }
    }
    let run = tree.run().args(["--allow-file", "--list"]);
    run.finish()
        .assert_refused(125, &["--allow-file", "--print"]);
    tree.run()
        .arg("--allow-file")
        .refuses(125, &["--allow-file", "--print"]);
}

fn what_is_no_regular_file_is_written() {
    let tree = tree();
    let dir = TempDir::new();
    mkfifo(&dir.path().join("fifo"), Mode::S_IRWXU).unwrap();
    let run = print(&tree, "env").under(["sh", "-c", "cat fifo & \"$@\" >fifo; wait", "sh"]);
    let outcome = run.dir(dir.path()).finish();
    outcome.assert_status(0).assert_stdout(FORMATS[0].1);

    let outcome = print(&tree, "env").redirected(">/dev/null").finish();
    outcome.assert_status(0).assert_stdout("");

    let run = print(&tree, "env").under(["sh", "-c", "\"$@\" | cat", "sh"]);
    run.finish().assert_status(0).assert_stdout(FORMATS[0].1);
    let evaluated =
        print(&tree, "shell").under(["sh", "-c", "x=$(\"$@\") && printf %s \"$x\"", "sh"]);
    evaluated.finish().assert_stdout(FORMATS[1].1.trim_end());
}

fn a_terminal_is_written() {
    let tree = tree();
    for (format, _) in FORMATS {
        let in_pipe = print(&tree, format).finish();
        let outcome = Terminal::spawn(print(&tree, format)).wait();
        outcome.assert_status(0);
        assert_eq!(outcome.text().replace("\r\n", "\n"), in_pipe.text());
    }
}

fn an_output_that_cannot_be_written_is_an_error() {
    let tree = tree();
    for redirection in [">/dev/full", ">&-", "1</dev/null", ">&- <&-", ">&- 2>&-"] {
        for (format, _) in FORMATS {
            let outcome = print(&tree, format).redirected(redirection).finish();
            outcome.assert_status(125).assert_stdout("");
            if !redirection.contains("2>") {
                outcome.assert_refused(125, &["cannot write to standard output"]);
            }
        }
    }
}

/// More than a pipe holds.
fn large() -> (Tree, Value) {
    let value = |at: u32| (format!("N{at}"), json!("v".repeat(100_000)));
    let variables: Map<_, _> = (0..20).map(value).collect();
    let variables = Value::from(variables);
    (Tree::holding_json(&variables), variables)
}

fn a_reader_that_goes_away_is_an_error() {
    let (tree, _) = large();
    let script = "{ \"$@\"; echo \"status $?\" >&2; } | head -c 1";
    for (format, _) in FORMATS {
        let outcome = print(&tree, format)
            .under(["sh", "-c", script, "sh"])
            .finish();
        outcome.assert_status(0);
        let expected = "dotenv-run: cannot write to standard output: broken pipe\nstatus 125\n";
        assert_eq!(outcome.stderr, expected, "{format}");
    }
}

fn a_large_set_goes_through_a_pipe_whole() {
    let (tree, variables) = large();
    assert_eq!(tree.run().values(), variables);
    let script = "\"$@\" | { read first; echo \"$first\"; cat; }";
    for (format, _) in FORMATS {
        let at_once = print(&tree, format).finish();
        let late = print(&tree, format).under(["sh", "-c", script, "sh"]);
        late.finish()
            .assert_status(0)
            .assert_stdout(&at_once.stdout);
    }
}

/// Whoever started us has made it so, and shares it with us.
fn an_output_that_is_non_blocking_gets_all_of_it() {
    let (tree, _) = large();
    let script = "\"$@\" | { read first; echo \"$first\"; cat; }";
    let under = |run: Run| run.under(non_blocking(&[1], Fill::Nothing));
    for (format, _) in FORMATS {
        let blocking = print(&tree, format).finish();
        let run = under(print(&tree, format)).under(["sh", "-c", script, "sh"]);
        let outcome = run.finish();
        outcome.assert_status(0).assert_stdout(&blocking.stdout);
        assert_eq!(outcome.stderr, "", "{format}");
    }
    let expected = print(&tree, "env").finish();
    let outcome = Terminal::spawn(under(print(&tree, "env"))).wait();
    outcome.assert_status(0);
    assert_eq!(outcome.text().replace("\r\n", "\n"), expected.text());
}

/// Runs it with a full, non-blocking pipe as `descriptor` until somebody reads, and returns what came behind what filled
/// the pipe.
#[track_caller]
pub fn through_a_full_pipe(run: Run, descriptor: i32) -> String {
    let dir = TempDir::new();
    let go = dir.fifo("go").display().to_string();
    let script = format!(
        "(sleep 0.3; echo >\"$0\") & \\
         {{ \"$@\" {descriptor}>&9 9>&-; }} 9>&1 >/dev/null 2>/dev/null | {{ read x <\"$0\"; cat; }}"
    );
    let run = run.under(non_blocking(&[descriptor], Fill::Pipes));
    let outcome = run.under(["sh", "-c", &script, &go]).finish();
    let written = outcome.text().trim_start_matches('\0').to_owned();
    assert!(outcome.text().len() > written.len() + 4096, "{outcome}");
    written
}

fn a_full_output_that_is_non_blocking_is_waited_for() {
    let tree = tree();
    let runs = [
        print(&tree, "env"),
        tree.run().arg("--list"),
        tree.run().args(["--list", "--json"]),
        Run::dotenv_run().arg("--help"),
        Run::dotenv_run().args(["--completions", "bash"]),
        Run::dotenv_run().arg("--version"),
        Run::dotenv_seal().arg("--help"),
        Run::dotenv_seal().arg("list").arg(tree.root()),
    ];
    for run in runs {
        let expected = run.clone().finish();
        expected.assert_status(0);
        assert_eq!(through_a_full_pipe(run, 1), expected.text());
    }
    let check = tree.run().args(["--check", "--", "true"]);
    assert!(through_a_full_pipe(check, 1).contains("true"));
    // A message is not lost either.
    let failing = tree.run().args(["--only", "MISSING", "--print", "env"]);
    let expected = failing.clone().finish();
    assert_eq!(through_a_full_pipe(failing, 2), expected.stderr);
}

fn nothing_is_printed_if_one_value_has_no_spelling() {
    let tree = Tree::holding_json(&json!({ "A": "fine", "B": "'\"#\\\n$A sk_live", "C": "fine" }));
    let outcome = print(&tree, "env").finish();
    outcome.assert_refused(125, &["B cannot be written as", "env", "\nhint: "]);
    assert!(!outcome.stderr.contains("sk_live"), "{outcome}");
    for format in ["shell", "fish", "json", "yaml"] {
        print(&tree, format).finish().assert_status(0);
    }
    let run = print(&tree, "env").args(["--except", "B"]);
    run.finish()
        .assert_status(0)
        .assert_stdout("A=fine\nC=fine\n");
}

fn nothing_is_printed_if_one_level_does_not_open() {
    let project = Project::new("p", Custody::legacy());
    let tree = Tree::of_project(project.level("", "A=a\n").level("t", "B=b\n"));
    tree.edit(&tree.secrets("p/t"), flip_bit("target", 200));
    let run = tree.dotenv_run().args(["p/t", "--print", "json"]);
    run.finish().assert_refused(125, &["level target"]);
}

fn the_word_print_takes_a_known_format_and_no_command() {
    let tree = tree();
    for format in [
        "",
        "ENV",
        "dotenv",
        "yml",
        "sh",
        "bash",
        "dockerfile",
        "raw:hex",
        "raw:",
        "env,json",
        " env",
    ] {
        let outcome = print(&tree, format).finish();
        let says = "--print: must be env, shell, fish, json, yaml, docker, github, names, raw or raw:base64";
        outcome.assert_refused(125, &[says]);
    }
    print(&tree, "env").refuses(125, &["--print takes no command"]);
    let run = tree.run().args(["--print", "env", "--file", "F"]);
    run.finish().assert_refused(125, &["--print", "--file"]);
    let outcome = tree.run().arg("--print").finish();
    outcome.assert_refused(125, &["--print", "value"]);
}

/// Values that a shell would act upon if it could.
fn traps() -> Vec<String> {
    let acts = ["touch pwned", "exit 3", "kill $$"];
    let wrapped = acts.map(|act| {
        let around = [
            ("$(", ")"),
            ("`", "`"),
            ("';", ";'"),
            ("\";", ";\""),
            ("\n", "\n"),
            ("\\'; ", " #"),
        ];
        around.map(|(before, after)| format!("{before}{act}{after}"))
    });
    let plain = [
        "",
        "'",
        "''",
        "\"",
        "\\",
        "\\'",
        "a\\",
        "'\\''",
        "\n",
        "\n\n",
        "x\n",
        "\r\n",
        " a  b ",
        "\t",
        "$HOME",
        "${A0}",
        "$'\\n'",
        "!!",
        "~",
        "*",
        "?[a-z]",
        "# no",
        "a=b",
        "-n",
        "&& ls",
        "| cat",
        ">f",
        "\u{7f}\u{1}",
        "äöü €",
        "EOF\n$(id)",
    ];
    wrapped
        .into_iter()
        .flatten()
        .chain(plain.map(String::from))
        .collect()
}

fn a_shell_that_evaluates_it_gets_the_values_and_runs_nothing() {
    let values = traps();
    let pairs = values.iter().enumerate();
    let variables: Map<_, _> = pairs
        .map(|(at, value)| (format!("A{at}"), json!(value)))
        .collect();
    let tree = Tree::holding_json(&Value::from(variables.clone()));
    let script = "set -eu; text=$(\"$@\"); eval \"$text\"; env -0";
    let words: &[&[&str]] = &[&["dash"], &["bash"], &["bash", "--posix"]];
    for shell in words {
        let dir = TempDir::new();
        let run = print(&tree, "shell").under([shell, &["-c", script, "sh"][..]].concat());
        let outcome = run.dir(dir.path()).finish();
        outcome.assert_status(0);
        let entries: Vec<_> = outcome
            .stdout
            .split(|byte| *byte == 0)
            .map(OsStr::from_bytes)
            .collect();
        for (name, value) in &variables {
            let entry = format!("{name}={}", value.as_str().unwrap());
            assert!(
                entries.contains(&OsStr::new(&entry)),
                "{entry:?}\n{outcome}"
            );
        }
        let left = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!((left, outcome.stderr.as_str()), (0, ""), "{outcome}");
    }
}
