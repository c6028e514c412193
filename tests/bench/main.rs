//! What things cost, as ratios of medians taken in one run: `make bench`, or `make bench ONLY=launch`.
//!
//! Timings on a busy machine are worth little by themselves. So what is compared is run in turns, and
//! each line gives the ratio to the first one of its table.

mod cold;
mod derive;
mod launch;
mod parse;
mod redact;
mod scale;
// The service of the tests. Of what else they stand on, nothing is used here.
#[allow(dead_code, unused_imports, unused_macros)]
#[path = "../support/mod.rs"]
mod support;
mod variables;
mod warm;

use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

fn main() {
    if std::env::args()
        .nth(1)
        .is_some_and(|word| word == launch::ECHO)
    {
        return launch::echo();
    }
    let tables: [(&str, fn()); 8] = [
        ("derive", derive::run),
        ("parse", parse::run),
        ("launch", launch::run),
        ("warm", warm::run),
        ("scale", scale::run),
        ("cold", cold::run),
        ("variables", variables::run),
        ("redact", redact::run),
    ];
    allow_many_files();
    let only: Vec<_> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    for (name, run) in tables {
        if only.is_empty() || only.iter().any(|wanted| wanted == name) {
            println!("\n# {name}");
            run();
        }
    }
}

/// The service keeps every connection to its end.
fn allow_many_files() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("a limit of one's own");
}

/// Something to be timed, by the name of its line.
struct Candidate<'a> {
    name: String,
    run: Box<dyn FnMut() -> Duration + 'a>,
}

/// Runs all candidates in turns and prints a line for each: its median, which is returned too, the ratio to the
/// first, and its best, which is worth more on a busy machine.
fn compare(rounds: usize, mut candidates: Vec<Candidate<'_>>) -> Vec<Duration> {
    let mut times = vec![Vec::new(); candidates.len()];
    for _ in 0..rounds {
        for (candidate, times) in candidates.iter_mut().zip(&mut times) {
            times.push((candidate.run)());
        }
    }
    let medians: Vec<_> = times.iter_mut().map(|times| median(times)).collect();
    let best = times.iter().map(|times| times[0]);
    for ((candidate, median), best) in candidates.iter().zip(&medians).zip(best) {
        let ratio = median.as_secs_f64() / medians[0].as_secs_f64();
        println!(
            "{:<34} {:>9.3} ms {ratio:>8.2}   best {:>9.3} ms",
            candidate.name,
            median.as_secs_f64() * 1e3,
            best.as_secs_f64() * 1e3,
        );
    }
    medians
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// How long `work` takes.
fn time<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    std::hint::black_box(work());
    start.elapsed()
}
