//! Where secrets are in memory: nowhere in the supervisor, and in locked memory alone in the process
//! that becomes the command.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::thread;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::vault::{PATH, Vault};
use crate::launch::init::static_build;
use crate::support::*;

pub fn secrets_are_found_whole_in_part_and_encoded() {
    let secret = unmistakable(40);
    let mut needles = Needles::new();
    needles.add("it", secret.as_bytes());
    let found = |bytes: &[u8]| -> Vec<_> {
        let hits = needles.find(bytes).into_iter();
        hits.map(|hit| (hit.form, hit.position, hit.length))
            .collect()
    };
    assert_eq!(found(secret.as_bytes()), [("raw", 0, 40)]);
    let parts = format!(
        "..{}....{}.{}",
        &secret[..9],
        &secret[32..],
        &secret[20..27]
    );
    assert_eq!(found(parts.as_bytes()), [("raw", 2, 9), ("raw", 15, 8)]);
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(found(hex.as_bytes()), [("hex", 0, 80)]);
    assert_eq!(found(unmistakable(5000).as_bytes()), []);
    assert_eq!(found(&[0; 5000]), []);
}

pub fn a_process_is_searched_everywhere() {
    let (secret, other) = (unmistakable(40), unmistakable(40));
    let mut needles = Needles::new();
    needles.add("it", secret.as_bytes());
    needles.add("other", other.as_bytes());
    let script = "copy=$SECRET; echo ready; read line";
    let run = Run::shell(script).env("SECRET", &secret);
    let run = run.under(["sh", "-c", "sleep 100 | \"$@\"", "sh"]).spawn();
    run.wait_for_output("ready");
    let shell = children(run.pid())[1];

    let findings = scan_running(shell, &needles);

    for place in ["[stack]", "[heap]", "environ"] {
        assert!(
            findings.count("it", |find| find.place == place) > 0,
            "{place}\n{findings}"
        );
    }
    assert_eq!(findings.count("other", |_| true), 0, "{findings}");
    assert_eq!(findings.count("it", Find::is_protected), 0, "{findings}");
}

/// The processes that another one has started.
pub fn children(process: Pid) -> Vec<Pid> {
    let list = fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    let list = list.expect("a process that runs");
    list.split_whitespace()
        .map(|pid| Pid::from_raw(pid.parse().expect("a number")))
        .collect()
}

pub fn a_waiting_supervisor_holds_nothing() {
    const RUNS: usize = 20;
    const AT_A_TIME: usize = 4;
    let vault = Vault::new();
    let run = || {
        let run = vault
            .on_service()
            .args([PATH, "--supervise", "--"])
            .args(recorder());
        assert_holds_nothing(&vault, run);
    };
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| (0..RUNS / AT_A_TIME).for_each(|_| run()));
        }
    });
}

/// Looks into the supervisor of a recorder as it waits, and after it has passed on many signals.
#[track_caller]
fn assert_holds_nothing(vault: &Vault, run: Run) {
    const SIGNALS: usize = 100;
    let live = run.spawn();
    live.wait_for_output("ready");
    scan_running(live.pid(), &vault.needles).assert_none("the waiting supervisor");
    for sent in 1..=SIGNALS {
        live.signal(Signal::SIGUSR1);
        wait_until("a signal that is passed on", || {
            live.output_so_far().matches("signal 10\n").count() == sent
        });
    }
    scan_running(live.pid(), &vault.needles).assert_none("the supervisor after signals");
    Sent::plain(END).to(live.pid().as_raw());
    live.wait().assert_status(RECORDER_STATUS);
}

pub fn a_supervisor_holds_no_key_that_was_given_twice_or_in_the_wrong_place() {
    let vault = Vault::new();
    let api_key = format!("DOTENV_API_KEY={}", vault.service.api_key());
    let client_key = format!("DOTENV_CLIENT_KEY={}", vault.client_key);
    let entries = [&api_key, &client_key, "A=1", &client_key, &api_key];
    let run = vault
        .on_service()
        .environment_block(&entries.map(str::as_bytes));
    assert_holds_nothing(
        &vault,
        run.args([PATH, "--supervise", "--"]).args(recorder()),
    );

    // A tree needs no key, and so nobody notices that this names no file.
    let run = vault.on_tree().args([
        PATH,
        "--supervise",
        "--api-key-file",
        vault.service.api_key(),
    ]);
    assert_holds_nothing(&vault, run.arg("--").args(recorder()));
}

/// Runs in every form that makes a difference to where copies could be left.
fn forms(vault: &Vault) -> Vec<(&'static str, Run)> {
    let (service, tree) = (vault.on_service(), vault.on_tree());
    let api_key = vault.service.api_key();
    let from_input = vault.tree.dotenv_run().args(["--client-key", "-"]);
    let from_input = from_input.stdin(vault.client_key.as_str());
    // What a template and a file of one secret are made from must not stay.
    let template = "{{ZONE}}{{LONG|base64}}{{URL|json}}{{DSN|url}}{{SHORT}}";
    let in_files = service
        .clone()
        .args([PATH, "--template=T=/dev/stdin", "--file=F=yaml"]);
    let in_files = in_files.args([
        "--secret-file=PEM",
        "--secret-file=SHORT=S",
        "--expand-args",
    ]);
    vec![
        ("service", service.clone().arg(PATH)),
        ("resolved", service.clone().args([PATH, "--resolve"])),
        ("JSON", service.clone().arg("json/production/api")),
        ("managed", service.clone().arg("managed/production/api")),
        (
            "masked and recorded",
            service.clone().args([PATH, "--mask=github", "--audit=2"]),
        ),
        ("kept", service.args([PATH, "--keep-credentials"])),
        ("tree", tree.clone().arg(PATH)),
        (
            "JSON, resolved",
            tree.clone().args(["json/production/api", "--resolve"]),
        ),
        (
            "key as argument",
            tree.args([PATH, "--api-key-file", api_key]),
        ),
        ("key from input", from_input.arg(PATH)),
        ("in files", in_files.stdin(template)),
    ]
}

