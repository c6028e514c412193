//! References in variables: a variable whose whole value is one gets that secret, and the command gets no other secret.

use serde_json::{Value, json};

use crate::several::{with_keys, world};
use crate::support::*;

tests![
    a_variable_gets_the_secret_that_it_refers_to,
    without_a_path_a_reference_is_enough,
    with_paths_references_are_followed_only_if_that_is_said,
    nothing_but_what_is_referenced_is_given,
    what_a_reference_without_a_path_means_are_the_paths_given,
    what_looks_like_a_reference_and_is_none_is_refused,
    what_leads_nowhere_names_the_variable,
    a_secret_that_looks_like_a_reference_is_not_followed,
    the_name_of_the_variable_decides_what_is_refused,
    only_what_is_inherited_counts,
    what_cannot_go_with_references_is_refused,
    each_document_is_asked_for_once,
    values_are_resolved_in_the_set_that_they_come_from,
    a_check_lists_every_reference,
    lists_and_printed_forms_have_the_names_of_the_variables,
    references_work_behind_a_parent_and_with_a_cache,
];

/// The tree of several projects, and a run with all keys that names no path.
fn scene() -> (Tree, Run) {
    let tree = Tree::of(&world());
    let run = Run::dotenv_run().args(["--api-url", &tree.url(), "-q", "--custody=any"]);
    (tree, run.client_key())
}

fn a_variable_gets_the_secret_that_it_refers_to() {
    let (tree, run) = scene();
    let run = run
        .env("DATABASE", "dotenv://my-app/production/api#D")
        .env("OTHER", "dotenv://open#F")
        .env("SAME", "dotenv://my-app#B")
        .env("PLAIN", "as it is");
    let expected = ["OTHER=open", "PLAIN=as it is", "DATABASE=api", "SAME=app"];
    let mut found = run.clone().variables();
    found.sort();
    let mut sorted = expected;
    sorted.sort_unstable();
    assert_eq!(found, sorted);
    drop(tree);
    let service = Service::of(world());
    let run = service
        .dotenv_run()
        .client_key()
        .args(["-q", "--custody=any"]);
    let run = run.env("X", "dotenv://my-app/staging#D");
    assert_eq!(run.variables(), ["X=app staging"]);
}

fn without_a_path_a_reference_is_enough() {
    let (_tree, run) = scene();
    run.clone().refuses(125, &["no PATH"]);
    run.clone().arg("--refs").refuses(
        125,
        &["--refs: no variable of the environment holds a reference"],
    );
    let with = run.env("X", "dotenv://open#F");
    assert_eq!(with.clone().variables(), ["X=open"]);
    assert_eq!(with.arg("--refs").variables(), ["X=open"]);
}

fn with_paths_references_are_followed_only_if_that_is_said() {
    let (_tree, run) = scene();
    let run = run
        .env("X", "dotenv://open#F")
        .env("Y", "DOTENV://nonsense");
    let untouched = ["X=dotenv://open#F", "Y=DOTENV://nonsense", "B=app", "C=app"];
    assert_eq!(run.clone().arg("my-app").variables(), untouched);
    let by_variable = run.clone().env("DOTENV_RUN_PATH", "my-app").variables();
    let expected: Vec<_> = by_variable
        .iter()
        .filter(|it| !it.starts_with("DOTENV_RUN"))
        .collect();
    assert_eq!(expected, untouched.iter().collect::<Vec<_>>());
    let run = run.env("Y", "y").args(["my-app", "--refs"]);
    assert_eq!(run.variables(), ["Y=y", "X=open"]);
}

fn nothing_but_what_is_referenced_is_given() {
    let (_tree, run) = scene();
    let run = run.env("X", "dotenv:#B").args(["my-app", "--refs"]);
    assert_eq!(run.clone().variables(), ["X=app"]);
    assert_eq!(run.clone().values(), json!({ "X": "app" }));
    let script = "cat \"$F\"; echo; env | grep -c app";
    let run = run.args(["--file", "F=json", "--", "sh", "-c", script]);
    run.finish().assert_stdout("{\n  \"X\": \"app\"\n}\n\n1\n");
}

