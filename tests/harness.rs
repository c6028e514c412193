//! The supports themselves: a test proves something only if what it stands on can fail.

pub mod service;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use libtest_mimic::Arguments;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::*;

tests![
    a_run_is_summed_up_with_its_skipped_tests,
    both_programs_can_be_run,
    a_program_gets_only_what_it_was_given,
    a_program_that_hangs_is_ended_with_what_it_started,
    an_outcome_knows_status_and_signal,
    a_refusal_has_one_form,
    a_running_program_can_be_watched_and_signalled,
    a_condition_is_waited_for_with_a_deadline,
    a_witness_tells_whether_the_command_was_started,
    a_temporary_directory_is_private_and_goes_away,
    sealing_agrees_with_the_known_answers,
    a_tree_holds_the_documents_of_the_service,
    a_tree_can_be_edited,
    strace_sees_a_file_that_is_written needs(STRACE),
    strace_logs_are_joined_per_process,
    a_terminal_is_the_controlling_one,
    a_terminal_shows_when_echo_is_off,
    a_terminal_turns_keys_into_signals,
    a_need_names_what_is_missing,
];

/// Passes, fails, hangs and is skipped, in a suite of its own that writes to a log.
fn a_run_is_summed_up_with_its_skipped_tests() {
    const NEVER: fn() -> Result<(), String> = || Err("needs a miracle".into());
    const INNER: &[Test] = &[
        Test {
            path: "behaviour::inner::passes",
            body: || {},
            needs: &[],
        },
        // Not a panic!, which would write its message into the output of the outer run.
        Test {
            path: "behaviour::inner::fails",
            body: || resume_unwind(Box::new("broken")),
            needs: &[],
        },
        Test {
            path: "behaviour::inner::hangs",
            body: || thread::park_timeout(Duration::from_secs(5)),
            needs: &[],
        },
        Test {
            path: "behaviour::inner::is_skipped",
            body: || unreachable!(),
            needs: &[|| Ok(()), NEVER],
        },
    ];
    let dir = TempDir::new();
    let log = dir.path().join("log");
    let arguments = Arguments {
        logfile: Some(log.display().to_string()),
        ..Arguments::default()
    };

    let report = Suite::new(&[INNER])
        .limit(Duration::from_millis(100))
        .run(&arguments);

    assert_eq!(report.to_string(), "1 passed, 2 failed, 1 skipped");
    assert_eq!(report.skipped, ["inner::is_skipped: needs a miracle"]);
    let log = fs::read_to_string(log).unwrap();
    assert!(
        log.contains("broken") && log.contains("still running after 100ms"),
        "{log}"
    );
}

fn both_programs_can_be_run() {
    Run::dotenv_run().arg("--help").finish().assert_status(0);
    Run::dotenv_seal().arg("--help").finish().assert_status(0);
}

fn a_program_gets_only_what_it_was_given() {
    let dir = TempDir::new();
    let script =
        "env | grep -v '^PWD=\\|^SHLVL=\\|^_=\\|^PATH=' | sort; pwd; cat; printf %s \"$1\"";
    let run = Run::shell(script)
        .args(["sh", "two words"])
        .env("B", "2")
        .env("A", "1");

    let outcome = run.stdin("input\n").dir(dir.path()).finish();

    let expected = format!("A=1\nB=2\n{}\ninput\ntwo words", dir.path().display());
    outcome.assert_status(0).assert_stdout(expected);
    Run::program("env")
        .env_remove("PATH")
        .finish()
        .assert_status(0)
        .assert_stdout("");
    Run::shell("! cat </dev/tty").finish().assert_status(0);
}

fn a_program_that_hangs_is_ended_with_what_it_started() {
    let dir = TempDir::new();
    let script = "sleep 1000 & echo $! >pid; echo waiting; exit 0";

    let run = Run::shell(script)
        .dir(dir.path())
        .limit(Duration::from_millis(200));
    let Err(hang) = run.spawn().try_wait() else {
        panic!("it did not count as hanging")
    };

    assert!(
        hang.contains("waiting") && hang.contains("still runs after 200ms"),
        "{hang}"
    );
    let pid = fs::read_to_string(dir.path().join("pid")).unwrap();
    let status = format!("/proc/{}/stat", pid.trim());
    wait_until("the end of the grandchild", || {
        !fs::read_to_string(&status).is_ok_and(|stat| stat.contains("(sleep) S"))
    });
}

