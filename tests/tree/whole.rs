//! That a tree is whole: nothing of it can be left out, added, moved or put back without the key.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::{Value, json};

use crate::support::keys;
use crate::support::*;

tests![
    nothing_can_be_changed_without_the_key,
    an_older_level_cannot_be_put_back_alone,
    an_older_tree_is_refused_only_by_its_generation,
    a_manifest_is_needed_unless_that_is_said,
    only_a_regular_file_below_the_tree_is_a_manifest,
    a_manifest_that_is_malformed_is_refused,
    a_manifest_that_says_something_odd_is_refused,
    a_hundred_thousand_levels_are_taken,
    both_states_of_a_change_are_taken_and_no_third,
    a_mirror_is_asked_for_its_manifest_at_the_same_time,
    a_mirror_in_the_middle_of_a_change_is_asked_again,
    a_failing_manifest_of_a_mirror_is_asked_for_again,
    the_service_is_not_asked_for_a_manifest,
    a_cached_answer_of_a_mirror_is_held_to_the_same_rules,
    absent_levels_of_the_service_draw_one_warning,
    a_renewal_warns_of_a_level_that_goes_away_once,
    required_levels_must_be_there,
    a_check_names_absent_levels_and_the_generation,
];

const PATH: &str = "my-app/production/api";

/// A project with two targets, and one beside it that has the same key in every respect.
fn world() -> World {
    let project = |slug: &str| {
        let places = ["", "production", "production/api", "staging", "staging/api"];
        let project = Project::new(slug, Custody::client()).empty_place("bare");
        places.iter().fold(project, |project, place| {
            let name = place.replace('/', "_").to_uppercase();
            project.level(place, &format!("FROM{name}={slug}\n"))
        })
    };
    World::new(vec![project("my-app"), project("other")])
}

fn key() -> [u8; 32] {
    *world().projects[0].key()
}

/// The runs that read a tree: as it is, and as a mirror of a service that fails.
fn runs(tree: &Tree) -> Vec<Run> {
    let service = "http://127.0.0.1:1";
    let by_mirror = Run::dotenv_run()
        .args(["--api-url", service, "--mirror", &tree.url()])
        .args(["--organization", ORGANIZATION, "--timeout", "5"])
        .env("DOTENV_API_KEY", Key::new().token());
    let runs = [tree.dotenv_run(), by_mirror];
    runs.map(|run| run.client_key().arg("-q")).into()
}

/// The levels of a document.
fn levels(document: &mut Value) -> &mut Value {
    &mut document["data"]["attributes"]["levels"]
}

fn copy(tree: &Tree, from: &str, to: &str) {
    let content = fs::read(tree.secrets(from)).expect("a document");
    tree.write(&tree.secrets(to), content);
}

/// Puts the level of one document into another, under this name.
fn move_level(tree: &Tree, (from, level): (&str, &str), (to, name): (&'static str, &'static str)) {
    let text = fs::read(tree.secrets(from)).expect("a document");
    let mut document: Value = serde_json::from_slice(&text).expect("JSON");
    let moved = levels(&mut document)[level].take();
    tree.edit(&tree.secrets(to), move |document| {
        levels(document)[name] = moved.clone();
    });
}

type Change = fn(&Tree);

