//! What the processes of a watched run have in common: a page of shared memory that the command cannot reach, because it
//! is gone from a process that executes a program.
//!
//! There are three kinds: the supervisor, which waits in front of the command; the keeper, which starts a candidate
//! whenever it is time to ask for the secrets again; and the candidate, of which there is at most one, and which becomes
//! the command or ends. Nothing here says anything about a secret: digests are keyed, and their key is not here.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use crate::crypto::Digest;
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

/// The page.
#[derive(Default)]
pub struct Board {
    stage: AtomicU32,
    /// The candidate's process ID; 0 if there is none, or it is the command's process already.
    candidate: AtomicU32,
    /// Of the documents that the command's secrets came from.
    pub in_force: Slot,
    /// Of the values that the command has.
    pub values: Slot,
    /// Of the documents that came last.
    pub seen: Slot,
    /// Of the documents that were opened last.
    pub opened: Slot,
    /// Whether the candidate wants to have what it has seen confirmed by the next one.
    pub is_unsettled: AtomicBool,
    /// How many seconds the service has asked to wait.
    pub asked_wait: AtomicU64,
    troubles: [AtomicU64; TROUBLES],
}

/// A place for a digest; zeros until there is one.
#[derive(Default)]
pub struct Slot([AtomicU64; 4]);

impl Slot {
    /// Replaces the digest.
    pub fn set(&self, digest: Digest) {
        for (word, bytes) in self.0.iter().zip(digest.as_chunks().0) {
            word.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
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
    /// Whether the candidate is that far.
    pub fn is_at(&self, stage: CandidateStage) -> bool {
        self.stage.load(Ordering::Acquire) == stage as u32
    }

    /// Says how far the candidate is now.
    pub fn set(&self, stage: CandidateStage) {
        self.stage.store(stage as u32, Ordering::Release);
        sys::wake(&self.stage);
    }

    /// The same, and has `supervisor` look at it. A signal of this number says nothing by itself: whoever sends it, the
    /// supervisor only looks here.
    pub fn set_and_signal(&self, stage: CandidateStage, supervisor: Pid) {
        self.set(stage);
        // If it is gone, so are we soon.
        let _ = sys::send(supervisor, SIGCHLD);
    }

    /// Waits until the candidate is no longer at this stage.
    pub fn wait_while(&self, stage: CandidateStage) {
        sys::wait_while(&self.stage, stage as u32);
    }

    /// Waits until there is no candidate.
    pub fn wait_for_none(&self) {
        loop {
            let stage = self.stage.load(Ordering::Acquire);
            if stage == CandidateStage::None as u32 {
                return;
            }
            sys::wait_while(&self.stage, stage);
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
        sys::wake(&self.candidate);
    }

    /// Waits until a process is known to be the candidate, so that its end cannot pass unnoticed.
    pub fn wait_for_candidate(&self) {
        sys::wait_while(&self.candidate, 0);
    }

    /// Takes note of a trouble, and tells whether it is a new one.
    pub fn is_new_trouble(&self, trouble: u64) -> bool {
        let trouble = trouble.max(1);
        let known = |slot: &AtomicU64| slot.load(Ordering::Relaxed);
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
        let end = |slot: &AtomicU64| slot.swap(0, Ordering::Relaxed) != 0;
        let ended = self.troubles.iter().filter(|slot| end(slot));
        ended.count() > 0
    }
}
