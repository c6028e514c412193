//! What a run with a failed call did, and whether that is one of the two things that it may do: run the command with all
//! that was asked for, or say in one line why not.

use std::collections::BTreeSet;
use std::fs;
use std::sync::OnceLock;

use nix::libc::{self, SYS_prctl, SYS_read};

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
    /// Whether the terminal, if there is one, has the settings of a new one.
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
                let outcome = terminal.wait();
                (outcome, settings(&terminal) == *new_settings())
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
        // On a terminal, one may stand behind a part of a line of the command's.
        let ours = output
            .lines()
            .filter_map(|line| line.split_once("dotenv-run: "));
        let ours = ours.map(|(_, message)| message);
        let messages = ours.filter(|line| !line.starts_with("warning: "));
        messages.map(str::to_owned).collect()
    }

    /// What the command and we wrote, without warnings of ours.
    fn without_warnings(&self) -> [String; 2] {
        self.without("dotenv-run: warning: ")
    }

    /// What the command wrote.
    fn without_messages(&self) -> [String; 2] {
        self.without("dotenv-run: ")
    }

    fn without(&self, start: &str) -> [String; 2] {
        [&self.stdout, &self.stderr].map(|text| {
            let lines = text.lines().filter(|line| !line.starts_with(start));
            lines.collect::<Vec<_>>().join("\n")
        })
    }

    /// The words behind the first one in each line of the log that begins with it.
    fn logged_words(&self, first: &str) -> Vec<Vec<&str>> {
        let lines = self.log.lines().map(|line| line.split(' '));
        let lines = lines.filter_map(|mut words| (words.next() == Some(first)).then_some(words));
        lines.map(Iterator::collect).collect()
    }
}

/// The settings of a terminal.
fn settings(terminal: &Terminal) -> String {
    format!("{:?}", terminal.termios())
}

/// Those of a new terminal. Once a program runs there, it may have changed them already.
fn new_settings() -> &'static String {
    static SETTINGS: OnceLock<String> = OnceLock::new();
    SETTINGS.get_or_init(|| {
        let mut terminal = Terminal::spawn(Run::program("true"));
        terminal.wait();
        settings(&terminal)
    })
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
pub fn judge(mode: &Mode, usual: &Seen, seen: &Seen, target: &Target) -> Result<(), String> {
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
        return refused(mode, seen, target);
    }
    ran(mode, usual, seen, target.call)
}

/// The command did not run: one message says so.
fn refused(mode: &Mode, seen: &Seen, target: &Target) -> Result<(), String> {
    let statuses: &[i32] = match target.call {
        libc::SYS_execve | libc::SYS_faccessat => &[125, 126, 127],
        _ if mode.origin != Origin::Tree && calls::is_network(target.call) => &[124, 125],
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
    // What is said on a terminal that stands in for ours is read there by the filter.
    let is_mute = target.call == SYS_read
        && target.process.is_none()
        && mode.redacts()
        && mode.output == Output::Terminal;
    if messages.len() != 1 && !is_mute {
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
    let text = |seen: &Seen| match mode.watches() {
        true => seen.without_messages(),
        false => seen.without_warnings(),
    };
    let ([stdout, stderr], [usual_stdout, usual_stderr]) = (text(seen), text(usual));
    let differing = [
        ("status", seen.status != usual.status),
        ("output", stdout != usual_stdout),
        ("errors", stderr != usual_stderr),
        ("audit", seen.audited != usual.audited),
        ("starts", seen.starts != usual.starts),
    ]
    .into_iter()
    .filter_map(|(what, differs)| differs.then_some(what.to_owned()));
    let differing: Vec<_> = differing.chain(around(usual, seen, call)).collect();
    if differing.is_empty() {
        return protections(seen, call);
    }
    // The command keeps the old secrets for as long as no renewal works, which is said once.
    let keeps_old = mode.watches() && seen.starts < usual.starts;
    if keeps_old && seen.all_output().contains("cannot renew the secrets") {
        return Ok(());
    }
    let has_failed = seen.status == Some(125) || seen.status == Some(124);
    let messages = seen.messages();
    // The status of its own of a command whose output is lost stays.
    let has_lost = |message: &String| message.contains("output is lost");
    let has_lost = messages.iter().any(has_lost) && seen.status != Some(0);
    if (has_failed || has_lost) && messages.len() == 1 {
        return Ok(());
    }
    Err(format!(
        "runs, but other than usual: {}",
        differing.join(", ")
    ))
}

/// In what the processes around the command differ: the name of each and what of it. Which of two that have different parents
/// is born first is left to chance, so their names alone make no difference.
///
/// That a supervisor is confined is more than was asked for, since it holds no secret: it runs on where that is refused,
/// unlike the filter.
fn around(usual: &Seen, seen: &Seen, call: i64) -> Vec<String> {
    let states = |seen: &Seen| {
        let lines = seen.logged_words("around").into_iter();
        let mut states: Vec<_> = lines.map(|words| words[1..].join(" ")).collect();
        states.sort();
        states
    };
    if states(seen) == states(usual) {
        return Vec::new();
    }
    let fields = |seen: &Seen| -> BTreeSet<(String, String)> {
        let lines = seen.logged_words("around").into_iter();
        let fields = lines.flat_map(|words| {
            let (name, fields) = words.split_first().expect("a name");
            let fields = fields
                .iter()
                .map(|field| ((*name).to_owned(), (*field).to_owned()));
            fields.collect::<Vec<_>>()
        });
        fields.collect()
    };
    let is_asked_for = |(name, field): &&(String, String)| {
        let is_confinement = ["NoNewPrivs=", "Seccomp_filters="]
            .iter()
            .any(|it| field.starts_with(it));
        let is_supervisor = ["0", "00"].contains(&&**name);
        call != SYS_prctl || !is_confinement || !is_supervisor
    };
    let (seen, usual) = (fields(seen), fields(usual));
    let differing = seen.difference(&usual).filter(is_asked_for);
    differing
        .map(|(name, field)| format!("{name}: {field}"))
        .collect()
}

/// What a failed call was to put in force, and did not.
fn protections(seen: &Seen, call: i64) -> Result<(), String> {
    let involved = [seen.logged_words("command"), seen.logged_words("around")].concat();
    let passed = seen.logged_words("passed");
    for hit in seen.logged_words("hit") {
        // A renewal that was refused something has ended without becoming the command, and another one did.
        let is_involved = involved.iter().any(|words| words[0] == hit[0]);
        let [first, third] = [2, 4].map(|at| argument(&hit, at));
        let has_fallback = passed.iter().any(|words| {
            let instead = calls::instead(call, third);
            words[0] == hit[0] && instead == Some(argument(words, 4))
        });
        let protection = calls::protection(call, first, third);
        if let Some(protection) = protection.filter(|_| is_involved && !has_fallback) {
            return Err(format!("runs without {protection}"));
        }
    }
    Ok(())
}

fn argument(words: &[&str], at: usize) -> u64 {
    u64::from_str_radix(words[at], 16).unwrap_or_default()
}
