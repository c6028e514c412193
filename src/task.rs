//! The steps of the pipeline that `main` puts in order: the work of the process that becomes the command.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::rc::Rc;

use crate::audit::Audit;
use crate::cli::{Action, ApiUrl, Options};
use crate::deliver::list;
use crate::deliver::mask::Audience;
use crate::deliver::memory_files::TemplateTexts;
use crate::deliver::output::{self, Masks};
use crate::deliver::template::FileTemplate;
use crate::dotenv::parse::Value;
use crate::error::Error;
use crate::event::{Event, Stage};
use crate::keys::loose;
use crate::keys::reading::Reading;
use crate::keys::{Claimed, Variables};
use crate::report::Report;
use crate::run::beginning::WorkerContext;
use crate::run::exec::{self, Ready};
use crate::run::redact;
use crate::run::watch::keeper::{Candidate, Keeper};
use crate::store::obtain::{Obtained, Occasion, Pending, Wanted};
use crate::store::open::OpenLevel;
use crate::sys::locked::{self, Protection};
use crate::sys::{self, Environ};
use crate::variables::local::{LocalTexts, LocalVariables, Required};
use crate::variables::referred::{self, referred};
use crate::variables::select::select;
use crate::variables::takeover::refuse_unsafe;
use crate::variables::{self, Layer, LayerVariables, Variable, VariableOrigin};

/// What a run was given.
pub struct Assignment {
    /// What is asked for.
    pub options: Box<Options>,
    /// The environment that we were started with.
    pub environ: Environ,
    /// The descriptors that the caller left open for us.
    pub claimed: Claimed,
    /// Who is told of it.
    pub report: Report,
}

/// Refuses to go on where others could read the secrets: in a process that is not protected, or that is being traced.
///
/// # Errors
///
/// If it is one.
pub fn check_start(options: &Options, report: &Report) -> Result<(), Error> {
    sys::check_start()?;
    match sys::tracer() {
        Ok(Some(tracer)) if !options.allow_tracer => Err(Error::Traced { tracer }),
        Ok(_) => Ok(()),
        Err(error) => {
            report.note(format_args!(
                "whether another process traces this one is not known: {}",
                sys::plain(&error)
            ));
            Ok(())
        }
    }
}

/// The files beside the secrets, as they were read.
pub struct FileTexts {
    local: LocalTexts,
    templates: TemplateTexts,
}

impl FileTexts {
    /// What is in all of them.
    fn bytes(&self) -> Vec<&[u8]> {
        let mut all = self.local.bytes();
        all.extend(self.templates.bytes());
        all
    }
}

/// What the files beside the secrets say.
pub struct ParsedTexts<'a> {
    pub local: LocalVariables<'a>,
    pub templates: Vec<FileTemplate<'a>>,
}

/// A run under way.
pub struct Task {
    options: Box<Options>,
    environ: Environ,
    variables: Variables,
    place: WorkerContext,
    candidate: Option<Candidate>,
    audit: Audit,
    report: Report,
}

impl Task {
    /// Takes the variables about keys out of the environment, waits for the keeper if there is one, and opens the audit
    /// trail.
    ///
    /// # Errors
    ///
    /// If one of them is of no use.
    pub fn begin(
        assignment: Assignment,
        place: WorkerContext,
        keeper: Option<Keeper>,
    ) -> Result<Self, Error> {
        let Assignment {
            options,
            mut environ,
            claimed,
            report,
        } = assignment;
        if options.allow_swap {
            locked::allow_swap();
        }
        let mut variables = Variables::take(&mut environ, claimed.keys)?;
        sys::wipe_arguments();
        if options.allow_loose_files {
            loose::allow();
        }
        loose::settle(options.profile_looseness.clone(), &report)?;
        if matches!(options.api_url, ApiUrl::Tree(_)) {
            variables.forget_api_key_file();
        }
        if options.watches() {
            variables.repeat();
        }
        let candidate = match keeper {
            Some(keeper) => Some(keeper.keep(&mut variables, report)?),
            None => None,
        };
        // More than was asked for; secrets have locked pages of their own.
        let _ = locked::lock_everything();
        let audit = Audit::begin(&options, claimed.audit);
        let audit = audit.map_err(|error| settled(candidate.as_ref(), error))?;
        Ok(Task {
            report: audit.listening(candidate.as_ref().map_or(report, Candidate::report)),
            options,
            environ,
            variables,
            place,
            candidate,
            audit,
        })
    }

    /// Refuses a standard output that secrets must not be written to.
    ///
    /// # Errors
    ///
    /// If it is one.
    pub fn check_output(&self) -> Result<(), Error> {
        match self.options.action {
            Action::Print { allow_file, .. } => output::check_destination(allow_file),
            Action::Run(_) | Action::List { .. } => Ok(()),
        }
    }

