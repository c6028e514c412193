//! Command line, environment, profile, default: of what they say, the first counts and the others are not even looked at.
//!
//! It is measured by giving one place a value that works and all others one that fails, and the other way round.

use super::{options, with};
use crate::support::*;

/// The places, the first first.
const PLACES: [&str; 3] = ["command line", "environment", "profile"];

/// Something that can be given in all three places, with a value that works and one that does not.
struct Row {
    option: &'static str,
    variable: &'static str,
    values: [String; 2],
    default: Default,
    /// What the variable takes, where that is not what the option takes.
    variable_values: Option<[String; 2]>,
}

/// What comes of a run with none of them.
#[derive(Clone, Copy)]
enum Default {
    Works,
    Fails(i32, &'static str),
}

fn row(option: &'static str, variable: &'static str, good: &str, bad: &str) -> Row {
    Row {
        option,
        variable,
        values: [good.to_owned(), bad.to_owned()],
        default: Default::Works,
        variable_values: None,
    }
}

const GOOD: usize = 0;
const BAD: usize = 1;

/// The option and its variable in each line of the help text that names one.
fn variables_of_help() -> Vec<(String, String)> {
    let help = Run::dotenv_run().arg("--help").finish();
    let named = options().into_iter().filter_map(|(option, _)| {
        let lines = help.text().lines();
        let line = lines
            .into_iter()
            .find(|line| line.contains(&format!("--{option} ")) && line.ends_with(']'))?;
        let (_, variable) = line.strip_suffix(']')?.rsplit_once('[')?;
        // A placeholder, as in what --redact writes, has no underscore.
        variable
            .contains('_')
            .then(|| (option, variable.to_owned()))
    });
    named.collect()
}

impl Row {
    /// How a run ends in which each place in `given` gives the value that `which` says for it.
    fn outcome(
        &self,
        base: &[(&str, &str)],
        given: &[bool; 3],
        which: impl Fn(usize) -> usize,
    ) -> Outcome {
        let mut profile = String::new();
        let mut words = Vec::new();
        for (option, value) in base.iter().filter(|(option, _)| *option != self.option) {
            match *option {
                "path" => words.push((*value).to_owned()),
                option => words.push(format!("--{option}={value}")),
            }
        }
        let value = |place: usize| &self.values[which(place)];
        if given[0] {
            match self.option {
                "path" => words.push(value(0).clone()),
                option => words.push(format!("--{option}={}", value(0))),
            }
        }
        if given[2] {
            profile = match self.option {
                "cache" | "min-generation" => format!("{} = {}\n", self.option, value(2)),
                option => format!("{option} = {:?}\n", value(2)),
            };
        }
        // The directory is there until the end of the run.
        let (_dir, run) = with(&profile);
        let run = run.args(words).args(["--list"]);
        let run = match given[1] {
            true => {
                let values = self.variable_values.as_ref().unwrap_or(&self.values);
                run.env(self.variable, &values[which(1)])
            }
            false => run,
        };
        run.finish()
    }

