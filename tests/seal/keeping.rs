//! Living with a tree: single variables, comparisons, removal, new names, and whether all of it is as it should be.

use std::fs::{self, File};
use std::path::Path;

use super::store::*;
use crate::support::*;

/// A command with [`CLIENT_KEY`], its tree and its operands.
fn command(name: &str, root: &Path, operands: &[&str]) -> Run {
    let run = seal_program(&[name]).arg(root).args(operands);
    run.env("DOTENV_CLIENT_KEY", CLIENT_KEY)
}

/// The same for a command that seals: the projects of the tests are fast to derive a key for.
fn sealing(name: &str, root: &Path, operands: &[&str]) -> Run {
    command(name, root, operands).arg("--allow-weak-key")
}

/// What it says beside the warning about such a key.
fn said(outcome: &Outcome) -> Vec<&str> {
    let lines = outcome.stderr.lines();
    lines
        .filter(|line| !line.contains("weakly protected"))
        .collect()
}

/// The text of a level, as `get` prints it.
#[track_caller]
fn text_of(root: &Path, path: &str) -> String {
    let outcome = command("get", root, &[path]).finish();
    outcome.assert_status(0);
    assert_eq!(outcome.stderr, "", "{outcome}");
    outcome.text().to_owned()
}

const LEVEL: &str =
    "# the first\nexport A = 'old' # why\n\nB=\"two\nlines\" # b\nC=`c`\nA=older\n# the last";

/// A tree whose project has a level with comments, quotes and a name that is there twice.
fn commented() -> Tree {
    let tree = Tree::example();
    put(tree.root(), "my-app", LEVEL).finish().assert_status(0);
    tree
}

pub fn one_variable_is_set_and_the_text_around_it_stays() {
    let tree = commented();
    let cases = [
        ("A", "new", LEVEL.replace("A=older", "A=new")),
        ("A", "it's $X", LEVEL.replace("A=older", r"A='it\'s $X'")),
        ("B", "one", LEVEL.replace("\"two\nlines\"", "one")),
        ("D", "a #b", format!("{LEVEL}\nD='a #b'\n")),
    ];
    for (name, value, expected) in cases {
        put(tree.root(), "my-app", LEVEL).finish().assert_status(0);
        let run = sealing("set", tree.root(), &["my-app", name]);
        let outcome = run.stdin(format!("{value}\n")).finish();
        outcome.assert_status(0).assert_stdout("");
        let lines = said(&outcome);
        assert!(
            matches!(
                lines[..],
                ["dotenv-seal: my-app: 1 changed" | "dotenv-seal: my-app: 1 added"]
            ),
            "{outcome}"
        );
        assert_eq!(text_of(tree.root(), "my-app"), expected);
        let one = command("get", tree.root(), &["my-app", name]).finish();
        one.assert_status(0).assert_stdout(value);
        assert_whole_of(&tree, "my-app");
    }
    // Below it, it is inherited.
    let run = dotenv_run(tree.root(), "my-app/production/api", CLIENT_KEY);
    let outcome = run.args(["-q", "--", "printenv", "D"]).finish();
    outcome.assert_status(0).assert_stdout("a #b\n");
    let run = sealing("set", tree.root(), &["my-app", "D", "-q"]).stdin("a #b");
    let unchanged = snapshot(tree.root());
    assert_eq!(run.finish().assert_status(0).stderr, "");
    assert_eq!(snapshot(tree.root()), unchanged, "nothing is sealed again");
}

pub fn every_value_is_set_as_it_is_given() {
    let tree = commented();
    for value in [
        " ",
        "#",
        "'",
        "\"",
        "'\"",
        "\\",
        "\\\\'",
        "a\\",
        "\n\n",
        "x\r\ny",
        "a\rb",
        "$A",
        "`",
        "é\u{2028}\u{feff}",
        "-----BEGIN X-----\nYQ==\n-----END X-----\n",
        "'\\\"\n",
        "\u{1b}[31m",
        &"long ".repeat(10_000),
    ] {
        let run = sealing("set", tree.root(), &["my-app", "B"]);
        run.stdin(format!("{value}\n")).finish().assert_status(0);
        let outcome = command("get", tree.root(), &["my-app", "B"]).finish();
        outcome.assert_status(0).assert_stdout(value);
        let rest = text_of(tree.root(), "my-app");
        assert!(
            rest.starts_with("# the first\nexport A = 'old' # why\n\nB="),
            "{rest}"
        );
        assert!(rest.ends_with(" # b\nC=`c`\nA=older\n# the last"), "{rest}");
    }
}

