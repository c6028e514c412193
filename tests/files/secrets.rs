//! `--secret-file`: one secret as a file, and not in the environment; `--file-mode`.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::support::*;

const VALUES: [&str; 6] = [
    "plain",
    "",
    "no end",
    "a\nb\n",
    "\r\n'\"$(x)",
    "-----BEGIN X-----\nä\n",
];

/// What a script finds in the files of these options.
fn shown(tree: &Tree, options: &[&str], script: &str) -> Outcome {
    let run = tree.run().args(options).args(["--", "sh", "-c", script]);
    let outcome = run.finish();
    outcome.assert_status(0);
    outcome
}

pub fn a_secret_is_a_file_with_just_its_bytes() {
    for value in VALUES {
        let tree = Tree::holding_json(&json!({"A": value, "B": "b"}));
        for option in ["--exec", "--supervise"] {
            for file in ["A", "A:raw", "A=A_FILE", "A=A_FILE:raw"] {
                let outcome = shown(&tree, &[option, "--secret-file", file], "cat \"$A_FILE\"");
                outcome.assert_stdout(value);
                assert_eq!(outcome.stderr, "", "{outcome}");
            }
        }
    }
    let tree = Tree::holding("A=AAEC/w==\nB=\"/w\n==\n\"\n");
    let options = ["--secret-file", "A=X:base64", "--secret-file", "B=Y:base64"];
    let outcome = shown(&tree, &options, "cat \"$X\" \"$Y\"");
    outcome.assert_stdout(b"\0\x01\x02\xff\xff");
}

pub fn a_secret_in_a_file_is_not_in_the_environment() {
    let tree = Tree::holding("A=a\nB=b\nC=c\n");
    let variables = |options: &[&str]| {
        let run = tree.run().args(options).env("A", "inherited").env("K", "k");
        let mut variables = run.variables();
        for variable in &mut variables {
            if let Some((name, _)) = variable.split_once("=/dev/fd/") {
                *variable = name.to_owned();
            }
        }
        variables
    };
    assert_eq!(
        variables(&["--secret-file", "A"]),
        ["K=k", "A_FILE", "B=b", "C=c"]
    );
    assert_eq!(
        variables(&["--secret-file", "A=K", "--secret-file=B=X"]),
        ["K", "X", "C=c"]
    );
    // Its own name may be that of the path.
    assert_eq!(
        variables(&["--secret-file", "A=A"]),
        ["K=k", "A", "B=b", "C=c"]
    );
    let preserved = ["--secret-file", "A", "--preserve-env=A"];
    assert_eq!(
        variables(&preserved),
        ["A=inherited", "K=k", "A_FILE", "B=b", "C=c"]
    );
    let alone = ["--secret-file", "A", "--file-only"];
    assert_eq!(variables(&alone), ["K=k", "A_FILE"]);
    let twice = [
        "--secret-file",
        "A",
        "--secret-file",
        "A=AGAIN",
        "--clean-env",
    ];
    assert_eq!(variables(&twice), ["A_FILE", "AGAIN", "B=b", "C=c"]);
    // The final names count, and the rest is as without it.
    let renamed = ["--rename", "A=Z", "--prefix", "P_", "--secret-file", "P_Z"];
    assert_eq!(
        variables(&renamed),
        ["A=inherited", "K=k", "P_Z_FILE", "P_B=b", "P_C=c"]
    );
    let outcome = shown(
        &tree,
        &["--secret-file", "A", "--file", "F"],
        "cat \"$A_FILE\" \"$F\"",
    );
    outcome.assert_stdout("aA=a\nB=b\nC=c\n");
    // A name that would take over a program does not in a file.
    let shell = Tree::holding("BASH_ENV=x\nB=b\n");
    shown(
        &shell,
        &["--secret-file", "BASH_ENV=X"],
        "[ $(cat $X) = x ]",
    );
}

pub fn a_secret_in_a_file_is_masked_and_redacted() {
    let tree = Tree::holding("A=swordfish-of-steel\n");
    let run = tree
        .run()
        .args(["--secret-file", "A", "--redact", "--mask=github"]);
    let outcome = run
        .args(["--", "sh", "-c", "cat \"$A_FILE\"; cat \"$A_FILE\" >&2"])
        .finish();
    outcome.assert_status(0).assert_stdout("[A]");
    assert!(
        outcome
            .stderr
            .starts_with("::add-mask::swordfish-of-steel\n"),
        "{outcome}"
    );
    assert!(outcome.stderr.ends_with("[A]"), "{outcome}");
}

pub fn a_secret_that_cannot_be_a_file_stops_the_run() {
    let tree = Tree::holding("A=s3cret!\nB=b\n");
    let refuses = |options: &[&str], fragments: &[&str]| {
        tree.run().args(options).refuses(125, fragments);
    };
    let file = "--secret-file";
    refuses(&[file, "NO"], &["--secret-file: there is no secret NO\n"]);
    refuses(&[file, "A", "--except", "A"], &["no secret A"]);
    refuses(&[file, "A:base64"], &["the value of A is not base64"]);
    refuses(&[file, "A=B"], &["named B"]);
    refuses(&[file, "A=X", "--file", "X"], &["named X"]);
    let form = "--secret-file: must have the form NAME[=VAR][:raw|:base64]";
    for wrong in ["A:", "A:hex", "A:raw:raw", "A=X:", ":raw:"] {
        refuses(&[file, wrong], &[form]);
    }
    for wrong in ["", "=X", "A=", "A-B", "A=X-Y", ":raw", "A=X=Y"] {
        refuses(
            &[file, wrong],
            &["--secret-file: ", "not a valid variable name"],
        );
    }
    for other in [&["--print", "env"][..], &["--list"]] {
        let outcome = tree.run().args([file, "A"]).args(other).finish();
        outcome.assert_refused(125, &[file, other[0]]);
    }
    let checked = tree.run().args([file, "NO", "--check"]).finish();
    checked.assert_status(125);
}

