//! Many starts at a time, and a service that takes no more than so many. `make bench ONLY=scale` has the numbers.

use std::time::Duration;

use crate::support::*;

tests![
    many_starts_at_a_time_all_succeed,
    a_limit_on_requests_is_outlived_or_told,
];

/// How many runs go on at a time.
const AT_A_TIME: usize = 25;

fn many_starts_at_a_time_all_succeed() {
    let service = Service::example();
    check_all(AT_A_TIME, &[(); 150], |()| {
        let run = service.dotenv_run().args(["managed/production/api", "--"]);
        let outcome = run.args(["printenv", "LOG_LEVEL"]).finish();
        outcome.assert_status(0).assert_stdout("debug\n");
        Ok(())
    });
    // None of them was in vain.
    assert_eq!(service.connections(), 300);
}

/// A service takes fewer requests than come, and says when it takes more, or does not.
fn a_limit_on_requests_is_outlived_or_told() {
    for tells in [true, false] {
        let service = Service::example();
        service.limit(Rate::new(30, Duration::from_secs(2), tells));
        check_all(AT_A_TIME, &[(); 40], |()| {
            let witness = Witness::new();
            let run = service
                .dotenv_run()
                .args(["--timeout", "10", "legacy", "--"]);
            let outcome = run.args(witness.command()).finish();
            outcome.assert_stdout("");
            if outcome.status.success() {
                witness.assert_started();
            } else {
                outcome.assert_refused(124, &["accepts no more requests for now (429)"]);
                witness.assert_not_started();
            }
            assert!(outcome.elapsed < Duration::from_secs(11), "{outcome}");
            Ok(())
        });
        // Most of it was over the limit when it came, and nobody asked for anything more than four times.
        let requests = service.requests().len();
        assert!((81..=320).contains(&requests), "{requests} requests");
    }
}