fn an_outcome_knows_status_and_signal() {
    let outcome = Run::shell("echo out; echo err >&2; exit 42").finish();
    outcome.assert_status(42).assert_stdout("out\n");
    assert_eq!(
        (outcome.text(), outcome.stderr.as_str()),
        ("out\n", "err\n")
    );
    assert!(outcome.to_string().contains("exit status: 42"), "{outcome}");

    Run::shell("kill -TERM $$")
        .finish()
        .assert_killed_by(Signal::SIGTERM);
}

fn a_refusal_has_one_form() {
    let refusal = |stdout: &str, stderr: &str, status: i32| -> Outcome {
        let script = format!("printf %s \"$0\"; printf %s \"$1\" >&2; exit {status}");
        Run::shell(&script).args([stdout, stderr]).finish()
    };
    let good = "dotenv-run: warning: a\ndotenv-run: no such path my-app\nhint: look\n";
    refusal("", good, 125).assert_refused(125, &["my-app", "look"]);
    refusal("", "dotenv-seal: bad\n", 125).assert_refused(125, &[]);
    let defects = [
        ("", "line feed"),
        ("dotenv-run: other\n", "missing"),
        ("thread 'main' panicked at my-app\n", "no line that starts"),
        ("dotenv-run: warning: my-app\n", "no line that starts"),
        ("dotenv-run: my-app.\n", "period"),
        ("dotenv-run: my-app\ndotenv-run: again\n", "no hint"),
        ("dotenv-run: my-app\nhint: a\nhint: b\n", "more than"),
    ];
    for (stderr, defect) in defects {
        let found = refusal("", stderr, 125)
            .refusal(125, &["my-app"])
            .unwrap_err();
        assert!(
            found.contains(defect),
            "{stderr:?} gave {found:?} and not {defect:?}"
        );
    }
    let found = refusal("", good, 124).refusal(125, &[]).unwrap_err();
    assert!(found.contains("another"), "{found}");
    let found = refusal("x", good, 125).refusal(125, &[]).unwrap_err();
    assert!(found.contains("standard output"), "{found}");
}

fn a_running_program_can_be_watched_and_signalled() {
    let live =
        Run::shell("trap 'echo caught; exit 7' USR1; echo $$ ready; while :; do sleep 0.01; done")
            .spawn();
    live.wait_for_output(&format!("{} ready", live.pid()));

    live.signal(Signal::SIGUSR1);

    let outcome = live.wait();
    outcome.assert_status(7);
    assert!(outcome.text().ends_with("caught\n"), "{outcome}");
}

fn a_condition_is_waited_for_with_a_deadline() {
    let mut calls = 0;
    let found = wait_for("the third call", || {
        calls += 1;
        (calls == 3).then_some("there")
    });
    assert_eq!((found, calls), ("there", 3));
    assert!(!poll(Duration::from_millis(5), || false));
}

fn a_witness_tells_whether_the_command_was_started() {
    let witness = Witness::new();
    Run::program("true")
        .args(witness.command())
        .finish()
        .assert_status(0);
    witness.assert_not_started();
    Run::program("env")
        .args(witness.command())
        .finish()
        .assert_status(0);
    witness.assert_started();
}

fn a_temporary_directory_is_private_and_goes_away() {
    let dir = TempDir::new();
    let path = dir.path().to_path_buf();
    let file = dir.file("name", "content");
    assert_eq!(fs::read_to_string(file).unwrap(), "content");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o700
    );
    drop(dir);
    assert!(!path.exists());
}

