//! Keys that the kernel keeps in memory of its own (keyrings(7)).

use std::ffi::{CStr, CString, c_char, c_long};
use std::io;
use std::ptr;
use std::thread;
use std::time::Duration;

use crate::sys::locked::Locked;

/// A key, which may be a keyring, by its serial number or one of the kernel's special numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(i32);

/// The keyring that all processes of the user share.
pub const USER: Key = Key(libc::KEY_SPEC_USER_KEYRING);
const SESSION: Key = Key(libc::KEY_SPEC_SESSION_KEYRING);
const USER_SESSION: Key = Key(libc::KEY_SPEC_USER_SESSION_KEYRING);
const THREAD: Key = Key(libc::KEY_SPEC_THREAD_KEYRING);

/// The type of the keys that we make.
const TYPE: &CStr = c"user";

/// The size in bytes that such a key can have.
pub const MAX_SIZE: usize = 32_767;

/// What the keys that we make allow: everything but further links to who possesses them, through a keyring of its
/// own; to anybody else nothing, not even to see that there is one.
const PERMISSIONS: u32 = 0x2f00_0000;

/// What the kernel lets be done with a new session keyring.
const NEW_SESSION: u32 = 0x3f03_0000;

/// What lets a process that does not possess a keyring come to possess its keys: to write to it, search it, link it or
/// change these permissions, as its user, its group or anybody.
const OPEN_TO_OTHERS: u32 = 0x003c_3c3c;

/// The longest text that describes a key: its description has at most 4095 bytes.
const MAX_DESCRIPTION: usize = 4096 + 128;

/// The operations of keyctl(2) that take numbers only.
#[derive(Clone, Copy)]
#[repr(u32)]
enum Operation {
    Identify = libc::KEYCTL_GET_KEYRING_ID,
    SetPermissions = libc::KEYCTL_SETPERM,
    Link = libc::KEYCTL_LINK,
    Unlink = libc::KEYCTL_UNLINK,
    SetTimeout = libc::KEYCTL_SET_TIMEOUT,
    Invalidate = libc::KEYCTL_INVALIDATE,
}

fn control(operation: Operation, key: Key, argument: c_long) -> io::Result<Key> {
    let operation = operation as c_long;
    // SAFETY: these operations take numbers and touch no memory of ours.
    result(unsafe { libc::syscall(libc::SYS_keyctl, operation, key.0 as c_long, argument) })
        .map(|serial| Key(serial as i32))
}

/// What a system call returned, or its error in words that are about keys.
fn result(returned: c_long) -> io::Result<usize> {
    usize::try_from(returned).map_err(|_| {
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EDQUOT) => io::Error::other("the user's key quota is exceeded"),
            _ => error,
        }
    })
}

/// The session keyring of this process, or `None` if it has only the default one of its user.
///
/// # Errors
///
/// Any error of keyctl(2), such as `EPERM` or `ENOSYS` where a container forbids it.
pub fn own_session() -> io::Result<Option<Key>> {
    let look = || {
        let session = control(Operation::Identify, SESSION, 0)?;
        let default = control(Operation::Identify, USER_SESSION, 0)?;
        Ok((session != default).then_some(session))
    };
    // Who has no session keyring and looks for it gets the user's default one, and would keep it when it becomes
    // another user. That happens to a thread only, which is why this one does not last.
    let looking = thread::Builder::new().spawn(look)?;
    looking
        .join()
        .unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
}

/// Whether processes that do not possess a keyring can come to possess what is in it. A keyring that was joined by a name
/// can be linked by every process of its user.
///
/// # Errors
///
/// Any error of keyctl(2).
pub fn is_open_to_others(keyring: Key) -> io::Result<bool> {
    Ok(attributes(keyring)?.permissions & OPEN_TO_OTHERS != 0)
}

/// The key with this description in a keyring or in one that is linked to it; `None` if there is none that is
/// still valid.
///
/// # Errors
///
/// Any other error of keyctl(2).
pub fn find(keyring: Key, description: &str) -> io::Result<Option<Key>> {
    let description = CString::new(description)?;
    // SAFETY: both strings are NUL-terminated and outlive the call.
    let found = result(unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            libc::KEYCTL_SEARCH as c_long,
            keyring.0 as c_long,
            TYPE.as_ptr(),
            description.as_ptr(),
            0 as c_long,
        )
    });
    match found {
        Ok(serial) => Ok(Some(Key(serial as i32))),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an error says that a key is not there any more.
fn is_gone(error: &io::Error) -> bool {
    let gone = [libc::ENOKEY, libc::EKEYEXPIRED, libc::EKEYREVOKED];
    error
        .raw_os_error()
        .is_some_and(|code| gone.contains(&code))
}

/// What a key holds.
///
/// # Errors
///
/// Any error of keyctl(2), those of [`Locked::with_capacity`], and [`io::ErrorKind::Interrupted`] if it grows meanwhile.
pub fn read(key: Key) -> io::Result<Locked> {
    let size = read_into(key, &mut [])?;
    let mut content = Locked::with_capacity(size).map_err(|_| io::ErrorKind::OutOfMemory)?;
    let size = read_into(key, content.spare())?;
    if size > content.spare().len() {
        return Err(io::ErrorKind::Interrupted.into());
    }
    content.grow(size);
    Ok(content)
}

/// The size of what a key holds; it is written to `buffer` if that is large enough.
fn read_into(key: Key, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: pointer and length are those of a live exclusive slice.
    result(unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            libc::KEYCTL_READ as c_long,
            key.0 as c_long,
            buffer.as_mut_ptr(),
            buffer.len(),
        )
    })
}

