//! The service itself, over HTTPS. The only module that speaks HTTP.

#![forbid(unsafe_code)]

use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use attohttpc::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, USER_AGENT};
use attohttpc::{ErrorKind, ProxySettings, Response, StatusCode};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::{Document, Source};
use crate::credentials::ApiKey;
use crate::error::{Denied, Error, Unreachable, plain};
use crate::options::ServiceUrl;

/// The size of an answer in bytes that is still accepted.
const MAX_ANSWER: u64 = 64 * 1024 * 1024;

/// The number of header lines of an answer that is still accepted.
const MAX_HEADERS: usize = 100;

/// The service at one address, asked with one API key.
pub struct Cloud {
    base: String,
    host: String,
    key: ApiKey,
    roots: Vec<CertificateDer<'static>>,
    timeout: Duration,
    deadline: Instant,
}

impl Cloud {
    /// The service at `url`, trusted if its certificate leads to one in `ca_file` or, without one, to one of Mozilla's
    /// roots. From now on everything together may take `timeout`.
    ///
    /// # Errors
    ///
    /// If `ca_file` cannot be read or holds no certificate.
    pub fn new(
        url: &ServiceUrl,
        key: ApiKey,
        ca_file: Option<&Path>,
        timeout: Duration,
    ) -> Result<Self, Error> {
        let roots = match ca_file {
            Some(file) => certificates_in(file)?,
            None => webpki_root_certs::TLS_SERVER_ROOT_CERTS.to_vec(),
        };
        let ServiceUrl { base, host } = url.clone();
        Ok(Cloud {
            base,
            host,
            key,
            roots,
            timeout,
            deadline: Instant::now() + timeout,
        })
    }

    /// The request for `document`, ready to be sent from any thread.
    fn request(&self, document: Document<'_>, remaining: Duration) -> attohttpc::RequestBuilder {
        let mut request = attohttpc::get(format!("{}/{document}", self.base))
            .header(AUTHORIZATION, format!("Bearer {}", self.key.as_str()))
            .header(ACCEPT, "application/json")
            .header(
                USER_AGENT,
                concat!("dotenv-run/", env!("CARGO_PKG_VERSION")),
            )
            .follow_redirects(false)
            .max_headers(MAX_HEADERS)
            .connect_timeout(remaining)
            .read_timeout(remaining)
            .timeout(remaining);
        if self.base.starts_with("http:") {
            // On loopback nothing is encrypted: a proxy elsewhere would be handed the key.
            request = request.proxy_settings(ProxySettings::builder().build());
        }
        for root in &self.roots {
            request = request.add_root_certificate(root.clone());
        }
        request
    }

    fn timed_out(&self) -> Error {
        Error::Timeout {
            host: self.host.clone(),
            seconds: self.timeout.as_secs_f64(),
        }
    }
}

impl Source for Cloud {
    /// Sends the request from a thread of its own, because the look-up of a host name can be neither bounded nor stopped:
    /// when the time is up the thread is left behind.
    fn read(&self, document: Document<'_>) -> Result<String, Error> {
        let remaining = self.deadline.saturating_duration_since(Instant::now());
        let request = self.request(document, remaining);
        let (sender, receiver) = mpsc::channel();
        let thread = thread::spawn(move || {
            sender.send(request.send().map_err(Failure::from).and_then(body))
        });
        let answer = receiver.recv_timeout(remaining);
        if answer.is_ok() {
            // Its registers still hold parts of the answer.
            let _ = thread.join();
        }
        match answer {
            Ok(Ok(text)) => Ok(text),
            Ok(Err(Failure::Status(status))) => Err(refused(status, document, &self.host)),
            Ok(Err(Failure::NotUtf8)) => Err(Error::Malformed {
                document: document.to_string(),
                flaw: "not UTF-8".to_owned(),
            }),
            Ok(Err(Failure::TooLong)) => Err(Error::AnswerTooLong {
                document: document.to_string(),
                limit: MAX_ANSWER,
            }),
            // At the deadline attohttpc cuts the connection, which may be seen before the timeout here is.
            Ok(Err(Failure::Transport(_))) if Instant::now() >= self.deadline => {
                Err(self.timed_out())
            }
            Ok(Err(Failure::Transport(kind))) => Err(self.failed(kind)),
            Err(RecvTimeoutError::Timeout) => Err(self.timed_out()),
            Err(RecvTimeoutError::Disconnected) => Err(self.unreachable(Unreachable::Broken)),
        }
    }
}

/// Why a request brought no document.
enum Failure {
    Status(StatusCode),
    NotUtf8,
    TooLong,
    Transport(ErrorKind),
}

