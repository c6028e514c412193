//! What is looked for: secrets, their encodings and their AES key schedules, by the runs of bytes
//! that they consist of.

use std::collections::{BTreeSet, HashMap, HashSet};

use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use ring::aead::{AES_256_GCM, LessSafeKey, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use sha2::compress256;

/// The shortest run that is found, in bytes.
pub const RUN: usize = 8;

/// The shortest run of an encoding, in bytes: what [`RUN`] bytes of the secret become in base64, and
/// fewer than they become in hexadecimal digits, of which programs hold all sorts.
const ENCODED_RUN: usize = 11;

/// A run of fewer different bytes may well be something else.
const DIVERSITY: usize = 5;

/// Of the filter, in bits of an index.
const FILTER_BITS: u32 = 20;

/// What SHA-256 starts from (FIPS 180-4, 5.3.3).
const INITIAL: [u32; 8] = [
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
];

/// Text that nothing else contains.
pub fn unmistakable(length: usize) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bytes = vec![0; length];
    SystemRandom::new().fill(&mut bytes).expect("random bytes");
    bytes
        .iter()
        .map(|byte| char::from(alphabet[usize::from(byte & 63)]))
        .collect()
}

/// One form of a secret.
struct Needle {
    secret: String,
    form: &'static str,
    bytes: Vec<u8>,
}

/// A run of a secret at some place.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// Which secret it is.
    pub secret: String,
    /// What it was made into: `raw` for nothing.
    pub form: &'static str,
    /// Where the run starts, from the start of what was searched.
    pub position: usize,
    /// The length of the run.
    pub length: usize,
    /// The length of the whole.
    pub whole: usize,
}

/// What to look for.
pub struct Needles {
    needles: Vec<Needle>,
    /// Each run of [`RUN`] bytes: in which needles it stands, and where.
    windows: HashMap<u64, Vec<(usize, usize)>>,
    /// Whether any window has a hash.
    filter: Vec<u64>,
}

impl Needles {
    pub fn new() -> Self {
        Needles {
            needles: Vec::new(),
            windows: HashMap::new(),
            filter: vec![0; 1 << (FILTER_BITS - 6)],
        }
    }

    /// Adds a secret, as it is and in hexadecimal digits and base64.
    #[track_caller]
    pub fn add(&mut self, secret: &str, bytes: &[u8]) {
        let before = self.windows.len();
        self.add_form(secret, "raw", bytes.to_vec());
        assert!(
            before < self.windows.len(),
            "{secret} cannot be told from anything else"
        );
        for shift in 0..3.min(bytes.len()) {
            let text = BASE64_STANDARD_NO_PAD.encode(&bytes[shift..]);
            // The last character may depend on what follows.
            self.add_form(secret, "base64", text[..text.len() - 1].into());
        }
        let lower: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.add_form(secret, "hex", lower.to_uppercase().into());
        self.add_form(secret, "hex", lower.into());
    }

    /// Adds a key of HMAC-SHA256 of up to 64 bytes, and the two states of the hash that stand for it.
    pub fn add_mac_key(&mut self, secret: &str, key: &[u8]) {
        self.add(secret, key);
        for pad in [0x36, 0x5c] {
            let mut block = [pad; 64];
            block
                .iter_mut()
                .zip(key)
                .for_each(|(byte, key)| *byte ^= key);
            let mut state = INITIAL;
            compress256(&mut state, &[block.into()]);
            let state = state.iter().flat_map(|word| word.to_ne_bytes()).collect();
            self.add_form(secret, "state of HMAC", state);
        }
    }

    /// Adds an AES-256 key, and what ring keeps for using it.
    pub fn add_data_key(&mut self, secret: &str, key: &[u8; 32]) {
        self.add(secret, key);
        let (schedule, again) = (schedule(key), schedule(key));
        let other = windows(&self::schedule(&[0x5a; 32]))
            .map(|(_, window)| window)
            .collect::<HashSet<_>>();
        // What differs for the same key is padding, and what is the same for another is none of it.
        let belongs = |at: &usize| {
            let window = &schedule[*at..*at + RUN];
            window == &again[*at..*at + RUN] && !other.contains(&word(window))
        };
        let mut at: Vec<_> = (0..=schedule.len() - RUN).filter(belongs).collect();
        assert!(
            at.len() > 200,
            "the key schedule of ring has a form that is not known here"
        );
        let needle = self.needles.len();
        at.retain(|at| is_diverse(&schedule[*at..*at + RUN]));
        at.into_iter()
            .for_each(|at| self.insert(word(&schedule[at..at + RUN]), (needle, at)));
        self.needles.push(Needle {
            secret: secret.into(),
            form: "key schedule",
            bytes: schedule,
        });
    }

