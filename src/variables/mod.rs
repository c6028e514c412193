//! From open levels to the environment of the command: parsing, merging, resolving, selecting, and the block itself.

#![forbid(unsafe_code)]

pub mod block;
pub mod local;
pub mod referred;
pub mod select;
pub mod takeover;

use std::borrow::Cow;
use std::collections::{HashMap, hash_map};
use std::rc::Rc;

use crate::cli::{Options, Resolve};
use crate::dotenv::parse::{Parsed, Skipped, Value, parse};
use crate::dotenv::resolve::{Template, resolve};
use crate::error::Error;
use crate::event::Event;
use crate::path::{LevelAt, LevelName, PathList};
use crate::report::Report;
use crate::store::documents;
use crate::store::model::Format;
use crate::store::open::OpenLevel;

/// One variable of the set.
#[derive(Clone)]
pub struct Variable<'a> {
    /// Its name; after renaming, the one that the command sees.
    pub name: Cow<'a, str>,
    pub value: Value<'a>,
    /// Where the value comes from.
    pub layer: Layer,
    /// Where the values come from that it overrides, the topmost last.
    pub overrides: Vec<Layer>,
}

impl Variable<'_> {
    /// Whether no level has it.
    pub fn is_local(&self) -> bool {
        let mut layers = self.overrides.iter().chain([&self.layer]);
        !layers.any(|layer| matches!(layer, Layer::Level(_)))
    }
}

/// What can give values, from the bottom to the top.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The files of `--defaults`.
    Defaults,
    /// A level of the store.
    Level(VariableOrigin),
    /// The files of `--overrides`.
    Overrides,
}

/// The level that a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VariableOrigin {
    /// The number of the path.
    pub path: usize,
    pub level: LevelName,
}

impl Layer {
    /// Its name in lists.
    pub fn as_str(self) -> &'static str {
        match self {
            Layer::Defaults => "defaults",
            Layer::Level(origin) => origin.level.as_str(),
            Layer::Overrides => "overrides",
        }
    }
}

/// The parsed variables of one layer.
pub struct LayerVariables<'a> {
    layer: Layer,
    text: LevelText<'a>,
}

enum LevelText<'a> {
    Env(Parsed<'a>),
    Pairs(Vec<(String, String)>),
    /// A value, and the name that it was given.
    Value(String, &'a str),
}

impl LayerVariables<'_> {
    pub fn layer(&self) -> Layer {
        self.layer
    }
}

impl LevelText<'_> {
    fn pairs(&self) -> Vec<(&str, Value<'_>)> {
        match self {
            LevelText::Env(parsed) => parsed
                .entries()
                .map(|entry| (entry.name, entry.value))
                .collect(),
            LevelText::Pairs(pairs) => pairs
                .iter()
                .map(|(name, value)| (name.as_str(), Value::verbatim(value)))
                .collect(),
            LevelText::Value(name, value) => vec![(name.as_str(), Value::verbatim(value))],
        }
    }
}

/// Reads every level; `name` is that of the value of a level of the format `text`.
///
/// # Errors
///
/// If one breaks the grammar.
pub fn read<'a>(
    levels: &'a [OpenLevel],
    paths: &PathList,
    name: Option<&str>,
    report: &Report,
) -> Result<Vec<LayerVariables<'a>>, Error> {
    let is_text = |level: &OpenLevel| level.format == Format::Text;
    if name.is_some() && !levels.iter().any(is_text) {
        report.warn(format_args!("--text: no level has the format text"));
    }
    for (index, level) in levels.iter().enumerate() {
        let bytes = level.text.bytes().len();
        report.record(|| Event::LevelOpened { index, bytes });
    }
    let read = |(index, level): (usize, &'a OpenLevel)| {
        let origin = VariableOrigin {
            path: level.path,
            level: level.name,
        };
        let variables = LayerVariables {
            layer: Layer::Level(origin),
            text: read_level(level, paths.level(level.path, level.name), name, report)?,
        };
        report.record(|| Event::LevelRead {
            index,
            names: variables.text.pairs().len(),
        });
        Ok(variables)
    };
    levels.iter().enumerate().map(read).collect()
}

fn read_level<'a>(
    opened: &'a OpenLevel,
    level: LevelAt,
    name: Option<&str>,
    report: &Report,
) -> Result<LevelText<'a>, Error> {
    let (text, format) = (opened.text.bytes(), opened.format);
    match format {
        Format::Env => {
            let named = format!("level {level}");
            let parsed = parse(text).map_err(|error| Error::Parse { level, error })?;
            warn_of_skipped(&named, parsed.skipped, report);
            warn_of_backticks(&named, &parsed.backticked, report);
            Ok(LevelText::Env(parsed))
        }
        Format::Json => {
            let pairs = utf8(text).and_then(documents::json_level);
            pairs
                .map(LevelText::Pairs)
                .map_err(|flaw| Error::JsonLevel { level, flaw })
        }
        Format::Yaml => {
            let pairs = utf8(text).and_then(documents::yaml_level);
            pairs
                .map(LevelText::Pairs)
                .map_err(|flaw| Error::YamlLevel { level, flaw })
        }
        Format::Text => {
            let Some(name) = name else {
                return Err(Error::NamelessLevel { level });
            };
            match std::str::from_utf8(text) {
                Ok(text) if !text.contains('\0') => Ok(LevelText::Value(name.to_owned(), text)),
                Ok(_) => {
                    let flaw = "the value contains a NUL byte";
                    Err(Error::TextLevel { level, flaw })
                }
                Err(_) => {
                    let flaw = "not UTF-8";
                    Err(Error::TextLevel { level, flaw })
                }
            }
        }
    }
}

