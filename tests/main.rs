//! The behaviour of the real binaries, from the outside.
//!
//! One test binary with its own table of tests, so that a test which cannot run on a machine is
//! reported by name with its reason and counted, where the built-in harness would let it pass in
//! silence.

mod attribution;
mod audit;
mod beside;
mod cache;
mod check;
mod cli;
mod cloud;
mod completions;
mod containers;
mod credentials;
mod descriptors;
mod docs;
mod environment;
mod files;
mod fuzz_regressions;
mod harness;
mod init;
mod injection;
mod jobs;
mod launch;
mod list;
mod local;
mod mask;
mod print;
mod profile;
mod prompt;
mod recipes;
mod redact;
mod references;
mod render;
mod resolve;
mod seal;
mod secrecy;
mod selection;
mod several;
mod signals;
mod support;
mod systemd;
mod tree;
mod vectors;
mod watch;

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(status) = support::probe::main() {
        return status;
    }
    support::withhold_inherited_descriptors();
    // In this order they begin: first those that wait longest, so that all end at about the same time, and last
    // those that need the planted build, which is made meanwhile.
    support::Suite::new(&[
        signals::TESTS,
        cache::TESTS,
        cache::mirrors::TESTS,
        cache::reach::TESTS,
        cache::trouble::TESTS,
        cloud::TESTS,
        cloud::answers::TESTS,
        cloud::bombs::TESTS,
        cloud::connection::TESTS,
        cloud::custody::TESTS,
        cloud::descriptor::TESTS,
        cloud::faults::TESTS,
        cloud::mirrors::TESTS,
        cloud::network::TESTS,
        cloud::order::TESTS,
        cloud::proxy::TESTS,
        cloud::retries::TESTS,
        cloud::scale::TESTS,
        cloud::tls::TESTS,
        containers::TESTS,
        init::TESTS,
        recipes::TESTS,
        recipes::CLAIMS,
        seal::TESTS,
        seal::signing::TESTS,
        systemd::TESTS,
        watch::TESTS,
        attribution::TESTS,
        audit::TESTS,
        beside::TESTS,
        check::TESTS,
        check::key::TESTS,
        cli::TESTS,
        completions::TESTS,
        credentials::TESTS,
        descriptors::TESTS,
        docs::TESTS,
        environment::TESTS,
        files::TESTS,
        fuzz_regressions::TESTS,
        harness::TESTS,
        harness::service::TESTS,
        injection::TESTS,
        jobs::TESTS,
        launch::TESTS,
        list::TESTS,
        local::TESTS,
        mask::TESTS,
        print::TESTS,
        profile::TESTS,
        prompt::TESTS,
        redact::TESTS,
        references::TESTS,
        render::TESTS,
        resolve::TESTS,
        selection::TESTS,
        several::TESTS,
        tree::TESTS,
        tree::whole::TESTS,
        vectors::TESTS,
        secrecy::TESTS,
    ])
    .limit(injection::time_limit())
    .main()
}
