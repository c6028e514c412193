//! What happens where memory cannot be locked, with and without swap space, and how much is locked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard};

use super::CLIENT_MANAGED;
use crate::support::*;

/// Swap space is the machine's: tests that depend on it run one after the other.
static SWAP: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    SWAP.lock().unwrap_or_else(|failed| failed.into_inner())
}

fn swaps() -> bool {
    let told = fs::read_to_string("/proc/swaps").expect("/proc/swaps");
    told.lines().count() > 1
}

/// A machine that has no swap space of its own.
pub const NO_SWAP: Need = || {
    let _alone = alone();
    match swaps() {
        true => Err("needs a machine without swap space".into()),
        false => Ok(()),
    }
};

/// A machine that swaps, or lets us add a swap file.
pub const SWAP_FILE: Need = || {
    let _alone = alone();
    match swaps() {
        true => Ok(()),
        false => SwapFile::add().map(drop),
    }
};

/// A small swap file, in use for as long as this lives.
struct SwapFile(PathBuf);

impl SwapFile {
    fn add() -> Result<Self, String> {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("swap-file");
        fs::write(&file, vec![0; 4 << 20]).map_err(|error| error.to_string())?;
        set_mode(&file, 0o600);
        let file = SwapFile(file);
        for tool in ["mkswap", "swapon"] {
            let outcome = Command::new(tool).arg(&file.0).output();
            if !outcome.is_ok_and(|outcome| outcome.status.success()) {
                return Err(format!("needs {tool} for a swap file"));
            }
        }
        Ok(file)
    }
}

impl Drop for SwapFile {
    fn drop(&mut self) {
        // It may not be in use yet, or not be there.
        let _ = Command::new("swapoff").arg(&self.0).output();
        let _ = fs::remove_file(&self.0);
    }
}

/// A machine with swap space, whether it had some before or not.
fn with_swap() -> Option<SwapFile> {
    (!swaps()).then(|| SwapFile::add().expect("a swap file, as just before"))
}

/// Runs under a limit on locked memory that holds: without the capability that lifts it.
fn limited(run: Run, limit: &str) -> Run {
    let limit = format!("--memlock={limit}");
    let drop = [
        "setpriv",
        "--bounding-set=-ipc_lock",
        "--inh-caps=-ipc_lock",
    ];
    run.under(drop.into_iter().chain(["prlimit", &limit, "--"]))
}

/// The note on protection among those of `-v`.
#[track_caller]
fn note(outcome: &Outcome) -> String {
    let about = |line: &&str| line.contains("locked");
    let mut notes = outcome.stderr.lines().filter(about);
    let note = notes.next().unwrap_or_else(|| panic!("no note\n{outcome}"));
    assert_eq!(notes.next(), None, "{outcome}");
    note.to_owned()
}

fn run(tree: &Tree) -> Run {
    tree.dotenv_run().arg(CLIENT_MANAGED).client_key()
}

#[track_caller]
fn starts(run: Run, fragments: &[&str]) {
    let outcome = run.args(["-v", "--", "printenv", "LOG_LEVEL"]).finish();
    outcome.assert_status(0).assert_stdout("debug\n");
    let note = note(&outcome);
    for fragment in fragments {
        assert!(note.contains(fragment), "{fragment:?} in {note}");
    }
}

pub fn without_swap_every_limit_is_good_enough() {
    let _alone = alone();
    let tree = Tree::example();
    starts(
        limited(run(&tree), "0"),
        &["not locked", "limit 0 bytes", "no swap space"],
    );
    let locked = ["in locked memory", "bytes at most"];
    starts(limited(run(&tree), "65536"), &locked);
    starts(run(&tree), &locked);
    starts(run(&tree).arg("--allow-swap"), &locked);
}

