//! Two documents at the same time: what is done while the other is under way, and which failure
//! counts, whichever comes first.

use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Barrier, Mutex};
use std::thread::park_timeout;
use std::time::Duration;

use nix::unistd::Pid;

use crate::support::*;

tests![
    both_documents_are_asked_for_at_the_same_time,
    the_key_is_derived_while_the_secrets_are_under_way,
    a_key_that_may_keep_us_waiting_is_read_after_the_secrets,
    nobody_is_asked_for_a_key_before_the_secrets_are_there,
    a_failure_that_stays_counts_more_than_one_that_may_pass,
    the_descriptor_of_a_path_without_levels_makes_no_difference,
    a_refusal_of_the_secrets_is_not_held_up_by_the_descriptor,
    a_refusal_of_the_descriptor_counts_when_the_secrets_do_not_come,
];

fn status(status: u16) -> Fault {
    Fault::Reply(Reply::error(status, "code", "message"))
}

fn both_documents_are_asked_for_at_the_same_time() {
    for service in [Service::example(), Service::plain()] {
        // Neither is answered before both were asked for.
        let both = Arc::new(Barrier::new(2));
        for route in [Route::Secrets, Route::EncryptionKey] {
            let both = Arc::clone(&both);
            service.fail(
                route,
                Fault::edit(move |_| {
                    both.wait();
                }),
            );
        }
        assert_eq!(service.dotenv_run().arg("legacy").variables().len(), 3);
    }
}

/// The clock ticks of 10 ms that a process has computed for.
pub fn computed(pid: Pid) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split(' ').collect();
    fields[12].parse().unwrap()
}

/// A service whose answer with the secrets waits for a word.
fn holding_back(custody: Custody) -> (Service, Sender<()>) {
    let project = Project::new("p", custody).level("", "A=1\n");
    let service = Service::of(World::new(vec![project]));
    let (release, held) = mpsc::channel();
    let held = Mutex::new(held);
    let hold = move |_: &mut _| held.lock().unwrap().recv().unwrap_or_default();
    service.fail_times(1, Route::Secrets, Fault::edit(hold));
    (service, release)
}

fn the_key_is_derived_while_the_secrets_are_under_way() {
    for custody in [Custody::client(), Custody::server()] {
        let custody = Custody {
            iterations: Some(1_000_000),
            ..custody
        };
        let (service, release) = holding_back(custody);
        let run = service.dotenv_run().client_key().any_custody();
        let live = run.args(["p", "--", "printenv", "A"]).spawn();
        wait_until("the key being derived", || computed(live.pid()) >= 10);
        release.send(()).unwrap();
        live.wait().assert_status(0).assert_stdout("1\n");
    }
}

/// Nobody writes or closes anything, and still the refusal comes.
fn a_key_that_may_keep_us_waiting_is_read_after_the_secrets() {
    let dir = TempDir::new();
    let pipe = dir.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let pipe = pipe.display().to_string();
    for key in ["-", "fd:0", &pipe] {
        let service = Service::example();
        service.fail(Route::Secrets, late_reply(403));
        let run = service.dotenv_run().args(["--client-key", key, "my-app"]);
        // The writer of the pipe is the command itself, which has it as descriptor 9.
        let open = "exec 9<>\"$0\" <&9; exec \"$@\"";
        let refused = run.under(["sh", "-c", open, &pipe]).refuses(125, &["403"]);
        assert!(refused.elapsed < Duration::from_secs(10), "{refused}");
    }
}

fn nobody_is_asked_for_a_key_before_the_secrets_are_there() {
    let service = Service::example();
    service.fail(Route::Secrets, late_reply(403));
    let run = service.dotenv_run().args(["my-app", "--", "true"]);
    let outcome = Terminal::spawn(run).wait();
    outcome.assert_status(125);
    let said = format!("{outcome}");
    assert!(
        said.contains("403") && !said.contains("client key:"),
        "{said}"
    );

    let (service, release) = holding_back(Custody::client());
    let run = service.dotenv_run().args(["p", "--", "printenv", "A"]);
    let mut terminal = Terminal::spawn(run);
    wait_until("both requests", || service.requests().len() == 2);
    assert_eq!(terminal.output_so_far(), "");
    release.send(()).unwrap();
    terminal.expect("client key: ");
    terminal.send(format!("{CLIENT_KEY}\n"));
    terminal.wait().assert_status(0);
}

fn a_failure_that_stays_counts_more_than_one_that_may_pass() {
    let cases = [
        (404, 403, 125, "404"),
        (401, 503, 125, "401"),
        (503, 403, 125, "403"),
        (503, 429, 124, "503"),
        (200, 403, 125, "403"),
        (200, 503, 124, "503"),
    ];
    let late = || Fault::edit(|_| park_timeout(Duration::from_millis(60)));
    for (secrets, descriptor, expected, fragment) in cases {
        for late_one in [Route::Secrets, Route::EncryptionKey] {
            let service = Service::plain();
            for (route, code) in [
                (Route::Secrets, secrets),
                (Route::EncryptionKey, descriptor),
            ] {
                let fault = match code {
                    200 => late(),
                    code if route == late_one => late_reply(code),
                    code => status(code),
                };
                service.fail(route, fault);
            }
            let run = service.dotenv_run().arg("legacy/production");
            let refused = run.refuses(expected, &[]);
            let says = match fragment {
                "404" => refused.stderr.contains("no such project"),
                fragment => refused.stderr.contains(fragment),
            };
            assert!(says, "{secrets} and {descriptor}\n{refused}");
        }
    }
}

/// A refusal that comes a little later than it could.
fn late_reply(code: u16) -> Fault {
    Fault::Late(
        Duration::from_millis(60),
        Reply::error(code, "code", "message"),
    )
}

fn the_descriptor_of_a_path_without_levels_makes_no_difference() {
    for fault in [status(403), status(503), Fault::Hang] {
        let bare = Project::new("bare", Custody::client());
        let service = Service::of(World::new(vec![bare]));
        service.fail(Route::EncryptionKey, fault);
        let run = service.dotenv_run().args(["--allow-empty", "bare"]);
        let outcome = run.args(["--", "true"]).finish();
        outcome.assert_status(0);
        assert!(outcome.elapsed < Duration::from_secs(5), "{outcome}");
    }
}

fn a_refusal_of_the_secrets_is_not_held_up_by_the_descriptor() {
    let service = Service::example();
    service.fail(Route::Secrets, status(403));
    service.fail(Route::EncryptionKey, Fault::Hang);
    let refused = service.dotenv_run().arg("legacy").refuses(125, &["403"]);
    assert!(refused.elapsed < Duration::from_secs(5), "{refused}");
}

fn a_refusal_of_the_descriptor_counts_when_the_secrets_do_not_come() {
    let service = Service::example();
    service.fail(Route::Secrets, Fault::Hang);
    service.fail(Route::EncryptionKey, status(403));
    let run = service.dotenv_run().args(["--timeout", "0.4", "legacy"]);
    let refused = run.refuses(125, &["key:retrieve"]);
    assert!(refused.elapsed >= Duration::from_millis(400), "{refused}");
    assert!(refused.elapsed < Duration::from_secs(5), "{refused}");
}
