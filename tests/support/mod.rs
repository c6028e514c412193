//! What the tests stand on: running programs, a service to talk to, a tree to read, a terminal to
//! type at.

mod client;
mod documents;
mod engine;
mod fetch;
mod injector;
pub mod keys;
mod lock;
mod names;
mod needs;
mod network;
mod outcome;
mod planted;
mod ports;
pub mod probe;
mod process;
mod pty;
mod rows;
mod run;
mod scanner;
mod seal;
mod service;
mod sources;
mod spawn;
mod strace;
mod table;
mod temp;
mod times;
mod tree;
mod turns;
mod wait;
mod world;

pub use client::Client;
pub use documents::{digest, flip_bit, manifest, manifest_text, set_in_descriptor};
pub use engine::{ENGINE, Engine, IMAGE};
pub use injector::{Injection, Target, injector, refusing};
pub use lock::{Lock, set_mode};
pub use names::{Answer, Names};
pub use needs::{
    AS_NOBODY, NAMESPACES, NEIGHBOURS, NETWORKS, NO_NETWORK, NOBODY, OWN_RUN, ROOT, STRACE, tool,
};
pub use network::{BLACK_HOLES, HERE, Network};
pub use outcome::Outcome;
pub use planted::PLANTED;
pub use ports::{free_port, refusing_port};
pub use probe::{
    END, Fill, RECORDER_STATUS, Sent, accuser, keyreader, non_blocking, recorder, signals,
    splitter, with_signals, with_timer,
};
pub use pty::Terminal;
pub use rows::{Seats, check_all, outcome_of, rounds};
pub use run::{Live, Run};
pub use scanner::{Find, Findings, Held, Needles, scan_running, unmistakable};
pub use seal::{data_key, open, seal, seal_with_nonce};
pub use service::{
    Certificate, End, Fault, HOST, Interruption, Key, Rate, Reply, Request, Route, Service, Stage,
};
pub use sources::words;
pub use spawn::withhold_inherited_descriptors;
pub use strace::{
    Call, Trace, parse as parse_strace, strace, strace_everything, strace_on_terminal,
};
pub(crate) use table::tests;
pub use table::{Need, Suite, Test};
pub use temp::{TempDir, Witness};
pub use tree::Tree;
pub use wait::{poll, wait_for, wait_until};
pub use world::{CLIENT_KEY, Custody, FOREIGN_ORGANIZATION, ORGANIZATION, Project, World};
