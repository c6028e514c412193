//! The files in memory that are asked for.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::cli::given::Given;
use crate::cli::options::{Content, Decoding, FileHolds, MemoryFile};
use crate::cli::readers::name;
use crate::dotenv::render::Form;
use crate::error::Error;

/// The mode of a file unless the user says otherwise: whoever inherits it may read it.
pub const MODE: u32 = 0o444;

/// The bits of a mode that mean something for a file that nobody can change or execute: what programs that look at the
/// mode expect may include writing.
const BITS: u32 = 0o666;

/// The bit without which the command itself could not read the file.
const OWNER_READS: u32 = 0o400;

impl Given {
    pub(super) fn memory_files(&self) -> Result<Vec<MemoryFile>, Error> {
        let mut files = self.file.read_each(set)?;
        files.extend(self.secret_file.read_each(secret)?);
        for value in self.template.each() {
            files.push(template(value).map_err(|reason| self.template.bad(reason))?);
        }
        Ok(files)
    }
}

/// Reads what is to be written of the secrets.
pub fn content(text: &str) -> Result<Content, &'static str> {
    Content::named(text)
        .ok_or("must be env, shell, fish, json, yaml, docker, github, names, raw or raw:base64")
}

/// Reads the value of `--file-mode`.
pub fn mode(text: &str) -> Result<u32, &'static str> {
    let is_octal =
        (3..=4).contains(&text.len()) && text.bytes().all(|it| (b'0'..=b'7').contains(&it));
    let mode = u32::from_str_radix(text, 8).ok().filter(|_| is_octal);
    mode.filter(|mode| mode & !BITS == 0 && mode & OWNER_READS != 0)
        .ok_or("must be an octal mode such as 0400, without execution, that lets the owner read")
}

fn set(text: &str) -> Result<MemoryFile, Cow<'static, str>> {
    let (variable, format) = match text.split_once('=') {
        Some((variable, format)) => (variable, content(format)?),
        None => (text, Content::All(Form::Env)),
    };
    Ok(MemoryFile {
        variable: name(variable)?,
        holds: FileHolds::Set(format),
    })
}

/// The name of the file may be any.
fn template(value: &OsStr) -> Result<MemoryFile, Cow<'static, str>> {
    let bytes = value.as_bytes();
    let at = bytes.iter().position(|byte| *byte == b'=');
    let (variable, file) = match at.map(|at| (&bytes[..at], &bytes[at + 1..])) {
        Some((variable, file)) if !file.is_empty() => (variable, file),
        _ => return Err("must have the form VAR=FILE".into()),
    };
    Ok(MemoryFile {
        variable: name(&String::from_utf8_lossy(variable))?,
        holds: FileHolds::Template(OsStr::from_bytes(file).into()),
    })
}

fn secret(text: &str) -> Result<MemoryFile, Cow<'static, str>> {
    let (names, decoding) = match text.split_once(':') {
        None | Some((_, "raw")) => (text.split(':').next(), Decoding::None),
        Some((names, "base64")) => (Some(names), Decoding::Base64),
        Some(_) => return Err("must have the form NAME[=VAR][:raw|:base64]".into()),
    };
    let names = names.unwrap_or_default();
    let (secret, variable) = match names.split_once('=') {
        Some((secret, variable)) => (name(secret)?, name(variable)?),
        None => (name(names)?, format!("{names}_FILE")),
    };
    Ok(MemoryFile {
        variable,
        holds: FileHolds::Secret {
            name: secret,
            decoding,
        },
    })
}
