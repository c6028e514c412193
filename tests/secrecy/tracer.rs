//! Every system call of whole runs, from our start up to the command: no file is changed or made, nothing
//! is written but messages and requests, and nobody is connected to but the service and the resolver.
//!
//! What is not known to be harmless is a violation, also what no kernel has yet.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::symlink;

use super::AT_A_TIME;
use super::failures::{self, Failure};
use super::secrets::{KEY, token};
use crate::audit::{listen, with_loggers};
use crate::cloud::connection::with_name_server;
use crate::launch::MODES;
use crate::support::*;

/// Calls that change nothing outside of the process and reach nobody, whatever their arguments are.
const HARMLESS: [&str; 73] = [
    "access",
    "arch_prctl",
    "brk",
    "clock_gettime",
    "clock_nanosleep",
    "clone",
    "clone3",
    "close",
    "close_range",
    "execve",
    "exit",
    "exit_group",
    "faccessat",
    "faccessat2",
    "fork",
    "fstat",
    "futex",
    "getcwd",
    "getdents64",
    "getegid",
    "geteuid",
    "getgid",
    "getpeername",
    "getpgid",
    "getpgrp",
    "getpid",
    "getppid",
    "getrandom",
    "getsid",
    "getsockname",
    "getsockopt",
    "gettid",
    "getuid",
    "kill",
    "lseek",
    "lstat",
    "madvise",
    "memfd_secret",
    "mlock",
    "mlock2",
    "mlockall",
    "mprotect",
    "mremap",
    "munlock",
    "munmap",
    "newfstatat",
    "poll",
    "ppoll",
    "prctl",
    "pread64",
    "prlimit64",
    "read",
    "readlink",
    "readlinkat",
    "readv",
    "recvfrom",
    "recvmsg",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "rt_sigtimedwait",
    "sched_getaffinity",
    "sched_yield",
    "set_robust_list",
    "set_tid_address",
    "setsockopt",
    "shutdown",
    "sigaltstack",
    "statx",
    "sysinfo",
    "uname",
];

/// Words of which one must be the argument behind the descriptor.
const CONTROLS: [(&str, &[&str]); 2] = [
    (
        "fcntl",
        &[
            "F_DUPFD_CLOEXEC",
            "F_GETFD",
            "F_GETFL",
            "F_GET_SEALS",
            "F_SETFD",
            "F_SETFL",
        ],
    ),
    (
        "ioctl",
        &[
            "FIONBIO",
            "TCGETS",
            "TCGETS2",
            "TCSETS2",
            "TCSETSF2",
            "TCSETSW2",
            "TIOCGWINSZ",
        ],
    ),
];

/// Calls that write to the descriptor that is their first argument.
const WRITING: [&str; 8] = [
    "pwrite64", "pwritev", "pwritev2", "sendmmsg", "sendmsg", "sendto", "write", "writev",
];

/// What one run may do besides.
struct Rules {
    /// Whom it may connect to.
    hosts: Vec<SocketAddr>,
    /// Whether it writes to standard output.
    prints: bool,
    /// Whether it makes a file in memory.
    makes_file: bool,
    /// Whether it writes a line to what descriptor 3 leads to.
    audits: bool,
    /// Whether one of its processes hands keys to another one.
    watches: bool,
    /// The socket of a logger that it writes a line to.
    logger: Option<&'static str>,
    /// Those that the resolver may ask.
    name_servers: Vec<IpAddr>,
}

impl Rules {
    fn new(hosts: &[SocketAddr]) -> Self {
        let file = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        let servers = file.lines().filter_map(|line| {
            let server = line.strip_prefix("nameserver")?.trim();
            server.parse().ok()
        });
        Rules {
            hosts: hosts.to_vec(),
            prints: false,
            makes_file: false,
            audits: false,
            watches: false,
            logger: None,
            name_servers: servers.collect(),
        }
    }

