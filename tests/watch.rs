//! A command that is watched over: it gets every new set of secrets whole, once, and nothing happens to it for any
//! other reason.

mod changes;
mod ends;
mod keys;
mod processes;
mod questions;
mod troubles;

use std::fs;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::launch::init::OWN_PROC;
use crate::support::*;

tests![
    changes::every_change_is_one_restart_whatever_fails_between,
    changes::a_set_is_used_only_after_it_has_stayed_the_same,
    changes::what_changes_back_changes_nothing,
    changes::the_same_values_sealed_anew_change_nothing,
    changes::the_command_may_get_a_signal_instead,
    changes::the_run_may_end_instead,
    changes::files_in_memory_are_those_of_the_new_set,
    changes::a_local_file_that_changes_is_a_change,
    ends::the_end_of_the_command_is_the_end_of_the_run,
    ends::a_signal_to_end_ends_the_run_before_there_is_a_command,
    ends::a_signal_to_end_ends_the_run_while_there_is_a_command,
    ends::a_signal_to_end_ends_the_run_while_secrets_are_fetched_again,
    ends::nothing_is_started_once_an_end_is_wanted,
    ends::a_command_that_is_interrupted_as_it_stops_is_not_followed,
    ends::a_command_that_ignores_the_stop_is_killed_in_time,
    ends::a_killed_supervisor_takes_everything_but_the_command_along,
    ends::a_killed_keeper_leaves_the_command_alone,
    keys::a_rotated_api_key_is_read_again,
    keys::a_rotated_client_key_is_read_again,
    keys::a_key_file_that_is_a_pipe_for_a_moment_is_read_again,
    keys::keys_of_the_environment_serve_every_start,
    keys::keys_that_can_be_read_once_only_are_refused,
    processes::the_processes_in_front_hold_no_secret,
    processes::a_planted_keeper_is_found needs(PLANTED),
    processes::everything_sleeps_between_questions,
    processes::pid_1_starts_the_command_again needs(OWN_PROC),
    processes::a_group_gets_the_terminal_at_every_start,
    processes::what_is_written_after_a_restart_is_filtered_too,
    processes::the_command_cannot_fake_a_change,
    processes::signals_go_to_the_command_that_runs,
    processes::a_restart_waits_for_the_whole_group,
    processes::what_is_left_of_a_group_is_killed_in_time,
    questions::another_host_is_asked_every_30_seconds_at_most,
    questions::a_service_is_asked_once_in_every_interval,
    questions::no_key_is_derived_unless_something_has_changed,
    questions::the_wait_that_a_service_asks_for_is_granted,
    questions::neither_cache_nor_mirror_is_asked_for_news,
    questions::options_that_make_no_sense_are_refused,
    questions::a_profile_may_say_so,
    troubles::the_first_start_fails_as_ever,
    troubles::no_refusal_of_the_service_reaches_the_command,
    troubles::a_renewal_that_something_ends_is_told_once needs(|| tool("prlimit")),
    troubles::no_broken_set_reaches_the_command,
    troubles::a_command_that_is_gone_is_not_stopped,
    troubles::a_trouble_is_told_once_and_so_is_its_end,
];

/// A path with three levels.
const PATH: &str = "my-app/production/api";

/// The places of the levels on the way to it.
const PLACES: [&str; 3] = ["", "production", "production/api"];

/// How many variables each level has that tell which generation it is.
const WITNESSES: usize = 7;

/// The text of a level in a generation.
fn level(place: &str, generation: usize) -> String {
    let depth = PLACES.iter().position(|it| *it == place).expect("a place");
    (0..WITNESSES)
        .map(|number| format!("G{depth}_{number}={generation}\n"))
        .collect()
}

/// The project in a generation.
fn project(generation: usize) -> Project {
    let project = Project::new("my-app", Custody::client());
    PLACES.iter().fold(project, |project, place| {
        project.level(place, &level(place, generation))
    })
}

fn world(generation: usize) -> World {
    World::new(vec![project(generation)])
}

/// A tree with the first generation.
fn tree() -> Tree {
    Tree::of(&world(1))
}

/// Seals a generation with `dotenv-seal`, one level after the other, and puts it in place in one step.
#[track_caller]
fn put(tree: &Tree, generation: usize) {
    let aside = self::tree();
    for place in PLACES {
        let run = Run::dotenv_seal()
            .arg("put")
            .arg(aside.root())
            .arg(project_path(place))
            .arg("--allow-weak-key")
            .env("DOTENV_CLIENT_KEY", CLIENT_KEY)
            .stdin(level(place, generation));
        run.finish().assert_status(0);
    }
    let document = fs::read(aside.secrets(PATH)).expect("a document");
    replace_secrets(tree, PATH, document);
}

fn project_path(place: &str) -> String {
    match place {
        "" => "my-app".into(),
        place => format!("my-app/{place}"),
    }
}

