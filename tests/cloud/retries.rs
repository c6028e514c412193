//! What is asked for again, how often and when: failures that may pass, and the waits between.

use std::time::{Duration, Instant};

use crate::cloud::{encryption_key, failing, good_body, secrets};
use crate::support::*;

tests![
    a_failure_that_passes_is_outlived,
    a_hang_is_given_up_for_another_attempt,
    after_four_attempts_it_gives_up,
    a_refused_connection_is_tried_four_times,
    what_does_not_pass_is_asked_for_once,
    a_wait_in_seconds_is_obeyed,
    a_wait_until_a_date_is_obeyed needs(|| tool("date")),
    a_wait_that_does_not_fit_is_not_begun,
    a_wait_that_makes_no_sense_is_passed_over,
    no_wait_goes_beyond_the_deadline,
    waiting_costs_no_computing,
];

const BUSY: [u16; 5] = [429, 500, 502, 503, 504];

/// A failure with whatever a server might want a browser to keep.
fn busy(status: u16) -> Reply {
    Reply::error(status, "busy", "later").header("Set-Cookie", "session=1; Path=/")
}

/// How often a document was asked for.
fn times(service: &Service, target: &str) -> usize {
    let targets = service.targets();
    targets.iter().filter(|it| *it == target).count()
}

fn a_failure_that_passes_is_outlived() {
    let body = good_body();
    let length = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    let cut = length + &body[..body.len() / 2];
    let mut faults: Vec<_> = BUSY.map(|status| Fault::Reply(busy(status))).into();
    faults.extend([Fault::Close, Fault::Raw(Vec::new()), Fault::Raw(cut.into())]);
    let routes = [
        (Route::Organization, "/api/v1/organization".into()),
        (Route::Secrets, secrets("legacy")),
        (Route::EncryptionKey, encryption_key("legacy")),
    ];
    for (index, fault) in faults.into_iter().enumerate() {
        let service = Service::example();
        let (route, target) = &routes[index % 3];
        service.fail_times(1 + index % 2, *route, fault);
        let run = service.dotenv_run_with(Key::new().oauth()).arg("legacy");
        assert_eq!(run.variables().len(), 3);
        // What is there already is not asked for again.
        for (_, other) in &routes {
            let expected = if other == target { 2 + index % 2 } else { 1 };
            assert_eq!(times(&service, other), expected, "{other}");
        }
        for request in service.requests() {
            assert_eq!(request.header("Cookie"), None);
        }
    }
}

/// Silence of ten seconds is a failure that may pass.
fn a_hang_is_given_up_for_another_attempt() {
    let service = Service::example();
    service.fail_times(1, Route::Secrets, Fault::Hang);
    let run = service.dotenv_run().args(["--timeout", "28", "legacy"]);
    let outcome = run.args(["--", "true"]).finish();
    outcome.assert_status(0);
    assert!(outcome.elapsed > Duration::from_secs(10), "{outcome}");
    assert_eq!(times(&service, &secrets("legacy")), 2);
}

fn after_four_attempts_it_gives_up() {
    for status in BUSY {
        for route in [Route::Secrets, Route::EncryptionKey] {
            let service = Service::plain();
            let run = failing(&service, route, Fault::Reply(busy(status)));
            let refused = run.refuses(124, &[&status.to_string()]);
            assert!(refused.elapsed < Duration::from_secs(8), "{refused}");
            let (asked, other) = match route {
                Route::Secrets => (secrets("legacy"), encryption_key("legacy")),
                _ => (encryption_key("legacy"), secrets("legacy")),
            };
            assert_eq!(times(&service, &asked), 4);
            assert_eq!(times(&service, &other), 1);
        }
    }
}

fn a_refused_connection_is_tried_four_times() {
    let url = format!("https://{}", refusing_port());
    let run = Run::dotenv_run().env("DOTENV_API_KEY", Key::new().token());
    let run = run.args(["-v", "--api-url", &url, "legacy", "--", "true"]);
    let outcome = run.finish();
    outcome.assert_status(124).assert_stdout("");
    for attempt in ["attempt 1", "attempt 2", "attempt 3", "attempt 4"] {
        assert!(outcome.stderr.contains(attempt), "{attempt}\n{outcome}");
    }
    assert!(!outcome.stderr.contains("attempt 5"), "{outcome}");
    assert_eq!(
        outcome.stderr.matches("next attempt in").count(),
        3,
        "{outcome}"
    );
}

