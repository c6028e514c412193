//! `--redact`: what the command writes comes through as it was, without the secrets, and nothing else about the command
//! changes.

mod encodings;
mod faults;
mod output;
mod processes;
mod terminal;

use serde_json::json;

use crate::support::*;

tests![
    encodings::what_other_programs_encode_is_hidden_wherever_it_is_split needs(|| tool("python3"), || tool("bash")),
    encodings::a_large_set_is_learned_in_little_time_and_memory needs(ROOT),
    encodings::a_set_that_is_too_large_to_be_looked_for_is_refused_by_name,
    encodings::no_text_holds_up_a_long_secret_of_one_letter,
    output::no_form_of_a_secret_is_shown_wherever_it_is_split,
    output::no_form_is_shown_of_what_is_written_to_both_streams_at_once,
    output::a_tracing_shell_shows_no_secret needs(|| tool("dash"), || tool("bash")),
    output::secrets_become_their_names,
    output::values_that_say_nothing_are_named_and_shown,
    output::fifty_megabytes_without_a_secret_come_through_unchanged,
    output::a_secret_in_every_line_of_a_long_output_is_hidden needs(|| tool("awk")),
    output::a_prompt_is_shown_before_its_line_ends,
    output::one_file_for_both_streams_keeps_their_order,
    output::two_files_stay_two,
    output::a_closed_stream_stays_closed,
    output::a_key_that_the_command_keeps_is_hidden_too,
    processes::only_a_command_can_be_filtered,
    processes::the_status_and_the_signal_are_those_of_the_command,
    processes::a_command_that_cannot_be_executed_is_told,
    processes::a_refusal_is_told_without_a_filter,
    processes::the_command_has_no_child_that_it_did_not_start,
    processes::who_writes_on_behind_the_command_is_filtered_and_not_waited_for,
    processes::a_command_whose_reader_is_gone_gets_a_pipe_signal needs(|| tool("bash")),
    processes::the_end_of_the_filter_ends_the_output_only needs(ROOT),
    processes::the_supervisor_holds_no_secret_and_the_filter_locked_ones needs(ROOT),
    processes::a_supervisor_as_process_1_shows_everything needs(NAMESPACES),
    faults::no_process_waits_for_a_signal_that_cannot_be_queued,
    faults::nothing_is_shown_where_an_output_cannot_be_replaced needs(STRACE),
    faults::output_that_cannot_be_written_is_told_and_is_a_failure,
    faults::the_status_of_a_command_whose_output_is_lost_stays,
    faults::a_limit_on_the_size_of_files_is_for_the_command needs(|| tool("bash")),
    faults::the_end_of_any_process_ends_the_run_and_puts_the_terminal_back,
    faults::the_end_of_any_process_before_the_command_puts_the_terminal_back,
    terminal::colours_are_shown needs(|| tool("ls")),
    terminal::a_progress_bar_is_shown_as_it_grows,
    terminal::secrets_are_hidden,
    terminal::less_shows_a_file needs(|| tool("less")),
    terminal::less_shows_the_output_of_a_command needs(|| tool("less")),
    terminal::more_shows_a_file needs(|| tool("more")),
    terminal::a_pager_behind_the_command_has_the_keys needs(|| tool("less")),
    terminal::vim_edits_a_file needs(|| tool("vim")),
    terminal::a_password_is_read_without_echo needs(|| tool("bash")),
    terminal::settings_that_the_command_makes_stay needs(|| tool("stty")),
    terminal::the_terminal_is_put_back_after_a_command_that_was_killed needs(|| tool("stty")),
    terminal::keys_that_are_signals_end_the_command,
    terminal::an_interrupt_ends_the_script_around_the_command needs(|| tool("bash")),
    terminal::the_end_of_input_is_typed,
    terminal::output_is_held_and_let_go_by_keys,
    terminal::a_large_paste_is_read_whole_and_holds_up_no_output needs(|| tool("stty")),
    terminal::a_new_size_is_known_to_the_command needs(|| tool("stty")),
    terminal::a_shell_controls_jobs needs(|| tool("bash")),
    terminal::a_pager_stops_and_goes_on needs(|| tool("less"), || tool("bash")),
    terminal::who_writes_on_behind_the_command_is_not_hung_up needs(|| tool("bash")),
    terminal::the_end_of_the_supervisor_hangs_up,
    terminal::a_terminal_for_one_stream_is_one_for_it_alone,
    terminal::another_terminal_stays_one needs(|| tool("setsid")),
];

/// A value that every encoding changes.
const HARD: &str = "it's \"7\" \\ of/50%+é&<x>";

/// A value that no encoding of text changes.
const PLAIN: &str = "kX4tQ9vZ2mB7wR5n";

const LINES: &str =
    "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nq7Zk3Q==\n-----END KEY-----\n";

/// A tree with these three secrets and some that are none.
fn tree() -> Tree {
    Tree::holding_json(&json!({
        "HARD": HARD, "PLAIN": PLAIN, "LINES": LINES, "LEVEL": "production", "PORT": "8080", "EMPTY": "",
    }))
}

/// A run on a tree with warnings off; the command is to follow.
fn redacting(tree: &Tree) -> Run {
    tree.dotenv_run().args(["-q", "p", "--redact", "--"])
}
