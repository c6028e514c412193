//! What the user names that is open already or may be a key itself. It is handed over once, and not kept with the
//! options.

#![forbid(unsafe_code)]

use std::ffi::OsStr;

use crate::cli::given::{Given, Setting};
use crate::cli::options::Destination;
use crate::cli::paths::{FileName, of_project};

/// The files of keys, and the descriptors that are named by their numbers.
#[derive(Default)]
pub struct Named {
    /// The file of the API key.
    pub api_key: Option<NamedFile>,
    /// The file of the client key.
    pub client_key: Option<NamedFile>,
    /// The files of client keys that are each for one project, which comes first. Of several, the last one counts.
    pub client_keys: Vec<(String, NamedFile)>,
    /// The descriptor of `--audit`, and what names it.
    pub audit: Option<(String, i32)>,
    /// Descriptors that are named for keys, all of them, also where something else counts more.
    pub for_keys: Vec<i32>,
}

/// The file of a key.
pub struct NamedFile {
    /// The option or variable that names it.
    pub named_by: String,
    /// What it names.
    pub file: FileName,
}

impl NamedFile {
    /// The file that an option or variable names.
    pub fn of(setting: &Setting) -> Option<Self> {
        let file = FileName::read(setting.last()?);
        let named_by = setting.source().to_owned();
        Some(NamedFile { named_by, file })
    }
}

impl Given {
    /// The projects that have client keys of their own.
    pub(super) fn keyed_projects(&self) -> Vec<String> {
        let keyed = self.client_keys.each().filter_map(of_project);
        keyed.map(|(project, _)| project.to_owned()).collect()
    }
}

impl Named {
    /// What `dotenv-seal` is given, which has no other key.
    pub(super) fn client_key(mut given: Given, mut by_environment: Given) -> Self {
        by_environment.api_key_file = Setting::default();
        let mut named = Named::default();
        named.note(&given);
        named.note(&by_environment);
        given.complete(&mut by_environment);
        named.client_key = NamedFile::of(&given.client_key);
        named
    }

    /// Adds the descriptors that are named for keys.
    pub(super) fn note(&mut self, given: &Given) {
        let keyed = given.client_keys.each().filter_map(of_project);
        let files = given.api_key_file.each().chain(given.client_key.each());
        let files = files.chain(keyed.map(|(_, file)| file));
        self.for_keys
            .extend(files.filter_map(|file| match FileName::read(file) {
                FileName::Descriptor(number) => Some(number),
                FileName::StandardInput | FileName::Path(_) => None,
            }));
    }

    /// Adds what counts.
    pub(super) fn choose(&mut self, given: &Given, audit: Option<Destination>) {
        self.api_key = NamedFile::of(&given.api_key_file);
        self.client_key = NamedFile::of(&given.client_key);
        let keyed = given.client_keys.each().filter_map(of_project);
        let named = |(project, file): (&str, &OsStr)| {
            let named_by = format!("--client-key {project}");
            let file = FileName::read(file);
            (project.to_owned(), NamedFile { named_by, file })
        };
        self.client_keys = keyed.map(named).collect();
        self.audit = match audit {
            Some(Destination::Descriptor(number)) => {
                Some((given.audit.source().to_owned(), number))
            }
            Some(Destination::Journal | Destination::Syslog) | None => None,
        };
    }
}
