//! The resolver: every known answer through the library and through the program, what is said of
//! names that are not set, and that hostile references cost little.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use dotenv_run::inside::dotenv::resolve::{ResolveError, Template, resolve};
use serde_json::{Map, Value, json};

use crate::support::*;

tests![
    every_known_answer_comes_from_the_library,
    every_known_answer_comes_from_the_program,
    nothing_is_resolved_unless_it_is_asked_for,
    references_reach_over_the_levels,
    an_escaped_dollar_stands_for_itself,
    a_single_quoted_value_is_not_touched,
    text_that_was_put_in_is_not_scanned_again,
    names_that_are_not_set_are_left_and_named_in_one_warning,
    names_that_are_not_set_are_an_error_when_it_is_strict,
    the_inherited_environment_is_looked_in_only_on_demand,
    keys_are_not_among_what_is_looked_in,
    a_required_name_stops_the_run_with_its_message,
    a_message_shows_no_value,
    no_message_shows_a_part_of_a_value,
    a_reference_without_a_meaning_is_an_error_when_it_is_strict,
    a_circle_stops_the_run_and_is_named,
    a_circle_in_an_operand_that_is_not_used_is_none,
    a_chain_of_ten_thousand_is_resolved,
    doubling_is_refused_in_bounded_time_and_memory,
    many_large_results_are_refused_in_bounded_time_and_memory,
    a_result_may_be_as_large_as_the_cap,
    references_cost_as_much_as_their_text,
];

const VECTORS: &str = include_str!("vectors/resolve.json");

/// How a case of `resolve.json` is run: the option, and where its answer stands.
const WAYS: [(&str, &str); 2] = [
    ("--resolve", "expected_secrets_only"),
    ("--resolve-env", "expected_with_environment"),
];

fn cases() -> Vec<Value> {
    let mut all: Value = serde_json::from_str(VECTORS).unwrap();
    let Value::Array(cases) = all["cases"].take() else {
        panic!("no cases")
    };
    assert!(cases.len() > 70, "only {} cases", cases.len());
    cases
}

/// The strings of an object.
fn pairs(object: &Value) -> impl Iterator<Item = (&str, &str)> {
    let object = object.as_object().expect("an object").iter();
    object.map(|(name, value)| (name.as_str(), value.as_str().expect("a string")))
}

/// What the library makes of a case: the values, and the names that are not set.
fn by_library(case: &Value, option: &str) -> Result<(Value, Vec<String>), ResolveError> {
    let template = |(name, text): (&str, &str)| Template {
        name: name.into(),
        text: text.into(),
        is_literal: false,
    };
    let templates: Vec<_> = pairs(&case["vars"]).map(template).collect();
    let environment: BTreeMap<_, _> = pairs(&case["environment"]).collect();
    let fallback = |name: &str| {
        let value = environment.get(name).filter(|_| option == "--resolve-env");
        value.map(|value| value.to_string())
    };
    let resolved = resolve(&templates, &fallback)?;
    let names = templates.into_iter().map(|template| template.name);
    let values = resolved.values.iter().map(|value| json!(**value));
    let object: Map<_, _> = names.zip(values).collect();
    Ok((object.into(), resolved.unset))
}

fn every_known_answer_comes_from_the_library() {
    for case in cases() {
        for (option, answer) in WAYS {
            let expected = &case[answer];
            match (by_library(&case, option), expected["error"].as_str()) {
                (Ok((values, _)), None) => assert_eq!(values, expected["ok"], "{case}"),
                (Err(ResolveError::Cycle(_)), Some("cycle")) => {}
                (Err(ResolveError::Required { .. }), Some("required")) => {}
                (other, _) => panic!("{other:?} in {case}"),
            }
        }
    }
}

