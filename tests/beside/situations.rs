//! A table of situations, modes and events. What is printed, the status, the settings of the terminal afterwards and the
//! processes that are left are those that env(1) has in our place. Each situation is tried in some of the modes, other ones
//! than the next, and in all of them by `make soak`.

use std::fmt::Write;

use nix::sys::termios::Termios;

use super::{PROMPT, Place, is_running};
use crate::support::*;

/// All modes, and some pairs.
const MODES: [&[&str]; 9] = [
    &["--exec"],
    &["--supervise"],
    &["--group"],
    &["--redact"],
    &["--watch=1"],
    &["--stop-timeout=100"],
    &["--redact", "--group"],
    &["--redact", "--watch=1"],
    &["--group", "--stop-timeout=100"],
];

/// From one mode of a situation to the next: in as many steps as that is long it has gone around once.
const STEP: usize = 3;

/// What is done to a script, once a text has appeared.
#[derive(Clone, Copy)]
enum Event {
    Keys(&'static str),
    Resize,
}

/// A script in which `$W` stands for the run or for env(1), and what happens meanwhile. What counts as printed are the lines
/// that begin with `OUT`.
struct Cell {
    script: &'static str,
    events: &'static [(&'static str, Event)],
}

/// What can be seen of a cell.
#[derive(Debug, PartialEq)]
struct Seen {
    lines: Vec<String>,
    status: Option<i32>,
    settings: Termios,
}

/// Runs a script of a cell, on a terminal of its own.
fn see(cell: &Cell, run: Run, interactive: bool, tag: &str) -> Seen {
    let mut terminal = Terminal::spawn(run);
    if interactive {
        terminal.expect(PROMPT);
        terminal.send(format!("{}\r", cell.script.replace("TAG", tag)));
    }
    for (text, event) in cell.events {
        terminal.expect(text);
        match event {
            Event::Keys(keys) => terminal.send(keys),
            Event::Resize => terminal.resize(33, 99),
        }
    }
    if interactive {
        terminal.expect("over-42");
        terminal.expect(PROMPT);
        terminal.send("exit\r");
    }
    let outcome = terminal.wait();
    wait_until(
        &format!("the end of all processes of {}", cell.script),
        || !is_running(tag),
    );
    let lines = outcome.text().lines();
    // Those of several processes come in any order.
    let mut lines: Vec<_> = lines
        .filter(|line| line.starts_with("OUT"))
        .map(String::from)
        .collect();
    lines.sort_unstable();
    Seen {
        lines,
        status: outcome.status.code(),
        settings: terminal.termios(),
    }
}

