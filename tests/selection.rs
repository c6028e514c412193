//! What the command gets: which secrets are taken and what they are called, in which order the
//! options for that apply, and which inherited variables stand beside them.

use serde_json::{Value, json};

use crate::support::*;

tests![
    patterns_take_and_leave_out_names,
    what_is_left_out_can_be_referred_to,
    a_pattern_that_matches_nothing_draws_a_warning,
    nothing_left_is_like_nothing_stored,
    a_secret_gets_another_name,
    a_rename_of_what_is_not_there_is_refused,
    a_prefix_comes_before_every_name,
    names_that_collide_are_refused,
    required_names_are_all_named_when_they_miss,
    required_names_hold_for_printing_and_listing_too,
    the_order_of_application_is_fixed,
    a_malformed_selection_is_refused_before_anything_happens,
    renamed_secrets_replace_or_yield_to_inherited_variables,
    a_clean_environment_goes_by_the_final_names,
    a_final_name_that_takes_over_the_command_is_refused,
    a_name_that_takes_over_the_command_can_be_allowed,
];

const TEXT: &str = "APP_NAME=acme\nAPP_PORT=80\nDB_URL=url\nDB_EMPTY=\nlower=l\nX1=1\nX10=10\n";

/// What a run with these options gives, as `NAME=value` words.
#[track_caller]
fn taken(tree: &Tree, options: &str) -> String {
    let run = tree.run().args(options.split_terminator(' '));
    run.variables().join(" ")
}

#[track_caller]
fn assert_refused(tree: &Tree, options: &str, fragments: &[&str]) -> Outcome {
    let run = tree.run().args(options.split_terminator(' '));
    run.refuses(125, fragments)
}

fn patterns_take_and_leave_out_names() {
    let tree = Tree::holding(TEXT);
    let cases = [
        ("--only APP_*", "APP_NAME=acme APP_PORT=80"),
        ("--only DB_URL,X1", "DB_URL=url X1=1"),
        ("--only X1 --only DB_URL", "DB_URL=url X1=1"),
        ("--only X1,X1,X*", "X1=1 X10=10"),
        ("--only X?", "X1=1"),
        ("--only X1[0-9]", "X10=10"),
        ("--only [!A-DX]*", "lower=l"),
        ("--only LOWER,lower", "lower=l"),
        ("--only=*_*[TL]", "APP_PORT=80 DB_URL=url"),
        ("--except *_*", "lower=l X1=1 X10=10"),
        ("--except A*,D* --except X1", "lower=l X10=10"),
        ("--only APP_* --except *PORT", "APP_NAME=acme"),
        ("--except *PORT --only APP_*", "APP_NAME=acme"),
        (
            "--except nothing",
            "APP_NAME=acme APP_PORT=80 DB_URL=url DB_EMPTY= lower=l X1=1 X10=10",
        ),
    ];
    for (options, expected) in cases {
        assert_eq!(taken(&tree, options), expected, "{options}");
    }
}

fn what_is_left_out_can_be_referred_to() {
    let tree = Tree::holding("A=$B-$C\nB=b\nC=c\n");
    for options in [
        "--only A",
        "--except B,C",
        "--only A,B --rename B=D --except C",
    ] {
        let run = tree.run().arg("--resolve").args(options.split(' '));
        let run = run.args(["--", "printenv", "A"]).finish();
        run.assert_status(0).assert_stdout("b-c\n");
    }
}

fn a_pattern_that_matches_nothing_draws_a_warning() {
    let tree = Tree::holding(TEXT);
    for action in [&["--print", "json"][..], &["--list"], &["--", "true"]] {
        let run = tree
            .run()
            .args(["--only", "X1,NO_*,app_*", "--except", "Y,lower"]);
        let outcome = run.clone().args(action).finish();
        outcome.assert_status(0);
        let warnings = outcome.warnings();
        assert_eq!(warnings.len(), 3, "{outcome}");
        for (option, pattern) in [("--only", "NO_*"), ("--only", "app_*"), ("--except", "Y")] {
            let named = |warning: &&&str| warning.contains(option) && warning.contains(pattern);
            assert_eq!(warnings.iter().filter(named).count(), 1, "{outcome}");
        }
        let quiet = run.arg("--quiet").args(action).finish();
        assert_eq!(quiet.assert_status(0).stderr, "", "{quiet}");
    }
    let odd = tree.run().args(["--only", "X1,a\u{1b}[2J\n"]);
    let outcome = odd.args(["--", "true"]).finish();
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome}");
    assert!(!outcome.stderr.contains('\u{1b}'), "{outcome}");
}

