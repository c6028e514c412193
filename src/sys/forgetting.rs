//! Letting go of what a process that only waits has no use for.

use std::ffi::c_int;
use std::io;
use std::os::fd::RawFd;
use std::ptr;

use rustix::mm::Advice;

use crate::sys::closing::close_all_but;
use crate::sys::environ::wipe_arguments;
use crate::sys::pages::page_size;
use crate::sys::registers::clear_registers;

/// Forgets what the caller gave us and only the command needs: arguments, the working directory, and descriptors and their
/// contents, all but those that are to be kept; the environment is overwritten by its owner. Standard descriptors are
/// closed too, since whoever waits for the end of a pipe must not wait for us.
///
/// # Errors
///
/// If the descriptors cannot be closed. All else is forgotten then.
pub fn forget_caller(kept: &mut [RawFd]) -> io::Result<()> {
    wipe_arguments();
    // Nothing that we do depends on it: where there is no way to the root, we only keep a file system busy.
    let _ = rustix::process::chdir("/");
    let closed = close_all_but(kept);
    release_program();
    clear_registers();
    closed
}

/// Gives back the pages of program and libraries that are only read: most of them served the start, and
/// those that are needed come back from the file.
pub fn release_program() {
    // SAFETY: the callback is of the type that is asked for, and there is no data for it.
    unsafe { libc::dl_iterate_phdr(Some(release_object), ptr::null_mut()) };
}

extern "C" fn release_object(
    object: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    _data: *mut libc::c_void,
) -> c_int {
    // SAFETY: the loader passes a live description of an object for the time of the call.
    let object = unsafe { &*object };
    let count = usize::from(object.dlpi_phnum);
    // SAFETY: the headers of a loaded object are an array of this length, as long as it is loaded.
    let headers = unsafe { std::slice::from_raw_parts(object.dlpi_phdr, count) };
    for header in headers {
        if header.p_type != libc::PT_LOAD || header.p_flags & libc::PF_W != 0 {
            continue;
        }
        let start = (object.dlpi_addr + header.p_vaddr) as usize;
        let end = start + header.p_memsz as usize;
        let page = start & !(page_size() - 1);
        let pages = ptr::with_exposed_provenance_mut(page);
        // SAFETY: the segment is mapped from a file and never written, so nothing of it can be lost. Pages that the
        // kernel does not take back, as locked ones, only stay.
        let _ = unsafe { rustix::mm::madvise(pages, end - page, Advice::LinuxDontNeed) };
    }
    0
}