fn every_known_answer_comes_from_the_program() {
    for case in cases() {
        let tree = Tree::holding_json(&case["vars"]);
        let run =
            pairs(&case["environment"]).fold(tree.run(), |run, (name, value)| run.env(name, value));
        for (option, answer) in WAYS {
            let (run, expected) = (run.clone().arg(option), &case[answer]);
            match expected["error"].as_str() {
                None => {
                    assert_eq!(run.clone().values(), expected["ok"], "{case}");
                    let (_, unset) = by_library(&case, option).unwrap();
                    let outcome = run.args(["--", "true"]).finish();
                    assert_eq!(outcome.warnings().len(), usize::from(!unset.is_empty()));
                }
                Some("cycle") => drop(run.refuses(125, &["circular", "A", "B"])),
                Some(_) => drop(run.refuses(125, &["A"])),
            }
        }
    }
}

fn nothing_is_resolved_unless_it_is_asked_for() {
    let tree = Tree::holding("A=a\nB=$A ${A:?} \\$A\nC=${C:?no}\n");
    let expected = json!({ "A": "a", "B": "$A ${A:?} \\$A", "C": "${C:?no}" });
    assert_eq!(tree.run().values(), expected);
}

fn references_reach_over_the_levels() {
    let project = Project::new("p", Custody::legacy())
        .level("", "URL=https://${HOST}\nHOST=shared\n")
        .level("t", "HOST=deep\nALL=$URL/$OWN\n")
        .level("t/e", "OWN=own\n");
    let tree = Tree::of_project(project);
    let values = |option: &str| {
        let run = tree.dotenv_run().args(["p/t/e", "--resolve", option]);
        run.values()
    };
    let all =
        json!({ "URL": "https://deep", "HOST": "deep", "ALL": "https://deep/own", "OWN": "own" });
    assert_eq!(values("--allow-empty"), all);
    assert_eq!(values("--level-only"), json!({ "OWN": "own" }));
}

fn an_escaped_dollar_stands_for_itself() {
    let tree = Tree::holding("A=a\nB=\"\\$A $A\"\nC=\\$A\nD=\"\\\\$A\"\nE=5\\$\n");
    let expected = json!({ "A": "a", "B": "$A a", "C": "$A", "D": "$A", "E": "5$" });
    assert_eq!(tree.run().arg("--resolve").values(), expected);
}

fn a_single_quoted_value_is_not_touched() {
    let text = "A=a\nQ='$A ${A:?x} \\$A ${Q}'\nU=$Q\nD=\"$Q\"\nN='${NO:?no}\n$NO'\n";
    let tree = Tree::holding(text);
    let literal = "$A ${A:?x} \\$A ${Q}";
    let expected = json!({
        "A": "a", "Q": literal, "U": literal, "D": literal, "N": "${NO:?no}\n$NO",
    });
    assert_eq!(
        tree.run().args(["--resolve", "--strict"]).values(),
        expected
    );
}

fn text_that_was_put_in_is_not_scanned_again() {
    let tree = Tree::holding("A='${B'\nC=$A}\nB=b\nD='$'\nE=${D}B\nF=${B:+'$B'}\nG=$IN\n");
    let expected = json!({
        "A": "${B", "C": "${B}", "B": "b", "D": "$", "E": "$B", "F": "'b'", "G": "$B ${B}",
    });
    let run = tree.run().env("IN", "$B ${B}").arg("--resolve-env");
    assert_eq!(run.values(), expected);
}

fn names_that_are_not_set_are_left_and_named_in_one_warning() {
    let text = "A=$TWO ${ONE}$TWO\nB=$A$THREE\nC=${SELF_:-x}${FOUR:+y}\nSELF=$SELF\nE=\nF=$E\n";
    let tree = Tree::holding(text);
    let run = || tree.run().arg("--resolve");
    let values = json!({
        "A": "$TWO ${ONE}$TWO", "B": "$TWO ${ONE}$TWO$THREE", "C": "x", "SELF": "$SELF",
        "E": "", "F": "",
    });
    assert_eq!(run().values(), values);
    for action in [&["--print", "json"][..], &["--list"], &["--", "true"]] {
        let outcome = run().args(action).finish();
        outcome.assert_status(0);
        let warnings = outcome.warnings();
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome}");
        let message = "A, B, SELF: reference to a variable that is not set; left as written";
        assert!(warnings[0].ends_with(message), "{outcome}");
        let quiet = run().arg("--quiet").args(action).finish();
        assert_eq!(quiet.stderr, "", "{quiet}");
    }
}