/// What somebody can do who may write the tree and has no key: to the tree, what is read then, and what it is called.
const CHANGES: [(Change, &str, &[&str]); 14] = [
    (
        |tree| drop_levels(tree, PATH, &["project"]),
        PATH,
        &["level project of my-app is missing"],
    ),
    (
        |tree| drop_levels(tree, PATH, &["target"]),
        PATH,
        &["level target of my-app/production is missing"],
    ),
    (
        |tree| drop_levels(tree, PATH, &["environment"]),
        PATH,
        &["level environment of my-app/production/api is missing"],
    ),
    (
        |tree| drop_levels(tree, "my-app", &["project"]),
        "my-app",
        &["level project of my-app is missing"],
    ),
    (
        |tree| copy(tree, "my-app/staging", "my-app/production"),
        "my-app/production",
        &["level target of my-app/production is not the one"],
    ),
    (
        |tree| copy(tree, "my-app/staging/api", PATH),
        PATH,
        &["level target of my-app/production is not the one"],
    ),
    (
        |tree| move_level(tree, ("my-app/staging", "target"), (PATH, "target")),
        PATH,
        &["level target of my-app/production is not the one"],
    ),
    (
        |tree| move_level(tree, (PATH, "target"), (PATH, "environment")),
        PATH,
        &["level environment of my-app/production/api is not the one"],
    ),
    (
        |tree| move_level(tree, ("other", "project"), ("my-app", "project")),
        "my-app",
        &["level project of my-app is not the one"],
    ),
    (
        |tree| {
            move_level(
                tree,
                ("my-app/staging", "target"),
                ("my-app/bare", "target"),
            )
        },
        "my-app/bare",
        &["level target of my-app/bare is not in the manifest"],
    ),
    (
        |tree| copy(tree, "my-app/production", "my-app/new"),
        "my-app/new",
        &["level target of my-app/new is not in the manifest"],
    ),
    (
        |tree| copy(tree, "my-app", "my-app/new"),
        "my-app/new",
        &["my-app/new is not in the manifest"],
    ),
    (
        |tree| {
            copy(tree, "other", "my-app");
            for document in [Tree::manifest, Tree::encryption_key] {
                fs::copy(document(tree, "other"), document(tree, "my-app")).expect("a copy");
            }
        },
        "my-app",
        &["the manifest belongs to the project other"],
    ),
    (
        |tree| {
            let edit = |document: &mut Value| {
                document["data"]["attributes"]["generation"] = json!(7);
            };
            tree.edit(&tree.manifest("my-app"), edit);
        },
        "my-app",
        &["generation of the manifest was changed"],
    ),
];

fn drop_levels(tree: &Tree, path: &str, names: &'static [&'static str]) {
    tree.edit(&tree.secrets(path), |document| {
        for name in names {
            let levels = levels(document).as_object_mut().expect("levels");
            levels.remove(*name).expect("a level");
        }
    });
}

fn nothing_can_be_changed_without_the_key() {
    check_all(2, &CHANGES, |(change, path, fragments)| {
        let tree = Tree::of(&world());
        change(&tree);
        for run in runs(&tree) {
            let run = run.args(["--allow-empty", path]);
            run.clone().refuses(125, fragments);
            // That a tree may have no manifest is not to say that it may have a wrong one.
            run.arg("--allow-unsigned-tree").refuses(125, fragments);
        }
        Ok(())
    });
    let tree = Tree::of(&world());
    for run in runs(&tree) {
        assert_eq!(run.clone().arg(PATH).variables().len(), 3);
        assert_eq!(run.arg("my-app/bare").variables(), ["FROM=my-app"]);
    }
}

fn put(tree: &Tree, path: &str, text: &str) {
    let run = Run::dotenv_seal().args(["put", "--allow-weak-key", "--replace"]);
    let run = run.arg(tree.root()).arg(path).stdin(text);
    let run = run.env("DOTENV_CLIENT_KEY", CLIENT_KEY);
    run.finish().assert_status(0);
}

/// In every document, as it was; with the manifest of that time it is an older tree.
fn an_older_level_cannot_be_put_back_alone() {
    let tree = Tree::of(&world());
    let paths = ["my-app/production", PATH];
    let before = paths.map(|path| fs::read(tree.secrets(path)).expect("a document"));
    let manifest = fs::read(tree.manifest("my-app")).expect("a document");
    put(&tree, "my-app/production", "NEW=1\n");
    for (path, content) in paths.iter().zip(before) {
        tree.write(&tree.secrets(path), content);
    }
    for run in runs(&tree) {
        let fragments = ["level target of my-app/production is not the one", "older"];
        run.arg(PATH).refuses(125, &fragments);
    }
    tree.write(&tree.manifest("my-app"), manifest);
    for run in runs(&tree) {
        assert_eq!(run.clone().arg(PATH).variables().len(), 3);
        let run = run.args(["--min-generation", "2", PATH]);
        run.refuses(125, &["generation of the tree is 1", "at least 2"]);
    }
}