pub fn a_file_has_the_mode_that_is_asked_for() {
    let tree = Tree::holding("A=a\n");
    let script = "stat -Lc %a \"$F\" \"$A_FILE\"; ls -l /dev/null >&2; cat \"$A_FILE\"";
    for (option, mode) in [
        (&[][..], "444"),
        (&["--file-mode", "0400"], "400"),
        (&["--file-mode=600"], "600"),
        (&["--file-mode=0640"], "640"),
    ] {
        let options = [&["--file", "F", "--secret-file", "A"][..], option].concat();
        let outcome = shown(&tree, &options, script);
        outcome.assert_stdout(format!("{mode}\n{mode}\na"));
    }
    // It cannot be changed whatever the mode says.
    let script = "echo x >>\"$F\" || echo no; chmod 777 \"$F\" || echo never; cat \"$F\"";
    let run = tree
        .run()
        .args(["--file=F", "--file-mode=0600", "--", "sh", "-c", script]);
    let outcome = run.finish();
    assert!(
        outcome.assert_status(0).text().starts_with("no\n"),
        "{outcome}"
    );
    assert!(outcome.text().ends_with("A=a\n"), "{outcome}");
    for wrong in [
        "", "0700", "4400", "0044", "0", "888", "u=r", "0x100", "400 ", "00400", "+400",
    ] {
        let run = tree.run().args(["--file=F", "--file-mode", wrong]);
        run.refuses(125, &["--file-mode: must be an octal mode"]);
    }
    let run = tree.run().args(["--file-mode", "0400"]);
    run.refuses(125, &["--file-mode", "--file", "--secret-file"]);
}

/// With the permissions that the tools of OpenSSH ask for.
pub fn ssh_tools_read_a_key() {
    let dir = TempDir::new();
    let key = dir.path().join("key");
    let generate = Run::program("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]);
    generate.arg(&key).finish().assert_status(0);
    let public = fs::read_to_string(key.with_extension("pub")).expect("a key");
    let words: Vec<_> = public.split(' ').take(2).collect();
    let tree = Tree::holding_json(&json!({"KEY": fs::read_to_string(&key).expect("a key")}));
    let script = "ssh-keygen -y -f \"$KEY_FILE\"";
    let strict = ["--secret-file", "KEY", "--file-mode", "0400"];
    let outcome = shown(&tree, &strict, script);
    assert!(outcome.text().starts_with(&words.join(" ")), "{outcome}");
    let script =
        "eval \"$(ssh-agent)\" >&2 && ssh-add -q \"$KEY_FILE\" && ssh-add -L; kill $SSH_AGENT_PID";
    let outcome = shown(&tree, &strict, script);
    assert!(outcome.text().starts_with(&words.join(" ")), "{outcome}");
    let run = tree.run().args(["--secret-file", "KEY"]);
    let outcome = run
        .args(["--", "sh", "-c", "ssh-keygen -y -f \"$KEY_FILE\""])
        .finish();
    assert!(
        !outcome.status.success() && outcome.stderr.contains("0444"),
        "{outcome}"
    );
}

/// As the manual says: ssh(1) closes all descriptors but three, so that a shell in front of it keeps the file.
pub fn ssh_logs_in_with_a_key() {
    let dir = TempDir::new();
    let path = |name: &str| dir.path().join(name).display().to_string();
    for name in ["key", "host"] {
        let generate = Run::program("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]);
        generate.arg(path(name)).finish().assert_status(0);
    }
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
    let address = free_port();
    let port = address.port();
    let config = format!(
        "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\n\
         UsePAM no\nPermitRootLogin yes\nPidFile none\nPasswordAuthentication no\n",
        path("host"),
        path("key.pub")
    );
    fs::create_dir_all("/run/sshd").expect("where sshd changes its root to");
    let config = dir.file("config", config);
    let sshd = Run::program("/usr/sbin/sshd")
        .args(["-D", "-e", "-f"])
        .arg(config)
        .spawn();
    wait_until("an ssh server", || {
        TcpStream::connect(address).is_ok() || sshd.has_ended()
    });
    assert!(!sshd.has_ended(), "{}", sshd.errors_so_far());
    let key = fs::read_to_string(path("key")).expect("a key");
    fs::remove_file(path("key")).expect("a key");
    let tree = Tree::holding_json(&json!({"KEY": key}));
    let script = format!(
        "ssh -i /proc/$$/fd/${{KEY_FILE##*/}} -F none -o BatchMode=yes -o IdentitiesOnly=yes \
         -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -p {port} root@127.0.0.1 'echo in'; exit $?"
    );
    for option in ["--exec", "--supervise"] {
        let options = [option, "--secret-file", "KEY", "--file-mode", "0400"];
        let outcome = shown(&tree, &options, &script);
        outcome.assert_stdout("in\n");
    }
    drop(sshd);
}
