//! The audit trail: one line of JSON about a run, to a descriptor, the journal or syslog. Never a value.
//!
//! What cannot be written down does not happen: a destination that is of no use is found before any key is read, and a
//! command whose start cannot be recorded is not started.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use miniserde::{Serialize, json};

use crate::cli::{Action, Destination, Options};
use crate::error::{Error, visible_json};
use crate::event::{Event, Listener};
use crate::report::Report;
use crate::sys::{self, CalendarTime};

/// Where the journal listens.
const JOURNAL: &str = "/run/systemd/journal/socket";

/// Where syslog listens.
const SYSLOG: &str = "/dev/log";

/// The facility authpriv and the severity info, as syslog has them.
const PRIORITY: u8 = (10 << 3) | 6;

/// How long a logger may keep us waiting.
const PATIENCE: Duration = Duration::from_secs(5);

/// The destination as messages name it.
fn name(destination: Destination) -> String {
    match destination {
        Destination::Descriptor(number) => format!("descriptor {number}"),
        Destination::Journal => "the journal".to_owned(),
        Destination::Syslog => "syslog".to_owned(),
    }
}

/// Opens a destination; `claimed` is the descriptor, if it is one.
fn open(destination: Destination, claimed: Option<Arc<File>>) -> io::Result<Sink> {
    let connect = |path| {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        socket.connect(path).map(|()| socket)
    };
    Ok(match destination {
        Destination::Descriptor(_) => Sink::File(writable(claimed)?),
        Destination::Journal => Sink::Journal(connect(JOURNAL)?),
        Destination::Syslog => Sink::Syslog(connect(SYSLOG)?),
    })
}

fn writable(claimed: Option<Arc<File>>) -> io::Result<Arc<File>> {
    let file = claimed.ok_or(io::ErrorKind::NotFound)?;
    if !sys::is_writable(file.as_fd())? {
        return Err(io::Error::other("not open for writing"));
    }
    Ok(file)
}

/// An open destination.
enum Sink {
    File(Arc<File>),
    Journal(UnixDatagram),
    Syslog(UnixDatagram),
}

impl Sink {
    fn write(&mut self, line: &str, outcome: &str) -> io::Result<()> {
        match self {
            Sink::File(file) => sys::write_all(file.as_ref(), format!("{line}\n").as_bytes()),
            // Neither a line of JSON nor the outcome has a line feed, which would need the binary form.
            Sink::Journal(socket) => send(
                socket,
                &format!(
                    "MESSAGE={line}\nPRIORITY={}\nSYSLOG_FACILITY={}\nSYSLOG_IDENTIFIER=dotenv-run\nOUTCOME={outcome}\n",
                    PRIORITY & 7,
                    PRIORITY >> 3
                ),
            ),
            Sink::Syslog(socket) => send(
                socket,
                &format!(
                    "<{PRIORITY}>{} dotenv-run[{}]: {line}",
                    CalendarTime::here().rfc3164(),
                    sys::id()
                ),
            ),
        }
    }
}

fn send(socket: &UnixDatagram, message: &str) -> io::Result<()> {
    socket.send(message.as_bytes()).map(drop)
}

/// The record of a run, and where it is written; perhaps nowhere.
pub struct Audit {
    sink: Option<(Destination, Sink)>,
    record: &'static Mutex<Record>,
}

/// What is known of a run.
struct Record {
    path: String,
    organization: Option<String>,
    key: Option<String>,
    names: Vec<String>,
    command: Option<String>,
    done: &'static str,
}

/// The line. The names of the fields are those of the JSON, which the manual explains.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    path: &'a str,
    organization: Option<&'a str>,
    key: Option<&'a str>,
    names: &'a [String],
    command: Option<&'a str>,
    outcome: &'static str,
}

/// What the line of a failed run has besides.
#[derive(Serialize)]
struct FailedLine<'a> {
    time: String,
    path: &'a str,
    organization: Option<&'a str>,
    key: Option<&'a str>,
    names: &'a [String],
    command: Option<&'a str>,
    outcome: &'static str,
    status: u8,
    error: &'a str,
}

impl Audit {
    /// Begins the record of the one run of this process, and opens the destination that its options name: `claimed`, if
    /// it is a descriptor.
    ///
    /// # Errors
    ///
    /// If that is of no use.
    pub fn begin(options: &Options, claimed: Option<Arc<File>>) -> Result<Self, Error> {
        let open = |destination: Destination| {
            let sink = open(destination, claimed);
            sink.map(|sink| (destination, sink))
                .map_err(|error| failed(destination, error))
        };
        let (command, done) = match &options.action {
            Action::Run(run) if options.check.is_some() => (run.command.first(), "checked"),
            Action::Run(run) => (run.command.first(), "started"),
            Action::Print { .. } => (None, "printed"),
            Action::List { .. } => (None, "listed"),
        };
        let record = Record {
            path: options.paths.to_string(),
            organization: options.organization.clone(),
            key: None,
            names: Vec::new(),
            command: command.map(|name| name.to_string_lossy().into_owned()),
            done,
        };
        Ok(Audit {
            sink: options.audit.map(open).transpose()?,
            record: Box::leak(Box::new(Mutex::new(record))),
        })
    }

    /// A report to which the record listens, if it is written anywhere.
    pub fn listening(&self, report: Report) -> Report {
        match self.sink {
            Some(_) => report.with_listener(self.record),
            None => report,
        }
    }

    /// Writes down that all is ready and happens next.
    ///
    /// # Errors
    ///
    /// If it cannot be written: then it must not happen.
    pub fn done(&mut self) -> Result<(), Error> {
        self.write(None)
    }

    /// Writes down why the run failed; if that fails too, there is nothing left to be kept from happening.
    pub fn failed(&mut self, error: &Error, report: &Report) {
        if let Err(second) = self.write(Some(error)) {
            report.warn(format_args!("{second}"));
        }
    }

    fn write(&mut self, error: Option<&Error>) -> Result<(), Error> {
        let Some((destination, sink)) = &mut self.sink else {
            return Ok(());
        };
        let record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = error.map_or(record.done, |_| "failed");
        sink.write(&record.line(outcome, error), outcome)
            .map_err(|error| failed(*destination, error))
    }
}

impl Record {
    fn line(&self, outcome: &'static str, error: Option<&Error>) -> String {
        let line = Line {
            time: CalendarTime::in_utc().rfc3339(),
            path: &self.path,
            organization: self.organization.as_deref(),
            key: self.key.as_deref(),
            names: &self.names,
            command: self.command.as_deref(),
            outcome,
        };
        visible_json(&match error {
            None => json::to_string(&line),
            Some(error) => json::to_string(&FailedLine {
                time: line.time,
                path: line.path,
                organization: line.organization,
                key: line.key,
                names: line.names,
                command: line.command,
                outcome,
                status: error.status(),
                error: &error.kind(),
            }),
        })
    }
}

impl Listener for Mutex<Record> {
    fn record(&self, event: &Event<'_>) {
        let mut record = self.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::ApiKey { fingerprint, .. } => record.key = Some((*fingerprint).to_owned()),
            Event::Organization(ulid) => record.organization = Some((*ulid).to_owned()),
            Event::Secrets { names, .. } => record.names = names.clone(),
            _ => (),
        }
    }
}

fn failed(destination: Destination, error: io::Error) -> Error {
    Error::Audit {
        destination: name(destination),
        error,
    }
}
