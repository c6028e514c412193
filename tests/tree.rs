//! What comes from a sealed tree: the same documents through the same decoder, and nothing from
//! outside the tree.

pub mod whole;

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::json;

use crate::cloud::{assert_worked_example, assert_worked_example_of_one_level};
use crate::support::*;

tests![
    the_worked_example_of_inheritance_holds_in_every_custody,
    level_only_takes_the_deepest_level_of_the_path,
    a_tree_needs_no_api_key_and_looks_for_none,
    a_tree_is_named_by_every_form_of_a_file_url,
    a_url_that_names_no_local_directory_is_refused,
    a_directory_that_cannot_be_read_is_named,
    a_tree_that_may_not_be_read_is_named needs(NAMESPACES),
    the_organization_is_that_of_its_document,
    an_organization_that_is_given_must_be_that_of_the_tree,
    a_document_that_is_missing_is_named,
    a_document_that_is_malformed_is_named,
    a_document_without_end_is_refused,
    a_wrong_key_or_a_flipped_bit_starts_nothing,
    a_link_out_of_the_tree_is_refused,
    a_link_inside_the_tree_is_followed,
    a_tree_may_be_replaced_while_it_is_read,
    a_tree_that_goes_away_while_it_is_read_is_read_again needs(STRACE),
    renames_elsewhere_do_not_disturb_a_run,
    only_a_regular_file_is_a_document,
    a_pipe_is_no_tree,
    no_filter_of_system_calls_opens_a_way_out needs(STRACE),
    a_link_that_comes_and_goes_leads_nowhere needs(STRACE),
];

const SHARED: [&str; 3] = [
    "APP_NAME=Acme",
    "LOG_LEVEL=info",
    "DATABASE_URL=postgres://shared",
];

fn the_worked_example_of_inheritance_holds_in_every_custody() {
    let tree = Tree::example();
    assert_worked_example(|| tree.dotenv_run());
}

fn level_only_takes_the_deepest_level_of_the_path() {
    let tree = Tree::example();
    assert_worked_example_of_one_level(|| tree.dotenv_run());
}

/// An API key that could not be used at all does not matter.
fn a_tree_needs_no_api_key_and_looks_for_none() {
    let tree = Tree::example();
    let run = tree.dotenv_run().args(["--api-key-file", "/nonexistent"]);
    assert_eq!(run.arg("legacy").variables(), SHARED);
    let run = tree.dotenv_run().env("DOTENV_API_KEY", "a\nb");
    assert_eq!(run.arg("legacy").variables(), SHARED);
    let refused = tree
        .dotenv_run()
        .arg("my-app")
        .refuses(125, &["client key"]);
    assert!(!refused.stderr.contains("API key"), "{refused}");
}

/// A directory with this name that holds the example, and a run that reads it.
fn named(dir: &TempDir, name: &[u8]) -> PathBuf {
    let root = dir.path().join(OsStr::from_bytes(name));
    copy(Tree::example().root(), &root);
    root
}

/// Copies a tree of directories and files.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

fn a_tree_is_named_by_every_form_of_a_file_url() {
    let dir = TempDir::new();
    let below = |rest: &str| format!("{}{rest}", dir.path().display());
    for name in [
        &b"plain"[..],
        b"with space",
        b"100%",
        b"\xc3\xa4",
        b"\xff",
        b"a?b#c",
    ] {
        named(&dir, name);
    }
    symlink(dir.path().join("plain"), dir.path().join("link")).unwrap();
    for url in [
        format!("file://{}", below("/plain")),
        format!("file://{}", below("/plain/")),
        format!("file://localhost{}", below("/plain")),
        format!("file://{}", below("/./plain")),
        format!("file://{}", below("/link")),
        format!("file://{}", below("/with%20space")),
        format!("file://{}", below("/with space")),
        format!("file://{}", below("/100%25")),
        format!("file://{}", below("/%c3%a4")),
        format!("file://{}", below("/ä")),
        format!("file://{}", below("/%FF")),
        format!("file://{}", below("/a%3Fb%23c")),
    ] {
        let run = Run::dotenv_run().args(["--api-url", &url, "legacy"]);
        assert_eq!(run.any_custody().variables(), SHARED, "{url}");
    }
    let tree = Tree::example();
    let run = Run::dotenv_run().env("DOTENV_API_URL", tree.url());
    let run = run.any_custody();
    let run = run.args(["legacy", "--", "printenv", "APP_NAME"]);
    run.finish().assert_status(0).assert_stdout("Acme\n");
}

