//! In front of a service, under those who start and stop services: a container runtime and systemd.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use crate::launch::init::{STATIC_BUILD, static_build};
use crate::support::*;

tests![
    a_stopped_container_ends_at_once_with_143 needs(ROOT, STATIC_BUILD, BUSYBOX, RUNTIME),
    a_container_ends_with_the_status_of_the_command needs(ROOT, STATIC_BUILD, BUSYBOX, RUNTIME),
    a_container_without_a_command_yet_stops_at_once needs(ROOT, STATIC_BUILD, BUSYBOX, RUNTIME),
];

const PLAIN: &str = "legacy/production/api";

/// A path whose project needs the client key.
const SEALED: &str = "my-app/production/api";

/// A busybox that runs where there is nothing else.
pub const BUSYBOX: fn() -> Result<(), String> = || {
    let root = TempDir::new();
    let busybox = busybox().ok_or("needs a busybox")?;
    install(&busybox, &root.path().join("busybox"));
    let run = Run::program("chroot").arg(root.path());
    match run.args(["/busybox", "true"]).finish().status.success() {
        true => Ok(()),
        false => Err("needs a static busybox".into()),
    }
};

/// Copies a program. With `fs::copy` a process that another test starts at that moment would have it open
/// for writing, so that it could not be executed.
#[track_caller]
fn install(program: &Path, to: &Path) {
    let copy = Run::program("cp").args([program, to]).finish();
    copy.assert_status(0);
}

fn busybox() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut programs = std::env::split_paths(&path).map(|dir| dir.join("busybox"));
    programs.find(|program| program.is_file())
}

/// A runtime that can start a container here.
pub const RUNTIME: fn() -> Result<(), String> = || {
    let container = Container::new(&["/bin/true"]);
    match container.run("run").map(Run::finish) {
        Some(outcome) if outcome.status.success() => Ok(()),
        Some(outcome) => Err(format!(
            "needs a runtime that works here: {}",
            outcome.stderr.trim()
        )),
        None => Err("needs runc or crun".into()),
    }
};

fn runtime() -> Option<&'static str> {
    ["runc", "crun"].into_iter().find(|name| tool(name).is_ok())
}

/// A bundle with a small root: busybox, us, and a tree in `/srv`.
pub struct Container {
    bundle: TempDir,
    id: String,
}

impl Container {
    pub fn new(words: &[&str]) -> Self {
        let bundle = TempDir::new();
        let root = bundle.path().join("rootfs");
        for directory in ["bin", "proc", "srv", "tmp"] {
            fs::create_dir_all(root.join(directory)).expect("a directory of ours");
        }
        if let Some(busybox) = busybox() {
            install(&busybox, &root.join("bin/busybox"));
        }
        for name in ["sh", "sleep", "true"] {
            symlink("busybox", root.join("bin").join(name)).expect("a link");
        }
        if let Ok(program) = static_build() {
            install(&program, &root.join("bin/dotenv-run"));
        }
        let tree = Tree::example();
        fs::rename(tree.root().join("api"), root.join("srv/api")).expect("a tree");
        bundle.file("config.json", configuration(words).to_string());
        let name = bundle.path().file_name().expect("a name").to_string_lossy();
        let id = name.replace('.', "-");
        Container { bundle, id }
    }

    /// `dotenv-run` with the tree, as the container's entrypoint.
    fn of(path: &str, command: &[&str]) -> Self {
        let ours = [
            "/bin/dotenv-run",
            "-q",
            "--custody",
            "any",
            "--api-url",
            "file:///srv",
            path,
            "--",
        ];
        Container::new(&[&ours, command].concat())
    }

    /// A command of the runtime about this container.
    fn run(&self, command: &str) -> Option<Run> {
        let run = Run::program(runtime()?).arg(command);
        let run = run.dir(self.bundle.path());
        Some(run.arg(&self.id))
    }

    /// The directory that the container has as its root.
    pub fn root(&self) -> PathBuf {
        self.bundle.path().join("rootfs")
    }

    /// Changes the configuration that the runtime reads (config.md of the OCI runtime specification).
    pub fn configure(&self, change: impl FnOnce(&mut serde_json::Value)) {
        let file = self.bundle.path().join("config.json");
        let text = fs::read(&file).expect("a configuration");
        let mut value = serde_json::from_slice(&text).expect("JSON");
        change(&mut value);
        fs::write(file, value.to_string()).expect("a configuration");
    }

    #[track_caller]
    pub fn start(&self) -> Live {
        self.run("run").expect("a runtime").spawn()
    }

    /// What `docker stop` does first, and for ten seconds nothing else.
    #[track_caller]
    fn stop(&self) {
        let kill = self.run("kill").expect("a runtime").arg("TERM");
        wait_until("a container that takes a signal", || {
            kill.clone().finish().status.success()
        });
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if let Some(run) = self.run("delete") {
            // It is gone already if all went well.
            run.arg("--force").finish();
        }
    }
}

fn configuration(words: &[&str]) -> serde_json::Value {
    let namespaces = ["pid", "ipc", "uts", "mount"].map(|kind| json!({ "type": kind }));
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": { "uid": 0, "gid": 0 },
            "args": words,
            "env": ["PATH=/bin"],
            "cwd": "/",
        },
        "root": { "path": "rootfs" },
        "mounts": [{ "destination": "/proc", "type": "proc", "source": "proc" }],
        "linux": { "namespaces": namespaces },
    })
}

/// Far less than the ten seconds after which a container is killed.
const AT_ONCE: Duration = Duration::from_secs(3);

pub fn a_stopped_container_ends_at_once_with_143() {
    let containers = [
        Container::of(
            PLAIN,
            &["sh", "-c", "echo begun $PPID $LOG_LEVEL; exec sleep 1000"],
        ),
        Container::of(
            PLAIN,
            &["sh", "-c", "echo begun $PPID $LOG_LEVEL; sleep 1000"],
        ),
    ];
    for container in containers {
        let live = container.start();
        live.wait_for_output("begun 1 debug\n");
        let before = std::time::Instant::now();
        container.stop();
        live.wait().assert_status(128 + 15);
        assert!(before.elapsed() < AT_ONCE);
    }
}

pub fn a_container_ends_with_the_status_of_the_command() {
    for status in [0, 1, 42, 124, 255] {
        let container = Container::of(PLAIN, &["sh", "-c", &format!("exit {status}")]);
        container.start().wait().assert_status(status);
    }
    let absent = Container::of(PLAIN, &["/absent"]).start().wait();
    absent.assert_refused(127, &["/absent"]);
}

/// It waits for a key that nobody writes.
pub fn a_container_without_a_command_yet_stops_at_once() {
    let container = Container::of(SEALED, &["true"]);
    let keys = container.root().join("run/secrets");
    fs::create_dir_all(&keys).expect("a directory of ours");
    let key = keys.join("dotenv_client_key");
    nix::unistd::mkfifo(&key, nix::sys::stat::Mode::S_IRWXU).expect("a named pipe");
    let live = container.start();
    wait_for_reader(&key);
    let before = std::time::Instant::now();
    container.stop();
    live.wait().assert_status(128 + 15).assert_stdout("");
    assert!(before.elapsed() < AT_ONCE);
}

fn wait_for_reader(pipe: &Path) {
    // Kept open, so that the reader goes on waiting.
    std::mem::forget(crate::launch::wait_for_reader(pipe));
}
