//! Sealing a level with `dotenv-seal put`: what is taken, where it goes, and what is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::store::*;
use crate::support::*;

/// The worked example from the first key to the command.
pub fn what_is_sealed_reaches_the_command() {
    let (dir, key) = (TempDir::new(), keygen());
    let key_file = private(dir.file("key", format!("{key}\n")));
    let root = dir.path().join("tree");
    let program = |command| {
        let run = seal_program(&[command]).arg(&root);
        run.arg("--client-key").arg(&key_file)
    };
    program("init").arg("my-app").finish().assert_status(0);
    let shared = "APP_NAME=Acme\nLOG_LEVEL=info\nDATABASE_URL=postgres://shared\n";
    let own = "DATABASE_URL=postgres://prod\nSTRIPE_SECRET_KEY=sk_live_x\n";
    let steps = [
        ("my-app/production/api", own),
        ("my-app", shared),
        ("my-app/production", "LOG_LEVEL=debug\n"),
    ];
    for (path, text) in steps {
        let outcome = program("put").args([path, "-q"]).stdin(text).finish();
        outcome.assert_status(0).assert_stdout("");
        assert_eq!(outcome.stderr, "", "{outcome}");
    }
    let seen = |path, expected: &str| {
        let run = dotenv_run(&root, path, &key).args(["--clean-env", "--", "env"]);
        let outcome = run.finish();
        outcome.assert_status(0).assert_stdout(expected);
        assert_eq!(outcome.stderr, "", "{outcome}");
    };
    seen("my-app", shared);
    seen(
        "my-app/production",
        "APP_NAME=Acme\nLOG_LEVEL=debug\nDATABASE_URL=postgres://shared\n",
    );
    seen(
        "my-app/production/api",
        "APP_NAME=Acme\nLOG_LEVEL=debug\nDATABASE_URL=postgres://prod\nSTRIPE_SECRET_KEY=sk_live_x\n",
    );
}

/// Slugs that start alike and a second project, so that no level strays.
pub fn a_level_is_rewritten_at_and_below_its_path() {
    let places = [
        "",
        "prod",
        "prod/api",
        "prod/web",
        "production",
        "production/api",
    ];
    let make = |slug: &str| {
        let project = Project::new(slug, Custody::client());
        places.iter().fold(project, |project, place| {
            project.level(place, &format!("OLD={slug}/{place}\n"))
        })
    };
    for place in places {
        let tree = Tree::of(&World::new(vec![make("app"), make("app-2")]));
        let store = Store::of(tree.root());
        let before = store.all_levels(CLIENT_KEY);
        let blobs = store.blobs();
        let bytes = snapshot(tree.root());
        let put_path = format!("app/{place}");
        let put_path = put_path.trim_end_matches('/');

        put(tree.root(), put_path, "NEW=1\n")
            .finish()
            .assert_status(0);

        let level = LEVELS[put_path.matches('/').count()];
        let is_affected =
            |path: &str| path == put_path || path.starts_with(&format!("{put_path}/"));
        for (path, mut levels) in before {
            let document = store.document(&path);
            if !is_affected(&path) {
                assert_eq!(fs::read(&document).unwrap(), bytes[&document].content);
                continue;
            }
            levels.insert(level.into(), "NEW=1\n".into());
            assert_eq!(
                store.levels(&path),
                levels,
                "{path} after a put at {put_path}"
            );
        }
        for ((path, name), blob) in store.blobs() {
            let is_new = is_affected(&path) && name == level;
            assert_eq!(blob == blobs[&(path, name)], !is_new);
        }
    }
}

