//! A run that is not alone: beside others on one terminal, in a script, in a pipeline, under another program. What happens
//! is what would happen without us.

mod apart;
mod group;
mod situations;
mod terminal;

use crate::launch::refused::MOUNTS;
use crate::support::*;

tests![
    apart::a_command_that_left_the_group_is_interrupted needs(|| tool("setsid")),
    apart::a_command_with_its_own_session_survives_a_hangup needs(|| tool("setsid")),
    apart::no_waiting_process_keeps_a_directory_busy,
    apart::jobs_are_controlled_in_a_new_pid_namespace needs(NAMESPACES, || tool("bash")),
    apart::a_missing_pseudo_terminal_is_named needs(ROOT, MOUNTS),
    apart::a_small_stack_is_enough_or_named needs(|| tool("bash")),
    terminal::a_command_that_may_not_stop_for_reading_has_the_terminal needs(|| tool("bash")),
    terminal::nothing_is_left_raw_by_several_at_once needs(|| tool("bash"), || tool("xargs")),
    terminal::a_script_reads_beside_a_run_in_its_background needs(|| tool("bash")),
    terminal::two_that_read_take_turns needs(|| tool("bash")),
    terminal::a_raw_program_in_a_pipeline_gets_no_returns needs(|| tool("bash"), || tool("stty")),
    terminal::a_lock_of_another_program_is_waited_for_in_vain_only_once needs(|| tool("bash"), || tool("python3")),
    terminal::a_line_is_written_at_once needs(|| tool("bash")),
    terminal::what_is_for_the_job_reaches_the_whole_job needs(|| tool("bash"), || tool("timeout")),
    terminal::what_is_for_one_process_reaches_that_alone needs(|| tool("bash")),
    terminal::a_hangup_comes_once_and_to_all needs(|| tool("bash")),
    group::a_pager_behind_a_group_has_the_terminal needs(|| tool("bash"), || tool("less")),
    group::a_pager_in_a_group_has_the_terminal needs(|| tool("bash"), || tool("less")),
    group::a_script_reads_beside_a_group needs(|| tool("bash")),
    situations::what_happens_without_a_key needs(|| tool("bash"), || tool("xargs")),
    situations::what_happens_on_keys needs(|| tool("bash")),
    situations::what_happens_under_a_shell_with_jobs needs(|| tool("bash"), || tool("less")),
    situations::what_happens_in_other_shells needs(|| tool("bash"), || tool("dash"), || tool("zsh"), || tool("ksh93"), || tool("mksh")),
];

/// A value that no encoding of text changes.
const SECRET: &str = "kX4tQ9vZ2mB7wR5n";

/// A tree, and a directory with the program `D` in it, which is a run of the command behind `--` with the options in front.
struct Place {
    tree: Tree,
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Place {
            tree: Tree::holding(&format!("SECRET={SECRET}\n")),
            dir: TempDir::new(),
        };
        let (program, url) = (env!("CARGO_BIN_EXE_dotenv-run"), place.tree.url());
        let custody = place.tree.custody().join(" ");
        let run = format!("#!/bin/sh\nexec {program} -q --api-url {url} {custody} \"$@\"\n");
        place.dir.executable("D", run);
        place
    }

    /// A program that finds `D`, and runs in the directory.
    fn program(&self, program: &str) -> Run {
        let path = std::env::var("PATH").expect("a PATH");
        let path = format!("{}:{path}", self.dir.path().display());
        let run = Run::program(program).dir(self.dir.path());
        run.env("PATH", path).env("TERM", "dumb")
    }

    /// A script of bash.
    fn script(&self, script: &str) -> Run {
        self.program("bash").args(["--norc", "-c", script])
    }

    /// A run with these options; the command is to follow.
    fn run(&self, options: &[&str]) -> Run {
        let run = self.tree.dotenv_run().dir(self.dir.path());
        run.args(["-q", "p"]).args(options).arg("--")
    }

    /// An interactive shell.
    fn shell(&self) -> Run {
        let shell = self.program("bash");
        let shell = shell.args(["--norc", "--noprofile", "--noediting", "-i"]);
        shell.env("PS1", PROMPT).env("HISTFILE", "")
    }
}

const PROMPT: &str = "prompt> ";

/// Whether a process runs whose command line has this text in it.
fn is_running(text: &str) -> bool {
    let processes = std::fs::read_dir("/proc").expect("a mounted /proc");
    let mut lines = processes.filter_map(|process| {
        let line = std::fs::read(process.ok()?.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&line).into_owned())
    });
    lines.any(|line| line.contains(text))
}