    /// What a run did that it must not do.
    fn violations(&self, calls: &[Call]) -> Vec<String> {
        let mut open = HashMap::new();
        let mut violations = Vec::new();
        for call in ours(calls) {
            let number = |text| number(text).map(|number| (call.pid, number));
            match call.name.as_str() {
                "connect" => {
                    let is_known = self.reaches(call);
                    open.extend(number(&call.arguments).map(|socket| (socket, is_known)));
                }
                "fcntl" if call.arguments.contains("F_DUPFD") => {
                    let may_write = match call.arguments.split('<').next() {
                        Some("1") => self.prints,
                        Some("2") => true,
                        Some("3") => self.audits,
                        _ => false,
                    };
                    let copy = number(&call.result);
                    open.extend(copy.map(|copy| (copy, may_write)));
                }
                // Taken over where it is.
                "fcntl" if call.arguments.contains("F_SETFD, FD_CLOEXEC") => {
                    let claimed = number(&call.arguments).filter(|(_, number)| *number == 3);
                    open.extend(claimed.map(|claimed| (claimed, self.audits)));
                }
                "close" => {
                    number(&call.arguments).and_then(|closed| open.remove(&closed));
                }
                _ => (),
            }
            let has_leave = number(&call.arguments)
                .and_then(|number| open.get(&number))
                .is_some_and(|leave| *leave);
            if !self.allows(call, has_leave) {
                let Call {
                    name,
                    arguments,
                    result,
                    ..
                } = call;
                violations.push(format!("{name}({arguments}) = {result}"));
            }
        }
        violations
    }

    /// Whether a run may make this call. `has_leave` tells whether its descriptor is a connection to whom it
    /// may talk to, or a copy of standard output.
    fn allows(&self, call: &Call, has_leave: bool) -> bool {
        let target = target(call);
        let has = |word: &str| call.arguments.contains(word);
        match call.name.as_str() {
            name if HARMLESS.contains(&name) => true,
            "open" | "openat" | "openat2" => !call.opens_for_writing() || has("\"/dev/tty\""),
            // Memory that is shared with a file would change it.
            "mmap" if has("MAP_SHARED|MAP_ANONYMOUS") => self.watches,
            "mmap" => !(has("MAP_SHARED") && has("PROT_WRITE")) || has("secretmem"),
            "ftruncate" => target.contains("secretmem"),
            "fcntl" if has("F_ADD_SEALS") => target.starts_with("/memfd:"),
            "fchmod" => target.starts_with("/memfd:"),
            "memfd_create" => self.makes_file,
            // The supervisor leaves the directory that it was started in.
            "chdir" => call.arguments.trim_end() == "\"/\"",
            "socket" => ["AF_INET", "AF_NETLINK", "AF_UNIX"]
                .iter()
                .any(|one| has(one)),
            "bind" => has("sa_family=AF_NETLINK"),
            "connect" => self.reaches(call),
            // The supervisor waits for the command, and passes signals and the terminal on to it.
            "pipe2" => self.watches,
            "wait4" | "waitid" | "setpgid" | "signalfd4" => true,
            name if WRITING.contains(&name) => {
                let is_target = match number(&call.arguments) {
                    Some(1) => self.prints,
                    Some(2) => true,
                    _ if target.starts_with("/dev/tty") => true,
                    _ if target.starts_with("/memfd:") => self.makes_file,
                    _ if target.starts_with("NETLINK:") => true,
                    Some(3..) if self.watches && target.starts_with("pipe:") => true,
                    _ => has_leave,
                };
                is_target && (!has("sa_family=") || self.reaches(call))
            }
            name => CONTROLS.iter().any(|(control, words)| {
                let word = call.arguments.split(", ").nth(1).unwrap_or_default();
                // Several devices give one number different names.
                let mut names = word.trim_end().split(" or ");
                *control == name && names.any(|word| words.contains(&word))
            }),
        }
    }

    /// Whether the address in a call is that of the service or of the resolver.
    fn reaches(&self, call: &Call) -> bool {
        let arguments = call.arguments.as_str();
        let between = |start: &str, end: char| -> Option<&str> {
            let (_, rest) = arguments.split_once(start)?;
            rest.split(end).next()
        };
        if let Some(path) = between("sun_path=\"", '"') {
            // The cache of the C library, where it runs.
            return path == "/var/run/nscd/socket" || Some(path) == self.logger;
        }
        if arguments.contains("sa_family=AF_NETLINK") {
            return true;
        }
        let host = between("inet_addr(\"", '"').or_else(|| between("inet_pton(AF_INET6, \"", '"'));
        let host = host.and_then(|host| host.parse::<IpAddr>().ok());
        let port = between("htons(", ')').and_then(|port| port.parse().ok());
        let (Some(host), Some(port)) = (host, port) else {
            return arguments.contains("sa_family=AF_UNSPEC");
        };
        match port {
            53 => self.name_servers.contains(&host),
            // So the C library finds out which address is nearest; nothing is sent.
            0 => {
                let is_known = self.hosts.iter().any(|known| known.ip() == host);
                is_known && target(call).starts_with("UDP")
            }
            _ => self.hosts.contains(&SocketAddr::new(host, port)),
        }
    }
}

