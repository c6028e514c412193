//! Completions: every option with what it takes, as the real shells offer it, and behind `--` those of the command.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::*;

tests![
    every_option_is_in_every_script,
    a_shell_that_is_not_known_is_refused,
    bash_completes needs(BASH),
    bash_completes_without_its_library needs(BASH),
    zsh_completes needs(|| tool("zsh")),
    fish_completes needs(|| tool("fish")),
    make_installs_them_beside_the_manuals needs(|| tool("make")),
];

const LIBRARY: &str = "/usr/share/bash-completion/bash_completion";

const BASH: fn() -> Result<(), String> = || {
    tool("bash")?;
    match Path::new(LIBRARY).exists() {
        true => Ok(()),
        false => Err(format!("needs {LIBRARY}")),
    }
};

fn script(shell: &str) -> String {
    let outcome = Run::dotenv_run().args(["--completions", shell]).finish();
    outcome.assert_status(0);
    assert_eq!(outcome.stderr, "");
    outcome.text().to_owned()
}

/// A directory that holds the script and two files to be completed.
fn directory(shell: &str, name: &str) -> TempDir {
    let dir = TempDir::new();
    dir.file(name, script(shell));
    dir.file("otter.pem", "");
    dir.file("other.txt", "");
    dir
}

/// What is typed and what is offered for it, in alphabetical order; all shells agree about it.
const CASES: [(&str, &[&str]); 12] = [
    ("--prin", &["--print"]),
    ("--file", &["--file", "--file-mode", "--file-only"]),
    ("--no-such", &[]),
    (
        "--print ",
        &[
            "docker",
            "env",
            "fish",
            "github",
            "json",
            "names",
            "raw",
            "raw:base64",
            "shell",
            "yaml",
        ],
    ),
    ("--print=s", &["shell"]),
    ("--mask=", &["auto", "azure", "github", "off"]),
    ("--mask=a", &["auto", "azure"]),
    ("--audit s", &["syslog"]),
    ("--completions f", &["fish"]),
    ("--ca-file ot", &["other.txt", "otter.pem"]),
    ("--only x -q p --lis", &["--list"]),
    ("p --client-key=ott", &["otter.pem"]),
];

/// The same behind `--`, where nothing of ours is offered any more.
const COMMANDS: [(&str, &str); 3] = [
    ("p -- sha256su", "sha256sum"),
    ("--exec -- sha256su", "sha256sum"),
    ("p -- cat ott", "otter.pem"),
];

fn every_option_is_in_every_script() {
    let help = Run::dotenv_run().arg("--help").finish();
    let lines = help
        .text()
        .lines()
        .filter_map(|line| line.trim().split_once("--").map(|(_, rest)| (line, rest)));
    let lines = lines.filter(|(line, _)| line.starts_with("  ") && line.trim().starts_with('-'));
    let names: Vec<_> = lines
        .map(|(_, rest)| rest.split([' ', '[']).next().expect("a name"))
        .collect();
    assert!(names.len() > 35, "{names:?}");
    for (shell, form) in [("bash", "--@ "), ("zsh", "--@"), ("fish", " -l @ ")] {
        let script = script(shell);
        for name in &names {
            assert!(script.contains(&form.replace('@', name)), "{shell}: {name}");
        }
    }
}

fn a_shell_that_is_not_known_is_refused() {
    let run = || Run::dotenv_run().arg("--completions");
    run()
        .arg("csh")
        .finish()
        .assert_refused(125, &["--completions: must be bash, zsh or fish"]);
    run()
        .finish()
        .assert_refused(125, &["'--completions' needs a value"]);
}

