//! A client of the service that is not the program under test, to see that the service itself does
//! what it must.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ALL_VERSIONS, ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    SupportedProtocolVersion,
};
use serde_json::Value;

use super::service::Service;

/// An answer of the service.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Response {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("the body is not JSON ({error})\n{self:?}"))
    }
}

/// Sends requests just as they are written.
pub struct Client<'a> {
    service: &'a Service,
    versions: Vec<&'static SupportedProtocolVersion>,
}

impl<'a> Client<'a> {
    pub fn new(service: &'a Service) -> Self {
        Client {
            service,
            versions: ALL_VERSIONS.to_vec(),
        }
    }

    /// Speaks this version of TLS only.
    pub fn version(mut self, version: &'static SupportedProtocolVersion) -> Self {
        self.versions = vec![version];
        self
    }

    /// The headers that the service asks for.
    pub fn good_headers(token: &str) -> Vec<String> {
        let authorization = format!("Authorization: Bearer {token}");
        let [host, accept, agent] = [
            "Host: localhost",
            "Accept: application/json",
            "User-Agent: dotenv-run/0.0.0",
        ];
        [host, accept, agent, &authorization]
            .map(String::from)
            .to_vec()
    }

    /// A request that has every header a good one has.
    pub fn get(&self, path: &str, token: &str) -> io::Result<Response> {
        self.send(
            &format!("GET {path} HTTP/1.1"),
            &Client::good_headers(token),
        )
    }

    /// A request line and headers, without a body.
    pub fn send(&self, line: &str, headers: &[String]) -> io::Result<Response> {
        let request = format!("{line}\r\n{}\r\n\r\n", headers.join("\r\n"));
        let answer = self.exchange(request.as_bytes())?;
        parse(&answer)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an HTTP response"))
    }

    /// Sends bytes and returns whatever comes back.
    pub fn exchange(&self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let stream = TcpStream::connect(self.service.address())?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        if self.service.url().starts_with("http:") {
            return exchange(stream, bytes);
        }
        exchange(StreamOwned::new(self.connection(), stream), bytes)
    }

    /// The client's side of TLS, of which nothing is sent yet.
    pub fn connection(&self) -> ClientConnection {
        let name = ServerName::try_from("localhost").expect("a host name");
        ClientConnection::new(self.config(), name).expect("a usable configuration")
    }

    /// Trusts the authority of the service and no other.
    fn config(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        let certificate = CertificateDer::from_pem_file(self.service.ca_file())
            .expect("a certificate in the file");
        roots.add(certificate).expect("an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder
            .with_protocol_versions(&self.versions)
            .expect("versions that the provider has");
        Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
    }
}

fn exchange(mut stream: impl Read + Write, bytes: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(bytes)?;
    stream.flush()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

fn parse(answer: &[u8]) -> Option<Response> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8(answer[..end].to_vec()).ok()?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some(Response {
        status,
        head,
        body: answer[end + 4..].to_vec(),
    })
}
