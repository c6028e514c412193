//! Waiting for signals and messages, in the processes in front of the command.

#![forbid(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};
use std::{array, io};

use crate::sys::signal_names::SIGCHLD;
use crate::sys::{self, Duty, Interest, Signal, SignalSet};

/// How long a run may be that does not pay for the confinement of its supervisor, which takes the kernel as long as all
/// the rest of the start.
const SHORT: Duration = Duration::from_millis(20);

/// How many descriptors are waited for at most.
const MOST: usize = 4;

/// The descriptors that are waited for beside signals.
pub type Awaited<'a> = [Option<(BorrowedFd<'a>, Interest)>; MOST];

/// What has come.
pub enum Wake {
    /// A signal, which is taken.
    Signal(Signal),
    /// Something of what is waited for, in the same places. It may be less than is said.
    Ready([bool; MOST]),
    /// The time.
    Due,
}

/// How a process waits.
pub struct Waiting {
    /// Readable when there are signals; only who waits for something else too needs that.
    signals: Option<OwnedFd>,
    confinement: Confinement,
}

/// When the process is confined to what waiting needs.
enum Confinement {
    Due { at: Instant, duty: Duty },
    Over,
}

impl Waiting {
    /// Waits for signals alone, and holds no descriptor.
    pub fn for_signals() -> Self {
        Waiting {
            signals: None,
            confinement: Confinement::Due {
                at: Instant::now() + SHORT,
                duty: Duty::Signals,
            },
        }
    }

    /// Waits for descriptors too, as a process of this duty.
    ///
    /// # Errors
    ///
    /// Any error of signalfd(2).
    pub fn for_messages(duty: Duty) -> io::Result<Self> {
        Ok(Waiting {
            signals: Some(SignalSet::ALL.descriptor()?),
            confinement: Confinement::Due {
                at: Instant::now() + SHORT,
                duty,
            },
        })
    }

    /// The descriptor that it needs.
    pub fn descriptor(&self) -> Option<RawFd> {
        self.signals.as_ref().map(OwnedFd::as_raw_fd)
    }

    /// Confines the process at once.
    pub fn confine(&mut self) {
        if let Confinement::Due { duty, .. } = self.confinement {
            // It holds no secret. Where the kernel has no such filters, or another one refuses ours, it is no worse off
            // than the command.
            let _ = sys::confine(duty);
            self.confinement = Confinement::Over;
        }
    }

    /// Waits for the next signal, for something of `others`, or until the time has come. Signals come first.
    pub fn next(&mut self, until: Option<Instant>, others: Awaited<'_>) -> Wake {
        self.confining(until, |waiting, until| waiting.wait(until, others))
    }

    /// Waits for what happens to children alone. All other signals stay pending.
    pub fn next_of_children(&mut self, until: Option<Instant>) -> Wake {
        self.confining(until, |_, until| taken(SignalSet::of(&[SIGCHLD]), until))
    }

    /// Waits until it is time to confine the process, and goes on waiting then.
    fn confining(
        &mut self,
        until: Option<Instant>,
        wait: impl Fn(&Self, Option<Instant>) -> Wake,
    ) -> Wake {
        if let Confinement::Due { at, .. } = self.confinement {
            match wait(self, Some(at)) {
                Wake::Due => self.confine(),
                early => return early,
            }
        }
        wait(self, until)
    }

    fn wait(&self, until: Option<Instant>, others: Awaited<'_>) -> Wake {
        let Some(signals) = &self.signals else {
            return taken(SignalSet::ALL, until);
        };
        loop {
            let now = Instant::now();
            match taken(SignalSet::ALL, Some(now)) {
                Wake::Due if until.is_some_and(|until| until <= now) => return Wake::Due,
                Wake::Due => (),
                wake => return wake,
            }
            let mut events = [None; MOST + 1];
            events[..MOST].copy_from_slice(&others);
            events[MOST] = Some((signals.as_fd(), Interest::Readable));
            let patience = until.map(|until| until.saturating_duration_since(now));
            match sys::wait_for_events(events, patience) {
                Ok([.., true]) => (),
                Ok(ready) if ready.contains(&true) => {
                    return Wake::Ready(array::from_fn(|index| ready[index]));
                }
                Ok(_) => (),
                Err(_) => return Wake::Ready([true; MOST]),
            }
        }
    }
}

/// Takes the next of these signals. If the kernel refuses to tell of them for a while, all else has to be looked at.
fn taken(signals: SignalSet, until: Option<Instant>) -> Wake {
    match sys::persist(|| signals.wait(until)) {
        Ok(Some(signal)) => Wake::Signal(signal),
        Ok(None) => Wake::Due,
        Err(_) => Wake::Ready([true; MOST]),
    }
}