fn nothing_left_is_like_nothing_stored() {
    let tree = Tree::holding(TEXT);
    for options in ["--only NO_*", "--except *"] {
        assert_refused(&tree, options, &["p contains no secrets"]);
        assert_eq!(taken(&tree, &format!("{options} --allow-empty")), "");
        let run = tree.run().args(options.split(' '));
        let outcome = run.args(["--print", "env"]).finish();
        outcome.assert_refused(125, &["p contains no secrets"]);
    }
}

fn a_secret_gets_another_name() {
    let tree = Tree::holding("A=a\nB=b\nC=c\n");
    let cases = [
        ("--rename A=Z", "Z=a B=b C=c"),
        ("--rename A=Z,C=Y", "Z=a B=b Y=c"),
        ("--rename A=Z --rename=C=Y", "Z=a B=b Y=c"),
        ("--rename A=B,B=A", "B=a A=b C=c"),
        ("--rename A=B,B=C,C=A", "B=a C=b A=c"),
        ("--rename A=A", "A=a B=b C=c"),
        ("--rename A=B --except B", "B=a C=c"),
    ];
    for (options, expected) in cases {
        assert_eq!(taken(&tree, options), expected, "{options}");
    }
}

fn a_rename_of_what_is_not_there_is_refused() {
    let tree = Tree::holding("A=a\nB=b\n");
    let absent = [
        "--rename N=M",
        "--rename a=M",
        "--only B --rename A=M",
        "--rename A=N,N=M",
    ];
    for options in absent {
        assert_refused(&tree, options, &["--rename", "no secret"]);
    }
    assert_refused(&tree, "--rename A=N,A=M", &["--rename", "twice"]);
}

fn a_prefix_comes_before_every_name() {
    let tree = Tree::holding("A=a\n_B=b\n");
    let cases = [
        ("--prefix MY_", "MY_A=a MY__B=b"),
        ("--prefix=_", "_A=a __B=b"),
        ("--prefix my --only A", "myA=a"),
        ("--prefix NO_ --prefix YES_", "YES_A=a YES__B=b"),
        ("--prefix MY_ --rename A=Z", "MY_Z=a MY__B=b"),
    ];
    for (options, expected) in cases {
        assert_eq!(taken(&tree, options), expected, "{options}");
    }
}

fn names_that_collide_are_refused() {
    let tree = Tree::holding("A=a\nB=a\nC=c\nP_C=c\n");
    let collisions = [
        ("--rename A=B", "B"),
        ("--rename A=N,B=N", "N"),
        ("--rename A=P_C --prefix P_", "P_P_C"),
        ("--rename C=A,A=C,B=C", "C"),
        ("--file A", "A"),
        ("--file N --file N=json", "N"),
        ("--file P_A --prefix P_", "P_A"),
    ];
    for (options, name) in collisions {
        let message = format!("two secrets would both be named {name}\n");
        assert_refused(&tree, options, &[&message]);
    }
    for options in ["--rename A=B --print json", "--rename A=B --list"] {
        let outcome = tree.run().args(options.split(' ')).finish();
        outcome.assert_refused(125, &["named B\n"]);
    }
    assert_eq!(taken(&tree, "--rename A=B --except B,P_C"), "B=a C=c");
    let variables = taken(&tree, "--file A --file-only");
    assert!(variables.starts_with("A=/dev/fd/"), "{variables}");
}

fn required_names_are_all_named_when_they_miss() {
    let tree = Tree::holding(TEXT);
    assert_eq!(taken(&tree, "--only X1 --require X1"), "X1=1");
    let variables = taken(&tree, "--require APP_NAME,DB_URL --require X10,X10");
    assert!(variables.contains("X10=10"), "{variables}");
    let missing = [
        ("--require NO", "NO"),
        ("--require DB_EMPTY", "DB_EMPTY"),
        (
            "--require X1,NO,DB_EMPTY --require app_name,NONE",
            "NO, DB_EMPTY, app_name, NONE",
        ),
        ("--require X* --require X1", "X*"),
    ];
    for (options, names) in missing {
        let outcome = assert_refused(
            &tree,
            options,
            &[&format!(
                "required secrets that are missing or empty: {names}\n"
            )],
        );
        assert!(!outcome.stderr.contains("X1"), "{outcome}");
    }
    // An inherited variable is no secret.
    let run = tree.run().env("HERE", "here").args(["--require", "HERE"]);
    run.clone().refuses(125, &["HERE"]);
    run.arg("--preserve-env").refuses(125, &["HERE"]);
    // Nothing at all is worse than something missing.
    assert_refused(&tree, "--only NO --require X1 --allow-empty", &["X1"]);
}

