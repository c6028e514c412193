//! Commands that shells evaluate: which names have no value of their own there, and how a value is quoted.

#![forbid(unsafe_code)]

use crate::dotenv::parse::Value;
use crate::dotenv::spelling::{NoSpelling, Sink, no_spelling, replaced};

/// Names that a shell keeps for itself: it refuses the value, replaces it, or evaluates it, which runs commands in
/// `$(…)`. They are those of dash, bash, zsh, ksh93, mksh, yash, busybox and posh, found by trying all of their special
/// parameters. A `*` at the end stands for any characters.
const OF_POSIX_SHELLS: &[&str] = &[
    "BASHOPTS",
    "BASHPID",
    "BASH_ALIASES",
    "BASH_ARGC",
    "BASH_ARGV",
    "BASH_CMDS",
    "BASH_COMMAND",
    "BASH_LINENO",
    "BASH_SOURCE",
    "BASH_SUBSHELL",
    "BASH_VERSINFO",
    "COLUMNS",
    "COMMAND_NOT_FOUND_HANDLER",
    "DIRSTACK",
    "DIRSTACKSIZE",
    "EGID",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "ERRNO",
    "EUID",
    "FUNCNAME",
    "FUNCNEST",
    "GID",
    "GROUPS",
    "HISTCMD",
    "HISTSIZE",
    "KEYTIMEOUT",
    "KSHEGID",
    "KSHGID",
    "KSHUID",
    "LINENO",
    "LINES",
    "LISTMAX",
    "MAILCHECK",
    "MAILPATH",
    "OPTIND",
    "PERIOD",
    "PGRP",
    "PIPESTATUS",
    "POSTEDIT",
    "POST_PROMPT_COMMAND",
    "PPID",
    "PROMPT",
    "PROMPT2",
    "PROMPT3",
    "PROMPT4",
    "PROMPT_COMMAND",
    "PROMPT_EOL_MARK",
    "PS0",
    "PS1*",
    "PS2*",
    "PS3*",
    "PS4*",
    "RANDOM",
    "REPORTMEMORY",
    "REPORTTIME",
    "RPROMPT",
    "RPROMPT2",
    "RPS1",
    "RPS2",
    "SAVEHIST",
    "SECONDS",
    "SHELLOPTS",
    "SHLVL",
    "SPROMPT",
    "SRANDOM",
    "TMOUT",
    "TRY_BLOCK_ERROR",
    "TRY_BLOCK_INTERRUPT",
    "UID",
    "USERNAME",
    "USER_ID",
    "YASH_AFTER_CD",
    "YASH_PS*",
    "ZLE_RPROMPT_INDENT",
    "_",
    "prompt",
];

/// Names that fish keeps for itself: it refuses the value, or acts upon it.
const OF_FISH: &[&str] = &[
    "CMD_DURATION",
    "COLUMNS",
    "EUID",
    "FISH_*",
    "LINES",
    "PWD",
    "SHLVL",
    "_",
    "__fish_*",
    "argv",
    "fish_*",
    "history",
    "hostname",
    "pipestatus",
    "status",
    "status_generation",
    "umask",
    "version",
];

/// An `export` command for any POSIX shell.
pub fn posix(name: &str, value: Value<'_>, sink: Sink<'_>) -> Result<(), NoSpelling> {
    refuse(OF_POSIX_SHELLS, name)?;
    ["export ", name, "='"].into_iter().for_each(&mut *sink);
    replaced(value, &[('\'', "'\\''")], sink);
    sink("'\n");
    Ok(())
}

/// A `set` command for fish.
pub fn fish(name: &str, value: Value<'_>, sink: Sink<'_>) -> Result<(), NoSpelling> {
    refuse(OF_FISH, name)?;
    ["set -gx ", name, " '"].into_iter().for_each(&mut *sink);
    replaced(value, &[('\'', "\\'"), ('\\', "\\\\")], sink);
    sink("'\n");
    Ok(())
}

fn refuse(reserved: &[&str], name: &str) -> Result<(), NoSpelling> {
    let is_meant = |reserved: &&str| match reserved.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => *reserved == name,
    };
    if reserved.iter().any(is_meant) {
        return Err(no_spelling(name));
    }
    Ok(())
}
