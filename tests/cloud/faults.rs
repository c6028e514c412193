//! The matrix: everything that can go wrong with a request, at every stage and at every endpoint. Of each cell: the
//! exit status, the message, the time, that the command was not started, and what the other side learned.

mod connection;
mod documents;
mod framing;
mod statuses;
mod waits;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::*;

tests![
    connection::no_broken_connection_starts_a_command,
    connection::a_service_that_is_down_is_given_up_in_the_time_given,
    documents::no_broken_document_starts_a_command,
    documents::levels_that_were_exchanged_are_opened_as_they_stand,
    framing::no_broken_framing_starts_a_command,
    statuses::no_other_status_starts_a_command,
    waits::every_form_of_a_wait_is_read,
    the_matrix_is_complete,
];

/// How many cells of a part are checked at a time: they wait more than they work.
const AT_A_TIME: usize = 32;

/// How many runs go on at a time in all parts together. More would make each other late.
static SEATS: Seats = Seats::new(24);

/// How much longer than its deadline a run may take: it has 0.2 s, and the rest is for a machine that is busy.
const SLACK: Duration = Duration::from_millis(600);

/// How often a run may be late before it counts. Where others take the machine, it says nothing of the program.
const PATIENCE: usize = 4;

/// Long enough for every attempt.
const LONG: f32 = 20.0;

/// Too short for another attempt behind a hang.
const SHORT: f32 = 1.0;

/// A text that only a server could have sent.
const BODY: &str = "words-of-the-server";

/// What is asked for: three levels of a client-managed project.
const PATH: &str = "my-app/production/api";

const ROUTES: [Route; 3] = [Route::Organization, Route::EncryptionKey, Route::Secrets];

/// One fault at one endpoint.
#[derive(Clone)]
struct Cell {
    name: String,
    fault: Broken,
    /// Of the run, in seconds.
    timeout: f32,
    expected: Expected,
}

/// What is broken.
#[derive(Clone)]
enum Broken {
    /// The answers of a route, always or so many times.
    Answer(Route, Fault, Option<usize>),
    /// Some of the connections, counted from the first. The first one is for the organization; the next two are for the
    /// descriptor and for the secrets, in either order.
    Connections(std::ops::Range<usize>, Interruption),
    /// Every connection behind so many is refused.
    Refusing(usize),
    /// It is not there: another URL is asked.
    Absent(String),
}

/// What is to come of it.
#[derive(Clone)]
enum Expected {
    /// The command is started.
    Start,
    /// It is not; the status, parts of the message, and how often a document may be asked for.
    Refusal(i32, Vec<String>, usize),
}

/// A failure that may pass, after as many attempts as there are.
fn may_pass(says: &str) -> Expected {
    Expected::Refusal(124, vec![says.to_owned()], 4)
}

/// A failure that may pass, but not in the time there is.
fn at_once(says: &str) -> Expected {
    Expected::Refusal(124, vec![says.to_owned()], 1)
}

/// A failure that stays.
fn stays(says: &str) -> Expected {
    Expected::Refusal(125, vec![says.to_owned()], 1)
}

/// The cells of a fault at all endpoints.
fn everywhere(name: &str, timeout: f32, fault: &Fault, expected: &Expected) -> [Cell; 3] {
    ROUTES.map(|route| at(route, name, timeout, fault, expected))
}

fn at(route: Route, name: &str, timeout: f32, fault: &Fault, expected: &Expected) -> Cell {
    Cell {
        name: format!("{route:?}: {name}"),
        fault: Broken::Answer(route, fault.clone(), None),
        timeout,
        expected: expected.clone(),
    }
}

/// The cells in which a fault is gone after an attempt or two.
fn outlived(name: &str, fault: &Fault) -> [Cell; 3] {
    let mut times = 0;
    ROUTES.map(|route| {
        times = times % 2 + 1;
        Cell {
            name: format!("{route:?}: {name}, {times} times"),
            fault: Broken::Answer(route, fault.clone(), Some(times)),
            timeout: LONG,
            expected: Expected::Start,
        }
    })
}

/// The head of a good answer with these headers, and what follows it.
fn ok(headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{headers}\r\n{body}").into()
}

