//! Services that are not reached, or are not what they should be.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;

use super::*;

/// A port at which nobody listens.
fn closed_port() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let address = listener.and_then(|listener| listener.local_addr());
    address.expect("a port on loopback")
}

/// A server that answers whoever connects at once and in the clear.
fn plain_text() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port on loopback");
    let address = listener.local_addr().expect("the port that was bound");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let answer = format!("HTTP/1.1 400 {WORD}\r\n\r\n{VALUE}");
            // All of the request is read, because closing would otherwise cut off the answer.
            let _ = stream.write_all(answer.as_bytes());
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    address
}

/// A run that asks this host.
fn asking(url: &str, hosts: &[SocketAddr]) -> Scene {
    Scene {
        hosts: hosts.into(),
        ..keyed().args(&["--api-url", url, "managed"])
    }
}

/// A run through a proxy that wants a password.
fn through(proxy: SocketAddr) -> Scene {
    let scene = on_good_service("managed", |_| ());
    let url = format!("http://user:{PROXY_PASSWORD}@{proxy}");
    Scene {
        hosts: vec![proxy],
        ..scene.env("HTTPS_PROXY", &url)
    }
}

fn with_certificate(certificate: Certificate) -> Scene {
    at(Service::with_certificate(certificate), Vec::new()).args(&["my-app"])
}

/// A run on a service that answers a request with these bytes.
fn raw(
    row: (i32, &'static str, &'static str),
    name: &str,
    route: Route,
    bytes: impl Into<Vec<u8>>,
) -> Failure {
    let bytes = bytes.into();
    failure(row, name, move || {
        on_service("managed", route, Fault::Raw(bytes.clone()))
    })
}

pub fn table() -> Vec<Failure> {
    let cut = (124, "Unreachable::Broken", "cut off");
    let no_http = (125, "Error::NotHttp", "HTTP");
    let certificate = (125, "Error::Certificate", "secure connection");
    let ok = "HTTP/1.1 200 OK\r\n";
    let mut table = vec![
        failure((124, "Error::Timeout", "no answer"), "silence", || {
            let scene = on_service("managed", Route::Secrets, Fault::Hang);
            scene.args(&["--timeout", "0.3"])
        }),
        failure(
            (124, "Error::Timeout", "no answer"),
            "half an answer",
            || {
                let half = format!("HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{VALUE}");
                let fault = Fault::Stall(half.into());
                on_service("managed", Route::EncryptionKey, fault).args(&["--timeout", "0.3"])
            },
        ),
        failure(
            (124, "Unreachable::NoAddress", "resolved"),
            "a name",
            || asking(&format!("https://{}.example", "a".repeat(64)), &[]),
        ),
        failure((124, "Unreachable::Refused", "refused"), "a port", || {
            let port = closed_port();
            asking(&format!("https://{port}"), &[port])
        }),
        failure((124, "Unreachable::NoRoute", "no route"), "a group", || {
            asking("https://224.0.0.1", &[([224, 0, 0, 1], 443).into()])
        }),
        failure(cut, "nothing", || {
            on_service("managed", Route::Secrets, Fault::Close)
        }),
        failure((124, "Unreachable::Proxy", "proxy"), "a proxy", || {
            let proxy = Service::plain();
            through(proxy.address()).keeping(proxy)
        }),
        failure((124, "Unreachable::Refused", "refused"), "a proxy", || {
            through(closed_port())
        }),
        failure(certificate, "for another host", || {
            with_certificate(Certificate::OtherHost)
        }),
        failure(certificate, "expired", || {
            with_certificate(Certificate::Expired)
        }),
        failure(certificate, "self-signed", || {
            with_certificate(Certificate::SelfSigned)
        }),
        failure((125, "Error::Tls", "speak TLS"), "plain HTTP", || {
            let address = plain_text();
            asking(&format!("https://{address}"), &[address])
        }),
    ];
    for route in [Route::Secrets, Route::EncryptionKey] {
        let name = |what: &str| format!("{what} of {route:?}");
        table.extend([
            raw(no_http, &name("rubbish"), route, format!("{VALUE}\r\n")),
            raw(
                no_http,
                &name("a status"),
                route,
                format!("HTTP/1.1 {WORD}\r\n\r\n"),
            ),
            raw(
                no_http,
                &name("a header"),
                route,
                format!("{ok}{WORD}\r\n\r\n"),
            ),
            raw(
                no_http,
                &name("a length"),
                route,
                format!("{ok}Content-Length: {WORD}\r\n\r\n"),
            ),
            raw(
                cut,
                &name("half"),
                route,
                format!("{ok}Content-Length: 999\r\n\r\n{VALUE}"),
            ),
        ]);
    }
    table
}
