//! Values and required names from files beside the secrets, and inherited variables that are left out.

use std::fs;
use std::os::unix::fs::symlink;

use nix::sys::stat::Mode;
use nix::unistd::{Uid, mkfifo};
use serde_json::{Value, json};

use crate::support::*;

tests![
    defaults_are_below_secrets_and_overrides_above,
    later_files_count_more,
    local_values_are_resolved_selected_and_refused_like_secrets,
    local_values_are_printed_and_handed_over_like_secrets,
    local_values_are_masked_and_redacted,
    lists_and_checks_say_where_a_value_comes_from,
    local_values_do_not_make_up_for_secrets,
    an_inherited_variable_yields_or_stands,
    names_of_a_committed_list_are_required,
    defaults_satisfy_what_is_required,
    a_file_that_cannot_be_used_is_refused_before_anything_is_fetched,
    a_file_that_others_can_change_is_refused,
    a_file_may_be_a_pipe,
    a_profile_names_files,
    inherited_variables_are_dropped,
    dropped_is_whatever_the_name_is_made_of,
];

const OPTIONS: [&str; 3] = ["--defaults", "--overrides", "--require-from"];

const STORED: &str = "A=stored\nEMPTY=\nB=stored\n";

struct Files {
    tree: Tree,
    dir: TempDir,
}

impl Files {
    fn new() -> Self {
        Files {
            tree: Tree::holding(STORED),
            dir: TempDir::new(),
        }
    }

    /// A run with files of these options and texts.
    fn run(&self, files: &[(&str, &str)]) -> Run {
        let named = |index: usize| format!("{index}.env");
        let run = self.tree.run().dir(self.dir.path());
        let run = files
            .iter()
            .enumerate()
            .fold(run, |run, (index, (option, text))| {
                self.dir.file(&named(index), text);
                run.args([*option, &named(index)])
            });
        run.arg("-q")
    }
}

fn defaults_are_below_secrets_and_overrides_above() {
    let files = Files::new();
    let both = [
        (
            "--defaults",
            "A=default\nEMPTY=default\nC='c c'\nD=default\n",
        ),
        ("--overrides", "B=\nD=over\nE=over # why\n"),
    ];
    for options in [&[][..], &["--supervise"], &["--level-only"]] {
        let variables = files.run(&both).args(options).variables();
        assert_eq!(
            variables,
            ["A=stored", "EMPTY=", "C=c c", "D=over", "B=", "E=over"],
            "{options:?}"
        );
    }
}

fn later_files_count_more() {
    let files = Files::new();
    let several = [
        ("--overrides", "B=1\nX=1\n"),
        ("--overrides", "B=2\n"),
        ("--defaults", "Y=1\nA=1\n"),
        ("--defaults", "Y=2\n"),
    ];
    let variables = files.run(&several).variables();
    assert_eq!(variables, ["Y=2", "A=stored", "EMPTY=", "B=2", "X=1"]);
}

fn local_values_are_resolved_selected_and_refused_like_secrets() {
    let files = Files::new();
    let both = [
        ("--defaults", "URL=http://$A:$PORT\nPORT=80\n"),
        ("--overrides", "B=${URL}/x\nRAW='$A'\n"),
    ];
    let run = files.run(&both).args(["--resolve", "--only", "URL,B,RAW"]);
    assert_eq!(
        run.args(["--rename", "RAW=R", "--prefix", "P_"])
            .variables(),
        ["P_URL=http://stored:80", "P_B=http://stored:80/x", "P_R=$A"]
    );
    for option in ["--defaults", "--overrides"] {
        let run = files.run(&[(option, "LD_PRELOAD=/evil.so\n")]);
        run.clone()
            .refuses(125, &["LD_PRELOAD", "--allow-unsafe-env"]);
        let allowed = run.args(["--allow-unsafe-env", "LD_PRELOAD", "--print", "json"]);
        allowed.finish().assert_status(0);
    }
    // A secret that a name takes over counts once.
    let run = files.run(&[("--overrides", "A=A\n")]);
    run.args(["--rename", "B=A"])
        .refuses(125, &["two secrets", "A"]);
}

fn local_values_are_printed_and_handed_over_like_secrets() {
    let files = Files::new();
    let both = [("--defaults", "C=c\n"), ("--overrides", "A=a\n")];
    let expected = "C=c\nA=a\nEMPTY=''\nB=stored\n";
    let printed = files.run(&both).args(["--print", "env"]).finish();
    printed.assert_status(0).assert_stdout(expected);
    let run = files.run(&both).args(["--file", "F", "--file-only"]);
    let read = run.args(["--", "sh", "-c", "cat $F; echo ${A-}"]).finish();
    read.assert_status(0).assert_stdout(format!("{expected}\n"));
}

