//! The programs that read what we print: each takes many texts at once, so that it is started once.

use std::collections::BTreeMap;
use std::path::PathBuf;

use dotenv_run::inside::dotenv::parse;
use serde_json::Value as Json;

use super::compose;
use crate::support::*;

/// Names and values as a reader has them.
pub type Variables = BTreeMap<String, String>;

/// What a reader makes of one text; the error is its own, in words.
pub type Reading = Result<Variables, String>;

/// A reader of ours or of others.
pub type Reader = fn(&[String]) -> Vec<Reading>;

pub const NODE_READERS: fn() -> Result<(), String> = || {
    tool("node")?;
    installed("node_modules/yaml/package.json")?;
    installed("node_modules/dotenv/package.json")
};

pub const PYTHON_READERS: fn() -> Result<(), String> = || {
    tool("python3")?;
    installed("python/yaml/__init__.py")?;
    installed("python/dotenv/__init__.py")
};

/// Where `make test` installs the readers that are no commands.
fn directory() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target/readers"))
}

fn installed(file: &str) -> Result<(), String> {
    match directory().join(file).is_file() {
        true => Ok(()),
        false => Err(format!(
            "needs target/readers/{file}, which `make test` installs"
        )),
    }
}

pub fn ours(texts: &[String]) -> Vec<Reading> {
    let read = |text: &String| match parse::parse(text.as_bytes()) {
        Err(error) => Err(error.to_string()),
        Ok(parsed) => {
            let pair = |entry: parse::Entry| (entry.name.into(), entry.value.pieces().collect());
            Ok(parsed.entries().map(pair).collect())
        }
    };
    texts.iter().map(read).collect()
}

pub fn docker_compose(texts: &[String]) -> Vec<Reading> {
    texts.iter().map(|text| compose::read(text)).collect()
}

pub fn node_dotenv(texts: &[String]) -> Vec<Reading> {
    node("dotenv", texts)
}

pub fn node_dotenv_fast(texts: &[String]) -> Vec<Reading> {
    node("dotenv-fast", texts)
}

pub fn node_json(texts: &[String]) -> Vec<Reading> {
    node("json", texts)
}

pub fn node_yaml_1_1(texts: &[String]) -> Vec<Reading> {
    node("yaml-1.1", texts)
}

pub fn node_yaml_1_2(texts: &[String]) -> Vec<Reading> {
    node("yaml-1.2", texts)
}

pub fn python_dotenv(texts: &[String]) -> Vec<Reading> {
    python("dotenv", texts)
}

pub fn python_dotenv_verbatim(texts: &[String]) -> Vec<Reading> {
    python("dotenv-verbatim", texts)
}

pub fn python_json(texts: &[String]) -> Vec<Reading> {
    python("json", texts)
}

pub fn python_yaml(texts: &[String]) -> Vec<Reading> {
    python("yaml", texts)
}

pub fn dash(texts: &[String]) -> Vec<Reading> {
    texts.iter().map(|text| shell("dash", text)).collect()
}

pub fn bash(texts: &[String]) -> Vec<Reading> {
    texts.iter().map(|text| shell("bash", text)).collect()
}

pub fn zsh(texts: &[String]) -> Vec<Reading> {
    texts.iter().map(|text| shell("zsh", text)).collect()
}

pub fn ksh93(texts: &[String]) -> Vec<Reading> {
    texts.iter().map(|text| shell("ksh93", text)).collect()
}

pub fn mksh(texts: &[String]) -> Vec<Reading> {
    texts.iter().map(|text| shell("mksh", text)).collect()
}

pub fn yash(texts: &[String]) -> Vec<Reading> {
    texts.iter().map(|text| shell("yash", text)).collect()
}

pub fn posh(texts: &[String]) -> Vec<Reading> {
    texts.iter().map(|text| shell("posh", text)).collect()
}

pub fn fish(texts: &[String]) -> Vec<Reading> {
    let read = |text: &String| in_shell(&["fish", "-N", "-c", "source; exec env -0"], text);
    texts.iter().map(read).collect()
}

fn node(reader: &str, texts: &[String]) -> Vec<Reading> {
    let run = Run::program("node").env("NODE_PATH", directory().join("node_modules"));
    script(run, "read.cjs", reader, texts)
}

fn python(reader: &str, texts: &[String]) -> Vec<Reading> {
    let run = Run::program("python3").env("PYTHONPATH", directory().join("python"));
    script(run.args(["-X", "utf8"]), "read.py", reader, texts)
}

/// Runs one of the scripts in `tests/readers`.
fn script(run: Run, file: &str, reader: &str, texts: &[String]) -> Vec<Reading> {
    let file = format!("{}/tests/readers/{file}", env!("CARGO_MANIFEST_DIR"));
    let texts = serde_json::to_string(texts).unwrap();
    let outcome = run.args([&file, reader]).stdin(texts).finish();
    outcome.assert_status(0);
    let readings: Vec<Json> = serde_json::from_str(outcome.text()).unwrap();
    readings.into_iter().map(reading).collect()
}

fn reading(answer: Json) -> Reading {
    let Json::Object(object) = answer else {
        return Err(answer.to_string());
    };
    let string = |(name, value)| match value {
        Json::String(value) => Ok((name, value)),
        other => Err(format!("{name} is {other}")),
    };
    object.into_iter().map(string).collect()
}

/// Has a shell evaluate the text, in a directory that must stay empty, and asks what its commands see.
pub fn shell(program: &str, text: &str) -> Reading {
    in_shell(&[program, "-c", "eval \"$(cat)\"; exec env -0"], text)
}

/// What is in the environment of a shell after a script of its own that evaluates the text.
fn in_shell(words: &[&str], text: &str) -> Reading {
    let (dir, home) = (TempDir::new(), TempDir::new());
    let run = Run::program(words[0]).args(&words[1..]).stdin(text);
    // Some read characters, not bytes.
    let run = run.env("HOME", home.path()).env("LC_ALL", "C.UTF-8");
    let outcome = run.dir(dir.path()).finish();
    if let Some(made) = std::fs::read_dir(dir.path()).unwrap().next() {
        return Err(format!("made {:?}", made.unwrap().file_name()));
    }
    if !outcome.stderr.is_empty() || !outcome.status.success() {
        return Err(outcome.stderr);
    }
    let entries = outcome.text().split_terminator('\0');
    let pairs = entries.filter_map(|entry| entry.split_once('='));
    let own = "PATH HOME USER LC_ALL LOGNAME PWD OLDPWD SHLVL _ A__z";
    let pairs = pairs.filter(|(name, _)| own.split(' ').all(|own| own != *name));
    Ok(pairs
        .map(|(name, value)| (name.into(), value.into()))
        .collect())
}
