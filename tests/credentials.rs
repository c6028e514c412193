//! Where keys come from, in which order, when the client key is consulted at all, and that nothing
//! of a key is left where the command or another process could see it.

mod key_files;
mod loose;

use std::fs;
use std::time::Duration;

use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

use crate::support::*;

tests![
    a_key_comes_from_the_first_place_that_is_set,
    a_place_that_is_set_and_of_no_use_is_not_passed_over,
    a_key_comes_from_the_secrets_of_a_container needs(OWN_RUN),
    a_missing_key_names_every_place_that_was_looked_at,
    a_client_key_is_not_touched_for_a_server_managed_project,
    a_tree_needs_no_api_key,
    the_command_sees_no_variable_of_a_key,
    the_command_sees_the_variables_that_are_kept,
    a_variable_that_is_there_twice_is_gone_twice,
    our_own_environment_is_overwritten needs(ROOT),
    key_files::a_key_file_may_be_a_descriptor,
    key_files::a_key_file_may_be_a_process_substitution needs(|| tool("bash")),
    key_files::a_user_without_privileges_may_use_descriptors needs(
        ROOT,
        || tool("bash"),
        || tool("setpriv")
    ),
    key_files::a_descriptor_that_held_a_key_is_closed,
    key_files::a_descriptor_that_cannot_be_read_is_an_error,
    key_files::standard_input_holds_one_key,
    key_files::white_space_around_a_key_is_trimmed,
    key_files::a_client_key_is_otherwise_taken_as_it_is,
    key_files::what_is_no_key_is_refused_by_its_source,
    key_files::an_api_key_that_no_header_can_carry_is_refused,
    key_files::a_file_that_cannot_be_read_is_an_error,
    key_files::a_descriptor_that_is_non_blocking_is_waited_for,
    key_files::a_named_pipe_is_waited_for,
    key_files::a_key_that_never_comes_is_given_up needs(STRACE),
    key_files::a_value_that_names_no_file_is_not_repeated,
    key_files::a_key_file_open_to_others_draws_one_warning,
    loose::a_file_that_everyone_can_write_is_refused,
    loose::a_file_that_everyone_can_replace_is_refused,
    loose::a_descriptor_is_the_business_of_whoever_opened_it,
    loose::what_some_can_change_draws_one_warning_with_the_commands needs(ROOT),
    loose::a_secret_of_a_container_is_read_with_a_warning needs(NOBODY),
    loose::sealing_refuses_it_as_well,
];

fn a_key_comes_from_the_first_place_that_is_set() {
    Lock::each(|lock| {
        for first in 0..Lock::PLACES {
            let run = |first_key: &str, other_key: &str| {
                let put = |run, rank| lock.put(run, rank, other_key);
                (first + 1..Lock::PLACES).fold(lock.with(first, first_key), put)
            };
            run(&lock.right, &lock.wrong).assert_shows("APP_NAME", "Acme");
            run(&lock.wrong, &lock.right).refuses(125, &[]);
        }
    });
}

fn a_place_that_is_set_and_of_no_use_is_not_passed_over() {
    Lock::each(|lock| {
        for first in 0..Lock::PLACES {
            let put = |run, rank| lock.put(run, rank, &lock.right);
            let run = (first + 1..Lock::PLACES).fold(lock.with(first, ""), put);
            run.refuses(125, &[&lock.source(first), "empty"]);
        }
        let run = lock
            .with(2, &lock.right)
            .args([lock.option, "/no/such/file"]);
        run.refuses(125, &[lock.option, "\nhint: "]);
        for file in ["", "/no/such/file"] {
            let run = lock.with(2, &lock.right).env(lock.file_variable, file);
            run.refuses(125, &[lock.file_variable, "\nhint: "]);
        }
    });
}

/// Shows the program behind a `/run` that holds nothing but this key.
fn in_container(lock: &Lock, key: &str) -> Run {
    let script = "mount -t tmpfs none /run && mkdir /run/secrets && umask 077 \
                  && printf '%s\\n' \"$KEY\" >\"$PLACE\" && exec \"$@\"";
    let unshare = ["unshare", "--user", "--map-root-user", "--mount"];
    let run = lock
        .run
        .clone()
        .env("KEY", key)
        .env("PLACE", lock.container);
    run.under(unshare.into_iter().chain(["sh", "-c", script, "sh"]))
}

