//! `dotenv-seal`, the embedded store: keys and projects are made as `protocol.md` 10 wants them, a
//! level is sealed byte for byte into every document that holds it, a refusal leaves the tree as it
//! was, and the tests' own cryptography and the program open what each other made.

mod durability;
mod keeping;
mod put;
pub mod signing;
mod store;

use std::collections::BTreeSet;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};

use crate::support::*;
use durability::*;
use keeping::*;
use put::*;
use store::*;

tests![
    a_key_is_256_random_bits_in_print,
    output_that_cannot_be_written_is_an_error,
    a_project_gets_a_random_salt_and_600000_iterations,
    keys_of_all_lengths_but_32_bytes_are_taken,
    projects_of_one_tree_share_its_organization,
    init_refuses_what_it_should_not_make,
    of_two_inits_of_one_project_one_wins,
    list_shows_paths_levels_and_sizes,
    list_refuses_what_is_no_tree,
    a_command_line_that_makes_no_sense_is_refused,
    help_and_version_work_in_any_environment,
    what_is_sealed_reaches_the_command,
    a_level_is_rewritten_at_and_below_its_path,
    documents_that_lead_to_a_level_are_made,
    documents_have_the_fields_of_the_service,
    every_seal_has_a_fresh_nonce,
    every_text_of_the_grammar_is_sealed_byte_for_byte,
    a_text_against_the_grammar_is_not_sealed,
    a_name_that_takes_over_a_program_is_sealed_only_on_demand,
    an_empty_text_is_sealed_only_on_demand,
    a_text_that_no_reader_would_take_is_not_sealed,
    a_wrong_key_is_refused_before_anything_is_written,
    put_refuses_what_it_cannot_update,
    keys_come_from_where_dotenv_run_takes_them,
    a_key_that_is_of_no_use_is_refused,
    a_reader_sees_old_or_new_documents_only,
    concurrent_puts_lose_no_level,
    puts_that_take_long_lose_no_level needs(STRACE),
    a_put_killed_at_any_moment_leaves_a_readable_tree needs(STRACE),
    a_failed_write_leaves_every_document_old_or_new needs(STRACE),
    documents_are_on_the_disk_before_they_are_in_place needs(STRACE),
    only_ciphertext_is_written needs(STRACE),
    what_a_killed_put_left_behind_disturbs_nobody,
    documents_get_the_permissions_of_the_umask,
    a_tree_that_cannot_be_written_is_left_alone needs(MOUNTS),
    nothing_is_written_through_a_link_out_of_the_tree,
    one_variable_is_set_and_the_text_around_it_stays,
    every_value_is_set_as_it_is_given,
    a_value_is_typed_without_echo,
    a_value_that_is_none_is_not_set,
    variables_are_removed_with_their_lines,
    what_was_put_is_printed_as_it_was,
    secrets_are_not_printed_to_a_file_unasked,
    a_comparison_lists_names_and_values_on_demand,
    a_path_is_removed_with_those_below_on_demand,
    a_terminal_is_asked_before_paths_below_are_removed,
    a_path_is_renamed_with_those_below,
    an_interrupted_renaming_is_completed needs(STRACE),
    every_flaw_of_a_tree_is_found,
    a_level_that_was_put_back_is_not_changed,
    a_put_that_drops_most_of_a_level_asks_for_it,
    the_tree_is_named_in_three_ways,
    only_ciphertext_is_written_by_any_command needs(STRACE),
];

fn a_key_is_256_random_bits_in_print() {
    let (mut keys, mut zeros, mut ones) = (BTreeSet::new(), [0; 32], [0; 32]);
    for _ in 0..64 {
        let outcome = seal_program(&["keygen"]).finish();
        let line = outcome.assert_status(0).text();
        let key = line.strip_suffix('\n').expect("one line");
        assert_ne!(key.len(), 32, "{outcome}");
        assert_eq!(outcome.stderr, "", "{outcome}");
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(key).unwrap();
        let bytes: [u8; 32] = bytes.try_into().expect("256 bits");
        for (index, byte) in bytes.into_iter().enumerate() {
            ones[index] |= byte;
            zeros[index] |= !byte;
        }
        keys.insert(key.to_owned());
    }
    assert_eq!(keys.len(), 64, "each key is new");
    // That a random bit has one value in 64 keys happens once in 2^63.
    assert_eq!((ones, zeros), ([255; 32], [255; 32]), "a bit never changes");
}