fn required_names_hold_for_printing_and_listing_too() {
    let tree = Tree::holding(TEXT);
    for action in [&["--print", "json"][..], &["--list"], &["--list", "--json"]] {
        let run = tree.run().args(["--require", "X1,NO"]).args(action);
        run.finish()
            .assert_refused(125, &["required secrets that are missing or empty: NO\n"]);
        let run = tree.run().args(["--require", "X1"]).args(action);
        run.finish().assert_status(0);
    }
    let empty_when_resolved = Tree::holding("A=$B\nB=\n");
    let run = empty_when_resolved.run().args(["--require", "A"]);
    run.clone().assert_shows("A", "$B");
    run.arg("--resolve")
        .refuses(125, &["required secrets that are missing or empty: A\n"]);
}

/// Only, except, rename, prefix, require: whatever the order on the command line.
fn the_order_of_application_is_fixed() {
    let tree = Tree::holding("A=a\nAB=$A\nAC=c\nD=d\n");
    let mut options = [
        "--resolve",
        "--only=A*",
        "--except=AC",
        "--rename=A=D",
        "--prefix=P_",
        "--require=P_D,P_AB",
    ];
    for _ in 0..options.len() {
        options.rotate_left(1);
        assert_eq!(
            taken(&tree, &options.join(" ")),
            "P_D=a P_AB=a",
            "{options:?}"
        );
    }
    let values: Value = tree.run().args(options).values();
    assert_eq!(values, json!({ "P_D": "a", "P_AB": "a" }));
    let by_the_wrong_names = [
        "--only=D --rename=A=D",
        "--except=A --rename=A=D",
        "--prefix=P_ --rename=P_A=D",
        "--prefix=P_ --require=A",
        "--rename=A=N --require=A",
    ];
    for options in by_the_wrong_names {
        assert_refused(&tree, options, &[]);
    }
    let warned = tree
        .run()
        .args(["--prefix=P_", "--except=P_A", "--", "true"]);
    assert_eq!(warned.finish().warnings().len(), 1);
}

fn a_malformed_selection_is_refused_before_anything_happens() {
    let service = Service::plain();
    let malformed = [
        "--only=",
        "--only=A,",
        "--only=,A",
        "--only=A,,B",
        "--except=",
        "--except=A,",
        "--require=",
        "--require=A,,B",
        "--rename=",
        "--rename=A",
        "--rename=A=",
        "--rename==B",
        "--rename=A=1B",
        "--rename=A=B=C",
        "--rename=A=B,",
        "--rename=A-B=C",
        "--prefix=",
        "--prefix=1",
        "--prefix=A-",
        "--prefix=A=",
        "--prefix=A,B",
    ];
    for option in malformed {
        let (name, _) = option.split_once('=').unwrap();
        let run = Run::on_service(&service).args(["legacy", option]);
        run.refuses(125, &[&format!("{name}: ")]);
    }
    assert!(service.requests().is_empty(), "{:?}", service.requests());
}

fn renamed_secrets_replace_or_yield_to_inherited_variables() {
    let tree = Tree::holding("A=secret\nB=secret\n");
    let run = |options: &str| {
        let run = tree.run().env("A", "inherited").env("N", "inherited");
        run.args(options.split_terminator(' '))
            .variables()
            .join(" ")
    };
    let cases = [
        ("", "N=inherited A=secret B=secret"),
        ("--rename A=N", "A=inherited N=secret B=secret"),
        (
            "--rename A=N --preserve-env",
            "A=inherited N=inherited B=secret",
        ),
        (
            "--rename A=N --preserve-env=A",
            "A=inherited N=secret B=secret",
        ),
        (
            "--rename A=N --preserve-env=N,B",
            "A=inherited N=inherited B=secret",
        ),
        ("--preserve-env=A,N,Z", "A=inherited N=inherited B=secret"),
        (
            "--preserve-env=B --preserve-env=A",
            "A=inherited N=inherited B=secret",
        ),
        (
            "--preserve-env=B --preserve-env",
            "A=inherited N=inherited B=secret",
        ),
        (
            "--only B --rename B=A --preserve-env",
            "A=inherited N=inherited",
        ),
    ];
    for (options, expected) in cases {
        assert_eq!(run(options), expected, "{options}");
    }
    let empty = tree.run().env("A", "").arg("--preserve-env");
    empty.assert_shows("A", "");
}

