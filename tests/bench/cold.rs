//! A cold start from a service on loopback over HTTPS, with everything that it is made of for comparison.
//!
//! The tables are of a client-managed project with little and with all of its derivation. The first line of
//! each is what cannot be avoided one after the other: the slower of both requests, and then the derivation.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use dotenv_run::inside::crypto::{DEFAULT_ITERATIONS, DataKey};
use rustls::client::Resumption;
use rustls::crypto::ring::default_provider;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};

use crate::support::{CLIENT_KEY, Custody, ORGANIZATION, Project, Service, World};
use crate::{Candidate, compare, time};

/// What the custody of the tests has.
const SALT: &[u8] = b"sixteen bytes...";

/// The service answers nobody else.
const AGENT: &str = "dotenv-run/bench";

/// How long a start may take, as a multiple of the slower request and the derivation.
const MOST_RATIO: f64 = 1.15;

/// How much longer than the slower of (both requests) and (descriptor and derivation) it may take.
const MOST_OVER: Duration = Duration::from_millis(3);

pub fn run() {
    for (iterations, rounds) in [(1_000, 100), (DEFAULT_ITERATIONS, 15)] {
        println!("{iterations} iterations, {rounds} rounds");
        let subject = Subject::new(iterations);
        let medians = compare(rounds, subject.candidates());
        let [one_by_one, limit, ours] = [medians[0], medians[1], medians[2]];
        println!(
            "dotenv-run: {:.2} times the first line (at most {MOST_RATIO} with {DEFAULT_ITERATIONS} iterations), {:.1} ms \
             over the second (at most {:.0} ms)",
            ours.as_secs_f64() / one_by_one.as_secs_f64(),
            (ours.as_secs_f64() - limit.as_secs_f64()) * 1e3,
            MOST_OVER.as_secs_f64() * 1e3,
        );
    }
    println!("curl and openssl open no blob: openssl(1) has no AES-GCM");
}

/// A service with one project, and who asks it.
struct Subject {
    service: Service,
    iterations: u32,
    tls: Arc<ClientConfig>,
}

/// What a client of our own does after the handshake.
#[derive(Clone, Copy)]
enum Then<'a> {
    Nothing,
    Ask(&'a str),
}

impl Subject {
    fn new(iterations: u32) -> Self {
        let custody = Custody {
            iterations: Some(iterations),
            ..Custody::client()
        };
        let project = Project::new("demo", custody).level("", "APP_NAME=Acme\nLOG_LEVEL=info\n");
        let service = Service::of(World::new(vec![project]));
        let pem = std::fs::read(service.ca_file()).expect("an authority");
        let authority = CertificateDer::from_pem_slice(&pem).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(authority).expect("a usable authority");
        let mut tls = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions that the provider has")
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.resumption = Resumption::disabled();
        Subject {
            service,
            iterations,
            tls: Arc::new(tls),
        }
    }

