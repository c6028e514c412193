//! Who can get at what is kept: the next start, and nobody else. Not the command above all, which runs as the same user
//! and has no API key.

use std::ffi::OsString;
use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::{
    MINUTE, PATHS, cached, in_default_session, in_every_session, in_turn, new_entries,
    requests_during,
};
use crate::cloud::secrets as secrets_target;
use crate::support::keys::{self, Key, SESSION, USER};
use crate::support::*;

tests![
    an_entry_says_nothing_and_is_for_its_possessor_alone,
    the_command_gets_the_session_without_what_is_kept,
    the_command_can_read_nothing_of_what_is_kept,
    the_session_keyring_of_the_command_is_like_the_one_before,
    a_session_that_others_can_link_keeps_nothing,
    without_a_cache_the_session_keyring_stays,
    a_command_without_a_session_keyring_is_given_none needs(NOBODY, NO_SESSION),
    a_key_that_cannot_be_passed_on_keeps_its_session,
    another_session_can_read_nothing,
    another_user_can_read_nothing needs(NOBODY),
    processes_without_a_session_of_their_own_share_what_is_kept,
];

/// Processes here have no session keyring before they look for one, and then get the default one of their user.
const NO_SESSION: fn() -> Result<(), String> = || {
    let seen = Seen::by(Run::program("env").args(AS_NOBODY), &[]);
    match seen.session.ends_with("_uid_ses.65534") {
        true => Ok(()),
        false => Err("needs to be started without a session keyring".into()),
    }
};

/// What a [`keyreader`] tells.
struct Seen {
    /// Serial number, permissions and name of its session keyring.
    session: String,
    /// The keys that it can read.
    keys: Vec<SeenKey>,
}

struct SeenKey {
    key: Key,
    kind: String,
    payload: Vec<u8>,
    description: String,
}

impl Seen {
    /// What is told by one that `run` starts, which tries to get at `wanted` too.
    #[track_caller]
    fn by(run: Run, wanted: &[Key]) -> Self {
        let wanted = wanted.iter().map(|key| OsString::from(key.0.to_string()));
        let outcome = run.args(keyreader()).args(wanted).finish();
        outcome.assert_status(0);
        let mut lines = outcome.text().lines();
        let session = lines.next().and_then(|line| line.strip_prefix("session "));
        let session = session.unwrap_or_else(|| panic!("no session\n{outcome}"));
        Seen {
            session: session.to_owned(),
            keys: lines.map(seen_key).collect(),
        }
    }

    fn has(&self, key: Key) -> bool {
        self.keys.iter().any(|seen| seen.key == key)
    }

    /// The payload of a key with this description, if it can read one.
    fn payload(&self, description: &str) -> Option<&[u8]> {
        let mut keys = self.keys.iter();
        let found = keys.find(|seen| seen.description == description)?;
        Some(&found.payload)
    }
}

fn seen_key(line: &str) -> SeenKey {
    let fields: Vec<_> = line.splitn(4, ' ').collect();
    let digits = fields[2].as_bytes().chunks(2);
    let byte = |digits| u8::from_str_radix(str::from_utf8(digits).unwrap(), 16).unwrap();
    SeenKey {
        key: Key(fields[0].parse().expect("a serial number")),
        kind: fields[1].into(),
        payload: digits.map(byte).collect(),
        description: fields[3].into(),
    }
}

/// What no payload may show: keys, blobs in both forms, and what stands around them in the documents.
fn secrets_of(service: &Service, path: &str) -> Vec<Vec<u8>> {
    let world = World::example();
    let project = path.split('/').next().and_then(|slug| world.project(slug));
    let custody = &project.expect("a project of the example").custody;
    let iterations = custody.iterations.unwrap_or_default();
    let key = data_key(&custody.key, custody.salt.as_deref(), iterations);
    let words = [
        "levels",
        "key_check",
        "managed",
        "postgres://",
        ORGANIZATION,
    ];
    let mut secrets: Vec<_> = words.map(|word| word.as_bytes().to_vec()).into();
    secrets.extend([key.to_vec(), custody.key.clone().into()]);
    secrets.push(service.api_key().into());
    let answer = Client::new(service).get(&secrets_target(path), service.api_key());
    let document = answer.expect("an answer").json();
    let levels = document["data"]["attributes"]["levels"].as_object();
    for level in levels.expect("levels").values() {
        let text = level["content"].as_str().expect("a blob");
        let blob = BASE64_STANDARD.decode(text).expect("base64");
        let pieces = [&text.as_bytes()[..16], &blob[..12], &blob[12..24]];
        secrets.extend(pieces.map(<[u8]>::to_vec));
    }
    secrets
}

#[track_caller]
fn assert_shows_none(secrets: &[Vec<u8>], seen: &[u8]) {
    for secret in secrets {
        let mut windows = seen.windows(secret.len());
        let secret_text = String::from_utf8_lossy(secret);
        assert!(!windows.any(|it| it == secret), "{secret_text:?} shows");
    }
}

