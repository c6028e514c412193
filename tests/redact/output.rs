//! What comes out.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::json;

use super::{HARD, LINES, PLAIN, redacting, tree};
use crate::support::*;

/// The encodings of a value by other hands than ours.
fn encoded(value: &str) -> Vec<String> {
    let hexadecimal: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    let percent = |spared: &str, upper: bool| -> String {
        let encode = |byte: u8| match char::from(byte) {
            letter if letter.is_ascii_alphanumeric() || spared.contains(letter) => letter.into(),
            _ if upper => format!("%{byte:02X}"),
            _ => format!("%{byte:02x}"),
        };
        value.bytes().map(encode).collect()
    };
    let json = json!(value).to_string();
    let ascii: String = json
        .chars()
        .map(|letter| match letter.is_ascii() {
            true => letter.to_string(),
            false => format!("\\u{:04x}", u32::from(letter)),
        })
        .collect();
    let quotes = value.replace('\'', r"'\''");
    let mut forms = vec![
        hexadecimal.to_uppercase(),
        hexadecimal,
        percent("-._~", true),
        percent("-._~", false),
        percent("-._~!'()*", true),
        percent("-._ ", true).replace(' ', "+"),
        json.trim_matches('"').replace('/', r"\/"),
        ascii[1..ascii.len() - 1].to_owned(),
        json[1..json.len() - 1].to_owned(),
        BASE64_STANDARD.encode(value),
        BASE64_URL_SAFE_NO_PAD.encode(value),
        format!("'{quotes}'"),
    ];
    for before in 1..3 {
        let text = [&"<<"[..before], value, ">"].concat();
        forms.push(BASE64_STANDARD.encode(text));
    }
    // The splitter takes lines.
    forms.retain(|form| !form.contains('\n'));
    let lines = value.lines().filter(|line| line.len() > 3);
    forms.extend(lines.map(str::to_owned));
    forms
}

/// The part of a form that is all the secret's own.
fn core(form: &str) -> &str {
    form.trim_matches('\'').trim_end_matches('=')
}

#[track_caller]
fn assert_hidden(outcome: &Outcome, forms: &[String]) {
    let shown = [&*String::from_utf8_lossy(&outcome.stdout), &*outcome.stderr].concat();
    for form in forms {
        assert!(!shown.contains(core(form)), "{form:?} is shown\n{outcome}");
    }
}

pub fn no_form_of_a_secret_is_shown_wherever_it_is_split() {
    let tree = tree();
    let forms: Vec<_> = [HARD, PLAIN, LINES].into_iter().flat_map(encoded).collect();
    let input = forms.join("\n");
    for stream in [1, 2] {
        let run = redacting(&tree)
            .args(splitter(stream))
            .stdin(input.as_str());
        let outcome = run.finish();
        outcome.assert_status(0);
        assert_hidden(&outcome, &forms);
        let shown = [outcome.text(), &outcome.stderr].concat();
        let splits: usize = forms.iter().map(|form| form.len() - 1).sum();
        assert_eq!(shown.lines().count(), splits, "{outcome}");
        let is_named = |line: &&str| {
            ["[HARD]", "[PLAIN]", "[LINES]"]
                .iter()
                .any(|name| line.contains(name))
        };
        let missing = shown.lines().find(|line| !is_named(line));
        assert_eq!(missing, None, "{outcome}");
    }
}

/// Two processes write at the same time, each to its own stream, or both to the same pipe line by line.
pub fn no_form_is_shown_of_what_is_written_to_both_streams_at_once() {
    let (tree, dir) = (tree(), TempDir::new());
    let forms: Vec<_> = [HARD, PLAIN].into_iter().flat_map(encoded).collect();
    let input = dir.file("forms", forms.join("\n") + "\n");
    let [program, flag, role, _] = splitter(1);
    let script = "input=$1; shift; \"$@\" 1 <\"$input\" & \"$@\" 2 <\"$input\"; wait";
    let run = redacting(&tree).args(["sh", "-c", script, "sh"]);
    let outcome = run.arg(&input).args([program, flag, role]).finish();
    outcome.assert_status(0);
    assert_hidden(&outcome, &forms);
    let splits: usize = forms.iter().map(|form| form.len() - 1).sum();
    assert_eq!(outcome.text().lines().count(), splits);
    assert_eq!(outcome.stderr.lines().count(), splits);
}

pub fn a_tracing_shell_shows_no_secret() {
    let tree = tree();
    let script =
        r#"a=$HARD; test "$PLAIN" "=" "$HARD"; : "$LINES" $LINES "x${HARD}y" "$PLAIN"; echo "$a""#;
    // What it compares with gets a backslash before each character, or where an expression needs one.
    let compared = r#"; [[ x == "$HARD" ]]; [[ x =~ "$HARD" ]]; printf '%q\n' "$HARD" >&2"#;
    for (shell, more) in [("dash", ""), ("bash", compared)] {
        let script = script.replace("; echo", &format!("{more}; echo"));
        let outcome = redacting(&tree).args([shell, "-xc", &script]).finish();
        outcome.assert_status(0).assert_stdout("[HARD]\n");
        assert!(
            outcome.stderr.contains("[HARD]") && outcome.stderr.contains("[PLAIN]"),
            "{outcome}"
        );
        let [hard, plain, lines] = [HARD, PLAIN, LINES].map(encoded);
        assert_hidden(&outcome, &[hard, plain, lines].concat());
        for part in ["50%+", r"\5\0\%\+", r"50%\+"] {
            assert!(!outcome.stderr.contains(part), "{outcome}");
        }
    }
}

