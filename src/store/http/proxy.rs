//! Through which proxy a host is reached, as the usual variables say.
//!
//! attohttpc reads them too, but goes straight to the host where a proxy's URL cannot be read, and wherever `NO_PROXY` is
//! set and empty or has two commas in a row.

#![forbid(unsafe_code)]

use url::Url;

use crate::cli::ProxyVariables;
use crate::error::Error;

/// The proxy for the https URL of a host, if one is set and the host is not excepted.
///
/// # Errors
///
/// If the proxy's URL is of no use: going around the proxy in silence is not what was asked for.
pub fn proxy_for(host: &str, variables: &ProxyVariables) -> Result<Option<Url>, Error> {
    let Some((variable, value)) = &variables.proxy else {
        return Ok(None);
    };
    if is_excepted(host, &variables.exceptions) {
        return Ok(None);
    }
    let reason = match read(value) {
        Ok(url) => return Ok(Some(url)),
        Err(reason) => reason,
    };
    Err(Error::Proxy { variable, reason })
}

fn read(value: &str) -> Result<Url, &'static str> {
    let url = if value.contains("://") {
        Url::parse(value)
    } else {
        Url::parse(&format!("http://{value}"))
    };
    let url = url.map_err(|_| "not a URL")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("the scheme of a proxy must be http or https");
    }
    // attohttpc sends them as they stand in the URL, where such characters are escaped.
    if url.username().contains('%') || url.password().is_some_and(|it| it.contains('%')) {
        return Err(
            "the user name and the password must not contain characters that a URL escapes",
        );
    }
    Ok(url)
}

/// Whether `host` is one of the names in the list, or below one. `*` is every host.
fn is_excepted(host: &str, list: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let names = list.split([',', ' ', '\t']).filter(|name| !name.is_empty());
    names.map(str::to_ascii_lowercase).any(|name| {
        let domain = name.trim_start_matches("*.").trim_start_matches('.');
        let below = host.strip_suffix(domain);
        name == "*" || below.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_excepted_by_its_name_and_by_a_domain_above_it() {
        for list in [
            "api.example.com",
            "example.com",
            ".example.com",
            "*.example.com",
            "com",
            "*",
            "localhost, Example.COM",
            "localhost,,example.com",
            "a b example.com",
        ] {
            assert!(is_excepted("API.example.com", list), "{list}");
        }
        for list in [
            "",
            ",",
            " , ",
            "ample.com",
            "api.example",
            "x.example.com",
            ".",
        ] {
            assert!(!is_excepted("api.example.com", list), "{list:?}");
        }
        assert!(is_excepted("127.0.0.1", "127.0.0.1"));
    }

    #[test]
    fn a_proxy_is_a_url_or_host_and_port() {
        for (value, url) in [
            ("http://proxy:3128", "http://proxy:3128/"),
            ("https://user:word@proxy", "https://user:word@proxy/"),
            ("proxy.example:3128", "http://proxy.example:3128/"),
            ("10.0.0.1:3128", "http://10.0.0.1:3128/"),
        ] {
            assert_eq!(read(value).map(String::from).as_deref(), Ok(url));
        }
        for value in [
            "http://",
            "socks5://proxy",
            "http://a:b%40c@proxy",
            "http://a^@p",
            ":",
        ] {
            assert!(read(value).is_err(), "{value}");
        }
    }
}
