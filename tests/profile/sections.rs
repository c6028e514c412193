//! Sections: what one inherits, what it changes, and what is no section; and where relative paths in a profile begin.

use std::os::unix::ffi::OsStrExt;

use super::{api_url, with};
use crate::support::*;

/// A run of the profile's section.
fn of_section(text: &str, section: &str) -> (TempDir, Run) {
    let dir = TempDir::new();
    dir.file("p.toml", text);
    let run = Run::dotenv_run()
        .dir(dir.path())
        .arg(format!("--profile=p.toml#{section}"));
    (dir, run)
}

pub fn a_section_inherits_what_stands_above_the_first_one() {
    let tree = Tree::holding("A=1\nB=2\nC=3\n");
    let text = format!(
        "{}path = \"p\"\nonly = [\"A\", \"B\"]\nprefix = \"P_\"\nclean-env = true\npass = [\"PATH\"]\n\
         [worker]\nprefix = \"W_\"\n\n[web]\nonly = [\"C\"]\n\n[open]\nclean-env = false\n\n[printed]\nprint = \"json\"\n\
         [\"two words\"]\nprefix = \"T_\"\n",
        api_url(&tree)
    );
    for (section, variables) in [
        ("", ["P_A=1", "P_B=2"].as_slice()),
        ("worker", &["W_A=1", "W_B=2"]),
        ("web", &["P_C=3"]),
        ("open", &["HERE=x", "P_A=1", "P_B=2"]),
        ("two words", &["T_A=1", "T_B=2"]),
    ] {
        let (_dir, run) = of_section(&text, section);
        let mut found = run.env("HERE", "x").variables();
        found.retain(|entry| !entry.starts_with("PATH="));
        assert_eq!(found, variables, "{section}");
    }
    let (_dir, run) = of_section(&text, "worker");
    let found = run.args(["--prefix", "C_"]).variables();
    assert!(found.contains(&"C_A=1".to_owned()), "{found:?}");
    // Without the number sign, no section counts.
    let (_dir, run) = with(&text);
    assert!(run.variables().contains(&"P_A=1".to_owned()));
}

pub fn what_contradicts_a_section_gives_way_to_it() {
    let tree = Tree::holding("A=1\n");
    let text = format!(
        "{}path = \"p\"\ncommand = [\"echo\", \"run\"]\nexec = true\nfile = [\"F\"]\nfile-only = true\n\
         [print]\nprint = \"json\"\n",
        api_url(&tree)
    );
    // `print` is an option, and so no section.
    let (_dir, run) = of_section(&text, "print");
    run.finish().assert_refused(
        125,
        &["--profile: p.toml: line 8: print must be a string\n"],
    );
    let text = text.replace("[print]", "[printed]")
        + "[grouped]\ngroup = true\n[exec-again]\nexec = false\nsupervise = true\n[without]\nfile = []\nfile-only = false\n";
    for (section, output) in [
        ("printed", "{\n  \"A\": \"1\"\n}\n"),
        ("grouped", "run\n"),
        ("exec-again", "run\n"),
        ("without", "run\n"),
    ] {
        let (_dir, run) = of_section(&text, section);
        run.finish().assert_status(0).assert_stdout(output);
    }
}

