//! The files of `--defaults`, `--overrides` and `--require-from`.

#![forbid(unsafe_code)]

use std::path::PathBuf;

use crate::cli::LocalFiles;
use crate::dotenv::parse::{Entry, Parsed, parse};
use crate::error::{Error, FileFlaw, shown};
use crate::event::Event;
use crate::keys::reading::{Reading, read_trusted};
use crate::report::Report;
use crate::sys::locked::Locked;
use crate::variables::{Layer, LayerVariables, LevelText, warn_of_backticks, warn_of_skipped};

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Defaults,
    Overrides,
    Required,
}

impl Purpose {
    /// The option that names the file.
    fn option(self) -> &'static str {
        match self {
            Purpose::Defaults => "--defaults",
            Purpose::Overrides => "--overrides",
            Purpose::Required => "--require-from",
        }
    }
}

/// A file as it was read.
struct LocalText {
    purpose: Purpose,
    file: PathBuf,
    text: Locked,
}

/// All files as they were read. Values may be as secret as those that they replace, so they are in locked memory.
pub struct LocalTexts(Vec<LocalText>);

impl LocalTexts {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// If one cannot be read, or everyone can change it.
    pub fn read(files: &LocalFiles, reading: Reading, report: &Report) -> Result<Self, Error> {
        let purposes = [
            (Purpose::Defaults, &files.defaults),
            (Purpose::Overrides, &files.overrides),
            (Purpose::Required, &files.required),
        ];
        let mut texts = Vec::new();
        for (purpose, files) in purposes {
            for file in files {
                texts.push(LocalText {
                    purpose,
                    file: file.clone(),
                    text: read_trusted(purpose.option(), file, reading, report)?,
                });
            }
        }
        Ok(LocalTexts(texts))
    }

    /// What is in the files.
    pub fn bytes(&self) -> Vec<&[u8]> {
        self.0.iter().map(|it| it.text.bytes()).collect()
    }

    /// What the files say.
    ///
    /// # Errors
    ///
    /// If one breaks the grammar.
    pub fn parse(&self, report: &Report) -> Result<LocalVariables<'_>, Error> {
        let mut variables = LocalVariables::default();
        for text in &self.0 {
            let parsed = text.parse(report)?;
            let in_layer = |layer, parsed| LayerVariables {
                layer,
                text: LevelText::Env(parsed),
            };
            match text.purpose {
                Purpose::Defaults => variables.defaults.push(in_layer(Layer::Defaults, parsed)),
                Purpose::Overrides => variables.overrides.push(in_layer(Layer::Overrides, parsed)),
                Purpose::Required => variables
                    .required
                    .extend(parsed.entries().map(Required::by)),
            }
        }
        Ok(variables)
    }
}

impl LocalText {
    fn parse(&self, report: &Report) -> Result<Parsed<'_>, Error> {
        let option = self.purpose.option();
        let parsed = parse(self.text.bytes()).map_err(|flaw| Error::LocalFile {
            option,
            file: self.file.clone(),
            flaw: FileFlaw::Parse(flaw),
        })?;
        let name = format!("{option}: {}", shown(&self.file));
        warn_of_skipped(&name, parsed.skipped, report);
        if self.purpose != Purpose::Required {
            warn_of_backticks(&name, &parsed.backticked, report);
        }
        report.record(|| Event::LocalFile {
            option,
            file: shown(&self.file),
            names: parsed.entries().count(),
        });
        Ok(parsed)
    }
}

/// What the files say.
#[derive(Default)]
pub struct LocalVariables<'a> {
    /// Below the secrets, the last counts most.
    pub defaults: Vec<LayerVariables<'a>>,
    /// Above the secrets, the last counts most.
    pub overrides: Vec<LayerVariables<'a>>,
    pub required: Vec<Required>,
}

/// A final name that must be there.
pub struct Required {
    pub name: String,
    pub may_be_empty: bool,
}

impl Required {
    fn by(entry: Entry<'_>) -> Self {
        Required {
            name: entry.name.to_owned(),
            may_be_empty: entry.value.is_empty(),
        }
    }
}
