//! What is written about the programs holds of the programs: every option, variable, exit status,
//! command and file that the manuals and the README name exists, and everything that exists is
//! named.

mod claims;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::*;

tests![
    every_option_is_in_its_help_and_in_its_manual,
    no_option_is_misspelt,
    the_manuals_are_clean needs(|| tool("mandoc")),
    the_manuals_name_the_variables_that_are_read,
    every_place_of_a_key_is_in_the_manuals,
    exit_statuses_are_the_same_everywhere,
    commands_of_the_readme_exist,
    files_of_the_readme_exist,
    claims::every_claim_names_tests_that_run,
];

type Names = BTreeSet<String>;

/// One of the two programs with what it says of itself and what its manual says.
struct Program {
    name: &'static str,
    help: String,
    manual: String,
}

impl Program {
    fn both() -> [Self; 2] {
        ["dotenv-run", "dotenv-seal"].map(|name| {
            let outcome = run(name).arg("--help").finish();
            let help = outcome.assert_status(0).text().to_owned();
            let manual = read(&format!("man/{name}.1"));
            Program { name, help, manual }
        })
    }
}

fn run(program: &str) -> Run {
    match program {
        "dotenv-run" => Run::dotenv_run(),
        _ => Run::dotenv_seal(),
    }
}

/// Everything that is written about the programs, by its name.
fn documents() -> [(&'static str, String); 6] {
    let [run, seal] = Program::both();
    [
        ("README.md", read("README.md")),
        ("dotenv-run.1", run.manual),
        ("dotenv-run-recipes.7", read("man/dotenv-run-recipes.7")),
        ("dotenv-seal.1", seal.manual),
        ("dotenv-run --help", run.help),
        ("dotenv-seal --help", seal.help),
    ]
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
pub fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn owned<'a>(names: impl IntoIterator<Item = &'a str>) -> Names {
    names.into_iter().map(str::to_owned).collect()
}

/// The words that look like options: `--name` and `-n`.
fn options_in(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-');
    words.filter(|word| is_option(word))
}

fn is_option(word: &str) -> bool {
    match word.strip_prefix("--") {
        Some(name) => name.starts_with(|letter: char| letter.is_ascii_lowercase()),
        None => word.len() == 2 && word.starts_with('-') && word != "--",
    }
}

/// The arguments of every use of a macro in an mdoc page: up to the next macro, without punctuation.
pub fn arguments_of(page: &str, wanted: &str) -> Vec<String> {
    let is_macro = |word: &str| {
        let bytes = word.as_bytes();
        bytes.len() == 2 && bytes[0].is_ascii_uppercase() && bytes[1].is_ascii_lowercase()
    };
    let mut found = Vec::new();
    for line in page.lines().filter_map(|line| line.strip_prefix('.')) {
        let mut inside = false;
        for word in line.split_whitespace() {
            if is_macro(word) {
                inside = word == wanted;
            } else if inside && word.contains(|letter: char| letter.is_alphanumeric()) {
                found.push(unescaped(word));
            }
        }
    }
    found
}

/// Without the escapes of mdoc.
fn unescaped(text: &str) -> String {
    text.replace("\\-", "-").replace("\\&", "").replace('"', "")
}

/// The lines of a section, without its heading.
pub fn section<'a>(page: &'a str, heading: &str) -> Vec<&'a str> {
    let lines = page.lines().skip_while(|line| *line != heading).skip(1);
    let lines: Vec<_> = lines.take_while(|line| !line.starts_with(".Sh ")).collect();
    assert!(!lines.is_empty(), "no section {heading}");
    lines
}

/// The options that a help text explains: those that a line starts with, not those it mentions.
fn options_of(help: &str) -> Names {
    let lines = help.lines().map(str::trim_start);
    let lines = lines.filter(|line| line.starts_with('-'));
    let columns = lines.filter_map(|line| line.split("  ").next());
    owned(columns.flat_map(options_in))
}

fn every_option_is_in_its_help_and_in_its_manual() {
    for Program { name, help, manual } in Program::both() {
        let existing = options_of(&help);
        assert!(existing.contains("--client-key"), "{help}");
        let items = manual.lines().filter(|line| line.starts_with(".It Fl "));
        let items: Vec<_> = items.collect();
        let flags = arguments_of(&items.join("\n"), "Fl").into_iter();
        let explained: Names = flags.map(|flag| format!("-{flag}")).collect();
        assert_eq!(explained, existing, "man/{name}.1");
        for option in existing {
            let outcome = run(name).arg(&option).finish();
            assert!(!outcome.stderr.contains("unknown option"), "{outcome}");
        }
    }
}

