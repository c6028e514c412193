//! Files that carry trust, which somebody else can write, replace or read.

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};

use crate::support::*;

const OTHER: u32 = 12345;

/// A run by way of a file that it trusts: an option that names it, its content, and the rest of the run.
struct Trusting {
    option: &'static str,
    content: Vec<u8>,
    run: Run,
}

impl Trusting {
    fn with(&self, file: &Path) -> Run {
        self.run.clone().arg(self.option).arg(file)
    }
}

/// Runs a test with each kind of file.
fn each(test: impl Fn(&Trusting)) {
    let (service, tree) = (Service::of(World::example()), Tree::example());
    let plain = Service::plain();
    let profile = format!(
        "path = \"my-app\"\napi-url = \"file://{}\"\n",
        tree.root().display()
    );
    let trusting = |option, content: &[u8], run| {
        test(&Trusting {
            option,
            content: content.into(),
            run,
        })
    };
    trusting(
        "--api-key-file",
        plain.api_key().as_bytes(),
        Run::on_service_without_key(&plain).arg("legacy"),
    );
    trusting(
        "--client-key",
        CLIENT_KEY.as_bytes(),
        tree.dotenv_run().arg("my-app"),
    );
    trusting(
        "--profile",
        profile.as_bytes(),
        Run::dotenv_run().env("DOTENV_CLIENT_KEY", CLIENT_KEY),
    );
    trusting(
        "--overrides",
        b"OTHER=x\n",
        plain.dotenv_run().arg("legacy"),
    );
    let authority = fs::read(service.ca_file()).expect("an authority");
    trusting(
        "--ca-file",
        &authority,
        Run::on_service(&service).arg("legacy"),
    );
}

/// Runs that start their command, and say this about the file.
#[track_caller]
fn assert_warned(run: Run, expected: &[&str]) {
    let outcome = run.args(["--", "printenv", "APP_NAME"]).finish();
    outcome.assert_status(0).assert_stdout("Acme\n");
    // The key of the example has few iterations.
    let warnings = outcome.warnings().into_iter();
    let own = warnings.filter(|warning| !warning.contains("weakly protected"));
    assert_eq!(own.count(), usize::from(!expected.is_empty()), "{outcome}");
    for fragment in expected {
        assert!(outcome.stderr.contains(fragment), "{fragment}\n{outcome}");
    }
}

fn directory(parent: &Path, name: &str, mode: u32) -> PathBuf {
    let path = parent.join(name);
    fs::create_dir(&path).expect("a directory");
    set_mode(&path, mode);
    path
}

pub fn a_file_that_everyone_can_write_is_refused() {
    each(|trusting| {
        let dir = TempDir::new();
        let file = dir.file("file", &trusting.content);
        for mode in [0o602, 0o622, 0o666, 0o777] {
            set_mode(&file, mode);
            let says = format!(
                "{}: every user on this machine can write to this file\nhint: use 'chmod o-w",
                file.display()
            );
            trusting
                .with(&file)
                .refuses(125, &[&says, "--allow-loose-files"]);
            let allowed = trusting.with(&file).arg("--allow-loose-files");
            assert_warned(
                allowed,
                &["every user on this machine can write to this file"],
            );
        }
        // What it allows is not for the file to say.
        if trusting.option == "--profile" {
            fs::write(
                &file,
                [b"allow-loose-files = true\n", &trusting.content[..]].concat(),
            )
            .unwrap();
            trusting.with(&file).refuses(125, &["allow-loose-files"]);
            fs::write(&file, &trusting.content).unwrap();
        }
        for mode in [0o400, 0o600, 0o660, 0o640] {
            set_mode(&file, mode);
            assert_warned(trusting.with(&file), &[]);
        }
    });
}

