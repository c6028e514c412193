//! A sealed tree on disk, written without the help of `dotenv-seal`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::documents;
use super::temp::TempDir;
use super::world::{Custody, Project, World};

/// A directory that holds the documents of the API under their own paths.
pub struct Tree {
    dir: TempDir,
    organization: String,
    /// Whether a project of it can be opened without the user's key.
    has_server_managed: bool,
}

impl Tree {
    /// The tree of [`World::example`].
    pub fn example() -> Self {
        Tree::of(&World::example())
    }

    pub fn of(world: &World) -> Self {
        let organization = world.organization.clone();
        let tree = Tree {
            dir: TempDir::new(),
            organization,
            has_server_managed: world
                .projects
                .iter()
                .any(|project| project.custody.managed == "server"),
        };
        let write = |path: PathBuf, document: Value| tree.write(&path, document.to_string());
        write(tree.organization(), documents::organization(world));
        for project in &world.projects {
            let slug = &project.slug;
            write(
                tree.encryption_key(slug),
                documents::encryption_key(project),
            );
            if project.custody.managed == "client" {
                let document = documents::manifest_of(&world.organization, project);
                write(tree.manifest(slug), document);
            }
            for place in project.places() {
                let document = documents::secrets(&world.organization, project, place);
                write(tree.secrets(&project.path(place)), document);
            }
        }
        tree
    }

    /// The tree of one project `p` that opens without a key and holds this text.
    pub fn holding(text: &str) -> Self {
        Tree::of_project(Project::new("p", Custody::legacy()).level("", text))
    }

    /// The same with the variables of a JSON object, whatever their values are.
    pub fn holding_json(variables: &Value) -> Self {
        let project = Project::new("p", Custody::legacy()).format("json");
        Tree::of_project(project.level("", &variables.to_string()))
    }

    /// The tree of one project.
    pub fn of_project(project: Project) -> Self {
        Tree::of(&World::new(vec![project]))
    }

    /// What to give as `--api-url`.
    pub fn url(&self) -> String {
        format!("file://{}", self.root().display())
    }

    /// What to give so that all of its projects are accepted.
    pub fn custody(&self) -> &'static [&'static str] {
        match self.has_server_managed {
            true => &["--custody", "any"],
            false => &[],
        }
    }

    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    /// Where the document about the organization lies.
    pub fn organization(&self) -> PathBuf {
        self.root().join("api/v1/organization")
    }

    /// Where the key descriptor of a project lies.
    pub fn encryption_key(&self, project: &str) -> PathBuf {
        self.below(project).join("encryption-key")
    }

    /// Where the manifest of a project lies.
    pub fn manifest(&self, project: &str) -> PathBuf {
        self.below(project).join("manifest")
    }

    /// Makes a manifest for the levels of a project as they are on the disk, each from the shortest path that has it.
    pub fn sign(&self, project: &str, key: &[u8; 32], generation: u64) {
        let text = self.manifest_text(project, generation);
        let document = documents::manifest(key, generation, &text);
        self.write(&self.manifest(project), document.to_string());
    }

    fn manifest_text(&self, project: &str, generation: u64) -> String {
        let mut states = BTreeMap::new();
        let mut found = vec![project.to_owned()];
        while let Some(path) = found.pop() {
            let names = fs::read_dir(self.below(&path)).expect("a directory of the tree");
            for name in names.map(|entry| entry.expect("an entry")) {
                if name.path().is_dir() {
                    found.push(format!("{path}/{}", name.file_name().display()));
                }
            }
            found.sort_by(|one, other| other.cmp(one));
            let Ok(text) = fs::read(self.secrets(&path)) else {
                continue;
            };
            let document: Value = serde_json::from_slice(&text).unwrap_or_default();
            let levels = &document["data"]["attributes"]["levels"];
            let segments: Vec<_> = path.split('/').collect();
            for (depth, kind) in ["project", "target", "environment"].iter().enumerate() {
                if depth < segments.len() {
                    let content = levels[kind]["content"].as_str();
                    let content = content.filter(|content| !content.is_empty());
                    let at: Vec<String> =
                        segments[..=depth].iter().map(|it| (*it).into()).collect();
                    let state = states.entry(at).or_insert(None);
                    *state = state.take().or(content.map(documents::digest));
                }
            }
        }
        let states: Vec<_> = states
            .into_iter()
            .map(|(path, state)| (path.join("/"), state))
            .collect();
        documents::manifest_text(&self.organization, project, generation, &states)
    }

    /// Where the secrets of a path lie: `my-app/production/api`.
    pub fn secrets(&self, path: &str) -> PathBuf {
        self.below(path).join("secrets")
    }

    fn below(&self, path: &str) -> PathBuf {
        let api = self.root().join("api/v1");
        api.join(&self.organization).join(path)
    }

    /// Writes or replaces a document.
    pub fn write(&self, document: &Path, content: impl AsRef<[u8]>) {
        fs::create_dir_all(document.parent().expect("a path below the tree"))
            .expect("a directory of the tree");
        fs::write(document, content).expect("a document of the tree");
    }

    /// Changes a document.
    pub fn edit(&self, document: &Path, edit: impl Fn(&mut Value)) {
        let text = fs::read(document).expect("a document of the tree");
        let mut value = serde_json::from_slice(&text).expect("a document is JSON");
        edit(&mut value);
        self.write(document, value.to_string());
    }
}
