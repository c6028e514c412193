//! What things cost, as ratios of medians taken in one run: `make bench`, or `make bench ONLY=launch`.
//!
//! Timings on a busy machine are worth little by themselves. So what is compared is run in turns, and
//! each line gives the ratio to the first one of its table.

mod derive;
mod launch;
mod parse;
mod scale;
#[allow(dead_code, unused_imports, unused_macros)]
#[path = "../support/mod.rs"]
mod support;
mod warm;

use std::time::{Duration, Instant};

fn main() {
    if std::env::args()
        .nth(1)
        .is_some_and(|word| word == launch::ECHO)
    {
        return launch::echo();
    }
    let tables: [(&str, fn()); 5] = [
        ("derive", derive::run),
        ("parse", parse::run),
        ("launch", launch::run),
        ("warm", warm::run),
        ("scale", scale::run),
    ];
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

/// Something to be timed, by the name of its line.
struct Candidate<'a> {
    name: String,
    run: Box<dyn FnMut() -> Duration + 'a>,
}

/// Runs all candidates in turns and prints a line for each: its median, and the ratio to the first.
fn compare(rounds: usize, mut candidates: Vec<Candidate<'_>>) {
    let mut times = vec![Vec::new(); candidates.len()];
    for _ in 0..rounds {
        for (candidate, times) in candidates.iter_mut().zip(&mut times) {
            times.push((candidate.run)());
        }
    }
    let medians: Vec<_> = times.iter_mut().map(|times| median(times)).collect();
    for (candidate, median) in candidates.iter().zip(&medians) {
        let ratio = median.as_secs_f64() / medians[0].as_secs_f64();
        println!(
            "{:<32} {:>9.3} ms {ratio:>8.2}",
            candidate.name,
            median.as_secs_f64() * 1e3
        );
    }
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