fn names_that_are_not_set_are_an_error_when_it_is_strict() {
    let tree = Tree::holding("A=$TWO ${ONE}$TWO\nB=${THREE:-x}$E\nE=\n");
    for option in ["--resolve", "--resolve-env"] {
        let run = tree.run().args([option, "--strict"]);
        let message = "A: reference to a variable that is not set";
        let outcome = run.clone().refuses(125, &[message]);
        for name in ["ONE", "TWO", "THREE"] {
            assert!(!outcome.stderr.contains(name), "{outcome}");
        }
        run.clone()
            .args(["--print", "json"])
            .finish()
            .assert_refused(125, &[message]);
        let set = run.env("ONE", "1").env("TWO", "2");
        if option == "--resolve-env" {
            let expected = json!({ "A": "2 12", "B": "x", "E": "" });
            assert_eq!(set.values(), expected);
        } else {
            set.refuses(125, &[message]);
        }
    }
    tree.run().arg("--strict").refuses(125, &["--resolve"]);
}

fn the_inherited_environment_is_looked_in_only_on_demand() {
    let tree =
        Tree::holding("A=$IN|${BOTH}|${EMPTY:-d}|$EMPTY\nBOTH=secret\nEMPTY=\nPORT=${PORT:-80}\n");
    let run = |option: &str| {
        let inherited = [
            ("IN", "in"),
            ("BOTH", "no"),
            ("EMPTY", "no"),
            ("PORT", "8080"),
        ];
        let run = inherited
            .iter()
            .fold(tree.run(), |run, (name, value)| run.env(name, value));
        run.arg(option)
    };
    let expected =
        |a: &str, port: &str| json!({ "A": a, "BOTH": "secret", "EMPTY": "", "PORT": port });
    assert_eq!(run("--resolve").values(), expected("$IN|secret|d|", "80"));
    assert_eq!(
        run("--resolve-env").values(),
        expected("in|secret|d|", "8080")
    );
    // What the command does not inherit can be referred to all the same.
    let run = run("--resolve-env").arg("--clean-env");
    let expected = ["A=in|secret|d|", "BOTH=secret", "EMPTY=", "PORT=8080"];
    assert_eq!(run.variables(), expected);
}

fn keys_are_not_among_what_is_looked_in() {
    let tree = Tree::holding("A=$DOTENV_API_KEY\nB=${DOTENV_CLIENT_KEY:-none}\n");
    let run = tree
        .run()
        .arg("--resolve-env")
        .env("DOTENV_API_KEY", "dotenv_0");
    for run in [run.clone(), run.arg("--keep-credentials")] {
        let expected = json!({ "A": "$DOTENV_API_KEY", "B": "none" });
        assert_eq!(run.client_key().values(), expected);
    }
}

fn a_required_name_stops_the_run_with_its_message() {
    let refusals = [
        ("A=${B:?the host is needed}\n", "A: the host is needed"),
        (
            "E=\nA=x${E:?}y\n",
            "A requires a variable that is not set or is empty",
        ),
        ("A=${B?only}\n", "A: only"),
        ("A=$Z\nZ=${Z:?own}\n", "Z: own"),
        (
            "A=\"${B:?two\\nlines\\t\u{1b}[31m}\"\n",
            "two\\nlines\\t\\u{1b}[31m",
        ),
    ];
    for (text, message) in refusals {
        let tree = Tree::holding(text);
        tree.run().arg("--resolve").refuses(125, &[message]);
    }
    let tree =
        Tree::holding("A=${B:?no}\nB=b\nC=${A:+${B:?no}}\nD=${NO:+${NO:?no}}\nE=${A:-${NO:?no}}\n");
    let expected = json!({ "A": "b", "B": "b", "C": "b", "D": "", "E": "b" });
    assert_eq!(tree.run().arg("--resolve").values(), expected);
}

fn a_message_shows_no_value() {
    let tree = Tree::holding("A=${B:?see $SECRET ${SECRET}}\nSECRET=sk_live_message\n");
    let run = tree.run().arg("--resolve");
    run.refuses(125, &["A: see $SECRET ${SECRET}"]);
}

