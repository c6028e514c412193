//! The snippets of the documents, taken out mechanically: what stands in a display of a manual page or in a fence of
//! the README is one, and there is no other way to be one.

use std::fs;
use std::path::Path;

/// A document with snippets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Document {
    Readme,
    Recipes,
    Run,
    Seal,
}

pub const DOCUMENTS: [Document; 4] = [
    Document::Readme,
    Document::Recipes,
    Document::Run,
    Document::Seal,
];

impl Document {
    pub fn file(self) -> &'static str {
        match self {
            Document::Readme => "README.md",
            Document::Recipes => "man/dotenv-run-recipes.7",
            Document::Run => "man/dotenv-run.1",
            Document::Seal => "man/dotenv-seal.1",
        }
    }

    fn text(self) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(self.file());
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// All snippets, in their order.
    pub fn snippets(self) -> Vec<Snippet> {
        let found = match self {
            Document::Readme => of_markdown(&self.text()),
            _ => of_mdoc(&self.text()),
        };
        let mut snippets: Vec<Snippet> = Vec::new();
        for (section, text) in found {
            let before = snippets.iter().filter(|other| other.section == section);
            snippets.push(Snippet {
                number: before.count() + 1,
                document: self,
                section,
                text,
            });
        }
        snippets
    }
}

/// A text to be copied.
pub struct Snippet {
    pub document: Document,
    /// The heading that it stands under.
    pub section: String,
    /// Its place among those of the same section, from 1.
    pub number: usize,
    pub text: String,
}

impl Snippet {
    #[track_caller]
    pub fn find(document: Document, section: &str, number: usize) -> Self {
        let mut snippets = document.snippets().into_iter();
        let found = snippets.find(|it| it.section == section && it.number == number);
        let (file, order) = (document.file(), number);
        found.unwrap_or_else(|| panic!("{file} has no snippet {order} under {section}"))
    }

    /// What a shell is to read: without prompts, where there are any.
    pub fn commands(&self) -> String {
        let lines = self
            .text
            .lines()
            .map(|line| line.strip_prefix("$ ").unwrap_or(line));
        lines.map(|line| format!("{line}\n")).collect()
    }
}

/// Fences, with the heading that they stand under.
fn of_markdown(text: &str) -> Vec<(String, String)> {
    let (mut section, mut fence, mut found) = (String::new(), None::<String>, Vec::new());
    for line in text.lines() {
        match (&mut fence, line) {
            (None, line) if line.starts_with("```") => fence = Some(String::new()),
            (None, line) if line.starts_with('#') => {
                section = line.trim_start_matches('#').trim().to_owned();
            }
            (None, _) => {}
            (Some(_), "```") => found.push((section.clone(), fence.take().unwrap_or_default())),
            (Some(inside), line) => *inside += &format!("{line}\n"),
        }
    }
    assert!(fence.is_none(), "a fence under {section} is open");
    found
}

/// Literal displays and lines, with the heading that they stand under.
fn of_mdoc(text: &str) -> Vec<(String, String)> {
    let (mut section, mut display, mut found) = (String::new(), None::<String>, Vec::new());
    for line in text.lines() {
        match (&mut display, line) {
            (Some(_), ".Ed") => found.push((section.clone(), display.take().unwrap_or_default())),
            (Some(inside), line) => {
                assert!(!line.starts_with(['.', '\'']), "a macro in a display");
                *inside += &format!("{}\n", shown(line));
            }
            (None, line) => match line.split_once(' ') {
                Some((".Sh" | ".Ss", heading)) => section = heading.to_owned(),
                Some((".Bd", kind)) if kind.starts_with("-literal") => {
                    display = Some(String::new())
                }
                Some((".Bd", kind)) => panic!("a display of another kind: {kind}"),
                Some((".Dl", line)) => found.push((section.clone(), format!("{}\n", shown(line)))),
                _ => {}
            },
        }
    }
    found
}

/// A line of text as it is shown. `the_manuals_show_what_is_taken_out` asks mandoc whether that is so.
fn shown(line: &str) -> String {
    let (mut shown, mut rest) = (String::new(), line);
    while let Some((before, escape)) = rest.split_once('\\') {
        let known = [
            ("e", "\\"),
            ("-", "-"),
            ("&", ""),
            ("(dq", "\""),
            ("(aq", "'"),
        ];
        let escapes = known.iter();
        let mut matching =
            escapes.filter_map(|(name, text)| Some((escape.strip_prefix(name)?, text)));
        let (after, text) = matching
            .next()
            .unwrap_or_else(|| panic!("an unknown escape in {line}"));
        shown += before;
        shown += text;
        rest = after;
    }
    shown + rest
}
