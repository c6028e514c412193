//! From a path to its opened levels: from the service, a mirror, a sealed tree or the cache.

#![forbid(unsafe_code)]

mod abilities;
mod beneath;
mod cache;
pub mod custody;
mod derivations;
pub mod documents;
mod fetch;
mod http;
mod json;
mod keeping;
pub mod manifest;
pub mod model;
pub mod obtain;
pub mod open;
pub mod places;
mod proof;
mod requests;
mod stopwatch;
pub mod tree;
pub mod writing;
