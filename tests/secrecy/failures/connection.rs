//! Services that are not reached, or are not what they should be.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;

use super::*;
use crate::cloud::connection::fill_queue;

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

/// A run on a service with such a certificate, which is signed by who is trusted, if by anybody.
fn with_certificate(certificate: Certificate) -> Scene {
    at(Service::with_certificate(certificate), Vec::new()).args(&["my-app"])
}

/// A run on a service that fails, of which there is a mirror with these projects.
fn on_mirror(path: &str, projects: World) -> Scene {
    let planted = blobs(&projects);
    let mirror = Service::mirror_of(projects);
    let scene = on_service(path, Route::Secrets, Fault::Close);
    let mut scene = scene.args(&["--mirror", &mirror.url()]);
    scene.hosts.push(mirror.address());
    scene.planted.extend(planted);
    scene.keeping(mirror)
}

/// The rows that take long, each with a single run. It tells of every attempt, and the last one runs into the deadline.
fn slow() -> [Failure; 2] {
    [
        failure(
            (124, "Unreachable::NoConnection", "no connection within"),
            "a queue that is full",
            || {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
                let address = listener.local_addr().expect("the port that was bound");
                let queue = fill_queue(address);
                let scene = asking(&format!("https://{address}"), &[address]);
                let scene = scene.args(&["--timeout", "6", "-v", "--", "true"]);
                let scene = scene.only(Ways::Complete);
                scene.keeping(queue).keeping(listener)
            },
        ),
        failure(
            (124, "Unreachable::Silent", "no data for"),
            "silence behind half an answer",
            || {
                let half = format!("HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{VALUE}");
                let fault = Fault::Stall(half.into());
                let scene = on_service("managed", Route::EncryptionKey, fault);
                let scene = scene.args(&["--timeout", "11", "-v", "--", "true"]);
                scene.only(Ways::Complete)
            },
        ),
    ]
}

/// Every flaw of a certificate that can be had.
fn certificates() -> impl Iterator<Item = Failure> {
    let flaws = [
        (Certificate::OtherHost, "Flaw::OtherHost", "another host"),
        (Certificate::Expired, "Flaw::Expired", "has expired"),
        (
            Certificate::NotYetValid,
            "Flaw::NotYetValid",
            "not valid yet",
        ),
        (
            Certificate::ForClients,
            "Flaw::OtherPurpose",
            "not a server certificate",
        ),
        (
            Certificate::Forged,
            "Flaw::BadSignature",
            "invalid signature",
        ),
        (Certificate::OfAuthority, "Flaw::Other", "invalid"),
    ];
    let known = flaws.into_iter().map(|(certificate, variant, says)| {
        let scene = move || with_certificate(certificate);
        failure((125, variant, says), "a certificate", scene)
    });
    let stranger = (
        125,
        "Flaw::UnknownAuthority",
        "authority that is not trusted",
    );
    known.chain([failure(stranger, "a certificate", || {
        let service = Service::example();
        asking(&service.url(), &[service.address()]).keeping(service)
    })])
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

/// What is not taken from a mirror, and proxies that are none.
fn mirrors_and_proxies() -> Vec<Failure> {
    let sealed = failure(
        (125, "FromMirror::Plaintext", "is not encrypted"),
        "a level",
        || {
            let text = format!("ALPHA={VALUE}\nBETA={WORD}\n");
            let project = Project::new("app", Custody::client()).plain_level("", &text);
            on_mirror("app", World::new(vec![project]))
        },
    );
    let managed = failure(
        (125, "FromMirror::ServerManaged", "is not client-managed"),
        "a project",
        || on_mirror("managed", world()).args(&["--custody", "client"]),
    );
    let denied = failure(
        (125, "FromMirror::Denial", "are refused (404)"),
        "a project that is not there",
        || on_mirror("app", World::new(Vec::new())),
    );
    let urls = [
        format!("ftp://user:{PROXY_PASSWORD}@proxy"),
        format!("http://user:{PROXY_PASSWORD}%40@proxy"),
        format!("http://user:{PROXY_PASSWORD}@"),
    ];
    let proxies = urls.into_iter().enumerate().map(|(index, url)| {
        let row = (125, "Error::Proxy", "HTTPS_PROXY: ");
        failure(row, format!("URL {index}"), move || {
            let scene = on_good_service("managed", |_| ());
            scene.env("HTTPS_PROXY", &url)
        })
    });
    [sealed, managed, denied]
        .into_iter()
        .chain(proxies)
        .collect()
}

pub fn table() -> Vec<Failure> {
    let cut = (124, "Unreachable::Broken", "cut off");
    let no_http = (125, "Error::NotHttp", "not HTTP");
    let bad_header = (125, "Error::BadHeader", "malformed HTTP header");
    let cut_early = (124, "Unreachable::CutOffEarly", "before its body");
    let ok = "HTTP/1.1 200 OK\r\n";
    let mut table: Vec<_> = slow().into();
    table.extend([
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
            let port = refusing_port();
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
            through(refusing_port())
        }),
        failure(
            (125, "Error::Tls", "TLS handshake failed"),
            "plain HTTP",
            || {
                let address = plain_text();
                asking(&format!("https://{address}"), &[address])
            },
        ),
    ]);
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
                bad_header,
                &name("a header"),
                route,
                format!("{ok}{WORD}\r\n\r\n"),
            ),
            raw(
                bad_header,
                &name("many headers"),
                route,
                format!("{ok}{}\r\n", format!("X: {WORD}\r\n").repeat(101)),
            ),
            raw(
                cut_early,
                &name("a long header"),
                route,
                format!("{ok}X: {}\r\n\r\n", WORD.repeat(1024)),
            ),
            raw(
                cut_early,
                &name("half a header"),
                route,
                format!("{ok}X: {WORD}"),
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
    table.extend(certificates());
    table.extend(mirrors_and_proxies());
    table
}