pub fn what_is_no_section_is_refused() {
    let two = "timeout = 3\n\n[worker]\n\n[web]\n";
    for (text, section, says) in [
        (
            two,
            "wroker",
            "p.toml: no section 'wroker'; the profile has worker, web\nhint: ",
        ),
        (two, "Worker", "no section 'Worker'"),
        (
            "timeout = 3\n",
            "x",
            "no section 'x'; the profile has no sections\n",
        ),
        (two, "timeout", "'timeout' is an option, not a section\n"),
        (two, "a\nb", "no section 'a\\nb'"),
        (
            "[[worker]]\n",
            "worker",
            "line 1: section 'worker' must be one table: [worker]\n",
        ),
        ("worker = 3\n", "worker", "line 1: unknown key 'worker'\n"),
        ("worker = [3]\n", "worker", "line 1: unknown key 'worker'\n"),
        (
            "[worker.deep]\n",
            "worker",
            "line 1: 'deep' is a table inside a section\n",
        ),
        // Sections that are not asked for are looked at too.
        (
            "[worker]\n[web]\ntiemout = 3\n",
            "worker",
            "line 3: unknown key 'tiemout'; did you mean 'timeout'?\n",
        ),
        (
            "[worker]\nprofile = \"x\"\n",
            "worker",
            "line 2: 'profile' can be used only on the command line\n",
        ),
        (
            "[worker]\n[web]\ntimeout = \"3\"\n",
            "worker",
            "line 3: timeout must be a number\n",
        ),
        (
            "[worker]\n[worker]\n",
            "worker",
            "line 2 is not valid TOML\n",
        ),
    ] {
        let witness = Witness::new();
        let (_dir, run) = of_section(text, section);
        let outcome = run.arg("p").arg("--").args(witness.command()).finish();
        outcome.assert_refused(125, &["dotenv-run: --profile: p.toml: ", says]);
        witness.assert_not_started();
    }
}

pub fn a_file_whose_name_holds_a_number_sign_is_named_with_one_more() {
    let tree = Tree::holding("A=1\n");
    let dir = TempDir::new();
    dir.file("a#b", format!("{}path = \"p\"\n", api_url(&tree)));
    let run = |name: &str| Run::dotenv_run().dir(dir.path()).args(["--profile", name]);
    assert_eq!(run("a#b#").variables(), ["A=1"]);
    let outcome = run("a#b").finish();
    outcome.assert_refused(125, &["--profile: a: no such file", "a#b#"]);
    dir.file("a", "[b]\nlist = true\n");
    let outcome = run("a#b")
        .args(["p", "--custody=any", "--api-url", &tree.url()])
        .finish();
    outcome.assert_status(0);
    assert!(outcome.text().starts_with("A\tproject"), "{outcome}");
}

pub fn a_descriptor_that_is_named_above_a_section_does_not_reach_the_command() {
    let tree = Tree::holding("A=1\n");
    let text = format!(
        "{}path = \"p\"\nclient-key = \"fd:3\"\n[worker]\nclient-key = \"fd:4\"\n",
        api_url(&tree)
    );
    let (dir, run) = of_section(&text, "worker");
    dir.file("key", "x");
    let script = "[ -e /dev/fd/3 ] || [ -e /dev/fd/4 ] || echo closed";
    let run = run.args(["--", "sh", "-c", script]);
    run.redirected("3<key 4<key")
        .finish()
        .assert_stdout("closed\n");
}

/// A directory with a tree of a client-managed project, its key, and a profile that names both by relative paths.
fn with_everything_beside(profile: &str) -> TempDir {
    let tree = Tree::example();
    let dir = TempDir::new();
    let copy = Run::program("cp").arg("-r").arg(tree.root());
    std::fs::create_dir_all(dir.path().join("a b%/conf")).expect("a directory");
    copy.arg(dir.path().join("a b%/conf/secrets"))
        .finish()
        .assert_status(0);
    dir.file("a b%/key", CLIENT_KEY);
    dir.file("a b%/conf/p.toml", profile);
    dir
}

