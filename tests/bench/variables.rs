//! How a cold start grows with the number of variables: from a service on loopback, without derivation, against
//! env(1) with the same variables in its environment, which is what the kernel takes for them.

use std::process::{Command, Stdio};

use crate::support::{Custody, ORGANIZATION, Project, Service, World};
use crate::{Candidate, compare, time};

const COUNTS: [usize; 4] = [10, 100, 1_000, 10_000];

pub fn run() {
    println!("30 rounds");
    let slug = |count: usize| format!("demo-{count}");
    let project = |count: usize| {
        let text: String = variables(count)
            .map(|(name, value)| format!("{name}={value}\n"))
            .collect();
        Project::new(&slug(count), Custody::legacy()).level("", &text)
    };
    let service = Service::of(World::new(COUNTS.map(project).into()));
    let ours = COUNTS.map(|count| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dotenv-run"));
        command.args(["--api-url", &service.url(), "--ca-file"]);
        command.arg(service.ca_file());
        command.env("DOTENV_API_KEY", service.api_key());
        command.env("DOTENV_ORGANIZATION", ORGANIZATION);
        command.args([&slug(count), "--", "true"]);
        candidate(format!("dotenv-run, {count} variables"), command)
    });
    let envs = COUNTS.map(|count| {
        let mut command = Command::new("env");
        command.arg("true").envs(variables(count));
        candidate(format!("env, {count} variables"), command)
    });
    compare(30, ours.into_iter().chain(envs).collect());
}

fn variables(count: usize) -> impl Iterator<Item = (String, String)> {
    let variable = |number| {
        let value = format!("https://user:password@db.example.com:5432/{number}");
        (format!("SERVICE_{number}_URL"), value)
    };
    (0..count).map(variable)
}

fn candidate(name: String, mut command: Command) -> Candidate<'static> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let run = move || {
        time(|| {
            let status = command.status().expect("a program that runs");
            assert!(status.success(), "{command:?} fails");
        })
    };
    Candidate {
        name,
        run: Box::new(run),
    }
}
