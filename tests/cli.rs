//! The command line: which paths and options are understood, what a usage error looks like, and
//! that the arguments of the command are nobody else's business.

mod isolation;
mod settings;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::support::*;

tests![
    a_path_is_one_to_three_slugs,
    a_path_that_is_none_is_refused_before_anything_else_happens,
    a_path_comes_from_the_environment_only_where_the_command_line_has_none,
    help_and_version_work_whatever_the_environment_holds,
    help_that_cannot_be_written_is_an_error,
    an_option_that_does_not_exist_is_refused,
    an_option_without_its_value_does_not_take_the_separator_for_it,
    an_option_that_takes_no_value_refuses_one,
    a_command_line_without_all_its_parts_is_refused,
    a_word_that_is_refused_is_not_repeated,
    options_are_understood_in_every_spelling,
    the_arguments_of_the_command_arrive_byte_for_byte,
    what_follows_the_separator_belongs_to_the_command,
    isolation::no_file_in_the_working_or_home_directory_is_looked_at needs(STRACE, ROOT),
    isolation::no_file_in_the_working_directory_stops_a_run,
    isolation::no_variable_switches_the_verification_of_certificates_off,
    isolation::no_variable_changes_the_address_of_the_service needs(NO_NETWORK),
    isolation::plain_http_is_spoken_to_loopback,
    isolation::a_file_url_has_several_forms,
    settings::a_flag_wins_over_its_variable,
    settings::an_empty_variable_counts_as_not_set,
    settings::a_bad_value_is_refused_before_anything_else_happens,
    settings::a_timeout_is_a_number_of_seconds,
    settings::options_that_exclude_each_other_are_refused,
    settings::quiet_and_verbose_change_only_what_is_said,
    settings::a_level_and_an_empty_path_can_be_asked_for,
    settings::exec_leaves_one_process_and_supervise_two,
    settings::a_private_authority_is_trusted_when_it_is_named,
    settings::the_timeout_bounds_the_whole_fetch,
];

/// Slugs that look odd and are slugs.
fn odd_slugs() -> Vec<String> {
    let longest = "a".repeat(100);
    let slugs = ["-", "-q", "--help", "0", "a-", "secret", &longest];
    slugs.map(String::from).into()
}

fn a_path_is_one_to_three_slugs() {
    let projects = odd_slugs().into_iter().map(|slug| {
        Project::new(&slug, Custody::legacy())
            .level("", "WHERE=project\n")
            .level(&slug, "WHERE=target\n")
            .level(&format!("{slug}/{slug}"), "WHERE=environment\n")
    });
    let tree = Tree::of(&World::new(projects.collect()));
    for slug in odd_slugs() {
        for (depth, level) in ["project", "target", "environment"].into_iter().enumerate() {
            let path = vec![slug.as_str(); depth + 1].join("/");
            let run = tree.dotenv_run().env("DOTENV_RUN_PATH", path);
            run.assert_shows("WHERE", level);
        }
    }
}

/// What is close to a path and is none.
const BAD_PATHS: &[&str] = &[
    "/ // /a a/ a//b a/b/ a/b// //a/b a/b/c/ a/b/c/d a/b/c/d/e . .. ../a a/.. a/../b a/./b",
    "A aB a/B a/b/C a_b a.b a\\b a:b a?b=c a#b a;b a%2fb %61 a/%2e%2e/b a\n \ta a\r ä а",
    "secrets a/secrets a/b/secrets encryption-key a/encryption-key a/b/encryption-key",
    "projects a/projects targets a/targets environments a/environments a/b/environments",
];

fn bad_paths() -> Vec<OsString> {
    let mut paths: Vec<OsString> = words(BAD_PATHS).map(OsString::from).collect();
    paths.extend([" a", "a ", "a b"].map(OsString::from));
    let long = "a".repeat(101);
    paths.extend([format!("a/{long}").into(), long.into()]);
    paths.push(OsString::from_vec(b"a\xff".into()));
    paths
}

fn a_path_that_is_none_is_refused_before_anything_else_happens() {
    let service = Service::plain();
    // Not even the key file is looked at.
    let run = || Run::on_service(&service).args(["--api-key-file", "/no/such/file"]);
    for path in bad_paths() {
        run().arg(&path).refuses(125, &["PATH: ", "\nhint: "]);
        let run = run().env("DOTENV_RUN_PATH", &path);
        run.refuses(125, &["DOTENV_RUN_PATH: ", "\nhint: "]);
    }
    let message = "dotenv-run: 'My-App/x' is not a valid PATH: segments are lower-case letters, digits and hyphens\n";
    run().arg("My-App/x").refuses(125, &[message]);
    let refused = run()
        .arg("a".repeat(20) + "_")
        .refuses(125, &["not a valid PATH: "]);
    assert!(
        !refused.stderr.contains("aaa"),
        "it may be a key: {refused}"
    );
    let run = run().arg("").env("DOTENV_RUN_PATH", "legacy");
    run.refuses(125, &["PATH: "]);
    assert!(service.requests().is_empty(), "{:?}", service.requests());
}

