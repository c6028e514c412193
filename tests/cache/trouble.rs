//! Where keeping fails, is not wanted, or something else lies where an answer should: the service is asked, and the
//! command starts.

use std::fs;
use std::thread;
use std::time::Duration;

use super::{cached, requests_during};
use crate::support::keys::{self, Key, SESSION};
use crate::support::*;

tests![
    no_key_is_touched_without_a_cache_and_no_file_with_one needs(STRACE),
    where_keys_are_forbidden_the_service_is_asked needs(STRACE),
    a_key_that_cannot_be_finished_is_taken_back needs(STRACE),
    an_answer_that_is_too_long_is_not_kept,
    an_answer_over_the_quota_is_not_kept needs(NOBODY),
    half_an_answer_counts_as_none,
    a_damaged_answer_counts_as_none_and_is_replaced,
    what_is_in_the_way_of_an_answer_is_no_reason_to_fail,
    an_answer_from_elsewhere_is_not_taken_for_another,
    the_age_is_that_of_the_answer,
    an_answer_of_another_boot_is_not_found needs(ROOT, NAMESPACES),
    two_halves_of_different_answers_are_none,
    starts_at_the_same_time_do_not_disturb_each_other,
];

/// The notes about the cache that a run under `-v` gives. Without `-v` there is nothing.
#[track_caller]
fn notes(run: &Run) -> Vec<String> {
    let quiet = run.clone().args(["--", "true"]).finish();
    quiet.assert_status(0);
    assert_eq!(quiet.stderr, "");
    let outcome = run.clone().args(["-v", "--", "true"]).finish();
    outcome.assert_status(0);
    let lines = outcome.stderr.lines();
    let about = lines.filter(|line| line.contains("cache"));
    about.map(str::to_owned).collect()
}

fn no_key_is_touched_without_a_cache_and_no_file_with_one() {
    keys::enter_new_session();
    let service = Service::example();
    let calls = |run: Run| {
        let trace = strace(run.args(["--", "true"]), "keyctl,add_key,request_key,%file");
        trace.outcome.assert_status(0);
        trace.calls
    };
    let about_keys = |call: &Call| call.name.contains("key");
    let run = || service.dotenv_run().arg("legacy");
    assert!(!calls(run()).iter().any(about_keys));
    for _ in 0..2 {
        let calls = calls(cached(&service, "legacy"));
        assert!(calls.iter().any(about_keys));
        assert!(!calls.iter().any(Call::opens_for_writing));
    }
}

fn where_keys_are_forbidden_the_service_is_asked() {
    keys::enter_new_session();
    let service = Service::example();
    for error in ["EPERM", "ENOSYS", "EACCES"] {
        let forbid = ["keyctl", "add_key"].map(|call| format!("inject={call}:error={error}"));
        let [keyctl, add_key] = &forbid;
        let strace = [
            "strace",
            "-f",
            "-o",
            "/dev/null",
            "-e",
            keyctl,
            "-e",
            add_key,
            "--",
        ];
        let run = cached(&service, "legacy").args(["--stale", "60"]);
        let run = run.under(strace);
        let asked = requests_during(&service, || {
            assert_eq!(notes(&run).len(), 1, "{error}");
        });
        assert_eq!(asked, 4);
        assert_eq!(keys::entries(SESSION), []);
    }
}

/// Every call that stands after the first key is made fails once.
fn a_key_that_cannot_be_finished_is_taken_back() {
    let service = Service::example();
    for nth in 3..=12 {
        keys::enter_new_session();
        let foreign = keys::add(SESSION, "user", "foreign", b"x").unwrap();
        let inject = format!("inject=keyctl:error=EPERM:when={nth}");
        let strace = ["strace", "-f", "-o", "/dev/null", "-e", &inject, "--"];
        let run = cached(&service, "legacy").args(["--", "printenv", "APP_NAME"]);
        let outcome = run.under(strace).finish();
        outcome.assert_status(0).assert_stdout("Acme\n");
        assert!(SESSION.members().contains(&foreign));
        // Whatever there is, has its time and its permissions.
        for key in keys::entries(SESSION) {
            let permissions = key.attributes().map(|attributes| attributes.permissions);
            assert_eq!(permissions.ok(), Some(0x2f00_0000), "{nth}");
        }
        assert_eq!(cached(&service, "legacy").variables().len(), 3);
    }
}