fn what_a_reference_without_a_path_means_are_the_paths_given() {
    let (_tree, run) = scene();
    let run = run
        .arg("--refs")
        .env("X", "dotenv:#A")
        .env("Y", "dotenv://my-app#B");
    let run = run.env("Z", "dotenv:#B");
    let of = |paths: &[&str]| run.clone().args(paths).values();
    assert_eq!(
        of(&["open", "my-app"]),
        json!({ "X": "open", "Y": "app", "Z": "app" })
    );
    let alone = run.env_remove("Z").env_remove("Y");
    assert_eq!(alone.clone().arg("open").values(), json!({ "X": "open" }));
    // Those that only other references lead to are not meant.
    let elsewhere = alone.env("Y", "dotenv://open#A").arg("my-app");
    elsewhere.refuses(125, &["X: there is no secret A in my-app"]);
}

fn what_looks_like_a_reference_and_is_none_is_refused() {
    let (_tree, run) = scene();
    for value in [
        "DOTENV://open#F",
        "dotenv://open#F ",
        " dotenv://open#F",
        "dotenv://open",
        "dotenv://open#",
        "dotenv://#F",
        "dotenv:#",
        "dotenv://op%65n#F",
        "dotenv://open#F#F",
        "dotenv://open/a/b/c#F",
        "dotenv://open#F dotenv://open#A",
        "dotenv://open?x#F",
    ] {
        let run = run.clone().env("GOOD", "dotenv://open#F").env("X", value);
        run.refuses(
            125,
            &[
                "X: not a valid reference: ",
                "hint: a reference has the form",
            ],
        );
    }
    let run = run.environment_block(&[b"PATH=/usr/bin:/bin", b"X=dotenv://open#\xff"]);
    run.refuses(125, &["X: not a valid reference: not UTF-8"]);
    let (_tree, run) = scene();
    let run = run.environment_block(&[b"PATH=/usr/bin:/bin", b"a.b=dotenv://open#F"]);
    run.refuses(
        125,
        &["a.b: not a valid reference: not a valid variable name"],
    );
}

fn what_leads_nowhere_names_the_variable() {
    let (_tree, run) = scene();
    for (value, says) in [
        ("dotenv://open#NO", "X: there is no secret NO in open"),
        ("dotenv://no-such#F", "X: no-such: no such project"),
        ("dotenv://my-app/no#F", "X: my-app/no: no such project"),
        (
            "dotenv://my-app/production#E",
            "X: there is no secret E in my-app/production",
        ),
    ] {
        let run = run.clone().env("GOOD", "dotenv://open#F").env("X", value);
        run.refuses(125, &[says]);
    }
    let service = Service::only_with(Key::new().restricted_to("my-app"));
    let run = service
        .dotenv_run()
        .client_key()
        .args(["-q", "--custody=any"]);
    let run = run
        .env("X", "dotenv://my-app#APP_NAME")
        .env("Y", "dotenv://managed#APP_NAME");
    run.refuses(125, &["Y: ", "managed"]);
}

fn a_secret_that_looks_like_a_reference_is_not_followed() {
    let tree = Tree::holding("A=dotenv://p#B\nB=secret\n");
    let run = tree.dotenv_run().env("X", "dotenv://p#A");
    assert_eq!(run.clone().variables(), ["X=dotenv://p#B"]);
    assert_eq!(run.arg("--resolve").variables(), ["X=dotenv://p#B"]);
}

fn the_name_of_the_variable_decides_what_is_refused() {
    // What it gets is what the store has, whoever wrote the reference.
    let tree = Tree::holding("LD_PRELOAD=x\nHARMLESS=--require=evil\n");
    let run = tree.dotenv_run().env("NODE_OPTIONS", "dotenv://p#HARMLESS");
    run.clone().refuses(125, &["NODE_OPTIONS", "Node"]);
    let allowed = run.args(["--allow-unsafe-env", "NODE_OPTIONS"]);
    assert_eq!(allowed.variables(), ["NODE_OPTIONS=--require=evil"]);
    let harmless = tree.dotenv_run().env("X", "dotenv://p#LD_PRELOAD");
    assert_eq!(harmless.variables(), ["X=x"]);
}

fn only_what_is_inherited_counts() {
    let (_tree, run) = scene();
    let run = run.env("X", "dotenv://open#F").env("Y", "dotenv://open#A");
    let clean = run.arg("--clean-env");
    clean.clone().refuses(125, &["no PATH"]);
    assert_eq!(clean.args(["--pass", "Y"]).variables(), ["Y=open"]);
    let (_tree, run) = scene();
    // Of a name that is there twice, the first value is the one that programs find.
    let path = format!("PATH={}", std::env::var("PATH").unwrap_or_default());
    let block: [&[u8]; 3] = [path.as_bytes(), b"X=dotenv://open#F", b"X=dotenv://open#A"];
    assert_eq!(run.environment_block(&block).variables(), ["X=open"]);
}

