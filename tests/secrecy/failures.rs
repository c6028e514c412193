//! Every failure that the programs have, provoked with a secret right where the flaw is.
//!
//! A secret is never planted where the wording shows something by design: names of variables (those that are
//! only referred to as well), fields, levels and short formats; files, paths and hosts; the name of the command; and
//! the text of `${NAME:?text}`.

mod answers;
mod connection;
mod keys;
mod levels;
mod local;
mod sealing;
mod trees;
mod usage;
mod variables;

use std::any::Any;
use std::collections::BTreeSet;
use std::net::{Ipv6Addr, SocketAddr};

use serde_json::Value;

use super::secrets::*;
use crate::support::*;

/// A failure of the program, and how it is brought about.
pub struct Failure {
    pub name: String,
    /// The variant of an enum of errors: `Usage::NoPath`.
    pub variant: &'static str,
    pub status: i32,
    /// A part of the message that no other variant has.
    pub says: &'static str,
    pub scene: Box<dyn Fn() -> Scene + Send + Sync>,
}

/// A run that is about to fail, and what it needs.
pub struct Scene {
    pub run: Run,
    pub ways: Ways,
    /// What it may connect to.
    pub hosts: Vec<SocketAddr>,
    /// Whether it gets as far as making a file in memory.
    pub makes_file: bool,
    /// Secrets besides those of [`secrets`](super::secrets).
    pub planted: Vec<String>,
    kept: Vec<Box<dyn Any + Send>>,
}

/// What the run of a scene still lacks.
#[derive(Clone, Copy, PartialEq)]
pub enum Ways {
    /// What is to be done with the secrets, of which nothing depends on it.
    Either,
    /// A command.
    Command,
    /// Nothing.
    Complete,
}

impl Scene {
    fn new(run: Run) -> Self {
        Scene {
            run,
            ways: Ways::Either,
            hosts: Vec::new(),
            makes_file: false,
            planted: Vec::new(),
            kept: Vec::new(),
        }
    }

    fn with(mut self, change: impl FnOnce(Run) -> Run) -> Self {
        self.run = change(self.run);
        self
    }

    fn args(self, arguments: &[&str]) -> Self {
        self.with(|run| run.args(arguments))
    }

    fn env(self, name: &str, value: &str) -> Self {
        self.with(|run| run.env(name, value))
    }

    fn only(mut self, ways: Ways) -> Self {
        self.ways = ways;
        self
    }

    /// The run with these options in front of a command that must not be started, unless it lacks nothing.
    pub fn completed(&self, options: &[&str], witness: &Witness) -> Run {
        match self.ways {
            Ways::Complete => self.run.clone(),
            _ => {
                let run = self.run.clone().args(options);
                run.arg("--").args(witness.command())
            }
        }
    }

    /// The runs in all ways that there are.
    pub fn runs(&self, witness: &Witness) -> Vec<Run> {
        let silent = self.completed(&[], witness);
        let verbose = self.completed(&["-v", "-v", "--supervise"], witness);
        let print = |arguments: &[&str]| self.run.clone().args(arguments);
        match self.ways {
            Ways::Complete => vec![silent],
            Ways::Command => vec![silent, verbose],
            Ways::Either => vec![
                silent,
                verbose,
                print(&["--print", "json"]),
                print(&["--print", "shell", "-v", "-v"]),
            ],
        }
    }

    fn keeping(mut self, thing: impl Any + Send) -> Self {
        self.kept.push(Box::new(thing));
        self
    }
}

/// A row of the table.
fn failure(
    (status, variant, says): (i32, &'static str, &'static str),
    name: impl Into<String>,
    scene: impl Fn() -> Scene + Send + Sync + 'static,
) -> Failure {
    Failure {
        name: format!("{variant}, {}", name.into()),
        variant,
        status,
        says,
        scene: Box::new(scene),
    }
}

/// The program with all keys and nothing else.
fn keyed() -> Scene {
    let run = Run::dotenv_run().env("DOTENV_API_KEY", token());
    let run = run.env("DOTENV_CLIENT_KEY", KEY);
    Scene::new(run.env("DOTENV_RUN_CUSTODY", "any"))
}

/// A run on a tree of [`world`] with this done to it.
fn on_tree(path: &str, change: impl FnOnce(&Tree)) -> Scene {
    let world = world();
    let tree = Tree::of(&world);
    change(&tree);
    let mut scene = keyed().args(&["--api-url", &tree.url(), path]);
    scene.planted = blobs(&world);
    scene.keeping(tree)
}