    /// Reads the files beside the secrets, before anything is asked of anybody.
    ///
    /// # Errors
    ///
    /// If one cannot be used.
    pub fn read_files(&self) -> Result<FileTexts, Error> {
        let reading = if self.options.watches() {
            Reading::Repeatedly
        } else {
            Reading::Once
        };
        let files = match &self.options.action {
            Action::Run(run) => &run.files[..],
            Action::Print { .. } | Action::List { .. } => &[],
        };
        Ok(FileTexts {
            local: LocalTexts::read(&self.options.local, reading, &self.report)?,
            templates: TemplateTexts::read(files, reading, &self.report)?,
        })
    }

    /// What these files say.
    ///
    /// # Errors
    ///
    /// If one breaks the grammar.
    pub fn parse_files<'a>(&self, texts: &'a FileTexts) -> Result<ParsedTexts<'a>, Error> {
        Ok(ParsedTexts {
            local: texts.local.parse(&self.report)?,
            templates: texts.templates.parse()?,
        })
    }

    /// Brings the levels and opens them. What is left to do with a cache is given back too.
    ///
    /// # Errors
    ///
    /// Why not all of them are there and open.
    pub fn obtain(&self, texts: &FileTexts) -> Result<Obtained, Error> {
        let network = &self.options.network;
        let network = match &self.candidate {
            Some(candidate) if candidate.is_renewal() => Cow::Owned(network.for_renewal()),
            _ => Cow::Borrowed(network),
        };
        let wanted = Wanted {
            options: &self.options,
            environ: &self.environ,
            variables: &self.variables,
            network: &network,
            occasion: self.occasion(),
            in_force: self
                .candidate
                .as_ref()
                .map(Candidate::in_force)
                .unwrap_or_default(),
            inspect: &|sealed| {
                if let Some(candidate) = &self.candidate {
                    candidate.check_documents(sealed, &texts.bytes());
                }
            },
            report: &self.report,
        };
        if let Some(references) = &self.options.references {
            referred::announce(references, &self.options, &self.report);
        }
        let obtained = wanted.obtain();
        obtained.map_err(|error| referred::named(error, &self.options))
    }

    fn occasion(&self) -> Occasion {
        let is_renewal = self.candidate.as_ref().is_some_and(Candidate::is_renewal);
        match self.options.check {
            _ if is_renewal => Occasion::Renewal,
            Some(_) => Occasion::Check,
            None => Occasion::Start,
        }
    }

    /// Forgets all that has to do with keys, but for variables that the command is to get.
    pub fn forget_keys(&mut self) {
        self.variables.forget_files();
        if !self.options.inheritance.keep_credentials {
            self.variables.forget(&self.report);
        }
    }

    /// Reads the levels.
    ///
    /// # Errors
    ///
    /// If one breaks the grammar.
    pub fn read<'a>(
        &self,
        levels: &'a [OpenLevel],
        cache: Option<Pending>,
    ) -> Result<Vec<LayerVariables<'a>>, Error> {
        let (options, report) = (&self.options, &self.report);
        let (paths, name) = (&options.paths, options.text.as_deref());
        let read = || variables::read(levels, paths, name, report);
        let mut read = report.timed(Stage::Parse, read)?;
        if let Some(cache) = cache {
            cache.finish();
        }
        if options.level_only {
            read.retain(|level| match level.layer() {
                Layer::Level(origin) => origin.level == options.paths.get(origin.path).deepest(),
                Layer::Defaults | Layer::Overrides => false,
            });
        }
        Ok(read)
    }

    /// Merges the levels, between the values of the files, to one set, or to those that references lead to.
    pub fn merge<'a>(
        &self,
        levels: &'a [LayerVariables<'a>],
        local: &'a LocalVariables<'a>,
    ) -> Vec<Vec<Variable<'a>>> {
        let (options, report) = (&self.options, &self.report);
        let around = (&*local.defaults, &*local.overrides);
        let sets = report.timed(Stage::Parse, || variables::sets(levels, around, options));
        let count = sets.iter().flatten().filter(|it| !it.is_local()).count();
        report.note(format_args!("{count} secrets from {}", options.paths));
        sets
    }

    /// The values of each set after references in them were resolved, if that is asked for.
    ///
    /// # Errors
    ///
    /// If one cannot be resolved.
    pub fn resolve(&self, sets: &[Vec<Variable<'_>>]) -> Result<Vec<Vec<Rc<str>>>, Error> {
        let Some(how) = self.options.resolve else {
            return Ok(Vec::new());
        };
        let report = &self.report;
        let inherited = |name: &str| self.environ.text(name);
        let resolved = |set: &Vec<_>| variables::resolved(set, how, &inherited, report);
        report.timed(Stage::Parse, || sets.iter().map(resolved).collect())
    }

    /// Takes the secrets that are asked for, under their final names, with the values that were resolved. `read` tells
    /// which levels there are.
    ///
    /// # Errors
    ///
    /// If one is missing, or there is none.
    pub fn select<'a>(
        &mut self,
        mut sets: Vec<Vec<Variable<'a>>>,
        values: &'a [Vec<Rc<str>>],
        read: &[LayerVariables<'_>],
        required: &[Required],
    ) -> Result<Vec<Variable<'a>>, Error> {
        let (options, report) = (&self.options, &self.report);
        for (set, values) in sets.iter_mut().zip(values) {
            for (secret, value) in set.iter_mut().zip(values) {
                secret.value = Value::verbatim(value);
            }
        }
        let has_own = |path: usize| {
            let level = options.paths.get(path).deepest();
            let own = Layer::Level(VariableOrigin { path, level });
            read.iter().any(|level| level.layer() == own)
        };
        let secrets = match &options.references {
            Some(references) => referred(&sets, references, options, &has_own, report)?,
            None => sets.swap_remove(0),
        };
        let selected = || select(secrets, &options.selection, required, report);
        let secrets = report.timed(Stage::Environment, selected)?;
        report.record(|| Event::Secrets {
            names: names(&mut secrets.iter()),
            empty: names(&mut secrets.iter().filter(|secret| secret.value.is_empty())),
        });
        // What the files say does not make up for a path that has nothing.
        if secrets.iter().all(Variable::is_local) && !options.allow_empty {
            let path = options.paths.to_string();
            return Err(Error::Empty { path });
        }
        if let Some(candidate) = &self.candidate {
            candidate.check_values(&secrets);
        }
        Ok(secrets)
    }

    /// Writes the secrets where they are asked for, or makes ready what the command is given.
    ///
    /// # Errors
    ///
    /// If that is not possible, or cannot be recorded.
    pub fn hand_over(
        &mut self,
        secrets: &[Variable<'_>],
        templates: &[FileTemplate<'_>],
    ) -> Result<Option<Ready<'_>>, Error> {
        let audience = Audience::of(&self.options, |name| self.environ.text(name));
        let (options, report, audit) = (&*self.options, &self.report, &mut self.audit);
        let candidate = self.candidate.as_ref();
        let ready = match &options.action {
            Action::Run(run) => {
                let inherited = self.environ.entries().chain(self.variables.entries());
                if options.redacts() {
                    redact::warn_of_common(secrets, report);
                }
                let place = std::mem::take(&mut self.place);
                let inheritance = &options.inheritance;
                let made = || {
                    exec::prepare(
                        run,
                        secrets,
                        templates,
                        inherited,
                        inheritance,
                        place,
                        report,
                    )
                };
                let ready = report.timed(Stage::Environment, made)?;
                if options.check.is_some() || candidate.is_some_and(Candidate::is_renewal) {
                    ready.look_up(report)?;
                }
                let masks = options
                    .check
                    .map_or(Masks::OnEitherStream, |_| Masks::Nowhere);
                output::mask(secrets, audience, masks, report)?;
                if candidate.is_none_or(Candidate::may_start) {
                    audit.done()?;
                }
                options.check.is_none().then_some(ready)
            }
            Action::Print { content, .. } => {
                if content.becomes_variables() {
                    let names = secrets.iter().map(|secret| &*secret.name);
                    refuse_unsafe(names, &options.inheritance.allow_unsafe)?;
                }
                let text = output::rendered(secrets, *content)?;
                output::mask(secrets, audience, Masks::before(*content), report)?;
                audit.done()?;
                output::write(text.bytes())?;
                None
            }
            Action::List { json } => {
                let layout = list::Layout::fitting(*json);
                let table = list::table(secrets, &options.paths, layout);
                audit.done()?;
                output::write(table.as_bytes())?;
                None
            }
        };
        report.note(format_args!("{}", Protection::now()));
        if let Some(candidate) = candidate {
            candidate.become_next()?;
        }
        Ok(ready)
    }

    /// What is to be done about a failure before the launch.
    pub fn settled(&self, error: Error) -> Error {
        settled(self.candidate.as_ref(), error)
    }

    /// Records why the run failed.
    pub fn record_failure(&mut self, error: &Error) {
        self.audit.failed(error, &self.report);
    }
}

fn names(secrets: &mut dyn Iterator<Item = &Variable<'_>>) -> Vec<String> {
    secrets.map(|secret| secret.name.to_string()).collect()
}

/// What is to be done about a failure: a renewal ends of it.
fn settled(candidate: Option<&Candidate>, error: Error) -> Error {
    candidate
        .into_iter()
        .fold(error, |error, it| it.failed(error))
}