/// A service whose answer is at least so long, and a run on it.
fn long(length: usize) -> Service {
    let text = format!("A={}\n", "x".repeat(length));
    let project = Project::new("p", Custody::legacy()).level("", &text);
    Service::of(World::new(vec![project]))
}

fn an_answer_that_is_too_long_is_not_kept() {
    keys::enter_new_session();
    let service = long(40_000);
    let asked = requests_during(&service, || {
        assert_eq!(notes(&cached(&service, "p")).len(), 1);
    });
    assert_eq!(asked, 4);
    assert_eq!(keys::entries(SESSION), []);
    let service = long(10_000);
    cached(&service, "p").values();
    assert_eq!(
        requests_during(&service, || cached(&service, "p").values()),
        0
    );
}

fn an_answer_over_the_quota_is_not_kept() {
    keys::enter_new_session();
    // 27 kB in base64: less than a key can hold, more than a user may have.
    let service = long(20_000);
    let dir = service.ca_file().parent().expect("a directory");
    set_mode(dir, 0o711);
    let run = cached(&service, "p").under(AS_NOBODY);
    let asked = requests_during(&service, || assert_eq!(notes(&run).len(), 1));
    assert_eq!(asked, 4);
    assert_eq!(keys::entries(SESSION), []);
}

/// Keeps an answer in a session of its own and returns its two keys.
fn kept(service: &Service, path: &str) -> Vec<Key> {
    keys::enter_new_session();
    cached(service, path).values();
    let entries = keys::entries(SESSION);
    assert_eq!(entries.len(), 2);
    entries
}

/// What is kept is of no use: it is fetched again, and after that what is kept is good.
#[track_caller]
fn assert_fetched_again(service: &Service, path: &str) {
    let run = || cached(service, path).args(["--stale", "60"]);
    let asked = requests_during(service, || {
        let outcome = run().assert_shows("APP_NAME", "Acme");
        assert_eq!(outcome.stderr, "");
    });
    assert_eq!(asked, 2);
    assert_eq!(requests_during(service, || run().values()), 0);
    assert_eq!(keys::entries(SESSION).len(), 2);
}

fn half_an_answer_counts_as_none() {
    let service = Service::example();
    for half in 0..2 {
        kept(&service, "legacy")[half].unlink_from(SESSION).unwrap();
        assert_fetched_again(&service, "legacy");
    }
}

fn replace(key: Key, payload: &[u8]) {
    let description = key.attributes().unwrap().description;
    assert_eq!(
        keys::add(SESSION, "user", &description, payload).unwrap(),
        key
    );
}

fn a_damaged_answer_counts_as_none_and_is_replaced() {
    let service = Service::example();
    let damages: [fn(&mut Vec<u8>); 8] = [
        |payload| payload.truncate(1),
        |payload| payload.truncate(13),
        |payload| payload.truncate(30),
        |payload| payload.push(0),
        |payload| payload[0] += 1,
        |payload| payload[1] ^= 1,
        |payload| payload[5] ^= 1,
        |payload| *payload.last_mut().unwrap() ^= 1,
    ];
    for damage in damages {
        for half in 0..2 {
            let key = kept(&service, "legacy")[half];
            let mut payload = key.read().unwrap();
            damage(&mut payload);
            replace(key, &payload);
            assert_fetched_again(&service, "legacy");
        }
    }
}

/// A keyring that is called like one of our keys is another thing; a key that lets nobody look at it is in the way.
fn what_is_in_the_way_of_an_answer_is_no_reason_to_fail() {
    let service = Service::example();
    for half in 0..2 {
        let key = kept(&service, "legacy")[half];
        let name = key.attributes().unwrap().description;
        keys::add(SESSION, "keyring", &name, b"").unwrap();
        let run = || cached(&service, "legacy");
        assert_eq!(requests_during(&service, || run().values()), 0);
        key.set_permissions(0).unwrap();
        let asked = requests_during(&service, || assert_eq!(notes(&run()).len(), 1));
        assert_eq!(asked, 4);
    }
}

