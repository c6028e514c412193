//! `--template`: a text with secrets in it, and nothing else that could be taken for logic.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::support::*;

/// A run with this text as a template, in front of a command that shows what becomes of it.
fn filled(tree: &Tree, dir: &TempDir, text: impl AsRef<[u8]>) -> Run {
    dir.file("app.in", text);
    let run = tree.run().args(["--template", "CONF=app.in"]);
    run.dir(dir.path())
}

const SHOW: [&str; 4] = ["--", "sh", "-c", "cat \"$CONF\""];

pub fn a_template_is_filled() {
    let values = json!({"A": "one", "B": "a\"b\\\n\u{1}ä", "EMPTY": "", "U": "a b/ü?&=+%~-._"});
    let (tree, dir) = (Tree::holding_json(&values), TempDir::new());
    let encoded = BASE64_STANDARD.encode("a\"b\\\n\u{1}ä");
    let cases = [
        ("", ""),
        ("no place\n", "no place\n"),
        ("{{A}}", "one"),
        ("x{{A}}{{A}}y\n{{EMPTY}}.\n", "xoneoney\n.\n"),
        ("{{B}}", "a\"b\\\n\u{1}ä"),
        ("{{B|base64}}", &encoded),
        ("{{EMPTY|base64}}{{EMPTY|json}}{{EMPTY|url}}", "\"\""),
        ("{\"b\": {{B|json}}}", "{\"b\": \"a\\\"b\\\\\\n\\u0001ä\"}"),
        ("{{U|url}}", "a%20b%2F%C3%BC%3F%26%3D%2B%25~-._"),
        ("{{{{A}}", "{{A}}"),
        ("{{{{{{A}}}}", "{{one}}"),
        ("{{{{{{{{", "{{{{"),
        (
            "{ {A} } }} }}}} $A ${A} {% if %} {A}",
            "{ {A} } }} }}}} $A ${A} {% if %} {A}",
        ),
        ("\u{feff}{{A}}\r\nä{{A}}", "\u{feff}one\r\näone"),
    ];
    for (text, expected) in cases {
        for option in ["--exec", "--supervise"] {
            let run = filled(&tree, &dir, text).arg(option).args(SHOW);
            run.finish().assert_status(0).assert_stdout(expected);
        }
    }
    // What a secret holds is not read again.
    let tree = Tree::holding("A={{B}}\nB=s3cret\n");
    let run = filled(&tree, &dir, "{{A}}").args(SHOW);
    run.finish().assert_status(0).assert_stdout("{{B}}");
    // The final names and values count, those of files too.
    let tree = Tree::holding("A=$C\nB=b\n");
    dir.file("local", "C=c\n");
    let run = filled(&tree, &dir, "{{P_Z}}{{P_C}}").args(["--resolve", "--rename", "A=Z"]);
    let run = run.args([
        "--prefix",
        "P_",
        "--defaults",
        "local",
        "--file-only",
        "--file-mode=0400",
    ]);
    let script = "stat -Lc %a \"$CONF\"; cat \"$CONF\"; env | grep -c P_";
    let outcome = run.args(["--", "sh", "-c", script]).finish();
    outcome.assert_stdout("400\ncc0\n");
}

pub fn what_is_no_place_is_refused_by_line_and_column() {
    let (tree, dir) = (Tree::holding("A=s3cret\nB=b\n"), TempDir::new());
    let cases = [
        ("{{", "line 1, column 1: '{{' is not closed"),
        ("a\nbä{{A\n}}", "line 2, column 3: '{{' is not closed"),
        ("{{A}", "line 1, column 1: '{{' is not closed"),
        ("{{A}}\n {{A}} {{", "line 2, column 8: '{{' is not closed"),
        (
            "{{ A }}",
            "line 1, column 1: '{{' is not followed by a name",
        ),
        ("{{}}", "line 1, column 1: '{{' is not followed by a name"),
        (
            "{{{A}}}",
            "line 1, column 1: '{{' is not followed by a name",
        ),
        (
            "\n\n{{A-B}}",
            "line 3, column 1: '{{' is not followed by a name",
        ),
        (
            "{{#if A}}x{{/if}}",
            "line 1, column 1: '{{' is not followed by a name",
        ),
        ("{{A|}}", "line 1, column 1: unknown filter"),
        ("{{A|JSON}}", "line 1, column 1: unknown filter"),
        ("{{A| json}}", "line 1, column 1: unknown filter"),
        ("{{A|json|url}}", "line 1, column 1: unknown filter"),
    ];
    let service = Service::plain();
    for (text, says) in cases {
        dir.file("app.in", text);
        let run = Run::on_service(&service).args(["legacy", "--template", "CONF=app.in"]);
        let says = format!("--template: app.in: {says}");
        run.dir(dir.path()).refuses(125, &[&says, "hint: "]);
    }
    assert!(service.requests().is_empty(), "{:?}", service.requests());
    for (text, says) in [
        (
            "{{A}}\nxy{{NO}}",
            "line 2, column 3: there is no secret NO\n",
        ),
        ("{{PATH}}", "line 1, column 1: there is no secret PATH\n"),
    ] {
        let outcome = filled(&tree, &dir, text).refuses(125, &["--template: app.in: ", says]);
        assert!(!outcome.stderr.contains("s3cret"), "{outcome}");
        let checked = filled(&tree, &dir, text).arg("--check").finish();
        checked.assert_status(125);
    }
    let run = filled(&tree, &dir, "{{A}}").args(["--except", "A"]);
    run.refuses(125, &["there is no secret A"]);
}

