//! A process of its own between the command and the places that it writes to, which puts names in the place of secrets.
//!
//! It is there before any secret is read, and is told the secrets by the process that becomes the command, right before
//! it does. It is no child of the command, and ends when nobody writes any more.
//!
//! It can be told further sets later, by who still has the other end of its line. Secrets of the set before are looked
//! for too, since what was written under that may be on its way still.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::ffi::CStr;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::{Arc, Barrier};
use std::thread;

use crate::error::{Error, FAILED, plain};
use crate::run::front::Screen;
use crate::run::redact::progress::Progress;
use crate::run::redact::stream::Stream;
use crate::run::redact::{Patterns, Redactor, Unlearnable};
use crate::run::supervisor::SHORT;
use crate::sys::locked::{self, Locked, NoMemory};
use crate::sys::{self, Duty, Event, Pid};
use crate::variables::{Variable, block};

/// The standard descriptors that are filtered: output and error.
const OUTPUTS: [RawFd; 2] = [1, 2];

/// What a filter answers that knows the secrets.
const READY: &str = "ready";

/// How many sets of secrets are looked for: the last one, and the one before it.
const SETS: usize = 2;

/// The size in bytes of the stack of a thread that passes a stream on.
const STACK: usize = 256 * 1024;

/// What the command writes to, and the line to the filter: the length of a set of secrets in one direction, and it
/// itself; in the other, one line of text.
pub struct Source {
    line: File,
    ends: Vec<End>,
}

/// What is put in the place of standard descriptors.
struct End {
    file: OwnedFd,
    numbers: Vec<RawFd>,
    is_screen: bool,
}

/// What the filter reads from and writes to.
pub struct Sink {
    line: File,
    streams: Vec<Stream>,
}

/// Makes a pipe or a pseudo-terminal for standard output and standard error, one for both if they are the same file, so
/// that their order stays. The pseudo-terminal in the place of our controlling terminal is standard input too, if that
/// one is. Of what is made, each of three processes takes its part.
///
/// # Errors
///
/// If the system has no more of them.
pub fn connect() -> io::Result<(Source, Sink, Option<Screen>)> {
    let standard = |number| Ok(sys::standard_stream(number)?.map(File::from));
    let input = standard(0)?;
    let outputs: Vec<_> = OUTPUTS
        .into_iter()
        .filter_map(|number| Some(standard(number).transpose()?.map(|file| (number, file))))
        .collect::<io::Result<_>>()?;
    let (near, far) = UnixStream::pair()?;
    let [near, far] = [near, far].map(|end| File::from(OwnedFd::from(end)));
    let mut source = Source {
        line: near,
        ends: Vec::new(),
    };
    let mut sink = Sink {
        line: far,
        streams: Vec::new(),
    };
    let is_shared = input.iter().chain(outputs.iter().map(|(_, file)| file));
    let is_shared = is_shared.into_iter().any(sys::is_pipe);
    let is_on_screen = |file: &File| sys::is_controlling(file);
    let screen = match outputs.iter().any(|(_, file)| is_on_screen(file)) {
        true => Screen::open(is_shared).ok(),
        false => None,
    };
    let (screen, mut slave) = screen.unzip();
    for (number, output) in outputs {
        let is_screen = screen.is_some() && is_on_screen(&output);
        let is_same = |(end, stream): (&End, &Stream)| match is_screen {
            true => end.is_screen,
            false => stream.goes_to(&output),
        };
        let mut pairs = source.ends.iter().zip(&sink.streams);
        if let Some(same) = pairs.position(is_same) {
            source.ends[same].numbers.push(number);
            continue;
        }
        let (stream, file) = match (&screen, slave.take_if(|_| is_screen)) {
            (Some(screen), Some(slave)) => (Stream::on_screen(screen.output()?, output), slave),
            _ => Stream::to(output)?,
        };
        sink.streams.push(stream);
        source.ends.push(End {
            file,
            numbers: vec![number],
            is_screen,
        });
    }
    if input.as_ref().is_some_and(is_on_screen) {
        source.screen_end().for_each(|end| end.numbers.push(0));
    }
    Ok((source, sink, screen))
}

impl Source {
    fn screen_end(&mut self) -> impl Iterator<Item = &mut End> {
        self.ends.iter_mut().filter(|end| end.is_screen)
    }

    /// The side for the command of the terminal that stands in for ours.
    ///
    /// # Errors
    ///
    /// Any error of dup(2).
    pub fn slave(&mut self) -> io::Result<Option<OwnedFd>> {
        let end = self.screen_end().next();
        end.map(|end| end.file.try_clone()).transpose()
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
        self.line.write_all(&length.to_ne_bytes())?;
        self.line.write_all(block)?;
        others().try_for_each(|other| self.line.write_all(other))?;
        BufReader::with_capacity(128, &self.line)
            .read_line(answer)
            .map(drop)
    }

    /// Puts the ends in the place of standard output and error, or only the one that is a terminal: our own messages
    /// belong on that as it is then.
    pub fn put_in_place(&self, only_screen: bool) {
        let ends = self.ends.iter().filter(|end| end.is_screen || !only_screen);
        for End { file, numbers, .. } in ends {
            for number in numbers {
                sys::put_in_place(file, *number);
            }
        }
    }
}

