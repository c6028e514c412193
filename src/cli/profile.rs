//! What a profile says: options under their long names, `path` and `command`, in TOML. What stands above the first
//! section holds for all of them; a section says what is different for one.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::cli::given::Given;
use crate::cli::table::{Kind, Scope, Spec};
use crate::error::ProfileFlaw;
use crate::path::is_slug;

/// What `--profile` names.
pub struct ProfileName {
    pub file: PathBuf,
    /// The section, if one is named.
    section: Option<OsString>,
}

impl ProfileName {
    /// Reads `FILE` or `FILE#SECTION`. The last `#` counts, so that `a#b#` is the file `a#b` and no section of it.
    pub fn read(value: &OsStr) -> Self {
        let bytes = value.as_bytes();
        let at = bytes.iter().rposition(|byte| *byte == b'#');
        let (file, section) = match at {
            Some(at) => (&bytes[..at], &bytes[at + 1..]),
            None => (bytes, &b""[..]),
        };
        let text = |bytes| OsStr::from_bytes(bytes).to_owned();
        ProfileName {
            file: text(file).into(),
            section: (!section.is_empty()).then(|| text(section)),
        }
    }

    /// A failure to read the file, which may be due to a `#` in its name.
    pub fn unread(&self, flaw: ProfileFlaw) -> ProfileFlaw {
        match flaw {
            ProfileFlaw::Unreadable(error)
                if self.section.is_some() && error.kind() == io::ErrorKind::NotFound =>
            {
                ProfileFlaw::NoFileOfSection(error)
            }
            flaw => flaw,
        }
    }
}

/// What a profile gives: a section, if one is named, and what stands above all sections.
pub struct Profile {
    section: Option<OptionTable>,
    above: OptionTable,
}

/// One table of a profile, of which each key stands for an option.
#[derive(Default)]
struct OptionTable {
    given: Given,
    /// Its keys, also those that turn something off, and so do not give it.
    keys: Vec<&'static str>,
}

impl Profile {
    /// Reads the text of a profile. Sections that are not named must be right too: a mistake is found by whoever makes it.
    ///
    /// # Errors
    ///
    /// What is wrong, by its line; never a value. Or that there is no section of that name.
    pub fn parse(text: &str, name: &ProfileName) -> Result<Self, ProfileFlaw> {
        let root = DeTable::parse(text).map_err(|error| ProfileFlaw::NotToml {
            line: line_at(text, error.span().map_or(text.len(), |span| span.start)),
        })?;
        let reader = Reader {
            text,
            directory: name.file.parent().unwrap_or(Path::new("")),
        };
        let (mut above, mut sections) = (OptionTable::default(), Vec::new());
        for (key, value) in in_order(root.get_ref()) {
            let section = key.get_ref();
            match value.get_ref() {
                _ if find(section).is_some() => reader.add(&mut above, key, value)?,
                DeValue::Table(table) => sections.push((&**section, reader.section(table)?)),
                DeValue::Array(items) if items.iter().any(|item| item.get_ref().is_table()) => {
                    return Err(ProfileFlaw::NotOneSection {
                        line: reader.line(key),
                        section: section.clone().into_owned(),
                    });
                }
                _ => return Err(reader.unknown(key)),
            }
        }
        let section = name.section.as_deref();
        let section = section
            .map(|section| taken(section, sections))
            .transpose()?;
        Ok(Profile { section, above })
    }

    /// The tables that count, that of the section first.
    pub fn each(&self) -> impl Iterator<Item = &Given> {
        let tables = self.section.iter().chain([&self.above]);
        tables.map(|table| &table.given)
    }

    /// All that counts: what the section says, and what stands above it and is not changed there.
    pub fn given(self) -> Given {
        let mut above = self.above.given;
        let Some(OptionTable { mut given, keys }) = self.section else {
            return above;
        };
        given.complete_but(&mut above, &keys);
        given
    }
}

/// The section of this name.
fn taken(name: &OsStr, sections: Vec<(&str, OptionTable)>) -> Result<OptionTable, ProfileFlaw> {
    let known: Vec<_> = sections
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    let named = sections.into_iter().find(|(known, _)| *known == name);
    match named {
        Some((_, table)) => Ok(table),
        None => Err(match name.to_str().and_then(find) {
            Some(option) => ProfileFlaw::OptionNotSection { key: option.long },
            None => ProfileFlaw::NoSection {
                section: name.to_string_lossy().into_owned(),
                known,
            },
        }),
    }
}

/// Reads the tables of one text.
struct Reader<'a> {
    text: &'a str,
    /// The directory that relative paths begin in.
    directory: &'a Path,
}

impl Reader<'_> {
    fn line(&self, spanned: &Spanned<impl Sized>) -> usize {
        line_at(self.text, spanned.span().start)
    }

    fn unknown(&self, key: &Spanned<impl AsRef<str>>) -> ProfileFlaw {
        ProfileFlaw::UnknownKey {
            line: self.line(key),
            key: key.get_ref().as_ref().to_owned(),
            nearest: nearest(key.get_ref().as_ref()),
        }
    }

    fn section(&self, table: &DeTable<'_>) -> Result<OptionTable, ProfileFlaw> {
        let mut section = OptionTable::default();
        for (key, value) in in_order(table) {
            if find(key.get_ref()).is_none() && value.get_ref().is_table() {
                return Err(ProfileFlaw::SectionInSection {
                    line: self.line(key),
                    section: key.get_ref().clone().into_owned(),
                });
            }
            self.add(&mut section, key, value)?;
        }
        Ok(section)
    }

    /// Adds what a key says.
    fn add(
        &self,
        table: &mut OptionTable,
        key: &Spanned<impl AsRef<str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(), ProfileFlaw> {
        let spec = find(key.get_ref().as_ref()).ok_or_else(|| self.unknown(key))?;
        let (line, key) = (self.line(key), spec.long);
        if spec.scope == Scope::CommandLine {
            return Err(ProfileFlaw::NotInProfile { line, key });
        }
        let values = values(spec.kind, value.get_ref());
        let values = values.map_err(|wanted| ProfileFlaw::WrongType { line, key, wanted })?;
        table.keys.push(key);
        // An empty list is as good as none, but a command without a word is a mistake.
        let values = values.filter(|values| !values.is_empty() || spec.scope == Scope::Positional);
        if let Some(values) = values {
            let place = |value: OsString| spec.paths.within(self.directory, value);
            let values = values.into_iter().map(|value| value.map(place));
            (spec.setting)(&mut table.given).fill(spec.shown(), values.collect());
            table.given.divide_client_keys();
        }
        Ok(())
    }
}

