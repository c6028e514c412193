//! Reading and writing where the descriptor may be non-blocking: whoever started us decides that, and shares it with us.

use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use crate::sys::polling::{Interest, wait_for_events};

/// Writes all of `bytes`, however long the reader takes: a blocking descriptor would have us wait as well.
///
/// # Errors
///
/// Any error of write(2) and ppoll(2) but those that ask for another attempt.
pub fn write_all(mut output: impl Write + AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match output.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => (),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                wait_for(output.as_fd(), Interest::Writable, None)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Waits until something can be read, or the end of the input; without a deadline as long as it takes.
///
/// # Errors
///
/// [`ErrorKind::TimedOut`] once the deadline has passed; any error of ppoll(2) but `EINTR`.
pub fn wait_for_input(input: BorrowedFd<'_>, deadline: Option<Instant>) -> io::Result<()> {
    wait_for(input, Interest::Readable, deadline)
}

fn wait_for(
    descriptor: BorrowedFd<'_>,
    event: Interest,
    deadline: Option<Instant>,
) -> io::Result<()> {
    loop {
        let patience = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        match wait_for_events([Some((descriptor, event))], patience) {
            Ok([true]) => return Ok(()),
            Ok([false]) => return Err(ErrorKind::TimedOut.into()),
            Err(error) if error.kind() == ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn more_than_a_non_blocking_socket_holds_is_written_whole() {
        let (writer, mut reader) = UnixStream::pair().unwrap();
        writer.set_nonblocking(true).unwrap();
        let text = vec![7; 4 << 20];
        let expected = text.clone();
        let read = thread::spawn(move || {
            let mut read = Vec::new();
            reader.read_to_end(&mut read).map(|_| read)
        });
        write_all(&writer, &text).unwrap();
        drop(writer);
        assert!(read.join().unwrap().unwrap() == expected);
    }

    #[test]
    fn a_reader_that_goes_away_ends_the_wait() {
        let (writer, reader) = UnixStream::pair().unwrap();
        writer.set_nonblocking(true).unwrap();
        let gone = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            drop(reader);
        });
        let error = write_all(&writer, &vec![7; 4 << 20]).unwrap_err();
        let kinds = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
        assert!(kinds.contains(&error.kind()), "{error}");
        gone.join().unwrap();
    }

    #[test]
    fn input_that_never_comes_is_waited_for_until_the_deadline() {
        let (reader, _writer) = UnixStream::pair().unwrap();
        let deadline = Instant::now() + Duration::from_millis(20);
        let error = wait_for_input(reader.as_fd(), Some(deadline)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(Instant::now() >= deadline);
    }

    #[test]
    fn the_end_of_the_input_is_something_to_read() {
        let (reader, writer) = UnixStream::pair().unwrap();
        drop(writer);
        wait_for_input(reader.as_fd(), None).unwrap();
    }
}