fn output_that_cannot_be_written_is_an_error() {
    let tree = Tree::example();
    for command in ["keygen", "list \"$1\"", "--help", "--version"] {
        let script = format!("exec \"$0\" {command} >/dev/full");
        let program = env!("CARGO_BIN_EXE_dotenv-seal");
        let run = Run::shell(&script).arg(program).arg(tree.root());
        run.finish()
            .assert_refused(125, &["dotenv-seal: ", "standard output", "no space left"]);
    }
}

fn a_project_gets_a_random_salt_and_600000_iterations() {
    let (dir, key) = (TempDir::new(), format!("{}\n", keygen()));
    let key_file = private(dir.file("key", &key));
    let mut salts = BTreeSet::new();
    for name in ["one", "nested/two"] {
        let root = dir.path().join(name);
        let run = seal_program(&["init"])
            .arg(&root)
            .args(["my-app", "--client-key"]);
        let outcome = run.arg(&key_file).finish();
        outcome.assert_status(0).assert_stdout("");
        assert_eq!(
            outcome.stderr, "dotenv-seal: my-app: new project\n",
            "{outcome}"
        );
        let store = Store::of(&root);
        let descriptor = store.descriptor("my-app");
        assert_eq!(descriptor["managed"], "client");
        assert_eq!(descriptor["key_check_iterations"], 600_000);
        assert_eq!(descriptor.get("key"), None, "{descriptor}");
        let salt = descriptor["key_check_salt"].as_str().unwrap();
        assert_eq!(BASE64_STANDARD.decode(salt).unwrap().len(), 16);
        salts.insert(salt.to_owned());
    }
    assert_eq!(salts.len(), 2, "each salt is new");
    let root = dir.path().join("one");
    let run = dotenv_run(&root, "my-app", key.trim());
    run.clone()
        .args(["--", "env"])
        .finish()
        .assert_refused(125, &["my-app", "no secret", "--allow-empty"]);
    let outcome = run.args(["--allow-empty", "--", "env"]).finish();
    outcome.assert_status(0);
}

/// A key of 32 bytes would be its own proof (`protocol.md` 10.4), however the file writes it.
fn keys_of_all_lengths_but_32_bytes_are_taken() {
    let cases = [
        ("k".repeat(31), true),
        (format!("  {}\r\n", "k".repeat(31)), true),
        ("ö".repeat(32), true),
        ("k".repeat(32), false),
        (format!("{}\n", "k".repeat(32)), false),
        ("ö".repeat(16), false),
        ("0123456789abcdef0123456789abcdef\n".into(), false),
    ];
    for (key, taken) in cases {
        let dir = TempDir::new();
        let root = dir.path().join("tree");
        let run = seal_program(&["init"]).arg(&root).arg("my-app");
        let run = run.arg("--client-key").arg(private(dir.file("key", &key)));
        let outcome = run.finish();
        if taken {
            outcome.assert_status(0);
            Store::of(&root).levels_with("my-app", key.trim());
        } else {
            let refusal = outcome.assert_refused(125, &["32 bytes", "keygen"]);
            assert!(!refusal.stderr.contains(key.trim()), "{refusal}");
            assert!(!root.exists(), "{key:?} made a tree");
        }
    }
}

