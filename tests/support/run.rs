//! Running a program with exactly the environment, input and directory that a test states.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{PipeWriter, Write, pipe};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::outcome::Outcome;
use super::process::{Capture, Process};
use super::spawn::Image;
use super::wait::{poll, wait_for, wait_until};

/// How long a program may run before it counts as hanging.
const LIMIT: Duration = Duration::from_secs(60);

/// A program to run: no environment but `PATH`, no input, no controlling terminal.
#[derive(Clone)]
pub struct Run {
    words: Vec<OsString>,
    environment: BTreeMap<OsString, OsString>,
    block: Option<Vec<CString>>,
    directory: Option<PathBuf>,
    input: Option<Vec<u8>>,
    limit: Duration,
}

impl Run {
    pub fn dotenv_run() -> Self {
        Run::program(env!("CARGO_BIN_EXE_dotenv-run"))
    }

    pub fn dotenv_seal() -> Self {
        Run::program(env!("CARGO_BIN_EXE_dotenv-seal"))
    }

    pub fn program(program: impl AsRef<OsStr>) -> Self {
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
        Run {
            words: vec![program.as_ref().into()],
            environment: BTreeMap::from([("PATH".into(), path)]),
            block: None,
            directory: None,
            input: None,
            limit: LIMIT,
        }
    }

    /// The same run of the programs of another build.
    pub fn built_in(mut self, directory: &Path) -> Self {
        self.replace_program(|program| directory.join(program.file_name().expect("a file")));
        self
    }

    /// The same run of a copy of the program.
    pub fn copied_to(mut self, directory: &Path) -> Self {
        self.replace_program(|program| {
            let copy = directory.join(program.file_name().expect("a file"));
            // By another process: a file that this one has open for writing, a child of another test
            // may hold open too, and then it cannot be executed.
            let run = Run::program("cp").arg(program).arg(&copy);
            run.finish().assert_status(0);
            copy
        });
        self
    }

    /// Replaces the path of the program, whatever stands in front of it.
    fn replace_program(&mut self, replace: impl Fn(&Path) -> PathBuf) {
        let is_ours = |word: &&mut OsString| {
            let path = Path::new(word);
            path.is_absolute() && (path.ends_with("dotenv-run") || path.ends_with("dotenv-seal"))
        };
        let word = self.words.iter_mut().find(is_ours);
        let word = word.expect("a run of one of the programs");
        *word = replace(Path::new(word)).into();
    }

    /// `sh -c SCRIPT`.
    pub fn shell(script: &str) -> Self {
        Run::program("sh").args(["-c", script])
    }

    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.words.push(argument.as_ref().into());
        self
    }

    pub fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        let arguments = arguments.into_iter();
        self.words
            .extend(arguments.map(|argument| argument.as_ref().into()));
        self
    }

    /// Without an argument that was given.
    pub fn without(mut self, argument: &str) -> Self {
        self.words.retain(|word| word != argument);
        self
    }

    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        let (name, value) = (name.as_ref().into(), value.as_ref().into());
        self.environment.insert(name, value);
        self
    }

    pub fn env_remove(mut self, name: &str) -> Self {
        self.environment.remove(OsStr::new(name));
        self
    }

    /// Replaces the whole environment by these strings, in this order and whatever they are: twice
    /// the same name, no `=`, no UTF-8.
    pub fn environment_block(mut self, entries: &[&[u8]]) -> Self {
        let string = |entry: &&[u8]| CString::new(*entry).expect("an entry without a NUL");
        self.block = Some(entries.iter().map(string).collect());
        self
    }

    pub fn dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// What standard input holds; without it, it is `/dev/null`.
    pub fn stdin(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = Some(input.into());
        self
    }

    /// Replaces the time after which the program counts as hanging.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Puts another program in front: `under(["strace", "-f"])`.
    pub fn under<S: AsRef<OsStr>>(mut self, wrapper: impl IntoIterator<Item = S>) -> Self {
        let wrapper: Vec<OsString> = wrapper
            .into_iter()
            .map(|word| word.as_ref().into())
            .collect();
        if wrapper.first().is_some_and(|first| first == "strace") {
            self = self.allowing_a_tracer();
        }
        self.words.splice(..0, wrapper);
        self
    }

    /// The same run, which another process may trace.
    pub fn allowing_a_tracer(mut self) -> Self {
        let is_ours = |word: &OsString| {
            let path = Path::new(word);
            path.ends_with("dotenv-run") && !path.is_symlink()
        };
        if let Some(position) = self.words.iter().position(is_ours) {
            self.words.insert(position + 1, "--allow-tracer".into());
        }
        self
    }

    /// Runs it to its end.
    #[track_caller]
    pub fn finish(self) -> Outcome {
        self.spawn().wait()
    }

    /// Starts it, for a test that has something to do while it runs.
    #[track_caller]
    pub fn spawn(self) -> Live {
        let started = Instant::now();
        let pipe = || pipe().expect("a pipe");
        let [(stdout, output), (stderr, errors)] = [pipe(), pipe()];
        let stdin = match self.input.clone() {
            Some(input) => {
                let (stdin, feeder) = pipe();
                feed(feeder, input);
                stdin.into()
            }
            None => File::open("/dev/null").expect("the null device").into(),
        };
        let process = self.start([stdin, output.into(), errors.into()], None);
        let [stdout, stderr] = [stdout, stderr].map(Capture::start);
        Live {
            run: self,
            process,
            stdout,
            stderr,
            started,
        }
    }

    /// Starts it on the given standard input, output and error, and on a controlling terminal if
    /// one is named.
    #[track_caller]
    pub(super) fn start(&self, streams: [OwnedFd; 3], terminal: Option<CString>) -> Process {
        Process::start(&self.image(), &streams, terminal.as_deref())
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", self.command_line()))
    }

    fn image(&self) -> Image {
        let string = |bytes: &[u8]| CString::new(bytes).expect("a string without a NUL");
        let entries = self.environment.iter().map(|(name, value)| {
            let entry = [name.as_bytes(), b"=", value.as_bytes()];
            string(&entry.concat())
        });
        let path = self.environment.get(OsStr::new("PATH"));
        let directory = self.directory.as_deref().map(Path::as_os_str);
        Image {
            words: self
                .words
                .iter()
                .map(|word| string(word.as_bytes()))
                .collect(),
            environment: self.block.clone().unwrap_or_else(|| entries.collect()),
            path: path.map_or_else(|| "/bin:/usr/bin".into(), PathBuf::from),
            directory: directory.map(|directory| string(directory.as_bytes())),
        }
    }

    pub(super) fn time_limit(&self) -> Duration {
        self.limit
    }

    /// The words of the command, for messages.
    pub(super) fn command_line(&self) -> String {
        let words: Vec<_> = self
            .words
            .iter()
            .map(|word| word.to_string_lossy())
            .collect();
        words.join(" ")
    }
}

