//! System calls: each function wraps one of them, or the few that make one act, behind a safe interface.
//!
//! All `unsafe` code of the program is here. A wrapper returns what its call has returned: what may be ignored is ignored
//! at the place of the call, with the reason.

mod claiming;
mod clock;
mod closing;
mod confine;
mod descriptors;
mod ending;
mod environ;
mod errno;
mod execution;
mod exposure;
mod files;
mod forgetting;
mod forking;
mod heap;
pub mod keyring;
pub mod locked;
mod pages;
mod persisting;
mod polling;
mod processes;
mod protection;
mod pty;
mod registers;
mod rehearsal;
mod resolver;
mod shared_words;
pub mod signal_names;
mod signals;
mod sockets;
mod stack;
mod start;
mod steps;
mod terminal;
mod whole;

pub use crate::sys::claiming::{claim, is_writable};
pub use crate::sys::clock::{CalendarTime, time_since_start};
pub use crate::sys::closing::check_closing;
pub use crate::sys::confine::{Duty, confine, is_without_confinement};
pub use crate::sys::descriptors::{
    NOT_WAITING, end_of, enlarge, is_pipe, is_same_file, open_terminal_again, put_in_place,
    set_nonblocking, standard_output, standard_stream, try_lock, unlock,
};
pub use crate::sys::ending::end_child;
pub use crate::sys::environ::{Environ, name_of, names_of, value_of, wipe_arguments};
pub use crate::sys::errno::plain;
pub use crate::sys::execution::{argument_limit, become_command, clear_traces};
pub use crate::sys::exposure::tracer;
pub use crate::sys::files::{check_executable, matches, sealed_memory_file};
pub use crate::sys::forgetting::{forget_caller, release_program};
pub use crate::sys::forking::{Fork, fork, fork_beside};
pub use crate::sys::heap::{Heap, end_silently_without_memory, name_program};
pub use crate::sys::pages::page_size;
pub use crate::sys::persisting::persist;
pub use crate::sys::polling::{Interest, wait_for_events, wait_readable};
pub use crate::sys::processes::{
    Change, INIT, Pid, adopt_orphans, can_be_continued, die_with_parent, group, has_terminal, id,
    is_in_our_group, is_in_our_session, leads_group, leads_session, may_exist, parent, parent_of,
    reap, set_group, user,
};
pub use crate::sys::pty::{NoPseudoTerminal, PseudoTerminal, lead_session_on};
pub use crate::sys::registers::clear_registers;
pub use crate::sys::rehearsal::check_waiting;
pub use crate::sys::resolver::use_built_in_resolver;
pub use crate::sys::shared_words::{share_words, wait_while, wake};
pub use crate::sys::signals::{
    Signal, SignalSet, die_by, end_by_signals, expect_children, ignore_children, is_ignored, send,
    send_surely, stop_by,
};
pub use crate::sys::sockets::send_at_once;
pub use crate::sys::stack::{SmallStack, check_stack, clear_stack};
pub use crate::sys::start::{StartFailure, check_start, initial_mask, restore_signals};
pub use crate::sys::steps::{DIRECTORY_ONLY, enter_at, kind_at, read_at, target_at};
pub use crate::sys::terminal::{
    Settings, TerminalMode, copy_size, foreground_group, is_controlling, is_in_foreground,
    is_terminal, set_foreground_group,
};
pub use crate::sys::whole::{wait_for_input, write_all};
