//! What it costs to have us in front of a command, against env(1) and against programs of the kind.

use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dotenv_run::inside::crypto::DataKey;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

use crate::{Candidate, compare, median, time};

/// A program in front of a command: its name in the table and the words before the command.
struct Wrapper {
    name: &'static str,
    words: Vec<String>,
    /// Whether it stays in front, so that its memory and its forwarding can be measured.
    stays: bool,
}

pub fn run() {
    let scratch = Scratch::new();
    let (present, missing): (Vec<_>, Vec<_>) = wrappers(&scratch)
        .into_iter()
        .partition(|wrapper| is_installed(&wrapper.words[0]));
    for wrapper in &missing {
        println!("not found, left out: {}", wrapper.name);
    }
    println!("launch of true, 300 rounds");
    let candidate = |wrapper: &Wrapper| {
        let mut command = command(wrapper, &["true"]);
        let run = move || time(|| command.status().expect("a wrapper that runs"));
        Candidate {
            name: wrapper.name.to_owned(),
            run: Box::new(run),
        }
    };
    compare(300, present.iter().map(candidate).collect());
    println!("memory of the waiting parent (PSS), and from kill(2) to the command's handler");
    for wrapper in present
        .iter()
        .filter(|wrapper| wrapper.stays || wrapper.name == "env")
    {
        measure(wrapper);
    }
}

fn wrappers(scratch: &Scratch) -> Vec<Wrapper> {
    let url = format!("file://{}", scratch.0.join("tree").display());
    let directory = scratch.0.join("env").display().to_string();
    let ours = env!("CARGO_BIN_EXE_dotenv-run");
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    let wrapper = |name, list: &[&str], stays| Wrapper {
        name,
        words: words(list),
        stays,
    };
    vec![
        wrapper("env", &["env"], false),
        wrapper("dotenv-run", &scratch_run(&[ours], &url), false),
        wrapper(
            "dotenv-run --supervise",
            &scratch_run(&[ours, "--supervise"], &url),
            true,
        ),
        wrapper(
            "dotenv-run --redact",
            &scratch_run(&[ours, "-q", "--redact"], &url),
            true,
        ),
        wrapper("tini", &["tini", "-s", "--"], true),
        wrapper("dumb-init", &["dumb-init", "--"], true),
        wrapper("catatonit", &["catatonit", "--"], true),
        wrapper("chpst -e", &["chpst", "-e", &directory], false),
        wrapper("envdir", &["envdir", &directory], false),
    ]
}

/// A program with its options, and what has it read the project of a [`Scratch`], whose key is in the tree.
pub fn scratch_run<'a>(program: &[&'a str], url: &'a str) -> Vec<&'a str> {
    let rest = ["--custody", "any", "--api-url", url, "demo", "--"];
    [program, &rest].concat()
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

fn command(wrapper: &Wrapper, of: &[&str]) -> Command {
    let mut command = Command::new(&wrapper.words[0]);
    command
        .args(&wrapper.words[1..])
        .args(of)
        .stdin(Stdio::null());
    command
}

/// The word that makes this program a command that answers signals.
pub const ECHO: &str = "echo-signals";

/// Writes a byte when it is ready, and one for each SIGUSR1.
pub fn echo() {
    let signals = SigSet::from(Signal::SIGUSR1);
    signals.thread_block().expect("a signal to block");
    let mut output = std::io::stdout();
    while output.write_all(b"x").and_then(|()| output.flush()).is_ok() {
        signals.wait().expect("a signal to wait for");
    }
}

/// Prints the memory of a wrapper that waits, and how long a signal takes through it.
fn measure(wrapper: &Wrapper) {
    let echo = std::env::current_exe().expect("this program");
    let echo = echo.to_str().expect("a path in UTF-8");
    let mut command = command(wrapper, &[echo, ECHO]);
    let mut running = command
        .stdout(Stdio::piped())
        .spawn()
        .expect("a wrapper that runs");
    let mut output = running.stdout.take().expect("a pipe");
    let mut byte = [0];
    output
        .read_exact(&mut byte)
        .expect("a command that is ready");
    let mut latency = || {
        let start = Instant::now();
        kill(Pid::from_raw(running.id() as i32), Signal::SIGUSR1).expect("a process to signal");
        output
            .read_exact(&mut byte)
            .expect("a command that answers");
        start.elapsed()
    };
    let mut times: Vec<Duration> = (0..300).map(|_| latency()).collect();
    let memory = if wrapper.stays {
        pss(&running)
    } else {
        "-".to_owned()
    };
    println!(
        "{:<32} {memory:>9} kB {:>9.1} us",
        wrapper.name,
        median(&mut times).as_secs_f64() * 1e6
    );
    kill(Pid::from_raw(running.id() as i32), Signal::SIGTERM).expect("a process to end");
    let _ = running.wait();
}

fn pss(process: &Child) -> String {
    let table =
        fs::read_to_string(format!("/proc/{}/smaps_rollup", process.id())).unwrap_or_default();
    let line = table.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|line| line.split_whitespace().next())
        .unwrap_or("?")
        .to_owned()
}

/// A sealed tree of a project whose key needs no derivation, and the same variables as files for envdir.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Self {
        Scratch::holding(&[
            ("APP_NAME", "Acme"),
            ("LOG_LEVEL", "info"),
            ("DATABASE_URL", "postgres://shared"),
        ])
    }

    pub fn holding(variables: &[(&str, &str)]) -> Self {
        let root = std::env::temp_dir().join(format!("dotenv-run-bench-{}", std::process::id()));
        let text: String = variables
            .iter()
            .map(|(name, value)| format!("{name}={value}\n"))
            .collect();
        let key = DataKey::legacy(b"a key from before salts").expect("locked memory");
        let blob = key.seal(text.as_bytes()).expect("random bytes");
        let organization = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
        let api = root.join("tree/api/v1");
        let write = |path: &str, text: &str| {
            let path = api.join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(path, text).expect("a document");
        };
        write(
            "organization",
            &format!("{{\"data\":{{\"id\":\"{organization}\"}}}}"),
        );
        let key = "{\"key\":{\"managed\":\"server\",\"key\":\"a key from before salts\"}}";
        write(
            &format!("{organization}/demo/encryption-key"),
            &format!("{{\"data\":{{\"attributes\":{{\"content\":{key}}}}}}}"),
        );
        let level = format!("{{\"project\":{{\"encrypted\":true,\"content\":\"{blob}\"}}}}");
        write(
            &format!("{organization}/demo/secrets"),
            &format!("{{\"data\":{{\"attributes\":{{\"levels\":{level}}}}}}}"),
        );
        fs::create_dir_all(root.join("env")).expect("a directory");
        for (name, value) in variables {
            fs::write(root.join("env").join(name), value).expect("a file");
        }
        Scratch(root)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
