//! References in variables of the environment: which secret a variable gets. They are read before anything else happens,
//! and never in a value that was fetched.

#![forbid(unsafe_code)]

use std::ffi::OsStr;

use crate::dotenv::parse::is_name;
use crate::error::{Error, Usage};
use crate::path::SecretPath;

/// What a reference begins with that names a path.
const WITH_PATH: &str = "dotenv://";

/// What one begins with that means the paths that are given.
const WITHOUT_PATH: &str = "dotenv:#";

/// A variable that is to get a secret.
pub struct Reference {
    pub variable: String,
    /// The number of the path that has the secret; `None` for all that are given.
    pub path: Option<usize>,
    /// The name of the secret.
    pub name: String,
}

/// The references that are followed.
pub struct References {
    /// How many of the paths are given; the others are those that only references name.
    pub given: usize,
    /// In the order of the environment.
    pub each: Vec<Reference>,
}

/// A reference as it is written.
pub struct WrittenReference {
    pub variable: String,
    pub path: Option<SecretPath>,
    pub name: String,
}

/// Whether a value is meant for a reference. What looks like one and is none is refused later: the command must not get
/// it in the place of a secret.
pub fn is_reference(value: &OsStr) -> bool {
    let text = value.to_string_lossy();
    let text = text.trim_start().as_bytes();
    [WITH_PATH, WITHOUT_PATH].iter().any(|start| {
        let beginning = text.get(..start.len());
        beginning.is_some_and(|it| it.eq_ignore_ascii_case(start.as_bytes()))
    })
}

/// Reads the reference in a variable. Its parts are taken as they are: nothing is decoded.
///
/// # Errors
///
/// What is wrong with it.
pub fn read(variable: &str, value: &OsStr) -> Result<WrittenReference, Error> {
    let bad = |reason| Usage::BadReference {
        variable: variable.to_owned(),
        reason,
    };
    if !is_name(variable) {
        return Err(bad("not a valid variable name").into());
    }
    let text = value.to_str().ok_or_else(|| bad("not UTF-8"))?;
    let (path, name) = if let Some(name) = text.strip_prefix(WITHOUT_PATH) {
        (None, name)
    } else {
        let rest = text.strip_prefix(WITH_PATH);
        let rest = rest.ok_or_else(|| bad("it must begin with 'dotenv://' or 'dotenv:#'"))?;
        let (path, name) = rest
            .split_once('#')
            .ok_or_else(|| bad("it has no '#' before the name of a secret"))?;
        let path = SecretPath::parse(path).map_err(bad)?;
        (Some(path), name)
    };
    if !is_name(name) {
        return Err(bad("what follows '#' is not a valid name of a secret").into());
    }
    Ok(WrittenReference {
        variable: variable.to_owned(),
        path,
        name: name.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(value: &str) -> Option<(String, String)> {
        assert!(is_reference(value.as_ref()), "{value}");
        let read = read("A", value.as_ref()).ok()?;
        let path = read.path.map_or(String::new(), |path| path.to_string());
        Some((path, read.name))
    }

    #[test]
    fn a_reference_has_a_path_and_a_name() {
        for (value, path) in [
            ("dotenv://p#X_1", "p"),
            ("dotenv://p/t#X_1", "p/t"),
            ("dotenv://p-1/t/e#X_1", "p-1/t/e"),
            ("dotenv:#X_1", ""),
        ] {
            assert_eq!(parts(value), Some((path.into(), "X_1".into())));
        }
    }

    #[test]
    fn what_looks_like_one_is_one_or_an_error() {
        for value in [
            "dotenv://",
            "dotenv:#",
            "dotenv://#X",
            "dotenv://p",
            "dotenv://p#",
            "dotenv:///p#X",
            "dotenv://p/#X",
            "dotenv://p//e#X",
            "dotenv://p/t/e/x#X",
            "dotenv://P#X",
            "DOTENV://p#X",
            "Dotenv:#X",
            "dotenv://p%2Dq#X",
            "dotenv://p#X%41",
            "dotenv://p#X ",
            " dotenv://p#X",
            "\ndotenv:#X",
            "dotenv://p#X#Y",
            "dotenv:#X#Y",
            "dotenv://p#1X",
            "dotenv://p#X-Y",
            "dotenv://p?a=b#X",
            "dotenv://u@p#X",
            "dotenv://p:1#X",
            "dotenv://p#X\n",
            "dotenv://p/../q#X",
            "dotenv://secrets#X",
            "dotenv://p#X dotenv://p#Y",
        ] {
            assert_eq!(parts(value), None, "{value}");
        }
        for value in [
            "",
            "dotenv:",
            "dotenv:1.2",
            "dotenv:/p#X",
            "x dotenv://p#X",
            "dotenvx://p#X",
        ] {
            assert!(!is_reference(value.as_ref()), "{value}");
        }
    }
}
