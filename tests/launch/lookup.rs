//! Which file the command is, and the statuses 126 and 127: as `env` has them.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};

use super::{MODES, PLAIN};
use crate::support::*;

/// A directory with every kind of thing that a name can lead to. `a` and `b` are for PATH.
pub fn things() -> TempDir {
    let dir = TempDir::new();
    for name in ["a", "b", "a/directory", "b/only-directory"] {
        fs::create_dir(dir.path().join(name)).expect("a directory");
    }
    let speak = "#!/bin/sh\necho \"$0\" \"$@\"\nexit 42\n";
    for name in ["b/tool", "b/shadowed", "b/directory", "here"] {
        dir.executable(name, speak);
    }
    for name in ["a/shadowed", "a/locked", "b/locked"] {
        dir.file(name, speak);
    }
    dir.executable("b/no-shebang", "echo \"$0\" \"$@\"\nexit 43\n");
    dir.executable("b/empty", "");
    dir.executable("b/no-interpreter", "#!/no/such/interpreter\n");
    dir.executable("b/directory-as-interpreter", "#!/usr\n");
    dir.executable("b/empty-interpreter", "#!\necho ran\n");
    dir.executable("b/broken-program", b"\x7fELF rubbish\0\0");
    for (target, link) in [
        ("nowhere", "b/dangling"),
        ("loop", "b/loop"),
        ("tool", "b/link"),
    ] {
        symlink(target, dir.path().join(link)).expect("a link");
    }
    dir
}

/// PATH, the command and the status that `env` gives.
pub const CASES: &[(&str, &[&str], i32)] = &[
    ("a:b", &["tool", "x", ""], 42),
    ("a:b", &["link"], 42),
    ("a:b", &["no-such-tool"], 127),
    ("a:b", &[""], 127),
    ("a:b", &["locked"], 126),
    ("a:b", &["shadowed"], 42),
    ("a:b", &["directory"], 42),
    ("a:b", &["only-directory"], 126),
    ("a:b", &["no-shebang", "x", ""], 43),
    ("a:b", &["empty"], 0),
    ("a:b", &["no-interpreter"], 127),
    ("a:b", &["directory-as-interpreter"], 126),
    ("a:b", &["dangling"], 127),
    ("a:b", &["loop"], 126),
    ("a:b", &["here"], 127),
    ("a:b", &["a/tool"], 127),
    ("a:b", &["."], 126),
    ("a:b", &[".."], 126),
    ("a", &["shadowed"], 126),
    ("a:/no/such/directory", &["locked"], 126),
    ("/no/such/directory", &["tool"], 127),
    ("b/tool:b", &["tool"], 42),
    ("b/tool", &["tool"], 126),
    ("b/loop:/no/such/directory", &["tool"], 126),
    ("b/loop:b", &["tool"], 126),
    // An empty PATH, and an empty place in one, are the working directory.
    ("", &["here"], 42),
    ("", &["tool"], 127),
    (":a", &["here"], 42),
    ("a:", &["here"], 42),
    ("a::b", &["here"], 42),
    // A slash: PATH is not asked.
    ("a:b", &["./here", "x"], 42),
    ("", &["b/tool"], 42),
    ("a:b", &["./tool"], 127),
    ("a:b", &["./a/locked"], 126),
    ("a:b", &["./a"], 126),
    ("a:b", &["./b/no-shebang", "x"], 43),
    ("a:b", &["./b/no-interpreter"], 127),
    ("a:b", &["b/loop"], 126),
    ("a:b", &["b/dangling"], 127),
    ("a:b", &["here/"], 126),
    ("a:b", &["here/tool"], 126),
    ("a:b", &["/no/such/directory/tool"], 127),
    ("a:b", &["/"], 126),
];

