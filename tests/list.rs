//! `--list`: names, where they come from and how long their values are, in a form that fits where
//! standard output leads; never a value or a part of one.

use serde_json::{Value, json};

use crate::support::*;

tests![
    a_list_in_a_pipe_is_separated_by_tabs,
    a_list_on_a_terminal_is_aligned_and_coloured,
    a_list_on_a_terminal_is_plain_where_colours_are_not_wanted,
    a_list_is_an_array_of_objects_for_scripts,
    a_list_shows_no_part_of_a_value,
    lengths_are_shown_in_classes,
    a_list_shows_what_was_selected,
    a_list_may_be_kept_in_a_file,
    a_list_that_cannot_be_written_is_an_error,
    a_list_takes_no_command_and_no_other_output,
    a_list_needs_every_level_to_open,
];

/// Three levels that override each other in every way, with values that nothing else can show.
fn tree() -> Tree {
    let project = Project::new("p", Custody::legacy())
        .level(
            "",
            "ALL=qqqqqqqq\nTOP=wwwwwwww\nA_LONG_ONE=zzzz\nEMPTIED=vvvv\n",
        )
        .level(
            "t",
            "ALL=jjjjjjjjjjjjjjjjjjjjjj\nA_LONG_ONE=yyyyyyyyyyyyyyyyyyyy\nMID=kkkk\n",
        )
        .level(
            "t/e",
            "ALL=xxxxxxxx\nEMPTIED=\nOWN='hhhh\nhhhh'\nMID=gggg\n",
        );
    Tree::of_project(project)
}

/// Name, level, levels that are overridden, class of the length.
const ROWS: [[&str; 4]; 6] = [
    ["ALL", "environment", "project,target", "1-15"],
    ["TOP", "project", "-", "1-15"],
    ["A_LONG_ONE", "target", "project", "16-63"],
    ["EMPTIED", "environment", "project", "empty"],
    ["MID", "environment", "target", "1-15"],
    ["OWN", "environment", "-", "1-15"],
];

fn list(tree: &Tree) -> Run {
    tree.dotenv_run().args(["p/t/e", "--list"])
}

fn tabbed() -> String {
    ROWS.iter().map(|row| row.join("\t") + "\n").collect()
}

fn a_list_in_a_pipe_is_separated_by_tabs() {
    let tree = tree();
    for run in [
        list(&tree),
        list(&tree).env("NO_COLOR", "1"),
        list(&tree).arg("-v"),
    ] {
        let outcome = run.finish();
        outcome.assert_status(0).assert_stdout(tabbed());
    }
    let target = tree.dotenv_run().args(["p/t", "--list"]).finish();
    assert!(
        target.text().starts_with("ALL\ttarget\tproject\t16-63\n"),
        "{target}"
    );
    let alone = list(&tree).arg("--level-only").finish();
    assert!(
        alone.text().starts_with("ALL\tenvironment\t-\t1-15\n"),
        "{alone}"
    );
}

/// What a terminal shows, its line ends made plain.
#[track_caller]
fn shown(run: Run) -> String {
    let outcome = Terminal::spawn(run).wait();
    outcome.assert_status(0);
    outcome.text().replace("\r\n", "\n")
}

/// Without the colours.
fn plain(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.filter_map(|part| part.split_once('m'));
    first + &rest.map(|(_, text)| text).collect::<String>()
}

const TABLE: &str = "\
NAME        LEVEL        OVERRIDES       LENGTH
ALL         environment  project,target  1-15
TOP         project      -               1-15
A_LONG_ONE  target       project         16-63
EMPTIED     environment  project         empty
MID         environment  target          1-15
OWN         environment  -               1-15
";

fn a_list_on_a_terminal_is_aligned_and_coloured() {
    let tree = tree();
    let text = shown(list(&tree));
    assert_eq!(plain(&text), TABLE);
    assert!(text.starts_with("\u{1b}[1mNAME"), "{text:?}");
    assert!(text.contains("\u{1b}[2mEMPTIED"), "{text:?}");
    let ended = |line: &str| !line.contains('\u{1b}') || line.ends_with("\u{1b}[0m");
    assert!(text.lines().all(ended), "{text:?}");
    // An empty variable says nothing.
    assert_eq!(shown(list(&tree).env("NO_COLOR", "")), text);
}

fn a_list_on_a_terminal_is_plain_where_colours_are_not_wanted() {
    let tree = tree();
    for value in ["1", "0", "false"] {
        assert_eq!(shown(list(&tree).env("NO_COLOR", value)), TABLE);
    }
}

fn a_list_is_an_array_of_objects_for_scripts() {
    let tree = tree();
    let row = |[name, level, overrides, length]: [&str; 4]| {
        let overrides: Vec<_> = overrides.split(',').filter(|level| *level != "-").collect();
        json!({ "name": name, "level": level, "overrides": overrides, "length": length })
    };
    let expected: Vec<_> = ROWS.into_iter().map(row).collect();
    let run = list(&tree).arg("--json");
    let outcome = run.clone().finish();
    let list: Value = serde_json::from_slice(&outcome.assert_status(0).stdout).unwrap();
    assert_eq!(list, json!(expected));
    assert!(outcome.text().ends_with("]\n"), "{outcome}");
    assert_eq!(shown(run), outcome.text());
}

