//! What a run with a failed call did, and whether that is one of the two things that it may do: run the command with all
//! that was asked for, or say in one line why not.

use std::collections::BTreeSet;
use std::fs;

use super::calls;
use super::modes::{Mode, NEXT, Origin, Output, SECRET, Sources};
use crate::support::*;

/// What was seen of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    /// How often the command was started.
    pub starts: usize,
    /// The outcome in the audit line.
    pub audited: String,
    /// The processes around the command.
    pub around: String,
    pub is_terminal_as_before: bool,
    pub log: String,
}

impl Seen {
    /// Runs a mode with one injection; `expected` is a file with [`Seen::around`] of a run without.
    pub fn of(
        mode: &Mode,
        sources: &Sources,
        target: Option<&Target>,
        around: Option<&str>,
    ) -> Self {
        Seen::of_run(mode, sources, target, around, |run| run)
    }

    /// The same of a run that is changed.
    pub fn of_run(
        mode: &Mode,
        sources: &Sources,
        target: Option<&Target>,
        around: Option<&str>,
        change: impl FnOnce(Run) -> Run,
    ) -> Self {
        let dir = TempDir::new();
        let log = dir.path().join("log");
        let expected = around.map(|around| dir.file("expected", around));
        let injection = Injection {
            log: &log,
            target: target.cloned(),
            expected: expected.as_deref(),
            hook: mode.hook,
        };
        let (run, _tree) = mode.run(sources, dir.path());
        let redirected = "cd \"$DIRECTORY\"; exec \"$@\" 8<key 9>>audit";
        let run = change(run)
            .under(injector(&injection))
            .under(["sh", "-c", redirected, "sh"]);
        let (outcome, is_terminal_as_before) = match mode.output {
            Output::Pipes => (run.finish(), true),
            Output::Terminal => {
                let mut terminal = Terminal::spawn(run);
                let before = terminal.termios();
                let outcome = terminal.wait();
                (outcome, before == terminal.termios())
            }
        };
        let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap_or_default();
        let log = read("log");
        let around = log.lines().filter(|line| line.starts_with("around "));
        Seen {
            status: outcome.status.code(),
            stdout: String::from_utf8_lossy(&outcome.stdout).replace('\r', ""),
            stderr: outcome.stderr.clone(),
            starts: read("ran").lines().count(),
            audited: audited(&read("audit")),
            around: around.map(|line| format!("{line}\n")).collect(),
            is_terminal_as_before,
            log,
        }
    }

    /// Whether a failure was injected.
    pub fn was_hit(&self) -> bool {
        self.log.lines().any(|line| line.starts_with("hit "))
    }

    /// Whether it ended by itself and left nothing.
    pub fn has_ended(&self) -> bool {
        !["hang", "leftover", "starts processes"]
            .iter()
            .any(|line| self.logged(line))
    }

    fn logged(&self, what: &str) -> bool {
        self.log.lines().any(|line| line.starts_with(what))
    }

    /// All that a user sees, on a terminal or not.
    fn all_output(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// What we said, without warnings.
    fn messages(&self) -> Vec<String> {
        let output = self.all_output();
        let ours = output
            .lines()
            .filter_map(|line| line.strip_prefix("dotenv-run: "));
        let messages = ours.filter(|line| !line.starts_with("warning: "));
        messages.map(str::to_owned).collect()
    }

    /// What the command and we wrote, without warnings of ours.
    fn without_warnings(&self) -> [String; 2] {
        [&self.stdout, &self.stderr].map(|text| {
            let lines = text.lines();
            let lines = lines.filter(|line| !line.starts_with("dotenv-run: warning: "));
            lines.collect::<Vec<_>>().join("\n")
        })
    }
}

/// The outcome that an audit line tells.
fn audited(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
        line["outcome"].as_str().unwrap_or("not JSON").to_owned()
    });
    lines.collect::<Vec<_>>().join(",")
}

