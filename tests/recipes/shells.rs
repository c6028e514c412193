//! The lines for a shell, with stubs for the programs that are not ours.

use super::machine::{Finds, Machine, SAID, SECRET, world};
use super::snippets::Snippet;
use crate::support::keys;
use crate::support::*;

/// A snippet that leaves the shell with variables: the shell itself says at the end whether it has them.
fn with_end(machine: &Machine, snippet: &Snippet, condition: &str) -> Run {
    let commands = snippet.commands();
    let commands = format!("{commands}\n{condition}\necho '{SAID}at the end'\n");
    machine.run("sh").args(["-euc", &commands])
}

/// Neither a build nor the tests themselves: what they would be, and the demonstration.
pub fn quick_start(snippet: &Snippet) {
    let machine = Machine::new();
    let here = env!("CARGO_MANIFEST_DIR");
    let run = machine.shell(snippet).env("MAKEFLAGS", "n").dir(here);
    let outcome = machine.with_rust(run).finish();
    outcome.assert_status(0);
    for line in [
        "tests/demo target/release",
        "cargo build --release",
        "cargo test",
    ] {
        assert!(outcome.text().lines().any(|it| it == line), "{outcome}");
    }
    let programs = machine.path("bin");
    let demo = Run::program(format!("{here}/tests/demo")).arg(programs);
    let outcome = demo.finish();
    outcome.assert_status(0);
    assert!(outcome.text().contains("LOG_LEVEL=debug"), "{outcome}");
}

pub fn forms(snippet: &Snippet) {
    let machine = Machine::new();
    let makes = "case ${PGPORT-}/${CACHE-} in 5432/ | /redis://db) ;; *) false ;; esac";
    machine.stub("bin/make", Finds::Also(makes));
    let reads = format!("grep -q {SECRET} \"$3\"");
    machine.stub("bin/docker", Finds::Only(&reads));
    let run = with_end(&machine, snippet, "[ -n \"$DB_URL\" ]");
    let outcome = run
        .env("DOTENV_API_KEY_FILE", machine.key_file("key"))
        .finish();
    let docker = "docker compose --env-file /dev/fd/3 up";
    machine.assert_ran(&outcome, &["make test", "make test", docker, "at the end"]);
    assert!(
        outcome.text().contains("\nDB_URL\tproject\t-\t16-63\n"),
        "{outcome}"
    );
}

pub fn trouble(snippet: &Snippet) {
    keys::enter_new_session();
    let machine = Machine::new();
    machine.stub("work/server", Finds::Secrets);
    let run = machine
        .shell(snippet)
        .env("DOTENV_API_KEY_FILE", machine.key_file("key"));
    machine.assert_ran(&run.finish(), &["server", "server"]);
}

pub fn profile(snippet: &Snippet) {
    let machine = match snippet.text.contains("client-key") {
        true => Machine::of(Custody::client()),
        false => Machine::new(),
    };
    machine.file("root/etc/my-app/client-key", CLIENT_KEY);
    machine.stub(
        "root/usr/local/bin/my-app",
        Finds::Also("[ -z \"${AWS_REGION-}\" ]"),
    );
    let profile = machine.file("profile.toml", &snippet.text);
    let run = machine.run("dotenv-run").arg("--profile").arg(profile);
    let run = run.env("DOTENV_API_KEY_FILE", machine.key_file("key"));
    machine.assert_ran(&machine.with_places(run).finish(), &["my-app serve"]);
}

/// A profile, beside the tree that it names.
pub fn section(snippet: &Snippet) {
    let machine = Machine::of(Custody::client());
    machine.stub("work/worker", Finds::Also("[ -z \"${AWS_REGION-}\" ]"));
    machine.file("work/deploy/run.toml", &snippet.text);
    machine.file("work/keys/my-app", CLIENT_KEY);
    let tree = Tree::of(&world(Custody::client()));
    let copy = Run::program("cp").arg("-r").arg(tree.root());
    let copied = copy.arg(machine.path("work/deploy/secrets")).finish();
    copied.assert_status(0);
    let line = "dotenv-run --profile deploy/run.toml#worker";
    let run = machine.run("sh").args(["-euc", line]);
    let run = run.env_remove("DOTENV_API_URL");
    machine.assert_ran(&run.finish(), &["worker"]);
}

pub fn sealed_tree(snippet: &Snippet) {
    let machine = Machine::new();
    machine.stub("work/server", Finds::Secrets);
    machine.file("work/common.env", "DB_HOST=db\n");
    machine.file("work/api.env", &format!("SMTP_PASSWORD={SECRET}\n"));
    let outcome = machine.shell(snippet).finish();
    outcome.assert_status(0);
    assert!(
        outcome
            .text()
            .contains("my-app/production/api\tenvironment\t"),
        "{outcome}"
    );
    // One of the two ends with a program that shows its environment, the other one shows a level.
    let is_shown = outcome.text().lines().any(|line| line == "LOG_LEVEL=debug");
    assert!(is_shown, "{outcome}");
    if !snippet.text.ends_with(" -- env\n") {
        machine.assert_ran(&outcome, &["server"]);
    }
}