pub fn a_value_is_typed_without_echo() {
    let tree = commented();
    let mut terminal = Terminal::spawn(sealing("set", tree.root(), &["my-app", "A"]));
    terminal.expect("value of A: ");
    assert!(!terminal.echoes());
    terminal.send("swordfish\n");
    let outcome = terminal.wait();
    outcome.assert_status(0);
    assert!(!outcome.text().contains("swordfish"), "{outcome}");
    let one = command("get", tree.root(), &["my-app", "A"]).finish();
    one.assert_status(0).assert_stdout("swordfish");
}

pub fn a_value_that_is_none_is_not_set() {
    let tree = commented();
    let set =
        |name: &str, value: &[u8]| sealing("set", tree.root(), &["my-app", name]).stdin(value);
    for (run, fragments) in [
        (set("A", b""), ["no value for A", "--allow-empty"]),
        (set("A", b"\n"), ["no value for A", "--allow-empty"]),
        (set("A", b"x\0y\n"), ["A", "cannot represent"]),
        (set("A", b"\xff\n"), ["A", "UTF-8"]),
        (set("PATH", b"/bin\n"), ["PATH", "--allow-unsafe-env"]),
        (set("A-B", b"1\n"), ["NAME", "name of a variable"]),
        (set("1A", b"1\n"), ["NAME", "name of a variable"]),
        (set("A=1", b"1\n"), ["NAME", "name of a variable"]),
    ] {
        assert_refused_untouched(tree.root(), run, &fragments);
    }
    set("A", b"").arg("--allow-empty").finish().assert_status(0);
    let one = command("get", tree.root(), &["my-app", "A"]).finish();
    one.assert_status(0).assert_stdout("");
    let allowed = ["--allow-unsafe-env", "PATH"];
    set("PATH", b"/bin").args(allowed).finish().assert_status(0);
    let nowhere = sealing("set", tree.root(), &["nothing/here", "A"]).stdin("1");
    assert_refused_untouched(tree.root(), nowhere, &["nothing"]);
    let wrong = set("A", b"1").env("DOTENV_CLIENT_KEY", "another key");
    assert_refused_untouched(tree.root(), wrong, &["key"]);
}

pub fn variables_are_removed_with_their_lines() {
    let tree = commented();
    let unset = |names: &[&str]| sealing("unset", tree.root(), &[&["my-app"], names].concat());
    assert_refused_untouched(
        tree.root(),
        unset(&["A", "NO_SUCH"]),
        &["my-app", "NO_SUCH"],
    );
    let outcome = unset(&["A", "B"]).finish();
    outcome.assert_status(0).assert_stdout("");
    assert_eq!(said(&outcome), ["dotenv-seal: my-app: 2 removed"]);
    assert_eq!(
        text_of(tree.root(), "my-app"),
        "# the first\n\nC=`c`\n# the last"
    );
    assert_whole_of(&tree, "my-app");
}

pub fn what_was_put_is_printed_as_it_was() {
    let tree = commented();
    for text in [
        LEVEL,
        "A=1\r\nB=2\r\n",
        "\u{feff}A=1",
        "A='\n\n'\n\n\n",
        "A=\u{1b}[31m\t\n",
    ] {
        put(tree.root(), "my-app/production/api", text)
            .finish()
            .assert_status(0);
        assert_eq!(text_of(tree.root(), "my-app/production/api"), text);
        let again = text_of(tree.root(), "my-app/production/api");
        let before = snapshot(tree.root());
        put(tree.root(), "my-app/production/api", again)
            .finish()
            .assert_status(0);
        assert_eq!(
            snapshot(tree.root()),
            before,
            "the same text is not sealed again"
        );
    }
    let get = |operands: &[&str]| command("get", tree.root(), operands);
    assert_refused_untouched(
        tree.root(),
        get(&["my-app", "NO_SUCH"]),
        &["my-app", "NO_SUCH"],
    );
    assert_refused_untouched(tree.root(), get(&["my-app/no/such"]), &["my-app/no/such"]);
    assert_refused_untouched(tree.root(), get(&["legacy"]), &["legacy", "client-managed"]);
}