    fn candidates(&self) -> Vec<Candidate<'_>> {
        vec![
            candidate("requests at once, then derivation", || {
                self.connect_twice(false);
                self.derive();
            }),
            candidate("the same as early as possible", || self.connect_twice(true)),
            candidate("dotenv-run", || succeed(&mut self.dotenv_run())),
            candidate("curl, curl, openssl kdf", || {
                succeed(&mut self.curl("encryption-key"));
                succeed(&mut self.curl("secrets"));
                succeed(&mut self.openssl_kdf());
            }),
            candidate("a shell with the three", || succeed(&mut self.shell())),
            candidate("two TLS handshakes at once", || {
                thread::scope(|scope| {
                    scope.spawn(|| self.connect(Then::Nothing));
                    self.connect(Then::Nothing);
                });
            }),
            candidate("openssl s_client twice", || {
                succeed(&mut self.s_client());
                succeed(&mut self.s_client());
            }),
            candidate("env true", || succeed(Command::new("env").arg("true"))),
        ]
    }

    /// Both requests at once, and perhaps the derivation as soon as the descriptor is there.
    fn connect_twice(&self, and_derive: bool) {
        thread::scope(|scope| {
            scope.spawn(|| self.connect(Then::Ask("secrets")));
            self.connect(Then::Ask("encryption-key"));
            if and_derive {
                self.derive();
            }
        });
    }

    fn connect(&self, then: Then<'_>) {
        let address = self.service.address();
        let mut stream = TcpStream::connect(address).expect("a service that listens");
        stream.set_nodelay(true).expect("a socket of TCP");
        let name = ServerName::from(address.ip());
        let mut connection = ClientConnection::new(Arc::clone(&self.tls), name).expect("TLS");
        while connection.is_handshaking() {
            connection.complete_io(&mut stream).expect("a handshake");
        }
        let Then::Ask(document) = then else { return };
        let mut stream = StreamOwned::new(connection, stream);
        let lines = [
            format!("GET {} HTTP/1.1", self.route(document)),
            format!("Host: {address}"),
            "Accept: application/json".to_owned(),
            format!("User-Agent: {AGENT}"),
            self.authorization(),
            "Connection: close\r\n\r\n".to_owned(),
        ];
        let request = lines.join("\r\n");
        stream.write_all(request.as_bytes()).expect("a request");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "a good answer");
    }

    fn derive(&self) {
        let key = DataKey::derive(CLIENT_KEY.as_bytes(), SALT, self.iterations);
        std::hint::black_box(key.is_ok());
    }

    fn route(&self, document: &str) -> String {
        format!("/api/v1/{ORGANIZATION}/demo/{document}")
    }

    fn url(&self, document: &str) -> String {
        self.service.url() + &self.route(document)
    }

    fn authorization(&self) -> String {
        format!("Authorization: Bearer {}", self.service.api_key())
    }

    fn dotenv_run(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dotenv-run"));
        command.args(["--api-url", &self.service.url(), "--ca-file"]);
        command.arg(self.service.ca_file());
        command.env("DOTENV_API_KEY", self.service.api_key());
        command.env("DOTENV_CLIENT_KEY", CLIENT_KEY);
        command.env("DOTENV_ORGANIZATION", ORGANIZATION);
        command.args(["demo", "--", "true"]);
        command
    }

    fn curl(&self, document: &str) -> Command {
        let mut command = Command::new("curl");
        command.args(["-sf", "-A", AGENT, "-H", "Accept: application/json"]);
        command.args(["-H", &self.authorization(), "--cacert"]);
        command.arg(self.service.ca_file()).arg(self.url(document));
        command
    }

    fn openssl_kdf(&self) -> Command {
        let mut command = Command::new("openssl");
        command.args(["kdf", "-keylen", "32", "-kdfopt", "digest:SHA256"]);
        command.args(["-kdfopt", &format!("pass:{CLIENT_KEY}")]);
        let salt: String = SALT.iter().map(|byte| format!("{byte:02x}")).collect();
        command.args(["-kdfopt", &format!("hexsalt:{salt}")]);
        command.args(["-kdfopt", &format!("iter:{}", self.iterations), "PBKDF2"]);
        command
    }

    /// As a script would do it: both requests at once, the fields cut out, the key derived, the command run.
    fn shell(&self) -> Command {
        let script = r#"
            ask() { curl -sf -A "$AGENT" -H Accept:application/json -H "$AUTHORIZATION" --cacert "$CA" "$URL/$1"; }
            secrets=$(mktemp)
            ask secrets >"$secrets" &
            key=$(ask encryption-key) || exit
            field() { printf %s "$key" | sed "s/.*$1[\\\\\": ]*\([^,\\\\\"}]*\).*/\1/"; }
            salt=$(field key_check_salt | base64 -d | od -An -tx1 | tr -d ' \n')
            openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt pass:"$CLIENT_KEY" \
                -kdfopt hexsalt:"$salt" -kdfopt iter:"$(field key_check_iterations)" PBKDF2 || exit
            wait
            rm "$secrets"
            exec true"#;
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command.env("AGENT", AGENT);
        command.env("AUTHORIZATION", self.authorization());
        command.env("CA", self.service.ca_file());
        command.env("CLIENT_KEY", CLIENT_KEY);
        let url = self.url("secrets");
        command.env("URL", url.trim_end_matches("/secrets"));
        command
    }

    fn s_client(&self) -> Command {
        let mut command = Command::new("openssl");
        let address = self.service.address().to_string();
        command.args(["s_client", "-brief", "-verify_return_error", "-connect"]);
        command.args([&address, "-CAfile"]);
        command.arg(self.service.ca_file());
        command
    }
}

fn candidate<'a>(name: &str, work: impl Fn() + 'a) -> Candidate<'a> {
    Candidate {
        name: name.to_owned(),
        run: Box::new(move || time(&work)),
    }
}

/// Runs it, and takes no failure for a time.
fn succeed(command: &mut Command) {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(Stdio::null());
    let status = command.status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "{command:?} fails"
    );
}
