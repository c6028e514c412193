//! The table of names for `--list`: never a value or a part of one.

#![forbid(unsafe_code)]

use std::io::IsTerminal;

use miniserde::{Serialize, json};

use crate::error::visible_json;
use crate::path::PathList;
use crate::variables::{Layer, Variable};

/// How a table is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Aligned, with a heading, for a terminal.
    Terminal {
        /// With the heading and the empty values set off by colours.
        colour: bool,
    },
    /// Separated by tabs, without a heading.
    Tabs,
    /// An array of objects.
    Json,
}

impl Layout {
    /// The layout for where standard output leads.
    pub fn fitting(json: bool) -> Self {
        match (json, std::io::stdout().is_terminal()) {
            (true, _) => Layout::Json,
            (false, false) => Layout::Tabs,
            (false, true) => {
                let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                Layout::Terminal { colour: !no_colour }
            }
        }
    }
}

/// What is said of one variable. The names of the fields are those of the JSON.
#[derive(Serialize)]
struct Row {
    name: String,
    level: &'static str,
    overrides: Vec<String>,
    length: &'static str,
}

/// The same of one of several paths.
#[derive(Serialize)]
struct RowOfPath {
    name: String,
    path: String,
    level: &'static str,
    overrides: Vec<String>,
    length: &'static str,
}

/// How many cells a row has, the path included.
const CELLS: usize = 5;

const HEADING: [&str; CELLS] = ["NAME", "PATH", "LEVEL", "OVERRIDES", "LENGTH"];

/// The table of `variables`. Which path each comes from is shown if there are several.
pub fn table(variables: &[Variable<'_>], paths: &PathList, layout: Layout) -> String {
    let row = |variable: &Variable<'_>| Row::of(variable, paths);
    let row_of_path = |variable: &Variable<'_>| RowOfPath::of(variable, paths);
    let is_single = paths.len() == 1;
    if layout == Layout::Json {
        let text = match is_single {
            true => json::to_string(&variables.iter().map(row).collect::<Vec<_>>()),
            false => json::to_string(&variables.iter().map(row_of_path).collect::<Vec<_>>()),
        };
        return visible_json(&text) + "\n";
    }
    let rows: Vec<_> = variables.iter().map(row_of_path).collect();
    let shown: &[usize] = match is_single {
        true => &[0, 2, 3, 4],
        false => &[0, 1, 2, 3, 4],
    };
    let cells = rows.iter().map(RowOfPath::cells);
    match layout {
        Layout::Terminal { colour } => aligned(&cells.collect::<Vec<_>>(), shown, colour),
        Layout::Tabs | Layout::Json => cells
            .map(|cells| {
                shown
                    .iter()
                    .map(|at| &*cells[*at])
                    .collect::<Vec<_>>()
                    .join("\t")
                    + "\n"
            })
            .collect(),
    }
}

/// The class that a length in bytes falls into; wide enough to say little about the value.
fn length_class(length: usize) -> &'static str {
    match length {
        0 => "empty",
        1..16 => "1-15",
        16..64 => "16-63",
        64..256 => "64-255",
        256..1024 => "256-1023",
        1024..16384 => "1024-16383",
        _ => "16384+",
    }
}

impl Row {
    fn of(variable: &Variable<'_>, paths: &PathList) -> Self {
        let RowOfPath {
            name,
            level,
            overrides,
            length,
            ..
        } = RowOfPath::of(variable, paths);
        Row {
            name,
            level,
            overrides,
            length,
        }
    }
}

impl RowOfPath {
    fn of(variable: &Variable<'_>, paths: &PathList) -> Self {
        let path = match variable.layer {
            Layer::Level(origin) => Some(origin.path),
            Layer::Defaults | Layer::Overrides => None,
        };
        let overridden = |layer: &Layer| match layer {
            Layer::Level(origin) if paths.len() > 1 && Some(origin.path) != path => {
                format!("{}:{}", paths.get(origin.path), origin.level)
            }
            layer => layer.as_str().to_owned(),
        };
        RowOfPath {
            name: variable.name.clone().into_owned(),
            path: path.map_or("-".to_owned(), |path| paths.get(path).to_string()),
            level: variable.layer.as_str(),
            overrides: variable.overrides.iter().map(overridden).collect(),
            length: length_class(variable.value.len()),
        }
    }

    fn cells(&self) -> [String; CELLS] {
        let overrides = match self.overrides.len() {
            0 => "-".to_owned(),
            _ => self.overrides.join(","),
        };
        [
            self.name.clone(),
            self.path.clone(),
            self.level.to_owned(),
            overrides,
            self.length.to_owned(),
        ]
    }
}

fn aligned(rows: &[[String; CELLS]], shown: &[usize], colour: bool) -> String {
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].len());
        widths
            .chain([HEADING[column].len()])
            .max()
            .unwrap_or_default()
    };
    let widths = [0, 1, 2, 3, 4].map(width);
    let line = |row: [&str; CELLS]| {
        let cell = |column: &usize| match *column == CELLS - 1 {
            true => row[*column].to_owned(),
            false => format!("{:<1$}", row[*column], widths[*column]),
        };
        shown.iter().map(cell).collect::<Vec<_>>().join("  ")
    };
    let (bold, dim, plain) = if colour {
        ("\x1b[1m", "\x1b[2m", "\x1b[0m")
    } else {
        ("", "", "")
    };
    let mut text = format!("{bold}{}{plain}\n", line(HEADING));
    for row in rows {
        let line = line(row.each_ref().map(String::as_str));
        if row[CELLS - 1] == "empty" {
            text.push_str(&format!("{dim}{line}{plain}\n"));
        } else {
            text.push_str(&format!("{line}\n"));
        }
    }
    text
}
