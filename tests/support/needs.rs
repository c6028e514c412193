//! What a test may need of the machine, for the `needs(...)` of a table.

use std::process::{Command, Stdio};

use nix::unistd::geteuid;

use super::table::Need;

/// Running as root.
pub const ROOT: Need = || match geteuid().is_root() {
    true => Ok(()),
    false => Err("needs root".into()),
};

/// To be put in front of a program: it runs as a user without privileges, which takes root.
pub const AS_NOBODY: [&str; 5] = [
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "--",
];

/// Root, and a user without privileges who can execute what was built.
pub const NOBODY: Need = || {
    ROOT()?;
    let program = env!("CARGO_BIN_EXE_dotenv-run");
    works("setpriv", &[&AS_NOBODY[1..], &[program, "--help"]].concat())
};

/// `strace` that is allowed to trace: containers often forbid it.
pub const STRACE: Need = || works("strace", &["-o", "/dev/null", "true"]);

/// New user and PID namespaces through `unshare`.
pub const NAMESPACES: Need = || {
    works(
        "unshare",
        &["--user", "--map-root-user", "--pid", "--fork", "true"],
    )
};

/// New network and mount namespaces, and `ip` to set a network up.
pub const NETWORKS: Need = || {
    tool("ip")?;
    let script = "ip link set lo up && ip route add 192.0.2.1 dev lo && \
        mount --bind /etc/hosts /etc/resolv.conf";
    let unshare = ["--user", "--map-root-user", "--net", "--mount"];
    works("unshare", &[&unshare[..], &["sh", "-c", script]].concat())
};

/// A network of one's own with a neighbour in it, and a way in for what is started later.
pub const NEIGHBOURS: Need = || {
    NETWORKS()?;
    tool("nsenter")?;
    let unshare = ["--user", "--map-root-user", "--net"];
    let link = [
        "ip", "link", "add", "here", "type", "veth", "peer", "name", "there",
    ];
    works("unshare", &[&unshare[..], &link].concat())
};

/// A namespace with a `/run` of one's own.
pub const OWN_RUN: Need = || {
    let unshare = ["--user", "--map-root-user", "--mount"];
    let mount = ["mount", "-t", "tmpfs", "none", "/run"];
    works("unshare", &[&unshare[..], &mount].concat())
};

/// A namespace in which nothing can be reached by accident.
pub const NO_NETWORK: Need = || works("unshare", &["--user", "--map-root-user", "--net", "true"]);

/// A program on PATH. For a table: `needs(|| tool("mandoc"))`.
pub fn tool(name: &str) -> Result<(), String> {
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .any(|dir| dir.join(name).is_file());
    match found {
        true => Ok(()),
        false => Err(format!("needs {name} on PATH")),
    }
}

fn works(program: &str, arguments: &[&str]) -> Result<(), String> {
    tool(program)?;
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        _ => Err(format!(
            "needs a {program} that works here: `{program} {}` fails",
            arguments.join(" ")
        )),
    }
}
