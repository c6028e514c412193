//! Standing in front of the command: which processes there are. The parent is there before any secret is read, and so
//! holds none.
//!
//! The command stays in the caller's session and process group unless `--group` says otherwise, and so
//! gets the terminal's signals from the terminal itself.
//!
//! With `--redact` on a terminal there are two parents. The command has a pseudo-terminal, and so a session, for which
//! the process that leads it, the monitor, does what a shell does for a job; the front, whose child the monitor is, is
//! what the user's shell sees of it, and passes keys on.
//!
//! With `--watch` the parent's child is not the command but the keeper, beside which commands are started.

#![forbid(unsafe_code)]

use std::io;
use std::process::ExitCode;

use crate::cli::{Parent, Supervision, Watching};
use crate::error::Error;
use crate::run::front::{Desk, Front};
use crate::run::job::Job;
use crate::run::job_terminal::{Lending, Terminal};
use crate::run::messages::Channel;
use crate::run::monitor::{Link, Monitor};
use crate::run::redact::connection::{self, CommandEnd, FilterEnd};
use crate::run::redact::filter::Filter;
use crate::run::stand_in::Screen;
use crate::run::supervisor::{FilterReports, Supervisor};
use crate::run::waiting::Waiting;
use crate::run::watch::Watch;
use crate::run::watch::board::Board;
use crate::run::watch::keeper::Keeper;
use crate::run::worker::{Children, Group, WorkerStart, die_with_parent};
use crate::sys::signal_names::{SIGHUP, SIGKILL};
use crate::sys::{self, Duty, Fork, Pid, SignalSet};

/// Which process the caller has become.
pub enum Side {
    /// The one that runs the pipeline and becomes the command.
    Worker(WorkerContext),
    /// The one that starts others, each of which runs the pipeline.
    Keeper(Keeper, WorkerContext),
    /// The one that does its work around the command, and never runs the pipeline.
    Attendant(Attendant),
}

/// A process around the command.
pub enum Attendant {
    /// Filters what the command writes.
    Filter(Filter),
    /// Stands in front of the command.
    Supervisor(Supervisor),
    /// Stands in front of the command on a pseudo-terminal.
    Monitor(Monitor),
    /// Stands in front of the monitor, on the user's terminal.
    Front(Front),
}

impl Attendant {
    /// Does that work until the command has ended, and gives back the status to end with.
    pub fn run(self) -> ExitCode {
        match self {
            Attendant::Filter(filter) => filter.run(),
            Attendant::Supervisor(supervisor) => supervisor.run(),
            Attendant::Monitor(monitor) => monitor.run(),
            Attendant::Front(front) => front.run(),
        }
    }
}

/// What is around a process that becomes the command.
#[derive(Default)]
pub struct WorkerContext {
    /// The process that the user started, if it stands in front of this one.
    pub supervisor: Option<Pid>,
    /// The command's end of the filter, with `--redact`.
    pub filter: Option<CommandEnd>,
}

/// What the command is to find as it was before there was a parent in front.
struct Start<'a> {
    how: &'a Supervision,
    /// The process that the user started.
    supervisor: Pid,
    mask: SignalSet,
    children: Children,
    watching: Option<(Watching, &'static Board)>,
}

/// Where the command's process is, below its parent.
struct Location {
    parent: Pid,
    group: Group,
    /// The terminal, if the command is to be in its foreground.
    terminal: Option<Terminal>,
}

/// Puts a supervisor in front of the rest of the program if one is needed. The process must still have a
/// single thread.
///
/// # Errors
///
/// If there can be no other process, or none of what a filter needs, or a call is refused that it takes to wait.
pub fn supervise(how: &Supervision) -> Result<Side, Error> {
    let is_needed = match how.parent {
        Parent::Always => true,
        Parent::AsInit => sys::id() == sys::INIT,
        Parent::Never => false,
    };
    if !is_needed {
        return stay_alone().map_err(Error::Supervise);
    }
    sys::check_waiting()?;
    let start = Start::of(how).map_err(Error::Supervise)?;
    if !how.redact {
        return start.put_in_front(None).map_err(Error::Supervise);
    }
    let (command, filter, screen) = connection::connect()?;
    let begun = match screen {
        Some(screen) => start.put_on_terminal(command, filter, screen),
        None => start.put_in_front(Some((command, filter))),
    };
    begun.map_err(Error::Supervise)
}

fn stay_alone() -> io::Result<Side> {
    if sys::id() == sys::INIT {
        sys::end_by_signals()?;
    }
    sys::initial_mask().set_as_mask()?;
    Ok(Side::Worker(WorkerContext::default()))
}

impl<'a> Start<'a> {
    /// Gets ready for there being several processes.
    fn of(how: &'a Supervision) -> io::Result<Self> {
        let mask = sys::initial_mask();
        SignalSet::ALL.set_as_mask()?;
        // Whoever waits in front must be able to let go of what the caller gave us, before there is anything to wait for.
        sys::check_closing()?;
        let children = if sys::expect_children()? {
            Children::Ignored
        } else {
            Children::Expected
        };
        let watching = match how.watching {
            Some(watching) => Some((watching, Board::share()?)),
            None => None,
        };
        if how.subreaper {
            sys::adopt_orphans()?;
        }
        Ok(Start {
            how,
            supervisor: sys::id(),
            mask,
            children,
            watching,
        })
    }