pub fn a_file_that_everyone_can_replace_is_refused() {
    each(|trusting| {
        let dir = TempDir::new();
        let open = directory(dir.path(), "open", 0o777);
        let below = directory(&open, "below", 0o700);
        let safe = directory(dir.path(), "safe", 0o755);
        let sticky = directory(dir.path(), "sticky", 0o1777);
        for directory in [&open, &below, &safe, &sticky] {
            fs::write(directory.join("file"), &trusting.content).expect("a file");
            set_mode(&directory.join("file"), 0o600);
        }
        symlink(&safe, open.join("link")).unwrap();
        symlink("../open/file", safe.join("out")).unwrap();
        symlink("out", safe.join("twice")).unwrap();
        symlink("../safe/file", sticky.join("in")).unwrap();
        let says = format!("can replace this file in {}\n", open.display());
        let refused = [
            "open/file",
            "open/below/file",
            "open/link/file",
            "safe/out",
            "safe/twice",
            "safe/../open/file",
        ];
        for name in refused {
            let file = dir.path().join(name);
            trusting
                .with(&file)
                .refuses(125, &[&says, "--allow-loose-files"]);
            let allowed = trusting.with(&file).arg("--allow-loose-files");
            assert_warned(allowed, &["can replace this file"]);
        }
        let relative = trusting.with(Path::new("./file")).dir(&open);
        relative.refuses(125, &[&says]);
        for name in ["safe/file", "sticky/file", "sticky/in"] {
            assert_warned(trusting.with(&dir.path().join(name)), &[]);
        }
        assert_warned(trusting.with(Path::new("./file")).dir(&safe), &[]);
    });
}

pub fn a_descriptor_is_the_business_of_whoever_opened_it() {
    each(|trusting| {
        let dir = TempDir::new();
        let file = dir.file("file", &trusting.content);
        set_mode(&file, 0o666);
        for name in ["/dev/fd/3", "/proc/self/fd/3", "/dev/stdin"] {
            let redirection = if name == "/dev/stdin" { "<" } else { "3<" };
            let script = format!("exec \"$@\" {redirection}{}", file.display());
            let run = trusting
                .with(Path::new(name))
                .under(["sh", "-c", &script, "sh"]);
            assert_warned(run, &[]);
            let piped = format!(
                "cat {} | \"$@\" {}",
                file.display(),
                if name == "/dev/stdin" { "" } else { "3<&0" }
            );
            assert_warned(
                trusting
                    .with(Path::new(name))
                    .under(["sh", "-c", &piped, "sh"]),
                &[],
            );
        }
    });
}

pub fn what_some_can_change_draws_one_warning_with_the_commands() {
    each(|trusting| {
        let dir = TempDir::new();
        let file = dir.file("a file", &trusting.content);
        let name = format!("'{}'", file.display());
        let cases = [
            (
                0,
                OTHER,
                0o660,
                vec![
                    format!("group {OTHER} can write"),
                    format!("(chmod g-w {name})"),
                ],
            ),
            (
                OTHER,
                OTHER,
                0o600,
                vec![
                    format!("user {OTHER} can change"),
                    format!("(chown 0 {name})"),
                ],
            ),
            (
                OTHER,
                OTHER,
                0o664,
                vec![format!("chown 0 {name} && chmod g-w")],
            ),
            (0, OTHER, 0o640, vec![]),
            (0, 0, 0o660, vec![]),
        ];
        for (user, group, mode, expected) in cases {
            chown(&file, Some(user), Some(group)).expect("an owner");
            set_mode(&file, mode);
            let expected: Vec<_> = expected.iter().map(String::as_str).collect();
            assert_warned(trusting.with(&file), &expected);
        }
    });
}

/// Of root, and readable by all, as Docker mounts it.
pub fn a_secret_of_a_container_is_read_with_a_warning() {
    let tree = Tree::example();
    let dir = TempDir::new();
    let file = dir.file("key", CLIENT_KEY);
    set_mode(dir.path(), 0o755);
    set_mode(tree.root(), 0o755);
    set_mode(&file, 0o444);
    let run = tree
        .dotenv_run()
        .arg("my-app")
        .arg("--client-key")
        .arg(&file);
    let says = ["can read this key file", "chmod o-r"];
    assert_warned(run.under(AS_NOBODY), &says);
}

pub fn sealing_refuses_it_as_well() {
    let tree = Tree::example();
    let dir = TempDir::new();
    let file = dir.file("key", CLIENT_KEY);
    set_mode(&file, 0o666);
    let put = || {
        let run = Run::dotenv_seal().arg("put").arg(tree.root()).arg("my-app");
        run.arg("--client-key").arg(&file).stdin("A=1\n")
    };
    put().finish().assert_refused(
        125,
        &[
            "every user on this machine can write",
            "--allow-loose-files",
        ],
    );
    put()
        .args(["--allow-weak-key", "--allow-loose-files", "--replace"])
        .finish()
        .assert_status(0);
}