pub fn secrets_are_not_printed_to_a_file_unasked() {
    let (tree, dir) = (commented(), TempDir::new());
    let file = dir.path().join("out");
    let other = "my-app/production";
    let cases: [&[&str]; 3] = [
        &["get", "my-app"],
        &["get", "my-app", "A"],
        &["diff", "my-app", other, "--values"],
    ];
    for words in cases {
        let to_file = ["sh", "-c", "exec \"$@\" >\"$0\"", file.to_str().unwrap()];
        let run = command(words[0], tree.root(), &words[1..]).under(to_file);
        let refused = run.clone().finish();
        refused.assert_status(125);
        assert!(refused.stderr.contains("--allow-file"), "{refused}");
        assert_eq!(fs::read(&file).unwrap(), b"");
        run.arg("--allow-file").finish().assert_status(0);
        assert!(!fs::read(&file).unwrap().is_empty());
        File::create(&file).unwrap();
    }
}

pub fn a_comparison_lists_names_and_values_on_demand() {
    let tree = Tree::example();
    put(tree.root(), "my-app", "A=1\nB=2\nC=3\n")
        .finish()
        .assert_status(0);
    put(tree.root(), "my-app/production", "B='2'\nC=\"x\ty\"\nD=4\n")
        .finish()
        .assert_status(0);
    let paths = ["my-app", "my-app/production"];
    let outcome = command("diff", tree.root(), &paths).finish();
    outcome.assert_status(0).assert_stdout("- A\n~ C\n+ D\n");
    let outcome = command("diff", tree.root(), &paths)
        .arg("--values")
        .finish();
    let expected = "- A\t\"1\"\n~ C\t\"3\" -> \"x\\ty\"\n+ D\t\"4\"\n";
    outcome.assert_status(0).assert_stdout(expected);
    let run = command("diff", tree.root(), &["my-app"]);
    let outcome = run.clone().stdin("A=1\nB=3\n# C=3\n").finish();
    outcome.assert_status(0).assert_stdout("- C\n~ B\n");
    let same = run.clone().stdin("C=3\nB='2'\nA=1\n").finish();
    same.assert_status(0).assert_stdout("");
    assert_refused_untouched(tree.root(), run.stdin("A='"), &["standard input", "line 1"]);
}

pub fn a_path_is_removed_with_those_below_on_demand() {
    let tree = commented();
    let places = || Store::of(tree.root()).places();
    let before = places();
    assert!(
        before.iter().any(|path| path == "my-app/production/api"),
        "{before:?}"
    );
    let remove = |path: &str| sealing("rm", tree.root(), &[path]);
    let below = ["my-app/production", "my-app/production/api", "--recursive"];
    assert_refused_untouched(tree.root(), remove("my-app/production"), &below);
    assert_refused_untouched(tree.root(), remove("my-app/no/such"), &["my-app/no/such"]);
    remove("my-app/production/api").finish().assert_status(0);
    assert!(!places().contains(&"my-app/production/api".to_owned()));
    assert_whole_of(&tree, "my-app");
    remove("my-app/production")
        .arg("--recursive")
        .finish()
        .assert_status(0);
    assert!(
        !places()
            .iter()
            .any(|path| path.starts_with("my-app/production"))
    );
    assert_whole_of(&tree, "my-app");
    let run = dotenv_run(tree.root(), "my-app/production", CLIENT_KEY);
    run.refuses(125, &["my-app/production"]);
    put(tree.root(), "my-app/production", "A=1\n")
        .finish()
        .assert_status(0);
    remove("my-app")
        .arg("--recursive")
        .finish()
        .assert_status(0);
    let left = places();
    assert!(
        !left.iter().any(|path| path.starts_with("my-app")),
        "{left:?}"
    );
    let others = before.iter().filter(|path| !path.starts_with("my-app"));
    assert!(others.eq(left.iter()), "{left:?}");
    let directory = tree.manifest("my-app").parent().unwrap().to_owned();
    assert!(!directory.exists(), "nothing is left of the project");
}

