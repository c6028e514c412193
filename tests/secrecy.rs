//! Secrets are nowhere but where they must be, and every check of that is shown to find a planted one.

mod access;
mod confinement;
mod exposure;
mod failures;
mod limits;
pub mod memory;
mod messages;
mod secrets;
mod tracer;
pub mod vault;
mod visible;

use crate::launch::init::STATIC_BUILD;
use crate::support::*;
use limits::{NO_SWAP, SWAP_FILE, UNLIMITED};

/// A client-managed path of [`World::example`].
const CLIENT_MANAGED: &str = "my-app/production/api";

tests![
    access::another_process_of_the_user_has_no_access needs(ROOT, || tool("setpriv")),
    access::planted_access_is_found needs(ROOT, PLANTED, || tool("setpriv")),
    access::the_command_is_accessible_as_ever needs(ROOT, || tool("setpriv")),
    access::a_waiting_supervisor_is_confined_and_the_command_is_not,
    confinement::every_process_of_every_mode_is_confined_or_becomes_the_command,
    confinement::the_filter_is_confined_before_there_are_secrets,
    exposure::an_unreadable_program_is_hidden_from_its_start needs(ROOT, || tool("setpriv")),
    exposure::a_check_and_a_verbose_run_tell_whether_the_start_was_hidden needs(ROOT, || tool("setpriv")),
    exposure::a_traced_process_is_refused_unless_that_is_allowed needs(|| tool("strace")),
    exposure::without_proc_a_run_goes_on_and_says_what_is_not_known needs(ROOT, || tool("unshare")),
    failures::every_failure_of_the_program_is_in_the_table,
    limits::without_swap_every_limit_is_good_enough needs(ROOT, NO_SWAP),
    limits::with_swap_memory_that_cannot_be_locked_is_refused_or_accepted_by_name needs(ROOT, SWAP_FILE),
    limits::with_swap_a_set_that_is_too_large_for_the_limit_is_refused needs(ROOT, SWAP_FILE),
    limits::with_swap_a_tree_is_made_only_with_locked_memory_or_by_name needs(ROOT, SWAP_FILE),
    limits::without_a_limit_all_memory_is_locked needs(ROOT, UNLIMITED),
    limits::a_typical_set_needs_less_than_64_kib needs(ROOT),
    memory::secrets_are_found_whole_in_part_and_encoded,
    memory::a_process_is_searched_everywhere needs(ROOT),
    memory::a_waiting_supervisor_holds_nothing needs(ROOT),
    memory::a_supervisor_holds_no_key_that_was_given_twice_or_in_the_wrong_place needs(ROOT),
    memory::before_the_command_all_secrets_are_in_locked_memory needs(ROOT),
    memory::before_the_command_of_a_release_too needs(ROOT, STATIC_BUILD),
    memory::a_key_is_in_locked_memory_during_the_fetch needs(ROOT),
    memory::planted_copies_are_found needs(ROOT, PLANTED),
    memory::a_planted_supervisor_is_found needs(ROOT, PLANTED),
    messages::the_check_finds_a_secret_in_every_encoding,
    messages::the_check_catches_every_planted_message needs(PLANTED),
    messages::no_failure_shows_a_secret,
    messages::a_check_fails_as_the_run_does_and_shows_no_secret,
    messages::no_success_shows_a_secret,
    visible::nothing_that_is_written_acts_on_a_terminal,
    visible::json_says_the_same_in_escapes,
    visible::every_writer_makes_its_text_visible,
    tracer::the_check_catches_every_planted_call needs(STRACE, PLANTED),
    tracer::the_check_catches_every_change_to_a_file needs(STRACE),
    tracer::a_call_that_is_not_known_is_a_violation,
    tracer::a_run_calls_nothing_but_what_it_may needs(STRACE),
    tracer::a_logger_that_is_asked_for_is_written_to needs(STRACE, OWN_RUN),
    tracer::a_question_is_asked_on_the_terminal_only needs(STRACE),
    tracer::a_name_is_asked_of_the_resolver_only needs(STRACE, NETWORKS),
    tracer::a_failure_calls_nothing_but_what_it_may needs(STRACE),
];

/// How many runs go on at a time. Many of them wait before they try again.
const AT_A_TIME: usize = 12;
