//! Standing in front of the command: which processes there are, and how each begins. The parent is there before any
//! secret is read, and so holds none.
//!
//! The command stays in the caller's session and process group unless `--group` says otherwise, and so
//! gets the terminal's signals from the terminal itself.
//!
//! With `--redact` on a terminal there are two parents. The command has a pseudo-terminal, and so a session, for which
//! the process that leads it, the monitor, does what a shell does for a job; the supervisor, whose child the monitor is,
//! is what the user's shell sees of it, and passes keys on.
//!
//! With `--watch` the parent's child is not the command but the keeper, beside which commands are started.

#![forbid(unsafe_code)]

use std::io;
use std::os::fd::OwnedFd;

use crate::cli::{Parent, Supervision, Watching};
use crate::error::Error;
use crate::run::front::Screen;
use crate::run::job_terminal::Terminal;
use crate::run::redact::filter::{self, Filter, Sink, Source};
use crate::run::supervisor::Supervisor;
use crate::run::watch::Watch;
use crate::run::watch::board::Board;
use crate::run::watch::keeper::Keeper;
use crate::sys::signal_names::{SIGHUP, SIGKILL};
use crate::sys::{self, Fork, Pid, SignalSet};

/// Which process the caller has become.
pub enum Side {
    /// The one that runs the pipeline and becomes the command.
    Worker(Place),
    /// The one that starts others, each of which runs the pipeline.
    Keeper(Keeper, Place),
    /// The one that filters what the command writes.
    Filter(Filter, Option<Screen>),
    /// The one that stands in front of it.
    Supervisor(Supervisor),
}

/// What is around a process that becomes the command.
#[derive(Default)]
pub struct Place {
    /// The process that the user started, if it stands in front of this one.
    pub supervisor: Option<Pid>,
    /// The command's end of the filter, with `--redact`.
    pub filter: Option<Source>,
}

/// What the command is to find as it was before there was a parent in front.
struct Start<'a> {
    how: &'a Supervision,
    /// The process that the user started.
    supervisor: Pid,
    mask: SignalSet,
    children_ignored: bool,
    watching: Option<(Watching, &'static Board)>,
}

/// Puts a supervisor in front of the rest of the program if one is needed. The process must still have a
/// single thread.
///
/// # Errors
///
/// If there can be no other process, or none of what a filter needs.
pub fn supervise(how: &Supervision) -> Result<Side, Error> {
    let is_needed = match how.parent {
        Parent::Always => true,
        Parent::AsInit => sys::id() == sys::INIT,
        Parent::Never => false,
    };
    if !is_needed {
        if sys::id() == sys::INIT {
            sys::end_by_signals().map_err(Error::Supervise)?;
        }
        let mask = sys::initial_mask().set_as_mask();
        mask.map_err(Error::Supervise)?;
        return Ok(Side::Worker(Place::default()));
    }
    let mask = sys::initial_mask();
    let blocked = SignalSet::ALL.set_as_mask();
    // Whoever waits in front must be able to let go of what the caller gave us, before there is anything to wait for.
    let closing = blocked.and_then(|_| sys::check_closing());
    closing.map_err(Error::Supervise)?;
    let board = |watching| Ok((watching, Board::share()?));
    let start = Start {
        how,
        supervisor: sys::id(),
        mask,
        children_ignored: sys::expect_children().map_err(Error::Supervise)?,
        watching: how
            .watching
            .map(board)
            .transpose()
            .map_err(Error::Supervise)?,
    };
    if how.subreaper {
        sys::adopt_orphans().map_err(Error::Supervise)?;
    }
    let filtered = how.redact.then(filter::connect).transpose();
    start.put_in_front(filtered.map_err(Error::Supervise)?)
}