fn a_path_comes_from_the_environment_only_where_the_command_line_has_none() {
    let tree = Tree::example();
    let run = || {
        tree.dotenv_run()
            .env("DOTENV_RUN_PATH", "legacy/production")
    };
    run().assert_shows("LOG_LEVEL", "debug");
    run().arg("legacy").assert_shows("LOG_LEVEL", "info");
    let run = run().arg("legacy").env("DOTENV_RUN_PATH", "../..");
    run.assert_shows("LOG_LEVEL", "info");
    let none = ["no PATH", "\nhint: ", "DOTENV_RUN_PATH"];
    tree.dotenv_run().refuses(125, &none);
    let run = tree.dotenv_run().env("DOTENV_RUN_PATH", "");
    run.refuses(125, &none);
}

/// Every variable that is read, with the worst that can be in it.
fn in_hostile_environment() -> Run {
    let names = [
        "DOTENV_RUN_PATH DOTENV_API_URL DOTENV_ORGANIZATION CREDENTIALS_DIRECTORY",
        "DOTENV_API_KEY DOTENV_API_KEY_FILE DOTENV_CLIENT_KEY DOTENV_CLIENT_KEY_FILE",
    ];
    let worst = OsStr::from_bytes(b"../\xff\n");
    words(&names).fold(Run::dotenv_run(), |run, name| run.env(name, worst))
}

fn help_and_version_work_whatever_the_environment_holds() {
    let usage = "Usage: dotenv-run [OPTION]... [PATH]... -- COMMAND [ARG]...\n";
    let version = concat!("dotenv-run ", env!("CARGO_PKG_VERSION"), "\n");
    let mistakes = [
        "--supervise --exec",
        "no/such/path -q",
        "--timeout=never ..",
    ];
    for before in mistakes.map(|line| line.split(' ')) {
        let ask = |option| {
            let run = in_hostile_environment().args(before.clone()).arg(option);
            let witness = Witness::new();
            let with_command = run.clone().arg("--").args(witness.command()).finish();
            witness.assert_not_started();
            let outcome = run.finish();
            outcome.assert_status(0).assert_stdout(&with_command.stdout);
            assert_eq!(outcome.stderr, "", "{outcome}");
            outcome
        };
        ask("--version").assert_stdout(version);
        let help = ask("--help");
        assert!(help.text().starts_with(usage), "{help}");
    }
}

fn help_that_cannot_be_written_is_an_error() {
    for option in ["--help", "--version"] {
        let run = Run::dotenv_run().arg(option);
        let run = run.under(["sh", "-c", "exec \"$@\" >/dev/full", "sh"]);
        run.finish().assert_refused(125, &["standard output"]);
    }
}

/// What other programs have, what would be dangerous to have, and what is nearly right.
const UNKNOWN_OPTIONS: &[&str] = &[
    "--bogus -x -h -V -k -qx --insecure --no-verify --tls-skip-verify --skip-verify --config",
    "--env-file --api-key --api-key=x --client-key-value --supervis --Quiet -- --= --=x ---",
];

fn an_option_that_does_not_exist_is_refused() {
    let tree = Tree::example();
    let run = || tree.dotenv_run().arg("legacy");
    for option in words(UNKNOWN_OPTIONS).filter(|option| *option != "--") {
        run()
            .arg(option)
            .refuses(125, &["unknown option", "\nhint: "]);
    }
    let run = run().arg(OsStr::from_bytes(b"--b\xff\n"));
    run.refuses(125, &["unknown option", "\nhint: "]);
}

fn an_option_without_its_value_does_not_take_the_separator_for_it() {
    let tree = Tree::example();
    let options = [
        "--organization --api-url --api-key-file --client-key --ca-file --timeout --pass",
        "--allow-unsafe-env",
    ];
    for option in words(&options) {
        let run = tree.dotenv_run().args(["legacy", option]);
        run.refuses(125, &[option, "needs a value", "\nhint: "]);
    }
}

fn an_option_that_takes_no_value_refuses_one() {
    let tree = Tree::example();
    let options = ["-q=1 --supervise=yes --allow-empty= --level-only=1 --help=yes --version=2"];
    for option in words(&options) {
        let run = tree.dotenv_run().args(["legacy", option]);
        run.refuses(125, &["takes no value", "\nhint: "]);
    }
}