pub fn a_command_is_found_and_executed_as_env_does() {
    let (tree, dir) = (Tree::example(), things());
    for (path, command, status) in CASES {
        let in_place = |run: Run| run.dir(dir.path()).env("PATH", path).args(*command);
        let direct = in_place(Run::program(env())).finish();
        direct.assert_status(*status);
        for mode in MODES {
            let ours = in_place(tree.dotenv_run().arg(PLAIN).args([mode, "--"])).finish();
            match status {
                126 | 127 => ours.assert_refused(*status, &[command[0]]),
                _ => ours.assert_status(*status).assert_stdout(&direct.stdout),
            };
        }
    }
}

/// What `env` does here depends on the shell, on the C library or on who runs the tests.
pub fn a_command_ends_as_under_env_whatever_that_is() {
    let (tree, dir) = (Tree::example(), things());
    let locked = dir.path().join("locked");
    fs::create_dir(&locked).expect("a directory");
    dir.executable("locked/tool", "exit 44\n");
    dir.executable("locked/only-here", "exit 45\n");
    let set_mode = |mode| fs::set_permissions(&locked, Permissions::from_mode(mode));
    set_mode(0o000).expect("a directory of ours");
    let long = format!("{}:b", "x".repeat(5000));
    let cases = [
        ("b", "broken-program"),
        ("b", "empty-interpreter"),
        ("locked:b", "tool"),
        ("b:locked", "tool"),
        ("locked", "only-here"),
        ("locked:a:b", "only-here"),
        ("b", "locked/tool"),
        (&long, "tool"),
    ];
    for (path, command) in cases {
        let in_place = |run: Run| run.dir(dir.path()).env("PATH", path).arg(command).finish();
        let direct = in_place(Run::program(env()));
        for mode in MODES {
            let ours = in_place(tree.dotenv_run().arg(PLAIN).args([mode, "--"]));
            assert_eq!(
                (ours.status, &ours.stdout),
                (direct.status, &direct.stdout),
                "{ours}\n{direct}"
            );
        }
    }
    set_mode(0o700).expect("a directory of ours");
}

/// The path of `env` itself, for a PATH where it is not.
fn env() -> String {
    let outcome = Run::shell("command -v env").finish();
    outcome.text().trim().into()
}

pub fn path_may_be_unset() {
    let (tree, dir) = (Tree::example(), things());
    for mode in MODES {
        let run = tree
            .dotenv_run()
            .arg(PLAIN)
            .args([mode, "--"])
            .dir(dir.path());
        let run = |command| run.clone().env_remove("PATH").arg(command).finish();
        run("true").assert_status(0);
        run("here").assert_refused(127, &["here"]);
        run("./here").assert_status(42);
    }
}

/// `env` would take it for a variable.
pub fn a_name_with_an_equals_sign_is_a_command() {
    let (tree, dir) = (Tree::example(), TempDir::new());
    dir.executable("A=1", "#!/bin/sh\nexit 42\n");
    for mode in MODES {
        let run = tree
            .dotenv_run()
            .arg(PLAIN)
            .args([mode, "--"])
            .dir(dir.path());
        let run = run.env("PATH", dir.path());
        run.clone().arg("A=1").finish().assert_status(42);
        run.arg("B=1").finish().assert_refused(127, &["B=1"]);
    }
}

pub fn no_name_breaks_the_message() {
    let tree = Tree::example();
    let long = "x".repeat(5000);
    let names = [
        "two\nlines",
        "\u{1b}[31m",
        "caf\u{e9}",
        "--",
        "-x",
        "two words",
    ];
    for name in names {
        let run = tree.dotenv_run().arg(PLAIN).env("PATH", "/usr/bin:/bin");
        let outcome = run.args(["--", name]).finish();
        outcome.assert_refused(127, &[]);
        assert!(!outcome.stderr.contains('\u{1b}'), "{outcome}");
    }
    let env = Run::program("env").arg(&long).finish();
    let status = env.status.code().expect("an exit status");
    let run = tree.dotenv_run().arg(PLAIN).arg("--").arg(&long);
    run.finish().assert_refused(status, &["xxx"]);
}
