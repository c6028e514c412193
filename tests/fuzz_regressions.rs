//! What the fuzzer starts from and what it once found, on stable: every file of `fuzz/corpus` and of
//! `fuzz/regressions` keeps the property of its target. So do values and references made at random
//! from the characters that mean something.

#[path = "fuzz/src/lib.rs"]
mod properties;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::support::*;

tests![
    every_target_has_a_property_and_a_corpus,
    every_file_of_the_corpora_and_every_finding_keeps_the_property_of_its_target,
    texts_at_random_keep_the_properties_of_the_formats,
    streams_at_random_are_filtered_like_texts,
];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz")
        .join(name)
}

/// The entries of a folder in their order; none if there is no such folder.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn name(path: &Path) -> &str {
    let name = path.file_name().and_then(|name| name.to_str());
    name.unwrap_or_else(|| panic!("{} is not UTF-8", path.display()))
}

fn every_target_has_a_property_and_a_corpus() {
    let known = properties::TARGETS.map(|(name, _)| name);
    let targets = entries(&folder("fuzz_targets"));
    let targets: Vec<_> = targets.iter().map(|path| name(path)).collect();
    assert_eq!(targets, known.map(|name| format!("{name}.rs")));
    let corpora = entries(&folder("corpus"));
    assert_eq!(
        corpora.iter().map(|path| name(path)).collect::<Vec<_>>(),
        known
    );
    for path in entries(&folder("regressions")) {
        assert!(
            known.contains(&name(&path)),
            "{} has no target",
            path.display()
        );
    }
}

/// Gives every file of a target's folder to its property; says how many there are.
fn check(folder: &Path, property: properties::Property) -> usize {
    let files = entries(folder);
    for path in &files {
        let input = fs::read(path).unwrap();
        let outcome = catch_unwind(AssertUnwindSafe(|| property(&input)));
        assert!(outcome.is_ok(), "{} breaks its property", path.display());
    }
    files.len()
}

fn every_file_of_the_corpora_and_every_finding_keeps_the_property_of_its_target() {
    for (target, property) in properties::TARGETS {
        let files = check(&folder("corpus").join(target), property);
        assert!(files > 0, "the corpus of {target} is empty");
        check(&folder("regressions").join(target), property);
    }
}

/// Parts of texts in which something can go wrong.
const PARTS: [&str; 40] = [
    "A", "B", "E_x", "=", "=", "=", "\n", "\n", "\r\n", "\r", "'", "'", "\"", "\"", "`", "\\",
    "\\\\", "\\n", "\\'", "\\\"", "\\$", "$", "$A", "${B}", "${A:-", "${B:+", "${", "}", " ", "\t",
    "#", " #", "export ", "x", "ü", "\u{2028}", "\u{feff}", "\u{85}", "\u{7f}", ":",
];

/// A sequence of numbers that look random and are the same every time (xorshift64*).
fn numbers() -> impl Iterator<Item = usize> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(move || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize
    })
}

fn texts_at_random_keep_the_properties_of_the_formats() {
    let mut numbers = numbers();
    for _ in 0..40_000 {
        let length = numbers.next().unwrap() % 24;
        let parts = numbers.by_ref().take(length);
        let text: String = parts.map(|number| PARTS[number % PARTS.len()]).collect();
        for property in [
            properties::parse::holds,
            properties::resolve::holds,
            properties::render::holds,
        ] {
            let outcome = catch_unwind(AssertUnwindSafe(|| property(text.as_bytes())));
            assert!(outcome.is_ok(), "{text:?} breaks a property");
        }
    }
}

/// Secrets and texts of few letters, so that everything overlaps.
fn streams_at_random_are_filtered_like_texts() {
    let mut numbers = numbers();
    for _ in 0..3_000 {
        let length = numbers.next().unwrap() % 80;
        let letters = numbers.by_ref().take(length);
        let input: Vec<_> = letters.map(|number| b"aaabbc\n\0\0"[number % 9]).collect();
        let outcome = catch_unwind(AssertUnwindSafe(|| properties::redact::holds(&input)));
        assert!(
            outcome.is_ok(),
            "{:?} breaks its property",
            input.escape_ascii().to_string()
        );
    }
}
