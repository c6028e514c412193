//! A profile says what the command line would: every option under its long name, less than the command line and the
//! environment, and whatever it says wrong is refused by its line.

mod precedence;
mod sections;

use crate::support::*;

tests![
    a_profile_is_as_good_as_a_command_line,
    every_option_is_taken_under_its_long_name,
    what_a_profile_says_has_the_effect_of_the_command_line,
    precedence::the_first_of_the_four_places_counts,
    precedence::a_list_of_mirrors_is_taken_from_one_place,
    precedence::a_refused_profile_is_shown_as_json,
    flags_beat_the_environment_which_beats_the_profile,
    an_option_of_the_command_line_replaces_that_of_the_profile,
    what_contradicts_the_command_line_gives_way,
    a_key_in_a_variable_beats_the_file_of_a_profile,
    a_flag_that_is_false_is_not_given,
    sections::a_section_inherits_what_stands_above_the_first_one,
    sections::what_contradicts_a_section_gives_way_to_it,
    sections::what_is_no_section_is_refused,
    sections::a_file_whose_name_holds_a_number_sign_is_named_with_one_more,
    sections::a_descriptor_that_is_named_above_a_section_does_not_reach_the_command,
    sections::relative_paths_in_a_profile_begin_where_it_is,
    sections::key_and_certificate_files_and_mirrors_begin_there_too,
    sections::an_address_that_begins_with_dots_is_a_directory,
    what_is_wrong_is_refused_by_its_line,
    a_profile_that_cannot_be_read_is_refused,
    no_profile_is_found_by_itself,
    a_value_that_is_wrong_is_refused_by_its_option,
];

/// A directory with a profile of this text, `p.toml`, and a run there that goes by it.
pub fn with(text: &str) -> (TempDir, Run) {
    let dir = TempDir::new();
    dir.file("p.toml", text);
    let run = Run::dotenv_run()
        .dir(dir.path())
        .args(["--profile", "p.toml"]);
    (dir, run)
}

/// The line that names a tree.
pub fn api_url(tree: &Tree) -> String {
    format!("api-url = \"{}\"\ncustody = \"any\"\n", tree.url())
}

fn a_profile_is_as_good_as_a_command_line() {
    let tree = Tree::holding("A=1\nB=2\nC=3\n");
    let text = format!(
        "# What would be a long line.\n{}path = \"p\"\nonly = [\"A\", \"B\"]\nrename = [\"B=X\"]\nprefix = 'P_'\n\
         clean-env = true\npass = [\"PATH\", \"HOME\"]\ntimeout = 2.5\n\
         command = [\n  \"env\",\n  \"-0\",\n]\n",
        api_url(&tree)
    );
    let (_dir, run) = with(&text);
    let outcome = run.env("HOME", "/h").env("OTHER", "x").finish();
    outcome.assert_status(0);
    assert_eq!(outcome.stderr, "");
    let mut variables: Vec<_> = outcome.text().split_terminator('\0').collect();
    variables.retain(|entry| !entry.starts_with("PATH="));
    assert_eq!(variables, ["HOME=/h", "P_A=1", "P_X=2"]);
}

/// The options of the help text: the long name and what follows it.
pub fn options() -> Vec<(String, String)> {
    let help = Run::dotenv_run().arg("--help").finish();
    let lines = help.text().lines().filter_map(|line| {
        let (name, _) = line
            .strip_prefix("  ")?
            .split_once("  ")
            .map(|_| line.trim().split_once("  "))??;
        let (_, name) = name.split_once("--")?;
        let end = name.find(['[', ' ']).unwrap_or(name.len());
        Some((name[..end].to_owned(), name[end..].trim().to_owned()))
    });
    lines.collect()
}

