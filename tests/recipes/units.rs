//! The recipes for systemd, in a systemd of the test's own.

use std::fs;

use super::machine::{Finds, Machine, PLACES};
use super::snippets::Snippet;
use crate::support::*;
use crate::systemd::{Manager, SYSTEMD};

/// A systemd, and the places that units name.
pub const SERVICES: fn() -> Result<(), String> = || {
    ROOT()?;
    SYSTEMD()?;
    PLACES()
};

/// A host key for credentials, which systemd-creds makes where there is none: here below a place of the test's own.
pub const CREDENTIALS: fn() -> Result<(), String> = || {
    tool("systemd-creds")?;
    let machine = Machine::new();
    let outcome = encrypt(&machine, "systemd-creds encrypt --name=x - - </dev/null");
    match outcome.status.success() {
        true => Ok(()),
        false => Err(format!(
            "needs a systemd-creds that can encrypt here: {}",
            outcome.stderr.trim()
        )),
    }
};

/// Runs commands that make credentials, with the key from a stub of pass(1).
fn encrypt(machine: &Machine, commands: &str) -> Outcome {
    for place in ["etc", "var/lib/systemd"] {
        fs::create_dir_all(machine.path("root").join(place)).expect("a directory of ours");
    }
    machine.stub_pass();
    let run = machine.run("sh").args(["-euc", commands]);
    machine.with_places(run).finish()
}

/// Units that the service is ordered after, without what belongs to them.
const NAMES: [&str; 5] = [
    "basic.target",
    "multi-user.target",
    "network-online.target",
    "shutdown.target",
    "sysinit.target",
];

/// Starts the unit as it stands, and looks at what its program says.
fn assert_runs(machine: &Machine, unit: &str) {
    let program = env!("CARGO_BIN_EXE_dotenv-run");
    let copy = machine.path("root/usr/local/bin/dotenv-run");
    machine.stub("root/usr/local/bin/my-app", Finds::Secrets);
    let copied = Run::program("cp").arg(program).arg(copy).finish();
    copied.assert_status(0);
    let authority = fs::read_to_string(machine.authority()).expect("certificates");
    machine.file("root/etc/ca-of-the-test.pem", &authority);

    let directory = TempDir::new();
    let output = machine.path("output");
    for name in NAMES {
        directory.file(name, "[Unit]\nDefaultDependencies=no\n");
    }
    // What it is ordered after stays loaded, so that its end can be asked for.
    let target = "[Unit]\nDefaultDependencies=no\nAfter=my-app.service\n";
    directory.file("test.target", target);
    directory.file("my-app.service", unit);
    fs::create_dir(directory.path().join("my-app.service.d")).expect("a directory of ours");
    let of_the_test = format!(
        "[Service]\nEnvironment=DOTENV_API_URL={} SSL_CERT_FILE=/etc/ca-of-the-test.pem\n\
         StandardOutput=truncate:{output}\nStandardError=append:{output}\n",
        machine.url(),
        output = output.display()
    );
    directory.file("my-app.service.d/test.conf", of_the_test);
    let verified = Run::program("systemd-analyze").args(["verify", "my-app.service"]);
    let verified = verified.env("SYSTEMD_UNIT_PATH", directory.path());
    let verified = machine.with_places(verified).finish();
    verified.assert_status(0);
    assert_eq!(verified.stderr, "", "{unit}");

    let manager = Manager::of_units(directory, &machine.places());
    manager.systemctl(&["start", "my-app.service"]);
    // After a failure it is to be started again, which is as good as an end.
    wait_until("the end of the service", || {
        let state = manager.property("my-app", "SubState");
        ["dead", "failed", "auto-restart"].contains(&state.as_str())
    });
    let output = fs::read_to_string(output).expect("the output of the service");
    let status = manager.property("my-app", "ExecMainStatus");
    let result = manager.property("my-app", "Result");
    assert_eq!(result, "success", "status {status}\n{output}");
    machine.assert_said(&output, &["my-app"]);
    machine.assert_silent(&output);
}

/// A credential from a file that only root can read.
pub fn loaded(snippet: &Snippet) {
    let machine = Machine::new();
    machine.key_file("root/etc/my-app/dotenv-api-key");
    let unit = match snippet.text.contains("[Unit]") {
        true => snippet.text.clone(),
        false => format!("[Unit]\nDescription=The rest of the unit\n{}", snippet.text),
    };
    assert_runs(&machine, &unit);
}

/// The commands leave nothing readable behind, and the unit reads it.
pub fn encrypted(snippet: &Snippet) {
    let machine = Machine::new();
    let commands = Snippet::find(snippet.document, &snippet.section, 1).commands();
    let outcome = encrypt(&machine, &commands);
    outcome.assert_status(0);
    machine.assert_silent(&outcome.to_string());
    let credential = machine.path("root/etc/my-app/api-key.cred");
    machine.assert_silent(&fs::read_to_string(credential).expect("a credential"));
    assert_runs(&machine, &snippet.text);
}

/// The commands themselves.
pub fn encrypting(snippet: &Snippet) {
    let machine = Machine::new();
    let outcome = encrypt(&machine, &snippet.commands());
    outcome.assert_status(0).assert_stdout("");
    let decrypt = "systemd-creds decrypt --name=dotenv-api-key /etc/my-app/api-key.cred -";
    let outcome = encrypt(&machine, decrypt);
    assert_eq!(outcome.assert_status(0).text().trim(), machine.api_key());
}
