//! The manifest that `dotenv-seal` keeps: it is right at every moment, whoever else writes and whenever a writer is
//! killed; and what is refused so that nobody without the key gets something signed or sealed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::store::*;
use crate::support::*;

tests![
    the_generation_grows_with_every_change,
    a_tree_without_a_manifest_gets_one_on_demand_only,
    put_signs_nothing_that_somebody_else_has_changed,
    sign_tells_what_it_accepts,
    documents_that_contradict_each_other_are_put_right,
    sign_refuses_what_the_key_does_not_open,
    json_levels_can_be_signed,
    a_manifest_that_is_none_keeps_everything_from_being_written,
    sixteen_writers_and_a_reader_find_a_whole_tree,
    a_writer_killed_at_a_random_moment_leaves_a_whole_tree,
    an_interrupted_change_is_brought_to_an_end,
    nothing_is_sealed_under_a_weak_key_unless_that_is_said,
    leftovers_of_the_dead_are_removed_and_nothing_else,
    a_target_may_not_lie_where_the_manifest_does,
];

const PATHS: [&str; 3] = ["my-app", "my-app/production", "my-app/production/api"];

fn world() -> World {
    let places = ["", "production", "production/api"];
    let project = places.iter().fold(
        Project::new("my-app", Custody::client()),
        |project, place| project.level(place, "OLD=1\n"),
    );
    World::new(vec![project])
}

fn key() -> [u8; 32] {
    *world().projects[0].key()
}

/// The generation as `list` shows it.
fn generation(root: &Path) -> u64 {
    let outcome = seal_program(&["list"]).arg(root).finish();
    let lines = outcome.assert_status(0).text().lines();
    let mut lines = lines.filter_map(|line| line.strip_prefix("my-app\tgeneration\t"));
    lines
        .next()
        .expect("a generation")
        .parse()
        .expect("a number")
}

#[track_caller]
fn assert_whole(root: &Path) {
    for path in Store::of(root).places() {
        let run = dotenv_run(root, &path, CLIENT_KEY).arg("--allow-empty");
        run.args(["--", "true"]).finish().assert_status(0);
    }
}

fn the_generation_grows_with_every_change() {
    let dir = TempDir::new();
    init(dir.path(), "my-app").finish().assert_status(0);
    assert_eq!(generation(dir.path()), 1);
    let path = |count: u64| PATHS[count as usize % 3];
    for count in 2..6 {
        put(dir.path(), path(count), format!("A={count}\n"))
            .finish()
            .assert_status(0);
        assert_eq!(generation(dir.path()), count);
        assert_whole(dir.path());
    }
    sign(dir.path(), "my-app").finish().assert_status(0);
    assert_eq!(generation(dir.path()), 6);
    // A refusal changes nothing.
    let refused = put(dir.path(), "my-app", "A='\n");
    assert_refused_untouched(dir.path(), refused, &[]);
}

fn a_tree_without_a_manifest_gets_one_on_demand_only() {
    let tree = Tree::of(&world());
    fs::remove_file(tree.manifest("my-app")).unwrap();
    let run = || dotenv_run(tree.root(), PATHS[2], CLIENT_KEY);
    run().refuses(125, &["no manifest", "dotenv-seal sign"]);
    let refused = put(tree.root(), "my-app", "A=value-1\n");
    assert_refused_untouched(tree.root(), refused, &["no manifest", "dotenv-seal sign"]);
    let list = seal_program(&["list"]).arg(tree.root()).finish();
    assert!(
        !list.assert_status(0).text().contains("generation"),
        "{list}"
    );
    let outcome = sign(tree.root(), "my-app").finish();
    outcome.assert_status(0).assert_stdout("");
    assert_whole(tree.root());
    assert_eq!(generation(tree.root()), 1);
    put(tree.root(), "my-app", "A=1\n")
        .finish()
        .assert_status(0);
    assert_whole(tree.root());
    assert_eq!(generation(tree.root()), 2);
}

/// A put carries over what the manifest lists, not what it finds.
fn put_signs_nothing_that_somebody_else_has_changed() {
    let tree = Tree::of(&world());
    let old = fs::read(tree.secrets(PATHS[1])).unwrap();
    put(tree.root(), PATHS[1], "NEW=1\n")
        .finish()
        .assert_status(0);
    tree.write(&tree.secrets(PATHS[1]), old);
    let content = fs::read(tree.secrets("my-app")).unwrap();
    tree.write(&tree.secrets("my-app/foreign"), content);
    put(tree.root(), "my-app", "A=1\n")
        .finish()
        .assert_status(0);
    for (path, says) in [
        (PATHS[1], "level target of my-app/production is not the one"),
        ("my-app/foreign", "my-app/foreign is not in the manifest"),
    ] {
        dotenv_run(tree.root(), path, CLIENT_KEY).refuses(125, &[says]);
    }
}