fn every_option_is_taken_under_its_long_name() {
    let options = options();
    assert!(options.len() > 35, "{options:?}");
    // Each of them is known, and says itself what it takes when it is given what none of them does.
    for (name, value) in &options {
        let (_dir, run) = with(&format!("\n{name} = 1979-05-27\n"));
        let outcome = run.args(["p", "--", "true"]).finish();
        let says = match (name.as_str(), value.as_str()) {
            ("allow-loose-files" | "completions" | "help" | "profile" | "version", _) => {
                format!("'{name}' can be used only on the command line\n")
            }
            (_, "") => format!("{name} must be true or false\n"),
            (_, "SECONDS" | "N") => format!("{name} must be a number\n"),
            ("stop-timeout", _) => format!("{name} must be a number or a string\n"),
            (_, value) if value.starts_with("[=") => format!("{name} must be "),
            (
                "file" | "secret-file" | "template" | "mirror" | "defaults" | "overrides"
                | "require-from",
                _,
            ) => {
                format!("{name} must be an array of strings\n")
            }
            (_, value) if value.contains("...") => {
                format!("{name} must be an array of strings\n")
            }
            _ => format!("{name} must be a string\n"),
        };
        outcome.assert_refused(125, &[&format!("p.toml: line 2: {says}")]);
    }
}

/// A profile and a command line that say the same: what comes of the two is compared, and that it is not what comes of
/// neither.
fn what_a_profile_says_has_the_effect_of_the_command_line() {
    let tree = Tree::holding("A=1\nB=$A\nC=''\n");
    let with_command: [(&str, &[&str]); 12] = [
        ("only = [\"A\", \"B\"]", &["--only=A,B"]),
        ("only = \"A\"", &["--only=A"]),
        ("except = [\"A\", \"C\"]", &["--except=A", "--except=C"]),
        ("prefix = \"P_\"", &["--prefix=P_"]),
        ("rename = [\"A=X\", \"B=Y\"]", &["--rename=A=X,B=Y"]),
        ("require = [\"C\"]", &["--require=C"]),
        ("preserve-env = true", &["--preserve-env"]),
        ("preserve-env = [\"A\", \"D\"]", &["--preserve-env=A,D"]),
        (
            "clean-env = true\npass = [\"HERE\"]",
            &["--clean-env", "--pass=HERE"],
        ),
        (
            "file = [\"F=json\"]\nfile-only = true",
            &["--file=F=json", "--file-only"],
        ),
        ("resolve = true", &["--resolve"]),
        (
            "organization = \"other-corp\"",
            &["--organization=other-corp"],
        ),
    ];
    let without: [(&str, &[&str]); 3] = [
        ("print = \"json\"", &["--print=json"]),
        ("list = true\njson = true", &["--list", "--json"]),
        (
            "print = \"shell\"\nprefix = \"P_\"",
            &["--print=shell", "--prefix=P_"],
        ),
    ];
    let script = "env | grep -v -e ^PWD= -e ^_= -e ^PATH= | sort; [ -z \"$F\" ] || cat $F";
    let command = ["--", "/bin/sh", "-c", script];
    let url = tree.url();
    let compare = |text: &str, words: &[&str], command: &[&str]| {
        let outcome = |run: Run, words: &[&str]| {
            let run = run
                .env("A", "inherited")
                .env("B", "too")
                .env("HERE", "x")
                .env("OTHER", "y");
            let run = run.args(["p", "--custody=any", "--api-url", &url]);
            let run = run.args(words).args(command);
            let outcome = run.finish();
            (
                outcome.status.code(),
                outcome.text().to_owned(),
                outcome.stderr,
            )
        };
        let (_dir, run) = with(&format!("{text}\n"));
        let by_profile = outcome(run, &[]);
        assert_eq!(by_profile, outcome(Run::dotenv_run(), words), "{text}");
        assert_ne!(by_profile, outcome(Run::dotenv_run(), &[]), "{text}");
    };
    with_command
        .iter()
        .for_each(|(text, words)| compare(text, words, &command));
    without
        .iter()
        .for_each(|(text, words)| compare(text, words, &[]));
}

