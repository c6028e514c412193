//! `--file`: a file that exists in memory only and holds what `--print` prints, for programs that
//! read files: sealed, readable again and again, and gone with the last process that holds it.

mod arguments;
mod secrets;
mod sizes;
mod templates;

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::*;

tests![
    a_file_holds_what_print_prints,
    a_path_is_that_of_a_descriptor,
    a_path_leads_to_the_descriptor_whatever_dev_holds needs(NAMESPACES),
    several_files_have_a_format_each,
    the_variables_are_there_too_unless_they_are_not_wanted,
    a_file_is_read_from_the_start_each_time,
    a_grandchild_reads_it_too,
    a_shell_sources_it needs(|| tool("dash"), || tool("bash")),
    a_file_cannot_be_changed_or_executed,
    a_file_is_sealed,
    a_file_is_gone_with_the_last_process_that_holds_it,
    a_supervisor_holds_no_file,
    no_file_is_made_anywhere needs(STRACE),
    a_file_stands_in_any_environment,
    a_file_that_cannot_be_spelt_stops_the_run,
    a_malformed_file_option_is_refused,
    secrets::a_secret_is_a_file_with_just_its_bytes,
    secrets::a_secret_in_a_file_is_not_in_the_environment,
    secrets::a_secret_in_a_file_is_masked_and_redacted,
    secrets::a_secret_that_cannot_be_a_file_stops_the_run,
    secrets::a_file_has_the_mode_that_is_asked_for,
    secrets::ssh_tools_read_a_key needs(|| tool("ssh-keygen"), || tool("ssh-agent")),
    secrets::ssh_logs_in_with_a_key needs(ROOT, || tool("ssh"), || tool("sshd")),
    templates::a_template_is_filled,
    templates::what_is_no_place_is_refused_by_line_and_column,
    templates::a_template_that_cannot_be_read_is_refused,
    templates::python_and_node_read_what_they_are_given needs(|| tool("python3"), || tool("node")),
    templates::nginx_serves_what_a_template_says needs(|| tool("nginx")),
    arguments::a_name_in_braces_is_replaced_by_the_path,
    arguments::the_command_itself_is_not_replaced,
    arguments::arguments_without_a_name_draw_a_warning,
    sizes::a_refusal_for_size_names_the_way_out,
    sizes::ten_megabytes_go_through_a_file needs(ROOT),
];

const FORMATS: [&str; 5] = ["env", "shell", "fish", "json", "yaml"];

fn tree() -> Tree {
    Tree::holding("A=one two\nB='it is $5'\nC=\"x\\ny\"\n")
}

/// A run with one file, named by `$F`, in front of a script.
fn with_file(tree: &Tree, format: &str, script: &str) -> Run {
    let file = format!("F={format}");
    tree.run().args(["--file", &file, "--", "sh", "-c", script])
}

fn printed(tree: &Tree, format: &str) -> String {
    let outcome = tree.run().args(["--print", format]).finish();
    outcome.assert_status(0).text().to_owned()
}

fn a_file_holds_what_print_prints() {
    let tree = tree();
    for format in FORMATS {
        let outcome = with_file(&tree, format, "cat \"$F\"").finish();
        outcome
            .assert_status(0)
            .assert_stdout(printed(&tree, format));
        assert_eq!(outcome.stderr, "", "{outcome}");
    }
    let run = tree
        .run()
        .args(["--file", "F", "--", "sh", "-c", "cat \"$F\""]);
    run.finish().assert_stdout(printed(&tree, "env"));
    // What was selected and resolved, not what is stored.
    let tree = Tree::holding("A=$B\nB=b\n");
    let run = tree.run().args([
        "--resolve",
        "--only",
        "A",
        "--rename",
        "A=N",
        "--prefix",
        "P_",
    ]);
    let run = run.args(["--file", "F", "--", "sh", "-c", "cat \"$F\""]);
    run.finish().assert_stdout("P_N=b\n");
}

