//! The service is told which pipeline asks: with every request, in a header that holds nothing but what the runner
//! publishes, and not at all if that is not wanted.

use std::path::Path;

use crate::support::*;

tests![
    the_agent_names_the_pipeline,
    the_agent_can_be_left_plain,
    a_hostile_name_stays_inside_of_the_comment,
    no_key_is_in_the_agent,
    a_pod_is_named_by_its_namespace needs(OWN_RUN),
    a_service_is_named_by_its_unit needs(OWN_RUN),
];

const PLAIN: &str = concat!("dotenv-run/", env!("CARGO_PKG_VERSION"));

fn run(service: &Service, variables: &[(&str, &str)]) -> Run {
    let run = service.dotenv_run().client_key().arg("my-app");
    let run = variables
        .iter()
        .fold(run, |run, (name, value)| run.env(name, value));
    run.arg("--mask=off")
}

/// The one agent of all requests of a run.
#[track_caller]
fn agent(service: &Service, run: Run) -> String {
    run.args(["--", "true"]).finish().assert_status(0);
    let requests = service.requests();
    assert_eq!(requests.len(), 2);
    let agents = requests.iter().map(|request| request.header("User-Agent"));
    let mut agents: Vec<_> = agents
        .map(|agent| agent.expect("an agent").to_owned())
        .collect();
    agents.dedup();
    assert_eq!(agents.len(), 1, "{agents:?}");
    agents.remove(0)
}

fn the_agent_names_the_pipeline() {
    let cases: [(&[(&str, &str)], &str); 9] = [
        (
            &[
                ("GITHUB_ACTIONS", "true"),
                ("GITHUB_REPOSITORY", "acme/shop"),
                ("GITHUB_RUN_ID", "123"),
                ("GITHUB_JOB", "deploy"),
                ("JENKINS_URL", "https://x"),
            ],
            " (github-actions; acme/shop; run 123; job deploy)",
        ),
        (
            &[
                ("GITLAB_CI", "true"),
                ("CI_PROJECT_PATH", "acme/shop"),
                ("CI_PIPELINE_ID", "4"),
                ("CI_JOB_NAME", "build: [1, 2]"),
                ("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
            ],
            " (gitlab-ci; acme/shop; pipeline 4; job build: [1, 2])",
        ),
        (
            &[
                ("TF_BUILD", "True"),
                ("SYSTEM_TEAMPROJECT", "Shop"),
                ("BUILD_DEFINITIONNAME", "nightly"),
                ("BUILD_BUILDID", "5"),
                ("SYSTEM_JOBNAME", "Job_1"),
            ],
            " (azure-pipelines; Shop/nightly; run 5; job Job_1)",
        ),
        (
            &[
                ("JENKINS_URL", "https://jenkins.example/"),
                ("JOB_NAME", "shop/main"),
                ("BUILD_NUMBER", "6"),
                ("STAGE_NAME", "Deploy"),
            ],
            " (jenkins; shop/main; build 6; stage Deploy)",
        ),
        (
            &[
                ("CIRCLECI", "true"),
                ("CIRCLE_PROJECT_USERNAME", "acme"),
                ("CIRCLE_PROJECT_REPONAME", "shop"),
                ("CIRCLE_BUILD_NUM", "7"),
                ("CIRCLE_JOB", "test"),
            ],
            " (circleci; acme/shop; build 7; job test)",
        ),
        (
            &[
                ("BUILDKITE", "true"),
                ("BUILDKITE_ORGANIZATION_SLUG", "acme"),
                ("BUILDKITE_PIPELINE_SLUG", "shop"),
                ("BUILDKITE_BUILD_NUMBER", "8"),
                ("BUILDKITE_LABEL", "tests"),
            ],
            " (buildkite; acme/shop; build 8; job tests)",
        ),
        (&[("GITHUB_ACTIONS", "true")], " (github-actions)"),
        (&[("GITHUB_ACTIONS", "false"), ("GITHUB_JOB", "x")], ""),
        (&[("GITHUB_JOB", "x"), ("CI", "true")], ""),
    ];
    for (variables, expected) in cases {
        let service = Service::example();
        let agent = agent(&service, run(&service, variables));
        assert_eq!(agent, format!("{PLAIN}{expected}"));
    }
}

fn the_agent_can_be_left_plain() {
    let service = Service::example();
    let run = run(&service, &[("GITHUB_ACTIONS", "true"), ("GITHUB_JOB", "x")]);
    assert_eq!(agent(&service, run.arg("--no-attribution")), PLAIN);
}

fn a_hostile_name_stays_inside_of_the_comment() {
    let long = "\u{1f9a6}".repeat(5000);
    for (hostile, expected) in [
        ("a) evil/1 (b", "job a_ evil/1 _b"),
        ("a; run 9", "job a_ run 9"),
        (
            "a\r\nX-Evil: 1\r\n\r\nGET / HTTP/1.1",
            "job a__X-Evil: 1____GET / HTTP/1.1",
        ),
        ("a\\\"\t\u{7f}\u{e9}", "job a_____"),
        (&long, &format!("job {}", "_".repeat(64))),
    ] {
        let service = Service::example();
        let run = run(
            &service,
            &[("GITHUB_ACTIONS", "true"), ("GITHUB_JOB", hostile)],
        );
        let agent = agent(&service, run);
        assert_eq!(agent, format!("{PLAIN} (github-actions; {expected})"));
        for request in service.requests() {
            assert_eq!(request.header("X-Evil"), None);
        }
    }
}

fn no_key_is_in_the_agent() {
    let service = Service::example();
    let agent = agent(
        &service,
        run(
            &service,
            &[("GITHUB_ACTIONS", "true"), ("GITHUB_TOKEN", "ghs_otter")],
        ),
    );
    assert_eq!(agent, format!("{PLAIN} (github-actions)"));
}

fn a_pod_is_named_by_its_namespace() {
    let service = Service::example();
    let variables = [
        ("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
        ("HOSTNAME", "shop-6d4cf56db6-xk2p9"),
    ];
    let run = run(&service, &variables).with_mounts(
        Path::new("/run"),
        "mount -t tmpfs none \"$0\"
         mkdir -p /run/secrets/kubernetes.io/serviceaccount
         printf shop-production >/run/secrets/kubernetes.io/serviceaccount/namespace",
    );
    let expected = "(kubernetes; namespace shop-production; pod shop-6d4cf56db6-xk2p9)";
    assert_eq!(agent(&service, run), format!("{PLAIN} {expected}"));
}

fn a_service_is_named_by_its_unit() {
    let group = "0::/system.slice/system-shop.slice/shop@eu.service";
    let dir = TempDir::new();
    let file = dir.file("cgroup", format!("{group}\n"));
    let service = Service::example();
    let run = run(&service, &[("INVOCATION_ID", "00ff")]);
    let run = run.with_mounts(&file, "mount --bind \"$0\" /proc/$$/cgroup");
    assert_eq!(
        agent(&service, run),
        format!("{PLAIN} (systemd; unit shop@eu.service)")
    );
}
