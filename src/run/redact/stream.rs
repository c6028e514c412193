//! One stream of output, from the command to where it wrote before.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use crate::run::redact::progress::Progress;
use crate::run::redact::{CHUNK, Redactor};
use crate::sys::{self, Interest, PseudoTerminal};

/// How long nothing must follow before one or two bytes are let through that could begin a secret.
const PAUSE: Duration = Duration::from_micros(500);

/// A stream and where it goes.
pub struct Stream {
    /// Where it comes from: a pipe, or the master of a pseudo-terminal.
    input: File,
    /// Where the command wrote before.
    output: File,
    origin: Origin,
}

/// Where a stream comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// A pipe, or a pseudo-terminal for writing only.
    Plain,
    /// The terminal that stands in for ours.
    StandIn,
}

/// What a stream waits for beside output, as long as it has not happened.
struct Peers<'a> {
    /// Readable when the command has ended.
    command: Option<BorrowedFd<'a>>,
    /// Broken when the process is gone that has our terminal.
    front: Option<BorrowedFd<'a>>,
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
            // A smaller pipe is only slower.
            let _ = sys::enlarge(&writer);
            (OwnedFd::from(reader).into(), writer.into())
        };
        sys::set_nonblocking(input.as_fd())?;
        let origin = Origin::Plain;
        let stream = Stream {
            input,
            output,
            origin,
        };
        Ok((stream, end))
    }

    /// From the terminal that stands in for ours to that.
    pub fn on_screen(input: File, output: File) -> Self {
        let origin = Origin::StandIn;
        Stream {
            input,
            output,
            origin,
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
        let is_on_screen = self.origin == Origin::StandIn;
        let mut peers = Peers {
            command: Some(command),
            front: is_on_screen.then(|| progress.front()),
        };
        let mut shown = Vec::with_capacity(CHUNK);
        loop {
            let next = self.next(&mut redactor, &peers, progress);
            match next {
                Next::Output(count) => redactor.take(count, &mut shown),
                Next::Pause | Next::EndOfCommand | Next::End => redactor.release(&mut shown),
                Next::EndOfFront => {
                    peers.front = None;
                    progress.front_is_gone();
                }
            }
            if is_on_screen && !shown.is_empty() {
                progress.begin();
            }
            if sys::write_all(&self.output, &shown).is_err() || next == Next::End {
                break;
            }
            shown.clear();
            if next == Next::EndOfCommand {
                peers.command = None;
                progress.is_through();
            }
        }
        drop(self);
        if peers.command.is_some() {
            progress.is_through();
        }
    }

    /// Waits for what comes next.
    fn next(&mut self, redactor: &mut Redactor, peers: &Peers<'_>, progress: &Progress) -> Next {
        let events = [
            Some((self.input.as_fd(), Interest::Readable)),
            peers.command.map(|command| (command, Interest::Readable)),
            Some((self.output.as_fd(), Interest::Broken)),
            peers.front.map(|front| (front, Interest::Broken)),
        ];
        let pause = redactor.may_yield().then_some(PAUSE);
        let Ok([readable, ended, broken, left]) = sys::wait_for_events(events, pause) else {
            return Next::End;
        };
        if left {
            return Next::EndOfFront;
        }
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
    /// The process is gone that has our terminal.
    EndOfFront,
    /// Nothing comes any more, or nobody wants it.
    End,
}
