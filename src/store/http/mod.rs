//! Documents over HTTP: requests, TLS, proxies, and how long they may take.

#![forbid(unsafe_code)]

pub mod at_once;
pub mod attribution;
pub mod client;
pub mod deadline;
mod proxy;
pub mod retry;
pub mod tls;
