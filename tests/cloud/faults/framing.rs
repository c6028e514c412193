//! Good documents in good and bad HTTP: lengths that are lies, chunks, headers without number or end, other protocols.

use std::time::Duration;

use super::*;

/// How a document is sent, and what is to come of it.
type Framing = (&'static str, fn(&str) -> Vec<u8>, Expected);

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

/// A chunk of all of a text.
fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

fn with_length(body: &str, difference: isize) -> Vec<u8> {
    let length = body.len().strict_add_signed(difference);
    ok(&format!("Content-Length: {length}\r\n"), body)
}

fn with_headers(headers: &str, body: &str) -> Vec<u8> {
    ok(&(length(body) + headers), body)
}

fn with_status_line(line: &str, body: &str) -> Vec<u8> {
    format!("{line}\r\n{}\r\n{body}", length(body)).into()
}

/// What is good enough.
fn good() -> Vec<Framing> {
    let start = || Expected::Start;
    vec![
        (
            "HTTP/1.0",
            |it| with_status_line("HTTP/1.0 200 OK", it),
            start(),
        ),
        (
            "no reason",
            |it| with_status_line("HTTP/1.1 200", it),
            start(),
        ),
        ("no length", |it| ok("", it), start()),
        (
            "the length twice",
            |it| with_headers(&length(it), it),
            start(),
        ),
        (
            "chunks",
            |it| ok(CHUNKED, &(chunk(it) + "0\r\n\r\n")),
            start(),
        ),
        (
            "a chunk for each byte",
            |it| {
                let chunks: String = it.chars().map(|byte| chunk(&byte.to_string())).collect();
                ok(CHUNKED, &(chunks + "0\r\n\r\n"))
            },
            start(),
        ),
        (
            "a chunk with an extension",
            |it| ok(CHUNKED, &format!("{:x};x=y\r\n{it}\r\n0\r\n\r\n", it.len())),
            start(),
        ),
        (
            "chunks that end the connection late",
            |it| ok(CHUNKED, &(chunk(it) + "0\r\n\r\n" + BODY)),
            start(),
        ),
        (
            "chunks and a length",
            |it| ok(&(length(it) + CHUNKED), &(chunk(it) + "0\r\n\r\n")),
            start(),
        ),
        (
            "a connection that is kept, and more behind it",
            |it| {
                let first = with_headers("Connection: keep-alive\r\n", it);
                [first, with_headers("", "{}")].concat()
            },
            start(),
        ),
        (
            "a type of text",
            |it| with_headers("Content-Type: text/html\r\n", it),
            start(),
        ),
        (
            "a type of nothing",
            |it| with_headers("Content-Type: /\r\n", it),
            start(),
        ),
        (
            "a cookie",
            |it| with_headers("Set-Cookie: session=1; Path=/\r\n", it),
            start(),
        ),
        (
            "100 headers",
            |it| with_headers(&"X-Many: 1\r\n".repeat(99), it),
            start(),
        ),
        (
            "a compression that is not there",
            |it| with_headers("Content-Encoding: gzip\r\n", it),
            start(),
        ),
        (
            "a header of almost 16 KiB",
            |it| with_headers(&format!("X: {}\r\n", "x".repeat(16_000)), it),
            start(),
        ),
    ]
}

fn lengths() -> Vec<Framing> {
    let no_http = || stays("not HTTP");
    vec![
        (
            "a length too long by one",
            |it| with_length(it, 1),
            may_pass("cut off"),
        ),
        (
            "a length far too long",
            |it| with_length(it, 1 << 40),
            may_pass("cut off"),
        ),
        (
            "a length too short by one",
            |it| with_length(it, -1),
            stays("JSON"),
        ),
        (
            "a length of nothing",
            |it| ok("Content-Length: 0\r\n", it),
            stays("JSON"),
        ),
        (
            "a negative length",
            |it| ok("Content-Length: -1\r\n", it),
            no_http(),
        ),
        (
            "a length in words",
            |it| ok("Content-Length: many\r\n", it),
            no_http(),
        ),
        (
            "a length in hex",
            |it| ok("Content-Length: 0x10\r\n", it),
            no_http(),
        ),
        (
            "an empty length",
            |it| ok("Content-Length: \r\n", it),
            no_http(),
        ),
        (
            "a length of too many digits",
            |it| ok("Content-Length: 99999999999999999999\r\n", it),
            no_http(),
        ),
        (
            "two lengths",
            |it| with_headers("Content-Length: 7\r\n", it),
            no_http(),
        ),
        (
            "a list of lengths",
            |it| ok(&format!("Content-Length: {0}, {0}\r\n", it.len()), it),
            no_http(),
        ),
        (
            "a chunk without a size",
            |it| ok(CHUNKED, &format!("\r\n{it}\r\n0\r\n\r\n")),
            may_pass("cut off"),
        ),
        (
            "a chunk of size zz",
            |it| ok(CHUNKED, &format!("zz\r\n{it}")),
            no_http(),
        ),
        (
            "a chunk of negative size",
            |it| ok(CHUNKED, &format!("-1\r\n{it}")),
            no_http(),
        ),
        (
            "a chunk of 17 digits",
            |it| ok(CHUNKED, &format!("{}\r\n{it}", "f".repeat(17))),
            no_http(),
        ),
        (
            "a chunk of 16 digits",
            |it| ok(CHUNKED, &format!("{}\r\n{it}", "f".repeat(16))),
            may_pass("cut off"),
        ),
        (
            "a size of a chunk without end",
            |it| ok(CHUNKED, &format!("{}\r\n{it}", "0".repeat(200))),
            may_pass("cut off"),
        ),
        (
            "no last chunk",
            |it| ok(CHUNKED, &chunk(it)),
            may_pass("cut off"),
        ),
        (
            "half a last chunk",
            |it| ok(CHUNKED, &(chunk(it) + "0\r\n")),
            may_pass("cut off"),
        ),
        (
            "a chunk that is longer than its size",
            |it| ok(CHUNKED, &format!("1\r\n{it}\r\n0\r\n\r\n")),
            no_http(),
        ),
        (
            "no chunk but the last",
            |_| ok(CHUNKED, "0\r\n\r\n"),
            stays("JSON"),
        ),
        (
            "a trailer",
            |it| ok(CHUNKED, &(chunk(it) + "0\r\nX-Trailer: 1\r\n\r\n")),
            no_http(),
        ),
        (
            "text instead of chunks",
            |it| ok(CHUNKED, it),
            may_pass("cut off"),
        ),
    ]
}

fn headers() -> Vec<Framing> {
    let bad = || stays("malformed HTTP header");
    let long = || may_pass("over 16 KiB");
    vec![
        (
            "101 headers",
            |it| with_headers(&"X-Many: 1\r\n".repeat(100), it),
            bad(),
        ),
        (
            "10,000 headers",
            |it| with_headers(&"X-Many: 1\r\n".repeat(9_999), it),
            bad(),
        ),
        (
            "1 MiB of headers",
            |it| {
                let header = format!("X-Large: {}\r\n", "x".repeat(8 << 10));
                with_headers(&header.repeat(128), it)
            },
            bad(),
        ),
        (
            "a header of 17 KiB",
            |it| with_headers(&format!("X-Large: {}\r\n", "x".repeat(17 << 10)), it),
            long(),
        ),
        (
            "a header of 1 MiB",
            |it| with_headers(&format!("X-Large: {}\r\n", "x".repeat(1 << 20)), it),
            long(),
        ),
        (
            "a name of 1 MiB",
            |it| with_headers(&format!("{}: x\r\n", "x".repeat(1 << 20)), it),
            long(),
        ),
        (
            "a reason of 17 KiB",
            |it| with_status_line(&format!("HTTP/1.1 200 {}", "x".repeat(17 << 10)), it),
            long(),
        ),
        (
            "a header without a colon",
            |it| with_headers("X-None\r\n", it),
            bad(),
        ),
        (
            "a control character",
            |it| with_headers("X-Control: \x01\r\n", it),
            stays("not HTTP"),
        ),
    ]
}

/// What is not HTTP/1, or not an answer to what was asked for.
fn protocols() -> Vec<Framing> {
    let no_http = || stays("not HTTP");
    vec![
        (
            "another protocol",
            |_| b"SSH-2.0-rubbish\r\n".into(),
            no_http(),
        ),
        ("an empty line", |_| b"\r\n\r\n".into(), no_http()),
        ("a version alone", |_| b"HTTP/1.1\r\n\r\n".into(), no_http()),
        ("a document alone", |it| it.into(), may_pass("cut off")),
        (
            "the preface of HTTP/2",
            |_| b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(),
            no_http(),
        ),
        (
            "the settings of HTTP/2",
            |_| b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64".into(),
            may_pass("cut off"),
        ),
        (
            "a request",
            |_| b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".into(),
            no_http(),
        ),
        (
            "an interim answer",
            |it| [b"HTTP/1.1 100 Continue\r\n\r\n", &*with_headers("", it)].concat(),
            stays("status 100"),
        ),
        (
            "a page of a proxy",
            |_| with_status_line("HTTP/1.0 502 Bad Gateway", "<html>words-of-the-server"),
            may_pass("(502)"),
        ),
        (
            "a page of a proxy that refuses",
            |_| with_status_line("HTTP/1.0 407 Proxy Authentication Required", "<html>"),
            stays("status 407"),
        ),
        (
            "a page to log in at",
            |_| with_status_line("HTTP/1.1 200 OK", "<html>words-of-the-server"),
            stays("JSON"),
        ),
    ]
}

/// What never ends, though it always goes on.
fn endless() -> Vec<Cell> {
    let repeat = |first: Vec<u8>, again: String| Fault::Repeat(first, again.into(), Duration::ZERO);
    let head = |headers: &str| ok(headers, "");
    let spaces = " ".repeat(64 << 10);
    let large = stays("is larger than 67108864 bytes");
    let open_line = b"HTTP/1.1 200 OK\r\nX-Endless: ".to_vec();
    let status = b"HTTP/1.1 200 OK\r\n".to_vec();
    [
        (
            "a body of 1 TiB",
            repeat(head("Content-Length: 1099511627776\r\n"), spaces.clone()),
            large.clone(),
        ),
        (
            "a body without length or end",
            repeat(head(""), spaces.clone()),
            large.clone(),
        ),
        (
            "chunks without end",
            repeat(head(CHUNKED), chunk(&spaces)),
            large.clone(),
        ),
        (
            "a chunk without end",
            repeat(ok(CHUNKED, "ffffffffff\r\n"), spaces.clone()),
            large,
        ),
        (
            "headers without end",
            repeat(status, "X-Many: 1\r\n".repeat(100)),
            stays("malformed HTTP header"),
        ),
        (
            "a header without end",
            repeat(open_line, "x".repeat(4 << 10)),
            may_pass("over 16 KiB"),
        ),
    ]
    .iter()
    .flat_map(|(name, fault, expected)| everywhere(name, LONG, fault, expected))
    .collect()
}

pub fn cells() -> Vec<Cell> {
    let tables = [good(), lengths(), headers(), protocols()];
    let mut cells = endless();
    for (name, write, expected) in tables.into_iter().flatten() {
        let fault = Fault::write(write);
        cells.extend(everywhere(name, LONG, &fault, &expected));
    }
    cells
}

pub fn no_broken_framing_starts_a_command() {
    check_cells(&cells());
}
