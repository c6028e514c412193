//! What lists, checks, audits, caches and watches know of several paths.

use serde_json::{Value, json};

use super::{with_keys, world};
use crate::support::*;

fn object(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

pub fn a_list_says_which_path_each_name_comes_from() {
    let tree = Tree::of(&world());
    let (_dir, run) = with_keys(Run::dotenv_run().args(["--api-url", &tree.url(), "-q", "--list"]));
    let run = run.args(["shared/production", "my-app/production/api"]);
    run.clone().finish().assert_stdout(
        "A\tshared/production\tproject\t-\t1-15\n\
         B\tmy-app/production/api\tproject\tshared/production:project\t1-15\n\
         ONLY_SHARED\tshared/production\tproject\t-\t1-15\n\
         C\tmy-app/production/api\tproject\tshared/production:target\t1-15\n\
         D\tmy-app/production/api\tenvironment\ttarget\t1-15\n\
         E\tmy-app/production/api\tenvironment\t-\t1-15\n",
    );
    let listed = object(run.clone().arg("--json").finish().text());
    assert_eq!(
        listed[1],
        json!({
            "name": "B",
            "path": "my-app/production/api",
            "level": "project",
            "overrides": ["shared/production:project"],
            "length": "1-15",
        })
    );
    let outcome = Terminal::spawn(run).wait();
    let screen = outcome.text();
    assert!(
        screen.contains("NAME         PATH                   LEVEL"),
        "{screen}"
    );
}

pub fn a_check_tells_of_every_project() {
    let service = Service::of(world());
    let (_dir, run) = with_keys(service.dotenv_run());
    let run = run.args(["--check", "shared", "my-app/staging"]);
    let outcome = run.clone().arg("--json").finish();
    outcome.assert_status(0);
    let found = object(outcome.text());
    assert_eq!(found["path"], json!("shared my-app/staging"));
    assert_eq!(found["paths"], json!(["shared", "my-app/staging"]));
    assert_eq!(found["custody"], Value::Null);
    for (index, name) in ["shared", "my-app"].into_iter().enumerate() {
        let project = &found["projects"][index];
        assert_eq!(project["name"], json!(name));
        assert_eq!(project["custody"], json!("client-managed"));
        assert_eq!(project["expected_custody"]["custody"], json!("client"));
    }
    let levels = found["levels"].as_array().expect("an array");
    let places: Vec<_> = levels.iter().map(|it| [&it["path"], &it["name"]]).collect();
    assert_eq!(
        json!(places),
        json!([
            ["shared", "project"],
            ["my-app/staging", "project"],
            ["my-app/staging", "target"]
        ])
    );
    let screen = run.finish();
    for line in [
        "paths         shared my-app/staging\n",
        "custody       my-app: client-managed, key version 1, 1000 iterations",
        "level target  my-app/staging: 14 bytes, 1 names\n",
    ] {
        assert!(screen.text().contains(line), "{line}\n{screen}");
    }
}

pub fn an_audit_line_names_all_paths() {
    let tree = Tree::of(&world());
    let dir = TempDir::new();
    let line = dir.path().join("line");
    let (_keys, run) = with_keys(Run::dotenv_run().args(["--api-url", &tree.url(), "-q"]));
    let run = run.args(["shared", "my-app", "--audit", "3", "--", "true"]);
    let outcome = run.redirected(&format!("3>{}", line.display())).finish();
    outcome.assert_status(0);
    let line = object(&std::fs::read_to_string(line).expect("a line"));
    assert_eq!(line["path"], json!("shared my-app"));
}

pub fn a_warm_start_asks_nobody() {
    keys::enter_new_session();
    let service = Service::of(world());
    let (_dir, run) = with_keys(service.dotenv_run().args(["-q", "--cache=60"]));
    let of = |paths: &[&str]| run.clone().args(paths).values();
    let cold = of(&["shared", "my-app/staging"]);
    assert_eq!(service.requests().len(), 4);
    assert_eq!(of(&["shared", "my-app/staging"]), cold);
    assert_eq!(service.requests().len(), 4, "{:?}", service.targets());
    // In another order it is another question.
    assert_eq!(of(&["my-app/staging", "shared"])["B"], json!("shared"));
    assert_eq!(service.requests().len(), 8);
    assert_eq!(of(&["shared"])["B"], json!("shared"));
    assert_eq!(service.requests().len(), 10);
}

pub fn a_change_of_any_path_is_noticed() {
    let tree = Tree::of(&world());
    let (_dir, run) = with_keys(Run::dotenv_run().args(["--api-url", &tree.url(), "-q"]));
    let run = run.args(["shared", "my-app", "--watch=1"]);
    let live = run
        .args(["--", "sh", "-c", "echo A=$A B=$B.; exec sleep 60"])
        .spawn();
    live.wait_for_output("A=shared B=app.\n");
    let put = |path: &str, key: &str, text: &str| {
        let run = Run::dotenv_seal().arg("put").arg(tree.root()).arg(path);
        let run = run.arg("--allow-weak-key").env("DOTENV_CLIENT_KEY", key);
        run.stdin(text).finish().assert_status(0);
    };
    put("my-app", CLIENT_KEY, "B=new\n");
    live.wait_for_output("A=shared B=new.\n");
    put("shared", super::SHARED_KEY, "A=newer\nB=shared\n");
    live.wait_for_output("A=newer B=new.\n");
    live.signal(nix::sys::signal::Signal::SIGTERM);
    live.wait()
        .assert_killed_by(nix::sys::signal::Signal::SIGTERM);
}
