//! Command lines that are not understood, with a secret in the place of a word.

use super::*;

fn usage(variant: &'static str, says: &'static str, arguments: &[&str]) -> Failure {
    let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
    let name = arguments.join(" ");
    failure((125, variant, says), name, move || {
        let scene = keyed().with(|run| run.args(&arguments));
        scene.only(Ways::Complete)
    })
}

pub fn table() -> Vec<Failure> {
    let (option, glued) = (format!("--secret={VALUE}"), format!("-s{VALUE}"));
    let unwanted = format!("--exec={VALUE}");
    let many: Vec<_> = (0..33).map(|number| format!("p{number}")).collect();
    let mut many: Vec<_> = many.iter().map(String::as_str).collect();
    many.extend(["--", VALUE]);
    let mut table = vec![
        usage("Usage::UnknownOption", "unknown", &[&option, "p", "--"]),
        usage("Usage::UnknownOption", "unknown", &[&glued, "p", "--"]),
        usage("Usage::UnknownOption", "unknown", &["--key", WORD]),
        usage("Usage::MissingValue", "needs a value", &[WORD, "--timeout"]),
        usage("Usage::UnwantedValue", "no value", &["p", &unwanted]),
        usage(
            "Usage::UnwantedValue",
            "no value",
            &[&format!("--help={WORD}")],
        ),
        usage("Usage::TooManyPaths", "more than the 32", &many),
        usage("Usage::MissingSeparator", "missing '--'", &[WORD, VALUE]),
        usage("Usage::NoCommand", "no command", &[VALUE, "--"]),
        usage("Usage::NoPath", "no PATH", &["--", VALUE]),
        usage(
            "Usage::UnwantedCommand",
            "takes no command",
            &["p", "--print", "env", "--", VALUE],
        ),
        usage(
            "Usage::Conflict",
            "cannot be used with",
            &[VALUE, "--exec", "--supervise"],
        ),
        usage("Usage::Alone", "needs", &["p", "--pass", VALUE, "--", "x"]),
    ];
    let mirror = format!("https://{WORD}.example.com");
    let tree = "file:///nonexistent";
    table.push(usage(
        "Usage::MirrorOfTree",
        "sealed tree",
        &["p", "--api-url", tree, "--mirror", &mirror, "--", "x"],
    ));
    table.extend(bad_values());
    table.extend(profiles());
    for (name, variant) in [
        ("DOTENV_RUN_PATH", "Usage::InvalidPath"),
        ("DOTENV_API_URL", "Usage::BadValue"),
        ("DOTENV_ORGANIZATION", "Usage::BadValue"),
    ] {
        table.push(failure((125, variant, ": "), name, move || {
            let scene = keyed().env("DOTENV_RUN_PATH", "p").env(name, VALUE);
            scene.args(&["--", "x"]).only(Ways::Complete)
        }));
    }
    table
}

/// Profiles that are of no use, with a secret where a value is, or would be.
fn profiles() -> Vec<Failure> {
    let long = format!("path = '{VALUE}'\n#{}", "x".repeat(1024 * 1024));
    let cases = [
        (
            "ProfileFlaw::Unreadable",
            "not UTF-8",
            [VALUE.as_bytes(), b"\xff"].concat(),
        ),
        ("ProfileFlaw::TooLong", "larger than", long.into()),
        (
            "ProfileFlaw::NotToml",
            "not valid TOML",
            format!("path = '{WORD}\n{VALUE}\n").into(),
        ),
        (
            "ProfileFlaw::UnknownKey",
            "unknown key",
            format!("key = '{VALUE}'\n").into(),
        ),
        (
            "ProfileFlaw::NotInProfile",
            "only on the command line",
            format!("profile = '{WORD}'\n").into(),
        ),
        (
            "ProfileFlaw::WrongType",
            "must be",
            format!("command = '{VALUE}'\n").into(),
        ),
    ];
    let row = |(variant, says, content)| profile("", variant, says, content);
    let mut table: Vec<_> = cases.into_iter().map(row).collect();
    let value = format!("timeout = 1\n[other]\ncommand = ['{VALUE}']\n");
    for (variant, section, says, content) in [
        ("ProfileFlaw::NoSection", "#worker", "no section", &*value),
        (
            "ProfileFlaw::OptionNotSection",
            "#timeout",
            "not a section",
            &value,
        ),
        (
            "ProfileFlaw::NoFileOfSection",
            "#a#b",
            "no such file",
            &value,
        ),
        (
            "ProfileFlaw::NotOneSection",
            "#a",
            "one table",
            &format!("[[a]]\nb = '{VALUE}'\n"),
        ),
        (
            "ProfileFlaw::SectionInSection",
            "#a",
            "inside a section",
            &format!("[a.b]\nc = '{VALUE}'\n"),
        ),
    ] {
        table.push(profile(section, variant, says, content.into()));
    }
    table
}

/// What is wrong with a profile of this content, or with the section of it that is named.
fn profile(
    section: &'static str,
    variant: &'static str,
    says: &'static str,
    content: Vec<u8>,
) -> Failure {
    failure((125, variant, says), "a profile", move || {
        let dir = TempDir::new();
        let file = dir.file("profile", &content).display().to_string() + section;
        let scene = keyed().args(&["--profile", &file, "p", "--", "x"]);
        scene.keeping(dir).only(Ways::Complete)
    })
}

/// A value that an option does not take.
fn bad_values() -> Vec<Failure> {
    let host = "https://example.com";
    let urls = [
        format!("https://user:{WORD}@example.com"),
        format!("https://{WORD}@example.com"),
        format!("{host}/?token={WORD}"),
        format!("{host}/#{WORD}"),
        format!("http://{WORD}.example.com"),
        format!("file://{WORD}/tree"),
        format!("ftp://{WORD}"),
        WORD.to_string(),
    ];
    let urls = urls.iter().map(|url| ("--api-url", url.as_str()));
    let options = [
        "--organization",
        "--timeout",
        "--print",
        "--file",
        "--rename",
        "--prefix",
        "--pass",
        "--require",
        "--stop-timeout",
    ];
    let options = options.map(|option| (option, VALUE));
    let others = [
        ("--rename", "A=B,A=kX4tQ9vZ2mB7wR5nJ8cL3yH6dF1sG0pA"),
        ("--only", "kX4tQ9vZ2mB7wR5nJ8cL3yH6dF1sG0pA,,"),
    ];
    let values = urls.chain(options).chain(others).map(|(option, value)| {
        let needed: &[&str] = match option {
            "--print" => &[],
            "--pass" => &["--clean-env", "--", "x"],
            _ => &["--", "x"],
        };
        let arguments = [&["p", option, value], needed].concat();
        usage("Usage::BadValue", ": ", &arguments)
    });
    let signal = format!("--die-with-parent={VALUE}");
    values
        .chain([
            usage("Usage::BadValue", "signal", &["p", &signal, "--", "x"]),
            usage("Usage::InvalidPath", "PATH", &[VALUE, "--", "x"]),
            usage("Usage::InvalidPath", "PATH", &[&token(), "--", "x"]),
        ])
        .collect()
}
