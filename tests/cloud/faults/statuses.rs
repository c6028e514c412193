//! Answers with any status but 200, each with a body, and with every header that could lead a client elsewhere.

use super::*;

const WITHOUT_MEANING: [u16; 23] = [
    100, 101, 102, 103, 199, 201, 202, 203, 204, 205, 206, 207, 226, 299, 418, 600, 601, 700, 799,
    800, 900, 998, 999,
];

/// What is no status at all.
const NONE: [&str; 9] = [
    "OK", "20", "2000", "-200", "2e2", "0x8", "099", "two", "\u{b2}00",
];

fn reply(status: u16, elsewhere: &str) -> Reply {
    Reply::error(status, BODY, BODY)
        .header("Location", elsewhere)
        .header("Content-Location", elsewhere)
        .header("Refresh", &format!("0; url={elsewhere}"))
        .header("Alt-Svc", "h2=\":1\"")
        .header("Set-Cookie", &format!("session={BODY}; Path=/"))
        .header("WWW-Authenticate", "Basic realm=\"x\"")
        .header("X-Words", BODY)
}

/// What is to come of a status at an endpoint.
fn expected(status: u16, route: Route) -> Expected {
    match (status, route) {
        (401, _) => stays("rejected the API key (401)"),
        (403, _) => stays("may not read"),
        (404, Route::Secrets) => stays("no such project"),
        (404, Route::EncryptionKey) => stays("no key descriptor"),
        (422, _) => stays("(422)"),
        (429, _) => may_pass("(429)"),
        (300..=399, _) => stays(&format!("redirect ({status})")),
        (500 | 502 | 503 | 504, _) => may_pass(&format!("failed ({status})")),
        // Nothing that is gone in a few seconds.
        (501..=599, _) => at_once(&format!("failed ({status})")),
        _ => stays(&format!("status {status}")),
    }
}

/// All cells; every answer sends the client elsewhere.
pub fn cells(elsewhere: &str) -> Vec<Cell> {
    let refusals = (400..=417).chain(421..=431).chain([451, 499]);
    let failures = (500..=511).chain([520, 599]);
    let statuses = WITHOUT_MEANING.into_iter().chain(300..=308);
    let mut cells = Vec::new();
    for status in statuses.chain(refusals).chain(failures) {
        let fault = Fault::Reply(reply(status, elsewhere));
        for route in ROUTES {
            let expected = expected(status, route);
            cells.push(at(route, &status.to_string(), LONG, &fault, &expected));
        }
        if matches!(status, 429 | 500 | 502 | 503 | 504) {
            cells.extend(outlived(&status.to_string(), &fault));
        }
    }
    for status in NONE {
        let answer = format!("HTTP/1.1 {status} OK\r\nContent-Length: 2\r\n\r\n{{}}");
        let fault = Fault::Raw(answer.into());
        let name = format!("status {status:?}");
        cells.extend(everywhere(&name, LONG, &fault, &stays("not HTTP")));
    }
    cells
}

pub fn no_other_status_starts_a_command() {
    let elsewhere = Service::plain();
    check_cells(&cells(&elsewhere.url()));
    assert_eq!(elsewhere.connections(), 0, "{:?}", elsewhere.requests());
}
