//! The pipeline: arguments and environment in, the command out.

#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

use dotenv_run::credentials::{ApiKey, ClientKey, Variables};
use dotenv_run::environment::{self, Environment};
use dotenv_run::error::{Error, FAILED};
use dotenv_run::launch::exec::exec;
use dotenv_run::launch::supervise::{Side, supervise};
use dotenv_run::levels;
use dotenv_run::options::{self, ApiUrl, Options, Request};
use dotenv_run::process::Environ;
use dotenv_run::report::{Report, Verbosity};
use dotenv_run::source::cloud::Cloud;
use dotenv_run::source::tree::Tree;
use dotenv_run::source::{self, OrganizationHint, Sealed};

fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        let _ = writeln!(std::io::stderr(), "dotenv-run: internal error at {place}");
        std::process::exit(FAILED.into());
    }));
    let request = Options::parse(std::env::args_os().skip(1), |name| std::env::var_os(name));
    let (report, outcome) = match request {
        Err(error) => (Report::new("dotenv-run", Verbosity::Normal), Err(error)),
        Ok(Request::Help) => (
            Report::new("dotenv-run", Verbosity::Normal),
            print(&options::help()),
        ),
        Ok(Request::Version) => {
            let version = concat!("dotenv-run ", env!("CARGO_PKG_VERSION"), "\n");
            (Report::new("dotenv-run", Verbosity::Normal), print(version))
        }
        Ok(Request::Run(options)) => {
            let report = Report::new("dotenv-run", options.verbosity);
            let outcome = run(*options, &report);
            (report, outcome)
        }
    };
    outcome.unwrap_or_else(|error| {
        report.error(&error);
        ExitCode::from(error.status())
    })
}

/// Runs the pipeline. It returns a status only where a supervisor stood in front of the command.
fn run(options: Options, report: &Report) -> Result<ExitCode, Error> {
    if let Side::Supervisor(status) = supervise(options.parent)? {
        return Ok(status);
    }
    let mut environ = Environ::take();
    let variables = Variables::take(&mut environ)?;
    let sealed = fetch(&options, &variables, report)?;
    let client_key_file = options.client_key.as_deref();
    if !sealed.is_client_managed() {
        if sealed.is_server_managed() && ClientKey::is_given(client_key_file, &variables) {
            report.warn(format_args!(
                "the project is server-managed: the client key is ignored"
            ));
        }
        ClientKey::discard(client_key_file, &variables);
    }
    let client_key = || ClientKey::find(client_key_file, &variables, report);
    let plaintext = options.allow_plaintext;
    let levels = levels::open(sealed, &options.path, plaintext, client_key, report)?;
    let mut entries = environment::read(&levels, report)?;
    if options.level_only {
        entries.retain(|level| level.name() == options.path.deepest());
    }
    let secrets = environment::merge(&entries);
    if secrets.is_empty() && !options.allow_empty {
        return Err(Error::Empty {
            path: options.path.to_string(),
        });
    }
    report.note(format_args!(
        "{} secrets from {}",
        secrets.len(),
        options.path
    ));
    let kept = variables.entries().filter(|_| options.keep_credentials);
    let inherited = environ.entries().chain(kept);
    let environment = Environment::build(secrets, inherited, &options.selection, &options.command)?;
    Err(exec(&options.command, &environment))
}

/// Brings the sealed levels from where the options say.
fn fetch(options: &Options, variables: &Variables, report: &Report) -> Result<Sealed, Error> {
    let organization = options.organization.clone();
    match &options.api_url {
        ApiUrl::Tree(root) => source::fetch(
            &Tree::open(root)?,
            &options.path,
            &OrganizationHint::InTree(organization),
            report,
        ),
        ApiUrl::Service(url) => {
            let key = ApiKey::find(options.api_key_file.as_deref(), variables, report)?;
            let hint = OrganizationHint::new(organization, key.organization());
            let cloud = Cloud::new(url, key, options.ca_file.as_deref(), options.timeout)?;
            source::fetch(&cloud, &options.path, &hint, report)
        }
    }
}

fn print(text: &str) -> Result<ExitCode, Error> {
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(Error::Output)?;
    Ok(ExitCode::SUCCESS)
}
