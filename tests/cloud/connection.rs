//! Everything that can happen to the connection itself: certificates, names, refusals, silence,
//! answers that are cut off, and answers that are not HTTP.

use std::io::{Read, Write};
use std::iter::successors;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread::{park_timeout, spawn};
use std::time::Duration;

use crate::cloud::{encryption_key, failing, good_body, secrets};
use crate::support::*;

tests![
    nothing_in_the_environment_switches_verification_off,
    a_file_of_authorities_must_hold_some,
    a_server_without_tls_is_refused,
    a_refused_connection_may_be_tried_again,
    a_host_without_an_address_may_be_tried_again,
    a_name_that_does_not_resolve_may_be_tried_again needs(NETWORKS),
    a_resolver_that_hangs_is_given_up_in_time needs(NETWORKS),
    a_host_that_does_not_answer_is_given_up_in_time,
    an_answer_that_never_comes_is_given_up_in_time,
    an_answer_that_stops_half_way_is_given_up_in_time,
    an_answer_that_drips_is_given_up_in_time,
    all_requests_share_one_deadline,
    a_request_is_sent_at_once needs(STRACE, || tool("bash")),
    a_complete_answer_is_not_waited_for,
    an_answer_in_any_framing_is_read,
    an_answer_that_is_cut_off_may_be_tried_again,
    a_header_without_end_is_named,
    an_answer_that_is_no_good_http_is_refused,
    a_document_without_end_is_refused,
    plain_http_never_leaves_the_machine,
    a_proxy_never_sees_the_key,
];

/// A run that trusts the built-in roots only.
pub fn without_authority(service: &Service) -> Run {
    Run::dotenv_run()
        .args(["--api-url", &service.url()])
        .env("DOTENV_API_KEY", service.api_key())
}

fn nothing_in_the_environment_switches_verification_off() {
    let service = Service::example();
    let run = without_authority(&service)
        .env("DOTENV_TLS_SKIP_VERIFY", "true")
        .env("NODE_TLS_REJECT_UNAUTHORIZED", "0")
        .env("NODE_ENV", "development")
        .env("ENV", "development")
        .env("DOTENV_ENV", "development")
        .env("DOTENV_DEBUG", "1");
    run.arg("legacy").refuses(125, &["not trusted"]);
    let by_name = Run::dotenv_run()
        .args(["--api-url", &service.url_by_name(), "legacy"])
        .env("DOTENV_API_KEY", service.api_key())
        .env("DOTENV_TLS_SKIP_VERIFY", "1");
    by_name.refuses(125, &["not trusted"]);
    assert!(service.requests().is_empty());
}

fn a_file_of_authorities_must_hold_some() {
    let service = Service::example();
    let dir = TempDir::new();
    let good = std::fs::read_to_string(service.ca_file()).unwrap();
    let label = |from: &str, to: &str| good.replace(from, to);
    for (name, content) in [
        ("empty", String::new()),
        ("text", "no PEM at all\n".into()),
        ("key", label("CERTIFICATE", "PRIVATE KEY")),
        ("cut", good[..good.len() / 2].into()),
        ("other", label("MII", "AAA")),
    ] {
        let file = dir.file(name, content);
        let run = service.dotenv_run().arg("--ca-file").arg(&file);
        let name = file.display().to_string();
        run.arg("legacy").refuses(125, &["--ca-file", &name]);
    }
    let run = service.dotenv_run().args(["--ca-file", "/nonexistent/ca"]);
    run.arg("legacy")
        .refuses(125, &["--ca-file", "/nonexistent/ca"]);
    assert!(service.requests().is_empty());
    let both = dir.file("both", format!("# a comment\n{good}{good}"));
    let run = service.dotenv_run().arg("--ca-file").arg(both);
    run.args(["legacy", "--", "true"]).finish().assert_status(0);
}

fn a_server_without_tls_is_refused() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let server = spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .unwrap();
        // All of the request is read, because closing would otherwise cut off the answer.
        stream.read_to_end(&mut Vec::new()).ok();
    });
    asking(&format!("https://{host}")).refuses(125, &["secure", &host]);
    server.join().unwrap();
}

