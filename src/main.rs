//! The pipeline: arguments and environment in, the command out.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use dotenv_run::programs::{
    Assignment, Check, Claimed, Environ, Error, Keeper, Named, Options, Outside, Ready, Refusal,
    Report, Request, Side, Task, Verbosity, WorkerContext, check_stack, check_start, completions,
    end_as_failures, help, parse, print, read_profile, restore_signals, supervise,
};

/// How far the stack must be able to grow when we begin, in bytes: more than anything here needs.
const STACK: usize = 36 * 1024;

fn main() -> ExitCode {
    end_as_failures("dotenv-run");
    let outcome = check_stack(STACK)
        .map_err(Error::from)
        .and_then(|()| begin());
    outcome.unwrap_or_else(|error| {
        Report::new("dotenv-run", Verbosity::Normal).error(&error);
        ExitCode::from(error.status())
    })
}

/// Reads the command line, and does what it asks for. Its own part of the stack must not be there before that is checked.
#[inline(never)]
fn begin() -> Result<ExitCode, Error> {
    let restored = restore_signals().map_err(Error::Signals);
    let environ = Environ::take();
    let outside = Outside {
        variable: &|name| environ.value(name),
        names: &|| environ.names(),
        profile: read_profile,
    };
    match parse(std::env::args_os().skip(1), &outside) {
        Ok(Request::Run(options, named)) => restored.and_then(|()| run(options, named, environ)),
        Ok(Request::Help) => print(&help()),
        Ok(Request::Version) => print(concat!("dotenv-run ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Request::Completions(shell)) => print(&completions(shell)),
        Err(Refusal { error, check }) => match check {
            Some(form) => Check::of(form, None).conclude(Err(error)),
            None => Err(error),
        },
    }
}

/// Takes over what the caller left open, puts a parent in front if there is to be one, and runs the pipeline behind it.
fn run(options: Box<Options>, named: Named, environ: Environ) -> Result<ExitCode, Error> {
    let check = options.check.map(|form| Check::of(form, Some(&options)));
    let report = Report::new("dotenv-run", options.verbosity);
    let report = check.map_or(report, |check| report.with_listener(check));
    let begun = Claimed::claim(named).and_then(|claimed| {
        check_start(&options, &report)?;
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
    let texts = task.read_files()?;
    let files = task.parse_files(&texts)?;
    let (levels, cache) = task.obtain(&texts)?;
    task.forget_keys();
    let read = task.read(&levels, cache)?;
    let sets = task.merge(&read, &files.local);
    let values = task.resolve(&sets)?;
    let secrets = task.select(sets, &values, &read, &files.local.required)?;
    task.hand_over(&secrets, &files.templates)
}
