//! What can go wrong on the way to the service, and the wording of it.

#![forbid(unsafe_code)]

use std::fmt;
use std::time::Duration;

use crate::path::LevelName;

/// Why there is no connection.
#[derive(Debug)]
pub enum Unreachable {
    /// The host name has no address, or the resolver does not answer.
    NoAddress,
    Refused,
    NoRoute,
    NoConnection {
        time: Duration,
    },
    /// No data for this long.
    Silent {
        time: Duration,
    },
    Broken,
    /// The answer ended before its body, or has a longer header line than attohttpc reads.
    CutOffEarly,
    /// The proxy refused to pass it on.
    Proxy {
        status: u16,
    },
}

/// What is wrong with a certificate.
#[derive(Debug)]
pub enum Flaw {
    Expired,
    NotYetValid,
    OtherHost,
    /// It leads to no trusted authority; it may be self-signed.
    UnknownAuthority,
    Revoked,
    OtherPurpose,
    /// Its signature, or one on the way to the authority, is wrong.
    BadSignature,
    Other,
}

/// What is not accepted from a mirror.
#[derive(Debug)]
pub enum FromMirror {
    /// A level that is not encrypted.
    Plaintext { level: LevelName },
    /// The descriptor of a server-managed project.
    ServerManaged { project: String },
    /// Its word that a document is not there, or not for us: it does not know the API key.
    Denial { path: String, status: u16 },
}

/// What an API key may not read.
#[derive(Debug)]
pub enum Denied {
    /// Its own organization.
    Organization,
    /// A project's key descriptor.
    KeyDescriptor,
    /// Secrets.
    Secrets,
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreachable::NoAddress => f.write_str("the host name cannot be resolved"),
            Unreachable::Refused => f.write_str("connection refused"),
            Unreachable::NoRoute => f.write_str("no route to the host"),
            Unreachable::NoConnection { time } => {
                write!(f, "no connection within {}", Seconds(*time))
            }
            Unreachable::Silent { time } => write!(f, "no data for {}", Seconds(*time)),
            Unreachable::Broken => f.write_str("the connection was cut off"),
            Unreachable::CutOffEarly => f.write_str(
                "the answer was cut off before its body, or has a header line over 16 KiB",
            ),
            Unreachable::Proxy { status } => write!(f, "the proxy refused to connect ({status})"),
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Flaw::Expired => "has expired",
            Flaw::NotYetValid => "is not valid yet",
            Flaw::OtherHost => "is for another host",
            Flaw::UnknownAuthority => "is self-signed or from an authority that is not trusted",
            Flaw::Revoked => "was revoked",
            Flaw::OtherPurpose => "is not a server certificate",
            Flaw::BadSignature => "has an invalid signature",
            Flaw::Other => "is invalid",
        })
    }
}

impl fmt::Display for FromMirror {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FromMirror::Plaintext { level } => write!(f, "level {level} is not encrypted"),
            FromMirror::ServerManaged { project } => {
                write!(f, "project {project} is not client-managed")
            }
            FromMirror::Denial { path, status } => {
                write!(f, "the documents of {path} are refused ({status})")
            }
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Denied::Organization => "its own organization at",
            Denied::KeyDescriptor => "the key descriptor of",
            Denied::Secrets => "the secrets of",
        })
    }
}

/// A time in seconds, as far as it matters.
pub(super) struct Seconds(pub Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", (self.0.as_secs_f64() * 100.0).round() / 100.0)
    }
}

/// The end of a message about an answer that asks to wait.
pub(super) fn fmt_wait(f: &mut fmt::Formatter<'_>, wait: Option<Duration>) -> fmt::Result {
    match wait {
        Some(wait) => write!(f, ", and asks to wait {} s", wait.as_secs()),
        None => Ok(()),
    }
}