/// The tree of the example has projects of other custodies, too.
#[track_caller]
fn assert_whole_of(tree: &Tree, project: &str) {
    let outcome = command("verify", tree.root(), &[project]).finish();
    outcome.assert_status(0);
    assert!(
        outcome.text().lines().all(|line| line.ends_with("\tok")),
        "{outcome}"
    );
}

pub fn a_terminal_is_asked_before_paths_below_are_removed() {
    let tree = commented();
    for (answer, status) in [("n\n", 125), ("\n", 125), ("\u{4}", 125), ("y\n", 0)] {
        let before = snapshot(tree.root());
        let mut terminal = Terminal::spawn(sealing("rm", tree.root(), &["my-app/production"]));
        terminal.expect("my-app/production/api");
        terminal.expect("[y/N]");
        terminal.send(answer);
        terminal.wait().assert_status(status);
        assert_eq!(snapshot(tree.root()) == before, status != 0, "{answer:?}");
    }
    assert_whole_of(&tree, "my-app");
}

pub fn a_path_is_renamed_with_those_below() {
    let tree = commented();
    put(tree.root(), "my-app/production/api", "DEEP=1\n")
        .finish()
        .assert_status(0);
    put(tree.root(), "my-app/other", "A=1\n")
        .finish()
        .assert_status(0);
    let levels = |path: &str| Store::of(tree.root()).levels(path);
    let (target, deep) = (levels("my-app/production"), levels("my-app/production/api"));
    let rename = |from: &str, to: &str| sealing("mv", tree.root(), &[from, to]);
    for (from, to, fragment) in [
        ("my-app/production", "my-app/other", "already exists"),
        ("my-app/production", "my-app/production", "same"),
        ("my-app/production", "my-app", "segments"),
        (
            "my-app/production",
            "other/production",
            "within its project",
        ),
        ("my-app/production", "my-app/manifest", "manifest"),
        ("my-app", "my-app-2", "within its project"),
        ("my-app/no", "my-app/such", "my-app/no"),
    ] {
        assert_refused_untouched(tree.root(), rename(from, to), &[fragment]);
    }
    rename("my-app/production", "my-app/live")
        .finish()
        .assert_status(0);
    assert_eq!(levels("my-app/live"), target);
    assert_eq!(levels("my-app/live/api"), deep);
    assert!(
        !Store::of(tree.root())
            .places()
            .contains(&"my-app/production".to_owned())
    );
    assert_whole_of(&tree, "my-app");
    // To a target that has to be made, and that inherits.
    rename("my-app/live/api", "my-app/new/web")
        .finish()
        .assert_status(0);
    assert_eq!(text_of(tree.root(), "my-app/new/web"), "DEEP=1\n");
    let none = command("get", tree.root(), &["my-app/new"]);
    assert_refused_untouched(tree.root(), none, &["my-app/new", "no level of its own"]);
    assert_whole_of(&tree, "my-app");
    let run = dotenv_run(tree.root(), "my-app/new/web", CLIENT_KEY);
    let outcome = run.args(["-q", "--", "printenv", "DEEP"]).finish();
    outcome.assert_status(0).assert_stdout("1\n");
}

/// Killed at each of its renames(2), and called again.
pub fn an_interrupted_renaming_is_completed() {
    for nth in 1.. {
        let tree = commented();
        put(tree.root(), "my-app/production/api", "DEEP=1\n")
            .finish()
            .assert_status(0);
        let levels = |path: &str| Store::of(tree.root()).levels(path);
        let (target, deep) = (levels("my-app/production"), levels("my-app/production/api"));
        let inject = format!("inject=/^(rename|unlink):signal=KILL:when={nth}");
        let killed = ["strace", "-qq", "-o", "/dev/null", "-e", &inject, "--"];
        let run = sealing("mv", tree.root(), &["my-app/production", "my-app/live"]);
        let outcome = run.clone().under(killed).finish();
        let is_complete = outcome.status.success();
        if !is_complete {
            let found = |path| {
                Store::of(tree.root())
                    .places()
                    .contains(&String::from(path))
            };
            assert!(
                found("my-app/production/api") || found("my-app/live/api"),
                "after {nth}"
            );
            let again = run.finish();
            // All of it may have been done but for the last line.
            let is_gone = !found("my-app/production");
            assert!(
                again.status.success() || is_gone && again.stderr.contains("no such"),
                "{again}"
            );
        }
        assert_eq!(levels("my-app/live"), target, "after {nth}");
        assert_eq!(levels("my-app/live/api"), deep, "after {nth}");
        sealing("set", tree.root(), &["my-app", "X"])
            .stdin("1")
            .finish()
            .assert_status(0);
        assert!(
            dotenv_run(tree.root(), "my-app/live/api", CLIENT_KEY)
                .args(["-q", "--", "true"])
                .finish()
                .status
                .success()
        );
        if is_complete {
            assert!(nth > 8, "it renames and removes more than {nth} files");
            return;
        }
    }
}