/// A run that asks this host, with a key and nothing else.
fn asking(url: &str) -> Run {
    Run::dotenv_run()
        .env("DOTENV_API_KEY", Key::new().token())
        .args(["--api-url", url, "legacy"])
}

fn a_refused_connection_may_be_tried_again() {
    let address = refusing_port();
    for url in [
        format!("https://{address}"),
        format!("http://{address}"),
        format!("https://localhost:{}", address.port()),
    ] {
        let host = url.split_once("//").unwrap().1;
        asking(&url).refuses(124, &[host, "refused"]);
    }
}

/// No resolver looks such a name up.
fn a_host_without_an_address_may_be_tried_again() {
    let host = format!("{}.example", "a".repeat(64));
    asking(&format!("https://{host}")).refuses(124, &[&host, "resolved"]);
}

/// Runs it in a network of its own, where the host `192.0.2.1` swallows everything, with this name
/// server.
pub fn with_name_server(run: Run, server: &str) -> (TempDir, Run) {
    let dir = TempDir::new();
    let file = dir.file("resolv.conf", format!("nameserver {server}\n"));
    let script = "ip link set lo up && ip route add 192.0.2.1 dev lo &&
        mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";
    let unshare = ["unshare", "--user", "--map-root-user", "--net", "--mount"];
    let file = file.display().to_string();
    let wrapper = [&unshare[..], &["sh", "-c", script, &file]].concat();
    (dir, run.under(wrapper))
}

fn a_name_that_does_not_resolve_may_be_tried_again() {
    let run = asking("https://api.dotenv.example");
    let (_dir, run) = with_name_server(run, "127.0.0.1");
    run.refuses(124, &["api.dotenv.example", "resolved"]);
}

fn a_resolver_that_hangs_is_given_up_in_time() {
    let run = asking("https://api.dotenv.example");
    let (_dir, run) = with_name_server(run, "192.0.2.1");
    gives_up_in_time("api.dotenv.example", || run.clone());
}

/// How long a run that is given up may take beyond its time.
const SLACK: Duration = Duration::from_millis(200);

/// The run is over when its time is, and says so. Of three runs one must be in time, because a
/// loaded machine may be late with any of them.
#[track_caller]
fn gives_up_in_time(host: &str, run: impl Fn() -> Run) {
    let time = Duration::from_millis(400);
    let is_in_time = |_: &u32| {
        let run = run().args(["--timeout", "0.4"]);
        let refused = run.refuses(124, &[host, "no answer", "0.4 s"]);
        assert!(refused.elapsed >= time, "too early\n{refused}");
        refused.elapsed < time + SLACK
    };
    assert!((0..3).any(|attempt| is_in_time(&attempt)), "late each time");
}

fn a_host_that_does_not_answer_is_given_up_in_time() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let host = address.to_string();
    // Nobody accepts, so that there is a connection and nothing comes over it.
    for scheme in ["https", "http"] {
        gives_up_in_time(&host, || asking(&format!("{scheme}://{host}")));
    }
    // When no more fit into the queue, there is not even a connection.
    let _queue = fill_queue(address);
    gives_up_in_time(&host, || asking(&format!("https://{host}")));
}

/// Takes all the room for connections that nobody accepts; the next one waits for ever.
pub fn fill_queue(address: SocketAddr) -> Vec<TcpStream> {
    let brief = Duration::from_millis(50);
    let connect = || TcpStream::connect_timeout(&address, brief).ok();
    let queue: Vec<_> = successors(connect(), |_| connect()).take(10_000).collect();
    assert!(queue.len() < 10_000, "the queue has no end");
    queue
}

fn an_answer_that_never_comes_is_given_up_in_time() {
    for route in [Route::Organization, Route::Secrets, Route::EncryptionKey] {
        let service = Service::example();
        let run = failing(&service, route, Fault::Hang);
        gives_up_in_time(&service.address().to_string(), || run.clone());
    }
}

