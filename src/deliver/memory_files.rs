//! Files that exist in memory only, for the command: the set, or one secret.

#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::cli::{Decoding, FileHolds, Inheritance, MemoryFile, Run};
use crate::deliver::alone::value_of;
use crate::deliver::output::rendered;
use crate::deliver::template::{self, FileTemplate};
use crate::error::Error;
use crate::keys::reading::{Reading, read_trusted};
use crate::report::Report;
use crate::sys;
use crate::sys::locked::Locked;
use crate::variables::Variable;
use crate::variables::takeover::refuse_unsafe;

/// Makes the files that the command inherits; `templates` are those of the run, in their order. Whoever reads one that is made to become variables sets what is in it, as a
/// shell does, so that the rules about names hold for it too.
///
/// # Errors
///
/// If one cannot be filled as it is asked for, or the system gives no such file.
pub fn make(
    run: &Run,
    templates: &[FileTemplate<'_>],
    secrets: &[Variable<'_>],
    inheritance: &Inheritance,
) -> Result<Vec<File>, Error> {
    let becomes_variables = |file: &MemoryFile| match file.holds {
        FileHolds::Set(content) => content.becomes_variables(),
        FileHolds::Secret { .. } | FileHolds::Template(_) => false,
    };
    if run.files.iter().any(becomes_variables) {
        refuse_unsafe(
            secrets.iter().map(|secret| &*secret.name),
            &inheritance.allow_unsafe,
        )?;
    }
    let mut templates = templates.iter();
    let make = |file: &MemoryFile| {
        let content = match &file.holds {
            FileHolds::Set(content) => rendered(secrets, *content)?,
            FileHolds::Secret { name, decoding } => secret_of(name, *decoding, secrets)?,
            FileHolds::Template(_) => match templates.next() {
                Some(template) => template.filled(secrets)?,
                None => unreachable!("every template was read"),
            },
        };
        let made = sys::sealed_memory_file(content.bytes(), run.file_mode);
        made.map(File::from).map_err(Error::MemoryFile)
    };
    run.files.iter().map(make).collect()
}

fn secret_of(name: &str, decoding: Decoding, secrets: &[Variable<'_>]) -> Result<Locked, Error> {
    let secret = secrets.iter().find(|secret| secret.name == name);
    let secret = secret.ok_or_else(|| Error::NoSecretForFile {
        name: name.to_owned(),
    })?;
    value_of(secret, decoding)
}

/// The texts of the templates of a run, as they were read. What is not secret in them may be, so they are in locked
/// memory.
pub struct TemplateTexts(Vec<(PathBuf, Locked)>);

impl TemplateTexts {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// If one cannot be read, or everyone can change it.
    pub fn read(files: &[MemoryFile], reading: Reading, report: &Report) -> Result<Self, Error> {
        let mut texts = Vec::new();
        for file in files {
            if let FileHolds::Template(file) = &file.holds {
                let text = read_trusted(template::OPTION, file, reading, report)?;
                texts.push((file.clone(), text));
            }
        }
        Ok(TemplateTexts(texts))
    }

    /// What is in the files.
    pub fn bytes(&self) -> impl Iterator<Item = &[u8]> {
        self.0.iter().map(|(_, text)| text.bytes())
    }

    /// The templates, in their order.
    ///
    /// # Errors
    ///
    /// If one cannot be filled whatever the secrets are.
    pub fn parse(&self) -> Result<Vec<FileTemplate<'_>>, Error> {
        let texts = self.0.iter();
        texts
            .map(|(file, text)| FileTemplate::parse(file, text.bytes()))
            .collect()
    }
}

/// Whether a secret is in a file of its own, in place of the environment.
pub fn is_in_file_alone(run: &Run, secret: &str) -> bool {
    run.files.iter().any(|file| match &file.holds {
        FileHolds::Set(_) | FileHolds::Template(_) => false,
        FileHolds::Secret { name, .. } => name == secret,
    })
}

/// The path by which the command opens a file in memory. `/dev/fd` is a symbolic link that a bare `/dev` lacks, and that
/// may be something else.
///
/// # Errors
///
/// If there is none.
pub fn path_of(file: &File) -> Result<String, Error> {
    let actual = file.metadata().map_err(Error::MemoryFile)?;
    let leads_to_it = |path: &String| {
        fs::metadata(path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (actual.dev(), actual.ino()))
    };
    ["/dev/fd", "/proc/self/fd"]
        .map(|directory| format!("{directory}/{}", file.as_raw_fd()))
        .into_iter()
        .find(leads_to_it)
        .ok_or(Error::NoPathOfDescriptor)
}
