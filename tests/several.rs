//! Several PATHs: the later one wins, every document is asked for once and all at the same time, each project has its own
//! key, and one failure is that of all.

mod keys;
mod listening;

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::*;

tests![
    the_later_path_wins,
    a_path_that_is_given_twice_counts_at_its_last_place,
    a_profile_may_name_several,
    more_paths_than_can_be_asked_for_are_refused,
    a_word_too_many_is_not_taken_for_a_path_of_a_command_line_without_a_separator,
    each_document_is_asked_for_once_and_one_descriptor_for_a_project,
    all_documents_are_asked_for_at_the_same_time,
    one_failure_is_that_of_all,
    what_is_wrong_with_a_level_names_its_path,
    every_project_is_held_to_the_custody_that_is_expected,
    every_project_of_a_tree_is_held_to_its_manifest,
    levels_are_required_of_every_path_that_names_them,
    a_mirror_stands_in_for_all_of_them_or_for_none,
    the_deepest_level_of_each_path_may_stand_alone,
    keys::each_project_is_opened_with_its_own_key,
    keys::one_key_is_for_all_others,
    keys::a_profile_has_a_table_of_keys,
    keys::an_equals_sign_in_a_file_name_is_none_of_a_project,
    keys::a_key_of_a_project_that_is_not_asked_for_is_refused,
    keys::a_descriptor_of_one_project_does_not_reach_the_command,
    keys::a_key_for_one_project_says_nothing_of_the_custody_of_another,
    listening::a_list_says_which_path_each_name_comes_from,
    listening::a_check_tells_of_every_project,
    listening::an_audit_line_names_all_paths,
    listening::a_warm_start_asks_nobody,
    listening::a_change_of_any_path_is_noticed,
];

/// The key of the project `shared`, which is another one than that of `my-app`.
pub const SHARED_KEY: &str = "the-key-of-what-is-shared";

/// Three projects: two that are the user's, with different keys, and one that is the service's.
pub fn world() -> World {
    let shared = Custody {
        key: SHARED_KEY.into(),
        ..Custody::client()
    };
    World::new(vec![
        Project::new("shared", shared)
            .level("", "A=shared\nB=shared\nONLY_SHARED=1\n")
            .level("production", "C=shared production\n"),
        Project::new("my-app", Custody::client())
            .level("", "B=app\nC=app\n")
            .level("production", "D=app production\n")
            .level("production/api", "D=api\nE=api\n")
            .level("staging", "D=app staging\n"),
        Project::new("open", Custody::legacy()).level("", "A=open\nF=open\n"),
    ])
}

/// A run with the keys of both projects of the user.
pub fn with_keys(run: Run) -> (TempDir, Run) {
    let dir = TempDir::new();
    let shared = dir.file("shared.key", SHARED_KEY);
    let option = format!("shared={}", shared.display());
    let run = run.client_key().args(["--client-key", &option]);
    (dir, run)
}

/// The same run from a tree, and from a service.
fn runs(check: impl Fn(Run)) {
    let tree = Tree::of(&world());
    let url = tree.url();
    let (_dir, run) = with_keys(Run::dotenv_run().args(["--api-url", &url, "-q"]));
    check(run);
    let service = Service::of(world());
    let (_dir, run) = with_keys(service.dotenv_run().arg("-q"));
    check(run);
}

fn the_later_path_wins() {
    runs(|run| {
        let values = |paths: &[&str]| run.clone().args(paths).values();
        assert_eq!(
            values(&["shared/production", "my-app/production/api"]),
            json!({
                "A": "shared", "B": "app", "ONLY_SHARED": "1", "C": "app", "D": "api", "E": "api",
            })
        );
        assert_eq!(
            values(&["my-app/production/api", "shared/production"]),
            json!({
                "B": "shared", "C": "shared production", "D": "api", "E": "api", "A": "shared", "ONLY_SHARED": "1",
            })
        );
        assert_eq!(
            values(&["shared", "my-app/production/api", "my-app/staging"]),
            json!({
                "A": "shared", "B": "app", "ONLY_SHARED": "1", "C": "app", "D": "app staging", "E": "api",
            })
        );
        for how in ["--exec", "--supervise"] {
            let run = run.clone().args(["shared", "my-app", how]);
            assert_eq!(
                run.variables(),
                ["A=shared", "B=app", "ONLY_SHARED=1", "C=app"]
            );
        }
        // Options may stand between them.
        let run = run.clone().args(["shared", "--only", "B", "my-app"]);
        assert_eq!(run.variables(), ["B=app"]);
    });
}

