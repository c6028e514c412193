//! `dotenv-run` runs a command with the secrets of a dotEnv Cloud path in its environment, without a file on disk.
//!
//! The library is what its two programs share, and private to them: nothing of it is an interface. A module uses only what stands below it: [`run`], then [`check`],
//! [`deliver`] and [`audit`], [`variables`], [`store`], [`keys`], [`cli`], [`report`], [`crypto`] and [`error`], and at the
//! bottom [`sys`], [`path`] and [`dotenv`].

use crate::sys::Heap;

#[global_allocator]
static HEAP: Heap = Heap;

mod audit;
mod check;
mod cli;
mod crypto;
mod deliver;
mod dotenv;
mod error;
mod event;
mod keys;
mod path;
mod report;
mod run;
mod seal;
mod store;
mod sys;
mod task;
mod variables;

/// What the two programs are put together from.
#[doc(hidden)]
pub mod programs {
    pub use crate::check::Check;
    pub use crate::cli::{Named, Options, Outside, Refusal, Request, completions, help, parse};
    pub use crate::deliver::output::print;
    pub use crate::error::Error;
    pub use crate::keys::Claimed;
    pub use crate::keys::profile_file::read as read_profile;
    pub use crate::report::{Report, Verbosity, end_as_failures};
    pub use crate::run::beginning::{Side, WorkerContext, supervise};
    pub use crate::run::exec::Ready;
    pub use crate::run::watch::keeper::Keeper;
    pub use crate::seal::program::run_program as seal;
    pub use crate::sys::{Environ, check_stack, restore_signals};
    pub use crate::task::{Assignment, Task, check_start};
}

/// What the fuzzer, the known answers and the benchmarks look at from the inside.
#[doc(hidden)]
pub mod inside {
    pub mod crypto {
        pub use crate::crypto::{
            DEFAULT_ITERATIONS, DataKey, ITERATIONS, OpenError, decode, sealed_size,
        };
    }
    pub mod dotenv {
        pub mod parse {
            pub use crate::dotenv::parse::{
                Entry, ParseError, Parsed, Reason, Value, is_name, parse,
            };
        }
        pub mod render {
            pub use crate::dotenv::handover::Delimiter;
            pub use crate::dotenv::render::{Form, NoSpelling, render};
        }
        pub mod resolve {
            pub use crate::dotenv::resolve::{
                MAX_RESULT, MAX_TOTAL, ResolveError, Resolved, Template, resolve,
            };
        }
    }
    pub mod path {
        pub use crate::path::{LevelName, SecretPath, is_slug, is_ulid};
    }
    pub mod report {
        pub use crate::report::{Report, Verbosity};
    }
    pub mod run {
        pub mod redact {
            pub use crate::run::redact::{CHUNK, Patterns, Redactor};
        }
    }
    pub mod store {
        pub mod documents {
            pub use crate::store::documents::{descriptor, json_level, organization, secrets};
        }
        pub mod model {
            pub use crate::store::model::{Custody, Level};
        }
        pub mod open {
            pub use crate::store::open::data_key;
        }
        pub mod writing {
            pub use crate::store::writing::{
                descriptor_document, organization_document, secrets_document,
            };
        }
    }
}