fn local_values_are_masked_and_redacted() {
    let files = Files::new();
    let both = [
        ("--defaults", "C=default-value\n"),
        ("--overrides", "A=override-value\n"),
    ];
    let run = files.run(&both).args(["--mask=github", "--", "true"]);
    let outcome = run.finish();
    for value in ["default-value", "override-value", "stored"] {
        let line = format!("::add-mask::{value}\n");
        assert!(outcome.stderr.contains(&line), "{outcome}");
    }
    let run = files
        .run(&both)
        .args(["--redact", "--", "sh", "-c", "echo $A $C $B"]);
    run.finish().assert_stdout("[A] [C] [B]\n");
    let dir = TempDir::new();
    let run = files.run(&both).args(["--audit", "3", "--", "true"]);
    let record = dir.file("record", "");
    run.redirected(&format!("3>{}", record.display()))
        .finish()
        .assert_status(0);
    let line: Value = serde_json::from_slice(&fs::read(record).unwrap()).unwrap();
    assert_eq!(line["names"], json!(["C", "A", "EMPTY", "B"]));
    assert!(!line.to_string().contains("value"), "{line}");
}

fn lists_and_checks_say_where_a_value_comes_from() {
    let files = Files::new();
    let all = [
        ("--defaults", "A=default\nC=c\n"),
        ("--overrides", "A=over\nB=over\n"),
        ("--overrides", "B=more\n"),
        ("--require-from", "A=\n"),
    ];
    let listed = files.run(&all).arg("--list").finish();
    listed.assert_status(0).assert_stdout(
        "A\toverrides\tdefaults,project\t1-15\nC\tdefaults\t-\t1-15\n\
         EMPTY\tproject\t-\tempty\nB\toverrides\tproject\t1-15\n",
    );
    let checked = files.run(&all).args(["--check", "--json"]).finish();
    let found: Value = serde_json::from_str(checked.assert_status(0).text()).unwrap();
    let file = |option, file, names| json!({"option": option, "file": file, "names": names});
    assert_eq!(
        found["local_files"],
        json!([
            file("defaults", "0.env", 2),
            file("overrides", "1.env", 2),
            file("overrides", "2.env", 1),
            file("require-from", "3.env", 1),
        ])
    );
    let screen = files.run(&all).arg("--check").finish();
    let lines = screen.assert_status(0).text();
    for line in [
        "defaults      0.env, 2 names\n",
        "require-from  3.env, 1 names\n",
    ] {
        assert!(lines.contains(line), "{lines}");
    }
    // A file is named as it is, and what acts on a terminal is not.
    let odd = files.dir.path().join("a\u{1b}[2J\u{202e}b");
    fs::write(&odd, "C=c\n").unwrap();
    for options in [&["--check"][..], &["--check", "--json"], &["--", "true"]] {
        let run = files.tree.run().arg("--defaults").arg(&odd).args(options);
        let outcome = run.finish();
        outcome.assert_status(0);
        let said = format!("{}{}", outcome.text(), outcome.stderr);
        assert!(!said.contains(['\u{1b}', '\u{202e}']), "{outcome}");
    }
}

fn local_values_do_not_make_up_for_secrets() {
    let (tree, dir) = (Tree::holding("# nothing\n"), TempDir::new());
    let file = dir.file("f", "A=a\n");
    for option in ["--defaults", "--overrides"] {
        let run = tree.run().arg(option).arg(&file);
        run.clone().refuses(125, &["p contains no secrets"]);
        assert_eq!(run.arg("--allow-empty").variables(), ["A=a"]);
    }
    let files = Files::new();
    let run = files.run(&[("--overrides", "C=c\nA=a\n")]);
    run.clone()
        .args(["--only", "C"])
        .refuses(125, &["p contains no secrets"]);
    assert_eq!(run.args(["--only", "A"]).variables(), ["A=a"]);
}

fn an_inherited_variable_yields_or_stands() {
    let files = Files::new();
    let both = [("--defaults", "C=default\n"), ("--overrides", "D=over\n")];
    let run = || {
        files
            .run(&both)
            .args(["--only", "C,D,A"])
            .env("C", "own")
            .env("D", "own")
    };
    assert_eq!(run().variables(), ["C=default", "A=stored", "D=over"]);
    assert_eq!(
        run().arg("--preserve-env=C").variables(),
        ["C=own", "A=stored", "D=over"]
    );
    assert_eq!(
        run().arg("--preserve-env").variables(),
        ["C=own", "D=own", "A=stored"]
    );
}

