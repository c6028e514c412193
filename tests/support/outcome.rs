//! How a program ended, and what must have been true of it.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;

/// A program that has ended. Every failed assertion shows all of it.
#[derive(Clone)]
pub struct Outcome {
    pub command: String,
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: String,
    pub elapsed: Duration,
}

impl Outcome {
    /// Standard output as text.
    #[track_caller]
    pub fn text(&self) -> &str {
        str::from_utf8(&self.stdout)
            .unwrap_or_else(|_| panic!("standard output is not UTF-8\n{self}"))
    }

    #[track_caller]
    pub fn assert_status(&self, status: i32) -> &Self {
        assert!(
            self.status.code() == Some(status),
            "expected exit status {status}\n{self}"
        );
        self
    }

    #[track_caller]
    pub fn assert_killed_by(&self, signal: Signal) -> &Self {
        assert!(
            self.status.signal() == Some(signal as i32),
            "expected death by {signal}\n{self}"
        );
        self
    }

    #[track_caller]
    pub fn assert_stdout(&self, expected: impl AsRef<[u8]>) -> &Self {
        let expected = expected.as_ref();
        assert!(
            self.stdout == expected,
            "expected standard output {:?}\n{self}",
            String::from_utf8_lossy(expected)
        );
        self
    }

    /// The warnings of ours, without what they all start with.
    pub fn warnings(&self) -> Vec<&str> {
        let lines = self.stderr.lines();
        lines
            .filter_map(|line| line.strip_prefix(self.speaker())?.strip_prefix("warning: "))
            .collect()
    }

    /// A refusal of ours: the status, nothing on standard output, and on standard error one message
    /// that contains every fragment, with at most one hint behind it and nothing but warnings
    /// before it.
    #[track_caller]
    pub fn assert_refused(&self, status: i32, fragments: &[&str]) -> &Self {
        if let Err(defect) = self.refusal(status, fragments) {
            panic!(
                "expected a refusal with status {status} about {fragments:?}, but {defect}\n{self}"
            );
        }
        self
    }

    /// What keeps this from being such a refusal.
    pub fn refusal(&self, status: i32, fragments: &[&str]) -> Result<(), String> {
        ensure(self.status.code() == Some(status), "the status is another")?;
        ensure(self.stdout.is_empty(), "there is standard output")?;
        self.check_message()?;
        match fragments
            .iter()
            .find(|fragment| !self.stderr.contains(**fragment))
        {
            Some(fragment) => Err(format!("{fragment:?} is missing")),
            None => Ok(()),
        }
    }

    /// The form that every message of ours has.
    fn check_message(&self) -> Result<(), String> {
        ensure(
            self.stderr.ends_with('\n'),
            "standard error does not end with a line feed",
        )?;
        let is_warning = |line: &&str| {
            line.strip_prefix(self.speaker())
                .is_some_and(|rest| rest.starts_with("warning: "))
        };
        let mut lines = self.stderr.lines().skip_while(is_warning);
        let message = lines
            .next()
            .and_then(|line| line.strip_prefix(self.speaker()));
        ensure(
            message.is_some(),
            &format!("there is no line that starts with {:?}", self.speaker()),
        )?;
        ensure(
            message.is_some_and(|text| !text.is_empty() && !text.ends_with('.')),
            "the message is empty or ends with a period",
        )?;
        ensure(
            lines.next().is_none_or(|line| line.starts_with("hint: ")),
            "the line behind the message is no hint",
        )?;
        ensure(
            lines.next().is_none(),
            "there is more than a message and a hint",
        )
    }

    /// What a message starts with: the name of whichever of the two programs spoke.
    fn speaker(&self) -> &'static str {
        if self.stderr.starts_with("dotenv-seal: ") {
            "dotenv-seal: "
        } else {
            "dotenv-run: "
        }
    }
}

fn ensure(condition: bool, otherwise: &str) -> Result<(), String> {
    if condition {
        Ok(())
    } else {
        Err(otherwise.into())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "command: {}", self.command)?;
        writeln!(f, "ended:   {} after {:?}", self.status, self.elapsed)?;
        writeln!(f, "stdout:  {}", String::from_utf8_lossy(&self.stdout))?;
        write!(f, "stderr:  {}", self.stderr)
    }
}