pub fn a_template_that_cannot_be_read_is_refused() {
    let (tree, dir) = (Tree::holding("A=s3cret\n"), TempDir::new());
    dir.file("nul", b"a\n{{A}}\0");
    dir.file("latin1", b"a\xff");
    dir.file("utf16", b"\xff\xfe{\0{\0");
    dir.file("huge", vec![b' '; (1 << 20) + 1]);
    set_mode(&dir.file("open", "{{A}}"), 0o646);
    for (file, says) in [
        ("none", "no such file"),
        (".", "is a directory"),
        ("nul", "line 2: contains a NUL byte"),
        ("latin1", "line 1: not UTF-8"),
        ("utf16", "UTF-16"),
        ("huge", "larger than 1048576 bytes"),
        ("open", "every user on this machine can write"),
    ] {
        let option = format!("CONF={file}");
        let run = tree.run().args(["--template", &option]).dir(dir.path());
        run.refuses(125, &[file, says]);
    }
    for wrong in ["", "CONF", "CONF="] {
        let run = tree.run().args(["--template", wrong]);
        run.refuses(125, &["--template: must have the form VAR=FILE"]);
    }
    for wrong in ["A-B=x", "=x"] {
        tree.run()
            .args(["--template", wrong])
            .refuses(125, &["--template: ", "variable name"]);
    }
    let run = filled(&tree, &dir, "x").args(["--file", "CONF"]);
    run.refuses(125, &["named CONF"]);
    for other in [&["--print", "env"][..], &["--list"]] {
        let outcome = filled(&tree, &dir, "x").args(other).finish();
        outcome.assert_refused(125, &["--template", other[0]]);
    }
    let run = filled(&tree, &dir, "{{A}}").args(["--template", "X=/dev/stdin"]);
    let run = run
        .stdin("<{{A}}>")
        .args(["--", "sh", "-c", "cat \"$X\" \"$CONF\""]);
    run.finish().assert_stdout("<s3cret>s3cret");
}

pub fn python_and_node_read_what_they_are_given() {
    let values = json!({"A": "a\"\\\n\u{2028}ä$", "U": "p@ss/ ?#"});
    let (tree, dir) = (Tree::holding_json(&values), TempDir::new());
    let text = "{\"a\": {{A|json}}, \"b\": \"{{A|base64}}\", \"u\": \"http://x:{{U|url}}@h/\"}";
    let scripts = [
        [
            "python3",
            "-c",
            "import json, os, base64, urllib.parse as p\nv = json.load(open(os.environ['CONF']))\n\
             print(json.dumps([v['a'], base64.b64decode(v['b']).decode(), p.unquote(p.urlsplit(v['u']).password)]))",
        ],
        [
            "node",
            "-e",
            "const v = JSON.parse(require('fs').readFileSync(process.env.CONF));\n\
             console.log(JSON.stringify([v.a, Buffer.from(v.b, 'base64').toString(), decodeURIComponent(new URL(v.u).password)]))",
        ],
    ];
    for words in scripts {
        let run = filled(&tree, &dir, text).arg("--").args(words);
        let outcome = run.finish();
        let read: Value = serde_json::from_str(outcome.assert_status(0).text()).expect("JSON");
        assert_eq!(read, json!([values["A"], values["A"], values["U"]]));
    }
}

/// What a server answers.
fn answer_of(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map(|_| answer)
}

pub fn nginx_serves_what_a_template_says() {
    let dir = TempDir::new();
    let address = free_port();
    let text = format!(
        "daemon off;\nmaster_process off;\npid {0}/pid;\nerror_log {0}/log;\nevents {{}}\n\
         http {{\n  access_log off;\n  client_body_temp_path {0}/b;\n  proxy_temp_path {0}/p;\n  fastcgi_temp_path {0}/f;\n\
           uwsgi_temp_path {0}/u;\n  scgi_temp_path {0}/s;\n\
           server {{ listen {address}; location / {{ return 200 {{{{ANSWER|json}}}}; }} }}\n}}\n",
        dir.path().display()
    );
    let tree = Tree::holding("ANSWER=swordfish of steel\n");
    let run = filled(&tree, &dir, text).args(["--expand-args", "--", "nginx", "-c", "{CONF}"]);
    let nginx = run.spawn();
    let answer = wait_for("an answer", || {
        assert!(!nginx.has_ended(), "{}", nginx.errors_so_far());
        answer_of(address).ok().filter(|it| it.contains(" 200 "))
    });
    assert!(answer.ends_with("swordfish of steel"), "{answer}");
    assert!(
        !fs::read_to_string(dir.path().join("app.in"))
            .unwrap()
            .contains("swordfish")
    );
    nginx.signal(nix::sys::signal::Signal::SIGTERM);
    nginx.wait();
}
