//! Every system call on the way to the command made to fail, in every process of every mode: the command runs with all
//! that was asked for, or does not run and one line says why.
//!
//! Which calls there are comes from a run without a failure. The whole table has each fail in all processes at once, as
//! under a filter of a container, with each error, and once by itself in each process where it is called first; it is
//! tried with `INJECTION=1` and by `make soak`. Otherwise one of these is tried for each call in each mode, in turns over
//! modes and calls. With `INJECTION=all` each single call fails.

mod calls;
mod modes;
mod named;
mod planted;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::*;
use modes::{MODES, Mode, Sources};
use verdict::{Seen, judge};

tests![
    planted::each_kind_of_violation_is_found needs(ROOT, PLANTED),
    named::every_single_failure_of_a_call_that_protects needs(ROOT),
    named::a_filter_of_a_container_refuses_what_protects,
    named::a_call_that_waiting_needs_is_refused_before_the_start,
    every_call_of_exec needs(ROOT),
    every_call_of_a_supervisor needs(ROOT),
    every_call_of_a_group needs(ROOT),
    every_call_of_ends needs(ROOT),
    every_call_of_watching needs(ROOT),
    every_call_of_redaction needs(ROOT),
    every_call_on_a_terminal needs(ROOT),
    every_call_of_watching_and_redaction needs(ROOT),
    every_call_of_watching_and_redaction_on_a_terminal needs(ROOT),
    every_call_of_deliveries needs(ROOT),
    every_call_of_keys_by_descriptor needs(ROOT),
    every_call_of_a_service needs(ROOT),
];

fn every_call_of_exec() {
    check(&["exec"]);
}

fn every_call_of_a_supervisor() {
    check(&["supervise", "subreaper"]);
}

fn every_call_of_a_group() {
    check(&["group", "group on a terminal"]);
}

fn every_call_of_ends() {
    check(&["stop-timeout", "die-with-parent"]);
}

fn every_call_of_watching() {
    check(&["watch"]);
}

fn every_call_of_redaction() {
    check(&["redact"]);
}

fn every_call_on_a_terminal() {
    check(&["redact on a terminal"]);
}

fn every_call_of_watching_and_redaction() {
    check(&["watch redact"]);
}

fn every_call_of_watching_and_redaction_on_a_terminal() {
    check(&["watch redact on a terminal"]);
}

fn every_call_of_deliveries() {
    check(&["audit", "file", "mask"]);
}

fn every_call_of_keys_by_descriptor() {
    check(&[
        "client key from a descriptor",
        "redact with keys and audit by descriptor",
    ]);
}

fn every_call_of_a_service() {
    check(&["service", "service redact", "service cache"]);
}

/// How much of the table is tried.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// One failure of each call in each mode.
    Part,
    /// The whole table.
    Whole,
    /// That, and each single call.
    Everything,
}

fn extent() -> Extent {
    match std::env::var("INJECTION") {
        Ok(which) if which == "all" => Extent::Everything,
        Ok(_) => Extent::Whole,
        Err(_) => rounds(Extent::Part, Extent::Whole),
    }
}

/// How long a test may take: all injections take longer than those of the suite.
pub fn time_limit() -> Duration {
    Duration::from_secs(match extent() {
        Extent::Part => 120,
        Extent::Whole => 600,
        Extent::Everything => 3600,
    })
}

/// How many runs there are at a time: most of them wait.
const AT_A_TIME: usize = 6;

/// What is wrong with some runs.
type Findings = BTreeMap<(String, String, String, String), Vec<String>>;

#[track_caller]
fn check(names: &[&str]) {
    let (sources, findings) = (Sources::new(), Mutex::new(Findings::new()));
    let mut count = 0;
    for name in names {
        let mode = MODES.iter().find(|mode| mode.name == *name);
        let mode = mode.expect("a mode of the table");
        count += inject_into(mode, &sources, &findings);
    }
    assert_none(count, names, &findings.into_inner().unwrap());
}

#[track_caller]
fn assert_none(count: usize, names: &[&str], findings: &Findings) {
    let lines = findings
        .iter()
        .map(|((mode, call, defect, process), where_)| {
            format!(
                "{mode}: {call} in {process}: {defect} ({})",
                where_.join(" ")
            )
        });
    let lines: Vec<_> = lines.collect();
    println!("{count} injections into {}", names.join(", "));
    assert!(
        lines.is_empty(),
        "{} of {count} injections:\n{}",
        lines.len(),
        lines.join("\n")
    );
}