/// The entries of a table as they stand in the text, so that the first flaw is named.
fn in_order<'a, 'i>(
    table: &'a DeTable<'i>,
) -> Vec<(&'a Spanned<Cow<'i, str>>, &'a Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// What can be given under this name.
fn find(key: &str) -> Option<&'static Spec> {
    Spec::all().iter().find(|spec| spec.long == key)
}

fn line_at(text: &str, offset: usize) -> usize {
    let before = text.get(..offset).unwrap_or(text);
    before.matches('\n').count() + 1
}

/// The values that an option would be given with on the command line, none if it would not be given, or what it takes.
fn values(
    kind: Kind,
    written: &DeValue<'_>,
) -> Result<Option<Vec<Option<OsString>>>, &'static str> {
    use Kind::{
        Flag, List, Number, NumberOrText, OptionalList, OptionalNumber, OptionalText, Table, Text,
        Texts, Words,
    };
    let wanted = match kind {
        Flag => "true or false",
        Text => "a string",
        Number => "a number",
        NumberOrText => "a number or a string",
        List | Words => "an array of strings",
        Texts => "a string or an array of strings",
        Table => "a table of strings, each under the name of a project",
        OptionalText => "a string, true or false",
        OptionalNumber => "a number, true or false",
        OptionalList => "an array of strings, true or false",
    };
    let one = |text: String| Ok(Some(vec![Some(text.into())]));
    match (kind, written) {
        (Flag | OptionalText | OptionalNumber | OptionalList, DeValue::Boolean(is_given)) => {
            Ok(is_given.then(|| vec![None]))
        }
        (
            Text | Texts | NumberOrText | OptionalText | List | OptionalList,
            DeValue::String(text),
        ) => one(text.clone().into_owned()),
        (Number | NumberOrText | OptionalNumber, written) => one(number(written).ok_or(wanted)?),
        (Table, DeValue::Table(entries)) => {
            let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
                let key: &Cow<'_, str> = key.get_ref();
                let file = value.get_ref().as_str().filter(|_| is_slug(key));
                let file = file.ok_or(wanted)?;
                Ok(Some(OsString::from(format!("{key}={file}"))))
            };
            entries
                .iter()
                .map(entry)
                .collect::<Result<_, _>>()
                .map(Some)
        }
        (List | Texts | OptionalList | Words, DeValue::Array(items)) => {
            let text = |item: &Spanned<DeValue<'_>>| match item.get_ref() {
                DeValue::String(text) => Ok(Some(OsString::from(&**text))),
                _ => Err(wanted),
            };
            items.iter().map(text).collect::<Result<_, _>>().map(Some)
        }
        _ => Err(wanted),
    }
}

/// A number in the form that the command line takes.
fn number(written: &DeValue<'_>) -> Option<String> {
    match written {
        DeValue::Integer(number) if number.radix() == 10 => {
            Some(number.as_str().parse::<i64>().ok()?.to_string())
        }
        DeValue::Float(number) => Some(number.as_str().parse::<f64>().ok()?.to_string()),
        _ => None,
    }
}
/// The key that takes the fewest changes to become this one, if they are few.
fn nearest(key: &str) -> Option<&'static str> {
    let known = Spec::all()
        .iter()
        .filter(|spec| spec.scope != Scope::CommandLine);
    known
        .map(|spec| (distance(key, spec.long), spec.long))
        .min()
        .filter(|(distance, known)| *distance <= known.len().div_ceil(3))
        .map(|(_, known)| known)
}

/// How many characters have to be added, left out or replaced to get from one word to the other.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.chars().count()).collect();
    for (index, letter) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, against) in other.chars().enumerate() {
            let replaced = diagonal + usize::from(letter != against);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_in_a_profile_are_those_of_the_table() {
        for spec in Spec::all() {
            let name = ProfileName::read(OsStr::new("p.toml"));
            let read = Profile::parse(&format!("{} = [{{}}]\n", spec.long), &name);
            let Err(ProfileFlaw::WrongType { key, .. } | ProfileFlaw::NotInProfile { key, .. }) =
                read
            else {
                panic!("{}", spec.long);
            };
            assert_eq!(key, spec.long);
        }
    }

    #[test]
    fn the_nearest_key_is_near() {
        assert_eq!(nearest("tiemout"), Some("timeout"));
        assert_eq!(nearest("api_url"), Some("api-url"));
        assert_eq!(nearest("comand"), Some("command"));
        assert_eq!(nearest("DOTENV_API_KEY"), None);
        assert_eq!(nearest("hlep"), None);
    }

    #[test]
    fn the_distance_counts_changes() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("same", "same"), 0);
    }
}
