//! What `dotenv::render` prints is read back to the same values by the programs that it is meant for, whatever the
//! values are and whatever stands beside them; and what it refuses has no spelling.

mod compose;
mod readers;
mod special;
mod values;

use dotenv_run::inside::dotenv::parse::{self, Value};
use dotenv_run::inside::dotenv::render::{Delimiter, Form, NoSpelling, render};

use crate::support::*;
use readers::*;
use values::{Random, combinations};

tests![
    env_is_read_back_by_our_parser,
    env_is_read_back_by_docker_compose,
    env_is_read_back_by_npm_dotenv needs(NODE_READERS),
    env_is_read_back_by_python_dotenv needs(PYTHON_READERS),
    env_refuses_only_values_without_a_spelling needs(NODE_READERS, PYTHON_READERS),
    env_refuses_a_name_that_npm_dotenv_loses needs(NODE_READERS),
    shell_is_read_back_by_dash_and_runs_nothing needs(|| tool("dash")),
    shell_is_read_back_by_bash_and_runs_nothing needs(|| tool("bash")),
    shell_is_read_back_by_zsh_and_runs_nothing needs(|| tool("zsh")),
    shell_is_read_back_by_ksh93_and_runs_nothing needs(|| tool("ksh93")),
    shell_is_read_back_by_mksh_and_runs_nothing needs(|| tool("mksh")),
    shell_is_read_back_by_yash_and_runs_nothing needs(|| tool("yash")),
    shell_is_read_back_by_posh_and_runs_nothing needs(|| tool("posh")),
    fish_is_read_back_by_fish_and_runs_nothing needs(|| tool("fish")),
    special::no_parameter_of_dash_is_evaluated needs(|| tool("dash")),
    special::no_parameter_of_bash_is_evaluated needs(|| tool("bash")),
    special::no_parameter_of_zsh_is_evaluated needs(|| tool("zsh")),
    special::no_parameter_of_ksh93_is_evaluated needs(|| tool("ksh93")),
    special::no_parameter_of_mksh_is_evaluated needs(|| tool("mksh")),
    special::no_parameter_of_yash_is_evaluated needs(|| tool("yash")),
    special::no_parameter_of_busybox_is_evaluated needs(|| tool("busybox")),
    special::no_parameter_of_posh_is_evaluated needs(|| tool("posh")),
    special::no_parameter_of_fish_is_evaluated_or_lost needs(|| tool("fish")),
    shell_refuses_names_that_a_shell_keeps_for_itself needs(|| tool("dash"), || tool("bash")),
    json_is_read_back_by_node needs(NODE_READERS),
    json_is_read_back_by_python needs(|| tool("python3")),
    yaml_1_1_is_read_back_by_pyyaml needs(PYTHON_READERS),
    yaml_1_2_is_read_back_by_npm_yaml needs(NODE_READERS),
    every_vector_is_printed_or_cannot_exist,
    names_are_read_back_whatever_they_mean_elsewhere needs(NODE_READERS, PYTHON_READERS),
    a_value_in_pieces_is_printed_like_a_value_in_one,
    the_order_is_kept,
    a_refusal_holds_the_name_and_nothing_of_the_value,
];

/// A value that each quoting is used for, and some that would swallow a neighbour that is not quoted well.
const NEIGHBOURS: [&str; 11] = [
    "plain",
    "",
    "`\n\"\nb",
    "'\nc",
    "x'\"",
    "`x`y'\"\\",
    "it's $5 \\d\r\n",
    "${HOME",
    "a#b",
    "\n",
    "' #",
];

/// How many variables share a text, where that is not the point.
const BATCH: usize = 500;

/// A text with what must be read from it.
struct Sample {
    text: String,
    variables: Variables,
}

/// A delimiter for all: no value knows it.
fn delimiter() -> Delimiter {
    Delimiter::of([0x5a; 16])
}

/// Renders in the given order.
fn text(form: Form, variables: &[(String, String)]) -> Result<String, NoSpelling> {
    let mut text = String::new();
    let variables = variables.iter();
    let variables = variables.map(|(name, value)| (name.as_str(), Value::verbatim(value)));
    render(form, &delimiter(), variables, &mut |piece| {
        text.push_str(piece)
    })
    .map(|()| text)
}

fn sample(form: Form, variables: Vec<(String, String)>) -> Result<Sample, NoSpelling> {
    let text = text(form, &variables)?;
    let variables = variables.into_iter().collect();
    Ok(Sample { text, variables })
}

fn named(values: impl IntoIterator<Item = String>) -> Vec<(String, String)> {
    let name = |(index, value)| (format!("N{index}"), value);
    values.into_iter().enumerate().map(name).collect()
}

