//! The recipes for CI systems: each file has the shape that its system asks for, and each of its commands is run as
//! the runner runs it, with the variables that the runner sets and those that the file asks for.

use saphyr::Yaml;

use super::jenkinsfile;
use super::machine::{Finds, Machine};
use super::schemas::{AZURE, GITHUB, GITLAB};
use super::shape::{Shape, load};
use super::snippets::Snippet;
use crate::mask;
use crate::print::handover::read_by_runner;
use crate::support::*;

/// A command of a pipeline, with the variables that it alone has.
struct Step {
    script: String,
    variables: Vec<(String, String)>,
}

/// A program that writes a secret into the log.
const LEAKY: Finds<'static> = Finds::Also("echo \"the database is at $DB_URL\"");

/// What is left of that where the runner cannot mask it.
const REDACTED: &str = "the database is at [DB_URL]\n";

/// What a runner sets.
type Variables = &'static [(&'static str, &'static str)];

const GITHUB_SETS: Variables = &[
    ("CI", "true"),
    ("GITHUB_ACTIONS", "true"),
    ("GITHUB_JOB", "deploy"),
    ("GITHUB_REPOSITORY", "acme/my-app"),
    ("GITHUB_RUN_ID", "1"),
];

const GITLAB_SETS: Variables = &[
    ("CI", "true"),
    ("CI_JOB_ID", "1"),
    ("CI_PIPELINE_ID", "1"),
    ("CI_PROJECT_PATH", "acme/my-app"),
    ("GITLAB_CI", "true"),
];

const AZURE_SETS: Variables = &[
    ("BUILD_BUILDID", "1"),
    ("SYSTEM_JOBDISPLAYNAME", "Job"),
    ("SYSTEM_TEAMPROJECT", "acme"),
    ("TF_BUILD", "True"),
];

const JENKINS_SETS: Variables = &[
    ("BUILD_NUMBER", "1"),
    ("JENKINS_URL", "https://jenkins.example.com/"),
    ("JOB_NAME", "my-app"),
];

pub fn github(snippet: &Snippet) {
    let machine = machine_of(snippet, &GITHUB, LEAKY);
    let document = load(&snippet.text);
    let (_, job) = only(&document["jobs"]);
    // Without a container, the shell is bash.
    let shell = match job.as_mapping_get("container") {
        Some(_) => ["sh", "-e"],
        None => ["bash", "-e"],
    };
    let steps = job["steps"].as_vec().expect("steps").iter();
    let ran = steps.filter_map(|step| {
        step_of(step, "run", |value| {
            expand(value, "${{ secrets.", " }}", &machine)
        })
    });
    let ran: Vec<_> = ran
        .map(|step| run(&machine, &shell, &step, GITHUB_SETS))
        .collect();
    assert_masked(&machine, mask::GITHUB, &ran);
}

pub fn azure(snippet: &Snippet) {
    let machine = machine_of(snippet, &AZURE, LEAKY);
    let document = load(&snippet.text);
    let groups = document["variables"].as_vec().expect("variables");
    assert!(groups.iter().all(|it| it.as_mapping_get("group").is_some()));
    let steps = document["steps"].as_vec().expect("steps").iter();
    let ran = steps
        .filter_map(|step| step_of(step, "script", |value| expand(value, "$(", ")", &machine)));
    let shell = ["bash", "--noprofile", "--norc"];
    let ran: Vec<_> = ran
        .map(|step| run(&machine, &shell, &step, AZURE_SETS))
        .collect();
    assert_masked(&machine, mask::AZURE, &ran);
}

pub fn gitlab(snippet: &Snippet) {
    let machine = machine_of(snippet, &GITLAB, LEAKY);
    let document = load(&snippet.text);
    let (_, job) = only(&document);
    let script = job["script"].as_vec().expect("a list of commands").iter();
    let script: Vec<_> = script
        .map(|line| line.as_str().expect("a command"))
        .collect();
    // A variable of type File is the path of a file with its value.
    let file = machine
        .key_file("my-app.tmp/DOTENV_API_KEY_FILE")
        .display()
        .to_string();
    let step = Step {
        script: script.join("\n"),
        variables: vec![("DOTENV_API_KEY_FILE".into(), file)],
    };
    let shell = ["bash", "-eo", "pipefail"];
    let outcome = run(&machine, &shell, &step, GITLAB_SETS);
    machine.assert_ran(&outcome, &["deploy"]);
    assert!(outcome.text().contains(REDACTED), "{outcome}");
}

pub fn jenkins(snippet: &Snippet) {
    let machine = machine(LEAKY);
    let file = jenkinsfile::read(&snippet.text).expect("a Jenkinsfile");
    jenkinsfile::check(&file).expect("a declarative pipeline");
    let commands = jenkinsfile::commands(&file);
    assert_eq!(commands.len(), 2);
    for ((script, variable), stub) in commands.into_iter().zip(["build", "deploy"]) {
        // In double quotes Groovy would expand it, into arguments and the log.
        let quoted = script
            .strip_prefix('\'')
            .and_then(|it| it.strip_suffix('\''));
        let script = quoted.filter(|it| !it.contains(['\'', '\\']));
        let step = Step {
            script: script.expect("single quotes").to_owned(),
            variables: variable
                .map(|it| (it, machine.api_key()))
                .into_iter()
                .collect(),
        };
        let outcome = run(&machine, &["sh", "-xe"], &step, JENKINS_SETS);
        machine.assert_ran(&outcome, &[stub]);
        let is_redacted = outcome.text().contains(REDACTED);
        assert_eq!(is_redacted, stub == "deploy", "{outcome}");
    }
}

