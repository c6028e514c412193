//! Many starts at a time against one service on loopback: how evenly they are served, and when requests come once it
//! takes no more than so many.

use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Rate, Service};

/// How many starts go on at a time.
const AT_A_TIME: usize = 50;

/// How much longer than the median the slowest start may take, in the best of a few rounds: who else uses the machine
/// makes single starts slow.
const MOST: f64 = 3.0;
const ROUNDS: usize = 5;

/// How many starts meet a limit, all at the same time, so that whatever comes later comes again.
const MEET: usize = 150;

/// The limit of the service on requests, and its window: a tenth of a minute.
const LIMIT: usize = 100;
const WINDOW: Duration = Duration::from_secs(6);

/// The width of a bar of a histogram.
const BIN: Duration = Duration::from_millis(100);

pub fn run() {
    let ratios = (0..ROUNDS).map(|_| evenly());
    let best = ratios.fold(f64::INFINITY, f64::min);
    assert!(best < MOST, "the slowest start takes too long");
    for tells in [true, false] {
        limited(tells);
    }
}

/// Starts the command so often, so many at a time, and gives the time and the end of each start.
fn starts(service: &Service, count: usize, at_a_time: usize) -> Vec<(Duration, ExitStatus)> {
    let (next, ended) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let start = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dotenv-run"));
        command.args(["-q", "--api-url", &service.url(), "--ca-file"]);
        command
            .arg(service.ca_file())
            .args(["legacy", "--", "true"]);
        command.env("DOTENV_API_KEY", service.api_key());
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let begun = Instant::now();
        let status = command.status().expect("a program that starts");
        (begun.elapsed(), status)
    };
    thread::scope(|scope| {
        for _ in 0..at_a_time {
            scope.spawn(|| {
                while next.fetch_add(1, Ordering::Relaxed) < count {
                    let one = start();
                    ended.lock().expect("no panic").push(one);
                }
            });
        }
    });
    ended.into_inner().expect("no panic")
}

/// How many times the median the slowest of many starts takes.
fn evenly() -> f64 {
    let service = Service::example();
    let begun = Instant::now();
    let ended = starts(&service, 1000, AT_A_TIME);
    let total = begun.elapsed();
    assert!(ended.iter().all(|(_, status)| status.success()));
    let mut times: Vec<_> = ended.into_iter().map(|(time, _)| time).collect();
    times.sort_unstable();
    let seconds = |index: usize| times[index].as_secs_f64();
    let ratio = seconds(999) / seconds(500);
    let again = service.requests().len() - 2000;
    println!(
        "1000 starts, {AT_A_TIME} at a time, in {:.1} s: median {:.1} ms, 99 % {:.1} ms, slowest {:.1} ms, {ratio:.2} times \
         the median; {again} requests were sent again",
        total.as_secs_f64(),
        seconds(500) * 1e3,
        seconds(990) * 1e3,
        seconds(999) * 1e3,
    );
    ratio
}

/// Starts more than the service takes at once, and shows when requests come.
fn limited(tells: bool) {
    let service = Service::example();
    service.limit(Rate::new(LIMIT, WINDOW, tells));
    let begun = Instant::now();
    let ended = starts(&service, MEET, MEET);
    let good = ended.iter().filter(|(_, status)| status.success()).count();
    let told = ended
        .iter()
        .filter(|(_, status)| status.code() == Some(124));
    assert_eq!(good + told.count(), MEET, "another end");
    println!(
        "\n{MEET} starts at once, {LIMIT} requests in {} s, 429 {} Retry-After: {good} succeed, {} end with 124; requests \
         in 100 ms",
        WINDOW.as_secs(),
        if tells { "with" } else { "without" },
        MEET - good
    );
    let mut bins = Vec::new();
    for request in service.requests() {
        let since = request.received.duration_since(begun);
        let bin = (since.as_millis() / BIN.as_millis()) as usize;
        bins.resize(bins.len().max(bin + 1), 0);
        bins[bin] += 1;
    }
    for (bin, count) in bins.iter().enumerate().filter(|(_, count)| **count > 0) {
        let seconds = bin as f64 * BIN.as_secs_f64();
        println!("{seconds:>6.1} s {count:>4} {}", "#".repeat(count / 2));
    }
}
