//! How fast the parser is, and that no shape of text makes it slower than linear.
//!
//! MB/s at 1 kB, 100 kB and 10 MB, and how many times longer a byte takes at 10 MB than at 100 kB. With
//! quadratic time that would be 100 times; caches that are too small explain a few.

use std::hint::black_box;
use std::time::{Duration, Instant};

use dotenv_run::inside::dotenv::parse::parse;

const SIZES: [usize; 3] = [1_000, 100_000, 10_000_000];

/// How a text of any size is made: what it starts with, what is repeated (`@` stands for the number of
/// the repetition) and what it ends with.
struct Shape {
    name: &'static str,
    start: &'static str,
    repeated: &'static str,
    end: &'static str,
}

const fn shape(
    name: &'static str,
    start: &'static str,
    repeated: &'static str,
    end: &'static str,
) -> Shape {
    Shape {
        name,
        start,
        repeated,
        end,
    }
}

const SHAPES: [Shape; 20] = [
    shape(
        "a level",
        "",
        "SERVICE_@_URL=https://user:password@db.example.com:5432/name?ssl=1\n",
        "",
    ),
    shape(
        "a level in double quotes",
        "",
        "KEY_@=\"-----BEGIN KEY-----\\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcw\\n\"\n",
        "",
    ),
    shape(
        "a level in single quotes",
        "",
        "KEY_@='-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcw\n'\n",
        "",
    ),
    shape("short variables", "", "V@=x\n", ""),
    shape("one long value", "A=", "x", ""),
    shape("one long name", "", "A", "=x"),
    shape("blank lines", "", "\n", ""),
    shape("blank lines, CRLF", "", "\r\n", ""),
    shape("only =", "", "=", ""),
    shape("a value of =", "A=", "=", ""),
    shape("only #", "", "#", ""),
    shape("a value of #", "A=x", "#", ""),
    shape("quotes in quotes", "A='", "\"", "'"),
    shape("escaped quotes", "A=\"", "\\\"", "\""),
    shape("escaped quotes, never closed", "A='", "\\'", ""),
    shape("backslashes", "A=\"", "\\\\", "\""),
    shape("empty quotes", "", "V@=''\n", ""),
    shape(
        "multi-line values, the last one open",
        "",
        "V@=\"a\nb\nc\"\n",
        "A=\"x\n",
    ),
    shape("duplicates", "", "A=x\n", ""),
    shape("lines without =", "", "x\n", ""),
];

impl Shape {
    fn text(&self, size: usize) -> String {
        let mut text = String::with_capacity(size + 100);
        text.push_str(self.start);
        let mut number = 0;
        while text.len() + self.end.len() < size {
            text.push_str(&self.repeated.replace('@', &number.to_string()));
            number += 1;
        }
        text.push_str(self.end);
        text
    }
}

/// Nanoseconds a byte: the best of several runs, each long enough to be measured.
fn cost(text: &str) -> f64 {
    let runs = (2_000_000 / text.len()).max(1);
    let best = (0..7).map(|_| {
        let start = Instant::now();
        for _ in 0..runs {
            black_box(parse(black_box(text.as_bytes())).is_ok());
        }
        start.elapsed()
    });
    let best = best.min().unwrap_or(Duration::MAX);
    best.as_secs_f64() * 1e9 / (runs * text.len()) as f64
}

pub fn run() {
    println!(
        "{:38} {:>9} {:>9} {:>9} {:>6}",
        "MB/s", "1 kB", "100 kB", "10 MB", "ratio"
    );
    for shape in SHAPES {
        let costs = SIZES.map(|size| cost(&shape.text(size)));
        let [small, middle, large] = costs.map(|nanoseconds| 1e3 / nanoseconds);
        let ratio = costs[2] / costs[1];
        println!(
            "{:38} {small:9.0} {middle:9.0} {large:9.0} {ratio:6.1}",
            shape.name
        );
    }
}