/// A run on a tree of one project with a single level of this text.
fn on_text(format: &str, text: impl AsRef<[u8]>) -> Scene {
    let custody = Custody {
        key: SERVER_KEY.into(),
        ..Custody::legacy()
    };
    let project = Project::new("p", custody).format(format);
    let tree = Tree::of_project(project.level_of_bytes("", text.as_ref()));
    keyed().args(&["--api-url", &tree.url(), "p"]).keeping(tree)
}

/// A run on a service of [`world`], of which one route meets a fault.
fn on_service(path: &str, route: Route, fault: Fault) -> Scene {
    on_good_service(path, |service| service.fail(route, fault))
}

fn on_good_service(path: &str, change: impl FnOnce(&Service)) -> Scene {
    let world = world();
    let planted = blobs(&world);
    let service = Service::of(world);
    change(&service);
    at(service, planted).args(&[path])
}

/// A run that asks this service; the path is still to be named.
fn at(service: Service, mut planted: Vec<String>) -> Scene {
    let secret = service.api_key().rsplit('_').next();
    planted.push(secret.expect("the last part of the key").to_string());
    let run = service.dotenv_run().env("DOTENV_CLIENT_KEY", KEY);
    let run = run.env("DOTENV_RUN_CUSTODY", "any");
    let scene = Scene {
        hosts: vec![service.address()],
        planted,
        ..Scene::new(run)
    };
    scene.keeping(service)
}

/// An edit that puts this in the place of a part of a document: `/data/attributes`.
fn replacing(pointer: &'static str, value: Value) -> impl Fn(&mut Value) {
    move |document| {
        let part = document.pointer_mut(pointer);
        *part.expect("a part of the document") = value.clone();
    }
}

/// The table.
pub fn all() -> Vec<Failure> {
    of_dotenv_run().chain(sealing::table()).collect()
}

/// Without what only `dotenv-seal` does, which writes files.
pub fn of_dotenv_run() -> impl Iterator<Item = Failure> {
    let groups = [
        usage::table(),
        keys::table(),
        connection::table(),
        answers::table(),
        levels::table(),
        local::table(),
        trees::table(),
        variables::table(),
    ];
    groups.into_iter().flatten()
}