fn flags_beat_the_environment_which_beats_the_profile() {
    let [profile, variable, flag] = ["A=profile\n", "A=variable\n", "A=flag\n"].map(Tree::holding);
    let (_dir, run) = with(&format!("{}path = \"p\"\n", api_url(&profile)));
    let value = |run: Run| run.values()["A"].as_str().expect("a text").to_owned();
    assert_eq!(value(run.clone()), "profile");
    let run = run.env("DOTENV_API_URL", variable.url());
    assert_eq!(value(run.clone()), "variable");
    assert_eq!(value(run.args(["--api-url", &flag.url()])), "flag");

    let tree = Tree::example();
    let (_dir, run) = with(&format!("{}path = \"no-such\"\n", api_url(&tree)));
    run.clone()
        .arg("--list")
        .finish()
        .assert_refused(125, &["no-such"]);
    let run = run.env("DOTENV_RUN_PATH", "neither");
    run.clone()
        .arg("--list")
        .finish()
        .assert_refused(125, &["neither"]);
    run.args(["managed", "--list"]).finish().assert_status(0);

    let text = format!(
        "{}path = \"managed\"\norganization = \"{FOREIGN_ORGANIZATION}\"\n",
        api_url(&tree)
    );
    let (_dir, run) = with(&text);
    run.clone()
        .arg("--list")
        .finish()
        .assert_refused(125, &[FOREIGN_ORGANIZATION]);
    let run = run.env("DOTENV_ORGANIZATION", "other-corp");
    run.clone()
        .arg("--list")
        .finish()
        .assert_refused(125, &["other-corp"]);
    run.args(["--organization", ORGANIZATION, "--list"])
        .finish()
        .assert_status(0);
}

fn an_option_of_the_command_line_replaces_that_of_the_profile() {
    let tree = Tree::holding("A=1\nB=2\n");
    let text = format!(
        "{}path = \"p\"\nonly = [\"A\"]\ncommand = [\"false\"]\n",
        api_url(&tree)
    );
    let (_dir, run) = with(&text);
    assert_eq!(run.clone().variables(), ["A=1"]);
    assert_eq!(run.clone().args(["--only", "B"]).variables(), ["B=2"]);
    run.finish().assert_status(1);
}

fn what_contradicts_the_command_line_gives_way() {
    let tree = Tree::holding("A=1\n");
    let base = format!("{}path = \"p\"\n", api_url(&tree));
    let status = |text: &str, words: &[&str]| {
        let (_dir, run) = with(&format!("{base}{text}"));
        run.args(words).finish()
    };
    let printed = "{\n  \"A\": \"1\"\n}\n";
    let command = "command = [\"false\"]\nfile = [\"F\"]\nfile-only = true\n";
    status(command, &["--print", "json"])
        .assert_status(0)
        .assert_stdout(printed);
    status(command, &["--list"]).assert_status(0);
    let print = "print = \"json\"\nallow-file = true\n";
    status(print, &[]).assert_status(0).assert_stdout(printed);
    status(print, &["--", "echo", "run"])
        .assert_status(0)
        .assert_stdout("run\n");
    status("list = true\njson = true\n", &["--print", "json"]).assert_stdout(printed);
    status("exec = true\n", &["--supervise", "--", "true"]).assert_status(0);
    status(
        "group = true\nstop-timeout = 3\n",
        &["--exec", "--", "true"],
    )
    .assert_status(0);
    let quiet = status("quiet = true\n", &["-v", "--", "true"]);
    assert!(quiet.stderr.contains("1 secrets from p"), "{quiet}");
    // With itself, a profile must agree like a command line.
    let refused = |text, says: &str| {
        status(text, &["--", "true"])
            .assert_refused(125, &[says])
            .status
    };
    refused(
        "exec = true\ngroup = true\n",
        "--exec cannot be used with --group",
    );
    refused(
        "strict = true\n",
        "--strict needs --resolve or --resolve-env",
    );
    refused("allow-file = true\n", "--allow-file needs --print");
    status("strict = true\n", &["--resolve", "--", "true"]).assert_status(0);
}

