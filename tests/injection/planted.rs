//! What the verdict finds in programs of which it is known what is wrong with them.

use nix::libc::{EPERM, SYS_sched_get_priority_max};

use super::every_target;
use super::modes::{MODES, Sources};
use super::verdict::{Seen, judge};
use crate::support::*;

/// A plant, the mode that shows it, and what is to be found.
const PLANTS: [(&str, &str, &str); 8] = [
    ("hangs if a call fails", "exec", "hangs"),
    ("shows a secret if a call fails", "redact", "shows a secret"),
    (
        "starts twice if a call fails",
        "exec",
        "starts the command 2 times",
    ),
    (
        "leaves a process if a call fails",
        "exec",
        "leaves a process behind",
    ),
    (
        "says two things if a call fails",
        "exec",
        "is refused with 2 messages",
    ),
    (
        "says nothing if a call fails",
        "supervise",
        "is refused with 0 messages",
    ),
    (
        "changes the terminal if a call fails",
        "group on a terminal",
        "leaves the settings of the terminal changed",
    ),
    (
        "keeps an ignored signal if a call fails",
        "supervise",
        "other than usual: output",
    ),
];

/// The call that a plant adds is found in the trace, and its failure has the consequence that it is planted for.
pub fn each_kind_of_violation_is_found() {
    let sources = Sources::new();
    check_all(4, &PLANTS, |(plant, mode, defect)| {
        let mode = MODES.iter().find(|known| known.name == *mode);
        let mode = mode.expect("a mode of the table");
        let planted = |run: Run| run.planted(plant);
        let usual = Seen::of_run(mode, &sources, None, None, planted);
        let targets = every_target(&usual).into_iter();
        let mut targets = targets
            .filter(|target| target.call == SYS_sched_get_priority_max && target.error == EPERM);
        let target = targets
            .next()
            .ok_or(format!("{plant}: the call is not in the trace"))?;
        let around = Some(&*usual.around);
        let seen = Seen::of_run(mode, &sources, Some(&target), around, planted);
        match judge(mode, &usual, &seen, &target) {
            Err(found) if found.contains(defect) => Ok(()),
            other => Err(format!("{plant}: {other:?}\n{seen:#?}")),
        }
    });
}
