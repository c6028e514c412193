//! What can go wrong with an answer.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::api::Route;
use super::http::Reply;

type Edit = Arc<dyn Fn(&mut Value) + Send + Sync>;

type Write = Arc<dyn Fn(&str) -> Vec<u8> + Send + Sync>;

/// What happens to an answer that would have been good.
#[derive(Clone)]
pub enum Fault {
    /// Another one is sent.
    Reply(Reply),
    /// Another one is sent after this time.
    Late(Duration, Reply),
    /// These bytes are sent, whether they are HTTP or not.
    Raw(Vec<u8>),
    /// The connection is closed without an answer.
    Close,
    /// Nothing is sent until the client gives up.
    Hang,
    /// These bytes are sent, and then nothing until the client gives up.
    Stall(Vec<u8>),
    /// An answer is begun and never finished, though every read gets a byte soon.
    Trickle,
    /// These bytes are sent, and the connection is torn down, which the client sees as an error.
    Reset(Vec<u8>),
    /// The first bytes are sent, and then the others again and again, after a pause each time, until
    /// the client gives up.
    Repeat(Vec<u8>, Vec<u8>, Duration),
    /// The document is changed before it is sent: see [`Fault::edit`].
    Edit(Edit),
    /// The document is sent in another way: see [`Fault::write`].
    Write(Write),
}

impl Fault {
    pub fn edit(edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        Fault::Edit(Arc::new(edit))
    }

    /// What is sent for the text of a document, with status line and headers.
    pub fn write(write: impl Fn(&str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Fault::Write(Arc::new(write))
    }
}

/// A fault and where it applies.
pub struct Plan {
    route: Route,
    fault: Fault,
    /// How often still; without it, always.
    times: Option<usize>,
}

impl Plan {
    pub fn new(route: Route, fault: Fault, times: Option<usize>) -> Self {
        Plan {
            route,
            fault,
            times,
        }
    }

    /// The fault, if it applies to an answer of `route`.
    pub fn next(&mut self, route: Route) -> Option<Fault> {
        if self.route != route || self.times == Some(0) {
            return None;
        }
        self.times = self.times.map(|times| times - 1);
        Some(self.fault.clone())
    }
}
