//! What `dotenv-seal` refuses.

use serde_json::json;

use super::*;

/// `dotenv-seal` on a tree of [`world`] with this done to it, with this on standard input.
fn sealing(words: &[&str], input: &str, change: impl FnOnce(&Tree)) -> Scene {
    let world = world();
    let tree = Tree::of(&world);
    change(&tree);
    let run = Run::dotenv_seal().arg(words[0]).arg(tree.root());
    let is_weak = matches!(words[0], "put" | "set" | "unset" | "mv" | "rm" | "sign");
    let weak: &[&str] = if is_weak { &["--allow-weak-key"] } else { &[] };
    let run = run
        .args(&words[1..])
        .args(weak)
        .env("DOTENV_CLIENT_KEY", KEY);
    let scene = Scene {
        planted: blobs(&world),
        ..Scene::new(run.stdin(input))
    };
    scene.keeping(tree).only(Ways::Complete)
}

/// The input of a put that is refused.
fn text(says: &'static str, text: String) -> Failure {
    failure((125, "Seal::Text", says), text.clone(), move || {
        sealing(&["put", "app"], &text, |_| ())
    })
}

/// What the commands refuse that change or show a level.
fn of_levels() -> Vec<Failure> {
    let set = |value: &str| sealing(&["set", "app", "A"], value, |_| ());
    let broken = |tree: &Tree| {
        let world = world();
        let app = world.project("app").expect("a project");
        let sealed = seal(app.key(), format!("A='{VALUE}\n").as_bytes());
        for path in ["app", "app/t", "app/t/e"] {
            let level = json!({ "encrypted": true, "content": sealed });
            tree.edit(
                &tree.secrets(path),
                replacing("/data/attributes/levels/project", level),
            );
        }
        tree.sign("app", app.key(), 9);
    };
    vec![
        failure((125, "Seal::Level", "never closed"), "set", move || {
            sealing(&["set", "app", "A"], VALUE, broken)
        }),
        failure(
            (125, "Seal::NoSpelling", "cannot represent"),
            "set",
            move || set(&format!("{VALUE}\0")),
        ),
        failure((125, "Seal::EmptyValue", "no value"), "set", move || {
            set("")
        }),
        failure((125, "Seal::NotText", "not UTF-8"), "set", move || {
            let scene = set("");
            scene.with(|run| run.stdin([VALUE.as_bytes(), b"\xff"].concat()))
        }),
        failure((125, "Seal::NoVariable", "no variable"), "unset", || {
            sealing(&["unset", "app", "NO_SUCH"], "", |_| ())
        }),
        failure((125, "Seal::Loss", "would keep"), "put", || {
            sealing(&["put", "app"], &format!("X={VALUE}\n"), |_| ())
        }),
        failure((125, "Seal::HasPathsBelow", "paths below"), "rm", || {
            sealing(&["rm", "app"], "", |_| ())
        }),
        failure(
            (125, "Seal::OtherPlace", "within its project"),
            "mv",
            || sealing(&["mv", "app/t", "app"], "", |_| ()),
        ),
        failure((125, "Seal::SamePath", "the same"), "mv", || {
            sealing(&["mv", "app/t", "app/t"], "", |_| ())
        }),
        failure(
            (125, "Seal::NoProject", "no such project"),
            "verify",
            || sealing(&["verify", "no-such"], "", |_| ()),
        ),
    ]
}

pub fn table() -> Vec<Failure> {
    let mut failures = of_levels();
    failures.extend(of_trees());
    failures
}