/// The descriptor that a path of ours names.
#[track_caller]
fn descriptor(path: &str) -> u32 {
    let number = path
        .strip_prefix("/dev/fd/")
        .and_then(|number| number.parse().ok());
    let number = number.unwrap_or_else(|| panic!("{path:?} is no path of a descriptor"));
    assert!(number > 2, "{path}");
    number
}

fn a_path_is_that_of_a_descriptor() {
    let tree = tree();
    for format in FORMATS {
        let outcome =
            with_file(&tree, format, "printf %s \"$F\"; ls -l /proc/self/fd >&2").finish();
        let number = descriptor(outcome.text());
        let link = format!(" {number} -> /memfd:dotenv-run (deleted)\n");
        assert!(outcome.stderr.contains(&link), "{outcome}");
        assert_eq!(outcome.stderr.matches("memfd").count(), 1, "{outcome}");
    }
    // One that is free, also where the caller has opened some or closed the standard ones.
    for redirection in ["3</dev/null 4</dev/null", "<&-", "2>&- <&-"] {
        let run = with_file(&tree, "json", "cat \"$F\"; printf %s \"$F\"");
        let outcome = run.redirected(redirection).finish();
        let (content, path) = outcome.text().rsplit_once('\n').unwrap();
        assert_eq!(format!("{content}\n"), printed(&tree, "json"));
        assert!(
            descriptor(path) > if redirection.contains('4') { 4 } else { 2 },
            "{path}"
        );
    }
}

/// As in a chroot, or with a `/dev` that has only what the kernel puts there.
fn a_path_leads_to_the_descriptor_whatever_dev_holds() {
    let (tree, dir) = (tree(), TempDir::new());
    let other = "mkdir /dev/fd; for n in 0 1 2 3 4 5 6 7 8 9; do echo A=other >/dev/fd/$n; done";
    for more in ["", other, "ln -s /nowhere /dev/fd"] {
        let run = with_file(&tree, "env", "cat \"$F\"; printf %s \"$F\"");
        let script = format!("mount -t tmpfs none /dev\n{more}");
        let outcome = run.with_mounts(dir.path(), &script).finish();
        outcome.assert_status(0);
        let path = outcome.text().strip_prefix(&printed(&tree, "env"));
        assert!(
            path.is_some_and(|it| it.starts_with("/proc/self/fd/")),
            "{outcome}"
        );
    }
    for more in ["", other] {
        let witness = Witness::new();
        let run = tree
            .run()
            .args(["--file", "F", "--"])
            .args(witness.command());
        let script = format!("mount -t tmpfs none /dev\n{more}\nmount -t tmpfs none /proc");
        let outcome = run.with_mounts(dir.path(), &script).finish();
        outcome.assert_refused(
            125,
            &["--file", "/dev/fd", "/proc/self/fd", "hint: mount /proc"],
        );
        witness.assert_not_started();
    }
}

fn several_files_have_a_format_each() {
    let tree = tree();
    let files = FORMATS.map(|format| ["--file".into(), format!("F_{format}={format}")]);
    let script = "cat \"$F_yaml\" \"$F_json\" \"$F_fish\" \"$F_shell\" \"$F_env\"";
    let run = tree.run().args(files.iter().flatten());
    let run = run.args(["--", "sh", "-c", script]);
    let expected: String = FORMATS
        .iter()
        .rev()
        .map(|format| printed(&tree, format))
        .collect();
    run.finish().assert_status(0).assert_stdout(expected);
    let run = tree.run().args([
        "--file",
        "X",
        "--file=Y",
        "--",
        "sh",
        "-c",
        "cat $X $Y; echo $X $Y",
    ]);
    let outcome = run.finish();
    let (content, paths) = outcome.text().trim_end().rsplit_once('\n').unwrap();
    let paths: Vec<_> = paths.split(' ').map(descriptor).collect();
    assert_ne!(paths[0], paths[1], "{outcome}");
    assert_eq!(format!("{content}\n"), printed(&tree, "env").repeat(2));
}

