//! The tables of claims, their tests and their limits: each row names tests that the suite runs, and the README and the
//! manual name the same.

use std::collections::BTreeSet;

use super::{read, section};
use crate::support::*;

/// A row: the claim, the tests, and what would break it.
struct Claim {
    text: String,
    tests: Vec<String>,
    limits: String,
}

/// The rows of the README's table, which stands under its own heading.
fn rows_of_readme(text: &str) -> Vec<Claim> {
    let (_, table) = text
        .split_once("| claim | tested by | what would break it |\n")
        .expect("the table");
    let rows = table
        .lines()
        .skip(1)
        .take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [text, tests, limits] = cells[..] else {
            panic!("not three cells: {row}");
        };
        let tests = tests
            .split(", ")
            .map(|test| test.trim_matches('`').to_owned());
        Claim {
            text: text.to_owned(),
            tests: tests.collect(),
            limits: limits.to_owned(),
        }
    })
    .collect()
}

/// The tests that the manual's table names, each on a line of its own.
fn tests_of_manual(page: &str) -> BTreeSet<String> {
    let lines = section(page, ".Sh SECURITY CONSIDERATIONS");
    let names = lines.iter().filter(|line| line.contains("::"));
    names.map(|name| (*name).to_owned()).collect()
}

/// What is wrong with a row, given the tests that there are.
fn flaws(claim: &Claim, known: &BTreeSet<String>) -> Vec<String> {
    let mut flaws = Vec::new();
    if claim.text.is_empty() || claim.limits.is_empty() {
        flaws.push(format!("{}: an empty cell", claim.text));
    }
    let unknown = claim.tests.iter().filter(|test| !known.contains(*test));
    flaws.extend(unknown.map(|test| format!("{}: no test {test}", claim.text)));
    flaws
}

/// The names of the tests of this binary.
fn known_tests() -> BTreeSet<String> {
    let ourselves = std::env::current_exe().expect("the test binary");
    let list = Run::program(ourselves).arg("--list").finish();
    let names = list.text().lines();
    names
        .filter_map(|line| line.strip_suffix(": test"))
        .map(str::to_owned)
        .collect()
}

pub fn every_claim_names_tests_that_run() {
    let known = known_tests();
    assert!(known.len() > 500, "{known:?}");
    let planted = Claim {
        text: "planted".to_owned(),
        tests: vec!["secrecy::memory::no_such_test".to_owned()],
        limits: "nothing".to_owned(),
    };
    assert_eq!(flaws(&planted, &known).len(), 1);

    let claims = rows_of_readme(&read("README.md"));
    assert!(claims.len() > 15, "{} rows", claims.len());
    let found: Vec<_> = claims.iter().flat_map(|it| flaws(it, &known)).collect();
    assert_eq!(found, [""; 0]);
    let named: BTreeSet<_> = claims.into_iter().flat_map(|it| it.tests).collect();
    assert_eq!(tests_of_manual(&read("man/dotenv-run.1")), named);
}