fn a_key_in_a_variable_beats_the_file_of_a_profile() {
    let tree = Tree::example();
    let text = format!(
        "{}path = \"my-app\"\nclient-key = \"key\"\n",
        api_url(&tree)
    );
    let (dir, run) = with(&text);
    dir.file("key", CLIENT_KEY);
    dir.file("wrong", "wrong");
    let run = run.arg("--list");
    run.clone().finish().assert_status(0);
    let wrong = ["wrong client key"];
    run.clone()
        .env("DOTENV_CLIENT_KEY", "wrong")
        .finish()
        .assert_refused(125, &wrong);
    run.clone()
        .env("DOTENV_CLIENT_KEY_FILE", "wrong")
        .finish()
        .assert_refused(125, &wrong);
    run.args(["--client-key", "wrong"])
        .finish()
        .assert_refused(125, &wrong);

    let service = Service::example();
    let text = format!(
        "api-url = \"{}\"\nca-file = \"{}\"\npath = \"managed\"\napi-key-file = \"fd:3\"\n",
        service.url(),
        service.ca_file().display()
    );
    let (dir, run) = with(&text);
    dir.file("key", service.api_key());
    let script = "cat <&3 2>/dev/null";
    let run = run.args(["--", "sh", "-c", script]);
    let from_profile = run.clone().redirected("3<key").finish();
    assert!(!from_profile.stderr.contains("API key"), "{from_profile}");
    let run = run.env("DOTENV_API_KEY", service.api_key());
    for outcome in [from_profile, run.redirected("3<key").finish()] {
        // The shell cannot duplicate what is closed.
        assert!(
            outcome.stdout.is_empty() && !outcome.status.success(),
            "{outcome}"
        );
        assert!(outcome.stderr.contains("ad file descriptor"), "{outcome}");
    }
}

fn a_flag_that_is_false_is_not_given() {
    let tree = Tree::holding("A=1\n");
    let text = format!(
        "{}path = \"p\"\nlist = false\nexec = false\nsupervise = true\npreserve-env = false\nmask = false\nonly = []\n",
        api_url(&tree)
    );
    let (_dir, run) = with(&text);
    assert_eq!(run.env("A", "inherited").variables(), ["A=1"]);
}

