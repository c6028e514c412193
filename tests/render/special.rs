//! No shell evaluates a value that `--print shell` prints, under whatever name: all special parameters of all shells are
//! tried, those that the shells list themselves and those that are known.

use std::collections::BTreeSet;
use std::fs;
use std::sync::LazyLock;

use dotenv_run::inside::dotenv::render::Form;

use super::text;
use crate::support::*;

/// How each shell lists its parameters.
const LISTS: [(&[&str], &str); 8] = [
    (&["dash"], "set"),
    (&["bash"], "compgen -v"),
    (
        &["zsh"],
        "zmodload zsh/parameter zsh/datetime zsh/sched; typeset +",
    ),
    (&["ksh93"], "typeset +; typeset"),
    (&["mksh"], "typeset"),
    (&["yash"], "typeset"),
    (&["busybox", "sh"], "set"),
    (&["posh"], "set"),
];

/// Parameters that have a meaning in some shell, listed or not.
const KNOWN: &[&str] = &[
    "BASHOPTS BASHPID BASH_ALIASES BASH_ARGV0 BASH_CMDS BASH_COMPAT BASH_ENV BASH_LOADABLES_PATH BASH_SUBSHELL",
    "BASH_XTRACEFD BAUD CDPATH CHILD_MAX COLUMNS COMMAND_NOT_FOUND_HANDLER COPROC CORRECT_IGNORE DIRSTACK DIRSTACKSIZE",
    "DIRSTACK_MAX ECHO_STYLE EDITOR EGID ENV EPOCHREALTIME EPOCHSECONDS ERRNO EUID EXECIGNORE EXECSHELL FCEDIT FIGNORE FPATH",
    "FUNCNEST GID GLOBIGNORE GROUPS HISTCHARS HISTCMD HISTCONTROL HISTEDIT HISTFILE HISTFILESIZE HISTIGNORE HISTNO",
    "HISTORY_IGNORE HISTRMDUP HISTSIZE HISTTIMEFORMAT HOME IFS IGNOREEOF INPUTRC JOBMAX KEYBOARD_HACK KEYTIMEOUT KSHEGID",
    "KSHGID KSHUID LANG LC_ALL LINENO LINES LISTMAX LOGCHECK MAIL MAILCHECK MAILPATH MAILWARNING NULLCMD OPTARG OPTERR",
    "OPTIND PATH PERIOD PGRP PIPESTATUS POSIXLY_CORRECT POSTEDIT POST_PROMPT_COMMAND PPID PROMPT PROMPT2 PROMPT3 PROMPT4",
    "PROMPT_COMMAND PROMPT_DIRTRIM PROMPT_EOL_MARK PS0 PS1 PS1P PS1R PS1S PS2 PS2R PS3 PS4 PS4R PS4S PSVAR PWD RANDOM",
    "READNULLCMD READLINE_LINE READLINE_POINT REPLY REPORTMEMORY REPORTTIME RPROMPT RPS1 RPS2 SAVEHIST SECONDS SHELL SHELLOPTS",
    "SHLVL SPROMPT SRANDOM STTY TERM TIMEFMT TIMEFORMAT TMOUT TMPDIR TMPPREFIX TMPSUFFIX TRY_BLOCK_ERROR",
    "TRY_BLOCK_INTERRUPT TTY TTYIDLE UID USERNAME USER_ID VISUAL WATCH WATCHFMT WORDCHARS XPG_ECHO YASH_AFTER_CD",
    "YASH_LE_TIMEOUT YASH_LOADPATH YASH_PS1 YASH_PS1R YASH_PS1S YASH_PS2 YASH_PS4 YASH_PS4S ZBEEP ZDOTDIR",
    "ZLE_REMOVE_SUFFIX_CHARS ZLE_RPROMPT_INDENT ZLE_SPACE_SUFFIX_CHARS _ auto_resume histchars prompt",
];

