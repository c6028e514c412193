//! `--expand-args`: the path of a file in memory in the arguments of the command, and nothing else.

use crate::support::*;

/// What a command shows of its arguments with these options.
fn arguments(tree: &Tree, options: &[&str], words: &[&str]) -> Outcome {
    let run = tree.run().args(options).args(["--", "printf", "<%s>"]);
    run.args(words).finish()
}

pub fn a_name_in_braces_is_replaced_by_the_path() {
    let (tree, dir) = (Tree::holding("A=a\nB=b\n"), TempDir::new());
    let template = format!("T={}", dir.file("in", "{{A}}").display());
    let files = ["--file", "F", "--secret-file", "A", "--template", &template];
    let options = [&files[..], &["--expand-args"]].concat();
    let words = [
        "{F}",
        "--conf={T},{A_FILE}",
        "{A}",
        "{F",
        "{ F }",
        "{X}",
        "$F",
        "{{F}}",
        "",
    ];
    let outcome = arguments(&tree, &options, &words);
    outcome.assert_status(0).assert_stdout(
        "</dev/fd/3><--conf=/dev/fd/5,/dev/fd/4><{A}><{F><{ F }><{X}><$F><{/dev/fd/3}><>",
    );
    assert_eq!(outcome.stderr, "");
    let outcome = arguments(&tree, &files, &["{F}", "{T}"]);
    outcome.assert_status(0).assert_stdout("<{F}><{T}>");
    for option in ["--exec", "--supervise", "--redact"] {
        let run = tree.run().args(&options).arg(option);
        let outcome = run.args(["--", "cat", "{T}", "{A_FILE}", "{F}"]).finish();
        let expected = if option == "--redact" {
            outcome.text()
        } else {
            "aaA=a\nB=b\n"
        };
        outcome.assert_status(0).assert_stdout(expected);
    }
    // What is not UTF-8 stays as it is.
    let run = tree
        .run()
        .args(["--file", "F", "--expand-args", "--", "printf", "%s"]);
    let odd = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"\xff{F}\xfe");
    run.arg(odd)
        .finish()
        .assert_status(0)
        .assert_stdout(b"\xff/dev/fd/3\xfe");
}

pub fn the_command_itself_is_not_replaced() {
    let tree = Tree::holding("A=a\n");
    let run = tree
        .run()
        .args(["--file", "F", "--expand-args", "--", "{F}"]);
    let outcome = run.finish();
    outcome.assert_status(127);
    assert!(outcome.stderr.contains("{F}: no such file"), "{outcome}");
}

pub fn arguments_without_a_name_draw_a_warning() {
    let tree = Tree::holding("A=a\n");
    let outcome = arguments(&tree, &["--file", "F", "--expand-args"], &["{G}", "F"]);
    outcome.assert_status(0).assert_stdout("<{G}><F>");
    assert_eq!(outcome.warnings().len(), 1, "{outcome}");
    assert!(
        outcome.stderr.contains("--expand-args: no argument"),
        "{outcome}"
    );
    let run = tree.run().arg("--expand-args");
    run.refuses(
        125,
        &["--expand-args needs --file or --secret-file or --template"],
    );
}
