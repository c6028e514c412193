//! As much of HTTP/1.1 as a server of single requests needs, and strict about it.

use std::io::{self, Read, Write};
use std::time::Instant;

use serde_json::{Value, json};

/// More than any request of ours may have.
const HEAD_LIMIT: usize = 64 * 1024;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// The path as it was written, with a query if there was one.
    pub target: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub received: Instant,
}

impl Request {
    /// The only value of a header; a header that is repeated has none, since a server and a proxy
    /// could read it differently.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self
            .headers
            .iter()
            .filter(|(header, _)| header.eq_ignore_ascii_case(name));
        match (values.next(), values.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }
}

/// Reads one request. The inner error says what is wrong with it; the outer one, that the
/// connection broke.
pub fn read(stream: &mut impl Read) -> io::Result<Result<Request, String>> {
    let (head, rest) = match read_head(stream)? {
        Ok(parts) => parts,
        Err(defect) => return Ok(Err(defect)),
    };
    let mut request = match parse_head(&head) {
        Ok(request) => request,
        Err(defect) => return Ok(Err(defect)),
    };
    let length = request
        .header("Content-Length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    request.body = rest;
    while request.body.len() < length {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            return Ok(Err("the body is shorter than announced".into()));
        }
        request.body.extend_from_slice(&chunk[..count]);
    }
    Ok(Ok(request))
}

/// The head without its empty line, and what was read of the body.
fn read_head(stream: &mut impl Read) -> io::Result<Result<(String, Vec<u8>), String>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            bytes.truncate(end);
            return Ok(String::from_utf8(bytes)
                .map(|head| (head, rest))
                .map_err(|_| "the head is not UTF-8".into()));
        }
        if bytes.len() > HEAD_LIMIT {
            return Ok(Err("the head is too long".into()));
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => bytes.extend_from_slice(&chunk[..count]),
        }
    }
}

fn parse_head(head: &str) -> Result<Request, String> {
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let [method, target, "HTTP/1.1"] = first.split(' ').collect::<Vec<_>>()[..] else {
        return Err(format!("{first:?} is not a request line"));
    };
    let headers = lines.map(parse_header).collect::<Result<_, _>>()?;
    Ok(Request {
        method: method.into(),
        target: target.into(),
        headers,
        body: Vec::new(),
        received: Instant::now(),
    })
}

fn parse_header(line: &str) -> Result<(String, String), String> {
    match line.split_once(':') {
        Some((name, value)) if !name.is_empty() && !name.contains(char::is_whitespace) => {
            Ok((name.into(), value.trim().into()))
        }
        _ => Err("a header is malformed".into()),
    }
}

/// An answer. Its length is added on the way out, and that the connection is closed.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn json(status: u16, document: &Value) -> Self {
        Reply::new(status, "application/json", document.to_string())
    }

    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Reply {
            status,
            headers: vec![("Content-Type".into(), content_type.into())],
            body: body.into(),
        }
    }

    /// The envelope of an error.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        Reply::json(status, &json!({ "error": code, "message": message }))
    }

    /// A page that sends a browser somewhere else.
    pub fn redirect(location: &str) -> Self {
        Reply::new(
            302,
            "text/html; charset=utf-8",
            "<!DOCTYPE html><title>Redirecting</title>",
        )
        .header("Location", location)
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn write(&self, stream: &mut impl Write) -> io::Result<()> {
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!(
            "Content-Length: {}\r\nConnection: close\r\n\r\n",
            self.body.len()
        );
        stream.write_all(&[head.as_bytes(), &self.body].concat())?;
        stream.flush()
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Something Else",
    }
}