fn sign_tells_what_it_accepts() {
    let tree = Tree::of(&world());
    let level = json!(seal(&key(), b"A=1\n"));
    for path in &PATHS[1..] {
        tree.edit(&tree.secrets(path), |document| {
            document["data"]["attributes"]["levels"]["target"]["content"] = level.clone();
        });
    }
    let run = || dotenv_run(tree.root(), PATHS[2], CLIENT_KEY);
    run().refuses(125, &["level target of my-app/production is not the one"]);
    let outcome = sign(tree.root(), "my-app").finish();
    let warned = "level target of my-app/production was not the one in the manifest";
    assert!(
        outcome.assert_status(0).stderr.contains(warned),
        "{outcome}"
    );
    assert_whole(tree.root());
    assert_eq!(generation(tree.root()), 2);
    fs::remove_dir_all(tree.secrets(PATHS[2]).parent().unwrap()).unwrap();
    let outcome = sign(tree.root(), "my-app").finish();
    let warned = "my-app/production/api is missing";
    assert!(
        outcome.assert_status(0).stderr.contains(warned),
        "{outcome}"
    );
    assert_whole(tree.root());
}

/// As a writer of an older version could leave them that was killed.
fn documents_that_contradict_each_other_are_put_right() {
    let tree = Tree::of(&world());
    fs::remove_file(tree.manifest("my-app")).unwrap();
    let level = json!(seal(&key(), b"NEW=1\n"));
    tree.edit(&tree.secrets(PATHS[2]), |document| {
        document["data"]["attributes"]["levels"]["project"]["content"] = level.clone();
    });
    let outcome = sign(tree.root(), "my-app").finish();
    let warned = "my-app/production/api did not have the levels";
    assert!(
        outcome.assert_status(0).stderr.contains(warned),
        "{outcome}"
    );
    assert_whole(tree.root());
    let levels = Store::of(tree.root()).levels(PATHS[2]);
    assert_eq!(levels["project"], "OLD=1\n");
}

fn sign_refuses_what_the_key_does_not_open() {
    let tree = Tree::of(&world());
    let wrong = |run: Run| run.env("DOTENV_CLIENT_KEY", "wrong");
    let refused = wrong(sign(tree.root(), "my-app"));
    assert_refused_untouched(tree.root(), refused, &["wrong client key"]);
    fs::remove_file(tree.manifest("my-app")).unwrap();
    let refused = wrong(sign(tree.root(), "my-app"));
    assert_refused_untouched(
        tree.root(),
        refused,
        &["level project", "my-app", "wrong client key"],
    );
    tree.edit(&tree.secrets(PATHS[2]), flip_bit("environment", 200));
    let refused = sign(tree.root(), "my-app");
    assert_refused_untouched(tree.root(), refused, &["level environment", PATHS[2]]);
    let tree = Tree::example();
    for (project, says) in [
        ("managed", "not client-managed"),
        ("legacy", "not client-managed"),
        ("missing", "missing"),
        ("my-app/production", "not a longer path"),
    ] {
        assert_refused_untouched(tree.root(), sign(tree.root(), project), &[says]);
    }
    let plain = Project::new("plain", Custody::client()).plain_level("", "A=value-1\n");
    let tree = Tree::of_project(plain);
    let refused = sign(tree.root(), "plain");
    assert_refused_untouched(tree.root(), refused, &["level project", "not encrypted"]);
}

fn json_levels_can_be_signed() {
    let project = Project::new("my-app", Custody::client()).format("json");
    let tree = Tree::of_project(project.level("", "{\"A\":\"1\"}"));
    fs::remove_file(tree.manifest("my-app")).unwrap();
    sign(tree.root(), "my-app").finish().assert_status(0);
    let run = dotenv_run(tree.root(), "my-app", CLIENT_KEY);
    assert_eq!(run.variables(), ["A=1"]);
}

