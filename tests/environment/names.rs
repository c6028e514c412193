//! Names that would take over the command's loader, shell or interpreter.

use std::sync::LazyLock;

use super::{HIDDEN, OneLevel, PATH, entries, levels, refused_unseen, variables};
use crate::docs;
use crate::support::*;

/// The names that the manual calls refused; of the families of names, some members.
static REFUSED: LazyLock<Vec<String>> = LazyLock::new(|| {
    let manual = docs::read("man/dotenv-run.1");
    let (_, list) = manual.split_once("These names are:\n").expect("the list");
    let (list, _) = list.split_once("\n.El").expect("the end of the list");
    let names = docs::arguments_of(list, "Ev").into_iter();
    let members = names.flat_map(|name| match name.strip_suffix('*') {
        Some(family) => ["", "PRELOAD", "anything"]
            .map(|rest| format!("{family}{rest}"))
            .into(),
        None => vec![name],
    });
    members.collect()
});

fn is_refused(name: &str) -> bool {
    REFUSED.iter().any(|refused| refused == name)
}

/// Names that merely look alike.
const HARMLESS: [&str; 22] = [
    "LD",
    "LDX",
    "XLD_PRELOAD",
    "ld_preload",
    "Ld_Preload",
    "DYLD",
    "BASH_FUNC",
    "BASH",
    "BASH_ENVS",
    "ENVIRONMENT",
    "env",
    "MY_ENV",
    "PATHS",
    "MYPATH",
    "path",
    "PS1",
    "IFS_",
    "NODE_OPTIONS_",
    "PYTHON_PATH",
    "DOTENV_KEY",
    "DOTENV_PATH",
    "LIBRARY_LD_PATH",
];

/// The words of a message that could be names.
fn words(outcome: &Outcome) -> Vec<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    outcome.stderr.split(|c| !is_part(c)).collect()
}

pub fn a_name_that_takes_over_the_command_is_refused_at_every_level() {
    let bad = format!("GOOD=1\nLD_PRELOAD={HIDDEN}\n");
    let cases = [
        [&bad[..], "B=1\n", "C=1\n"],
        ["A=1\n", &bad, "C=1\n"],
        ["A=1\n", "B=1\n", &bad],
        [&bad, "LD_PRELOAD=\n", "C=1\n"],
    ];
    for texts in cases {
        let tree = levels(texts);
        for mode in ["--exec", "--supervise"] {
            refused_unseen(
                tree.dotenv_run().arg(PATH).arg(mode),
                &["LD_PRELOAD", "--allow-unsafe-env"],
            );
        }
    }
    let own = levels([&bad, "B=1\n", "C=1\n"]);
    assert_eq!(
        variables(own.dotenv_run().arg(PATH).arg("--level-only")),
        ["C=1"]
    );
}

pub fn each_of_these_names_is_refused_alone() {
    for name in &*REFUSED {
        let level = OneLevel::env(&format!("GOOD=1\n{name}=1\n"));
        level.run().refuses(125, &[name]);
    }
    OneLevel::env("IFS=\n").run().refuses(125, &["IFS"]);
    let json = format!("{{\"LD_PRELOAD\":\"{HIDDEN}\"}}");
    refused_unseen(OneLevel::of("json", &json).run(), &["LD_PRELOAD"]);
}

/// A secret must not become the setting of a run that is nested in this one.
pub fn every_setting_of_ours_is_refused() {
    let manual = docs::read("man/dotenv-run.1");
    let section = docs::section(&manual, ".Sh ENVIRONMENT").join("\n");
    let items = section
        .lines()
        .filter_map(|line| line.strip_prefix(".It Ev "));
    let ours: Vec<_> = items.filter(|name| name.starts_with("DOTENV_")).collect();
    assert!(ours.len() > 7, "{ours:?}");
    for name in ours {
        let level = OneLevel::env(&format!("{name}=1\n"));
        level.run().refuses(125, &[name]);
        assert!(is_refused(name), "{name} is not in the list of the manual");
    }
}

