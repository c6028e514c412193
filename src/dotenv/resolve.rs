//! Resolves references between variables, once over the merged set.
//!
//! It does not recurse, resolves each variable once, and does not scan substituted text again: the cost is that of
//! reading the values and writing the results.

#![forbid(unsafe_code)]

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::rc::Rc;

/// The size in bytes that the result of one variable may have.
pub const MAX_RESULT: usize = 1024 * 1024;

/// The size in bytes that all results together may have.
pub const MAX_TOTAL: usize = 64 * 1024 * 1024;

/// A variable to be resolved.
pub struct Template {
    /// Its name.
    pub name: String,
    /// Its value, decoded.
    pub text: String,
    /// Whether it was single-quoted and is therefore not resolved.
    pub is_literal: bool,
}

/// The result of resolving.
#[derive(Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The values, in the order of the variables.
    pub values: Vec<Rc<str>>,
    /// The variables that hold a reference to a name that is not set. The name itself may be a part of a password, and is
    /// not here.
    pub unset: Vec<String>,
    /// The variables that hold a `${` that is not closed or has a tail that means nothing here.
    pub malformed: Vec<String>,
}

/// Why the references cannot be resolved.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// These variables form a circular reference.
    #[error("circular references: {}", .0.join(", "))]
    Cycle(Vec<String>),
    /// `${NAME:?message}` in `variable`, and NAME is not set or empty.
    #[error(fmt = required)]
    Required {
        /// The variable that holds the reference.
        variable: String,
        /// What the reference says about it, if the value is this reference alone: a part of a longer value may be a
        /// part of a password.
        message: Option<String>,
    },
    /// The result of a variable is too large.
    #[error("the resolved value of {0} is larger than {MAX_RESULT} bytes")]
    TooLong(String),
    /// The results up to and including this variable's are too large in total.
    #[error("the resolved values up to {0} are larger than {MAX_TOTAL} bytes in total")]
    TotalTooLong(String),
}

fn required(variable: &str, message: &Option<String>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match message {
        Some(message) => write!(f, "{variable}: {}", message.escape_debug()),
        None => write!(
            f,
            "{variable} requires a variable that is not set or is empty"
        ),
    }
}

/// Resolves every reference. `fallback` gives the values of names that no variable has.
///
/// # Errors
///
/// A [`ResolveError`]; nothing is resolved then.
pub fn resolve(
    templates: &[Template],
    fallback: &dyn Fn(&str) -> Option<String>,
) -> Result<Resolved, ResolveError> {
    let names = templates.iter().map(|template| template.name.as_str());
    let mut resolver = Resolver {
        templates,
        positions: names.zip(0..).collect(),
        fallback,
        states: templates.iter().map(|_| State::Untouched).collect(),
        frames: Vec::new(),
        started: Vec::new(),
        unset: Holders::default(),
        malformed: Holders::default(),
        total: 0,
    };
    for variable in 0..templates.len() {
        resolver.run(variable)?;
    }
    let value = |state| {
        if let State::Done(value) = state {
            value
        } else {
            Rc::from("")
        }
    };
    Ok(Resolved {
        values: resolver.states.into_iter().map(value).collect(),
        unset: resolver.unset.names(templates),
        malformed: resolver.malformed.names(templates),
    })
}

/// The state of a variable.
enum State {
    Untouched,
    Started,
    Done(Rc<str>),
}

/// A section of a variable's text that is being read: all of it, or an operand.
struct Frame {
    variable: usize,
    at: usize,
    end: usize,
    is_whole: bool,
}

/// A variable that is being resolved: its result so far, and the brace pairs of its text.
struct Started {
    result: String,
    braces: Braces,
}

struct Resolver<'a> {
    templates: &'a [Template],
    positions: HashMap<&'a str, usize>,
    fallback: &'a dyn Fn(&str) -> Option<String>,
    states: Vec<State>,
    /// The sections that are being read, each inside or on behalf of the one before.
    frames: Vec<Frame>,
    /// The variables that are being resolved, each on behalf of the one before.
    started: Vec<Started>,
    unset: Holders,
    malformed: Holders,
    total: usize,
}

