//! The service itself, or a mirror of it, over HTTP. The only module that speaks HTTP.

#![forbid(unsafe_code)]

use std::io::{self, Read};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use attohttpc::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, HeaderMap, RETRY_AFTER, USER_AGENT,
};
use attohttpc::{ErrorKind, InvalidResponseKind, ProxySettings, Response, StatusCode};
use rustls::CertificateError;
use rustls_pki_types::CertificateDer;
use url::Url;

use crate::cli::{ProxyVariables, ServiceUrl};
use crate::error::{Denied, Error, Flaw, Unreachable};
use crate::keys::ApiKey;
use crate::store::http::attribution::PRODUCT;
use crate::store::http::deadline::Time;
use crate::store::http::proxy::proxy_for;
use crate::store::http::retry::retry_after;
use crate::store::model::Document;
use crate::sys;

/// The size of an answer in bytes that is still accepted.
const MAX_ANSWER: u64 = 64 * 1024 * 1024;

/// The number of header lines of an answer that is still accepted. Of each, attohttpc accepts 16 KiB.
pub const MAX_HEADERS: usize = 100;

/// How much later than ours attohttpc's own deadline is, which ends what a thread left behind still waits for.
const GRACE: Duration = Duration::from_millis(100);

/// Who the service is told that asks. A mirror is told the product only.
pub struct Identity {
    /// The key that it knows. It is gone when the last one who asks has what it asked for.
    pub key: Arc<ApiKey>,
    /// The header User-Agent (RFC 9110, section 10.1.5).
    pub agent: String,
}

/// An HTTP server that has the documents: the service, asked with an API key, or a mirror, asked without one.
pub struct Cloud {
    base: String,
    /// The server as messages name it.
    host: String,
    /// The same with the proxy in front of it, for failures that may be the proxy's.
    reached: String,
    identity: Option<Identity>,
    authorities: Arc<Vec<CertificateDer<'static>>>,
    proxy: Option<Url>,
}

impl Cloud {
    /// The server at `url`, trusted over https if its certificate leads to one of `authorities`.
    ///
    /// # Errors
    ///
    /// If there is a proxy to use and its URL is of no use, or host names cannot be resolved.
    pub fn new(
        url: &ServiceUrl,
        identity: Option<Identity>,
        authorities: &Arc<Vec<CertificateDer<'static>>>,
        proxies: &ProxyVariables,
    ) -> Result<Self, Error> {
        let ServiceUrl {
            base, name, host, ..
        } = url.clone();
        sys::use_built_in_resolver().map_err(Error::Resolver)?;
        // What goes over plain http could be read and changed by a proxy.
        let proxy = if base.starts_with("https:") {
            proxy_for(&name, proxies)?
        } else {
            None
        };
        let reached = match proxy.as_ref().and_then(Url::host_str) {
            Some(proxy) => format!("{host} through the proxy {proxy}"),
            None => host.clone(),
        };
        Ok(Cloud {
            base,
            host,
            reached,
            identity,
            authorities: Arc::clone(authorities),
            proxy,
        })
    }

    /// The server as messages name it.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Asks for one document once, and calls `begun` as soon as an answer begins. The look-up of a host name can be
    /// neither bounded nor stopped, so that this may take longer than its time.
    ///
    /// # Errors
    ///
    /// Why it could not be had; nothing partial is ever returned.
    pub fn read(
        &self,
        document: Document<'_>,
        time: &Time,
        begun: impl FnOnce(),
    ) -> Result<String, Error> {
        let request = self.request(document, time);
        // The threads of attohttpc start with a copy of them.
        sys::clear_registers();
        let answer = request.send();
        begun();
        let text = match answer {
            Ok(response) => body(response),
            Err(error) => Err(Failure::before_the_body(error.into_kind())),
        };
        text.map_err(|failure| match failure {
            Failure::Status(status, headers) => {
                refused(status, asked_wait(&headers), document, &self.host)
            }
            Failure::NotUtf8 => Error::Malformed {
                document: document.to_string(),
                flaw: "not UTF-8".to_owned(),
            },
            Failure::TooLong => Error::AnswerTooLong {
                document: document.to_string(),
                limit: MAX_ANSWER,
            },
            Failure::CutOffEarly => self.unreachable(Unreachable::CutOffEarly),
            Failure::Transport(kind) => self.failed(kind, time),
        })
    }

    fn request(&self, document: Document<'_>, time: &Time) -> attohttpc::RequestBuilder {
        let remaining = time.until.saturating_duration_since(Instant::now()) + GRACE;
        let proxies = ProxySettings::builder().https_proxy(self.proxy.clone());
        let agent = self
            .identity
            .as_ref()
            .map_or(PRODUCT, |identity| &identity.agent);
        let mut request = attohttpc::get(format!("{}/{document}", self.base))
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, agent)
            .follow_redirects(false)
            .max_headers(MAX_HEADERS)
            .connect_timeout(time.connect.min(remaining))
            .read_timeout(time.silence.min(remaining))
            .timeout(remaining)
            .proxy_settings(proxies.build());
        if let Some(Identity { key, .. }) = &self.identity {
            request = request.header(AUTHORIZATION, format!("Bearer {}", key.as_str()));
        }
        if self.base.starts_with("https:") {
            for authority in self.authorities.iter() {
                request = request.add_root_certificate(authority.clone());
            }
        }
        request
    }
}

