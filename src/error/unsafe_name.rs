//! A name that takes over a program, and the wording of it.

#![forbid(unsafe_code)]

/// A variable whose value makes a program run code or load a file.
#[derive(Clone, Debug)]
pub struct UnsafeName {
    pub name: String,
    /// The program, as the manual names it.
    pub program: &'static str,
}

/// The names, each with its program.
pub(super) fn listed(names: &[UnsafeName]) -> String {
    let names = names
        .iter()
        .map(|UnsafeName { name, program }| format!("{name} ({program})"));
    names.collect::<Vec<_>>().join(", ")
}

/// The way to accept them.
pub(super) fn accepting(names: &[UnsafeName]) -> String {
    let names: Vec<_> = names.iter().map(|unsafe_name| &*unsafe_name.name).collect();
    let (names, them) = (
        names.join(","),
        if names.len() == 1 { "it" } else { "them" },
    );
    format!("use --allow-unsafe-env {names} to accept {them}")
}