fn an_older_tree_is_refused_only_by_its_generation() {
    let tree = Tree::of(&world());
    tree.sign("my-app", &key(), 41);
    let dir = TempDir::new();
    let profile = dir.file("profile", "min-generation = 42\n");
    set_mode(&profile, 0o600);
    for run in runs(&tree) {
        let run = run.arg("my-app");
        for accepted in ["0", "41"] {
            let run = run.clone().args(["--min-generation", accepted]);
            assert_eq!(run.variables(), ["FROM=my-app"]);
        }
        let says = ["generation of the tree is 41", "at least 42"];
        run.clone()
            .args(["--min-generation", "42"])
            .refuses(125, &says);
        run.clone()
            .env("DOTENV_RUN_MIN_GENERATION", "42")
            .refuses(125, &says);
        run.clone()
            .arg("--profile")
            .arg(&profile)
            .refuses(125, &says);
        let largest = u64::MAX.to_string();
        run.clone()
            .args(["--min-generation", &largest])
            .refuses(125, &[&largest]);
        for word in ["-1", "1.5", "x", "0x10", "18446744073709551616"] {
            let run = run.clone().arg(format!("--min-generation={word}"));
            run.refuses(125, &["--min-generation: must be a whole number"]);
        }
    }
    // The service has no generation.
    let service = Service::example();
    let run = service.dotenv_run().client_key().arg("my-app");
    assert_eq!(run.args(["--min-generation", "42"]).variables().len(), 3);
}

fn a_manifest_is_needed_unless_that_is_said() {
    let tree = Tree::of(&world());
    fs::remove_file(tree.manifest("my-app")).expect("a manifest");
    for run in runs(&tree) {
        let refused = run
            .clone()
            .arg(PATH)
            .refuses(125, &["my-app: there is no manifest"]);
        for way_out in ["dotenv-seal sign", "--allow-unsigned-tree"] {
            assert!(refused.stderr.contains(way_out), "{refused}");
        }
        let accepted = run.clone().args(["--allow-unsigned-tree", PATH]);
        assert_eq!(accepted.clone().variables().len(), 3);
        // What was asked for is not left out in silence.
        let both = accepted.args(["--min-generation", "0"]);
        both.refuses(125, &["no manifest", "--min-generation"]);
    }
    let run = tree.dotenv_run().client_key();
    let outcome = run
        .args(["--allow-unsigned-tree", PATH, "--", "true"])
        .finish();
    let mut warnings = outcome.assert_status(0).warnings();
    warnings.retain(|warning| !warning.contains("iterations"));
    assert_eq!(warnings.len(), 1, "{outcome}");
    assert!(warnings[0].contains("no manifest"), "{outcome}");
    // A server-managed project has none, and needs none.
    let tree = Tree::example();
    assert!(!tree.manifest("managed").exists());
    assert_eq!(tree.dotenv_run().arg("managed").variables().len(), 3);
    let run = tree.dotenv_run().args(["--min-generation", "0", "managed"]);
    run.refuses(125, &["--min-generation cannot be checked"]);
}

fn only_a_regular_file_below_the_tree_is_a_manifest() {
    let outside = TempDir::new();
    let target = outside.path().join("manifest");
    let makes: [fn(&Path, &Path); 5] = [
        |manifest, _| mkfifo(manifest, Mode::S_IRWXU).expect("a named pipe"),
        |manifest, _| fs::create_dir(manifest).expect("a directory"),
        |manifest, target| symlink(target, manifest).expect("a link"),
        |manifest, _| symlink("manifest", manifest).expect("a link"),
        |manifest, _| File::create(manifest).unwrap().set_len(1 << 40).unwrap(),
    ];
    let tree = Tree::of(&world());
    fs::copy(tree.manifest("my-app"), &target).expect("a copy");
    for make in makes {
        let tree = Tree::of(&world());
        fs::remove_file(tree.manifest("my-app")).expect("a manifest");
        make(&tree.manifest("my-app"), &target);
        for run in runs(&tree) {
            let run = run.limit(Duration::from_secs(20));
            let run = run.args(["--allow-unsigned-tree", "my-app"]);
            run.refuses(125, &["manifest"]);
        }
    }
}

