//! What the API key may do besides what a run needs, and how long still.

#![forbid(unsafe_code)]

use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::Error;
use crate::event::{Abilities, Event, Stage};
use crate::keys::ApiKey;
use crate::report::Report;
use crate::store::documents::ApiKeyRecord;
use crate::sys::CalendarTime;

/// What stands behind the colon of an ability that changes something.
const CHANGES: [&str; 7] = [
    "create", "delete", "purge", "restore", "rotate", "update", "write",
];

/// The time in seconds before its end from when on a key is warned of: 14 days.
const SOON: i64 = 14 * DAY;

const DAY: i64 = 24 * 60 * 60;

/// Has the service asked, by `ask`, what the API key may do, and warns of one that can do more than read or has the wrong
/// time to live. Whatever comes of it keeps no command from being started.
pub fn look_at_key(
    key: &ApiKey,
    report: &Report,
    ask: impl FnOnce() -> Result<Vec<ApiKeyRecord>, Error>,
) {
    let record = if key.organization().is_none() {
        Err("the key does not belong to an organization".to_owned())
    } else {
        let answer = report.timed(Stage::Abilities, ask);
        answer.map_err(reason).and_then(ours_among)
    };
    let abilities = match record {
        Ok(record) => of(record, report),
        Err(reason) => Abilities::Unknown(reason),
    };
    report.record(|| Event::Abilities(abilities));
}

/// Why there is no list.
fn reason(error: Error) -> String {
    match error {
        Error::UnexpectedStatus { status: 403, .. } => {
            "the key is not allowed to list API keys".to_owned()
        }
        error => error.to_string(),
    }
}

/// The record of our key. The list does not say which one that is, so it is known only if all that are there are alike.
fn ours_among(mut records: Vec<ApiKeyRecord>) -> Result<ApiKeyRecord, String> {
    let count = records.len();
    let unknown = || format!("the list does not identify which of its {count} keys this is");
    let ours = records.pop().ok_or_else(unknown)?;
    let is_alike = |other: &ApiKeyRecord| {
        other.abilities == ours.abilities && other.expires_at == ours.expires_at
    };
    if records.iter().all(is_alike) {
        Ok(ours)
    } else {
        Err(unknown())
    }
}

fn of(record: ApiKeyRecord, report: &Report) -> Abilities {
    let changes = |name: &&String| {
        let action = name.rsplit(':').next().unwrap_or_default();
        action == "*" || CHANGES.contains(&action)
    };
    let excess: Vec<_> = record.abilities.iter().filter(changes).cloned().collect();
    if !excess.is_empty() {
        report.warn(format_args!(
            "the API key can do more than read: {}",
            excess.join(", ")
        ));
    }
    let end = record.expires_at.as_deref().map(seconds_of);
    let expires_at = end.flatten().map(|end| CalendarTime::at(end).rfc3339());
    match end {
        None => report.warn(format_args!("the API key never expires")),
        Some(None) => report.warn(format_args!(
            "cannot determine when the API key expires: unknown time format"
        )),
        Some(Some(end)) if end - now() < SOON => {
            let days = (end - now()).max(0) / DAY;
            let at = CalendarTime::at(end).rfc3339();
            report.warn(format_args!("the API key expires in {days} days, at {at}"));
        }
        Some(Some(_)) => (),
    }
    Abilities::Known {
        names: record.abilities,
        excess,
        expires_at,
    }
}

fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs() as i64)
}

/// A time of RFC 3339 in seconds since 1970, without its fraction.
fn seconds_of(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| {
        let digits = text.get(from..to)?;
        let is_number = digits.bytes().all(|digit| digit.is_ascii_digit());
        is_number.then(|| digits.parse::<i64>().ok())?
    };
    let has = |at: usize, marks: &str| {
        let mark = text.get(at..=at);
        mark.is_some_and(|mark| marks.contains(mark))
    };
    let is_formed = [(4, "-"), (7, "-"), (10, "Tt "), (13, ":"), (16, ":")]
        .into_iter()
        .all(|(at, marks)| has(at, marks));
    let [year, month, day] = [number(0, 4)?, number(5, 7)?, number(8, 10)?];
    let [hour, minute, second] = [number(11, 13)?, number(14, 16)?, number(17, 19)?];
    let is_time = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24;
    if !is_formed || !is_time || minute > 59 || second > 60 {
        return None;
    }
    let rest = text.get(19..)?;
    let fraction = rest.strip_prefix('.').unwrap_or_default();
    let digits = fraction.len()
        - fraction
            .trim_start_matches(|it: char| it.is_ascii_digit())
            .len();
    let zone = if digits > 0 {
        &fraction[digits..]
    } else {
        rest
    };
    let east = offset_of(zone)?;
    // Years are counted from March, so that the leap day is the last one.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    Some((days - 719_468) * DAY + hour * 3600 + minute * 60 + second - east)
}

/// How far a zone lies to the east in seconds: `Z`, `+01:00`.
fn offset_of(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let part = |text: &str, limit: i64| {
        let number: i64 = text.parse().ok()?;
        (text.len() == 2 && (0..limit).contains(&number)).then_some(number)
    };
    let east = part(hours, 24)? * 3600 + part(minutes, 60)? * 60;
    match zone.get(..1)? {
        "+" => Some(east),
        "-" => Some(-east),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_rfc_3339_has_them() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-28T23:59:59Z", 951_782_399),
            ("2000-02-29T00:00:00.000000Z", 951_782_400),
            ("2000-03-01 00:00:00z", 951_868_800),
            ("2025-12-31T23:59:59+00:00", 1_767_225_599),
            ("2026-01-01T00:59:59.5+01:00", 1_767_225_599),
            ("2025-12-31T18:29:59-05:30", 1_767_225_599),
            ("1969-12-31T23:59:59Z", -1),
        ] {
            assert_eq!(seconds_of(text), Some(seconds), "{text}");
        }
        for text in [
            "",
            "never",
            "2025-12-31",
            "2025-12-31T23:59:59",
            "2025-13-31T23:59:59Z",
            "2025-12-31T24:59:59Z",
            "2025-12-31T23:59:59.Z",
            "2025-12-31T23:59:59+1:00",
            "2025-12-31T23:59:59+01:0\u{e9}",
            "+025-12-31T23:59:59Z",
            "1767225599",
        ] {
            assert_eq!(seconds_of(text), None, "{text}");
        }
    }
}
