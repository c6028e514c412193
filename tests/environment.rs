//! What is in the command's environment: the merged secrets over what was inherited, by the rules
//! that the options choose, and nothing else.

mod formats;
mod inherited;
mod json;
mod limits;
mod names;
mod takeover;
mod text;

use crate::support::*;

tests![
    the_deepest_level_wins_for_each_name,
    an_empty_value_at_a_deeper_level_wins_too,
    the_last_of_several_lines_for_a_name_wins,
    names_differ_by_case,
    the_own_level_alone_has_nothing_to_fall_back_on,
    one_level_that_cannot_be_read_is_fatal_even_if_a_deeper_one_overrides_it,
    a_secret_replaces_an_inherited_variable,
    inherited_variables_stand_when_they_are_preserved,
    a_clean_environment_holds_the_secrets_and_what_is_passed,
    the_command_is_looked_up_in_the_inherited_path_even_if_that_is_not_passed,
    what_to_pass_means_nothing_without_a_clean_environment,
    lists_of_names_have_no_gaps,
    inherited::odd_entries_pass_as_they_pass_through_env,
    inherited::every_entry_of_a_secrets_name_is_replaced,
    inherited::an_entry_that_only_looks_like_a_secrets_name_stays,
    inherited::an_entry_without_a_value_is_not_preserved_in_place_of_a_secret,
    inherited::every_entry_that_holds_our_keys_is_gone,
    inherited::our_keys_stay_when_they_are_to_be_kept,
    json::a_level_of_strings_arrives_byte_for_byte,
    json::whatever_is_no_string_is_an_error_that_names_the_key,
    json::a_name_that_no_variable_can_have_is_an_error_that_counts_it,
    json::a_key_that_comes_twice_is_an_error_that_names_it,
    json::a_level_that_is_not_one_object_is_an_error,
    json::text_that_is_not_utf_8_is_an_error,
    json::levels_merge_as_others_do,
    json::any_other_format_is_an_error_that_names_it,
    formats::a_scalar_in_yaml_is_its_text,
    formats::whatever_is_no_scalar_in_yaml_is_an_error_that_names_the_key,
    formats::levels_of_yaml_merge_as_others_do,
    formats::a_level_of_text_is_one_value_with_the_name_that_it_is_given,
    formats::the_deepest_value_of_text_counts,
    limits::a_variable_of_128_kib_is_the_largest,
    limits::a_variable_that_is_too_large_points_to_files,
    limits::the_limit_on_one_variable_counts_bytes,
    limits::a_total_that_the_kernel_would_not_take_is_our_refusal,
    limits::the_total_is_limited_whatever_the_stack_may_be,
    limits::arguments_count_towards_the_total,
    names::a_name_that_takes_over_the_command_is_refused_at_every_level,
    names::each_of_these_names_is_refused_alone,
    names::every_setting_of_ours_is_refused,
    names::no_name_is_refused_that_is_not_in_the_manual,
    names::the_manual_lists_the_table,
    names::a_name_that_comes_of_an_option_is_refused_too,
    takeover::every_name_that_is_tried_is_refused,
    takeover::names_that_take_over_the_loader needs(|| tool("strace")),
    takeover::names_that_take_over_a_posix_shell needs(|| tool("dash"), || tool("vim")),
    takeover::names_that_take_over_bash needs(|| tool("bash"), || tool("strace")),
    takeover::names_that_take_over_zsh needs(|| tool("zsh")),
    takeover::names_that_take_over_ksh93 needs(|| tool("ksh93")),
    takeover::names_that_take_over_mksh needs(|| tool("mksh")),
    takeover::names_that_take_over_yash needs(|| tool("yash")),
    takeover::names_that_take_over_busybox needs(|| tool("busybox")),
    takeover::names_that_take_over_fish needs(|| tool("fish")),
    takeover::names_that_take_over_node needs(|| tool("node")),
    takeover::names_that_take_over_python needs(|| tool("python3")),
    takeover::names_that_take_over_perl needs(|| tool("perl")),
    takeover::names_that_take_over_ruby needs(|| tool("ruby"), || tool("strace")),
    takeover::names_that_take_over_java needs(|| tool("javac")),
    takeover::names_that_take_over_maven needs(|| tool("mvn")),
    takeover::names_that_take_over_lua needs(|| tool("lua")),
    takeover::names_that_take_over_php needs(|| tool("php")),
    takeover::names_that_take_over_tcl needs(|| tool("tclsh")),
    takeover::names_that_take_over_git needs(|| tool("git"), || tool("script")),
    takeover::names_that_take_over_ssh needs(|| tool("ssh-keygen")),
    takeover::names_that_take_over_rsync needs(|| tool("rsync")),
    takeover::names_that_take_over_dbus needs(|| tool("busctl")),
    takeover::names_that_take_over_gpg needs(|| tool("gpg")),
    takeover::names_that_take_over_vim needs(|| tool("vim")),
    takeover::names_that_take_over_less needs(|| tool("less"), || tool("script"), || tool("strace")),
    takeover::names_that_take_over_man needs(|| tool("man"), || tool("groff"), || tool("script")),
    takeover::names_that_take_over_systemd needs(|| tool("systemd-analyze")),
    takeover::names_that_take_over_make needs(|| tool("make")),
    takeover::names_that_take_over_gcc needs(|| tool("g++")),
    takeover::names_that_take_over_pkg_config needs(|| tool("pkg-config")),
    takeover::names_that_take_over_cargo needs(|| tool("cargo")),
    takeover::names_that_take_over_rustup needs(|| tool("rustup")),
    takeover::names_that_take_over_npm needs(|| tool("npm")),
    takeover::names_that_take_over_go needs(|| tool("go")),
    takeover::names_that_take_over_tar needs(|| tool("tar")),
    takeover::names_that_take_over_zip needs(|| tool("zip")),
    takeover::names_that_take_over_apt needs(|| tool("apt-config")),
    takeover::names_that_take_over_openssl needs(|| tool("openssl"), || tool("strace")),
    takeover::names_that_take_over_curl needs(|| tool("curl")),
    takeover::names_that_take_over_wget needs(|| tool("wget")),
    names::names_that_only_resemble_them_are_accepted,
    names::a_name_is_accepted_when_it_is_allowed_by_name,
    names::every_refused_name_is_told_at_once,
    names::a_path_among_the_secrets_does_not_change_where_the_command_is_found,
    text::lines_without_an_equals_sign_draw_one_warning_for_each_level,
    text::quoting_follows_the_grammar,
    text::values_arrive_byte_for_byte,
    text::a_level_that_breaks_the_grammar_is_an_error_at_its_place,
];

