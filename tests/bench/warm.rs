//! What a start from the kernel's keyring costs, against env(1) and against one that asks a service on loopback.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::launch::Scratch;
use crate::{Candidate, compare, time};

/// How many documents were asked for.
static REQUESTS: AtomicUsize = AtomicUsize::new(0);

pub fn run() {
    let scratch = Scratch::new();
    let url = serve(scratch.0.join("tree"));
    let organization = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let ours = |cache: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dotenv-run"));
        command.args(["--api-url", &url, cache, "demo", "--", "true"]);
        command.env("DOTENV_API_KEY", format!("dotenv_{organization}_key"));
        command
    };
    let mut env = Command::new("env");
    env.arg("true");
    // What it keeps is forgotten soon.
    let mut warm = ours("--cache=60");
    warm.status().expect("a start that fills the cache");
    let asked = REQUESTS.load(Ordering::Relaxed);
    warm.status().expect("a start from the cache");
    if REQUESTS.load(Ordering::Relaxed) > asked {
        println!("no keys in the kernel here: nothing to compare");
        return;
    }
    println!("start of true without key derivation, 300 rounds");
    let candidates = [
        ("env", env),
        ("dotenv-run, warm", warm),
        ("dotenv-run, cold over http", ours("--no-cache")),
    ];
    let candidate = |(name, mut command): (&str, Command)| {
        command.stdin(Stdio::null());
        let run = move || time(|| command.status().expect("a program that runs"));
        Candidate {
            name: name.to_owned(),
            run: Box::new(run),
        }
    };
    compare(300, candidates.into_iter().map(candidate).collect());
}

/// Serves the files below `root` over plain HTTP until the program ends; returns the URL.
fn serve(root: PathBuf) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port on loopback");
    let address = listener.local_addr().expect("the port that was bound");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            REQUESTS.fetch_add(1, Ordering::Relaxed);
            let _ = answer(stream, &root);
        }
    });
    format!("http://{address}")
}

fn answer(mut stream: TcpStream, root: &Path) -> std::io::Result<()> {
    let mut lines = BufReader::new(&stream).lines();
    let line = lines.next().transpose()?.unwrap_or_default();
    while lines
        .next()
        .transpose()?
        .is_some_and(|line| !line.is_empty())
    {}
    let target = line.split(' ').nth(1).unwrap_or("/");
    let document = fs::read_to_string(root.join(target.trim_start_matches('/')))?;
    let length = document.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{document}"
    )
}
