//! The audit trail: one line of JSON for every run, whether it succeeds or fails, without a value; and no start without
//! its line.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::print::through_a_full_pipe;
use crate::support::*;

tests![
    a_start_is_one_line,
    a_failure_is_one_line_with_its_kind,
    a_command_that_cannot_be_executed_is_recorded_as_such,
    what_is_printed_or_listed_is_recorded_first,
    no_line_holds_a_value_or_key,
    the_names_are_the_final_ones,
    a_parent_in_front_records_once,
    the_command_does_not_inherit_the_descriptor,
    a_standard_descriptor_stays_the_commands,
    a_destination_of_no_use_is_refused_before_a_key_is_read,
    a_line_that_cannot_be_written_keeps_the_command_from_starting,
    nothing_is_printed_without_its_line,
    the_journal_gets_its_own_protocol needs(OWN_RUN),
    syslog_gets_its_old_format needs(OWN_RUN),
    a_full_descriptor_that_is_non_blocking_is_waited_for,
    a_logger_that_is_not_there_is_a_failure needs(OWN_RUN),
];

/// Runs it with descriptor 3 leading to a file, and returns what is in that.
#[track_caller]
fn recorded(run: Run) -> (Outcome, Vec<Value>) {
    let dir = TempDir::new();
    let outcome = run.dir(dir.path()).redirected("3>audit").finish();
    let text = fs::read_to_string(dir.path().join("audit")).expect("a file of ours");
    assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
    let lines = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    (outcome, lines.collect())
}

/// The only line, without the time, which is now.
#[track_caller]
fn only(mut lines: Vec<Value>) -> Value {
    assert_eq!(lines.len(), 1, "{lines:?}");
    let mut line = lines.remove(0);
    let time = line
        .as_object_mut()
        .expect("an object")
        .remove("time")
        .expect("a time");
    let now = Run::program("date")
        .args(["-u", "+%Y-%m-%dT%H:%M"])
        .finish();
    let (time, now) = (
        time.as_str().expect("a text").to_owned(),
        now.text().trim().to_owned(),
    );
    let shape: String = time
        .chars()
        .map(|digit| if digit.is_ascii_digit() { '0' } else { digit })
        .collect();
    assert_eq!(shape, "0000-00-00T00:00:00Z", "{time}");
    assert_eq!(time[..10], now[..10], "{time} {now}");
    line
}

