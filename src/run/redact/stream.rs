//! One stream of output, from the command to where it wrote before.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use crate::deliver::output;
use crate::run::redact::progress::Progress;
use crate::run::redact::{CHUNK, Redactor};
use crate::sys::{self, Event, PseudoTerminal};

/// How long nothing must follow before one or two bytes are let through that could begin a secret.
const PAUSE: Duration = Duration::from_micros(500);

/// A stream and where it goes.
pub struct Stream {
    /// Where it comes from: a pipe, or the master of a pseudo-terminal.
    input: File,
    /// Where the command wrote before.
    output: File,
    /// Whether it comes from the terminal that stands in for ours.
    is_on_screen: bool,
}

impl Stream {
    /// What a command is given in the place of `output`, and its end for the command.
    ///
    /// # Errors
    ///
    /// If the system has no more of them.
    pub fn to(output: File) -> io::Result<(Self, OwnedFd)> {
        let (input, end) = if output.is_terminal() {
            let terminal = PseudoTerminal::in_front_of(&output)?;
            (terminal.master, terminal.slave)
        } else {
            let (reader, writer) = io::pipe()?;
            sys::enlarge(&writer);
            (OwnedFd::from(reader).into(), writer.into())
        };
        sys::set_nonblocking(input.as_fd());
        let is_on_screen = false;
        let stream = Stream {
            input,
            output,
            is_on_screen,
        };
        Ok((stream, end))
    }

    /// From the terminal that stands in for ours to that.
    pub fn on_screen(input: File, output: File) -> Self {
        let is_on_screen = true;
        Stream {
            input,
            output,
            is_on_screen,
        }
    }

    /// Whether it goes to the same pipe, socket, terminal or file as another one.
    pub fn goes_to(&self, output: &File) -> bool {
        sys::is_same_file(&self.output, output)
    }

    /// All descriptors that it needs.
    pub fn descriptors(&self) -> [RawFd; 2] {
        [self.input.as_raw_fd(), self.output.as_raw_fd()]
    }

    /// Passes output on until nobody writes or reads any more.
    pub fn pass_on(mut self, mut redactor: Redactor, command: BorrowedFd<'_>, progress: &Progress) {
        let mut command = Some(command);
        let mut shown = Vec::with_capacity(CHUNK);
        loop {
            let next = self.next(&mut redactor, command, progress);
            match next {
                Next::Output(count) => redactor.take(count, &mut shown),
                Next::Pause | Next::EndOfCommand | Next::End => redactor.release(&mut shown),
            }
            if self.is_on_screen && !shown.is_empty() {
                progress.begin();
            }
            if output::write_all(&mut self.output, &shown).is_err() || next == Next::End {
                break;
            }
            shown.clear();
            if next == Next::EndOfCommand {
                command = None;
                progress.is_through();
            }
        }
        drop(self);
        progress.has_ended(command.is_some());
    }

    /// Waits for what comes next. `command` is readable when the command has ended.
    fn next(
        &mut self,
        redactor: &mut Redactor,
        command: Option<BorrowedFd<'_>>,
        progress: &Progress,
    ) -> Next {
        let events = [
            Some((self.input.as_fd(), Event::Readable)),
            command.map(|command| (command, Event::Readable)),
            Some((self.output.as_fd(), Event::Broken)),
        ];
        let pause = redactor.may_yield().then_some(PAUSE);
        let Ok([readable, ended, broken]) = sys::wait_for_events(events, pause) else {
            return Next::End;
        };
        if !(readable || ended) {
            return if broken { Next::End } else { Next::Pause };
        }
        if let Some(patterns) = progress.news_for(redactor) {
            redactor.learn(patterns);
        }
        let Ok(spare) = redactor.spare() else {
            return Next::End;
        };
        match self.input.read(spare) {
            Ok(count @ 1..) => Next::Output(count),
            // What is written before the end can be read before the end is told.
            Err(error) if error.kind() == ErrorKind::WouldBlock && ended => Next::EndOfCommand,
            Err(error) if error.kind() == ErrorKind::WouldBlock => Next::Output(0),
            // A terminal of which no process has the command's side any more answers with an error.
            _ => Next::End,
        }
    }
}

/// What happens on a stream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// So many bytes have come.
    Output(usize),
    /// Nothing has come for a while.
    Pause,
    /// The command has ended, and all that it wrote has come.
    EndOfCommand,
    /// Nothing comes any more, or nobody wants it.
    End,
}
