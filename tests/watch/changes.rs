//! What changes, and what becomes of it.

use std::time::Duration;

use super::*;

/// What makes a tree good again.
type Repair<'a> = Box<dyn FnOnce(&Tree) + 'a>;

/// The ways in which a tree can fail for a while.
const OUTAGES: [fn(&Tree) -> Repair<'_>; 5] = [
    // It is not there.
    |tree| {
        let away = tree.root().join("away");
        let api = tree.root().join("api");
        fs::rename(&api, &away).expect("a tree that goes away");
        Box::new(move |_| fs::rename(away, api).expect("a tree that comes back"))
    },
    |tree| spoiled(tree, tree.secrets(PATH), |_| Vec::new()),
    |tree| {
        spoiled(tree, tree.secrets(PATH), |mut text| {
            text.truncate(text.len() / 2);
            text
        })
    },
    |tree| {
        spoiled(tree, tree.encryption_key("my-app"), |text| {
            let text = String::from_utf8(text).expect("a document");
            text.replace(":1000,", ":1001,").into_bytes()
        })
    },
    |tree| spoiled(tree, tree.organization(), |_| b"{\"data\":{}}".to_vec()),
];

/// Puts a broken document in the place of a good one, until what is returned puts that back.
fn spoiled(
    tree: &Tree,
    document: std::path::PathBuf,
    spoil: impl FnOnce(Vec<u8>) -> Vec<u8>,
) -> Repair<'_> {
    let good = fs::read(&document).expect("a document of the tree");
    let bad = spoil(good.clone());
    assert_ne!(good, bad, "nothing is spoiled");
    replace(tree, &document, bad);
    Box::new(move |tree| replace(tree, &document, good))
}

/// Every change is one restart with a whole set, and no outage is any. Between changes there is each kind of outage,
/// five under `make test`, and thirty changes with ten under `make soak`.
pub fn every_change_is_one_restart_whatever_fails_between() {
    let changes = rounds(OUTAGES.len(), 30);
    let calm = rounds(1, 3);
    let tree = tree();
    let run = watched(tree.dotenv_run(), WAIT).limit(Duration::from_secs(600));
    let live = run.spawn();
    wait_for_starts(&live, 1);
    let mut outages = 0;
    for change in 1..=changes {
        if change % calm == 0 {
            let warned = || {
                live.errors_so_far()
                    .matches("the command keeps the old ones")
                    .count()
            };
            let before = warned();
            let repair = OUTAGES[outages % OUTAGES.len()](&tree);
            wait_until("a warning", || warned() > before);
            assert_eq!(starts(&live).len(), change);
            repair(&tree);
            outages += 1;
        }
        put(&tree, change + 1);
        wait_for_starts(&live, change + 1);
    }
    let generations: Vec<_> = starts(&live).iter().map(|(_, it)| *it).collect();
    assert_eq!(generations, (1..=changes + 1).collect::<Vec<_>>());
    assert_eq!(outages, rounds(5, 10));
    let outcome = end(live);
    outcome.assert_killed_by(Signal::SIGTERM);
    // Each outage is told when it begins, and when it is over.
    assert_eq!(told(&outcome).len(), 2 * outages, "{outcome}");
}

/// Changes that follow each other sooner than a second are one.
pub fn a_set_is_used_only_after_it_has_stayed_the_same() {
    let tree = tree();
    let live = watched(tree.dotenv_run().arg("-v"), WAIT).spawn();
    wait_for_starts(&live, 1);
    let seen = || {
        live.errors_so_far()
            .matches("documents have changed")
            .count()
    };
    let documents = (2..=4).map(|generation| fs::read(Tree::of(&world(generation)).secrets(PATH)));
    let documents: Vec<_> = documents.map(|it| it.expect("a document")).collect();
    for (generation, document) in (2..).zip(documents) {
        replace_secrets(&tree, PATH, document);
        wait_until("a change that is seen", || seen() >= generation - 1);
        assert_eq!(starts(&live).len(), 1);
    }
    wait_for_starts(&live, 2);
    assert_eq!(starts(&live)[1].1, 4);
    end(live);
}

