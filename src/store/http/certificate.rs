//! Whether a server's certificate, which leads to no authority that is trusted, is signed by itself.
//!
//! The error of a handshake does not show the certificate. So it is fetched by a handshake of its own, which ends there:
//! no certificate is ever accepted here, and nothing is sent.

#![forbid(unsafe_code)]

use std::net::TcpStream;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring::default_provider;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use url::Url;

/// How long each wait may take: what is found out only makes a message better.
const BRIEF: Duration = Duration::from_secs(1);

/// Whether the certificate of the server at `base` names itself as the one who signed it; `false` where that cannot be
/// found out.
pub fn is_self_signed(base: &str) -> bool {
    let issued_by_itself = |certificate: CertificateDer<'_>| {
        let parsed = webpki::EndEntityCert::try_from(&certificate).ok()?;
        Some(parsed.issuer() == parsed.subject())
    };
    certificate_of(base)
        .and_then(issued_by_itself)
        .unwrap_or(false)
}

fn certificate_of(base: &str) -> Option<CertificateDer<'static>> {
    let url = Url::parse(base).ok()?;
    let name = ServerName::try_from(url.host_str()?.to_owned()).ok()?;
    let address = url.socket_addrs(|| None).ok()?.into_iter().next()?;
    let mut stream = TcpStream::connect_timeout(&address, BRIEF).ok()?;
    stream.set_read_timeout(Some(BRIEF)).ok()?;
    let refusal = Arc::new(Refusal::default());
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .ok()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&refusal) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    let mut connection = ClientConnection::new(Arc::new(config), name).ok()?;
    let ended = connection.complete_io(&mut stream);
    ended.err().and_then(|_| refusal.seen.get().cloned())
}

/// Refuses every certificate, and keeps the first.
#[derive(Debug, Default)]
struct Refusal {
    seen: OnceLock<CertificateDer<'static>>,
}

const REFUSED: rustls::Error =
    rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure);

impl ServerCertVerifier for Refusal {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let _ = self.seen.set(end_entity.clone().into_owned());
        Err(REFUSED)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(REFUSED)
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(REFUSED)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let provider = default_provider();
        provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