fn an_answer_from_elsewhere_is_not_taken_for_another() {
    let service = Service::example();
    let legacy = kept(&service, "legacy");
    cached(&service, "managed").values();
    let mut managed = keys::entries(SESSION);
    managed.retain(|key| !legacy.contains(key));
    // Which of the two holds what shows by its size.
    for (own, other) in by_size(&legacy).into_iter().zip(by_size(&managed)) {
        replace(own, &other.read().unwrap());
    }
    let run = || cached(&service, "legacy");
    assert_eq!(requests_during(&service, || run().values()), 2);
    assert_eq!(requests_during(&service, || run().values()), 0);
    // Nor is one half for the other.
    let legacy = kept(&service, "legacy");
    replace(legacy[0], &legacy[1].read().unwrap());
    assert_fetched_again(&service, "legacy");
}

/// The clock that the age is taken from begins anew.
fn an_answer_of_another_boot_is_not_found() {
    keys::enter_new_session();
    let (service, dir) = (Service::example(), TempDir::new());
    dir.file("boot", "11111111-2222-3333-4444-555555555555\n");
    let file = dir.path().join("boot").display().to_string();
    let place = "/proc/sys/kernel/random/boot_id";
    let in_boot = |source: &str| {
        let script = format!("mount --bind {source} {place} && exec \"$@\"");
        cached(&service, "legacy").under(["unshare", "--mount", "sh", "-c", &script, "sh"])
    };
    let asked = |run: Run| requests_during(&service, || drop(run.values()));
    assert_eq!(asked(cached(&service, "legacy")), 2);
    assert_eq!(asked(cached(&service, "legacy")), 0);
    assert_eq!(asked(in_boot(&file)), 2);
    assert_eq!(asked(in_boot(&file)), 0);
    assert_eq!(asked(cached(&service, "legacy")), 0);
    // Without a name for the boot nothing is kept.
    for _ in 0..2 {
        let run = in_boot("/dev/null");
        let asked = requests_during(&service, || assert_eq!(notes(&run).len(), 1));
        assert_eq!(asked, 4);
    }
}

/// The secrets are there at once, and what opens them more than a second later.
fn the_age_is_that_of_the_answer() {
    keys::enter_new_session();
    let (service, tree) = (Service::example(), Tree::example());
    let descriptor = fs::read_to_string(tree.encryption_key("managed")).expect("a document");
    let reply = Reply::new(200, "application/json", descriptor);
    let late = Fault::Late(Duration::from_millis(1200), reply);
    service.fail_times(1, Route::EncryptionKey, late);
    cached(&service, "managed").values();
    let [note] = &notes(&cached(&service, "managed"))[..] else {
        panic!("not one note");
    };
    let (_, age) = note.split_once("cached ").expect("an age");
    let seconds = age.split(' ').next().expect("a number");
    assert!(seconds.parse::<u64>().expect("a number") >= 1, "{note}");
}

fn by_size(keys: &[Key]) -> Vec<Key> {
    let mut keys = keys.to_vec();
    keys.sort_by_key(|key| key.read().unwrap().len());
    keys
}

fn two_halves_of_different_answers_are_none() {
    let service = Service::example();
    for half in 0..2 {
        let entries = kept(&service, "legacy");
        let old = entries[half].read().unwrap();
        let again = service.dotenv_run().args(["legacy", "--cache", "0.001"]);
        again.args(["--stale", "60"]).values();
        assert_eq!(keys::entries(SESSION), entries);
        replace(entries[half], &old);
        assert_fetched_again(&service, "legacy");
    }
}

fn starts_at_the_same_time_do_not_disturb_each_other() {
    keys::enter_new_session();
    let service = Service::example();
    thread::scope(|scope| {
        for _ in 0..8 {
            // A thread inherits the session of the one that starts it.
            scope.spawn(|| {
                for _ in 0..5 {
                    let outcome = cached(&service, "legacy").assert_shows("APP_NAME", "Acme");
                    assert_eq!(outcome.stderr, "");
                }
            });
        }
    });
    assert!(service.requests().len() < 40);
    let asked = requests_during(&service, || cached(&service, "legacy").values());
    assert_eq!(asked, 0);
}