/// Values that leave a file with the parameter's name when they are evaluated: as arithmetic, as a prompt, as a command.
const VALUES: [&str; 4] = [
    "a[$(:>ran.N)0]",
    "UID[$(:>ran.N)0]",
    "$(:>ran.N)",
    ":>ran.N",
];

/// What a shell is made to do behind the assignment.
const AFTERWARDS: &[&str] = &[
    "f() { :; }",
    "f",
    "set -- -a",
    "getopts a o",
    ": $N",
    "read y </dev/null",
    "cd .",
    "set -x; : x; set +x",
    "ls",
    ": $((b + 1))",
    "typeset",
    "fc -l",
    "printf x",
    "select x in 1; do break; done </dev/null",
];

static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let mut names: BTreeSet<String> = words(KNOWN).map(String::from).collect();
    for (shell, list) in LISTS {
        if tool(shell[0]).is_err() {
            continue;
        }
        for options in [&["-c", list][..], &["-i", "-c", list]] {
            let outcome = Run::program(shell[0])
                .args(&shell[1..])
                .args(options)
                .finish();
            let listed = String::from_utf8_lossy(&outcome.stdout).into_owned();
            let words = listed.split(|letter| !is_part(letter));
            let words =
                words.filter(|word| word.starts_with(|first: char| !first.is_ascii_digit()));
            names.extend(words.map(String::from));
        }
    }
    names.into_iter().collect()
});

/// A shell, native and, as far as that differs, as `sh`.
fn check(shell: &[&str]) {
    let mut ways = vec![shell.join(" ")];
    match shell {
        ["bash"] => ways.push("bash --posix".into()),
        ["zsh"] => ways.extend(["sh", "ksh"].map(|other| format!("zsh --emulate {other}"))),
        ["yash"] => ways.push("yash --posix".into()),
        _ => (),
    }
    if matches!(shell[0], "bash" | "zsh" | "ksh93" | "mksh" | "yash") {
        ways.push("sh".into());
    }
    let refused = |name: &&String| text(Form::Shell, &[((*name).clone(), "x".into())]).is_err();
    let (planted, printed): (Vec<_>, Vec<_>) = NAMES.iter().partition(refused);
    assert!(printed.len() > 100 && planted.len() > 50);
    let print = |name: &str, value: String| text(Form::Shell, &[(name.into(), value)]).unwrap();
    let plant = |name: &str, value: String| format!("export {name}='{value}'\n");
    for way in ways {
        for is_interactive in [false, true] {
            let run = |names: &[&String], line: &dyn Fn(&str, String) -> String| {
                evaluated(shell[0], &way, is_interactive, names, line)
            };
            let (ran, is_complete) = run(&printed, &print);
            assert_eq!((ran, is_complete), (BTreeSet::new(), true), "{way}");
            // What the check would say of a name that is not refused.
            let is_caught = !run(&planted, &plant).0.is_empty();
            let evaluates_none =
                matches!(shell[0], "posh") || (!is_interactive && shell[0] == "busybox");
            assert!(is_caught || evaluates_none, "{way}: nothing is caught");
        }
    }
}