fn has_env_spelling(value: &str) -> bool {
    text(Form::Env, &[("A".into(), value.into())]).is_ok()
}

/// Each value between some neighbours, and many in one text in any order; only those that have a spelling.
fn env_samples() -> Vec<Sample> {
    let mut values = values::all();
    values.retain(|value| has_env_spelling(value));
    let alone = values.iter().enumerate().map(|(index, value)| {
        let neighbours = NEIGHBOURS.iter().cycle().skip(index % NEIGHBOURS.len());
        let mut all: Vec<_> = neighbours.take(3).map(|value| value.to_string()).collect();
        all.insert(index % 4, value.clone());
        all
    });
    let mut random = Random(2);
    let together = (0..300).map(|_| {
        (0..25)
            .map(|_| values[random.below(values.len())].clone())
            .collect()
    });
    let texts = alone.chain(together.collect::<Vec<_>>());
    texts
        .map(|values| sample(Form::Env, named(values)).unwrap())
        .collect()
}

/// All values, in texts of a size that every reader takes.
fn batches(form: Form) -> Vec<Sample> {
    let values = values::all();
    let batches = values
        .chunks(BATCH)
        .map(|batch| sample(form, named(batch.to_vec())).unwrap());
    let empty =
        (!matches!(form, Form::Shell | Form::Fish)).then(|| sample(form, Vec::new()).unwrap());
    batches.chain(empty).collect()
}

#[track_caller]
fn assert_read_back(samples: &[Sample], reader: Reader) {
    let texts: Vec<_> = samples.iter().map(|sample| sample.text.clone()).collect();
    let readings = reader(&texts);
    assert!(readings.len() == samples.len() && !samples.is_empty());
    for (sample, reading) in samples.iter().zip(readings) {
        let text = &sample.text;
        match reading {
            Err(error) => panic!("not read: {error}\n{text}"),
            Ok(variables) => {
                for (name, value) in &sample.variables {
                    assert_eq!(variables.get(name), Some(value), "{name} in\n{text}");
                }
                assert_eq!(variables.len(), sample.variables.len(), "in\n{text}");
            }
        }
    }
}

fn env_is_read_back_by_our_parser() {
    assert_read_back(&env_samples(), ours);
}

fn env_is_read_back_by_docker_compose() {
    assert_read_back(&env_samples(), docker_compose);
}

fn env_is_read_back_by_npm_dotenv() {
    let samples = env_samples();
    assert_read_back(&samples, node_dotenv);
    assert_read_back(&samples, node_dotenv_fast);
}

fn env_is_read_back_by_python_dotenv() {
    let samples = env_samples();
    assert_read_back(&samples, python_dotenv);
    assert_read_back(&samples, python_dotenv_verbatim);
}

/// Tries every short text behind `A=`. A value on which all readers agree, and which leaves the neighbours alone, has
/// a spelling: it must not be refused.
fn env_refuses_only_values_without_a_spelling() {
    let tokens = [
        "'", "\"", "\\", "$", "{", "}", "#", " ", "\n", "`", "n", "a",
    ];
    let around = |c| {
        [
            format!("\"'\\{c}\""),
            format!("\"'${c}\""),
            format!("\\\\{c}"),
            format!("\\\\${c}"),
        ]
    };
    let texts = combinations(&tokens, 4)
        .into_iter()
        .chain(values::ascii().flat_map(around));
    let neighbours = named(NEIGHBOURS.map(String::from));
    let behind = text(Form::Env, &neighbours).unwrap();
    let texts = texts.map(|text| format!("A={text}\n{behind}")).collect();

    let values = agreed_values(texts, &neighbours);

    assert!(
        values.len() > 5000,
        "only {} values are spelled",
        values.len()
    );
    let refused: Vec<_> = values
        .iter()
        .filter(|value| !has_env_spelling(value))
        .collect();
    assert!(refused.is_empty(), "{refused:?}");
}

/// The values of `A` in those texts from which all readers take the same, the neighbours among it.
fn agreed_values(mut texts: Vec<String>, neighbours: &[(String, String)]) -> Vec<String> {
    texts.retain(|text| {
        let reading = ours(std::slice::from_ref(text)).remove(0);
        reading.is_ok() && reading == compose::read(text)
    });
    let readers: [Reader; 4] = [ours, node_dotenv, python_dotenv, python_dotenv_verbatim];
    let [ours, others @ ..] = readers.map(|reader| reader(&texts));
    let readings = ours.into_iter().enumerate();
    let agreed = readings.filter(|(at, ours)| others.iter().all(|other| &other[*at] == ours));
    let agreed = agreed.filter_map(|(_, reading)| reading.ok());
    let undisturbed = agreed.filter(|all| {
        let mut neighbours = neighbours.iter();
        all.len() == neighbours.len() + 1
            && neighbours.all(|(name, value)| all.get(name) == Some(value))
    });
    undisturbed.filter_map(|mut all| all.remove("A")).collect()
}

