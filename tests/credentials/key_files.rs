//! What FILE may be for a key, what of its content is the key, and what is said about a key that is
//! none or is in danger.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use crate::support::*;

/// The forms of FILE, each with what a shell has to do for it before it starts the program.
const DESCRIPTORS: &[(&str, &str)] = &[
    ("-", r#"exec "$@" <"$KEY""#),
    ("-", r#"cat "$KEY" | "$@""#),
    ("fd:0", r#"exec "$@" <"$KEY""#),
    ("fd:3", r#"exec "$@" 3<"$KEY""#),
    (
        "fd:9",
        r#"cat "$KEY" | { exec 9<&0 </dev/null; exec "$@"; }"#,
    ),
    ("/dev/stdin", r#"cat "$KEY" | "$@""#),
    ("/dev/fd/3", r#"exec "$@" 3<"$KEY""#),
    ("/proc/self/fd/3", r#"exec "$@" 3<"$KEY""#),
];

/// Starts the program through a shell that knows where the key is.
fn by_shell(lock: &Lock, script: &str) -> Run {
    let key = lock.file("key", format!("{}\n", lock.right));
    let run = lock.run.clone().env("KEY", key);
    run.under(["sh", "-c", script, "sh"])
}

pub fn a_key_file_may_be_a_descriptor() {
    Lock::each(|lock| {
        for (file, script) in DESCRIPTORS {
            let run = by_shell(lock, script).args([lock.option, file]);
            run.assert_shows("APP_NAME", "Acme");
            let run = by_shell(lock, script).env(lock.file_variable, file);
            run.assert_shows("APP_NAME", "Acme");
        }
    });
}

/// Ways in which bash hands out both keys without a file.
const SUBSTITUTIONS: [&str; 3] = [
    r#""$@" --api-key-file <(echo "$A") --client-key <(echo "$B") -- printenv APP_NAME"#,
    r#"exec "$@" --api-key-file <(echo "$A") --client-key <(echo "$B") -- printenv APP_NAME"#,
    r#"echo "$A" | "$@" --api-key-file /dev/stdin --client-key fd:3 -- printenv APP_NAME \
       3< <(echo "$B")"#,
];

/// Runs each of them with `program`, which may be a wrapper and its program.
fn assert_substitutions_work<S: AsRef<OsStr>>(wrapper: &[S], program: &OsStr) {
    let service = Service::plain();
    for script in SUBSTITUTIONS {
        for option in ["--exec", "--supervise"] {
            let run = Run::program("bash").args(["-c", script, "bash"]);
            let run = run.arg(program).args(["my-app", option]).under(wrapper);
            let run = run.env("A", service.api_key()).env("B", CLIENT_KEY);
            let outcome = run.env("DOTENV_API_URL", service.url()).finish();
            outcome.assert_status(0).assert_stdout("Acme\n");
        }
    }
}

pub fn a_key_file_may_be_a_process_substitution() {
    let nothing: [&str; 0] = [];
    assert_substitutions_work(&nothing, env!("CARGO_BIN_EXE_dotenv-run").as_ref());
}

/// The kernel gives what a process that may not be dumped has below `/proc` to root.
pub fn a_user_without_privileges_may_use_descriptors() {
    // Where the program was built may be closed to others. It is not copied by ourselves: what
    // another test starts just then would hold the copy open, and it could not be executed.
    let dir = TempDir::new();
    set_mode(dir.path(), 0o711);
    let program = dir.path().join("dotenv-run");
    let copy = Run::program("cp").arg(env!("CARGO_BIN_EXE_dotenv-run"));
    copy.arg(&program).finish().assert_status(0);
    assert_substitutions_work(&AS_NOBODY, program.as_os_str());
    let unreadable = dir.file("unreadable", "a-key-of-root");
    set_mode(&unreadable, 0o600);
    let run = Run::program(program).arg("my-app").under(AS_NOBODY);
    let run = run.arg("--api-key-file").arg(&unreadable);
    run.refuses(125, &["--api-key-file", "unreadable", "permission denied"]);
}

pub fn a_descriptor_that_held_a_key_is_closed() {
    let list = ["sh", "-c", "ls /proc/$$/fd; :"];
    Lock::each(|lock| {
        for option in ["--exec", "--supervise"] {
            // A descriptor that is not the key's stays.
            let run = by_shell(lock, r#"exec "$@" 7<"$KEY" 5</dev/null"#);
            let run = run.args([option, lock.option, "fd:7", "--"]).args(list);
            let without_us = Run::shell(r#"exec "$@" 5</dev/null"#).arg("sh").args(list);
            let outcome = run.finish();
            outcome
                .assert_status(0)
                .assert_stdout(without_us.finish().stdout);
            assert!(outcome.text().contains("5\n"), "{outcome}");
        }
    });
}

pub fn a_descriptor_that_cannot_be_read_is_an_error() {
    let bad = "fd: fd:x fd:-1 fd:3x fd:99999999999 fd:3 fd:7 fd:1000 fd:2147483647 FD:0 /dev/fd/77";
    Lock::each(|lock| {
        for file in words(&[bad]) {
            let run = lock.run.clone().args([lock.option, file]);
            run.refuses(125, &[lock.option]);
        }
        let run = by_shell(lock, r#"exec "$@" 3>>"$KEY""#).args([lock.option, "fd:3"]);
        run.refuses(125, &[lock.option, "fd:3"]);
        let run = by_shell(lock, r#"exec "$@" <&-"#).args([lock.option, "-"]);
        run.refuses(125, &[lock.option, "standard input"]);
    });
}

pub fn standard_input_holds_one_key() {
    let service = Service::plain();
    let run = Run::on_service_without_key(&service).arg("my-app");
    let run = run.args(["--api-key-file", "-", "--client-key", "-"]);
    let run = run.stdin(format!("{}\n", service.api_key()));
    run.refuses(125, &["--client-key", "standard input", "empty"]);
}

pub fn a_descriptor_that_is_non_blocking_is_waited_for() {
    let script = r#"{ sleep 0.2; cat "$KEY"; } | "$@""#;
    Lock::each(|lock| {
        for file in ["-", "fd:0", "/dev/stdin"] {
            let run = lock.run.clone().args([lock.option, file]);
            let run = run.args(["--", "printenv", "APP_NAME"]);
            let key = lock.file("key", format!("{}\n", lock.right));
            let run = run.env("KEY", key).under(non_blocking(&[0], Fill::Nothing));
            let outcome = run.under(["sh", "-c", script, "sh"]).finish();
            outcome.assert_status(0).assert_stdout("Acme\n");
        }
    });
}

/// Its writer may come later.
pub fn a_named_pipe_is_waited_for() {
    let script = r#"{ sleep 0.2; cat "$KEY" >"$0"; } & exec "$@""#;
    Lock::each(|lock| {
        let pipe = lock.dir.fifo("pipe").display().to_string();
        let run = lock.run.clone().args([lock.option, &pipe]);
        let key = lock.file("key", format!("{}\n", lock.right));
        let run = run.env("KEY", key).args(["--", "printenv", "APP_NAME"]);
        let outcome = run.under(["sh", "-c", script, &pipe]).finish();
        outcome.assert_status(0).assert_stdout("Acme\n");
    });
}

/// Nobody writes, or nobody ends what is written. The time is not waited for: the kernel says at once that it is over.
pub fn a_key_that_never_comes_is_given_up() {
    let witness = Witness::new();
    Lock::each(|lock| {
        let pipe = lock.dir.fifo("pipe").display().to_string();
        let log = lock.dir.path().join("log").display().to_string();
        for file in [&pipe, "fd:3", "/proc/self/fd/3"] {
            let run = lock.run.clone().args([lock.option, file, "--"]);
            let run = run.args(witness.command());
            let over = "inject=ppoll:retval=0:when=1";
            let run = run.under(["strace", "-qq", "-e", over, "-e", "trace=ppoll", "-o", &log]);
            let run = run.under(["sh", "-c", "exec \"$@\" 3<>\"$0\"", &pipe]);
            let outcome = run.limit(Duration::from_secs(10)).finish();
            let source = format!("{}: {file}: no complete key within 60 s", lock.option);
            outcome.assert_refused(125, &[&source, "close its end of the pipe"]);
            let calls = fs::read_to_string(&log).expect("the log of strace");
            assert!(
                calls.contains("tv_sec=59") || calls.contains("tv_sec=60"),
                "{calls}"
            );
        }
    });
    witness.assert_not_started();
}

/// What Unicode calls white space.
const WHITE_SPACE: &str = "\n \t \u{b} \u{c} \r \u{85} \u{a0} \u{1680} \u{2000} \u{2001} \u{2002} \
    \u{2003} \u{2004} \u{2005} \u{2006} \u{2007} \u{2008} \u{2009} \u{200a} \u{2028} \u{2029} \
    \u{202f} \u{205f} \u{3000}";

pub fn white_space_around_a_key_is_trimmed() {
    Lock::each(|lock| {
        let all_together = format!(" \r\n{WHITE_SPACE}");
        for space in WHITE_SPACE.split(' ').chain(["\r\n", &all_together]) {
            let key = [space, &lock.right, space].concat();
            for rank in [0, 2] {
                lock.with(rank, &key).assert_shows("APP_NAME", "Acme");
            }
        }
    });
}

pub fn a_client_key_is_otherwise_taken_as_it_is() {
    let long = "k".repeat(1000);
    let keys = [
        "two words",
        "\u{200b}otter\u{180e}\u{feff}",
        "ключ 鍵",
        "0",
        "'quoted\"$x\\",
        "a\u{2028}b\tc",
        "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
        "b3R0ZXJzIGFuZCBzd29yZGZpc2g=",
        &long,
    ];
    for key in keys {
        let custody = Custody {
            key: key.into(),
            ..Custody::client()
        };
        let project = Project::new("my-app", custody).level("", "A=opened\n");
        let tree = Tree::of(&World::new(vec![project]));
        for rank in [0, 2] {
            let lock = Lock::client_key(&tree);
            lock.with(rank, key).assert_shows("A", "opened");
        }
    }
}

pub fn what_is_no_key_is_refused_by_its_source() {
    Lock::each(|lock| {
        let key = &lock.right;
        let bad = [
            (String::new(), "empty"),
            (" \r\n\u{3000}\t".into(), "empty"),
            (format!("{key}\nsecond"), "line"),
            (format!("{key}\r\n{key}\r\n"), "line"),
            (format!("\n\n{key}\n\nx"), "line"),
            (format!("\u{feff}{key}"), "byte order mark"),
            (format!("\n\u{feff}{key}\n"), "byte order mark"),
            (key.repeat(1_000), "long"),
        ];
        for (content, reason) in bad {
            for rank in 0..Lock::PLACES {
                let run = lock.with(rank, &content);
                let outcome = run.refuses(125, &[&lock.source(rank), reason]);
                assert!(!outcome.stderr.contains(key), "{outcome}");
            }
        }
        // It is read no further than a key can be long.
        let run = lock.run.clone().args([lock.option, "/dev/zero"]);
        run.refuses(125, &[lock.option, "/dev/zero", "long"]);
        let run = lock.run.clone().args([lock.option, "/dev/null"]);
        run.refuses(125, &[lock.option, "/dev/null", "empty"]);
    });
}

pub fn an_api_key_that_no_header_can_carry_is_refused() {
    let service = Service::plain();
    let lock = Lock::api_key(&service);
    let inside = ["\0", "\u{1}", "\u{7f}", "é", " ", "\t", "\r", "\u{200b}"];
    let inside = inside.map(|text| text.as_bytes().to_vec());
    for bad in inside.into_iter().chain([b"\xff".to_vec()]) {
        let key = [lock.right.as_bytes(), &bad, b"x"].concat();
        let outcome = lock.with(0, key).refuses(125, &[lock.option]);
        assert!(!outcome.stderr.contains(&lock.right), "{outcome}");
    }
    assert!(service.requests().is_empty(), "{:?}", service.requests());
}

pub fn a_file_that_cannot_be_read_is_an_error() {
    Lock::each(|lock| {
        let dir = lock.dir.path().display().to_string();
        let run = lock.run.clone().args([lock.option, &dir]);
        run.refuses(125, &[lock.option, &dir, "directory"]);
        fs::create_dir(lock.dir.path().join(lock.credential)).expect("a directory");
        let run = lock.run.clone().env("CREDENTIALS_DIRECTORY", &dir);
        run.refuses(125, &[&lock.source(3), "directory"]);
    });
}

/// Keys and what looks like a key, or like a file that is not there.
const NO_FILES: [&str; 10] = [
    CLIENT_KEY,
    "dotenv_01HZX3V7Q8K9M2N4P5R6S7T8V9_0123456789",
    "a/b+c==",
    "two words",
    "two\nlines",
    "./missing.key",
    "~/missing.key",
    "missing.pem",
    "/etc/passwd/below",
    "fd:x",
];

pub fn a_value_that_names_no_file_is_not_repeated() {
    let long = "swordfish".repeat(1_000);
    Lock::each(|lock| {
        for value in NO_FILES.into_iter().chain([long.as_str()]) {
            let run = lock.run.clone().arg(format!("{}={value}", lock.option));
            let hint = "\nhint: put the key in a file";
            let outcome = run.refuses(125, &[lock.option, hint]);
            assert!(!outcome.stderr.contains(value), "{outcome}");
            let run = lock.run.clone().env(lock.file_variable, value);
            let outcome = run.refuses(125, &[lock.file_variable, "\nhint: "]);
            assert!(!outcome.stderr.contains(value), "{outcome}");
        }
        let run = lock
            .run
            .clone()
            .arg(lock.option)
            .arg(OsStr::from_bytes(b"\xff\xfe"));
        run.refuses(125, &[lock.option]);
    });
}

/// How many warnings about this key file a run draws, which starts its command all the same.
fn warnings_about(run: Run, file: &Path) -> usize {
    let outcome = run.assert_shows("APP_NAME", "Acme");
    let path = file.display().to_string();
    let lines = outcome.stderr.lines().filter(|line| line.contains(&path));
    let is_warning = |line: &str| line.starts_with("dotenv-run: warning: ");
    lines
        .inspect(|line| assert!(is_warning(line), "{outcome}"))
        .count()
}

pub fn a_key_file_open_to_others_draws_one_warning() {
    let modes = [(0o400, 0), (0o600, 0), (0o700, 0), (0o604, 1), (0o444, 1)];
    Lock::each(|lock| {
        let file = lock.file("key", &lock.right);
        let run = lock.run.clone().arg(lock.option).arg(&file);
        for (mode, expected) in modes {
            set_mode(&file, mode);
            assert_eq!(
                warnings_about(run.clone(), &file),
                expected,
                "mode {mode:o}"
            );
            let run = lock.run.clone().env(lock.file_variable, &file);
            assert_eq!(warnings_about(run, &file), expected, "mode {mode:o}");
        }
        assert_eq!(warnings_about(run.arg("--quiet"), &file), 0);
    });
}