/// Of all that could be a name in our sources, the manual lists what is refused.
pub fn no_name_is_refused_that_is_not_in_the_manual() {
    let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let is_name = |text: &String| {
        text.chars().all(is_part) && text.starts_with(|c: char| !c.is_ascii_digit())
    };
    let names: Vec<_> = docs::strings_in_sources()
        .into_iter()
        .filter(is_name)
        .collect();
    let lines: Vec<_> = names.iter().map(|name| format!("{name}=1\n")).collect();
    let outcome = OneLevel::env(&lines.concat()).run().refuses(125, &[]);
    // The hint behind it has words of its own.
    let message = outcome.stderr.lines().next().expect("a message");
    let told: Vec<_> = message.split(|c| !is_part(c)).collect();
    let told: Vec<_> = names
        .iter()
        .filter(|name| told.contains(&name.as_str()))
        .collect();
    assert!(told.len() > 20, "{told:?}");
    for name in told {
        assert!(is_refused(name), "{name} is not in the list of the manual");
    }
}

/// What takes a program over: the name, a value, and the words of a command that shows it.
type Takeover = (&'static str, &'static str, &'static [&'static str]);

/// What the values make the programs say, in a file to read or in an error.
const TAKEN: &str = "taken-over";

/// Each name makes a real program do something else by itself, and so is refused.
#[track_caller]
fn take_over(cases: &[Takeover]) {
    let dir = TempDir::new();
    let script = dir.file("script", format!("echo {TAKEN}\n"));
    let script = script.to_str().expect("a path of ours");
    for (name, value, command) in cases {
        let value = value.replace("SCRIPT", script);
        let run = Run::program(command[0]).args(&command[1..]).dir(dir.path());
        let shows = |run: Run| {
            let outcome = run.finish();
            outcome.text().contains(TAKEN) || outcome.stderr.contains(TAKEN)
        };
        assert!(!shows(run.clone()), "{command:?}");
        assert!(
            shows(run.env(name, &value)),
            "{name} does nothing to {command:?}"
        );
        let level = OneLevel::env(&format!("{name}='{value}'\n"));
        level.run().refuses(125, &[name]);
    }
}

pub fn names_that_take_over_the_loader() {
    take_over(&[
        ("LD_PRELOAD", "/taken-over.so", &["true"]),
        ("LD_AUDIT", "/taken-over.so", &["true"]),
        ("LD_DEBUG", "taken-over", &["true"]),
    ]);
}

pub fn names_that_take_over_a_shell() {
    take_over(&[
        ("ENV", "SCRIPT", &["sh", "-i", "-c", ":"]),
        ("PS4", "taken-over", &["sh", "-xc", ":"]),
    ]);
}

pub fn names_that_take_over_bash() {
    take_over(&[
        ("BASH_ENV", "SCRIPT", &["bash", "-c", ":"]),
        ("SHELLOPTS", "verbose", &["bash", "-c", ": taken-over"]),
        (
            "BASHOPTS",
            "xpg_echo",
            &["bash", "-c", r"echo 'taken\055over'"],
        ),
        (
            "PROMPT_COMMAND",
            "echo taken-over",
            &["bash", "--norc", "-i"],
        ),
    ]);
}

pub fn names_that_take_over_node() {
    take_over(&[(
        "NODE_OPTIONS",
        "--require=/taken-over",
        &["node", "-e", "0"],
    )]);
}

pub fn names_that_take_over_python() {
    take_over(&[
        ("PYTHONSTARTUP", "/taken-over", &["python3", "-i"]),
        (
            "PYTHONPATH",
            "/taken-over",
            &["python3", "-c", "import sys; print(sys.path)"],
        ),
        ("PYTHONHOME", "/taken-over", &["python3", "-c", "0"]),
    ]);
}

pub fn names_that_take_over_perl() {
    take_over(&[
        (
            "PERL5OPT",
            "-Mlib=/taken-over",
            &["perl", "-e", "print @INC"],
        ),
        ("PERL5LIB", "/taken-over", &["perl", "-e", "print @INC"]),
    ]);
}

