//! Levels of `.env` text: what is skipped, what quoting gives, what is refused.

use super::{HIDDEN, OneLevel, PATH, entries, levels, refused_unseen, variables};

pub fn lines_without_an_equals_sign_draw_one_warning_for_each_level() {
    let tree = levels([
        "hunter2\nA=1\nexport hunter2\n  hunter2 again\n",
        "B=2\n# no warning\n\n",
        "C=3\nD=4\nhunter2\n",
    ]);
    let run = |option: &str| {
        tree.dotenv_run()
            .arg(PATH)
            .args([option, "--", "echo", "started"])
    };
    let outcome = run("--exec").finish();
    outcome.assert_status(0).assert_stdout("started\n");
    let warnings: Vec<_> = outcome.stderr.lines().collect();
    let is_about = |line: &str, level: &str, number: &str| {
        line.starts_with("dotenv-run: warning: ")
            && line.contains(level)
            && line
                .split(|c: char| !c.is_ascii_digit())
                .any(|n| n == number)
    };
    assert_eq!(warnings.len(), 2, "{outcome}");
    assert!(is_about(warnings[0], "project", "1"), "{outcome}");
    assert!(is_about(warnings[1], "environment", "3"), "{outcome}");
    assert!(!outcome.stderr.contains(HIDDEN), "{outcome}");

    let quiet = run("--quiet").finish();
    quiet.assert_status(0).assert_stdout("started\n");
    assert_eq!(quiet.stderr, "");
}

pub fn quoting_follows_the_grammar() {
    let cases: [(&str, &[u8]); 24] = [
        ("V=plain", b"plain"),
        ("V= two words \t", b"two words"),
        ("V=a # comment", b"a"),
        ("V=a\t# comment", b"a"),
        ("V=a#b", b"a#b"),
        ("V=#fff", b"#fff"),
        ("V= # comment", b""),
        ("V=C:\\new\\t", b"C:\\new\\t"),
        ("V='a\\nb # c' # d", b"a\\nb # c"),
        ("V='it\\'s'", b"it's"),
        ("V=\"a\\nb\\tc\\rd\\\\e\\\"f\\'g\"", b"a\nb\tc\rd\\e\"f'g"),
        ("V=\"a\\\\nb\"", b"a\\nb"),
        ("V=\"\\$HOME \\q\"", b"\\$HOME \\q"),
        ("V=\"x\" # say \"hi\"", b"x"),
        ("V=\"a\nb\r\nc\"", b"a\nb\nc"),
        ("V='\n'", b"\n"),
        ("V=x`a b`", b"x`a b`"),
        ("V=$HOME ${HOME} $(id)", b"$HOME ${HOME} $(id)"),
        ("export V=1", b"1"),
        ("export\tV\t=\t1", b"1"),
        ("\u{feff}V=1", b"1"),
        ("V=1\r\n", b"1"),
        ("V=it's", b"it's"),
        ("V=a=b=c", b"a=b=c"),
    ];
    for (text, value) in cases {
        let level = OneLevel::env(text);
        let run = level.run().arg("--clean-env");
        assert_eq!(entries(run), [[b"V=", value].concat()], "{text:?}");
    }
}

/// Every character that UTF-8 has a length for, every control character but NUL, and a long value.
pub fn values_arrive_byte_for_byte() {
    let controls: String = ('\u{1}'..='\u{7f}')
        .filter(|c| !['\'', '\r'].contains(c))
        .collect();
    let wide = "\u{80}\u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff}\u{feff}\u{2028}e\u{301}\u{202e}";
    let long = "\u{20ac}".repeat(40_000);
    for value in [
        &controls[..],
        wide,
        &long,
        "\n\n",
        " \t ",
        "-----BEGIN-----\nA==\n",
    ] {
        let level = OneLevel::env(&format!("V='{value}'\n"));
        for mode in ["--exec", "--supervise"] {
            let run = level.run().args([mode, "--clean-env"]);
            assert!(
                entries(run) == [format!("V={value}").into_bytes()],
                "{mode}: {value:.60?}"
            );
        }
    }
    let unquoted = OneLevel::env("V=\u{a0}a\u{b}\u{c}\u{3000}\n");
    assert_eq!(variables(unquoted.run()), ["V=\u{a0}a\u{b}\u{c}\u{3000}"]);
}

/// Each message names the level, the line and, where it is known, the variable.
pub fn a_level_that_breaks_the_grammar_is_an_error_at_its_place() {
    let cases: [(&[u8], &[&str]); 12] = [
        (b"A=1\nB='hunter2\n", &["line 2", "B"]),
        (b"A=1\nB=\"hunter2\nC=1\n", &["line 2", "B"]),
        (b"A=\"hunter2\\\"\n", &["line 1", "A"]),
        (b"\nA='hunter2'x\n", &["line 2", "A"]),
        (b"A=\"hunter2\" 'x'\n", &["line 1", "A"]),
        (b"A-B=hunter2\n", &["line 1"]),
        (b"# c\n1X=hunter2\n", &["line 2"]),
        (b"=hunter2\n", &["line 1"]),
        (b"A B=hunter2\n", &["line 1"]),
        (b"export export A=hunter2\n", &["line 1"]),
        (b"A=1\nB=hunter2\0\n", &["line 2"]),
        (b"A=1\n\nB=hunter2\xff\n", &["line 3"]),
    ];
    for (text, fragments) in cases {
        let level = OneLevel::bytes("env", text);
        refused_unseen(level.run(), &[&["level project"], fragments].concat());
    }
}
