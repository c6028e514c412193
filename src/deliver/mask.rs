//! The commands that make a CI runner mask secrets in its log.
//!
//! GitHub Actions and Azure Pipelines read commands line by line from both output streams of a step, and mask line by
//! line. Whatever could end a line is escaped as the runner unescapes it, so that no value can contain a command.

#![forbid(unsafe_code)]

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::cli::{Masking, Options};
use crate::sys::locked::{Locked, NoMemory};
use crate::variables::Variable;

/// Who receives the commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Nobody.
    Nobody,
    /// A runner that takes commands.
    Runner(Runner),
    /// The name of a runner that accepts no commands during a job.
    Deaf(&'static str),
}

/// A runner that takes commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runner {
    /// GitHub Actions.
    GitHub,
    /// Azure Pipelines.
    Azure,
}

impl Audience {
    /// Who receives the commands, given the inherited environment. No warning is needed about a runner that accepts
    /// none if the output is filtered anyway.
    pub fn of(options: &Options, variable: impl Fn(&str) -> Option<String>) -> Self {
        match Audience::named(options.mask, variable) {
            Audience::Deaf(_) if options.redacts() => Audience::Nobody,
            audience => audience,
        }
    }

    fn named(masking: Masking, variable: impl Fn(&str) -> Option<String>) -> Self {
        let is_true = |name| variable(name).is_some_and(|text| text.eq_ignore_ascii_case("true"));
        match masking {
            Masking::GitHub => Audience::Runner(Runner::GitHub),
            Masking::Azure => Audience::Runner(Runner::Azure),
            Masking::Off => Audience::Nobody,
            Masking::Auto if is_true("GITHUB_ACTIONS") => Audience::Runner(Runner::GitHub),
            Masking::Auto if is_true("TF_BUILD") => Audience::Runner(Runner::Azure),
            Masking::Auto => {
                let is_sign = |sign: &Sign| match sign {
                    Sign::True(name) => is_true(name),
                    Sign::Set(name) => variable(name).is_some_and(|text| !text.is_empty()),
                    Sign::Is(name, value) => variable(name).as_deref() == Some(*value),
                };
                let deaf = DEAF.iter().find(|(_, sign)| is_sign(sign));
                deaf.map_or(Audience::Nobody, |(name, _)| Audience::Deaf(name))
            }
        }
    }
}

/// How the environment tells of a runner.
enum Sign {
    /// This variable is `true`, in any case.
    True(&'static str),
    /// This variable is not empty.
    Set(&'static str),
    /// This variable has just this value.
    Is(&'static str, &'static str),
}

/// Runners whose logs a job cannot have masked by writing to them. Woodpecker sets variables of Drone too.
const DEAF: &[(&str, Sign)] = &[
    ("GitLab", Sign::True("GITLAB_CI")),
    ("Jenkins", Sign::Set("JENKINS_URL")),
    ("CircleCI", Sign::True("CIRCLECI")),
    ("Buildkite", Sign::True("BUILDKITE")),
    ("Bitbucket", Sign::Set("BITBUCKET_BUILD_NUMBER")),
    ("Woodpecker", Sign::Is("CI", "woodpecker")),
    ("Drone", Sign::True("DRONE")),
    ("Travis CI", Sign::True("TRAVIS")),
    ("TeamCity", Sign::Set("TEAMCITY_VERSION")),
    ("CodeBuild", Sign::Set("CODEBUILD_BUILD_ID")),
];

impl Runner {
    /// The name that `--mask` takes.
    pub fn name(self) -> &'static str {
        match self {
            Runner::GitHub => "github",
            Runner::Azure => "azure",
        }
    }

    /// The prefix of a command.
    fn command(self) -> &'static str {
        match self {
            Runner::GitHub => "::add-mask::",
            Runner::Azure => "##vso[task.setsecret]",
        }
    }

    /// The escape for a character, as in the runner's own libraries.
    fn escape(self, character: char) -> &'static str {
        match (self, character) {
            (_, '\r') => "%0D",
            (_, '\n') => "%0A",
            (Runner::GitHub, _) => "%25",
            (Runner::Azure, _) => "%AZP25",
        }
    }
}

