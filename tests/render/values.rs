//! Values to try: those of the vectors, and every short combination of what means something to some reader.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use dotenv_run::inside::dotenv::parse::is_name;
use serde_json::Value as Json;

/// What means something to some reader, or stands for what means nothing.
const TOKENS: [&str; 40] = [
    "'", "\"", "\\", "$", "{", "}", "#", " ", "\n", "`", "a", "\r", "\t", "n", "r", ":", "-", "=",
    "export ", "$(>ran)", "`>ran`", "${A}", "0", "t", "c", "A=", ";>ran;", "\u{85}", "\u{a0}",
    "\u{2028}", "\u{2029}", "\u{feff}", "\u{1c}", "\u{b}", "é", "ſ", "\u{212a}", "🌍", "!", "\nB=",
];

/// How many of the tokens are also tried three in a row.
const COMMON: usize = 17;

/// Quotes at both ends of what JavaScript takes for a line.
const LINES: [&str; 5] = [
    "`'\"`",
    "`a`'\"\\",
    "a'\u{2028}\"b\"",
    "`'\"`\u{2028}a",
    "\"'\u{2029}'",
];

/// All values: the vectors, characters alone and between others, short combinations, longer ones at random.
pub fn all() -> Vec<String> {
    let vectors = vectors().into_iter();
    let mut values: Vec<_> = vectors
        .filter_map(|vector| Some(variable(&vector)?.1))
        .collect();
    values.extend(characters().flat_map(|c| [format!("{c}"), format!("a{c}b"), format!("'{c}\"")]));
    values.extend(LINES.map(String::from));
    values.extend(ascii().flat_map(|c| [format!("'\\{c}"), format!("'${c}"), format!("'\"\\{c}")]));
    values.extend(combinations(&TOKENS, 2));
    values.extend(combinations(&TOKENS[..COMMON], 3));
    let mut random = Random(1);
    values.extend((0..2000).map(|_| {
        (0..random.below(12))
            .map(|_| TOKENS[random.below(TOKENS.len())])
            .collect()
    }));
    values.sort();
    values.dedup();
    values
}

/// One case of `vectors/values.json`: its identifier, its name, and the bytes of its value.
pub type Vector = (String, String, Vec<u8>);

pub fn vectors() -> Vec<Vector> {
    let document: Json = serde_json::from_str(include_str!("../vectors/values.json")).unwrap();
    let bytes = |value: &Json| match value {
        Json::String(text) => text.clone().into_bytes(),
        other => BASE64_STANDARD
            .decode(other["b64"].as_str().unwrap())
            .unwrap(),
    };
    let case = |case: &Json| {
        let (name, value) = case["vars"].as_object().unwrap().iter().next().unwrap();
        (
            case["id"].as_str().unwrap().into(),
            name.clone(),
            bytes(value),
        )
    };
    document["cases"]
        .as_array()
        .unwrap()
        .iter()
        .map(case)
        .collect()
}

/// The name and value of a vector, if they can exist.
pub fn variable((_, name, value): &Vector) -> Option<(String, String)> {
    let value = str::from_utf8(value)
        .ok()
        .filter(|value| !value.contains('\0'))?;
    is_name(name).then(|| (name.clone(), value.to_owned()))
}

/// Every text of at most `length` tokens.
pub fn combinations(tokens: &[&str], length: usize) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut longest = all.clone();
    for _ in 0..length {
        let longer = |shorter: &String| {
            tokens
                .iter()
                .map(move |token| format!("{shorter}{token}"))
                .collect::<Vec<_>>()
        };
        longest = longest.iter().flat_map(longer).collect();
        all.extend_from_slice(&longest);
    }
    all
}

/// The printable characters of ASCII.
pub fn ascii() -> impl Iterator<Item = char> {
    (' '..='~').chain(['\n'])
}

/// Control characters, blanks, line ends, and the edges of what is a character.
fn characters() -> impl Iterator<Item = char> {
    let ranges = [
        1..=0x180,
        0x1680..=0x1680,
        0x180e..=0x180e,
        0x2000..=0x206f,
        0x3000..=0x3000,
        0xd7ff..=0xe000,
        0xfdd0..=0xfdd0,
        0xfeff..=0xfeff,
        0xfff9..=0x10000,
        0x1fffe..=0x1ffff,
        0x10fffe..=0x10ffff,
    ];
    ranges.into_iter().flatten().filter_map(char::from_u32)
}

/// A generator that gives the same numbers in every run (xorshift64).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}
