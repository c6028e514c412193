//! The pipeline: arguments and environment in, the command out.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use dotenv_run::check::Check;
use dotenv_run::cli::{self, Named, Options, Outside, Refusal, Request};
use dotenv_run::deliver::output;
use dotenv_run::error::Error;
use dotenv_run::keys::{Claimed, profile_file};
use dotenv_run::report::{self, Report, Verbosity};
use dotenv_run::run::beginning::{Side, WorkerContext, supervise};
use dotenv_run::run::exec::Ready;
use dotenv_run::run::watch::keeper::Keeper;
use dotenv_run::sys::{self, Environ};
use dotenv_run::task::{self, Assignment, Task};

fn main() -> ExitCode {
    report::end_as_failures("dotenv-run");
    let restored = sys::restore_signals().map_err(Error::Signals);
    let environ = Environ::take();
    let outside = Outside {
        variable: &|name| environ.value(name),
        profile: profile_file::read,
    };
    let outcome = match cli::parse(std::env::args_os().skip(1), &outside) {
        Ok(Request::Run(options, named)) => restored.and_then(|()| run(options, named, environ)),
        Ok(Request::Help) => output::print(&cli::help()),
        Ok(Request::Version) => {
            output::print(concat!("dotenv-run ", env!("CARGO_PKG_VERSION"), "\n"))
        }
        Ok(Request::Completions(shell)) => output::print(&cli::completions(shell)),
        Err(Refusal { error, check }) => match check {
            Some(form) => Check::of(form, None).conclude(Err(error)),
            None => Err(error),
        },
    };
    outcome.unwrap_or_else(|error| {
        Report::new("dotenv-run", Verbosity::Normal).error(&error);
        ExitCode::from(error.status())
    })
}

/// Takes over what the caller left open, puts a parent in front if there is to be one, and runs the pipeline behind it.
fn run(options: Box<Options>, named: Named, environ: Environ) -> Result<ExitCode, Error> {
    let check = options.check.map(|form| Check::of(form, Some(&options)));
    let report = Report::new("dotenv-run", options.verbosity);
    let report = check.map_or(report, |check| report.with_listener(check));
    let begun = Claimed::claim(named).and_then(|claimed| {
        task::check_start(&options, &report)?;
        let side = supervise(options.supervision())?;
        Ok((
            Assignment {
                options,
                environ,
                claimed,
                report,
            },
            side,
        ))
    });
    let outcome = match begun {
        Ok((assignment, Side::Worker(place))) => work(assignment, place, None),
        Ok((assignment, Side::Keeper(keeper, place))) => work(assignment, place, Some(keeper)),
        Ok((assignment, Side::Attendant(attendant))) => {
            drop(assignment);
            return Ok(attendant.run());
        }
        Err(error) => Err(error),
    };
    match check {
        Some(check) => check.conclude(outcome),
        None => outcome,
    }
}

/// Does the work of the process that becomes the command. It returns a status only where there is no command.
fn work(
    assignment: Assignment,
    place: WorkerContext,
    keeper: Option<Keeper>,
) -> Result<ExitCode, Error> {
    let mut task = Task::begin(assignment, place, keeper)?;
    let error = match prepare(&mut task) {
        Ok(Some(ready)) => ready.launch(),
        Ok(None) => return Ok(ExitCode::SUCCESS),
        Err(error) => task.settled(error),
    };
    task.record_failure(&error);
    Err(error)
}

/// Does what is asked for, up to the launch of the command if there is one. Nothing that held a secret is left then but
/// what the command is given: not inlined, so that this function's part of the stack can be cleared.
#[inline(never)]
fn prepare(task: &mut Task) -> Result<Option<Ready<'_>>, Error> {
    task.check_output()?;
    let (levels, cache) = task.obtain()?;
    task.forget_keys();
    let read = task.read(&levels, cache)?;
    let merged = task.merge(&read);
    let values = task.resolve(&merged)?;
    let secrets = task.select(merged, &values)?;
    task.hand_over(&secrets)
}
