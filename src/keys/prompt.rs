//! Asking for a secret on the terminal.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use crate::error::Error;
use crate::keys::{MAX_KEY, empty_key};
use crate::sys::locked::Locked;
use crate::sys::{self, SignalSet, TerminalMode};

/// Asks for a secret without showing what is typed. The terminal is put back on every way out: a signal that ends
/// or stops the process takes effect only after that, and the question is asked again when the process goes on.
pub fn prompt(terminal: &File, question: &str) -> Result<Locked, Error> {
    loop {
        let before = SignalSet::ending_or_stopping()
            .block()
            .map_err(Error::Prompt)?;
        // Those that were blocked before stay pending for the command, and must not be waited for.
        let signals = SignalSet::ending_or_stopping().without(before);
        let answer = ask(terminal, question, signals, empty_key()?);
        let _ = (&*terminal).write_all(b"\n");
        before.set_as_mask().map_err(Error::Prompt)?;
        if let Some(key) = answer.map_err(Error::Prompt)? {
            return Ok(key);
        }
    }
}

/// One line from the terminal without its end, or `None` if a signal came first.
fn ask(
    terminal: &File,
    question: &str,
    signals: SignalSet,
    mut key: Locked,
) -> io::Result<Option<Locked>> {
    let signalled = signals.descriptor()?;
    let _mode = TerminalMode::without_echo(terminal)?;
    (&*terminal).write_all(format!("{question}: ").as_bytes())?;
    let [_, interrupted] = sys::wait_readable([terminal.as_fd(), signalled.as_fd()])?;
    if interrupted {
        return Ok(None);
    }
    let read = (&*terminal).read(&mut key.spare()[..=MAX_KEY])?;
    key.grow(read);
    Ok(Some(key))
}