fn the_variables_are_there_too_unless_they_are_not_wanted() {
    let tree = Tree::holding("A=a\nB=b\n");
    let run = || tree.run().args(["--file", "F"]).env("A", "inherited");
    let check = |run: Run, expected: &[&str]| {
        let mut variables = run.variables();
        variables.retain(|variable| !variable.starts_with("F=/dev/fd/"));
        assert_eq!(variables, expected);
    };
    check(run(), &["A=a", "B=b"]);
    check(run().arg("--file-only"), &["A=inherited"]);
    check(run().args(["--file-only", "--clean-env"]), &[]);
    check(
        run().args(["--file-only", "--except", "*", "--allow-empty"]),
        &["A=inherited"],
    );
    tree.run().arg("--file-only").refuses(
        125,
        &["--file-only needs --file or --secret-file or --template"],
    );
}

fn a_file_is_read_from_the_start_each_time() {
    let tree = tree();
    for format in FORMATS {
        let content = printed(&tree, format);
        let scripts = [
            ("cat \"$F\" \"$F\"", content.repeat(2)),
            ("head -c 3 \"$F\" >/dev/null; cat \"$F\"", content.clone()),
            (
                "{ head -c 3 >/dev/null; cat \"$F\"; cat; } <\"$F\"",
                String::new(),
            ),
            (
                "for i in 1 2 3 4 5; do cat <\"$F\"; done",
                content.repeat(5),
            ),
            (
                "exec 8<\"$F\" 9<\"$F\"; cat <&8; cat <&9",
                content.repeat(2),
            ),
            // The descriptor itself, as it was inherited.
            ("eval \"cat <&${F#/dev/fd/}\"", content.clone()),
        ];
        for (script, expected) in scripts {
            let outcome = with_file(&tree, format, script).finish();
            outcome.assert_status(0);
            match expected.is_empty() {
                false => drop(outcome.assert_stdout(expected)),
                // Whoever reads in pieces has not moved the place of another reader.
                true => assert!(outcome.text().starts_with(&content), "{outcome}"),
            }
        }
    }
}

fn a_grandchild_reads_it_too() {
    let tree = tree();
    let scripts = [
        "sh -c 'sh -c \"cat \\\"\\$F\\\"\"; :'; :",
        "(cat \"$F\"; :) | cat",
        "cat \"$F\" & wait",
        "env -i F=\"$F\" sh -c 'cat \"$F\"'",
        "cd / && setsid -w sh -c 'cat \"$F\"; :'",
        "x=$(cat \"$F\") && printf '%s\\n' \"$x\"",
    ];
    for option in ["--exec", "--supervise"] {
        for script in scripts {
            let run = tree
                .run()
                .args([option, "--file", "F", "--", "sh", "-c", script]);
            run.finish()
                .assert_status(0)
                .assert_stdout(printed(&tree, "env"));
        }
    }
}

fn a_shell_sources_it() {
    let tree = tree();
    let shown = "one two|it is $5|x\ny";
    let script = "unset A B C; set -eua; . \"$F\"; set +a; exec sh -c 'printf %s \"$A|$B|$C\"'";
    for shell in ["dash", "bash"] {
        for format in ["env", "shell"] {
            for option in ["--exec", "--file-only"] {
                let file = format!("F={format}");
                let run = tree
                    .run()
                    .args([option, "--file", &file, "--", shell, "-c"]);
                let outcome = run.arg(script).finish();
                outcome.assert_status(0).assert_stdout(shown);
            }
        }
    }
}

