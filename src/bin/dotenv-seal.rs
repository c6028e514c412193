//! Makes and updates a sealed tree: the embedded store that `dotenv-run` reads with a `file:` URL.
//!
//! Only ciphertext is written. Every document is replaced whole, and one process at a time changes
//! a tree.

#![forbid(unsafe_code)]

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::process::ExitCode;

use dotenv_run::cli::Named;
use dotenv_run::cli::seal::{HELP, SealOptions, SealRequest};
use dotenv_run::crypto::{self, DEFAULT_ITERATIONS, DataKey};
use dotenv_run::dotenv::parse::parse;
use dotenv_run::error::{self, Error, Seal};
use dotenv_run::keys::{Claimed, ClientKey, KeyFiles, Variables};
use dotenv_run::path::{LevelName, SecretPath};
use dotenv_run::report::{self, Report, Verbosity};
use dotenv_run::store::model::{Custody, Document, Format, Level};
use dotenv_run::store::open;
use dotenv_run::store::tree::{MAX_DOCUMENT, Tree};
use dotenv_run::store::{documents, writing};
use dotenv_run::sys::locked;
use dotenv_run::sys::{self, Environ};
use dotenv_run::variables::warn_of_skipped;

fn main() -> ExitCode {
    report::end_as_failures("dotenv-seal");
    let mask = sys::initial_mask().set_as_mask().map_err(Error::Signals);
    let report = Report::new("dotenv-seal", Verbosity::Normal);
    let environ = Environ::take();
    let request = SealRequest::parse(std::env::args_os().skip(1), &|name| environ.value(name));
    let prepared = mask.and_then(|_| Ok(sys::check_start()?));
    let outcome = prepared
        .and(request)
        .and_then(|request| run(request, environ, &report));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report.error(&error);
            ExitCode::from(error.status())
        }
    }
}

fn run(request: SealRequest, environ: Environ, report: &Report) -> Result<(), Error> {
    match request {
        SealRequest::Help => print(HELP),
        SealRequest::Version => print(concat!("dotenv-seal ", env!("CARGO_PKG_VERSION"), "\n")),
        SealRequest::Keygen => print(&(crypto::new_client_key().map_err(Seal::System)? + "\n")),
        SealRequest::Init(options, named) => init(&options, Keys::claim(environ, named)?, report),
        SealRequest::Put(options, named) => put(&options, Keys::claim(environ, named)?, report),
        SealRequest::List { tree } => list(&Tree::open(&tree)?),
    }
}

/// Makes a project. Its level `project` is sealed from the start, though empty, so that from the
/// start a wrong key can be told.
fn init(options: &SealOptions, keys: Keys, report: &Report) -> Result<(), Error> {
    if options.path.deepest() != LevelName::Project {
        return Err(Seal::ProjectOnly.into());
    }
    let client_key = keys.find(options, report)?;
    if client_key.bytes().len() == 32 {
        return Err(Seal::KeyOf32Bytes.into());
    }
    let salt = crypto::new_salt().map_err(Seal::System)?;
    let descriptor = writing::descriptor_document(&salt, DEFAULT_ITERATIONS);
    let level = {
        let parsed = documents::descriptor(&descriptor).map_err(|flaw| Error::Malformed {
            document: "the new key descriptor".to_owned(),
            flaw,
        })?;
        let key = open::data_key(&parsed, &options.path, report, || Ok(client_key))?;
        sealed(LevelName::Project, &key, b"")?
    };
    let tree = Tree::create(&options.tree)?;
    tree.lock()?;
    let organization = &organization(&tree, options.organization.as_deref())?;
    let path = &options.path;
    if tree.has(Document::EncryptionKey { organization, path })? {
        return Err(Seal::ProjectExists {
            project: path.project().to_owned(),
        }
        .into());
    }
    tree.write(
        Document::Secrets { organization, path },
        &writing::secrets_document(organization, path, &[level]),
    )?;
    tree.write(Document::EncryptionKey { organization, path }, &descriptor)
}