/// A header that tells the length of a body.
fn length(body: &str) -> String {
    format!("Content-Length: {}\r\n", body.len())
}

impl Cell {
    /// A run on a service that is broken like this.
    fn run(&self, service: &Service, key: &str) -> Run {
        let timeout = self.timeout.to_string();
        let run = service.dotenv_run().env("DOTENV_API_KEY", key);
        let run = run.client_key().args(["--timeout", &timeout, PATH]);
        match self.fault.clone() {
            Broken::Answer(route, fault, None) => service.fail(route, fault),
            Broken::Answer(route, fault, Some(times)) => service.fail_times(times, route, fault),
            Broken::Connections(connections, interruption) => {
                service.interrupt(connections, interruption);
            }
            Broken::Refusing(connections) => service.refuse_after(connections),
            Broken::Absent(url) => return run.args(["--api-url", &url]),
        }
        run
    }

    /// Runs it and asserts everything that must be true of it, but for the time.
    fn attempt(&self) -> Outcome {
        let service = Service::example();
        let key = service.issue(Key::new().oauth());
        let run = self.run(&service, &key);
        let (outcome, attempts) = match &self.expected {
            Expected::Start => (start(run), 3),
            Expected::Refusal(status, says, attempts) => {
                let says: Vec<_> = says.iter().map(String::as_str).collect();
                (run.refuses(*status, &says), *attempts)
            }
        };
        assert!(!outcome.stderr.contains(BODY), "{outcome}");
        assert_asked(&service, attempts, &outcome);
        assert_keys_stay_where_they_belong(&service, &key);
        outcome
    }

    fn check(&self) -> Result<(), String> {
        let limit = Duration::from_secs_f32(self.timeout) + SLACK;
        let mut late = None;
        for _ in 0..PATIENCE {
            let outcome = SEATS.with_one(|| self.attempt());
            if outcome.elapsed < limit {
                return Ok(());
            }
            late = Some(outcome);
        }
        Err(format!("too late\n{}", late.expect("an attempt")))
    }
}

/// Runs it in front of a command that must be started, with no word but warnings.
fn start(run: Run) -> Outcome {
    let witness = Witness::new();
    let outcome = run.args(["-q", "--"]).args(witness.command()).finish();
    outcome.assert_status(0).assert_stdout("");
    assert_eq!(outcome.stderr, "", "{outcome}");
    witness.assert_started();
    outcome
}

/// No document was asked for more often than that.
fn assert_asked(service: &Service, attempts: usize, outcome: &Outcome) {
    let targets = service.targets();
    for target in &targets {
        let times = targets.iter().filter(|it| *it == target).count();
        assert!(times <= attempts, "{target}: {times} times\n{outcome}");
    }
}

/// The API key is in one header of every request, and nowhere else; the client key is nowhere.
fn assert_keys_stay_where_they_belong(service: &Service, key: &str) {
    let wire = String::from_utf8_lossy(&service.heard()).into_owned();
    assert!(!wire.contains(key) && !wire.contains(CLIENT_KEY), "{wire}");
    for request in service.requests() {
        let authorization = format!("Bearer {key}");
        assert_eq!(request.header("Authorization"), Some(&*authorization));
        let mut rest = request;
        rest.headers.retain(|(_, value)| *value != authorization);
        let rest = format!("{rest:?}");
        assert!(!rest.contains(key) && !rest.contains(CLIENT_KEY), "{rest}");
        assert!(!rest.contains("Cookie"), "{rest}");
    }
}

/// Checks all cells of a part of the matrix.
#[track_caller]
fn check_cells(cells: &[Cell]) {
    check_all(AT_A_TIME, cells, |cell| {
        let name = &cell.name;
        outcome_of(|| cell.check()).map_err(|defect| format!("{name}: {defect}"))
    });
}

fn the_matrix_is_complete() {
    let parts = [
        connection::cells(),
        documents::cells(),
        framing::cells(),
        statuses::cells("http://127.0.0.1:1"),
        waits::cells(),
    ];
    let cells: Vec<_> = parts.iter().flatten().collect();
    let names: BTreeSet<_> = cells.iter().map(|cell| &cell.name).collect();
    assert_eq!(names.len(), cells.len(), "two cells have one name");
    assert!(cells.len() >= 900, "{} cells", cells.len());
}