pub fn documents_that_lead_to_a_level_are_made() {
    let project = Project::new("my-app", Custody::client()).level("", "A=1\n");
    let tree = Tree::of(&World::new(vec![project]));
    let store = Store::of(tree.root());
    let steps = [
        ("my-app/production/api", "B=2\n"),
        ("my-app/staging", "C=3\n"),
        ("my-app/production", "D=4\n"),
        ("my-app/production/web", "E=5\n"),
        ("my-app", "A=6\n"),
    ];
    for (path, text) in steps {
        put(tree.root(), path, text).finish().assert_status(0);
        if path == "my-app/production/api" {
            let levels = texts(&[("project", "A=1\n")]);
            assert_eq!(store.levels("my-app/production"), levels);
        }
    }
    let expected: [(&str, &[(&str, &str)]); 5] = [
        ("my-app", &[("project", "A=6\n")]),
        (
            "my-app/production",
            &[("project", "A=6\n"), ("target", "D=4\n")],
        ),
        (
            "my-app/production/api",
            &[
                ("project", "A=6\n"),
                ("target", "D=4\n"),
                ("environment", "B=2\n"),
            ],
        ),
        (
            "my-app/production/web",
            &[
                ("project", "A=6\n"),
                ("target", "D=4\n"),
                ("environment", "E=5\n"),
            ],
        ),
        (
            "my-app/staging",
            &[("project", "A=6\n"), ("target", "C=3\n")],
        ),
    ];
    let expected = expected.map(|(path, levels)| (path.to_owned(), texts(levels)));
    assert_eq!(store.all_levels(CLIENT_KEY), BTreeMap::from(expected));
}

/// A tree holds the same documents as the service (`protocol.md` 3.1), so that whoever reads the
/// service can read a tree that a web server serves: the official client tells the deepest level
/// by `meta.hierarchy`.
pub fn documents_have_the_fields_of_the_service() {
    let project = Project::new("my-app", Custody::client()).level("", "A=1\n");
    let tree = Tree::of(&World::new(vec![project]));
    put(tree.root(), "my-app/production/api", "B=2\n")
        .finish()
        .assert_status(0);
    let cases = [
        (
            "my-app",
            json!({"project": "my-app", "target": null, "environment": null}),
        ),
        (
            "my-app/production",
            json!({"project": "my-app", "target": "production", "environment": null}),
        ),
        (
            "my-app/production/api",
            json!({"project": "my-app", "target": "production", "environment": "api"}),
        ),
    ];
    for (path, hierarchy) in cases {
        let document = read_json(&tree.secrets(path));
        let attributes = &document["data"]["attributes"];
        assert_eq!(document["data"]["type"], "secrets", "{document}");
        assert_eq!(attributes["encrypted"], true, "{document}");
        assert_eq!(attributes["format"], "env", "{document}");
        assert_eq!(
            attributes["levels"]["project"]["encrypted"], true,
            "{document}"
        );
        assert_eq!(
            attributes["levels"]["project"]["source"], "my-app",
            "{document}"
        );
        assert_eq!(document["meta"]["hierarchy"], hierarchy, "{document}");
    }
}

pub fn every_seal_has_a_fresh_nonce() {
    let tree = Tree::example();
    let mut nonces = BTreeSet::new();
    for number in 0..20 {
        let text = format!("A={}\n", number % 2);
        put(tree.root(), "my-app", text).finish().assert_status(0);
        let blobs = Store::of(tree.root()).blobs();
        let blob = &blobs[&("my-app".into(), "project".into())];
        nonces.insert(BASE64_STANDARD.decode(blob).unwrap()[..12].to_vec());
    }
    assert_eq!(nonces.len(), 20);
}

/// The texts of `vectors/parse.json`, those that follow the grammar or those that do not.
fn vectors(which: &'static str) -> Vec<(String, Vec<u8>)> {
    let vectors: Value = serde_json::from_str(include_str!("../vectors/parse.json")).unwrap();
    let cases = vectors["cases"].as_array().unwrap().iter();
    let wanted = cases.filter(|case| case["expected"].get(which).is_some());
    let text = |case: &Value| {
        let text = BASE64_STANDARD.decode(case["input_b64"].as_str().unwrap());
        (case["id"].as_str().unwrap().to_owned(), text.unwrap())
    };
    let texts: Vec<_> = wanted.map(text).collect();
    assert!(texts.len() > 20, "{which}");
    texts
}

