//! Variables that cannot be resolved, selected, rendered or passed on, and commands that cannot run.

use super::*;
use crate::mask::BROKEN_PIPE;

/// A run with these options on a level with this text.
fn with(
    row: (i32, &'static str, &'static str),
    text: impl Into<String>,
    options: &[&str],
) -> Failure {
    let (text, options) = (text.into(), options.join(" "));
    let shown: String = text.chars().take(60).collect();
    failure(row, format!("{options}: {shown}"), move || {
        let options: Vec<_> = options.split_whitespace().collect();
        on_text("env", &text).args(&options)
    })
}

/// References in variables that lead nowhere.
fn referring() -> Vec<Failure> {
    let text = format!("A={VALUE}\nB={WORD}\n");
    let with = |variant: &'static str, says: &'static str, reference: String| {
        let text = text.clone();
        failure((125, variant, says), reference.clone(), move || {
            let scene = on_text("env", &text).args(&["--refs"]);
            scene.env("X", &reference)
        })
    };
    vec![
        with(
            "Usage::BadReference",
            "X: not a valid reference",
            format!("dotenv://p#A {VALUE}"),
        ),
        with(
            "Usage::NoReference",
            "holds a reference",
            format!("postgres://{VALUE}"),
        ),
        with(
            "Error::OfReference",
            "X: no-such: no such project",
            "dotenv://no-such#A".into(),
        ),
        with(
            "Error::ReferenceToNothing",
            "X: there is no secret C in p",
            "dotenv:#C".into(),
        ),
        failure(
            (
                125,
                "Usage::ReferenceWithoutPath",
                "X: the reference names no PATH",
            ),
            "without a path",
            || keyed().env("X", "dotenv:#A"),
        ),
        failure(
            (
                125,
                "Error::ReferenceToNoLevel",
                "X: p/t has no level target",
            ),
            "an empty target",
            || {
                let project =
                    Project::new("p", Custody::legacy()).level("", &format!("A={VALUE}\n"));
                let tree = Tree::of_project(project.empty_place("t"));
                let scene = keyed().args(&["--api-url", &tree.url()]);
                scene.env("X", "dotenv://p/t#A").keeping(tree)
            },
        ),
    ]
}

fn resolving() -> Vec<Failure> {
    let cycle = (125, "ResolveError::Cycle", "circular");
    let required = (125, "ResolveError::Required", "A");
    let unset = (125, "Error::Unset", "not set");
    let large = format!("A=\"{WORD}{}\"\n", "x".repeat(1 << 20));
    let half = format!("A={WORD}{}\n", "x".repeat(1 << 19));
    let many: String = (0..70)
        .map(|index| format!("B{index}=${{A}}${{A}}\n"))
        .collect();
    let total = format!("A={WORD}{}\n{many}", "x".repeat((1 << 19) - 100));
    let resolve = &["--resolve"][..];
    vec![
        with(cycle, format!("A={VALUE}$B\nB={WORD}${{A}}\n"), resolve),
        with(
            cycle,
            format!("A=${{B:-{WORD}}}\nB=${{C:+x}}{VALUE}\nC=$A\n"),
            resolve,
        ),
        with(
            required,
            format!("A={VALUE}${{X:?say so}}{WORD}\nB={VALUE}\n"),
            resolve,
        ),
        with(
            required,
            format!("A=\"{WORD}${{X:?}}\"\nX='{VALUE}'\n").replace("X='", "Y='"),
            resolve,
        ),
        with(required, format!("B={WORD}\nA=${{X:?needs $B}}\n"), resolve),
        with(
            (125, "Error::MalformedReference", "A: invalid"),
            format!("A={VALUE}${{{WORD}\n"),
            &["--resolve", "--strict"],
        ),
        with(
            unset,
            format!("A={VALUE}${{X}}{WORD}\n"),
            &["--resolve", "--strict"],
        ),
        with(
            (125, "ResolveError::TooLong", "larger than 1048576"),
            format!("{large}B=$A\n"),
            resolve,
        ),
        with(
            (125, "ResolveError::TooLong", "larger than 1048576"),
            format!("{half}B=$A$A\n"),
            resolve,
        ),
        with(
            (125, "ResolveError::TotalTooLong", "values up to"),
            total,
            resolve,
        ),
    ]
}

fn selecting() -> Vec<Failure> {
    let text = format!("A={VALUE}\nB='{WORD}'\nE=\n");
    let spelling = format!("A={WORD}\nB=\"{WORD}'\\\\$\\\"`\\n{WORD}\"\n");
    vec![
        with(
            (125, "Error::NothingToRename", "no secret X"),
            &text,
            &["--rename", "X=Y"],
        ),
        with(
            (125, "Error::NameCollision", "named B"),
            &text,
            &["--rename", "A=B"],
        ),
        with(
            (125, "Error::Required", "missing or empty"),
            &text,
            &["--require", "E,X"],
        ),
        failure(
            (125, "Error::UnsafeNames", "take over a program"),
            "in the environment",
            || {
                let text = format!("LD_PRELOAD={VALUE}\nPATH={WORD}\n");
                on_text("env", &text).only(Ways::Command)
            },
        ),
        failure(
            (125, "Error::NameCollision", "named A"),
            "a file",
            move || {
                let scene = on_text("env", &text).args(&["--file", "A"]);
                Scene {
                    makes_file: true,
                    ..scene.only(Ways::Command)
                }
            },
        ),
        failure(
            (125, "Error::NoSecretForFile", "no secret NO"),
            "a file",
            || {
                let scene = on_text("env", format!("A={VALUE}\nB={WORD}\n"));
                scene.args(&["--secret-file", "NO"]).only(Ways::Command)
            },
        ),
        failure(
            (125, "Error::NoSpelling", "cannot be written as"),
            "a file",
            move || {
                on_text("env", &spelling)
                    .args(&["--file", "F"])
                    .only(Ways::Command)
            },
        ),
    ]
}