/// Puts a key that holds `content` into a keyring, in place of one with the same description. The kernel forgets it
/// after `lifetime`, counted in full seconds.
///
/// # Errors
///
/// If it is over the user's quota or longer than [`MAX_SIZE`]; any other error of add_key(2) and keyctl(2). No new key is
/// left then.
pub fn add(
    keyring: Key,
    description: &str,
    content: &Locked,
    lifetime: Duration,
) -> io::Result<()> {
    let description = CString::new(description)?;
    let bytes = content.bytes();
    // SAFETY: the strings are NUL-terminated, pointer and length are those of a live slice, and all outlive the call.
    let key = result(unsafe {
        libc::syscall(
            libc::SYS_add_key,
            TYPE.as_ptr(),
            description.as_ptr(),
            bytes.as_ptr(),
            bytes.len(),
            keyring.0 as c_long,
        )
    });
    let key = Key(key? as i32);
    let seconds = lifetime.as_secs() + u64::from(lifetime.subsec_nanos() > 0);
    control(Operation::SetTimeout, key, seconds as c_long)
        .and_then(|_| set_permissions(key, PERMISSIONS))
        .inspect_err(|_| remove(keyring, key))
}

fn set_permissions(key: Key, permissions: u32) -> io::Result<()> {
    control(Operation::SetPermissions, key, permissions as c_long).map(drop)
}

/// Removes a key from wherever it is, or at least from `keyring` if it does not allow that.
pub fn remove(keyring: Key, key: Key) {
    if control(Operation::Invalidate, key, 0).is_err() {
        let _ = control(Operation::Unlink, key, keyring.0 as c_long);
    }
}

/// The keys in a keyring.
///
/// # Errors
///
/// Those of [`read`].
pub fn members(keyring: Key) -> io::Result<Vec<Key>> {
    let serials = read(keyring)?;
    let serials = serials.bytes().as_chunks().0.iter();
    Ok(serials
        .map(|bytes| Key(i32::from_ne_bytes(*bytes)))
        .collect())
}

/// What can be told of a key without reading it.
struct Attributes {
    permissions: u32,
    /// The description, if the key is of our type.
    description: Option<String>,
}

fn attributes(key: Key) -> io::Result<Attributes> {
    let mut text = vec![0_u8; MAX_DESCRIPTION];
    // SAFETY: pointer and length are those of a live exclusive slice.
    let length = result(unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            libc::KEYCTL_DESCRIBE as c_long,
            key.0 as c_long,
            text.as_mut_ptr(),
            text.len(),
        )
    })?;
    // "type;uid;gid;permissions;description", and a NUL.
    text.truncate(length.saturating_sub(1));
    let text = String::from_utf8_lossy(&text);
    let mut fields = text.splitn(5, ';');
    let is_of_our_type = fields.next() == TYPE.to_str().ok();
    let permissions = fields
        .nth(2)
        .and_then(|digits| u32::from_str_radix(digits, 16).ok());
    Ok(Attributes {
        permissions: permissions.ok_or(io::ErrorKind::InvalidData)?,
        description: fields.next().filter(|_| is_of_our_type).map(str::to_owned),
    })
}

/// Whether [`add`] made the key with a description that `is_ours`. A key that does not let itself be looked at is
/// not.
pub fn is_made_by_us(key: Key, is_ours: impl Fn(&str) -> bool) -> bool {
    attributes(key).is_ok_and(|attributes| {
        attributes.permissions == PERMISSIONS
            && attributes.description.as_deref().is_some_and(is_ours)
    })
}

/// Moves this process from its session keyring to a new anonymous one with the same permissions, which holds `keys` of
/// the former. Returns how many of them it could not be given, over a quota.
///
/// # Errors
///
/// `EACCES` if one of the keys does not let itself be linked, any other error of keyctl(2). The session keyring is still
/// the former one then.
pub fn replace_session(former: Key, keys: &[Key]) -> io::Result<usize> {
    let permissions = attributes(former)?.permissions;
    // Who links a key must possess it: through this thread's own keyring, which execve(2) takes away, we still do when
    // the former session keyring is gone.
    let mut kept = Vec::new();
    for key in keys {
        match link(*key, THREAD) {
            Ok(()) => kept.push(*key),
            Err(error) if is_gone(&error) => (),
            Err(error) => return Err(error),
        }
    }
    join_new_session()?;
    kept.retain(|key| link(*key, SESSION).is_err());
    if permissions != NEW_SESSION {
        // It can fail only if the process may not change its own new keyring, and the keys are there all the same.
        let _ = set_permissions(SESSION, permissions);
    }
    Ok(kept.len())
}

fn link(key: Key, keyring: Key) -> io::Result<()> {
    control(Operation::Link, key, keyring.0 as c_long).map(drop)
}

fn join_new_session() -> io::Result<()> {
    // SAFETY: with a null pointer in place of a name the operation touches no memory of ours.
    let joined = unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            libc::KEYCTL_JOIN_SESSION_KEYRING as c_long,
            ptr::null::<c_char>(),
        )
    };
    result(joined).map(drop)
}
