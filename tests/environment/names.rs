//! Names that would take over the command's loader, shell or interpreter.

use super::{HIDDEN, OneLevel, PATH, entries, levels, refused_unseen, variables};
use crate::support::*;

/// The names that are refused; of the families of names, some members.
const REFUSED: [&str; 39] = [
    "LD_PRELOAD",
    "LD_LIBRARY_PATH",
    "LD_AUDIT",
    "LD_",
    "LD_anything",
    "DYLD_INSERT_LIBRARIES",
    "DYLD_",
    "GLIBC_TUNABLES",
    "GCONV_PATH",
    "BASH_ENV",
    "ENV",
    "BASH_FUNC_",
    "BASH_FUNC_ls",
    "SHELLOPTS",
    "BASHOPTS",
    "PS4",
    "PROMPT_COMMAND",
    "IFS",
    "PATH",
    "NODE_OPTIONS",
    "PYTHONSTARTUP",
    "PYTHONPATH",
    "PYTHONHOME",
    "PERL5OPT",
    "PERL5LIB",
    "RUBYOPT",
    "RUBYLIB",
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "GIT_SSH_COMMAND",
    "GIT_EXEC_PATH",
    "DOTENV_API_KEY",
    "DOTENV_API_KEY_FILE",
    "DOTENV_CLIENT_KEY",
    "DOTENV_CLIENT_KEY_FILE",
    "DOTENV_API_URL",
    "DOTENV_ORGANIZATION",
    "DOTENV_RUN_PATH",
];

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
    for name in REFUSED {
        let level = OneLevel::env(&format!("GOOD=1\n{name}=1\n"));
        level.run().refuses(125, &[name]);
    }
    OneLevel::env("IFS=\n").run().refuses(125, &["IFS"]);
    let json = format!("{{\"LD_PRELOAD\":\"{HIDDEN}\"}}");
    refused_unseen(OneLevel::of("json", &json).run(), &["LD_PRELOAD"]);
}

pub fn names_that_only_resemble_them_are_accepted() {
    let lines: Vec<_> = HARMLESS.iter().map(|name| format!("{name}=1")).collect();
    let level = OneLevel::env(&lines.join("\n"));
    let mut expected = lines;
    expected.sort();
    assert_eq!(variables(level.run()), expected);
}

pub fn a_name_is_accepted_when_it_is_allowed_by_name() {
    for name in REFUSED {
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
    let names = [&REFUSED[..], &HARMLESS].concat();
    let lines: Vec<_> = names.iter().map(|name| format!("{name}=1\n")).collect();
    let level = OneLevel::env(&lines.concat());
    let outcome = level
        .run()
        .args(["--allow-unsafe-env", "PS4,IFS"])
        .refuses(125, &[]);
    for name in names {
        let expected = REFUSED.contains(&name) && !["PS4", "IFS"].contains(&name);
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