fn a_url_that_names_no_local_directory_is_refused() {
    let tree = Tree::example();
    let root = tree.root().display();
    for url in [
        format!("file://elsewhere{root}"),
        format!("file://127.0.0.1{root}"),
        format!("file://user@localhost{root}"),
        format!("file://{root}?version=1"),
        format!("file://{root}#part"),
        "file://".into(),
        "file:".into(),
        "file:srv/secrets".into(),
        "file://srv".into(),
        root.to_string(),
        format!("ftp://localhost{root}"),
        "file:///srv/%00".into(),
    ] {
        let run = Run::dotenv_run().args(["--api-url", &url]);
        run.dir("/").arg("legacy").refuses(125, &[]);
        let run = Run::dotenv_run().env("DOTENV_API_URL", &url);
        run.dir("/").arg("legacy").refuses(125, &[]);
    }
}

fn a_directory_that_cannot_be_read_is_named() {
    let dir = TempDir::new();
    let file = dir.file("file", "no tree");
    symlink(dir.path().join("loop"), dir.path().join("loop")).unwrap();
    for root in [dir.path().join("missing"), file, dir.path().join("loop")] {
        let root = root.display().to_string();
        let run = Run::dotenv_run().args(["--api-url", &format!("file://{root}")]);
        run.arg("legacy").refuses(125, &[&root]);
    }
    let empty = format!("file://{}", dir.path().display());
    let run = Run::dotenv_run().args(["--api-url", &empty, "legacy"]);
    run.refuses(125, &["api/v1/organization"]);
}

/// In a user namespace of its own the run has no privilege over the files of the tests.
fn a_tree_that_may_not_be_read_is_named() {
    let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let refuses = |tree: &Tree, name: &Path| {
        let run = tree.dotenv_run().under(["unshare", "--user"]);
        let name = name.display().to_string();
        run.arg("legacy")
            .refuses(125, &[&name, "permission denied"]);
    };
    let tree = Tree::example();
    for document in [
        tree.encryption_key("legacy"),
        tree.secrets("legacy"),
        tree.organization(),
    ] {
        set(&document, 0o000);
        refuses(&tree, &document);
    }
    let tree = Tree::example();
    let secrets = tree.secrets("legacy");
    for (closed, named) in [
        (secrets.parent().unwrap(), secrets.as_path()),
        (tree.root(), tree.root()),
    ] {
        set(closed, 0o000);
        refuses(&tree, named);
        // Or the tree could not be removed.
        set(closed, 0o700);
    }
}

/// Two organizations may lie in one tree; the document says whose it is.
fn the_organization_is_that_of_its_document() {
    let tree = Tree::example();
    let other = World {
        organization: FOREIGN_ORGANIZATION.into(),
        ..World::new(vec![
            Project::new("legacy", Custody::legacy()).level("", "A=other\n"),
        ])
    };
    let other = Tree::of(&other);
    let theirs = |tree: &Tree| tree.root().join("api/v1").join(FOREIGN_ORGANIZATION);
    copy(&theirs(&other), &theirs(&tree));
    assert_eq!(tree.dotenv_run().arg("legacy").variables(), SHARED);
    fs::copy(other.organization(), tree.organization()).unwrap();
    assert_eq!(tree.dotenv_run().arg("legacy").variables(), ["A=other"]);
    // A key for the service has no say here.
    let key = Key::new();
    let run = tree.dotenv_run().env("DOTENV_API_KEY", key.token());
    assert_eq!(run.arg("legacy").variables(), ["A=other"]);
}

