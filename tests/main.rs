//! The behaviour of the real binaries, from the outside.
//!
//! One test binary with its own table of tests, so that a test which cannot run on a machine is
//! reported by name with its reason and counted, where the built-in harness would let it pass in
//! silence.

mod cli;
mod cloud;
mod credentials;
mod docs;
mod environment;
mod harness;
mod launch;
mod prompt;
mod seal;
mod support;
mod tree;
mod vectors;

use std::process::ExitCode;

fn main() -> ExitCode {
    support::Suite::new(&[
        cli::TESTS,
        cloud::TESTS,
        cloud::answers::TESTS,
        cloud::connection::TESTS,
        cloud::custody::TESTS,
        cloud::descriptor::TESTS,
        credentials::TESTS,
        docs::TESTS,
        environment::TESTS,
        harness::TESTS,
        harness::service::TESTS,
        launch::TESTS,
        prompt::TESTS,
        seal::TESTS,
        tree::TESTS,
        vectors::TESTS,
    ])
    .main()
}
