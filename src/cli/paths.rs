//! What names a file, and where in a value a path is. In a profile, it is relative to the profile.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use url::Url;

use crate::cli::address::names_directory;
use crate::path::is_slug;

/// What FILE can be.
pub enum FileName {
    /// `-`.
    StandardInput,
    /// `fd:N`.
    Descriptor(i32),
    /// A path. It may be a key that was given in a file's stead.
    Path(PathBuf),
}

impl FileName {
    /// Reads what an option or variable names.
    pub fn read(file: &OsStr) -> Self {
        let number = |text: &str| text.strip_prefix("fd:")?.parse().ok();
        match file.to_str() {
            Some("-") => FileName::StandardInput,
            text => match text.and_then(number).filter(|number| *number >= 0) {
                Some(number) => FileName::Descriptor(number),
                None => FileName::Path(file.into()),
            },
        }
    }
}

/// Where in the value of an option a path is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Paths {
    Nowhere,
    /// The whole value, unless it names a descriptor.
    File,
    /// The whole value, if it names a directory and no URL.
    Address,
    /// What stands behind the first `=`.
    Entry,
    /// The same where a project stands before it, else the whole value.
    Key,
}

impl Paths {
    /// The value with its path in `directory`, if it is relative.
    pub fn within(self, directory: &Path, value: OsString) -> OsString {
        if let Some((project, file)) = self.divided(&value) {
            let file = Paths::File.within(directory, file.to_owned());
            return [project, "=".as_ref(), &file].into_iter().collect();
        }
        let is_path = match self {
            Paths::Nowhere => false,
            Paths::File | Paths::Entry | Paths::Key => {
                matches!(FileName::read(&value), FileName::Path(_))
            }
            Paths::Address => names_directory(&value),
        };
        if !is_path || value.is_empty() || directory.as_os_str().is_empty() {
            return value;
        }
        // Without the `./` in the middle.
        let path: PathBuf = directory.join(value).components().collect();
        match self {
            Paths::Address => address(path),
            _ => path.into(),
        }
    }

    /// What stands before the path, and the path.
    fn divided(self, value: &OsStr) -> Option<(&OsStr, &OsStr)> {
        match self {
            Paths::Entry => divided(value),
            Paths::Key => of_project(value).map(|(project, file)| (project.as_ref(), file)),
            Paths::Nowhere | Paths::File | Paths::Address => None,
        }
    }
}

/// The project and the file of `PROJECT=FILE`. Anything else is a file.
pub fn of_project(value: &OsStr) -> Option<(&str, &OsStr)> {
    let (project, file) = divided(value)?;
    let project = project.to_str().filter(|project| is_slug(project))?;
    Some((project, file))
}

fn divided(value: &OsStr) -> Option<(&OsStr, &OsStr)> {
    let bytes = value.as_bytes();
    let at = bytes.iter().position(|byte| *byte == b'=')?;
    let [before, behind] = [&bytes[..at], &bytes[at + 1..]].map(OsStr::from_bytes);
    Some((before, behind))
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
    fn a_project_stands_before_the_file_of_its_key() {
        for (paths, value, result) in [
            (Paths::Key, "app=key", "app=/etc/key"),
            (Paths::Key, "app=fd:3", "app=fd:3"),
            (Paths::Key, "app=/run/a=b", "app=/run/a=b"),
            (Paths::Key, "./a=b", "/etc/a=b"),
            (Paths::Key, "App=b", "/etc/App=b"),
            (Paths::Key, "=b", "/etc/=b"),
            (Paths::Key, "key", "/etc/key"),
            (Paths::Entry, "App=b", "App=/etc/b"),
        ] {
            assert_eq!(within(paths, "/etc", value), result);
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
