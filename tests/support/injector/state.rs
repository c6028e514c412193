//! What a process is like, as far as /proc tells.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// A field of its status.
pub fn status_of(process: i32, field: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let mut lines = status.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(name, _)| *name == field)?;
    Some(value.trim().to_owned())
}

/// What protects a process, what it holds open and what is left of what it was started with.
pub fn state(process: i32) -> Option<String> {
    let mut state = String::new();
    for field in [
        "NoNewPrivs",
        "Seccomp_filters",
        "SigBlk",
        "SigIgn",
        "SigCgt",
    ] {
        let value = status_of(process, field)?;
        let value = match field {
            "SigBlk" | "SigCgt" => without_own_signals(&value)?,
            _ => value,
        };
        write!(state, "{field}={value} ").ok()?;
    }
    let is_locked = status_of(process, "VmLck")? != "0 kB";
    let open = fs::read_dir(format!("/proc/{process}/fd")).ok()?.flatten();
    let open = open.filter_map(|entry| fs::read_link(entry.path()).ok());
    let open = open.map(|target| without_number(&target));
    // The standard library opens it where getrandom(2) is refused.
    let mut open: Vec<_> = open.filter(|name| name != "urandom").collect();
    open.sort();
    let is_wiped = |file| {
        let bytes = fs::read(format!("/proc/{process}/{file}")).unwrap_or_default();
        let first = bytes.iter().position(|byte| *byte == 0).unwrap_or(0);
        let from = if file == "cmdline" { first } else { 0 };
        bytes[from..].iter().all(|byte| *byte == 0)
    };
    let wiped = [is_wiped("cmdline"), is_wiped("environ")];
    write!(
        state,
        "locked={is_locked} wiped={wiped:?} open={}",
        open.join(",")
    )
    .ok()?;
    Some(state)
}

/// A set of signals without the two that the C library keeps for itself. It handles and unblocks them once there are
/// threads, which it does for calls that nobody here makes: a thread is neither cancelled nor made another user's.
fn without_own_signals(set: &str) -> Option<String> {
    let own = (1_u64 << 31) | (1 << 32);
    let set = u64::from_str_radix(set, 16).ok()?;
    Some(format!("{:x}", set & !own))
}

/// What a descriptor stands for, without what differs between two runs.
fn without_number(target: &Path) -> String {
    let target = target.to_string_lossy();
    if target.starts_with("/dev/pts/") {
        return "terminal".to_owned();
    }
    let name = target.rsplit('/').next().unwrap_or_default();
    name.split('[').next().unwrap_or_default().to_owned()
}