fn a_command_line_without_all_its_parts_is_refused() {
    let tree = Tree::example();
    let witness = Witness::new();
    for before in ["", "legacy", "-q legacy", "legacy --supervise", "--api-url"] {
        let run = tree.dotenv_run().args(before.split_terminator(' '));
        run.clone().finish().assert_refused(125, &["\nhint: "]);
        let run = run.args(witness.command());
        run.finish().assert_refused(125, &["\nhint: "]);
        witness.assert_not_started();
    }
    let run = tree.dotenv_run().args(["legacy", "--"]);
    run.finish()
        .assert_refused(125, &["no command", "\nhint: "]);
    let run = tree.dotenv_run().args(["legacy", "Legacy"]);
    run.refuses(125, &["PATH", "\nhint: "]);
    // With the line as it should be, as far as it cannot be a secret.
    let run = tree
        .dotenv_run()
        .args(["-q", "legacy/production", "./server", "--port"]);
    let missing = "dotenv-run: missing '--' before the command\n\
                   hint: dotenv-run [OPTION]... legacy/production -- COMMAND [ARG]...\n";
    run.finish().assert_refused(125, &[missing]);
}

fn a_word_that_is_refused_is_not_repeated() {
    const KEY: &str = "Sesame-Open-0123456789";
    let tree = Tree::example();
    let lines = [
        "--api-key KEY",
        "legacy --api-key=KEY",
        "legacy -pKEY",
        "legacy --quiet=KEY",
        "KEY",
        "legacy KEY",
        "legacy --client-key KEY KEY",
        "legacy --organization KEY/",
        "legacy --timeout KEY",
        "legacy --api-url KEY",
        "legacy --api-url https://user:KEY@localhost",
    ];
    for line in lines.map(|line| line.replace("KEY", KEY)) {
        let run = tree.dotenv_run().args(line.split(' '));
        let outcome = run.refuses(125, &[]);
        assert!(!outcome.stderr.contains(KEY), "{outcome}");
    }
}

fn options_are_understood_in_every_spelling() {
    let tree = Tree::example();
    let lines = [
        "--api-url URL legacy",
        "--api-url=URL legacy",
        "legacy --api-url=URL",
        "-q legacy -v --api-url=URL",
        "-qv --api-url URL legacy",
        "--quiet --api-url=URL legacy --supervise",
        "--organization=acme-corp --timeout=0.5 --api-url=URL legacy",
        "--timeout 86400 --api-url=URL legacy --exec",
    ];
    for line in lines.map(|line| line.replace("URL", &tree.url())) {
        let run = Run::dotenv_run().args(line.split(' '));
        run.any_custody().assert_shows("APP_NAME", "Acme");
    }
}

/// Everything that could be damaged on its way: no UTF-8, white space, what looks like an option.
fn odd_arguments() -> Vec<OsString> {
    let every_byte = (1..=255).collect();
    let words = [
        "",
        " ",
        "--",
        "-q",
        "--help",
        "--",
        "$HOME",
        "a=b",
        "new\nline",
        "-",
    ];
    let mut arguments: Vec<_> = words.map(OsString::from).into();
    arguments.push(OsString::from_vec(every_byte));
    arguments.push(OsString::from_vec(b"\xff\xfe--\xc3".into()));
    arguments.push("long".repeat(20_000).into());
    arguments
}

fn the_arguments_of_the_command_arrive_byte_for_byte() {
    let tree = Tree::example();
    let mut command = ["sh", "-c", "cat /proc/$$/cmdline; :"]
        .map(OsString::from)
        .to_vec();
    command.extend(odd_arguments());
    let with_nul = |word: &OsString| [word.as_bytes(), b"\0"].concat();
    let expected: Vec<u8> = command.iter().flat_map(with_nul).collect();
    for option in ["--exec", "--supervise"] {
        let run = tree.dotenv_run().args(["legacy", option, "--"]);
        let outcome = run.args(&command).finish();
        outcome.assert_status(0).assert_stdout(&expected);
    }
}

fn what_follows_the_separator_belongs_to_the_command() {
    let tree = Tree::example();
    for command in ["--", "--help", "-q"] {
        let run = tree.dotenv_run().env("PATH", "/usr/bin:/bin");
        let run = run.args(["legacy", "--", command, "true"]);
        run.finish().assert_refused(127, &[&format!("{command}: ")]);
    }
    let words = [
        "legacy",
        "--",
        "echo",
        "--version",
        "--",
        "-q",
        "--api-url=",
    ];
    let outcome = tree.dotenv_run().args(words).finish();
    outcome
        .assert_status(0)
        .assert_stdout("--version -- -q --api-url=\n");
}