fn a_key_comes_from_the_secrets_of_a_container() {
    Lock::each(|lock| {
        in_container(lock, &lock.right).assert_shows("APP_NAME", "Acme");
        in_container(lock, &lock.wrong).refuses(125, &[]);
        in_container(lock, "  ").refuses(125, &[lock.container, "empty"]);
        for rank in 0..Lock::PLACES {
            let run = lock.put(in_container(lock, &lock.wrong), rank, &lock.right);
            run.assert_shows("APP_NAME", "Acme");
            let run = lock.put(in_container(lock, &lock.right), rank, &lock.wrong);
            run.refuses(125, &[]);
        }
        let elsewhere = in_container(lock, &lock.right).env("CREDENTIALS_DIRECTORY", "/no/such");
        elsewhere.assert_shows("APP_NAME", "Acme");
    });
}

fn a_missing_key_names_every_place_that_was_looked_at() {
    Lock::each(|lock| {
        let credential = format!("$CREDENTIALS_DIRECTORY/{}", lock.credential);
        // The variable must stand for itself, not only as the beginning of the other one's name.
        let variable = format!("{},", lock.variable);
        let places = [
            lock.option,
            lock.file_variable,
            &variable,
            &credential,
            lock.container,
        ];
        // A key on standard input is not taken from there unless that was asked for.
        let run = lock.run.clone().stdin(lock.right.as_str());
        run.clone()
            .refuses(125, &[lock.option, lock.variable, "\nhint: "]);
        let outcome = run.args(["-v", "--", "true"]).finish();
        outcome.assert_status(125);
        for place in places {
            assert!(outcome.stderr.contains(place), "{place}: {outcome}");
        }
        let is_asked_for = lock.option == "--client-key";
        assert_eq!(
            outcome.stderr.contains("terminal"),
            is_asked_for,
            "{outcome}"
        );
        let run = lock
            .run
            .clone()
            .env("CREDENTIALS_DIRECTORY", lock.dir.path());
        let outcome = run.args(["-v", "--", "true"]).finish();
        assert!(outcome.stderr.contains(&lock.source(3)), "{outcome}");
    });
    let service = Service::plain();
    let run = Run::on_service_without_key(&service).arg("legacy");
    run.refuses(125, &["no API key"]);
    assert!(service.requests().is_empty(), "{:?}", service.requests());
}

/// The file is a pipe that nobody writes to: whoever opens it waits for ever.
fn a_client_key_is_not_touched_for_a_server_managed_project() {
    let tree = Tree::example();
    let lock = Lock::client_key(&tree);
    let pipe = lock.dir.path().join(lock.credential);
    mkfifo(&pipe, Mode::S_IRWXU).expect("a named pipe");
    let run = || {
        tree.dotenv_run()
            .arg("legacy")
            .limit(Duration::from_secs(5))
    };
    let given = [
        run().arg(lock.option).arg(&pipe),
        run().args([lock.option, "no-such-file"]),
        run().env(lock.file_variable, &pipe),
        run().env(lock.variable, &lock.right),
        run().env("CREDENTIALS_DIRECTORY", lock.dir.path()),
    ];
    for run in given {
        let outcome = run.clone().assert_shows("APP_NAME", "Acme");
        assert!(
            outcome.stderr.starts_with("dotenv-run: warning: "),
            "{outcome}"
        );
        assert!(outcome.stderr.contains("client key"), "{outcome}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome}");
        let outcome = run.arg("--quiet").assert_shows("APP_NAME", "Acme");
        assert_eq!(outcome.stderr, "", "{outcome}");
    }
    let run = run()
        .stdin("for the command")
        .args([lock.option, "-", "--", "cat"]);
    let outcome = run.finish();
    outcome.assert_status(0).assert_stdout("for the command");
    let outcome = tree
        .dotenv_run()
        .arg("legacy")
        .assert_shows("APP_NAME", "Acme");
    assert_eq!(outcome.stderr, "", "{outcome}");
}

fn a_tree_needs_no_api_key() {
    let tree = Tree::example();
    let run = tree.dotenv_run().arg("legacy").env("DOTENV_API_KEY", "");
    run.assert_shows("APP_NAME", "Acme");
}

/// All four variables, of which the two with a file count, and `more` entries behind them.
fn with_all_variables(service: &Service, dir: &TempDir, more: &[&str]) -> Run {
    let api_key = dir.file("its-api-key", service.api_key());
    let client_key = dir.file("its-client-key", CLIENT_KEY);
    let mut entries = vec![
        format!("PATH={}", std::env::var("PATH").unwrap_or_default()),
        format!("DOTENV_API_URL={}", service.url()),
        format!("DOTENV_API_KEY_FILE={}", api_key.display()),
        "DOTENV_API_KEY=an-unused-api-key".into(),
        format!("DOTENV_CLIENT_KEY_FILE={}", client_key.display()),
        "DOTENV_CLIENT_KEY=an-unused-client-key".into(),
    ];
    entries.extend(more.iter().copied().map(String::from));
    let entries: Vec<_> = entries.iter().map(String::as_bytes).collect();
    Run::dotenv_run().environment_block(&entries).arg("my-app")
}