/// The organization that a tree names; a tree without one gets `wanted` or a new ID.
fn organization(tree: &Tree, wanted: Option<&str>) -> Result<String, Error> {
    if tree.has(Document::Organization)? {
        let actual = read(tree, Document::Organization, documents::organization)?.ulid;
        return match wanted {
            Some(wanted) if !wanted.eq_ignore_ascii_case(&actual) => {
                Err(Error::OtherOrganization {
                    wanted: wanted.to_owned(),
                    actual,
                })
            }
            _ => Ok(actual),
        };
    }
    let ulid = match wanted {
        Some(ulid) => ulid.to_owned(),
        None => crypto::new_ulid().map_err(Seal::System)?,
    };
    tree.write(
        Document::Organization,
        &writing::organization_document(&ulid),
    )?;
    Ok(ulid)
}

/// Seals standard input as the deepest level of a path, and rewrites every document that holds it.
fn put(options: &SealOptions, keys: Keys, report: &Report) -> Result<(), Error> {
    let text = read_text(options.allow_empty, report)?;
    let client_key = keys.find(options, report)?;
    let tree = Tree::open(&options.tree)?;
    tree.lock()?;
    let organization = &read(&tree, Document::Organization, documents::organization)?.ulid;
    let path = &options.path;
    let descriptor = read(
        &tree,
        Document::EncryptionKey { organization, path },
        documents::descriptor,
    )?;
    if !matches!(descriptor.custody, Custody::Client) {
        return Err(Seal::NotClientManaged {
            project: path.project().to_owned(),
        }
        .into());
    }
    open::warn_of_few_iterations(&descriptor, path, report);
    let key = open::data_key(&descriptor, path, report, || Ok(client_key))?;
    let store = Store {
        tree: &tree,
        organization,
    };
    for level in store.witnesses(path)? {
        if !level.encrypted {
            return Err(Seal::Plaintext { level: level.name }.into());
        }
        if key.open(&level.content).is_err() {
            let reason = error::Sealed::WrongClientKey;
            return Err(Error::Sealed {
                level: level.name,
                reason,
            });
        }
    }
    store.replace(path, &sealed(path.deepest(), &key, &text)?)
}

/// The `.env` text on standard input, which must follow the grammar.
fn read_text(allow_empty: bool, report: &Report) -> Result<Vec<u8>, Error> {
    let mut text = Vec::new();
    read_all(&mut std::io::stdin().lock(), &mut text).map_err(Seal::Input)?;
    let parsed = parse(&text).map_err(Seal::Text)?;
    warn_of_skipped("standard input", parsed.skipped, report);
    if parsed.entries().len() == 0 && !allow_empty {
        return Err(Seal::EmptyText.into());
    }
    Ok(text)
}