fn a_file_cannot_be_changed_or_executed() {
    let tree = tree();
    let attempts = [
        "echo x >\"$F\"",
        "echo x >>\"$F\"",
        "echo x 1<>\"$F\"",
        "echo x >&\"$N\"",
        "truncate -s 0 \"$F\"",
        "truncate -s 1M \"$F\"",
        "dd if=/dev/zero of=\"$F\" bs=1 count=1 conv=notrunc",
        "fallocate -l 1M \"$F\"",
        "chmod +x \"$F\"",
        "chmod 755 /proc/self/fd/\"$N\"",
        "\"$F\"",
        "exec \"$F\"",
    ];
    for attempt in attempts {
        let script = format!(
            "N=${{F#/dev/fd/}}; if (eval {}) 2>/dev/null; then echo done; fi; cat \"$F\"",
            quoted(attempt)
        );
        let outcome = with_file(&tree, "shell", &script).finish();
        outcome
            .assert_status(0)
            .assert_stdout(printed(&tree, "shell"));
    }
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// A command that tells its file and stays.
fn holding(tree: &Tree, options: &[&str], script: &str) -> (Live, PathBuf) {
    let run = tree
        .run()
        .args(options)
        .args(["--file", "F=shell", "--", "sh", "-c", script]);
    let live = run.spawn();
    live.wait_for_output(" ready\n");
    let output = live.output_so_far();
    let words: Vec<_> = output.split_whitespace().collect();
    let number = descriptor(words[1]);
    let path = PathBuf::from(format!("/proc/{}/fd/{number}", words[0]));
    (live, path)
}

const STAY: &str = "echo $$ $F ready; exec sleep 1000";

fn a_file_is_sealed() {
    let tree = tree();
    let (_live, path) = holding(&tree, &[], STAY);
    let file = File::open(&path).unwrap();
    let seals = fcntl(&file, FcntlArg::F_GET_SEALS).unwrap();
    let wanted = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;
    assert_eq!(seals & wanted, wanted, "{seals:#x}");
    let mode = file.metadata().unwrap().mode();
    assert_eq!(mode & 0o7333, 0, "{mode:o}");
    // Not even with a descriptor that is open for writing.
    if let Ok(mut writable) = OpenOptions::new().write(true).open(&path) {
        writable.write_all(b"x").unwrap_err();
        writable.set_len(0).unwrap_err();
        writable.set_len(1 << 20).unwrap_err();
    }
    if seals & libc::F_SEAL_EXEC != 0 {
        file.set_permissions(Permissions::from_mode(0o755))
            .unwrap_err();
    }
    let content = fs::read_to_string(&path).unwrap();
    assert_eq!(content, printed(&tree, "shell"));
}

/// The processes that hold a file open, by its number.
fn holders(inode: u64) -> Vec<i32> {
    let entries = |dir: &Path| fs::read_dir(dir).into_iter().flatten().flatten();
    let holds = |process: &i32| {
        let descriptors = PathBuf::from(format!("/proc/{process}/fd"));
        entries(&descriptors).any(|descriptor| {
            let path = descriptor.path();
            let link = fs::read_link(&path).unwrap_or_default();
            let is_memory = link.to_string_lossy().starts_with("/memfd:dotenv-run");
            is_memory && fs::metadata(&path).is_ok_and(|metadata| metadata.ino() == inode)
        })
    };
    let processes = entries(Path::new("/proc"));
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(holds).collect()
}

fn a_file_is_gone_with_the_last_process_that_holds_it() {
    let tree = tree();
    for options in [&["--exec"][..], &["--supervise"]] {
        let script = "sleep 1000 >/dev/null 2>&1 & echo $! $F ready; exec sleep 1000";
        let (live, path) = holding(&tree, options, script);
        let inode = fs::metadata(&path).unwrap().ino();
        assert_eq!(holders(inode).len(), 2);

        live.signal(Signal::SIGTERM);
        live.wait().assert_killed_by(Signal::SIGTERM);

        let grandchild = holders(inode);
        assert_eq!(fs::read_to_string(&path).unwrap(), printed(&tree, "shell"));
        assert_eq!(
            path,
            PathBuf::from(format!("/proc/{}/fd", grandchild[0])).join(path.file_name().unwrap())
        );
        kill(Pid::from_raw(grandchild[0]), Signal::SIGKILL).unwrap();
        wait_until("the end of the file", || holders(inode).is_empty());
    }
}

fn a_supervisor_holds_no_file() {
    let tree = tree();
    let (live, path) = holding(&tree, &["--supervise"], STAY);
    let supervisor = live.pid().as_raw();
    assert!(
        !path.starts_with(format!("/proc/{supervisor}")),
        "{}",
        path.display()
    );
    let inode = fs::metadata(&path).unwrap().ino();
    let holders = holders(inode);
    assert_eq!(holders.len(), 1, "{holders:?}");
    assert_ne!(holders[0], supervisor);
    live.signal(Signal::SIGTERM);
    live.wait().assert_killed_by(Signal::SIGTERM);
}

fn no_file_is_made_anywhere() {
    let tree = tree();
    for option in ["--exec", "--supervise"] {
        let script = "cat \"$F\" \"$G\"; sh -c 'cat \"$F\"'";
        let run = tree
            .run()
            .args([option, "--file", "F=shell", "--file", "G=json"])
            .args(["--secret-file", "A", "--template", "T=Cargo.toml"]);
        let run = run.args(["--", "sh", "-c", script]);
        let trace = strace(run, "%file,memfd_create,memfd_secret");
        let [shell, json] = ["shell", "json"].map(|format| printed(&tree, format));
        trace
            .outcome
            .assert_status(0)
            .assert_stdout(format!("{shell}{json}{shell}"));
        let made = [
            "mkdir", "mknod", "link", "symlink", "rename", "truncate", "unlink", "chmod", "chown",
        ];
        let changes = |call: &&Call| {
            call.opens_for_writing() || made.iter().any(|name| call.name.starts_with(name))
        };
        let changing: Vec<_> = trace.calls.iter().filter(changes).collect();
        assert!(changing.is_empty(), "{changing:?}");
        let in_memory = trace
            .calls
            .iter()
            .filter(|call| call.name == "memfd_create");
        let in_memory: Vec<_> = in_memory
            .filter(|call| !call.result.starts_with('-'))
            .collect();
        assert_eq!(in_memory.len(), 4, "{in_memory:?}");
    }
}

fn a_file_stands_in_any_environment() {
    let tree = tree();
    let show = ["--", "sh", "-c", "cat \"$F\""];
    let options = [
        &["--clean-env"][..],
        &["--preserve-env"],
        &["--preserve-env=F,A"],
        &["--clean-env", "--pass", "F", "--preserve-env"],
        &["--keep-credentials"],
        &["--group"],
    ];
    for options in options {
        // The inherited one is another.
        let run = tree.run().env("F", "/dev/null").args(["--file", "F"]);
        let outcome = run.args(options).args(show).finish();
        outcome
            .assert_status(0)
            .assert_stdout(printed(&tree, "env"));
    }
}

fn a_file_that_cannot_be_spelt_stops_the_run() {
    let tree = Tree::holding("A=fine\nB=\"'\\\"#\\\\\\nsk_live\"\n");
    for options in [
        &["--file", "F"][..],
        &["--file", "J=json", "--file", "F=env", "--file-only"],
    ] {
        tree.run()
            .args(options)
            .refuses(125, &["B cannot be written as", "env"]);
    }
    let run = tree.run().args(["--file", "F=json", "--except", "A"]);
    run.assert_shows("B", "'\"#\\\nsk_live");
    // A command that does not exist is reported as without a file.
    let run = tree
        .run()
        .args(["--file", "F=json", "--", "no-such-command"]);
    run.finish().assert_refused(127, &["no-such-command: "]);
}

fn a_malformed_file_option_is_refused() {
    let service = Service::plain();
    let malformed = [
        "",
        "=",
        "=env",
        "F=",
        "F=ENV",
        "F=toml",
        "1F",
        "F-G",
        "F=env=env",
        "F,G",
        "/f",
    ];
    for value in malformed {
        let run = Run::on_service(&service).args(["legacy", "--file", value]);
        run.refuses(125, &["--file: "]);
    }
    for action in [&["--print", "env"][..], &["--list"]] {
        let run = Run::on_service(&service)
            .args(["legacy", "--file", "F"])
            .args(action);
        run.finish().assert_refused(125, &["--file", action[0]]);
    }
    assert!(service.requests().is_empty(), "{:?}", service.requests());
}