#[track_caller]
fn check(cells: &[Cell], interactive: bool) {
    let place = Place::new();
    let mut wrong = String::new();
    for (number, cell) in cells.iter().enumerate() {
        let tag = format!("7.{}{number}{}", std::process::id(), u8::from(interactive));
        let run = |wrapper: &str| {
            let script = cell.script.replace("TAG", &tag);
            let run = if interactive {
                place.shell()
            } else {
                place.script(&script)
            };
            see(cell, run.env("W", wrapper), interactive, &tag)
        };
        let expected = run("env");
        assert!(
            !expected.lines.is_empty(),
            "nothing printed by {}",
            cell.script
        );
        let in_turn = |count: usize| MODES[(number + STEP * count + count / STEP) % MODES.len()];
        for mode in (0..rounds(STEP, MODES.len())).map(in_turn) {
            let found = run(&format!("D {} p --", mode.join(" ")));
            if found != expected {
                writeln!(
                    wrong,
                    "{} with {mode:?}: {found:?}\nenv: {expected:?}",
                    cell.script
                )
                .expect("a string");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

const fn cell(script: &'static str) -> Cell {
    Cell {
        script,
        events: &[],
    }
}

pub fn what_happens_without_a_key() {
    check(
        &[
            cell("$W sh -c 'echo OUT; exit 3'"),
            cell(
                "$W sh -c 'echo OUT 1; echo OUT 2 >&2; exit 4' | sed s/1/one/; echo OUT ${PIPESTATUS[*]}",
            ),
            cell("seq 3 | $W sed 's/^/OUT /'; echo OUT ${PIPESTATUS[*]}"),
            cell("seq 3 | $W sed 's/^/OUT /' | $W sed 's/$/ end/'; echo OUT ${PIPESTATUS[*]}"),
            cell("x=$($W sh -c 'echo 1; echo OUT 2 >&2; exit 5'); echo OUT $? $x"),
            cell("$W sh -c 'echo OUT 1; sleep 0.1; exit 6' & $W echo OUT 2; wait $!; echo OUT $?"),
            cell("seq 4 | xargs -P3 -I@ $W echo OUT @; echo OUT $?"),
            cell("timeout 0.3 $W sh -c 'sleep 100TAG; echo'; echo OUT $?"),
            cell("timeout -s HUP 0.3 $W sh -c 'sleep 100TAG; echo'; echo OUT $?"),
            cell("timeout --foreground 0.3 $W sleep 100TAG; echo OUT $?"),
            cell("nohup $W sh -c 'echo OUT; exit 7' 2>/dev/null | cat; echo OUT ${PIPESTATUS[*]}"),
            cell("setsid -w $W sh -c 'echo OUT; exit 8'; echo OUT $?"),
            cell(
                "for i in 1 2 3; do $W sh -c 'echo OUT'; done | sort | uniq -c | sed 's/^ */OUT /'",
            ),
            cell("$W $W sh -c 'echo OUT; exit 9'; echo OUT $?"),
            cell("$W sh -c 'kill -TERM $$'; echo OUT $?"),
            cell("$W cat </dev/null; echo OUT $?"),
            cell(
                "$W sh -c 'stty -echo; stty echo; echo OUT'; $W stty -a | sed -n '/ echo /s/.*/OUT echo/p'",
            ),
        ],
        false,
    );
}

const INTERRUPT: Event = Event::Keys("\x03");

pub fn what_happens_on_keys() {
    check(
        &[
            Cell {
                script: "$W sh -c 'echo OUT begun; exec sleep 100TAG'",
                events: &[("begun\r\n", INTERRUPT)],
            },
            Cell {
                script: "$W sh -c 'ulimit -c 0; echo OUT begun; exec sleep 100TAG'",
                events: &[("begun\r\n", Event::Keys("\x1c"))],
            },
            Cell {
                script: "trap 'echo OUT trapped' INT; $W sh -c 'echo OUT begun; exec sleep 100TAG' | cat; echo OUT $?",
                events: &[("begun\r\n", INTERRUPT)],
            },
            Cell {
                script: "while :; do $W sh -c 'echo OUT begun; exec sleep 100TAG'; done",
                events: &[("begun\r\n", INTERRUPT)],
            },
            Cell {
                script: "$W sh -c 'echo OUT begun; cat | sed s/^/OUT./'; echo OUT $?",
                events: &[
                    ("begun\r\n", Event::Keys("typed\r")),
                    ("OUT.typed", Event::Keys("\x04")),
                ],
            },
            Cell {
                script: "echo x | $W sh -c 'echo OUT begun; read v </dev/tty; echo OUT \"<$v>\"'",
                events: &[("begun\r\n", Event::Keys("typed\r"))],
            },
            Cell {
                script: "$W sh -c 'echo OUT begun >&2; read v </dev/tty; echo OUT \"<$v>\"' | cat",
                events: &[("begun\r\n", Event::Keys("typed\r"))],
            },
            Cell {
                script: "while :; do $W sh -c 'echo OUT begun; read x; exec sleep 100TAG'; done",
                events: &[
                    ("begun\r\n", Event::Keys("typed\r")),
                    ("typed\r\n", INTERRUPT),
                ],
            },
            Cell {
                script: "$W sh -c 'echo OUT begun; read x; echo OUT $x'; read y; echo OUT $y",
                events: &[
                    ("begun\r\n", Event::Keys("one\r")),
                    ("OUT one", Event::Keys("two\r")),
                ],
            },
            Cell {
                script: "$W sleep 0.5 & echo OUT begun; read x; echo OUT $x; wait",
                events: &[("begun\r\n", Event::Keys("typed\r"))],
            },
            Cell {
                script: "$W sh -c 'trap \"stty size | sed s/^/OUT./; exit\" WINCH; echo OUT begun; while :; do sleep 0.01; done'",
                events: &[("begun\r\n", Event::Resize)],
            },
        ],
        false,
    );
}

const STOP: Event = Event::Keys("\x1a");

pub fn what_happens_under_a_shell_with_jobs() {
    check(
        &[
            Cell {
                script: "x=$($W bash -c 'echo OUT beg\"\"un >&2; read v; printf %s \"$v\"'); echo OUT $x; echo over-$((6*7))",
                events: &[("begun\r\n", Event::Keys("typed\r"))],
            },
            Cell {
                script: "$W sh -c 'echo OUT beg\"\"un; read v; echo OUT \"<$v>\"'; echo over-$((6*7))",
                events: &[
                    ("begun\r\n", STOP),
                    (PROMPT, Event::Keys("fg; echo over-$((6*7))\r")),
                    ("read v", Event::Keys("typed\r")),
                ],
            },
            Cell {
                script: "bash -c '$W sh -c \"echo OUT beg\\\"\\\"un; exec sleep 100TAG\"; echo after'; echo over-$((6*7))",
                events: &[
                    ("begun\r\n", STOP),
                    (
                        PROMPT,
                        Event::Keys("bg; kill %1; wait %1; echo OUT $?; echo over-$((6*7))\r"),
                    ),
                ],
            },
            Cell {
                script: "$W sh -c 'echo OUT beg\"\"un >&2; exec sleep 100TAG' | cat; echo over-$((6*7))",
                events: &[
                    ("begun\r\n", STOP),
                    (
                        PROMPT,
                        Event::Keys("bg; kill %1; wait %1; echo OUT $?; echo over-$((6*7))\r"),
                    ),
                ],
            },
            Cell {
                script: "$W seq 200 | less -d -P pa''ge; echo over-$((6*7)); echo OUT",
                events: &[("page", Event::Keys("q"))],
            },
        ],
        true,
    );
}

pub fn what_happens_in_other_shells() {
    check(
        &[
            cell("dash -c '$W sh -c \"echo OUT; exit 3\"; echo OUT $?'"),
            cell("zsh -fc '${=W} sh -c \"echo OUT; exit 3\" | cat; echo OUT $?'"),
            cell("ksh93 -c '$W sh -c \"echo OUT; exit 3\" & wait $!; echo OUT $?'"),
            cell("mksh -c 'x=$($W sh -c \"echo 1; exit 3\"); echo OUT $? $x'"),
            cell("zsh -fc '${=W} sh -c \"echo OUT; sleep 0.1\" & ${=W} echo OUT 2; wait'"),
        ],
        false,
    );
}
