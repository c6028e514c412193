//! The table of names for `--list`: never a value or a part of one.

#![forbid(unsafe_code)]

use std::io::IsTerminal;

use miniserde::{Serialize, json};

use crate::error::visible_json;
use crate::variables::Variable;

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
    overrides: Vec<&'static str>,
    length: &'static str,
}

/// The table of `variables`.
pub fn table(variables: &[Variable<'_>], layout: Layout) -> String {
    let row = |variable: &Variable<'_>| Row {
        name: variable.name.clone().into_owned(),
        level: variable.layer.as_str(),
        overrides: variable
            .overrides
            .iter()
            .map(|layer| layer.as_str())
            .collect(),
        length: length_class(variable.value.len()),
    };
    let rows: Vec<_> = variables.iter().map(row).collect();
    match layout {
        Layout::Terminal { colour } => aligned(&rows, colour),
        Layout::Tabs => rows
            .iter()
            .map(|row| row.cells().join("\t") + "\n")
            .collect(),
        Layout::Json => visible_json(&json::to_string(&rows)) + "\n",
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
    fn cells(&self) -> [String; 4] {
        let overrides = match self.overrides.len() {
            0 => "-".to_owned(),
            _ => self.overrides.join(","),
        };
        [
            self.name.clone(),
            self.level.to_owned(),
            overrides,
            self.length.to_owned(),
        ]
    }
}

fn aligned(rows: &[Row], colour: bool) -> String {
    const HEADING: [&str; 4] = ["NAME", "LEVEL", "OVERRIDES", "LENGTH"];
    let cells: Vec<_> = rows.iter().map(Row::cells).collect();
    let width = |column: usize| {
        let widths = cells.iter().map(|row| row[column].len());
        widths
            .chain([HEADING[column].len()])
            .max()
            .unwrap_or_default()
    };
    let widths = [width(0), width(1), width(2)];
    let line = |row: [&str; 4]| {
        let [name, level, overrides] =
            [0, 1, 2].map(|column| format!("{:<1$}", row[column], widths[column]));
        format!("{name}  {level}  {overrides}  {}", row[3])
    };
    let (bold, dim, plain) = if colour {
        ("\x1b[1m", "\x1b[2m", "\x1b[0m")
    } else {
        ("", "", "")
    };
    let mut text = format!("{bold}{}{plain}\n", line(HEADING));
    for row in &cells {
        let line = line([0, 1, 2, 3].map(|column| row[column].as_str()));
        if row[3] == "empty" {
            text.push_str(&format!("{dim}{line}{plain}\n"));
        } else {
            text.push_str(&format!("{line}\n"));
        }
    }
    text
}
