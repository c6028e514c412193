//! The keeper, which starts the run again and again, and the candidates, each of which is one run of the whole pipeline.
//!
//! The keeper has what the run was given: options, environment, and keys in locked memory; it never has a secret. A
//! candidate reads files with keys anew. It goes no further than to the sealed documents, unless these have changed, and
//! waits with all that it has prepared until the supervisor gives it its turn to become the command.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, PipeReader, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use crate::cli::{OnChange, Watching};
use crate::crypto::{self, Digest, DigestKey};
use crate::error::Error;
use crate::keys::Variables;
use crate::report::Report;
use crate::run::watch::board::{Board, CandidateStage};
use crate::run::worker::{WorkerStart, die_with_parent};
use crate::store::custody::{AllInForce, InForce};
use crate::store::model::SealedLevels;
use crate::sys::locked::Locked;
use crate::sys::signal_names::{SIGKILL, SIGTTOU};
use crate::sys::{self, Fork, SignalSet};
use crate::variables::Variable;

/// How long documents that have changed must stay the same before they are opened, at the most.
const QUIET: Duration = Duration::from_secs(1);

/// How often in a row it is asked so soon again. Documents that change all the time are asked for at the usual pace.
const QUICK: u32 = 5;

/// The longest wait that the service is granted, in seconds.
const LONGEST_WAIT: u64 = 3600;

/// The process that starts candidates.
pub struct Keeper {
    board: &'static Board,
    watching: Watching,
    start: WorkerStart,
}

impl Keeper {
    /// Becomes the keeper. Candidates become the command as `start` says.
    ///
    /// # Errors
    ///
    /// If it could outlive the process in front.
    pub fn new(board: &'static Board, watching: Watching, start: WorkerStart) -> io::Result<Self> {
        die_with_parent(SIGKILL, start.parent)?;
        Ok(Keeper {
            board,
            watching,
            start,
        })
    }

    /// Starts candidates for as long as the process lives, and returns in each of them.
    ///
    /// # Errors
    ///
    /// If the first one cannot be started.
    pub fn keep(self, variables: &mut Variables, report: Report) -> Result<Candidate, Error> {
        let mut digests = DigestKey::new().map_err(Error::Supervise)?;
        // They had parts of the keys when these were taken.
        sys::clear_registers();
        let mut quick = 0;
        for count in 0_u64.. {
            let started = Instant::now();
            match self.start([variables.memory(), digests.memory()]) {
                Ok(Some(received)) => {
                    let candidate = self.candidate(digests, count == 0, report);
                    return match received.and_then(|()| candidate.begin()) {
                        Ok(()) => Ok(candidate),
                        Err(error) => Err(candidate.failed(error)),
                    };
                }
                Ok(None) => {
                    self.board.wait_for_none();
                    // The end of the first one ends the run, which says why.
                    if count > 0 && !self.board.is_accounted_for() {
                        complain(self.board, &Error::RenewalEnded, &report);
                    }
                }
                Err(error) if count == 0 => return Err(Error::Supervise(error)),
                Err(error) => complain(self.board, &Error::Supervise(error), &report),
            }
            let is_unsettled = self.board.is_unsettled();
            quick = if is_unsettled { quick + 1 } else { 0 };
            sys::release_program();
            thread::sleep(self.pause(started, (1..=QUICK).contains(&quick)));
        }
        unreachable!("a number has no end")
    }

    /// Starts one candidate, and hands it the memory that it does not get by fork(2). In the candidate, gives back
    /// whether that has arrived.
    fn start(&self, memory: [&mut Locked; 2]) -> io::Result<Option<Result<(), Error>>> {
        let board = self.board;
        board.set_candidate(None);
        board.set_unsettled(false);
        board.set_asked_wait(0);
        board.set_accounted_for(false);
        let (mut reader, mut writer) = io::pipe()?;
        board.set(CandidateStage::AtWork);
        let forked = sys::fork_beside().inspect_err(|_| board.set(CandidateStage::None))?;
        let Fork::Parent(candidate) = forked else {
            drop(writer);
            let dies_with_parent = die_with_parent(SIGKILL, self.start.parent);
            board.wait_for_candidate();
            let receive = |lost: &mut Locked| {
                *lost = receive(&mut reader, lost.length())?;
                Ok(())
            };
            let received = memory.into_iter().try_for_each(receive);
            return Ok(Some(
                dies_with_parent.map_err(Error::Supervise).and(received),
            ));
        };
        drop(reader);
        board.set_candidate(Some(candidate));
        if !sys::may_exist(candidate) {
            // Somebody has killed it before anybody knew of it.
            board.set_candidate(None);
            board.set(CandidateStage::None);
        }
        // One that has ended needs nothing.
        let _ = memory
            .iter()
            .try_for_each(|memory| writer.write_all(memory.bytes()));
        Ok(None)
    }