    /// Starts the worker or the keeper, and the filter beside it if there is to be one.
    fn put_in_front(&self, ends: Option<(CommandEnd, FilterEnd)>) -> io::Result<Side> {
        let waiting = match ends {
            Some(_) => Waiting::for_messages(Duty::Messages)?,
            None => Waiting::for_signals(),
        };
        let (command, filter) = ends.unzip();
        let lending = if self.how.group {
            Some(Lending::find()?)
        } else {
            None
        };
        let is_in_foreground = lending == Some(Lending::AtOnce) && Terminal.is_held_by_us()?;
        let location = Location {
            parent: self.supervisor,
            group: lending.map_or(Group::Inherited, Group::Own),
            terminal: Some(Terminal).filter(|_| is_in_foreground),
        };
        let worker = match sys::fork()? {
            Fork::Child => {
                drop((waiting, filter));
                return self.worker(&location, command);
            }
            Fork::Parent(worker) => worker,
        };
        drop(command);
        let job = self.job(worker, lending);
        let Some(filter) = filter else {
            let none = FilterReports::none();
            return Ok(Side::Attendant(Attendant::Supervisor(Supervisor::of(
                job, none, waiting,
            ))));
        };
        match self.start_filter(worker, filter, None)? {
            Beside::Filter(filter) => Ok(Side::Attendant(Attendant::Filter(filter))),
            Beside::Parent(reports, _) => Ok(Side::Attendant(Attendant::Supervisor(
                Supervisor::of(job, reports, waiting),
            ))),
        }
    }

    /// Starts the monitor on a terminal that stands in for ours, and the filter beside it.
    fn put_on_terminal(
        &self,
        command: CommandEnd,
        filter: FilterEnd,
        screen: Screen,
    ) -> io::Result<Side> {
        let waiting = Waiting::for_messages(Duty::Keys)?;
        let (to_monitor, to_front) = Channel::pair()?;
        let link = Link {
            front: self.supervisor,
            channel: to_front,
            slave: command.slave()?,
        };
        let terminal = Some(Terminal).filter(|_| screen.is_for_command());
        let monitor = match sys::fork()? {
            Fork::Child => {
                drop((waiting, to_monitor, filter, screen));
                return self.monitor(link, terminal, command);
            }
            Fork::Parent(monitor) => monitor,
        };
        drop((command, link));
        match self.start_filter(monitor, filter, Some(screen))? {
            Beside::Filter(filter) => Ok(Side::Attendant(Attendant::Filter(filter))),
            Beside::Parent(reports, screen) => {
                let desk = screen.map(|screen| Desk::of(screen, to_monitor));
                Ok(Side::Attendant(Attendant::Front(Front::of(
                    monitor, reports, desk, waiting,
                ))))
            }
        }
    }

    /// Starts the filter behind the worker, whose end it must see. Without one, the worker ends too: nobody answers it.
    fn start_filter(
        &self,
        worker: Pid,
        end: FilterEnd,
        screen: Option<Screen>,
    ) -> io::Result<Beside> {
        let start = || -> io::Result<_> {
            let end_of_worker = sys::end_of(worker)?;
            let (reports, reporter) = Channel::pair()?;
            let forked = sys::fork()?;
            Ok((forked, end_of_worker, reports, reporter))
        };
        let (forked, end_of_worker, reports, reporter) = start().inspect_err(|_| {
            // If it has ended, that is as well.
            let _ = sys::send(worker, SIGKILL);
        })?;
        Ok(match forked {
            Fork::Child => Beside::Filter(Filter::of(end, end_of_worker, reporter, screen)),
            Fork::Parent(_) => Beside::Parent(FilterReports::over(reports), screen),
        })
    }

    /// Becomes the leader of a session on the terminal, with the worker as its child.
    fn monitor(
        &self,
        link: Link,
        terminal: Option<Terminal>,
        command: CommandEnd,
    ) -> io::Result<Side> {
        sys::lead_session_on(&link.slave)?;
        // Without the supervisor nobody types any more.
        die_with_parent(self.how.die_with_parent.unwrap_or(SIGHUP), self.supervisor)?;
        let waiting = Waiting::for_messages(Duty::Keys)?;
        let location = Location {
            parent: sys::id(),
            group: Group::Own(match terminal {
                Some(_) => Lending::AtOnce,
                None => Lending::OnDemand,
            }),
            terminal,
        };
        match sys::fork()? {
            Fork::Child => {
                drop((link, waiting));
                self.worker(&location, Some(command))
            }
            Fork::Parent(worker) => {
                drop(command);
                let job = self.job(worker, Some(Lending::AtOnce));
                Ok(Side::Attendant(Attendant::Monitor(Monitor::of(
                    job, link, waiting,
                ))))
            }
        }
    }

    /// The job of a worker or keeper, our child, whose group is lent the terminal like this if it has one of its own.
    fn job(&self, worker: Pid, lending: Option<Lending>) -> Job {
        if lending.is_some() && self.watching.is_none() {
            // The worker does it as well, and minds if it fails. It may be the command already.
            let _ = sys::set_group(worker);
        }
        let watch = self
            .watching
            .map(|(watching, board)| Watch::new(board, worker, watching.on_change));
        Job::of(worker, lending, self.how, watch)
    }

    /// Becomes the worker, or the keeper, who starts it.
    fn worker(&self, location: &Location, filter: Option<CommandEnd>) -> io::Result<Side> {
        let start = WorkerStart {
            parent: location.parent,
            mask: self.mask,
            children: self.children,
            group: location.group,
            die_with_parent: self.how.die_with_parent,
        };
        if let Some(filter) = &filter {
            filter.put_terminal_in_place()?;
        }
        let context = WorkerContext {
            supervisor: Some(self.supervisor),
            filter,
        };
        if let Some((watching, board)) = self.watching {
            return Ok(Side::Keeper(Keeper::new(board, watching, start)?, context));
        }
        start.begin_on(location.terminal)?;
        start.restore_mask()?;
        Ok(Side::Worker(context))
    }
}

/// The two sides of the start of the filter.
enum Beside {
    Filter(Filter),
    Parent(FilterReports, Option<Screen>),
}
