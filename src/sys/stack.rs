//! The stack of the first thread: how far it may grow, and forgetting what was on it.

use std::hint::black_box;
use std::ptr;

use crate::sys::locked::wipe;
use crate::sys::pages::page_size;
use crate::sys::protection::get_limit;

/// The part of the stack below the caller that is cleared, in bytes: several times what anything here uses.
const DEPTH: usize = 64 * 1024;

/// What is cleared at once; what each step takes beside that at the most; and what is left for the calls that clear.
const STEP: usize = 2 * 1024;
const FRAME: usize = 128;
const MARGIN: usize = 2 * 1024;

/// There is too little room to begin. Going on would end in SIGSEGV.
#[derive(Debug, thiserror::Error)]
#[error("the stack may grow by {left} bytes only, and {needed} are needed")]
pub struct SmallStack {
    left: usize,
    needed: usize,
}

/// Whether the stack may grow by as many bytes as are needed.
///
/// # Errors
///
/// If its limit (`ulimit -s`), less arguments and environment, which lie on it, is too low.
#[inline(never)]
pub fn check_stack(needed: usize) -> Result<(), SmallStack> {
    match left() {
        Some(left) if left < needed => Err(SmallStack { left, needed }),
        _ => Ok(()),
    }
}

/// Overwrites what functions that have returned left on the stack, as deep as it may grow: nothing has been deeper.
#[inline(never)]
pub fn clear_stack() {
    let depth = left().map_or(DEPTH, |left| left.saturating_sub(MARGIN).min(DEPTH));
    clear_steps(depth / (STEP + FRAME));
}

#[inline(never)]
fn clear_steps(count: usize) {
    if count == 0 {
        return;
    }
    let mut step = [0; STEP];
    wipe(&mut step);
    clear_steps(count - 1);
    // Not the last act of this function, or the next one would use the same part of the stack.
    black_box(&step);
}

/// How far the stack may still grow; `None` if there is no limit, or this is another thread, whose stack has a size of its
/// own.
fn left() -> Option<usize> {
    let here = 0_u8;
    let here = ptr::from_ref(black_box(&here)).addr();
    let limit = usize::try_from(get_limit(libc::RLIMIT_STACK).ok()?.rlim_cur).ok()?;
    let used = end()?.checked_sub(here)?;
    (used <= limit).then(|| limit - used)
}

/// The end of the stack, at which the kernel puts the path of the program (execve(2)).
fn end() -> Option<usize> {
    // SAFETY: getauxval only reads what the kernel gave the process.
    let path = unsafe { libc::getauxval(libc::AT_EXECFN) } as usize;
    (path != 0).then(|| path.next_multiple_of(page_size()))
}