/// The names under which a value was evaluated, and whether all were tried.
fn evaluated(
    program: &str,
    way: &str,
    is_interactive: bool,
    names: &[&String],
    line: &dyn Fn(&str, String) -> String,
) -> (BTreeSet<String>, bool) {
    let mut is_complete = true;
    let dir = TempDir::new();
    let found = tool_path(program);
    std::os::unix::fs::symlink(found, dir.path().join("sh")).expect("a link");
    let way = way
        .strip_prefix("sh")
        .map_or(way.to_owned(), |rest| format!("./sh{rest}"));
    let afterwards = |name: &str| -> String {
        let command = |command: &&str| {
            let command = command
                .replace("$N", &format!("${name}"))
                .replace('\'', "\"");
            format!("command eval '{command}'\n")
        };
        AFTERWARDS.iter().map(command).collect()
    };
    for value in VALUES {
        for batch in names.chunks(if is_interactive { 25 } else { 100 }) {
            let lines = batch
                .iter()
                .map(|name| line(name, value.replace('N', name)));
            let script: String = if is_interactive {
                // In a shell that reads from a pipe, what fails ends nothing.
                lines
                    .chain([afterwards("HOME"), "\nexit\n".into()])
                    .collect()
            } else {
                let apart = lines.zip(batch.iter());
                apart
                    .map(|(line, name)| {
                        format!(
                            "(\n{line}{}) </dev/null >/dev/null 2>&1\n",
                            afterwards(name)
                        )
                    })
                    .collect()
            };
            dir.file("script", script);
            let words = if is_interactive {
                "-i <script"
            } else {
                "script"
            };
            // Some of what is planted starts itself again without an end.
            let script = format!("timeout -k 1 8 {way} {words} >/dev/null 2>&1");
            let run = Run::shell(&script).dir(dir.path()).env("HOME", dir.path());
            is_complete &= !matches!(run.finish().status.code(), Some(124 | 137));
        }
        if !is_complete {
            break;
        }
    }
    let files = fs::read_dir(dir.path()).expect("a readable directory");
    let files = files.map(|file| file.unwrap().file_name().to_string_lossy().into_owned());
    let ran = files.filter_map(|file| file.strip_prefix("ran.").map(str::to_owned));
    (ran.collect(), is_complete)
}

fn tool_path(name: &str) -> std::path::PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).map(|dir| dir.join(name));
    places
        .find(|file| file.is_file())
        .expect("a program on PATH")
}

pub fn no_parameter_of_dash_is_evaluated() {
    check(&["dash"]);
}

pub fn no_parameter_of_bash_is_evaluated() {
    check(&["bash"]);
}

pub fn no_parameter_of_zsh_is_evaluated() {
    check(&["zsh"]);
}

pub fn no_parameter_of_ksh93_is_evaluated() {
    check(&["ksh93"]);
}

pub fn no_parameter_of_mksh_is_evaluated() {
    check(&["mksh"]);
}

pub fn no_parameter_of_yash_is_evaluated() {
    check(&["yash"]);
}

pub fn no_parameter_of_busybox_is_evaluated() {
    check(&["busybox", "sh"]);
}

pub fn no_parameter_of_posh_is_evaluated() {
    check(&["posh"]);
}

/// fish never evaluates what it is given; what is not refused is the value of the command as well.
pub fn no_parameter_of_fish_is_evaluated_or_lost() {
    let list = Run::program("fish")
        .args(["-i", "-c", "set -n; set -g"])
        .finish();
    let own = list.text().split_whitespace().map(String::from);
    let is_name = |name: &String| dotenv_run::inside::dotenv::parse::is_name(name);
    let names: BTreeSet<_> = own.chain(NAMES.iter().cloned()).filter(is_name).collect();
    let value = "(touch ran.N) $(touch ran.N) a[$(touch ran.N)0]";
    let variables = names
        .iter()
        .map(|name| (name.clone(), value.replace('N', name)));
    let has_spelling =
        |variable: &(String, String)| text(Form::Fish, std::slice::from_ref(variable)).is_ok();
    let printed: Vec<_> = variables.filter(has_spelling).collect();
    assert!(printed.len() > 100);
    let dir = TempDir::new();
    let script = text(Form::Fish, &printed).unwrap() + "emit fish_prompt\nexec /usr/bin/env -0\n";
    for options in [&["-N"][..], &["-i", "-N"]] {
        let run = Run::program("fish").args(options).args(["-c", &script]);
        let outcome = run
            .dir(dir.path())
            .env("HOME", dir.path().join("home"))
            .finish();
        for (name, value) in &printed {
            let entry = format!("{name}={value}");
            assert!(
                outcome.text().split('\0').any(|found| found == entry),
                "{entry}\n{outcome}"
            );
        }
    }
    let files = fs::read_dir(dir.path()).expect("a readable directory");
    let names = files.map(|file| file.unwrap().file_name().to_string_lossy().into_owned());
    let ran: Vec<_> = names.filter(|name| name.starts_with("ran.")).collect();
    assert_eq!(ran, [""; 0]);
}
