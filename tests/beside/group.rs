//! `--group` on a terminal that others have too.

use super::{PROMPT, Place};
use crate::support::*;

/// The pager with a prompt of its own, and nothing that depends on the terminal.
const LESS: &str = "less -d -P page";

#[track_caller]
fn pages(pipeline: &str) {
    let place = Place::new();
    let mut terminal = Terminal::spawn(place.shell());
    terminal.expect(PROMPT);
    terminal.send(format!("{pipeline}\r"));
    terminal.expect("page");
    terminal.send("q");
    terminal.expect(PROMPT);
    terminal.send("echo over-$((6*7)); exit 3\r");
    terminal.expect("over-42");
    terminal.wait().assert_status(3);
}

pub fn a_pager_behind_a_group_has_the_terminal() {
    pages(&format!(
        "D --group p -- seq 200 | {}",
        LESS.replace("page", "pa''ge")
    ));
}

pub fn a_pager_in_a_group_has_the_terminal() {
    pages(&format!(
        "seq 200 | D --group p -- {}",
        LESS.replace("page", "pa''ge")
    ));
}

pub fn a_script_reads_beside_a_group() {
    let place = Place::new();
    place.dir.fifo("go");
    let script =
        "D --group p -- sh -c 'echo begun; read x <go' & read x; echo \"<$x>\"; echo >go; wait";
    let mut terminal = Terminal::spawn(place.script(script));
    terminal.expect("begun\r\n");
    terminal.send("typed\r");
    terminal.expect("<typed>\r\n");
    terminal.wait().assert_status(0);
}
