//! How a watched run ends: at once, whatever is under way, and with nothing left.

use nix::sys::signal::kill;

use super::*;

/// A service with the first generation, and a run on it.
fn on_service() -> (Service, Run) {
    let service = Service::of(world(1));
    let run = service.dotenv_run();
    (service, run)
}

fn asked(service: &Service) -> usize {
    let targets = service.targets();
    let secrets = targets.iter().filter(|target| target.ends_with("/secrets"));
    secrets.count()
}

pub fn the_end_of_the_command_is_the_end_of_the_run() {
    let tree = tree();
    for status in [0, 1, 124, 255] {
        let outcome = watched(tree.dotenv_run(), &format!("exit {status}")).finish();
        outcome.assert_status(status);
        assert_eq!(outcome.text().matches("start ").count(), 1, "{outcome}");
    }
    watched(tree.dotenv_run(), "kill -KILL $$")
        .finish()
        .assert_killed_by(Signal::SIGKILL);
    // While the secrets are being fetched again.
    let (service, run) = on_service();
    let live = watched(run, "trap 'exit 3' USR1; while :; do sleep 0.01; done").spawn();
    let command = wait_for_starts(&live, 1);
    let before = asked(&service);
    service.fail(Route::Secrets, Fault::Hang);
    wait_until("a question without an answer", || asked(&service) > before);
    let processes = family(live.pid());
    kill(Pid::from_raw(command), Signal::SIGUSR1).expect("the command");
    live.wait().assert_status(3);
    assert_gone(&processes);
}

pub fn a_signal_to_end_ends_the_run_before_there_is_a_command() {
    let (service, run) = on_service();
    service.fail(Route::Secrets, Fault::Hang);
    let live = watched(run, WAIT).spawn();
    wait_until("a question", || asked(&service) == 1);
    let outcome = end(live);
    outcome.assert_killed_by(Signal::SIGTERM).assert_stdout("");
    assert_eq!(told(&outcome), [""; 0], "{outcome}");
}

pub fn a_signal_to_end_ends_the_run_while_there_is_a_command() {
    let tree = tree();
    for signal in [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGHUP,
    ] {
        let script = "trap 'exit 9' TERM INT QUIT HUP; while :; do sleep 0.01; done";
        let live = watched(tree.dotenv_run(), script).spawn();
        wait_for_starts(&live, 1);
        let processes = family(live.pid());
        live.signal(signal);
        live.wait().assert_status(9);
        assert_gone(&processes);
    }
}

pub fn a_signal_to_end_ends_the_run_while_secrets_are_fetched_again() {
    let (service, run) = on_service();
    let live = watched(run, WAIT).spawn();
    wait_for_starts(&live, 1);
    let before = asked(&service);
    service.fail(Route::Secrets, Fault::Hang);
    wait_until("a question without an answer", || asked(&service) > before);
    assert_eq!(family(live.pid()).len(), 4);
    end(live).assert_killed_by(Signal::SIGTERM);
}

/// The command takes its time to end: meanwhile, and after it, a new set may be ready.
pub fn nothing_is_started_once_an_end_is_wanted() {
    let dir = TempDir::new();
    let go = dir.path().join("go");
    let script = format!(
        "trap 'echo stopping; while [ ! -e {0} ]; do sleep 0.01; done; exit 6' TERM; \
         while :; do sleep 0.01; done",
        go.display()
    );
    // A signal in the middle of a restart.
    let first = tree();
    let live = watched(first.dotenv_run(), &script).spawn();
    wait_for_starts(&live, 1);
    put(&first, 2);
    live.wait_for_output("stopping");
    live.signal(Signal::SIGTERM);
    wait_until("the end of the others", || family(live.pid()).len() <= 3);
    fs::write(&go, "").expect("a file");
    let outcome = live.wait();
    outcome.assert_status(6);
    assert_eq!(outcome.text().matches("start ").count(), 1, "{outcome}");

    // A change after the signal.
    fs::remove_file(&go).expect("that file");
    let second = tree();
    let live = watched(second.dotenv_run(), &script).spawn();
    wait_for_starts(&live, 1);
    live.signal(Signal::SIGTERM);
    live.wait_for_output("stopping");
    put(&second, 2);
    wait_until("the end of the others", || family(live.pid()).len() <= 3);
    fs::write(&go, "").expect("a file");
    let outcome = live.wait();
    outcome.assert_status(6);
    assert_eq!(outcome.text().matches("start ").count(), 1, "{outcome}");
}

