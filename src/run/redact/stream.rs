//! One stream of output, from the command to where it wrote before.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use libc::EIO;

use crate::error::Error;
use crate::run::redact::progress::{Progress, StreamOrigin};
use crate::run::redact::{CHUNK, Redactor};
use crate::sys::{self, Interest, PseudoTerminal, SignalSet, plain};

/// The signals that may be for all of a job, and by which only the command knows what is meant.
pub const WITNESSED: SignalSet = SignalSet::FOR_JOBS;

/// How long nothing must follow before one or two bytes are let through that could begin a secret.
const PAUSE: Duration = Duration::from_micros(500);

/// A stream and where it goes.
pub struct Stream {
    /// Where it comes from: a pipe, or the master of a pseudo-terminal.
    input: File,
    /// Where the command wrote before. Nobody else keeps it open: whoever reads it waits for its end.
    output: Arc<File>,
    origin: StreamOrigin,
}

/// What a stream is told by, beside its own input and output.
#[derive(Clone, Copy)]
pub struct Signs<'a> {
    /// Readable when the command has ended.
    pub end_of_command: BorrowedFd<'a>,
    /// Readable when there are signals for all of our group.
    pub of_group: Option<BorrowedFd<'a>>,
}

/// What a stream waits for beside output, as long as it has not happened.
struct Peers<'a> {
    /// Readable when the command has ended.
    command: Option<BorrowedFd<'a>>,
    /// Broken when the process is gone that has our terminal.
    front: Option<BorrowedFd<'a>>,
    /// Readable when there are signals for all of our group.
    witness: Option<BorrowedFd<'a>>,
}

impl Stream {
    /// What a command is given in the place of `output`, and its end for the command.
    ///
    /// # Errors
    ///
    /// If the system has no more of them.
    pub fn to(output: File) -> Result<(Self, OwnedFd), Error> {
        let (origin, input, end) = if sys::is_terminal(&output).map_err(Error::Supervise)? {
            let terminal = PseudoTerminal::in_front_of(&output)?;
            (StreamOrigin::Terminal, terminal.master, terminal.slave)
        } else {
            let (reader, writer) = io::pipe().map_err(Error::Supervise)?;
            // A smaller pipe is only slower.
            let _ = sys::enlarge(&writer);
            (
                StreamOrigin::Pipe,
                OwnedFd::from(reader).into(),
                writer.into(),
            )
        };
        sys::set_nonblocking(input.as_fd()).map_err(Error::Supervise)?;
        let stream = Stream {
            input,
            output: Arc::new(output),
            origin,
        };
        Ok((stream, end))
    }

