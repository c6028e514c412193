//! The snippets of the README and of the manuals do what they say: each is taken out mechanically and run as it
//! stands, against the service, and what is in a format with a schema has its shape. A snippet that nobody claims is
//! a failure.

mod builds;
mod dockerfile;
mod images;
mod jenkinsfile;
mod machine;
mod mistakes;
mod pipelines;
mod schemas;
mod shape;
mod shells;
mod snippets;
mod units;

use builds::NPM;
use images::CONTAINERS;
use machine::PLACES;
use snippets::Document::{Readme, Recipes, Run as Manual, Seal};
use snippets::{DOCUMENTS, Snippet};
use units::{CREDENTIALS, SERVICES};

use crate::support::*;

tests![
    every_snippet_is_claimed_once,
    the_manuals_show_what_is_taken_out needs(|| tool("mandoc")),
    mistakes::a_mistake_in_a_document_is_found,
    mistakes::a_mistake_in_a_jenkinsfile_is_found,
    mistakes::a_mistake_in_a_dockerfile_is_found,
    a_stub_finds_what_is_wrong,
];

/// Builds a table of tests of which each gets the first snippet that it claims: document, heading, places below it.
macro_rules! claims {
    ($($name:ident: $document:ident $section:literal $first:literal $(+ $other:literal)* => $check:path
       $(, needs($($need:expr),+))?;)+) => {
        pub const CLAIMS: &[Test] = &[$(Test {
            path: concat!(module_path!(), "::", stringify!($name)),
            body: || $check(&Snippet::find($document, $section, $first)),
            needs: &[$($($need),+)?],
        }),+];

        const CLAIMED: &[(snippets::Document, &str, usize)] = &[$(
            ($document, $section, $first), $(($document, $section, $other),)*
        )+];
    };
}

claims! {
    the_quick_start: Readme "Quick start" 1 => shells::quick_start;
    the_first_job: Readme "A build command" 1 => pipelines::github, needs(|| tool("bash"));
    the_first_image: Readme "A container entrypoint" 1 => images::dockerfile, needs(CONTAINERS);
    the_first_container: Readme "A container entrypoint" 2 => images::docker, needs(CONTAINERS);
    the_first_service: Readme "A systemd service" 1 => units::loaded, needs(SERVICES);
    a_choice_and_other_forms: Readme "Selecting and printing secrets" 1 => shells::forms;
    mirrors_and_the_cache: Readme "When the service is slow or down" 1 => shells::trouble;
    a_profile: Readme "Options in a file" 1 => shells::profile, needs(PLACES);
    a_new_tree: Readme "Without the service: a sealed tree" 1 => shells::sealed_tree;

    github_actions: Recipes "GitHub Actions" 1 => pipelines::github;
    later_github_steps: Recipes "Later steps of a GitHub job" 1 => pipelines::github_env;
    circle_ci: Recipes "CircleCI" 1 => pipelines::bash_env, needs(|| tool("bash"));
    gitlab_ci: Recipes "GitLab CI" 1 => pipelines::gitlab, needs(|| tool("bash"));
    azure_pipelines: Recipes "Azure Pipelines" 1 => pipelines::azure, needs(|| tool("bash"));
    jenkins: Recipes "Jenkins" 1 => pipelines::jenkins;
    a_dockerfile: Recipes "Dockerfile" 1 => images::dockerfile, needs(CONTAINERS);
    docker: Recipes "Dockerfile" 2 => images::docker, needs(CONTAINERS);
    docker_with_a_file: Recipes "docker run" 1 => shells::docker_run;
    docker_with_names: Recipes "docker run" 2 => shells::docker_run;
    compose: Recipes "Compose" 1 => images::compose, needs(CONTAINERS);
    kubernetes: Recipes "Kubernetes" 1 => images::kubernetes, needs(CONTAINERS);
    kubectl: Recipes "Kubernetes" 2 => images::commands_for_kubernetes;
    kubectl_with_variables: Recipes "Kubernetes" 3 => shells::kubectl, needs(|| tool("kubectl"));
    systemd_creds: Recipes "systemd" 1 => units::encrypting, needs(PLACES, CREDENTIALS);
    systemd: Recipes "systemd" 2 => units::encrypted, needs(SERVICES, CREDENTIALS);
    make: Recipes "make" 1 => builds::make, needs(|| tool("make"));
    cargo: Recipes "cargo" 1 + 2 => builds::cargo, needs(|| tool("cargo"));
    npm: Recipes "npm" 1 + 2 => builds::npm, needs(NPM);

    local_values: Manual "Local values" 1 => shells::local_values;
    secrets_in_files: Manual "Files in memory" 1 => shells::secrets_in_files;
    a_key_for_ssh: Manual "Files in memory" 2 => shells::key_for_ssh;
    a_path_in_an_argument: Manual "Files in memory" 3 => shells::path_in_an_argument;
    a_template: Manual "Templates" 1 => shells::template;
    a_profile_of_the_manual: Manual "Profiles" 1 => shells::profile, needs(PLACES);
    two_paths: Manual "Levels" 1 => shells::two_paths;
    a_reference: Manual "References in variables" 1 => shells::reference;
    a_section_of_the_manual: Manual "Profiles" 2 + 3 => shells::section;
    a_build: Manual "EXAMPLES" 1 => shells::build;
    a_key_from_a_program: Manual "EXAMPLES" 2 => shells::key_from_a_program;
    an_existing_tree: Manual "EXAMPLES" 3 => shells::existing_tree, needs(PLACES);
    variables_in_the_shell: Manual "EXAMPLES" 5 => shells::evaluated;
    a_single_value: Manual "EXAMPLES" 4 => shells::single_value;
    a_file_in_memory: Manual "EXAMPLES" 6 => shells::file_in_memory;
    a_list: Manual "EXAMPLES" 7 => shells::list;
    a_check: Manual "EXAMPLES" 8 => shells::check;
    an_entrypoint: Manual "EXAMPLES" 9 => images::entrypoint_alone, needs(CONTAINERS);
    a_service: Manual "EXAMPLES" 10 => units::loaded, needs(SERVICES);
    sealing: Seal "EXAMPLES" 1 => shells::sealed_tree;
}