fn a_manifest_that_is_malformed_is_refused() {
    let tree = Tree::of(&world());
    let good = fs::read(tree.manifest("my-app")).expect("a document");
    let good = String::from_utf8(good).expect("JSON");
    let many: Vec<_> = (0..100_000).map(|index| format!("\"{index}\":1")).collect();
    let texts = [
        String::new(),
        "{}".into(),
        "[]".into(),
        good[..good.len() / 2].into(),
        good.replace("manifests", "secrets"),
        good.replace("\"generation\":1", "\"generation\":-1"),
        good.replace("\"generation\":1", "\"generation\":\"x\""),
        good.replace("\"generation\":1", "\"other\":1"),
        good.replace("content", "contents"),
        good.replace("\"content\":\"", "\"content\":\"=="),
        format!("{{\"data\":{{{}}}}}", many.join(",")),
        "[".repeat(100_000) + &"]".repeat(100_000),
    ];
    for text in texts {
        tree.write(&tree.manifest("my-app"), &text);
        for run in runs(&tree) {
            run.arg("my-app").refuses(125, &["manifest"]);
        }
    }
}

/// Sealed with the right key, so that nothing but the text itself is wrong.
fn a_manifest_that_says_something_odd_is_refused() {
    let tree = Tree::of(&world());
    let state = || {
        let text = fs::read(tree.secrets("my-app")).expect("a document");
        let mut document: Value = serde_json::from_slice(&text).expect("JSON");
        let content = &levels(&mut document)["project"]["content"];
        digest(content.as_str().expect("a blob"))
    };
    let state = state();
    let good = manifest_text(
        ORGANIZATION,
        "my-app",
        1,
        &[("my-app".into(), Some(state.clone()))],
    );
    let line = format!("my-app {state}\n");
    let texts = [
        good.clone() + &line,
        good.replace(&line, &format!("{line}my-app/../other -\n")),
        good.replace(&line, &format!("{line}my-app/A -\n")),
        good.replace(&line, &format!("{line}my-app/a/b/c -\n")),
        good.replace(&line, &format!("{line}other -\n")),
        good.replace(&line, &format!("{line}my-app/b -\nmy-app/a -\n")),
        good.replace(&line, &format!("my-app {state} {state} {state}\n")),
        good.replace(&line, &format!("my-app {}\n", state.to_uppercase())),
        good.replace(&line, &format!("my-app {}\n", &state[1..])),
        good.replace('\n', "\r\n"),
        good.trim_end().to_owned(),
        good.replace("dotenv-manifest 1", "dotenv-manifest 2"),
        good.replace("generation 1", "generation 01"),
        String::new(),
        "\0".repeat(1000),
    ];
    for text in texts {
        let document = manifest(&key(), 1, &text);
        tree.write(&tree.manifest("my-app"), document.to_string());
        for run in runs(&tree) {
            run.arg("my-app").refuses(125, &["my-app/manifest: "]);
        }
    }
    tree.write(
        &tree.manifest("my-app"),
        manifest(&key(), 1, &good).to_string(),
    );
    for run in runs(&tree) {
        assert_eq!(run.arg("my-app").variables(), ["FROM=my-app"]);
    }
}

fn a_hundred_thousand_levels_are_taken() {
    let tree = Tree::of(&world());
    let text = fs::read(tree.secrets("my-app")).expect("a document");
    let mut document: Value = serde_json::from_slice(&text).expect("JSON");
    let content = levels(&mut document)["project"]["content"].take();
    let state = digest(content.as_str().expect("a blob"));
    let entry = |index: usize| (format!("my-app/t{index:06}"), Some(state.clone()));
    let own = [("my-app".to_owned(), Some(state.clone()))];
    let states: Vec<_> = own.into_iter().chain((0..100_000).map(entry)).collect();
    let text = manifest_text(ORGANIZATION, "my-app", 1, &states);
    tree.write(
        &tree.manifest("my-app"),
        manifest(&key(), 1, &text).to_string(),
    );
    for run in runs(&tree) {
        let outcome = run.args(["my-app", "--", "printenv", "FROM"]).finish();
        outcome.assert_status(0).assert_stdout("my-app\n");
        assert!(outcome.elapsed < Duration::from_secs(5), "{outcome}");
    }
}