    fn add_form(&mut self, secret: &str, form: &'static str, bytes: Vec<u8>) {
        let needle = self.needles.len();
        for (at, window) in windows(&bytes) {
            self.insert(window, (needle, at));
        }
        self.needles.push(Needle {
            secret: secret.into(),
            form,
            bytes,
        });
    }

    fn insert(&mut self, window: u64, place: (usize, usize)) {
        let hash = hash(window);
        self.filter[hash >> 6] |= 1 << (hash & 63);
        self.windows.entry(window).or_default().push(place);
    }

    /// The secrets that are looked for.
    pub fn secrets(&self) -> BTreeSet<&str> {
        self.needles.iter().map(|needle| &*needle.secret).collect()
    }

    /// Every run in `bytes`, each as long as it is.
    pub fn find(&self, bytes: &[u8]) -> Vec<Hit> {
        let mut hits = Vec::new();
        let mut at = 0;
        while at + RUN <= bytes.len() {
            let window = word(&bytes[at..at + RUN]);
            let hash = hash(window);
            if self.filter[hash >> 6] >> (hash & 63) & 1 == 0 {
                at += 1;
                continue;
            }
            let places = self.windows.get(&window).into_iter().flatten();
            let runs = places.map(|place| self.run(*place, bytes, at));
            let runs = runs.filter(|hit| hit.length >= shortest(hit.form));
            match runs.max_by_key(|hit| hit.length) {
                Some(hit) => {
                    at = hit.position + hit.length - RUN + 1;
                    hits.push(hit);
                }
                None => at += 1,
            }
        }
        hits
    }

    /// The whole run around a window of a needle, found at `position`.
    fn run(&self, (needle, at): (usize, usize), bytes: &[u8], position: usize) -> Hit {
        let needle = &self.needles[needle];
        let equal = |pair: &(&u8, &u8)| pair.0 == pair.1;
        let before = needle.bytes[..at]
            .iter()
            .rev()
            .zip(bytes[..position].iter().rev());
        let before = before.take_while(equal).count();
        let behind = needle.bytes[at..].iter().zip(&bytes[position..]);
        let behind = behind.take_while(equal).count();
        Hit {
            secret: needle.secret.clone(),
            form: needle.form,
            position: position - before,
            length: before + behind,
            whole: needle.bytes.len(),
        }
    }
}

fn shortest(form: &str) -> usize {
    match form {
        "base64" | "hex" => ENCODED_RUN,
        _ => RUN,
    }
}

/// The windows of a needle that say something, and where they are.
fn windows(bytes: &[u8]) -> impl Iterator<Item = (usize, u64)> {
    let windows = bytes.windows(RUN).enumerate();
    windows
        .filter(|(_, window)| is_diverse(window))
        .map(|(at, window)| (at, word(window)))
}

fn is_diverse(window: &[u8]) -> bool {
    window.iter().collect::<BTreeSet<_>>().len() >= DIVERSITY
}

fn word(window: &[u8]) -> u64 {
    u64::from_ne_bytes(window.try_into().expect("the length of a window"))
}

fn hash(window: u64) -> usize {
    (window.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - FILTER_BITS)) as usize
}

/// A key as ring keeps it.
fn schedule(key: &[u8; 32]) -> Vec<u8> {
    let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("32 bytes"));
    let start = (&raw const cipher).cast::<u8>();
    // SAFETY: the address is within `cipher`, which is plain data; volatile, because some of it may
    // be padding, of which the compiler must assume nothing.
    let read = |at: usize| unsafe { start.wrapping_add(at).read_volatile() };
    (0..size_of_val(&cipher)).map(read).collect()
}
