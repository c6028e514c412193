//! Looks for secrets in everything that a process has: all of its memory, its arguments and
//! environment as the kernel shows them, and the registers of its threads.

mod needles;
mod tracee;

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use nix::unistd::Pid;

pub use needles::{Hit, Needles, unmistakable};
pub use tracee::{Held, scan_running};

/// A run of a secret in a process.
pub struct Find {
    pub hit: Hit,
    /// A mapping, a file of /proc or a set of registers.
    pub place: String,
    /// Whether it lies in pages that are locked.
    pub locked: bool,
    /// Whether it lies in pages that no core file contains.
    pub undumpable: bool,
}

impl Find {
    /// Whether it lies where secrets belong.
    pub fn is_protected(&self) -> bool {
        self.locked && self.undumpable
    }
}

impl fmt::Display for Find {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Hit {
            secret,
            form,
            position,
            length,
            whole,
        } = &self.hit;
        let flags = match (self.locked, self.undumpable) {
            (true, true) => "locked, not dumpable",
            (true, false) => "locked",
            (false, true) => "not dumpable",
            (false, false) => "unprotected",
        };
        write!(
            f,
            "{secret} ({form}): {length} of {whole} bytes at {position:#x} of {} ({flags})",
            self.place
        )
    }
}

/// Everything that was found in a process.
pub struct Findings(pub Vec<Find>);

impl Findings {
    /// How many places there are of a secret that `is_meant`. Runs that follow each other within the
    /// length of the secret are one.
    pub fn count(&self, secret: &str, is_meant: impl Fn(&Find) -> bool) -> usize {
        let finds = self
            .0
            .iter()
            .filter(|find| find.hit.secret == secret && is_meant(find));
        let mut ends: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        let mut count = 0;
        for find in finds {
            let Hit {
                form,
                position,
                whole,
                ..
            } = &find.hit;
            let end = ends.entry((form, &find.place)).or_default();
            if *position >= *end {
                count += 1;
                *end = position + whole;
            }
        }
        count
    }

    /// Those that `is_meant`.
    pub fn only(self, is_meant: impl Fn(&Find) -> bool) -> Self {
        Findings(self.0.into_iter().filter(is_meant).collect())
    }

    #[track_caller]
    pub fn assert_none(&self, when: &str) {
        assert!(self.0.is_empty(), "{when}: {} finds\n{self}", self.0.len());
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|find| writeln!(f, "{find}"))
    }
}

/// Looks into the memory of a process, and at the arguments and environment that /proc shows.
#[track_caller]
pub fn scan(process: Pid, needles: &Needles) -> Findings {
    let proc = format!("/proc/{process}");
    let memory = File::open(format!("{proc}/mem")).expect("the memory of a process");
    let text = fs::read_to_string(format!("{proc}/smaps")).expect("the mappings of a process");
    let mappings = parse(&text);
    assert!(
        mappings.iter().any(|mapping| mapping.name == "[stack]"),
        "{text}"
    );
    let mut findings = Vec::new();
    for mapping in mappings {
        let Some(bytes) = mapping.read(&memory) else {
            continue;
        };
        let found = needles.find(&bytes).into_iter().map(|mut hit| {
            hit.position += mapping.start;
            let place = mapping.name.clone();
            Find {
                hit,
                place,
                locked: mapping.has("lo"),
                undumpable: mapping.has("dd"),
            }
        });
        findings.extend(found);
    }
    for file in ["environ", "cmdline"] {
        let bytes = fs::read(format!("{proc}/{file}")).expect("what /proc shows of a process");
        findings.extend(outside_of_memory(needles, &bytes, file));
    }
    Findings(findings)
}

/// What is found where no page is.
fn outside_of_memory(needles: &Needles, bytes: &[u8], place: &str) -> Vec<Find> {
    let find = |hit| Find {
        hit,
        place: place.into(),
        locked: false,
        undumpable: false,
    };
    needles.find(bytes).into_iter().map(find).collect()
}

/// A mapping, as /proc/PID/smaps tells it.
struct Mapping {
    start: usize,
    end: usize,
    /// Its file or its bracketed name, and its permissions.
    name: String,
    resident: bool,
    flags: String,
}

impl Mapping {
    /// Whether it has a flag of `VmFlags`.
    fn has(&self, flag: &str) -> bool {
        self.flags.split_whitespace().any(|word| word == flag)
    }

    /// What it holds; nothing if the kernel lets nobody read it (memfd_secret(2), `[vvar]`).
    fn read(&self, memory: &File) -> Option<Vec<u8>> {
        // A page that was never touched holds nothing. This matters for stacks, and for the heaps
        // of threads, which are huge.
        if !self.resident {
            return None;
        }
        let mut bytes = vec![0; self.end - self.start];
        let mut read = 0;
        while read < bytes.len() {
            match memory.read_at(&mut bytes[read..], (self.start + read) as u64) {
                Ok(0) | Err(_) => break,
                Ok(length) => read += length,
            }
        }
        (read > 0).then_some(bytes)
    }
}

fn parse(smaps: &str) -> Vec<Mapping> {
    let mut mappings: Vec<Mapping> = Vec::new();
    for line in smaps.lines() {
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        match (first.split_once('-'), mappings.last_mut()) {
            (Some((start, end)), _) => mappings.push(Mapping {
                start: usize::from_str_radix(start, 16).expect("an address"),
                end: usize::from_str_radix(end, 16).expect("an address"),
                name: name(rest),
                resident: false,
                flags: String::new(),
            }),
            (None, Some(mapping)) => match first {
                "Rss:" | "Swap:" => mapping.resident |= !rest.trim_start().starts_with("0 "),
                "VmFlags:" => mapping.flags = rest.into(),
                _ => (),
            },
            (None, None) => panic!("{line:?} comes before the first mapping"),
        }
    }
    mappings
}

/// The end of a line about a mapping, behind its address: permissions, offset, device, inode, name.
fn name(rest: &str) -> String {
    let mut fields = rest.split_whitespace();
    let permissions = fields.next().unwrap_or_default();
    match fields.nth(3) {
        Some(name) => name.into(),
        None => format!("anonymous {permissions}"),
    }
}