fn sealing_agrees_with_the_known_answers() {
    let vectors: Value = serde_json::from_str(include_str!("vectors/crypto.json")).unwrap();
    let blobs = vectors["blobs"].as_array().unwrap();
    assert!(!blobs.is_empty());
    for vector in blobs {
        let bytes = |name: &str| decode(&vector[name]);
        let salt = vector["salt_b64"].is_string().then(|| bytes("salt_b64"));
        let iterations = vector["iterations"].as_u64().unwrap_or(1) as u32;
        let key = String::from_utf8(bytes("key_b64")).unwrap();
        let key = data_key(&key, salt.as_deref(), iterations);
        let (blob, text) = (vector["blob"].as_str().unwrap(), bytes("plaintext_b64"));
        let nonce = bytes("blob")[..12].try_into().unwrap();

        assert_eq!(seal_with_nonce(&key, nonce, &text), blob, "{vector}");
        assert_eq!(open(&key, blob), Some(text), "{vector}");
    }
    let (key, other) = (
        data_key("some key", None, 1),
        data_key("other key", None, 1),
    );
    let blob = seal(&key, b"text");
    assert_ne!(blob, seal(&key, b"text"), "a nonce is used once");
    assert_eq!(open(&other, &blob), None);
}

/// A document that holds base64 in this place.
fn decode(value: &Value) -> Vec<u8> {
    BASE64_STANDARD.decode(value.as_str().unwrap()).unwrap()
}

