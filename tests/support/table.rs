//! The table of tests: what a test is, when it is skipped, and how a run is summed up.

use std::fmt;
use std::panic::resume_unwind;
use std::process::ExitCode;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use libtest_mimic::{Arguments, Completion, Conclusion, Failed, Trial};

use super::times::Times;
use super::turns::Turns;
use super::{planted, process};

/// How long one test may take, on a machine that has much else to do. A test that hangs has failed.
const LIMIT: Duration = Duration::from_secs(900);

/// Something that a test needs of the machine; the error says what is missing.
pub type Need = fn() -> Result<(), String>;

/// One line of a table that [`tests!`] builds.
pub struct Test {
    /// Module path and function name.
    pub path: &'static str,
    pub body: fn(),
    pub needs: &'static [Need],
}

/// Builds the table `TESTS` of a module from its functions and those of the modules below it:
/// `tests![plain, below::careful needs(ROOT, || tool("mandoc"))];`
macro_rules! tests {
    ($($($name:ident)::+ $(needs($($need:expr),+ $(,)?))?),+ $(,)?) => {
        pub const TESTS: &[$crate::support::Test] = &[$($crate::support::Test {
            path: concat!(module_path!() $(, "::", stringify!($name))+),
            body: $($name)::+,
            needs: &[$($($need),+)?],
        }),+];
    };
}
pub(crate) use tests;

impl Test {
    /// `module::name`, without the name of the test binary.
    fn name(&self) -> &'static str {
        self.path
            .split_once("::")
            .map_or(self.path, |(_, name)| name)
    }

    /// The first need that this machine does not meet.
    fn missing(&self) -> Option<String> {
        self.needs.iter().find_map(|need| need().err())
    }

    /// Runs the body on a thread of its own, so that a hang can be told from a slow success.
    fn run(&self, limit: Duration) -> Result<(), Failed> {
        let (alive, ended) = mpsc::channel::<()>();
        let body = self.body;
        let thread = thread::Builder::new()
            .name(self.name().into())
            .spawn(move || {
                let _alive = alive;
                body();
            })?;
        match ended.recv_timeout(limit) {
            Err(RecvTimeoutError::Timeout) => Err(format!("still running after {limit:?}").into()),
            _ => thread.join().or_else(|panic| resume_unwind(panic)),
        }
    }
}

/// All tables of a test binary.
pub struct Suite {
    tests: Vec<&'static Test>,
    limit: Duration,
    shared: Arc<Shared>,
}

/// What the tests of a run have in common.
#[derive(Default)]
struct Shared {
    turns: Turns,
    times: Times,
    /// `module::name: reason` of every test that the machine could not run.
    skipped: Mutex<Vec<String>>,
}

impl Suite {
    pub fn new(tables: &[&'static [Test]]) -> Self {
        Suite {
            tests: tables.iter().copied().flatten().collect(),
            limit: LIMIT,
            shared: Arc::default(),
        }
    }

    /// Replaces the time that one test may take.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The `main` of a test binary.
    pub fn main(self) -> ExitCode {
        let mut arguments = Arguments::from_args();
        let most = self.shared.turns.most();
        arguments.test_threads.get_or_insert(most);
        let shared = Arc::clone(&self.shared);
        if !arguments.list && arguments.filter.is_none() {
            planted::build_ahead();
        }
        let report = self.run(&arguments);
        if !arguments.list {
            shared.times.print();
            report.print();
        }
        process::end_leftovers();
        report.conclusion.exit_code()
    }

    pub fn run(self, arguments: &Arguments) -> Report {
        let tests = self.tests.into_iter();
        let trials = tests.map(|test| trial(test, self.limit, Arc::clone(&self.shared)));
        let conclusion = libtest_mimic::run(arguments, trials.collect());
        let skipped = self.shared.skipped.lock().unwrap().clone();
        Report {
            conclusion,
            skipped,
        }
    }
}

/// One test as libtest-mimic wants it.
fn trial(test: &'static Test, limit: Duration, shared: Arc<Shared>) -> Trial {
    let name = test.name();
    let body = move |shared: &Shared| match test.missing() {
        Some(reason) => {
            let line = format!("{name}: {reason}");
            shared.skipped.lock().unwrap().push(line);
            Ok(Completion::ignored_with(reason))
        }
        None => test.run(limit).map(|()| Completion::Completed),
    };
    Trial::ignorable_test(name, move || {
        let turn = || shared.times.measure(name, || body(&shared));
        shared.turns.with_one(turn)
    })
}

/// How a run went.
pub struct Report {
    pub conclusion: Conclusion,
    /// `module::name: reason` of every test that the machine could not run.
    pub skipped: Vec<String>,
}

impl Report {
    /// The skipped tests on standard error, where a redirected log does not hide them, and the
    /// tally as the last line.
    fn print(&self) {
        for line in &self.skipped {
            eprintln!("skipped: {line}");
        }
        println!("{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Conclusion {
            num_passed,
            num_failed,
            num_ignored,
            ..
        } = self.conclusion;
        write!(
            f,
            "{num_passed} passed, {num_failed} failed, {num_ignored} skipped"
        )
    }
}
