//! Files beside the secrets that cannot be used.

use super::*;

/// A file with this text that an option names.
fn with(option: &'static str, name: &'static str, text: Vec<u8>) -> Scene {
    let dir = TempDir::new();
    let file = dir.file(name, text).display().to_string();
    on_tree("app/t/e", |_| ())
        .args(&[option, &file])
        .keeping(dir)
}

fn texts() -> [(&'static str, &'static str, String); 6] {
    [
        ("a name", "invalid name", format!("A={WORD}\nB-{VALUE}=1\n")),
        ("a quote", "never closed", format!("A='{VALUE}\n{WORD}\n")),
        (
            "behind",
            "after the closing quote",
            format!("A='{WORD}' {VALUE}\n"),
        ),
        ("NUL", "NUL byte", format!("A={VALUE}\0{WORD}\n")),
        ("return", "carriage return", format!("A={VALUE}\r{WORD}\n")),
        (
            "too long",
            "larger than",
            format!("A={VALUE}{}\n", "x".repeat(1 << 20)),
        ),
    ]
}

pub fn table() -> Vec<Failure> {
    let mut rows = Vec::new();
    for option in ["--defaults", "--overrides", "--require-from"] {
        for (name, says, text) in texts() {
            let row = (125, "Error::LocalFile", says);
            let text = text.into_bytes();
            let scene = move || with(option, "file", text.clone());
            rows.push(failure(row, format!("{option}: {name}"), scene));
        }
        let row = (125, "Error::LocalFile", "is a directory");
        let scene = move || on_tree("app/t/e", |_| ()).args(&[option, "/"]);
        rows.push(failure(row, format!("{option}: no file"), scene));
    }
    for (name, says, text) in [
        ("open", "not closed", format!("{WORD} {{{{{VALUE}\n")),
        (
            "a name",
            "not followed by a name",
            format!("{{{{ {WORD} }}}}\n"),
        ),
        ("a filter", "unknown filter", format!("{{{{A|{WORD}}}}}\n")),
        (
            "an unknown name",
            "no secret NO",
            format!("{VALUE}{{{{NO}}}}{WORD}\n"),
        ),
    ] {
        let row = (125, "Error::LocalFile", says);
        let scene = move || {
            let dir = TempDir::new();
            let file = dir.file("file", &text).display().to_string();
            let option = format!("--template=T={file}");
            on_tree("app/t/e", |_| ())
                .args(&[&option])
                .keeping(dir)
                .only(Ways::Command)
        };
        rows.push(failure(row, format!("--template: {name}"), scene));
    }
    rows
}