    /// From the terminal that stands in for ours to that.
    pub fn on_screen(input: File, output: File) -> Self {
        Stream {
            input,
            output: Arc::new(output),
            origin: StreamOrigin::StandIn,
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

    /// What tells where it goes for as long as it does.
    pub fn output(&self) -> Weak<File> {
        Arc::downgrade(&self.output)
    }

    /// Passes output on until nobody writes or reads any more.
    pub fn pass_on(self, mut redactor: Redactor, signs: Signs<'_>, progress: &Progress) {
        let is_on_screen = self.origin == StreamOrigin::StandIn;
        let mut peers = Peers {
            command: Some(signs.end_of_command),
            front: is_on_screen.then(|| progress.front()),
            witness: signs.of_group.filter(|_| is_on_screen),
        };
        let mut shown = Vec::with_capacity(CHUNK);
        loop {
            let next = self.next(&mut redactor, &peers, progress);
            match &next {
                Next::Output(count) => redactor.take(*count, &mut shown),
                Next::EndOfFront => {
                    peers.front = None;
                    progress.front_is_gone();
                }
                Next::Pause | Next::EndOfCommand | Next::End | Next::Failure(_) => {
                    redactor.release(&mut shown);
                }
            }
            if matches!(next, Next::Output(_)) && is_short(&shown, &redactor) {
                // What the command has written at once is passed on at once, between what others write there.
                continue;
            }
            if is_on_screen && !shown.is_empty() {
                progress.begin();
                progress.fit(&mut shown);
            } else if !shown.is_empty() {
                progress.follow();
            }
            let written = sys::write_all(&*self.output, &shown);
            if let Err(error) = &written
                && !self.has_lost_reader(error)
            {
                progress.output_is_lost(&plain(error), self.origin);
            }
            if let Next::Failure(reason) = &next {
                progress.output_is_lost(reason, self.origin);
            }
            if written.is_err() || matches!(next, Next::End | Next::Failure(_)) {
                break;
            }
            shown.clear();
            if let Next::EndOfCommand = next {
                peers.command = None;
                progress.is_through();
            }
        }
        progress.keep_for_messages(&self.output, peers.command.is_some());
        drop(self);
        if is_on_screen {
            progress.close_screen();
        }
        if peers.command.is_some() {
            progress.is_through();
        }
    }

    /// Whether an error of writing says that nobody reads any more: the command learns of that by itself.
    fn has_lost_reader(&self, error: &io::Error) -> bool {
        let is_gone = || sys::is_terminal(&self.output).is_ok_and(|is_terminal| !is_terminal);
        match error.kind() {
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => true,
            // What a terminal that is gone answers to everything.
            _ => {
                error.raw_os_error() == Some(EIO) && self.origin != StreamOrigin::Pipe && is_gone()
            }
        }
    }

    /// Waits for what comes next.
    fn next(&self, redactor: &mut Redactor, peers: &Peers<'_>, progress: &Progress) -> Next {
        let events = [
            Some((self.input.as_fd(), Interest::Readable)),
            peers.command.map(|command| (command, Interest::Readable)),
            Some((self.output.as_fd(), Interest::Broken)),
            peers.front.map(|front| (front, Interest::Broken)),
            peers.witness.map(|witness| (witness, Interest::Readable)),
        ];
        let pause = redactor.may_yield().then_some(PAUSE);
        let [readable, ended, broken, left, witnessed] = match sys::wait_for_events(events, pause) {
            Ok(happened) => happened,
            Err(error) => return Next::Failure(plain(&error)),
        };
        if witnessed && let Ok(Some(signal)) = WITNESSED.wait(Some(Instant::now())) {
            progress.witness(&signal);
            return Next::Output(0);
        }
        if left {
            return Next::EndOfFront;
        }
        if !(readable || ended) {
            return if broken { Next::End } else { Next::Pause };
        }
        if let Some(patterns) = progress.news_for(redactor) {
            redactor.learn(patterns);
        }
        let spare = match redactor.spare() {
            Ok(spare) => spare,
            Err(reason) => return Next::Failure(reason.to_string()),
        };
        match sys::persist(|| read(&self.input, self.origin, spare)) {
            Ok(Some(0)) => Next::End,
            Ok(Some(count)) => Next::Output(count),
            // What is written before the end can be read before the end is told.
            Ok(None) if ended => Next::EndOfCommand,
            Ok(None) => Next::Output(0),
            Err(error) => Next::Failure(plain(&error)),
        }
    }
}

/// Whether the rest of what has come is about to follow: it is let through if nothing follows for a while.
fn is_short(shown: &[u8], redactor: &Redactor) -> bool {
    redactor.may_yield() && shown.len() < CHUNK
}

/// Reads what there is, if there is anything.
fn read(mut input: &File, origin: StreamOrigin, spare: &mut [u8]) -> io::Result<Option<usize>> {
    let is_end = |read: &io::Result<usize>| {
        let error = read.as_ref().err().and_then(io::Error::raw_os_error);
        // What a terminal answers of which no process has the command's side any more.
        origin != StreamOrigin::Pipe && error == Some(EIO)
    };
    let mut read = input.read(spare);
    if is_end(&read) {
        // It does so each time.
        read = input.read(spare);
    }
    match read {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        read if is_end(&read) => Ok(Some(0)),
        read => read.map(Some),
    }
}

/// What happens on a stream.
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
    /// What may still come cannot be passed on, for this reason.
    Failure(String),
}
