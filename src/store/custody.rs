//! Whose key a project may have: what the reader expects, never only what the store says.

#![forbid(unsafe_code)]

use crate::cli::{ApiUrl, ExpectedCustody, Options};
use crate::error::Error;
use crate::event::Event;
use crate::keys::{ClientKey, Variables};
use crate::path::{LevelName, MAX_PATHS, SecretPath};
use crate::report::Report;
use crate::store::model::{KeyDescriptor, Origin, SealedLevels};

/// The reason that is a client key.
pub const GIVEN_KEY: &str = "a client key is given";

/// Which custody is accepted, and why.
pub struct Expectation {
    project: String,
    pub custody: ExpectedCustody,
    reason: String,
}

impl Expectation {
    /// What is expected of the project of a path whose documents come from `origin`. `in_force` is what a command was
    /// started with that is running already.
    pub fn of(
        path: &SecretPath,
        options: &Options,
        variables: &Variables,
        origin: Origin,
        in_force: InForce,
    ) -> Self {
        let project = path.project();
        let expected = |custody, reason: &str| Expectation {
            project: project.to_owned(),
            custody,
            reason: reason.to_owned(),
        };
        if let Some(custody) = in_force.custody() {
            return expected(custody, "the command was started with it");
        }
        match &options.custody {
            Some((custody, source)) => expected(*custody, &format!("set by {source}")),
            None if ClientKey::is_given(project, variables) => {
                expected(ExpectedCustody::Client, GIVEN_KEY)
            }
            None if origin == Origin::Mirror => {
                expected(ExpectedCustody::Client, "the secrets come from a mirror")
            }
            None if matches!(options.api_url, ApiUrl::Tree(_)) => {
                expected(ExpectedCustody::Client, "the secrets come from a tree")
            }
            None => expected(ExpectedCustody::Any, "no client key is given"),
        }
    }

    /// Records it for `--check`.
    pub fn record(&self, report: &Report) {
        report.record(|| Event::ExpectedCustody {
            project: &self.project,
            custody: self.custody.as_str(),
            reason: &self.reason,
        });
    }

    /// Whether a project is accepted.
    pub fn accepts(&self, descriptor: &KeyDescriptor) -> bool {
        self.custody.accepts(descriptor.is_client_managed())
    }

    /// Refuses the levels of a project that is not accepted.
    ///
    /// # Errors
    ///
    /// If the project is in another custody.
    pub fn check(&self, sealed: &SealedLevels) -> Result<(), Error> {
        let Some(descriptor) = &sealed.descriptor else {
            return Ok(());
        };
        if self.accepts(descriptor) {
            return Ok(());
        }
        Err(Error::OtherCustody {
            project: self.project.clone(),
            actual: custody_of(descriptor).as_str(),
            expected: self.custody.as_str(),
            reason: self.reason.clone(),
        })
    }
}

fn custody_of(descriptor: &KeyDescriptor) -> ExpectedCustody {
    if descriptor.is_client_managed() {
        ExpectedCustody::Client
    } else {
        ExpectedCustody::Server
    }
}

/// How many bits the custody takes in [`InForce`]; behind them is one for each level that was there, then one that says
/// that this is known.
const CUSTODY_BITS: u32 = 2;

/// What a running command was started with of one path, as far as a renewal is held to it; as one number, so that
/// processes can share it.
#[derive(Clone, Copy, Default)]
pub struct InForce(u32);

/// The same of each path.
pub type AllInForce = [InForce; MAX_PATHS];

impl InForce {
    /// What a command that starts with these paths is started with.
    pub fn of_all(sealed: &[SealedLevels], before: AllInForce) -> AllInForce {
        let mut all = before;
        for (in_force, sealed) in all.iter_mut().zip(sealed) {
            *in_force = InForce::of(sealed, *in_force);
        }
        all
    }

    /// Without any level the custody stays what it was `before`.
    fn of(sealed: &SealedLevels, before: InForce) -> Self {
        let custody = match &sealed.descriptor {
            None => before.0 & ((1 << CUSTODY_BITS) - 1),
            Some(descriptor) => custody_of(descriptor) as u32 + 1,
        };
        let levels = sealed.secrets.levels.iter();
        InForce(levels.fold(custody | IS_KNOWN, |bits, level| bits | bit_of(level.name)))
    }

    /// As the number that [`InForce::number`] gave.
    pub fn from_number(number: u32) -> Self {
        InForce(number)
    }

    pub fn number(self) -> u32 {
        self.0
    }

    /// The custody of the project, if there was one.
    fn custody(self) -> Option<ExpectedCustody> {
        let number = self.0 & ((1 << CUSTODY_BITS) - 1);
        let known = [ExpectedCustody::Client, ExpectedCustody::Server];
        let is_it = |custody: &ExpectedCustody| *custody as u32 + 1 == number;
        known.into_iter().find(is_it)
    }

    /// Whether a level is known to have been absent.
    pub fn was_absent(self, level: LevelName) -> bool {
        self.0 & (IS_KNOWN | bit_of(level)) == IS_KNOWN
    }
}

const IS_KNOWN: u32 = 1 << (CUSTODY_BITS + LevelName::ALL.len() as u32);

fn bit_of(level: LevelName) -> u32 {
    1 << (CUSTODY_BITS + level as u32)
}
