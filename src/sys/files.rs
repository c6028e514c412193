//! Files: opening them below a directory, making them in memory, and what their names match.

use std::ffi::CStr;
use std::fs::{File, Permissions};
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, MemfdFlags, SealFlags};
use rustix::io::Errno;

/// Checks that whoever the process acts as may execute a file. Where the kernel has no such call, or an old filter of a
/// container refuses it with `EPERM`, which it never says by itself, execve(2) will tell.
///
/// # Errors
///
/// Any other error of faccessat2(2).
pub fn check_executable(file: &Path) -> io::Result<()> {
    match rustix::fs::accessat(CWD, file, Access::EXEC_OK, AtFlags::EACCESS) {
        Err(Errno::NOSYS | Errno::PERM) => Ok(()),
        checked => Ok(checked?),
    }
}

/// Whether `name` matches a pattern of fnmatch(3).
pub fn matches(pattern: &CStr, name: &CStr) -> bool {
    // SAFETY: both strings are NUL-terminated and outlive the call.
    unsafe { libc::fnmatch(pattern.as_ptr(), name.as_ptr(), 0) == 0 }
}

/// Makes a file of this mode that exists in memory only, holds `content`, can be neither changed nor executed, and
/// is inherited by the command (memfd_create(2)).
///
/// # Errors
///
/// Any error of memfd_create(2), write(2), fchmod(2) and fcntl(2).
pub fn sealed_memory_file(content: &[u8], mode: u32) -> io::Result<OwnedFd> {
    let sealable = MemfdFlags::ALLOW_SEALING;
    let made = match rustix::fs::memfd_create(NAME, sealable | MemfdFlags::NOEXEC_SEAL) {
        // Linux before 6.3 does not know the flag; the mode set below does most of what it does.
        Err(Errno::INVAL) => rustix::fs::memfd_create(NAME, sealable),
        made => made,
    };
    let mut file = File::from(made?);
    file.write_all(content)?;
    file.rewind()?;
    file.set_permissions(Permissions::from_mode(mode))?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&file, seals)?;
    Ok(file.into())
}

/// What is shown of a file in memory where others show its path.
const NAME: &CStr = c"dotenv-run";
