//! Projects in another custody than is expected, and trees that are not whole.

use std::fs;

use serde_json::json;

use super::*;

/// What is wrong with the manifest of the client-managed project, which is still as it was otherwise.
fn manifest(
    row: (&'static str, &'static str),
    change: impl Fn(&Tree, &[u8; 32]) + Copy + Send + Sync + 'static,
) -> Failure {
    failure((125, row.0, row.1), "a tree", move || {
        on_tree("app/t/e", |tree| {
            let world = world();
            change(tree, world.project("app").expect("a project").key());
        })
    })
}

/// A manifest of its own text.
fn with_text(row: (&'static str, &'static str), text: fn() -> String) -> Failure {
    manifest(row, move |tree, key| {
        let document = crate::support::manifest(key, 1, &text());
        tree.write(&tree.manifest("app"), document.to_string());
    })
}

fn custody() -> Vec<Failure> {
    vec![
        failure(
            (125, "Error::OtherCustody", "server-managed"),
            "a tree",
            || on_tree("managed", |_| ()).args(&["--custody", "client"]),
        ),
        failure(
            (125, "Error::OtherCustody", "client-managed"),
            "a service",
            || on_good_service("app", |_| ()).args(&["--custody", "server"]),
        ),
        failure(
            (125, "Error::AbsentLevels", "levels are absent"),
            "a tree",
            || {
                let edit = replacing("/data/attributes/levels/target", Value::Null);
                on_tree("managed/t", |tree| {
                    tree.edit(&tree.secrets("managed/t"), edit)
                })
                .args(&["--require-levels", "project,target"])
            },
        ),
    ]
}

fn levels() -> Vec<Failure> {
    let drop =
        |document: &mut Value| document["data"]["attributes"]["levels"]["target"] = json!(null);
    vec![
        manifest(
            ("ManifestFlaw::Dropped", "is missing, but"),
            move |tree, _| {
                tree.edit(&tree.secrets("app/t/e"), drop);
            },
        ),
        manifest(("ManifestFlaw::Changed", "is not the one"), |tree, key| {
            let content = json!(seal(key, format!("A={VALUE}\n").as_bytes()));
            let edit = replacing("/data/attributes/levels/target/content", content);
            tree.edit(&tree.secrets("app/t/e"), edit);
        }),
        with_text(("ManifestFlaw::Added", "is not in the manifest"), || {
            manifest_text(ORGANIZATION, "app", 1, &[("app".into(), None)])
        }),
        failure(
            (125, "ManifestFlaw::UnknownPath", "app/new is not in"),
            "a tree",
            || {
                on_tree("app/new", |tree| {
                    let document = fs::read(tree.secrets("app")).expect("a document");
                    tree.write(&tree.secrets("app/new"), document);
                })
            },
        ),
    ]
}

pub fn table() -> Vec<Failure> {
    let others = vec![
        manifest(
            ("ManifestFlaw::Missing", "there is no manifest, so a level"),
            |tree, _| {
                fs::remove_file(tree.manifest("app")).expect("a manifest");
            },
        ),
        failure(
            (125, "ManifestFlaw::NoGeneration", "cannot be checked"),
            "a tree",
            || on_tree("managed", |_| ()).args(&["--min-generation", "1"]),
        ),
        failure(
            (125, "ManifestFlaw::TooOld", "at least 2"),
            "a tree",
            || on_tree("app", |_| ()).args(&["--min-generation", "2"]),
        ),
        manifest(("ManifestFlaw::NoBlob", "not a sealed blob"), |tree, _| {
            let edit = replacing("/data/attributes/content", json!(VALUE));
            tree.edit(&tree.manifest("app"), edit);
        }),
        manifest(
            ("ManifestFlaw::NotAuthentic", "or the manifest was changed"),
            |tree, key| {
                // A level is no manifest.
                let content = json!(seal(key, VALUE.as_bytes()));
                tree.edit(
                    &tree.manifest("app"),
                    replacing("/data/attributes/content", content),
                );
            },
        ),
        manifest(
            (
                "ManifestFlaw::OtherGeneration",
                "generation of the manifest was",
            ),
            |tree, _| {
                tree.edit(
                    &tree.manifest("app"),
                    replacing("/data/attributes/generation", json!(9)),
                );
            },
        ),
        with_text(
            ("ManifestFlaw::OtherProject", "belongs to the project"),
            || manifest_text(ORGANIZATION, "other", 1, &[]),
        ),
        with_text(
            ("ManifestFlaw::OtherOrganization", "the organization 01J2"),
            || manifest_text(FOREIGN_ORGANIZATION, "app", 1, &[]),
        ),
    ];
    [custody(), levels(), others]
        .into_iter()
        .flatten()
        .collect()
}