fn a_path_that_is_given_twice_counts_at_its_last_place() {
    runs(|run| {
        let run = run.args(["shared", "my-app", "shared", "--only", "B"]);
        assert_eq!(run.variables(), ["B=shared"]);
    });
}

fn a_profile_may_name_several() {
    let tree = Tree::of(&world());
    let text = format!(
        "api-url = \"{}\"\npath = [\"shared\", \"my-app\"]\n[one]\npath = \"shared\"\n[none]\npath = []\n",
        tree.url()
    );
    let (_dir, run) = with_keys(Run::dotenv_run().arg("-q"));
    let dir = TempDir::new();
    let file = dir.file("p.toml", text).display().to_string();
    let of = |section: &str| run.clone().arg(format!("--profile={file}#{section}"));
    let b = |run: Run| run.values()["B"].clone();
    assert_eq!(b(of("")), json!("app"));
    assert_eq!(b(of("one")), json!("shared"));
    of("none").refuses(125, &["no PATH"]);
    // The command line replaces them all.
    assert_eq!(b(of("").args(["my-app", "shared"])), json!("shared"));
}

fn more_paths_than_can_be_asked_for_are_refused() {
    let service = Service::plain();
    let paths: Vec<_> = (0..33).map(|number| format!("p{number}")).collect();
    let run = service.dotenv_run().args(&paths);
    run.refuses(125, &["33 PATHs are more than the 32"]);
    assert!(service.requests().is_empty());
}

fn a_word_too_many_is_not_taken_for_a_path_of_a_command_line_without_a_separator() {
    let tree = Tree::of(&world());
    for (words, says) in [
        ("shared ls", "missing '--' before the command"),
        ("shared ls -la", "missing '--' before the command"),
        (
            "shared my-app ./server --port 80",
            "missing '--' before the command",
        ),
        ("-la shared ls", "unknown option '-l'"),
    ] {
        let outcome = tree.dotenv_run().args(words.split(' ')).finish();
        outcome.assert_refused(125, &[says]);
    }
}

fn each_document_is_asked_for_once_and_one_descriptor_for_a_project() {
    let service = Service::of(world());
    let (_dir, run) = with_keys(service.dotenv_run().arg("-q"));
    let paths = [
        "my-app/production",
        "shared",
        "my-app/staging",
        "shared",
        "my-app/production/api",
    ];
    run.args(paths)
        .args(["--", "true"])
        .finish()
        .assert_status(0);
    let mut targets = service.targets();
    targets.sort();
    let expected = [
        "my-app/encryption-key",
        "my-app/production/api/secrets",
        "my-app/production/secrets",
        "my-app/staging/secrets",
        "shared/encryption-key",
        "shared/secrets",
    ];
    assert_eq!(
        targets,
        expected.map(|it| format!("/api/v1/{ORGANIZATION}/{it}"))
    );
}

fn all_documents_are_asked_for_at_the_same_time() {
    let service = Service::of(world());
    let latency = Duration::from_millis(400);
    for route in [Route::Secrets, Route::EncryptionKey] {
        service.fail(route, Fault::edit(move |_| thread::sleep(latency)));
    }
    let (_dir, run) = with_keys(service.dotenv_run().args(["-q", "--custody=any"]));
    let begun = Instant::now();
    let paths = ["shared/production", "my-app/production/api", "open"];
    run.args(paths)
        .args(["--", "true"])
        .finish()
        .assert_status(0);
    let taken = begun.elapsed();
    assert!(latency < taken && taken < 2 * latency, "{taken:?}");
}

fn one_failure_is_that_of_all() {
    runs(|run| {
        for (paths, says) in [
            (["shared", "my-app/no-such"], "my-app/no-such: "),
            (["shared/no-such", "my-app"], "shared/no-such: "),
        ] {
            run.clone().args(paths).refuses(125, &[says]);
        }
    });
    let service = Service::of(world());
    let (_dir, run) = with_keys(service.dotenv_run().args(["-q", "--timeout=2"]));
    service.fail_times(
        9,
        Route::EncryptionKey,
        Fault::Reply(Reply::error(503, "busy", "later")),
    );
    run.args(["shared", "my-app"]).refuses(124, &["503"]);
}

fn what_is_wrong_with_a_level_names_its_path() {
    let broken = |text: &str| {
        let mut world = world();
        let project = Project::new("my-app", Custody::client()).level("", "A=1\n");
        world.projects[1] = project.level("production", text);
        Tree::of(&world)
    };
    let tree = broken("A='open\n");
    let (_dir, run) = with_keys(tree.dotenv_run().arg("-q"));
    let run = run.args(["--custody", "client", "shared"]);
    let outcome = run.clone().arg("my-app/production").refuses(125, &[]);
    let says = "level target of my-app/production: ";
    assert!(outcome.stderr.contains(says), "{outcome}");
    let wrong = run.client_key().env("DOTENV_CLIENT_KEY", "wrong");
    let wrong = wrong.arg("my-app");
    wrong.refuses(125, &["my-app", "wrong client key"]);
}