/// A command, with the key in a variable or from a stub of pass(1), as the text in front of it says.
fn example(
    snippet: &Snippet,
    variable: bool,
    stubs: &[(&str, Finds<'_>)],
    said: &[&str],
) -> Outcome {
    let machine = Machine::new();
    machine.stub_pass();
    stubs
        .iter()
        .for_each(|(path, finds)| machine.stub(path, *finds));
    let run = machine.shell(snippet);
    let run = match variable {
        true => run.env("DOTENV_API_KEY", machine.api_key()),
        false => run,
    };
    let outcome = run.finish();
    machine.assert_ran(&outcome, said);
    outcome
}

pub fn build(snippet: &Snippet) {
    example(
        snippet,
        true,
        &[("bin/make", Finds::Secrets)],
        &["make release"],
    );
}

pub fn two_paths(snippet: &Snippet) {
    let both = Finds::Also("[ -n \"$NPM_TOKEN\" ] && [ -n \"$SMTP_PASSWORD\" ]");
    example(snippet, true, &[("work/server", both)], &["server"]);
}

pub fn reference(snippet: &Snippet) {
    let alone = Finds::Also("[ -n \"$DATABASE_URL\" ] && [ -z \"${SMTP_PASSWORD-}${DB_URL-}\" ]");
    example(snippet, true, &[("work/server", alone)], &["server"]);
}

pub fn key_from_a_program(snippet: &Snippet) {
    example(
        snippet,
        false,
        &[("work/server", Finds::Secrets)],
        &["server"],
    );
}

pub fn file_in_memory(snippet: &Snippet) {
    let reads = format!("! env | grep -q {SECRET} && grep -q {SECRET} \"$3\"");
    let docker = "docker compose --env-file /dev/fd/3 up";
    example(
        snippet,
        true,
        &[("bin/docker", Finds::Only(&reads))],
        &[docker],
    );
}

pub fn list(snippet: &Snippet) {
    let outcome = example(snippet, true, &[], &[]);
    let line = "SMTP_PASSWORD\tenvironment\t-\t16-63\n";
    assert!(outcome.text().contains(line), "{outcome}");
}

pub fn check(snippet: &Snippet) {
    let outcome = example(snippet, true, &[("bin/my-app", Finds::Secrets)], &[]);
    let line = "result        the command would be started\n";
    assert!(outcome.text().contains(line), "{outcome}");
}

pub fn evaluated(snippet: &Snippet) {
    let machine = Machine::new();
    let run = with_end(&machine, snippet, "[ \"$PGPORT\" = 5432 ]");
    let run = run.env("DOTENV_API_KEY_FILE", machine.key_file("key"));
    machine.assert_ran(&run.finish(), &["at the end"]);
}

pub fn existing_tree(snippet: &Snippet) {
    let machine = Machine::of(Custody::client());
    let tree = Tree::of(&world(Custody::client()));
    machine.file("root/srv/secrets/empty", "");
    let copy = Run::program("cp").arg("-r").arg(tree.root().join("api"));
    copy.arg(machine.path("root/srv/secrets"))
        .finish()
        .assert_status(0);
    let key = machine.file("root/etc/my-app/client-key", CLIENT_KEY);
    set_mode(&key, 0o600);
    let alone = "! env | grep -q -e ^OTHER= -e ^SSL_CERT_FILE= && [ -n \"$HOME\" ]";
    machine.stub("work/server", Finds::Also(alone));
    let run = machine.shell(snippet).env("OTHER", "1");
    machine.assert_ran(&machine.with_places(run).finish(), &["server"]);
}

pub fn local_values(snippet: &Snippet) {
    let machine = Machine::new();
    machine.file("work/dev.env", "DB_HOST=localhost\nPORT=8080\n");
    machine.file("work/.env.local", "DB_PORT=6543\n");
    machine.file("work/.env.example", "DB_URL=\nPORT=80\n");
    let finds = "[ $DB_HOST/$DB_PORT/$PORT = db/6543/8080 ]";
    machine.stub("work/server", Finds::Also(finds));
    let run = || {
        machine
            .shell(snippet)
            .env("DOTENV_API_KEY", machine.api_key())
    };
    machine.assert_ran(&run().finish(), &["server"]);
    machine.file("work/.env.example", "SENTRY_DSN=\n");
    run().finish().assert_refused(125, &["SENTRY_DSN"]);
}

pub fn single_value(snippet: &Snippet) {
    let machine = Machine::new();
    // No stub: what is behind a pipe has the environment of the shell, and with it the key.
    let script = format!("#!/bin/sh\n[ \"$(cat)\" = {SECRET} ] && echo \"{SAID}login\"\n");
    machine.executable("bin/npm-login", &script);
    let run = machine
        .shell(snippet)
        .env("DOTENV_API_KEY", machine.api_key());
    machine.assert_ran(&run.finish(), &["login"]);
}

/// What the engine is given; tests of the formats ask a real one.
pub fn docker_run(snippet: &Snippet) {
    let machine = Machine::new();
    let has_file = snippet.text.contains("--env-file");
    let finds = match has_file {
        true => format!("! env | grep -q {SECRET} && grep -q ^SMTP_PASSWORD={SECRET} \"$3\""),
        false => format!("env | grep -q ^SMTP_PASSWORD={SECRET}"),
    };
    machine.stub("bin/docker", Finds::Only(&finds));
    let run = machine
        .shell(snippet)
        .env("DOTENV_API_KEY", machine.api_key());
    let names = [
        "DB_HOST",
        "DB_PORT",
        "DB_URL",
        "AWS_REGION",
        "SMTP_PASSWORD",
    ];
    let said = match has_file {
        true => "docker run --env-file /dev/fd/3 my-app".to_owned(),
        false => format!(
            "docker run {} my-app",
            names.map(|it| format!("-e {it}")).join(" ")
        ),
    };
    machine.assert_ran(&run.finish(), &[&said]);
}

/// By the real program, which asks no cluster if it is only to show what it would do.
pub fn kubectl(snippet: &Snippet) {
    let machine = Machine::new();
    let real = Run::shell("command -v kubectl").finish();
    let script = format!(
        "#!/bin/sh\nexec {} \"$@\" --dry-run=client -o json\n",
        real.text().trim()
    );
    machine.executable("bin/kubectl", &script);
    let run = machine
        .shell(snippet)
        .env("DOTENV_API_KEY", machine.api_key());
    let outcome = run.finish();
    let secret: serde_json::Value =
        serde_json::from_str(outcome.assert_status(0).text()).expect("a secret");
    let data = secret["data"].as_object().expect("data");
    assert_eq!(data.len(), 5, "{outcome}");
    assert_eq!(data["DB_PORT"], "NTQzMg==");
    machine.assert_silent(&outcome.to_string());
}

pub fn secrets_in_files(snippet: &Snippet) {
    let project = Project::new("my-app", Custody::server())
        .level(
            "",
            &format!("DB=x-{SECRET}\nTLS_CERT=cert\nTLS_KEY={SECRET}\n"),
        )
        .empty_place("production");
    let machine = Machine::with(World::new(vec![project]));
    let finds = format!("! env | grep -q ^TLS_KEY= && [ \"$(cat $2)-$(cat $4)\" = cert-{SECRET} ]");
    machine.stub("work/server", Finds::Also(&finds));
    let run = machine
        .shell(snippet)
        .env("DOTENV_API_KEY", machine.api_key());
    let said = "server --cert /dev/fd/3 --key /dev/fd/4";
    machine.assert_ran(&run.finish(), &[said]);
}

/// The stub closes what ssh(1) closes; a test of files asks the real one.
pub fn key_for_ssh(snippet: &Snippet) {
    let project = Project::new("my-app", Custody::server())
        .level("", &format!("SSH_KEY={SECRET}\n"))
        .empty_place("production");
    let machine = Machine::with(World::new(vec![project]));
    let finds = format!("exec 3<&- && [ \"$(cat \"$2\")\" = {SECRET} ] && [ $3 = host ]");
    let script = format!("#!/bin/sh\n{finds} && echo '{SAID}ssh'\n");
    machine.executable("bin/ssh", &script);
    let run = machine
        .shell(snippet)
        .env("DOTENV_API_KEY", machine.api_key());
    machine.assert_ran(&run.finish(), &["ssh"]);
}

pub fn template(snippet: &Snippet) {
    let machine = Machine::new();
    machine.file("work/app.json.in", "{\"db\": {{DB_URL|json}}}\n");
    let line = format!("{{\"db\": \"postgres://app:{SECRET}@db\"}}");
    let finds = format!("! env | grep -q ^DB_ && [ \"$(cat $2)\" = '{line}' ]");
    machine.stub("work/server", Finds::Only(&finds));
    let run = machine
        .shell(snippet)
        .env("DOTENV_API_KEY", machine.api_key());
    machine.assert_ran(&run.finish(), &["server --config /dev/fd/3"]);
}

pub fn path_in_an_argument(snippet: &Snippet) {
    let project = Project::new("my-app", Custody::server())
        .level("", &format!("DB=x-{SECRET}\nTLS_KEY={SECRET}\n"))
        .empty_place("production");
    let machine = Machine::with(World::new(vec![project]));
    let finds = format!("! env | grep -q ^TLS_KEY= && [ \"$(cat $2)\" = {SECRET} ]");
    machine.stub("work/server", Finds::Also(&finds));
    let run = machine
        .shell(snippet)
        .env("DOTENV_API_KEY", machine.api_key());
    machine.assert_ran(&run.finish(), &["server --key /dev/fd/3"]);
}
