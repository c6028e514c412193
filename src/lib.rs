//! `dotenv-run` runs a command with the secrets of a dotEnv Cloud path in its environment, without a file on disk.
//!
//! The library is what its two programs share. A module uses only what stands below it: [`run`], then [`check`],
//! [`deliver`] and [`audit`], [`variables`], [`store`], [`keys`], [`cli`], [`report`], [`crypto`] and [`error`], and at the
//! bottom [`sys`], [`path`] and [`dotenv`].

use crate::sys::Heap;

#[global_allocator]
static HEAP: Heap = Heap;

pub mod audit;
pub mod check;
pub mod cli;
pub mod crypto;
pub mod deliver;
pub mod dotenv;
pub mod error;
pub mod event;
pub mod keys;
pub mod path;
pub mod report;
pub mod run;
pub mod seal;
pub mod store;
pub mod sys;
pub mod task;
pub mod variables;
