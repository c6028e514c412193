//! What the processes of a watched run have in common: a page of shared memory that the command cannot reach, because it
//! is gone from a process that executes a program.
//!
//! There are three kinds: the supervisor, which waits in front of the command; the keeper, which starts a candidate
//! whenever it is time to ask for the secrets again; and the candidate, of which there is at most one, and which becomes
//! the command or ends. Nothing here says anything about a secret: digests are keyed, and their key is not here.

#![forbid(unsafe_code)]

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use crate::crypto::Digest;
use crate::path::MAX_PATHS;
use crate::store::custody::{AllInForce, InForce};
use crate::sys::signal_names::SIGCHLD;
use crate::sys::{self, Pid};

/// How many different troubles are told apart at a time.
const TROUBLES: usize = 8;

/// How far the candidate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum CandidateStage {
    /// There is none: the last one has ended, or is about to become the command.
    None,
    /// It does its work.
    AtWork,
    /// It waits for its turn.
    Ready,
    /// It is its turn: it makes itself the process that signals are for.
    Turn,
    /// It has done so.
    Begun,
    /// It is to end, though it was ready.
    Dismissed,
}

/// The page, as numbers that all processes have in common.
pub struct Board {
    stage: &'static AtomicU32,
    /// The candidate's process ID; 0 if there is none, or it is the command's process already.
    candidate: &'static AtomicU32,
    /// Of the documents that the command's secrets came from.
    pub in_force: Slot,
    /// Of the values that the command has.
    pub values: Slot,
    /// Of the documents that came last.
    pub seen: Slot,
    /// Of the documents that were opened last.
    pub opened: Slot,
    /// Whether the candidate wants to have what it has seen confirmed by the next one; 0 if not.
    unsettled: &'static AtomicU32,
    /// How many seconds the service has asked to wait.
    asked_wait: &'static AtomicU32,
    /// Whether the candidate has ended by its own decision, or has become the command; 0 if not.
    accounted_for: &'static AtomicU32,
    /// What the command was started with of each path; 0 until there is one.
    started_with: &'static [AtomicU32; MAX_PATHS],
    troubles: &'static [AtomicU32; TROUBLES],
}

/// How many numbers a digest is.
const DIGEST: usize = size_of::<Digest>() / size_of::<u32>();

/// How many numbers there are on the page.
const WORDS: usize = NUMBERS + 4 * DIGEST + MAX_PATHS + TROUBLES;

/// How many of them stand for themselves.
const NUMBERS: usize = 5;

/// How long it is until somebody looks again who cannot be told of a change.
const POLL: Duration = Duration::from_millis(10);

