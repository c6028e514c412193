//! Looking a command up without executing it.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Whether `command` would be found as execvp(3) looks for it, and be something that we may execute.
///
/// # Errors
///
/// What execvp(3) would fail with for that reason.
pub fn check_command(command: &CStr) -> io::Result<()> {
    let name = OsStr::from_bytes(command.to_bytes());
    if command.to_bytes().contains(&b'/') {
        return check_executable(Path::new(name));
    }
    let mut outcome = Err(io::ErrorKind::NotFound.into());
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    for directory in std::env::split_paths(&path) {
        match check_executable(&directory.join(name)) {
            Ok(()) => return Ok(()),
            // One that cannot be executed tells more than the others, which are not there.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => outcome = Err(error),
            Err(_) => (),
        }
    }
    outcome
}

fn check_executable(path: &Path) -> io::Result<()> {
    if !path.metadata()?.is_file() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let path = CString::new(path.as_os_str().as_bytes())?;
    let (directory, flags) = (libc::AT_FDCWD, libc::AT_EACCESS);
    // SAFETY: the path is NUL-terminated and outlives the call.
    match unsafe { libc::faccessat(directory, path.as_ptr(), libc::X_OK, flags) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
