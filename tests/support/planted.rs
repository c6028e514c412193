//! The programs with violations planted in their source: what a test that looks for a violation has
//! to find, before it may be believed when it finds none.
//!
//! All plants are in one build, and each sleeps until `PLANTED` names it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;

use super::run::Run;
use super::table::Need;

/// Something that the program must never do.
struct Plant {
    /// What `PLANTED` is for it to take effect.
    name: &'static str,
    /// A path below `src`.
    file: &'static str,
    /// What the one line contains behind which the code stands.
    anchor: &'static str,
    /// Statements.
    code: &'static str,
}

const PLANTS: &[Plant] = &[
    Plant {
        name: "dumpable again",
        file: "main.rs",
        anchor: "let restored = restore_signals()",
        code: "unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1) };",
    },
    Plant {
        name: "supervisor keeps the environment",
        file: "main.rs",
        anchor: "Ok((assignment, Side::Attendant(attendant))) => {",
        code: "let entries = assignment.environ.entries();
            let copies: Vec<_> = entries.map(|entry| entry.to_owned()).collect();
            std::mem::forget(copies);",
    },
    Plant {
        name: "keeper copies the keys",
        file: "run/watch/keeper.rs",
        anchor: "sys::clear_registers();",
        code: "std::mem::forget(std::hint::black_box(variables.memory().bytes().to_vec()));",
    },
    Plant {
        name: "environment is not overwritten",
        file: "sys/environ.rs",
        anchor: "fn wipe_string(string: *mut c_char) {",
        code: "return;",
    },
    Plant {
        name: "key schedule stays",
        file: "crypto.rs",
        anchor: "let nonce = Nonce::try_assume_unique_for_key(nonce)",
        code: "std::mem::forget(std::hint::black_box(Box::new(cipher(key))));",
    },
    Plant {
        name: "state of HMAC stays",
        file: "crypto.rs",
        anchor: "pub fn derive(secret: &[u8]",
        code: "use pbkdf2::hmac::{Hmac, Mac};
            let state = Hmac::<sha2::Sha256>::new_from_slice(secret);
            std::mem::forget(std::hint::black_box(Box::new(state)));",
    },
    Plant {
        name: "copy on the heap",
        file: "variables/block.rs",
        anchor: r#"block.push(b"\0");"#,
        code: "std::mem::forget(std::hint::black_box(block.bytes().to_vec()));",
    },
    Plant {
        name: "copy on the stack",
        file: "sys/execution.rs",
        anchor: "// SAFETY: both arrays end with a null pointer and hold",
        code: "let last = unsafe { CStr::from_ptr(environment[environment.len() - 2]) };
            #[inline(never)]
            fn leave(bytes: &[u8]) {
                let mut frame = [0; 16384];
                frame[..bytes.len()].copy_from_slice(bytes);
                std::hint::black_box(&mut frame);
            }
            leave(&last.to_bytes()[..last.count_bytes().min(64)]);",
    },
    Plant {
        name: "copy in a vector register",
        file: "sys/execution.rs",
        anchor: "// SAFETY: both arrays end with a null pointer and hold",
        code: r#"let last = unsafe { CStr::from_ptr(environment[environment.len() - 2]) };
            let end = last.to_bytes().as_ptr_range().end.wrapping_sub(16);
            unsafe { std::arch::asm!("movdqu xmm15, [{}]", in(reg) end, out("xmm15") _) };"#,
    },
    Plant {
        name: "message shows the line",
        file: "variables/mod.rs",
        anchor: "Format::Env => {",
        code: r#"if let Err(error) = parse(text) {
                let line = text.split(|byte| *byte == b'\n').nth(error.line - 1);
                eprintln!("dotenv-run: {:?}", String::from_utf8_lossy(line.unwrap_or_default()));
            }"#,
    },
    Plant {
        name: "message shows a key in base64",
        file: "keys/mod.rs",
        anchor: "fn checked(source: &str, mut key: Locked)",
        code: r#"let shown = [b"key ", key.bytes()].concat();
            eprintln!("{}", base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE, shown));"#,
    },
    Plant {
        name: "note shows a value",
        file: "task.rs",
        anchor: "let sets = report.timed(Stage::Parse, || variables::sets(levels, around, options));",
        code: r#"for secret in sets.iter().flatten() {
                let part: String = secret.value.pieces().collect();
                report.note(format_args!("{:x?}", part.as_bytes()));
                report.note(format_args!("{}", part.chars().skip(5).take(12).collect::<String>()));
            }"#,
    },
    Plant {
        name: "file opened for writing",
        file: "run/exec.rs",
        anchor: "pub fn launch(self) -> Error {",
        code: r#"let _ = std::fs::File::options().write(true).open("/dev/null");"#,
    },
    Plant {
        name: "file without a name",
        file: "run/exec.rs",
        anchor: "pub fn launch(self) -> Error {",
        code: r#"use std::os::unix::fs::OpenOptionsExt;
            let mut options = std::fs::File::options();
            let _ = options.write(true).custom_flags(libc::O_TMPFILE).open("/tmp");"#,
    },
    Plant {
        name: "file of the supervisor",
        file: "run/beginning.rs",
        anchor: "let job = self.job(worker, lending);",
        code: r#"let _ = std::fs::remove_file("/nonexistent/file");"#,
    },
    Plant {
        name: "connection to another port",
        file: "run/exec.rs",
        anchor: "pub fn launch(self) -> Error {",
        code: r#"let _ = std::net::TcpStream::connect("127.0.0.1:9");"#,
    },
    Plant {
        name: "datagram to somebody",
        file: "run/exec.rs",
        anchor: "pub fn launch(self) -> Error {",
        code: r#"let socket = std::net::UdpSocket::bind("127.0.0.1:0");
            let _ = socket.map(|socket| socket.send_to(b"secret", "127.0.0.1:9"));"#,
    },
    Plant {
        name: "write to another descriptor",
        file: "run/exec.rs",
        anchor: "pub fn launch(self) -> Error {",
        code: r#"unsafe { libc::write(0, c"secret".as_ptr().cast(), 6) };"#,
    },
    Plant {
        name: "write to standard output",
        file: "run/exec.rs",
        anchor: "pub fn launch(self) -> Error {",
        code: r#"print!("secret\n");"#,
    },
    Plant {
        name: "hangs if a call fails",
        file: "run/exec.rs",
        anchor: "pub fn launch(self) -> Error {",
        code: r#"if unsafe { libc::sched_get_priority_max(1) } < 0 { unsafe { libc::pause() }; }"#,
    },
    Plant {
        name: "shows a secret if a call fails",
        file: "run/exec.rs",
        anchor: "pub fn launch(self) -> Error {",
        code: r#"if unsafe { libc::sched_get_priority_max(1) } < 0 { eprintln!("kX4tQ9vZ2mB7wR5n"); }"#,
    },
    Plant {
        name: "starts twice if a call fails",
        file: "run/exec.rs",
        anchor: "pub fn launch(self) -> Error {",
        code: r#"if unsafe { libc::sched_get_priority_max(1) } < 0 { unsafe { libc::fork() }; }"#,
    },
    Plant {
        name: "leaves a process if a call fails",
        file: "run/exec.rs",
        anchor: "pub fn launch(self) -> Error {",
        code: r#"if unsafe { libc::sched_get_priority_max(1) } < 0 { if unsafe { libc::fork() } == 0 { unsafe { libc::pause() }; } }"#,
    },
    Plant {
        name: "says two things if a call fails",
        file: "run/exec.rs",
        anchor: "pub fn launch(self) -> Error {",
        code: r#"if unsafe { libc::sched_get_priority_max(1) } < 0 { eprintln!("dotenv-run: one\ndotenv-run: two"); unsafe { libc::_exit(125) }; }"#,
    },
    Plant {
        name: "says nothing if a call fails",
        file: "run/exec.rs",
        anchor: "pub fn launch(self) -> Error {",
        code: r#"if unsafe { libc::sched_get_priority_max(1) } < 0 { unsafe { libc::_exit(125) }; }"#,
    },
    Plant {
        name: "changes the terminal if a call fails",
        file: "run/exec.rs",
        anchor: "pub fn launch(self) -> Error {",
        code: r#"if unsafe { libc::sched_get_priority_max(1) } < 0 { 
                let mut settings: libc::termios = unsafe { std::mem::zeroed() };
                unsafe { libc::tcgetattr(0, &raw mut settings) };
                settings.c_lflag &= !libc::ECHO;
                unsafe { libc::tcsetattr(0, libc::TCSANOW, &raw const settings) }; }"#,
    },
    Plant {
        name: "keeps an ignored signal if a call fails",
        file: "run/exec.rs",
        anchor: "pub fn launch(self) -> Error {",
        code: r#"if unsafe { libc::sched_get_priority_max(1) } < 0 { unsafe { libc::signal(libc::SIGUSR1, libc::SIG_IGN) }; }"#,
    },
];