/// Offers for a line, as bash's own completion of a line finds them: it splits the words itself, at an equals sign too.
const BASH_OFFERS: &str = r#"
    words=()
    while read -r word; do words+=("$word"); done < <(sed 's/=/\n=\n/g; s/ /\n/g' <<<"$1" | sed '/^$/d')
    case $1 in *' ' | *=) [[ $1 == *= ]] || words+=("") ;; esac
    COMP_WORDS=(dotenv-run "${words[@]}") COMP_CWORD=${#words[@]} COMP_LINE="dotenv-run $1"
    COMP_POINT=${#COMP_LINE}
    _dotenv_run
    printf '%s\n' "${COMPREPLY[@]}" | sed 's/ $//; /^$/d' | LC_ALL=C sort
"#;

fn bash_offers(dir: &TempDir, library: &str, line: &str) -> Vec<String> {
    let script = format!("{library}\n. ./dotenv-run\n{BASH_OFFERS}");
    let run = Run::program("bash").args(["--norc", "-c", &script, "bash", line]);
    let outcome = run.dir(dir.path()).finish();
    let has_defect = |line: &str| !line.contains("compopt: not currently executing");
    assert!(!outcome.stderr.lines().any(has_defect), "{outcome}");
    outcome.text().lines().map(str::to_owned).collect()
}

/// That a shell offers what it should; `offers` are in alphabetical order.
#[track_caller]
fn assert_offers(mut offers: impl FnMut(&str) -> Vec<String>) {
    for (line, expected) in CASES {
        assert_eq!(offers(line), expected, "{line:?}");
    }
    for (line, offer) in COMMANDS {
        let found = offers(line);
        assert!(
            found.iter().any(|known| known == offer),
            "{line:?}: {found:?}"
        );
        let ours = found.iter().find(|offer| offer.starts_with("--"));
        assert_eq!(ours, None, "{line:?}");
    }
}

fn assert_bash(library: &str) {
    let dir = directory("bash", "dotenv-run");
    assert_offers(|line| bash_offers(&dir, library, line));
}

fn bash_completes() {
    assert_bash(&format!(". {LIBRARY}"));
    // And as it is typed.
    let dir = directory("bash", "dotenv-run");
    let run = Run::program("bash")
        .args(["--norc", "--noprofile", "-i"])
        .env("PS1", "ready> ");
    let run = run
        .env("TERM", "dumb")
        .env("INPUTRC", "/dev/null")
        .dir(dir.path());
    let mut terminal = Terminal::spawn(run);
    terminal.expect("ready> ");
    terminal.send(format!(". {LIBRARY}; . ./dotenv-run; PS1=set\\>\\ \r"));
    terminal.expect("set> ");
    terminal.send("dotenv-run --no-attr\t--mask=gi\t-- sha256su\t");
    terminal.expect("--no-attribution --mask=github -- sha256sum ");
    terminal.send("\x15exit\r");
    terminal.wait();
}

fn bash_completes_without_its_library() {
    assert_bash("");
}

/// Has zsh write down what its completion system offers. What only looks for matches is let through.
const ZSH_SETTINGS: &str = r#"
fpath=($PWD $fpath)
autoload -Uz compinit
compinit -u -D
compadd() {
    if [[ " ${@[1,(i)(-|--)]}" == *' -'(O|A|D)' '* ]]; then
        builtin compadd "$@"
    else
        local -a found
        builtin compadd -A found "$@"
        print -rl -- $found >>offers
        builtin compadd "$@"
    fi
}
setopt no_beep no_list_ambiguous
unsetopt zle_bracketed_paste
PROMPT='set> '
"#;

fn zsh_completes() {
    let dir = directory("zsh", "_dotenv-run");
    dir.file("settings", ZSH_SETTINGS);
    let run = Run::program("zsh").args(["-f", "-i"]).env("TERM", "dumb");
    let mut terminal = Terminal::spawn(run.env("HOME", dir.path()).dir(dir.path()));
    terminal.send(". ./settings\r");
    terminal.expect("set> ");
    let offers = |line: &str| {
        let file = dir.file("offers", "");
        let done = dir.path().join("done");
        // What is typed is not run: it ends up behind a command that does nothing.
        terminal.send(format!("dotenv-run {line}\t\x01: >done; : \r"));
        wait_until("a completion", || done.exists());
        fs::remove_file(&done).expect("a file of ours");
        let text = fs::read_to_string(file).expect("what is offered");
        let found = text.lines().filter(|line| !line.is_empty());
        let mut found: Vec<_> = found
            .map(|offer| offer.trim_end_matches('=').to_owned())
            .collect();
        found.sort();
        found.dedup();
        found
    };
    assert_offers(offers);
    terminal.send("exit\r");
    terminal.wait();
}

fn fish_completes() {
    let dir = directory("fish", "dotenv-run.fish");
    let offers = |line: &str| {
        let run = Run::program("fish").args(["--no-config", "-c"]);
        let run = run
            .arg("source dotenv-run.fish; complete -C \"dotenv-run $argv[1]\"")
            .args(["--", line]);
        let outcome = run.env("HOME", dir.path()).dir(dir.path()).finish();
        assert_eq!(outcome.stderr, "", "{line}");
        // Behind an equals sign fish offers the whole word; what follows a tab is the description.
        let offers = outcome
            .text()
            .lines()
            .map(|line| line.split('\t').next().unwrap_or_default());
        let mut offers: Vec<_> = offers
            .map(|offer| {
                offer
                    .split_once('=')
                    .map_or(offer, |(_, value)| value)
                    .to_owned()
            })
            .collect();
        offers.sort();
        offers
    };
    assert_offers(offers);
}

fn make_installs_them_beside_the_manuals() {
    let dir = TempDir::new();
    let bin = Path::new(env!("CARGO_BIN_EXE_dotenv-run"))
        .parent()
        .expect("a directory");
    let make = |target: &str| {
        let run = Run::program("make").args(["-s", "-C", env!("CARGO_MANIFEST_DIR"), target]);
        // What is built is there already.
        let run = run
            .args(["CARGO=true", "PREFIX=/usr"])
            .arg(format!("BUILT={}", bin.display()));
        let outcome = run.arg(format!("DESTDIR={}", dir.path().display()));
        outcome.finish().assert_status(0);
    };
    make("install");
    let mode = |name: &str| {
        let program = fs::metadata(dir.path().join("usr/bin").join(name));
        program.expect("an installed program").permissions().mode() & 0o7777
    };
    assert_eq!([mode("dotenv-run"), mode("dotenv-seal")], [0o711, 0o755]);
    let installed = |path: &str| fs::read_to_string(dir.path().join("usr/share").join(path));
    for (shell, path) in [
        ("bash", "bash-completion/completions/dotenv-run"),
        ("zsh", "zsh/site-functions/_dotenv-run"),
        ("fish", "fish/vendor_completions.d/dotenv-run.fish"),
    ] {
        assert_eq!(installed(path).expect("an installed file"), script(shell));
    }
    let manuals = concat!(env!("CARGO_MANIFEST_DIR"), "/man");
    for page in fs::read_dir(manuals).expect("manuals") {
        let page = page.expect("a manual").path();
        let section = page.extension().expect("a section").display();
        let name = page.file_name().expect("a name").display();
        let found = installed(&format!("man/man{section}/{name}"));
        let source = fs::read_to_string(&page).expect("a manual");
        assert_eq!(found.expect("an installed manual"), source);
    }

    make("uninstall");
    let left = Run::program("find").arg(dir.path()).args(["-type", "f"]);
    left.finish().assert_status(0).assert_stdout("");
}
