//! Templates: texts in which `{{NAME}}` stands for a secret. There is no logic in them.

#![forbid(unsafe_code)]

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::utf8_percent_encode;

use crate::cli::Decoding;
use crate::deliver::alone::value_of;
use crate::deliver::mask::RESERVED;
use crate::dotenv::parse::{is_name, text_in};
use crate::dotenv::render::double_quoted;
use crate::error::{Error, FileFlaw, TemplateFlaw};
use crate::sys::locked::Locked;
use crate::variables::Variable;

/// The option that names the files.
pub const OPTION: &str = "--template";

/// What opens a place for a secret.
const OPEN: &str = "{{";

/// What closes it.
const CLOSE: &str = "}}";

/// A template that can be filled.
pub struct FileTemplate<'a> {
    file: &'a Path,
    text: &'a str,
    parts: Vec<TemplatePart<'a>>,
}

enum TemplatePart<'a> {
    Text(&'a str),
    Secret {
        name: &'a str,
        filter: Filter,
        /// Where it is, in bytes from the beginning.
        offset: usize,
    },
}

/// What is done to a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Filter {
    None,
    Base64,
    Json,
    Url,
}

impl<'a> FileTemplate<'a> {
    /// Reads the text of a file.
    ///
    /// # Errors
    ///
    /// If it is not text, or something in braces is not a name with a filter that there is.
    pub fn parse(file: &'a Path, bytes: &'a [u8]) -> Result<Self, Error> {
        let flawed = |flaw| Error::LocalFile {
            option: OPTION,
            file: file.to_owned(),
            flaw,
        };
        text_in(bytes).map_err(|flaw| flawed(FileFlaw::Parse(flaw)))?;
        // With the byte order mark that it may have.
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        let mut template = FileTemplate {
            file,
            text,
            parts: Vec::new(),
        };
        let mut offset = 0;
        while offset < text.len() {
            offset = template.take_part(offset)?;
        }
        Ok(template)
    }

    /// Reads the part that begins at an offset, and says where it ends.
    fn take_part(&mut self, offset: usize) -> Result<usize, Error> {
        let rest = &self.text[offset..];
        let Some(inside) = rest.strip_prefix(OPEN) else {
            let length = rest.find(OPEN).unwrap_or(rest.len());
            self.parts.push(TemplatePart::Text(&rest[..length]));
            return Ok(offset + length);
        };
        if inside.starts_with(OPEN) {
            self.parts.push(TemplatePart::Text(OPEN));
            return Ok(offset + 2 * OPEN.len());
        }
        let line = inside.split('\n').next().unwrap_or_default();
        let length = line.find(CLOSE);
        let length = length.ok_or_else(|| self.flawed(offset, TemplateFlaw::Unclosed))?;
        let (name, filter) = match line[..length].split_once('|') {
            None => (&line[..length], Some(Filter::None)),
            Some((name, filter)) => (name, Filter::named(filter)),
        };
        if !is_name(name) {
            return Err(self.flawed(offset, TemplateFlaw::NotAName));
        }
        let filter = filter.ok_or_else(|| self.flawed(offset, TemplateFlaw::UnknownFilter))?;
        self.parts.push(TemplatePart::Secret {
            name,
            filter,
            offset,
        });
        Ok(offset + OPEN.len() + length + CLOSE.len())
    }

    fn flawed(&self, offset: usize, reason: TemplateFlaw) -> Error {
        let before = &self.text[..offset];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let flaw = FileFlaw::Template {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            reason,
        };
        Error::LocalFile {
            option: OPTION,
            file: self.file.to_owned(),
            flaw,
        }
    }

    /// The text with the secrets in it.
    ///
    /// # Errors
    ///
    /// If there is no secret of a name, or no locked memory.
    pub fn filled(&self, secrets: &[Variable<'_>]) -> Result<Locked, Error> {
        let mut length = 0;
        self.fill(secrets, &mut |piece| length += piece.len())?;
        let mut text = Locked::with_capacity(length)?;
        self.fill(secrets, &mut |piece| text.push(piece.as_bytes()))?;
        Ok(text)
    }

    fn fill(&self, secrets: &[Variable<'_>], sink: &mut dyn FnMut(&str)) -> Result<(), Error> {
        for part in &self.parts {
            match part {
                TemplatePart::Text(text) => sink(text),
                TemplatePart::Secret {
                    name,
                    filter,
                    offset,
                } => {
                    let secret = secrets.iter().find(|secret| secret.name == *name);
                    let secret = secret.ok_or_else(|| {
                        let name = (*name).to_owned();
                        self.flawed(*offset, TemplateFlaw::NoSuchSecret { name })
                    })?;
                    filter.apply(secret, sink)?;
                }
            }
        }
        Ok(())
    }
}

impl Filter {
    fn named(name: &str) -> Option<Self> {
        match name {
            "base64" => Some(Filter::Base64),
            "json" => Some(Filter::Json),
            "url" => Some(Filter::Url),
            _ => None,
        }
    }

    fn apply(self, secret: &Variable<'_>, sink: &mut dyn FnMut(&str)) -> Result<(), Error> {
        match self {
            Filter::None => secret.value.pieces().for_each(sink),
            Filter::Json => double_quoted(secret.value, sink),
            Filter::Url => {
                for piece in secret.value.pieces() {
                    utf8_percent_encode(piece, RESERVED).for_each(&mut *sink);
                }
            }
            Filter::Base64 => {
                let value = value_of(secret, Decoding::None)?;
                let mut encoded = Locked::with_capacity(value.length().div_ceil(3) * 4)?;
                let length = STANDARD.encode_slice(value.bytes(), encoded.spare());
                encoded.grow(length.unwrap_or_default());
                sink(std::str::from_utf8(encoded.bytes()).unwrap_or_default());
            }
        }
        Ok(())
    }
}
