//! The authorities whose certificates are trusted.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::cli::Trust;
use crate::error::{Error, Looseness};
use crate::keys::loose::{self, Holds, looseness};
use crate::report::Report;
use crate::sys::plain;

/// Reads the authorities that `trust` names. Without a report, it was settled before what others can do to the file.
///
/// # Errors
///
/// If a file that is named cannot be read or holds no usable certificate.
pub fn authorities(
    trust: &Trust,
    report: Option<&Report>,
) -> Result<Vec<CertificateDer<'static>>, Error> {
    let (source, file) = match trust {
        Trust::BuiltIn => return Ok(webpki_root_certs::TLS_SERVER_ROOT_CERTS.to_vec()),
        Trust::Option(file) => ("--ca-file", file),
        Trust::Variable(file) => ("SSL_CERT_FILE", file),
    };
    let fail = |reason| Error::CaFile {
        named_by: source,
        file: file.to_owned(),
        reason,
    };
    let (pem, looseness) = read(file).map_err(|error| fail(plain(&error)))?;
    if let Some(report) = report {
        loose::settle(looseness, report)?;
    }
    let certificates = certificates_in(&pem).map_err(fail)?;
    let total = certificates.len();
    let usable: Vec<_> = certificates.into_iter().filter(is_usable).collect();
    // The bundle of a system may hold some that are no longer of use; a file of one's own should not.
    let is_lenient = matches!(trust, Trust::Variable(_));
    if total == 0 {
        return Err(fail("contains no certificate".to_owned()));
    }
    if usable.is_empty() || usable.len() < total && !is_lenient {
        return Err(fail("contains an invalid certificate".to_owned()));
    }
    Ok(usable)
}

/// The content of a file, and what others can do to it.
fn read(file: &Path) -> io::Result<(Vec<u8>, Option<Looseness>)> {
    let mut opened = File::open(file)?;
    let looseness = looseness(file, &opened.metadata()?, Holds::Trust)?;
    let mut pem = Vec::new();
    opened.read_to_end(&mut pem)?;
    Ok((pem, looseness))
}

fn certificates_in(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<_, _> = CertificateDer::pem_slice_iter(pem).collect();
    certificates.map_err(|_| "not a PEM file".to_owned())
}

fn is_usable(certificate: &CertificateDer<'static>) -> bool {
    let mut store = rustls::RootCertStore::empty();
    store.add(certificate.clone()).is_ok()
}