fn an_answer_that_stops_half_way_is_given_up_in_time() {
    for begun in [
        "HTTP/1.1 2",
        "HTTP/1.1 200 OK\r\nContent-Ty",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\n\r\n{\"data\":null}",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
    ] {
        let service = Service::example();
        let run = failing(&service, Route::Secrets, Fault::Stall(begun.into()));
        gives_up_in_time(&service.address().to_string(), || run.clone());
    }
}

fn an_answer_that_drips_is_given_up_in_time() {
    for service in [Service::example(), Service::plain()] {
        let run = failing(&service, Route::Secrets, Fault::Trickle);
        gives_up_in_time(&service.address().to_string(), || run.clone());
    }
}

/// The first two answers take most of the time, and the third does not come.
fn all_requests_share_one_deadline() {
    let service = Service::example();
    let slow = || Fault::edit(|_| park_timeout(Duration::from_millis(150)));
    service.fail(Route::Organization, slow());
    service.fail(Route::Secrets, slow());
    let run = failing(&service, Route::EncryptionKey, Fault::Hang);
    gives_up_in_time(&service.address().to_string(), || run.clone());
    assert!(service.targets().contains(&encryption_key("legacy")));
}

/// An answer with these headers.
fn answer(headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{headers}\r\n{body}").into()
}

/// The kernel would hold it back until what was sent before has been acknowledged. A socket that we
/// were given is left as it is.
fn a_request_is_sent_at_once() {
    let service = Service::example();
    let given = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let open = format!(
        "exec 8<>/dev/tcp/127.0.0.1/{}; exec \"$@\"",
        given.local_addr().unwrap().port()
    );
    let run = service.dotenv_run().args(["legacy", "--", "true"]);
    let trace = strace(
        run.under(["bash", "-c", &open, "bash"]),
        "socket,connect,setsockopt,write,writev,sendto,close",
    );
    trace.outcome.assert_status(0);
    let is_set = |call: &&Call| call.name == "setsockopt" && call.arguments.contains("TCP_NODELAY");
    let set: Vec<_> = trace.calls.iter().filter(is_set).collect();
    assert!(set.iter().all(|call| !call.arguments.starts_with("8,")));
    // In each thread that connects it is set before the last thing that is written, which is the request.
    let connects = |call: &&Call| call.name == "connect" && call.arguments.contains("AF_INET");
    let threads: Vec<_> = trace
        .calls
        .iter()
        .filter(connects)
        .map(|it| it.pid)
        .collect();
    let threads: Vec<_> = threads
        .into_iter()
        .filter(|pid| set.iter().any(|it| it.pid == *pid))
        .collect();
    assert_eq!(threads.len(), 2, "{:?}", trace.calls);
    for thread in threads {
        let own: Vec<_> = trace
            .calls
            .iter()
            .filter(|call| call.pid == thread)
            .collect();
        let last_set = own.iter().position(is_set).unwrap();
        let requests = own[last_set..]
            .iter()
            .filter(|call| call.name == "sendto" || call.name == "writev");
        assert!(requests.count() >= 1, "{own:?}");
    }
}

/// The server keeps the connection open, but all of the body is there.
fn a_complete_answer_is_not_waited_for() {
    let service = Service::example();
    let body = good_body();
    let complete = answer(&format!("Content-Length: {}\r\n", body.len()), &body);
    let run = failing(&service, Route::Secrets, Fault::Stall(complete));
    let outcome = run.args(["--timeout", "20", "--", "true"]).finish();
    outcome.assert_status(0);
    assert!(outcome.elapsed < Duration::from_secs(10), "{outcome}");
}

fn an_answer_in_any_framing_is_read() {
    let body = good_body();
    let (first, second) = body.split_at(body.len() / 2);
    let chunked = [first, second, ""].map(|part| format!("{:x}\r\n{part}\r\n", part.len()));
    for answer in [
        answer("Transfer-Encoding: chunked\r\n", &chunked.concat()),
        answer("", &body),
        answer(&format!("content-length:{}\r\n", body.len()), &body),
        answer(&"X-Many: 1\r\n".repeat(90), &body),
    ] {
        for service in [Service::example(), Service::plain()] {
            let run = failing(&service, Route::Secrets, Fault::Raw(answer.clone()));
            assert_eq!(run.variables().len(), 3);
        }
    }
}

fn an_answer_that_is_cut_off_may_be_tried_again() {
    let body = good_body();
    let half = &body[..body.len() / 2];
    let length = format!("Content-Length: {}\r\n", body.len());
    let chunk = format!("{:x}\r\n{half}", body.len());
    for fault in [
        Fault::Close,
        Fault::Raw(Vec::new()),
        Fault::Raw(b"HTTP/1.1 200 OK\r\nContent-Ty".into()),
        Fault::Raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n".into()),
        Fault::Raw(answer(&length, "")),
        Fault::Raw(answer(&length, half)),
        Fault::Raw(answer("Transfer-Encoding: chunked\r\n", &chunk)),
        Fault::Raw(answer("Transfer-Encoding: chunked\r\n", "")),
    ] {
        for service in [Service::example(), Service::plain()] {
            let run = failing(&service, Route::Secrets, fault.clone());
            run.refuses(124, &[&service.address().to_string(), "cut off"]);
        }
    }
}

/// The HTTP client gives up on it as if the connection had ended, so that it may be tried again.
fn a_header_without_end_is_named() {
    let service = Service::example();
    let long = answer(&format!("X-Long: {}\r\n", "x".repeat(17_000)), "{}");
    let run = failing(&service, Route::Secrets, Fault::Raw(long));
    run.refuses(124, &["header line over 16 KiB"]);
}

fn an_answer_that_is_no_good_http_is_refused() {
    let body = good_body();
    let length = body.len();
    let headers = |headers: &str| answer(headers, &body);
    for bytes in [
        b"SSH-2.0-rubbish\r\n".to_vec(),
        b"\r\n\r\n".to_vec(),
        b"HTTP/1.1\r\n\r\n".to_vec(),
        b"HTTP/1.1 two OK\r\n\r\n".to_vec(),
        b"HTTP/1.1 99 OK\r\n\r\n".to_vec(),
        headers("no colon\r\n"),
        headers("X-Control: \x01\r\n"),
        headers("Content-Length: many\r\n"),
        headers("Content-Length: -1\r\n"),
        headers(&format!(
            "Content-Length: {length}\r\nContent-Length: 7\r\n"
        )),
        answer("Transfer-Encoding: chunked\r\n", "zz\r\n{}\r\n"),
        headers(&"X-Many: 1\r\n".repeat(200)),
    ] {
        for service in [Service::example(), Service::plain()] {
            let run = failing(&service, Route::Secrets, Fault::Raw(bytes.clone()));
            run.refuses(125, &[&service.address().to_string(), "HTTP"]);
        }
    }
    // Of a body that is longer than it says, the rest does not count.
    let service = Service::example();
    let short = headers(&format!("Content-Length: {}\r\n", length - 1));
    failing(&service, Route::Secrets, Fault::Raw(short)).refuses(125, &["JSON"]);
}

/// It is good JSON all the way, but for the size.
fn a_document_without_end_is_refused() {
    let service = Service::plain();
    let large = good_body() + &" ".repeat(64 * 1024 * 1024);
    let reply = Reply::new(200, "application/json", large);
    let run = failing(&service, Route::Secrets, Fault::Reply(reply));
    run.refuses(125, &["/legacy/secrets", "larger"]);
}

/// The variables that name a proxy.
const PROXIES: [&str; 6] = [
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
];

fn with_proxy(run: Run, proxy: &Service) -> Run {
    PROXIES
        .into_iter()
        .fold(run, |run, name| run.env(name, proxy.url()))
}

/// The key would go over the network in the clear.
fn plain_http_never_leaves_the_machine() {
    let (service, proxy) = (Service::plain(), Service::plain());
    let run = with_proxy(service.dotenv_run(), &proxy).arg("legacy");
    run.args(["--", "true"]).finish().assert_status(0);
    assert!(proxy.requests().is_empty(), "{:?}", proxy.targets());
    assert!(service.targets().contains(&secrets("legacy")));
}

fn a_proxy_never_sees_the_key() {
    let (service, proxy) = (Service::example(), Service::plain());
    let run = with_proxy(service.dotenv_run(), &proxy).arg("legacy");
    run.refuses(124, &["proxy"]);
    for request in proxy.requests() {
        assert_eq!(request.method, "CONNECT");
        assert_eq!(request.header("Authorization"), None);
        let all = format!("{request:?}");
        assert!(!all.contains(service.api_key()), "{all}");
    }
    assert!(service.requests().is_empty());
}