fn what_is_wrong_is_refused_by_its_line() {
    let secret = "kX4tQ9vZ2mB7wR5n";
    for (text, says) in [
        (
            "path = \"p\"\ntiemout = 3\n",
            "line 2: unknown key 'tiemout'; did you mean 'timeout'?",
        ),
        (
            "\n\napi_url = \"x\"\n",
            "line 3: unknown key 'api_url'; did you mean 'api-url'?",
        ),
        (
            "DOTENV_API_KEY = \"kX4tQ9vZ2mB7wR5n\"\n",
            "line 1: unknown key 'DOTENV_API_KEY'\n",
        ),
        (
            "Path = \"x\"\n",
            "line 1: unknown key 'Path'; did you mean 'path'?",
        ),
        (
            "[file]\nx = 1\n",
            "line 1: file must be an array of strings",
        ),
        ("file.x = 1\n", "line 1: file must be an array of strings"),
        ("\"a\\nb\" = 1\n", "line 1: unknown key 'a\\nb'"),
        ("path = 3\n", "line 1: path must be a string"),
        (
            "command = \"true kX4tQ9vZ2mB7wR5n\"\n",
            "line 1: command must be an array of strings",
        ),
        (
            "command = [\"true\", 1]\n",
            "line 1: command must be an array of strings",
        ),
        (
            "exec = \"kX4tQ9vZ2mB7wR5n\"\n",
            "line 1: exec must be true or false",
        ),
        ("exec = 1\n", "line 1: exec must be true or false"),
        ("timeout = \"3\"\n", "line 1: timeout must be a number"),
        ("timeout = 0x3\n", "line 1: timeout must be a number"),
        ("timeout = 1979-05-27\n", "line 1: timeout must be a number"),
        ("mask = 3\n", "line 1: mask must be a string, true or false"),
        (
            "preserve-env = [true]\n",
            "line 1: preserve-env must be an array of strings, true or false",
        ),
        (
            "profile = \"other.toml\"\n",
            "line 1: 'profile' can be used only on the command line",
        ),
        (
            "path = \"p\"\nversion = true\n",
            "line 2: 'version' can be used only on the command line",
        ),
        ("a = 1\nkX4tQ9vZ2mB7wR5n\n", "line 2 is not valid TOML"),
        ("path = \"p\npath = \"q\"\n", "line 1 is not valid TOML"),
        (
            "path = \"p\"\r\npath = \"q\"\r\n",
            "line 2 is not valid TOML",
        ),
        (
            "only = [\n  \"A\",\n  kX4tQ9vZ2mB7wR5n\n]\n",
            "line 3 is not valid TOML",
        ),
        ("exec = true\n\nb = 1\na = 1\n", "line 3: unknown key 'b'"),
    ] {
        let witness = Witness::new();
        let (_dir, run) = with(text);
        let outcome = run.arg("p").arg("--").args(witness.command()).finish();
        outcome.assert_refused(125, &[&format!("dotenv-run: --profile: p.toml: {says}")]);
        assert!(!outcome.stderr.contains(secret), "{outcome}");
        witness.assert_not_started();
    }
}

fn a_profile_that_cannot_be_read_is_refused() {
    let dir = TempDir::new();
    dir.file("binary", b"path = \"\xff\"\n");
    dir.file("long", "#".repeat(1024 * 1024 + 1));
    for (file, says) in [
        ("missing", "no such file"),
        (".", "is a directory"),
        ("binary", "not UTF-8"),
        ("long", "larger than 1048576 bytes"),
    ] {
        let run = Run::dotenv_run()
            .dir(dir.path())
            .args(["--profile", file, "p"]);
        run.refuses(125, &["--profile: ", says]);
    }
    let run = Run::dotenv_run().args(["p", "--profile"]);
    run.finish()
        .assert_refused(125, &["'--profile' needs a value"]);
}

fn no_profile_is_found_by_itself() {
    let dir = TempDir::new();
    for name in [
        "dotenv-run.toml",
        ".dotenv-run.toml",
        "profile.toml",
        ".config",
    ] {
        dir.file(name, "path = \"p\"\ncommand = [\"true\"]\n");
    }
    let run = Run::dotenv_run().dir(dir.path()).env("HOME", dir.path());
    run.env("XDG_CONFIG_HOME", dir.path())
        .finish()
        .assert_refused(125, &["missing '--'"]);
}

fn a_value_that_is_wrong_is_refused_by_its_option() {
    for (text, says) in [
        (
            "timeout = -1\n",
            "--timeout: must be a number of seconds above 0",
        ),
        (
            "mask = \"gitlab\"\n",
            "--mask: must be auto, github, azure or off",
        ),
        ("audit = \"0\"\n", "--audit: must be journal, syslog or"),
        ("only = [\"\"]\n", "--only: must be a comma-separated list"),
        ("command = []\n", "no command"),
        ("path = \"A\"\n", "PATH: "),
    ] {
        let (_dir, run) = with(text);
        let run = if text.starts_with("command") {
            run.arg("p")
        } else {
            run.args(["--", "true"])
        };
        let run = if text.starts_with("path") || text.starts_with("command") {
            run
        } else {
            run.env("DOTENV_RUN_PATH", "p")
        };
        run.finish().assert_refused(125, &[says]);
    }
}