/// A reference in the middle of a value may be a part of a password that nobody meant as one.
fn no_message_shows_a_part_of_a_value() {
    for (text, strict) in [
        ("DB_PASSWORD=Tr0ub4dor$SuperSecretPart\n", false),
        ("DB_PASSWORD=Tr0ub4dor${SuperSecretPart}x\n", false),
        ("DB_PASSWORD=a${x:?SuperSecretPart}b\n", true),
        ("DB_PASSWORD=a${SuperSecretPart:?}b\n", true),
        ("DB_PASSWORD=a${SuperSecretPart?}\n", true),
        ("DB_PASSWORD=a${SuperSecretPart\n", false),
        ("DB_PASSWORD=a${b!SuperSecretPart}\n", false),
        ("DB_PASSWORD=a${b:-${c:?SuperSecretPart}}\n", true),
        ("DB_PASSWORD=x${DB_PASSWORD}$SuperSecretPart\n", false),
    ] {
        let tree = Tree::holding(text);
        for extra in [&[][..], &["--strict"]] {
            for action in [
                &["--", "true"][..],
                &["--check", "--", "true"],
                &["--check", "--json", "--", "true"],
            ] {
                let run = tree.run().arg("--resolve").args(extra).args(["-v", "-v"]);
                let outcome = run.args(action).finish();
                let is_refused = strict || !extra.is_empty();
                outcome.assert_status(if is_refused { 125 } else { 0 });
                let said = format!(
                    "{}{}",
                    outcome.stderr,
                    String::from_utf8_lossy(&outcome.stdout)
                );
                assert!(!said.contains("SuperSecretPart"), "{text}{outcome}");
                let is_told = is_refused || !outcome.warnings().is_empty();
                assert!(!is_told || said.contains("DB_PASSWORD"), "{text}{outcome}");
            }
        }
    }
}

fn a_reference_without_a_meaning_is_an_error_when_it_is_strict() {
    for text in [
        "A=${\n",
        "A=${B\n",
        "A=x${B/c}y\n",
        "A=${}\n",
        "A=${1}\n",
        "A=${B:=c}\n",
    ] {
        let tree = Tree::holding(text);
        let run = tree.run().arg("--resolve");
        let written = text.trim_end().strip_prefix("A=").unwrap();
        assert_eq!(run.clone().values(), json!({ "A": written }));
        run.arg("--strict")
            .refuses(125, &["A: invalid ${…} reference"]);
    }
    let harmless = Tree::holding("A=$1 $( $ \\${ 5$\n");
    let run = harmless.run().args(["--resolve", "--strict"]);
    assert_eq!(
        run.values(),
        json!({ "A": "$1 $( $ \\${ 5$".replace("\\$", "$") })
    );
}

fn a_circle_stops_the_run_and_is_named() {
    let circles = [
        ("A=$B\nB=$A\n", "circular references: A, B"),
        (
            "LEADS=$B\nB=x${C}\nC=${X:-$D}\nD=${C:-$B}\nOK=fine\n",
            "circular references: C, D",
        ),
        ("A=${B:+x}\nB=${A:?x}\n", "circular references: A, B"),
    ];
    for (text, message) in circles {
        let tree = Tree::holding(text);
        let outcome = tree.run().arg("--resolve").refuses(125, &[message]);
        let innocent = ["LEADS", "OK"]
            .iter()
            .any(|name| outcome.stderr.contains(name));
        assert!(!innocent, "{outcome}");
        let run = tree
            .run()
            .args(["--resolve-env", "--except", "*", "--allow-empty"]);
        run.env("A", "a").refuses(125, &[message]);
    }
}

fn a_circle_in_an_operand_that_is_not_used_is_none() {
    let tree = Tree::holding("A=${B:-$C}\nB=b\nC=$A\nD=${D:-${D:-d}}\nE=${NO:+$E$F}\nF=$E\n");
    let expected = json!({ "A": "b", "B": "b", "C": "b", "D": "d", "E": "", "F": "" });
    assert_eq!(tree.run().arg("--resolve").values(), expected);
}

/// `V0` that refers to `V1`, and so on; the last is `end`.
fn chain(length: usize, link: impl Fn(usize) -> String) -> Vec<String> {
    let links = (0..length).map(|at| format!("V{at}={}\n", link(at + 1)));
    links.chain([format!("V{length}=end\n")]).collect()
}