fn projects_of_one_tree_share_its_organization() {
    let dir = TempDir::new();
    init(dir.path(), "one")
        .args(["--organization", ORGANIZATION])
        .finish()
        .assert_status(0);
    init(dir.path(), "two").finish().assert_status(0);
    assert_eq!(Store::of(dir.path()).organization, ORGANIZATION);
    let stored = Store::of(dir.path()).places();
    assert_eq!(stored, ["one", "two"]);
    let other = init(dir.path(), "three").args(["--organization", FOREIGN_ORGANIZATION]);
    let fragments = [ORGANIZATION, FOREIGN_ORGANIZATION];
    assert_refused_untouched(dir.path(), other, &fragments);

    let fresh = TempDir::new();
    for project in ["one", "two"] {
        init(fresh.path(), project).finish().assert_status(0);
    }
    let organization = Store::of(fresh.path()).organization;
    assert!(organization.len() == 26 && organization != ORGANIZATION);
}

fn init_refuses_what_it_should_not_make() {
    let tree = Tree::example();
    for project in ["my-app", "managed", "legacy"] {
        let run = init(tree.root(), project);
        assert_refused_untouched(tree.root(), run, &[project, "already"]);
    }
    let long = "a".repeat(101);
    let paths = [
        "new/production",
        "new/production/api",
        "my-app/production",
        "a/b/c/d",
        "",
        "New",
        "new/",
        "../new",
        "..",
        "secrets",
        "encryption-key",
        &long,
    ];
    let dir = TempDir::new();
    let missing = dir.path().join("tree");
    for path in paths {
        assert_refused_untouched(tree.root(), init(tree.root(), path), &[]);
        assert_refused_untouched(dir.path(), init(&missing, path), &[]);
    }
    let file = dir.file("file", "");
    assert_refused_untouched(dir.path(), init(&file, "new"), &["file"]);
}

fn of_two_inits_of_one_project_one_wins() {
    let dir = TempDir::new();
    let keys = ["first key", "second key", "third key"];
    let start = |key: &&'static str| {
        let run = init(dir.path(), "my-app").env("DOTENV_CLIENT_KEY", key);
        (*key, run.spawn())
    };
    let live: Vec<_> = keys.iter().map(start).collect();
    let mut winners = Vec::new();
    for (key, live) in live {
        let outcome = live.wait();
        if outcome.status.success() {
            winners.push(key);
        } else {
            outcome.assert_refused(125, &["my-app", "already"]);
        }
    }
    let [winner] = winners[..] else {
        panic!("{winners:?} have all made the project")
    };
    let levels = Store::of(dir.path()).levels_with("my-app", winner);
    assert_eq!(levels, texts(&[("project", "")]));
}

/// Every path with its own level and the size of that level's text; the projects of the service
/// too, for there is no key involved.
fn list_shows_paths_levels_and_sizes() {
    let project = Project::new("zoo", Custody::client())
        .level("", "A=ü\n")
        .empty_place("production")
        .level("production/api", "");
    let mut world = World::example();
    world.projects.push(project);
    let tree = Tree::of(&world);
    let before = snapshot(tree.root());
    let outcome = seal_program(&["list"]).arg(tree.root()).finish();
    let mut expected = String::new();
    for project in ["legacy", "managed", "my-app"] {
        if project == "my-app" {
            expected += "my-app\tgeneration\t1\n";
        }
        expected += &format!("{project}\tproject\t60\n");
        expected += &format!("{project}/production\ttarget\t16\n");
        expected += &format!("{project}/production/api\tenvironment\t57\n");
    }
    expected += "zoo\tgeneration\t1\nzoo\tproject\t5\nzoo/production\ttarget\t0\nzoo/production/api\tenvironment\t0\n";
    outcome.assert_status(0).assert_stdout(expected);
    assert_eq!(outcome.stderr, "", "{outcome}");
    assert!(snapshot(tree.root()) == before, "list changed the tree");
}

