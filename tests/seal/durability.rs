//! What `dotenv-seal` leaves on the disk: whole documents at every moment and whatever fails,
//! nothing but ciphertext, and nothing outside of the tree.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use nix::sys::signal::Signal;

use super::store::*;
use crate::support::*;

/// A mount of its own that can be made read-only, which also holds for root.
pub const MOUNTS: fn() -> Result<(), String> = || {
    let dir = TempDir::new();
    let outcome = read_only(dir.path(), Run::program("true")).finish();
    match outcome.status.success() {
        true => Ok(()),
        false => Err("needs unshare that may mount".into()),
    }
};

/// Runs with `root` mounted read-only.
fn read_only(root: &Path, run: Run) -> Run {
    run.with_mounts(
        root,
        "mount --bind \"$0\" \"$0\"\nmount -o remount,bind,ro \"$0\"",
    )
}

/// The text of one round: one half of it tells which the other half must be.
fn round(number: usize) -> String {
    format!(
        "ROUND={number}\nPAD={}\n",
        number.to_string().repeat(20_000)
    )
}

fn assert_is_round(text: &str) {
    let number = text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("ROUND="));
    let number = number.and_then(|number| number.parse().ok());
    assert!(
        number.is_some_and(|number| text == round(number)),
        "half a text"
    );
}

/// Two threads read every document while three processes at a time replace them; `dotenv-run` runs
/// meanwhile too.
pub fn a_reader_sees_old_or_new_documents_only() {
    let places = ["", "production", "production/api"];
    let project = places.into_iter().fold(
        Project::new("my-app", Custody::client()),
        |project, place| project.level(place, &round(0)),
    );
    let tree = Tree::of(&World::new(vec![project]));
    let paths = ["my-app", "my-app/production", "my-app/production/api"];
    let (store, done) = (Store::of(tree.root()), AtomicBool::new(false));
    let (key, reads) = (store.key("my-app", CLIENT_KEY), AtomicUsize::new(0));
    let read_all = || {
        for (index, path) in paths.iter().enumerate() {
            let levels = store.open(path, &key);
            assert_eq!(levels.len(), index + 1);
            levels.values().for_each(|text| assert_is_round(text));
            reads.fetch_add(1, Ordering::Relaxed);
        }
    };
    let run = || {
        let run = dotenv_run(tree.root(), "my-app/production/api", CLIENT_KEY);
        let outcome = run.args(["--", "printenv", "ROUND", "PAD"]).finish();
        let lines: Vec<_> = outcome.assert_status(0).text().lines().collect();
        assert_is_round(&format!("ROUND={}\nPAD={}\n", lines[0], lines[1]));
    };
    thread::scope(|scope| {
        for check in [&read_all as &(dyn Fn() + Sync), &read_all, &run] {
            let done = &done;
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    check();
                }
            });
        }
        let _done = SetOnDrop(&done);
        for number in 1..=9 {
            let live = paths.map(|path| put(tree.root(), path, round(number)).spawn());
            live.into_iter().for_each(|live| {
                live.wait().assert_status(0);
            });
        }
        wait_until("300 reads", || reads.load(Ordering::Relaxed) >= 300);
    });
    read_all();
}

/// Ends the loops of the readers, also when the writer panics.
pub struct SetOnDrop<'a>(pub &'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub fn concurrent_puts_lose_no_level() {
    for _ in 0..3 {
        assert_no_level_is_lost(|put| put);
    }
}

/// The same with every document held back while the others could be read, which makes sure that they
/// would get into each other's way.
pub fn puts_that_take_long_lose_no_level() {
    let delay = "inject=/^rename:delay_enter=20000";
    let slowly = ["strace", "-qq", "-o", "/dev/null", "-e", delay, "--"];
    assert_no_level_is_lost(|put| put.under(slowly));
}

/// Eight puts at a time.
fn assert_no_level_is_lost(how: impl Fn(Run) -> Run) {
    let paths = [
        "my-app",
        "my-app/a",
        "my-app/b",
        "my-app/c",
        "my-app/a/x",
        "my-app/a/y",
        "my-app/b/x",
        "my-app/c/x",
    ];
    let project = Project::new("my-app", Custody::client()).level("", "OLD=1\n");
    let tree = Tree::of(&World::new(vec![project]));
    let start = |path| how(put(tree.root(), path, format!("PATH_IS={path}\n"))).spawn();
    for live in paths.map(start) {
        live.wait().assert_status(0);
    }
    let levels = |path: &str| {
        let segments: Vec<_> = path.split('/').collect();
        let text = |depth: usize| format!("PATH_IS={}\n", segments[..=depth].join("/"));
        let level = |depth: usize| (LEVELS[depth].to_owned(), text(depth));
        (path.to_owned(), (0..segments.len()).map(level).collect())
    };
    let expected = paths.map(levels);
    let found = Store::of(tree.root()).all_levels(CLIENT_KEY);
    assert_eq!(found, BTreeMap::from(expected));
}

