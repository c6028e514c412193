//! Key derivation, most of a cold start: our crates against ring.

use std::num::NonZeroU32;

use dotenv_run::crypto::{DEFAULT_ITERATIONS, DataKey};
use ring::pbkdf2::{PBKDF2_HMAC_SHA256, derive};

use crate::{Candidate, compare, time};

const SECRET: &[u8] = b"correct horse battery staple";
const SALT: &[u8] = b"sixteen bytes of";

pub fn run() {
    let iterations = NonZeroU32::new(DEFAULT_ITERATIONS).expect("not zero");
    let ours = || time(|| DataKey::derive(SECRET, SALT, DEFAULT_ITERATIONS).is_ok());
    let rings = || time(|| derive(PBKDF2_HMAC_SHA256, iterations, SALT, SECRET, &mut [0; 32]));
    compare(
        9,
        vec![
            Candidate {
                name: "pbkdf2 and sha2".to_owned(),
                run: Box::new(ours),
            },
            Candidate {
                name: "ring".to_owned(),
                run: Box::new(rings),
            },
        ],
    );
}
