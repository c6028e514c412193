//! The client keys of several projects.

use super::{SHARED_KEY, world};
use crate::support::*;

/// A tree, a directory with a file for each key, and a run there that lists what both projects have.
fn scene() -> (Tree, TempDir, Run) {
    let tree = Tree::of(&world());
    let dir = TempDir::new();
    dir.file("shared.key", SHARED_KEY);
    dir.file("app.key", CLIENT_KEY);
    let run = Run::dotenv_run()
        .dir(dir.path())
        .args(["--api-url", &tree.url()]);
    let run = run.args(["-q", "shared", "my-app"]);
    (tree, dir, run)
}

fn assert_opens(run: Run) {
    let values = run.values();
    assert_eq!(
        (&values["A"], &values["B"]),
        (&"shared".into(), &"app".into())
    );
}

pub fn each_project_is_opened_with_its_own_key() {
    let (_tree, _dir, run) = scene();
    let keys = [
        "--client-key",
        "shared=shared.key",
        "--client-key=my-app=app.key",
    ];
    assert_opens(run.clone().args(keys));
    // Of several for one project the last one counts.
    assert_opens(
        run.clone()
            .args(["--client-key", "shared=app.key"])
            .args(keys),
    );
    run.clone()
        .args([
            "--client-key",
            "shared=app.key",
            "--client-key=my-app=app.key",
        ])
        .refuses(125, &["shared", "wrong client key"]);
    run.clone()
        .args(["--client-key", "shared=shared.key"])
        .refuses(125, &["no client key"]);
    run.clone()
        .args(["--client-key", "shared=", "--client-key=my-app=app.key"])
        .refuses(125, &["--client-key shared: there is no such file"]);
    let empty = run.args([
        "--client-key",
        "shared=/dev/null",
        "--client-key=my-app=app.key",
    ]);
    empty.refuses(125, &["--client-key shared: /dev/null: the key is empty"]);
}

pub fn one_key_is_for_all_others() {
    let (_tree, _dir, run) = scene();
    let shared = ["--client-key", "shared=shared.key"];
    assert_opens(run.clone().args(shared).args(["--client-key", "app.key"]));
    assert_opens(run.clone().args(["--client-key", "app.key"]).args(shared));
    assert_opens(run.clone().args(shared).client_key());
    assert_opens(
        run.clone()
            .args(shared)
            .env("DOTENV_CLIENT_KEY_FILE", "app.key"),
    );
    // What can be read only once is read once.
    let both = run
        .without("my-app")
        .args(["shared/production", "--client-key", "-"]);
    let outcome = both.stdin(SHARED_KEY).args(["--", "true"]).finish();
    outcome.assert_status(0);
    let world = World::new(vec![
        Project::new("one", Custody::client()).level("", "A=1\n"),
        Project::new("two", Custody::client()).level("", "B=2\n"),
    ]);
    let tree = Tree::of(&world);
    let run = tree.dotenv_run().args(["one", "two", "--client-key", "-"]);
    assert_eq!(run.stdin(CLIENT_KEY).variables(), ["A=1", "B=2"]);
}

pub fn a_profile_has_a_table_of_keys() {
    let (_tree, dir, run) = scene();
    let run = run.arg("--profile");
    for text in [
        "client-keys = { shared = \"shared.key\", my-app = \"app.key\" }\n",
        "client-key = \"app.key\"\n[client-keys]\nshared = \"shared.key\"\n",
        "client-key = \"app.key\"\nclient-keys.shared = \"./shared.key\"\n",
        "client-keys = { shared = \"shared.key\", my-app = \"app.key\", other = \"no-such\" }\n",
    ] {
        dir.file("p.toml", text);
        assert_opens(run.clone().arg("p.toml"));
    }
    // A section changes the key of one project, and so does the command line.
    dir.file(
        "p.toml",
        "client-keys = { shared = \"app.key\", my-app = \"app.key\" }\n[s.client-keys]\nshared = \"shared.key\"\n",
    );
    assert_opens(run.clone().arg("p.toml#s"));
    assert_opens(
        run.clone()
            .arg("p.toml")
            .args(["--client-key", "shared=shared.key"]),
    );
    run.clone()
        .arg("p.toml")
        .refuses(125, &["shared", "wrong client key"]);
    for text in [
        "client-keys = \"app.key\"\n",
        "client-keys = { Shared = \"k\" }\n",
        "client-keys = { shared = 3 }\n",
        "client-keys = [\"shared=k\"]\n",
    ] {
        dir.file("p.toml", text);
        let says =
            "line 1: client-keys must be a table of strings, each under the name of a project";
        run.clone().arg("p.toml").refuses(125, &[says]);
    }
}

pub fn an_equals_sign_in_a_file_name_is_none_of_a_project() {
    let (tree, dir, _) = scene();
    dir.file("shared=x", SHARED_KEY);
    dir.file("Shared=x", SHARED_KEY);
    let run = Run::dotenv_run()
        .dir(dir.path())
        .args(["--api-url", &tree.url()]);
    let run = run.args(["-q", "shared"]);
    for name in [
        "./shared=x",
        "Shared=x",
        "shared=./shared=x",
        "shared=shared=x",
    ] {
        let run = run.clone().args(["--client-key", name]);
        run.args(["--", "true"]).finish().assert_status(0);
    }
    let run = run.args(["--client-key", "shared=x"]);
    run.refuses(125, &["--client-key shared: there is no such file"]);
}

pub fn a_key_of_a_project_that_is_not_asked_for_is_refused() {
    let (_tree, _dir, run) = scene();
    let outcome = run
        .client_key()
        .args(["--client-key", "sesame-open-sesame=="])
        .refuses(
            125,
            &["--client-key: PROJECT must be that of a PATH: shared, my-app"],
        );
    assert!(!outcome.stderr.contains("sesame"), "{outcome}");
}

pub fn a_descriptor_of_one_project_does_not_reach_the_command() {
    let (_tree, _dir, run) = scene();
    let run = run.args(["--client-key=shared=fd:3", "--client-key=my-app=fd:4"]);
    let script = "[ -e /dev/fd/3 ] || [ -e /dev/fd/4 ] || echo closed";
    let run = run.args(["--", "sh", "-c", script]);
    let open = run.clone().redirected("3<shared.key 4<app.key").finish();
    open.assert_stdout("closed\n");
    let half = run.redirected("3<shared.key 4<&-").finish();
    half.assert_refused(125, &["--client-key my-app: descriptor 4"]);
}

pub fn a_key_for_one_project_says_nothing_of_the_custody_of_another() {
    let service = Service::of(world());
    let dir = TempDir::new();
    dir.file("shared.key", SHARED_KEY);
    let run = service
        .dotenv_run()
        .dir(dir.path())
        .args(["-q", "shared", "open"]);
    let run = run.args(["--client-key", "shared=shared.key"]);
    assert_eq!(run.values()["F"], serde_json::json!("open"));
    let own = service.dotenv_run().dir(dir.path()).args([
        "-q",
        "open",
        "--client-key",
        "open=shared.key",
    ]);
    own.clone().refuses(
        125,
        &["project open is server-managed, but client-managed is expected"],
    );
    let outcome = own
        .without("-q")
        .args(["--custody=any", "shared"])
        .client_key();
    let outcome = outcome
        .env("DOTENV_CLIENT_KEY", SHARED_KEY)
        .args(["--", "true"])
        .finish();
    outcome.assert_status(0);
    let says = "the project open is server-managed: its client key is ignored";
    assert!(outcome.warnings().contains(&says), "{outcome}");
}