/// Writes the input from a thread, so that a program which does not read it cannot block the test.
fn feed(mut stdin: PipeWriter, input: Vec<u8>) {
    // A program may well end without reading all of it.
    thread::spawn(move || stdin.write_all(&input));
}

/// A running program. Dropped before its end, it is killed with its process group.
pub struct Live {
    run: Run,
    process: Process,
    stdout: Capture,
    stderr: Capture,
    started: Instant,
}

impl Live {
    pub fn pid(&self) -> Pid {
        self.process.pid()
    }

    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Whether the program itself has ended; what it started may run on.
    pub fn has_ended(&self) -> bool {
        self.process.has_ended()
    }

    /// Waits until standard output contains `text`.
    #[track_caller]
    pub fn wait_for_output(&self, text: &str) {
        wait_until(&format!("{text:?} on standard output"), || {
            String::from_utf8_lossy(&self.stdout.so_far()).contains(text)
        });
    }

    /// Standard output up to now, as text.
    pub fn output_so_far(&self) -> String {
        String::from_utf8_lossy(&self.stdout.so_far()).into_owned()
    }

    /// Standard error up to now, as text.
    pub fn errors_so_far(&self) -> String {
        String::from_utf8_lossy(&self.stderr.so_far()).into_owned()
    }

    /// Waits until a line of standard output starts with `text`, and returns the number behind it.
    #[track_caller]
    pub fn wait_for_number(&self, text: &str) -> i32 {
        wait_for(&format!("{text:?} and a number on standard output"), || {
            let output = self.output_so_far();
            let (complete, _) = output.rsplit_once('\n')?;
            let line = complete.lines().find_map(|line| line.strip_prefix(text));
            line?.trim().parse().ok()
        })
    }

    /// Waits for the end of the program and of everything that inherited its output.
    #[track_caller]
    pub fn wait(self) -> Outcome {
        self.try_wait().unwrap_or_else(|hang| panic!("{hang}"))
    }

    /// Like [`Live::wait`]; a program that does not end is the error.
    pub fn try_wait(mut self) -> Result<Outcome, String> {
        let ended = poll(self.run.limit, || {
            self.process.has_ended() && self.stdout.is_complete() && self.stderr.is_complete()
        });
        let elapsed = self.started.elapsed();
        let command = self.run.command_line();
        let stdout = self.stdout.so_far();
        let stderr = String::from_utf8_lossy(&self.stderr.so_far()).into_owned();
        if ended {
            let status = self.process.reap();
            return Ok(Outcome {
                command,
                status,
                stdout,
                stderr,
                elapsed,
            });
        }
        let (limit, stdout) = (self.run.limit, String::from_utf8_lossy(&stdout));
        let hang = format!("{command}\nor something it started still runs after {limit:?}");
        Err(format!("{hang}\nstdout: {stdout}\nstderr: {stderr}"))
    }
}