/// The lines of a document, those that end with a backslash joined, and options of mdoc as they are
/// shown.
fn lines_of(text: &str) -> Vec<String> {
    let shown = unescaped(text).replace("\\e\n", " ").replace("\\\n", " ");
    shown
        .replace("Fl -", " --")
        .lines()
        .map(str::to_owned)
        .collect()
}

/// Programs whose own options stand in the documents.
const OTHERS: [&str; 16] = [
    "CMD",
    "RUN",
    "COPY",
    "apk",
    "apt-get",
    "cargo",
    "curl",
    "deploy",
    "docker",
    "git",
    "kubectl",
    "make",
    "nginx",
    "podman",
    "systemctl",
    "systemd-creds",
];

/// The options on a line that can only be ours, and which program they belong to if the line says
/// so: those behind another program's name, or behind the `--` of ours, are not.
fn our_options(line: &str) -> Vec<(Option<&'static str>, String)> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || "-./_".contains(letter);
    let (mut speaker, mut ours, mut found) = (None, true, Vec::new());
    for word in line.split(|letter| !is_part(letter)) {
        let name = word.rsplit('/').next().unwrap_or_default();
        if let Some(program) = ["dotenv-run", "dotenv-seal"]
            .into_iter()
            .find(|known| *known == name)
        {
            (speaker, ours) = (Some(program), true);
        } else if OTHERS.contains(&name) || (word == "--" && speaker.is_some()) {
            ours = false;
        } else if ours && is_option(word.trim_end_matches('.')) && word.starts_with("--") {
            found.push((speaker, word.trim_end_matches('.').to_owned()));
        }
    }
    found
}

fn no_option_is_misspelt() {
    let options = our_options("docker run --rm x dotenv-run --exec a -- ls --color; see --help.");
    assert_eq!(options, [(Some("dotenv-run"), "--exec".into())]);
    let options = our_options("Give `--client-key`, or run `dotenv-seal list --help`.");
    let expected = [
        (None, "--client-key".into()),
        (Some("dotenv-seal"), "--help".into()),
    ];
    assert_eq!(options, expected);

    let [run, seal] = Program::both().map(|program| options_of(&program.help));
    let mut count = 0;
    for (document, text) in documents() {
        for line in lines_of(&text) {
            for (program, option) in our_options(&line) {
                let exists = match program {
                    Some("dotenv-run") => run.contains(&option),
                    Some(_) => seal.contains(&option),
                    None => run.contains(&option) || seal.contains(&option),
                };
                assert!(exists, "{document}: {option} in {line:?}");
                count += 1;
            }
        }
    }
    assert!(count > 50, "only {count} options are mentioned");
}

/// Other manuals are named without `.Xr`, which mandoc takes amiss where they are not installed.
fn the_manuals_are_clean() {
    const PAGES: [(&str, &str); 3] = [
        ("dotenv-run", "1"),
        ("dotenv-run-recipes", "7"),
        ("dotenv-seal", "1"),
    ];
    for (name, number) in PAGES {
        let file = format!("man/{name}.{number}");
        let run = Run::program("mandoc").args(["-Tlint", "-Wstyle"]);
        let outcome = run.arg(root().join(&file)).finish();
        outcome.assert_status(0).assert_stdout("");
        let page = read(&file);
        assert!(page.contains(&format!(".Nm {name}\n")), "{file}");
        let see_also = section(&page, ".Sh SEE ALSO");
        for (other, number) in PAGES.iter().filter(|(other, _)| *other != name) {
            let other = format!("{other}({number})");
            let is_named = see_also
                .iter()
                .any(|line| line.trim_end_matches(',') == other);
            assert!(is_named, "{file}: SEE ALSO {other}");
        }
    }
}

/// The names of environment variables in a text: those of ours, and systemd's.
fn variables_in(text: &str) -> Names {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let is_ours = |word: &&str| {
        word.strip_prefix("DOTENV_")
            .is_some_and(|rest| !rest.is_empty() && !rest.ends_with('_'))
    };
    owned(words.filter(|word| is_ours(word) || *word == "CREDENTIALS_DIRECTORY"))
}