fn list_refuses_what_is_no_tree() {
    let dir = TempDir::new();
    let file = dir.file("file", "");
    for root in [dir.path().join("missing"), file, dir.path().into()] {
        let name = root.file_name().unwrap().to_str().unwrap();
        let run = seal_program(&["list"]).arg(&root);
        assert_refused_untouched(dir.path(), run, &[name]);
    }
    let tree = Tree::example();
    tree.write(&tree.secrets("my-app/production"), "rubbish");
    let run = seal_program(&["list"]).arg(tree.root());
    assert_refused_untouched(tree.root(), run, &["my-app/production/secrets", "JSON"]);
}

fn a_command_line_that_makes_no_sense_is_refused() {
    let tree = Tree::example();
    let root = tree.root().to_str().unwrap();
    let cases: &[(&[&str], &str)] = &[
        (&[], "keygen"),
        (&["seal"], "keygen"),
        (&["keygen", "more"], "keygen"),
        (&["init"], "init TREE PROJECT"),
        (&["init", root], "init TREE PROJECT"),
        (&["init", root, "new", "more"], "init TREE PROJECT"),
        (&["put"], "put TREE PATH"),
        (&["put", root], "put TREE PATH"),
        (&["put", root, "my-app", "more"], "put TREE PATH"),
        (&["sign"], "sign TREE PROJECT"),
        (&["sign", root], "sign TREE PROJECT"),
        (&["sign", root, "my-app", "more"], "sign TREE PROJECT"),
        (&["list"], "list TREE"),
        (&["list", root, "more"], "list TREE"),
        (&["put", root, "my-app", "--client-key"], "--client-key"),
        (
            &["put", root, "my-app", "--allow-empty=yes"],
            "--allow-empty",
        ),
        (&["put", root, "my-app", "--no-such"], "--no-such"),
        (&["put", root, "my-app", "--allow"], "--allow"),
        (&["put", root, "my-app", "-x"], "-x"),
        (&["put", root, "My-App"], "PATH"),
        (&["put", root, "my-app//api"], "PATH"),
        (&["put", root, "my-app/.."], "PATH"),
        (&["put", root, "my-app/secrets"], "PATH"),
        (&["put", root, "my-app/a/b/c"], "PATH"),
        (
            &["init", root, "new", "--organization", "acme"],
            "--organization",
        ),
        // An option that the command has no use for is a mistake, not a wish to be passed over.
        (&["keygen", "--allow-empty"], "--allow-empty"),
        (&["sign", root, "my-app", "--allow-empty"], "--allow-empty"),
        (
            &["init", root, "new", "--allow-weak-key"],
            "--allow-weak-key",
        ),
        (&["list", root, "--allow-weak-key"], "--allow-weak-key"),
        (&["list", root, "--client-key", "key"], "--client-key"),
        (&["init", root, "new", "--allow-empty"], "--allow-empty"),
        (
            &["put", root, "my-app", "--organization", ORGANIZATION],
            "--organization",
        ),
    ];
    for (arguments, fragment) in cases {
        let run = seal_program(arguments).env("DOTENV_CLIENT_KEY", CLIENT_KEY);
        assert_refused_untouched(tree.root(), run.stdin("A=1\n"), &[fragment, "hint: "]);
    }
}

fn help_and_version_work_in_any_environment() {
    let version = concat!("dotenv-seal ", env!("CARGO_PKG_VERSION"), "\n");
    let arguments: [&[&str]; 4] = [
        &["--help"],
        &["--version"],
        &["put", "--help"],
        &["init", "/nowhere", "x/y/z/a", "--version"],
    ];
    for arguments in arguments {
        let run = seal_program(arguments).env("DOTENV_CLIENT_KEY", "\u{feff}\n\n");
        let run = run
            .env("DOTENV_CLIENT_KEY_FILE", "/nowhere")
            .env_remove("PATH");
        let outcome = run.finish();
        outcome.assert_status(0);
        assert_eq!(outcome.stderr, "", "{outcome}");
        if arguments.contains(&"--version") {
            outcome.assert_stdout(version);
        } else {
            for word in ["keygen", "init", "put", "sign", "list"] {
                assert!(outcome.text().contains(word), "{outcome}");
            }
        }
    }
}
