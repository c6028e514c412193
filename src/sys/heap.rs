//! The heap: what was on it is overwritten when it is freed, and a process that gets no more of it ends.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use zeroizing_alloc::ZeroAlloc;

/// The exit status of a process without memory, as of every failure of ours.
const FAILED: i32 = 125;

static PROGRAM: OnceLock<&str> = OnceLock::new();

static IS_SILENT: AtomicBool = AtomicBool::new(false);

/// The heap of the programs. Where the standard one ends the process by SIGABRT, this one says why and ends with a status.
pub struct Heap;

static ZEROED: ZeroAlloc<System> = ZeroAlloc(System);

// SAFETY: every call is passed on to an allocator that keeps the contract, with what the caller has promised, and what it
// gives back is given back; where that is nothing, no call returns.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller promises a layout whose size is not zero.
        checked(unsafe { ZEROED.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as for `alloc`.
        checked(unsafe { ZEROED.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller promises that `place` came from this allocator with this layout, so it came from `ZEROED`.
        unsafe { ZEROED.dealloc(place, layout) }
    }
}

fn checked(place: *mut u8, size: usize) -> *mut u8 {
    if place.is_null() {
        end(size);
    }
    place
}

/// Names the program in whose name a process without memory speaks.
pub fn name_program(program: &'static str) {
    // Only the first name counts; there is one.
    let _ = PROGRAM.set(program);
}

/// Has this process say nothing if there is no memory, because another one reports its end.
pub fn end_silently_without_memory() {
    IS_SILENT.store(true, Ordering::Relaxed);
}

/// Says why without any memory of the heap, and ends. Nothing else of the process runs.
#[cold]
fn end(size: usize) -> ! {
    if !IS_SILENT.load(Ordering::Relaxed) {
        let program = PROGRAM.get().copied().unwrap_or("dotenv-run");
        let mut line = [0; 128];
        let mut rest = &mut line[..];
        // What does not fit is left out.
        let _ = writeln!(rest, "{program}: cannot allocate {size} bytes of memory");
        let length = line.iter().take_while(|byte| **byte != 0).count();
        // There is no other place to say it. Standard error of the library has a lock that this thread may hold.
        let _ = rustix::io::write(rustix::stdio::stderr(), &line[..length]);
    }
    // SAFETY: _exit ends the process at once, and runs nothing that could need memory.
    unsafe { libc::_exit(FAILED) }
}
