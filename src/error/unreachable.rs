//! What can go wrong on the way to the service, and the wording of it.

#![forbid(unsafe_code)]

use std::time::Duration;

use crate::error::wording::Seconds;
use crate::path::LevelAt;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// The host name has no address, or the resolver does not answer.
    #[error("the host name cannot be resolved")]
    NoAddress,
    #[error("connection refused")]
    Refused,
    #[error("no route to the host")]
    NoRoute,
    #[error("no connection within {}", Seconds(*.time))]
    NoConnection { time: Duration },
    #[error("no data for {}", Seconds(*.time))]
    Silent { time: Duration },
    #[error("the connection was cut off")]
    Broken,
    /// The answer ended before its body, or has a longer header line than attohttpc reads.
    #[error("the answer was cut off before its body, or has a header line over 16 KiB")]
    CutOffEarly,
    #[error("the proxy refused to connect ({status})")]
    Proxy { status: u16 },
}

/// What is wrong with a certificate.
#[derive(Debug, thiserror::Error)]
pub enum Flaw {
    #[error("has expired")]
    Expired,
    #[error("is not valid yet")]
    NotYetValid,
    #[error("is for another host")]
    OtherHost,
    /// It leads to no trusted authority; it may be self-signed.
    #[error("is self-signed or from an authority that is not trusted")]
    UnknownAuthority,
    #[error("was revoked")]
    Revoked,
    #[error("is not a server certificate")]
    OtherPurpose,
    /// Its signature, or one on the way to the authority, is wrong.
    #[error("has an invalid signature")]
    BadSignature,
    #[error("is invalid")]
    Other,
}

/// What is not accepted from a mirror.
#[derive(Debug, thiserror::Error)]
pub enum FromMirror {
    #[error("level {level} is not encrypted")]
    Plaintext { level: LevelAt },
    #[error("project {project} is not client-managed")]
    ServerManaged { project: String },
    /// Its word that a document is not there, or not for us: it does not know the API key.
    #[error("the documents of {path} are refused ({status})")]
    Denial { path: String, status: u16 },
}

/// What an API key may not read.
#[derive(Debug, thiserror::Error)]
pub enum Denied {
    #[error("its own organization at")]
    Organization,
    #[error("the key descriptor of")]
    KeyDescriptor,
    #[error("the secrets of")]
    Secrets,
}
