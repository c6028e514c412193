//! Connections that are refused, torn down, closed or silent, at every stage before a request is read and behind it.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::time::Duration;

use super::*;
use crate::cloud::connection::fill_queue;

/// The first connections that are interrupted: all of them, those for the two documents, and one of these.
const CONNECTIONS: [Range<usize>; 3] = [0..usize::MAX, 1..usize::MAX, 2..usize::MAX];

const STAGES: [Stage; 4] = [
    Stage::Accepted,
    Stage::Greeted,
    Stage::Answered,
    Stage::Secured,
];

/// What a good answer could begin with.
const HALVES: [(&str, &str); 5] = [
    ("before the header", ""),
    ("in the status", "HTTP/1.1 2"),
    ("in a header", "HTTP/1.1 200 OK\r\nContent-Ty"),
    (
        "before the body",
        "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n",
    ),
    (
        "in the body",
        "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"data\":",
    ),
];

fn interrupted(
    connections: &Range<usize>,
    stage: Stage,
    end: &End,
    timeout: f32,
    expected: &Expected,
) -> Cell {
    let Range { start, end: last } = connections;
    let last = if *last == usize::MAX { "" } else { " once" };
    Cell {
        name: format!("connection {start}{last}: {end:?} at {stage:?}"),
        fault: Broken::Connections(
            connections.clone(),
            Interruption {
                stage,
                end: end.clone(),
            },
        ),
        timeout,
        expected: expected.clone(),
    }
}

/// What a handshake must not be answered with.
fn rubbish() -> [End; 3] {
    let alert = [21, 3, 3, 0, 2, 2, 40];
    [
        End::Say(alert.into()),
        End::Say(b"HTTP/1.1 400 Bad Request\r\n\r\n".into()),
        End::Say([0; 64].into()),
    ]
}

fn before_the_request() -> Vec<Cell> {
    let mut cells = Vec::new();
    for connections in CONNECTIONS {
        for stage in STAGES {
            for (end, timeout, expected) in [
                (End::Reset, LONG, may_pass("cut off")),
                (End::Close, LONG, may_pass("cut off")),
                (End::Hang, SHORT, at_once("no answer from")),
            ] {
                cells.push(interrupted(&connections, stage, &end, timeout, &expected));
            }
            // It passes.
            let once = connections.start..connections.start + 1;
            cells.push(interrupted(
                &once,
                stage,
                &End::Reset,
                LONG,
                &Expected::Start,
            ));
        }
        for end in rubbish() {
            let expected = stays("TLS handshake failed");
            cells.push(interrupted(
                &connections,
                Stage::Greeted,
                &end,
                LONG,
                &expected,
            ));
        }
    }
    cells.push(Cell {
        name: "both documents: refused".into(),
        fault: Broken::Refusing(1),
        timeout: LONG,
        expected: may_pass("cannot reach"),
    });
    cells
}

fn behind_the_request() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (stage, half) in HALVES {
        let torn = Fault::Reset(half.into());
        let name = format!("reset {stage}");
        cells.extend(everywhere(&name, LONG, &torn, &may_pass("cut off")));
        cells.extend(outlived(&name, &torn));
        let cut = Fault::Raw(half.into());
        let name = format!("close {stage}");
        cells.extend(everywhere(&name, LONG, &cut, &may_pass("cut off")));
        cells.extend(outlived(&name, &cut));
        let silent = Fault::Stall(half.into());
        let expected = at_once("no answer from");
        let name = format!("silence {stage}");
        cells.extend(everywhere(&name, SHORT, &silent, &expected));
    }
    let drip = |first: &str| Fault::Repeat(first.into(), b"1".into(), Duration::from_secs(1));
    for (stage, fault) in [
        ("status", drip("HTTP/1.1 ")),
        ("header", drip("HTTP/1.1 200 OK\r\nX-Slow: ")),
        (
            "body",
            drip("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"),
        ),
        ("body without length", drip("HTTP/1.1 200 OK\r\n\r\n")),
        (
            "size of a chunk",
            drip("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ),
    ] {
        let name = format!("{stage} of a byte a second");
        let expected = at_once("no answer from");
        // Several bytes come before the deadline.
        cells.extend(everywhere(&name, 2.5 * SHORT, &fault, &expected));
    }
    cells
}

pub fn cells() -> Vec<Cell> {
    [before_the_request(), behind_the_request()].concat()
}

pub fn no_broken_connection_starts_a_command() {
    check_cells(&cells());
}

/// In every way in which it can be down, and with more than one timeout.
pub fn a_service_that_is_down_is_given_up_in_the_time_given() {
    let queue = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let black_hole = queue.local_addr().unwrap();
    let _queue = fill_queue(black_hole);
    let refusing = format!("https://{}", refusing_port());
    let black_hole = format!("https://{black_hole}");
    let busy = Fault::Reply(Reply::error(503, "busy", BODY));
    let answers = |fault| Broken::Answer(Route::Secrets, fault, None);
    let mut cells = Vec::new();
    for timeout in [SHORT, 3.0 * SHORT] {
        for (name, fault, says) in [
            ("refusing", Broken::Absent(refusing.clone()), "refused"),
            ("lost", Broken::Absent(black_hole.clone()), "no answer from"),
            ("hanging", answers(Fault::Hang), "no answer from"),
            ("busy", answers(busy.clone()), "(503)"),
            (
                "nameless",
                Broken::Absent("https://nowhere.invalid".into()),
                "nowhere.invalid",
            ),
        ] {
            cells.push(Cell {
                name: format!("{name}, {timeout} s"),
                fault,
                timeout,
                expected: may_pass(says),
            });
        }
    }
    check_cells(&cells);
}