/// The filter, as a process.
pub struct Filter {
    sink: Sink,
    /// Readable once the command has ended.
    end_of_command: OwnedFd,
    supervisor: Pid,
}

/// Why a filter is not ready.
enum Failure {
    Memory(NoMemory),
    Patterns(Unlearnable),
    System(io::Error),
}

impl Filter {
    /// The filter of a command, given as the child that becomes it or stands in front of it, below `supervisor`.
    ///
    /// # Errors
    ///
    /// Any error of pidfd_open(2).
    pub fn of(worker: Pid, sink: Sink, supervisor: Pid) -> io::Result<Self> {
        Ok(Filter {
            sink,
            end_of_command: sys::end_of(worker)?,
            supervisor,
        })
    }

    /// Forgets all that the caller gave us, learns the secrets, and passes output on for as long as there is any.
    pub fn run(mut self, screen: Option<Screen>) -> ExitCode {
        let mut kept = self.descriptors();
        kept.extend(screen.iter().flat_map(Screen::descriptors));
        sys::forget_caller(&mut kept);
        locked::lock_everything();
        match self.pass_on_and_learn(screen) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                let _ = self.sink.answer(&failure.to_string());
                ExitCode::from(FAILED)
            }
        }
    }

    fn pass_on_and_learn(&mut self, screen: Option<Screen>) -> Result<(), Failure> {
        let none = Arc::new(Patterns::of([].into_iter())?);
        let streams = self.sink.streams.drain(..);
        let streams = streams.map(|stream| Ok((stream, Redactor::new(Arc::clone(&none))?)));
        let streams = streams.collect::<Result<Vec<_>, NoMemory>>()?;
        let progress = Progress::of(streams.len(), self.supervisor, screen, none);
        let end_of_command = self.end_of_command.as_fd();
        let (progress, sink) = (&progress, &mut self.sink);
        // Starting takes calls that are refused later.
        let has_started = &Barrier::new(streams.len() + 1);
        thread::scope(|scope| {
            for (stream, redactor) in streams {
                let pass_on = move || {
                    has_started.wait();
                    stream.pass_on(redactor, end_of_command, progress);
                };
                let thread = thread::Builder::new().stack_size(STACK);
                thread.spawn_scoped(scope, pass_on)?;
            }
            has_started.wait();
            sink.learn(progress);
            let event = Some((end_of_command, Event::Readable));
            if matches!(sys::wait_for_events([event], Some(SHORT)), Ok([false])) {
                sys::confine(Duty::Output);
            }
            Ok(())
        })
    }

    fn descriptors(&self) -> Vec<RawFd> {
        let own = [self.sink.line.as_raw_fd(), self.end_of_command.as_raw_fd()];
        let streams = self.sink.streams.iter().flat_map(Stream::descriptors);
        own.into_iter().chain(streams).collect()
    }
}

impl Sink {
    /// Learns one set of secrets after the other, for as long as somebody could tell one.
    fn learn(&mut self, progress: &Progress) {
        let mut sets = VecDeque::with_capacity(SETS);
        // Without a command no secrets come.
        while let Ok(length) = self.length() {
            let answer = match self.patterns(length, &mut sets) {
                Ok(patterns) => {
                    progress.set(Arc::new(patterns));
                    progress.begin();
                    READY.to_owned()
                }
                Err(failure) => failure.to_string(),
            };
            if self.answer(&answer).is_err() {
                return;
            }
        }
    }

    /// Waits for the size of a set.
    fn length(&mut self) -> io::Result<usize> {
        let mut length = [0; size_of::<usize>()];
        self.line.read_exact(&mut length)?;
        Ok(usize::from_ne_bytes(length))
    }

    /// Learns a set, `NAME=value` strings each with its NUL, beside the one before.
    fn patterns(
        &mut self,
        length: usize,
        sets: &mut VecDeque<Locked>,
    ) -> Result<Patterns, Failure> {
        let mut set = Locked::with_capacity(length)?;
        self.line.read_exact(&mut set.spare()[..length])?;
        set.grow(length);
        sets.truncate(SETS - 1);
        sets.push_front(set);
        let entries = sets
            .iter()
            .flat_map(|set| set.bytes().split(|byte| *byte == 0));
        let secrets = entries.filter_map(|entry| {
            let end = entry.iter().position(|byte| *byte == b'=')?;
            let name = std::str::from_utf8(&entry[..end]).ok()?;
            Some((name, &entry[end + 1..]))
        });
        Ok(Patterns::of(secrets)?)
    }

    fn answer(&mut self, text: &str) -> io::Result<()> {
        self.line.write_all(format!("{text}\n").as_bytes())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Memory(reason) => reason.fmt(f),
            Failure::Patterns(reason) => reason.fmt(f),
            Failure::System(error) => f.write_str(&plain(error)),
        }
    }
}

impl From<Unlearnable> for Failure {
    fn from(reason: Unlearnable) -> Self {
        Failure::Patterns(reason)
    }
}

impl From<NoMemory> for Failure {
    fn from(reason: NoMemory) -> Self {
        Failure::Memory(reason)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::System(error)
    }
}