/// Every string in the sources that is the name of such a variable.
fn variables_in_sources() -> Names {
    let mut names = strings_in_sources();
    names.retain(|string| variables_in(string).contains(string));
    names
}

/// What stands between two quotation marks of the sources.
pub fn strings_in_sources() -> Names {
    let mut found = vec![root().join("src")];
    let mut strings = Names::new();
    while let Some(path) = found.pop() {
        if path.is_dir() {
            found.extend(
                fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else {
            let text = fs::read_to_string(path).unwrap();
            strings.extend(text.split('"').map(str::to_owned));
        }
    }
    strings
}

fn the_manuals_name_the_variables_that_are_read() {
    /// Read by others too: for the network, where the command is looked up, or for colours.
    const GENERAL: [&str; 11] = [
        "NO_COLOR",
        "PATH",
        "SSL_CERT_FILE",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
    ];
    let [run, seal] = Program::both();
    let explained = |manual: &str| -> Names {
        let lines = section(manual, ".Sh ENVIRONMENT");
        let items: Vec<_> = lines
            .into_iter()
            .filter(|line| line.starts_with(".It Ev "))
            .collect();
        let names = arguments_of(&items.join("\n"), "Ev").into_iter();
        names
            .filter(|name| !GENERAL.contains(&name.as_str()))
            .collect()
    };
    let is_of_seal_alone = |name: &String| name.starts_with("DOTENV_SEAL_");
    let (seal_alone, read_by_run): (Names, Names) = variables_in_sources()
        .into_iter()
        .partition(is_of_seal_alone);
    assert!(read_by_run.len() > 7, "{read_by_run:?}");
    assert_eq!(explained(&run.manual), read_by_run, "man/dotenv-run.1");
    assert_eq!(variables_in(&run.help), read_by_run, "dotenv-run --help");
    // The places of the client key.
    let is_of_seal = |name: &&String| name.contains("CLIENT_KEY") || !name.starts_with("DOTENV_");
    let read_by_seal = read_by_run.iter().filter(is_of_seal).chain(&seal_alone);
    let read_by_seal: Names = read_by_seal.cloned().collect();
    assert_eq!(explained(&seal.manual), read_by_seal, "man/dotenv-seal.1");
    assert!(
        variables_in(&seal.help).is_subset(&read_by_seal),
        "dotenv-seal --help"
    );

    let mut known: Names = read_by_run.into_iter().chain(seal_alone).collect();
    // Named for having no effect.
    known.insert("DOTENV_TLS_SKIP_VERIFY".into());
    for (document, text) in documents() {
        let unknown: Vec<_> = variables_in(&text).difference(&known).cloned().collect();
        assert!(unknown.is_empty(), "{document}: {unknown:?}");
    }
}

/// The places that a run without a key reports.
fn places_of_keys(run: Run, note: &str) -> String {
    let outcome = run.args(["-v", "my-app", "--", "true"]).finish();
    outcome.assert_status(125);
    assert!(outcome.stderr.contains(note), "{outcome}");
    outcome.stderr
}

fn every_place_of_a_key_is_in_the_manuals() {
    let tree = Tree::example();
    let from_tree = ["--api-url", &tree.url()];
    let api = places_of_keys(run("dotenv-run"), "no API key in --api-key-file, ");
    let client = run("dotenv-run").args(from_tree);
    let client = places_of_keys(client, "no client key in --client-key, ");
    let [run, seal] = Program::both();
    let cases = [
        (&run.manual, &api, "api"),
        (&run.manual, &client, "client"),
        (&seal.manual, &client, "client"),
    ];
    for (manual, places, key) in cases {
        let systemd = format!("$CREDENTIALS_DIRECTORY/dotenv-{key}-key");
        for file in [systemd, format!("/run/secrets/dotenv_{key}_key")] {
            assert!(places.contains(&file), "{file} is not in {places}");
            assert!(
                unescaped(manual).contains(&file),
                "{file} is not in the manual"
            );
        }
    }
}

/// What is said of each exit status: the text from its number to the next one.
fn statuses_in(text: &str) -> Vec<(u32, String)> {
    let is_digit = |letter: char| letter.is_ascii_digit();
    let mut statuses: Vec<(u32, String)> = Vec::new();
    for word in text.split_whitespace() {
        for number in word.split(|letter| !is_digit(letter)) {
            if matches!(number, "124" | "125" | "126" | "127") {
                statuses.push((number.parse().unwrap(), String::new()));
            }
        }
        if let Some((_, said)) = statuses.last_mut() {
            said.push_str(word);
            said.push(' ');
        }
    }
    statuses
}

fn exit_statuses_are_the_same_everywhere() {
    let [run, seal] = Program::both();
    let readme = read("README.md");
    let status = |line: &&str| line.starts_with('#') && line.to_lowercase().contains("exit status");
    let heading = readme
        .lines()
        .find(status)
        .expect("a heading about exit statuses");
    let readme = readme.split_once(heading).unwrap().1;
    let readme = readme.split("\n#").next().unwrap().to_owned();
    let help = run
        .help
        .split_once("Exit status")
        .expect("exit statuses")
        .1
        .to_owned();
    let manual = section(&run.manual, ".Sh EXIT STATUS").join("\n");
    for (document, text) in [
        ("README.md", readme),
        ("--help", help),
        ("dotenv-run.1", manual),
    ] {
        let statuses = statuses_in(&text);
        let numbers: BTreeSet<_> = statuses.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, BTreeSet::from([124, 125, 126, 127]), "{document}");
        for (number, word) in [(124, "time"), (126, "execut"), (127, "found")] {
            let said = statuses.iter().filter(|(known, _)| *known == number);
            assert!(
                said.into_iter().any(|(_, said)| said.contains(word)),
                "{document}: {number}: {statuses:?}"
            );
        }
    }
    let manual = section(&seal.manual, ".Sh EXIT STATUS").join("\n");
    for text in [
        manual,
        seal.help
            .split_once("Exit status")
            .expect("exit statuses")
            .1
            .to_owned(),
    ] {
        let numbers: Vec<_> = statuses_in(&text)
            .into_iter()
            .map(|(number, _)| number)
            .collect();
        assert_eq!(numbers, [125], "{text}");
    }
}

/// The words behind every `program` on a line.
fn words_behind<'a>(text: &'a str, program: &str) -> Vec<&'a str> {
    let behind = |line: &'a str| {
        let words = line.split([' ', '\t', '`', '"', ',', '(', ')', '$', ';']);
        let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
        let pairs = words
            .windows(2)
            .filter(|pair| pair[0].rsplit('/').next() == Some(program));
        pairs.map(|pair| pair[1]).collect::<Vec<_>>()
    };
    text.lines().flat_map(behind).collect()
}

