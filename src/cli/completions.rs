//! Completions for shells, made from the table of options.

#![forbid(unsafe_code)]

use crate::cli::table::{Completion, Kind, Spec};

/// A shell that completions are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shell {
    /// bash(1).
    Bash,
    /// zsh(1).
    Zsh,
    /// fish(1).
    Fish,
}

impl Shell {
    /// The shell of that name.
    pub fn named(name: &str) -> Option<Shell> {
        Some(match name {
            "bash" => Shell::Bash,
            "zsh" => Shell::Zsh,
            "fish" => Shell::Fish,
            _ => return None,
        })
    }
}

/// The script that has a shell complete our command lines.
pub fn completions(shell: Shell) -> String {
    match shell {
        Shell::Bash => bash(),
        Shell::Zsh => zsh(),
        Shell::Fish => fish(),
    }
}

fn bash() -> String {
    let mut options = Vec::new();
    let mut cases = String::new();
    for spec in Spec::options() {
        let long = spec.long;
        options.extend(spec.short.map(|short| format!("-{short}")));
        options.push(format!("--{long}"));
        let act = match spec.completion {
            _ if spec.kind == Kind::Flag => continue,
            Completion::File => "_dotenv_run_files".to_owned(),
            Completion::Words(words) => format!("_dotenv_run_words '{}'", words.join(" ")),
            Completion::Unknown => ":".to_owned(),
        };
        let detached = if spec.is_optional() {
            ""
        } else {
            &format!("--{long} | ")
        };
        cases.push_str(&format!("        {detached}--{long}=) {act}; return ;;\n"));
    }
    BASH.replace("@CASES@", &cases)
        .replace("@OPTIONS@", &options.join(" "))
}

/// An equals sign is a word of its own to bash, unless somebody has changed what separates words.
const BASH: &str = r#"# Completions of dotenv-run for bash, as 'dotenv-run --completions bash' prints them.

_dotenv_run_words() {
    mapfile -t COMPREPLY < <(compgen -P "$prefix" -W "$1" -- "$cur")
}

_dotenv_run_files() {
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -P "$prefix" -f -- "$cur")
}

_dotenv_run_command() {
    if declare -F _command_offset >/dev/null; then
        _command_offset "$1"
    elif ((COMP_CWORD == $1)); then
        mapfile -t COMPREPLY < <(compgen -c -- "$cur")
    else
        _dotenv_run_files
    fi
}

_dotenv_run() {
    local cur=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD - 1]} prefix= index
    COMPREPLY=()
    for ((index = 1; index < COMP_CWORD; index++)); do
        if [[ ${COMP_WORDS[index]} == -- ]]; then
            _dotenv_run_command $((index + 1))
            return
        fi
    done
    if [[ $cur == --*=* ]]; then
        option=${cur%%=*}= cur=${cur#*=}
        prefix=$option
    elif [[ $cur == = ]]; then
        option+='=' cur=
    elif [[ $option == = ]] && ((COMP_CWORD > 2)); then
        option=${COMP_WORDS[COMP_CWORD - 2]}=
    fi
    case $option in
@CASES@    esac
    if [[ $cur == -* ]]; then
        _dotenv_run_words '@OPTIONS@ --'
    fi
}

complete -F _dotenv_run dotenv-run
"#;

fn zsh() -> String {
    let mut specs = String::new();
    for spec in Spec::options() {
        let quoted = |text: &str| {
            let text = text.replace('[', "\\[").replace(']', "\\]");
            text.replace(':', "\\:").replace('\'', "'\\''")
        };
        let message = quoted(spec.value);
        let (sign, colon) = match spec.kind {
            Kind::Flag => ("", ""),
            _ if spec.is_optional() => ("=-", "::"),
            _ => ("=", ":"),
        };
        let act = match spec.completion {
            _ if spec.kind == Kind::Flag => String::new(),
            Completion::File => format!("{colon}{message}:_files"),
            Completion::Words(words) => {
                let words = words.join(" ").replace(':', "\\:");
                format!("{colon}{message}:({words})")
            }
            Completion::Unknown => format!("{colon}{message}: "),
        };
        let (long, help) = (spec.long, quoted(&spec.description()));
        let repeated = match spec.kind {
            Kind::List | Kind::OptionalList => "*",
            _ => "",
        };
        match spec.short {
            None => specs.push_str(&format!("    '{repeated}--{long}{sign}[{help}]{act}' \\\n")),
            Some(short) => {
                for name in [format!("-{short}"), format!("--{long}")] {
                    let both = format!("(-{short} --{long})");
                    specs.push_str(&format!("    '{both}{name}[{help}]' \\\n"));
                }
            }
        }
    }
    ZSH.replace("@SPECS@", &specs)
}

const ZSH: &str = r#"#compdef dotenv-run
# Completions of dotenv-run for zsh, as 'dotenv-run --completions zsh' prints them.

local -i end=${words[(ie)--]}
if ((end < CURRENT)); then
    shift $end words
    ((CURRENT -= end))
    _normal
    return
fi
_arguments : \
@SPECS@    '1:PATH: '
"#;

fn fish() -> String {
    let mut lines = String::new();
    for spec in Spec::options() {
        let short = spec
            .short
            .map_or(String::new(), |short| format!(" -s {short}"));
        let required = if spec.kind == Kind::Flag || spec.is_optional() {
            ""
        } else {
            " -r"
        };
        let act = match spec.completion {
            _ if spec.kind == Kind::Flag => String::new(),
            Completion::File => format!("{required} -F"),
            Completion::Words(words) => format!("{required} -f -a '{}'", words.join(" ")),
            Completion::Unknown => format!("{required} -f"),
        };
        let help = spec
            .description()
            .replace('\\', "\\\\")
            .replace('\'', "\\'");
        let condition = "-n 'not __dotenv_run_has_command'";
        lines.push_str(&format!(
            "complete -c dotenv-run {condition}{short} -l {}{act} -d '{help}'\n",
            spec.long
        ));
    }
    FISH.replace("@LINES@", &lines)
}

const FISH: &str = r"# Completions of dotenv-run for fish, as 'dotenv-run --completions fish' prints them.

function __dotenv_run_has_command
    contains -- -- (commandline -opc)
end

function __dotenv_run_command
    set -l words (commandline -opc)
    set -l command $words[(math (contains -i -- -- $words) + 1)..]
    complete -C (string join ' ' -- (string escape -- $command) (commandline -ct))
end

complete -c dotenv-run -f
complete -c dotenv-run -n __dotenv_run_has_command -a '(__dotenv_run_command)'
@LINES@";
