//! Key derivation, most of a cold start: our crates against what its hashing alone takes, and against others.

use std::num::NonZeroU32;
use std::process::{Command, Stdio};

use dotenv_run::inside::crypto::{DEFAULT_ITERATIONS, DataKey};
use ring::pbkdf2::{PBKDF2_HMAC_SHA256, derive};
use sha2::compress256;
use sha2::digest::generic_array::GenericArray;

use crate::{Candidate, compare, time};

const SECRET: &[u8] = b"correct horse battery staple";
const SALT: &[u8] = b"sixteen bytes of";

/// How many blocks are hashed by one call of the chain: so many that the call itself takes no time.
const BLOCKS: usize = 1_000;

pub fn run() {
    let iterations = NonZeroU32::new(DEFAULT_ITERATIONS).expect("not zero");
    let ours = || time(|| DataKey::derive(SECRET, SALT, DEFAULT_ITERATIONS).is_ok());
    let rings = || time(|| derive(PBKDF2_HMAC_SHA256, iterations, SALT, SECRET, &mut [0; 32]));
    let candidate = |name: &str, run| Candidate {
        name: name.to_owned(),
        run,
    };
    compare(
        15,
        vec![
            candidate("the chain of 1,200,000 blocks", Box::new(|| time(chain))),
            candidate("dotenv-run: pbkdf2 and sha2", Box::new(ours)),
            candidate("ring", Box::new(rings)),
            candidate("openssl kdf, a process", Box::new(|| time(openssl))),
        ],
    );
}

/// The blocks of all iterations, each hashed on from the one before: no derivation can be faster.
fn chain() -> [u32; 8] {
    let blocks = [GenericArray::from([7; 64]); BLOCKS];
    let mut state = [1; 8];
    for _ in 0..2 * DEFAULT_ITERATIONS as usize / BLOCKS {
        compress256(&mut state, std::hint::black_box(&blocks));
    }
    state
}

fn openssl() {
    let options = [
        "digest:SHA256",
        "pass:correct horse battery staple",
        "salt:sixteen bytes of",
        &format!("iter:{DEFAULT_ITERATIONS}"),
    ];
    let options = options.into_iter().flat_map(|option| ["-kdfopt", option]);
    let mut command = Command::new("openssl");
    command.args(["kdf", "-keylen", "32"]).args(options);
    let status = command.arg("PBKDF2").stdout(Stdio::null()).status();
    assert!(status.is_ok_and(|status| status.success()), "openssl fails");
}
