//! The audit trail: one line of JSON about a run, to a descriptor, the journal or syslog. Never a value.
//!
//! What cannot be written down does not happen: a destination that is of no use is found before any key is read, and a
//! command whose start cannot be recorded is not started.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::cli::{Action, Options};
use crate::error::Error;
use crate::keys::ApiKey;
use crate::report::Report;
use crate::store::documents;
use crate::sys::{self, CalendarTime};
use crate::variables::Variable;

/// Where the line goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// An open descriptor.
    Descriptor(i32),
    /// systemd's journal, in its own protocol.
    Journal,
    /// syslog, in the format of RFC 3164.
    Syslog,
}

/// Where the journal listens.
const JOURNAL: &str = "/run/systemd/journal/socket";

/// Where syslog listens.
const SYSLOG: &str = "/dev/log";

/// The facility authpriv and the severity info, as syslog has them.
const PRIORITY: u8 = (10 << 3) | 6;

/// How long a logger may keep us waiting.
const PATIENCE: Duration = Duration::from_secs(5);

impl Destination {
    /// Reads what `--audit` takes.
    ///
    /// # Errors
    ///
    /// What would be right.
    pub fn named(text: &str) -> Result<Self, &'static str> {
        let number = text.strip_prefix("fd:").unwrap_or(text);
        match (text, number.parse()) {
            ("journal", _) => Ok(Destination::Journal),
            ("syslog", _) => Ok(Destination::Syslog),
            (_, Ok(number)) if number > 0 => Ok(Destination::Descriptor(number)),
            _ => Err("must be journal, syslog or the number of a descriptor above 0"),
        }
    }

    fn name(self) -> String {
        match self {
            Destination::Descriptor(number) => format!("descriptor {number}"),
            Destination::Journal => "the journal".to_owned(),
            Destination::Syslog => "syslog".to_owned(),
        }
    }

    fn open(self) -> io::Result<Sink> {
        let connect = |path| {
            let socket = UnixDatagram::unbound()?;
            socket.set_write_timeout(Some(PATIENCE))?;
            socket.connect(path).map(|()| socket)
        };
        Ok(match self {
            Destination::Descriptor(number) => Sink::File(sys::take_output(number)?),
            Destination::Journal => Sink::Journal(connect(JOURNAL)?),
            Destination::Syslog => Sink::Syslog(connect(SYSLOG)?),
        })
    }
}

/// An open destination.
enum Sink {
    File(File),
    Journal(UnixDatagram),
    Syslog(UnixDatagram),
}

impl Sink {
    fn write(&mut self, line: &str, outcome: &str) -> io::Result<()> {
        match self {
            Sink::File(file) => file.write_all(format!("{line}\n").as_bytes()),
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

/// What came of a run.
enum Outcome<'a> {
    /// The command is about to take the process over, or what was asked for to be written.
    Done(&'static str),
    /// The run failed.
    Failed(&'a Error),
}

/// What is known of a run, and where it is to be written down; perhaps nowhere.
pub struct Audit {
    sink: Option<(Destination, Sink)>,
    path: String,
    organization: Option<String>,
    key: Option<String>,
    names: Vec<String>,
    command: Option<String>,
    done: &'static str,
}

impl Audit {
    /// Begins the record of a run, and opens the destination that its options name.
    ///
    /// # Errors
    ///
    /// If that is of no use.
    pub fn begin(options: &Options) -> Result<Self, Error> {
        let open = |destination: Destination| {
            let sink = destination.open();
            sink.map(|sink| (destination, sink))
                .map_err(|error| failed(destination, error))
        };
        let (command, done) = match &options.action {
            Action::Run(run) if options.check.is_some() => (run.command.first(), "checked"),
            Action::Run(run) => (run.command.first(), "started"),
            Action::Print { .. } => (None, "printed"),
            Action::List { .. } => (None, "listed"),
        };
        Ok(Audit {
            sink: options.audit.map(open).transpose()?,
            path: options.path.to_string(),
            organization: options.organization.clone(),
            key: None,
            names: Vec::new(),
            command: command.map(|name| name.to_string_lossy().into_owned()),
            done,
        })
    }

    /// Takes note of the API key, by its fingerprint.
    pub fn note_key(&mut self, key: &ApiKey) {
        if self.sink.is_some() {
            self.key = Some(key.fingerprint());
        }
    }

    /// Takes note of whose secrets they are, where that is known.
    pub fn note_organization(&mut self, organization: Option<&str>) {
        if let Some(organization) = organization {
            self.organization = Some(organization.to_owned());
        }
    }

    /// Takes note of the names that are given out.
    pub fn note_names(&mut self, secrets: &[Variable<'_>]) {
        if self.sink.is_some() {
            let names = secrets
                .iter()
                .map(|secret| secret.name.clone().into_owned());
            self.names = names.collect();
        }
    }

    /// Writes down that all is ready and happens next.
    ///
    /// # Errors
    ///
    /// If it cannot be written: then it must not happen.
    pub fn done(&mut self) -> Result<(), Error> {
        self.write(&Outcome::Done(self.done))
    }

    /// Writes down why the run failed; if that fails too, there is nothing left to be kept from happening.
    pub fn failed(&mut self, error: &Error, report: &Report) {
        if let Err(second) = self.write(&Outcome::Failed(error)) {
            report.warn(format_args!("{second}"));
        }
    }

    fn write(&mut self, outcome: &Outcome<'_>) -> Result<(), Error> {
        let line = self.line(outcome);
        let Some((destination, sink)) = &mut self.sink else {
            return Ok(());
        };
        let word = match outcome {
            Outcome::Done(word) => word,
            Outcome::Failed(_) => "failed",
        };
        sink.write(&line, word)
            .map_err(|error| failed(*destination, error))
    }

    fn line(&self, outcome: &Outcome<'_>) -> String {
        let text =
            |text: &Option<String>| text.as_deref().map_or("null".to_owned(), documents::string);
        let names: Vec<_> = self
            .names
            .iter()
            .map(|name| documents::string(name))
            .collect();
        let outcome = match outcome {
            Outcome::Done(word) => format!("\"outcome\":{}", documents::string(word)),
            Outcome::Failed(error) => format!(
                "\"outcome\":\"failed\",\"status\":{},\"error\":{}",
                error.status(),
                documents::string(&error.kind())
            ),
        };
        format!(
            "{{\"time\":\"{}\",\"path\":{},\"organization\":{},\"key\":{},\"names\":[{}],\"command\":{},{outcome}}}",
            CalendarTime::in_utc().rfc3339(),
            documents::string(&self.path),
            text(&self.organization),
            text(&self.key),
            names.join(","),
            text(&self.command)
        )
    }
}

fn failed(destination: Destination, error: io::Error) -> Error {
    Error::Audit {
        destination: destination.name(),
        error,
    }
}