fn of_trees() -> Vec<Failure> {
    let good = format!("A={VALUE}\n");
    let put = move |path: &str, change: fn(&Tree)| sealing(&["put", path], &good, change);
    let (same, plain, json) = (put.clone(), put.clone(), put.clone());
    let (unsigned, reserved, last) = (put.clone(), put.clone(), put.clone());
    vec![
        text("invalid name", format!("A=1\n{VALUE}={WORD}\n")),
        text("never closed", format!("A='{VALUE}\n{WORD}\n")),
        text("text after", format!("A='{WORD}'{VALUE}\n")),
        text("NUL", format!("A={WORD}\0{VALUE}\n")),
        failure((125, "Usage::SealForm", "expected"), "words", || {
            sealing(&["seal", VALUE, WORD], VALUE, |_| ())
        }),
        failure(
            (125, "Usage::InvalidPath", "PATH"),
            "of dotenv-seal",
            || sealing(&["put", VALUE], VALUE, |_| ()),
        ),
        failure((125, "Seal::EmptyText", "no variable"), "comments", || {
            sealing(&["put", "app"], &format!("# {VALUE}\n{WORD}\n"), |_| ())
        }),
        failure((125, "Seal::Input", "cannot read"), "a directory", || {
            let scene = sealing(&["put", "app"], "", |_| ());
            scene.with(|run| run.redirected("</"))
        }),
        failure((125, "Seal::ProjectExists", "already"), "init", || {
            sealing(&["init", "app"], "", |_| ())
        }),
        failure(
            (125, "Seal::ProjectOnly", "not a longer path"),
            "init",
            || sealing(&["init", "app/t"], "", |_| ()),
        ),
        failure((125, "Seal::KeyOf32Bytes", "32 bytes"), "init", || {
            sealing(&["init", "new"], "", |_| ()).env("DOTENV_CLIENT_KEY", WORD)
        }),
        failure(
            (125, "Seal::NotClientManaged", "not client-managed"),
            "put",
            move || put("managed", |_| ()),
        ),
        failure(
            (125, "Sealed::WrongClientKey", "wrong client key"),
            "put",
            move || same("app", |_| ()).env("DOTENV_CLIENT_KEY", VALUE),
        ),
        failure(
            (125, "Seal::Plaintext", "not encrypted"),
            "put",
            move || {
                plain("app/t", |tree| {
                    let content = json!({ "encrypted": false, "content": VALUE });
                    let edit = replacing("/data/attributes/levels/project", content);
                    for path in ["app", "app/t"] {
                        tree.edit(&tree.secrets(path), &edit);
                    }
                })
            },
        ),
        failure(
            (125, "Seal::NoManifest", "has no manifest"),
            "put",
            move || {
                unsigned("app", |tree| {
                    std::fs::remove_file(tree.manifest("app")).expect("a manifest");
                })
            },
        ),
        failure(
            (125, "Seal::ReservedTarget", "named manifest"),
            "put",
            move || reserved("app/manifest", |_| ()),
        ),
        failure(
            (125, "Seal::LastGeneration", "cannot grow"),
            "put",
            move || {
                let scene = last("app", |tree| {
                    let world = world();
                    let app = world.project("app").expect("a project");
                    tree.sign("app", app.key(), u64::MAX);
                });
                scene.with(|run| run.arg("--replace"))
            },
        ),
        failure(
            (125, "Seal::LevelOf", "in the document of app/t"),
            "sign",
            || {
                sealing(&["sign", "app"], "", |tree| {
                    tree.edit(&tree.secrets("app/t"), flip_bit("target", 200));
                })
            },
        ),
        failure((125, "Seal::NoLevel", "has no level"), "sign", || {
            sealing(&["sign", "app"], "", |tree| {
                let strong = set_in_descriptor("key_check_iterations", json!(600_000));
                tree.edit(&tree.encryption_key("app"), strong);
                std::fs::remove_file(tree.manifest("app")).expect("a manifest");
                let edit = replacing("/data/attributes/levels", json!([]));
                for path in ["app", "app/t", "app/t/e"] {
                    tree.edit(&tree.secrets(path), &edit);
                }
            })
            .with(|run| run.without("--allow-weak-key"))
        }),
        failure((125, "Seal::FewIterations", "1000 PBKDF2"), "put", || {
            let scene = sealing(&["put", "app"], "A=1\n", |_| ());
            scene.with(|run| run.without("--allow-weak-key"))
        }),
        failure((125, "Seal::ForeignSalt", "did not make"), "put", || {
            let scene = sealing(&["put", "app"], "A=1\n", |tree| {
                let document = tree.encryption_key("app");
                tree.edit(
                    &document,
                    set_in_descriptor("key_check_salt", json!("c2FsdA==")),
                );
                tree.edit(
                    &document,
                    set_in_descriptor("key_check_iterations", json!(600_000)),
                );
            });
            scene.with(|run| run.without("--allow-weak-key"))
        }),
        failure((125, "Seal::NotEnv", "format json"), "put", move || {
            json("app/t", |tree| {
                let edit = replacing("/data/attributes/format", json!("json"));
                tree.edit(&tree.secrets("app/t"), edit);
            })
        }),
    ]
}