pub fn every_text_of_the_grammar_is_sealed_byte_for_byte() {
    let mut cases = vectors("ok");
    let own = "\u{feff}# comment\r\n\r\nexport A = 'x\r\ny' # more\r\nB=\"\\n\"\r\n  # end";
    cases.push(("all at once".into(), own.into()));
    let tree = Tree::example();
    let key = Store::of(tree.root()).key("my-app", CLIENT_KEY);
    for (id, text) in cases {
        let run = put(tree.root(), "my-app/production", text.clone());
        run.arg("--allow-empty").finish().assert_status(0);
        let blobs = Store::of(tree.root()).blobs();
        let blob = &blobs[&("my-app/production/api".into(), "target".into())];
        assert_eq!(open(&key, blob), Some(text), "{id}");
    }
}

pub fn a_text_against_the_grammar_is_not_sealed() {
    let tree = Tree::example();
    for (_, text) in vectors("error") {
        let run = put(tree.root(), "my-app/production", text).arg("--allow-empty");
        assert_refused_untouched(tree.root(), run, &["standard input"]);
    }
    let located: [(&[u8], &[&str]); 6] = [
        (b"A=1\nB=\"value-1\n\n\n", &["line 2", "B"]),
        (b"A=1\n\nB='value-1' value-2\n", &["line 3", "B"]),
        (b"A=1\n1B=value-1\n", &["line 2"]),
        (b"A=1\nB C=value-1\n", &["line 2"]),
        (b"A=1\nB=value-1\0\n", &["line 2"]),
        (b"A=1\nB=value-1\xff\n", &["UTF-8"]),
    ];
    for (text, fragments) in located {
        let run = put(tree.root(), "my-app/production", text);
        assert_refused_untouched(tree.root(), run, fragments);
    }
}

pub fn a_name_that_takes_over_a_program_is_sealed_only_on_demand() {
    let tree = Tree::example();
    let text = "A=1\nLD_PRELOAD=value-1\nPATH=value-2\nGIT_CONFIG_KEY_0=value-3\n";
    let run = put(tree.root(), "my-app/production", text);
    let option = "--allow-unsafe-env";
    let names = ["LD_PRELOAD", "PATH", "GIT_CONFIG_KEY_0", option];
    assert_refused_untouched(tree.root(), run.clone(), &names);
    let some = run.clone().args([option, "LD_PRELOAD,PATH"]);
    assert_refused_untouched(tree.root(), some, &["GIT_CONFIG_KEY_0"]);
    let all = run.args([option, "LD_PRELOAD,PATH", option, "GIT_CONFIG_KEY_0"]);
    all.finish().assert_status(0);
}

pub fn an_empty_text_is_sealed_only_on_demand() {
    let tree = Tree::example();
    let texts = ["", "\n\n", "# A=1\n", "\u{feff}", "no variable here\n"];
    for text in texts {
        let run = put(tree.root(), "my-app/production", text);
        assert_refused_untouched(tree.root(), run.clone(), &["no variable", "--allow-empty"]);
        run.arg("--allow-empty").finish().assert_status(0);
        let levels = Store::of(tree.root()).levels("my-app/production/api");
        assert_eq!(levels["target"], text);
    }
    let run = dotenv_run(tree.root(), "my-app/production/api", CLIENT_KEY);
    let outcome = run.args(["--", "printenv", "LOG_LEVEL"]).finish();
    outcome.assert_status(0).assert_stdout("info\n");

    let outcome = put(tree.root(), "my-app", "A=1\nvalue-1\n").finish();
    outcome.assert_status(0).assert_stdout("");
    assert!(outcome.stderr.contains("warning: "), "{outcome}");
    assert!(outcome.stderr.contains("line 2"), "{outcome}");
    assert!(!outcome.stderr.contains("value-1"), "{outcome}");
}

