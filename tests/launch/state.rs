//! What a process inherits besides its environment: the command gets what `env` would give it.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::{MODES, PLAIN, SEALED, Sources, around};
use crate::support::*;

/// An `env` that can set dispositions and the mask.
pub const SIGNAL_OPTIONS: fn() -> Result<(), String> = || {
    let options = ["--ignore-signal=PIPE", "--block-signal=USR1"];
    let run = Run::program("env")
        .args(options)
        .args(["--default-signal=INT", "true"]);
    match run.finish().status.success() {
        true => Ok(()),
        false => Err("needs an env with --ignore-signal, --block-signal, --default-signal".into()),
    }
};

/// Runs `probe` under `wrapper` by `env` and in all our ways, wants the same from each, and returns
/// it.
#[track_caller]
fn same(sources: &Sources, wrapper: &[&str], probe: &[&str]) -> String {
    let dir = TempDir::new();
    let prepared = |run: Run| run.args(probe).under(wrapper).dir(dir.path()).finish();
    let direct = prepared(Run::program("env"));
    direct.assert_status(0);
    for (name, run) in sources.runs() {
        let ours = prepared(run);
        assert_eq!(ours.status, direct.status, "{name}\n{ours}");
        assert_eq!(
            without_numbers(ours.text()),
            without_numbers(direct.text()),
            "{name} under {wrapper:?}\n{ours}"
        );
        assert_eq!(ours.stderr, direct.stderr, "{name} under {wrapper:?}");
    }
    without_numbers(direct.text())
}

/// Takes out what differs between any two runs: the numbers of pipes.
fn without_numbers(text: &str) -> String {
    let mut parts = text.split("pipe:[");
    let first = parts.next().unwrap_or_default().to_string();
    parts.fold(first, |text, part| {
        text + "pipe:" + part.trim_start_matches(|c: char| c.is_ascii_digit())
    })
}

/// What the kernel tells of a process, and what only a command does.
const REST: [&str; 3] = [
    "sh",
    "-c",
    "nice; pwd; umask; cd /proc/self; exec cat limits personality coredump_filter oom_score_adj \
     timerslack_ns cgroup",
];

/// The whole of `/proc/self/status` but for what belongs to one process or one moment. No shell may
/// stand in between: it has its own way with signals.
const STATUS: [&str; 4] = [
    "grep",
    "-vE",
    "^(Name|Pid|PPid|Tgid|Ngid|NS|FDSize|SigQ|Rss|Vm[^LP]|VmP[^i]|HugetlbPages|Cpus_|Mems_|.*_ctxt)",
    "/proc/self/status",
];

pub fn signals_limits_and_the_rest_are_as_env_leaves_them() {
    let sources = Sources::new();
    let limits = around(
        "ulimit -S -n 99; ulimit -H -n 111; ulimit -s 4096; ulimit -f 4321; ulimit -t 999; exec \"$@\"",
    );
    let mask = around("umask 0135; exec \"$@\"");
    let wrappers: [&[&str]; 12] = [
        &[],
        &["env", "--ignore-signal=PIPE"],
        &["env", "--ignore-signal=CHLD"],
        &["env", "--ignore-signal=HUP,INT,QUIT,TERM,USR1,TSTP"],
        &["env", "--ignore-signal"],
        &["env", "--block-signal=PIPE"],
        &["env", "--block-signal=CHLD,TERM,USR2"],
        &["env", "--block-signal"],
        &[
            "env",
            "--ignore-signal=PIPE,CHLD",
            "--block-signal=PIPE,CHLD",
        ],
        &["nice", "-n", "5"],
        &limits,
        &mask,
    ];
    let mut seen = HashSet::new();
    for wrapper in wrappers {
        let mut told = same(&sources, wrapper, &STATUS);
        if wrapper.first() != Some(&"env") {
            told += &same(&sources, wrapper, &REST);
        }
        assert!(told.contains("SigIgn") && told.contains("VmLck"), "{told}");
        assert!(seen.insert(told), "{wrapper:?} makes no difference");
    }
}