fn env_refuses_a_name_that_npm_dotenv_loses() {
    let variables = [("__proto__".into(), "x".into())];
    assert_eq!(text(Form::Env, &variables).unwrap_err().name, "__proto__");
    assert_eq!(
        node_dotenv(&["__proto__=x\n".into()]),
        [Ok(Variables::new())]
    );
}

fn shell_is_read_back_by_dash_and_runs_nothing() {
    assert_read_back(&batches(Form::Shell), dash);
}

fn shell_is_read_back_by_bash_and_runs_nothing() {
    assert_read_back(&batches(Form::Shell), bash);
}

fn shell_is_read_back_by_zsh_and_runs_nothing() {
    assert_read_back(&batches(Form::Shell), zsh);
}

fn shell_is_read_back_by_ksh93_and_runs_nothing() {
    assert_read_back(&batches(Form::Shell), ksh93);
}

fn shell_is_read_back_by_mksh_and_runs_nothing() {
    assert_read_back(&batches(Form::Shell), mksh);
}

fn shell_is_read_back_by_yash_and_runs_nothing() {
    assert_read_back(&batches(Form::Shell), yash);
}

fn shell_is_read_back_by_posh_and_runs_nothing() {
    assert_read_back(&batches(Form::Shell), posh);
}

fn fish_is_read_back_by_fish_and_runs_nothing() {
    assert_read_back(&batches(Form::Fish), fish);
}

/// Each of the names is really lost on dash or bash, and computing one would run a command.
fn shell_refuses_names_that_a_shell_keeps_for_itself() {
    let names = "BASHOPTS BASHPID BASH_ALIASES BASH_ARGC BASH_ARGV BASH_CMDS BASH_COMMAND BASH_LINENO BASH_SOURCE \
        BASH_SUBSHELL BASH_VERSINFO DIRSTACK EPOCHREALTIME EPOCHSECONDS EUID FUNCNAME GROUPS HISTCMD LINENO OPTIND \
        PIPESTATUS PPID RANDOM SECONDS SHELLOPTS SRANDOM UID _";
    let value = "a[$(>ran)]";
    for name in names.split_whitespace() {
        let refused = text(Form::Shell, &[(name.into(), value.into())]);
        assert_eq!(refused, Err(NoSpelling { name: name.into() }));
        let unrefused = format!("export B=''\nexport {name}='{value}'\nexport E=''\n");
        let is_back = |program| {
            shell(program, &unrefused)
                .is_ok_and(|all| all.get(name).is_some_and(|back| back == value))
        };
        assert!(
            !is_back("dash") || !is_back("bash"),
            "{name} is refused for nothing"
        );
    }
    assert_eq!(
        shell("bash", &format!("export RANDOM='{value}'\n")),
        Err("made \"ran\"".into())
    );
}

fn json_is_read_back_by_node() {
    assert_read_back(&batches(Form::Json), node_json);
}

fn json_is_read_back_by_python() {
    assert_read_back(&batches(Form::Json), python_json);
}

fn yaml_1_1_is_read_back_by_pyyaml() {
    assert_read_back(&batches(Form::Yaml), python_yaml);
}

fn yaml_1_2_is_read_back_by_npm_yaml() {
    let samples = batches(Form::Yaml);
    assert_read_back(&samples, node_yaml_1_2);
    assert_read_back(&samples, node_yaml_1_1);
}

fn every_vector_is_printed_or_cannot_exist() {
    let (mut impossible, mut refused) = (Vec::new(), Vec::new());
    for vector in values::vectors() {
        let (id, name, value) = &vector;
        let line = [name.as_bytes(), b"=", value].concat();
        let Some(variable) = values::variable(&vector) else {
            assert!(
                !parse::is_name(name) || parse::parse(&line).is_err(),
                "{id}"
            );
            impossible.push(id.clone());
            continue;
        };
        for form in Form::ALL {
            if let Err(error) = text(form, std::slice::from_ref(&variable)) {
                assert_eq!(error.name, variable.0);
                refused.push(format!("{id} in {}", form.name()));
            }
        }
    }
    let (lines, others): (Vec<_>, Vec<_>) = refused.iter().partition(|it| it.ends_with("docker"));
    assert_eq!(others, ["dollar-brace in env"]);
    assert!(!lines.is_empty() && lines.len() < 20, "{lines:?}");
    let impossible = impossible.join(" ");
    assert_eq!(
        impossible,
        "invalid-utf8 latin1 nul key-from-json-injection key-from-json-newline"
    );
}

