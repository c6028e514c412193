//! References told a second time, from the page and not from the resolver: by plain recursion.

use std::collections::{BTreeSet, HashMap};

use dotenv_run::inside::dotenv::resolve::{MAX_RESULT, MAX_TOTAL, ResolveError, Template};

/// The values of all variables, those that refer to a name that is not set, and those with a `${` that means nothing.
pub type Resolution = (Vec<String>, Vec<String>, Vec<String>);

/// Resolves them all.
pub fn resolve(
    templates: &[Template],
    inherited: &dyn Fn(&str) -> Option<String>,
) -> Result<Resolution, ResolveError> {
    let mut reader = Reader {
        templates,
        inherited,
        done: HashMap::new(),
        open: Vec::new(),
        unset: BTreeSet::new(),
        malformed: BTreeSet::new(),
        total: 0,
    };
    let values = templates.iter().map(|template| reader.value(template));
    let values = values.collect::<Result<_, _>>()?;
    let names = |holders: &BTreeSet<&str>| {
        let names = templates.iter().map(|template| template.name.as_str());
        let held = names.filter(|name| holders.contains(name));
        held.map(str::to_owned).collect()
    };
    Ok((values, names(&reader.unset), names(&reader.malformed)))
}

struct Reader<'a> {
    templates: &'a [Template],
    inherited: &'a dyn Fn(&str) -> Option<String>,
    done: HashMap<&'a str, String>,
    /// The variables whose values are being found, each for the one before.
    open: Vec<&'a str>,
    unset: BTreeSet<&'a str>,
    malformed: BTreeSet<&'a str>,
    /// The size of everything that was put together.
    total: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, template: &'a Template) -> Result<String, ResolveError> {
        let name = template.name.as_str();
        if template.is_literal || !template.text.contains('$') {
            return Ok(template.text.clone());
        }
        if let Some(value) = self.done.get(name) {
            return Ok(value.clone());
        }
        if let Some(first) = self.open.iter().position(|open| *open == name) {
            let circle = self.open[first..].iter().map(|open| (*open).to_owned());
            return Err(ResolveError::Cycle(circle.collect()));
        }
        self.open.push(name);
        let mut value = String::new();
        self.expand(&template.text, &mut value)?;
        self.open.pop();
        self.done.insert(name, value.clone());
        Ok(value)
    }

    /// The variable that is being resolved.
    fn variable(&self) -> &'a str {
        self.open.last().copied().unwrap_or_default()
    }

    fn put(&mut self, text: &str, out: &mut String) -> Result<(), ResolveError> {
        out.push_str(text);
        self.total += text.len();
        match out.len() > MAX_RESULT || self.total > MAX_TOTAL {
            true => Err(ResolveError::TooLong(self.variable().to_owned())),
            false => Ok(()),
        }
    }

    fn expand(&mut self, text: &str, out: &mut String) -> Result<(), ResolveError> {
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let mut written = first.len_utf8();
            if rest.starts_with("\\$") {
                written = 2;
                self.put("$", out)?;
            } else if first != '$' {
                self.put(&rest[..written], out)?;
            } else if rest[1..].starts_with('{') {
                match closing(&rest[1..]) {
                    Some(closing) => {
                        written = 1 + closing + 1;
                        self.group(&rest[..written], out)?;
                    }
                    None => self.meaningless("$", out)?,
                }
            } else {
                written = 1 + leading_name(&rest[1..]).len();
                self.plain(&rest[1..written], &rest[..written], out)?;
            }
            rest = &rest[written..];
        }
        Ok(())
    }

    /// A `${…}`.
    fn group(&mut self, written: &str, out: &mut String) -> Result<(), ResolveError> {
        let inside = &written[2..written.len() - 1];
        let name = leading_name(inside);
        let tail = &inside[name.len()..];
        if name.is_empty() {
            return self.meaningless(written, out);
        }
        if tail.is_empty() {
            return self.plain(name, written, out);
        }
        let (rest, empty_counts) = match tail.strip_prefix(':') {
            Some(rest) => (rest, false),
            None => (tail, true),
        };
        let Some(symbol @ ('-' | '+' | '?')) = rest.chars().next() else {
            return self.meaningless(written, out);
        };
        let operand = &rest[1..];
        let value = self.look_up(name)?;
        let value = value.filter(|value| empty_counts || !value.is_empty());
        match (symbol, value) {
            ('+', None) => Ok(()),
            ('+', Some(_)) | ('-', None) => self.expand(operand, out),
            (_, Some(value)) => self.put(&value, out),
            (_, None) => Err(ResolveError::Required {
                variable: self.variable().to_owned(),
                message: self.message(written, operand),
            }),
        }
    }

    /// A message is shown only where the value is nothing but the reference that has it.
    fn message(&self, written: &str, operand: &str) -> Option<String> {
        let mut own = self
            .templates
            .iter()
            .filter(|it| it.name == self.variable());
        let is_alone = own.any(|template| template.text == written);
        (is_alone && !operand.is_empty()).then(|| operand.to_owned())
    }

    fn meaningless(&mut self, written: &str, out: &mut String) -> Result<(), ResolveError> {
        let holder = self.variable();
        self.malformed.insert(holder);
        self.put(written, out)
    }

    /// `$NAME` or `${NAME}`.
    fn plain(&mut self, name: &str, written: &str, out: &mut String) -> Result<(), ResolveError> {
        if name.is_empty() {
            return self.put(written, out);
        }
        if let Some(value) = self.look_up(name)? {
            return self.put(&value, out);
        }
        let holder = self.variable();
        self.unset.insert(holder);
        self.put(written, out)
    }

    fn look_up(&mut self, name: &str) -> Result<Option<String>, ResolveError> {
        let templates = self.templates;
        let mut others = templates
            .iter()
            .filter(|template| template.name != self.variable());
        match others.find(|template| template.name == name) {
            Some(template) => self.value(template).map(Some),
            None => Ok((self.inherited)(name)),
        }
    }
}

/// Where the brace that `text` begins with is closed.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    text.bytes().position(|byte| {
        depth += i32::from(byte == b'{') - i32::from(byte == b'}');
        depth == 0
    })
}

fn leading_name(text: &str) -> &str {
    let is_part = |part: char| part == '_' || part.is_ascii_alphanumeric();
    let end = text.find(|part| !is_part(part)).unwrap_or(text.len());
    match text.starts_with(|first: char| first.is_ascii_digit()) {
        true => "",
        false => &text[..end],
    }
}