fn every_project_is_held_to_the_custody_that_is_expected() {
    runs(|run| {
        let refused = run.clone().args(["shared", "my-app", "open"]);
        refused.refuses(
            125,
            &["project open is server-managed, but client-managed is expected"],
        );
        let run = run.args(["--custody", "server", "open", "shared"]);
        run.refuses(
            125,
            &["project shared is client-managed, but server-managed is expected"],
        );
    });
    let mut world = world();
    world.projects[0] = Project::new("shared", Custody::client()).plain_level("", "A=1\n");
    let service = Service::of(world);
    let run = service
        .dotenv_run()
        .client_key()
        .args(["-q", "my-app", "shared"]);
    run.clone()
        .refuses(125, &["level project of shared is not encrypted"]);
    run.args(["--allow-plaintext", "--", "true"])
        .finish()
        .assert_status(0);
}

fn every_project_of_a_tree_is_held_to_its_manifest() {
    let tree = Tree::of(&world());
    let (_dir, run) = with_keys(tree.dotenv_run().args(["-q", "--custody", "client"]));
    let run = run.args(["shared/production", "my-app/production"]);
    run.clone().args(["--", "true"]).finish().assert_status(0);
    run.clone()
        .args(["--min-generation", "99"])
        .refuses(125, &["shared: ", "at least 99"]);
    let path = tree.secrets("my-app/production");
    let whole = std::fs::read(&path).expect("a document");
    tree.edit(&path, |document| {
        document["data"]["attributes"]["levels"]["target"] = json!(null);
    });
    run.clone().refuses(
        125,
        &["my-app: level target of my-app/production is missing, but the manifest lists it"],
    );
    tree.write(&path, whole);
    std::fs::remove_file(tree.manifest("my-app")).expect("a manifest");
    run.clone().refuses(125, &["my-app: there is no manifest"]);
    let run = run
        .without("-q")
        .args(["--allow-unsigned-tree", "my-app/staging"]);
    let outcome = run.args(["--", "true"]).finish();
    outcome.assert_status(0);
    let warnings = outcome.warnings();
    let about = warnings.iter().filter(|it| it.contains("no manifest"));
    assert_eq!(about.count(), 1, "{outcome}");
}

fn levels_are_required_of_every_path_that_names_them() {
    let mut world = world();
    let open = world.projects.pop().expect("a project");
    world.projects.push(open.empty_place("production"));
    let service = Service::of(world);
    let (_dir, run) = with_keys(service.dotenv_run().args(["-q", "--custody=any"]));
    let run = run.args(["--require-levels", "project,target"]);
    let good = ["shared", "my-app/production"];
    run.clone()
        .args(good)
        .args(["--", "true"])
        .finish()
        .assert_status(0);
    run.clone()
        .args(["shared", "my-app/production", "open/production"])
        .refuses(
            125,
            &["open/production: required levels are absent: target"],
        );
    run.args(["shared", "my-app"])
        .refuses(125, &["--require-levels: PATH has no target"]);
}

fn a_mirror_stands_in_for_all_of_them_or_for_none() {
    let service = Service::of(world());
    let mirror = Service::mirror_of(world());
    let (_dir, run) = with_keys(service.dotenv_run().args(["--mirror", &mirror.url()]));
    let run = run.args(["shared", "my-app/production"]);
    let busy = Fault::Reply(Reply::error(503, "busy", "later"));
    service.fail_times(1, Route::Secrets, busy.clone());
    let outcome = run.clone().args(["--", "true"]).finish();
    outcome.assert_status(0);
    assert!(
        outcome.stderr.contains("the secrets come from the mirror"),
        "{outcome}"
    );
    let asked = mirror.targets().len();
    assert_eq!(asked, 2 + 2 + 2, "{:?}", mirror.targets());
    mirror.fail(
        Route::Manifest,
        Fault::Reply(Reply::error(404, "not_found", "no")),
    );
    service.fail(Route::EncryptionKey, busy);
    run.refuses(125, &["there is no manifest"]);
}

fn the_deepest_level_of_each_path_may_stand_alone() {
    runs(|run| {
        let run = run.args(["--level-only", "shared", "my-app/production/api"]);
        let values = run.values();
        assert_eq!(
            values,
            json!({ "A": "shared", "B": "shared", "ONLY_SHARED": "1", "D": "api", "E": "api" })
        );
    });
}
