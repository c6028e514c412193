//! The structure of the source: what uses what goes down only, and one name means one thing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The floors from the top down. A module uses what stands on a lower floor; those of one floor do not use each other.
const FLOORS: &[&[&str]] = &[
    &["main", "bin/dotenv-seal"],
    &["task"],
    &["run", "seal"],
    &["check"],
    &["deliver", "audit"],
    &["variables"],
    &["store"],
    &["keys"],
    &["cli"],
    &["report"],
    &["crypto", "error"],
    &["sys", "path", "dotenv", "event"],
];

/// A file below `src`, with the module paths that it names.
struct Source {
    /// Its path below `src` without `.rs`: `store/http/client`, `store/mod`.
    name: String,
    text: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let source = |file: &PathBuf| {
        let below = file.strip_prefix(&root).expect("a file below src");
        Source {
            name: below.with_extension("").display().to_string(),
            text: fs::read_to_string(file).expect("a readable file"),
        }
    };
    files.iter().map(source).collect()
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a readable directory") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The code without comments and without what stands only in tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// Every path that starts with `crate::` or `dotenv_run::`, with the groups of `use` spelled out.
fn paths(text: &str) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for root in ["crate::", "dotenv_run::"] {
        for (at, _) in text.match_indices(root) {
            expand(&text[at + root.len()..], "", &mut paths);
        }
    }
    paths
}

/// Reads one path, and each path of the group at its end; gives back what follows.
fn expand<'a>(text: &'a str, prefix: &str, paths: &mut BTreeSet<String>) -> &'a str {
    let is_path = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
    let end = text
        .find(|letter: char| !is_path(letter))
        .unwrap_or(text.len());
    let (path, mut rest) = text.split_at(end);
    let path = format!("{prefix}{path}");
    if !rest.starts_with('{') {
        paths.insert(path);
        return rest;
    }
    rest = rest[1..].trim_start();
    while !rest.starts_with('}') && !rest.is_empty() {
        rest = expand(rest, &path, paths).trim_start();
        // `as NAME` and the comma.
        let next = rest.find([',', '}']).unwrap_or(rest.len());
        rest = rest[next..].trim_start_matches(',').trim_start();
    }
    rest.strip_prefix('}').unwrap_or(rest)
}

/// The file that holds what a path names: the longest beginning that is a module.
fn file_of(path: &str, names: &BTreeSet<&str>) -> Option<String> {
    let parts: Vec<_> = path.split("::").filter(|part| !part.is_empty()).collect();
    (1..=parts.len()).rev().find_map(|length| {
        let module = parts[..length].join("/");
        let candidates = [module.clone(), format!("{module}/mod")];
        candidates.into_iter().find(|name| names.contains(&**name))
    })
}

/// What each file uses.
fn uses(sources: &[Source]) -> BTreeMap<String, BTreeSet<String>> {
    let names: BTreeSet<_> = sources.iter().map(|source| &*source.name).collect();
    let used = |source: &Source| {
        let files = paths(&code(&source.text));
        let files = files.iter().filter_map(|path| file_of(path, &names));
        let files = files.filter(|file| *file != source.name).collect();
        (source.name.clone(), files)
    };
    // The list of modules uses nothing.
    let sources = sources.iter().filter(|source| source.name != "lib");
    sources.map(used).collect()
}

fn floor_of(file: &str) -> usize {
    let top = match file.split_once('/') {
        Some(("bin", _)) | None => file,
        Some((top, _)) => top,
    };
    let floor = FLOORS.iter().position(|floor| floor.contains(&top));
    floor.unwrap_or_else(|| panic!("src/{file}.rs stands on no floor"))
}

fn top(file: &str) -> &str {
    file.split('/').next().unwrap_or(file)
}

#[test]
fn a_module_uses_only_what_stands_below_it() {
    let mut upward = Vec::new();
    for (file, used) in uses(&sources()) {
        for other in used {
            if top(&file) != top(&other) && floor_of(&other) <= floor_of(&file) {
                upward.push(format!("{file} uses {other}"));
            }
        }
    }
    assert!(upward.is_empty(), "{}", upward.join("\n"));
}

#[test]
fn no_imports_go_in_a_circle() {
    let uses = uses(&sources());
    let mut circles = Vec::new();
    for file in uses.keys() {
        if let Some(circle) = circle_through(file, &uses) {
            circles.push(circle.join(" -> "));
        }
    }
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}

/// A way from a file back to itself.
fn circle_through(start: &str, uses: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    let mut ways = vec![vec![start.to_owned()]];
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop() {
        let last = way.last().expect("a way has a start");
        for next in uses.get(last).into_iter().flatten() {
            let mut longer = way.clone();
            longer.push(next.clone());
            if next == start {
                return Some(longer);
            }
            if seen.insert(next.clone()) {
                ways.push(longer);
            }
        }
    }
    None
}

#[test]
fn no_file_name_stands_twice() {
    let sources = sources();
    let mut places: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for source in &sources {
        let name = source.name.rsplit('/').next().unwrap_or_default();
        if name != "mod" {
            places.entry(name).or_default().push(&source.name);
        }
    }
    places.retain(|_, places| places.len() > 1);
    assert!(places.is_empty(), "{places:?}");
}

#[test]
fn no_visible_type_name_stands_twice() {
    let sources = sources();
    let mut places: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for source in &sources {
        for line in code(&source.text).lines() {
            let Some(item) = line.strip_prefix("pub") else {
                continue;
            };
            let item = item.strip_prefix("(crate)").unwrap_or(item).trim_start();
            let mut words = item.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
            if words
                .next()
                .is_some_and(|word| ["struct", "enum", "trait", "type"].contains(&word))
            {
                let name = words.next().unwrap_or_default().to_owned();
                places.entry(name).or_default().push(&source.name);
            }
        }
    }
    places.retain(|_, places| places.len() > 1);
    assert!(places.is_empty(), "{places:?}");
}

#[test]
fn the_reader_of_paths_sees_through_groups() {
    let text = "use crate::a::{self, b::{C, d}, e as f};\ncrate::g::h();";
    let expected = ["a::b::C", "a::b::d", "a::e", "a::self", "g::h"];
    assert_eq!(paths(text), expected.map(str::to_owned).into());
}

#[test]
fn a_circle_is_found() {
    let uses = |pairs: &[(&str, &str)]| {
        let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in pairs {
            uses.entry((*from).to_owned())
                .or_default()
                .insert((*to).to_owned());
        }
        uses
    };
    let circle = circle_through("a", &uses(&[("a", "b"), ("b", "c"), ("c", "a")]));
    assert_eq!(circle, Some(["a", "b", "c", "a"].map(str::to_owned).into()));
    assert_eq!(
        circle_through("a", &uses(&[("a", "b"), ("b", "c"), ("c", "b")])),
        None
    );
}