/// The path whose three levels [`levels`] makes.
const PATH: &str = "app/production/api";

/// A tree with the three levels of one path.
fn levels([project, target, environment]: [&str; 3]) -> Tree {
    let app = Project::new("app", Custody::legacy());
    let app = app.level("", project).level("production", target);
    Tree::of(&World::new(vec![app.level("production/api", environment)]))
}

/// A run with the variables of one level.
struct OneLevel(Tree);

impl OneLevel {
    fn env(text: &str) -> Self {
        OneLevel::of("env", text)
    }

    fn of(format: &str, text: &str) -> Self {
        let app = Project::new("app", Custody::legacy()).format(format);
        OneLevel(Tree::of(&World::new(vec![app.level("", text)])))
    }

    /// A level that may be no text at all.
    fn bytes(format: &str, bytes: &[u8]) -> Self {
        let level = OneLevel::of(format, "");
        let blob = seal(&data_key(&Custody::legacy().key, None, 1), bytes);
        level.0.edit(&level.0.secrets("app"), |document| {
            document["data"]["attributes"]["levels"]["project"]["content"] = blob.as_str().into();
        });
        level
    }

    fn run(&self) -> Run {
        self.0.dotenv_run().arg("app")
    }
}

/// The environment of a command that `run` starts, entry by entry in its order.
#[track_caller]
fn entries(run: Run) -> Vec<Vec<u8>> {
    let outcome = run.args(["--", "cat", "/proc/self/environ"]).finish();
    outcome.assert_status(0);
    assert_eq!(outcome.stderr, "", "{outcome}");
    let entries = outcome.stdout.split_inclusive(|byte| *byte == 0);
    let without_nul = |entry: &[u8]| entry.strip_suffix(b"\0").expect("a final NUL").to_vec();
    entries.map(without_nul).collect()
}

