//! Levels whose format is `yaml`, one mapping of names to scalars as they are written, or `text`, one value without a
//! name.

use super::{HIDDEN, OneLevel, PATH, refused_unseen, variables};
use crate::support::*;

pub fn a_scalar_in_yaml_is_its_text() {
    let text = "---\n# a comment\nIP: 127.0.0.1\nYES: yes\nOCTAL: 0123\nHEX: 0x1F\nFLOAT: 1e3\nNULL_: null\nTILDE: ~\n\
                EMPTY:\nDATE: 2024-01-15\nSPACED:   a b   # a comment\nHASH: a#b\nCOLON: a:b\nSINGLE: 'it''s'\n\
                DOUBLE: \"a\\tb\\u00e9\\n\"\n\"QUOTED\": x\n'SINGLE_NAME': y\nLITERAL: |\n  one\n   two\nFOLDED: >-\n  one\n  two\n\
                PLAIN_LINES: one\n  two\nDOLLAR: $A ${B}\nSTAR: a*b\n...\n";
    let mut expected = [
        "IP=127.0.0.1",
        "YES=yes",
        "OCTAL=0123",
        "HEX=0x1F",
        "FLOAT=1e3",
        "NULL_=null",
        "TILDE=~",
        "EMPTY=",
        "DATE=2024-01-15",
        "SPACED=a b",
        "HASH=a#b",
        "COLON=a:b",
        "SINGLE=it's",
        "DOUBLE=a\tb\u{e9}\n",
        "QUOTED=x",
        "SINGLE_NAME=y",
        "LITERAL=one\n two\n",
        "FOLDED=one two",
        "PLAIN_LINES=one two",
        "DOLLAR=$A ${B}",
        "STAR=a*b",
    ];
    expected.sort_unstable();
    assert_eq!(variables(OneLevel::of("yaml", text).run()), expected);
    for text in [
        "{A: 1, \"B\": yes}",
        "\u{feff}A: 1\r\nB: yes\r\n",
        "? A\n: 1\n? B\n: yes\n",
    ] {
        let found = variables(OneLevel::of("yaml", text).run());
        assert_eq!(found, ["A=1", "B=yes"], "{text}");
    }
}

pub fn whatever_is_no_scalar_in_yaml_is_an_error_that_names_the_key() {
    for (value, says) in [
        ("[hunter2]", "ODD_ONE: a sequence instead of a scalar"),
        ("{a: hunter2}", "ODD_ONE: a mapping instead of a scalar"),
        ("\n  - hunter2", "ODD_ONE: a sequence instead of a scalar"),
        ("\n  a: hunter2", "ODD_ONE: a mapping instead of a scalar"),
        ("!!str hunter2", "ODD_ONE: a tag"),
        ("!custom hunter2", "ODD_ONE: a tag"),
        ("&a hunter2", "ODD_ONE: an anchor"),
        ("\"hunter2\\0\"", "ODD_ONE contains a NUL byte"),
    ] {
        let text = format!("GOOD: {HIDDEN}\nODD_ONE: {value}\n");
        refused_unseen(
            OneLevel::of("yaml", &text).run(),
            &["level project: ", says],
        );
    }
    for (text, says) in [
        ("A: hunter2\nB: 1\nA: 2\n", "duplicate name A"),
        ("A: hunter2\n\"A\": 2\n", "duplicate name A"),
        ("A: hunter2\n<<: {B: 1}\n", "<<: a merge key"),
        (
            "A: hunter2\nB-C: 1\n",
            "name 2 is not a valid variable name",
        ),
        ("hunter2 x: 1\n", "name 1 is not a valid variable name"),
        ("? [hunter2]\n: 1\n", "name 1 is not a valid variable name"),
        ("!!str A: hunter2\n", "name 1 is not a valid variable name"),
        ("&a A: hunter2\n", "name 1 is not a valid variable name"),
        ("A: hunter2\nB: *a\n", "line 2 is not valid YAML"),
        ("- hunter2\n", "a sequence instead of one mapping"),
        ("hunter2\n", "a scalar instead of one mapping"),
        ("hunter2", "a scalar instead of one mapping"),
        ("# hunter2\n", "nothing instead of one mapping"),
        ("---\n", "a scalar instead of one mapping"),
        ("!!map {A: hunter2}\n", "a tag or an anchor"),
        ("&x {A: hunter2}\n", "a tag or an anchor"),
        ("A: hunter2\n---\nB: 1\n", "more than one document"),
        ("A: hunter2\n B: 1\n", "is not valid YAML"),
        ("A: \"hunter2\n", "is not valid YAML"),
        ("{A: hunter2\n", "is not valid YAML"),
        ("A: hunter2\nB\n", "is not valid YAML"),
        ("%FOO hunter2\nA: 1", "is not valid YAML"),
        ("A: @hunter2\n", "is not valid YAML"),
        ("A: `hunter2`\n", "is not valid YAML"),
        ("A: b: hunter2\n", "is not valid YAML"),
    ] {
        refused_unseen(OneLevel::of("yaml", text).run(), &["level project: ", says]);
    }
    let level = OneLevel::bytes("yaml", b"A: hunter2\xff\n");
    refused_unseen(level.run(), &["level project: not UTF-8"]);
}