fn a_manifest_that_is_none_keeps_everything_from_being_written() {
    let foreign = manifest_text(FOREIGN_ORGANIZATION, "my-app", 1, &[]);
    let other = manifest_text(ORGANIZATION, "other", 1, &[]);
    let good = Tree::of(&world());
    let good: Value = read_json(&good.manifest("my-app"));
    let blob = |content: Value| {
        let mut document = good.clone();
        document["data"]["attributes"]["content"] = content;
        document.to_string()
    };
    let texts = [
        "rubbish".to_owned(),
        manifest(&key(), 1, &foreign).to_string(),
        manifest(&key(), 1, &other).to_string(),
        manifest(&key(), 1, "rubbish").to_string(),
        blob(json!("rubbish")),
        // A level of the project is no manifest.
        blob(json!(seal(&key(), b"OLD=1\n"))),
        good.to_string()
            .replace("\"generation\":1", "\"generation\":8"),
    ];
    for text in texts {
        let tree = Tree::of(&world());
        tree.write(&tree.manifest("my-app"), &text);
        for run in [
            put(tree.root(), PATHS[1], "A=1\n"),
            sign(tree.root(), "my-app"),
        ] {
            assert_refused_untouched(tree.root(), run, &["manifest"]);
        }
    }
}

fn sixteen_writers_and_a_reader_find_a_whole_tree() {
    let tree = Tree::of(&world());
    let paths: Vec<_> = (0..16)
        .map(|index| match index % 4 {
            0 => format!("my-app/t{index}"),
            1 => format!("my-app/t{}/e{index}", index - 1),
            2 => format!("my-app/production/e{index}"),
            _ => PATHS[index % 3].to_owned(),
        })
        .collect();
    let (done, reads) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for path in PATHS {
            let (tree, done, reads) = (&tree, &done, &reads);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let run = dotenv_run(tree.root(), path, CLIENT_KEY);
                    run.args(["--", "true"]).finish().assert_status(0);
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _done = super::durability::SetOnDrop(&done);
        let writers: Vec<_> = paths
            .iter()
            .map(|path| put(tree.root(), path, format!("BY={path}\n")).spawn())
            .collect();
        for writer in writers {
            writer.wait().assert_status(0);
        }
        let enough = reads.load(Ordering::Relaxed) + 6;
        wait_until("more reads", || reads.load(Ordering::Relaxed) >= enough);
    });
    // Two of them put the same text at the same path, which is one change.
    assert_eq!(generation(tree.root()), 16);
    assert_whole(tree.root());
    let store = Store::of(tree.root());
    for path in paths.iter().filter(|path| !PATHS.contains(&&***path)) {
        let own = LEVELS[path.matches('/').count()];
        assert_eq!(store.levels(path)[own], format!("BY={path}\n"));
    }
}

/// Fifty kills, two hundred under `make soak`: after each the tree is whole, and the next call ends what was begun.
fn a_writer_killed_at_a_random_moment_leaves_a_whole_tree() {
    let tree = Tree::of(&world());
    for target in 0..6 {
        let path = format!("my-app/production/e{target}");
        put(tree.root(), &path, "A=1\n").finish().assert_status(0);
    }
    let begun = Instant::now();
    put(tree.root(), "my-app", "ROUND=0\n")
        .finish()
        .assert_status(0);
    let whole = begun.elapsed();
    let (kills, mut killed, mut changed) = (rounds(50, 200), 0, 0);
    let (mut round, mut random) = (0_usize, 0x2545_f491_4f6c_dd1d_u64);
    while killed < kills {
        round += 1;
        assert!(round < 20 * kills, "no writer is killed before it ends");
        let path = PATHS[round % 2];
        let live = put(tree.root(), path, format!("ROUND={round}\n")).spawn();
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        thread::sleep(whole.mul_f64(random as f64 / u64::MAX as f64));
        live.signal(Signal::SIGKILL);
        let outcome = live.wait();
        if !outcome.status.success() {
            outcome.assert_killed_by(Signal::SIGKILL);
            killed += 1;
        }
        for path in PATHS {
            let run = dotenv_run(tree.root(), path, CLIENT_KEY);
            let outcome = run.args(["--", "printenv", "ROUND"]).finish();
            outcome.assert_status(0);
            let number: usize = outcome.text().trim().parse().expect("a round");
            assert!(number <= round, "{outcome}");
            changed += usize::from(number == round);
        }
    }
    assert!(
        changed > 0,
        "all were killed before they had written anything"
    );
    put(tree.root(), PATHS[2], "LAST=1\n")
        .finish()
        .assert_status(0);
    assert_whole(tree.root());
    let text = |path: &str, level: &str| Store::of(tree.root()).levels(path)[level].clone();
    for level in ["project", "target"] {
        let path = "my-app/production/e0";
        assert_eq!(text(path, level), text(PATHS[2], level));
    }
    let files = snapshot(tree.root()).into_keys();
    let names = files.filter_map(|path| path.file_name().map(|name| name.to_owned()));
    let left: BTreeSet<_> = names
        .filter(|name| name.to_str().unwrap().starts_with('.'))
        .collect();
    let own = tree.root().file_name().unwrap();
    assert!(left.iter().all(|name| name == own), "{left:?}");
}