pub fn what_changes_back_changes_nothing() {
    let tree = tree();
    let good = fs::read(tree.secrets(PATH)).expect("a document");
    let live = watched(tree.dotenv_run().arg("-v"), WAIT).spawn();
    wait_for_starts(&live, 1);
    put(&tree, 2);
    wait_for_message(&live, "the sealed documents have changed");
    replace_secrets(&tree, PATH, good);
    wait_for_questions(&live, 2);
    wait_for_starts(&live, 1);
    assert!(!end(live).stderr.contains("the secrets have changed"));
}

pub fn the_same_values_sealed_anew_change_nothing() {
    let tree = tree();
    let live = watched(tree.dotenv_run().arg("-v"), WAIT).spawn();
    wait_for_starts(&live, 1);
    put(&tree, 1);
    wait_for_message(&live, "sealed again with the same values");
    // From now on these documents are the known ones.
    wait_for_questions(&live, 2);
    wait_for_starts(&live, 1);
    let outcome = end(live);
    assert_eq!(
        outcome.stderr.matches("sealed again").count(),
        1,
        "{outcome}"
    );
}

pub fn the_command_may_get_a_signal_instead() {
    let tree = tree();
    let script = "trap 'echo told' USR1; while :; do sleep 0.01; done";
    let options = ["--on-change", "USR1", "-v"];
    let live = watched(tree.dotenv_run().args(options), script).spawn();
    let process = wait_for_starts(&live, 1);
    let told = || live.output_so_far().matches("told\n").count();
    for change in 1..=3 {
        put(&tree, change + 1);
        wait_until("a signal", || told() == change);
    }
    wait_for_questions(&live, 2);
    assert_eq!(told(), 3);
    assert_eq!(starts(&live), [(process, 1)]);
    end(live);
}

pub fn the_run_may_end_instead() {
    for (script, status) in [
        ("trap 'exit 7' TERM; while :; do sleep 0.01; done", Some(7)),
        (WAIT, None),
    ] {
        let tree = tree();
        let live = watched(tree.dotenv_run().args(["--on-change=exit"]), script).spawn();
        wait_for_starts(&live, 1);
        let processes = family(live.pid());
        put(&tree, 2);
        let outcome = live.wait();
        match status {
            Some(status) => outcome.assert_status(status),
            None => outcome.assert_killed_by(Signal::SIGTERM),
        };
        assert_eq!(outcome.text().matches("start ").count(), 1, "{outcome}");
        assert_eq!(told(&outcome), [""; 0], "{outcome}");
        assert_gone(&processes);
    }
}

pub fn files_in_memory_are_those_of_the_new_set() {
    let tree = tree();
    let script = "grep -c =.2 \"$SET\"; grep -h G0_0 \"$SET\"; exec sleep 1000";
    let live = watched(tree.dotenv_run().args(["--file", "SET"]), script).spawn();
    wait_for_starts(&live, 1);
    put(&tree, 2);
    wait_for_starts(&live, 2);
    live.wait_for_output("G0_0=2");
    end(live);
}

/// As is one that breaks and is mended again.
pub fn a_local_file_that_changes_is_a_change() {
    let (tree, dir) = (tree(), TempDir::new());
    let file = dir.file("local", "X=first\n");
    let script = "echo value $X; while :; do sleep 0.01; done";
    let run = tree.dotenv_run().arg("--overrides").arg(&file);
    let live = watched(run, script).spawn();
    live.wait_for_output("value first\n");
    fs::write(&file, "X='open\n").expect("a file");
    wait_for_message(&live, "line 1: X: a quote is never closed");
    fs::write(&file, "X=second\n").expect("a file");
    live.wait_for_output("value second\n");
    assert_eq!(starts(&live).len(), 2);
    end(live);
}
