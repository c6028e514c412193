//! The kernel's keys, by system calls of the tests' own.
//!
//! A session keyring belongs to a thread, and a child inherits that of the thread which started it: each test can
//! be in a session of its own.

use std::ffi::{CString, c_char, c_long};
use std::io;
use std::ptr;

use nix::libc;

/// A key or keyring: its serial number, or one of the kernel's special ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub i32);

pub const SESSION: Key = Key(libc::KEY_SPEC_SESSION_KEYRING);
pub const USER: Key = Key(libc::KEY_SPEC_USER_KEYRING);

/// All that a process can look at without being told a serial number.
pub const REACHABLE: [Key; 5] = [
    SESSION,
    USER,
    Key(libc::KEY_SPEC_USER_SESSION_KEYRING),
    Key(libc::KEY_SPEC_PROCESS_KEYRING),
    Key(libc::KEY_SPEC_THREAD_KEYRING),
];

/// What the kernel tells of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    pub kind: String,
    pub permissions: u32,
    pub description: String,
}

/// Gives this thread, and what it starts from now on, a new session keyring.
pub fn enter_new_session() {
    join(None);
}

/// Gives this thread a session keyring that has a name, as `keyctl session NAME` does.
pub fn enter_named_session(name: &str) {
    join(Some(name.to_owned()));
}

/// Gives this thread the session keyring that processes have which never were given one.
pub fn enter_default_session() {
    // What it is called depends on the user.
    let default = Key(libc::KEY_SPEC_USER_SESSION_KEYRING);
    join(Some(
        default
            .attributes()
            .expect("a keyring of the user")
            .description,
    ));
}

#[track_caller]
fn join(name: Option<String>) {
    let name = name.map(|name| CString::new(name).expect("a name"));
    let name: *const c_char = name.as_ref().map_or(ptr::null(), |name| name.as_ptr());
    // SAFETY: the name is a null pointer or NUL-terminated, and outlives the call.
    let joined =
        unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, name) };
    result(joined).expect("a session keyring");
}

fn result(returned: c_long) -> io::Result<usize> {
    usize::try_from(returned).map_err(|_| io::Error::last_os_error())
}

/// Adds a key, or gives one of this description another payload.
pub fn add(keyring: Key, kind: &str, description: &str, payload: &[u8]) -> io::Result<Key> {
    let [kind, description] = [kind, description].map(|text| CString::new(text).expect("a text"));
    // SAFETY: the strings are NUL-terminated, pointer and length are those of a live slice.
    let added = unsafe {
        libc::syscall(
            libc::SYS_add_key,
            kind.as_ptr(),
            description.as_ptr(),
            payload.as_ptr(),
            payload.len(),
            c_long::from(keyring.0),
        )
    };
    result(added).map(|serial| Key(serial as i32))
}

impl Key {
    fn control(self, operation: u32, argument: c_long) -> io::Result<Key> {
        let key = c_long::from(self.0);
        // SAFETY: the operations below take numbers only.
        let done = unsafe { libc::syscall(libc::SYS_keyctl, operation, key, argument) };
        result(done).map(|serial| Key(serial as i32))
    }

    /// The key behind a special number.
    pub fn resolved(self) -> io::Result<Key> {
        self.control(libc::KEYCTL_GET_KEYRING_ID, 0)
    }

    pub fn set_permissions(self, permissions: u32) -> io::Result<()> {
        let permissions = c_long::from(permissions);
        self.control(libc::KEYCTL_SETPERM, permissions).map(drop)
    }

    pub fn link_into(self, keyring: Key) -> io::Result<()> {
        let keyring = c_long::from(keyring.0);
        self.control(libc::KEYCTL_LINK, keyring).map(drop)
    }

    pub fn unlink_from(self, keyring: Key) -> io::Result<()> {
        let keyring = c_long::from(keyring.0);
        self.control(libc::KEYCTL_UNLINK, keyring).map(drop)
    }

    /// What it holds; the members of a keyring in the kernel's own form.
    pub fn read(self) -> io::Result<Vec<u8>> {
        self.text(libc::KEYCTL_READ)
    }

    pub fn attributes(self) -> io::Result<Attributes> {
        let text = self.text(libc::KEYCTL_DESCRIBE)?;
        let text = String::from_utf8_lossy(&text[..text.len() - 1]).into_owned();
        let fields: Vec<_> = text.splitn(5, ';').collect();
        Ok(Attributes {
            kind: fields[0].into(),
            permissions: u32::from_str_radix(fields[3], 16).expect("permissions in hexadecimal"),
            description: fields[4].into(),
        })
    }

    fn text(self, operation: u32) -> io::Result<Vec<u8>> {
        let mut text = vec![0_u8; 1 << 16];
        let (call, key) = (libc::SYS_keyctl, c_long::from(self.0));
        // SAFETY: pointer and length are those of a live exclusive vector.
        let length = unsafe { libc::syscall(call, operation, key, text.as_mut_ptr(), text.len()) };
        text.truncate(result(length)?);
        Ok(text)
    }

    /// The keys in a keyring; none in what is no keyring, or cannot be read.
    pub fn members(self) -> Vec<Key> {
        let is_keyring = self.attributes().is_ok_and(|it| it.kind == "keyring");
        let serials = self.read().ok().filter(|_| is_keyring).unwrap_or_default();
        let serials = serials.as_chunks().0.iter();
        serials
            .map(|bytes| Key(i32::from_ne_bytes(*bytes)))
            .collect()
    }

    /// Whether the kernel has let its time run out.
    pub fn has_expired(self) -> bool {
        let error = self.read().err().and_then(|error| error.raw_os_error());
        error == Some(libc::EKEYEXPIRED)
    }
}

/// Keys of ours: what has a name of 64 hexadecimal digits.
pub fn entries(keyring: Key) -> Vec<Key> {
    let is_ours = |description: &str| {
        description.len() == 64 && description.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let mut found = keyring.members();
    found.retain(|key| key.attributes().is_ok_and(|it| is_ours(&it.description)));
    found
}
