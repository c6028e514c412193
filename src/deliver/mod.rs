//! What else the command or the caller gets: printed forms, lists, files in memory, masks.

#![forbid(unsafe_code)]

mod alone;
pub mod arguments;
pub mod encodings;
pub mod list;
pub mod mask;
pub mod memory_files;
pub mod output;
pub mod template;