fn fingerprint(key: &str) -> String {
    let digest = Sha256::digest(key);
    digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn a_start_is_one_line() {
    let service = Service::example();
    let run = || {
        service
            .dotenv_run()
            .client_key()
            .arg("my-app/production/api")
    };
    for audit in ["3", "fd:3"] {
        let run = run().args(["--audit", audit, "--", "sh", "-c", "exit 7"]);
        let (outcome, lines) = recorded(run);
        outcome.assert_status(7).assert_stdout("");
        let expected = json!({
            "path": "my-app/production/api",
            "organization": ORGANIZATION,
            "key": fingerprint(service.api_key()),
            "names": ["APP_NAME", "LOG_LEVEL", "DATABASE_URL", "STRIPE_SECRET_KEY"],
            "command": "sh",
            "outcome": "started",
        });
        assert_eq!(only(lines), expected);
    }
    // A tree is read without an API key, and names its organization itself.
    let tree = Tree::example();
    let run = tree
        .dotenv_run()
        .client_key()
        .args(["my-app", "--audit=3", "--", "true"]);
    let line = only(recorded(run).1);
    assert_eq!(
        (&line["key"], &line["organization"]),
        (&Value::Null, &json!(ORGANIZATION))
    );
}

fn a_failure_is_one_line_with_its_kind() {
    let tree = Tree::example();
    let tree = || tree.dotenv_run().arg("--audit=3");
    let service = Service::example();
    let denied = service.dotenv_run_with(Key::new().scopes(&[])).client_key();
    let cases = [
        (
            tree().arg("my-app").env("DOTENV_CLIENT_KEY", "wrong"),
            125,
            "sealed",
        ),
        (tree().args(["no-such", "--timeout", "5"]), 125, "not-found"),
        (tree().args(["managed", "--require", "X"]), 125, "required"),
        (tree().args(["managed", "--only", "X"]), 125, "empty"),
        (denied.args(["--audit=3", "my-app"]), 125, "forbidden"),
        (
            Run::dotenv_run()
                .args(["--audit=3", "--api-url", "http://127.0.0.1:1", "p"])
                .env("DOTENV_API_KEY", "x"),
            124,
            "unreachable",
        ),
        (Run::dotenv_run().args(["--audit=3", "p"]), 125, "no-key"),
    ];
    for (run, status, kind) in cases {
        let witness = Witness::new();
        let (outcome, lines) = recorded(run.arg("--").args(witness.command()));
        outcome.assert_refused(status, &[]);
        witness.assert_not_started();
        let line = only(lines);
        let told = ["outcome", "status", "error", "command"].map(|name| line[name].clone());
        assert_eq!(json!(told), json!(["failed", status, kind, "sh"]), "{line}");
    }
}

fn a_command_that_cannot_be_executed_is_recorded_as_such() {
    let tree = Tree::example();
    let run = tree
        .dotenv_run()
        .args(["managed", "--audit=3", "--", "/nonexistent/command"]);
    let (outcome, lines) = recorded(run);
    outcome.assert_refused(127, &["/nonexistent/command"]);
    let told = lines
        .iter()
        .map(|line| (line["outcome"].as_str(), line["status"].as_u64()));
    let told: Vec<_> = told.collect();
    assert_eq!(told, [(Some("started"), None), (Some("failed"), Some(127))]);
}

fn what_is_printed_or_listed_is_recorded_first() {
    let tree = Tree::example();
    for (options, outcome) in [
        (&["--print", "json"][..], "printed"),
        (&["--list"], "listed"),
    ] {
        let run = tree
            .dotenv_run()
            .args(["managed", "--audit=3"])
            .args(options);
        let (run, lines) = recorded(run);
        run.assert_status(0);
        let line = only(lines);
        assert_eq!(
            (&line["outcome"], &line["command"]),
            (&json!(outcome), &Value::Null)
        );
    }
}

fn no_line_holds_a_value_or_key() {
    let service = Service::example();
    for command in ["true", "/nonexistent/command"] {
        let run = service
            .dotenv_run()
            .client_key()
            .arg("my-app/production/api");
        let (_, lines) = recorded(run.args(["--audit=3", "--", command, "an argument"]));
        let text = json!(lines).to_string();
        for secret in [
            "Acme",
            "debug",
            "postgres",
            "sk_live",
            CLIENT_KEY,
            "eyJhb",
            "an argument",
            service.api_key(),
        ] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
    }
}

fn the_names_are_the_final_ones() {
    let tree = Tree::holding("A=1\nB=2\nC=3\n");
    let run = tree
        .run()
        .args(["--except", "C", "--rename", "B=X", "--prefix", "P_"]);
    let line = only(recorded(run.args(["--audit=3", "--", "true"])).1);
    assert_eq!(line["names"], json!(["P_A", "P_X"]));
    let odd = "a \"b\"\n\u{1b}[1m";
    let line = only(recorded(tree.run().args(["--audit=3", "--", "/bin/sh", odd])).1);
    assert_eq!(line["command"], "/bin/sh");
    let (_, lines) = recorded(tree.run().args(["--audit=3", "--", odd]));
    assert_eq!(lines[1]["command"], json!(odd), "one line all the same");
}

fn a_parent_in_front_records_once() {
    let tree = Tree::holding("A=1\n");
    let run = tree
        .run()
        .args(["--audit=3", "--supervise", "--", "sh", "-c", "kill -9 $$"]);
    let (outcome, lines) = recorded(run);
    outcome.assert_killed_by(nix::sys::signal::Signal::SIGKILL);
    assert_eq!(only(lines)["outcome"], "started");
}

fn the_command_does_not_inherit_the_descriptor() {
    let tree = Tree::holding("A=1\n");
    let script = "for fd in /proc/self/fd/*; do [ \"$(readlink $fd)\" = \"$PWD/audit\" ] && echo $fd; done; true";
    let run = || tree.run().args(["--mask=off", "--audit=3"]);
    for mode in ["--exec", "--supervise"] {
        let (outcome, lines) = recorded(run().args([mode, "--", "sh", "-c", script]));
        outcome.assert_status(0).assert_stdout("");
        assert_eq!(only(lines)["outcome"], "started");
    }
}

fn a_standard_descriptor_stays_the_commands() {
    let tree = Tree::holding("A=1\n");
    let outcome = tree
        .run()
        .args(["--audit=2", "--", "sh", "-c", "echo said >&2"])
        .finish();
    outcome.assert_status(0).assert_stdout("");
    let (line, rest) = outcome.stderr.split_once('\n').expect("a line");
    assert_eq!(rest, "said\n");
    assert_eq!(
        serde_json::from_str::<Value>(line).expect("JSON")["outcome"],
        "started"
    );
}

fn a_destination_of_no_use_is_refused_before_a_key_is_read() {
    let tree = Tree::holding("A=1\n");
    for text in ["0", "fd:0", "-1", "fd:", "file", "", "3x", "99999999999"] {
        let run = tree.run().args(["--audit", text]);
        run.refuses(
            125,
            &["--audit: must be journal, syslog or the number of a descriptor"],
        );
    }
    for (redirection, says) in [
        ("9>&-", "dotenv-run: --audit: descriptor 9 is not open\n"),
        (
            "9</dev/null",
            "cannot write the audit line to descriptor 9: not open for writing",
        ),
    ] {
        let service = Service::example();
        let witness = Witness::new();
        let run = service
            .dotenv_run()
            .client_key()
            .args(["my-app", "--audit=9", "--"]);
        let outcome = run.args(witness.command()).redirected(redirection).finish();
        outcome.assert_refused(125, &[says]);
        witness.assert_not_started();
        assert_eq!(service.targets().len(), 0, "{redirection}");
    }
    let run = tree
        .run()
        .args(["--audit=1", "--", "true"])
        .redirected(">&-");
    run.finish()
        .assert_refused(125, &["--audit: descriptor 1 is not open"]);
}

fn a_line_that_cannot_be_written_keeps_the_command_from_starting() {
    let tree = Tree::holding("A=1\n");
    for mode in ["--exec", "--supervise"] {
        let witness = Witness::new();
        let run = tree
            .run()
            .args(["--audit=3", mode, "--"])
            .args(witness.command());
        let outcome = run.redirected("3>/dev/full").finish();
        // The line about that failure cannot be written either.
        let warning = "cannot write the audit line to descriptor 3: no space left on device";
        assert_eq!(outcome.warnings(), [warning], "{outcome}");
        outcome.assert_refused(125, &[&format!("dotenv-run: {warning}")]);
        witness.assert_not_started();
    }
}

fn nothing_is_printed_without_its_line() {
    let tree = Tree::holding("A=1\n");
    for options in [&["--print", "json"][..], &["--list"]] {
        let run = tree.run().arg("--audit=3").args(options);
        let outcome = run.redirected("3>/dev/full").finish();
        outcome.assert_refused(125, &["cannot write the audit line"]);
    }
}

/// A run where loggers listen on these sockets, which are named by what they stand for.
pub fn with_loggers(run: Run, directory: &Path) -> Run {
    fs::create_dir(directory.join("dev")).expect("a directory of ours");
    run.with_mounts(
        directory,
        "mount --bind /dev/null /dev/log 2>/dev/null || {
            mount --rbind /dev \"$0/dev\"
            mount -t tmpfs none /dev
            for device in null full zero urandom tty; do
                : >/dev/$device
                mount --bind \"$0/dev/$device\" /dev/$device
            done
            : >/dev/log
        }
        mount -t tmpfs none /run
        if [ -e \"$0/journal\" ]; then
            mkdir -p /run/systemd/journal
            : >/run/systemd/journal/socket
            mount --bind \"$0/journal\" /run/systemd/journal/socket
        fi
        if [ -e \"$0/syslog\" ]; then mount --bind \"$0/syslog\" /dev/log; fi",
    )
}

pub fn listen(directory: &TempDir, name: &str) -> UnixDatagram {
    let socket = UnixDatagram::bind(directory.path().join(name)).expect("a socket");
    socket
        .set_nonblocking(true)
        .expect("a socket that does not wait");
    socket
}

/// The only message that came.
#[track_caller]
fn message(socket: &UnixDatagram) -> String {
    let mut buffer = [0; 65536];
    let length = socket.recv(&mut buffer).expect("a message");
    assert!(socket.recv(&mut [0; 9]).is_err(), "more than one message");
    String::from_utf8(buffer[..length].to_vec()).expect("a text")
}

fn the_journal_gets_its_own_protocol() {
    let (dir, tree) = (TempDir::new(), Tree::holding("A=1\n"));
    let socket = listen(&dir, "journal");
    let run = tree.run().args(["--audit=journal", "--", "true"]);
    with_loggers(run, dir.path()).finish().assert_status(0);
    let message = message(&socket);
    let fields: Vec<_> = message
        .lines()
        .map(|line| line.split_once('=').expect("a field"))
        .collect();
    let rest = [
        ("PRIORITY", "6"),
        ("SYSLOG_FACILITY", "10"),
        ("SYSLOG_IDENTIFIER", "dotenv-run"),
        ("OUTCOME", "started"),
    ];
    assert_eq!(fields[1..], rest);
    assert_eq!(fields[0].0, "MESSAGE");
    let line: Value = serde_json::from_str(fields[0].1).expect("JSON");
    assert_eq!(only(vec![line])["names"], json!(["A"]));
}

fn syslog_gets_its_old_format() {
    let (dir, tree) = (TempDir::new(), Tree::holding("A=1\n"));
    let socket = listen(&dir, "syslog");
    let run = tree
        .run()
        .args(["--audit=syslog", "--require", "X", "--", "true"]);
    with_loggers(run, dir.path())
        .finish()
        .assert_refused(125, &["required secrets that are missing or empty: X"]);
    let message = message(&socket);
    let (head, line) = message.split_once(": ").expect("a head");
    // 10 is authpriv, 6 is info.
    let head = head.strip_prefix("<86>").expect("a priority");
    let shape: String = head
        .chars()
        .map(|letter| if letter.is_ascii_digit() { '0' } else { letter })
        .collect();
    let months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec";
    assert!(months.contains(&head[..3]), "{head}");
    assert!(
        [" 00 00:00:00 dotenv-run[", "  0 00:00:00 dotenv-run["]
            .iter()
            .any(|known| shape[3..].starts_with(known)),
        "{head}"
    );
    let line: Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(only(vec![line])["error"], "required");
}

fn a_full_descriptor_that_is_non_blocking_is_waited_for() {
    let tree = Tree::holding("A=1\n");
    let run = tree.run().args(["--audit=3", "--", "true"]);
    let line = through_a_full_pipe(run, 3);
    let line: Value = serde_json::from_str(&line).expect("a line of JSON");
    assert_eq!(only(vec![line])["outcome"], "started");
}

fn a_logger_that_is_not_there_is_a_failure() {
    for (name, what) in [("journal", "the journal"), ("syslog", "syslog")] {
        let (dir, tree, witness) = (TempDir::new(), Tree::holding("A=1\n"), Witness::new());
        let run = tree
            .run()
            .args(["--audit", name, "--"])
            .args(witness.command());
        let outcome = with_loggers(run, dir.path()).finish();
        outcome.assert_refused(125, &[&format!("cannot write the audit line to {what}: ")]);
        witness.assert_not_started();
    }
}