/// A document above 64 MiB is not read, so none may be made: here the sum of two levels would be.
pub fn a_text_that_no_reader_would_take_is_not_sealed() {
    const LIMIT: usize = 64 * 1024 * 1024;
    let large = format!("A={}\n", "a".repeat((LIMIT - 4096) / 4 * 3));
    let project = Project::new("my-app", Custody::client()).level("production", &large);
    let tree = Tree::of(&World::new(vec![project]));
    let run = put(tree.root(), "my-app", format!("B={}\n", "b".repeat(4096)));
    assert_refused_untouched(tree.root(), run, &["67108864"]);
}

/// Also where the level and all those above it hold nothing, so that only documents elsewhere in
/// the project can tell.
pub fn a_wrong_key_is_refused_before_anything_is_written() {
    let sparse = Project::new("sparse", Custody::client())
        .empty_place("staging/api")
        .level("production/api", "A=1\n");
    let full = Project::new("full", Custody::client())
        .level("", "A=1\n")
        .level("production", "B=2\n")
        .level("production/api", "C=3\n");
    let tree = Tree::of(&World::new(vec![full, sparse]));
    for project in ["full", "sparse"] {
        for place in [
            "",
            "/production",
            "/production/api",
            "/staging",
            "/staging/api",
            "/new/api",
        ] {
            let path = &format!("{project}{place}");
            let run = put(tree.root(), path, "A=value-1\n").env("DOTENV_CLIENT_KEY", "wrong");
            assert_refused_untouched(tree.root(), run, &["wrong client key"]);
        }
    }
}