fn both_states_of_a_change_are_taken_and_no_third() {
    let tree = Tree::of(&world());
    let blob = |text: &str| seal(&key(), text.as_bytes());
    let states = ["STATE=old\n", "STATE=new\n", "STATE=third\n"].map(blob);
    let [old, new, _] = states.each_ref().map(|blob| digest(blob));
    let own = |state: String| [("my-app".to_owned(), Some(state))];
    let run = || tree.dotenv_run().client_key().args(["-q", "my-app"]);
    for (listed, absent) in [(format!("{old} {new}"), false), (format!("- {new}"), true)] {
        let text = manifest_text(ORGANIZATION, "my-app", 1, &own(listed));
        tree.write(
            &tree.manifest("my-app"),
            manifest(&key(), 1, &text).to_string(),
        );
        for (index, (content, state)) in states.iter().zip(["old", "new", "third"]).enumerate() {
            let content = json!({ "encrypted": true, "content": content });
            tree.edit(&tree.secrets("my-app"), |document| {
                *levels(document) = json!({ "project": content.clone() });
            });
            if index == 1 || index == 0 && !absent {
                assert_eq!(run().variables(), [format!("STATE={state}")]);
            } else {
                run().refuses(125, &["level project of my-app is not the one"]);
            }
        }
        tree.edit(&tree.secrets("my-app"), |document| {
            *levels(document) = json!([])
        });
        match absent {
            true => assert_eq!(run().arg("--allow-empty").variables(), [""; 0]),
            false => drop(run().refuses(125, &["level project of my-app is missing"])),
        }
    }
}

/// A service that fails in a way that may pass.
fn failing() -> Service {
    let service = Service::of(world());
    for route in [Route::Secrets, Route::EncryptionKey] {
        let busy = Fault::Reply(Reply::error(503, "busy", "later"));
        service.fail(route, busy);
    }
    service
}

fn by_mirror(service: &Service, mirror: &Service) -> Run {
    let run = service.dotenv_run().client_key().args(["-q", "--mirror"]);
    run.arg(mirror.url())
}

fn asked(service: &Service, document: &str) -> usize {
    let targets = service.targets();
    targets
        .iter()
        .filter(|target| target.ends_with(document))
        .count()
}

/// Otherwise it would not be asked for while the secrets are held back.
fn a_mirror_is_asked_for_its_manifest_at_the_same_time() {
    let (service, mirror) = (failing(), Service::mirror_of(world()));
    let run = || by_mirror(&service, &mirror).arg("my-app");
    assert_eq!(run().variables(), ["FROM=my-app"]);
    let documents = ["/secrets", "/encryption-key", "/manifest"];
    assert_eq!(documents.map(|document| asked(&mirror, document)), [1; 3]);
    for route in [Route::Secrets, Route::EncryptionKey] {
        let mirror = Service::mirror_of(world());
        mirror.fail(route, Fault::Hang);
        let live = by_mirror(&service, &mirror)
            .args(["my-app", "--", "true"])
            .spawn();
        wait_until("the manifest", || asked(&mirror, "/manifest") == 1);
        live.signal(Signal::SIGKILL);
        live.wait();
    }
}

/// The manifest of one moment with the secrets of another.
fn a_mirror_in_the_middle_of_a_change_is_asked_again() {
    let (service, mirror) = (failing(), Service::mirror_of(world()));
    let other = Tree::of(&world());
    let torn = fs::read(other.secrets("my-app")).expect("a document");
    let reply = || Fault::Reply(Reply::new(200, "application/json", torn.clone()));
    mirror.fail_times(1, Route::Secrets, reply());
    let run = || by_mirror(&service, &mirror).arg("my-app");
    assert_eq!(run().variables(), ["FROM=my-app"]);
    mirror.fail(Route::Secrets, reply());
    run().refuses(125, &["level project of my-app is not the one"]);
}