/// The documents of one world are the same from both, but for the random nonces of two sealings.
fn a_tree_holds_the_documents_of_the_service() {
    let world = || {
        let json = Project::new("json", Custody::client())
            .format("json")
            .level("", r#"{"A":"1"}"#);
        let plain = Project::new("plain", Custody::server())
            .plain_level("", "A=1\n")
            .empty_place("production/api");
        World::new(vec![json, plain])
    };
    let (tree, service) = (Tree::of(&world()), Service::of(world()));
    let client = Client::new(&service);
    let fetch = |path: &str| client.get(path, service.api_key()).unwrap().json();
    let read = |path| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let without_blob = |mut document: Value| {
        document["data"]["attributes"]["levels"]["project"]["content"] = Value::Null;
        document
    };
    let route = |rest: &str| format!("/api/v1/{ORGANIZATION}/{rest}");

    assert_eq!(read(tree.organization()), fetch("/api/v1/organization"));
    let sent = fetch(&route("json/encryption-key"));
    assert_eq!(read(tree.encryption_key("json")), sent);
    let sent = fetch(&route("json/secrets"));
    assert_eq!(without_blob(read(tree.secrets("json"))), without_blob(sent));
    for path in ["plain", "plain/production", "plain/production/api"] {
        let sent = fetch(&route(&format!("{path}/secrets")));
        assert_eq!(read(tree.secrets(path)), sent);
    }
    let path = tree.url() + &route("plain/secrets");
    assert!(
        fs::exists(path.strip_prefix("file://").unwrap()).unwrap(),
        "{path}"
    );
}

fn a_tree_can_be_edited() {
    let tree = Tree::example();
    let secrets = tree.secrets("my-app/production");
    let levels = || {
        let document: Value = serde_json::from_slice(&fs::read(&secrets).unwrap()).unwrap();
        let levels = &document["data"]["attributes"]["levels"];
        ["project", "target"].map(|level| decode(&levels[level]["content"]))
    };
    let [project, target] = levels();

    tree.edit(&secrets, flip_bit("target", 0));

    let [project_after, target_after] = levels();
    assert_eq!(project_after, project);
    assert_eq!(
        (target_after[0] ^ target[0], &target_after[1..]),
        (1, &target[1..])
    );
    tree.write(&secrets, "rubbish");
    assert_eq!(fs::read(&secrets).unwrap(), b"rubbish");
}

fn strace_sees_a_file_that_is_written() {
    let dir = TempDir::new();
    let script = "(: >planted); cat planted; kill -KILL $$";

    let trace = strace(Run::shell(script).dir(dir.path()), "openat,open,creat");

    trace.outcome.assert_killed_by(Signal::SIGKILL);
    let planted = |call: &&Call| call.arguments.contains("\"planted\"");
    let calls: Vec<_> = trace
        .calls
        .iter()
        .filter(planted)
        .map(|call| (call.opens_for_writing(), !call.result.starts_with('-')))
        .collect();
    assert_eq!(calls, [(true, true), (false, true)], "{:?}", trace.calls);
    let others = trace.calls.iter().filter(|call| !planted(call));
    assert_eq!(
        others.filter(|call| call.opens_for_writing()).count(),
        0,
        "{:?}",
        trace.calls
    );
}

fn strace_logs_are_joined_per_process() {
    let log = "12 openat(AT_FDCWD, \"a = b)\", O_RDONLY <unfinished ...>\n\
               13 creat(\"c\", 0644)              = -1 EACCES (Permission denied)\n\
               12 <... openat resumed>)     = 4\n\
               13 --- SIGCHLD {si_signo=SIGCHLD, si_status=0} ---\n\
               14 write(3, \"d\", 1 <unfinished ...>\n\
               15 read(3, <unfinished ...>\n\
               15 <... read resumed> <unfinished ...>) = ?\n\
               16 ???( <unfinished ...>\n\
               13 exit_group(0)             = ?\n\
               13 +++ exited with 0 +++\n";
    let call = |pid, name: &str, arguments: &str, result: &str| Call {
        pid,
        name: name.into(),
        arguments: arguments.into(),
        result: result.into(),
    };
    let expected = [
        call(13, "creat", "\"c\", 0644", "-1 EACCES (Permission denied)"),
        call(12, "openat", "AT_FDCWD, \"a = b)\", O_RDONLY ", "4"),
        call(15, "read", "3, ", "?"),
        call(13, "exit_group", "0", "?"),
        call(14, "write", "3, \"d\", 1 ", "?"),
    ];
    assert_eq!(parse_strace(log), expected);
    let written = |name: &str, flags: &str| call(1, name, flags, "3").opens_for_writing();
    let flags = [
        "O_WRONLY",
        "O_RDWR|O_CLOEXEC",
        "O_RDONLY|O_CREAT",
        "O_RDONLY|O_TRUNC",
    ];
    assert!(
        flags
            .iter()
            .all(|flags| written("openat", flags) && written("open", flags))
    );
    assert!(written("openat2", "{flags=O_RDWR|O_TMPFILE}") && written("creat", ""));
    assert!(!written("openat", "O_RDONLY|O_CLOEXEC") && !written("mmap", "O_RDWR"));
}

fn a_terminal_is_the_controlling_one() {
    let mut terminal = Terminal::spawn(Run::shell(
        "test -t 0 -a -t 1 -a -t 2 && echo yes >/dev/tty; read line; echo \"<$line>\"",
    ));
    terminal.expect("yes");
    terminal.send("typed\r");
    terminal.expect("<typed>");
    terminal
        .wait()
        .assert_status(0)
        .assert_stdout("yes\r\ntyped\r\n<typed>\r\n");
}

fn a_terminal_shows_when_echo_is_off() {
    let mut terminal = Terminal::spawn(Run::shell(
        "stty -echo; echo ready; read line; stty echo; echo done",
    ));
    terminal.expect("ready");
    assert!(!terminal.echoes());
    terminal.send("hidden\r");
    terminal.expect("done");
    terminal.wait().assert_status(0);
    assert!(terminal.echoes(), "the settings can be read after the end");
    assert!(!terminal.output_so_far().contains("hidden"));
}

fn a_terminal_turns_keys_into_signals() {
    let mut terminal = Terminal::spawn(Run::shell("echo $$ ready; exec sleep 1000"));
    terminal.expect(&format!("{} ready", terminal.pid()));
    terminal.send("\x03");
    terminal.wait().assert_killed_by(Signal::SIGINT);

    let mut terminal = Terminal::spawn(Run::shell("echo ready; exec sleep 1000"));
    terminal.expect("ready");
    terminal.signal(Signal::SIGTERM);
    terminal.wait().assert_killed_by(Signal::SIGTERM);
}

fn a_need_names_what_is_missing() {
    assert_eq!(tool("sh"), Ok(()));
    assert_eq!(
        tool("no-such-tool"),
        Err("needs no-such-tool on PATH".into())
    );
    for (need, fragment) in [(ROOT, "root"), (STRACE, "strace"), (NAMESPACES, "unshare")] {
        if let Err(reason) = need() {
            assert!(
                reason.starts_with("needs ") && reason.contains(fragment),
                "{reason}"
            );
        }
    }
}
