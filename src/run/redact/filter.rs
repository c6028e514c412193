//! A process of its own between the command and the places that it writes to, which puts names in the place of secrets.
//!
//! It is there before any secret is read, and is told the secrets by the process that becomes the command, right before
//! it does. It is no child of the command, and ends when nobody writes any more. The kernel confines it before it reads
//! anything.
//!
//! It can be told further sets later, by who still has the other end of its line. Secrets of the set before are looked
//! for too, since what was written under that may be on its way still.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::thread;

use crate::error::FAILED;
use crate::run::messages::{Channel, FilterNews, Nothing};
use crate::run::redact::connection::{FilterEnd, READY};
use crate::run::redact::progress::Progress;
use crate::run::redact::stream::{Signs, Stream, WITNESSED};
use crate::run::redact::{Patterns, Redactor, Unlearnable};
use crate::run::stand_in::Screen;
use crate::sys::locked::{self, Locked, NoMemory};
use crate::sys::{self, Duty, plain};

/// How many sets of secrets are looked for: the last one, and the one before it.
const SETS: usize = 2;

/// The size in bytes of the stack of a thread that passes a stream on.
const STACK: usize = 256 * 1024;

/// The filter, as a process.
pub struct Filter {
    end: FilterEnd,
    /// Readable once the command has ended.
    end_of_command: OwnedFd,
    reporter: Channel<FilterNews, Nothing>,
    screen: Option<Screen>,
}

/// Why a filter is not ready.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Memory(#[from] NoMemory),
    #[error(transparent)]
    Patterns(#[from] Unlearnable),
    #[error("cannot be confined: {}", plain(.0))]
    Confinement(io::Error),
    #[error("{}", plain(.0))]
    System(#[from] io::Error),
}

/// What becomes of the threads that were started.
#[derive(Clone, Copy)]
enum Verdict {
    PassOn,
    GiveUp,
}

impl Filter {
    /// The filter of a command, of which `end_of_command` tells when it has ended, and which reports to the process in
    /// front of it.
    pub fn of(
        end: FilterEnd,
        end_of_command: OwnedFd,
        reporter: Channel<FilterNews, Nothing>,
        screen: Option<Screen>,
    ) -> Self {
        Filter {
            end,
            end_of_command,
            reporter,
            screen,
        }
    }

    /// Forgets all that the caller gave us, learns the secrets, and passes output on for as long as there is any.
    pub fn run(self) -> ExitCode {
        let own = [
            self.end_of_command.as_raw_fd(),
            self.reporter.as_fd().as_raw_fd(),
        ];
        let screen = self.screen.iter().flat_map(Screen::descriptors);
        let kept = own.into_iter().chain(self.end.descriptors()).chain(screen);
        if sys::forget_caller(&mut kept.collect::<Vec<_>>()).is_err() {
            // Without us, the worker does not become the command.
            return ExitCode::from(FAILED);
        }
        // More than was asked for; secrets have locked pages of their own.
        let _ = locked::lock_everything();
        let (streams, messages) = (self.end.streams.len(), self.end.messages());
        let of_group = self.screen.as_ref().map(|_| WITNESSED.descriptor());
        let progress = Progress::of(streams, messages, self.reporter, self.screen);
        let FilterEnd { line, streams, .. } = self.end;
        let mut line = Some(Line(line));
        let passed = of_group.transpose().map_err(Failure::System);
        let passed = passed.and_then(|of_group| {
            let signs = Signs {
                end_of_command: self.end_of_command.as_fd(),
                of_group: of_group.as_ref().map(AsFd::as_fd),
            };
            pass_on_and_learn(streams, &mut line, signs, &progress)
        });
        match passed {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                if let Some(mut line) = line {
                    // Whoever does not read it sees that we are gone.
                    let _ = line.answer(&failure.to_string());
                }
                progress.show_messages();
                ExitCode::from(FAILED)
            }
        }
    }
}

fn pass_on_and_learn(
    streams: Vec<Stream>,
    line: &mut Option<Line>,
    signs: Signs<'_>,
    progress: &Progress,
) -> Result<(), Failure> {
    confine()?;
    let none = Arc::new(Patterns::of([].into_iter())?);
    let streams = streams.into_iter();
    let streams = streams.map(|stream| Ok((stream, Redactor::new(Arc::clone(&none))?)));
    let streams = streams.collect::<Result<Vec<_>, NoMemory>>()?;
    let verdict = &OnceLock::new();
    thread::scope(|scope| {
        for (stream, redactor) in streams {
            let pass_on = move || {
                if let Verdict::PassOn = verdict.wait() {
                    stream.pass_on(redactor, signs, progress);
                }
            };
            let thread = thread::Builder::new().stack_size(STACK);
            if let Err(error) = thread.spawn_scoped(scope, pass_on) {
                // The others wait for it.
                verdict.get_or_init(|| Verdict::GiveUp);
                return Err(error.into());
            }
        }
        verdict.get_or_init(|| Verdict::PassOn);
        if let Some(line) = line.take() {
            line.learn(progress);
        }
        Ok(())
    })
}

/// Has the kernel refuse all that the filter does not need, in the threads that it starts too, before it reads anything.
fn confine() -> Result<(), Failure> {
    match sys::confine(Duty::Output) {
        Err(error) if sys::is_without_confinement(&error) => Ok(()),
        confined => confined.map_err(Failure::Confinement),
    }
}

/// The line on which the secrets come.
struct Line(File);

impl Line {
    /// Learns one set of secrets after the other, for as long as somebody could tell one. After an answer that cannot be
    /// given, the end of the line says that none comes.
    fn learn(mut self, progress: &Progress) {
        let mut sets = VecDeque::with_capacity(SETS);
        // Without a command no secrets come.
        while let Ok(length) = self.length() {
            let answer = match self.patterns(length, &mut sets) {
                Ok(patterns) => {
                    let set = progress.set(Arc::new(patterns));
                    set.map_or_else(|lost| lost, |()| READY.to_owned())
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
        self.0.read_exact(&mut length)?;
        Ok(usize::from_ne_bytes(length))
    }

    /// Learns a set, `NAME=value` strings each with its NUL, beside the one before.
    fn patterns(
        &mut self,
        length: usize,
        sets: &mut VecDeque<Locked>,
    ) -> Result<Patterns, Failure> {
        let mut set = Locked::with_capacity(length)?;
        self.0.read_exact(&mut set.spare()[..length])?;
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
        self.0.write_all(format!("{text}\n").as_bytes())
    }
}