fn what_does_not_pass_is_asked_for_once() {
    for status in [400, 401, 403, 404, 409, 418, 422, 302, 204, 501, 505, 599] {
        let service = Service::plain();
        // An answer that asks for a wait is still no reason to ask again.
        let reply = busy(status).header("Retry-After", "0");
        let run = failing(&service, Route::Secrets, Fault::Reply(reply));
        let expected = if status > 500 { 124 } else { 125 };
        run.refuses(expected, &[]);
        assert_eq!(times(&service, &secrets("legacy")), 1, "{status}");
    }
    for body in ["", "{}", "<html>", "\u{1f}\u{8b}"] {
        let service = Service::plain();
        let reply = Reply::new(200, "application/json", body).header("Content-Encoding", "gzip");
        failing(&service, Route::Secrets, Fault::Reply(reply)).refuses(125, &[]);
        assert_eq!(times(&service, &secrets("legacy")), 1);
    }
    let service = Service::with_certificate(Certificate::Expired);
    service
        .dotenv_run()
        .arg("legacy")
        .refuses(125, &["expired"]);
    assert!(service.connections() <= 2, "{}", service.connections());
}

/// The time between the first and the second request for the secrets.
fn pause(service: &Service) -> Duration {
    let target = secrets("legacy");
    let requests = service.requests().into_iter();
    let times: Vec<Instant> = requests
        .filter(|request| request.target == target)
        .map(|request| request.received)
        .collect();
    times[1] - times[0]
}

/// A service that once asks for a wait, and has been asked again.
fn waited(status: u16, wait: &str) -> Service {
    let service = Service::plain();
    let reply = busy(status).header("Retry-After", wait);
    service.fail_times(1, Route::Secrets, Fault::Reply(reply));
    assert_eq!(service.dotenv_run().arg("legacy").variables().len(), 3);
    service
}

fn a_wait_in_seconds_is_obeyed() {
    for status in [429, 503] {
        let pause = pause(&waited(status, "1"));
        assert!(pause >= Duration::from_secs(1), "{pause:?}");
        assert!(pause < Duration::from_secs(5), "{pause:?}");
    }
    assert!(pause(&waited(429, "0")) < Duration::from_secs(1));
}

fn a_wait_until_a_date_is_obeyed() {
    for (from_now, form, expected) in [
        ("+2 seconds", "+%a, %d %b %Y %T GMT", 1..6),
        ("+2 seconds", "+%A, %d-%b-%y %T GMT", 1..6),
        ("+2 seconds", "+%a %b %e %T %Y", 1..6),
        ("-1 hour", "+%a, %d %b %Y %T GMT", 0..1),
    ] {
        let date = Run::program("date").env("LC_ALL", "C");
        let date = date.args(["-u", "-d", from_now, form]).finish();
        let pause = pause(&waited(503, date.assert_status(0).text().trim()));
        assert!(expected.contains(&pause.as_secs()), "{form}: {pause:?}");
    }
}

fn a_wait_that_does_not_fit_is_not_begun() {
    for (status, wait) in [(429, "60"), (503, "60"), (429, "99999999999999999999")] {
        for route in [Route::Organization, Route::Secrets, Route::EncryptionKey] {
            let service = Service::plain();
            let reply = busy(status).header("Retry-After", wait);
            let run = failing(&service, route, Fault::Reply(reply));
            let run = run.args(["--timeout", "20"]);
            let says = format!(
                "asks to wait {}",
                &wait[..2.min(wait.len())].replace("99", "")
            );
            let refused = run.refuses(124, &[&status.to_string(), &says]);
            assert!(refused.elapsed < Duration::from_secs(5), "{refused}");
            assert!(service.requests().len() <= 3, "{:?}", service.targets());
        }
    }
}

fn a_wait_that_makes_no_sense_is_passed_over() {
    for wait in ["-1", "soon", "1.5", "", "Sun, 06 Nov"] {
        let pause = pause(&waited(503, wait));
        assert!(pause < Duration::from_secs(1), "{wait}: {pause:?}");
    }
}

fn no_wait_goes_beyond_the_deadline() {
    let service = Service::plain();
    let reply = Fault::Late(Duration::from_millis(100), busy(503));
    let run = failing(&service, Route::Secrets, reply);
    let refused = run.args(["--timeout", "0.15"]).refuses(124, &[]);
    assert!(refused.elapsed < Duration::from_secs(2), "{refused}");
}

fn waiting_costs_no_computing() {
    let service = Service::plain();
    let reply = busy(503).header("Retry-After", "2");
    let run = failing(&service, Route::Secrets, Fault::Reply(reply));
    let live = run.args(["--timeout", "20", "--", "true"]).spawn();
    wait_until("the first failure", || {
        times(&service, &secrets("legacy")) > 0
    });
    let before = super::order::computed(live.pid());
    wait_until("the second attempt", || {
        times(&service, &secrets("legacy")) > 1
    });
    let spent = super::order::computed(live.pid()) - before;
    assert!(spent < 20, "{spent} ticks of 10 ms in a wait of 2 s");
}