pub fn with_swap_memory_that_cannot_be_locked_is_refused_or_accepted_by_name() {
    let _alone = alone();
    let tree = Tree::example();
    let _swap = with_swap();
    let limit_and_way_out = [
        "cannot lock 4096 bytes",
        "the limit is 0",
        "swap space",
        "hint: ",
        "ulimit -l",
        "--allow-swap",
    ];
    limited(run(&tree), "0").refuses(125, &limit_and_way_out);
    let supervised = limited(run(&tree), "0").arg("--supervise");
    supervised.refuses(125, &limit_and_way_out);
    starts(
        limited(run(&tree).arg("--allow-swap"), "0"),
        &["not locked", "limit 0 bytes", "may be swapped out"],
    );
    let locked = ["in locked memory", "bytes at most"];
    starts(limited(run(&tree), "65536"), &locked);
    // The capability of root lifts the limit.
    starts(run(&tree), &[&locked[..], &EVERYTHING].concat());
}

const EVERYTHING: [&str; 1] = ["all other memory is locked too"];

/// The right to lift the limit for good.
pub const UNLIMITED: Need = || {
    let raised = Command::new("prlimit")
        .args(["--memlock=unlimited", "true"])
        .output();
    match raised {
        Ok(outcome) if outcome.status.success() => Ok(()),
        _ => Err("needs the right to raise the limit on locked memory".into()),
    }
};

pub fn without_a_limit_all_memory_is_locked() {
    let _alone = alone();
    starts(limited(run(&Tree::example()), "unlimited"), &EVERYTHING);
}

pub fn with_swap_a_set_that_is_too_large_for_the_limit_is_refused() {
    let _alone = alone();
    let text = format!("LARGE={}\n", "x".repeat(100_000));
    let tree = Tree::holding(&text);
    let _swap = with_swap();
    limited(tree.run(), "65536").refuses(125, &["cannot lock", "the limit is 65536"]);
    let allowed = limited(tree.run().arg("--allow-swap"), "65536");
    allowed.assert_shows("LARGE", &"x".repeat(100_000));
}

/// 100 variables with 16 kilobytes, in three levels.
fn typical(custody: Custody) -> Project {
    let level = |from: usize, to: usize| -> String {
        let line = |index| format!("VARIABLE_{index:03}='{}'\n", "v".repeat(160 - 16));
        (from..to).map(line).collect()
    };
    Project::new("p", custody)
        .level("", &level(0, 40))
        .level("t", &level(40, 70))
        .level("t/e", &level(70, 100))
}

pub fn a_typical_set_needs_less_than_64_kib() {
    let _alone = alone();
    let dir = TempDir::new();
    let client_key = dir.file("client-key", CLIENT_KEY);
    set_mode(&client_key, 0o600);
    let service = Service::of(World::new(vec![typical(Custody::client())]));
    let api_key = dir.file("api-key", service.api_key());
    set_mode(&api_key, 0o600);
    let from_files = || {
        let run = service.dotenv_run().env_remove("DOTENV_API_KEY");
        let run = run.arg("--client-key").arg(&client_key);
        run.arg("--api-key-file").arg(&api_key)
    };
    let runs = [
        ("variables", service.dotenv_run().client_key()),
        ("files", from_files()),
        ("resolved", from_files().arg("--resolve")),
        ("a file in memory", from_files().args(["--file", "F"])),
    ];
    for (name, run) in runs {
        let outcome = limited(run.args(["-v", "p/t/e", "--", "env"]), "65536").finish();
        outcome.assert_status(0);
        let variables = outcome.text().lines();
        let variables = variables.filter(|line| line.starts_with("VARIABLE_"));
        assert_eq!(variables.count(), 100, "{name}\n{outcome}");
        let note = note(&outcome);
        let words: Vec<_> = note.split(' ').collect();
        let at = words.iter().position(|word| *word == "bytes").expect(&note);
        let peak: usize = words[at - 1].parse().expect(&note);
        assert!((32_768..65_536).contains(&peak), "{name}: {note}");
    }
}

pub fn with_swap_a_tree_is_made_only_with_locked_memory_or_by_name() {
    let _alone = alone();
    let dir = TempDir::new();
    let tree = dir.path().join("tree");
    let init = |tree: &Path| {
        let run = Run::dotenv_seal().arg("init").arg(tree).arg("p");
        limited(run.client_key(), "0")
    };
    let _swap = with_swap();
    let outcome = init(&tree).finish();
    outcome.assert_refused(125, &["cannot lock 4096 bytes", "--allow-swap"]);
    assert!(!tree.exists(), "{outcome}");
    init(&tree).arg("--allow-swap").finish().assert_status(0);
    assert!(tree.exists());
}