pub fn put_refuses_what_it_cannot_update() {
    let project = |slug: &str, iterations, salt: Option<&str>| {
        let salt = salt.map(|salt| salt.as_bytes().to_vec());
        let custody = Custody {
            iterations,
            salt,
            ..Custody::client()
        };
        Project::new(slug, custody).level("", "A=1\n")
    };
    let salt = Some("sixteen bytes...");
    let tree = Tree::of(&World::new(vec![
        Project::new("server", Custody::server()).level("", "A=1\n"),
        Project::new("legacy", Custody::legacy()).level("", "A=1\n"),
        Project::new("json", Custody::client())
            .format("json")
            .level("", r#"{"A":"1"}"#),
        Project::new("plain", Custody::client()).plain_level("", "A=value-1\n"),
        project("saltless", Some(1000), None),
        project("weak", Some(999), salt),
        Project::new("broken-key", Custody::client()).level("", "A=1\n"),
        Project::new("broken", Custody::client())
            .level("", "A=1\n")
            .empty_place("production"),
    ]));
    tree.write(&tree.encryption_key("broken-key"), "rubbish");
    tree.write(&tree.secrets("broken/production"), "rubbish");
    let cases: [(&str, &[&str]); 12] = [
        ("server", &["server", "not client-managed"]),
        ("legacy/production", &["legacy", "not client-managed"]),
        ("json", &["json"]),
        ("json/production", &["json"]),
        ("plain/production", &["project", "not encrypted"]),
        ("saltless", &["salt"]),
        ("weak", &["999"]),
        ("broken-key", &["broken-key/encryption-key", "JSON"]),
        ("broken/production", &["broken/production/secrets", "JSON"]),
        ("broken", &["broken/production/secrets", "JSON"]),
        ("missing", &["missing"]),
        ("missing/production/api", &["missing"]),
    ];
    for (path, fragments) in cases {
        let run = put(tree.root(), path, "B=2\n");
        assert_refused_untouched(tree.root(), run, fragments);
    }
    let dir = TempDir::new();
    let file = dir.file("file", "");
    for root in [dir.path().join("missing"), dir.path().into(), file] {
        let name = root.file_name().unwrap().to_str().unwrap();
        assert_refused_untouched(dir.path(), put(&root, "my-app", "A=1\n"), &[name]);
    }
}

pub fn keys_come_from_where_dotenv_run_takes_them() {
    let (tree, dir) = (Tree::example(), TempDir::new());
    let good = private(dir.file("good", format!(" {CLIENT_KEY}\n")));
    let wrong = private(dir.file("wrong", "wrong"));
    private(dir.file("dotenv-client-key", CLIENT_KEY));
    let [good, wrong] = [good, wrong].map(|file| file.display().to_string());
    let directory = dir.path().to_str().unwrap();
    let value = ("DOTENV_CLIENT_KEY", CLIENT_KEY);
    let wrong_value = ("DOTENV_CLIENT_KEY", "wrong");
    let good_file = ("DOTENV_CLIENT_KEY_FILE", good.as_str());
    let wrong_file = ("DOTENV_CLIENT_KEY_FILE", wrong.as_str());
    let systemd = ("CREDENTIALS_DIRECTORY", directory);
    let cases = [
        (vec!["--client-key", &good], vec![wrong_file, wrong_value]),
        (vec!["--client-key", "fd:7"], vec![wrong_file, wrong_value]),
        (vec![], vec![good_file, wrong_value]),
        (vec![], vec![value]),
        (vec![], vec![systemd]),
    ];
    for (index, (arguments, variables)) in cases.into_iter().enumerate() {
        let script = "exec 7<\"$1\"; shift; exec \"$@\"";
        let run = seal_program(&["put", "--allow-weak-key", "--replace"])
            .arg(tree.root())
            .arg("my-app")
            .args(arguments);
        let run = run.under(["sh", "-c", script, "sh", &good]);
        let set = |run: Run, (name, value)| run.env(name, value);
        let run = variables.into_iter().fold(run, set);
        let text = format!("A={index}\n");
        let outcome = run.stdin(text.clone()).finish();
        outcome.assert_status(0);
        assert!(!outcome.stderr.contains("others"), "{outcome}");
        assert_eq!(
            Store::of(tree.root()).levels("my-app"),
            texts(&[("project", &text)])
        );
    }
}

pub fn a_key_that_is_of_no_use_is_refused() {
    let (tree, dir) = (Tree::example(), TempDir::new());
    let file = |name: &str, content: &str| {
        let file = private(dir.file(name, content));
        file.display().to_string()
    };
    let cases = [
        (
            "value-key".into(),
            vec!["--client-key", "hint: ", "command line"],
        ),
        (file("empty", ""), vec!["empty"]),
        (file("blank", " \n"), vec!["empty"]),
        (
            file("lines", "value-1\nvalue-2\n"),
            vec!["lines", "line break"],
        ),
        (
            file("bom", "\u{feff}value-1\n"),
            vec!["bom", "byte order mark"],
        ),
        (
            dir.path().display().to_string(),
            vec!["--client-key", "directory"],
        ),
        (
            "fd:77".into(),
            vec!["--client-key: descriptor 77 is not open"],
        ),
        // Standard input is the text.
        ("-".into(), vec!["--client-key", "standard input"]),
        ("fd:0".into(), vec!["--client-key", "fd:0"]),
    ];
    for (value, fragments) in cases {
        let run = seal_program(&["put"]).arg(tree.root()).arg("my-app");
        let run = run.args(["--client-key", &value]).stdin("A=value-1\n");
        assert_refused_untouched(tree.root(), run, &fragments);
    }
    let run = put(tree.root(), "my-app", "A=1\n").env_remove("DOTENV_CLIENT_KEY");
    let way_out = [
        "no client key",
        "hint: set DOTENV_CLIENT_KEY",
        "--client-key",
    ];
    assert_refused_untouched(tree.root(), run, &way_out);

    let open = dir.file("open", CLIENT_KEY);
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
    let run = put(tree.root(), "my-app", "A=1\n")
        .arg("--client-key")
        .arg(&open);
    let outcome = run.finish();
    outcome.assert_status(0);
    let warnings = outcome.stderr.lines().filter(|line| line.contains("open"));
    assert_eq!(warnings.count(), 1, "{outcome}");
}