/// The number of the descriptor that a text starts with: `3<TCP:[...]>`.
fn number(text: &str) -> Option<i32> {
    text.split(['<', ',', ' ']).next()?.parse().ok()
}

/// What the descriptor that is the first argument stands for.
fn target(call: &Call) -> &str {
    let first = call.arguments.split(", ").next().unwrap_or_default();
    first.split_once('<').map_or("", |(_, target)| target)
}

/// The calls of ours: from when a process becomes our program until it becomes the command.
fn ours(calls: &[Call]) -> impl Iterator<Item = &Call> {
    let mut foreign = HashSet::new();
    calls.iter().filter(move |call| {
        let was_foreign = foreign.contains(&call.pid);
        let has_succeeded = !call.result.starts_with('-');
        match call.name.as_str() {
            "execve" if has_succeeded => {
                let path = call.arguments.split('"').nth(1).unwrap_or_default();
                if path.ends_with("/dotenv-run") {
                    foreign.remove(&call.pid);
                } else {
                    foreign.insert(call.pid);
                }
            }
            "clone" | "clone3" | "fork" | "vfork" if was_foreign => {
                foreign.extend(number(&call.result));
            }
            _ => (),
        }
        !was_foreign
    })
}

/// What a run that may connect to these hosts did that it must not do, for a message.
fn check(name: &str, trace: &Trace, status: i32, rules: &Rules) -> Result<(), String> {
    let violations = rules.violations(&trace.calls).join("\n");
    if trace.outcome.status.code() != Some(status) {
        return Err(format!("{name}: no status {status}\n{}", trace.outcome));
    }
    // Otherwise nothing was looked at.
    if !ours(&trace.calls).any(|call| call.name == "exit_group" || call.name == "execve") {
        return Err(format!("{name}: no calls of ours"));
    }
    match violations.is_empty() {
        true => Ok(()),
        false => Err(format!("{name}:\n{violations}\n{}", trace.outcome)),
    }
}

pub fn a_run_calls_nothing_but_what_it_may() {
    check_all(AT_A_TIME, &failures::successes(), |(name, scene)| {
        let scene = scene();
        let with = |words: &[&str]| scene.run.clone().args(words);
        let run =
            |words: &[&str], rules: Rules| check(name, &strace_everything(with(words)), 0, &rules);
        for mode in MODES {
            run(&[mode, "-v", "--", "true"], Rules::new(&scene.hosts))?;
        }
        let makes_file = Rules {
            makes_file: true,
            ..Rules::new(&scene.hosts)
        };
        run(&["--file", "F=json", "--", "true"], makes_file)?;
        let prints = || Rules {
            prints: true,
            ..Rules::new(&scene.hosts)
        };
        // Standard error is a pipe here, as a runner has it.
        run(&["--mask=github", "--", "true"], Rules::new(&scene.hosts))?;
        let audited = with(&["--audit=3", "--", "true"]).redirected("3>/dev/null");
        let audits = Rules {
            audits: true,
            ..Rules::new(&scene.hosts)
        };
        check(name, &strace_everything(audited), 0, &audits)?;
        run(&["--check", "--mask=github", "--", "true"], prints())?;
        let watches = Rules {
            watches: true,
            ..Rules::new(&scene.hosts)
        };
        if !name.contains("standard input") {
            run(&["--watch=30", "--", "true"], watches)?;
        }
        run(&["--print", "shell"], prints())?;
        run(&["--list"], prints())
    });
}

pub fn a_logger_that_is_asked_for_is_written_to() {
    for (option, name, socket) in [
        ("--audit=journal", "journal", "/run/systemd/journal/socket"),
        ("--audit=syslog", "syslog", "/dev/log"),
    ] {
        let (_, scene) = failures::successes().remove(0);
        let (scene, dir) = (scene(), TempDir::new());
        let _logger = listen(&dir, name);
        let run = scene.run.clone().args([option, "--", "true"]);
        let trace = strace_everything(with_loggers(run, dir.path()));
        let rules = |logger| Rules {
            logger,
            ..Rules::new(&scene.hosts)
        };
        let known = rules(Some(socket));
        check(option, &trace, 0, &known).unwrap_or_else(|defect| panic!("{defect}"));
        assert!(!rules(None).violations(&trace.calls).is_empty(), "{option}");
    }
}

