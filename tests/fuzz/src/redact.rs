//! A stream is filtered as a whole text is, wherever it is split; what is shown is never taken back, and no value that
//! stands in the text, as it is or spelled by other hands than ours, is shown.
//!
//! The input is parts between NULs: the last one is the text, the others are values of secrets.

use std::sync::Arc;

use dotenv_run::inside::run::redact::{Patterns, Redactor};

/// As many secrets as there are letters to call them by.
const NAMES: [&str; 4] = ["A", "B", "C", "D"];

pub fn holds(input: &[u8]) {
    let parts: Vec<_> = input.split(|byte| *byte == 0).collect();
    let Some((text, values)) = parts.split_last() else {
        return;
    };
    let secrets = || NAMES.into_iter().zip(values.iter().copied());
    let patterns = Arc::new(Patterns::of(secrets()).expect("few bytes"));
    let random = input.iter().map(|byte| usize::from(byte % 11) + 1);
    let random: Vec<_> = random.collect();
    is_filtered_alike(text, &random, &patterns);
    assert_eq!(
        filtered(text, &[text.len().max(1)], &patterns),
        plainly_filtered(text, values, &patterns)
    );
    for (_, value) in secrets().filter(|(_, value)| !is_common(value)) {
        for spelled in spellings(value) {
            let text = [text, &b"<"[..], &spelled, b">"].concat();
            let shown = filtered(&text, &[text.len()], &patterns);
            assert!(
                !shown.ends_with(&[&spelled, &b">"[..]].concat()),
                "{spelled:?} is shown"
            );
            assert_eq!(filtered(&text, &[1], &patterns), shown, "byte by byte");
        }
    }
}

/// What is too common is not looked for; no other word is of the letters that count here.
fn is_common(value: &[u8]) -> bool {
    value.len() < 4
        || Patterns::of([("A", value)].into_iter()).is_ok_and(|patterns| patterns.longest() == 0)
}

fn spellings(value: &[u8]) -> Vec<Vec<u8>> {
    let each =
        |spell: &dyn Fn(u8) -> String| value.iter().map(|byte| spell(*byte)).collect::<String>();
    let spelled = [
        each(&|byte| format!("{byte:02x}")),
        each(&|byte| format!("{byte:02X}\r\n")),
        each(&|byte| format!("%{byte:02X}")),
        each(&|byte| format!("%25{byte:02x}")),
        each(&|byte| format!("\\x{byte:02x}")),
        each(&|byte| format!("\\{byte:03o}")),
    ];
    spelled.map(String::into_bytes).into()
}

/// Pieces of every small length, and of lengths that look random.
fn is_filtered_alike(text: &[u8], random: &[usize], patterns: &Arc<Patterns>) {
    let whole = filtered(text, &[text.len().max(1)], patterns);
    for lengths in [&[1][..], &[2], &[3], &[7], random] {
        if !lengths.is_empty() {
            assert_eq!(
                filtered(text, lengths, patterns),
                whole,
                "in pieces of {lengths:?}"
            );
        }
    }
}

fn filtered(text: &[u8], lengths: &[usize], patterns: &Arc<Patterns>) -> Vec<u8> {
    let mut redactor = Redactor::new(Arc::clone(patterns)).expect("memory");
    let (mut shown, mut end) = (Vec::new(), 0);
    for length in lengths.iter().cycle() {
        let piece = &text[end..text.len().min(end + length)];
        if piece.is_empty() {
            break;
        }
        end += piece.len();
        redactor.spare().expect("memory")[..piece.len()].copy_from_slice(piece);
        redactor.take(piece.len(), &mut shown);
    }
    redactor.release(&mut shown);
    shown
}

/// What is shown where nothing is encoded: at every place the longest value counts. If the text holds an encoded one,
/// this is what the filter shows.
fn plainly_filtered(text: &[u8], values: &[&[u8]], patterns: &Arc<Patterns>) -> Vec<u8> {
    let is_plain = text.iter().all(|byte| b"abc\n".contains(byte));
    if !is_plain {
        return filtered(text, &[text.len().max(1)], patterns);
    }
    let mut known: Vec<(&[u8], &str)> = Vec::new();
    for (name, value) in NAMES.into_iter().zip(values.iter().copied()) {
        let lines = value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let all = [value]
            .into_iter()
            .chain(lines)
            .filter(|it| !is_common(value) && !is_common(it));
        known.extend(all.map(|it| (it, name)));
    }
    let (mut shown, mut settled) = (Vec::new(), 0);
    for at in 0..text.len() {
        let here = known
            .iter()
            .filter(|(value, _)| text[at..].starts_with(value));
        let longest = here.fold(None, |longest: Option<&(&[u8], &str)>, it| match longest {
            Some(longest) if longest.0.len() >= it.0.len() => Some(longest),
            _ => Some(it),
        });
        if let Some((value, name)) = longest
            && at + value.len() > settled
        {
            shown.extend(text.get(settled..at).unwrap_or_default());
            shown.extend(format!("[{name}]").into_bytes());
            settled = at + value.len();
        }
    }
    shown.extend(text.get(settled..).unwrap_or_default());
    shown
}