impl<'a> Resolver<'a> {
    /// Resolves one variable and all variables that it needs.
    fn run(&mut self, variable: usize) -> Result<(), ResolveError> {
        self.start(variable);
        while let Some(frame) = self.frames.last_mut() {
            let text = &self.templates[frame.variable].text[..frame.end];
            let rest = &text[frame.at..];
            let plain = rest.find(['$', '\\']).unwrap_or(rest.len());
            self.copy(&rest[..plain], plain)?;
            match &rest.as_bytes()[plain..] {
                [] => self.finish(),
                [b'\\', b'$', ..] => self.copy("$", 2)?,
                [b'\\', ..] => self.copy("\\", 1)?,
                _ => self.reference(text)?,
            }
        }
        Ok(())
    }

    /// Begins a variable, unless it was begun before or contains nothing to resolve.
    fn start(&mut self, variable: usize) {
        if !matches!(self.states[variable], State::Untouched) {
            return;
        }
        let Template {
            text, is_literal, ..
        } = &self.templates[variable];
        if *is_literal || !text.contains('$') {
            self.states[variable] = State::Done(Rc::from(text.as_str()));
            return;
        }
        self.states[variable] = State::Started;
        self.frames.push(Frame {
            variable,
            at: 0,
            end: text.len(),
            is_whole: true,
        });
        self.started.push(Started {
            result: String::new(),
            braces: Braces::of(text),
        });
    }

    /// Ends the innermost section and, if it is the whole text of a variable, the variable.
    fn finish(&mut self) {
        if let Some(frame) = self.frames.pop()
            && frame.is_whole
            && let Some(started) = self.started.pop()
        {
            self.states[frame.variable] = State::Done(started.result.into());
        }
    }

    /// Appends `text` to the result and advances the innermost section by `length` bytes.
    fn copy(&mut self, text: &str, length: usize) -> Result<(), ResolveError> {
        let (Some(frame), Some(started)) = (self.frames.last_mut(), self.started.last_mut()) else {
            return Ok(());
        };
        frame.at += length;
        self.total += text.len();
        let name = &self.templates[frame.variable].name;
        if started.result.len() + text.len() > MAX_RESULT {
            return Err(ResolveError::TooLong(name.clone()));
        }
        if self.total > MAX_TOTAL {
            return Err(ResolveError::TotalTooLong(name.clone()));
        }
        started.result.push_str(text);
        Ok(())
    }

    /// Handles the `$` at the current position of the innermost section, which ends where `text` does.
    fn reference(&mut self, text: &'a str) -> Result<(), ResolveError> {
        let (Some(frame), Some(started)) = (self.frames.last(), self.started.last()) else {
            return Ok(());
        };
        let (variable, at) = (frame.variable, frame.at);
        let reference = Reference::at(text, at, &started.braces);
        let written = &text[at..reference.end];
        let Some((name, operator)) = reference.name_and_operator else {
            if text[at..].starts_with("${") {
                self.malformed.0.insert(variable);
            }
            return self.copy(written, written.len());
        };
        let value = match self.look_up(name, variable)? {
            Lookup::Known(value) => value,
            Lookup::Needed(other) => {
                self.start(other);
                return Ok(());
            }
        };
        let counts = |value: &Rc<str>| operator.empty_counts || !value.is_empty();
        match (operator.act, value.filter(counts)) {
            (Act::Plain | Act::Default(_) | Act::Required(_), Some(value)) => {
                self.copy(&value, written.len())
            }
            (Act::Plain, None) => {
                self.unset.0.insert(variable);
                self.copy(written, written.len())
            }
            (Act::Default((at, end)), None) | (Act::Alternative((at, end)), Some(_)) => {
                self.copy("", written.len())?;
                self.frames.push(Frame {
                    variable,
                    at,
                    end,
                    is_whole: false,
                });
                Ok(())
            }
            (Act::Alternative(_), None) => self.copy("", written.len()),
            (Act::Required(message), None) => {
                let whole = &self.templates[variable].text;
                let is_alone = written.len() == whole.len() && message.0 < message.1;
                Err(ResolveError::Required {
                    variable: self.templates[variable].name.clone(),
                    message: is_alone.then(|| text[message.0..message.1].to_owned()),
                })
            }
        }
    }