pub fn a_question_is_asked_on_the_terminal_only() {
    for mode in MODES {
        let scene = failures::without_client_key();
        let run = scene.run.args([mode, "--", "true"]);
        let trace = strace_on_terminal(run, |terminal| {
            terminal.expect("client key: ");
            terminal.send(format!("{KEY}\r"));
        });
        check(mode, &trace, 0, &Rules::new(&[])).unwrap_or_else(|defect| panic!("{defect}"));
        let asks = |call: &Call| target(call).starts_with("/dev/tty");
        assert!(trace.calls.iter().any(asks), "{:?}", trace.calls);
    }
}

pub fn a_name_is_asked_of_the_resolver_only() {
    let run = Run::dotenv_run().env("DOTENV_API_KEY", token());
    let run = run.args(["--api-url", "https://api.dotenv.example", "p", "--", "true"]);
    let (_dir, run) = with_name_server(run, "127.0.0.1");
    let trace = strace_everything(run);
    let rules = |name_servers| Rules {
        name_servers,
        ..Rules::new(&[])
    };
    let known = rules(vec![[127, 0, 0, 1].into()]);
    check("a name", &trace, 124, &known).unwrap_or_else(|defect| panic!("{defect}"));
    let violations = rules(Vec::new()).violations(&trace.calls);
    let asks = |violation: &String| violation.contains("htons(53)");
    assert!(violations.iter().any(asks), "{violations:#?}");
}

pub fn a_failure_calls_nothing_but_what_it_may() {
    let all: Vec<Failure> = failures::of_dotenv_run().collect();
    check_all(AT_A_TIME, &all, |failure| {
        let (scene, witness) = ((failure.scene)(), Witness::new());
        let rules = Rules {
            prints: ["Error::Mask", "Error::Output"].contains(&failure.variant),
            makes_file: scene.makes_file,
            watches: failure.name.contains("with --watch"),
            ..Rules::new(&scene.hosts)
        };
        for mode in MODES {
            let run = scene.completed(&[mode, "-v"], &witness);
            let trace = strace_everything(run);
            check(&failure.name, &trace, failure.status, &rules)?;
            witness.assert_not_started();
        }
        Ok(())
    });
}

/// Each is caught, and nothing else is in the same run.
pub fn the_check_catches_every_planted_call() {
    let cases = [
        ("file opened for writing", "\"/dev/null\", O_WRONLY"),
        ("file without a name", "O_TMPFILE"),
        ("file of the supervisor", "unlink(\"/nonexistent/file\""),
        ("connection to another port", "htons(9)"),
        ("datagram to somebody", "127.0.0.1"),
        ("write to another descriptor", "write(0<"),
        ("write to standard output", "write(1<"),
    ];
    check_all(AT_A_TIME, &cases, |(plant, part)| {
        let (_, scene) = failures::successes().remove(0);
        let scene = scene();
        let run = scene.run.clone().planted(plant);
        let trace = strace_everything(run.args(["--supervise", "--", "true"]));
        let violations = Rules::new(&scene.hosts).violations(&trace.calls);
        let is_planted = |violation: &String| violation.contains(part);
        match !violations.is_empty() && violations.iter().all(is_planted) {
            true => Ok(()),
            false => Err(format!("{plant}: {violations:#?}\n{}", trace.outcome)),
        }
    });
}

/// Programs that change files, called like ours.
pub fn the_check_catches_every_change_to_a_file() {
    let cases = [
        ["sh", "-c", ": >planted"],
        ["sh", "-c", ": >>planted"],
        ["sh", "-c", ": <>planted"],
        ["mv", "planted", "planted-too"],
        ["rm", "-f", "planted"],
        ["mkdir", "-p", "planted-too"],
        ["rmdir", "--", "planted-directory"],
        ["ln", "planted", "planted-too"],
        ["ln", "-s", "planted-too"],
        ["truncate", "-s1", "planted"],
        ["mkfifo", "--", "planted-too"],
        ["touch", "--", "planted"],
        ["chmod", "600", "planted"],
        ["cp", "planted", "planted-too"],
    ];
    check_all(AT_A_TIME, &cases, |[program, arguments @ ..]| {
        let dir = TempDir::new();
        dir.file("planted", "");
        fs::create_dir(dir.path().join("planted-directory")).expect("a directory of ours");
        let ours = dir.path().join("dotenv-run");
        let path = Run::shell("command -v \"$0\"").arg(program).finish();
        symlink(path.text().trim(), &ours).expect("a link of ours");
        let run = Run::program(&ours).args(arguments).dir(dir.path());
        let trace = strace_everything(run);
        trace.outcome.assert_status(0);
        let violations = Rules::new(&[]).violations(&trace.calls);
        let is_caught = violations
            .iter()
            .any(|violation| violation.contains("planted"));
        match is_caught {
            true => Ok(()),
            false => Err(format!("{program} {arguments:?}: {violations:?}")),
        }
    });
}