pub fn descriptors_are_as_env_leaves_them() {
    let sources = Sources::new();
    // The shell itself is the command: what it starts could not tell which descriptors are open.
    let script = "find /proc/$$/fd -type l -printf '%m %f %l\\n' >&3; \
                  grep -shE '^(pos|flags)' /proc/$$/fdinfo/[0-9]* >&3; :";
    let redirections = [
        "",
        "<&-",
        ">&-",
        "2>&-",
        "<&- 2>&-",
        "<&- >&-",
        "<&- >&- 2>&-",
        "<&- >&- 4<a 5>b",
        "<a >b 2>>c 4<a 5>>b 6<>c 9<.",
    ];
    let mut seen = HashSet::new();
    for redirection in redirections {
        let start = format!("echo input >a; exec 3>&1 {redirection}; exec \"$@\"");
        let told = same(&sources, &around(&start), &["sh", "-c", script]);
        assert!(told.contains("pipe:"), "{redirection}: {told}");
        assert!(seen.insert(told), "{redirection} makes no difference");
    }
}

pub fn a_descriptor_that_held_a_key_is_closed() {
    let (tree, dir) = (Tree::example(), TempDir::new());
    dir.file("key", CLIENT_KEY);
    for mode in MODES {
        let run =
            tree.dotenv_run()
                .arg(SEALED)
                .args([mode, "--quiet", "--client-key", "fd:7", "--"]);
        let run = run.args(["sh", "-c", "ls /proc/$$/fd; :"]).dir(dir.path());
        let outcome = run.under(around("exec \"$@\" 7<key 8<key")).finish();
        outcome.assert_status(0);
        let open: Vec<_> = outcome.text().lines().collect();
        assert!(
            open.contains(&"8") && !open.contains(&"7"),
            "{mode}: {open:?}"
        );
    }
}

pub fn standard_input_is_left_to_the_command() {
    let sources = Sources::new();
    let input: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    for (name, run) in sources.runs() {
        let outcome = run.arg("cat").stdin(input.clone()).finish();
        outcome.assert_status(0);
        assert!(outcome.stdout == input, "{name}");
    }
}

pub fn the_command_sees_no_key_of_ours() {
    let sources = Sources::new();
    let dir = TempDir::new();
    let file = dir.file("client-key", CLIENT_KEY);
    for (name, run) in sources.runs() {
        let run = run.env("DOTENV_CLIENT_KEY_FILE", &file);
        let run = run.env("DOTENV_ORGANIZATION", ORGANIZATION);
        let outcome = run.args(["cat", "/proc/self/environ"]).finish();
        outcome.assert_status(0);
        let text = outcome.text();
        assert!(
            text.contains("STRIPE_SECRET_KEY=sk_live_x\0"),
            "{name}\n{outcome}"
        );
        for trace in [
            "_KEY=dotenv_",
            "DOTENV_API_KEY",
            "DOTENV_CLIENT_KEY",
            CLIENT_KEY,
            "\0\0",
        ] {
            assert!(!text.contains(trace), "{name}: {trace}\n{outcome}");
        }
    }
}

pub fn arguments_arrive_byte_for_byte() {
    let sources = Sources::new();
    let arguments: [&[u8]; 9] = [
        b"",
        b"two words",
        b"line\nfeed",
        b"--",
        b"--exec",
        b"-v",
        b"\xff\xfe\x80",
        "caf\u{e9}".as_bytes(),
        b"$HOME `id` *",
    ];
    let expected = [
        &[&b"cat"[..], b"/proc/self/cmdline", b"-u", b"--"],
        &arguments[..],
    ]
    .concat();
    let expected = [expected.join(&0), vec![0]].concat();
    for (name, run) in sources.runs() {
        let run = run.args(["cat", "/proc/self/cmdline", "-u", "--"]);
        // None of them is a file, which `cat` says after it has shown its own arguments.
        let outcome = run.args(arguments.map(OsStr::from_bytes)).finish();
        assert_eq!(outcome.stdout, expected, "{name}\n{outcome}");
    }
}

pub fn the_working_directory_stays_even_if_it_is_gone() {
    let sources = Sources::new();
    let gone = around("mkdir gone; cd gone; rmdir ../gone; exec \"$@\"");
    let told = same(&sources, &gone, &["readlink", "/proc/self/cwd"]);
    assert!(told.ends_with("/gone (deleted)\n"), "{told}");
}

pub fn the_terminal_is_the_commands() {
    let tree = Tree::example();
    for mode in MODES {
        let script = "test -t 0 && test -t 1 && test -t 2 && echo ready >/dev/tty; \
                      read line; echo \"<$line>\"; exit 7";
        let run = tree
            .dotenv_run()
            .arg(PLAIN)
            .args([mode, "--", "sh", "-c", script]);
        let mut terminal = Terminal::spawn(run);
        terminal.expect("ready");
        terminal.send("typed\r");
        terminal.expect("<typed>");
        terminal.wait().assert_status(7);
    }
}
