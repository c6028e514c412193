//! What is rendered reads back, in our grammar and by readers that share nothing with it.
//!
//! The input is a value as it stands and, where it is a `.env` text, also a set of variables.

use dotenv_run::inside::dotenv::parse::{Value, is_name, parse};
use dotenv_run::inside::dotenv::render::{Delimiter, Form, NoSpelling, render};
use saphyr::LoadableYamlNode;

/// Names and decoded values.
type Variables = Vec<(String, String)>;

pub fn holds(input: &[u8]) {
    if let Ok(text) = std::str::from_utf8(input)
        && !text.contains('\0')
    {
        reads_back(&[("V", Value::verbatim(text))]);
    }
    if let Ok(parsed) = parse(input) {
        let variables = parsed.entries().map(|entry| (entry.name, entry.value));
        reads_back(&variables.collect::<Vec<_>>());
    }
}

fn reads_back(variables: &[(&str, Value<'_>)]) {
    for form in Form::ALL {
        let has_spelling = |variable: &&(&str, Value<'_>)| text(form, &[**variable]).is_ok();
        let (spelled, refused): (Vec<_>, Vec<_>) = variables.iter().partition(has_spelling);
        for (name, value) in &refused {
            may_be_refused(form, name, &value.pieces().collect::<String>());
        }
        let whole = text(form, variables);
        let first = refused.first().map(|(name, _)| name.to_string());
        assert_eq!(whole.err().map(|error| error.name), first, "{form:?}");
        let Ok(rendered) = text(form, &spelled) else {
            panic!("{form:?}: refused together, accepted one by one")
        };
        let decoded: Variables = spelled
            .iter()
            .map(|(name, value)| (name.to_string(), value.pieces().collect()))
            .collect();
        let verbatim = decoded
            .iter()
            .map(|(name, value)| (name.as_str(), Value::verbatim(value)));
        let verbatim = text(form, &verbatim.collect::<Vec<_>>());
        assert_eq!(
            verbatim.as_ref(),
            Ok(&rendered),
            "the pieces of a value matter"
        );
        match form {
            Form::Names => assert_eq!(rendered.lines().collect::<Vec<_>>(), names(&decoded)),
            _ => assert_eq!(read(form, &rendered), decoded, "{form:?}: {rendered}"),
        }
    }
}

fn text(form: Form, variables: &[(&str, Value<'_>)]) -> Result<String, NoSpelling> {
    let mut text = String::new();
    render(
        form,
        &delimiter(),
        variables.iter().copied(),
        &mut |piece| text.push_str(piece),
    )?;
    Ok(text)
}

/// Nothing is refused that single quotes hold for every reader, and no value for the sake of a shell.
fn may_be_refused(form: Form, name: &str, value: &str) {
    match form {
        Form::Env => {
            let fits = !value.contains(['\'', '\r', '\\']) && !value.contains("${");
            assert!(!fits || name == "__proto__", "{name} has a spelling");
        }
        Form::Shell | Form::Fish => assert!(text(form, &[(name, Value::verbatim(""))]).is_err()),
        Form::Docker => assert!(value.contains(['\n', '\r']) || value.len() > 60_000),
        Form::GitHub => assert!(text(form, &[(name, Value::verbatim(""))]).is_err()),
        Form::Json | Form::Yaml | Form::Names => panic!("{form:?} refuses {name}"),
    }
}

fn read(form: Form, text: &str) -> Variables {
    match form {
        Form::Env => read_env(text),
        Form::Shell => read_shell(text),
        Form::Fish => read_fish(text),
        Form::Json => read_json(text),
        Form::Yaml => read_yaml(text),
        Form::Docker => read_docker(text),
        Form::GitHub => read_github(text),
        Form::Names => unreachable!("names have no values"),
    }
}

fn names(variables: &Variables) -> Vec<&str> {
    variables.iter().map(|(name, _)| name.as_str()).collect()
}

/// A delimiter for all: no input knows it.
fn delimiter() -> Delimiter {
    Delimiter::of([0x5a; 16])
}

/// Takes lines as Go's scanner does, which drops a carriage return at the end of one.
fn read_docker(text: &str) -> Variables {
    let lines = text
        .strip_suffix('\n')
        .map_or(Vec::new(), |text| text.split('\n').collect());
    let variable = |line: &str| {
        assert!(line.len() < 65536 && !line.ends_with('\r'));
        let (name, value) = line.split_once('=').expect("a variable");
        assert!(is_name(name), "{name:?} is no name");
        (name.to_owned(), value.to_owned())
    };
    lines.into_iter().map(variable).collect()
}

/// Reads as the runner does: up to the first line that is the delimiter.
fn read_github(text: &str) -> Variables {
    let mut variables = Variables::new();
    let mut lines = text.split_terminator('\n');
    while let Some(line) = lines.next() {
        let (name, delimiter) = line.split_once("<<").expect("a delimiter");
        assert!(is_name(name) && !delimiter.is_empty());
        let value: Vec<_> = lines
            .by_ref()
            .take_while(|line| *line != delimiter)
            .collect();
        variables.push((name.to_owned(), value.join("\n")));
    }
    variables
}

fn read_env(text: &str) -> Variables {
    let parsed = parse(text.as_bytes()).expect("the grammar");
    assert_eq!(parsed.skipped.count, 0);
    let entries = parsed.entries();
    entries
        .map(|entry| (entry.name.to_owned(), entry.value.pieces().collect()))
        .collect()
}

/// Takes nothing but `export NAME='…'` lines, in which a quote is written `'\''`.
fn read_shell(text: &str) -> Variables {
    let mut variables = Variables::new();
    let mut rest = text;
    while !rest.is_empty() {
        let command = rest.strip_prefix("export ").expect("export");
        let (name, mut quoted) = command.split_once("='").expect("an assignment");
        assert!(is_name(name), "{name:?} is no name");
        let mut value = String::new();
        rest = loop {
            let (part, behind) = quoted.split_once('\'').expect("a closing quote");
            value.push_str(part);
            if let Some(behind) = behind.strip_prefix('\n') {
                break behind;
            }
            quoted = behind
                .strip_prefix("\\''")
                .expect("a quote, or the end of the line");
            value.push('\'');
        };
        variables.push((name.to_owned(), value));
    }
    variables
}

/// Takes nothing but `set -gx NAME '…'` lines, in which a quote and a backslash have a backslash in front.
fn read_fish(text: &str) -> Variables {
    let mut variables = Variables::new();
    let mut rest = text;
    while let Some(command) = rest.strip_prefix("set -gx ") {
        let (name, quoted) = command.split_once(" '").expect("an assignment");
        assert!(is_name(name), "{name:?} is no name");
        let mut value = String::new();
        let mut letters = quoted.chars();
        loop {
            match letters.next().expect("a closing quote") {
                '\'' => break,
                '\\' => value.extend(letters.next().filter(|next| "'\\".contains(*next))),
                letter => value.push(letter),
            }
        }
        rest = letters
            .as_str()
            .strip_prefix('\n')
            .expect("the end of the line");
        variables.push((name.to_owned(), value));
    }
    assert_eq!(rest, "");
    variables
}

/// Of what ends a line for one reader or another, or is no character of a text, there is only LF.
fn has_plain_lines(text: &str) {
    let is_odd = |character: char| {
        character.is_control() || matches!(character, '\u{2028}' | '\u{2029}' | '\u{feff}')
    };
    assert!(!text.replace('\n', "").contains(is_odd), "{text:?}");
}

/// `serde_json` says what it holds, the lines say in which order.
fn read_json(text: &str) -> Variables {
    has_plain_lines(text);
    let value: serde_json::Map<_, _> = serde_json::from_str(text).expect("JSON");
    let lines = text
        .lines()
        .filter(|line| !matches!(*line, "{" | "}" | "{}"));
    let name = |line: &str| {
        let line = line.strip_prefix("  \"").expect("an indented member");
        line.split('"').next().unwrap_or_default().to_owned()
    };
    let names: Vec<_> = lines.map(name).collect();
    assert_eq!(names.len(), value.len());
    let string = |name: String| {
        let string = value[&name].as_str().expect("a string").to_owned();
        (name, string)
    };
    names.into_iter().map(string).collect()
}

fn read_yaml(text: &str) -> Variables {
    has_plain_lines(text);
    let documents = saphyr::Yaml::load_from_str(text).expect("YAML");
    let [document] = &documents[..] else {
        panic!("{} documents", documents.len())
    };
    let string = |node: &saphyr::Yaml<'_>| node.as_str().expect("a string").to_owned();
    let mapping = document.as_mapping().expect("a mapping");
    mapping
        .iter()
        .map(|(name, value)| (string(name), string(value)))
        .collect()
}