/// The most copies of a secret in locked memory: the text that it was read from, and the environment
/// of the command.
const COPIES: usize = 2;

pub fn before_the_command_all_secrets_are_in_locked_memory() {
    assert_locked_before_command(|run| run);
}

pub fn before_the_command_of_a_release_too() {
    let program = static_build().expect("a static build");
    let directory = program.parent().expect("the path of a program");
    assert_locked_before_command(|run| run.built_in(directory));
}

#[track_caller]
fn assert_locked_before_command(build: impl Fn(Run) -> Run) {
    let vault = Vault::new();
    let (mut report, mut flaws) = (String::new(), 0);
    for (form, run) in forms(&vault) {
        // A key that can be read once only is none for the last mode.
        let modes = match form {
            "key from input" | "in files" => &["--exec", "--supervise"][..],
            _ => &["--exec", "--supervise", "--watch"],
        };
        for mode in modes {
            let run = build(run.clone()).args([mode, "--", "/bin/true"]);
            let findings = Held::before_command(run).scan(&vault.needles);
            let count = |secret| (secret, findings.count(secret, Find::is_protected));
            let counts: Vec<_> = vault.needles.secrets().into_iter().map(count).collect();
            // What the command is given is there in any case, or nothing would be found at all.
            let is_flaw = |(secret, count): &(&str, usize)| {
                *count > COPIES || (*secret == "ZONE" && *count == 0)
            };
            flaws += counts.iter().copied().filter(is_flaw).count();
            let unprotected = findings.only(|find| !find.is_protected());
            flaws += unprotected.0.len();
            let _ = writeln!(report, "{form}, {mode}: {counts:?}\n{unprotected}");
        }
    }
    assert_eq!(flaws, 0, "copies that should not be\n{report}");
}

/// The most copies of the API key outside of locked memory while an answer is awaited: the header of
/// each of the two requests.
const HEADERS: usize = 2;

pub fn a_key_is_in_locked_memory_during_the_fetch() {
    let vault = Vault::new();
    for (route, end) in [
        (Route::Secrets, "/secrets"),
        (Route::EncryptionKey, "/encryption-key"),
    ] {
        for mode in ["--exec", "--supervise"] {
            let (live, worker) = held_at(
                &vault.service,
                route,
                end,
                vault.on_service().args([PATH, mode, "--", "/bin/true"]),
            );
            let findings = scan_running(worker, &vault.needles);
            let is_header = |find: &Find| find.hit.secret == "API key" && !find.is_protected();
            let headers = findings.count("API key", is_header);
            assert!(
                headers <= HEADERS,
                "{headers} copies of the API key\n{findings}"
            );
            let others = findings.only(|find| !find.is_protected() && !is_header(find));
            others.assert_none("the worker that awaits an answer");
            drop(live);
        }
    }
}

/// A run, and its process that waits for an answer which never comes: of that route, to a request for
/// a path with that end.
pub fn held_at(service: &Service, route: Route, end: &str, run: Run) -> (Live, Pid) {
    let asked = || {
        service
            .targets()
            .iter()
            .filter(|target| target.ends_with(end))
            .count()
    };
    let before = asked();
    service.fail_times(1, route, Fault::Hang);
    let live = run.spawn();
    wait_until("a request that is not answered", || asked() > before);
    let worker = children(live.pid()).first().copied().unwrap_or(live.pid());
    wait_until("threads that wait", || threads_of(worker).all(is_asleep));
    (live, worker)
}

fn threads_of(process: Pid) -> impl Iterator<Item = PathBuf> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).expect("a process that waits");
    threads.map(|thread| thread.expect("a thread").path())
}

/// Whether a thread waits. One that has ended meanwhile does nothing either.
fn is_asleep(thread: PathBuf) -> bool {
    fs::read_to_string(thread.join("stat")).is_ok_and(|stat| stat.contains(") S "))
        || !thread.exists()
}

/// The plants, where they are looked for, and what is found there.
pub fn planted_copies_are_found() {
    let vault = Vault::new();
    let plants = [
        ("environment is not overwritten", "client key", "environ"),
        ("key schedule stays", "data key of the client key", "[heap]"),
        ("state of HMAC stays", "client key", "[heap]"),
        ("copy on the heap", "LONG", "[heap]"),
        ("copy on the stack", "ZONE", "[stack]"),
        ("copy in a vector register", "ZONE", "vector registers"),
    ];
    for (plant, secret, place) in plants {
        let run = vault
            .on_service()
            .args([PATH, "--exec", "--", "/bin/true"])
            .planted(plant);
        let findings = Held::before_command(run).scan(&vault.needles);
        let caught = findings.count(secret, |find| find.place == place && !find.is_protected());
        assert!(caught > 0, "{plant:?} is not found\n{findings}");
    }
}

pub fn a_planted_supervisor_is_found() {
    let vault = Vault::new();
    let run = vault
        .on_service()
        .args([PATH, "--supervise", "--"])
        .args(recorder());
    let live = run.planted("supervisor keeps the environment").spawn();
    live.wait_for_output("ready");
    let findings = scan_running(live.pid(), &vault.needles);
    for secret in ["API key", "client key"] {
        assert_eq!(
            findings.count(secret, |find| find.place == "[heap]"),
            1,
            "{findings}"
        );
    }
}
