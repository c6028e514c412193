//! Everything that a check finds, and how it is put together from events.

#![forbid(unsafe_code)]

use std::time::Duration;

use miniserde::Serialize;

use crate::cli::{ApiUrl, Options};
use crate::error::{Error, shown};
use crate::event::{self, Event, Freshness, Stage};
use crate::path::SecretPath;
use crate::sys::locked::Protection;

/// Everything that is found. The names of the fields are those of the JSON, which the manual explains.
#[derive(Default, Serialize)]
pub struct Findings {
    pub path: Option<String>,
    pub paths: Vec<String>,
    pub status: u8,
    pub error: Option<Failure>,
    pub command: Option<Command>,
    pub source: Option<SourceFinding>,
    pub organization: Option<String>,
    pub api_key: Option<KeyFinding>,
    pub client_key: Option<KeyFinding>,
    pub abilities: Option<AbilitiesFinding>,
    pub custody: Option<&'static str>,
    pub expected_custody: Option<ExpectedFinding>,
    pub key_version: Option<u64>,
    pub iterations: Option<u32>,
    pub few_iterations: Option<bool>,
    pub generation: Option<u64>,
    pub projects: Vec<ProjectFinding>,
    pub levels: Vec<LevelFinding>,
    pub absent_levels: Vec<String>,
    pub local_files: Vec<LocalFinding>,
    pub names: Option<Vec<String>>,
    pub empty: Vec<String>,
    pub references: Vec<ReferenceFinding>,
    pub left_out: Vec<String>,
    pub renamed: Vec<Renamed>,
    pub preserved: Vec<String>,
    pub overridden: Vec<String>,
    pub dropped: Vec<String>,
    pub refused: Vec<String>,
    pub size: Option<Size>,
    pub memory: Option<Protection>,
    pub mask: Option<MaskFinding>,
    pub times: Times,
    pub warnings: Vec<String>,
}

/// What is known of the API key's abilities.
#[derive(Serialize)]
pub struct AbilitiesFinding {
    pub known: bool,
    /// Why they are not known.
    pub reason: Option<String>,
    pub names: Vec<String>,
    pub excess: Vec<String>,
    pub expires_at: Option<String>,
}

/// Why the command would not be started.
#[derive(Serialize)]
pub struct Failure {
    pub kind: String,
    pub message: String,
}

/// The command: its name and the file that would be executed.
#[derive(Serialize)]
pub struct Command {
    pub name: String,
    pub file: Option<String>,
}

/// Where the levels come from, or are asked for.
#[derive(Serialize)]
pub struct SourceFinding {
    /// `service`, `mirror`, `tree`, `cache`, or `stale-cache` where the service could not be reached.
    pub kind: &'static str,
    /// The host, or the directory of a tree.
    pub name: String,
    /// How old what was cached is, in seconds.
    pub age: Option<u64>,
}

/// Where a key comes from.
#[derive(Serialize)]
pub struct KeyFinding {
    pub source: String,
    pub fingerprint: Option<String>,
}

/// Which custody is accepted: `client`, `server` or `any`, and why.
#[derive(Clone, Serialize)]
pub struct ExpectedFinding {
    pub custody: &'static str,
    pub reason: String,
}

/// What is found of one project.
#[derive(Default, Serialize)]
pub struct ProjectFinding {
    pub name: String,
    pub custody: Option<&'static str>,
    pub expected_custody: Option<ExpectedFinding>,
    pub key_version: Option<u64>,
    pub iterations: Option<u32>,
    pub few_iterations: Option<bool>,
    pub generation: Option<u64>,
}

/// One level, with the size of its text in bytes and the number of its variables as far as it got there.
#[derive(Serialize)]
pub struct LevelFinding {
    pub name: &'static str,
    /// The path that it is a level of.
    pub path: String,
    pub encrypted: bool,
    pub bytes: Option<usize>,
    pub names: Option<usize>,
}

/// A file beside the secrets, under the name of its option, and the number of its names.
#[derive(Serialize)]
pub struct LocalFinding {
    pub option: &'static str,
    pub file: String,
    pub names: usize,
}

/// A variable that refers to a secret, and the path that has it.
#[derive(Serialize)]
pub struct ReferenceFinding {
    pub variable: String,
    pub path: String,
    pub name: String,
}

