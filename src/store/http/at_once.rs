//! `TCP_NODELAY` for attohttpc, which has no setting for it.
//!
//! Without it the request waits in the kernel until the end of the handshake, sent just before, has been acknowledged:
//! that is a whole round trip, measured. attohttpc logs a line between the two, in the thread of the request; that line
//! is where this is hooked in. Should a later release log it elsewhere, requests are slower, and a test fails.

#![forbid(unsafe_code)]

use log::{LevelFilter, Log, Metadata, Record};

use crate::sys;

/// Has each request sent as soon as it is written. To be called before the first one.
pub fn send_requests_at_once() {
    if log::set_logger(&Hook).is_ok() {
        log::set_max_level(LevelFilter::Debug);
    }
}

/// A logger that logs nothing.
struct Hook;

impl Log for Hook {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "attohttpc"
    }

    fn log(&self, record: &Record<'_>) {
        if record.module_path() == Some("attohttpc::request") {
            // Without it a request only takes longer.
            let _ = sys::send_at_once();
        }
    }

    fn flush(&self) {}
}