fn names_are_read_back_whatever_they_mean_elsewhere() {
    let words = "y n yes No on OFF true False null NULL e5 E1 inf NaN export exportA if done __ constructor toString \
        hasOwnProperty IFS PATH CDPATH ENV __proto__";
    let lengths = [1021, 1022, 1023, 1024, 5000].map(|length| "N".repeat(length));
    let names = words.split_whitespace().map(String::from).chain(lengths);
    let variables: Vec<_> = names.map(|name| (name, "v'".to_owned())).collect();
    let readable: Vec<_> = variables
        .iter()
        .filter(|(name, _)| name != "__proto__")
        .cloned()
        .collect();
    let not_special: Vec<_> = variables
        .iter()
        .filter(|(name, _)| name != "PATH")
        .cloned()
        .collect();
    let cases: [(Form, &[_], &[Reader]); 5] = [
        (
            Form::Env,
            &readable,
            &[
                ours,
                docker_compose,
                node_dotenv,
                node_dotenv_fast,
                python_dotenv,
            ],
        ),
        (Form::Shell, &not_special, &[dash, bash]),
        (Form::Fish, &not_special, &[fish]),
        (Form::Json, &variables, &[node_json, python_json]),
        (
            Form::Yaml,
            &variables,
            &[python_yaml, node_yaml_1_1, node_yaml_1_2],
        ),
    ];
    for (form, variables, readers) in cases {
        let samples = [sample(form, variables.to_vec()).unwrap()];
        readers
            .iter()
            .for_each(|reader| assert_read_back(&samples, *reader));
    }
}

/// The same value, once as one piece and once written with an escape wherever there can be one.
fn a_value_in_pieces_is_printed_like_a_value_in_one() {
    for value in values::all() {
        let mut line = value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\'', "\\'");
        line = line
            .replace('\n', "\\n")
            .replace('\r', "\\r")
            .replace('\t', "\\t");
        let line = format!("A=\"{line}\"");
        let parsed = parse::parse(line.as_bytes()).unwrap();
        let in_pieces = |form| {
            let mut text = String::new();
            let variables = parsed.entries().map(|entry| (entry.name, entry.value));
            render(form, &delimiter(), variables, &mut |piece| {
                text.push_str(piece)
            })
            .map(|()| text)
        };
        for form in Form::ALL {
            let whole = text(form, &[("A".into(), value.clone())]);
            assert_eq!(in_pieces(form), whole, "{value:?}");
        }
    }
}

fn the_order_is_kept() {
    let variables: Vec<_> = ["Z", "A", "M", "B"]
        .map(|name| (name.to_owned(), "x y".to_owned()))
        .into();
    let expected = [
        "Z='x y'\nA='x y'\nM='x y'\nB='x y'\n",
        "export Z='x y'\nexport A='x y'\nexport M='x y'\nexport B='x y'\n",
        "set -gx Z 'x y'\nset -gx A 'x y'\nset -gx M 'x y'\nset -gx B 'x y'\n",
        "{\n  \"Z\": \"x y\",\n  \"A\": \"x y\",\n  \"M\": \"x y\",\n  \"B\": \"x y\"\n}\n",
        "\"Z\": \"x y\"\n\"A\": \"x y\"\n\"M\": \"x y\"\n\"B\": \"x y\"\n",
        "Z=x y\nA=x y\nM=x y\nB=x y\n",
        "Z<<E\nx y\nE\nA<<E\nx y\nE\nM<<E\nx y\nE\nB<<E\nx y\nE\n",
        "Z\nA\nM\nB\n",
    ];
    let end = format!("end_{}", "5a".repeat(16));
    let expected = expected.map(|text| text.replace('E', &end));
    let printed = Form::ALL.map(|form| text(form, &variables).unwrap());
    assert_eq!(printed, expected);
}

fn a_refusal_holds_the_name_and_nothing_of_the_value() {
    let variables = [("GOOD", "1"), ("BAD", "s3cret${HOME}"), ("WORSE", "#'\"")];
    let refused = text(
        Form::Env,
        &variables.map(|(name, value)| (name.into(), value.into())),
    );
    assert_eq!(format!("{refused:?}"), "Err(NoSpelling { name: \"BAD\" })");
}
