//! The program with a source of secrets, and what may come of it.

use super::outcome::Outcome;
use super::run::Run;
use super::service::Service;

impl Run {
    /// On a service, with an API key. It does not trust the service's authority yet.
    pub fn on_service(service: &Service) -> Self {
        Run::on_service_without_key(service).env("DOTENV_API_KEY", service.api_key())
    }

    pub fn on_service_without_key(service: &Service) -> Self {
        Run::dotenv_run().env("DOTENV_API_URL", service.url())
    }

    /// Adds a command that shows one variable, and runs it to its end.
    #[track_caller]
    pub fn assert_shows(self, name: &str, value: &str) -> Outcome {
        let outcome = self.args(["--", "printenv", name]).finish();
        outcome.assert_status(0).assert_stdout(format!("{value}\n"));
        outcome
    }
}

/// The words of a table that none of them needs quotes in.
pub fn words(lines: &[&'static str]) -> impl Iterator<Item = &'static str> {
    lines.iter().flat_map(|line| line.split(' '))
}