fn an_organization_that_is_given_must_be_that_of_the_tree() {
    let tree = Tree::example();
    for same in [ORGANIZATION, "acme-corp"] {
        let run = tree.dotenv_run().args(["--organization", same]);
        assert_eq!(run.arg("legacy").variables(), SHARED);
    }
    for other in [FOREIGN_ORGANIZATION, "acme", "other-corp"] {
        let run = tree.dotenv_run().args(["--organization", other]);
        run.arg("legacy").refuses(125, &[other]);
        let run = tree.dotenv_run().env("DOTENV_ORGANIZATION", other);
        run.arg("legacy").refuses(125, &[other]);
    }
}

fn a_document_that_is_missing_is_named() {
    let tree = Tree::example();
    for path in [
        "other",
        "other/production",
        "legacy/staging",
        "legacy/production/web",
    ] {
        tree.dotenv_run().arg(path).refuses(125, &[path, "no such"]);
    }
    for document in [tree.encryption_key("legacy"), tree.organization()] {
        fs::remove_file(&document).unwrap();
        let run = tree.dotenv_run().args(["--allow-empty", "legacy"]);
        run.refuses(125, &[&document.display().to_string()]);
    }
    // One above is no substitute for the one that was asked for.
    let tree = Tree::example();
    fs::remove_file(tree.secrets("legacy/production/api")).unwrap();
    let path = "legacy/production/api";
    let run = tree.dotenv_run().args(["--allow-empty", path]);
    run.refuses(125, &[path]);
}

fn a_document_that_is_malformed_is_named() {
    let tree = Tree::example();
    let good = fs::read_to_string(tree.secrets("legacy")).unwrap();
    let documents = [
        (tree.secrets("legacy"), "legacy/secrets"),
        (tree.encryption_key("legacy"), "legacy/encryption-key"),
        (tree.organization(), "api/v1/organization"),
    ];
    let nested = "[".repeat(100_000) + &"]".repeat(100_000);
    for (content, fragment) in [
        (&b""[..], "JSON"),
        (b"<!DOCTYPE html>", "JSON"),
        (b"\xef\xbb\xbf{}", "JSON"),
        (b"{}", "data"),
        (b"{\"data\":1,\"data\":2}", "twice"),
        (nested.as_bytes(), "deep"),
        (b"{\"data\":\"\xff\"}", "UTF-8"),
        (&good.as_bytes()[..good.len() / 2], "JSON"),
    ] {
        for (document, name) in &documents {
            let before = fs::read(document).unwrap();
            tree.write(document, content);
            let run = tree.dotenv_run().args(["--allow-empty", "legacy"]);
            run.refuses(125, &[name, fragment]);
            tree.write(document, before);
        }
    }
    assert_eq!(tree.dotenv_run().arg("legacy").variables(), SHARED);
    tree.edit(
        &tree.encryption_key("my-app"),
        set_in_descriptor("key_check_iterations", json!(999)),
    );
    let run = tree.dotenv_run().client_key().arg("my-app");
    run.refuses(125, &["999", "iterations"]);
}

/// A sparse file, which costs nothing to make.
fn a_document_without_end_is_refused() {
    let tree = Tree::example();
    let file = File::create(tree.secrets("legacy")).unwrap();
    file.set_len(1 << 40).unwrap();
    let run = tree.dotenv_run().arg("legacy");
    run.refuses(125, &["legacy/secrets", "larger"]);
}

