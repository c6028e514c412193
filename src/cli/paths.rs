//! Where in a value a path is. In a profile, it is relative to the profile.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use url::Url;

use crate::cli::address::names_directory;
use crate::cli::named::FileName;

/// Where in the value of an option a path is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Paths {
    Nowhere,
    /// The whole value, unless it names a descriptor.
    File,
    /// The whole value, if it names a directory and no URL.
    Address,
}

impl Paths {
    /// The value with its path in `directory`, if it is relative.
    pub fn within(self, directory: &Path, value: OsString) -> OsString {
        let is_path = match self {
            Paths::Nowhere => false,
            Paths::File => matches!(FileName::read(&value), FileName::Path(_)),
            Paths::Address => names_directory(&value),
        };
        if !is_path || value.is_empty() || directory.as_os_str().is_empty() {
            return value;
        }
        // Without the `./` in the middle.
        let path: PathBuf = directory.join(value).components().collect();
        match self {
            Paths::Address => address(path),
            Paths::Nowhere | Paths::File => path.into(),
        }
    }
}

/// A directory as an address.
fn address(path: PathBuf) -> OsString {
    match Url::from_file_path(&path) {
        Ok(url) => String::from(url).into(),
        Err(()) => Path::new(".").join(path).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(paths: Paths, directory: &str, value: &str) -> String {
        let value = paths.within(Path::new(directory), value.into());
        value.into_string().expect("text")
    }

    #[test]
    fn a_relative_path_begins_in_the_directory() {
        for (directory, value, result) in [
            ("", "key", "key"),
            ("conf", "key", "conf/key"),
            ("conf", "./key", "conf/key"),
            ("/etc/app", "../key", "/etc/app/../key"),
            ("/etc", "/run/key", "/run/key"),
            ("/etc", "-", "-"),
            ("/etc", "fd:3", "fd:3"),
            ("/etc", "fd:x", "/etc/fd:x"),
            ("/etc", "", ""),
        ] {
            assert_eq!(within(Paths::File, directory, value), result);
        }
    }

    #[test]
    fn only_what_begins_with_dots_is_the_address_of_a_directory() {
        for (directory, value, result) in [
            ("", "./tree", "./tree"),
            ("conf", "./tree", "./conf/tree"),
            ("../conf", ".", "./../conf"),
            ("/a b", "./tree", "file:///a%20b/tree"),
            ("/conf", "https://example.com", "https://example.com"),
            ("/conf", "file:///tree", "file:///tree"),
            ("/conf", "tree", "tree"),
            ("/conf", "/tree", "/tree"),
            ("/conf", ".tree", ".tree"),
        ] {
            assert_eq!(within(Paths::Address, directory, value), result);
        }
    }
}