fn names_of_a_committed_list_are_required() {
    let files = Files::new();
    let required = |text| files.run(&[("--require-from", text)]);
    let fits = required("# what it needs\nA=postgres://example\nexport B=\"x\"\nEMPTY=\n\n");
    assert_eq!(fits.variables(), ["A=stored", "EMPTY=", "B=stored"]);
    required("A=\nNO=\nEMPTY=x\nNO=\n").refuses(
        125,
        &["required secrets that are missing or empty: NO, EMPTY\n"],
    );
    // Both options are named together; inherited variables do not count.
    let run = required("NO=x\n")
        .env("NO", "inherited")
        .args(["--require", "OTHER,NO"]);
    run.refuses(125, &["missing or empty: OTHER, NO\n"]);
    // The last of two lines counts, as everywhere.
    required("EMPTY=x\nEMPTY=\n")
        .args(["--", "true"])
        .finish()
        .assert_status(0);
    required("A=x\n")
        .args(["--rename", "A=Z"])
        .refuses(125, &["missing or empty: A\n"]);
    required("Z=x\n")
        .args(["--rename", "A=Z", "--", "true"])
        .finish()
        .assert_status(0);
    for action in [&["--print", "env"][..], &["--list"], &["--check"]] {
        let outcome = required("NO=\n").args(action).finish();
        outcome.assert_status(125);
        assert!(!outcome.text().contains("stored"), "{outcome}");
    }
}

fn defaults_satisfy_what_is_required() {
    let files = Files::new();
    let all = [
        ("--require-from", "C=x\nEMPTY=x\n"),
        ("--defaults", "C=c\n"),
    ];
    files.run(&all).refuses(125, &["missing or empty: EMPTY\n"]);
    let more = [all[0], all[1], ("--overrides", "EMPTY=e\n")];
    let variables = files.run(&more).variables();
    assert_eq!(variables, ["C=c", "A=stored", "EMPTY=e", "B=stored"]);
}

fn a_file_that_cannot_be_used_is_refused_before_anything_is_fetched() {
    let service = Service::plain();
    let dir = TempDir::new();
    let text = |name: &str, text: &[u8]| dir.file(name, text).display().to_string();
    let huge = dir.file("huge", "");
    fs::File::options()
        .write(true)
        .open(&huge)
        .unwrap()
        .set_len(1 << 40)
        .unwrap();
    symlink("loop", dir.path().join("loop")).unwrap();
    let no_file = dir.path().join("none").display().to_string();
    let mut cases: Vec<(String, &str)> = vec![
        (no_file, "no such file"),
        (dir.path().display().to_string(), "is a directory"),
        (huge.display().to_string(), "larger than 1048576 bytes"),
        ("/dev/zero".into(), "larger than 1048576 bytes"),
        (
            dir.path().join("loop").display().to_string(),
            "symbolic links",
        ),
        (
            text("quote", b"A=s3cret\nB='s3cret\n"),
            "line 2: B: a quote is never closed",
        ),
        (text("name", b"BAD-KEY=s3cret\n"), "line 1: invalid name"),
        (
            text("nul", b"A=1\nB=s3\0cret\n"),
            "line 2: contains a NUL byte",
        ),
        (text("latin1", b"A=s3cret\xff\n"), "line 1: not UTF-8"),
        (text("utf16", b"\xff\xfeA\0=\0"), "UTF-16"),
        (text("cr", b"A=s3\rcret\n"), "carriage return"),
        (
            text("full", &[b'#'; (1 << 20) + 1]),
            "larger than 1048576 bytes",
        ),
    ];
    if !Uid::effective().is_root() {
        set_mode(&dir.file("locked", "A=1\n"), 0o000);
        cases.push((
            dir.path().join("locked").display().to_string(),
            "permission denied",
        ));
    }
    for option in OPTIONS {
        for (file, says) in &cases {
            let run = Run::on_service(&service).arg("legacy").args([option, file]);
            let outcome = run.refuses(125, &[option, file, says]);
            assert!(!outcome.stderr.contains("s3"), "{outcome}");
        }
    }
    assert!(service.requests().is_empty(), "{:?}", service.requests());
    // The largest that is accepted.
    let files = Files::new();
    let mut text = String::from("C=c\n#");
    text.push_str(&"x".repeat((1 << 20) - text.len()));
    let run = files.run(&[("--defaults", &text)]);
    assert_eq!(run.args(["--only", "A,C"]).variables(), ["C=c", "A=stored"]);
}

fn a_file_that_others_can_change_is_refused() {
    let files = Files::new();
    for option in OPTIONS {
        let file = files.dir.file("open", "A=x\n");
        set_mode(&file, 0o646);
        let run = || files.tree.run().arg(option).arg(&file);
        run().refuses(125, &["open", "every user", "--allow-loose-files"]);
        let outcome = run().args(["--allow-loose-files", "--", "true"]).finish();
        assert_eq!(outcome.assert_status(0).warnings().len(), 1, "{outcome}");
        set_mode(&file, 0o644);
    }
}