/// Injects each failure into a mode; how many there were.
fn inject_into(mode: &Mode, sources: &Sources, findings: &Mutex<Findings>) -> usize {
    let usual = usual(mode, sources);
    inject(mode, sources, &usual, &targets(mode, &usual), findings)
}

/// What a mode is like without a failure.
#[track_caller]
fn usual(mode: &Mode, sources: &Sources) -> Seen {
    let usual = Seen::of(mode, sources, None, None);
    assert!(
        usual.starts > 0 && usual.has_ended(),
        "{}: {usual:#?}",
        mode.name
    );
    usual
}

fn inject(
    mode: &Mode,
    sources: &Sources,
    usual: &Seen,
    targets: &[Target],
    findings: &Mutex<Findings>,
) -> usize {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(target) = targets.get(next.fetch_add(1, Ordering::Relaxed)) {
                    // A program that cannot be ended fails by itself only.
                    let checked = outcome_of(|| check_one(mode, sources, usual, target));
                    if let Err(defect) = checked {
                        note(mode, target, defect, findings);
                    }
                }
            });
        }
    });
    targets.len()
}

fn check_one(mode: &Mode, sources: &Sources, usual: &Seen, target: &Target) -> Result<(), String> {
    let seen = Seen::of(mode, sources, Some(target), Some(&usual.around));
    if !seen.was_hit() {
        return Ok(());
    }
    let verdict = judge(mode, usual, &seen, target);
    if verdict.is_err() && std::env::var_os("INJECTION_SHOW").is_some() {
        eprintln!("--- {} {target:?}: {verdict:?}\n{seen:#?}", mode.name);
    }
    verdict
}

fn note(mode: &Mode, target: &Target, defect: String, findings: &Mutex<Findings>) {
    let error = calls::error_name(target.error);
    let call = format!("{} {error}", calls::name(target.call));
    let process = target.process.clone().unwrap_or("all".into());
    let nth = target
        .nth
        .map_or("always".to_owned(), |nth| nth.to_string());
    let key = (mode.name.to_owned(), call, defect, process);
    findings.lock().unwrap().entry(key).or_default().push(nth);
}

/// All failures to be injected, as a run without one tells.
fn targets(mode: &Mode, usual: &Seen) -> Vec<Target> {
    let every = every_target(usual).into_iter();
    if extent() == Extent::Everything {
        return every.collect();
    }
    let is_first = |target: &Target| {
        let first = calls::errors(target.call).first();
        target.nth == Some(0) && Some(&target.error) == first
    };
    let whole = every.filter(|target| target.nth.is_none() || is_first(target));
    let mut by_call = BTreeMap::<_, Vec<_>>::new();
    for target in whole {
        by_call.entry(target.call).or_default().push(target);
    }
    if extent() == Extent::Part {
        let turn = turn_of(mode);
        for (call, targets) in &mut by_call {
            let chosen = (turn + *call as usize) % targets.len();
            *targets = vec![targets.swap_remove(chosen)];
        }
    }
    by_call.into_values().flatten().collect()
}

/// The place of a mode in the table.
fn turn_of(mode: &Mode) -> usize {
    let same = |known: &Mode| known.name == mode.name;
    MODES.iter().position(same).expect("a mode of the table")
}

/// Each call of each process with each of its errors, and each call refused always.
fn every_target(usual: &Seen) -> BTreeSet<Target> {
    let mut targets = BTreeSet::new();
    for line in usual.log.lines() {
        let Some(call) = line.strip_prefix("call ") else {
            continue;
        };
        let words: Vec<_> = call.split(' ').collect();
        let number = |at: usize| words[at].parse::<i64>().expect("a number in the log");
        for error in calls::errors(number(1)) {
            let once = Target {
                process: Some(words[0].to_owned()),
                call: number(1),
                nth: Some(number(2) as u32),
                error: *error,
            };
            // An interruption is over when the call is made again, and without writing nothing can be said.
            if *error != nix::libc::EINTR && number(1) != nix::libc::SYS_write {
                targets.insert(Target {
                    process: None,
                    nth: None,
                    ..once.clone()
                });
            }
            targets.insert(once);
        }
    }
    targets
}