/// What must not be left of them anywhere.
const TRACES: [&str; 6] = [
    "DOTENV_API_KEY",
    "DOTENV_CLIENT_KEY",
    "its-api-key",
    "its-client-key",
    "an-unused-",
    CLIENT_KEY,
];

#[track_caller]
fn assert_no_trace(text: &str) {
    let found = TRACES.into_iter().find(|trace| text.contains(trace));
    assert_eq!(found, None, "in {text:?}");
}

fn the_command_sees_no_variable_of_a_key() {
    let (service, dir) = (Service::plain(), TempDir::new());
    for option in ["--exec", "--supervise", "--preserve-env", "--clean-env"] {
        let run = with_all_variables(&service, &dir, &[]).args([option, "--quiet", "--"]);
        let outcome = run.args(["cat", "/proc/self/environ"]).finish();
        outcome.assert_status(0);
        assert!(outcome.text().contains("APP_NAME=Acme\0"), "{outcome}");
        assert_no_trace(outcome.text());
        assert!(!outcome.text().contains(service.api_key()), "{outcome}");
    }
}

fn the_command_sees_the_variables_that_are_kept() {
    let (service, dir) = (Service::plain(), TempDir::new());
    for option in ["--exec", "--supervise"] {
        let run =
            with_all_variables(&service, &dir, &[]).args([option, "--keep-credentials", "--"]);
        let outcome = run.arg("env").finish();
        outcome.assert_status(0);
        for entry in [
            format!("DOTENV_API_KEY_FILE={}/its-api-key", dir.path().display()),
            format!(
                "DOTENV_CLIENT_KEY_FILE={}/its-client-key",
                dir.path().display()
            ),
            "DOTENV_API_KEY=an-unused-api-key".into(),
            "DOTENV_CLIENT_KEY=an-unused-client-key".into(),
        ] {
            let count = outcome.text().lines().filter(|line| *line == entry).count();
            assert_eq!(count, 1, "{entry}\n{outcome}");
        }
    }
}

/// More of them: a second value, and what an environment may hold too.
const REPEATED: [&str; 6] = [
    "STAYS=1",
    "DOTENV_API_KEY=an-unused-second",
    "DOTENV_CLIENT_KEY_FILE=its-client-key-again",
    "DOTENV_CLIENT_KEY=",
    "DOTENV_API_KEY_FILE=its-api-key-again",
    "STAYS=2",
];

fn a_variable_that_is_there_twice_is_gone_twice() {
    let (service, dir) = (Service::plain(), TempDir::new());
    for option in ["--exec", "--supervise"] {
        let run = with_all_variables(&service, &dir, &REPEATED).args([option, "--"]);
        let outcome = run.args(["cat", "/proc/self/environ"]).finish();
        outcome.assert_status(0);
        assert!(outcome.text().contains("STAYS=1\0STAYS=2\0"), "{outcome}");
        assert_no_trace(outcome.text());
    }
}

/// Our processes while an answer is awaited that never comes.
fn while_fetching(options: &[&str], look: impl Fn(&[Pid])) {
    let (service, dir, witness) = (Service::plain(), TempDir::new(), Witness::new());
    service.fail(Route::EncryptionKey, Fault::Hang);
    let run = with_all_variables(&service, &dir, &REPEATED).args(options);
    let live = run.arg("--").args(witness.command()).spawn();
    wait_until("the second request", || service.requests().len() == 2);
    let children = format!("/proc/{0}/task/{0}/children", live.pid());
    let children = fs::read_to_string(children).expect("the children of our process");
    let children = children
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok());
    let family: Vec<_> = [live.pid()]
        .into_iter()
        .chain(children.map(Pid::from_raw))
        .collect();
    assert_eq!(family.len(), 1 + options.len(), "{family:?}");
    look(&family);
    drop(live);
    witness.assert_not_started();
}

fn our_own_environment_is_overwritten() {
    for options in [&[][..], &["--supervise"]] {
        while_fetching(options, |family| {
            let read = |pid: &Pid, name| {
                let bytes = fs::read(format!("/proc/{pid}/{name}")).expect("a running process");
                String::from_utf8_lossy(&bytes).into_owned()
            };
            for pid in family {
                let is_clean = |text: &str| !TRACES.iter().any(|trace| text.contains(trace));
                // The supervisor does it while the worker already runs.
                wait_until("the variables to go", || is_clean(&read(pid, "environ")));
                assert_no_trace(&read(pid, "cmdline"));
            }
            let worker = family.last().expect("a process of ours");
            let environ = read(worker, "environ");
            assert!(
                environ.contains("STAYS=1\0") && environ.contains("STAYS=2\0"),
                "{environ:?}"
            );
        });
    }
}
