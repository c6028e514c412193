//! What must have no effect: files that happen to lie in the working directory, and variables by
//! which other programs are made careless. And which addresses are spoken to.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support::*;

/// Names that other programs look for, and those of the keys elsewhere.
const CONFIGURATION: &[&str] = &[
    ".env .env.local .env.production .dotenv .dotenv.yml .dotenv.json .dotenvrc .envrc",
    "dotenv.toml dotenv.yml dotenv.yaml dotenv.json dotenv-run.toml .dotenv-run .dotenv-run.toml",
    "dotenv-api-key dotenv-client-key dotenv_api_key dotenv_client_key",
];

/// A run to which a careless reading of its variables would make the working directory a place of
/// keys.
fn run_in(dir: &TempDir, credentials: &str) -> Run {
    let run = Run::dotenv_run().dir(dir.path());
    let run = run
        .env("HOME", dir.path())
        .env("XDG_CONFIG_HOME", dir.path());
    run.env("CREDENTIALS_DIRECTORY", credentials).arg("my-app")
}

/// As root, because nobody else sees the arguments of a process that may not be dumped.
pub fn no_file_in_the_working_or_home_directory_is_looked_at() {
    let (tree, dir) = (Tree::example(), TempDir::new());
    for name in words(CONFIGURATION) {
        dir.file(name, CLIENT_KEY);
    }
    let run = run_in(&dir, "").env("DOTENV_API_URL", tree.url());
    let trace = strace(run.args(["--", "/bin/true"]), "%file");
    trace.outcome.assert_refused(125, &["no client key"]);
    let saw_tree = |call: &Call| call.arguments.contains("encryption-key\"");
    assert!(trace.calls.iter().any(saw_tree), "{:?}", trace.calls);
    let home = dir.path().display().to_string();
    let is_there = |call: &&Call| {
        let path = call.arguments.trim_start_matches("AT_FDCWD, ");
        let is_relative = path.starts_with('"') && !path.starts_with("\"/");
        is_relative || call.name != "execve" && path.contains(&home)
    };
    let touched: Vec<_> = trace.calls.iter().filter(is_there).collect();
    assert!(touched.is_empty(), "{touched:?}");
}

/// The same from the outside: every file there would make whoever opens it wait for ever.
pub fn no_file_in_the_working_directory_stops_a_run() {
    let (service, dir) = (Service::plain(), TempDir::new());
    for name in words(CONFIGURATION) {
        mkfifo(&dir.path().join(name), Mode::S_IRWXU).expect("a named pipe");
    }
    for credentials in ["", ".", "./"] {
        let run = run_in(&dir, credentials).limit(Duration::from_secs(5));
        let run = run.env("DOTENV_API_URL", service.url());
        run.refuses(125, &["no API key"]);
    }
    assert!(service.requests().is_empty(), "{:?}", service.requests());
}

/// Variables that make the official client or others skip the verification or use another service.
const CARELESS: &[&str] = &[
    "DOTENV_TLS_SKIP_VERIFY=true DOTENV_TLS_SKIP_VERIFY=1 DOTENV_TLS_SKIP_VERIFY=0",
    "NODE_ENV=development NODE_ENV=test ENV=dev ENV=development DOTENV_ENV=development",
    "NODE_TLS_REJECT_UNAUTHORIZED=0 GIT_SSL_NO_VERIFY=1 DOTENV_BASE_URL=https://localhost",
    "DOTENV_CONTEXT=staging",
];

fn careless() -> impl Iterator<Item = (&'static str, &'static str)> {
    words(CARELESS).filter_map(|setting| setting.split_once('='))
}

pub fn no_variable_switches_the_verification_of_certificates_off() {
    for certificate in [Certificate::Trusted, Certificate::SelfSigned] {
        let service = Service::with_certificate(certificate);
        let run = || Run::on_service(&service).arg("legacy");
        for (name, value) in careless() {
            let run = run().env(name, value);
            run.refuses(125, &["127.0.0.1", "certificate"]);
        }
        let all = careless().fold(run(), |run, (name, value)| run.env(name, value));
        let all = all.env("DOTENV_API_URL", service.url_by_name());
        // The directory is no setting of ours; the file is, and has tests of its own.
        let all = all.env("SSL_CERT_DIR", service.ca_file().parent().unwrap());
        all.refuses(125, &["localhost", "certificate"]);
        assert!(service.requests().is_empty(), "{:?}", service.requests());
    }
}

const WITHOUT_NETWORK: [&str; 4] = ["unshare", "--user", "--map-root-user", "--net"];

pub fn no_variable_changes_the_address_of_the_service() {
    let key = Key::new();
    let run = || {
        let run = Run::dotenv_run().arg("legacy").under(WITHOUT_NETWORK);
        run.env("DOTENV_API_KEY", key.token())
    };
    for (name, value) in careless().chain([("DOTENV_API_URL", "")]) {
        let run = run().env(name, value);
        run.refuses(124, &["cannot reach api.dotenv.cloud"]);
    }
}

pub fn plain_http_is_spoken_to_loopback() {
    let service = Service::plain();
    let run = |url: &str| Run::on_service(&service).args(["legacy", "--api-url", url]);
    let in_capitals = service.url_by_name().to_ascii_uppercase();
    for url in [
        service.url(),
        service.url() + "/",
        service.url_by_name(),
        in_capitals,
    ] {
        run(&url).assert_shows("APP_NAME", "Acme");
    }
    let requests = service.requests();
    assert!(
        requests
            .iter()
            .all(|request| !request.target.contains("//")),
        "{requests:?}"
    );
    // Nobody listens there, but nobody objects to the address either.
    for url in [
        "http://127.0.0.2:1",
        "http://[::1]:1",
        "https://localhost:1",
    ] {
        run(url).refuses(124, &["cannot reach"]);
    }
}

pub fn a_file_url_has_several_forms() {
    let (tree, dir) = (Tree::example(), TempDir::new());
    let odd = dir.path().join("a b%é");
    fs::rename(tree.root(), &odd).expect("a tree elsewhere");
    symlink(&odd, dir.path().join("tree")).expect("a second name");
    for form in [
        "file://DIR/tree",
        "file://DIR/tree/",
        "file://localhostDIR/tree",
        "file://DIR/no/../tree",
        "file://DIR/a%20b%25%C3%A9",
    ] {
        let url = form.replace("DIR", &dir.path().display().to_string());
        let run = Run::dotenv_run().args(["legacy", "--api-url", &url]);
        run.any_custody().assert_shows("APP_NAME", "Acme");
    }
    let run = Run::dotenv_run().args(["legacy", "--api-url", "file:///no/such/tree"]);
    run.refuses(125, &["/no/such/tree"]);
}