fn a_list_shows_no_part_of_a_value() {
    let tree = tree();
    for option in ["--quiet", "--json", "--verbose", "--resolve"] {
        let run = list(&tree).arg(option);
        let outcome = run.clone().finish();
        let all = outcome.text().to_owned() + &outcome.stderr + &shown(run);
        // No letter of a value is in a name, a level or a word of ours twice.
        for letter in "qwzvjykxhg".chars() {
            let part = format!("{letter}{letter}");
            assert!(!all.contains(&part), "{part} in {all}");
        }
    }
    let long = Tree::holding("A=a\nTOKEN=sk_live_0123456789\n");
    let outcome = long.run().arg("--list").finish();
    outcome
        .assert_status(0)
        .assert_stdout("A\tproject\t-\t1-15\nTOKEN\tproject\t-\t16-63\n");
}

fn lengths_are_shown_in_classes() {
    let classes = [
        (0, "empty"),
        (1, "1-15"),
        (15, "1-15"),
        (16, "16-63"),
        (63, "16-63"),
        (64, "64-255"),
        (255, "64-255"),
        (256, "256-1023"),
        (1023, "256-1023"),
        (1024, "1024-16383"),
        (16383, "1024-16383"),
        (16384, "16384+"),
        (1_000_000, "16384+"),
    ];
    let lines = classes
        .iter()
        .map(|(length, _)| format!("N{length}=\"{}\"\n", "x".repeat(*length)));
    let tree = Tree::holding(&lines.collect::<String>());
    let outcome = tree.run().arg("--list").finish();
    let row = |(length, class): &(usize, &str)| format!("N{length}\tproject\t-\t{class}\n");
    outcome
        .assert_status(0)
        .assert_stdout(classes.iter().map(row).collect::<String>());
    // The length is that of the value, in bytes, and not of how it is written.
    let tree = Tree::holding("A=\"\\n\\n\\n\\n\\n\\n\\n\\n\"\nB=ääääääää\nC=$B$B$B$B\n");
    let rows = ["1-15", "16-63", "1-15"];
    let resolved = ["1-15", "16-63", "64-255"];
    for (option, expected) in [("--quiet", rows), ("--resolve", resolved)] {
        let outcome = tree.run().args(["--list", option]).finish();
        let classes = outcome
            .text()
            .lines()
            .map(|line| line.split('\t').next_back().unwrap());
        assert_eq!(classes.collect::<Vec<_>>(), expected, "{outcome}");
    }
}

fn a_list_shows_what_was_selected() {
    let tree = tree();
    let run = list(&tree).args(["--only", "ALL,TOP,MID", "--except", "TOP"]);
    let outcome = run
        .args(["--rename", "ALL=LD_PRELOAD", "--prefix", "P_"])
        .finish();
    let expected =
        "P_LD_PRELOAD\tenvironment\tproject,target\t1-15\nP_MID\tenvironment\ttarget\t1-15\n";
    outcome.assert_status(0).assert_stdout(expected);
    // A name that would be refused for a command can be looked at.
    let outcome = list(&tree)
        .args(["--only", "TOP", "--rename", "TOP=LD_PRELOAD"])
        .finish();
    outcome
        .assert_status(0)
        .assert_stdout("LD_PRELOAD\tproject\t-\t1-15\n");
    let none = list(&tree).args(["--except", "*"]);
    none.clone().finish().assert_refused(125, &["no secret"]);
    none.clone()
        .arg("--allow-empty")
        .finish()
        .assert_status(0)
        .assert_stdout("");
    none.args(["--allow-empty", "--json"])
        .finish()
        .assert_stdout("[]\n");
}

fn a_list_may_be_kept_in_a_file() {
    let (tree, dir) = (tree(), TempDir::new());
    let outcome = list(&tree).redirected(">out").dir(dir.path()).finish();
    outcome.assert_status(0);
    let text = std::fs::read_to_string(dir.path().join("out")).unwrap();
    assert_eq!(text, tabbed());
}

fn a_list_that_cannot_be_written_is_an_error() {
    let tree = tree();
    for redirection in [">/dev/full", ">&-", "1</dev/null"] {
        let outcome = list(&tree).redirected(redirection).finish();
        outcome.assert_refused(125, &["standard output"]);
    }
}

fn a_list_takes_no_command_and_no_other_output() {
    let tree = tree();
    list(&tree).refuses(125, &["--list", "command"]);
    for (options, named) in [
        ("--list --print env", "--print"),
        ("--list --file F", "--file"),
        ("--json", "--list"),
        ("--print json --json", "--json"),
        ("--list=x", "value"),
    ] {
        let outcome = tree.dotenv_run().arg("p").args(options.split(' ')).finish();
        outcome.assert_refused(125, &[named]);
    }
}

fn a_list_needs_every_level_to_open() {
    let tree = tree();
    tree.edit(&tree.secrets("p/t/e"), flip_bit("project", 200));
    list(&tree).finish().assert_refused(125, &["level project"]);
}