/// Killed at the rename of each document in turn.
fn an_interrupted_change_is_brought_to_an_end() {
    for (written, is_new) in [(1, false), (2, true), (3, true)] {
        let tree = Tree::of(&world());
        let old = Store::of(tree.root()).levels("my-app")["project"].clone();
        let next = {
            let other = Tree::of(&world());
            put(other.root(), "my-app", "NEW=1\n")
                .finish()
                .assert_status(0);
            PATHS.map(|path| fs::read(other.secrets(path)).unwrap())
        };
        // What the manifest lists when both are.
        let states = |tree: &Tree| {
            let content = &read_json(&tree.secrets("my-app"))["data"]["attributes"]["levels"];
            digest(content["project"]["content"].as_str().unwrap())
        };
        let new: Value = serde_json::from_slice(&next[0]).unwrap();
        let new_content = &new["data"]["attributes"]["levels"]["project"]["content"];
        let both = format!(
            "{} {}",
            states(&tree),
            digest(new_content.as_str().unwrap())
        );
        let own = |path: &str, level: &str| {
            let document = read_json(&tree.secrets(path));
            let content = &document["data"]["attributes"]["levels"][level]["content"];
            Some(digest(content.as_str().unwrap()))
        };
        let entries = [
            (PATHS[0].to_owned(), Some(both)),
            (PATHS[1].to_owned(), own(PATHS[1], "target")),
            (PATHS[2].to_owned(), own(PATHS[2], "environment")),
        ];
        let text = manifest_text(ORGANIZATION, "my-app", 1, &entries);
        tree.write(
            &tree.manifest("my-app"),
            manifest(&key(), 1, &text).to_string(),
        );
        for path in &PATHS[..written - 1] {
            tree.edit(&tree.secrets(path), |document| {
                document["data"]["attributes"]["levels"]["project"]["content"] =
                    new_content.clone();
            });
        }
        assert_whole(tree.root());
        put(tree.root(), PATHS[2], "OTHER=1\n")
            .finish()
            .assert_status(0);
        assert_whole(tree.root());
        assert_eq!(generation(tree.root()), 3);
        let store = Store::of(tree.root());
        for path in PATHS {
            let expected = if is_new { "NEW=1\n" } else { &old };
            assert_eq!(store.levels(path)["project"], expected, "{written}: {path}");
        }
        let outcome = sign(tree.root(), "my-app").finish();
        assert!(
            !outcome.assert_status(0).stderr.contains("manifest"),
            "{outcome}"
        );
    }
}

fn nothing_is_sealed_under_a_weak_key_unless_that_is_said() {
    let of = |salt: &str, iterations: Option<u32>| {
        let custody = Custody {
            salt: Some(salt.into()),
            iterations,
            ..Custody::client()
        };
        let project = Project::new("my-app", custody).level("", "OLD=1\n");
        Tree::of_project(project)
    };
    let long = "a salt of the service that is longer";
    let cases = [
        ("sixteen bytes...", Some(1000), "1000 PBKDF2"),
        ("sixteen bytes...", Some(599_999), "599999 PBKDF2"),
        ("salt", Some(600_000), "did not make"),
        (long, None, "did not make"),
    ];
    for (salt, iterations, says) in cases {
        let tree = of(salt, iterations);
        for run in [
            put(tree.root(), "my-app", "A=value-1\n"),
            sign(tree.root(), "my-app"),
        ] {
            let strict = run.clone().without("--allow-weak-key");
            assert_refused_untouched(tree.root(), strict, &[says, "--allow-weak-key"]);
            let outcome = run.finish();
            assert!(outcome.assert_status(0).stderr.contains(says), "{outcome}");
        }
    }
    for iterations in [None, Some(600_000), Some(700_000)] {
        let tree = of("sixteen bytes...", iterations);
        for run in [
            put(tree.root(), "my-app", "A=1\n"),
            sign(tree.root(), "my-app"),
        ] {
            let outcome = run.without("--allow-weak-key").finish();
            assert_eq!(outcome.assert_status(0).warnings().len(), 0, "{outcome}");
        }
    }
    // Without any level nothing shows that the salt is the right one.
    let tree = of("sixteen bytes...", None);
    tree.edit(&tree.secrets("my-app"), |document| {
        document["data"]["attributes"]["levels"] = json!([]);
    });
    fs::remove_file(tree.manifest("my-app")).unwrap();
    let strict = sign(tree.root(), "my-app").without("--allow-weak-key");
    assert_refused_untouched(tree.root(), strict, &["no level", "--allow-weak-key"]);
}

