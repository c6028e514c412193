//! A run that is not alone: beside others on one terminal, in a script, in a pipeline, under another program. What happens
//! is what would happen without us.

mod apart;

use crate::launch::refused::MOUNTS;
use crate::support::*;

tests![
    apart::a_command_that_left_the_group_is_interrupted needs(|| tool("setsid")),
    apart::a_command_with_its_own_session_survives_a_hangup needs(|| tool("setsid")),
    apart::no_waiting_process_keeps_a_directory_busy,
    apart::jobs_are_controlled_in_a_new_pid_namespace needs(NAMESPACES, || tool("bash")),
    apart::a_missing_pseudo_terminal_is_named needs(ROOT, MOUNTS),
    apart::a_small_stack_is_enough_or_named needs(|| tool("bash")),
];

/// A value that no encoding of text changes.
const SECRET: &str = "kX4tQ9vZ2mB7wR5n";

/// A tree, and a directory to run in.
struct Place {
    tree: Tree,
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        Place {
            tree: Tree::holding(&format!("SECRET={SECRET}\n")),
            dir: TempDir::new(),
        }
    }

    /// A run with these options; the command is to follow.
    fn run(&self, options: &[&str]) -> Run {
        let run = self.tree.dotenv_run().dir(self.dir.path());
        run.args(["-q", "p"]).args(options).arg("--")
    }
}