fn utf8(text: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(text).map_err(|_| "not UTF-8".to_owned())
}

/// Warns of values that begin with a backtick, once for each text.
pub fn warn_of_backticks(text: &str, names: &[&str], report: &Report) {
    if !names.is_empty() {
        report.warn(format_args!(
            "{text}: values that begin with a backtick, which some readers take for a quote: {}",
            names.join(", ")
        ));
    }
}

/// Warns of lines without `=`, once for each text.
pub fn warn_of_skipped(text: &str, Skipped { first, count }: Skipped, report: &Report) {
    match count {
        0 => (),
        1 => report.warn(format_args!(
            "{text}: line {first} has no '=' and is skipped"
        )),
        _ => report.warn(format_args!(
            "{text}: {count} lines have no '=' and are skipped, the first is line {first}"
        )),
    }
}

/// The sets that variables are taken from: one of all paths that are given, between the values of the files, and behind
/// it one of each path if references are followed. One that no reference leads to is empty.
pub fn sets<'a>(
    levels: &'a [LayerVariables<'a>],
    (defaults, overrides): (&'a [LayerVariables<'a>], &'a [LayerVariables<'a>]),
    options: &Options,
) -> Vec<Vec<Variable<'a>>> {
    let between = |levels: &mut dyn Iterator<Item = &'a LayerVariables<'a>>| {
        merge(defaults.iter().chain(levels).chain(overrides))
    };
    let Some(references) = &options.references else {
        return vec![between(&mut levels.iter())];
    };
    let is_needed = |path| references.each.iter().any(|it| it.path == path);
    let path_of = |level: &LayerVariables<'_>| match level.layer() {
        Layer::Level(origin) => origin.path,
        Layer::Defaults | Layer::Overrides => usize::MAX,
    };
    let mut given = levels
        .iter()
        .filter(|it| path_of(it) < references.given && is_needed(None));
    let of_path = |path| {
        let levels = levels.iter();
        merge(levels.filter(move |it| path_of(it) == path && is_needed(Some(path))))
    };
    let of_paths = (0..options.paths.len()).map(of_path);
    [between(&mut given)].into_iter().chain(of_paths).collect()
}

/// Merges the layers, which are given with the topmost last: its value takes precedence, at the position of the first.
fn merge<'a>(layers: impl Iterator<Item = &'a LayerVariables<'a>>) -> Vec<Variable<'a>> {
    let mut merged: Vec<Variable<'a>> = Vec::new();
    let mut positions = HashMap::new();
    for LayerVariables { layer, text } in layers {
        for (name, value) in text.pairs() {
            match positions.entry(name) {
                hash_map::Entry::Vacant(slot) => {
                    slot.insert(merged.len());
                    merged.push(Variable {
                        name: Cow::Borrowed(name),
                        value,
                        layer: *layer,
                        overrides: Vec::new(),
                    });
                }
                hash_map::Entry::Occupied(position) => {
                    let variable = &mut merged[*position.get()];
                    // Several files can be one layer.
                    if variable.layer != *layer {
                        variable.overrides.push(variable.layer);
                    }
                    (variable.layer, variable.value) = (*layer, value);
                }
            }
        }
    }
    merged
}

/// The values after references were resolved, in the order of the variables.
///
/// # Errors
///
/// If a reference cannot be resolved, or with `--strict` if a name is not set. `inherited` gives the
/// value of an inherited variable.
pub fn resolved(
    variables: &[Variable<'_>],
    how: Resolve,
    inherited: &dyn Fn(&str) -> Option<String>,
    report: &Report,
) -> Result<Vec<Rc<str>>, Error> {
    let template = |variable: &Variable<'_>| Template {
        name: variable.name.clone().into_owned(),
        text: variable.value.pieces().collect(),
        is_literal: variable.value.is_single_quoted(),
    };
    let templates: Vec<_> = variables.iter().map(template).collect();
    let fallback = |name: &str| inherited(name).filter(|_| how.environment);
    let outcome = resolve(&templates, &fallback).map_err(Error::Resolve)?;
    if how.strict && !outcome.malformed.is_empty() {
        return Err(Error::MalformedReference {
            names: outcome.malformed,
        });
    }
    if !outcome.unset.is_empty() {
        let unset = Error::Unset {
            names: outcome.unset,
        };
        if how.strict {
            return Err(unset);
        }
        report.warn(format_args!("{unset}; left as written"));
    }
    Ok(outcome.values)
}