pub fn secrets_become_their_names() {
    let tree = Tree::holding("A=abcdefgh\nB=abcdefghijkl\nC=ghijklmnop\nD='aaaa'\nE=abcdefgh\n");
    for (text, expected) in [
        ("abcdefgh", "[A]"),
        ("abcdefghijkl", "[B]"),
        ("abcdefghijk", "[A]ijk"),
        ("xabcdefghijklmnopx", "x[B][C]x"),
        ("abcdefgh\n", "[A]\n"),
        ("abcdefgabcdefgh", "abcdefg[A]"),
        ("aaa", "aaa"),
        ("aaaaa", "[D][D]"),
        ("", ""),
    ] {
        let run = redacting(&tree).args(["printf", "%s", text]);
        run.finish().assert_status(0).assert_stdout(expected);
    }
}

pub fn values_that_say_nothing_are_named_and_shown() {
    let tree = tree();
    let script = "echo $LEVEL $PORT $PLAIN";
    let run = tree
        .dotenv_run()
        .args(["p", "--redact", "--", "sh", "-c", script]);
    let outcome = run.finish();
    outcome
        .assert_status(0)
        .assert_stdout("production 8080 [PLAIN]\n");
    assert_eq!(
        outcome.warnings(),
        ["these secrets are too short or too common to be redacted: LEVEL, PORT"]
    );
}

/// Bytes that look random and are the same every time (xorshift64*).
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = (0..length / 8).map(|_| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    });
    words.flat_map(u64::to_ne_bytes).collect()
}

pub fn fifty_megabytes_without_a_secret_come_through_unchanged() {
    let (tree, dir) = (tree(), TempDir::new());
    let bytes = noise(50_000_000);
    let file = dir.file("noise", &bytes);
    let outcome = redacting(&tree).arg("cat").arg(file).finish();
    outcome.assert_status(0);
    assert!(
        outcome.stdout == bytes,
        "{} bytes differ from {}",
        outcome.stdout.len(),
        bytes.len()
    );
}

pub fn a_secret_in_every_line_of_a_long_output_is_hidden() {
    let tree = tree();
    let script =
        r#"BEGIN { for (i = 0; i < 100000; i++) print i, ENVIRON["PLAIN"] ENVIRON["HARD"] }"#;
    let outcome = redacting(&tree).args(["awk", script]).finish();
    let expected: String = (0..100_000)
        .map(|number| format!("{number} [PLAIN][HARD]\n"))
        .collect();
    outcome.assert_status(0);
    assert!(outcome.text() == expected);
}

pub fn a_prompt_is_shown_before_its_line_ends() {
    let (tree, dir) = (tree(), TempDir::new());
    // The last letter begins a secret.
    for prompt in ["Name: ", "[y/N] k", "\x1b[1;1i"] {
        let script = "printf '%s' \"$1\"; cat \"$2\"";
        let go = dir.fifo(&prompt.escape_default().to_string().replace('/', "-"));
        let run = redacting(&tree).args(["sh", "-c", script, "sh", prompt]);
        let live = run.arg(&go).spawn();
        live.wait_for_output(prompt);
        std::fs::write(&go, PLAIN).expect("a pipe that is read");
        live.wait().assert_stdout(format!("{prompt}[PLAIN]"));
    }
}

pub fn one_file_for_both_streams_keeps_their_order() {
    let tree = tree();
    let script = "i=0; while [ $i -lt 200 ]; do echo $i; echo $i $PLAIN >&2; i=$((i+1)); done";
    let run = redacting(&tree).args(["sh", "-c", script]);
    let outcome = run.under(["sh", "-c", "exec \"$@\" 2>&1", "sh"]).finish();
    let expected: String = (0..200)
        .map(|number| format!("{number}\n{number} [PLAIN]\n"))
        .collect();
    outcome.assert_status(0).assert_stdout(expected);
}

pub fn two_files_stay_two() {
    let tree = tree();
    let run = redacting(&tree).args(["sh", "-c", "echo one $PLAIN; echo two $PLAIN >&2"]);
    let outcome = run.finish();
    outcome.assert_status(0).assert_stdout("one [PLAIN]\n");
    assert_eq!(outcome.stderr, "two [PLAIN]\n");
}

pub fn a_closed_stream_stays_closed() {
    let tree = tree();
    let script = "if echo x 2>/dev/null; then echo open >&2; else echo closed $PLAIN >&2; fi";
    let run = redacting(&tree).args(["sh", "-c", script]);
    let outcome = run.under(["sh", "-c", "exec \"$@\" >&-", "sh"]).finish();
    assert_eq!(outcome.assert_status(0).stderr, "closed [PLAIN]\n");
}

pub fn a_key_that_the_command_keeps_is_hidden_too() {
    let tree = Tree::example();
    let run = tree
        .dotenv_run()
        .args(["-q", "my-app", "--keep-credentials", "--redact", "--"]);
    let run = run.env("DOTENV_CLIENT_KEY", CLIENT_KEY);
    let outcome = run.args(["sh", "-c", "echo $DOTENV_CLIENT_KEY"]).finish();
    outcome
        .assert_status(0)
        .assert_stdout("[DOTENV_CLIENT_KEY]\n");
}
