//! What the program says holds no part of a secret, whatever goes wrong and however much is asked for.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};

use super::AT_A_TIME;
use super::failures::{self, Failure, Scene};
use super::secrets::*;
use crate::support::*;

/// The needles that every run is searched for, and those of one run.
struct Search {
    common: Spellings,
}

impl Search {
    fn new() -> Self {
        Search {
            common: Spellings::new(),
        }
    }

    /// Runs it, and tells which secret it showed.
    fn run(&self, run: Run, own: &Spellings) -> (Outcome, Option<String>) {
        let outcome = run.finish();
        let shown = [&outcome.stdout, outcome.stderr.as_bytes()]
            .into_iter()
            .find_map(|text| self.common.found_in(text).or_else(|| own.found_in(text)));
        (outcome, shown)
    }

    /// Provokes a failure in every way that there is.
    fn check(&self, failure: &Failure, adapted: impl Fn(Run) -> Run) -> Result<(), String> {
        let (scene, witness) = ((failure.scene)(), Witness::new());
        let own = Spellings::of(&scene.planted);
        for run in scene.runs(&witness) {
            let (outcome, shown) = self.run(adapted(run), &own);
            let wrong = |defect: &str| format!("{}: {defect}\n{outcome}", failure.name);
            if let Some(secret) = shown {
                return Err(wrong(&format!("shows {secret}")));
            }
            if outcome.status.code() != Some(failure.status) {
                return Err(wrong(&format!("no status {}", failure.status)));
            }
            if !outcome.stdout.is_empty() {
                return Err(wrong("there is standard output"));
            }
            if !outcome.stderr.contains(failure.says) {
                return Err(wrong(&format!("does not say {:?}", failure.says)));
            }
            witness.assert_not_started();
        }
        Ok(())
    }
}

pub fn no_failure_shows_a_secret() {
    let search = Search::new();
    check_all(AT_A_TIME, &failures::all(), |failure| {
        search.check(failure, |run| run)
    });
}

/// A check fails as the run does, with the same words, and shows no more. That the runner or the output takes no more is
/// noticed only by a run.
pub fn a_check_fails_as_the_run_does_and_shows_no_secret() {
    let search = Search::new();
    let tells = |failure: &Failure| !matches!(failure.variant, "Error::Mask" | "Error::Output");
    let mut failures: Vec<_> = failures::of_dotenv_run().filter(tells).collect();
    failures.retain(|failure| (failure.scene)().ways != failures::Ways::Complete);
    assert!(failures.len() > 100, "{}", failures.len());
    check_all(AT_A_TIME, &failures, |failure| {
        let (scene, witness) = ((failure.scene)(), Witness::new());
        let own = Spellings::of(&scene.planted);
        let plain = scene.completed(&[], &witness).finish();
        for options in [&["--check"][..], &["--check", "--json"]] {
            let (outcome, shown) = search.run(scene.completed(options, &witness), &own);
            let wrong = |defect: &str| format!("{}: {defect}\n{outcome}\n{plain}", failure.name);
            if let Some(secret) = shown {
                return Err(wrong(&format!("shows {secret}")));
            }
            if (outcome.status, &outcome.stderr) != (plain.status, &plain.stderr) {
                return Err(wrong("another failure"));
            }
            let status = plain.status.code().expect("a status").to_string();
            let is_excluded = plain.command.contains("--print") || plain.command.contains("--list");
            if !outcome.text().contains(&status) && !is_excluded {
                return Err(wrong("nothing is shown"));
            }
            witness.assert_not_started();
        }
        Ok(())
    });
}

/// With everything that draws a warning or a note.
pub fn no_success_shows_a_secret() {
    let search = Search::new();
    let wordy = [
        "-v",
        "-v",
        "--resolve",
        "--only",
        "*,none",
        "--except",
        "X*",
    ];
    check_all(AT_A_TIME, &failures::successes(), |(name, scene)| {
        let Scene { run, planted, .. } = &scene();
        let (own, run) = (Spellings::of(planted), run.clone().args(wordy));
        let list = || run.clone().arg("--list");
        for run in [
            run.clone().args(["--", "true"]),
            run.clone().args(["--supervise", "--", "true"]),
            run.clone().args(["--file", "F", "--", "true"]),
            run.clone().args(["--audit=2", "--", "true"]),
            run.clone().args(["--check", "--", "true"]),
            run.clone().args(["--check", "--json", "--file", "F"]),
            list(),
            list().arg("--json"),
        ] {
            let (outcome, shown) = search.run(run, &own);
            outcome.assert_status(0);
            if let Some(secret) = shown {
                return Err(format!("{name}: shows {secret}\n{outcome}"));
            }
            // Otherwise there was nothing to be found.
            let said = ["secrets from", "no '='", "matches no secret"];
            let missing = said.iter().find(|said| !outcome.stderr.contains(**said));
            assert_eq!(missing, None, "{outcome}");
        }
        Ok(())
    });
}

pub fn the_check_finds_a_secret_in_every_encoding() {
    let needles = Spellings::new();
    for secret in [VALUE, WORD, KEY] {
        let json = serde_json::to_string(secret).unwrap();
        let percent = |byte: u8| format!("%{byte:02x}");
        let mut texts = vec![
            secret.to_string(),
            json.replace('/', "\\/"),
            json,
            format!("{secret:?}"),
            secret.escape_default().to_string(),
            format!("{:?}", secret.as_bytes()),
            secret.as_bytes().escape_ascii().to_string(),
            secret.bytes().map(percent).collect(),
        ];
        for case in [str::to_lowercase, str::to_uppercase] {
            let hex = secret.bytes().map(|byte| format!("{byte:02x}"));
            texts.push(case(&hex.collect::<String>()));
        }
        for before in ["", "x", "xy", "xyz"] {
            let text = format!("{before}{secret}.");
            texts.push(BASE64_STANDARD.encode(&text));
            texts.push(BASE64_URL_SAFE.encode(&text));
        }
        for text in texts {
            // From a part of it in the middle of something else as well.
            let (third, length) = (text.len() / 3, text.len());
            let part = &text.as_bytes()[third..length - third / 2];
            for part in [text.as_bytes(), part] {
                let shown = [b"dotenv-run: ", part, b".\n"].concat();
                let found = needles.found_in(&shown);
                assert!(found.is_some(), "{}", shown.escape_ascii());
            }
        }
    }
    let harmless = format!("{}{}", include_str!("../../src/error/mod.rs"), &VALUE[..7]);
    assert_eq!(needles.found_in(harmless.as_bytes()), None);
}

/// Each of the planted messages is caught in a run that is caught at nothing else.
pub fn the_check_catches_every_planted_message() {
    let search = Search::new();
    let all = failures::all();
    let cases = [
        ("message shows the line", "Reason::Name"),
        ("message shows a key in base64", "BadKey::SeveralLines"),
        ("note shows a value", "Error::Required"),
    ];
    check_all(AT_A_TIME, &cases, |(plant, variant)| {
        let of_variant = |failure: &&Failure| failure.variant == *variant;
        let failure = all.iter().find(of_variant).expect("a failure");
        search.check(failure, |run| run)?;
        match search.check(failure, |run| run.planted(plant)) {
            Err(defect) if defect.contains(": shows ") => Ok(()),
            other => Err(format!("{plant}: {other:?}")),
        }
    });
}
