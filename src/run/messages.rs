//! What our own processes tell each other: messages of one size, over a pair of sockets.
//!
//! A process that cannot send or understand a message drops its end, and one whose peer is gone stops waiting for it. So
//! no message is lost unnoticed.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use crate::sys::{self, Pid};

/// A message on its way: its kind, a signal, two bytes of padding, a round.
type Bytes = [u8; 8];

/// One end of a pair, which sends messages of one kind and receives those of another. Neither waits.
pub struct Channel<Out, In> {
    /// Not a `UnixStream`, which makes other system calls than read(2) and write(2).
    socket: File,
    messages: PhantomData<fn(Out) -> In>,
}

/// The peer is gone, or does not take what it is sent, or sends what no peer of ours does.
#[derive(Debug, PartialEq, Eq)]
pub struct Lost;

/// What can be sent over a channel.
pub trait Message: Copy {
    fn encode(self) -> Bytes;

    /// `None` if no process of ours sends this.
    fn decode(bytes: Bytes) -> Option<Self>;
}

impl<Out: Message, In: Message> Channel<Out, In> {
    /// Makes both ends, which a program that is executed does not inherit.
    ///
    /// # Errors
    ///
    /// Any error of socketpair(2).
    pub fn pair() -> io::Result<(Self, Channel<In, Out>)> {
        let (near, far) = UnixStream::pair()?;
        near.set_nonblocking(true)?;
        far.set_nonblocking(true)?;
        Ok((Channel::over(near), Channel::over(far)))
    }

    fn over(socket: UnixStream) -> Self {
        Channel {
            socket: OwnedFd::from(socket).into(),
            messages: PhantomData,
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    ///
    /// If the peer does not get it. The channel is of no more use then.
    pub fn send(&self, message: Out) -> Result<(), Lost> {
        let bytes = message.encode();
        let sent = sys::persist(|| match (&self.socket).write(&bytes) {
            Ok(written) => Ok(written == bytes.len()),
            // Including one whose buffer is full of what it has not read.
            Err(error) if is_final(&error) => Ok(false),
            Err(error) => Err(error),
        });
        match sent {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(Lost),
        }
    }

    /// Takes the next message, if there is one.
    ///
    /// # Errors
    ///
    /// If there will be none any more.
    pub fn receive(&self) -> Result<Option<In>, Lost> {
        let mut bytes = Bytes::default();
        let read = sys::persist(|| match (&self.socket).read(&mut bytes) {
            Err(error) if is_final(&error) => Ok(Err(error)),
            read => read.map(Ok),
        });
        match read {
            Ok(Ok(read)) if read == bytes.len() => In::decode(bytes).map(Some).ok_or(Lost),
            Ok(Err(error)) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            _ => Err(Lost),
        }
    }
}

/// Whether an error is one that says something about the peer, and not one of a kernel that refuses the call.
fn is_final(error: &io::Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionReset, WouldBlock};
    [BrokenPipe, ConnectionReset, WouldBlock].contains(&error.kind())
}

impl<Out, In> AsFd for Channel<Out, In> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// What the process on the user's terminal has the monitor do about the command's group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// To send it a signal, other than the one that continues it.
    Signal(i32),
    /// To continue it. A new round begins when the user's shell has continued us: what was reported in an earlier one
    /// is out of date.
    Continue { round: u32, ground: Ground },
}

/// Where a job is on its terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    Foreground,
    Background,
}

/// What the monitor reports about the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobNews {
    /// It is in the foreground of its terminal, and so gets the signals of keys.
    InForeground { round: u32 },
    /// A signal has stopped it.
    Stopped { round: u32, signal: i32 },
}

/// What the filter reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterNews {
    /// The command, or a prompt before it, is about to need the terminal.
    NeedsTerminal,
    /// Some of what the command wrote is lost, and the filter has said why.
    OutputLost,
    /// All else that the command wrote before its end is written.
    AllWritten,
    /// A process has sent this signal to all of our group.
    Witnessed { signal: i32, sender: Pid },
}

/// What a process sends that only receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nothing {}

fn bytes(kind: u8, signal: i32, round: u32) -> Bytes {
    let [a, b, c, d] = round.to_ne_bytes();
    [
        kind,
        u8::try_from(signal).unwrap_or_default(),
        0,
        0,
        a,
        b,
        c,
        d,
    ]
}

/// The kind, the signal and the round.
fn parts(bytes: Bytes) -> (u8, i32, u32) {
    let [kind, signal, _, _, a, b, c, d] = bytes;
    (kind, signal.into(), u32::from_ne_bytes([a, b, c, d]))
}