/// Makes the plants work in either crate, and reads `PLANTED` before `main`, because the program
/// overwrites its environment.
const GATE: &str = r#"
extern crate self as dotenv_run;

/// Whether a plant takes effect.
pub fn planted(name: &str) -> bool {
    static NAME: std::sync::OnceLock<Option<std::ffi::OsString>> = std::sync::OnceLock::new();
    NAME.get_or_init(|| std::env::var_os("PLANTED")).as_deref() == Some(name.as_ref())
}

extern "C" fn remember_plant() {
    planted("");
}

#[unsafe(link_section = ".init_array.00001")]
#[used]
static REMEMBER_PLANT: extern "C" fn() = remember_plant;
"#;

/// Cargo, and the build: it takes longer than a test may, and so belongs before it.
pub const PLANTED: Need = || match std::env::var_os("CARGO") {
    Some(_) => {
        // Whoever asks for a program sees the error.
        let _ = programs();
        Ok(())
    }
    None => Err("needs to be run by cargo".into()),
};

/// Begins the build at once, for a run of all tests: those that need it come last.
pub fn build_ahead() {
    thread::spawn(PLANTED);
}

impl Run {
    /// The same run of the program in which this plant takes effect. For a test that
    /// `needs(PLANTED)`.
    #[track_caller]
    pub fn planted(self, name: &str) -> Self {
        let known = PLANTS.iter().any(|plant| plant.name == name);
        assert!(known, "there is no plant {name:?}");
        match programs() {
            Ok(directory) => self.built_in(directory).env("PLANTED", name),
            Err(error) => panic!("the planted programs cannot be built: {error}"),
        }
    }
}