/// What a runner reads at the end of a step, and what is in the log until then.
pub fn github_env(snippet: &Snippet) {
    let machine = machine(LEAKY);
    let file = machine.file("github_env", "");
    let run = machine.shell(snippet).env("GITHUB_ENV", &file);
    let run = GITHUB_SETS
        .iter()
        .fold(run, |run, (name, value)| run.env(name, value));
    let run = run.env("DOTENV_API_KEY", machine.api_key());
    let outcome = run.redirected("2>&1").finish();
    outcome.assert_status(0);
    let log = mask::log(mask::GITHUB, outcome.text());
    machine.assert_silent(&log);
    let written = std::fs::read_to_string(&file).expect("a file");
    assert!(!written.contains(&machine.api_key()), "{written}");
    let read = read_by_runner(&written);
    let names: Vec<_> = read.keys().map(String::as_str).collect();
    assert_eq!(names, ["CACHE", "NPM_TOKEN"]);
    assert_eq!(read["NPM_TOKEN"], super::machine::SECRET);
}

/// What the shell of a later step has.
pub fn bash_env(snippet: &Snippet) {
    let machine = machine(LEAKY);
    let file = machine.file("bash_env", "export OTHER=1\n");
    let key = machine.api_key();
    let run = machine
        .shell(snippet)
        .env("BASH_ENV", &file)
        .env("DOTENV_API_KEY", &key);
    let outcome = run.finish();
    outcome.assert_status(0).assert_stdout("");
    machine.assert_silent(&outcome.to_string());
    let condition = "[ $OTHER = 1 ] && [ ${#NPM_TOKEN} -gt 9 ] && [ -z \"${DB_URL-}\" ]";
    let later = machine
        .run("bash")
        .args(["-c", condition])
        .env("BASH_ENV", &file);
    later.finish().assert_status(0);
    let written = std::fs::read_to_string(&file).expect("a file");
    assert!(!written.contains(&key), "{written}");
}

/// With the programs of all these pipelines; that of the README is npm.
fn machine(deploy: Finds<'_>) -> Machine {
    let machine = Machine::new();
    machine.stub("work/build", Finds::Nothing);
    machine.stub("work/deploy", deploy);
    machine.stub("bin/npm", deploy);
    machine
}

/// A machine for a document of which the shape is right.
fn machine_of(snippet: &Snippet, shape: &Shape, deploy: Finds<'_>) -> Machine {
    let checked = shape.check(&snippet.text);
    checked.unwrap_or_else(|defect| panic!("{defect}\n{}", snippet.text));
    machine(deploy)
}

/// The one entry of a mapping.
fn only<'a, 'b>(node: &'a Yaml<'b>) -> (&'a str, &'a Yaml<'b>) {
    let mut entries = node.as_mapping().expect("a mapping").iter();
    let (name, value) = entries.next().expect("an entry");
    assert!(entries.next().is_none(), "one entry");
    (name.as_str().expect("a name"), value)
}

/// What a step runs under a key, if it runs anything.
fn step_of(step: &Yaml<'_>, key: &str, expand: impl Fn(&str) -> String) -> Option<Step> {
    let script = step.as_mapping_get(key)?.as_str()?.to_owned();
    assert!(
        !script.contains("$"),
        "what a runner expands is in the log: {script}"
    );
    let variables = step.as_mapping_get("env").and_then(Yaml::as_mapping);
    let variables = variables.into_iter().flatten();
    let text = |node: &Yaml<'_>| node.as_str().expect("a text").to_owned();
    let variables = variables.map(|(name, value)| (text(name), expand(&text(value))));
    Some(Step {
        script,
        variables: variables.collect(),
    })
}

/// The value of the one secret there is, if an expression asks for it.
fn expand(value: &str, open: &str, close: &str, machine: &Machine) -> String {
    let name = value
        .strip_prefix(open)
        .and_then(|rest| rest.strip_suffix(close));
    assert_eq!(name, Some("DOTENV_API_KEY"), "{value}");
    machine.api_key()
}

/// Runs a step as runners do: from a script, with both streams in one log.
fn run(machine: &Machine, shell: &[&str], step: &Step, sets: Variables) -> Outcome {
    let script = machine.file("script", &step.script);
    let run = machine.run(shell[0]).args(&shell[1..]).arg(script);
    let run = sets
        .iter()
        .fold(run, |run, (name, value)| run.env(name, value));
    let variables = step.variables.iter();
    let run = variables.fold(run, |run, (name, value)| run.env(name, value));
    run.redirected("2>&1").finish()
}

/// The log of each step, once the runner has done what it was told to.
#[track_caller]
fn assert_masked(machine: &Machine, runner: &str, ran: &[Outcome]) {
    let mut said = String::new();
    for outcome in ran {
        let written = outcome.assert_status(0).text();
        let log = mask::log(runner, written);
        machine.assert_silent(&log);
        said += &format!("{log}\n");
    }
    assert_eq!(
        said.matches("the database is at ***\n").count(),
        1,
        "{said}"
    );
    let stubs: &[&str] = match ran.len() {
        1 => &["npm run build"],
        _ => &["build", "deploy"],
    };
    machine.assert_said(&said, stubs);
}