fn a_failing_manifest_of_a_mirror_is_asked_for_again() {
    let (service, mirror) = (failing(), Service::mirror_of(world()));
    let run = || by_mirror(&service, &mirror).arg("my-app");
    mirror.fail_times(1, Route::Manifest, Fault::Close);
    assert_eq!(run().variables(), ["FROM=my-app"]);
    for status in [403, 404] {
        let reply = Reply::error(status, "no", "no");
        mirror.fail_times(2, Route::Manifest, Fault::Reply(reply));
        run().refuses(125, &["my-app: there is no manifest"]);
        assert_eq!(run().arg("--allow-unsigned-tree").variables().len(), 1);
    }
    mirror.fail(Route::Manifest, Fault::Close);
    run().args(["--timeout", "1"]).refuses(124, &[]);
}

/// A tree that is served is the service then, whose word is taken.
fn the_service_is_not_asked_for_a_manifest() {
    let service = Service::of(world());
    let run = || service.dotenv_run().client_key().args(["-q", PATH]);
    assert_eq!(run().variables().len(), 3);
    assert_eq!(asked(&service, "/manifest"), 0);
}

fn a_cached_answer_of_a_mirror_is_held_to_the_same_rules() {
    keys::enter_new_session();
    let (service, mirror) = (failing(), Service::mirror_of(world()));
    let run = || by_mirror(&service, &mirror).args(["--cache=60", "my-app"]);
    assert_eq!(run().variables(), ["FROM=my-app"]);
    let before = mirror.requests().len();
    assert_eq!(
        run().args(["--min-generation", "1"]).variables(),
        ["FROM=my-app"]
    );
    assert_eq!(mirror.requests().len(), before, "it was kept");
    run()
        .args(["--min-generation", "2"])
        .refuses(125, &["at least 2"]);
    // One without a manifest does not become one with a manifest by being kept.
    let none = Fault::Reply(Reply::error(404, "no", "no"));
    mirror.fail(Route::Manifest, none);
    let unsigned = || run().arg("--allow-unsigned-tree");
    assert_eq!(unsigned().variables(), ["FROM=my-app"]);
    let before = mirror.requests().len();
    assert_eq!(unsigned().variables(), ["FROM=my-app"]);
    assert_eq!(mirror.requests().len(), before, "it was kept");
    run().refuses(125, &["there is no manifest"]);
}

/// A project of which two levels of three are there.
fn gap() -> World {
    let project = Project::new("my-app", Custody::legacy())
        .level("", "A=1\n")
        .empty_place("production")
        .level("production/api", "B=2\n");
    World::new(vec![project])
}

fn absent_levels_of_the_service_draw_one_warning() {
    let service = Service::of(gap());
    let run = || service.dotenv_run().arg(PATH);
    let outcome = run().args(["--", "true"]).finish();
    let [warning] = outcome.assert_status(0).warnings()[..] else {
        panic!("not one warning\n{outcome}");
    };
    for word in [PATH, "level target", "--require-levels"] {
        assert!(warning.contains(word), "{outcome}");
    }
    let quiet = run().args(["-q", "--", "true"]).finish();
    assert_eq!(quiet.assert_status(0).stderr, "");
    let live = run()
        .args(["--watch=1", "-v", "--", "sleep", "1000"])
        .spawn();
    let told = |words: &str| live.errors_so_far().matches(words).count();
    wait_until("three questions", || told("nothing has changed") >= 3);
    live.signal(Signal::SIGTERM);
    let outcome = live.wait();
    assert_eq!(outcome.stderr.matches("no level").count(), 1, "{outcome}");
    // What a manifest lists is not absent by mistake.
    let tree = Tree::of(&self::world());
    let run = tree
        .dotenv_run()
        .client_key()
        .args(["my-app/bare", "--", "true"]);
    assert!(!run.finish().assert_status(0).stderr.contains("no level"));
}