pub fn every_flaw_of_a_tree_is_found() {
    type Harm = fn(&Tree);
    let harms: [(&str, Harm, &str); 6] = [
        (
            "my-app/production",
            |tree| fs::remove_file(tree.secrets("my-app/production")).unwrap(),
            "missing",
        ),
        (
            "my-app/production",
            |tree| tree.write(&tree.secrets("my-app/production"), "{"),
            "JSON",
        ),
        (
            "my-app/production/api",
            |tree| {
                fs::copy(
                    tree.secrets("my-app/production"),
                    tree.secrets("my-app/production/api"),
                )
                .map(drop)
                .unwrap();
            },
            "my-app/production/api",
        ),
        (
            "my-app/production/new",
            |tree| {
                let new = tree
                    .secrets("my-app/production")
                    .parent()
                    .unwrap()
                    .join("new");
                fs::create_dir(&new).unwrap();
                fs::copy(tree.secrets("my-app/production"), new.join("secrets")).unwrap();
            },
            "manifest",
        ),
        (
            "my-app",
            |tree| fs::remove_file(tree.manifest("my-app")).unwrap(),
            "no manifest",
        ),
        (
            "my-app",
            |tree| fs::remove_file(tree.encryption_key("my-app")).unwrap(),
            "encryption-key",
        ),
    ];
    for (path, harm, fragment) in harms {
        let tree = commented();
        put(tree.root(), "my-app/production/api", "DEEP=1\n")
            .finish()
            .assert_status(0);
        assert_whole_of(&tree, "my-app");
        harm(&tree);
        let outcome = command("verify", tree.root(), &["my-app"]).finish();
        outcome.assert_status(125);
        let start = format!("{path}\t");
        let mut lines = outcome.text().lines();
        assert!(
            lines.any(|line| line.starts_with(&start) && line.contains(fragment)),
            "{outcome}"
        );
    }
    let tree = commented();
    let wrong = command("verify", tree.root(), &["my-app"]).env("DOTENV_CLIENT_KEY", "another key");
    let outcome = wrong.finish();
    outcome.assert_status(125);
    assert!(
        outcome.text().lines().all(|line| !line.ends_with("\tok")),
        "{outcome}"
    );
    let none = command("verify", tree.root(), &["no-such"]);
    assert_refused_untouched(tree.root(), none, &["no such project"]);
}

/// What somebody put back would be signed as the present state.
pub fn a_level_that_was_put_back_is_not_changed() {
    let tree = commented();
    let before = fs::read(tree.secrets("my-app")).unwrap();
    put(tree.root(), "my-app", "A=2\n")
        .finish()
        .assert_status(0);
    tree.write(&tree.secrets("my-app"), before);
    let commands: [(&str, &[&str]); 3] = [
        ("set", &["my-app", "X"]),
        ("unset", &["my-app", "A"]),
        ("get", &["my-app"]),
    ];
    for (name, operands) in commands {
        let run = command(name, tree.root(), operands).stdin("1");
        let run = if name == "get" {
            run
        } else {
            run.arg("--allow-weak-key")
        };
        assert_refused_untouched(tree.root(), run, &["my-app", "project"]);
    }
}