fn a_wrong_key_or_a_flipped_bit_starts_nothing() {
    let tree = Tree::example();
    let run = tree.dotenv_run().env("DOTENV_CLIENT_KEY", "otters");
    run.arg("my-app/production/api")
        .refuses(125, &["wrong client key"]);
    for project in ["my-app", "managed", "legacy"] {
        let path = format!("{project}/production/api");
        for level in ["project", "target", "environment"] {
            let tree = Tree::example();
            tree.edit(&tree.secrets(&path), flip_bit(level, 200));
            let run = tree.dotenv_run().client_key().arg(&path);
            run.refuses(125, &[&format!("level {level}")]);
        }
    }
}

/// Where a document of `legacy` lies below the root of a tree.
fn route(name: &str) -> String {
    format!("api/v1/{ORGANIZATION}/legacy/{name}")
}

/// Puts a link in place of a file or directory.
fn replace_by_link(path: &Path, target: impl AsRef<Path>) {
    let moved = path.with_extension("moved");
    fs::rename(path, moved).unwrap();
    symlink(target, path).unwrap();
}

/// What lies outside would be good: only where it lies is wrong.
fn a_link_out_of_the_tree_is_refused() {
    let outside = Tree::example();
    let name = outside.root().file_name().unwrap().to_owned();
    let organization = format!("api/v1/{ORGANIZATION}");
    let secrets = route("secrets");
    let places = [
        "api",
        "api/v1",
        "api/v1/organization",
        &organization,
        &format!("{organization}/legacy"),
        &secrets,
        &route("encryption-key"),
    ];
    for place in places {
        let ups = "../".repeat(place.split('/').count());
        let relative = Path::new(&ups).join(&name).join(place);
        let chained = outside.root().join("chained");
        let _ = fs::remove_file(&chained);
        symlink(outside.root().join(place), &chained).unwrap();
        for target in [outside.root().join(place), relative, chained] {
            let tree = Tree::example();
            replace_by_link(&tree.root().join(place), target);
            let run = tree.dotenv_run().args(["--allow-empty", "legacy"]);
            run.refuses(125, &["symbolic link", "out of the tree"]);
        }
    }
    // By way of a link that stays inside.
    let tree = Tree::example();
    symlink(outside.root(), tree.root().join("away")).unwrap();
    replace_by_link(
        &tree.secrets("legacy"),
        Path::new("../../../../away").join(&secrets),
    );
    let run = tree.dotenv_run().arg("legacy");
    run.refuses(125, &["out of the tree"]);
    // Whatever a process has open is outside.
    for target in ["/proc/self/environ", "/dev/stdin", "/dev/zero"] {
        let tree = Tree::example();
        replace_by_link(&tree.secrets("legacy"), target);
        tree.dotenv_run()
            .arg("legacy")
            .refuses(125, &["out of the tree"]);
    }
}

/// As a config map of Kubernetes is mounted.
fn a_link_inside_the_tree_is_followed() {
    let dir = TempDir::new();
    let root = dir.path().join("tree");
    copy(Tree::example().root(), &root.join("..2025_01_02"));
    symlink("..2025_01_02", root.join("..data")).unwrap();
    symlink("..data/api", root.join("api")).unwrap();
    let url = format!("file://{}", root.display());
    assert_worked_example(|| Run::dotenv_run().args(["--api-url", &url]).any_custody());

    let tree = Tree::example();
    replace_by_link(&tree.secrets("legacy"), "secrets.moved");
    replace_by_link(&tree.organization(), "../v1/./organization.moved");
    let project = tree.encryption_key("legacy").parent().unwrap().to_owned();
    replace_by_link(&project, "legacy.moved");
    assert_eq!(tree.dotenv_run().arg("legacy").variables(), SHARED);

    let tree = Tree::example();
    replace_by_link(&tree.secrets("legacy"), "nothing");
    tree.dotenv_run().arg("legacy").refuses(125, &["legacy"]);
    let tree = Tree::example();
    replace_by_link(&tree.secrets("legacy"), "secrets");
    tree.dotenv_run().arg("legacy").refuses(125, &["legacy"]);
}

