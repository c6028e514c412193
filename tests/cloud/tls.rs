//! Certificates: every flaw has its own message, and whose signature is trusted.

use std::fs;

use crate::cloud::connection::without_authority;
use crate::support::*;

tests![
    every_flaw_of_a_certificate_has_its_own_message,
    the_variable_for_certificates_counts_where_the_option_is_not_given,
    the_variable_for_certificates_stays_in_the_environment,
    a_bundle_may_hold_certificates_that_are_of_no_use,
];

fn every_flaw_of_a_certificate_has_its_own_message() {
    let authority = Some("--ca-file");
    for (certificate, has_authority, fragment, hint) in [
        (Certificate::Expired, true, "expired", Some("clock")),
        (
            Certificate::NotYetValid,
            true,
            "not valid yet",
            Some("clock"),
        ),
        (Certificate::OtherHost, true, "another host", None),
        (
            Certificate::ForClients,
            true,
            "not a server certificate",
            None,
        ),
        (Certificate::Forged, true, "invalid signature", None),
        (
            Certificate::OfAuthority,
            true,
            "invalid",
            Some("self-signed"),
        ),
        (Certificate::SelfSigned, true, "self-signed", authority),
        (Certificate::SelfSigned, false, "self-signed", authority),
        (
            Certificate::Trusted,
            false,
            "an authority that is not trusted",
            authority,
        ),
    ] {
        let service = Service::with_certificate(certificate);
        let run = match has_authority {
            true => service.dotenv_run(),
            false => without_authority(&service),
        };
        let host = service.address().to_string();
        let refused = run.arg("legacy");
        let refused = refused.refuses(125, &["secure", "certificate", &host, fragment]);
        let told = refused
            .stderr
            .lines()
            .find(|line| line.starts_with("hint: "));
        match hint {
            None => assert_eq!(told, None, "{refused}"),
            Some(hint) => assert!(told.unwrap_or_default().contains(hint), "{refused}"),
        }
        assert!(service.requests().is_empty());
    }
}

/// The option, then the variable, then what is built in.
fn the_variable_for_certificates_counts_where_the_option_is_not_given() {
    let service = Service::example();
    let other = TempDir::new().file("other.pem", fs::read(service.ca_file()).unwrap());
    let run = |file: &std::path::Path| without_authority(&service).env("SSL_CERT_FILE", file);
    let good = run(service.ca_file()).arg("legacy");
    assert_eq!(
        good.variables()[0],
        format!("SSL_CERT_FILE={}", service.ca_file().display())
    );
    // The file is gone with its directory.
    let name = other.display().to_string();
    let refused = run(&other).arg("legacy");
    refused.refuses(125, &["SSL_CERT_FILE", &name]);
    let both = run(&other).arg("--ca-file").arg(service.ca_file());
    both.args(["legacy", "--", "true"])
        .finish()
        .assert_status(0);
    let unset = run("".as_ref()).arg("legacy");
    unset.refuses(125, &["not trusted"]);
}

fn the_variable_for_certificates_stays_in_the_environment() {
    let service = Service::example();
    let run = without_authority(&service).env("SSL_CERT_FILE", service.ca_file());
    let outcome = run
        .args(["legacy", "--", "printenv", "SSL_CERT_FILE"])
        .finish();
    let expected = format!("{}\n", service.ca_file().display());
    outcome.assert_status(0).assert_stdout(expected);
}

/// That of a system holds what others have put there; a file of one's own should be right.
fn a_bundle_may_hold_certificates_that_are_of_no_use() {
    let service = Service::example();
    let good = fs::read_to_string(service.ca_file()).unwrap();
    let dir = TempDir::new();
    let bundle = dir.file("bundle.pem", good.replace("MII", "AAA") + &good);
    let run = without_authority(&service).env("SSL_CERT_FILE", &bundle);
    run.args(["legacy", "--", "true"]).finish().assert_status(0);
    let run = service.dotenv_run().arg("--ca-file").arg(&bundle);
    run.arg("legacy").refuses(125, &["--ca-file", "invalid"]);
}