fn an_entry_says_nothing_and_is_for_its_possessor_alone() {
    in_every_session(|keyring| {
        let before = keys::entries(keyring);
        let service = Service::example();
        for path in PATHS {
            cached(&service, path).client_key().any_custody().values();
        }
        let entries = new_entries(keyring, &before);
        let secrets: Vec<_> = PATHS
            .iter()
            .flat_map(|path| secrets_of(&service, path))
            .collect();
        assert_eq!(entries.len(), 2 * PATHS.len());
        for key in entries {
            let attributes = key.attributes().expect("a key in possession");
            // Neither user, group nor others; and no link to where somebody else could possess it.
            assert_eq!(attributes.permissions, 0x2f00_0000, "{attributes:?}");
            assert_eq!(attributes.kind, "user");
            assert_shows_none(&secrets, attributes.description.as_bytes());
            assert_shows_none(&secrets, &key.read().unwrap());
        }
    });
}

static FOREIGN_NAME: LazyLock<String> = LazyLock::new(|| "0123456789abcdef".repeat(4));

/// A keyring with a key in it, as Kerberos keeps its tickets, and a key.
fn foreign_keys() -> [Key; 2] {
    let tickets = keys::add(SESSION, "keyring", "_krb", b"").unwrap();
    keys::add(tickets, "user", "ticket", b"a ticket").unwrap();
    // Its name could be one of ours.
    let key = keys::add(SESSION, "user", &FOREIGN_NAME, b"a foreign key").unwrap();
    [tickets, key]
}

fn the_command_gets_the_session_without_what_is_kept() {
    let service = Service::example();
    for option in ["--exec", "--supervise"] {
        keys::enter_new_session();
        let foreign = foreign_keys();
        let run = |path| cached(&service, path).args([option, "--"]);
        // Cold, warm, and with what belongs to another path.
        for path in ["legacy", "legacy", "managed"] {
            let seen = Seen::by(run(path), &[]);
            assert!(foreign.into_iter().all(|key| seen.has(key)), "{path}");
            assert_eq!(seen.payload("ticket"), Some(&b"a ticket"[..]));
            assert_eq!(seen.payload(&FOREIGN_NAME), Some(&b"a foreign key"[..]));
            let entries = new_entries(SESSION, &foreign);
            assert!(entries.len() >= 2);
            assert!(!entries.into_iter().any(|key| seen.has(key)), "{path}");
            let named_alike = |it: &&SeenKey| is_name_of_entry(&it.description);
            assert_eq!(seen.keys.iter().filter(named_alike).count(), 1);
        }
        assert_eq!(new_entries(SESSION, &foreign).len(), 4);
        assert_eq!(SESSION.members().len(), 6);
    }
}

fn is_name_of_entry(description: &str) -> bool {
    description.len() == 64
}

fn the_command_can_read_nothing_of_what_is_kept() {
    in_every_session(|keyring| {
        let before = keys::entries(keyring);
        let service = Service::example();
        for path in PATHS {
            let secrets = secrets_of(&service, path);
            for option in ["--exec", "--supervise"] {
                let run = cached(&service, path)
                    .client_key()
                    .any_custody()
                    .args(["-q", option, "--"]);
                run.clone().arg("true").finish().assert_status(0);
                let mut entries = new_entries(keyring, &before);
                // It knows every serial number, and the former session keyring.
                entries.push(SESSION.resolved().unwrap());
                let seen = Seen::by(run, &entries);
                for key in &seen.keys {
                    assert_shows_none(&secrets, &key.payload);
                    assert_shows_none(&secrets, key.description.as_bytes());
                }
                if keyring == SESSION {
                    let former = SESSION.resolved().unwrap();
                    let is_entry = |seen: &&SeenKey| seen.kind == "user" && seen.key != former;
                    let mut read = seen.keys.iter().filter(is_entry);
                    assert!(!read.any(|seen| entries.contains(&seen.key)));
                }
            }
        }
    });
}

fn the_session_keyring_of_the_command_is_like_the_one_before() {
    let service = Service::example();
    for permissions in [0x3f03_0000, 0x3f02_0000, 0x3f01_0000] {
        keys::enter_new_session();
        SESSION.set_permissions(permissions).unwrap();
        let former = SESSION.resolved().unwrap();
        let seen = Seen::by(cached(&service, "legacy").arg("--"), &[]);
        let fields: Vec<_> = seen.session.split(' ').collect();
        assert_ne!(fields[0], former.0.to_string());
        assert_eq!(fields[1..], [&format!("{permissions:08x}"), "_ses"]);
    }
}

/// The command could link such a keyring to its own, and possess what is in it.
fn a_session_that_others_can_link_keeps_nothing() {
    let service = Service::example();
    let assert_keeps_nothing = || {
        let session = SESSION.resolved().unwrap();
        let run = || cached(&service, "legacy");
        let asked = requests_during(&service, || {
            run().values();
            run().values();
        });
        assert_eq!((asked, keys::entries(SESSION)), (4, Vec::new()));
        let seen = Seen::by(run().arg("--"), &[session]);
        assert!(seen.session.starts_with(&format!("{} ", session.0)));
        let outcome = run().args(["-v", "--", "true"]).finish();
        let note = "the cache cannot be used: other processes of the user can link";
        assert!(outcome.stderr.contains(note), "{outcome}");
    };
    for permissions in [
        0x3f13_0000,
        0x3f3f_0000,
        0x3f0b_0000,
        0x3f07_0000,
        0x3f23_0000,
        0x3f03_1000,
        0x3f03_0010,
    ] {
        keys::enter_new_session();
        SESSION.set_permissions(permissions).unwrap();
        assert_keeps_nothing();
    }
    keys::enter_named_session("a-name-of-these-tests");
    assert_keeps_nothing();
}

