//! The structure of a Jenkinsfile: blocks and statements, and what a declarative pipeline consists of.

use std::iter::Peekable;
use std::str::Chars;

/// A statement of Groovy, without comments, and the closure behind it if there is one.
pub struct Statement {
    pub head: String,
    pub block: Option<Vec<Statement>>,
}

/// Statements with their blocks. Everything that opens must close.
pub fn read(text: &str) -> Result<Vec<Statement>, String> {
    let mut rest = text.chars().peekable();
    let block = block(&mut rest)?;
    match rest.next() {
        None => Ok(block),
        Some(end) => Err(format!("{end} closes nothing")),
    }
}

fn block(rest: &mut Peekable<Chars<'_>>) -> Result<Vec<Statement>, String> {
    let (mut statements, mut head, mut open) = (Vec::new(), String::new(), Vec::new());
    while let Some(character) = rest.next_if(|it| *it != '}' || !open.is_empty()) {
        match (character, rest.peek()) {
            ('/', Some('/')) => while rest.next_if(|it| *it != '\n').is_some() {},
            ('\'' | '"', _) => head += &string(character, rest)?,
            ('(', _) => push(&mut open, &mut head, character, ')'),
            ('[', _) => push(&mut open, &mut head, character, ']'),
            (')' | ']' | '}', _) if open.pop() == Some(character) => head.push(character),
            (')' | ']' | '}', _) => {
                return Err(format!("{character} closes nothing behind {head}"));
            }
            ('{', _) => {
                let inside = block(rest)?;
                rest.next().ok_or(format!("{head} is not closed"))?;
                end(&mut statements, &mut head, Some(inside));
            }
            ('\n' | ';', _) if open.is_empty() => end(&mut statements, &mut head, None),
            _ => head.push(character),
        }
    }
    if !open.is_empty() {
        return Err(format!("{head} is not closed"));
    }
    end(&mut statements, &mut head, None);
    Ok(statements)
}

fn push(open: &mut Vec<char>, head: &mut String, character: char, close: char) {
    open.push(close);
    head.push(character);
}

fn end(statements: &mut Vec<Statement>, head: &mut String, block: Option<Vec<Statement>>) {
    let head = std::mem::take(head)
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    if !head.is_empty() {
        statements.push(Statement { head, block });
    }
}

fn string(quote: char, rest: &mut Peekable<Chars<'_>>) -> Result<String, String> {
    let mut text = String::from(quote);
    for character in rest.by_ref().take_while(|it| *it != '\n') {
        text.push(character);
        if character == quote && !text.ends_with(&format!("\\{quote}")) {
            return Ok(text);
        }
    }
    Err(format!("{text} is not closed"))
}

/// What a declarative pipeline must have and may have
/// (<https://www.jenkins.io/doc/book/pipeline/syntax/#declarative-pipeline>).
pub fn check(file: &[Statement]) -> Result<(), String> {
    let [pipeline] = file else {
        return Err("not one pipeline".into());
    };
    let directives = section(
        pipeline,
        "pipeline",
        "agent stages",
        "environment libraries options parameters post tools triggers",
    )?;
    let stages = directives.iter().find(|it| word(it) == "stages");
    let stages = stages
        .and_then(|it| it.block.as_ref())
        .ok_or("no block of stages")?;
    if stages.is_empty() {
        return Err("no stage".into());
    }
    for stage in stages {
        let name = stage
            .head
            .strip_prefix("stage('")
            .and_then(|it| it.strip_suffix("')"));
        name.ok_or(format!("{} has no name of a stage", stage.head))?;
        let inside = section(
            stage,
            "stage",
            "steps",
            "agent environment input options post tools when",
        )?;
        let steps = inside.iter().find(|it| word(it) == "steps");
        let steps = steps.and_then(|it| it.block.as_ref());
        steps
            .filter(|it| !it.is_empty())
            .ok_or("a stage without a step")?;
    }
    Ok(())
}

/// The statements of a block of that kind, which has all directives of the first list, and others of the second only.
fn section<'a>(
    statement: &'a Statement,
    kind: &str,
    required: &str,
    allowed: &str,
) -> Result<&'a [Statement], String> {
    let head = &statement.head;
    let block = statement
        .block
        .as_deref()
        .filter(|_| word(statement) == kind);
    let block = block.ok_or(format!("{head} is no {kind}"))?;
    for directive in required.split(' ') {
        let mut inside = block.iter();
        inside
            .find(|it| word(it) == directive)
            .ok_or(format!("{head} has no {directive}"))?;
    }
    let is_known = |it: &&Statement| {
        !required
            .split(' ')
            .chain(allowed.split(' '))
            .any(|name| name == word(it))
    };
    match block.iter().find(is_known) {
        Some(unknown) => Err(format!("{} does not belong into {head}", unknown.head)),
        None => Ok(block),
    }
}

fn word(statement: &Statement) -> &str {
    let end = statement.head.find(['(', ' ', '\'']);
    &statement.head[..end.unwrap_or(statement.head.len())]
}

/// Every statement with a command of the shell, and whether it is inside of a block that binds a credential: the
/// command, and the variable that it is in.
pub fn commands(statements: &[Statement]) -> Vec<(String, Option<String>)> {
    let mut found = Vec::new();
    collect(statements, None, &mut found);
    found
}

fn collect(
    statements: &[Statement],
    bound: Option<&str>,
    found: &mut Vec<(String, Option<String>)>,
) {
    for Statement { head, block } in statements {
        let credential = head.strip_prefix("withCredentials([string(");
        let variable = credential.and_then(|it| it.split("variable: '").nth(1)?.split('\'').next());
        if let Some(script) = head.strip_prefix("sh ") {
            found.push((script.to_owned(), bound.map(str::to_owned)));
        }
        collect(
            block.as_deref().unwrap_or_default(),
            variable.or(bound),
            found,
        );
    }
}
