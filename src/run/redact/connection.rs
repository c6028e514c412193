//! What connects the command with the filter: pipes and pseudo-terminals in the place of its output, and the line on which
//! the filter learns the secrets.

#![forbid(unsafe_code)]

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Weak;

use crate::error::Error;
use crate::run::redact::stream::Stream;
use crate::run::stand_in::{Screen, Sharing};
use crate::sys::{self, plain};
use crate::variables::{Variable, block};

/// Standard input, which is a terminal's if an output is.
const INPUT: RawFd = 0;

/// The standard descriptors that are filtered: output and error.
const OUTPUTS: [RawFd; 2] = [1, ERROR];
const ERROR: RawFd = 2;

/// What a filter answers that knows the secrets.
pub const READY: &str = "ready";

/// What the command writes to, and the line to the filter: the length of a set of secrets in one direction, and it
/// itself; in the other, one line of text.
pub struct CommandEnd {
    line: File,
    outlets: Vec<Outlet>,
}

/// What is put in the place of standard descriptors.
struct Outlet {
    file: OwnedFd,
    numbers: Vec<RawFd>,
    kind: OutletKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum OutletKind {
    /// A pipe, or a pseudo-terminal for writing only.
    Plain,
    /// The terminal that stands in for the one that we were started on.
    StandIn,
}

/// What the filter reads from and writes to.
pub struct FilterEnd {
    pub(super) line: File,
    pub(super) streams: Vec<Stream>,
    /// Which of the streams takes what is written to standard error.
    error: Option<usize>,
}

/// Makes a pipe or a pseudo-terminal for standard output and standard error, one for both if they are the same file, so
/// that their order stays. The pseudo-terminal in the place of our controlling terminal is standard input too, if that
/// one is. Of what is made, each of three processes takes its part.
///
/// # Errors
///
/// If the system has no more of them.
pub fn connect() -> Result<(CommandEnd, FilterEnd, Option<Screen>), Error> {
    let (input, outputs) = Standard::all().map_err(Error::Supervise)?;
    let (near, far) = UnixStream::pair().map_err(Error::Supervise)?;
    let [near, far] = [near, far].map(|end| File::from(OwnedFd::from(end)));
    let mut command = CommandEnd {
        line: near,
        outlets: Vec::new(),
    };
    let mut filter = FilterEnd {
        line: far,
        streams: Vec::new(),
        error: None,
    };
    let (screen, mut stand_in) = stand_in(input.as_ref(), &outputs)?.unzip();
    for output in outputs {
        let kind = if screen.is_some() && output.is_controlling {
            OutletKind::StandIn
        } else {
            OutletKind::Plain
        };
        let (number, output) = (output.number, output.file);
        let mut pairs = command.outlets.iter().zip(&filter.streams);
        let same = pairs.position(|(outlet, stream)| match kind {
            OutletKind::StandIn => outlet.kind == kind,
            OutletKind::Plain => stream.goes_to(&output),
        });
        if number == ERROR {
            filter.error = same.or(Some(filter.streams.len()));
        }
        if let Some(same) = same {
            command.outlets[same].numbers.push(number);
            continue;
        }
        let slave = stand_in.take_if(|_| kind == OutletKind::StandIn);
        let (stream, file) = match (&screen, slave) {
            (Some(screen), Some(slave)) => {
                let input = screen.output().map_err(Error::Supervise)?;
                (Stream::on_screen(input, output), slave)
            }
            _ => Stream::to(output)?,
        };
        filter.streams.push(stream);
        command.outlets.push(Outlet {
            file,
            numbers: vec![number],
            kind,
        });
    }
    if input.is_some_and(|input| input.is_controlling) {
        let outlets = command.outlets.iter_mut();
        let stand_ins = outlets.filter(|outlet| outlet.kind == OutletKind::StandIn);
        stand_ins.for_each(|outlet| outlet.numbers.push(INPUT));
    }
    Ok((command, filter, screen))
}

/// A standard stream that was open when we were started.
struct Standard {
    number: RawFd,
    file: File,
    /// Whether it is our controlling terminal.
    is_controlling: bool,
    is_pipe: bool,
}

impl Standard {
    /// Standard input, and output and error.
    fn all() -> io::Result<(Option<Self>, Vec<Self>)> {
        let outputs = OUTPUTS.into_iter().map(Standard::of);
        let outputs = outputs.filter_map(io::Result::transpose);
        Ok((Standard::of(INPUT)?, outputs.collect::<io::Result<_>>()?))
    }