fn a_renewal_warns_of_a_level_that_goes_away_once() {
    let service = Service::of(gap());
    let command = "echo \"start $B\"; exec sleep 1000";
    let run = service.dotenv_run().args(["--watch=1", "-v", PATH, "--"]);
    let live = run.args(["sh", "-c", command]).spawn();
    live.wait_for_output("start 2\n");
    service.fail(
        Route::Secrets,
        Fault::edit(|document| drop(levels(document)["environment"].take())),
    );
    live.wait_for_output("start \n");
    let told = |words: &str| live.errors_so_far().matches(words).count();
    let before = told("nothing has changed");
    wait_until("more questions", || {
        told("nothing has changed") >= before + 2
    });
    live.signal(Signal::SIGTERM);
    let outcome = live.wait();
    for level in ["no level target;", "no level environment;"] {
        assert_eq!(outcome.stderr.matches(level).count(), 1, "{outcome}");
    }
}

fn required_levels_must_be_there() {
    let (service, tree) = (Service::of(gap()), Tree::of(&gap()));
    for run in [service.dotenv_run(), tree.dotenv_run()] {
        let run = run.args(["-q", PATH]);
        let with = |levels: &str| run.clone().args(["--require-levels", levels]);
        for levels in ["project", "environment", "project,environment"] {
            assert_eq!(with(levels).variables().len(), 2, "{levels}");
        }
        for levels in ["target", "project,target,environment"] {
            let refused = with(levels).refuses(125, &[PATH, "absent: target"]);
            assert!(!refused.stderr.contains("project,"), "{refused}");
        }
        let run = run.clone().env("DOTENV_RUN_REQUIRE_LEVELS", "target");
        run.refuses(125, &["absent: target"]);
    }
    let run = |levels: &str| service.dotenv_run().args(["--require-levels", levels]);
    for levels in ["prod", "Project", "project,", ",", "project target"] {
        run(levels).arg(PATH).refuses(125, &["--require-levels: "]);
    }
    run("target")
        .arg("my-app")
        .refuses(125, &["--require-levels: PATH has no target"]);
    // Nor does a level go away in the cache, or while a command runs.
    keys::enter_new_session();
    let cached = || service.dotenv_run().args(["-q", "--cache=60", PATH]);
    assert_eq!(cached().variables().len(), 2);
    cached()
        .args(["--require-levels", "target"])
        .refuses(125, &["absent: target"]);
    let live = run("environment").args(["--watch=1", PATH, "--", "sh", "-c"]);
    let live = live.arg("echo started; exec sleep 1000").spawn();
    live.wait_for_output("started\n");
    service.fail(
        Route::Secrets,
        Fault::edit(|document| drop(levels(document)["environment"].take())),
    );
    wait_until("a warning", || {
        live.errors_so_far().contains("absent: environment")
    });
    live.signal(Signal::SIGTERM);
    let outcome = live.wait();
    assert_eq!(outcome.text(), "started\n", "{outcome}");
}

fn a_check_names_absent_levels_and_the_generation() {
    let (service, tree) = (Service::of(gap()), Tree::of(&world()));
    tree.sign("my-app", &key(), 12);
    for (run, path, absent, generation) in [
        (service.dotenv_run(), PATH, json!(["target"]), Value::Null),
        (
            tree.dotenv_run().client_key(),
            "my-app/bare",
            json!(["target"]),
            json!(12),
        ),
        (tree.dotenv_run().client_key(), PATH, json!([]), json!(12)),
    ] {
        let run = run.args(["--check", path]);
        let outcome = run.clone().arg("--json").finish();
        let found: Value = serde_json::from_slice(&outcome.assert_status(0).stdout).expect("JSON");
        assert_eq!(found["absent_levels"], absent, "{outcome}");
        assert_eq!(found["generation"], generation, "{outcome}");
        let outcome = run.finish();
        let text = outcome.assert_status(0).text();
        assert_eq!(
            text.contains("absent levels 1: target\n"),
            absent != json!([]),
            "{outcome}"
        );
        assert_eq!(
            text.contains("manifest      generation 12\n"),
            generation != Value::Null
        );
    }
}
