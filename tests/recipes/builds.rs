//! The recipes for build tools, run by the tools themselves, and the lines that are for a shell.

use std::fs;

use super::machine::{Finds, Machine, PLACES, SECRET};
use super::snippets::Snippet;
use crate::support::*;

pub const NPM: fn() -> Result<(), String> = || {
    tool("node")?;
    tool("npm")?;
    PLACES()
};

pub fn make(snippet: &Snippet) {
    let machine = Machine::new();
    machine.key_file("home/.config/my-app/api-key");
    machine.file("work/Makefile", &snippet.text);
    machine.stub("work/migrate", Finds::Secrets);
    machine.stub(
        "work/deploy",
        Finds::Also("[ \"$AWS_REGION\" = eu-central-1 ]"),
    );
    let outcome = machine.run("make").args(["migrate", "deploy"]).finish();
    machine.assert_ran(&outcome, &["migrate", "deploy --region eu-central-1"]);
    // Of the key there is the name of a file, and in nothing that is shown.
    assert!(
        outcome.text().contains("--region \"$AWS_REGION\""),
        "{outcome}"
    );
    let none = machine
        .run("make")
        .arg("migrate")
        .env("HOME", "/nonexistent");
    let outcome = none.finish();
    assert!(
        !outcome.status.success() && outcome.stderr.contains("DOTENV_API_KEY_FILE"),
        "{outcome}"
    );
}

/// Says that all is well like a stub, of which it looks at nothing but the environment.
const PROGRAM: &str = "fn main() {
    let found = std::env::vars().any(|(_, value)| value.contains(\"@SECRET@\"));
    let key = std::env::vars().any(|(_, value)| value.contains(\"@KEY@\"));
    assert!(found == @FOUND@ && !key);
    println!(\"started as it should be: @NAME@\");
}
";

pub fn cargo(configuration: &Snippet) {
    let command = Snippet::find(configuration.document, &configuration.section, 2);
    let machine = Machine::new();
    let key = machine.key_file("home/key");
    let program = |name: &str, found: &str| {
        let text = PROGRAM
            .replace("@SECRET@", SECRET)
            .replace("@KEY@", &machine.api_key());
        text.replace("@NAME@", name).replace("@FOUND@", found)
    };
    let manifest =
        "[package]\nname = \"my-app\"\nversion = \"1.0.0\"\nedition = \"2024\"\n[workspace]\n";
    machine.file("work/Cargo.toml", manifest);
    machine.file("work/.cargo/config.toml", &configuration.text);
    machine.file("work/src/main.rs", &program("my-app", "true"));
    // The output of a build script is not shown: what it asserts is.
    machine.file("work/build.rs", &program("build.rs", "false"));
    let run = machine.shell(&command).env("DOTENV_API_KEY_FILE", key);
    let run = machine.with_rust(run);
    let outcome = run.env("CARGO_NET_OFFLINE", "true").finish();
    machine.assert_ran(&outcome, &["my-app"]);
}

pub fn npm(package: &Snippet) {
    let command = Snippet::find(package.document, &package.section, 2);
    let machine = Machine::new();
    let key = machine.key_file("home/key");
    machine.file("work/package.json", &package.text);
    let script =
        "const found = Object.values(process.env).some(value => value.includes('@SECRET@'))
        if (found !== @FOUND@ || process.env.DOTENV_API_KEY_FILE && @FOUND@) process.exit(1)
        console.log('started as it should be: @NAME@')\n";
    let script = script.replace("@SECRET@", SECRET);
    let named = |name: &str, found: &str| script.replace("@NAME@", name).replace("@FOUND@", found);
    machine.file("work/index.js", &named("index.js", "true"));
    machine.file("work/build.js", &named("build.js", "false"));
    // A package that takes the name: npm finds it first, and the recipe does not ask npm.
    machine.executable(
        "work/node_modules/.bin/dotenv-run",
        "#!/bin/sh\necho taken over; exit 1\n",
    );
    fs::create_dir_all(machine.path("root/usr/local/bin")).expect("a directory of ours");
    let ours = env!("CARGO_BIN_EXE_dotenv-run");
    machine.executable(
        "root/usr/local/bin/dotenv-run",
        &format!("#!/bin/sh\nexec {ours} \"$@\"\n"),
    );
    let run = |run: Run| {
        machine
            .with_places(run.env("DOTENV_API_KEY_FILE", &key))
            .finish()
    };
    machine.assert_ran(&run(machine.shell(&command)), &["index.js"]);
    machine.assert_ran(
        &run(machine.run("npm").args(["run", "build"])),
        &["build.js"],
    );
}