/// A key of the terminal may reach only the command's own group.
pub fn a_command_that_is_interrupted_as_it_stops_is_not_followed() {
    let tree = tree();
    let script = "trap 'echo stopping; while :; do sleep 0.01; done' TERM; \
        while :; do sleep 0.01; done";
    let live = watched(tree.dotenv_run().arg("--group"), script).spawn();
    let command = wait_for_starts(&live, 1);
    put(&tree, 2);
    live.wait_for_output("stopping");
    let processes = family(live.pid());
    kill(Pid::from_raw(-command), Signal::SIGINT).expect("the group of the command");
    let outcome = live.wait();
    outcome.assert_killed_by(Signal::SIGINT);
    assert_eq!(outcome.text().matches("start ").count(), 1, "{outcome}");
    assert_gone(&processes);
}

pub fn a_command_that_ignores_the_stop_is_killed_in_time() {
    let tree = tree();
    let script = "trap '' TERM; while :; do sleep 0.01; done";
    let run = tree.dotenv_run().args(["--stop-timeout", "0.2"]);
    let live = watched(run, script).spawn();
    let first = wait_for_starts(&live, 1);
    put(&tree, 2);
    let second = wait_for_starts(&live, 2);
    assert_gone(&[Pid::from_raw(first)]);
    // The time of the first one has nothing to do with the second one.
    wait_until("a while", {
        let begun = std::time::Instant::now();
        move || begun.elapsed().as_millis() > 600
    });
    assert!(kill(Pid::from_raw(second), None).is_ok());
    end(live).assert_killed_by(Signal::SIGKILL);
}

pub fn a_killed_supervisor_takes_everything_but_the_command_along() {
    let tree = tree();
    let live = watched(
        tree.dotenv_run(),
        "trap 'exit 0' USR1; while :; do sleep 0.01; done",
    )
    .spawn();
    let command = Pid::from_raw(wait_for_starts(&live, 1));
    let keeper = keeper(&live, command);
    live.signal(Signal::SIGKILL);
    wait_until("the end of the keeper", || kill(keeper, None).is_err());
    assert!(kill(command, None).is_ok());
    kill(command, Signal::SIGUSR1).expect("the command");
    live.wait().assert_killed_by(Signal::SIGKILL);

    let run = tree.dotenv_run().arg("--die-with-parent=KILL");
    let live = watched(run, WAIT).spawn();
    wait_for_starts(&live, 1);
    put(&tree, 2);
    let command = Pid::from_raw(wait_for_starts(&live, 2));
    live.signal(Signal::SIGKILL);
    live.wait().assert_killed_by(Signal::SIGKILL);
    assert_gone(&[command]);
}

pub fn a_killed_keeper_leaves_the_command_alone() {
    let tree = tree();
    let live = watched(tree.dotenv_run(), WAIT).spawn();
    let command = Pid::from_raw(wait_for_starts(&live, 1));
    let keeper = keeper(&live, command);
    kill(keeper, Signal::SIGKILL).expect("the keeper");
    wait_until("the end of the keeper", || kill(keeper, None).is_err());
    assert_eq!(family(live.pid()), [live.pid(), command]);
    end(live).assert_killed_by(Signal::SIGTERM);
}

/// The process that asks for the secrets.
#[track_caller]
pub fn keeper(live: &Live, command: Pid) -> Pid {
    // The command may have started programs of its own.
    let is_ours = |process: &Pid| {
        let name = std::fs::read_to_string(format!("/proc/{process}/comm"));
        *process != command && name.is_ok_and(|name| name == "dotenv-run\n")
    };
    wait_for("two processes", || {
        let family = family(live.pid());
        let others: Vec<_> = family[1..].iter().copied().filter(is_ours).collect();
        (others.len() == 1).then(|| others[0])
    })
}
