//! What can go wrong with an answer.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::api::Route;
use super::http::Reply;

type Edit = Arc<dyn Fn(&mut Value) + Send + Sync>;

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
    /// The document is changed before it is sent: see [`Fault::edit`].
    Edit(Edit),
}

impl Fault {
    pub fn edit(edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        Fault::Edit(Arc::new(edit))
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
