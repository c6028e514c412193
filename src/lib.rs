//! `dotenv-run` runs a command with the secrets of a dotEnv Cloud path in its environment, without a file on disk.
//!
//! The library is what its two programs share: [`options`] says what is wanted, [`credentials`] finds the keys,
//! [`source`] brings the sealed levels unless [`cache`] has them, [`levels`] opens them with [`crypto`], all for
//! [`obtain`]; [`environment`] merges them, and [`launch`] becomes the command, whose output [`redact`] can keep them out of.
//! Secrets lie in [`locked`] memory on the way.

use std::alloc::System;

use zeroizing_alloc::ZeroAlloc;

/// Whatever was on the heap is overwritten when it is freed.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

pub mod attribution;
pub mod audit;
pub mod cache;
pub mod check;
pub mod credentials;
pub mod crypto;
pub mod dotenv;
pub mod environment;
pub mod error;
pub mod launch;
pub mod levels;
pub mod locked;
pub mod mask;
pub mod obtain;
pub mod options;
pub mod output;
pub mod path;
pub mod process;
pub mod profile;
pub mod redact;
pub mod report;
pub mod signals;
pub mod source;