/// A place for a digest; zeros until there is one.
pub struct Slot(&'static [AtomicU32; DIGEST]);

impl Slot {
    /// Replaces the digest.
    pub fn set(&self, digest: Digest) {
        for (word, bytes) in self.0.iter().zip(digest.as_chunks().0) {
            word.store(u32::from_ne_bytes(*bytes), Ordering::Relaxed);
        }
    }

    /// The digest.
    pub fn get(&self) -> Digest {
        let mut digest = Digest::default();
        for (word, bytes) in self.0.iter().zip(digest.as_chunks_mut().0) {
            *bytes = word.load(Ordering::Relaxed).to_ne_bytes();
        }
        digest
    }
}

impl Board {
    /// Makes a page that this process and those that come from it by fork(2) share.
    ///
    /// # Errors
    ///
    /// Any error of mmap(2).
    pub fn share() -> io::Result<&'static Self> {
        let words: &'static [AtomicU32; WORDS] = sys::share_words()?;
        let (digests, rest) = words.split_at(4 * DIGEST);
        let digests = digests.as_chunks().0;
        let (numbers, rest) = rest.split_at(NUMBERS);
        let (started_with, troubles) = rest.split_at(MAX_PATHS);
        Ok(Box::leak(Box::new(Board {
            stage: &numbers[0],
            candidate: &numbers[1],
            in_force: Slot(&digests[0]),
            values: Slot(&digests[1]),
            seen: Slot(&digests[2]),
            opened: Slot(&digests[3]),
            unsettled: &numbers[2],
            asked_wait: &numbers[3],
            accounted_for: &numbers[4],
            started_with: &started_with.as_chunks().0[0],
            troubles: &troubles.as_chunks().0[0],
        })))
    }

    /// Whether the candidate is that far.
    pub fn is_at(&self, stage: CandidateStage) -> bool {
        self.stage.load(Ordering::Acquire) == stage as u32
    }

    /// Says how far the candidate is now.
    pub fn set(&self, stage: CandidateStage) {
        self.stage.store(stage as u32, Ordering::Release);
        wake(self.stage);
    }

    /// The same, and has `supervisor` look at it. A signal of this number says nothing by itself: whoever sends it, the
    /// supervisor only looks here.
    ///
    /// # Errors
    ///
    /// Any error of kill(2) that lasts: nobody knows how far we are then. If the supervisor is gone, we are about to be
    /// killed.
    pub fn set_and_signal(&self, stage: CandidateStage, supervisor: Pid) -> io::Result<()> {
        self.set(stage);
        sys::send_surely(supervisor, SIGCHLD)
    }

    /// Waits until the candidate is no longer at this stage.
    pub fn wait_while(&self, stage: CandidateStage) {
        wait_while(self.stage, stage as u32);
    }

    /// Waits until there is no candidate.
    pub fn wait_for_none(&self) {
        loop {
            let stage = self.stage.load(Ordering::Acquire);
            if stage == CandidateStage::None as u32 {
                return;
            }
            wait_while(self.stage, stage);
        }
    }

    /// The candidate, if there is one.
    pub fn candidate(&self) -> Option<Pid> {
        let candidate = self.candidate.load(Ordering::Acquire);
        (candidate != 0).then_some(candidate as Pid)
    }

    /// Makes a process the candidate, or none.
    pub fn set_candidate(&self, candidate: Option<Pid>) {
        let candidate = candidate.map_or(0, |candidate| candidate as u32);
        self.candidate.store(candidate, Ordering::Release);
        wake(self.candidate);
    }

    /// Waits until a process is known to be the candidate, so that its end cannot pass unnoticed.
    pub fn wait_for_candidate(&self) {
        wait_while(self.candidate, 0);
    }

    /// Whether the candidate wants to have what it has seen confirmed by the next one.
    pub fn is_unsettled(&self) -> bool {
        self.unsettled.load(Ordering::Relaxed) != 0
    }

    /// Says whether it does.
    pub fn set_unsettled(&self, unsettled: bool) {
        self.unsettled.store(unsettled.into(), Ordering::Relaxed);
    }

    /// Whether it is known what became of the last candidate; else something has ended it.
    pub fn is_accounted_for(&self) -> bool {
        self.accounted_for.load(Ordering::Relaxed) != 0
    }

    /// Says whether it is.
    pub fn set_accounted_for(&self, accounted_for: bool) {
        self.accounted_for
            .store(accounted_for.into(), Ordering::Relaxed);
    }

    /// How many seconds the service has asked to wait.
    pub fn asked_wait(&self) -> u64 {
        self.asked_wait.load(Ordering::Relaxed).into()
    }

    /// Says how many it has.
    pub fn set_asked_wait(&self, seconds: u64) {
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        self.asked_wait.store(seconds, Ordering::Relaxed);
    }

    /// What the command was started with.
    pub fn started_with(&self) -> AllInForce {
        let number = |word: &AtomicU32| InForce::from_number(word.load(Ordering::Relaxed));
        self.started_with.each_ref().map(number)
    }

    /// Says what it is started with.
    pub fn set_started_with(&self, in_force: AllInForce) {
        for (word, in_force) in self.started_with.iter().zip(in_force) {
            word.store(in_force.number(), Ordering::Relaxed);
        }
    }

    /// Takes note of a trouble, and tells whether it is a new one.
    pub fn is_new_trouble(&self, trouble: u64) -> bool {
        let trouble = (trouble as u32).max(1);
        let known = |slot: &AtomicU32| slot.load(Ordering::Relaxed);
        if self.troubles.iter().any(|slot| known(slot) == trouble) {
            return false;
        }
        let free = self.troubles.iter().find(|slot| known(slot) == 0);
        let slot = free.unwrap_or(&self.troubles[0]);
        slot.store(trouble, Ordering::Relaxed);
        true
    }

    /// Forgets all troubles, and tells whether there were any.
    pub fn end_troubles(&self) -> bool {
        let end = |slot: &AtomicU32| slot.swap(0, Ordering::Relaxed) != 0;
        let ended = self.troubles.iter().filter(|slot| end(slot));
        ended.count() > 0
    }
}

fn wake(word: &AtomicU32) {
    // Who is not told of a change, because futex(2) is refused, looks again after a while.
    let _ = sys::wake(word);
}

fn wait_while(word: &AtomicU32, value: u32) {
    while sys::wait_while(word, value).is_err() {
        thread::sleep(POLL);
    }
}