/// A run that succeeds once it is told what to do, and its name.
pub type Success = (&'static str, fn() -> Scene);

/// Runs from every source with keys from every place.
pub fn successes() -> Vec<Success> {
    vec![
        ("tree", || on_tree("app/t/e", |_| ())),
        ("server-managed", || on_tree("managed/t/e", |_| ())),
        ("cloud", || on_good_service("app/t/e", |_| ())),
        ("cloud, by name", || {
            let mut by_name = None;
            let scene = on_good_service("app/t/e", |service| {
                let address = SocketAddr::from((Ipv6Addr::LOCALHOST, service.address().port()));
                by_name = Some((service.url_by_name(), address));
            });
            let (url, address) = by_name.expect("a service");
            let mut scene = scene.args(&["--api-url", &url]);
            scene.hosts.push(address);
            scene
        }),
        ("a key file", || keys::with_key_file(KEY.as_bytes())),
        ("a key on standard input", || {
            keys::with_client_key("-").with(|run| run.stdin(KEY))
        }),
    ]
}

/// A run that has to ask for the client key.
pub fn without_client_key() -> Scene {
    let scene = on_tree("app/t/e", |_| ());
    scene.with(|run| run.env_remove("DOTENV_CLIENT_KEY"))
}

/// Variants whose reason is an enum of its own, which the table goes by.
const WRAPPERS: [&str; 13] = [
    "Error::BadKey",
    "Error::Certificate",
    "Error::Forbidden",
    "Error::Mirror",
    "Error::NoKey",
    "Error::NotWhole",
    "Error::Parse",
    "Error::Profile",
    "Error::Resolve",
    "Error::Seal",
    "Error::Sealed",
    "Error::Unreachable",
    "Error::Usage",
];

/// What no test can bring about, and why.
const BEYOND_REACH: &[(&str, &str)] = &[
    (
        "Seal::NoOwnLevel",
        "needs a path that only inherits; the tests of dotenv-seal have it",
    ),
    (
        "Seal::NotConfirmed",
        "needs a terminal; the tests of dotenv-seal have it",
    ),
    (
        "Seal::NotVerified",
        "prints what it found; the tests of dotenv-seal have it",
    ),
    (
        "Seal::PathExists",
        "needs a second target; the tests of dotenv-seal have it",
    ),
    (
        "BadKey::NotInTime",
        "needs a minute; the tests of key files have it",
    ),
    (
        "Error::NoPathOfDescriptor",
        "needs a root without /dev/fd and /proc; the tests of files have it",
    ),
    (
        "Error::OutOfTime",
        "needs an answer that takes long to open; the tests of bombs have it",
    ),
    ("Error::Random", "needs a kernel without random bytes"),
    ("Error::Resolver", "needs a C library that refuses"),
    ("Error::Memory", "needs swap and a limit on locked memory"),
    ("Error::MemoryFile", "needs a kernel that is out of memory"),
    (
        "Error::NoFilter",
        "needs a filter that ends before it is told the secrets",
    ),
    (
        "Error::OutputLost",
        "needs a command whose output cannot be written; see redact::faults",
    ),
    ("Error::Prompt", "needs a terminal that breaks meanwhile"),
    (
        "Error::Signals",
        "needs a kernel that refuses what it never does",
    ),
    (
        "Error::Stack",
        "needs a low limit on the stack; see beside::apart",
    ),
    ("Error::Supervise", "needs a kernel without free processes"),
    (
        "Error::PseudoTerminal",
        "needs a machine without /dev/ptmx; see beside::apart",
    ),
    (
        "Error::RenewalEnded",
        "needs a renewal that something ends; the tests of --watch have it",
    ),
    ("Error::Thread", "needs a kernel without free processes"),
    (
        "Error::Traced",
        "needs a tracer; the tests of exposure have it",
    ),
    (
        "Error::Unprotected",
        "needs a filter of system calls; see launch::refused",
    ),
    (
        "ProfileFlaw::Stack",
        "needs a low limit on the stack; see beside::apart",
    ),
    ("Flaw::Revoked", "needs a list of what was revoked"),
    ("Reason::TooLong", "needs a level of 1 GiB"),
    ("Seal::System", "needs a kernel without random bytes"),
];

/// The variants of the public enums in a source.
fn variants(source: &str) -> BTreeSet<String> {
    let mut name = None;
    let mut variants = BTreeSet::new();
    for line in source.lines() {
        if let Some(rest) = line.strip_prefix("pub enum ") {
            name = rest.split([' ', '<']).next();
        } else if line.starts_with('}') {
            name = None;
        }
        let variant = line.strip_prefix("    ").unwrap_or_default();
        if let Some(name) = name
            && variant.starts_with(|first: char| first.is_ascii_uppercase())
        {
            let end = variant.find([' ', '(', ',']).unwrap_or(variant.len());
            variants.insert(format!("{name}::{}", &variant[..end]));
        }
    }
    variants
}

pub fn every_failure_of_the_program_is_in_the_table() {
    let sources = [
        include_str!("../../src/error/mod.rs"),
        include_str!("../../src/error/unreachable.rs"),
        include_str!("../../src/error/profile_flaw.rs"),
        include_str!("../../src/error/manifest_flaw.rs"),
        include_str!("../../src/error/sealing.rs"),
        include_str!("../../src/error/usage.rs"),
        include_str!("../../src/error/key_flaw.rs"),
    ];
    let mut known: BTreeSet<_> = sources.into_iter().flat_map(variants).collect();
    for one_of_each in ["Error::Output", "Denied::Secrets", "Seal::Text"] {
        assert!(known.contains(one_of_each), "{one_of_each}");
    }
    for (source, an_enum) in [
        (include_str!("../../src/dotenv/parse.rs"), "Reason::"),
        (
            include_str!("../../src/dotenv/resolve.rs"),
            "ResolveError::",
        ),
    ] {
        let of_errors = variants(source).into_iter();
        known.extend(of_errors.filter(|variant| variant.starts_with(an_enum)));
    }
    let table = all();
    let provoked = table.iter().map(|failure| failure.variant);
    let reasons = BEYOND_REACH.iter().map(|(variant, _)| *variant);
    let listed = provoked.chain(WRAPPERS).chain(reasons);
    let listed: BTreeSet<_> = listed.map(String::from).collect();
    assert_eq!(listed, known);
    let names: BTreeSet<_> = table.iter().map(|failure| &failure.name).collect();
    assert_eq!(names.len(), table.len(), "two rows have one name");
}