fn printing() -> Vec<Failure> {
    vec![
        failure(
            (125, "Error::NoSpelling", "cannot be written as"),
            "printed",
            || {
                let scene = on_text(
                    "env",
                    format!("A={WORD}\nB=\"{WORD}'\\\\$\\\"`\\n{WORD}\"\n"),
                );
                scene.args(&["--print", "env"]).only(Ways::Complete)
            },
        ),
        failure(
            (125, "Error::NoSpelling", "cannot be written as docker"),
            "a line end",
            || {
                let scene = on_text("env", format!("A='{WORD}\n{WORD}'\n"));
                scene.args(&["--print", "docker"]).only(Ways::Complete)
            },
        ),
        failure(
            (125, "Error::NoSpelling", "keeps this name"),
            "a name of the runner",
            || {
                let scene = on_text("env", format!("B={WORD}\nRUNNER_A={VALUE}\n"));
                scene.args(&["--print", "github"]).only(Ways::Complete)
            },
        ),
        failure(
            (125, "Error::NotBase64", "A is not base64"),
            "a value",
            || {
                let scene = on_text("env", format!("A={VALUE}{WORD}!\n"));
                scene.args(&["--print", "raw:base64"]).only(Ways::Complete)
            },
        ),
        failure(
            (125, "Error::NotOneSecret", "and 2 are selected"),
            "two values",
            || {
                let scene = on_text("env", format!("A={VALUE}\nB={WORD}\n"));
                scene.args(&["--print", "raw"]).only(Ways::Complete)
            },
        ),
        failure(
            (125, "Error::NothingMasked", "what to mask"),
            "a runner that does not read",
            || {
                let (dir, secret) = (TempDir::new(), format!("A={VALUE}\nB={WORD}\n"));
                let scene = on_text("env", secret).args(&["--mask=github", "--print=github"]);
                let script = "\"$@\" 2>error; status=$?; cat error >&2; exit $status";
                let scene = scene.with(|run| run.under(["sh", "-c", script, "sh"]).dir(dir.path()));
                scene.keeping(dir).only(Ways::Complete)
            },
        ),
        failure(
            (125, "Error::PrintToFile", "regular file"),
            "printed",
            || {
                let dir = TempDir::new();
                let scene = on_tree("app/t/e", |_| ()).args(&["--print", "env"]);
                let scene = scene.with(|run| run.dir(dir.path()).redirected(">out"));
                scene.keeping(dir).only(Ways::Complete)
            },
        ),
        failure((125, "Error::Output", "cannot write"), "printed", || {
            let scene = on_tree("app/t/e", |_| ()).args(&["--print", "env"]);
            let scene = scene.with(|run| run.redirected(">/dev/full"));
            scene.only(Ways::Complete)
        }),
        failure((125, "Error::Output", "cannot write"), "help", || {
            let scene = keyed().args(&["--help"]);
            scene
                .with(|run| run.redirected(">/dev/full"))
                .only(Ways::Complete)
        }),
    ]
}

fn launching() -> Vec<Failure> {
    let too_long = format!("B={VALUE}\nA={WORD}{}\n", "x".repeat(140_000));
    let many: String = (0..200)
        .map(|index| format!("A{index}={WORD}{}\n", "x".repeat(100_000)))
        .collect();
    let command = |row: (i32, &'static str, &'static str), command: &'static str| {
        failure(row, command, move || {
            let scene = on_tree("app/t/e", |_| ()).args(&["--", command, "an argument"]);
            scene.only(Ways::Complete)
        })
    };
    vec![
        failure(
            (125, "Error::VariableTooLong", "for one variable"),
            "a value",
            move || on_text("env", &too_long).only(Ways::Command),
        ),
        failure(
            (125, "Error::EnvironmentTooLong", "the kernel limit"),
            "values",
            move || on_text("env", &many).only(Ways::Command),
        ),
        failure(
            (125, "Error::Mask", "masking commands"),
            "a runner that is gone",
            || {
                let dir = TempDir::new();
                let wrapper = ["sh", "-c", BROKEN_PIPE, "sh"];
                let scene = on_tree("app/t/e", |_| ()).args(&["--mask=github"]);
                let scene = scene.with(|run| run.dir(dir.path()).under(wrapper));
                scene.keeping(dir).only(Ways::Command)
            },
        ),
        failure(
            (125, "Error::Audit", "cannot write the audit line"),
            "a descriptor that is open for reading",
            || {
                let scene = on_tree("app/t/e", |_| ()).args(&["--audit=9"]);
                scene.with(|run| run.redirected("9</dev/null"))
            },
        ),
        failure(
            (125, "Error::NotOpen", "descriptor 999 is not open"),
            "a descriptor of the audit line",
            || on_tree("app/t/e", |_| ()).args(&["--audit=999"]),
        ),
        command(
            (127, "Error::Command", "no such file"),
            "/nonexistent/command",
        ),
        command(
            (127, "Error::Command", "no such file"),
            "no-such-command-anywhere",
        ),
        command((126, "Error::Command", "permission denied"), "/"),
        failure(
            (126, "Error::Command", "permission denied"),
            "a file of data",
            || {
                let dir = TempDir::new();
                let file = dir.file("data", VALUE).display().to_string();
                let scene = on_tree("app/t/e", |_| ()).args(&["--", &file]);
                scene.keeping(dir).only(Ways::Complete)
            },
        ),
    ]
}

pub fn table() -> Vec<Failure> {
    [
        referring(),
        resolving(),
        selecting(),
        printing(),
        launching(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
