//! How host names are resolved.

use std::io;

/// Has host names looked up in `/etc/hosts` and by DNS, by what is built in. Otherwise a static program loads the modules
/// that the machine names in nsswitch.conf, and dies of those that belong to another version of the C library.
///
/// # Errors
///
/// If the C library refuses.
#[cfg(all(target_feature = "crt-static", target_env = "gnu"))]
pub fn use_built_in_resolver() -> io::Result<()> {
    use std::ffi::{c_char, c_int};
    use std::sync::Mutex;

    unsafe extern "C" {
        fn __nss_configure_lookup(database: *const c_char, services: *const c_char) -> c_int;
    }
    static IS_DONE: Mutex<bool> = Mutex::new(false);

    let mut is_done = IS_DONE.lock().map_err(|_| io::ErrorKind::Other)?;
    if !*is_done {
        let (database, services) = (c"hosts".as_ptr(), c"files dns".as_ptr());
        // SAFETY: both strings are static and NUL-terminated, and no host name is looked up before this has returned.
        if unsafe { __nss_configure_lookup(database, services) } != 0 {
            return Err(io::Error::last_os_error());
        }
        *is_done = true;
    }
    Ok(())
}

/// A program that shares the C library of the machine can load the modules that belong to it.
///
/// # Errors
///
/// None.
#[cfg(not(all(target_feature = "crt-static", target_env = "gnu")))]
pub fn use_built_in_resolver() -> io::Result<()> {
    Ok(())
}
