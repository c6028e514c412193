//! The findings on one screen: a line for each fact that there is, of 80 columns.

#![forbid(unsafe_code)]

use std::fmt::{self, Write};

use crate::check::findings::{
    Command, ExpectedFinding, Findings, KeyFinding, LevelFinding, LocalFinding, ProjectFinding,
    ReferenceFinding, Size, SourceFinding, Times,
};
use crate::error::visible;
use crate::store::custody::GIVEN_KEY;
use crate::sys::locked::Protection;

/// The width of a line.
const WIDTH: usize = 80;

/// Where what is said begins.
const INDENT: usize = 14;

/// The lines.
#[derive(Default)]
struct Screen(String);

impl Screen {
    /// One line, however long.
    #[inline(never)]
    fn line(&mut self, label: &str, text: fmt::Arguments<'_>) {
        let text = text.to_string();
        let _ = writeln!(self.0, "{label:<INDENT$}{}", visible(&text));
    }

    /// One line with as many elements of a list as it has room for, and how many there are; none if the list is empty.
    fn list(&mut self, label: &str, items: &[String]) {
        if items.is_empty() {
            return;
        }
        let mut text = format!("{}: ", items.len());
        for (index, item) in items.iter().enumerate() {
            let rest = items.len() - index;
            let more = format!("and {rest} more");
            let room = WIDTH - INDENT - if rest > 1 { more.len() + 2 } else { 0 };
            if index > 0 && text.chars().count() + item.chars().count() > room {
                text.push_str(&more);
                break;
            }
            text.push_str(item);
            text.push_str(if rest > 1 { ", " } else { "" });
        }
        self.line(label, format_args!("{text}"));
    }
}

/// Everything that is known, without the warnings: those are on standard error.
pub fn show(findings: &Findings) -> String {
    let mut screen = Screen::default();
    match findings.status {
        0 => screen.line("result", format_args!("the command would be started")),
        status => screen.line(
            "result",
            format_args!("the command would not be started: status {status}"),
        ),
    }
    keys_and_source(&mut screen, findings);
    if let Some(generation) = findings.generation {
        screen.line("manifest", format_args!("generation {generation}"));
    }
    for level in &findings.levels {
        tell_level(&mut screen, level, findings.paths.len() > 1);
    }
    screen.list("absent levels", &findings.absent_levels);
    for LocalFinding {
        option,
        file,
        names,
    } in &findings.local_files
    {
        screen.line(option, format_args!("{file}, {names} names"));
    }
    environment(&mut screen, findings);
    if let Some(memory) = &findings.memory {
        tell_memory(&mut screen, memory);
    }
    let times = times(&findings.times);
    if !times.is_empty() {
        screen.line("time in ms", format_args!("{times}"));
    }
    screen.0
}

fn keys_and_source(screen: &mut Screen, findings: &Findings) {
    if let Some(path) = &findings.path {
        let label = if findings.paths.len() > 1 {
            "paths"
        } else {
            "path"
        };
        screen.line(label, format_args!("{path}"));
    }
    if let Some(SourceFinding { kind, name, age }) = &findings.source {
        match age {
            None => screen.line("source", format_args!("{kind} {name}")),
            Some(age) => screen.line("source", format_args!("{kind} {name}, {age} s old")),
        }
    }
    if let Some(organization) = &findings.organization {
        screen.line("organization", format_args!("{organization}"));
    }
    if let Some(KeyFinding {
        source,
        fingerprint,
    }) = &findings.api_key
    {
        let fingerprint = fingerprint.as_deref().unwrap_or_default();
        screen.line(
            "API key",
            format_args!("{source}, fingerprint {fingerprint}"),
        );
    }
    if let Some(abilities) = &findings.abilities {
        match &abilities.reason {
            Some(reason) => screen.line("abilities", format_args!("not known: {reason}")),
            None => screen.list("abilities", &abilities.names),
        }
        if let Some(end) = &abilities.expires_at {
            screen.line("expires", format_args!("{end}"));
        }
    }
    expectation(screen, findings);
    if let Some(custody) = findings.custody {
        let key = (
            findings.key_version,
            findings.iterations,
            findings.few_iterations,
        );
        screen.line("custody", format_args!("{custody}{}", key_words(key)));
    }
    if findings.projects.len() > 1 {
        let projects = findings.projects.iter();
        projects.for_each(|project| tell_project(screen, project));
    }
}

/// What is known of a project's key: its version, its iterations, and whether they are few.
fn key_words((version, iterations, few): (Option<u64>, Option<u32>, Option<bool>)) -> String {
    let version = version.map_or(String::new(), |it| format!(", key version {it}"));
    let iterations = iterations.map_or(String::new(), |it| format!(", {it} iterations"));
    let few = match few {
        Some(true) => ", fewer than 600000",
        _ => "",
    };
    format!("{version}{iterations}{few}")
}

