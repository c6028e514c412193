//! The supervisor's part in a watched run: whose turn it is to be the command.

#![forbid(unsafe_code)]

pub mod board;
pub mod keeper;

use crate::cli::OnChange;
use crate::run::watch::board::{Board, CandidateStage};
use crate::sys::{self, Pid};

/// What a supervisor knows of the processes behind a watched command.
pub struct Watch {
    board: &'static Board,
    keeper: Pid,
    on_change: OnChange,
    state: WatchState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum WatchState {
    /// There was no command yet.
    Starting,
    /// It is the turn of a candidate, which may not have begun yet.
    Turning,
    /// A command runs.
    Watching,
    /// The command was told to stop because the secrets have changed.
    Stopping,
    /// Nothing is started any more.
    Over,
}

/// What is to be done about the command.
pub enum Due {
    /// Nothing.
    Nothing,
    /// This process is the first to become the command.
    Begin(Pid),
    /// It is to be stopped.
    Stop,
    /// It is to get this signal.
    Signal(i32),
}

/// Which child has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reaped {
    /// The one that was to become the first command. Nobody follows on it: it has said why it could not.
    First,
    /// Another one.
    Other,
}

impl Watch {
    /// Watches over what `keeper` starts.
    pub fn new(board: &'static Board, keeper: Pid, on_change: OnChange) -> Self {
        Watch {
            board,
            keeper,
            on_change,
            state: WatchState::Starting,
        }
    }

    /// Whether it is not certain yet which process signals are for; they have to wait then.
    pub fn is_beginning(&self) -> bool {
        match self.state {
            WatchState::Starting => true,
            WatchState::Turning => self.board.is_at(CandidateStage::Turn),
            _ => false,
        }
    }

    /// Whether a process is one of those behind the command.
    pub fn is_ours(&self, process: Option<Pid>) -> bool {
        process.is_some() && (process == Some(self.keeper) || process == self.board.candidate())
    }

    /// What is due now.
    pub fn look(&mut self) -> Due {
        if self.state == WatchState::Turning && !self.is_beginning() {
            self.state = WatchState::Watching;
        }
        if !self.board.is_at(CandidateStage::Ready) {
            return Due::Nothing;
        }
        match (self.state, self.on_change) {
            (WatchState::Starting, _) => self.give_turn().map_or(Due::Nothing, Due::Begin),
            (WatchState::Watching, OnChange::Signal(signal)) => {
                self.board.set(CandidateStage::Dismissed);
                Due::Signal(signal)
            }
            (WatchState::Watching, OnChange::Restart | OnChange::Exit) => {
                self.state = WatchState::Stopping;
                Due::Stop
            }
            _ => Due::Nothing,
        }
    }

    /// Whether a candidate is to follow on the command, which was stopped for it.
    pub fn has_successor(&self) -> bool {
        let is_due =
            self.state == WatchState::Stopping && matches!(self.on_change, OnChange::Restart);
        is_due && self.board.is_at(CandidateStage::Ready)
    }

    /// Lets that candidate follow.
    pub fn successor(&mut self) -> Option<Pid> {
        self.has_successor().then(|| self.give_turn())?
    }

    fn give_turn(&mut self) -> Option<Pid> {
        let candidate = self.board.candidate()?;
        self.state = WatchState::Turning;
        self.board.set_candidate(None);
        self.board.set(CandidateStage::Turn);
        Some(candidate)
    }

    /// Takes note of the end of a child that is not the command.
    pub fn reaped(&mut self, child: Pid) -> Reaped {
        if self.board.candidate() == Some(child) {
            self.board.set_candidate(None);
            if self.state == WatchState::Starting {
                return Reaped::First;
            }
            self.board.set(CandidateStage::None);
        } else if self.keeper == child {
            self.keeper = 0;
            self.end();
        }
        Reaped::Other
    }

    /// Whether the command was told to stop by us.
    pub fn is_stopping(&self) -> bool {
        self.state == WatchState::Stopping
    }

    /// Ends all processes behind the command, so that nothing is started any more.
    pub fn end(&mut self) {
        self.state = WatchState::Over;
        if self.keeper != 0 {
            // It has ended already then.
            let _ = sys::end_child(self.keeper);
            self.keeper = 0;
        }
        if let Some(candidate) = self.board.candidate() {
            // As above.
            let _ = sys::end_child(candidate);
            self.board.set_candidate(None);
        }
    }
}
