//! How fast output passes the filter that looks for 100 secrets, and how long a line of it is under way.

use std::fs;
use std::hint::black_box;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use dotenv_run::inside::run::redact::{CHUNK, Patterns, Redactor};

use super::launch::{Scratch, scratch_run};
use super::{median, time};

/// How much text is filtered, in bytes.
const SIZE: usize = 256 * 1024 * 1024;

const SECRETS: usize = 100;

/// Characters of which a secret can consist: printable ones, of no pattern.
fn random_text(length: usize, state: &mut u64) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_!$/+=";
    let letters = (0..length).map(|_| {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        char::from(LETTERS[(*state >> 33) as usize % LETTERS.len()])
    });
    letters.collect()
}

pub fn run() {
    let mut state = 0x9e37_79b9_7f4a_7c15;
    let secrets: Vec<_> = (0..SECRETS)
        .map(|number| {
            (
                format!("SECRET_{number}"),
                random_text(16 + number % 48, &mut state),
            )
        })
        .collect();
    let pairs = || {
        secrets
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
    };
    let mut patterns = None;
    let made = time(|| patterns = Some(Patterns::of(pairs()).expect("memory")));
    let patterns = Arc::new(patterns.expect("patterns"));
    println!(
        "{SECRETS} secrets learned in {:.3} ms",
        made.as_secs_f64() * 1e3
    );
    let line = "2026-11-23T17:48:24.123Z INFO request{method=GET path=/api/v1/users/42}: finished in 12 ms\n";
    through_processes(&secrets, line);
    println!("the search by itself");
    let base64 = random_text(CHUNK, &mut state).replace(|it: char| !it.is_alphanumeric(), "x");
    let hex: String = base64.bytes().map(|byte| format!("{byte:02x}")).collect();
    let with_secrets = format!("{}{}\n", line.repeat(20), secrets[7].1);
    let binary: String = (0..CHUNK as u32)
        .filter_map(|it| char::from_u32(it * 7 % 256))
        .collect();
    for (name, text) in [
        ("lines of a log", line.to_owned()),
        ("a secret in every 21st line", with_secrets),
        ("base64", base64),
        ("hexadecimal", hex),
        ("bytes", binary),
        ("one letter", "a".to_owned()),
    ] {
        let rate = SIZE as f64 / filter(&patterns, text.as_bytes()).as_secs_f64();
        println!("{name:<32} {:>9.0} MB/s", rate / 1e6);
    }
}

/// How long it takes to filter a text that is repeated.
fn filter(patterns: &Arc<Patterns>, text: &[u8]) -> Duration {
    let text: Vec<_> = text
        .iter()
        .copied()
        .cycle()
        .take(2 * CHUNK + text.len())
        .collect();
    let mut redactor = Redactor::new(Arc::clone(patterns)).expect("memory");
    let mut shown = Vec::with_capacity(CHUNK);
    let chunks = || (0..SIZE / CHUNK).map(|index| &text[index % (text.len() - CHUNK)..][..CHUNK]);
    let once = |chunks: &mut dyn Iterator<Item = &[u8]>| {
        for chunk in chunks {
            redactor.spare().expect("memory").copy_from_slice(chunk);
            shown.clear();
            redactor.take(CHUNK, &mut shown);
            black_box(&shown);
        }
    };
    let mut once = once;
    time(|| once(&mut chunks()))
}

/// The whole way: from a command through the filter to a reader, in large writes and line by line.
fn through_processes(secrets: &[(String, String)], line: &str) {
    let variables: Vec<_> = secrets
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    // In single quotes, where nothing but these means anything.
    let quoted: Vec<_> = variables
        .iter()
        .map(|(_, value)| format!("'{value}'"))
        .collect();
    let variables = variables.iter().zip(&quoted);
    let variables: Vec<_> = variables
        .map(|((name, _), value)| (*name, value.as_str()))
        .collect();
    let scratch = Scratch::holding(&variables);
    let url = format!("file://{}", scratch.0.join("tree").display());
    let file = scratch.0.join("text");
    fs::write(&file, line.repeat(SIZE / line.len())).expect("a file");
    let file = file.to_str().expect("a path in UTF-8");
    let ours = |mode: &str, command: &[&str]| {
        let mut ours = Command::new(env!("CARGO_BIN_EXE_dotenv-run"));
        ours.args(scratch_run(&["-q", mode], &url)).args(command);
        ours.stdin(Stdio::piped()).stdout(Stdio::piped());
        ours
    };
    for mode in ["--supervise", "--redact"] {
        let mut rates: Vec<_> = (0..5)
            .map(|_| {
                let mut buffer = vec![0; 1024 * 1024];
                time(|| {
                    let mut running = ours(mode, &["cat", file]).spawn().expect("a command");
                    let mut output = running.stdout.take().expect("a pipe");
                    while output.read(&mut buffer).expect("output") > 0 {}
                    assert!(running.wait().expect("a status").success());
                })
            })
            .collect();
        let rate = SIZE as f64 / median(&mut rates).as_secs_f64();
        println!("cat of lines of a log, {mode:<12} {:>9.0} MB/s", rate / 1e6);
    }
    for mode in ["--supervise", "--redact"] {
        let mut running = ours(mode, &["cat"]).spawn().expect("a command");
        let mut input = running.stdin.take().expect("a pipe");
        let mut output = BufReader::new(running.stdout.take().expect("a pipe"));
        let mut answer = String::new();
        let mut times: Vec<_> = (0..2000)
            .map(|_| {
                time(|| {
                    input
                        .write_all(line.as_bytes())
                        .expect("a pipe that is read");
                    output.read_line(&mut answer).expect("a line");
                })
            })
            .collect();
        drop(input);
        assert!(running.wait().expect("a status").success());
        let median = median(&mut times).as_secs_f64() * 1e6;
        let slow = times[times.len() * 99 / 100].as_secs_f64() * 1e6;
        println!("a line through cat, {mode:<15} {median:>9.1} us, one in 100 over {slow:>9.1} us");
    }
}