/// The same as text in the order of the alphabet, without the `PATH` that every run inherits.
#[track_caller]
fn variables(run: Run) -> Vec<String> {
    let mut variables = run.variables();
    variables.sort();
    variables
}

/// A value that no message may show.
const HIDDEN: &str = "hunter2";

/// A refusal that never shows [`HIDDEN`], also if it says all it can.
#[track_caller]
fn refused_unseen(run: Run, fragments: &[&str]) {
    let verbose = run.clone().args(["--verbose", "--", "echo", "started"]);
    for outcome in [run.refuses(125, fragments), verbose.finish()] {
        assert!(!outcome.stderr.contains(HIDDEN), "{outcome}");
        outcome.assert_status(125).assert_stdout("");
    }
}

fn the_deepest_level_wins_for_each_name() {
    let tree = levels([
        "A=p\nB=p\nC=p\nD=p\n",
        "B=t\nC=t\nE=t\nG=t\n",
        "C=e\nD=e\nE=e\nF=e\n",
    ]);
    let expected = ["A=p", "B=t", "C=e", "D=e", "E=e", "F=e", "G=t"];
    assert_eq!(variables(tree.dotenv_run().arg(PATH)), expected);
    let expected = ["A=p", "B=t", "C=t", "D=p", "E=t", "G=t"];
    assert_eq!(variables(tree.dotenv_run().arg("app/production")), expected);
    let expected = ["A=p", "B=p", "C=p", "D=p"];
    assert_eq!(variables(tree.dotenv_run().arg("app")), expected);
}

fn an_empty_value_at_a_deeper_level_wins_too() {
    let tree = levels(["A=p\nB=p\nC=p\n", "A=\nB=t\n", "B=\"\"\nC= # none\n"]);
    let run = tree.dotenv_run().arg(PATH).env("A", "inherited");
    assert_eq!(variables(run), ["A=", "B=", "C="]);
}

fn the_last_of_several_lines_for_a_name_wins() {
    let level = OneLevel::env("A=1\nB=x\nA=2\nexport A='3'\n");
    assert_eq!(variables(level.run()), ["A=3", "B=x"]);
}

fn names_differ_by_case() {
    let tree = levels(["Name=p\n", "NAME=t\n", "name=e\n"]);
    assert_eq!(
        variables(tree.dotenv_run().arg(PATH)),
        ["NAME=t", "Name=p", "name=e"]
    );
}

fn the_own_level_alone_has_nothing_to_fall_back_on() {
    let app = Project::new("app", Custody::legacy()).level("", "A=p\n");
    let app = app.level("production", "B=t\n");
    let tree = Tree::of(&World::new(vec![app.empty_place("production/api")]));
    assert_eq!(
        variables(tree.dotenv_run().arg("app/production").arg("--level-only")),
        ["B=t"]
    );
    assert_eq!(variables(tree.dotenv_run().arg(PATH)), ["A=p", "B=t"]);
    tree.dotenv_run()
        .arg(PATH)
        .arg("--level-only")
        .refuses(125, &[PATH]);
    let run = tree
        .dotenv_run()
        .arg(PATH)
        .args(["--level-only", "--allow-empty"]);
    assert_eq!(variables(run), [""; 0]);
}

fn one_level_that_cannot_be_read_is_fatal_even_if_a_deeper_one_overrides_it() {
    let good = "A=1\n";
    let broken = format!("A='{HIDDEN}\n");
    let cases = [
        ("project", [&broken, good, good]),
        ("target", [good, &broken, good]),
        ("environment", [good, good, &broken]),
    ];
    for (level, texts) in cases {
        let tree = levels(texts);
        for mode in ["--exec", "--supervise"] {
            refused_unseen(tree.dotenv_run().arg(PATH).arg(mode), &[level, "A"]);
        }
    }
}

