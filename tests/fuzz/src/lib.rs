//! What must hold for every input, whoever it comes from: one function `holds` for each fuzz target.
//!
//! The fuzzer calls them with what it makes up, on nightly; `tests/fuzz_regressions.rs` calls them
//! with every file of `corpus` and `regressions`, on stable. A property that does not hold panics.

pub mod blob;
mod grammar;
pub mod parse;
pub mod redact;
mod reference;
pub mod render;
pub mod resolve;
pub mod wire;

/// A function that panics where something does not hold for an input.
pub type Property = fn(&[u8]);

/// Every target by its name, which is also that of its folder in `corpus` and in `regressions`.
pub const TARGETS: [(&str, Property); 6] = [
    ("blob", blob::holds),
    ("parse", parse::holds),
    ("redact", redact::holds),
    ("render", render::holds),
    ("resolve", resolve::holds),
    ("wire", wire::holds),
];
