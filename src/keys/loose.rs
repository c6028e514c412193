//! Files that carry trust (keys, profiles, certificates): whether somebody else can change what is in them.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{LooseFile, Looseness, shown};
use crate::report::Report;
use crate::sys;

/// How many symbolic links are followed, as by the kernel.
const MAX_LINKS: usize = 40;

/// In which the descriptors of processes are, which nobody else can replace.
const DESCRIPTORS: &str = "/proc";

const STICKY: u32 = 0o1000;

static ALLOWED: AtomicBool = AtomicBool::new(false);

/// From now on accepts files that everyone can write or replace.
pub fn allow() {
    ALLOWED.store(true, Ordering::Relaxed);
}

/// What a file holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// A key, which others must not read.
    Key,
    /// A profile or certificates, which anybody may read.
    Trust,
}

/// What others can do to an open file, which was opened by this name. Pipes and descriptors are whoever's they are.
///
/// # Errors
///
/// If a part of its name cannot be looked at.
pub fn looseness(file: &Path, metadata: &Metadata, holds: Holds) -> io::Result<Option<Looseness>> {
    if !metadata.is_file() {
        return Ok(None);
    }
    let directory = match replaceable(file)? {
        Chain::Descriptor => return Ok(None),
        Chain::Closed => None,
        Chain::Open(directory) => Some(directory),
    };
    if metadata.mode() & 0o002 != 0 || directory.is_some() {
        let file = file.to_owned();
        return Ok(Some(Looseness::Open(LooseFile { file, directory })));
    }
    Ok(doubts(file, metadata, holds).map(Looseness::Doubtful))
}

/// Refuses a file that everyone can change, unless that is allowed, and warns of one that somebody can.
///
/// # Errors
///
/// If it is refused.
pub fn settle(found: Option<Looseness>, report: &Report) -> Result<(), LooseFile> {
    match found {
        Some(Looseness::Open(file)) if !ALLOWED.load(Ordering::Relaxed) => return Err(file),
        Some(Looseness::Open(file)) => report.warn(format_args!("{file}")),
        Some(Looseness::Doubtful(warning)) => report.warn(format_args!("{warning}")),
        None => (),
    }
    Ok(())
}

/// Who else can write to a file, or read a key in it, with the commands that end it.
fn doubts(file: &Path, metadata: &Metadata, holds: Holds) -> Option<String> {
    let (own, own_group) = sys::user();
    let mode = metadata.mode();
    let (mut who, mut modes) = (Vec::new(), Vec::new());
    if metadata.uid() != own && metadata.uid() != 0 {
        who.push(format!("user {} can change this file", metadata.uid()));
    }
    if mode & 0o020 != 0 && metadata.gid() != own_group && metadata.gid() != 0 {
        who.push(format!("group {} can write to this file", metadata.gid()));
        modes.push("g-w");
    }
    if holds == Holds::Key && mode & 0o004 != 0 {
        who.push("every user on this machine can read this key file".to_owned());
        modes.push("o-r");
    }
    if who.is_empty() {
        return None;
    }
    let name = quoted(file);
    let mut commands = Vec::new();
    if metadata.uid() != own && metadata.uid() != 0 {
        commands.push(format!("chown {own} {name}"));
    }
    if !modes.is_empty() {
        commands.push(format!("chmod {} {name}", modes.join(",")));
    }
    let (who, commands) = (who.join(", "), commands.join(" && "));
    Some(format!("{}: {who} ({commands})", shown(file)))
}

/// A name as a shell reads it.
fn quoted(file: &Path) -> String {
    let name = shown(file);
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+,:@%".contains(letter);
    if name.chars().all(is_plain) {
        name
    } else {
        format!("'{}'", file.display().to_string().replace('\'', "'\\''"))
    }
}

/// How a name leads to its file.
enum Chain {
    /// Through a descriptor.
    Descriptor,
    /// Through directories in which not everyone can replace an entry.
    Closed,
    /// Through one in which everyone can.
    Open(PathBuf),
}

/// Follows a name as the kernel does, and looks at every directory that an entry is looked up in.
fn replaceable(file: &Path) -> io::Result<Chain> {
    let mut parts = VecDeque::new();
    put_in_front(&mut parts, file);
    if file.is_relative() {
        put_in_front(&mut parts, &std::env::current_dir()?);
    }
    let (mut at, mut links) = (PathBuf::from("/"), 0);
    while let Some(part) = parts.pop_front() {
        match Path::new(&part).components().next() {
            Some(Component::RootDir) => at = PathBuf::from("/"),
            Some(Component::ParentDir) => drop(at.pop()),
            Some(Component::Normal(name)) => {
                if at.starts_with(DESCRIPTORS) {
                    return Ok(Chain::Descriptor);
                }
                let mode = fs::symlink_metadata(&at)?.mode();
                if mode & 0o002 != 0 && mode & STICKY == 0 {
                    return Ok(Chain::Open(at));
                }
                let next = at.join(name);
                if !fs::symlink_metadata(&next)?.is_symlink() {
                    at = next;
                    continue;
                }
                links += 1;
                if links > MAX_LINKS {
                    return Err(io::Error::other("too many symbolic links"));
                }
                put_in_front(&mut parts, &fs::read_link(&next)?);
            }
            _ => (),
        }
    }
    Ok(Chain::Closed)
}

fn put_in_front(parts: &mut VecDeque<OsString>, path: &Path) {
    let components: Vec<_> = path.components().collect();
    for component in components.into_iter().rev() {
        parts.push_front(component.as_os_str().to_owned());
    }
}
