//! Documents that are small for who sends them, and large for who reads them.

use crate::support::*;

tests![
    no_document_takes_more_than_four_times_its_size needs(|| tool("python3")),
    a_level_in_json_is_no_larger_than_it_looks needs(|| tool("python3")),
    a_level_in_yaml_is_no_larger_than_it_looks needs(|| tool("python3")),
    without_memory_a_run_fails_as_ever needs(|| tool("prlimit")),
    reading_and_opening_are_in_the_time_of_the_fetch,
];

/// The size of a document in bytes. The largest that is read has 64 MiB.
const SIZE: usize = 24 * 1024 * 1024;

/// Runs a program, and says on standard error how many KiB it had at most.
const MEASURE: &str = "import resource, subprocess, sys
status = subprocess.run(sys.argv[1:]).returncode
print('peak', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(status)";

/// Values of JSON of this size, and what is wrong with them.
fn values() -> Vec<(&'static str, String, &'static str)> {
    let times = |text: &str| text.repeat(SIZE / text.len());
    let list = |element: &str| format!("[{}1]", times(element));
    let names: String = (0..SIZE / 12).map(|it| format!("\"{it:x}\":1,")).collect();
    let (many, long) = ("more than 100000 values", "a name of more than 65536 bytes");
    vec![
        ("numbers", list("1,"), many),
        ("negative numbers", list("-1,"), many),
        ("fractions", list("1.5,"), many),
        ("strings", list("\"\","), many),
        ("nulls", list("null,"), many),
        ("arrays", list("[],"), many),
        ("objects", list("{\"a\":1},"), many),
        ("nested arrays", list("[[[[1]]]],"), many),
        ("names", format!("{{{names}\"z\":1}}"), many),
        ("a name", format!("{{\"{}\":1}}", times("k")), long),
        (
            "a name of escapes",
            format!("{{\"{}\":1}}", times("\\n")),
            long,
        ),
        ("depth", times("["), "nested too deep"),
        ("depth of objects", times("{\"a\":"), "nested too deep"),
        ("closed depth", times("[") + &times("]"), "nested too deep"),
    ]
}

/// Runs with a tree in which this is what the secrets are.
fn peak_with(document: &str) -> (Outcome, usize) {
    let tree = Tree::example();
    tree.write(&tree.secrets("my-app"), document);
    peak_of(
        tree.dotenv_run()
            .client_key()
            .args(["my-app", "--", "true"]),
    )
}

/// What comes of a run, and how many KiB it had at most.
fn peak_of(run: Run) -> (Outcome, usize) {
    let mut outcome = run.under(["python3", "-c", MEASURE]).finish();
    let (stderr, peak) = outcome.stderr.rsplit_once("peak ").expect("the peak");
    let peak = peak.trim().parse().expect("a number of KiB");
    outcome.stderr = stderr.to_owned();
    (outcome, peak)
}

fn no_document_takes_more_than_four_times_its_size() {
    let most = 4 * SIZE / 1024;
    for (name, value, flaw) in values() {
        for document in [
            format!("{{\"data\":{{\"attributes\":{{\"levels\":{value}}}}}}}"),
            format!("{{\"data\":{value}}}"),
            value,
        ] {
            let (outcome, peak) = peak_with(&document);
            outcome.assert_refused(125, &["my-app/secrets", flaw]);
            assert!(peak < most, "{name}: {peak} KiB of {most}");
        }
    }
    let content = "A".repeat(SIZE);
    let level = format!("{{\"encrypted\":true,\"content\":\"{content}\"}}");
    let levels = format!("{{\"data\":{{\"attributes\":{{\"levels\":{{\"project\":{level}}}}}}}}}");
    let (outcome, peak) = peak_with(&levels);
    outcome.assert_refused(125, &["level project"]);
    assert!(peak < most, "a level: {peak} KiB of {most}");
}

fn a_level_in_json_is_no_larger_than_it_looks() {
    let names: String = (0..SIZE / 16)
        .map(|it| format!("\"N{it:x}\":\"\","))
        .collect();
    for (text, flaw) in [
        (format!("{{{names}\"Z\":\"\"}}"), "more than 100000 values"),
        (format!("{{\"A\":{}", "[".repeat(SIZE)), "nested too deep"),
    ] {
        let project = Project::new("my-app", Custody::client()).format("json");
        let tree = Tree::of_project(project.level("", &text));
        let run = tree
            .dotenv_run()
            .client_key()
            .args(["my-app", "--", "true"]);
        let (outcome, peak) = peak_of(run);
        outcome.assert_refused(125, &["level project", flaw]);
        let document = tree.secrets("my-app").metadata().expect("a document");
        let most = 4 * document.len() as usize / 1024;
        assert!(peak < most, "{flaw}: {peak} KiB of {most}");
    }
}

fn a_level_in_yaml_is_no_larger_than_it_looks() {
    let times = |text: &str| text.repeat(SIZE / text.len());
    let names: String = (0..SIZE / 10).map(|it| format!("N{it:x}:\n")).collect();
    let anchors: String = (0..SIZE / 12).map(|it| format!("&a{it:x} ")).collect();
    let nested = "that may begin a nested value";
    for (name, text, flaw) in [
        ("names", names, "more than 100000 values"),
        ("a name", times("k") + ": 1\n", ""),
        ("depth", times("["), nested),
        ("depth of a value", format!("A: {}", times("[")), nested),
        ("depth of mappings", times("{a: "), nested),
        ("pairs in braces", format!("{{{}", times("a: b,")), nested),
        ("a value in braces", format!("A: {{{}", times("a,")), nested),
        (
            "brackets behind a quote",
            format!("A: \"\"[{}", times("a,")),
            nested,
        ),
        ("sequences", times("- "), "a sequence instead"),
        ("questions", times("? "), "name 1 is not"),
        ("comments", times("#\n"), "nothing instead"),
        ("blank lines", times("\n"), "nothing instead"),
        ("directives", times("%A b\n"), "not valid YAML"),
        ("documents", times("---\n"), "instead of one mapping"),
        ("anchors", anchors, ""),
        ("tags", times("!a "), ""),
        ("aliases", times("*a "), ""),
        ("quotes", format!("A: \"{}", times("\\n")), "not valid YAML"),
        (
            "a long value",
            format!("A: {}\nB: !t x", times("x")),
            "B: a tag",
        ),
        (
            "folded lines",
            format!("A: {}\nB: !t x", times("x\n ")),
            "B: a tag",
        ),
        (
            "a block",
            format!("A: |\n{}B: !t x", times(" x\n")),
            "B: a tag",
        ),
    ] {
        let project = Project::new("my-app", Custody::client()).format("yaml");
        let tree = Tree::of_project(project.level("", &text));
        let run = tree
            .dotenv_run()
            .client_key()
            .args(["my-app", "--", "true"]);
        let (outcome, peak) = peak_of(run);
        outcome.assert_refused(125, &["level project", flaw]);
        let document = tree.secrets("my-app").metadata().expect("a document");
        let most = 4 * document.len() as usize / 1024;
        assert!(peak < most, "{name}: {peak} KiB of {most}");
        assert!(outcome.elapsed.as_secs() < 20, "{name}: {outcome}");
    }
}

/// From too little to parse the document to enough of it.
fn without_memory_a_run_fails_as_ever() {
    let tree = Tree::of_project(
        Project::new("my-app", Custody::client()).level("", &format!("A={}\n", "x".repeat(SIZE))),
    );
    let run = tree.dotenv_run().client_key();
    let run = run.args([
        "my-app",
        "--file",
        "F",
        "--file-only",
        "--",
        "echo",
        "started",
    ]);
    let mut refused_by_the_heap = 0;
    for mebibytes in (16..=400).step_by(16) {
        let limit = format!("--as={}", mebibytes << 20);
        let outcome = run.clone().under(["prlimit", &limit, "--"]).finish();
        if outcome.status.success() {
            outcome.assert_stdout("started\n");
            continue;
        }
        outcome.assert_refused(125, &["cannot "]);
        let by_the_heap = outcome.stderr.ends_with(" bytes of memory\n");
        refused_by_the_heap += usize::from(by_the_heap);
    }
    assert_ne!(refused_by_the_heap, 0, "no limit was met by the heap");
}

/// The documents are there at once, and take longer to open than there is time.
fn reading_and_opening_are_in_the_time_of_the_fetch() {
    let custody = Custody {
        iterations: Some(5_000_000),
        ..Custody::client()
    };
    let project = Project::new("my-app", custody).level("", "A=1\n");
    let world = World::new(vec![project]);
    let (tree, service) = (Tree::of(&world), Service::of(world));
    for run in [tree.dotenv_run(), service.dotenv_run()] {
        let witness = Witness::new();
        let run = run.client_key().args(["--timeout", "0.1", "my-app", "--"]);
        let outcome = run.args(witness.command()).finish();
        outcome.assert_refused(124, &["could not be fetched and opened within 0.1 s"]);
        witness.assert_not_started();
    }
}
