//! As a service: a systemd of the test's own, PID 1 of namespaces of its own, runs units with us in
//! their `ExecStart=`.

use std::fs;
use std::path::Path;

use crate::support::*;

tests![
    a_service_that_notifies_becomes_active_and_stops_with_success needs(ROOT, SYSTEMD, PYTHON),
    a_credential_of_the_service_is_the_key needs(ROOT, SYSTEMD),
    a_key_that_systemd_opens_is_out_of_the_commands_reach needs(ROOT, SYSTEMD),
    the_signal_that_ends_the_command_is_the_services needs(ROOT, SYSTEMD),
    an_ignored_sigpipe_stays_ignored needs(ROOT, SYSTEMD),
    a_filter_that_kills_for_other_calls_kills_no_run needs(ROOT, SYSTEMD),
];

const MANAGER: &str = "/lib/systemd/systemd";

/// Starts a manager that finds its units in `SYSTEMD_UNIT_PATH` and sees no process but its own. Credentials
/// reach a service through shared mounts only.
const START: &str = "set -e
    mount --make-rshared /
    mount -t tmpfs tmpfs /run
    mkdir /run/systemd
    umount -R /sys/fs/cgroup
    mount -t cgroup2 none /sys/fs/cgroup
    [ -n \"$TRIAL\" ] || exec /lib/systemd/systemd --system --show-status=no --unit=test.target";

const NAMESPACE: [&str; 7] = [
    "--pid",
    "--fork",
    "--kill-child",
    "--mount",
    "--mount-proc",
    "--cgroup",
    "--",
];

pub const SYSTEMD: fn() -> Result<(), String> = || {
    if !Path::new(MANAGER).exists() {
        return Err(format!("needs {MANAGER}"));
    }
    tool("systemctl")?;
    let trial = Run::program("unshare")
        .args(NAMESPACE)
        .args(["sh", "-c", START])
        .env("TRIAL", "1");
    match trial.finish().status.success() {
        true => Ok(()),
        false => Err("needs namespaces with control groups of their own".to_owned()),
    }
};

const PYTHON: fn() -> Result<(), String> = || tool("python3");

/// A running systemd.
pub struct Manager {
    _directory: TempDir,
    /// What the namespaces are entered by.
    pid: String,
    _unshare: Live,
}

impl Manager {
    /// Starts one with services, each given by its name and the lines of its `[Service]` section in
    /// which `=@ ` stands for dotenv-run with its options, up to the `--` before the command.
    fn with(services: &[(&str, &str)], tree: &Tree, options: &str) -> Self {
        let directory = TempDir::new();
        let program = env!("CARGO_BIN_EXE_dotenv-run");
        let ours = format!(
            "{program} --quiet --custody any --api-url {} {options}",
            tree.url()
        );
        let unit = "[Unit]\nDefaultDependencies=no\n";
        // What the target is ordered after stays loaded, so that its end can be asked for.
        let names: String = services
            .iter()
            .map(|(name, _)| format!("After={name}.service\n"))
            .collect();
        fs::write(
            directory.path().join("test.target"),
            format!("{unit}{names}"),
        )
        .unwrap();
        for (name, lines) in services {
            let text = format!(
                "{unit}[Service]\n{}\n",
                lines.replace("=@ ", &format!("={ours} "))
            );
            fs::write(directory.path().join(format!("{name}.service")), text).unwrap();
        }
        Manager::of_units(directory, &[])
    }

    /// Starts one with the units of a directory, `test.target` among them, behind words that prepare its namespaces.
    pub fn of_units(directory: TempDir, preparation: &[String]) -> Self {
        let run = Run::program("unshare").args(NAMESPACE).args(preparation);
        let run = run.args(["sh", "-c", START]);
        let run = run
            .env("SYSTEMD_UNIT_PATH", directory.path())
            .env("container", "other");
        let unshare = run.limit(std::time::Duration::from_secs(60)).spawn();
        let children = format!("/proc/{0}/task/{0}/children", unshare.pid());
        let pid = wait_for("a process in the namespaces", || {
            let children = fs::read_to_string(&children).ok()?;
            Some(children.split_whitespace().next()?.to_owned())
        });
        let manager = Manager {
            _directory: directory,
            pid,
            _unshare: unshare,
        };
        wait_until("a manager that is up", || {
            manager.systemctl(&["is-system-running"]) == "running\n"
        });
        manager
    }

    /// What systemctl prints inside.
    pub fn systemctl(&self, words: &[&str]) -> String {
        let run = Run::program("nsenter").args(["-t", &self.pid, "-p", "-m", "-C", "systemctl"]);
        run.args(words).finish().text().to_owned()
    }

    pub fn property(&self, service: &str, name: &str) -> String {
        let text = self.systemctl(&["show", "--value", "-p", name, &format!("{service}.service")]);
        text.trim_end().to_owned()
    }

    pub fn wait_for_state(&self, service: &str, state: &str) {
        wait_until(&format!("{service} to be {state}"), || {
            self.property(service, "ActiveState") == state
        });
    }
}

/// Says that it is ready, as sd_notify(3) does, and stays.
const NOTIFYING: &str = "python3 -c \"\
    import os, socket, time; \
    address = os.environ['NOTIFY_SOCKET'].replace(chr(64), chr(0)); \
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'READY=1', address); \
    time.sleep(1000)\"";

fn a_service_that_notifies_becomes_active_and_stops_with_success() {
    let tree = Tree::example();
    // In place we are the main process, from which alone systemd takes notice by default.
    for (options, access) in [("legacy --", "main"), ("--supervise legacy --", "all")] {
        let lines = format!("Type=notify\nNotifyAccess={access}\nExecStart=@ {NOTIFYING}");
        let manager = Manager::with(&[("demo", &lines)], &tree, options);
        manager.systemctl(&["start", "demo.service"]);
        assert_eq!(
            manager.property("demo", "ActiveState"),
            "active",
            "{options}"
        );
        manager.systemctl(&["stop", "demo.service"]);
        assert_eq!(
            manager.property("demo", "ActiveState"),
            "inactive",
            "{options}"
        );
        assert_eq!(manager.property("demo", "Result"), "success", "{options}");
        assert_eq!(
            manager.property("demo", "ExecMainStatus"),
            "15",
            "{options}"
        );
    }
}

fn a_credential_of_the_service_is_the_key() {
    let tree = Tree::example();
    let keys = TempDir::new();
    let key = keys.file("key", CLIENT_KEY);
    let output = keys.path().join("output");
    let service = |credential: &str| {
        format!(
            "Type=oneshot\n{credential}\nStandardError=null\nStandardOutput=file:{}\nExecStart=@ printenv APP_NAME",
            output.display()
        )
    };
    let with = service(&format!(
        "LoadCredential=dotenv-client-key:{}",
        key.display()
    ));
    let services = [("with", with.as_str()), ("without", &service(""))];
    let manager = Manager::with(&services, &tree, "my-app --");
    manager.systemctl(&["start", "without.service"]);
    manager.wait_for_state("without", "failed");
    assert_eq!(manager.property("without", "ExecMainStatus"), "125");
    assert_eq!(fs::read_to_string(&output).unwrap(), "");
    manager.systemctl(&["start", "with.service"]);
    manager.wait_for_state("with", "inactive");
    assert_eq!(fs::read_to_string(&output).unwrap(), "Acme\n");
}

/// The manager opens the file before it changes the user. A credential the command could read as we do.
fn a_key_that_systemd_opens_is_out_of_the_commands_reach() {
    let (tree, keys) = (Tree::example(), TempDir::new());
    let copied = Run::dotenv_run().copied_to(keys.path());
    drop(copied);
    let key = keys.file("key", CLIENT_KEY).display().to_string();
    let program = keys.path().join("dotenv-run").display().to_string();
    set_mode(Path::new(&key), 0o400);
    [tree.root(), keys.path()]
        .into_iter()
        .for_each(|directory| set_mode(directory, 0o755));
    let service = |source: &str, option: &str, readable: &str| {
        let output = keys.path().join(readable.replace(['$', '/'], "_"));
        let script = format!("printenv APP_NAME; cat {readable} >/dev/null 2>&1 && echo read; cat");
        let lines = format!(
            "Type=oneshot\nUser=nobody\n{source}\nStandardError=null\nStandardOutput=file:{}\n\
             ExecStart={program} -q --custody any --api-url {} {option} my-app -- sh -c '{}'",
            output.display(),
            tree.url(),
            script.replace('$', "$$"),
        );
        (lines, output)
    };
    let (opened, output_of_opened) =
        service(&format!("StandardInput=file:{key}"), "--client-key -", &key);
    let credential = format!("LoadCredential=dotenv-client-key:{key}");
    let readable = "$CREDENTIALS_DIRECTORY/dotenv-client-key";
    let (loaded, output_of_loaded) = service(&credential, "", readable);
    let services = [("opened", &*opened), ("loaded", &*loaded)];
    let manager = Manager::with(&services, &tree, "my-app --");
    for (name, output, shown) in [
        ("opened", output_of_opened, "Acme\n"),
        ("loaded", output_of_loaded, "Acme\nread\n"),
    ] {
        manager.systemctl(&["start", &format!("{name}.service")]);
        manager.wait_for_state(name, "inactive");
        assert_eq!(
            fs::read_to_string(output).expect("an output"),
            shown,
            "{name}"
        );
    }
}

/// What systemd.exec(5) recommends for services, and the same with what the recipe adds.
const FILTERS: [&str; 2] = ["@system-service", "@system-service memfd_secret"];

fn a_filter_that_kills_for_other_calls_kills_no_run() {
    let tree = Tree::example();
    let directory = TempDir::new();
    let key = directory.file("key", CLIENT_KEY);
    let ways = [
        ("plain", "", "Acme\n"),
        ("supervise", "--supervise", "Acme\n"),
        ("timeout", "--stop-timeout=5", "Acme\n"),
        ("redact", "--redact", "[APP_NAME]\n"),
        ("watch", "--watch", "Acme\n"),
    ];
    for filter in FILTERS {
        let service = |(name, option, _): (&str, &str, &str)| {
            let output = directory.path().join(name);
            // Long enough for a supervisor to be confined.
            let command = "sh -c 'sleep 0.1; printenv APP_NAME'";
            format!(
                "Type=oneshot\nSystemCallFilter={filter}\nLoadCredential=dotenv-client-key:{}\n\
                 StandardOutput=truncate:{}\nStandardError=inherit\n\
                 ExecStart=@ {option} my-app -- {command}",
                key.display(),
                output.display()
            )
        };
        let units = ways.map(|way| (way.0, service(way)));
        let units = units
            .each_ref()
            .map(|(name, lines)| (*name, lines.as_str()));
        let manager = Manager::with(&units, &tree, "");
        for (name, _, expected) in ways {
            manager.systemctl(&["start", &format!("{name}.service")]);
            manager.wait_for_state(name, "inactive");
            let output = fs::read_to_string(directory.path().join(name)).unwrap();
            assert_eq!(output, expected, "{name}, {filter}");
            assert_eq!(
                manager.property(name, "Result"),
                "success",
                "{name}, {filter}"
            );
        }
    }
}

fn the_signal_that_ends_the_command_is_the_services() {
    let tree = Tree::example();
    for options in ["legacy --", "--supervise legacy --"] {
        let killed = "ExecStart=@ sh -c 'kill -USR1 $$$$'\nRestart=always\nRestartSec=0\n\
                      RestartPreventExitStatus=SIGUSR1";
        let manager = Manager::with(&[("demo", killed)], &tree, options);
        manager.systemctl(&["start", "demo.service"]);
        manager.wait_for_state("demo", "failed");
        assert_eq!(manager.property("demo", "Result"), "signal", "{options}");
        assert_eq!(manager.property("demo", "NRestarts"), "0", "{options}");
    }
}

fn an_ignored_sigpipe_stays_ignored() {
    let tree = Tree::example();
    let directory = TempDir::new();
    for options in ["legacy --", "--supervise legacy --"] {
        let of = |name: &str, before: &str| {
            let output = directory.path().join(name);
            let command = "grep SigIgn /proc/self/status";
            format!(
                "Type=oneshot\nStandardOutput=truncate:{}\nExecStart={before}{command}",
                output.display()
            )
        };
        let services = [("bare", of("bare", "")), ("ours", of("ours", "@ "))];
        let services = services
            .each_ref()
            .map(|(name, lines)| (*name, lines.as_str()));
        let manager = Manager::with(&services, &tree, options);
        let [bare, ours] = ["bare", "ours"].map(|name| {
            manager.systemctl(&["start", &format!("{name}.service")]);
            manager.wait_for_state(name, "inactive");
            fs::read_to_string(directory.path().join(name)).unwrap()
        });
        assert!(
            bare.trim_end().ends_with("1000"),
            "systemd ignores SIGPIPE: {bare}"
        );
        assert_eq!(bare, ours, "{options}");
    }
}
