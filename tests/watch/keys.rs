//! Keys of a watched run: files are read again each time, and what can be read again: a file or a variable is refused.

use std::os::fd::AsRawFd;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::*;

pub fn a_rotated_api_key_is_read_again() {
    let (service, dir) = (Service::of(world(1)), TempDir::new());
    let file = dir.file("key", service.api_key());
    set_mode(&file, 0o600);
    let run = service.dotenv_run().env_remove("DOTENV_API_KEY");
    let live = watched(run.arg("--api-key-file").arg(&file), WAIT).spawn();
    wait_for_starts(&live, 1);
    fs::write(&file, "revoked").expect("a key");
    wait_for_message(&live, "(401)");
    fs::write(&file, service.issue(service_key())).expect("a key");
    wait_for_message(&live, "can be renewed again");
    let used: std::collections::BTreeSet<_> = service
        .requests()
        .iter()
        .filter_map(|request| request.header("Authorization").map(str::to_owned))
        .collect();
    assert_eq!(used.len(), 3);
    wait_for_starts(&live, 1);
    end(live);
}

fn service_key() -> Key {
    Key::new()
}

pub fn a_rotated_client_key_is_read_again() {
    const OTHER: &str = "another-key-of-quite-some-length";
    let (tree, dir) = (tree(), TempDir::new());
    let file = dir.file("key", CLIENT_KEY);
    set_mode(&file, 0o600);
    let command = format!("{TELL} {WAIT}");
    let run = tree.dotenv_run().arg("--client-key").arg(&file);
    let live = run
        .args(["--watch=1", PATH, "--", "sh", "-c", &command])
        .spawn();
    wait_for_starts(&live, 1);
    let custody = Custody {
        key: OTHER.into(),
        ..Custody::client()
    };
    let sealed = PLACES
        .iter()
        .fold(Project::new("my-app", custody), |project, place| {
            project.level(place, &level(place, 2))
        });
    let other = Tree::of(&World::new(vec![sealed]));
    let new = fs::read(other.secrets(PATH)).expect("a document");
    replace(&tree, &tree.secrets(PATH), new);
    let manifest = fs::read(other.manifest("my-app")).expect("a document");
    replace(&tree, &tree.manifest("my-app"), manifest);
    wait_for_message(&live, "wrong client key");
    fs::write(&file, OTHER).expect("a key");
    wait_for_starts(&live, 2);
    let outcome = end(live);
    assert_eq!(told(&outcome).len(), 2, "{outcome}");
}

/// Whoever opened it and waited would renew nothing ever again.
pub fn a_key_file_that_is_a_pipe_for_a_moment_is_read_again() {
    let (tree, dir) = (tree(), TempDir::new());
    let file = dir.file("key", CLIENT_KEY);
    set_mode(&file, 0o600);
    let aside = dir.path().join("aside");
    let run = tree.dotenv_run().arg("--client-key").arg(&file);
    let live = watched(run, WAIT).spawn();
    wait_for_starts(&live, 1);
    fs::rename(&file, &aside).expect("a file that is moved");
    mkfifo(&file, Mode::S_IRWXU).expect("a named pipe");
    put(&tree, 2);
    wait_for_message(&live, "needs a key that can be read again");
    wait_for_starts(&live, 1);
    fs::rename(&aside, &file).expect("a file that is moved back");
    wait_for_starts(&live, 2);
    end(live);
}

/// They are removed from the environment, and the command gets them only if it is to.
pub fn keys_of_the_environment_serve_every_start() {
    let tree = tree();
    let script = "echo key=$DOTENV_CLIENT_KEY; exec sleep 1000";
    for (options, shown) in [(&[][..], ""), (&["--keep-credentials"][..], CLIENT_KEY)] {
        let live = watched(tree.dotenv_run().args(options), script).spawn();
        wait_for_starts(&live, 1);
        let generation = starts(&live)[0].1;
        put(&tree, generation + 1);
        wait_for_starts(&live, 2);
        wait_until("both keys", || {
            live.output_so_far()
                .matches(&format!("key={shown}\n"))
                .count()
                == 2
        });
        end(live);
    }
}

pub fn keys_that_can_be_read_once_only_are_refused() {
    let (tree, service, dir) = (tree(), Service::of(world(1)), TempDir::new());
    let pipe = dir.path().join("pipe");
    mkfifo(&pipe, Mode::S_IRWXU).expect("a named pipe");
    let pipe = pipe.to_str().expect("a path");
    // Somebody who writes, so that nobody waits for one.
    let writer = fs::OpenOptions::new().read(true).write(true).open(pipe);
    let writer = writer.expect("a named pipe");
    assert!(writer.as_raw_fd() > 0);
    let refused = |run: Run, fragments: &[&str]| {
        let witness = Witness::new();
        let run = run.args(["--watch", PATH, "--"]).args(witness.command());
        run.finish().assert_refused(125, fragments);
        witness.assert_not_started();
    };
    for source in ["-", "fd:0", pipe] {
        let words: &[&str] = &["read again: a file or a variable", "--watch"];
        let run = tree.dotenv_run().args(["--client-key", source]);
        refused(run.stdin(CLIENT_KEY), words);
        let run = tree.dotenv_run().env("DOTENV_CLIENT_KEY_FILE", source);
        refused(run.stdin(CLIENT_KEY), words);
        let run = service.dotenv_run().client_key();
        let run = run.args(["--api-key-file", source]);
        refused(run.stdin(service.api_key()), words);
    }
    assert_eq!(service.connections(), 0);
    refused(tree.dotenv_run(), &["no client key"]);
    // Nobody is asked for it either.
    let run = tree.dotenv_run().args(["--watch", PATH, "--", "true"]);
    let outcome = Terminal::spawn(run).wait();
    outcome.assert_status(125);
    assert!(outcome.text().contains("no client key"), "{outcome}");
    // A key that is of no use is not looked at.
    let run = tree
        .dotenv_run()
        .client_key()
        .args(["--api-key-file", "fd:0"]);
    run.args(["--watch", PATH, "--", "true"])
        .finish()
        .assert_status(0);
}