impl Message for Order {
    fn encode(self) -> Bytes {
        match self {
            Order::Signal(signal) => bytes(1, signal, 0),
            Order::Continue { round, ground } => match ground {
                Ground::Foreground => bytes(2, 0, round),
                Ground::Background => bytes(3, 0, round),
            },
        }
    }

    fn decode(bytes: Bytes) -> Option<Self> {
        let resumed = |round, ground| Order::Continue { round, ground };
        match parts(bytes) {
            (1, signal @ 1.., _) => Some(Order::Signal(signal)),
            (2, _, round) => Some(resumed(round, Ground::Foreground)),
            (3, _, round) => Some(resumed(round, Ground::Background)),
            _ => None,
        }
    }
}

impl Message for JobNews {
    fn encode(self) -> Bytes {
        match self {
            JobNews::InForeground { round } => bytes(1, 0, round),
            JobNews::Stopped { round, signal } => bytes(2, signal, round),
        }
    }

    fn decode(bytes: Bytes) -> Option<Self> {
        match parts(bytes) {
            (1, _, round) => Some(JobNews::InForeground { round }),
            (2, signal @ 1.., round) => Some(JobNews::Stopped { round, signal }),
            _ => None,
        }
    }
}

impl Message for FilterNews {
    fn encode(self) -> Bytes {
        match self {
            FilterNews::NeedsTerminal => bytes(1, 0, 0),
            FilterNews::AllWritten => bytes(2, 0, 0),
            FilterNews::OutputLost => bytes(3, 0, 0),
            FilterNews::Witnessed { signal, sender } => bytes(4, signal, sender.cast_unsigned()),
        }
    }

    fn decode(bytes: Bytes) -> Option<Self> {
        match parts(bytes) {
            (1, ..) => Some(FilterNews::NeedsTerminal),
            (2, ..) => Some(FilterNews::AllWritten),
            (3, ..) => Some(FilterNews::OutputLost),
            (4, signal @ 1.., sender) => Some(FilterNews::Witnessed {
                signal,
                sender: sender.cast_signed(),
            }),
            _ => None,
        }
    }
}

impl Message for Nothing {
    fn encode(self) -> Bytes {
        match self {}
    }

    fn decode(_bytes: Bytes) -> Option<Self> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_in_their_order() {
        let (front, monitor) = Channel::<Order, JobNews>::pair().unwrap();
        let round = u32::MAX;
        let orders = [
            Order::Signal(1),
            Order::Signal(64),
            Order::Continue {
                round,
                ground: Ground::Foreground,
            },
            Order::Continue {
                round: 0,
                ground: Ground::Background,
            },
        ];
        for order in orders {
            front.send(order).unwrap();
        }
        for order in orders {
            assert_eq!(monitor.receive(), Ok(Some(order)));
        }
        assert_eq!(monitor.receive(), Ok(None));
        let news = [
            JobNews::InForeground { round },
            JobNews::Stopped { round, signal: 20 },
        ];
        for news in news {
            monitor.send(news).unwrap();
            assert_eq!(front.receive(), Ok(Some(news)));
        }
    }

    #[test]
    fn a_peer_that_is_gone_is_noticed_behind_what_it_has_sent() {
        let (supervisor, filter) = Channel::<Nothing, FilterNews>::pair().unwrap();
        filter.send(FilterNews::NeedsTerminal).unwrap();
        filter.send(FilterNews::AllWritten).unwrap();
        drop(filter);
        let received = [(); 3].map(|()| supervisor.receive());
        assert_eq!(
            received,
            [
                Ok(Some(FilterNews::NeedsTerminal)),
                Ok(Some(FilterNews::AllWritten)),
                Err(Lost)
            ]
        );
        let (supervisor, filter) = Channel::<Nothing, FilterNews>::pair().unwrap();
        drop(supervisor);
        assert_eq!(filter.send(FilterNews::AllWritten), Err(Lost));
    }

    #[test]
    fn a_peer_that_reads_nothing_is_lost_and_not_waited_for() {
        let (front, _monitor) = Channel::<Order, JobNews>::pair().unwrap();
        let sent = (0..1_000_000).take_while(|_| front.send(Order::Signal(2)).is_ok());
        assert!((100..1_000_000).contains(&sent.count()));
    }

    #[test]
    fn what_no_peer_of_ours_sends_is_the_end() {
        let (front, monitor) = Channel::<Order, JobNews>::pair().unwrap();
        for sent in [&[0; 8][..], &[1, 0, 0, 0, 0, 0, 0, 0], &[2; 3]] {
            (&front.socket).write_all(sent).unwrap();
            assert_eq!(monitor.receive(), Err(Lost), "{sent:?}");
        }
    }
}