fn a_clean_environment_goes_by_the_final_names() {
    let tree = Tree::holding("A=secret\n");
    let run = |options: &str| {
        let inherited = [("A", "inherited"), ("B", "b"), ("C", "")];
        let run = inherited
            .iter()
            .fold(tree.run(), |run, (name, value)| run.env(name, value));
        let run = run.arg("--clean-env").args(options.split_terminator(' '));
        let env = run.args(["--", "env"]).finish();
        env.assert_status(0).text().replace('\n', " ")
    };
    let cases = [
        ("", "A=secret "),
        ("--pass B", "B=b A=secret "),
        ("--pass C,B,NONE", "B=b C= A=secret "),
        ("--pass B --pass C", "B=b C= A=secret "),
        // A name is a name and no pattern.
        ("--pass B*", "A=secret "),
        ("--pass A", "A=secret "),
        ("--pass A --preserve-env", "A=inherited "),
        ("--preserve-env", "A=secret "),
        ("--pass A --rename A=B", "A=inherited B=secret "),
        ("--pass B --prefix _", "B=b _A=secret "),
    ];
    for (options, expected) in cases {
        assert_eq!(run(options), expected, "{options}");
    }
}

/// Some of the names that take over the command, of every kind.
const UNSAFE: &[&str] = &["LD_PRELOAD DYLD_X BASH_FUNC_x ENV PATH _JAVA_OPTIONS DOTENV_API_KEY"];

fn a_final_name_that_takes_over_the_command_is_refused() {
    let renamed = Tree::holding("A=a\nB=b\n");
    for name in words(UNSAFE) {
        let options = format!("--rename A={name}");
        let outcome = assert_refused(&renamed, &options, &[name, "--allow-unsafe-env"]);
        assert!(!outcome.stderr.contains("B,"), "{outcome}");
        let tree = Tree::holding(&format!("{name}=x\nB=b\n"));
        assert_refused(&tree, "", &[name]);
        assert_eq!(taken(&tree, &format!("--rename {name}=SAFE")), "SAFE=x B=b");
        assert_eq!(
            taken(&tree, &format!("--prefix MY_ --only {name}")),
            format!("MY_{name}=x")
        );
        assert_eq!(taken(&tree, &format!("--except {name}")), "B=b");
    }
    assert_refused(
        &renamed,
        "--prefix LD_",
        &["LD_A (loader and C library), LD_B ("],
    );
    assert_refused(
        &renamed,
        "--prefix DYLD_ --allow-unsafe-env DYLD_A",
        &["program: DYLD_B ("],
    );
    let close = "--rename A=LDX,B=ld_preload";
    assert_eq!(taken(&renamed, close), "LDX=a ld_preload=b");
    for action in [
        "--print env",
        "--print shell",
        "--file F",
        "--file F --file-only",
    ] {
        let run = renamed.run().args(["--rename", "A=LD_PRELOAD"]);
        let run = run.args(action.split(' '));
        match action.starts_with("--print") {
            true => drop(run.finish().assert_refused(125, &["program: LD_PRELOAD ("])),
            false => drop(run.refuses(125, &["program: LD_PRELOAD ("])),
        }
    }
}

fn a_name_that_takes_over_the_command_can_be_allowed() {
    let tree = Tree::holding("A=a\nB=b\n");
    let cases = [
        ("--rename A=ENV --allow-unsafe-env ENV", "ENV=a B=b"),
        (
            "--rename A=ENV,B=LD_X --allow-unsafe-env LD_X,ENV",
            "ENV=a LD_X=b",
        ),
        (
            "--allow-unsafe-env ENV --rename A=ENV,B=LD_X --allow-unsafe-env LD_X",
            "ENV=a LD_X=b",
        ),
        ("--allow-unsafe-env ENV", "A=a B=b"),
    ];
    for (options, expected) in cases {
        assert_eq!(taken(&tree, options), expected, "{options}");
    }
    let options = [
        "--rename A=LD_X --allow-unsafe-env LD_*",
        "--rename A=LD_X --allow-unsafe-env A",
        "--rename A=LD_X --allow-unsafe-env ld_x",
        "--rename A=LD_X,B=ENV --allow-unsafe-env ENV",
    ];
    for options in options {
        assert_refused(&tree, options, &["program: LD_X ("]);
    }
    // The name as stored counts no more than a name that is not there.
    let stored = Tree::holding("ENV=a\n");
    let options = "--rename ENV=IFS --allow-unsafe-env ENV";
    assert_refused(&stored, options, &["program: IFS ("]);
    // An inherited variable that wins keeps the secret out.
    let run = tree
        .run()
        .env("ENV", "inherited")
        .args(["--rename", "A=ENV"]);
    run.arg("--preserve-env").assert_shows("ENV", "inherited");
}
