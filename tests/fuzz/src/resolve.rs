//! The resolver puts in what the page says, within its bounds.
//!
//! The input is a `.env` text; names that begin with `E_` are inherited, and the rest of the name is
//! the value.

use dotenv_run::inside::dotenv::parse::{Entry, parse};
use dotenv_run::inside::dotenv::resolve::{MAX_RESULT, MAX_TOTAL, Resolved, Template, resolve};

use super::reference;

pub fn holds(input: &[u8]) {
    let Ok(parsed) = parse(input) else { return };
    let template = |entry: Entry<'_>| Template {
        name: entry.name.to_owned(),
        text: entry.value.pieces().collect(),
        is_literal: entry.value.is_single_quoted(),
    };
    let templates: Vec<_> = parsed.entries().map(template).collect();
    let outcome = resolve(&templates, &inherited);
    if let Ok(resolved) = &outcome {
        is_within_bounds(&templates, resolved);
    }
    let again = resolve(&templates, &inherited);
    assert_eq!(outcome, again, "the second time differs");
    let outcome = outcome.map(|resolved| (strings(&resolved), resolved.unset, resolved.malformed));
    assert_eq!(outcome, reference::resolve(&templates, &inherited));
}

fn inherited(name: &str) -> Option<String> {
    name.strip_prefix("E_").map(str::to_owned)
}

fn strings(resolved: &Resolved) -> Vec<String> {
    resolved
        .values
        .iter()
        .map(|value| value.to_string())
        .collect()
}

fn is_within_bounds(templates: &[Template], resolved: &Resolved) {
    assert_eq!(templates.len(), resolved.values.len());
    let mut total = 0;
    for (template, value) in templates.iter().zip(&resolved.values) {
        if template.is_literal || !template.text.contains('$') {
            assert_eq!(*template.text, **value, "{} has changed", template.name);
        } else {
            assert!(value.len() <= MAX_RESULT, "{} is too long", template.name);
            total += value.len();
        }
    }
    assert!(total <= MAX_TOTAL);
    let holders = resolved.unset.iter().chain(&resolved.malformed);
    for name in holders {
        let holds_reference = |template: &Template| {
            template.name == *name && !template.is_literal && template.text.contains('$')
        };
        assert!(
            templates.iter().any(holds_reference),
            "{name} refers to nothing"
        );
    }
}