/// The system calls between which the disk changes.
const STEPS: [&str; 4] = ["/^mkdir", "/^write", "/^fsync", "/^rename"];

/// Runs a put at `path` again and again on fresh trees, with `fault` at the first, second … call of
/// each step until there are no more; `check` sees every run that met one. After each the tree is
/// still readable, and the next put and list are none the worse for it.
fn at_every_step(path: &str, fault: &str, check: impl Fn(&Tree, &Outcome)) {
    for (step, minimum) in STEPS.into_iter().zip([0, 2, 2, 2]) {
        for count in 1.. {
            let tree = example();
            let (outcome, call) = with_fault(&tree, path, &format!("{step}:{fault}:when={count}"));
            let Some(call) = call else {
                outcome.assert_status(0);
                assert!(count > minimum, "{step} came only {} times", count - 1);
                break;
            };
            if call.contains("write(2,") {
                // That nobody hears a warning keeps nothing from being sealed.
                outcome.assert_status(0);
                continue;
            }
            check(&tree, &outcome);
            assert_old_or_new(&tree, path);
            put(tree.root(), path, "NEW=1\n").finish().assert_status(0);
            let list = seal_program(&["list"]).arg(tree.root()).finish();
            let line = format!("{path}\t");
            assert!(list.assert_status(0).text().contains(&line), "{list}");
            assert_is_new(&tree, path);
        }
    }
}

/// Runs a put under strace with a fault, and tells which call met it, if one did.
fn with_fault(tree: &Tree, path: &str, fault: &str) -> (Outcome, Option<String>) {
    let dir = TempDir::new();
    let log = dir.path().join("log");
    let (inject, log) = (format!("inject={fault}"), log.to_str().expect("UTF-8"));
    let wrapper = ["strace", "-f", "-qq", "-e", &inject, "-o", log, "--"];
    let outcome = put(tree.root(), path, "NEW=1\n").under(wrapper).finish();
    if outcome.status.signal().is_some() {
        return (outcome, Some("killed".into()));
    }
    let log = fs::read_to_string(log).expect("the log of strace");
    let call = log.lines().find(|line| line.contains("(INJECTED)"));
    (outcome, call.map(str::to_owned))
}

/// Every document opens and holds the levels of the example, the one of `path` perhaps new, as
/// `dotenv-run` finds it too.
fn assert_old_or_new(tree: &Tree, path: &str) {
    let old: BTreeMap<_, _> = LEVELS.into_iter().zip(OLD).collect();
    let changed = LEVELS[path.matches('/').count()];
    let store = Store::of(tree.root());
    for place in store.places() {
        for (name, text) in store.levels(&place) {
            let is_new = name == changed && text == "NEW=1\n";
            assert!(is_new || text == old[name.as_str()], "{place}: {name}");
        }
        let run = dotenv_run(tree.root(), &place, CLIENT_KEY);
        run.args(["--", "true"]).finish().assert_status(0);
    }
}

/// The levels of [`example`].
const OLD: [&str; 3] = ["OLD=project\n", "OLD=target\n", "OLD=environment\n"];

fn example() -> Tree {
    let places = ["", "production", "production/api"].into_iter().zip(OLD);
    let project = Project::new("my-app", Custody::client());
    let project = places.fold(project, |project, (place, text)| project.level(place, text));
    Tree::of(&World::new(vec![project]))
}

fn assert_is_new(tree: &Tree, path: &str) {
    let store = Store::of(tree.root());
    let level = LEVELS[path.matches('/').count()];
    let places = store.places();
    let affected: Vec<_> = places
        .iter()
        .filter(|place| place.starts_with(path))
        .collect();
    assert!(!affected.is_empty());
    for place in affected {
        assert_eq!(store.levels(place)[level], "NEW=1\n", "{place}");
    }
}

pub fn a_put_killed_at_any_moment_leaves_a_readable_tree() {
    for path in ["my-app", "my-app/staging/api"] {
        at_every_step(path, "signal=KILL", |_, outcome| {
            outcome.assert_killed_by(Signal::SIGKILL);
        });
    }
}

pub fn a_failed_write_leaves_every_document_old_or_new() {
    for path in ["my-app", "my-app/staging/api"] {
        at_every_step(path, "error=ENOSPC", |tree, outcome| {
            outcome.assert_refused(125, &["no space left"]);
            assert_no_other_files(tree.root());
        });
    }
}