    /// How long it is until the next candidate: from the start of the one before to its own start at least the interval,
    /// and as long as the service asks; or only for what has just changed to settle.
    fn pause(&self, started: Instant, is_quick: bool) -> Duration {
        let chance = crypto::random().map_or(u32::MAX, u32::from_le_bytes);
        let later =
            |time: Duration| time.mul_f64(1.0 + 0.1 * f64::from(chance) / f64::from(u32::MAX));
        if is_quick {
            return later(QUIET.min(self.watching.interval));
        }
        let asked = self.board.asked_wait();
        let asked = Duration::from_secs(asked.min(LONGEST_WAIT));
        let rest = later(self.watching.interval).saturating_sub(started.elapsed());
        rest.max(later(asked))
    }

    fn candidate(&self, digests: DigestKey, is_first: bool, report: Report) -> Candidate {
        Candidate {
            board: self.board,
            start: self.start,
            on_change: self.watching.on_change,
            report,
            is_first,
            digests,
            documents: Cell::default(),
            started_with: Cell::default(),
            values: Cell::default(),
        }
    }
}

/// Reads so many bytes into memory for keys.
fn receive(reader: &mut PipeReader, length: usize) -> Result<Locked, Error> {
    let mut received = Locked::for_key(length).map_err(Error::Memory)?;
    let read = reader.read_exact(&mut received.spare()[..length]);
    read.map_err(Error::Supervise)?;
    received.grow(length);
    Ok(received)
}

/// Warns of a trouble that keeps the secrets from being renewed, unless it lasts since before.
fn complain(board: &Board, error: &Error, report: &Report) {
    let mut hasher = DefaultHasher::new();
    match error.asked_wait() {
        // It is another one each time.
        Some(_) => error.kind().hash(&mut hasher),
        None => error.to_string().hash(&mut hasher),
    }
    if board.is_new_trouble(hasher.finish()) {
        report.warn(format_args!(
            "cannot renew the secrets, the command keeps the old ones: {error}"
        ));
    }
}

/// A run that becomes the command, if it is the first or the secrets have changed.
pub struct Candidate {
    board: &'static Board,
    start: WorkerStart,
    on_change: OnChange,
    report: Report,
    is_first: bool,
    digests: DigestKey,
    documents: Cell<Digest>,
    started_with: Cell<AllInForce>,
    values: Cell<Digest>,
}

impl Candidate {
    /// Begins: the first one as the process that signals are for, a renewal beside that one.
    fn begin(&self) -> Result<(), Error> {
        if self.is_first {
            return self.take_turn();
        }
        sys::end_silently_without_memory();
        self.start.restore_mask().map_err(Error::Supervise)?;
        // A message must not stop us, nor the supervisor.
        let blocked = SignalSet::of(&[SIGTTOU]).block();
        blocked.map(drop).map_err(Error::Supervise)
    }

    /// Whether there is a command already.
    pub fn is_renewal(&self) -> bool {
        !self.is_first
    }

    /// What the command that is there was started with.
    pub fn in_force(&self) -> AllInForce {
        self.board.started_with()
    }

    /// Whether what is prepared will be started, and not only announced to the command that is there.
    pub fn may_start(&self) -> bool {
        self.is_first || matches!(self.on_change, OnChange::Restart)
    }

    /// The report for this run. What a renewal could warn of was said before, unless it has documents that nobody has
    /// opened yet.
    pub fn report(&self) -> Report {
        let seen = self.board.seen.get();
        let is_news = seen != self.board.in_force.get() && seen != self.board.opened.get();
        if self.is_first || is_news {
            self.report
        } else {
            self.report.without_warnings()
        }
    }