pub fn a_put_that_drops_most_of_a_level_asks_for_it() {
    let tree = Tree::example();
    put(tree.root(), "my-app", "A=1\nB=2\nC=3\n")
        .finish()
        .assert_status(0);
    let put = |text: &str| sealing("put", tree.root(), &["my-app"]).stdin(text);
    assert_refused_untouched(
        tree.root(),
        put("A=1\n"),
        &["my-app", "lose 2", "--replace"],
    );
    assert_refused_untouched(
        tree.root(),
        put("X=1\nY=1\nZ=1\n"),
        &["lose 3", "--replace"],
    );
    let outcome = put("A=2\nB=2\nD=1\n").finish();
    outcome.assert_status(0);
    assert_eq!(
        said(&outcome),
        ["dotenv-seal: my-app: 1 added, 1 changed, 1 removed"]
    );
    let outcome = put("D=1\n").arg("--replace").finish();
    outcome.assert_status(0);
    assert_eq!(said(&outcome), ["dotenv-seal: my-app: 2 removed"]);
    let outcome = put("# only a comment\nD='1'\n").finish();
    outcome.assert_status(0);
    assert_eq!(said(&outcome), ["dotenv-seal: my-app: no variable changed"]);
}

pub fn the_tree_is_named_in_three_ways() {
    let (tree, other) = (commented(), Tree::example());
    put(other.root(), "my-app", "A=other\n")
        .finish()
        .assert_status(0);
    let get = |words: &[&str]| seal_program(words).env("DOTENV_CLIENT_KEY", CLIENT_KEY);
    let root = tree.root().to_str().unwrap();
    let other = other.root().to_str().unwrap();
    let by_variable = |words: &[&str]| get(words).env("DOTENV_SEAL_TREE", root);
    let (directory, name) = (
        tree.root().parent().unwrap(),
        tree.root().file_name().unwrap(),
    );
    let relative = format!("./{}", name.display());
    for run in [
        get(&["get", root, "my-app", "A"]),
        get(&["get", "--tree", root, "my-app", "A"]),
        get(&["get", "my-app", "A", &format!("--tree={root}")]),
        by_variable(&["get", "my-app", "A"]),
        get(&["get", &relative, "my-app", "A"]).dir(directory),
        get(&["get", "my-app", "A"])
            .env("DOTENV_SEAL_TREE", &relative)
            .dir(directory),
        get(&["get", root, "my-app", "A"]).env("DOTENV_SEAL_TREE", ""),
    ] {
        run.finish().assert_status(0).assert_stdout("older");
    }
    for run in [
        by_variable(&["get", other, "my-app", "A"]),
        by_variable(&["get", "my-app", "A", "--tree", other]),
    ] {
        run.finish().assert_status(0).assert_stdout("other");
    }
    for words in [
        &["get", "my-app", "A", "B"][..],
        &["list", "x", "y"],
        &["set", "my-app"],
    ] {
        let outcome = by_variable(words).finish();
        outcome.assert_status(125).assert_stdout("");
    }
    let list = by_variable(&["list"]).finish();
    assert!(
        list.assert_status(0)
            .text()
            .contains("my-app/production/api"),
        "{list}"
    );
}

pub fn only_ciphertext_is_written_by_any_command() {
    let tree = Tree::example();
    let text = "A='swordfish'\nB=otters\nC=1\nD=2\n";
    put(tree.root(), "my-app", text).finish().assert_status(0);
    put(tree.root(), "my-app/production", text)
        .finish()
        .assert_status(0);
    let commands: [(&[&str], &str); 5] = [
        (&["set", "my-app", "A"], "swordfish and more"),
        (&["unset", "my-app", "B"], ""),
        (&["mv", "my-app/production", "my-app/live"], ""),
        (&["rm", "my-app/live", "--recursive"], ""),
        (&["verify", "my-app"], ""),
    ];
    for (words, input) in commands {
        let run = command(words[0], tree.root(), &words[1..]).stdin(input);
        let run = if words[0] == "verify" {
            run
        } else {
            run.arg("--allow-weak-key")
        };
        let trace = strace(
            run,
            "write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,splice,copy_file_range",
        );
        trace.outcome.assert_status(0);
        for call in &trace.calls {
            for needle in ["swordfish", "otters", CLIENT_KEY] {
                assert!(!call.arguments.contains(needle), "{words:?}: {call:?}");
            }
        }
        assert!(
            trace.calls.iter().any(|call| call.name == "write"),
            "{words:?} is traced"
        );
    }
}