/// That a tree has no file but its documents.
fn assert_no_other_files(root: &Path) {
    let is_document = |path: &PathBuf| {
        let documents = ["organization", "encryption-key", "manifest", "secrets"];
        path.is_dir() || documents.iter().any(|document| path.ends_with(document))
    };
    let others: Vec<_> = snapshot(root)
        .into_keys()
        .filter(|path| !is_document(path))
        .collect();
    assert!(others.is_empty(), "{others:?}");
}

/// Of every document: written, synced, put in place, and its directory synced.
pub fn documents_are_on_the_disk_before_they_are_in_place() {
    let tree = Tree::example();
    let run = put(tree.root(), "my-app", "NEW=1\n");
    let trace = strace(run, "/^(open|write|fsync|fdatasync|rename)");
    trace.outcome.assert_status(0);
    let mut open = BTreeMap::new();
    let mut synced = Vec::new();
    let mut in_place = Vec::new();
    for call in &trace.calls {
        let quoted: Vec<_> = call.arguments.split('"').skip(1).step_by(2).collect();
        let descriptor = call.arguments.split([',', ')']).next().unwrap_or_default();
        match call.name.as_str() {
            "openat" => _ = open.insert(call.result.clone(), quoted[0].to_owned()),
            "write" => synced.retain(|path| open.get(descriptor) != Some(path)),
            "fsync" | "fdatasync" => synced.extend(open.get(descriptor).cloned()),
            name if name.starts_with("rename") => {
                assert!(synced.iter().any(|path| path == quoted[0]), "{call:?}");
                synced.retain(|path| Path::new(quoted[1]).parent() != Some(Path::new(path)));
                in_place.push(PathBuf::from(quoted[1]));
            }
            _ => (),
        }
    }
    // The manifest before and after the documents.
    assert_eq!(in_place.len(), 5, "{:?}", trace.calls);
    for index in [0, 4] {
        assert!(in_place[index].ends_with("my-app/manifest"), "{in_place:?}");
    }
    for document in &in_place {
        let directory = document.parent().unwrap().to_str().unwrap();
        assert!(
            synced.iter().any(|path| path == directory),
            "{directory}: {synced:?}"
        );
    }
    let written = trace
        .calls
        .iter()
        .filter(|call| call.opens_for_writing())
        .count();
    assert_eq!(written, 5, "something else is written: {:?}", trace.calls);
}

pub fn only_ciphertext_is_written() {
    let (dir, key) = (TempDir::new(), keygen());
    let text = "# commentary\nNAME_ONE=\"swordfish first\"\nNAME_TWO='otters second'\n";
    let needles = [
        "commentary",
        "NAME_ONE",
        "swordfish",
        "NAME_TWO",
        "otters",
        &key,
    ];
    let root = dir.path().join("tree");
    let run = |command: &[&str]| {
        let run = seal_program(&command[..1]).arg(&root).args(&command[1..]);
        run.env("DOTENV_CLIENT_KEY", &key).stdin(text)
    };
    let commands: [&[&str]; 4] = [
        &["init", "my-app"],
        &["put", "my-app/a/b"],
        &["put", "my-app"],
        &["list"],
    ];
    for command in commands {
        let calls = "write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,splice,copy_file_range,mmap,\
             ?memfd_secret";
        let trace = strace(run(command), calls);
        trace.outcome.assert_status(0);
        let mut memory = None;
        for call in &trace.calls {
            if call.name == "memfd_secret" {
                memory = Some(format!("MAP_FIXED_NOREPLACE, {}, 0", call.result));
            }
            let found = needles
                .iter()
                .find(|needle| call.arguments.contains(**needle));
            assert_eq!(found, None, "{call:?}");
            let maps_a_file = call.name == "mmap"
                && call.arguments.contains("MAP_SHARED")
                && call.arguments.contains("PROT_WRITE")
                && memory
                    .as_ref()
                    .is_none_or(|memory| !call.arguments.contains(memory));
            assert!(!maps_a_file, "{call:?}");
        }
        let has_written = trace.calls.iter().any(|call| call.name == "write");
        assert!(has_written, "{command:?} is traced");
    }
    for (path, entry) in snapshot(dir.path()) {
        let content = String::from_utf8_lossy(&entry.content);
        let found = needles.iter().find(|needle| content.contains(**needle));
        assert_eq!(found, None, "{}", path.display());
    }
    let levels = Store::of(&root).levels_with("my-app/a/b", &key);
    assert_eq!(levels, texts(&[("project", text), ("environment", text)]));
}

