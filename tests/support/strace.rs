//! The system calls of a program and of everything it starts.

use std::collections::HashMap;
use std::fs;

use super::outcome::Outcome;
use super::run::Run;
use super::temp::TempDir;

/// One finished system call, as strace writes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub pid: i32,
    pub name: String,
    /// What stands between the parentheses.
    pub arguments: String,
    /// What stands behind the equals sign: a number, then perhaps the name and the text of an
    /// error.
    pub result: String,
}

impl Call {
    /// Whether it asked for a file that it could write to, or made one.
    pub fn opens_for_writing(&self) -> bool {
        let flags = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_TMPFILE"];
        match self.name.as_str() {
            "creat" => true,
            "open" | "openat" | "openat2" => flags.iter().any(|flag| self.arguments.contains(flag)),
            _ => false,
        }
    }
}

/// A program that ran under strace.
pub struct Trace {
    pub outcome: Outcome,
    pub calls: Vec<Call>,
}

/// Runs `run` to its end and records the system calls named in `wanted`: `openat,creat` or a class
/// such as `%file`.
#[track_caller]
pub fn strace(run: Run, wanted: &str) -> Trace {
    let dir = TempDir::new();
    let log = dir.path().join("calls").display().to_string();
    let wanted = format!("trace={wanted}");
    let wrapper = [
        "strace", "-f", "-qq", "-s", "4096", "-e", &wanted, "-o", &log, "--",
    ];
    let outcome = run.under(wrapper).finish();
    let text = fs::read(&log).expect("the log of strace");
    Trace {
        outcome,
        calls: parse(&String::from_utf8_lossy(&text)),
    }
}

/// Reads a log of `strace -f -o`. A call during which another thread made one is written in two
/// parts, which are joined again; lines about signals and exits are left out.
pub fn parse(log: &str) -> Vec<Call> {
    let mut unfinished = HashMap::new();
    let mut calls = Vec::new();
    for line in log.lines() {
        let Some((pid, event)) = split_pid(line) else {
            continue;
        };
        if let Some(start) = event.strip_suffix("<unfinished ...>") {
            unfinished.insert(pid, start.to_string());
        } else if let Some((_, end)) = event
            .strip_prefix("<... ")
            .and_then(|rest| rest.split_once(" resumed>"))
        {
            let start = unfinished.remove(&pid).unwrap_or_default();
            calls.extend(parse_call(pid, &(start + end)));
        } else {
            calls.extend(parse_call(pid, event));
        }
    }
    calls
}

fn split_pid(line: &str) -> Option<(i32, &str)> {
    let (pid, event) = line.split_once(' ')?;
    Some((pid.parse().ok()?, event.trim_start()))
}

/// `name(arguments) = result`, with any number of blanks before the equals sign.
fn parse_call(pid: i32, text: &str) -> Option<Call> {
    let (call, result) = text.rsplit_once(" = ")?;
    let (name, arguments) = call.trim_end().strip_suffix(')')?.split_once('(')?;
    Some(Call {
        pid,
        name: name.into(),
        arguments: arguments.into(),
        result: result.into(),
    })
}
