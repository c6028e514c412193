//! `Retry-After` in every form, with both statuses that it comes with.

use super::*;

pub fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for status in [429, 503] {
        let waits = |values: &[&str]| {
            let reply = Reply::error(status, "busy", BODY);
            let reply = values
                .iter()
                .fold(reply, |reply, value| reply.header("Retry-After", value));
            (format!("{status}, {values:?}"), Fault::Reply(reply))
        };
        let says = format!("({status})");
        // None that counts, or none at all: further attempts follow at once.
        for values in [
            &["0"][..],
            &["Sun, 06 Nov 1994 08:49:37 GMT"],
            &["Sunday, 06-Nov-94 08:49:37 GMT"],
            &["Sun Nov  6 08:49:37 1994"],
            &["soon"],
            &["-5"],
            &["1.5"],
            &["0x10"],
            &["60, 60"],
            &["Sun, 32 Nov 2094 08:49:37 GMT"],
            &[""],
            &["0", "3600"],
        ] {
            let (name, fault) = waits(values);
            cells.extend(everywhere(&name, LONG, &fault, &may_pass(&says)));
            cells.extend(outlived(&name, &fault));
        }
        // One that fits is waited for.
        let (name, fault) = waits(&["1"]);
        cells.extend(outlived(&name, &fault));
        // One that does not fit, not even begun.
        for (values, asked) in [
            (&["1"][..], "asks to wait 1 s"),
            (&["60"], "asks to wait 60 s"),
            (&[" 60 "], "asks to wait 60 s"),
            (&["60", "0"], "asks to wait 60 s"),
            (
                &["99999999999999999999999"],
                "asks to wait 18446744073709551615 s",
            ),
            (&["Tue, 31 Dec 2999 23:59:59 GMT"], "asks to wait "),
        ] {
            let (name, fault) = waits(values);
            let expected = Expected::Refusal(124, vec![says.clone(), asked.to_owned()], 1);
            let name = format!("{name}, too long");
            cells.extend(everywhere(&name, SHORT, &fault, &expected));
        }
    }
    cells
}

pub fn every_form_of_a_wait_is_read() {
    check_cells(&cells());
}