fn leftovers_of_the_dead_are_removed_and_nothing_else() {
    let dead = Run::program("true").spawn();
    let number = dead.pid();
    dead.wait();
    let living = Run::program("sleep").arg("1000").spawn();
    let tree = Tree::of(&world());
    let elsewhere = TempDir::new();
    let outside = elsewhere.file("outside", "outside");
    let top = tree.root().join("api/v1");
    let organization = top.join(ORGANIZATION);
    let project = organization.join("my-app");
    let left = [
        top.join(format!(".organization.{number}")),
        project.join(format!(".secrets.{number}")),
        project.join(format!(".encryption-key.{number}")),
        project.join(format!(".manifest.{number}")),
        project.join(format!("production/api/.secrets.{number}")),
        organization
            .join("my-app/production")
            .join(format!(".secrets.{number}")),
    ];
    let stays = [
        project.join(format!(".secrets.{}", living.pid())),
        project.join(".secrets.1"),
        project.join(".secrets.0"),
        project.join(format!(".secrets.0{number}")),
        project.join(format!(".secrets.+{number}")),
        project.join(format!(".secrets.-{number}")),
        project.join(format!(".secrets.{number}x")),
        project.join(format!(".secrets.{number}.bak")),
        project.join(format!("secrets.{number}")),
        project.join(format!("..secrets.{number}")),
        project.join(format!(".other.{number}")),
        project.join(".secrets."),
        project.join(".secrets.99999999999999999999"),
        project.join(".gitignore"),
        tree.root().join(format!(".secrets.{number}")),
        outside.clone(),
    ];
    let plant = || {
        for file in left.iter().chain(&stays) {
            let _ = fs::create_dir_all(file.parent().unwrap());
            File::create(file).unwrap();
        }
    };
    let link = project.join(format!(".manifest.1{number}"));
    let runs: [fn(&Path) -> Run; 4] = [
        |root| put(root, PATHS[1], "A=1\n"),
        |root| sign(root, "my-app"),
        |root| init(root, "new"),
        // One that fails has cleaned up all the same.
        |root| init(root, "my-app"),
    ];
    let _ = fs::remove_file(&link);
    symlink(&outside, &link).unwrap();
    for run in runs {
        plant();
        run(tree.root()).finish();
        for file in &left {
            assert!(!file.exists(), "{}", file.display());
        }
        for file in stays.iter().chain([&link]) {
            assert!(fs::symlink_metadata(file).is_ok(), "{}", file.display());
        }
    }
    living.signal(Signal::SIGKILL);
    living.wait();
    plant();
    put(tree.root(), PATHS[1], "A=1\n")
        .finish()
        .assert_status(0);
    assert!(!stays[0].exists(), "its process is gone too");
    let directory = project.join(format!(".secrets.2{number}"));
    fs::create_dir(&directory).unwrap();
    put(tree.root(), PATHS[1], "A=1\n")
        .finish()
        .assert_status(0);
    assert!(directory.exists());
}

fn a_target_may_not_lie_where_the_manifest_does() {
    let tree = Tree::of(&world());
    for path in ["my-app/manifest", "my-app/manifest/api"] {
        let run = put(tree.root(), path, "A=value-1\n");
        assert_refused_untouched(tree.root(), run, &["named manifest"]);
        let run = dotenv_run(tree.root(), path, CLIENT_KEY);
        run.refuses(125, &[path, "no such"]);
    }
    put(tree.root(), "my-app/production/manifest", "A=1\n")
        .finish()
        .assert_status(0);
    assert_whole(tree.root());
}
