//! The certificates of the service: one good, and one for everything that a client must notice.

use std::sync::{Arc, LazyLock};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivateKeyDer;

/// A host that is known only to a resolver of the tests.
pub const HOST: &str = "api.dotenv.example";

/// What a client is shown.
#[derive(Clone, Copy, PartialEq)]
pub enum Certificate {
    /// Signed by the authority, for `localhost`, `127.0.0.1` and [`HOST`].
    Trusted,
    /// The same, but its time is over.
    Expired,
    /// The same, but its time has not come.
    NotYetValid,
    /// The same, but for clients.
    ForClients,
    /// The same, but for another host.
    OtherHost,
    /// For the right host, signed by nobody but itself.
    SelfSigned,
    /// Signed with another key than the authority's, though it names the authority.
    Forged,
    /// The same as the trusted one, but for an authority.
    OfAuthority,
}

/// The authority of this process. Making it is slow and nothing about it ever changes.
static AUTHORITY: LazyLock<Authority> = LazyLock::new(Authority::new);

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Who has its name, and not its key.
    forger: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, "Authority of the tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let [key, other] = [(); 2].map(|()| KeyPair::generate().expect("a key pair"));
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Authority {
            forger: Issuer::new(params.clone(), other),
            issuer: Issuer::new(params, key),
            pem,
        }
    }
}

pub fn authority_pem() -> &'static str {
    &AUTHORITY.pem
}

/// A server of TLS 1.2 and 1.3 with such a certificate.
pub fn server_config(certificate: Certificate) -> Arc<ServerConfig> {
    let params = params(certificate);
    let key = KeyPair::generate().expect("a key pair");
    let signed = match certificate {
        Certificate::SelfSigned => params.self_signed(&key),
        Certificate::Forged => params.signed_by(&key, &AUTHORITY.forger),
        _ => params.signed_by(&key, &AUTHORITY.issuer),
    };
    let chain = vec![signed.expect("a certificate").der().clone()];
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder
        .with_safe_default_protocol_versions()
        .expect("versions that the provider has");
    Arc::new(
        builder
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a key that fits its certificate"),
    )
}

fn params(certificate: Certificate) -> CertificateParams {
    let names = match certificate {
        Certificate::OtherHost => vec!["other.example".to_string()],
        _ => ["localhost", "127.0.0.1", HOST].map(String::from).to_vec(),
    };
    let mut params = CertificateParams::new(names).expect("names that a certificate can hold");
    params
        .distinguished_name
        .push(DnType::CommonName, "Service of the tests");
    params.extended_key_usages = vec![match certificate {
        Certificate::ForClients => ExtendedKeyUsagePurpose::ClientAuth,
        _ => ExtendedKeyUsagePurpose::ServerAuth,
    }];
    params.use_authority_key_identifier_extension = true;
    if certificate == Certificate::OfAuthority {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    if certificate == Certificate::Expired {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    }
    if certificate == Certificate::NotYetValid {
        params.not_before = rcgen::date_time_ymd(4000, 1, 1);
    }
    params
}