/// What `..data` points to is exchanged in one step, as Kubernetes does.
fn a_tree_may_be_replaced_while_it_is_read() {
    let dir = TempDir::new();
    let world = |value: &str| {
        let text = format!("A={value}\n");
        World::new(vec![Project::new("p", Custody::legacy()).level("", &text)])
    };
    for (name, value) in [("one", "1"), ("two", "2")] {
        copy(Tree::of(&world(value)).root(), &dir.path().join(name));
    }
    symlink("..data/api", dir.path().join("api")).unwrap();
    let url = format!("file://{}", dir.path().display());
    for (name, expected) in [("one", "A=1"), ("two", "A=2"), ("one", "A=1")] {
        let next = dir.path().join("..next");
        symlink(name, &next).unwrap();
        fs::rename(next, dir.path().join("..data")).unwrap();
        let run = Run::dotenv_run().args(["--api-url", &url, "p"]);
        assert_eq!(run.any_custody().variables(), [expected]);
    }
}

/// A reader stands in a directory of the old tree when that is removed.
fn a_tree_that_goes_away_while_it_is_read_is_read_again() {
    let dir = TempDir::new();
    for (name, value) in [("one", "1"), ("two", "2")] {
        let project = Project::new("p", Custody::client()).level("", &format!("A={value}\n"));
        copy(Tree::of_project(project).root(), &dir.path().join(name));
    }
    let (tree, next) = (dir.path().join("tree"), dir.path().join("next"));
    symlink(dir.path().join("one"), &tree).unwrap();
    symlink(dir.path().join("two"), &next).unwrap();
    let project = dir.path().join(format!("one/api/v1/{ORGANIZATION}/p"));
    let document = project.join("secrets").display().to_string();
    let slowly = [
        "strace",
        "-qq",
        "-f",
        "-P",
        &document,
        "-e",
        "inject=read:delay_enter=1000000",
    ];
    let run = Run::dotenv_run().args([
        "-q",
        "--api-url",
        &format!("file://{}", tree.display()),
        "p",
    ]);
    let run = run.client_key().args(["--", "printenv", "A"]);
    let live = run.under(slowly.map(str::to_owned)).spawn();
    wait_until("the secrets of the old tree are open", || {
        has_open(&project.join("secrets"))
    });
    fs::rename(next, tree).unwrap();
    fs::remove_dir_all(dir.path().join("one")).unwrap();
    let outcome = live.wait();
    outcome.assert_status(0);
    outcome.assert_stdout("2\n");
}

/// Whether any process has a file open.
fn has_open(file: &Path) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let mut descriptors = processes.flat_map(|process| fs::read_dir(process.path().join("fd")));
    descriptors.any(|open| {
        let mut open = open.flatten();
        open.any(|open| fs::read_link(open.path()).is_ok_and(|open| open == file))
    })
}

/// While anything on the machine is renamed, the kernel cannot tell where `..` leads and says so.
fn renames_elsewhere_do_not_disturb_a_run() {
    let tree = Tree::example();
    let project = tree.secrets("legacy").parent().unwrap().to_owned();
    for document in ["secrets", "encryption-key"] {
        let target = format!("../legacy/../legacy/{document}.moved");
        replace_by_link(&project.join(document), target);
    }
    let dir = TempDir::new();
    let (one, other) = (dir.file("one", ""), dir.path().join("other"));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                fs::rename(&one, &other).unwrap();
                fs::rename(&other, &one).unwrap();
            }
        });
        let run = || tree.dotenv_run().args(["legacy", "--", "true"]).finish();
        let outcomes: Vec<_> = (0..50).map(|_| run()).collect();
        is_over.store(true, Ordering::Relaxed);
        for outcome in outcomes {
            outcome.assert_status(0);
        }
    });
}

