//! A proxy in front of the service: when it is used, what it sees, and what is said of it.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::support::*;

tests![
    the_service_is_reached_through_the_proxy,
    every_name_of_the_variable_counts_in_its_order,
    excepted_hosts_are_reached_without_the_proxy,
    the_credentials_of_a_proxy_are_sent_to_it_alone,
    a_proxy_that_refuses_is_named_without_its_credentials,
    a_proxy_that_is_none_is_not_passed_by,
];

/// A proxy that does CONNECT, and keeps everything that it is sent.
struct Proxy {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<u8>>>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    fn new() -> Self {
        Proxy::answering("HTTP/1.1 200 Connection established\r\n\r\n")
    }

    /// Anything but 200 is all that it says.
    fn answering(answer: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let proxy = Proxy {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            heads: Arc::default(),
        };
        let (seen, heads) = (Arc::clone(&proxy.seen), Arc::clone(&proxy.heads));
        // It lasts as long as the tests do.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (seen, heads) = (Arc::clone(&seen), Arc::clone(&heads));
                thread::spawn(move || serve(client, answer, &seen, &heads));
            }
        });
        proxy
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The first line and the headers of each request so far.
    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    fn has_seen(&self, text: &str) -> bool {
        let seen = self.seen.lock().unwrap();
        seen.windows(text.len()).any(|it| it == text.as_bytes())
    }
}

