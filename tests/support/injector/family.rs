//! The processes of a program, named by their birth, and how far each is.

use std::collections::{BTreeMap, HashMap};
use std::fs;

use super::state::{state, status_of};

/// A process of the program.
pub struct Process {
    pub name: String,
    pub stage: Stage,
    /// Whether `main` has begun.
    pub has_begun: bool,
    pub counts: HashMap<i64, u32>,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Stage {
    /// The loader and what runs before the program's own first call.
    Loading,
    Own,
    /// The runtime of the language, between the program's first calls and its `main`.
    Runtime,
    /// It has asked to be replaced.
    Executing,
    Command,
}

/// The processes of a program, by their IDs.
#[derive(Default)]
pub struct Family {
    processes: BTreeMap<i32, Process>,
    /// How many children of each process have a name.
    births: HashMap<i32, u32>,
    /// The process of each thread.
    threads: HashMap<i32, i32>,
}

impl Family {
    /// How many threads there have been.
    pub fn threads(&self) -> usize {
        self.threads.len()
    }

    /// What is known of a process, if it is one of the program's.
    pub fn get_mut(&mut self, process: i32) -> Option<&mut Process> {
        self.processes.get_mut(&process)
    }

    /// The process that a thread belongs to, which gets a name if it is one of the program's.
    pub fn process_of(&mut self, thread: i32) -> i32 {
        if let Some(process) = self.threads.get(&thread) {
            return *process;
        }
        let process = status_of(thread, "Tgid").and_then(|id| id.parse().ok());
        let process = process.unwrap_or(thread);
        self.threads.insert(thread, process);
        if self.processes.is_empty() {
            self.insert(process, "0".into(), Stage::Loading);
        } else if !self.processes.contains_key(&process) {
            let parent = status_of(process, "PPid").and_then(|id| id.parse().ok());
            if let Some(parent) = parent {
                self.name_children_of(parent);
            }
        }
        process
    }

    /// Names the children of a process of the program in the order of their birth.
    fn name_children_of(&mut self, parent: i32) {
        let known = self.processes.get(&parent);
        let Some(known) = known.filter(|known| known.stage == Stage::Own) else {
            return;
        };
        let name = known.name.clone();
        let list = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
        let children = list.unwrap_or_default();
        for child in children.split_whitespace().filter_map(|id| id.parse().ok()) {
            if !self.processes.contains_key(&child) {
                let birth = self.births.entry(parent).or_default();
                let name = format!("{name}{birth}");
                *birth += 1;
                self.insert(child, name, Stage::Own);
            }
        }
    }

    fn insert(&mut self, id: i32, name: String, stage: Stage) {
        let process = Process {
            name,
            stage,
            has_begun: false,
            counts: HashMap::new(),
        };
        self.processes.insert(id, process);
    }

    /// What the processes around the command are like, one in a line.
    pub fn around(&self) -> String {
        let mut lines: Vec<_> = self
            .processes
            .iter()
            .filter(|(_, process)| process.stage == Stage::Own)
            .filter_map(|(id, process)| Some(format!("around {} {}\n", process.name, state(*id)?)))
            .collect();
        lines.sort();
        lines.concat()
    }
}