/// Puts the secrets of a path in place in one step, with a manifest that lists their levels before and after.
fn replace_secrets(tree: &Tree, path: &str, content: impl AsRef<[u8]>) {
    let document = tree.secrets(path);
    let project = self::project(1);
    let states = |content: &[u8]| -> Option<Vec<String>> {
        let document: serde_json::Value = serde_json::from_slice(content).ok()?;
        let levels = &document["data"]["attributes"]["levels"];
        let kinds = ["project", "target", "environment"].iter();
        let state = |kind: &&str| levels[*kind]["content"].as_str().map(digest);
        Some(
            kinds
                .map(|kind| state(kind).unwrap_or("-".into()))
                .collect(),
        )
    };
    let new = states(content.as_ref());
    let old = fs::read(&document)
        .ok()
        .and_then(|content| states(&content));
    let sign = |states: &dyn Fn(usize) -> Option<String>| {
        let slugs: Vec<_> = path.split('/').collect();
        let entry = |depth: usize| (slugs[..=depth].join("/"), states(depth));
        let entries: Vec<_> = (0..slugs.len()).map(entry).collect();
        let text = manifest_text(ORGANIZATION, "my-app", 1, &entries);
        let manifest = manifest(project.key(), 1, &text);
        replace(tree, &tree.manifest("my-app"), manifest.to_string());
    };
    if let Some(new) = &new {
        let old = old.as_ref().unwrap_or(new);
        sign(&|depth| Some(format!("{} {}", old[depth], new[depth])));
    }
    replace(tree, &document, content);
    if let Some(new) = &new {
        sign(&|depth| Some(new[depth].clone()));
    }
}

/// Puts a document in place in one step, as `dotenv-seal` does.
fn replace(tree: &Tree, document: &std::path::Path, content: impl AsRef<[u8]>) {
    let new = tree.root().join("new");
    tree.write(&new, content);
    fs::rename(new, document).expect("a document in place");
}

/// What the command tells of its secrets: `start PID` and all generations that it sees.
const TELL: &str =
    "echo start $$ $(env | sed -n 's/^G[0-9]_[0-9]=//p' | sort -u) $(env | grep -c ^G);";

/// A run that watches, with a command that tells of its secrets and then goes on with a script.
fn watched(run: Run, script: &str) -> Run {
    let command = format!("{TELL} {script}");
    run.client_key()
        .args(["--watch=1", PATH, "--", "sh", "-c", &command])
}

/// The script of a command that does nothing.
const WAIT: &str = "exec sleep 1000";

/// The starts so far: process and generation. Each must have had a whole set.
#[track_caller]
fn starts(live: &Live) -> Vec<(i32, usize)> {
    let output = live.output_so_far();
    let (complete, _) = output.rsplit_once('\n').unwrap_or_default();
    let lines = complete
        .lines()
        .filter_map(|line| line.strip_prefix("start "));
    lines
        .map(|line| {
            let words: Vec<usize> = line
                .split(' ')
                .map(|word| word.parse().expect("a number"))
                .collect();
            let [process, generation, count] = words[..] else {
                panic!("several generations at a time: {line}");
            };
            assert_eq!(count, PLACES.len() * WITNESSES, "{line}");
            (process as i32, generation)
        })
        .collect()
}

/// Waits for so many starts, and returns the process of the last one.
#[track_caller]
fn wait_for_starts(live: &Live, count: usize) -> i32 {
    wait_until(&format!("start number {count}"), || {
        starts(live).len() >= count
    });
    let starts = starts(live);
    assert_eq!(starts.len(), count, "{starts:?}");
    starts[count - 1].0
}

/// Waits until it was asked so many more times whether anything has changed, which a verbose run tells.
#[track_caller]
fn wait_for_questions(live: &Live, more: usize) {
    let asked = || live.errors_so_far().matches("nothing has changed").count();
    let before = asked();
    wait_until("further questions", || asked() >= before + more);
}

/// Waits for a message.
#[track_caller]
fn wait_for_message(live: &Live, text: &str) {
    wait_until(&format!("the message {text:?}"), || {
        live.errors_so_far().contains(text)
    });
}

/// The lines on standard error, but for those about how the tests seal.
fn told(outcome: &Outcome) -> Vec<&str> {
    let lines = outcome.stderr.lines();
    lines.filter(|line| !line.contains("iterations")).collect()
}

/// Ends a run by a signal to us; the command must have ended by it, and nothing is left.
#[track_caller]
fn end(live: Live) -> Outcome {
    let processes = family(live.pid());
    live.signal(Signal::SIGTERM);
    let outcome = live.wait();
    assert_gone(&processes);
    outcome
}

/// A process and everything that it has started.
pub fn family(process: Pid) -> Vec<Pid> {
    let list = fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    let list = list.unwrap_or_default();
    let children = list.split_whitespace().filter_map(|pid| pid.parse().ok());
    let descendants = children.flat_map(|child| family(Pid::from_raw(child)));
    [process].into_iter().chain(descendants).collect()
}

#[track_caller]
fn assert_gone(processes: &[Pid]) {
    for process in processes {
        assert!(!is_left(process), "{process}");
    }
}

/// Whether a process runs; not one that has ended and of which nobody has taken note yet.
pub fn is_left(process: &Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    !status.is_empty() && !status.contains(") Z ")
}