/// Reads to the end, also where reading does not wait: somebody may be typing the text.
fn read_all(input: &mut (impl Read + AsFd), text: &mut Vec<u8>) -> io::Result<()> {
    loop {
        match input.read_to_end(text) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                sys::wait_for_input(input.as_fd(), None)?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Where the client key is, with every descriptor owned that is named for it.
struct Keys {
    environ: Environ,
    files: KeyFiles,
}

impl Keys {
    fn claim(environ: Environ, named: Named) -> Result<Self, Error> {
        let files = Claimed::claim(named)?.keys;
        Ok(Keys { environ, files })
    }

    fn find(mut self, options: &SealOptions, report: &Report) -> Result<ClientKey, Error> {
        if options.allow_swap {
            locked::allow_swap();
        }
        let variables = Variables::take(&mut self.environ, self.files)?;
        ClientKey::find(&variables, report)
    }
}

fn sealed(name: LevelName, key: &DataKey, text: &[u8]) -> Result<Level, Error> {
    let content = key.seal(text).map_err(Seal::System)?;
    Ok(Level {
        name,
        encrypted: true,
        content,
    })
}

/// The secrets of one organization in a tree.
struct Store<'a> {
    tree: &'a Tree,
    organization: &'a str,
}

impl Store<'_> {
    fn document<'a>(&'a self, path: &'a SecretPath) -> Document<'a> {
        Document::Secrets {
            organization: self.organization,
            path,
        }
    }

    /// The levels in the document of a path.
    fn read(&self, path: &SecretPath) -> Result<Vec<Level>, Error> {
        let secrets = read(self.tree, self.document(path), documents::secrets)?;
        match secrets.format {
            Format::Env => Ok(secrets.levels),
            Format::Json => Err(Seal::NotEnv {
                path: path.to_string(),
            }
            .into()),
        }
    }

    /// The levels that tell whether a key is the right one: those that `path` has, or all of its project.
    fn witnesses(&self, path: &SecretPath) -> Result<Vec<Level>, Error> {
        let mut levels = self.levels(path)?;
        if levels.is_empty() {
            for known in self.tree.paths(self.organization, path.project())? {
                levels.extend(self.read(&known)?);
            }
        }
        Ok(levels)
    }

    /// The levels that a path has, or would inherit if it were made now.
    fn levels(&self, path: &SecretPath) -> Result<Vec<Level>, Error> {
        for level in LevelName::ALL
            .into_iter()
            .rev()
            .filter(|level| *level <= path.deepest())
        {
            let path = &path.up_to(level);
            if self.tree.has(self.document(path))? {
                return self.read(path);
            }
        }
        Ok(Vec::new())
    }

    /// Writes `level` into every document at and below `path`, and makes those that lead to it.
    fn replace(&self, path: &SecretPath, level: &Level) -> Result<(), Error> {
        let mut documents = Vec::new();
        for shallower in LevelName::ALL
            .into_iter()
            .filter(|name| *name < path.deepest())
        {
            let above = &path.up_to(shallower);
            if !self.tree.has(self.document(above))? {
                documents.push((above.clone(), self.levels(above)?));
            }
        }
        let mut affected = self.tree.paths(self.organization, path.project())?;
        affected.retain(|known| known.is_within(path) && known != path);
        affected.push(path.clone());
        for path in affected {
            let mut levels = self.levels(&path)?;
            levels.retain(|known| known.name != level.name);
            levels.push(level.clone());
            levels.sort_by_key(|level| level.name);
            documents.push((path, levels));
        }
        let text = |(path, levels): (SecretPath, Vec<Level>)| {
            (
                writing::secrets_document(self.organization, &path, &levels),
                path,
            )
        };
        let documents: Vec<_> = documents.into_iter().map(text).collect();
        if let Some((_, path)) = documents
            .iter()
            .find(|(text, _)| text.len() as u64 > MAX_DOCUMENT)
        {
            return Err(Error::AnswerTooLong {
                document: self.document(path).to_string(),
                limit: MAX_DOCUMENT,
            });
        }
        for (text, path) in &documents {
            self.tree.write(self.document(path), text)?;
        }
        Ok(())
    }
}

/// Prints each path with its own level and the size of the level's text in bytes.
fn list(tree: &Tree) -> Result<(), Error> {
    let organization = &read(tree, Document::Organization, documents::organization)?.ulid;
    let store = Store { tree, organization };
    let mut text = String::new();
    for path in tree.paths(organization, "")? {
        let levels = store.levels(&path)?;
        let own = levels.iter().find(|level| level.name == path.deepest());
        let size = own.map_or(0, |level| crypto::sealed_size(&level.content));
        text.push_str(&format!("{path}\t{}\t{size}\n", path.deepest()));
    }
    print(&text)
}

fn read<T>(
    tree: &Tree,
    document: Document<'_>,
    decoder: fn(&str) -> Result<T, String>,
) -> Result<T, Error> {
    let text = tree.read(document)?;
    decoder(&text).map_err(|flaw| Error::Malformed {
        document: document.to_string(),
        flaw,
    })
}

fn print(text: &str) -> Result<(), Error> {
    sys::write_all(std::io::stdout(), text.as_bytes()).map_err(Error::Output)
}
