//! A stream is filtered as a whole text is, wherever it is split, and no byte is held back that need not be.
//!
//! The input is parts between NULs: the last one is the text, the others are values of secrets.

use std::sync::Arc;

use dotenv_run::deliver::encodings::each_form;
use dotenv_run::run::redact::{Patterns, Redactor};

/// As many secrets as there are letters to call them by.
const NAMES: [&str; 4] = ["A", "B", "C", "D"];

pub fn holds(input: &[u8]) {
    let parts: Vec<_> = input.split(|byte| *byte == 0).collect();
    let Some((text, values)) = parts.split_last() else {
        return;
    };
    let secrets = || NAMES.into_iter().zip(values.iter().copied());
    let reference = Reference::of(secrets());
    let patterns = Arc::new(Patterns::of(secrets()).expect("memory"));
    // Pieces of every small length, of lengths that look random, and the whole.
    let lengths = [1, 2, 3, 7].into_iter().map(|length| vec![length]);
    let random = input.iter().map(|byte| usize::from(byte % 11) + 1);
    let lengths = lengths.chain([random.collect(), vec![text.len().max(1)]]);
    for lengths in lengths.filter(|lengths| !lengths.is_empty()) {
        is_filtered(text, &lengths, &patterns, &reference);
    }
}

fn is_filtered(text: &[u8], lengths: &[usize], patterns: &Arc<Patterns>, reference: &Reference) {
    let mut redactor = Redactor::new(Arc::clone(patterns)).expect("memory");
    let (mut shown, mut end) = (Vec::new(), 0);
    for length in lengths.iter().cycle() {
        let piece = &text[end..text.len().min(end + length)];
        if piece.is_empty() {
            break;
        }
        end += piece.len();
        redactor.spare()[..piece.len()].copy_from_slice(piece);
        redactor.take(piece.len(), &mut shown);
        assert_eq!(
            shown,
            reference.filtered(&text[..end], false),
            "after {end} bytes"
        );
    }
    redactor.release(&mut shown);
    assert_eq!(shown, reference.filtered(text, true), "at the end");
}

/// All forms, and what is put in their places.
struct Reference(Vec<(Vec<u8>, &'static str)>);

impl Reference {
    fn of<'a>(secrets: impl Iterator<Item = (&'static str, &'a [u8])>) -> Self {
        let mut forms: Vec<(Vec<u8>, &'static str)> = Vec::new();
        for (name, value) in secrets {
            each_form(value, &mut |form| {
                let is_known = forms.iter().any(|(known, _)| known == form);
                if form.len() >= 4 && !is_known {
                    forms.push((form.to_vec(), name));
                }
            });
        }
        Reference(forms)
    }

    /// What is shown of a text of which more may follow, or nothing.
    fn filtered(&self, text: &[u8], is_whole: bool) -> Vec<u8> {
        let may_begin = |rest: &[u8]| {
            let mut forms = self.0.iter();
            forms.any(|(form, _)| form.len() > rest.len() && form.starts_with(rest))
        };
        let end = (0..text.len()).find(|at| !is_whole && may_begin(&text[*at..]));
        let end = end.unwrap_or(text.len());
        let (mut shown, mut settled) = (Vec::new(), 0);
        for at in 0..end {
            let forms = self
                .0
                .iter()
                .filter(|(form, _)| text[at..].starts_with(form));
            let longest = forms.max_by_key(|(form, _)| form.len());
            if let Some((form, name)) = longest
                && at + form.len() > settled
            {
                shown.extend(text.get(settled..at).unwrap_or_default());
                shown.extend(format!("[{name}]").into_bytes());
                settled = at + form.len();
            }
        }
        shown.extend(text.get(settled..end).unwrap_or_default());
        shown
    }
}
