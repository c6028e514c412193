//! Names that would take over the command's loader, shell or interpreter.

use std::sync::LazyLock;

use super::{HIDDEN, OneLevel, PATH, entries, levels, refused_unseen, variables};
use crate::docs;
use crate::support::*;

/// The manual's table: the programs, each with the names that take it over.
pub static TABLE: LazyLock<Vec<(String, Vec<String>)>> = LazyLock::new(|| {
    let manual = docs::read("man/dotenv-run.1");
    let start = "These names are refused:\n";
    let (_, list) = manual.split_once(start).expect("the list");
    let (list, _) = list.split_once("\n.El").expect("the end of the list");
    let groups = list.split("\n.It ").skip(1);
    let group = |text: &str| {
        let (program, names) = text.split_once('\n').expect("a group");
        (program.to_owned(), docs::arguments_of(names, "Ev"))
    };
    groups.map(group).collect()
});

/// Every name of the table with its program; of the families of names, some members.
static REFUSED: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let members = |name: &String| match name.contains('*') {
        true => ["", "PRELOAD", "anything"]
            .map(|rest| name.replace('*', rest))
            .into(),
        false => vec![name.clone()],
    };
    let of_group = |(program, names): &(String, Vec<String>)| {
        let names: Vec<_> = names.iter().flat_map(members).collect();
        names
            .into_iter()
            .map(|name| (name, program.clone()))
            .collect::<Vec<_>>()
    };
    TABLE.iter().flat_map(of_group).collect()
});

fn is_refused(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let is_match = |refused: &String| match refused.split_once('*') {
        Some((start, rest)) => {
            let end = rest.rsplit('*').next().expect("a last part");
            let is_npm = start.ends_with("npm_config_") && lower.starts_with(start);
            is_npm || name.starts_with(start) && name.ends_with(end)
        }
        None => *refused == name || *refused == lower,
    };
    TABLE.iter().flat_map(|(_, names)| names).any(is_match)
}

/// Names that merely look alike, and names of ordinary settings and secrets.
const HARMLESS: &[&str] = &[
    "LD LDX XLD_PRELOAD ld_preload Ld_Preload DYLD BASH_FUNC BASH BASH_ENVS ENVIRONMENT env MY_ENV PATHS MYPATH path",
    "PS5 IFS_ NODE_OPTIONS_ PYTHON_PATH DOTENV_KEY DOTENV_PATH LIBRARY_LD_PATH NPM_CONFIG HOME_URL EDITOR_KEY XNPM_CONFIG_A",
    "DATABASE_URL NODE_ENV RAILS_ENV APP_ENV FLASK_APP DJANGO_SETTINGS_MODULE PORT HOST DEBUG TZ LANG LC_ALL LANGUAGE",
    "USER LOGNAME TERM TMPDIR PWD COLUMNS LINES SECRET_KEY API_KEY NPM_TOKEN GITHUB_TOKEN GH_TOKEN CI COMPOSE_FILE",
    "AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION AWS_PROFILE PGHOST PGPASSWORD PGUSER MYSQL_ROOT_PASSWORD REDIS_URL",
    "HTTP_PROXY HTTPS_PROXY NO_PROXY http_proxy SSL_CERT_FILE SSL_CERT_DIR NODE_EXTRA_CA_CERTS REQUESTS_CA_BUNDLE",
    "RUST_LOG RUST_BACKTRACE GOOGLE_APPLICATION_CREDENTIALS PYTHONUNBUFFERED PYTHONDONTWRITEBYTECODE CGO_ENABLED GOPROXY",
    "CARGO_REGISTRY_TOKEN CARGO_REGISTRIES_X_TOKEN CARGO_TERM_COLOR GIT_COMMIT GIT_BRANCH GIT_TOKEN GIT_AUTHOR_NAME",
    "PIP_INDEX_URL COMPOSER_AUTH TF_VAR_a DOCKER_HOST SSH_AUTH_SOCK SSH_PRIVATE_KEY DISPLAY MAIL_HOST SMTP_PASS NAME VERSION",
];

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
    for (program, names) in &*TABLE {
        let name = names[0].replace('*', "x");
        let level = OneLevel::env(&format!("GOOD=1\n{name}=1\n"));
        let expected = format!("take over a program: {name} ({program})\nhint: ");
        let hint = format!("use --allow-unsafe-env {name} to accept it\n");
        level.run().refuses(125, &[&expected, &hint]);
    }
    OneLevel::env("IFS=\n").run().refuses(125, &["IFS"]);
    let json = format!("{{\"LD_PRELOAD\":\"{HIDDEN}\"}}");
    refused_unseen(OneLevel::of("json", &json).run(), &["LD_PRELOAD"]);
}

