//! Runs of `dotenv-run` on a service or a tree, and what must be true of every one.

use std::path::Path;

use serde_json::Value;

use super::outcome::Outcome;
use super::run::Run;
use super::service::{Key, Service};
use super::temp::Witness;
use super::tree::Tree;
use super::world::CLIENT_KEY;

/// Parts of keys and values of the example, which no message may show.
const SECRETS: [&str; 6] = [
    CLIENT_KEY,
    "the-service-keeps",
    "postgres://",
    "sk_live",
    "dotenv_0",
    "eyJhb",
];

impl Service {
    /// `dotenv-run` that asks this service with its API key. PATH and the command are to follow.
    pub fn dotenv_run(&self) -> Run {
        Run::dotenv_run()
            .args(["--api-url", &self.url(), "--ca-file"])
            .arg(self.ca_file())
            .env("DOTENV_API_KEY", self.api_key())
    }

    /// The same with another key, which it accepts from now on.
    pub fn dotenv_run_with(&self, key: Key) -> Run {
        self.dotenv_run().env("DOTENV_API_KEY", self.issue(key))
    }

    /// What was asked for so far: the path of each request.
    pub fn targets(&self) -> Vec<String> {
        let requests = self.requests().into_iter();
        requests.map(|request| request.target).collect()
    }
}

impl Tree {
    /// `dotenv-run` that reads this tree. PATH and the command are to follow.
    pub fn dotenv_run(&self) -> Run {
        let run = Run::dotenv_run().args(["--api-url", &self.url()]);
        run.args(self.custody())
    }

    /// The same with the path of [`Tree::holding`].
    pub fn run(&self) -> Run {
        self.dotenv_run().arg("p")
    }
}

impl Run {
    /// With [`CLIENT_KEY`] in the environment.
    pub fn client_key(self) -> Self {
        self.env("DOTENV_CLIENT_KEY", CLIENT_KEY)
    }

    /// For a project of whatever custody, though a client key is given.
    pub fn any_custody(self) -> Self {
        self.args(["--custody", "any"])
    }

    /// Runs it with `--print json` and returns what is printed.
    #[track_caller]
    pub fn values(self) -> Value {
        let outcome = self.args(["--print", "json"]).finish();
        outcome.assert_status(0);
        serde_json::from_slice(&outcome.stdout).unwrap_or_else(|error| panic!("{error}\n{outcome}"))
    }

    /// Runs it behind a shell that redirects: `">out"`.
    pub fn redirected(self, redirection: &str) -> Self {
        let script = format!("exec \"$@\" {redirection}");
        self.under(["sh", "-c", &script, "sh"])
    }

    /// Runs it with mounts of its own, which a script makes before. `$0` is the path that is given.
    pub fn with_mounts(self, path: &Path, script: &str) -> Self {
        let script = format!("set -e\n{script}\nexec \"$@\"");
        let path = path.to_str().expect("UTF-8");
        let unshare = ["unshare", "--user", "--map-root-user", "--mount"];
        self.under(unshare.into_iter().chain(["sh", "-c", &script, path]))
    }

    /// Runs it in front of a command that shows its environment: `NAME=value` in order, but for
    /// `PATH`.
    #[track_caller]
    pub fn variables(self) -> Vec<String> {
        let outcome = self.args(["--", "env", "-0"]).finish();
        outcome.assert_status(0);
        let entries = outcome.text().split_terminator('\0');
        let entries = entries.filter(|entry| !entry.starts_with("PATH="));
        entries.map(String::from).collect()
    }

    /// Runs it in front of a command that must not be started: a refusal as in
    /// [`Outcome::assert_refused`] that shows no secret.
    #[track_caller]
    pub fn refuses(self, status: i32, fragments: &[&str]) -> Outcome {
        let witness = Witness::new();
        let outcome = self.arg("--").args(witness.command()).finish();
        outcome.assert_refused(status, fragments);
        witness.assert_not_started();
        for secret in SECRETS {
            assert!(
                !outcome.stderr.contains(secret),
                "{secret} shows\n{outcome}"
            );
        }
        outcome
    }
}