    fn of(number: RawFd) -> io::Result<Option<Self>> {
        let file = sys::standard_stream(number)?.map(File::from);
        let standard = file.map(|file| {
            Ok(Standard {
                number,
                is_controlling: sys::is_controlling(&file)?,
                is_pipe: sys::is_pipe(&file)?,
                file,
            })
        });
        standard.transpose()
    }
}

/// A pseudo-terminal in the place of the controlling one, if that is one of the outputs.
fn stand_in(
    input: Option<&Standard>,
    outputs: &[Standard],
) -> Result<Option<(Screen, OwnedFd)>, Error> {
    let mut terminals = outputs.iter().filter(|output| output.is_controlling);
    let Some(terminal) = terminals.next() else {
        return Ok(None);
    };
    // What a shell starts in the background of a script reads from somewhere else.
    let is_read = input.is_some_and(|input| input.is_controlling);
    let sharing = if is_read && !outputs.iter().any(|output| output.is_pipe) {
        Sharing::Alone
    } else {
        Sharing::Shared
    };
    match Screen::open(&terminal.file, sharing) {
        Ok(opened) => Ok(Some(opened)),
        // Without a device for it, the command keeps the terminal, and what it writes there is filtered all the same.
        Err(Error::Supervise(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl CommandEnd {
    /// The command's side of the terminal that stands in for ours.
    ///
    /// # Errors
    ///
    /// If there is none; any error of dup(2).
    pub fn slave(&self) -> io::Result<OwnedFd> {
        let mut outlets = self.outlets.iter();
        let stand_in = outlets.find(|outlet| outlet.kind == OutletKind::StandIn);
        stand_in.ok_or(io::ErrorKind::NotFound)?.file.try_clone()
    }

    /// Tells the filter the secrets, and `NAME=value` strings that hold some too, and waits until it is ready for them.
    ///
    /// # Errors
    ///
    /// If it has no memory for them, or is gone.
    pub fn tell(&mut self, secrets: &[Variable<'_>], others: &[&CStr]) -> Result<(), Error> {
        let secrets: Vec<_> = secrets.iter().collect();
        let block = block::write(&secrets)?;
        let mut answer = String::new();
        let told = self.ask(block.bytes(), others, &mut answer);
        match answer.trim_end() {
            READY => Ok(()),
            "" => Err(Error::NoFilter {
                reason: told
                    .err()
                    .map_or("it has ended".to_owned(), |error| plain(&error)),
            }),
            reason => Err(Error::NoFilter {
                reason: reason.to_owned(),
            }),
        }
    }

    fn ask(&mut self, block: &[u8], others: &[&CStr], answer: &mut String) -> io::Result<()> {
        let others = || others.iter().map(|other| other.to_bytes_with_nul());
        let length = block.len() + others().map(<[u8]>::len).sum::<usize>();
        let sent = (|| {
            self.line.write_all(&length.to_ne_bytes())?;
            self.line.write_all(block)?;
            others().try_for_each(|other| self.line.write_all(other))
        })();
        let has_given_up = |error: &io::Error| {
            let gone = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
            gone.contains(&error.kind())
        };
        match sent {
            // It waits for the rest, and would not answer.
            Err(error) if !has_given_up(&error) => Err(error),
            // One that has given up has said why.
            sent => {
                let read = BufReader::with_capacity(128, &self.line).read_line(answer);
                sent.and(read.map(drop))
            }
        }
    }

    /// Puts the outlets in the place of standard output and error.
    ///
    /// # Errors
    ///
    /// Any error of dup2(2). The command must not be started then.
    pub fn put_in_place(&self) -> Result<(), Error> {
        let placed = self.outlets.iter().try_for_each(Outlet::put_in_place);
        placed.map_err(|error| Error::NoFilter {
            reason: plain(&error),
        })
    }

    /// Puts the one in place that is a terminal in the place of ours: our own messages belong on that as it is then.
    ///
    /// # Errors
    ///
    /// Any error of dup2(2).
    pub fn put_terminal_in_place(&self) -> io::Result<()> {
        let outlets = self.outlets.iter();
        let mut stand_ins = outlets.filter(|outlet| outlet.kind == OutletKind::StandIn);
        stand_ins.try_for_each(Outlet::put_in_place)
    }
}

impl Outlet {
    fn put_in_place(&self) -> io::Result<()> {
        let mut numbers = self.numbers.iter();
        numbers.try_for_each(|number| sys::put_in_place(&self.file, *number))
    }
}

impl FilterEnd {
    /// Where messages go, for as long as their stream does.
    pub(super) fn messages(&self) -> Weak<File> {
        let stream = self.error.and_then(|index| self.streams.get(index));
        stream.map_or(Weak::new(), Stream::output)
    }

    /// All descriptors that the filter needs of it.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        let streams = self.streams.iter().flat_map(Stream::descriptors);
        streams.chain([self.line.as_raw_fd()])
    }
}