    /// The value of `name` in `variable`, which does not see itself.
    fn look_up(&self, name: &str, variable: usize) -> Result<Lookup, ResolveError> {
        let fallback = || Lookup::Known((self.fallback)(name).map(Rc::from));
        match self.positions.get(name) {
            None => Ok(fallback()),
            Some(position) if *position == variable => Ok(fallback()),
            Some(position) => match &self.states[*position] {
                State::Done(value) => Ok(Lookup::Known(Some(Rc::clone(value)))),
                State::Untouched => Ok(Lookup::Needed(*position)),
                State::Started => Err(self.cycle(*position)),
            },
        }
    }

    /// The circle that another reference to the variable `first` closes.
    fn cycle(&self, first: usize) -> ResolveError {
        let whole = self.frames.iter().filter(|frame| frame.is_whole);
        let circle = whole.skip_while(|frame| frame.variable != first);
        ResolveError::Cycle(
            circle
                .map(|frame| self.templates[frame.variable].name.clone())
                .collect(),
        )
    }
}

/// The result of a lookup.
enum Lookup {
    /// This value, or none at all.
    Known(Option<Rc<str>>),
    /// The value of a variable that has not been resolved yet.
    Needed(usize),
}

/// What a `$` begins.
struct Reference<'a> {
    /// The name and the operation on it; `None` if the text is literal.
    name_and_operator: Option<(&'a str, Operator)>,
    /// Where in the text it ends.
    end: usize,
}

/// The operation on a name.
#[derive(Clone, Copy)]
struct Operator {
    act: Act,
    /// Whether an empty value is a value.
    empty_counts: bool,
}

/// What is put in the place of a reference. An operand is a stretch of the text.
#[derive(Clone, Copy)]
enum Act {
    Plain,
    Default((usize, usize)),
    Alternative((usize, usize)),
    Required((usize, usize)),
}

impl Operator {
    const PLAIN: Operator = Operator {
        act: Act::Plain,
        empty_counts: true,
    };

    /// Reads the operator in `tail`, which begins at `at` and ends where its operand does.
    fn read(tail: &[u8], at: usize) -> Option<Self> {
        let end = at + tail.len();
        let (symbol, operand, empty_counts) = match tail {
            [] => return Some(Operator::PLAIN),
            [b':', symbol, ..] => (symbol, (at + 2, end), false),
            [symbol, ..] => (symbol, (at + 1, end), true),
        };
        let act = match symbol {
            b'-' => Act::Default(operand),
            b'+' => Act::Alternative(operand),
            b'?' => Act::Required(operand),
            _ => return None,
        };
        Some(Operator { act, empty_counts })
    }
}

/// Variables of whose text something is to be said.
#[derive(Default)]
struct Holders(BTreeSet<usize>);

impl Holders {
    fn names(&self, templates: &[Template]) -> Vec<String> {
        let names = self
            .0
            .iter()
            .map(|variable| templates[*variable].name.clone());
        names.collect()
    }
}

impl<'a> Reference<'a> {
    /// Reads the reference whose `$` is at `at`.
    fn at(text: &'a str, at: usize, braces: &Braces) -> Self {
        let literal = |end| Reference {
            name_and_operator: None,
            end,
        };
        let start = at + 1;
        if !text[start..].starts_with('{') {
            let name = leading_name(&text[start..]);
            let is_name = !name.is_empty();
            let name_and_operator = is_name.then_some((name, Operator::PLAIN));
            return Reference {
                name_and_operator,
                end: start + name.len(),
            };
        }
        let Some(closing) = braces.closing(start) else {
            return literal(start);
        };
        let end = closing + 1;
        let name = leading_name(&text[start + 1..closing]);
        let tail_at = start + 1 + name.len();
        if name.is_empty() {
            return literal(end);
        }
        let Some(operator) = Operator::read(&text.as_bytes()[tail_at..closing], tail_at) else {
            return literal(end);
        };
        Reference {
            name_and_operator: Some((name, operator)),
            end,
        }
    }
}