/// One of several projects.
fn tell_project(screen: &mut Screen, project: &ProjectFinding) {
    let name = &project.name;
    if let Some(ExpectedFinding { custody, reason }) = &project.expected_custody {
        screen.line(
            "expected",
            format_args!("{name}: {custody} custody: {reason}"),
        );
    }
    if let Some(custody) = project.custody {
        let key = (
            project.key_version,
            project.iterations,
            project.few_iterations,
        );
        screen.line(
            "custody",
            format_args!("{name}: {custody}{}", key_words(key)),
        );
    }
    if let Some(generation) = project.generation {
        screen.line("manifest", format_args!("{name}: generation {generation}"));
    }
}

/// The client key and the custody that is expected; on one line if one is the reason for the other.
fn expectation(screen: &mut Screen, findings: &Findings) {
    let source = findings.client_key.as_ref().map(|key| &key.source);
    let expected = findings.expected_custody.as_ref();
    let is_reason = expected.is_some_and(|it| it.reason == GIVEN_KEY);
    match (source, expected) {
        (Some(source), Some(_)) if is_reason => screen.line(
            "client key",
            format_args!("{source}, so client custody is expected"),
        ),
        (source, expected) => {
            if let Some(source) = source {
                screen.line("client key", format_args!("{source}"));
            }
            if let Some(ExpectedFinding { custody, reason }) = expected {
                screen.line("expected", format_args!("{custody} custody: {reason}"));
            }
        }
    }
}

fn tell_level(screen: &mut Screen, level: &LevelFinding, is_of_several: bool) {
    let label = match level.name {
        "environment" => "level environ",
        "target" => "level target",
        _ => "level project",
    };
    let plain = if level.encrypted {
        ""
    } else {
        ", not encrypted"
    };
    let path = match is_of_several {
        true => format!("{}: ", level.path),
        false => String::new(),
    };
    match (level.bytes, level.names) {
        (Some(bytes), Some(names)) => {
            screen.line(
                label,
                format_args!("{path}{bytes} bytes, {names} names{plain}"),
            );
        }
        (Some(bytes), None) => screen.line(label, format_args!("{path}{bytes} bytes{plain}")),
        (None, _) => screen.line(label, format_args!("{path}not opened{plain}")),
    }
}

fn environment(screen: &mut Screen, findings: &Findings) {
    if let Some(names) = &findings.names {
        screen.list("secrets", names);
    }
    for ReferenceFinding {
        variable,
        path,
        name,
    } in &findings.references
    {
        screen.line("reference", format_args!("{variable} = {path}#{name}"));
    }
    let renamed = findings.renamed.iter();
    let renamed: Vec<_> = renamed
        .map(|pair| format!("{}={}", pair.from, pair.to))
        .collect();
    for (label, names) in [
        ("empty", &findings.empty),
        ("left out", &findings.left_out),
        ("renamed", &renamed),
        ("preserved", &findings.preserved),
        ("overridden", &findings.overridden),
        ("dropped", &findings.dropped),
        ("refused", &findings.refused),
    ] {
        screen.list(label, names);
    }
    if let Some(Size {
        bytes,
        limit,
        largest,
    }) = &findings.size
    {
        screen.line(
            "size",
            format_args!("{bytes} of {limit} bytes, the largest secret is {largest}"),
        );
    }
    if let Some(mask) = &findings.mask
        && let Some(runner) = mask.runner
    {
        let count = mask.skipped.len();
        screen.line(
            "mask",
            format_args!("by {runner}, all values except {count}"),
        );
    }
    if let Some(Command { name, file }) = &findings.command {
        match file {
            None => screen.line("command", format_args!("{name}: cannot be executed")),
            Some(file) => screen.line("command", format_args!("{file}")),
        }
    }
}

fn tell_memory(screen: &mut Screen, memory: &Protection) {
    let peak = memory.peak;
    let [hidden, all, exposed] = [
        (memory.keys_hidden, ", keys hidden"),
        (memory.all_locked, ", rest locked"),
        (memory.exposed_at_start, ", exposed at start"),
    ]
    .map(|(is_so, words)| if is_so { words } else { "" });
    let locked = match (memory.locked, memory.swap) {
        (true, _) => format!("{peak} bytes locked{hidden}{all}"),
        (false, true) => format!("not locked, may be swapped out{hidden}"),
        (false, false) => format!("not locked, no swap{hidden}"),
    };
    screen.line("memory", format_args!("{locked}{exposed}"));
}

/// The stages of a run.
fn times(times: &Times) -> String {
    let stages = [
        ("keys", times.keys),
        ("fetch", times.fetch),
        ("derive", times.derive),
        ("open", times.open),
        ("parse", times.parse),
        ("environ", times.environment),
    ];
    let taken = stages.iter().filter_map(|(stage, time)| {
        let time = (*time)?;
        let digits = if time < 9.95 { 1 } else { 0 };
        Some(format!("{stage} {time:.digits$}"))
    });
    taken.collect::<Vec<_>>().join(" ")
}
