//! The system calls of a program and of everything it starts.

use std::collections::BTreeMap;
use std::fs;

use super::outcome::Outcome;
use super::pty::Terminal;
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

/// Every call, and what descriptors stand for.
const EVERYTHING: [&str; 3] = ["-s", "256", "-yy"];

/// A program that ran under strace.
pub struct Trace {
    pub outcome: Outcome,
    pub calls: Vec<Call>,
}

/// Runs `run` to its end and records the system calls named in `wanted`: `openat,creat` or a class
/// such as `%file`.
#[track_caller]
pub fn strace(run: Run, wanted: &str) -> Trace {
    let options = ["-s", "4096", "-e", &format!("trace={wanted}")];
    traced(run, &options, Run::finish)
}

/// The same with every system call, and behind each descriptor what it stands for: `3</etc/hosts>`,
/// `4<TCP:[127.0.0.1:40000->127.0.0.1:443]>`.
#[track_caller]
pub fn strace_everything(run: Run) -> Trace {
    traced(run, &EVERYTHING, Run::finish)
}

/// The same on a terminal, at which `talk` sits.
#[track_caller]
pub fn strace_on_terminal(run: Run, talk: impl FnOnce(&mut Terminal)) -> Trace {
    traced(run, &EVERYTHING, |run| {
        let mut terminal = Terminal::spawn(run);
        talk(&mut terminal);
        terminal.wait()
    })
}

#[track_caller]
fn traced(run: Run, options: &[&str], finish: impl FnOnce(Run) -> Outcome) -> Trace {
    let dir = TempDir::new();
    let log = dir.path().join("calls").display().to_string();
    let wrapper = [&["strace", "-f", "-qq", "-o", &log], options, &["--"]].concat();
    let outcome = finish(run.under(wrapper));
    let text = fs::read(&log).expect("the log of strace");
    Trace {
        outcome,
        calls: parse(&String::from_utf8_lossy(&text)),
    }
}

/// Reads a log of `strace -f -o`. A call during which another thread made one is written in two
/// parts, which are joined again; lines about signals and exits are left out. A call that was still
/// going on when its process ended comes last, with the result `?`.
pub fn parse(log: &str) -> Vec<Call> {
    let mut unfinished = BTreeMap::new();
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
    let cut_off = unfinished
        .into_iter()
        .filter_map(|(pid, start)| parse_call(pid, &(start + ") = ?")));
    calls.extend(cut_off);
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
    // The process ended while a call was going on, or before it was known which.
    let arguments = arguments
        .strip_suffix(" <unfinished ...>")
        .unwrap_or(arguments);
    if name == "???" {
        return None;
    }
    Some(Call {
        pid,
        name: name.into(),
        arguments: arguments.into(),
        result: result.into(),
    })
}