/// The name at the beginning of `text`; empty if there is none.
fn leading_name(text: &str) -> &str {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    if text.starts_with(|first: char| first.is_ascii_digit()) {
        return "";
    }
    let length = text
        .bytes()
        .position(|byte| !is_part(&byte))
        .unwrap_or(text.len());
    &text[..length]
}

/// The pairs of braces in a text, found in one pass.
struct Braces(Vec<(usize, usize)>);

impl Braces {
    fn of(text: &str) -> Self {
        let (mut open, mut pairs) = (Vec::new(), Vec::new());
        for (at, byte) in text.bytes().enumerate() {
            match byte {
                b'{' => open.push(at),
                b'}' => pairs.extend(open.pop().map(|opening| (opening, at))),
                _ => (),
            }
        }
        pairs.sort_unstable();
        Braces(pairs)
    }

    /// The position of the brace that closes the one at `opening`.
    fn closing(&self, opening: usize) -> Option<usize> {
        let index = self.0.binary_search_by_key(&opening, |pair| pair.0).ok()?;
        Some(self.0[index].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(variables: &[(&str, &str)]) -> Result<Vec<String>, ResolveError> {
        let template = |(name, text): &(&str, &str)| Template {
            name: (*name).to_owned(),
            text: (*text).to_owned(),
            is_literal: false,
        };
        let templates: Vec<_> = variables.iter().map(template).collect();
        let values = resolve(&templates, &|_| None)?.values;
        Ok(values.iter().map(|value| value.to_string()).collect())
    }

    fn first(variables: &[(&str, &str)]) -> String {
        resolved(variables).unwrap().remove(0)
    }

    #[test]
    fn an_operand_is_evaluated_only_when_it_is_used() {
        assert_eq!(first(&[("A", "${B:-${A:?no}}"), ("B", "b")]), "b");
        assert_eq!(first(&[("A", "${C:+${A:?no}}")]), "");
        assert_eq!(first(&[("A", "${C:-<${B:+[${B}]}>}"), ("B", "b")]), "<[b]>");
    }

    #[test]
    fn a_chain_of_ten_thousand_is_resolved_from_either_end() {
        let names: Vec<_> = (0..=10_000).map(|index| format!("V{index}")).collect();
        let texts: Vec<_> = (1..=10_000)
            .map(|index| format!("${{V{index}}}"))
            .chain(["end".into()])
            .collect();
        let pairs = names
            .iter()
            .zip(&texts)
            .map(|(name, text)| (name.as_str(), text.as_str()));
        let mut variables: Vec<_> = pairs.collect();
        assert_eq!(first(&variables), "end");
        variables.reverse();
        assert_eq!(resolved(&variables).unwrap()[10_000], "end");
    }

    #[test]
    fn a_doubling_bomb_is_refused_at_the_cap() {
        let names: Vec<_> = (0..60).map(|index| format!("V{index}")).collect();
        let texts: Vec<_> = (0..60)
            .map(|index| format!("${{V{}}}$V{}", index + 1, index + 1))
            .collect();
        let pairs = names
            .iter()
            .zip(&texts)
            .map(|(name, text)| (name.as_str(), text.as_str()));
        let variables: Vec<_> = pairs.chain([("V60", "xx")]).collect();
        assert_eq!(
            resolved(&variables),
            Err(ResolveError::TooLong("V40".into()))
        );
    }

    #[test]
    fn a_circle_is_named_without_those_that_lead_to_it() {
        let variables = [("A", "$B"), ("B", "${C}"), ("C", "${X:-$B}")];
        assert_eq!(
            resolved(&variables),
            Err(ResolveError::Cycle(vec!["B".into(), "C".into()]))
        );
    }

    #[test]
    fn deeply_nested_operands_need_no_deep_stack() {
        let depth = 100_000;
        let text = format!("{}x{}", "${N:-".repeat(depth), "}".repeat(depth));
        assert_eq!(first(&[("A", &text)]), "x");
    }
}
