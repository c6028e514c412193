//! The pipeline: arguments and environment in, the command out.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use dotenv_run::audit::Audit;
use dotenv_run::check::{self, Findings, Stage};
use dotenv_run::cli::{self, Action, ApiUrl, Options, Request};
use dotenv_run::deliver::list;
use dotenv_run::deliver::output;
use dotenv_run::dotenv::parse::Value;
use dotenv_run::error::{Error, shown};
use dotenv_run::keys::profile_file::Profile;
use dotenv_run::keys::{ApiKey, Variables};
use dotenv_run::report::{self, Report, Verbosity};
use dotenv_run::run;
use dotenv_run::run::beginning::{Place, Side, supervise};
use dotenv_run::run::exec::Ready;
use dotenv_run::run::redact;
use dotenv_run::run::watch::keeper::{Candidate, Keeper};
use dotenv_run::store::obtain::Wanted;
use dotenv_run::sys::locked::{self, Protection};
use dotenv_run::sys::{self, Environ};
use dotenv_run::variables;
use dotenv_run::variables::block::refuse_unsafe;
use dotenv_run::variables::select::select;

fn main() -> ExitCode {
    report::hide_panics("dotenv-run");
    sys::restore_signals();
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let check = check::form_in(&arguments);
    let request = Options::parse(arguments, |name| std::env::var_os(name), Profile::read);
    let verbosity = match &request {
        Ok(Request::Run(options)) => options.verbosity,
        _ => Verbosity::Normal,
    };
    let report = Report::new("dotenv-run", verbosity);
    let request = match (request, check) {
        (Err(error), Some(form)) => {
            check::conclude(form, Err(error), &report.keeping(Findings::default()))
        }
        (request, _) => request,
    };
    let outcome = request.and_then(|request| match request {
        Request::Help => print(&cli::help()),
        Request::Version => print(concat!("dotenv-run ", env!("CARGO_PKG_VERSION"), "\n")),
        Request::Completions(shell) => print(&cli::completions(shell)),
        Request::Run(options) => run(options, report),
    });
    outcome.unwrap_or_else(|error| {
        report.error(&error);
        ExitCode::from(error.status())
    })
}

/// Runs the pipeline. It returns a status only where no command took this process over.
fn run(options: Box<Options>, mut report: Report) -> Result<ExitCode, Error> {
    if options.allow_swap {
        locked::allow_swap();
    }
    let check = options.check;
    if check.is_some() {
        report = report.keeping(Findings::about(&options));
    }
    let outcome = match supervise(options.supervision()) {
        Ok(Side::Worker(place)) => work(options, place, None, &report),
        Ok(Side::Keeper(keeper, place)) => work(options, place, Some(keeper), &report),
        Ok(Side::Filter(filter, screen)) => {
            drop(options);
            return Ok(filter.run(screen));
        }
        Ok(Side::Supervisor(supervisor)) => {
            drop(options);
            return Ok(supervisor.run());
        }
        Err(error) => Err(error),
    };
    match check {
        Some(form) => check::conclude(form, outcome, &report),
        None => outcome,
    }
}

/// Does the work of the process that becomes the command.
fn work(
    mut options: Box<Options>,
    place: Place,
    keeper: Option<Keeper>,
    report: &Report,
) -> Result<ExitCode, Error> {
    let mut environ = Environ::take();
    let mut variables = Variables::take(&mut environ)?;
    sys::wipe_arguments();
    variables.complete(&mut options);
    if let Some(file) = &options.open_profile {
        report.warn(format_args!(
            "{}: every user on this machine can write to this profile",
            shown(file)
        ));
    }
    if matches!(options.api_url, ApiUrl::Tree(_)) {
        // What is given as its file may be a key itself.
        ApiKey::discard(options.api_key_file.take().as_deref(), &variables);
    }
    if options.watches() {
        variables.repeat();
    }
    let candidate = match keeper {
        Some(keeper) => Some(keeper.keep(&mut variables, *report)?),
        None => None,
    };
    locked::lock_everything();
    let settled = |error| candidate.iter().fold(error, |error, it| it.failed(error));
    let mut audit = Audit::begin(&options).map_err(settled)?;
    let error = match prepare(
        &mut options,
        &environ,
        &mut variables,
        place,
        &mut audit,
        candidate.as_ref(),
        report,
    ) {
        Ok(Some(ready)) => ready.launch(),
        Ok(None) => return Ok(ExitCode::SUCCESS),
        Err(error) => settled(error),
    };
    audit.failed(&error, report);
    Err(error)
}

