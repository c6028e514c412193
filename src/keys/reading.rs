//! Reading files that the user names, straight into locked memory: they may be pipes that are written later, or by nobody.

#![forbid(unsafe_code)]

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{Error, FileFlaw};
use crate::keys::loose::{Holds, looseness, settle};
use crate::report::Report;
use crate::sys;
use crate::sys::locked::Locked;

/// How long a file may take to come through a pipe or a descriptor. Whoever writes it may be asking somebody for a
/// passphrase first.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The size of a file in bytes that is still accepted beside the secrets.
const MAX_FILE: usize = 1024 * 1024;

/// The room for a file that does not tell its size, to begin with.
const FIRST_ROOM: usize = 64 * 1024;

/// Whether files will be read again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    Once,
    Repeatedly,
}

/// Opens a file, and says what it is. A named pipe that nobody writes to keeps us waiting only when it is read.
pub fn open(file: &Path) -> io::Result<(File, Metadata)> {
    let mut options = File::options();
    let opened = options
        .read(true)
        .custom_flags(sys::NOT_WAITING)
        .open(file)?;
    let metadata = opened.metadata()?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if metadata.file_type().is_block_device() {
        return Err(io::Error::other("is a block device"));
    }
    Ok((opened, metadata))
}

/// Reads into `buffer` until the end of `input` or until the buffer has `limit` bytes, without a buffer in between. Whether
/// reading waits is up to whoever opened it; we wait in either case, but not for ever.
pub fn read_up_to(
    limit: usize,
    input: &mut (impl Read + AsFd),
    buffer: &mut Locked,
    deadline: Instant,
) -> io::Result<()> {
    while buffer.length() < limit {
        let room = limit - buffer.length();
        sys::wait_for_input(input.as_fd(), Some(deadline))?;
        match input.read(&mut buffer.spare()[..room]) {
            Ok(0) => return Ok(()),
            Ok(read) => buffer.grow(read),
            // Somebody else may have read what was there.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Reads a file that decides what the command gets, and that nobody else may therefore be able to change. `option` names
/// it.
///
/// # Errors
///
/// If it cannot be read, now or again, is too long, or everyone can change it.
pub fn read_trusted(
    option: &'static str,
    file: &Path,
    reading: Reading,
    report: &Report,
) -> Result<Locked, Error> {
    let fail = |flaw| Error::LocalFile {
        option,
        file: file.to_owned(),
        flaw,
    };
    let unreadable = |error| fail(FileFlaw::Unreadable(error));
    let (mut opened, metadata) = open(file).map_err(unreadable)?;
    if reading == Reading::Repeatedly && !metadata.is_file() {
        return Err(fail(FileFlaw::ReadOnce));
    }
    settle(
        looseness(file, &metadata, Holds::Trust).map_err(unreadable)?,
        report,
    )?;
    let size = usize::try_from(metadata.len()).unwrap_or(usize::MAX);
    if size > MAX_FILE {
        return Err(fail(FileFlaw::TooLong { limit: MAX_FILE }));
    }
    let deadline = Instant::now() + PATIENCE;
    // The byte more is for finding the end, or that there is too much.
    let mut room = if metadata.is_file() {
        size + 1
    } else {
        FIRST_ROOM
    };
    let mut text = Locked::with_capacity(room)?;
    loop {
        let read = read_up_to(room, &mut opened, &mut text, deadline);
        read.map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => fail(FileFlaw::NotInTime { time: PATIENCE }),
            _ => unreadable(error),
        })?;
        if text.length() < room {
            return Ok(text);
        }
        if room > MAX_FILE {
            return Err(fail(FileFlaw::TooLong { limit: MAX_FILE }));
        }
        room = (2 * room).min(MAX_FILE + 1);
        let mut larger = Locked::with_capacity(room)?;
        larger.push(text.bytes());
        text = larger;
    }
}
