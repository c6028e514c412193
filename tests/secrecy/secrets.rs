//! Values that nothing but a leak can bring into a text, and the search for them in any encoding.

use std::collections::{BTreeMap, HashMap};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};

use crate::support::*;

/// A value that no encoding leaves as it is.
pub const VALUE: &str = "xQ7\"vB\\9é%kW2/tR+5=zN8&mJ4~hD6";

/// A value that every encoding of text leaves as it is, and that could pass for a name.
pub const WORD: &str = "kX4tQ9vZ2mB7wR5nJ8cL3yH6dF1sG0pA";

/// The user's key of `app`.
pub const KEY: &str = "Yw3:pL8#cV5!nK2^sT7?gH4*bF9_rM6";

/// The service's key of `managed` and `legacy`.
pub const SERVER_KEY: &str = "uE5jA2oI8xC4zS7lD3qW6yG9kN1tR0hB";

/// What a proxy asks for.
pub const PROXY_PASSWORD: &str = "Vh6Tn3Kd9Xs2Rf7Jm4Lp8Wc5Zb1Qg0Y";

/// The length of the shortest run in bytes that counts as found.
const RUN: usize = 8;

/// An API key.
pub fn token() -> String {
    format!("dotenv_{ORGANIZATION}_{WORD}")
}

/// The worked example in every custody, with values that are easy to find again.
pub fn world() -> World {
    let keyed = |key: &str, custody| Custody {
        key: key.into(),
        ..custody
    };
    World::new(vec![
        project("app", keyed(KEY, Custody::client())),
        project("managed", keyed(SERVER_KEY, Custody::server())),
        project("legacy", keyed(SERVER_KEY, Custody::legacy())),
    ])
}

fn project(slug: &str, custody: Custody) -> Project {
    Project::new(slug, custody)
        .level("", &format!("ALPHA={VALUE}\nBETA={WORD}\n"))
        .level("t", &format!("BETA='{VALUE}'\nnothing\n"))
        .level("t/e", &format!("GAMMA=\"{WORD}\"\n"))
}

/// Everything in a world that is sealed, as it is sent.
pub fn blobs(world: &World) -> Vec<String> {
    let of_project = |project: &Project| {
        let places = project
            .places()
            .flat_map(|place| project.levels(place))
            .filter(|(.., level)| level.encrypted);
        places
            .map(|(.., level)| level.content.clone())
            .collect::<Vec<_>>()
    };
    let mut blobs: Vec<_> = world.projects.iter().flat_map(of_project).collect();
    blobs.sort();
    blobs.dedup();
    blobs
}

/// Every run of every secret, in every encoding.
pub struct Spellings {
    /// By length in bytes, and then what each is.
    runs: BTreeMap<usize, HashMap<Vec<u8>, &'static str>>,
}

impl Spellings {
    /// Those of the secrets above, and of the keys that are derived from them.
    pub fn new() -> Self {
        let mut needles = Spellings {
            runs: BTreeMap::new(),
        };
        for secret in [VALUE, WORD, KEY, SERVER_KEY, PROXY_PASSWORD] {
            needles.add(secret.as_bytes());
        }
        let Custody {
            salt, iterations, ..
        } = Custody::client();
        let iterations = iterations.expect("a number of iterations");
        for key in [KEY, SERVER_KEY] {
            needles.add(&data_key(key, salt.as_deref(), iterations));
        }
        needles
    }

    /// Those of these secrets alone.
    pub fn of<S: AsRef<[u8]>>(secrets: impl IntoIterator<Item = S>) -> Self {
        let mut needles = Spellings {
            runs: BTreeMap::new(),
        };
        secrets
            .into_iter()
            .for_each(|secret| needles.add(secret.as_ref()));
        needles
    }

    fn add(&mut self, secret: &[u8]) {
        for run in runs(secret) {
            for (encoding, text) in encodings(run) {
                self.insert(text.into_bytes(), encoding);
            }
            self.insert(run.to_vec(), "as it is");
        }
        for text in base64_runs(secret) {
            self.insert(text, "in base64");
        }
    }

    fn insert(&mut self, needle: Vec<u8>, encoding: &'static str) {
        let same_length = self.runs.entry(needle.len()).or_default();
        same_length.entry(needle).or_insert(encoding);
    }

    /// The first of them that is in a text, and how it is encoded.
    pub fn found_in(&self, text: &[u8]) -> Option<String> {
        self.runs.iter().find_map(|(length, needles)| {
            let found = text
                .windows(*length)
                .find_map(|window| needles.get_key_value(window));
            found.map(|(run, encoding)| format!("{} {encoding}", run.escape_ascii()))
        })
    }
}

/// The runs that are just long enough; in text they begin and end between characters.
fn runs(secret: &[u8]) -> Vec<&[u8]> {
    let Ok(text) = str::from_utf8(secret) else {
        return secret.windows(RUN).collect();
    };
    let starts = text.char_indices().map(|(start, _)| start);
    let run = |start: usize| {
        let end = (start + RUN..=text.len()).find(|end| text.is_char_boundary(*end))?;
        Some(&secret[start..end])
    };
    starts.filter_map(run).collect()
}

/// How a run could be written, but for base64, in which it depends on what stands before it.
fn encodings(run: &[u8]) -> Vec<(&'static str, String)> {
    let each = |write: &dyn Fn(&u8) -> String| run.iter().map(write).collect::<String>();
    let reserved = |byte: &u8| !byte.is_ascii_alphanumeric() && !b"-._~".contains(byte);
    let list = format!("{run:?}");
    let mut encodings = vec![
        ("in hex", each(&|byte| format!("{byte:02x}"))),
        ("in hex", each(&|byte| format!("{byte:02X}"))),
        ("as a list", list[1..list.len() - 1].to_string()),
        ("escaped", run.escape_ascii().to_string()),
    ];
    for (is_lower, is_whole) in [(false, false), (false, true), (true, false), (true, true)] {
        let percent = |byte: &u8| match (is_whole || reserved(byte), is_lower) {
            (false, _) => char::from(*byte).to_string(),
            (true, false) => format!("%{byte:02X}"),
            (true, true) => format!("%{byte:02x}"),
        };
        encodings.push(("percent-encoded", each(&percent)));
    }
    if let Ok(text) = str::from_utf8(run) {
        let json = serde_json::to_string(text).expect("a string");
        let json = json[1..json.len() - 1].to_string();
        let ascii = |text: &str| text.replace('é', "\\u00e9");
        encodings.extend([
            ("escaped", text.escape_debug().to_string()),
            ("escaped", text.escape_default().to_string()),
            ("as JSON", ascii(&json)),
            ("as JSON", ascii(&json.replace('/', "\\/"))),
            ("as JSON", json),
        ]);
    }
    encodings
}

/// What base64 makes of any run of eight bytes, whatever stands before and behind it: at least ten
/// characters that are of the run alone.
fn base64_runs(secret: &[u8]) -> Vec<Vec<u8>> {
    let mut runs = Vec::new();
    for engine in [BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD] {
        for before in 0..3 {
            let encoded = engine.encode([&[0; 2][..before], secret].concat());
            let own = (before * 8).div_ceil(6)..(before + secret.len()) * 8 / 6;
            runs.extend(encoded.as_bytes()[own].windows(10).map(<[u8]>::to_vec));
        }
    }
    runs
}
