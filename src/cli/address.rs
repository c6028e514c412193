//! The address that documents come from.

#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use url::{Host, Url};

/// Where documents come from.
#[derive(Clone)]
pub enum ApiUrl {
    /// The service, or something that speaks its API.
    Service(ServiceUrl),
    /// A sealed tree in this directory.
    Tree(PathBuf),
}

/// The address of a service.
#[derive(Clone)]
pub struct ServiceUrl {
    /// The URL without a slash at its end.
    pub base: String,
    /// The host alone: a name or an address.
    pub name: String,
    /// Host and, if it is not the scheme's own, port, for messages.
    pub host: String,
    /// Whether it is on this machine, as its address says.
    pub is_loopback: bool,
}

impl ApiUrl {
    /// Reads the address of a service or tree.
    ///
    /// # Errors
    ///
    /// What keeps it from being one; never a part of it, since it may hold a password.
    pub fn parse(text: &OsStr) -> Result<Self, &'static str> {
        read(text, is_loopback)
    }

    /// Reads the address of a mirror, which may be plain http wherever it is: what a mirror has is sealed, and no key
    /// is sent there.
    ///
    /// # Errors
    ///
    /// Those of [`ApiUrl::parse`].
    pub fn parse_mirror(text: &OsStr) -> Result<Self, &'static str> {
        read(text, |_| true)
    }
}

fn read(address: &OsStr, may_be_plain: fn(&Host<&str>) -> bool) -> Result<ApiUrl, &'static str> {
    if names_directory(address) {
        return Ok(ApiUrl::Tree(address.into()));
    }
    let text = address.to_str().ok_or("not UTF-8")?;
    let url = Url::parse(text).map_err(|_| "neither a URL nor a directory, as in ./DIRECTORY")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("the URL must not contain a user name or password");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("the URL must not contain a query or fragment");
    }
    match (url.scheme(), url.host()) {
        ("file", _) if text.starts_with("file:///") || text.starts_with("file://localhost/") => url
            .to_file_path()
            .map(ApiUrl::Tree)
            .map_err(|()| "the file URL has no path"),
        ("file", _) => Err("a file URL has the form file:///DIRECTORY"),
        ("https", Some(Host::Ipv6(_))) => {
            Err("use a host name: IPv6 addresses are not supported in https URLs")
        }
        ("https", Some(host)) => Ok(service(&url, &host)),
        ("http", Some(host)) if may_be_plain(&host) => Ok(service(&url, &host)),
        ("http", _) => Err("plain http is accepted only for loopback addresses"),
        _ => Err("the scheme must be https or file"),
    }
}

/// Whether the address of a tree is the path of its directory. Anything else could be meant for a host.
pub fn names_directory(address: &OsStr) -> bool {
    let address = address.as_bytes();
    let is_beneath = |start: &&[u8]| address.starts_with(start);
    matches!(address, b"." | b"..") || [&b"./"[..], b"../"].iter().any(is_beneath)
}

fn service(url: &Url, host: &Host<&str>) -> ApiUrl {
    let name = host.to_string();
    ApiUrl::Service(ServiceUrl {
        base: url.as_str().trim_end_matches('/').to_owned(),
        host: match url.port() {
            Some(port) => format!("{name}:{port}"),
            None => name.clone(),
        },
        is_loopback: is_loopback(host),
        name,
    })
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}