fn what_cannot_go_with_references_is_refused() {
    let (_tree, run) = scene();
    for option in [
        "--only=X",
        "--except=X",
        "--rename=X=Y",
        "--prefix=P_",
        "--preserve-env",
    ] {
        let run = run.clone().env("X", "dotenv://open#F").arg(option);
        let name = option.split('=').next().expect("a name");
        run.clone().refuses(125, &["--refs", name]);
        run.arg("--refs").refuses(125, &["--refs", name]);
    }
    let run = run.env("X", "dotenv://open#F");
    run.clone().args(["--require", "F"]).refuses(125, &["F"]);
    assert_eq!(run.args(["--require", "X"]).variables(), ["X=open"]);
    let (_tree, run) = scene();
    let many = (0..33).fold(run, |run, number| {
        run.env(format!("X{number}"), format!("dotenv://p{number}#A"))
    });
    many.refuses(125, &["33 PATHs are more than the 32"]);
}

fn each_document_is_asked_for_once() {
    let service = Service::of(world());
    let (_dir, run) = with_keys(service.dotenv_run().args(["-q", "--refs", "shared"]));
    let run = run
        .env("A", "dotenv://shared#A")
        .env("B", "dotenv://shared#B");
    let run = run
        .env("C", "dotenv:#B")
        .env("D", "dotenv://shared/production#C");
    run.args(["--", "true"]).finish().assert_status(0);
    assert_eq!(service.targets().len(), 3, "{:?}", service.targets());
}

fn values_are_resolved_in_the_set_that_they_come_from() {
    let tree = Tree::of(&World::new(vec![
        Project::new("a", Custody::legacy()).level("", "HOST=a\nURL=x://$HOST\n"),
        Project::new("b", Custody::legacy()).level("", "HOST=b\nURL=x://$HOST\n"),
    ]));
    let run = tree.dotenv_run().args(["--resolve", "--refs", "a", "b"]);
    let run = run.env("A", "dotenv://a#URL").env("B", "dotenv://b#URL");
    let values = run.env("C", "dotenv:#URL").values();
    assert_eq!(values, json!({ "A": "x://a", "B": "x://b", "C": "x://b" }));
}

fn a_check_lists_every_reference() {
    let (_tree, run) = scene();
    let run = run
        .env("X", "dotenv:#B")
        .env("Y", "dotenv://my-app/production#D");
    let run = run.args(["open", "my-app", "--refs", "--check"]);
    let outcome = run.clone().arg("--json").finish();
    let found: Value = serde_json::from_slice(&outcome.stdout).expect("JSON");
    assert_eq!(
        found["references"],
        json!([
            { "variable": "X", "path": "my-app", "name": "B" },
            { "variable": "Y", "path": "my-app/production", "name": "D" },
        ])
    );
    let screen = run.clone().finish();
    for line in [
        "reference     X = my-app#B\n",
        "reference     Y = my-app/production#D\n",
    ] {
        assert!(screen.text().contains(line), "{screen}");
    }
    let failed = run.env("X", "dotenv:#NO").finish();
    failed.assert_status(125);
    assert!(
        failed.text().contains("reference     X = open my-app#NO\n"),
        "{failed}"
    );
}

fn lists_and_printed_forms_have_the_names_of_the_variables() {
    let (_tree, run) = scene();
    let run = run
        .env("X", "dotenv://my-app#B")
        .env("Y", "dotenv://open#F");
    let listed = run.clone().arg("--list").finish();
    listed.assert_stdout("X\tmy-app\tproject\t-\t1-15\nY\topen\tproject\t-\t1-15\n");
    run.args(["--print", "env"])
        .finish()
        .assert_stdout("X=app\nY=open\n");
}

fn references_work_behind_a_parent_and_with_a_cache() {
    let (_tree, run) = scene();
    let run = run.env("X", "dotenv://open#F");
    for how in ["--supervise", "--redact", "--watch=1"] {
        let script = "printf '%s.' \"$X\"";
        let outcome = run.clone().args([how, "--", "sh", "-c", script]).finish();
        let shown = if how == "--redact" { "[X]." } else { "open." };
        outcome.assert_status(0).assert_stdout(shown);
    }
    crate::support::keys::enter_new_session();
    let service = Service::of(world());
    let run = service
        .dotenv_run()
        .args(["-q", "--cache=60"])
        .env("X", "dotenv://open#F");
    assert_eq!(run.clone().variables(), ["X=open"]);
    assert_eq!(run.variables(), ["X=open"]);
    assert_eq!(service.targets().len(), 2);
}