/// The directory of the programs, which are built once.
fn programs() -> &'static Result<PathBuf, String> {
    static PROGRAMS: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let program = Path::new(env!("CARGO_BIN_EXE_dotenv-run"));
        let targets = program.ancestors().nth(2).expect("target/debug/dotenv-run");
        let (source, target) = (
            targets.join("planted/source"),
            targets.join("planted/target"),
        );
        plant(&source).map_err(|error| format!("{}: {error}", source.display()))?;
        build(&source, &target, targets)?;
        Ok(target.join("debug"))
    })
}

/// What the manifest and the lock say of the package, and of the one with the plants: under the same name and version
/// cargo would take the one for the other, because what they depend on is shared.
const PACKAGE: [&str; 2] = [
    concat!(
        "name = \"dotenv-run\"\nversion = \"",
        env!("CARGO_PKG_VERSION"),
        "\"\n"
    ),
    "name = \"dotenv-run\"\nversion = \"0.0.0\"\n",
];

/// Copies what the build needs, with the plants in it.
fn plant(target: &Path) -> io::Result<()> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["Cargo.toml", "Cargo.lock"] {
        let text = fs::read_to_string(source.join(file))?;
        assert_eq!(text.matches(PACKAGE[0]).count(), 1, "{file}");
        write(&target.join(file), &text.replace(PACKAGE[0], PACKAGE[1]))?;
    }
    // The manifest names them.
    for root in ["tests/main.rs", "tests/bench/main.rs"] {
        write(&target.join(root), "//! Nothing.\nfn main() {}\n")?;
    }
    copy(&source.join("src"), &target.join("src"), "")
}

/// Copies a folder of the source; `below` is its path below `src`. What is no longer in it goes.
fn copy(source: &Path, target: &Path, below: &str) -> io::Result<()> {
    fs::create_dir_all(target)?;
    for entry in fs::read_dir(target)? {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        match source.join(name).exists() {
            true => (),
            false if path.is_dir() => fs::remove_dir_all(path)?,
            false => fs::remove_file(path)?,
        }
    }
    for entry in fs::read_dir(source)? {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        let (target, below) = (target.join(&name), format!("{below}{}", name.display()));
        match path.is_dir() {
            true => copy(&path, &target, &format!("{below}/"))?,
            false => write(&target, &with_plants(fs::read_to_string(path)?, &below))?,
        }
    }
    Ok(())
}

/// Writes a file, unless it holds just that: cargo goes by the time of the last change.
fn write(path: &Path, text: &str) -> io::Result<()> {
    if fs::read(path).is_ok_and(|before| before == text.as_bytes()) {
        return Ok(());
    }
    fs::create_dir_all(path.parent().expect("a path below the target"))?;
    fs::write(path, text)
}

/// The text of a file of the source with its plants.
fn with_plants(text: String, file: &str) -> String {
    let gate = if file == "lib.rs" { GATE } else { "" };
    let mut text = text.replace("#![forbid(unsafe_code)]", "") + gate;
    for plant in PLANTS.iter().filter(|plant| plant.file == file) {
        let Plant {
            name, anchor, code, ..
        } = plant;
        let (line, more) = (text.find(anchor), text.matches(anchor).count());
        assert_eq!(
            more, 1,
            "lines of src/{file} with {anchor:?}, where {name:?} is planted"
        );
        let line = line.expect("the anchor that was counted");
        let end = line + text[line..].find('\n').expect("a line that ends") + 1;
        text.insert_str(
            end,
            &format!("if dotenv_run::planted({name:?}) {{ {code} }}\n"),
        );
    }
    text
}

/// Builds the programs like those that are tested, so that all that they depend on is there already, in `shared`.
fn build(source: &Path, target: &Path, shared: &Path) -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").ok_or("there is no CARGO")?;
    let output = Command::new(cargo)
        .args(["test", "--no-run", "--offline", "--test", "behaviour"])
        .arg("--target-dir")
        .arg(target)
        .env("CARGO_BUILD_BUILD_DIR", shared)
        .current_dir(source)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}