/// A secret that `--rename` or `--prefix` gives another name.
#[derive(Serialize)]
pub struct Renamed {
    pub from: String,
    pub to: String,
}

/// What the command's arguments and environment come to, against what the kernel takes, in bytes.
#[derive(Serialize)]
pub struct Size {
    pub bytes: usize,
    pub limit: usize,
    pub largest: String,
}

/// Who would be told what to mask.
#[derive(Serialize)]
pub struct MaskFinding {
    pub runner: Option<&'static str>,
    pub skipped: Vec<String>,
}

/// How long the stages took, in milliseconds, as far as they were reached. Two of them may run at the same time.
#[derive(Default, Serialize)]
pub struct Times {
    pub keys: Option<f64>,
    pub fetch: Option<f64>,
    pub derive: Option<f64>,
    pub open: Option<f64>,
    pub parse: Option<f64>,
    pub environment: Option<f64>,
    pub abilities: Option<f64>,
}

impl Times {
    /// Adds what another part of a stage took.
    fn add(&mut self, stage: Stage, time: Duration) {
        let sum = match stage {
            Stage::Keys => &mut self.keys,
            Stage::Fetch => &mut self.fetch,
            Stage::Derive => &mut self.derive,
            Stage::Open => &mut self.open,
            Stage::Parse => &mut self.parse,
            Stage::Environment => &mut self.environment,
            Stage::Abilities => &mut self.abilities,
        };
        let microseconds = (sum.unwrap_or_default() * 1000.0).round() + time.as_micros() as f64;
        *sum = Some(microseconds / 1000.0);
    }
}

impl Findings {
    /// What is known of a run before it begins.
    pub fn about(options: &Options) -> Self {
        let (kind, name) = match &options.api_url {
            ApiUrl::Service(url) => ("service", url.host.clone()),
            ApiUrl::Tree(root) => ("tree", shown(root)),
        };
        Findings {
            path: Some(options.paths.to_string()),
            paths: options.paths.iter().map(SecretPath::to_string).collect(),
            projects: options.paths.projects().map(ProjectFinding::of).collect(),
            source: Some(SourceFinding {
                kind,
                name,
                age: None,
            }),
            ..Findings::default()
        }
    }

    /// Adds what a stage has found out.
    pub fn add(&mut self, event: &Event<'_>) {
        match event {
            Event::Took(stage, time) => self.times.add(*stage, *time),
            Event::Warned(message) => self.warnings.push((*message).to_owned()),
            Event::Secrets { names, empty } => {
                (self.names, self.empty) = (Some(names.clone()), empty.clone());
            }
            Event::LocalFile {
                option,
                file,
                names,
            } => self.local_files.push(LocalFinding {
                option: option.trim_start_matches('-'),
                file: file.clone(),
                names: *names,
            }),
            Event::References(references) => {
                let finding = |it: &event::ReferenceEvent| ReferenceFinding {
                    variable: it.variable.clone(),
                    path: it.path.clone(),
                    name: it.name.clone(),
                };
                self.references = references.iter().map(finding).collect();
            }
            Event::LeftOut(names) => self.left_out = names.clone(),
            Event::Preserved(names) => self.preserved = names.clone(),
            Event::Overridden(names) => self.overridden = names.clone(),
            Event::Dropped(names) => self.dropped.extend_from_slice(names),
            Event::Renamed(pairs) => {
                let renamed = pairs.iter().cloned();
                self.renamed = renamed.map(|(from, to)| Renamed { from, to }).collect();
            }
            Event::Size {
                bytes,
                limit,
                largest,
            } => {
                self.size = Some(Size {
                    bytes: *bytes,
                    limit: *limit,
                    largest: (*largest).to_owned(),
                });
            }
            Event::Masked { runner, skipped } => {
                let (runner, skipped) = (*runner, skipped.to_vec());
                self.mask = Some(MaskFinding { runner, skipped });
            }
            Event::Command { name, file } => {
                self.command = Some(Command {
                    name: name.clone(),
                    file: file.clone(),
                });
            }
            event => self.add_origin(event),
        }
    }