/// No more than a tree of a million bytes needs anyway.
const MEMORY_IN_KB: u32 = 400_000;

/// What must be enough for a text of a megabyte, on a loaded machine and without optimisation.
const TIME: Duration = Duration::from_secs(10);

/// With little memory.
fn bounded(tree: &Tree) -> Run {
    let script = format!("ulimit -v {MEMORY_IN_KB}; exec \"$@\"");
    let run = tree.run().arg("--resolve");
    run.under(["sh", "-c", &script, "sh"]).limit(TIME)
}

fn a_chain_of_ten_thousand_is_resolved() {
    let links: [fn(usize) -> String; 2] = [
        |next| format!("$V{next}"),
        |next| format!("${{NO:-${{V{next}:?x}}}}"),
    ];
    for link in links {
        let mut lines = chain(10_000, link);
        for _ in 0..2 {
            let tree = Tree::holding(&lines.concat());
            let outcome = bounded(&tree)
                .args(["--", "printenv", "V0", "V9999"])
                .finish();
            outcome.assert_status(0).assert_stdout("end\nend\n");
            lines.reverse();
        }
    }
}

fn doubling_is_refused_in_bounded_time_and_memory() {
    let doublings: [fn(usize) -> String; 2] = [
        |next| format!("$V{next}${{V{next}}}"),
        |next| format!("${{V{next}:+$V{next}}}${{NO:-$V{next}}}"),
    ];
    for doubling in doublings {
        let mut lines = chain(60, doubling);
        for _ in 0..2 {
            // 3 bytes, doubled 19 times, are more than a MiB.
            let tree = Tree::holding(&lines.concat());
            bounded(&tree).refuses(125, &["V41 ", "1048576"]);
            lines.reverse();
        }
    }
}

fn many_large_results_are_refused_in_bounded_time_and_memory() {
    let mut text = format!("BIG={}\n", "x".repeat(1_000_000));
    (0..5000).for_each(|at| writeln!(text, "R{at}=$BIG").unwrap());
    let tree = Tree::holding(&text);
    let outcome = bounded(&tree).refuses(125, &["R67"]);
    // No single one of them is too large.
    assert!(!outcome.stderr.contains("1048576"), "{outcome}");
}

fn a_result_may_be_as_large_as_the_cap() {
    let half = "x".repeat(512 * 1024);
    let text = format!("A=$H$H\nB=$H${{H}}$E\nE=\nH={half}\n");
    let tree = Tree::holding(&text);
    let values = bounded(&tree).args(["--only", "A,B"]).values();
    for name in ["A", "B"] {
        assert_eq!(values[name].as_str().map(str::len), Some(1024 * 1024));
    }
    let over = Tree::holding(&text.replace("E=", "E=e"));
    bounded(&over).refuses(125, &["B ", "1048576"]);
}

/// Texts of about a megabyte that invite to be read more than once.
fn references_cost_as_much_as_their_text() {
    let (open, close) = ("${NO:-".repeat(100_000), "}".repeat(100_000));
    let texts = [
        (format!("A={open}x{close}\n"), Some("x".len())),
        (format!("B=b\nA={}\n", "${B:+".repeat(150_000)), None),
        (format!("A={}\n", "${".repeat(400_000)), None),
        (format!("A={}\n", "$".repeat(800_000)), None),
        (format!("B=b\nA={}\n", "$B".repeat(400_000)), Some(400_000)),
        (
            format!("B=b\nA={}x{}\n", "${B:-".repeat(100_000), close),
            Some(1),
        ),
        (format!("A={}\n", "${NO:-}".repeat(140_000)), Some(0)),
    ];
    for (text, length) in texts {
        let tree = Tree::holding(&text);
        let values = bounded(&tree).args(["--quiet", "--only", "A"]).values();
        let as_written = text.lines().last().unwrap().len() - "A=".len();
        let expected = length.unwrap_or(as_written);
        assert_eq!(
            values["A"].as_str().map(str::len),
            Some(expected),
            "{}",
            &text[..20]
        );
    }
}
