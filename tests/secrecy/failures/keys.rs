//! Keys that are nowhere or of no use.

use super::*;

/// A run on `app`, which takes the client key from this.
pub fn with_client_key(source: &str) -> Scene {
    without_client_key().args(&["--client-key", source])
}

/// The same from a file that holds this.
pub fn with_key_file(content: &[u8]) -> Scene {
    let dir = TempDir::new();
    let file = dir.file("key", content).display().to_string();
    with_client_key(&file).keeping(dir)
}

fn bad_file(
    variant: &'static str,
    says: &'static str,
    content: impl Into<Vec<u8>>,
) -> [Failure; 2] {
    let content = content.into();
    let input = content.clone();
    [
        failure((125, variant, says), "in a file", move || {
            with_key_file(&content)
        }),
        failure((125, variant, says), "on standard input", move || {
            with_client_key("-").with(|run| run.stdin(input.clone()))
        }),
    ]
}

/// A source that names no file, because it is the key itself.
fn given_as_file(name: &str, key: String) -> Failure {
    failure(
        (125, "BadKey::NoSuchFile", "no such file"),
        name,
        move || with_client_key(&key),
    )
}

/// A run on a service, which takes the API key from this variable.
fn with_api_key(name: &'static str, value: String) -> impl Fn() -> Scene {
    move || {
        let scene = on_good_service("managed", |_| ());
        let scene = scene.with(|run| run.env_remove("DOTENV_API_KEY"));
        scene.env(name, &value)
    }
}

fn with_ca_file(content: String) -> impl Fn() -> Scene {
    move || {
        let dir = TempDir::new();
        let file = dir.file("ca.pem", &content).display().to_string();
        let scene = on_good_service("managed", |_| ()).keeping(dir);
        scene.args(&["--ca-file", &file])
    }
}

pub fn table() -> Vec<Failure> {
    let several = format!("{KEY}\n{VALUE}\n");
    let mark = format!("\u{feff}{KEY}");
    let not_printable = [format!("{} x", token()), format!("dotenv_{VALUE}")];
    let pem = |label: &str| format!("-----BEGIN {label}-----\n{WORD}\n-----END {label}-----\n");
    let no_certificate = |says| (125, "Error::CaFile", says);
    let mut table = vec![
        given_as_file("with a slash", VALUE.into()),
        given_as_file("like a word", WORD.into()),
        given_as_file("too long for a name", VALUE.repeat(20)),
        given_as_file("like a descriptor", format!("fd:{WORD}")),
        failure(
            (125, "BadKey::NoSuchFile", "no such file"),
            "in the variable of the client key's file",
            || {
                let scene = on_tree("app/t/e", |_| ());
                scene.env("DOTENV_CLIENT_KEY_FILE", VALUE)
            },
        ),
        failure(
            (125, "BadKey::NoSuchFile", "no such file"),
            "in the variable of the API key's file",
            with_api_key("DOTENV_API_KEY_FILE", token()),
        ),
        failure(
            (125, "BadKey::Unreadable", "is a directory"),
            "a directory",
            || with_client_key("/"),
        ),
        failure(
            (125, "Error::Loose", "every user on this machine can write"),
            "a key file that everyone can write",
            || {
                let dir = TempDir::new();
                let file = dir.file("key", KEY);
                set_mode(&file, 0o666);
                with_client_key(&file.display().to_string()).keeping(dir)
            },
        ),
        failure(
            (125, "Error::NotOpen", "descriptor 77 is not open"),
            "a closed descriptor",
            || with_client_key("fd:77"),
        ),
        failure(
            (125, "BadKey::ReadOnce", "read again"),
            "on standard input, with --watch",
            || {
                let scene = with_client_key("-").with(|run| run.stdin(KEY));
                scene.args(&["--watch"]).only(Ways::Command)
            },
        ),
        failure(
            (125, "MissingKey::Api", "no API key"),
            "the API key",
            with_api_key("UNRELATED", VALUE.into()),
        ),
        failure(
            (125, "MissingKey::Terminal", "no terminal"),
            "the client key",
            without_client_key,
        ),
        failure(
            (125, "MissingKey::Client", "no client key"),
            "the client key, with --watch",
            || {
                let scene = without_client_key().args(&["--watch"]);
                scene.only(Ways::Command)
            },
        ),
        failure(
            no_certificate("not a PEM"),
            "cut",
            with_ca_file(pem("CERTIFICATE").replace("END", "")),
        ),
        failure(
            no_certificate("certificate"),
            "a private key",
            with_ca_file(pem("PRIVATE KEY")),
        ),
        failure(
            no_certificate("certificate"),
            "a key",
            with_ca_file(VALUE.into()),
        ),
        failure(
            no_certificate("certificate"),
            "rubbish in it",
            with_ca_file(pem("CERTIFICATE")),
        ),
    ];
    table.extend(bad_file("BadKey::Empty", "empty", " \n"));
    table.extend(bad_file("BadKey::SeveralLines", "line break", several));
    table.extend(bad_file("BadKey::ByteOrderMark", "byte order", mark));
    table.extend(bad_file(
        "BadKey::TooLong",
        "longer than 4096",
        KEY.repeat(200),
    ));
    for key in not_printable {
        let name = key.clone();
        let scene = with_api_key("DOTENV_API_KEY", key);
        table.push(failure(
            (125, "BadKey::NotPrintable", "characters"),
            name,
            scene,
        ));
    }
    table
}
