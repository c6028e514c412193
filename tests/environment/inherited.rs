//! What was inherited: an environment is a list of any strings, and comes through as it is.

use super::{OneLevel, entries};
use crate::support::*;

/// Everything that execve(2) lets through: no `=`, no name, the same name twice, no UTF-8.
const ODD: [&[u8]; 12] = [
    b"PATH=/usr/bin:/bin",
    b"no equals sign",
    b"=no name",
    b"=",
    b"",
    b"TWICE=1",
    b"TWICE=2",
    b"\xff\xfe=\x80\xff",
    b"VALUE==two=signs=",
    b"EMPTY=",
    b"with blank=a\nb\tc",
    b"BASH_FUNC_x%%=() { :; }",
];

fn with_secret() -> OneLevel {
    OneLevel::env("SECRET=1\n")
}

pub fn odd_entries_pass_as_they_pass_through_env() {
    let direct = Run::program("env").args(["cat", "/proc/self/environ"]);
    let direct = direct.environment_block(&ODD).finish();
    direct
        .assert_status(0)
        .assert_stdout([ODD.join(&0), vec![0]].concat());

    let level = with_secret();
    for mode in ["--exec", "--supervise"] {
        let run = level.run().arg(mode).environment_block(&ODD);
        let (secrets, others): (Vec<_>, Vec<_>) = entries(run)
            .into_iter()
            .partition(|entry| entry.starts_with(b"SECRET"));
        assert_eq!(others, ODD, "{mode}");
        assert_eq!(secrets, [b"SECRET=1"], "{mode}");
    }
}

pub fn every_entry_of_a_secrets_name_is_replaced() {
    let block: [&[u8]; 4] = [b"SECRET=a", b"PATH=/usr/bin:/bin", b"SECRET=b", b"SECRET="];
    let level = with_secret();
    let found = entries(level.run().environment_block(&block));
    assert_eq!(found, [&b"PATH=/usr/bin:/bin"[..], b"SECRET=1"]);

    let preserved = level.run().arg("--preserve-env").environment_block(&block);
    assert_eq!(entries(preserved), block);
}

pub fn an_entry_that_only_looks_like_a_secrets_name_stays() {
    let block: [&[u8]; 5] = [
        b"PATH=/usr/bin:/bin",
        b"SECRETS=a",
        b"SECRE=b",
        b"secret=c",
        b"SECRET",
    ];
    let found = entries(with_secret().run().environment_block(&block));
    assert_eq!(found[..5], block);
    assert_eq!(found[5..], [b"SECRET=1"]);
}

pub fn an_entry_without_a_value_is_not_preserved_in_place_of_a_secret() {
    let block: [&[u8]; 2] = [b"PATH=/usr/bin:/bin", b"SECRET"];
    let level = with_secret();
    for option in ["--preserve-env", "--preserve-env=SECRET"] {
        let run = level.run().arg(option);
        let found = entries(run.environment_block(&block));
        assert!(
            found.iter().any(|entry| entry == b"SECRET=1"),
            "{option}: {found:?}"
        );
    }
}

/// The variables of keys, some of them twice, and one that only starts like them.
const KEYS: [&[u8]; 8] = [
    b"DOTENV_API_KEY=a",
    b"DOTENV_API_KEY=b",
    b"DOTENV_CLIENT_KEY=c",
    b"DOTENV_CLIENT_KEY=",
    b"DOTENV_API_KEY_FILE=/no/such/file",
    b"DOTENV_CLIENT_KEY_FILE=/no/such/file",
    b"DOTENV_CLIENT_KEY_FILE=/dev/null",
    b"DOTENV_API_KEYS=stays",
];

pub fn every_entry_that_holds_our_keys_is_gone() {
    let block = [&[&b"PATH=/usr/bin:/bin"[..]], &KEYS[..]].concat();
    let level = with_secret();
    for options in [&["--exec"][..], &["--supervise"], &["--preserve-env"]] {
        let found = entries(
            level
                .run()
                .args(options)
                .arg("-q")
                .environment_block(&block),
        );
        let expected: [&[u8]; 3] = [block[0], KEYS[7], b"SECRET=1"];
        assert_eq!(found, expected, "{options:?}");
    }
    let clean = level.run().args([
        "--quiet",
        "--clean-env",
        "--pass",
        "DOTENV_API_KEY,DOTENV_CLIENT_KEY_FILE",
    ]);
    assert_eq!(entries(clean.environment_block(&block)), [b"SECRET=1"]);
}

pub fn our_keys_stay_when_they_are_to_be_kept() {
    let level = with_secret();
    let run = level.run().args(["-q", "--keep-credentials"]);
    let mut found = entries(run.environment_block(&KEYS));
    found.sort();
    let mut expected = [&KEYS[..], &[b"SECRET=1"]].concat();
    expected.sort();
    assert_eq!(found, expected);
}
