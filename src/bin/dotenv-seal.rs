//! Makes and updates a sealed tree: the embedded store that `dotenv-run` reads with a `file:` URL.
//!
//! Only ciphertext is written. Every document is replaced whole, and one process at a time changes
//! a tree.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    dotenv_run::programs::seal()
}