/// What is wrong with a run.
pub fn judge(mode: &Mode, usual: &Seen, seen: &Seen, call: i64) -> Result<(), String> {
    for (line, defect) in [
        ("kills everything", "signals every process on the machine"),
        (
            "starts processes without end",
            "starts processes without end",
        ),
        ("hang", "hangs"),
        ("leftover", "leaves a process behind"),
    ] {
        if seen.logged(line) {
            return Err(defect.into());
        }
    }
    let output = seen.all_output();
    if mode.redacts() && (output.contains(SECRET) || output.contains(NEXT)) {
        return Err("shows a secret".into());
    }
    if !seen.is_terminal_as_before {
        return Err("leaves the settings of the terminal changed".into());
    }
    if seen.starts > usual.starts {
        return Err(format!("starts the command {} times", seen.starts));
    }
    if seen.starts == 0 {
        return refused(mode, seen, call);
    }
    ran(mode, usual, seen, call)
}

/// The command did not run: one message says so.
fn refused(mode: &Mode, seen: &Seen, call: i64) -> Result<(), String> {
    let statuses: &[i32] = match call {
        nix::libc::SYS_execve | nix::libc::SYS_faccessat => &[125, 126, 127],
        _ if mode.origin != Origin::Tree && calls::is_network(call) => &[124, 125],
        _ => &[125],
    };
    let messages = seen.messages();
    match seen.status {
        Some(status) if statuses.contains(&status) => (),
        status => {
            let status = status.map_or("a signal".to_owned(), |status| format!("status {status}"));
            return Err(format!(
                "ends with {status} and {} messages",
                messages.len()
            ));
        }
    }
    if messages.len() != 1 {
        return Err(format!("is refused with {} messages", messages.len()));
    }
    let output = seen.all_output();
    let others = output.lines().filter(|line| {
        let known = ["dotenv-run: ", "hint: ", "::add-mask::"];
        !line.is_empty() && !known.iter().any(|start| line.starts_with(start))
    });
    if others.count() > 0 {
        return Err("is refused with more than a message and a hint".into());
    }
    if seen.audited.ends_with("started") {
        return Err("is refused, and audited as started".into());
    }
    Ok(())
}

/// The command ran: everything is as without a failure, or it was ended with one message.
fn ran(mode: &Mode, usual: &Seen, seen: &Seen, call: i64) -> Result<(), String> {
    // A renewal that fails is told, and the command runs on.
    let watches = mode
        .options
        .iter()
        .any(|option| option.starts_with("--watch"));
    let errors = |seen: &Seen| {
        let text = seen.without_warnings()[1].clone();
        let lines = text
            .lines()
            .filter(|line| !watches || !line.starts_with("dotenv-run: "));
        lines.collect::<Vec<_>>().join("\n")
    };
    let differing: Vec<_> = [
        ("status", seen.status != usual.status),
        (
            "output",
            seen.without_warnings()[0] != usual.without_warnings()[0],
        ),
        ("errors", errors(seen) != errors(usual)),
        ("audit", seen.audited != usual.audited),
        ("starts", seen.starts != usual.starts),
    ]
    .into_iter()
    .filter_map(|(what, differs)| differs.then_some(what.to_owned()))
    .chain(around(usual, seen))
    .collect();
    if differing.is_empty() {
        return protections(seen, call);
    }
    let has_failed = seen.status == Some(125) || seen.status == Some(124);
    if has_failed && seen.messages().len() == 1 {
        return Ok(());
    }
    Err(format!(
        "runs, but other than usual: {}",
        differing.join(", ")
    ))
}

/// In what the processes around the command differ: the name of each and what of it.
fn around(usual: &Seen, seen: &Seen) -> Vec<String> {
    let fields = |seen: &Seen| -> BTreeSet<String> {
        let lines = seen
            .around
            .lines()
            .filter_map(|line| line.strip_prefix("around "));
        let fields = lines.filter_map(|line| line.split_once(' '));
        let fields = fields.flat_map(|(name, fields)| {
            let fields = fields
                .split(' ')
                .map(move |field| format!("{name}: {field}"));
            fields.collect::<Vec<_>>()
        });
        fields.collect()
    };
    fields(seen).difference(&fields(usual)).cloned().collect()
}

/// What a failed call was to put in force, and did not.
fn protections(seen: &Seen, call: i64) -> Result<(), String> {
    let hits = seen
        .log
        .lines()
        .filter_map(|line| line.strip_prefix("hit "));
    for hit in hits {
        let words: Vec<_> = hit.split(' ').collect();
        let argument = |at: usize| u64::from_str_radix(words[at], 16).unwrap_or_default();
        if let Some(protection) = calls::protection(call, argument(2), argument(4)) {
            return Err(format!("runs without {protection}"));
        }
    }
    Ok(())
}
