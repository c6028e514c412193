//! Secrets that other programs have encoded.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::{HARD, LINES, PLAIN};
use crate::secrecy::memory::children;
use crate::support::*;

/// A value as short as one that is looked for can be.
const SHORT: &str = "hunt";

/// Commands that encode `$V`, and the tools that they need. What they write is to hold the name.
const TOOLS: [(&str, &str); 34] = [
    ("openssl", r#"printf '%s' "$V" | openssl base64"#),
    (
        "openssl",
        r#"printf 'login robot %s\n' "$V" | openssl base64"#,
    ),
    ("openssl", r#"printf '%s\n' "$V" | openssl base64 -A"#),
    (
        "base64",
        r#"for n in 1 2 3 4 5 7 19 60; do printf 'x%s' "$V" | base64 -w $n; done"#,
    ),
    ("base64", r#"echo $(printf 'xyz%s' "$V" | base64 -w 5)"#),
    (
        "base64",
        r#"printf '%s' "$V" | base64 | tr '+/' '-_' | tr -d '='"#,
    ),
    (
        "base64",
        r#"printf '%s' "$V" | base64 -w 9 | sed 's/$/\r/; s/^/    /'"#,
    ),
    (
        "base32",
        r#"for n in 0 1 2 3 4; do printf "%${n}s%s" '' "$V" | base32; done"#,
    ),
    ("base32", r#"printf '%s' "$V" | base32 -w 6 | tr A-Z a-z"#),
    ("xxd", r#"printf '%s' "$V" | xxd"#),
    ("xxd", r#"printf 'some text %s' "$V" | xxd -u -g 1 -c 7"#),
    ("xxd", r#"printf '%s' "$V" | xxd -p -c 5"#),
    ("hexdump", r#"printf 'some text %s' "$V" | hexdump -C"#),
    ("od", r#"printf 'some text %s' "$V" | od -c"#),
    ("od", r#"printf 'some text %s' "$V" | od -A x -t x1z"#),
    ("bash", r#"printf '%q\n' "$V""#),
    ("bash", r#"(LC_ALL=C; printf '%q\n' "$V")"#),
    ("bash", r#"echo "${V@Q}""#),
    ("dash", r#"dash -c 'set -x; : "$V"' 2>&1"#),
    (
        "python3",
        r#"python3 -c 'import os; v = os.environ["V"]; print(repr(v), ascii(v), repr(v.encode()))'"#,
    ),
    (
        "python3",
        r#"python3 -c 'import os, json; print(json.dumps(os.environ["V"]))'"#,
    ),
    (
        "python3",
        r#"python3 -c 'import os, json; print(json.dumps({"a": json.dumps({"v": os.environ["V"]})}))'"#,
    ),
    (
        "python3",
        r#"python3 -c 'import os, html; print(html.escape(os.environ["V"]))'"#,
    ),
    (
        "python3",
        r#"python3 -c 'import os; v = os.environ["V"]; print("".join(f"&#{ord(c)};" for c in v), "".join(f"&#x{ord(c):x};" for c in v))'"#,
    ),
    (
        "python3",
        r#"python3 -c 'import os, re, urllib.parse as u; v = u.quote(os.environ["V"]); print(v, re.sub("%..", lambda it: it[0].lower(), v), u.quote(v), u.quote_plus(os.environ["V"]))'"#,
    ),
    (
        "python3",
        r#"python3 -c 'import os; print("".join(f"\\x{b:02X}" for b in os.environb[b"V"]), "".join(f"\\{b:03o}" for b in os.environb[b"V"]))'"#,
    ),
    (
        "python3",
        r#"python3 -c 'import os; print("".join(f"\\u{ord(c):04x}" for c in os.environ["V"]))'"#,
    ),
    (
        "jq",
        r#"jq -n 'env.V, (env.V | tojson)'; jq -nr 'env.V | @uri, @html, @sh, @base64'"#,
    ),
    ("iconv", r#"printf 'x%s' "$V" | iconv -t UTF-16LE"#),
    ("iconv", r#"printf 'xy%s' "$V" | iconv -t UTF-16BE"#),
    (
        "perl",
        r#"perl -e 'print unpack("H*", $ENV{V}), "\n", uc unpack("H*", $ENV{V})'"#,
    ),
    (
        "perl",
        r#"perl -MMIME::Base64 -e 'print encode_base64("ab$ENV{V}")'"#,
    ),
    ("ruby", r#"ruby -e 'p ENV["V"], ENV["V"].dump'"#),
    (
        "node",
        r#"node -e 'console.log(JSON.stringify(process.env.V), encodeURIComponent(process.env.V), escape(process.env.V).length)'"#,
    ),
];

/// Writes what it reads in pieces of lengths that look random, each with a pause behind it.
const PIECES: &str = r#"import os, random, sys, time
random.seed(int(sys.argv[1]))
data = sys.stdin.buffer.read()
while data:
    length = random.randint(1, 29)
    os.write(1, data[:length])
    data = data[length:]
    time.sleep(0.0001)"#;

/// Stands behind what each tool wrote.
const END: &str = "== end ==";

pub fn what_other_programs_encode_is_hidden_wherever_it_is_split() {
    let tools: Vec<_> = TOOLS
        .iter()
        .filter(|(program, _)| tool(program).is_ok())
        .collect();
    let all: String = tools
        .iter()
        .map(|(_, script)| format!("{script}; echo; echo '{END}'\n"))
        .collect();
    for (seed, value) in [HARD, PLAIN, LINES, SHORT].into_iter().enumerate() {
        let tree = Tree::holding_json(&json!({ "V": value }));
        let plain = Run::program("bash").args(["-c", &all]).env("V", value);
        let plain = plain.env("LC_ALL", "C.UTF-8").finish();
        let script =
            format!("export LC_ALL=C.UTF-8; {{ {all} }} 2>&1 | python3 -c '{PIECES}' {seed}");
        let run = tree.dotenv_run().args(["-q", "p", "--redact", "--"]);
        let outcome = run.args(["bash", "-c", &script]).finish();
        outcome.assert_status(0);
        let parts = |bytes: &[u8]| -> Vec<String> {
            String::from_utf8_lossy(bytes)
                .split(END)
                .map(str::to_owned)
                .collect()
        };
        let (encoded, shown) = (parts(&plain.stdout), parts(&outcome.stdout));
        assert_eq!(
            (encoded.len(), shown.len()),
            (tools.len() + 1, tools.len() + 1),
            "{outcome}"
        );
        for ((encoded, shown), (_, script)) in encoded.iter().zip(&shown).zip(&tools) {
            assert!(shown.contains("[V]"), "{script}\n{encoded}\n{shown}");
            // No word is left that is longer than what stands before the secret.
            let words: Vec<_> = shown.split_whitespace().collect();
            let left = encoded
                .split_whitespace()
                .filter(|word| word.len() > 12 && words.contains(word));
            assert_eq!(
                left.collect::<Vec<_>>(),
                [""; 0],
                "{script}\n{encoded}\n{shown}"
            );
        }
    }
}

/// What proc(5) says of a process, in bytes.
fn status(process: impl std::fmt::Display, name: &str) -> usize {
    let text = fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .expect("a line");
    let number = line.trim_matches(|it: char| !it.is_ascii_digit());
    number.parse::<usize>().expect("a number") * 1024
}

/// Sets that are hard to learn.
fn large() -> [(&'static str, Value); 5] {
    let lines: Vec<_> = (0..50_000).map(|number| format!("{number:039x}")).collect();
    let values = (0..20_000).map(|number| (format!("V{number}"), json!(format!("{number:040x}"))));
    let json: Vec<_> = (0..20_000)
        .map(|number| json!({ "id": number, "name": format!("name {number}") }))
        .collect();
    [
        ("lines", json!({ "V": lines.join("\n") })),
        ("values", Value::Object(values.collect::<Map<_, _>>())),
        ("one character", json!({ "V": "a".repeat(2_000_000) })),
        (
            "one character in lines",
            json!({ "V": vec!["a".repeat(3000); 600].join("\n") }),
        ),
        (
            "JSON",
            json!({ "V": serde_json::to_string_pretty(&json).expect("JSON") }),
        ),
    ]
}

pub fn a_large_set_is_learned_in_little_time_and_memory() {
    for (name, variables) in large() {
        let tree = Tree::holding_json(&variables);
        let run =
            tree.dotenv_run()
                .args(["-q", "p", "--redact", "--file", "F", "--file-only", "--"]);
        let begun = Instant::now();
        let live = run.args(["sh", "-c", "echo ready; exec sleep 60"]).spawn();
        live.wait_for_output("ready");
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{name}: {:?}",
            begun.elapsed()
        );
        let filter = children(live.pid())[1];
        let most = status(filter, "VmHWM:");
        assert!(most < 100_000_000, "{name}: {most} bytes");
        live.signal(nix::sys::signal::Signal::SIGTERM);
        live.wait();
    }
}

pub fn a_set_that_is_too_large_to_be_looked_for_is_refused_by_name() {
    let value: Vec<_> = (0..200_000)
        .map(|number| format!("{number:039x}"))
        .collect();
    let tree = Tree::holding_json(&json!({ "SMALL": PLAIN, "LARGE": value.join("\n") }));
    let witness = Witness::new();
    let run = tree
        .dotenv_run()
        .args(["-q", "p", "--redact", "--file", "F", "--file-only", "--"]);
    let outcome = run.args(witness.command()).finish();
    outcome.assert_refused(125, &["LARGE is too long to look for"]);
    witness.assert_not_started();
}

/// What makes a search compare the same bytes again and again.
pub fn no_text_holds_up_a_long_secret_of_one_letter() {
    let tree = Tree::holding_json(&json!({ "V": format!("{}b", "a".repeat(999_999)) }));
    let begun = Instant::now();
    let run = tree
        .dotenv_run()
        .args(["-q", "p", "--redact", "--file", "F", "--file-only", "--"]);
    let outcome = run
        .args(["sh", "-c", "head -c 5000000 /dev/zero | tr '\\0' a"])
        .finish();
    outcome.assert_status(0);
    assert!(outcome.stdout.iter().all(|byte| *byte == b'a') && outcome.stdout.len() == 5_000_000);
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
}
