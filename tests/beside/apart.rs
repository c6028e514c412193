//! Where the command, or the run, is not where it is by default: in another group, session, namespace or directory.

use super::{Place, SECRET};
use crate::support::*;

pub fn jobs_are_controlled_in_a_new_pid_namespace() {
    let place = Place::new();
    let shell = ["bash", "--norc", "--noprofile", "--noediting", "-i"];
    let unshare = ["unshare", "--user", "--map-root-user", "--pid", "--fork"];
    for (mode, shown) in [("--exec", SECRET), ("--redact", "[SECRET]")] {
        let run = place.run(&[mode]).args(shell).env("PS1", "prompt> ");
        let mut terminal = Terminal::spawn(run.env("HISTFILE", "").under(unshare));
        terminal.expect("prompt> ");
        let greeting = terminal.output_so_far();
        assert!(!greeting.contains("job control"), "{greeting}");
        terminal.send("sh -c 'echo begun-$((6*7)); read line; echo \"<$line>\"'\r");
        terminal.expect("begun-42");
        terminal.send("\x1a");
        terminal.expect("Stopped");
        terminal.send("fg\r");
        terminal.expect("read line");
        terminal.send("typed\r");
        terminal.expect("<typed>");
        terminal.send("echo $SECRET; exit 3\r");
        terminal.expect(shown);
        terminal.wait().assert_status(3);
    }
}

pub fn a_missing_pseudo_terminal_is_named() {
    let place = Place::new();
    let witness = Witness::new();
    let run = place.run(&["--redact"]).args(witness.command());
    let nodes =
        "mount -t tmpfs none /dev && mknod /dev/tty c 5 0 && mknod /dev/null c 1 3 && exec \"$@\"";
    let mut terminal = Terminal::spawn(run.under(["unshare", "--mount", "sh", "-c", nodes, "sh"]));
    let outcome = terminal.wait();
    outcome.assert_status(125);
    for fragment in ["--redact", "/dev/ptmx: no such file", "hint: "] {
        assert!(outcome.text().contains(fragment), "{outcome}");
    }
    witness.assert_not_started();
}