fn serve(
    mut client: TcpStream,
    answer: &str,
    seen: &Arc<Mutex<Vec<u8>>>,
    heads: &Mutex<Vec<String>>,
) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    seen.lock().unwrap().extend(&head);
    let head = String::from_utf8(head).ok()?;
    let target = head.strip_prefix("CONNECT ")?.split(' ').next()?.to_owned();
    heads.lock().unwrap().push(head);
    client.write_all(answer.as_bytes()).ok()?;
    if !answer.contains("200") {
        return client.shutdown(Shutdown::Write).ok();
    }
    let mut server = TcpStream::connect(target).ok()?;
    let (mut from, mut to) = (client.try_clone().ok()?, server.try_clone().ok()?);
    let seen = Arc::clone(seen);
    thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut chunk) {
            seen.lock().unwrap().extend(&chunk[..count]);
            if to.write_all(&chunk[..count]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
    let _ = io::copy(&mut server, &mut client);
    client.shutdown(Shutdown::Both).ok()
}

#[track_caller]
fn succeed(run: Run) {
    run.args(["legacy", "--", "true"]).finish().assert_status(0);
}

fn the_service_is_reached_through_the_proxy() {
    let (service, proxy) = (Service::example(), Proxy::new());
    succeed(service.dotenv_run().env("https_proxy", proxy.url()));
    assert_eq!(service.requests().len(), 2);
    let heads = proxy.heads();
    assert_eq!(heads.len(), 2);
    for head in heads {
        let line = format!("CONNECT {} HTTP/1.1\r\n", service.address());
        assert!(head.starts_with(&line), "{head}");
        assert!(!head.contains("\r\nAuthorization:"), "{head}");
    }
    // It passes on what it cannot read.
    assert!(!proxy.has_seen("Bearer") && !proxy.has_seen("dotenv_"));
    assert!(!proxy.has_seen("/api/v1") && !proxy.has_seen("legacy"));

    // What a proxy can spoil is the connection, not the trust.
    let stranger = Service::with_certificate(Certificate::OtherHost);
    let run = stranger.dotenv_run().env("https_proxy", proxy.url());
    run.arg("legacy").refuses(125, &["another host"]);
    assert!(stranger.requests().is_empty());
}

fn every_name_of_the_variable_counts_in_its_order() {
    let names = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
    let service = Service::example();
    let nowhere = Proxy::answering("HTTP/1.1 502 Bad Gateway\r\n\r\n");
    for (index, name) in names.into_iter().enumerate() {
        let proxy = Proxy::new();
        let run = service.dotenv_run().env(name, proxy.url());
        let later = names[index + 1..].iter();
        let run = later.fold(run, |run, name| run.env(name, nowhere.url()));
        let earlier = names[..index].iter();
        succeed(earlier.fold(run, |run, name| run.env(name, "")));
        assert_eq!(proxy.heads().len(), 2, "{name}");
    }
    // Without a scheme it is a host and a port; the one for plain http is another matter.
    let proxy = Proxy::new();
    succeed(
        service
            .dotenv_run()
            .env("HTTPS_PROXY", proxy.address.to_string()),
    );
    assert_eq!(proxy.heads().len(), 2);
    succeed(service.dotenv_run().env("http_proxy", nowhere.url()));
    assert!(nowhere.heads().is_empty());
}

fn excepted_hosts_are_reached_without_the_proxy() {
    let (service, proxy) = (Service::example(), Proxy::new());
    let run = |url: &str| {
        let run = service.dotenv_run().args(["--api-url", url]);
        run.env("https_proxy", proxy.url())
    };
    let (address, name) = (service.url(), service.url_by_name());
    for (url, exceptions) in [
        (&address, "127.0.0.1"),
        (&address, "*"),
        (&address, "a.example,127.0.0.1"),
        (&name, "localhost"),
        (&name, " LocalHost , b.example"),
    ] {
        succeed(run(url).env("no_proxy", exceptions));
        succeed(run(url).env("NO_PROXY", exceptions));
    }
    assert!(proxy.heads().is_empty(), "{:?}", proxy.heads());
    for (index, exceptions) in ["", ",", "a.example,,b.example", "host", "27.0.0.1"]
        .into_iter()
        .enumerate()
    {
        for url in [&address, &name] {
            succeed(run(url).env("NO_PROXY", exceptions));
        }
        assert_eq!(proxy.heads().len(), 4 * (index + 1), "{exceptions:?}");
    }
}

fn with_credentials(proxy: &Proxy) -> String {
    format!("http://agent:swordfish@{}", proxy.address)
}

fn the_credentials_of_a_proxy_are_sent_to_it_alone() {
    let (service, proxy) = (Service::example(), Proxy::new());
    let run = service
        .dotenv_run()
        .env("https_proxy", with_credentials(&proxy));
    succeed(run);
    let basic = BASE64_STANDARD.encode("agent:swordfish");
    for head in proxy.heads() {
        let header = format!("\r\nProxy-Authorization: Basic {basic}\r\n");
        assert!(head.contains(&header), "{head}");
    }
    for request in service.requests() {
        assert_eq!(request.header("Proxy-Authorization"), None);
    }
}

fn a_proxy_that_refuses_is_named_without_its_credentials() {
    let service = Service::example();
    for (answer, requests, hint) in [
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            2,
            "user name",
        ),
        ("HTTP/1.1 403 Forbidden\r\n\r\n", 2, ""),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", 8, ""),
    ] {
        let proxy = Proxy::answering(answer);
        let run = service
            .dotenv_run()
            .env("https_proxy", with_credentials(&proxy));
        let status = &answer[9..12];
        let refused = run.arg("legacy").refuses(124, &["the proxy", status, hint]);
        assert!(
            refused.stderr.contains("through the proxy 127.0.0.1"),
            "{refused}"
        );
        assert!(!refused.stderr.contains("swordfish"), "{refused}");
        assert_eq!(proxy.heads().len(), requests, "{status}");
    }
    assert_eq!(service.connections(), 0);
}

/// Going straight to the service would not be what was asked for.
fn a_proxy_that_is_none_is_not_passed_by() {
    let service = Service::example();
    for url in [
        "http://",
        "http://agent:swordfish@",
        "socks5://agent:swordfish@proxy.example:1080",
        "http://agent:sword%40fish@proxy.example",
        "http://agent:swordfish@proxy example",
    ] {
        let run = service.dotenv_run().env("HTTPS_PROXY", url).arg("legacy");
        let refused = run.refuses(125, &["HTTPS_PROXY"]);
        for part in ["swordfish", "fish", "agent"] {
            assert!(!refused.stderr.contains(part), "{refused}");
        }
    }
    assert_eq!(service.connections(), 0);
    // Where there is no use for one, nothing is wrong.
    let tree = Tree::example();
    succeed(tree.dotenv_run().env("HTTPS_PROXY", "http://"));
}