    /// Adds what was found out on the way to the levels.
    fn add_origin(&mut self, event: &Event<'_>) {
        match event {
            Event::Organization(ulid) => self.organization = Some((*ulid).to_owned()),
            Event::ApiKey { place, fingerprint } => {
                self.api_key = Some(KeyFinding {
                    source: (*place).to_owned(),
                    fingerprint: Some((*fingerprint).to_owned()),
                });
            }
            Event::ClientKey { place } => {
                self.client_key = Some(KeyFinding {
                    source: (*place).to_owned(),
                    fingerprint: None,
                });
            }
            Event::Abilities(abilities) => self.abilities = Some(AbilitiesFinding::of(abilities)),
            Event::Mirror(name) => {
                self.source = Some(SourceFinding {
                    kind: "mirror",
                    name: (*name).to_owned(),
                    age: None,
                });
            }
            Event::Cached { freshness, seconds } => {
                if let Some(source) = &mut self.source {
                    source.kind = match freshness {
                        Freshness::Fresh => "cache",
                        Freshness::Stale => "stale-cache",
                    };
                    source.age = Some(*seconds);
                }
            }
            Event::ExpectedCustody {
                project,
                custody,
                reason,
            } => {
                let reason = (*reason).to_owned();
                let expected = ExpectedFinding { custody, reason };
                self.of_project(project, |it| it.expected_custody = Some(expected));
            }
            Event::KeyDescriptor {
                project,
                custody,
                version,
                iterations,
                has_few_iterations,
            } => {
                self.of_project(project, |it| {
                    (it.custody, it.key_version) = (Some(*custody), *version);
                    (it.iterations, it.few_iterations) = (*iterations, *has_few_iterations);
                });
            }
            event => self.add_level(event),
        }
    }

    /// Changes what is found of a project; of a single one, it is in the document itself too.
    fn of_project(&mut self, name: &str, change: impl FnOnce(&mut ProjectFinding)) {
        let is_it = |project: &&mut ProjectFinding| project.name == name;
        if let Some(project) = self.projects.iter_mut().find(is_it) {
            change(project);
        }
        if let [only] = &*self.projects {
            self.custody = only.custody;
            self.expected_custody = only.expected_custody.clone();
            (self.key_version, self.iterations) = (only.key_version, only.iterations);
            (self.few_iterations, self.generation) = (only.few_iterations, only.generation);
        }
    }

    fn add_level(&mut self, event: &Event<'_>) {
        match event {
            Event::Generation {
                project,
                generation,
            } => {
                self.of_project(project, |it| it.generation = Some(*generation));
            }
            Event::AbsentLevels(levels) => self.absent_levels = levels.clone(),
            Event::Levels(levels) => self.levels = levels.iter().map(LevelFinding::of).collect(),
            Event::LevelOpened { index, bytes } => {
                if let Some(level) = self.levels.get_mut(*index) {
                    level.bytes = Some(*bytes);
                }
            }
            Event::LevelRead { index, names } => {
                if let Some(level) = self.levels.get_mut(*index) {
                    level.names = Some(*names);
                }
            }
            _ => (),
        }
    }

    /// Adds how the run ended.
    pub fn end(&mut self, error: Option<&Error>) {
        let memory = Protection::now();
        let is_used = memory.peak > 0 || !memory.locked;
        self.memory = is_used.then_some(memory);
        let Some(error) = error else { return };
        self.status = error.status();
        self.error = Some(Failure {
            kind: error.kind(),
            message: error.to_string(),
        });
        if let Error::UnsafeNames { names } = error {
            self.refused = names.iter().map(|refused| refused.name.clone()).collect();
        }
    }
}

impl ProjectFinding {
    fn of(path: &SecretPath) -> Self {
        ProjectFinding {
            name: path.project().to_owned(),
            ..ProjectFinding::default()
        }
    }
}

impl LevelFinding {
    fn of(level: &event::LevelEvent) -> Self {
        LevelFinding {
            name: level.name,
            path: level.path.clone(),
            encrypted: level.encrypted,
            bytes: None,
            names: None,
        }
    }
}

impl AbilitiesFinding {
    fn of(abilities: &event::Abilities) -> Self {
        match abilities {
            event::Abilities::Unknown(reason) => AbilitiesFinding {
                known: false,
                reason: Some(reason.clone()),
                names: Vec::new(),
                excess: Vec::new(),
                expires_at: None,
            },
            event::Abilities::Known {
                names,
                excess,
                expires_at,
            } => AbilitiesFinding {
                known: true,
                reason: None,
                names: names.clone(),
                excess: excess.clone(),
                expires_at: expires_at.clone(),
            },
        }
    }
}