fn a_secret_replaces_an_inherited_variable() {
    let tree = levels(["A=p\n", "", "B=e\n"]);
    let run = tree
        .dotenv_run()
        .arg(PATH)
        .env("A", "a")
        .env("B", "b")
        .env("C", "c");
    assert_eq!(variables(run), ["A=p", "B=e", "C=c"]);
}

/// Inherited are `A=a`, `B=` and `C=c`; the secrets are `A=1`, `B=2` and `D=4`.
fn inherited_variables_stand_when_they_are_preserved() {
    let level = OneLevel::env("A=1\nB=2\nD=4\n");
    let cases: [(&[&str], [&str; 4]); 8] = [
        (&[], ["A=1", "B=2", "C=c", "D=4"]),
        (&["--preserve-env"], ["A=a", "B=", "C=c", "D=4"]),
        (&["--preserve-env=A"], ["A=a", "B=2", "C=c", "D=4"]),
        (&["--preserve-env=D,B,X"], ["A=1", "B=", "C=c", "D=4"]),
        (
            &["--preserve-env=A", "--preserve-env=B"],
            ["A=a", "B=", "C=c", "D=4"],
        ),
        (
            &["--preserve-env=A", "--preserve-env"],
            ["A=a", "B=", "C=c", "D=4"],
        ),
        (
            &["--preserve-env", "--preserve-env=A"],
            ["A=a", "B=", "C=c", "D=4"],
        ),
        (&["--preserve-env=a,A1"], ["A=1", "B=2", "C=c", "D=4"]),
    ];
    for (options, expected) in cases {
        let run = level.run().env("A", "a").env("B", "").env("C", "c");
        assert_eq!(variables(run.args(options)), expected, "{options:?}");
    }
}

/// Inherited are `A=a`, `B=b` and `C=c` besides `PATH`; the secrets are `A=1` and `D=4`.
fn a_clean_environment_holds_the_secrets_and_what_is_passed() {
    let level = OneLevel::env("A=1\nD=4\n");
    let cases: [(&[&str], &[&str]); 8] = [
        (&[], &["A=1", "D=4"]),
        (&["--pass", "B"], &["A=1", "B=b", "D=4"]),
        (&["--pass=C,B"], &["A=1", "B=b", "C=c", "D=4"]),
        (
            &["--pass", "C", "--pass", "B,X"],
            &["A=1", "B=b", "C=c", "D=4"],
        ),
        (&["--pass", "A"], &["A=1", "D=4"]),
        (&["--pass", "A", "--preserve-env"], &["A=a", "D=4"]),
        (&["--pass", "B", "--preserve-env=A"], &["A=1", "B=b", "D=4"]),
        (&["--pass", "c,BB"], &["A=1", "D=4"]),
    ];
    for (options, expected) in cases {
        let run = level.run().env("A", "a").env("B", "b").env("C", "c");
        let run = run.arg("--clean-env").args(options);
        let mut entries = entries(run);
        entries.sort();
        let expected: Vec<_> = expected.iter().map(|entry| entry.as_bytes()).collect();
        assert_eq!(entries, expected, "{options:?}");
    }
}

fn the_command_is_looked_up_in_the_inherited_path_even_if_that_is_not_passed() {
    let dir = TempDir::new();
    let tool = std::os::unix::fs::symlink("/bin/cat", dir.path().join("only-here"));
    tool.expect("a link in a temporary directory");
    let level = OneLevel::env("A=1\n");
    let run = level.run().env("PATH", dir.path()).arg("--clean-env");
    let outcome = run.args(["--", "only-here", "/proc/self/environ"]).finish();
    outcome.assert_status(0).assert_stdout("A=1\0");
}

fn what_to_pass_means_nothing_without_a_clean_environment() {
    let level = OneLevel::env("A=1\n");
    level
        .run()
        .args(["--pass", "B"])
        .refuses(125, &["--pass", "--clean-env"]);
}

fn lists_of_names_have_no_gaps() {
    let level = OneLevel::env("A=1\n");
    for option in ["--preserve-env", "--pass", "--allow-unsafe-env"] {
        for list in ["A,", ",A", "A,,B", "A=1", ","] {
            let run = level
                .run()
                .arg("--clean-env")
                .arg(format!("{option}={list}"));
            run.refuses(125, &[option]);
        }
    }
}