    fn check(&self, base: &[(&str, &str)]) {
        for bits in 1..8_usize {
            let given = [0, 1, 2].map(|place| bits & (1 << place) != 0);
            let winner = given.iter().position(|given| *given).expect("one of them");
            let about = || {
                let places = PLACES.iter().zip(given).filter(|(_, given)| *given);
                let places: Vec<_> = places.map(|(place, _)| *place).collect();
                format!("{} of {} in {places:?}", self.option, self.variable)
            };
            let outcome = self.outcome(
                base,
                &given,
                |place| if place == winner { GOOD } else { BAD },
            );
            assert_eq!(outcome.status.code(), Some(0), "{}: {outcome}", about());
            let outcome = self.outcome(
                base,
                &given,
                |place| if place == winner { BAD } else { GOOD },
            );
            assert_ne!(outcome.status.code(), Some(0), "{}: {outcome}", about());
            assert_eq!(outcome.text(), "", "{}: {outcome}", about());
        }
        let outcome = self.outcome(base, &[false; 3], |_| BAD);
        match self.default {
            Default::Works => outcome.assert_status(0),
            Default::Fails(status, says) => outcome.assert_refused(status, &[says]),
        };
    }
}

pub fn the_first_of_the_four_places_counts() {
    let (service, other) = (Service::example(), Service::example());
    let files = TempDir::new();
    let file = |name: &str, content: &str| {
        let file = files.file(name, content);
        set_mode(&file, 0o600);
        file.display().to_string()
    };
    let (ca, url) = (service.ca_file().display().to_string(), service.url());
    let (api_key, client_key) = (file("api", service.api_key()), file("client", CLIENT_KEY));
    let base = [
        ("api-url", url.as_str()),
        ("ca-file", ca.as_str()),
        ("api-key-file", api_key.as_str()),
        ("client-key", client_key.as_str()),
        ("path", "my-app"),
        ("timeout", "5"),
    ];
    let key = |option, variable, good: &str, file: &str, default| Row {
        variable_values: Some([good.to_owned(), "no key\n\nat all".to_owned()]),
        default: Default::Fails(125, default),
        ..row(option, variable, file, "/no/such/key")
    };
    let rows = [
        row(
            "organization",
            "DOTENV_ORGANIZATION",
            ORGANIZATION,
            "../rubbish",
        ),
        Row {
            default: Default::Fails(124, "api.dotenv.cloud"),
            ..row("api-url", "DOTENV_API_URL", &url, "rubbish")
        },
        row("mirror", "DOTENV_RUN_MIRRORS", &other.url(), "rubbish"),
        Row {
            default: Default::Fails(125, "certificate"),
            ..row("ca-file", "SSL_CERT_FILE", &ca, "/no/such/file")
        },
        row("cache", "DOTENV_RUN_CACHE", "0", "-1"),
        row("custody", "DOTENV_RUN_CUSTODY", "client", "rubbish"),
        row("min-generation", "DOTENV_RUN_MIN_GENERATION", "0", "-1"),
        row(
            "require-levels",
            "DOTENV_RUN_REQUIRE_LEVELS",
            "project",
            "target",
        ),
        Row {
            default: Default::Fails(125, "no PATH"),
            ..row("path", "DOTENV_RUN_PATH", "my-app", "MY_APP")
        },
        Row {
            default: Default::Fails(125, "no API key"),
            ..row(
                "api-key-file",
                "DOTENV_API_KEY_FILE",
                &api_key,
                "/no/such/key",
            )
        },
        key(
            "api-key-file",
            "DOTENV_API_KEY",
            service.api_key(),
            &api_key,
            "no API key",
        ),
        Row {
            default: Default::Fails(125, "no client key"),
            ..row(
                "client-key",
                "DOTENV_CLIENT_KEY_FILE",
                &client_key,
                "/no/such/key",
            )
        },
        key(
            "client-key",
            "DOTENV_CLIENT_KEY",
            CLIENT_KEY,
            &client_key,
            "no client key",
        ),
    ];
    for (option, variable) in variables_of_help() {
        let is_there = |row: &Row| row.option == option && row.variable == variable;
        assert!(
            rows.iter().any(is_there),
            "--{option} and {variable} are not tested"
        );
    }
    assert!(variables_of_help().len() >= 5);
    for row in rows {
        row.check(&base);
    }
}

pub fn a_list_of_mirrors_is_taken_from_one_place() {
    let mut world = World::example();
    world.projects.retain(|project| project.slug == "my-app");
    let trees: Vec<_> = (0..5).map(|_| Tree::of(&world)).collect();
    let url = |index: usize| trees[index].url();
    let (_dir, run) = with(&format!("mirror = [{:?}, {:?}]\n", url(0), url(1)));
    let run = run
        .env("DOTENV_API_KEY", Key::new().token())
        .client_key()
        .args(["--api-url=http://127.0.0.1:1", "my-app", "--timeout=5"])
        .args(["--check", "--json", "--organization", ORGANIZATION]);
    let mirror = |run: Run| {
        let outcome = run.finish();
        let found: serde_json::Value = serde_json::from_slice(&outcome.stdout)
            .unwrap_or_else(|error| panic!("{error}: {outcome}"));
        assert_eq!(found["source"]["kind"], "mirror", "{outcome}");
        found["source"]["name"].as_str().expect("a name").to_owned()
    };
    let root = |index: usize| trees[index].root().display().to_string();
    assert_eq!(mirror(run.clone()), root(0));
    // The second one of the profile takes over from the first.
    std::fs::remove_file(trees[0].organization()).expect("a document");
    let run = run.env("DOTENV_RUN_MIRRORS", format!(" {}\t{} ", url(2), url(3)));
    assert_eq!(mirror(run.clone()), root(2));
    assert_eq!(mirror(run.args(["--mirror", &url(4)])), root(4));
}

pub fn a_refused_profile_is_shown_as_json() {
    for (text, words, says) in [
        (
            "check = true\njson = true\ntimeout = -1\n",
            &["p"][..],
            "--timeout: must be a number",
        ),
        (
            "tiemout = 1\n",
            &["--check", "--json", "p"],
            "line 1: unknown key 'tiemout'",
        ),
        (
            "",
            &["--no-such", "--check", "p", "--json"],
            "unknown option '--no-such'",
        ),
        (
            "",
            &["--timeout", "x", "--check", "--json", "p"],
            "--timeout: must be a number",
        ),
        (
            "",
            &["--check", "--json", "p", "q", "--quiet=x"],
            "option '--quiet' takes no value",
        ),
    ] {
        let (_dir, run) = with(text);
        let outcome = run.args(words).args(["--", "true"]).finish();
        outcome.assert_status(125);
        let found: serde_json::Value = serde_json::from_slice(&outcome.stdout)
            .unwrap_or_else(|error| panic!("{error}: {outcome}"));
        let message = found["error"]["message"].as_str().expect("a message");
        assert!(message.contains(says), "{message}");
        assert_eq!(found["status"], 125);
    }
}