/// Opening some of these would wait for a writer that never comes.
fn only_a_regular_file_is_a_document() {
    type Make = fn(&Path);
    let make: [(&str, Make); 3] = [
        ("named pipe", |path| mkfifo(path, Mode::S_IRWXU).unwrap()),
        ("directory", |path| fs::create_dir(path).unwrap()),
        ("socket", |path| drop(UnixListener::bind(path).unwrap())),
    ];
    let documents = ["secrets", "encryption-key"].map(route);
    let organization = "api/v1/organization".to_string();
    for document in documents.into_iter().chain([organization]) {
        for (kind, make) in make {
            let tree = Tree::example();
            let path = tree.root().join(&document);
            fs::remove_file(&path).unwrap();
            make(&path);
            let run = tree.dotenv_run().arg("legacy");
            let run = run.limit(Duration::from_secs(10));
            let path = path.display().to_string();
            let refused = run.refuses(125, &[&path, kind]);
            assert!(
                !refused.stderr.contains("no such project"),
                "{kind}\n{refused}"
            );
        }
    }
}

fn a_pipe_is_no_tree() {
    let dir = TempDir::new();
    let pipe = dir.fifo("pipe").display().to_string();
    let run = Run::dotenv_run().args(["--api-url", &format!("file://{pipe}"), "p"]);
    let run = run.limit(Duration::from_secs(10));
    run.refuses(125, &[&pipe, "not a directory"]);
}

/// To be put in front of a program: it has no openat2(2), as under old kernels and old filters of containers.
fn without_openat2(error: &str) -> [String; 6] {
    let inject = format!("inject=openat2:error={error}");
    ["strace", "-f", "-o", "/dev/null", "-e", &inject].map(String::from)
}

fn no_filter_of_system_calls_opens_a_way_out() {
    for error in ["EPERM", "ENOSYS"] {
        let tree = Tree::example();
        let pipe = tree.secrets("legacy");
        fs::remove_file(&pipe).unwrap();
        mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        let run = tree
            .dotenv_run()
            .arg("legacy")
            .under(without_openat2(error));
        let run = run.limit(Duration::from_secs(10));
        run.refuses(125, &["named pipe"]);

        let outside = Tree::example();
        let tree = Tree::example();
        replace_by_link(&tree.root().join("api"), outside.root().join("api"));
        let run = tree
            .dotenv_run()
            .arg("legacy")
            .under(without_openat2(error));
        run.refuses(125, &["out of the tree"]);

        let tree = Tree::example();
        replace_by_link(&tree.organization(), "../v1/./organization.moved");
        let run = tree
            .dotenv_run()
            .arg("legacy")
            .under(without_openat2(error));
        assert_eq!(run.variables(), SHARED);
    }
}

/// A directory is exchanged, over and over, with a link to one outside that has other secrets.
fn a_link_that_comes_and_goes_leads_nowhere() {
    let world = |value: &str| {
        let text = format!("A={value}\n");
        World::new(vec![Project::new("p", Custody::legacy()).level("", &text)])
    };
    let (tree, outside) = (Tree::of(&world("inside")), Tree::of(&world("outside")));
    let place = tree.secrets("p").parent().unwrap().to_owned();
    let (real, link) = (place.with_extension("real"), place.with_extension("link"));
    symlink(outside.secrets("p").parent().unwrap(), &link).unwrap();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                fs::rename(&place, &real).unwrap();
                fs::rename(&link, &place).unwrap();
                fs::rename(&place, &link).unwrap();
                fs::rename(&real, &place).unwrap();
            }
        });
        let run = |_| {
            let run = tree.dotenv_run().args(["p", "--", "printenv", "A"]);
            run.under(without_openat2("EPERM")).finish()
        };
        let outcomes: Vec<_> = (0..60).map(run).collect();
        is_over.store(true, Ordering::Relaxed);
        for outcome in outcomes {
            assert!(!outcome.text().contains("outside"), "{outcome}");
        }
    });
}