fn a_file_may_be_a_pipe() {
    let files = Files::new();
    let writes = |writer: &str| format!("{writer} >fifo & exec \"$@\"");
    mkfifo(&files.dir.path().join("fifo"), Mode::S_IRWXU).unwrap();
    let run = || {
        files
            .tree
            .run()
            .args(["--overrides", "fifo"])
            .dir(files.dir.path())
    };
    let script = writes("echo A=piped");
    let outcome = run()
        .args(["--", "printenv", "A"])
        .under(["sh", "-c", &script, "sh"]);
    outcome.finish().assert_status(0).assert_stdout("piped\n");
    let script = writes("head -c 2000000 /dev/zero");
    let outcome = run()
        .args(["--", "true"])
        .under(["sh", "-c", &script, "sh"])
        .finish();
    outcome.assert_refused(125, &["--overrides: fifo: larger than 1048576 bytes"]);
    let run = || {
        files
            .tree
            .run()
            .args(["--defaults", "/dev/stdin"])
            .stdin("C=stdin\n")
    };
    assert_eq!(
        run().args(["--only", "A,C"]).variables(),
        ["C=stdin", "A=stored"]
    );
    run()
        .arg("--watch")
        .refuses(125, &["--defaults: /dev/stdin: --watch needs a file"]);
}

fn a_profile_names_files() {
    let files = Files::new();
    files.dir.file("d.env", "C=c\nA=d\n");
    files.dir.file("o.env", "B=o\n");
    files.dir.file("list", "NO=\n");
    let profile = |text: &str| {
        files.dir.file("profile.toml", text);
        files
            .tree
            .run()
            .dir(files.dir.path())
            .args(["--profile", "profile.toml"])
    };
    let both = "defaults = ['d.env']\noverrides = ['o.env']\ndrop = ['X*']\n";
    let run = profile(both).env("X1", "1").env("Y", "1");
    assert_eq!(run.variables(), ["Y=1", "C=c", "A=stored", "EMPTY=", "B=o"]);
    // What is given on the command line stands alone.
    let run = profile(both).args(["--overrides", "/dev/null"]);
    assert_eq!(run.variables(), ["C=c", "A=stored", "EMPTY=", "B=stored"]);
    profile("require-from = 'list'\n").refuses(125, &["missing or empty: NO"]);
    profile("defaults = true\n").refuses(125, &["profile.toml", "defaults"]);
}

fn inherited_variables_are_dropped() {
    let tree = Tree::holding("A=stored\n");
    let run = |options: &str| {
        let run = tree.run().args(options.split(' '));
        run.env("AWS_KEY", "1")
            .env("AWS_ID", "2")
            .env("A", "own")
            .env("CI", "3")
            .variables()
    };
    assert_eq!(run("--drop AWS_*"), ["CI=3", "A=stored"]);
    assert_eq!(
        run("--drop AWS_KEY,CI --drop NO*"),
        ["AWS_ID=2", "A=stored"]
    );
    assert_eq!(
        run("--drop=A,C? --preserve-env"),
        ["AWS_ID=2", "AWS_KEY=1", "A=stored"]
    );
    assert_eq!(
        run("--clean-env --pass CI,AWS_ID --drop AWS*"),
        ["CI=3", "A=stored"]
    );
    let resolved = Tree::holding("A=$AWS_KEY\n");
    let run = resolved
        .run()
        .args(["--resolve-env", "--drop", "*"])
        .env("AWS_KEY", "1");
    assert_eq!(
        run.args(["--", "/usr/bin/env"])
            .finish()
            .assert_status(0)
            .text(),
        "A=1\n"
    );
    tree.run()
        .args(["--drop", "A,,B"])
        .refuses(125, &["--drop"]);
    let checked = tree
        .run()
        .args(["--drop", "AWS_*", "--check", "--json"])
        .env("AWS_KEY", "1");
    let found: Value = serde_json::from_str(checked.finish().text()).unwrap();
    assert!(found["dropped"].to_string().contains("AWS_KEY"), "{found}");
}

fn dropped_is_whatever_the_name_is_made_of() {
    let tree = Tree::holding("A=stored\n");
    let entries: [&[u8]; 5] = [b"\xffX=1", b"no-equals", b"B-C=1", b"=empty", b"D=1"];
    let left = |patterns: &str| {
        let run = tree
            .run()
            .environment_block(&entries)
            .args(["--drop", patterns]);
        let outcome = run.args(["--", "/usr/bin/env", "-0"]).finish();
        outcome.assert_status(0);
        outcome.stdout
    };
    assert_eq!(left("*"), b"A=stored\0");
    assert_eq!(left("B-*,no-*"), b"\xffX=1\0=empty\0D=1\0A=stored\0");
}