fn every_snippet_is_claimed_once() {
    let mut claimed: Vec<_> = CLAIMED.to_vec();
    for snippet in DOCUMENTS.iter().flat_map(|document| document.snippets()) {
        let Snippet {
            document,
            section,
            number,
            ..
        } = &snippet;
        let claim = claimed
            .iter()
            .position(|it| *it == (*document, section.as_str(), *number));
        let claim =
            claim.unwrap_or_else(|| panic!("nobody claims {document:?} {section:?} {number}"));
        claimed.remove(claim);
    }
    assert!(
        claimed.is_empty(),
        "there is no snippet for {claimed:?}, or not so often"
    );
}

/// Takes what mandoc shows of each page, and looks for what was taken out of its source.
fn the_manuals_show_what_is_taken_out() {
    for document in DOCUMENTS.iter().filter(|document| **document != Readme) {
        let file = format!("{}/{}", env!("CARGO_MANIFEST_DIR"), document.file());
        let page = Run::program("mandoc").args(["-T", "utf8", "-O", "width=200"]);
        let page = page.arg(file).finish();
        let shown: Vec<_> = page.assert_status(0).text().lines().collect();
        let mut rest = &shown[..];
        for Snippet { text, .. } in document.snippets() {
            let lines: Vec<_> = text.lines().collect();
            let mut places = rest.windows(lines.len());
            let at = places.position(|place| is_shown(&lines, place));
            let at = at.unwrap_or_else(|| panic!("{document:?} does not show\n{text}"));
            rest = &rest[at + lines.len()..];
        }
    }
}

/// Whether lines are shown at a place, with the same margin before each.
fn is_shown(lines: &[&str], place: &[&str]) -> bool {
    let (margin, _) = place[0].split_at(place[0].len() - place[0].trim_start().len());
    lines.iter().zip(place).all(|(line, shown)| match *line {
        "" => shown.is_empty(),
        line => shown.strip_prefix(margin) == Some(&line.replace('\t', "        ")),
    })
}

/// Without this, a stub that always says that all is well would prove nothing.
fn a_stub_finds_what_is_wrong() {
    let machine = machine::Machine::new();
    let key = machine.api_key();
    machine.stub("work/with", machine::Finds::Secrets);
    machine.stub("work/without", machine::Finds::Nothing);
    let secret = format!("app:{}", machine::SECRET);
    let run = |script: &str| machine.run("sh").args(["-ec", script]);
    machine.assert_ran(&run("./with a b").env("A", &secret).finish(), &["with a b"]);
    machine.assert_ran(&run("./without").finish(), &["without"]);
    for (wrong, said) in [
        (run("./with"), "something is missing"),
        (
            run("./with").env("A", &secret).env("DOTENV_API_KEY", &key),
            "there is a key",
        ),
        (
            run("./with")
                .env("A", &secret)
                .env("DOTENV_API_KEY_FILE", "/x"),
            "there is a key",
        ),
        (run("./without").env("A", &secret), "too much"),
        (run("./without").env("A", &key), "too much"),
        (
            run(&format!("./with {secret}")).env("A", &secret),
            "an argument",
        ),
        (run(&format!("./without; : {secret}")), "an argument"),
        (run(&format!("./without; : {key}")), "an argument"),
    ] {
        let outcome = wrong.finish();
        outcome.assert_status(1).assert_stdout("");
        assert!(outcome.stderr.contains(said), "{outcome}");
    }
}