/// Why a request brought no document.
enum Failure {
    Status(StatusCode, HeaderMap),
    NotUtf8,
    TooLong,
    CutOffEarly,
    Transport(ErrorKind),
}

impl Failure {
    /// Where attohttpc meets the end of a line's room as it meets the end of the answer, the two cannot be told apart.
    fn before_the_body(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Io(error)
                if error.kind() == io::ErrorKind::UnexpectedEof && error.get_ref().is_none() =>
            {
                Failure::CutOffEarly
            }
            kind => Failure::Transport(kind),
        }
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
        return Err(Failure::Status(status, headers));
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

/// The wait that an answer asks for.
fn asked_wait(headers: &HeaderMap) -> Option<Duration> {
    retry_after(headers.get(RETRY_AFTER)?.to_str().ok()?, SystemTime::now())
}

/// What a status other than 200 means for the document that was asked for.
fn refused(
    status: StatusCode,
    wait: Option<Duration>,
    document: Document<'_>,
    host: &str,
) -> Error {
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
        // A store of objects that may not be listed says so of one that is not there.
        (403 | 404, Document::Manifest { path, .. }) => Error::NotFound {
            path: path.to_string(),
            what: "no manifest of its project",
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
        (429, _) => Error::RateLimited { host, wait },
        (300..=399, _) => Error::Redirected {
            host,
            status: status.as_u16(),
        },
        (status @ 500..=599, _) => Error::ServerFailed { host, status, wait },
        (code, _) => Error::UnexpectedStatus { host, status: code },
    }
}

impl Cloud {
    /// What a failed transport means.
    fn failed(&self, kind: ErrorKind, time: &Time) -> Error {
        let host = self.host.clone();
        match kind {
            ErrorKind::Io(error) => self.failed_io(&error, time),
            ErrorKind::Tls(error) => self.tls(&error),
            ErrorKind::ConnectError { status_code, .. } => self.unreachable(Unreachable::Proxy {
                status: status_code.as_u16(),
            }),
            ErrorKind::InvalidResponse(InvalidResponseKind::Header) => Error::BadHeader {
                host,
                limit: MAX_HEADERS,
            },
            ErrorKind::InvalidResponse(_) | ErrorKind::Http(_) => Error::NotHttp { host },
            _ => self.unreachable(Unreachable::Broken),
        }
    }

    fn failed_io(&self, error: &io::Error, time: &Time) -> Error {
        let inner = error.get_ref();
        if let Some(tls) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return self.tls(tls);
        }
        if inner.is_some_and(|inner| inner.is::<attohttpc::Error>()) {
            return Error::NotHttp {
                host: self.host.clone(),
            };
        }
        let kind = error.kind();
        if matches!(kind, io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock)
            && Instant::now() >= time.until
        {
            // It was the end of all the time, noticed here before it was there.
            let (host, time) = (self.host.clone(), time.allowed);
            return Error::Timeout { host, time };
        }
        self.unreachable(match kind {
            io::ErrorKind::ConnectionRefused => Unreachable::Refused,
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
                Unreachable::NoRoute
            }
            io::ErrorKind::TimedOut => Unreachable::NoConnection { time: time.connect },
            io::ErrorKind::WouldBlock => Unreachable::Silent { time: time.silence },
            // The standard library gives a failed look-up no kind of its own, only these words.
            _ if error
                .to_string()
                .starts_with("failed to lookup address information") =>
            {
                Unreachable::NoAddress
            }
            _ => Unreachable::Broken,
        })
    }

    fn tls(&self, error: &rustls::Error) -> Error {
        let host = self.reached.clone();
        match error {
            rustls::Error::InvalidCertificate(error) => Error::Certificate {
                host,
                flaw: flaw(error),
            },
            _ => Error::Tls { host },
        }
    }

    fn unreachable(&self, reason: Unreachable) -> Error {
        Error::Unreachable {
            host: self.reached.clone(),
            reason,
        }
    }
}

/// What is wrong with a certificate.
fn flaw(error: &CertificateError) -> Flaw {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Flaw::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            Flaw::NotYetValid
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Flaw::OtherHost
        }
        CertificateError::UnknownIssuer => Flaw::UnknownAuthority,
        CertificateError::Revoked => Flaw::Revoked,
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            Flaw::OtherPurpose
        }
        CertificateError::BadSignature => Flaw::BadSignature,
        _ => Flaw::Other,
    }
}
