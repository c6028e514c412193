//! How the command runs: what it and its caller see is what they would see without us, in place and
//! behind a supervisor.

mod core;
pub mod init;
pub mod lookup;
mod processes;
pub mod refused;
mod signals;
mod state;
mod status;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support::*;

tests![
    core::a_supervisor_leaves_no_core_file needs(core::CORES),
    core::the_command_leaves_its_own needs(core::CORES),
    core::a_signal_before_the_command_leaves_none needs(core::CORES),
    init::the_command_of_pid_1_is_its_child needs(init::OWN_PROC),
    init::exec_makes_the_command_pid_1 needs(init::OWN_PROC),
    init::the_status_is_mirrored needs(NAMESPACES),
    init::death_by_a_signal_is_128_and_its_number needs(NAMESPACES),
    init::refusals_keep_their_status needs(NAMESPACES),
    init::orphans_are_reaped needs(init::OWN_PROC),
    init::what_outlives_the_command_ends_with_it needs(NAMESPACES),
    init::signals_to_pid_1_reach_the_command needs(init::OWN_PROC),
    init::a_static_build_is_pid_1_of_an_empty_chroot needs(
        NAMESPACES,
        init::STATIC_BUILD,
        init::STATIC_LINKING
    ),
    lookup::a_command_is_found_and_executed_as_env_does,
    lookup::a_command_ends_as_under_env_whatever_that_is,
    lookup::path_may_be_unset,
    lookup::a_name_with_an_equals_sign_is_a_command,
    lookup::no_name_breaks_the_message,
    processes::in_place_there_is_one_process_and_it_is_ours,
    processes::a_supervisor_is_the_parent_of_the_command,
    processes::the_command_stays_in_our_session_and_group,
    processes::a_supervisor_holds_no_descriptor,
    processes::a_waiting_supervisor_holds_no_secret needs(ROOT),
    processes::a_supervisor_shows_neither_arguments_nor_environment needs(ROOT),
    refused::a_process_that_others_could_read_reads_no_key needs(STRACE),
    refused::descriptors_are_closed_without_close_range needs(ROOT, STRACE),
    refused::descriptors_are_closed_without_proc_too needs(ROOT, STRACE, refused::MOUNTS),
    refused::a_supervisor_that_would_keep_descriptors_starts_nothing needs(ROOT, STRACE, refused::MOUNTS),
    refused::a_supervisor_may_stay_unconfined needs(STRACE),
    refused::an_output_that_cannot_be_filtered_starts_nothing needs(STRACE),
    refused::keys_lie_elsewhere_without_memfd_secret needs(STRACE),
    signals::each_signal_to_the_supervisor_reaches_the_command,
    signals::a_signal_is_passed_on_exactly_once needs(STRACE),
    signals::a_key_of_the_terminal_reaches_the_command_once,
    signals::a_signal_before_the_command_ends_the_run,
    signals::a_signal_that_the_caller_ignores_kills_neither,
    signals::a_signal_that_waits_to_be_taken_waits_for_the_command needs(state::SIGNAL_OPTIONS),
    state::signals_limits_and_the_rest_are_as_env_leaves_them needs(state::SIGNAL_OPTIONS),
    state::descriptors_are_as_env_leaves_them,
    state::a_descriptor_that_held_a_key_is_closed,
    state::standard_input_is_left_to_the_command,
    state::the_command_sees_no_key_of_ours,
    state::arguments_arrive_byte_for_byte,
    state::the_working_directory_stays_even_if_it_is_gone,
    state::the_terminal_is_the_commands,
    status::every_exit_status_is_the_commands,
    status::every_deadly_signal_is_mirrored,
    status::a_signal_that_was_inherited_ignored_is_mirrored needs(state::SIGNAL_OPTIONS),
    status::an_inherited_mask_does_not_hide_the_status needs(state::SIGNAL_OPTIONS),
    status::one_flipped_bit_in_any_level_stops_everything,
    status::a_wrong_client_key_stops_everything,
    status::a_refusal_keeps_its_status_without_standard_error,
    status::exec_and_supervise_exclude_each_other,
];

/// The ways to run a command: in place, and behind a supervisor.
pub const MODES: [&str; 2] = ["--exec", "--supervise"];

/// A path whose project needs no key, so that a run is short.
const PLAIN: &str = "legacy/production/api";

/// A path whose project needs the client key.
const SEALED: &str = "my-app/production/api";

/// Both sources.
struct Sources {
    tree: Tree,
    service: Service,
}

impl Sources {
    fn new() -> Self {
        let (tree, service) = (Tree::example(), Service::example());
        Sources { tree, service }
    }

    /// A run from each source in each mode, with all that it needs in the environment, and its
    /// name; the command is still to be named.
    fn runs(&self) -> Vec<(String, Run)> {
        let by_name = Run::on_service(&self.service);
        let by_name = by_name.env("DOTENV_API_URL", self.service.url_by_name());
        let by_name = by_name.arg("--ca-file").arg(self.service.ca_file());
        let sources = [("tree", self.tree.dotenv_run()), ("cloud", by_name)];
        let run = |(source, run): (&str, Run), mode: &str| {
            let run = run.client_key().args([SEALED, mode, "--quiet", "--"]);
            (format!("{source} {mode}"), run)
        };
        let all = sources
            .into_iter()
            .flat_map(|source| MODES.map(|mode| run(source.clone(), mode)));
        all.collect()
    }
}

/// `sh -c SCRIPT sh`, to be put in front of a command that the script starts as `"$@"`.
fn around(script: &str) -> [&str; 4] {
    ["sh", "-c", script, "sh"]
}

/// A named pipe in `dir` for a key file: a run stops there when it has everything else.
fn endless_key(dir: &TempDir) -> PathBuf {
    let path = dir.path().join("key");
    mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).expect("a named pipe");
    path
}

/// A run that takes its key from `key`, which stops it when it has everything else.
fn awaiting(tree: &Tree, mode: &str, key: &Path) -> Run {
    let run = tree
        .dotenv_run()
        .arg(SEALED)
        .args([mode, "-q", "--client-key"]);
    run.arg(key).arg("--")
}

/// Waits until a run reads from the pipe, where it stays as long as what is returned is kept.
pub fn wait_for_reader(pipe: &Path) -> File {
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(OFlag::O_NONBLOCK.bits());
    wait_for("somebody who reads the key", || options.open(pipe).ok())
}