/// The text between backticks and in fenced blocks: commands and file names, no prose.
fn code_of(markdown: &str) -> String {
    markdown
        .split('`')
        .skip(1)
        .step_by(2)
        .collect::<Vec<_>>()
        .join("\n")
}

fn commands_of_the_readme_exist() {
    let readme = read("README.md");
    let code = code_of(&readme.replace("```", "`"));
    let makefile = read("Makefile");
    let targets = words_behind(&code, "make");
    for target in &targets {
        let is_rule = |line: &str| {
            line.split_once(':')
                .is_some_and(|(names, _)| names.split_whitespace().any(|name| name == *target))
        };
        assert!(
            target.contains('=') || makefile.lines().any(is_rule),
            "make {target}"
        );
    }
    assert!(targets.contains(&"demo"), "{targets:?}");
    let commands = words_behind(&code, "dotenv-seal");
    for command in &commands {
        let known = [
            "keygen",
            "init",
            "put",
            "sign",
            "list",
            "--help",
            "--version",
        ];
        assert!(known.contains(command), "dotenv-seal {command}");
    }
    assert!(commands.contains(&"put"), "{commands:?}");
    assert!(!words_behind(&code, "dotenv-run").is_empty());
}

/// Links, and everything in code that starts like a path of the repository.
fn files_of_the_readme_exist() {
    let readme = read("README.md");
    let links = readme
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', '#']).next());
    let links = links.filter(|link| !link.is_empty() && !link.contains("://"));
    let code = code_of(&readme.replace("```", "`"));
    let is_ours = |word: &&str| {
        let first = word.split('/').next().unwrap_or_default();
        let is_inside = word.contains('/') && ["man", "src", "tests", "examples"].contains(&first);
        is_inside || word.ends_with(".md") || *word == "LICENSE" || *word == "Makefile"
    };
    let words = code.split([' ', '\n', '"', ',', '\'']).filter(is_ours);
    let missing: Vec<PathBuf> = links
        .chain(words)
        .map(|file| root().join(file))
        .filter(|file| !file.exists())
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
