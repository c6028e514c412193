//! References told a second time, from the page and not from the resolver: by plain recursion.

use std::collections::HashMap;

use dotenv_run::dotenv::resolve::{MAX_RESULT, MAX_TOTAL, ResolveError, Template};

/// The values of all variables, and the names that were not set anywhere.
pub fn resolve(
    templates: &[Template],
    inherited: &dyn Fn(&str) -> Option<String>,
) -> Result<(Vec<String>, Vec<String>), ResolveError> {
    let mut reader = Reader {
        templates,
        inherited,
        done: HashMap::new(),
        open: Vec::new(),
        unset: Vec::new(),
        total: 0,
    };
    let values = templates.iter().map(|template| reader.value(template));
    let values = values.collect::<Result<_, _>>()?;
    Ok((values, reader.unset))
}

struct Reader<'a> {
    templates: &'a [Template],
    inherited: &'a dyn Fn(&str) -> Option<String>,
    done: HashMap<&'a str, String>,
    /// The variables whose values are being found, each for the one before.
    open: Vec<&'a str>,
    unset: Vec<String>,
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
                written = closing(&rest[1..]).map_or(1, |closing| 1 + closing + 1);
                self.group(&rest[..written], out)?;
            } else {
                written = 1 + leading_name(&rest[1..]).len();
                self.plain(&rest[1..written], &rest[..written], out)?;
            }
            rest = &rest[written..];
        }
        Ok(())
    }

    /// A `$`, or a `${…}`.
    fn group(&mut self, written: &str, out: &mut String) -> Result<(), ResolveError> {
        let inside = written.get(2..written.len() - 1).unwrap_or_default();
        let name = leading_name(inside);
        let (tail, operand) = inside[name.len()..]
            .split_at_checked(2)
            .unwrap_or((&inside[name.len()..], ""));
        match tail {
            _ if name.is_empty() => self.put(written, out),
            "" => self.plain(name, written, out),
            ":-" | ":+" | ":?" => {
                let value = self.look_up(name)?.filter(|value| !value.is_empty());
                match (tail, value) {
                    (":+", None) => Ok(()),
                    (":+", Some(_)) | (":-", None) => self.expand(operand, out),
                    (_, Some(value)) => self.put(&value, out),
                    (_, None) => Err(ResolveError::Required {
                        variable: self.variable().to_owned(),
                        name: name.to_owned(),
                        message: operand.to_owned(),
                    }),
                }
            }
            _ => self.put(written, out),
        }
    }

    /// `$NAME` or `${NAME}`.
    fn plain(&mut self, name: &str, written: &str, out: &mut String) -> Result<(), ResolveError> {
        if name.is_empty() {
            return self.put(written, out);
        }
        if let Some(value) = self.look_up(name)? {
            return self.put(&value, out);
        }
        if !self.unset.iter().any(|known| known == name) {
            self.unset.push(name.to_owned());
        }
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