    /// Looks at documents before anything is decrypted, and at the `texts` beside them. A renewal ends here, unless they
    /// have changed, and twice were the same.
    pub fn check_documents(&self, sealed: &[SealedLevels], texts: &[&[u8]]) {
        let digest = self.digests.digest(|give| {
            sealed.iter().for_each(|sealed| sealed.each_part(give));
            for text in texts {
                give(&text.len().to_ne_bytes());
                give(text);
            }
        });
        self.documents.set(digest);
        self.started_with
            .set(InForce::of_all(sealed, self.in_force()));
        if self.is_first {
            return;
        }
        let is_confirmed = digest == self.board.seen.get();
        self.board.seen.set(digest);
        if digest == self.board.in_force.get() {
            self.report.note(format_args!("nothing has changed"));
            self.end_well();
        }
        if !is_confirmed {
            self.report
                .note(format_args!("the sealed documents have changed"));
            self.board.set_unsettled(true);
            self.end();
        }
        self.board.opened.set(digest);
    }

    /// Looks at what the command would get. A renewal ends here if it has that already.
    pub fn check_values(&self, secrets: &[Variable<'_>]) {
        self.values.set(self.digests.digest(|give| {
            for secret in secrets {
                give(secret.name.as_bytes());
                give(&secret.value.len().to_ne_bytes());
                secret
                    .value
                    .pieces()
                    .for_each(|piece| give(piece.as_bytes()));
            }
        }));
        if !self.is_first && self.values.get() == self.board.values.get() {
            self.report.note(format_args!(
                "the documents were sealed again with the same values"
            ));
            self.board.in_force.set(self.documents.get());
            self.end_well();
        }
    }

    /// What is to be done about a failure. That of a renewal is no reason for anything but a warning, until it is in the
    /// place of the command.
    pub fn failed(&self, error: Error) -> Error {
        let has_turn = [CandidateStage::Turn, CandidateStage::Begun];
        if self.is_first || has_turn.iter().any(|stage| self.board.is_at(*stage)) {
            return error;
        }
        let asked = error.asked_wait().unwrap_or_default().as_secs();
        self.board.set_asked_wait(asked);
        complain(self.board, &error, &self.report);
        self.end()
    }

    /// Waits with what is prepared until it is our turn, and takes leave of the keeper.
    ///
    /// # Errors
    ///
    /// If the process cannot begin as the one that signals are for.
    pub fn become_next(&self) -> Result<(), Error> {
        if !self.is_first {
            self.end_troubles();
            self.report.note(format_args!("the secrets have changed"));
            sys::clear_traces();
            self.take_turn()?;
        }
        self.come_into_force();
        self.board.set_accounted_for(true);
        self.board.set(CandidateStage::None);
        Ok(())
    }

    /// Waits for our turn, and begins as the process that signals are for.
    fn take_turn(&self) -> Result<(), Error> {
        let supervisor = self.start.parent;
        let told = self.board.set_and_signal(CandidateStage::Ready, supervisor);
        told.map_err(Error::Supervise)?;
        self.board.wait_while(CandidateStage::Ready);
        if self.board.is_at(CandidateStage::Dismissed) {
            self.come_into_force();
            self.end();
        }
        self.begin_as_command().map_err(Error::Supervise)
    }

    fn begin_as_command(&self) -> io::Result<()> {
        SignalSet::ALL.set_as_mask()?;
        sys::die_with_parent(0)?;
        self.start.begin()?;
        self.board
            .set_and_signal(CandidateStage::Begun, self.start.parent)?;
        self.start.restore_mask()
    }

    fn come_into_force(&self) {
        self.board.in_force.set(self.documents.get());
        self.board.values.set(self.values.get());
        self.board.set_started_with(self.started_with.get());
    }

    fn end_troubles(&self) {
        if self.board.end_troubles() {
            self.report
                .tell(format_args!("the secrets can be renewed again"));
        }
    }

    fn end_well(&self) -> ! {
        self.end_troubles();
        self.end()
    }

    /// Ends. The supervisor sees it, and tells the keeper.
    fn end(&self) -> ! {
        self.board.set_accounted_for(true);
        std::process::exit(0)
    }
}