/// Does what is asked for, up to the launch of the command if there is one. Nothing that held a secret is left then but
/// what the command is given: not inlined, so that this function's part of the stack can be cleared.
#[inline(never)]
fn prepare<'a>(
    options: &'a mut Options,
    environ: &'a Environ,
    variables: &'a mut Variables,
    place: Place,
    audit: &mut Audit,
    candidate: Option<&Candidate>,
    report: &Report,
) -> Result<Option<Ready<'a>>, Error> {
    if let Some(candidate) = candidate {
        candidate.restrain(&mut options.network);
    }
    let report = &candidate.map_or(*report, Candidate::report);
    if let Action::Print { allow_file, .. } = options.action {
        output::check_destination(allow_file)?;
    }
    let wanted = Wanted {
        options,
        environ,
        variables,
        candidate,
        report,
    };
    let (levels, cache) = wanted.obtain(audit)?;
    options.forget_key_files();
    let options = &*options;
    if !options.inheritance.keep_credentials {
        variables.forget(report);
    }
    let mut read = report.timed(Stage::Parse, || variables::read(&levels, report))?;
    if let Some(cache) = cache {
        cache.finish();
    }
    if options.level_only {
        read.retain(|level| level.name() == options.path.deepest());
    }
    let mut secrets = report.timed(Stage::Parse, || variables::merge(&read));
    report.note(format_args!(
        "{} secrets from {}",
        secrets.len(),
        options.path
    ));
    let values = match options.resolve {
        Some(how) => {
            let inherited = |name: &str| environ.text(name);
            let resolved = || variables::resolved(&secrets, how, &inherited, report);
            report.timed(Stage::Parse, resolved)?
        }
        None => Vec::new(),
    };
    for (secret, value) in secrets.iter_mut().zip(&values) {
        secret.value = Value::verbatim(value);
    }
    let selected = || select(secrets, &options.selection, report);
    let secrets = report.timed(Stage::Environment, selected)?;
    report.found(|findings| findings.secrets(&secrets));
    if secrets.is_empty() && !options.allow_empty {
        return Err(Error::Empty {
            path: options.path.to_string(),
        });
    }
    if let Some(candidate) = candidate {
        candidate.check_values(&secrets);
    }
    audit.note_names(&secrets);
    let audience = options.audience(|name| environ.text(name));
    let inheritance = &options.inheritance;
    let ready = match &options.action {
        Action::Run(run) => {
            let inherited = environ.entries().chain(variables.entries());
            if options.redacts() {
                redact::warn_of_common(&secrets, report);
            }
            let made = || run::exec::prepare(run, &secrets, inherited, inheritance, place, report);
            let ready = report.timed(Stage::Environment, made)?;
            if report.is_checking() || candidate.is_some_and(Candidate::is_renewal) {
                ready.look_up(report)?;
            }
            output::mask(&secrets, audience, output::Masks::OnEither, report)?;
            if candidate.is_none_or(Candidate::may_start) {
                audit.done()?;
            }
            (!report.is_checking()).then_some(ready)
        }
        Action::Print { form, .. } => {
            let names = secrets.iter().map(|secret| &*secret.name);
            refuse_unsafe(names, inheritance)?;
            let text = output::rendered(&secrets, *form)?;
            output::mask(&secrets, audience, output::Masks::OnError, report)?;
            audit.done()?;
            output::write(text.bytes())?;
            None
        }
        Action::List { json } => {
            let table = list::table(&secrets, list::Layout::fitting(*json));
            audit.done()?;
            output::write(table.as_bytes())?;
            None
        }
    };
    report.note(format_args!("{}", Protection::now()));
    if let Some(candidate) = candidate {
        candidate.become_next();
    }
    Ok(ready)
}

fn print(text: &str) -> Result<ExitCode, Error> {
    output::write(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