/// The manual and the program have the same table.
pub fn the_manual_lists_the_table() {
    let source = docs::read("src/variables/takeover.rs");
    let (source, _) = source.split_once("#[cfg(test)]").expect("tests");
    let (_, table) = source.split_once("const GROUPS").expect("the table");
    let strings: Vec<_> = table.split('"').skip(1).step_by(2).collect();
    let listed: Vec<_> = TABLE
        .iter()
        .flat_map(|(program, names)| [program].into_iter().chain(names))
        .collect();
    assert_eq!(strings, listed);
    assert!(listed.len() > 300);
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
    let is_told = |name: &&String| message.contains(&format!(" {name} ("));
    let told: Vec<_> = names.iter().filter(is_told).collect();
    assert!(told.len() > 20, "{told:?}");
    for name in told {
        assert!(is_refused(name), "{name} is not in the list of the manual");
    }
}

pub fn names_that_only_resemble_them_are_accepted() {
    let lines: Vec<_> = super::words(HARMLESS)
        .map(|name| format!("{name}=1"))
        .collect();
    let level = OneLevel::env(&lines.join("\n"));
    let mut expected = lines;
    expected.sort();
    assert_eq!(variables(level.run()), expected);
}

pub fn a_name_is_accepted_when_it_is_allowed_by_name() {
    let names: Vec<_> = REFUSED.iter().map(|(name, _)| name.as_str()).collect();
    let lines: Vec<_> = names.iter().map(|name| format!("{name}=")).collect();
    let level = OneLevel::env(&lines.join("\n"));
    let run = level
        .run()
        .args(["--clean-env", "--allow-unsafe-env", &names.join(",")]);
    let expected: Vec<_> = lines.into_iter().map(String::into_bytes).collect();
    assert_eq!(entries(run), expected);
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
    let refused = REFUSED.iter().map(|(name, _)| name.as_str());
    let names: Vec<_> = refused.chain(super::words(HARMLESS)).collect();
    let lines: Vec<_> = names.iter().map(|name| format!("{name}=1\n")).collect();
    let level = OneLevel::env(&lines.concat());
    let run = level.run().args(["--allow-unsafe-env", "PS4,IFS"]);
    let outcome = run.refuses(125, &[]);
    let told: Vec<_> = REFUSED
        .iter()
        .filter(|(name, _)| !["PS4", "IFS"].contains(&name.as_str()))
        .collect();
    let with_program = |(name, program): &&(String, String)| format!("{name} ({program})");
    let list: Vec<_> = told.iter().map(with_program).collect();
    let names: Vec<_> = told.iter().map(|(name, _)| name.as_str()).collect();
    let expected = format!(
        "dotenv-run: secrets whose names take over a program: {}\nhint: use --allow-unsafe-env {} to accept them\n",
        list.join(", "),
        names.join(","),
    );
    assert_eq!(outcome.stderr, expected);
}

/// Whatever makes a name a variable, the name that comes of it counts.
pub fn a_name_that_comes_of_an_option_is_refused_too() {
    let level = OneLevel::env(&format!("A={HIDDEN}\nEDITOR_={HIDDEN}\nPRELOAD={HIDDEN}\n"));
    let ways: [(&[&str], &str); 3] = [
        (&["--rename", "A=GIT_EDITOR"], "GIT_EDITOR"),
        (&["--prefix", "LD_"], "LD_PRELOAD"),
        (
            &["--rename", "EDITOR_=CONFIG_COUNT", "--prefix", "GIT_"],
            "GIT_CONFIG_COUNT",
        ),
    ];
    for (options, name) in ways {
        let run = || level.run().args(options);
        refused_unseen(run(), &[name]);
        refused_unseen(run().args(["--file", "F", "--file-only"]), &[name]);
        refused_unseen(
            run().args(["--file", "F=json", "--file", "G=shell", "--file-only"]),
            &[name],
        );
        for form in ["env", "shell", "fish"] {
            let printed = run().args(["--print", form]).finish();
            printed.assert_refused(125, &[name]);
            printed.assert_stdout("");
        }
        // What is data takes nothing over.
        let printed = run().args(["--print", "json"]).finish();
        assert!(printed.assert_status(0).text().contains(name), "{printed}");
        let file = run().args([
            "--file",
            "F=yaml",
            "--file-only",
            "--",
            "sh",
            "-c",
            "cat \"$F\"",
        ]);
        assert!(file.finish().assert_status(0).text().contains(name));
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