fn without_a_cache_the_session_keyring_stays() {
    keys::enter_new_session();
    let foreign = foreign_keys();
    let session = SESSION.resolved().unwrap();
    let service = Service::example();
    cached(&service, "legacy").values();
    let run = || service.dotenv_run().arg("legacy");
    for run in [run(), run().args([MINUTE, "--cache=0"])] {
        let seen = Seen::by(run.arg("--"), &[]);
        assert!(seen.session.starts_with(&format!("{} ", session.0)));
        assert!(foreign.into_iter().all(|key| seen.has(key)));
    }
}

fn a_command_without_a_session_keyring_is_given_none() {
    // This thread has none, as nothing above it has.
    in_turn(|| {
        let service = Service::example();
        for _ in 0..2 {
            let run = cached(&service, "legacy").arg("--").args(AS_NOBODY);
            let seen = Seen::by(run, &[]);
            assert!(seen.session.ends_with("_uid_ses.65534"), "{}", seen.session);
        }
        assert_eq!(service.requests().len(), 2);
    });
}

fn a_key_that_cannot_be_passed_on_keeps_its_session() {
    keys::enter_new_session();
    let service = Service::example();
    cached(&service, "managed").values();
    let foreign = keys::add(SESSION, "user", "foreign", b"not to be linked").unwrap();
    // Everything but a link.
    foreign.set_permissions(0x2f00_0000).unwrap();
    let session = SESSION.resolved().unwrap();
    let run = || cached(&service, "legacy");
    for _ in 0..2 {
        let seen = Seen::by(run().arg("--"), &[]);
        assert!(seen.session.starts_with(&format!("{} ", session.0)));
        assert!(seen.has(foreign));
        assert!(
            !seen
                .keys
                .iter()
                .any(|seen| is_name_of_entry(&seen.description))
        );
        // The kernel takes its time to clear up.
        wait_until("what was kept to be gone", || {
            SESSION.members() == [foreign]
        });
    }
    // Nothing that is kept can be hidden, so that nothing is kept.
    assert_eq!(requests_during(&service, || run().values()), 2);
    let outcome = run().args(["-v", "--", "true"]).finish();
    let notes: Vec<_> = outcome
        .stderr
        .lines()
        .filter(|it| it.contains("cache"))
        .collect();
    assert_eq!(notes.len(), 1, "{outcome}");
}

fn another_session_can_read_nothing() {
    keys::enter_new_session();
    let service = Service::example();
    cached(&service, "legacy").values();
    let mut known = keys::entries(SESSION);
    assert_eq!(known.len(), 2);
    known.push(SESSION.resolved().unwrap());
    keys::enter_new_session();
    for key in &known[..2] {
        assert!(key.read().is_err() && key.attributes().is_err());
    }
    let seen = Seen::by(Run::program("env"), &known);
    assert!(!known[..2].iter().any(|key| seen.has(*key)));
    assert_eq!(
        requests_during(&service, || cached(&service, "legacy").values()),
        2
    );
    assert_eq!(keys::entries(SESSION).len(), 2);
}

fn another_user_can_read_nothing() {
    in_every_session(|keyring| {
        let service = Service::example();
        let before = keys::entries(keyring);
        cached(&service, "legacy").values();
        let mut known = new_entries(keyring, &before);
        assert_eq!(known.len(), 2);
        known.extend([SESSION, USER].map(|key| key.resolved().unwrap()));
        // Who inherits a session keyring possesses what is in it, whoever it is; another user has another one.
        keys::enter_new_session();
        let seen = Seen::by(Run::program("env").args(AS_NOBODY), &known);
        assert!(!known.iter().any(|key| seen.has(*key)));
        keys::enter_default_session();
    });
}

fn processes_without_a_session_of_their_own_share_what_is_kept() {
    in_default_session(|| {
        let service = Service::example();
        let session = SESSION.resolved().unwrap();
        let foreign = keys::add(USER, "user", "dotenv-run test", b"x").unwrap();
        let seen = Seen::by(cached(&service, "legacy").arg("--"), &[]);
        foreign.unlink_from(USER).unwrap();
        assert!(seen.session.starts_with(&format!("{} ", session.0)));
        assert!(seen.has(foreign));
        let asked = || requests_during(&service, || cached(&service, "legacy").values());
        assert_eq!(asked(), 0);
        // A session of its own that leads to the user's keyring, as a login makes them, has both.
        keys::enter_new_session();
        USER.link_into(SESSION).unwrap();
        assert_eq!(asked(), 0);
        keys::enter_new_session();
        assert_eq!(asked(), 2);
    });
}
