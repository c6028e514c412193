//! A value of a profile, as it is written.

#![forbid(unsafe_code)]

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

/// What a profile writes for an option.
pub struct Written {
    value: Shape,
    /// Where, in bytes from the beginning.
    pub offset: usize,
}

/// The types of TOML, as far as options take them.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Shape {
    Flag(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    Texts(Vec<String>),
    Other(IgnoredAny),
}

impl Written {
    /// What is written in `text`. A number has the form that the command line takes.
    pub fn shape(self, text: &str) -> Shape {
        let begins_with = |radix: &&str| text[self.offset..].starts_with(*radix);
        match self.value {
            Shape::Integer(_) if ["0x", "0o", "0b"].iter().any(begins_with) => {
                Shape::Other(IgnoredAny)
            }
            value => value,
        }
    }
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Shape>::deserialize(deserializer)?;
        let offset = spanned.span().start;
        let value = spanned.into_inner();
        Ok(Written { value, offset })
    }
}