impl From<attohttpc::Error> for Failure {
    fn from(error: attohttpc::Error) -> Self {
        Failure::Transport(error.into_kind())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Transport(ErrorKind::Io(error))
    }
}

/// The whole body of an answer with status 200. The body of any other is never looked at.
fn body(response: Response) -> Result<String, Failure> {
    let (status, headers, reader) = response.split();
    if status != StatusCode::OK {
        return Err(Failure::Status(status));
    }
    let length = headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    let mut bytes = Vec::new();
    reader.take(MAX_ANSWER + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_ANSWER {
        return Err(Failure::TooLong);
    }
    // attohttpc takes a connection that is closed early for the end of the body.
    if length.is_some_and(|length: u64| length > bytes.len() as u64) {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    String::from_utf8(bytes).map_err(|_| Failure::NotUtf8)
}

/// What a status other than 200 means for the document that was asked for.
fn refused(status: StatusCode, document: Document<'_>, host: &str) -> Error {
    let host = host.to_owned();
    match (status.as_u16(), document) {
        (401, _) => Error::Unauthorized { host },
        (403, Document::EncryptionKey { path, .. }) => Error::Forbidden {
            path: path.project().to_owned(),
            denied: Denied::KeyDescriptor,
        },
        (403, Document::Secrets { path, .. }) => Error::Forbidden {
            path: path.to_string(),
            denied: Denied::Secrets,
        },
        (403, Document::Organization) => Error::Forbidden {
            path: host,
            denied: Denied::Organization,
        },
        (404, Document::EncryptionKey { path, .. }) => Error::NotFound {
            path: path.to_string(),
            what: "no key descriptor of its project",
            place: host,
        },
        (404, Document::Secrets { path, .. }) => Error::NotFound {
            path: path.to_string(),
            what: "no such project, target or environment",
            place: host,
        },
        (422, _) => Error::Unprocessable {
            document: document.to_string(),
        },
        (429, _) => Error::RateLimited { host },
        (300..=399, _) => Error::Redirected {
            host,
            status: status.as_u16(),
        },
        (code @ 500..=599, _) => Error::ServerFailed { host, status: code },
        (code, _) => Error::UnexpectedStatus { host, status: code },
    }
}

impl Cloud {
    /// What a failed transport means.
    fn failed(&self, kind: ErrorKind) -> Error {
        match kind {
            ErrorKind::Io(error) => self.failed_io(&error),
            ErrorKind::Tls(error) => self.tls(&error),
            ErrorKind::ConnectError { status_code, .. } => self.unreachable(Unreachable::Proxy {
                status: status_code.as_u16(),
            }),
            ErrorKind::InvalidResponse(_) | ErrorKind::Http(_) => Error::NotHttp {
                host: self.host.clone(),
            },
            _ => self.unreachable(Unreachable::Broken),
        }
    }

    fn failed_io(&self, error: &io::Error) -> Error {
        if let Some(tls) = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        {
            return self.tls(tls);
        }
        if error
            .get_ref()
            .is_some_and(|inner| inner.is::<attohttpc::Error>())
        {
            return Error::NotHttp {
                host: self.host.clone(),
            };
        }
        match error.kind() {
            io::ErrorKind::ConnectionRefused => self.unreachable(Unreachable::Refused),
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
                self.unreachable(Unreachable::NoRoute)
            }
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => self.timed_out(),
            // The standard library gives a failed look-up no kind of its own, only these words.
            _ if error
                .to_string()
                .starts_with("failed to lookup address information") =>
            {
                self.unreachable(Unreachable::NoAddress)
            }
            _ => self.unreachable(Unreachable::Broken),
        }
    }

    fn tls(&self, error: &rustls::Error) -> Error {
        let host = self.host.clone();
        match error {
            rustls::Error::InvalidCertificate(_) => Error::Certificate {
                host,
                reason: error.to_string(),
            },
            _ => Error::Tls { host },
        }
    }

    fn unreachable(&self, reason: Unreachable) -> Error {
        Error::Unreachable {
            host: self.host.clone(),
            reason,
        }
    }
}

/// The certificates in a PEM file, each checked to be one that can be trusted in.
fn certificates_in(file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let fail = |reason| Error::CaFile {
        file: file.to_owned(),
        reason,
    };
    let pem = std::fs::read(file).map_err(|error| fail(plain(&error)))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.map_err(|_| fail("not a PEM file".to_owned()))?;
    if certificates.is_empty() {
        return Err(fail("no certificate in it".to_owned()));
    }
    let mut store = rustls::RootCertStore::empty();
    for certificate in &certificates {
        store
            .add(certificate.clone())
            .map_err(|_| fail("an invalid certificate in it".to_owned()))?;
    }
    Ok(certificates)
}