pub fn relative_paths_in_a_profile_begin_where_it_is() {
    let text = "path = \"my-app\"\napi-url = \"./secrets\"\nclient-key = \"../key\"\n[deep]\nclient-key = \"./../key\"\n";
    let dir = with_everything_beside(text);
    let root = dir.path().to_owned();
    for (from, profile) in [
        (root.clone(), "a b%/conf/p.toml".into()),
        (root.join("a b%/conf"), "p.toml".into()),
        (root.join("a b%"), "./conf/p.toml#deep".into()),
        (root.join("a b%/conf/secrets"), "../p.toml#deep".into()),
        ("/".into(), root.join("a b%/conf/p.toml").into_os_string()),
        (
            "/".into(),
            root.join("a b%/conf/p.toml#deep").into_os_string(),
        ),
    ] {
        let run = Run::dotenv_run().dir(from).arg("--profile").arg(profile);
        run.arg("--list").finish().assert_status(0);
    }
    // On the command line they begin in the working directory.
    let run = Run::dotenv_run()
        .dir(&root)
        .args(["--profile", "a b%/conf/p.toml", "--list"]);
    let outcome = run.clone().args(["--client-key", "../key"]).finish();
    outcome.assert_refused(125, &["--client-key: there is no such file"]);
    let outcome = run.clone().args(["--client-key", "a b%/key"]).finish();
    outcome.assert_status(0);
    let outcome = run.clone().args(["--api-url", "./secrets"]).finish();
    outcome.assert_refused(125, &["secrets: no such file"]);
    let outcome = run.env("DOTENV_API_URL", "./secrets").finish();
    outcome.assert_refused(125, &["secrets: no such file"]);
}

pub fn key_and_certificate_files_and_mirrors_begin_there_too() {
    let service = Service::example();
    let text = format!(
        "path = \"my-app\"\napi-url = \"{}\"\nca-file = \"ca.pem\"\napi-key-file = \"api\"\nclient-key = \"../key\"\n\
         mirror = [\"./secrets\"]\n",
        service.url()
    );
    let dir = with_everything_beside(&text);
    let conf = dir.path().join("a b%/conf");
    std::fs::copy(service.ca_file(), conf.join("ca.pem")).expect("a copy");
    std::fs::write(conf.join("api"), service.api_key()).expect("a file");
    let run = Run::dotenv_run()
        .dir("/")
        .arg("--profile")
        .arg(conf.join("p.toml"));
    let run = run.arg("--list");
    run.clone().finish().assert_status(0);
    service.fail(
        Route::Secrets,
        Fault::Reply(Reply::error(503, "busy", "later")),
    );
    let outcome = run.args(["--timeout", "5"]).finish();
    outcome.assert_status(0);
    assert!(
        outcome.stderr.contains("the secrets come from the mirror"),
        "{outcome}"
    );
}

pub fn an_address_that_begins_with_dots_is_a_directory() {
    let tree = Tree::holding("A=1\n");
    let parent = tree.root().parent().expect("a directory").to_owned();
    let name = tree.root().file_name().expect("a name").to_owned();
    let run = |from: &std::path::Path, url: &std::ffi::OsStr| {
        let run = Run::dotenv_run()
            .dir(from)
            .args(["p", "--custody=any", "--list"]);
        run.arg("--api-url").arg(url)
    };
    let beside = |start: &str| [start.as_bytes(), name.as_bytes()].concat();
    let below = tree.root().join("api");
    for (from, url) in [
        (&parent, beside("./")),
        (&parent, beside(".//")),
        (&below, b"..".to_vec()),
        (&below, b"../".to_vec()),
        (&tree.root().to_owned(), b".".to_vec()),
        (&tree.root().to_owned(), b"./".to_vec()),
    ] {
        let outcome = run(from, std::ffi::OsStr::from_bytes(&url)).finish();
        outcome.assert_status(0);
    }
    for (url, says) in [
        (beside(""), "--api-url: neither a URL nor a directory"),
        (
            b"/srv/secrets".to_vec(),
            "--api-url: neither a URL nor a directory",
        ),
        (b"./no-such".to_vec(), "./no-such: no such file"),
        (b"./\xff".to_vec(), "no such file"),
    ] {
        let outcome = run(&parent, std::ffi::OsStr::from_bytes(&url)).finish();
        outcome.assert_refused(125, &[says]);
    }
}