/// A process may get the number of the killed one again, in a container the next one does; and
/// whoever planted a link under that name gains nothing.
pub fn what_a_killed_put_left_behind_disturbs_nobody() {
    let outside = TempDir::new();
    let target = outside.file("target", "untouched");
    let plants = [
        "printf '{' >\"$1\"",
        "ln -s \"$2\" \"$1\"",
        "ln -s \"$2.new\" \"$1\"",
        "ln \"$2\" \"$1\"",
    ];
    for plant in plants {
        let tree = Tree::example();
        let below = tree.secrets("my-app");
        let script = format!(
            "set -e; d=${{1%/*}}; for f in \"$d/.secrets.$$\" \"$d/.secrets.1\"; do \
             set -- \"$f\" \"$2\" \"$3\" \"$4\"; {plant}; done; exec \"$3\" put \"$4\" my-app --allow-weak-key --replace"
        );
        let run = Run::shell(&script).arg("sh");
        let run = run
            .arg(&below)
            .arg(&target)
            .arg(env!("CARGO_BIN_EXE_dotenv-seal"));
        let run = run.arg(tree.root()).env("DOTENV_CLIENT_KEY", CLIENT_KEY);
        let run = run.stdin("NEW=1\n");
        run.finish().assert_status(0);
        assert_is_new(&tree, "my-app");
        assert!(fs::symlink_metadata(&below).unwrap().is_file());
        assert_eq!(fs::read(&target).unwrap(), b"untouched");
        assert_eq!(snapshot(outside.path()).len(), 2, "{plant}");
        let list = seal_program(&["list"]).arg(tree.root()).finish();
        assert_eq!(list.assert_status(0).text().lines().count(), 10, "{list}");
    }
}

/// Ciphertext is for whoever serves it; who must not even see that gets it from the umask.
pub fn documents_get_the_permissions_of_the_umask() {
    for (umask, file, directory) in [
        ("022", 0o644, 0o755),
        ("077", 0o600, 0o700),
        ("027", 0o640, 0o750),
    ] {
        let dir = TempDir::new();
        let root = dir.path().join("tree");
        let under =
            |run: Run| run.under(["sh", "-c", &format!("umask {umask}; exec \"$@\""), "sh"]);
        under(init(&root, "my-app")).finish().assert_status(0);
        under(put(&root, "my-app/production", "A=1\n"))
            .finish()
            .assert_status(0);
        for path in snapshot(&root).into_keys() {
            let metadata = fs::metadata(&path).unwrap();
            let expected = if metadata.is_dir() { directory } else { file };
            let mode = metadata.permissions().mode() & 0o7777;
            assert_eq!(
                mode,
                expected,
                "umask {umask}: {}: {mode:o}",
                path.display()
            );
        }
    }
}

pub fn a_tree_that_cannot_be_written_is_left_alone() {
    let tree = Tree::example();
    let dir = TempDir::new();
    let runs = [
        (tree.root(), put(tree.root(), "my-app", "A=1\n")),
        (tree.root(), put(tree.root(), "my-app/staging/api", "A=1\n")),
        (tree.root(), init(tree.root(), "new")),
        (dir.path(), init(&dir.path().join("tree"), "new")),
    ];
    for (root, run) in runs {
        assert_refused_untouched(root, read_only(root, run), &["read-only file system"]);
    }
    let list = read_only(tree.root(), seal_program(&["list"]).arg(tree.root()));
    list.finish().assert_status(0);
}

pub fn nothing_is_written_through_a_link_out_of_the_tree() {
    let cases = [
        ("my-app/encryption-key", "init my-app"),
        ("my-app/production", "put my-app/production/api"),
        ("my-app/production", "put my-app"),
        ("my-app/production/secrets", "put my-app/production"),
        ("my-app/production/secrets", "put my-app"),
        ("my-app/production/api/secrets", "put my-app"),
        ("my-app/staging", "put my-app/staging"),
        ("my-app/staging", "put my-app/staging/api"),
        ("new", "init new"),
        ("", "put my-app"),
        ("..", "init new"),
    ];
    for (link, command) in cases {
        let (tree, outside) = (Tree::example(), TempDir::new());
        let organization = tree.root().join("api/v1").join(ORGANIZATION);
        let link = match link {
            "" => organization,
            ".." => tree.root().join("api"),
            link => organization.join(link),
        };
        let target = outside.path().join("target");
        if link.exists() {
            fs::rename(&link, &target).unwrap();
        } else {
            fs::create_dir(&target).unwrap();
        }
        symlink(&target, &link).unwrap();
        let before = snapshot(outside.path());
        let (command, path) = command.split_once(' ').unwrap();
        let run = match command {
            "init" => init(tree.root(), path),
            _ => put(tree.root(), path, "A=1\n"),
        };
        assert_refused_untouched(tree.root(), run, &["symbolic link"]);
        assert!(
            snapshot(outside.path()) == before,
            "{command} {path}: {}",
            link.display()
        );
    }
}