pub fn levels_of_yaml_merge_as_others_do() {
    let app = Project::new("app", Custody::legacy()).format("yaml");
    let app = app
        .level("", "A: p\nB: p\nC: p\n")
        .level("production", "{}");
    let tree = Tree::of(&World::new(vec![
        app.level("production/api", "B:\nC: 007\n"),
    ]));
    let found = variables(tree.dotenv_run().arg(PATH));
    assert_eq!(found, ["A=p", "B=", "C=007"]);
}

pub fn a_level_of_text_is_one_value_with_the_name_that_it_is_given() {
    let text = "{ \"any\": thing }\n# =\n\n\"'$A\u{e9} \t\n";
    let level = OneLevel::of("text", text);
    let run = level.run().args(["--text", "CONFIG"]);
    assert_eq!(variables(run.clone()), [format!("CONFIG={text}")]);
    let renamed = variables(run.args(["--prefix", "P_"]));
    assert_eq!(renamed, [format!("P_CONFIG={text}")]);
    let unnamed = level.run();
    unnamed.refuses(
        125,
        &[
            "level project is one value without a name",
            "hint: use --text NAME",
        ],
    );
    level
        .run()
        .args(["--text", "a-b"])
        .refuses(125, &["--text: 'a-b' is not a valid variable name"]);
    level
        .run()
        .args(["--text", "LD_PRELOAD"])
        .refuses(125, &["LD_PRELOAD"]);
    for bytes in [&b"hunter2\0"[..], b"hunter2\xff"] {
        let level = OneLevel::bytes("text", bytes);
        let run = level.run().args(["--text", "A"]);
        refused_unseen(run, &["level project: "]);
    }
}

pub fn the_deepest_value_of_text_counts() {
    let app = Project::new("app", Custody::legacy()).format("text");
    let app = app
        .level("", "project")
        .level("production/api", "environment");
    let plain = Project::new("plain", Custody::legacy()).level("", "A=1\n");
    let tree = Tree::of(&World::new(vec![app, plain]));
    let run = tree.dotenv_run().args(["-q", "--text", "V"]);
    assert_eq!(variables(run.clone().arg("app")), ["V=project"]);
    assert_eq!(variables(run.clone().arg(PATH)), ["V=environment"]);
    assert_eq!(
        variables(run.clone().args([PATH, "plain"])),
        ["A=1", "V=environment"]
    );
    let outcome = run.without("-q").args(["plain", "--", "true"]).finish();
    outcome.assert_status(0);
    assert_eq!(outcome.warnings(), ["--text: no level has the format text"]);
}