/// The size in bytes up to which a write to a pipe is atomic (pipe(7)).
const BATCH: usize = 4096;

/// The length of the lines that base64(1) writes.
const BASE64_LINE: usize = 76;

/// The length from which a value is hidden, in characters for text and in bytes otherwise.
pub const SHORTEST: usize = 4;

/// The largest number of digits of a number that is not hidden, such as a port, a year or a count.
const NUMBER: usize = 5;

/// Words that are too common in logs to be hidden.
const COMMON: [&str; 26] = [
    "admin",
    "debug",
    "default",
    "development",
    "disabled",
    "enabled",
    "error",
    "false",
    "host",
    "http",
    "https",
    "info",
    "local",
    "localhost",
    "main",
    "none",
    "null",
    "production",
    "root",
    "staging",
    "test",
    "trace",
    "true",
    "user",
    "warn",
    "warning",
];

/// Receives the pieces of a command.
type Sink<'a> = &'a mut dyn FnMut(&str);

/// Passes the commands for `variables` to `write`, whole lines at a time, and returns the names of those that are not
/// masked, or not on every line, because they are too short or too common.
///
/// # Errors
///
/// Those of `write`, which is not called again after one, and those of locked memory.
pub fn register<E: From<NoMemory>>(
    runner: Runner,
    variables: &[Variable<'_>],
    mut write: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<Vec<String>, E> {
    let size = |variable: &Variable<'_>| variable.value.len();
    let mut forms = Forms::with_capacity(variables.iter().map(size).max().unwrap_or(0))?;
    let mut longest = 0;
    let mut skipped = Vec::new();
    for variable in variables {
        let is_whole = forms.of(variable, &mut |pattern| {
            longest = longest.max(length(runner, pattern));
        });
        if !is_whole {
            skipped.push(variable.name.clone().into_owned());
        }
    }
    let mut batch = Locked::with_capacity(longest.max(BATCH))?;
    let mut outcome = Ok(());
    for variable in variables {
        forms.of(variable, &mut |pattern| {
            if batch.bytes().len() + length(runner, pattern) > BATCH && !batch.bytes().is_empty() {
                if outcome.is_ok() {
                    outcome = write(batch.bytes());
                }
                batch.keep(0..0);
            }
            line(runner, pattern, &mut |piece| batch.push(piece.as_bytes()));
        });
    }
    outcome?;
    if !batch.bytes().is_empty() {
        write(batch.bytes())?;
    }
    Ok(skipped)
}

/// A text that is registered, plain or encoded for URLs.
#[derive(Clone, Copy)]
enum Pattern<'a> {
    Text(&'a str),
    Url(&'a str, &'static AsciiSet),
    /// Encoded as in forms, with `+` for a space.
    Form(&'a str),
}

/// One command, piece by piece.
fn line(runner: Runner, pattern: Pattern<'_>, sink: Sink<'_>) {
    sink(runner.command());
    match pattern {
        Pattern::Text(text) => escaped(runner, text, sink),
        Pattern::Url(text, set) => {
            utf8_percent_encode(text, set).for_each(|piece| escaped(runner, piece, sink));
        }
        Pattern::Form(text) => {
            for (index, word) in text.split(' ').enumerate() {
                sink(if index > 0 { "+" } else { "" });
                utf8_percent_encode(word, RESERVED).for_each(|piece| escaped(runner, piece, sink));
            }
        }
    }
    sink("\n");
}

/// The length of a command in bytes.
fn length(runner: Runner, pattern: Pattern<'_>) -> usize {
    let mut length = 0;
    line(runner, pattern, &mut |piece| length += piece.len());
    length
}

fn escaped(runner: Runner, mut text: &str, sink: Sink<'_>) {
    while let Some(at) = text.find(['%', '\r', '\n']) {
        let (plain, rest) = text.split_at(at);
        let mut rest = rest.chars();
        sink(plain);
        sink(rest.next().map_or("", |character| runner.escape(character)));
        text = rest.as_str();
    }
    sink(text);
}

/// The characters that RFC 3986 reserves.
pub const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The characters that JavaScript's `encodeURIComponent` encodes.
const COMPONENT: &AsciiSet = &RESERVED
    .remove(b'!')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*');

/// A value in one piece and its base64, in locked memory that is reused for each value.
struct Forms {
    value: Locked,
    base64: [Locked; 2],
}

impl Forms {
    /// Room for values of up to this many bytes.
    fn with_capacity(longest: usize) -> Result<Self, NoMemory> {
        let encoded = longest.div_ceil(3) * 4;
        Ok(Forms {
            value: Locked::with_capacity(longest)?,
            base64: [
                Locked::with_capacity(encoded)?,
                Locked::with_capacity(encoded)?,
            ],
        })
    }

    /// Passes everything to be registered for a variable to `found`; returns whether that covers its whole value.
    fn of(&mut self, variable: &Variable<'_>, found: &mut dyn FnMut(Pattern<'_>)) -> bool {
        self.value.keep(0..0);
        for piece in variable.value.pieces() {
            self.value.push(piece.as_bytes());
        }
        let value = text(&self.value);
        let is_one_line = !value.contains(['\r', '\n']);
        if is_one_line && !is_rare(value) {
            return value.trim().is_empty();
        }
        found(Pattern::Text(value));
        let is_whole = lines(value, found);
        encoded_for_urls(value, found);
        for (buffer, engine) in self.base64.iter_mut().zip([STANDARD, URL_SAFE]) {
            buffer.keep(0..0);
            let length = engine.encode_slice(value, buffer.spare()).unwrap_or(0);
            buffer.grow(length);
        }
        let [standard, url_safe] = [0, 1].map(|index| text(&self.base64[index]));
        base64_of(standard, value.len(), found);
        if url_safe != standard {
            base64_of(url_safe, value.len(), found);
        }
        is_whole
    }
}

/// Each line of a value without surrounding white space, since both runners mask line by line; returns whether all
/// lines with a letter or digit are covered.
fn lines(value: &str, found: &mut dyn FnMut(Pattern<'_>)) -> bool {
    let mut is_whole = true;
    for line in value.split(['\r', '\n']).map(str::trim) {
        if is_rare(line) {
            if line != value {
                found(Pattern::Text(line));
            }
        } else {
            is_whole &= !line.contains(char::is_alphanumeric);
        }
    }
    is_whole
}

/// The different URL encodings of a value.
fn encoded_for_urls(value: &str, found: &mut dyn FnMut(Pattern<'_>)) {
    let differs = |set| utf8_percent_encode(value, set).any(|piece| piece.starts_with('%'));
    if differs(RESERVED) {
        found(Pattern::Url(value, RESERVED));
    }
    if value.contains(['!', '\'', '(', ')', '*']) && differs(COMPONENT) {
        found(Pattern::Url(value, COMPONENT));
    }
    if value.contains(' ') {
        found(Pattern::Form(value));
    }
}

/// The base64 of a value of this many bytes, the part of it that does not depend on what follows the value, such as a
/// line feed, and the lines that base64(1) breaks it into.
fn base64_of(base64: &str, length: usize, found: &mut dyn FnMut(Pattern<'_>)) {
    let constant = &base64[..length / 3 * 4];
    found(Pattern::Text(base64));
    if constant != base64 && is_rare(constant) {
        found(Pattern::Text(constant));
    }
    if base64.len() > BASE64_LINE {
        let mut rest = constant;
        while rest.len() >= SHORTEST {
            let (line, behind) = rest.split_at(rest.len().min(BASE64_LINE));
            found(Pattern::Text(line));
            rest = behind;
        }
    }
}

fn text(buffer: &Locked) -> &str {
    std::str::from_utf8(buffer.bytes()).unwrap_or_default()
}

/// Whether a value is too short or too common to be hidden: the log would become unreadable.
pub fn is_common(value: &[u8]) -> bool {
    let is_number = value.len() <= NUMBER && value.iter().all(u8::is_ascii_digit);
    let mut words = COMMON.iter().map(|word| word.as_bytes());
    value.len() < SHORTEST || is_number || words.any(|word| word.eq_ignore_ascii_case(value))
}

/// Whether a text can be masked without making the log unreadable.
fn is_rare(text: &str) -> bool {
    let text = text.trim();
    text.chars().count() >= SHORTEST && !is_common(text.as_bytes())
}
