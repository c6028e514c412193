//! The settings that options and variables give: which values are refused, that a flag wins over
//! its variable, and that each option does what it is for.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::support::*;

pub fn a_flag_wins_over_its_variable() {
    let tree = Tree::example();
    for url in ["https://localhost:1", "rubbish", "http://example.com"] {
        let run = Run::dotenv_run().arg("legacy").env("DOTENV_API_URL", url);
        let run = run.args(["--api-url", &tree.url()]);
        run.any_custody().assert_shows("APP_NAME", "Acme");
    }
    let service = Service::plain();
    let run = |organization| {
        let run = Run::on_service(&service).arg("legacy");
        run.env("DOTENV_ORGANIZATION", organization)
    };
    for organization in [FOREIGN_ORGANIZATION, "another-one", "../rubbish"] {
        let run = run(organization).args(["--organization", ORGANIZATION]);
        run.assert_shows("APP_NAME", "Acme");
    }
    let run = run(ORGANIZATION).args(["--organization", FOREIGN_ORGANIZATION]);
    run.refuses(125, &["legacy", "no such project"]);
    let asked_for = |request: &Request| request.target.contains(FOREIGN_ORGANIZATION);
    assert!(service.requests().iter().any(asked_for));
}

pub fn an_empty_variable_counts_as_not_set() {
    let service = Service::plain();
    let run = || Run::on_service(&service).arg("legacy");
    let run = run().env("DOTENV_ORGANIZATION", "");
    run.clone().assert_shows("APP_NAME", "Acme");
    let run = run
        .env("DOTENV_API_URL", "")
        .args(["--api-url", &service.url()]);
    run.assert_shows("APP_NAME", "Acme");
}

const BAD_ORGANIZATIONS: &[&str] = &[
    "..",
    "a/b",
    "Acme",
    "acme_corp",
    "a b",
    "a\r\nX:y",
    "ä",
    "%41",
];

const BAD_URLS: &[&str] = &[
    "api.dotenv.cloud //api.dotenv.cloud /srv/secrets https: https:// https://:443",
    "https://localhost:99999 ftp://localhost ws://localhost wss://localhost data:,x unix:///a",
    "http://example.com http://10.0.0.1 http://192.168.0.1 http://0.0.0.0 http://8.8.8.8",
    "http://[2001:db8::1] http://[::] http://localhost.example.com HTTP://EXAMPLE.COM",
    "http://127.0.0.1.example.com http://example.com:80/localhost http://mylocalhost",
    "http://127.0.0.1@example.com http://localhost:80@example.com http://a:b@127.0.0.1",
    "https://user@localhost https://user:word@localhost https://:word@localhost",
    "https://localhost? https://localhost?a=b https://localhost/?a https://localhost#a",
    "file: file:// file:srv file://srv file://example.com/srv file://user@localhost/srv",
    "file:///srv?a=b file:///srv#a \n",
];

pub fn a_bad_value_is_refused_before_anything_else_happens() {
    let service = Service::plain();
    let run = || Run::on_service(&service).args(["legacy", "--api-key-file", "/no/such/file"]);
    let assert_bad = |option: &str, variable: &str, value: &OsStr| {
        let by_option = run().arg(option).arg(value);
        by_option.refuses(125, &[&format!("dotenv-run: {option}: "), "\nhint: "]);
        // An empty variable counts as not set.
        if !value.is_empty() {
            let by_variable = run().env(variable, value);
            by_variable.refuses(125, &[&format!("dotenv-run: {variable}: "), "\nhint: "]);
        }
    };
    let no_text = OsStr::from_bytes(b"a\xff");
    let bad = BAD_ORGANIZATIONS.iter().map(OsStr::new);
    for organization in bad.chain(["".as_ref(), no_text]) {
        assert_bad("--organization", "DOTENV_ORGANIZATION", organization);
    }
    let bad = words(BAD_URLS).map(OsStr::new);
    for url in bad
        .chain(["", " ", "https://a b"].map(OsStr::new))
        .chain([no_text])
    {
        assert_bad("--api-url", "DOTENV_API_URL", url);
    }
    assert!(service.requests().is_empty(), "{:?}", service.requests());
}

pub fn a_timeout_is_a_number_of_seconds() {
    let tree = Tree::example();
    let run = || tree.dotenv_run().arg("legacy");
    for seconds in
        words(&["0 -1 -0.0 abc 1s nan inf -inf 1e400 1e300 0x10 1,5 1\n"]).chain(["", "1 "])
    {
        let run = run().args(["--timeout", seconds]);
        run.refuses(125, &["dotenv-run: --timeout: ", "\nhint: "]);
    }
    for seconds in ["1", "0.5", "30", "3600"] {
        let run = run().args(["--timeout", seconds]);
        run.assert_shows("APP_NAME", "Acme");
    }
}

