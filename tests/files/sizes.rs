//! Sets that are too large for an environment: a file in memory is the way out.

use std::fmt::Write;

use crate::support::*;

/// The largest `NAME=value` that the kernel takes, without its NUL.
const LARGEST: usize = 128 * 1024 - 1;

/// A text with one variable whose `NAME=value` has this size.
fn text_of(size: usize) -> String {
    format!("BIG={}\n", "b".repeat(size - "BIG=".len()))
}

pub fn a_refusal_for_size_names_the_way_out() {
    let mut text = text_of(100_000);
    (0..300).for_each(|at| writeln!(text, "N{at}={}", "v".repeat(10_000)).unwrap());
    let set = Tree::holding(&text);
    let variable = Tree::holding(&(text_of(LARGEST + 1) + "A=a\n"));
    for (tree, named) in [
        (&set, "the largest secret is BIG"),
        (&variable, "BIG has 131072 bytes"),
    ] {
        let run = tree
            .run()
            .under(["sh", "-c", "ulimit -s 8192; exec \"$@\"", "sh"]);
        for options in [&["--exec"][..], &["--supervise"], &["--file", "F=json"]] {
            let fragments = [named, "\nhint: use --file VAR --file-only"];
            run.clone().args(options).refuses(125, &fragments);
        }
        // The way out, and other ones.
        let run = tree.run().args(["--file", "F=json", "--file-only"]);
        let run = run.args(["--", "sh", "-c", "cat \"$F\""]);
        let printed = tree.run().args(["--print", "json"]).finish();
        run.finish().assert_status(0).assert_stdout(&printed.stdout);
        tree.run()
            .args(["--except", "N*,BIG", "--allow-empty", "--", "true"])
            .finish()
            .assert_status(0);
    }
    let inherited = variable.run().env("BIG", "small").arg("--preserve-env");
    inherited.assert_shows("BIG", "small");
}

/// More than any environment, and more than a user may lock by default.
pub fn ten_megabytes_go_through_a_file() {
    let value = "0123456789abcde\n".repeat(10 * 1024 * 1024 / 16);
    let tree = Tree::holding(&format!("BIG='{value}'\nA=a\n"));
    for option in ["--exec", "--supervise"] {
        let run = tree.run().args([option, "--file", "F=env", "--file-only"]);
        let outcome = run
            .args(["--", "sh", "-c", "wc -c <\"$F\"; tail -n 1 \"$F\"; env"])
            .finish();
        let size = "BIG=''\nA=a\n".len() + value.len();
        outcome.assert_status(0);
        assert!(
            outcome.text().starts_with(&format!("{size}\nA=a\n")),
            "{outcome}"
        );
        assert!(!outcome.text().contains("BIG"), "{outcome}");
        let run = tree.run().args([
            "--file",
            "F=env",
            "--file-only",
            "--",
            "sh",
            "-c",
            "cat \"$F\"",
        ]);
        let expected = format!("BIG='{value}'\nA=a\n");
        assert!(run.finish().stdout == expected.as_bytes());
    }
}