impl Start<'_> {
    /// Starts the worker or the keeper, or the monitor in front of it, and the filter beside it if there is to be one.
    fn put_in_front(
        &self,
        filtered: Option<(Source, Sink, Option<Screen>)>,
    ) -> Result<Side, Error> {
        let (mut source, rest) = filtered
            .map(|(source, sink, screen)| (source, (sink, screen)))
            .unzip();
        let (sink, screen) = rest.unzip();
        let screen = screen.flatten();
        let slave = source.as_mut().map(Source::slave).transpose();
        let slave = slave.map_err(Error::Supervise)?.flatten();
        // Where there is a monitor, it gives the command a group and a terminal.
        let terminal = (self.how.group && slave.is_none()).then_some(Terminal);
        let is_in_foreground = match (&screen, &terminal) {
            (Some(screen), _) => screen.is_for_command(),
            (_, Some(terminal)) => terminal.is_held_by(sys::group()),
            _ => false,
        };
        match sys::fork().map_err(Error::Supervise)? {
            Fork::Child => {
                drop((sink, screen));
                match slave {
                    Some(slave) => self.monitor(slave, is_in_foreground, source),
                    None => self.worker(self.supervisor, terminal, is_in_foreground, source),
                }
            }
            Fork::Parent(worker) => {
                if terminal.is_some() && self.watching.is_none() {
                    // The child does it too: it has, if this fails, or fails itself.
                    let _ = sys::set_group(worker);
                }
                // Where there is a monitor, it is the one that watches.
                let watch = self.watch(worker).filter(|_| slave.is_none());
                drop((source, slave));
                let mut supervisor = Supervisor::of(worker, terminal, self.how, watch);
                let Some(sink) = sink else {
                    return Ok(Side::Supervisor(supervisor));
                };
                match self.start_filter(worker, sink)? {
                    (Fork::Child, filter) => Ok(Side::Filter(filter, screen)),
                    (Fork::Parent(filter), _) => {
                        supervisor.filter_with(filter, screen);
                        Ok(Side::Supervisor(supervisor))
                    }
                }
            }
        }
    }

    /// Starts the filter behind the worker, whose end it must see. Without one, the worker ends too: nobody answers it.
    fn start_filter(&self, worker: Pid, sink: Sink) -> Result<(Fork, Filter), Error> {
        let filter = Filter::of(worker, sink, self.supervisor);
        let started = filter.and_then(|filter| Ok((sys::fork()?, filter)));
        started.map_err(|error| {
            // It may have ended by itself.
            let _ = sys::send(worker, SIGKILL);
            Error::Supervise(error)
        })
    }

    /// Becomes the leader of a session on the terminal, with the worker as its child.
    fn monitor(
        &self,
        slave: OwnedFd,
        is_in_foreground: bool,
        source: Option<Source>,
    ) -> Result<Side, Error> {
        sys::lead_session_on(&slave).map_err(Error::Supervise)?;
        // Without the supervisor nobody types any more.
        die_with_parent(self.how.die_with_parent.unwrap_or(SIGHUP), self.supervisor)
            .map_err(Error::Supervise)?;
        let monitor = sys::id();
        match sys::fork().map_err(Error::Supervise)? {
            Fork::Child => self.worker(monitor, Some(Terminal), is_in_foreground, source),
            Fork::Parent(worker) => {
                if self.watching.is_none() {
                    // The child does it too: it has, if this fails, or fails itself.
                    let _ = sys::set_group(worker);
                }
                let watch = self.watch(worker);
                let mut supervisor = Supervisor::of(worker, Some(Terminal), self.how, watch);
                supervisor.monitor_for(self.supervisor, slave);
                Ok(Side::Supervisor(supervisor))
            }
        }
    }

    /// The part in watching that the parent of `keeper` has.
    fn watch(&self, keeper: Pid) -> Option<Watch> {
        let (watching, board) = self.watching?;
        Some(Watch::new(board, keeper, watching.on_change))
    }

    /// Becomes the worker, the child of `parent`, or the keeper, who starts it.
    fn worker(
        &self,
        parent: Pid,
        terminal: Option<Terminal>,
        is_in_foreground: bool,
        source: Option<Source>,
    ) -> Result<Side, Error> {
        let beginning = Beginning {
            parent,
            mask: self.mask,
            children_ignored: self.children_ignored,
            group: terminal.is_some(),
            die_with_parent: self.how.die_with_parent,
        };
        if let Some(source) = &source {
            source.put_in_place(true).map_err(Error::Supervise)?;
        }
        let place = Place {
            supervisor: Some(self.supervisor),
            filter: source,
        };
        if let Some((watching, board)) = self.watching {
            let keeper = Keeper::new(board, watching, beginning);
            return Ok(Side::Keeper(keeper.map_err(Error::Supervise)?, place));
        }
        beginning
            .begin_in(terminal.filter(|_| is_in_foreground))
            .and_then(|()| beginning.restore_mask())
            .map_err(Error::Supervise)?;
        Ok(Side::Worker(place))
    }
}

/// How the process that signals are for begins, which only it can do for itself.
#[derive(Clone, Copy)]
pub struct Beginning {
    /// The process in front of it.
    pub parent: Pid,
    mask: SignalSet,
    children_ignored: bool,
    group: bool,
    die_with_parent: Option<i32>,
}

impl Beginning {
    /// Begins, still in the parent's group, and with the terminal if that has it.
    ///
    /// # Errors
    ///
    /// If something that was asked for cannot be done.
    pub fn begin(&self) -> io::Result<()> {
        let terminal = self.group.then_some(Terminal);
        let group = sys::group();
        self.begin_in(terminal.filter(|terminal| terminal.is_held_by(group)))
    }

    /// Begins, in a group of its own if it is to have one, and gives that this terminal.
    fn begin_in(&self, terminal: Option<Terminal>) -> io::Result<()> {
        if self.group {
            sys::set_group(sys::id())?;
            if let Some(terminal) = terminal {
                terminal.hand_to(sys::id());
            }
        }
        if let Some(signal) = self.die_with_parent {
            die_with_parent(signal, self.parent)?;
        }
        if self.children_ignored {
            sys::ignore_children()?;
        }
        Ok(())
    }

    /// Lets those signals through that the caller did.
    ///
    /// # Errors
    ///
    /// Any error of rt_sigprocmask(2).
    pub fn restore_mask(&self) -> io::Result<()> {
        self.mask.set_as_mask().map(drop)
    }
}

/// Has the kernel send us `signal` when `parent` is gone, or dies of it if it is already.
///
/// # Errors
///
/// Any error of prctl(2), and of the calls by which we die.
pub fn die_with_parent(signal: i32, parent: Pid) -> io::Result<()> {
    sys::die_with_parent(signal)?;
    if sys::parent() != parent {
        sys::die_by(signal)?;
    }
    Ok(())
}