pub fn options_that_exclude_each_other_are_refused() {
    let tree = Tree::example();
    for options in [["--exec", "--supervise"], ["--supervise", "--exec"]] {
        let run = tree.dotenv_run().arg("legacy").args(options);
        run.refuses(125, &["--exec", "--supervise", "\nhint: "]);
    }
}

pub fn quiet_and_verbose_change_only_what_is_said() {
    let tree = Tree::example();
    let run = |option| {
        let run = tree.dotenv_run().args(["managed", option]);
        run.assert_shows("LOG_LEVEL", "info")
    };
    // The example has few iterations, which draws a warning.
    let (quiet, normal, verbose) = (run("--quiet"), run("--timeout=30"), run("--verbose"));
    assert_eq!(quiet.stderr, "", "{quiet}");
    assert!(
        normal.stderr.starts_with("dotenv-run: warning: "),
        "{normal}"
    );
    assert_eq!(normal.stderr.lines().count(), 1, "{normal}");
    assert!(verbose.stderr.contains(&normal.stderr), "{verbose}");
    assert!(verbose.stderr.lines().count() > 1, "{verbose}");
    for secret in ["Acme", "postgres", "a-key-that-the-service-keeps"] {
        assert!(!verbose.stderr.contains(secret), "{verbose}");
    }
    let run = tree.dotenv_run().args(["no-such-project", "--quiet"]);
    run.refuses(125, &["no-such-project"]);
}

pub fn a_level_and_an_empty_path_can_be_asked_for() {
    let mut world = World::example();
    world
        .projects
        .push(Project::new("empty", Custody::legacy()));
    let tree = Tree::of(&world);
    let run = |path: &str| tree.dotenv_run().arg(path);
    let run_level = run("legacy/production").arg("--level-only");
    run_level.clone().assert_shows("LOG_LEVEL", "debug");
    let outcome = run_level.args(["--", "printenv", "APP_NAME"]).finish();
    outcome.assert_status(1).assert_stdout("");
    run("empty").refuses(125, &["empty", "--allow-empty"]);
    let words = ["--allow-empty", "--", "sh", "-c", "exit 42"];
    run("empty").args(words).finish().assert_status(42);
}

pub fn exec_leaves_one_process_and_supervise_two() {
    let tree = Tree::example();
    let command = ["--", "sh", "-c", "echo $$ $PPID; :"];
    let family = |options: &[&str]| {
        let run = tree.dotenv_run().arg("legacy").args(options);
        let live = run.args(command).spawn();
        let (ours, outcome) = (live.pid().to_string(), live.wait());
        let pids = outcome.text().split_whitespace();
        pids.map(|pid| pid == ours).collect::<Vec<_>>()
    };
    assert_eq!(
        family(&[]),
        [true, false],
        "the command is the process that was started"
    );
    assert_eq!(family(&["--exec"]), [true, false]);
    assert_eq!(
        family(&["--supervise"]),
        [false, true],
        "and here its child"
    );
}

pub fn a_private_authority_is_trusted_when_it_is_named() {
    let service = Service::example();
    let run = Run::on_service(&service).arg("legacy");
    run.clone().refuses(125, &["127.0.0.1", "certificate"]);
    let run = run.arg("--ca-file");
    run.clone()
        .arg(service.ca_file())
        .assert_shows("APP_NAME", "Acme");
    let run = run.arg("/no/such/file.pem");
    run.refuses(125, &["--ca-file", "/no/such/file.pem"]);
}

pub fn the_timeout_bounds_the_whole_fetch() {
    for (route, seconds) in [
        (Route::Secrets, 0.5),
        (Route::Secrets, 1.5),
        (Route::EncryptionKey, 1.0),
    ] {
        let service = Service::plain();
        service.fail(route, Fault::Hang);
        let run = Run::on_service(&service).args(["legacy", "--timeout", &seconds.to_string()]);
        let outcome = run.refuses(124, &["127.0.0.1", &format!("{seconds} s")]);
        let elapsed = outcome.elapsed.as_secs_f64();
        // Under load the end may be late, but not by what the default would take.
        assert!(
            (seconds..seconds + 5.0).contains(&elapsed),
            "{elapsed} s, {outcome}"
        );
    }
}