pub fn a_call_that_is_not_known_is_a_violation() {
    let rules = Rules::new(&["127.0.0.1:443".parse().unwrap()]);
    let violations = |log: &str| rules.violations(&parse_strace(log));
    for call in [
        "rename(\"a\", \"b\") = 0",
        "linkat(3</tmp>, \"a\", AT_FDCWD, \"b\", 0) = 0",
        "mkdirat(AT_FDCWD, \"a\", 0777) = -1 EEXIST (File exists)",
        "ftruncate(3</tmp/a>, 0) = 0",
        "fchmod(3</tmp/a>, 0600) = 0",
        "fallocate(3</tmp/a>, 0, 0, 9) = 0",
        "call_of_the_future(1) = 0",
        "io_uring_setup(8, {...}) = 3",
        "pipe2([3, 4], O_CLOEXEC) = 0",
        "memfd_create(\"a\", 0) = 3",
        "sendfile(4</tmp/a>, 3</tmp/b>, NULL, 9) = 9",
        "splice(3<pipe:[1]>, NULL, 4<TCP:[2]>, NULL, 9, 0) = 9",
        "copy_file_range(3</tmp/b>, NULL, 4</tmp/a>, NULL, 9, 0) = 9",
        "pwrite64(3</tmp/a>, \"x\", 1, 0) = 1",
        "write(3<pipe:[17]>, \"x\", 1) = 1",
        "write(3</tmp/a>, \"x\", 1 <unfinished ...>",
        "sendto(3<UDP:[1]>, \"x\", 1, 0, {sa_family=AF_INET, sin_port=htons(53), sin_addr=inet_addr(\"192.0.2.1\")}, 16) = 1",
        "connect(3<TCP:[1]>, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr(\"127.0.0.1\")}, 16) = 0",
        "connect(3<TCP:[1]>, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr(\"192.0.2.1\")}, 16) = 0",
        "connect(3<UNIX:[1]>, {sa_family=AF_UNIX, sun_path=\"/run/log\"}, 16) = 0",
        "mmap(NULL, 9, PROT_READ|PROT_WRITE, MAP_SHARED, 3</tmp/a>, 0) = 0x7f",
        "openat(AT_FDCWD, \"a\", O_RDONLY|O_CREAT, 0600) = 3",
        "ioctl(3</tmp/a>, FICLONE, 4) = 0",
        "fcntl(3</tmp/a>, F_SETLEASE, F_WRLCK) = 0",
    ] {
        assert_eq!(violations(&format!("7 {call}\n")).len(), 1, "{call}");
        if call.ends_with("...>") {
            continue;
        }
        // Neither what a wrapper did before nor what the command does is ours.
        let around = |call| {
            format!(
                "7 execve(\"/bin/sh\", [], 0x7f) = 0\n7 {call}\n\
                 7 execve(\"/x/dotenv-run\", [], 0x7f) = 0\n7 fork() = 8\n\
                 8 execve(\"true\", [], 0x7f) = -1 ENOENT (No such file or directory)\n\
                 8 execve(\"/bin/true\", [], 0x7f) = 0\n8 fork() = 9\n9 {call}\n8 {call}\n"
            )
        };
        assert_eq!(violations(&around(call)), [""; 0], "{call}");
    }
    let good = "7 connect(3<TCP:[1]>, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr(\"127.0.0.1\")}, 16) = 0\n\
                7 write(3<TCP:[127.0.0.1:9->127.0.0.1:443]>, \"x\", 1) = 1\n\
                7 write(2</tmp/a>, \"x\", 1) = 1\n";
    assert_eq!(violations(good), [""; 0]);
    let other = good.replace("htons(443)", "htons(444)");
    assert_eq!(violations(&other).len(), 2, "a write there counts too");
}