pub fn names_that_take_over_ruby() {
    take_over(&[
        ("RUBYOPT", "-rtaken-over", &["ruby", "-e", "0"]),
        ("RUBYLIB", "/taken-over", &["ruby", "-e", "puts $:"]),
    ]);
}

pub fn names_that_take_over_java() {
    take_over(&[
        ("JAVA_TOOL_OPTIONS", "-Dtaken-over=1", &["java", "-version"]),
        ("_JAVA_OPTIONS", "-Dtaken-over=1", &["java", "-version"]),
        ("JDK_JAVA_OPTIONS", "-Dtaken-over=1", &["java", "-version"]),
    ]);
}

pub fn names_that_take_over_git() {
    take_over(&[
        ("GIT_EXEC_PATH", "/taken-over", &["git", "--exec-path"]),
        (
            "GIT_SSH_COMMAND",
            "echo taken-over >&2; :",
            &["git", "ls-remote", "ssh://127.0.0.1:1/x"],
        ),
    ]);
}

pub fn names_that_only_resemble_them_are_accepted() {
    let lines: Vec<_> = HARMLESS.iter().map(|name| format!("{name}=1")).collect();
    let level = OneLevel::env(&lines.join("\n"));
    let mut expected = lines;
    expected.sort();
    assert_eq!(variables(level.run()), expected);
}

pub fn a_name_is_accepted_when_it_is_allowed_by_name() {
    for name in &*REFUSED {
        let line = format!("{name}=");
        let level = OneLevel::env(&line);
        let run = level.run().args(["--allow-unsafe-env", name]);
        assert_eq!(entries(run.arg("--clean-env")), [line.into_bytes()]);
    }
    let level = OneLevel::env("LD_PRELOAD=\nIFS=x\nPS4=y\n");
    let run = level.run().args(["--allow-unsafe-env=PS4,LD_PRELOAD"]);
    let found = variables(run.args(["--allow-unsafe-env", "IFS"]));
    assert_eq!(found, ["IFS=x", "LD_PRELOAD=", "PS4=y"]);
    for other in ["LD_", "LD_PRELOADS", "ld_preload", "PRELOAD", "IFS,PS4"] {
        let run = level.run().args(["--allow-unsafe-env", other]);
        run.refuses(125, &["LD_PRELOAD"]);
    }
}

pub fn every_refused_name_is_told_at_once() {
    let refused = REFUSED.iter().map(String::as_str);
    let names: Vec<_> = refused.chain(HARMLESS).collect();
    let lines: Vec<_> = names.iter().map(|name| format!("{name}=1\n")).collect();
    let level = OneLevel::env(&lines.concat());
    let outcome = level
        .run()
        .args(["--allow-unsafe-env", "PS4,IFS"])
        .refuses(125, &[]);
    for name in names {
        let expected = is_refused(name) && !["PS4", "IFS"].contains(&name);
        // The word "env" of the option in the hint is no name.
        let told = words(&outcome).contains(&name) && name != "env";
        assert_eq!(told, expected, "{name}\n{outcome}");
    }
}

pub fn a_path_among_the_secrets_does_not_change_where_the_command_is_found() {
    let (inherited, secret) = (TempDir::new(), TempDir::new());
    for (dir, word) in [(&inherited, "inherited"), (&secret, "secret")] {
        let script = format!("#!/bin/sh\necho {word} \"$PATH\"\n");
        dir.executable("tool", script);
    }
    let path = secret.path().display().to_string();
    let level = OneLevel::env(&format!("PATH={path}\n"));
    for mode in ["--exec", "--supervise"] {
        let run = level.run().args([mode, "--allow-unsafe-env", "PATH"]);
        let run = run.env("PATH", inherited.path());
        let outcome = run.args(["--", "tool"]).finish();
        outcome
            .assert_status(0)
            .assert_stdout(format!("inherited {path}\n"));
    }
    let only_there = level.run().args(["--allow-unsafe-env", "PATH"]);
    let only_there = only_there.env("PATH", "/no/such/directory");
    let outcome = only_there.args(["--", "tool"]).finish();
    outcome.assert_refused(127, &["tool"]);
}
