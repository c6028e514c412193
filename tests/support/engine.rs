//! A container engine of one's own, for what only a real one can say.

use std::fs;
use std::path::PathBuf;

use nix::sys::signal::Signal;

use super::needs::{ROOT, tool};
use super::run::{Live, Run};
use super::table::Need;
use super::temp::TempDir;
use super::wait::wait_until;

/// Root, the programs of an engine, and that it can start a container here.
pub const ENGINE: Need = || {
    ROOT()?;
    for program in ["dockerd", "docker", "busybox"] {
        tool(program)?;
    }
    let engine = Engine::start().ok_or("needs a dockerd that works here")?;
    let ran = engine.docker(&["run", "--rm", "--network", "none", IMAGE, "true"]);
    match ran.finish().status.success() {
        true => Ok(()),
        false => Err("needs a dockerd that can start a container here".into()),
    }
};

/// An image of busybox alone.
pub const IMAGE: &str = "busybox-of-the-tests";

pub struct Engine {
    directory: TempDir,
    daemon: Option<Live>,
}

impl Engine {
    /// Starts one that uses no network and nothing of another one, and gives it the image.
    pub fn start() -> Option<Self> {
        let directory = TempDir::new();
        let path = |name: &str| directory.path().join(name).display().to_string();
        let run = Run::program("dockerd");
        let run = run.args(["--data-root", &path("data"), "--exec-root", &path("exec")]);
        let run = run.args(["-H", &format!("unix://{}", path("socket"))]);
        let run = run.args(["--pidfile", &path("pid"), "--storage-driver=vfs"]);
        let daemon = run
            .args(["--iptables=false", "--ip6tables=false", "--bridge=none"])
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .spawn();
        let engine = Engine {
            directory,
            daemon: Some(daemon),
        };
        let is_up = || engine.docker(&["version"]).finish().status.success();
        let is_over = || engine.daemon.as_ref().is_none_or(Live::has_ended);
        wait_until("an engine, or its end", || is_over() || is_up());
        (!is_over() && engine.import()).then_some(engine)
    }

    fn import(&self) -> bool {
        let bin = self.directory.path().join("root/bin");
        fs::create_dir_all(&bin).expect("a directory of ours");
        let script = "cp \"$(command -v busybox)\" \"$0\" && for it in sh env true; do ln -s busybox \"$0/$it\"; done
            tar -C \"$0/..\" -cf - bin | docker import - \"$1\"";
        let run = Run::program("sh").args(["-c", script]).arg(&bin).arg(IMAGE);
        self.reached_by(run).finish().status.success()
    }

    /// Where it listens.
    fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    /// A run whose `docker` is for this engine.
    pub fn reached_by(&self, run: Run) -> Run {
        run.env("DOCKER_HOST", format!("unix://{}", self.socket().display()))
    }

    pub fn docker(&self, arguments: &[&str]) -> Run {
        self.reached_by(Run::program("docker").args(arguments))
    }
}

impl Drop for Engine {
    /// Lets it end what it has started, and unmount what it has mounted.
    fn drop(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            if !daemon.has_ended() {
                daemon.signal(Signal::SIGTERM);
            }
            // Its last message is of no interest, and that it ended is seen by who needs it.
            let _ = daemon.try_wait();
        }
    }
}
