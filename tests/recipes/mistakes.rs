//! The checks can fail: planted mistakes in good documents are found, each for what it is.

use super::shape::Shape;
use super::snippets::Document::Recipes;
use super::snippets::Snippet;
use super::{dockerfile, jenkinsfile, schemas};

/// A text that stands in a good document, what is put in its place, and what is said of that.
type Mistake = (&'static str, &'static str, &'static str);

/// Checks that the first snippet below a heading is good, and that none of the mistakes is.
fn assert_found(section: &str, check: impl Fn(&str) -> Result<(), String>, mistakes: &[Mistake]) {
    let good = Snippet::find(Recipes, section, 1).text;
    check(&good).expect(section);
    for (from, to, said) in mistakes {
        assert!(good.contains(from), "{section}: {from}");
        let changed = good.replacen(from, to, 1);
        let found = check(&changed).expect_err(&changed);
        assert!(found.contains(said), "{found}\n{changed}");
    }
}

const DOCUMENTS: [(&str, Shape, &[Mistake]); 5] = [
    (
        "GitHub Actions",
        schemas::GITHUB,
        &[
            ("runs-on", "run-on", ".jobs.deploy: runs-on is missing"),
            ("on:\n", "when:\n", ": on is missing"),
            ("branches:", "branch:", ".on.push.branch: is no key"),
            (
                "contents: read",
                "contents: yes",
                ".permissions.contents: is not one of",
            ),
            (
                "timeout-minutes: 15",
                "timeout-minutes: soon",
                ".timeout-minutes: is not a number",
            ),
            (
                "        with:\n          persist",
                "        persist",
                ".steps[0].persist-credentials: is no key",
            ),
            (
                "        env: # of this step",
                "      env: # of this step",
                " line ",
            ),
            (
                "- run: ./build",
                "- runs: ./build",
                ".steps[1]: has none of the keys",
            ),
        ],
    ),
    (
        "GitLab CI",
        schemas::GITLAB,
        &[
            ("script:", "scripts:", ".deploy: script is missing"),
            ("- if:", "- when:", ".rules[0].when: is not one of"),
            (
                "  rules:\n    - if: ",
                "  rules: ",
                ".deploy.rules: is not a list",
            ),
            (
                "resource_group",
                "resource-group",
                ".deploy.resource-group: is no key",
            ),
        ],
    ),
    (
        "Azure Pipelines",
        schemas::AZURE,
        &[
            (
                "persistCredentials: false",
                "persistCredentials: never",
                "is not true or false",
            ),
            (
                "- script: ./build",
                "- run: ./build",
                ".steps[1]: has none of the keys",
            ),
            ("vmImage", "vm-image", ".pool"),
            ("steps:", "step:", ": steps is missing"),
        ],
    ),
    (
        "Compose",
        schemas::COMPOSE,
        &[
            ("entrypoint: [", "entrypoint: {", " line "),
            (
                "    secrets: [",
                "    secret: [",
                ".services.api.secret: is no key",
            ),
            (
                "    file: ",
                "    path: ",
                ".secrets.dotenv_api_key.path: is no key",
            ),
        ],
    ),
    (
        "Kubernetes",
        schemas::KUBERNETES,
        &[
            (
                "          image:",
                "          images:",
                ".containers[0].images: is no key",
            ),
            (
                "matchLabels: {app: my-app}",
                "matchLabels: my-app",
                ".matchLabels: has no keys",
            ),
            (
                "    spec:\n      auto",
                "      auto",
                ".spec.template: spec is missing",
            ),
            (
                "runAsUser: 65532",
                "runAsUser: nobody",
                ".runAsUser: is not a number",
            ),
            ("secretName", "name", ".secret.name: is no key"),
        ],
    ),
];

pub fn a_mistake_in_a_document_is_found() {
    for (section, shape, mistakes) in DOCUMENTS {
        assert_found(section, |text| shape.check(text), mistakes);
    }
}

pub fn a_mistake_in_a_jenkinsfile_is_found() {
    let check = |text: &str| jenkinsfile::check(&jenkinsfile::read(text)?);
    let mistakes = [
        ("pipeline {", "node {", "is no pipeline"),
        ("  agent { label 'dotenv-run' }\n", "", "has no agent"),
        ("stage('Build')", "stage(Build)", "no name"),
        ("when { branch", "if { branch", "does not belong"),
        ("steps {", "script {", "has no steps"),
        ("sh './build'", "sh './build", "is not closed"),
        (
            "'DOTENV_API_KEY')]) {",
            "'DOTENV_API_KEY')] {",
            "closes nothing",
        ),
        ("  stages {", "  stages", "closes nothing"),
        ("\n}\n", "\n}}\n", "closes nothing"),
        ("\n}\n", "\n", "is not closed"),
    ];
    assert_found("Jenkins", check, &mistakes);
}

pub fn a_mistake_in_a_dockerfile_is_found() {
    let check = |text: &str| dockerfile::check(&dockerfile::read(text)?);
    let mistakes = [
        ("FROM node:24.11.1-trixie-slim AS build", "", "no FROM"),
        ("AS build", "AS", "is not understood"),
        ("--from=build", "--from=built", "no stage built"),
        ("RUN --mount", "RUN --secret", "does not belong"),
        (
            "ENTRYPOINT [\"dotenv-run\"",
            "ENTRYPOINT [dotenv-run",
            "is not understood",
        ),
        ("WORKDIR", "WORKDIRECTORY", "is no instruction"),
        (
            "CMD [\"node\", \"/app/server.js\"]",
            "CMD node",
            "is not understood",
        ),
        ("required=true \\", "required=true", "flags only"),
    ];
    assert_found("Dockerfile", check, &mistakes);
}
