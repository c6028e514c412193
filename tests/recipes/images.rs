//! The recipes for containers: what they start is started in a container, as the user and with the mounts that they
//! ask for.

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::PathBuf;

use serde_json::json;

use super::dockerfile::{self, Instruction};
use super::machine::{Finds, Machine, stub, write_program};
use super::schemas::{COMPOSE, KUBERNETES};
use super::shape::load;
use super::snippets::Snippet;
use crate::containers::{BUSYBOX, Container, RUNTIME};
use crate::launch::init::STATIC_BUILD;
use crate::support::*;

/// A container with us in it, and users in it.
pub const CONTAINERS: fn() -> Result<(), String> = || {
    ROOT()?;
    STATIC_BUILD()?;
    BUSYBOX()?;
    RUNTIME()
};

/// The user that the recipes run services as.
const USER: u32 = 65532;

/// What to start, and with which of the host's files.
struct Start {
    words: Vec<String>,
    user: u32,
    read_only: bool,
    /// A file or directory of the host, and where it is in the container.
    mounts: Vec<(PathBuf, String)>,
}

impl Start {
    /// Runs it, where these programs are stubs.
    fn run(&self, machine: &Machine, programs: &[(&str, Finds<'_>)]) -> Outcome {
        let words: Vec<_> = self.words.iter().map(String::as_str).collect();
        let container = Container::new(&words);
        let root = container.root();
        for tool in ["env", "grep", "sed", "tr"] {
            symlink("busybox", root.join("bin").join(tool)).expect("a link");
        }
        for (name, finds) in programs {
            let text = stub(name, *finds, &machine.api_key());
            write_program(&root.join("bin").join(name), &text);
        }
        let authority = (machine.authority().to_owned(), "/etc/ca.pem".to_owned());
        let mounts = self.mounts.iter().chain([&authority]);
        let mounts: Vec<_> = mounts
            .map(|(source, destination)| {
                json!({
                    "type": "bind",
                    "source": source,
                    "destination": destination,
                    "options": ["bind", "ro"],
                })
            })
            .collect();
        container.configure(|configuration| {
            let process = &mut configuration["process"];
            process["user"] =
                json!({ "uid": self.user, "gid": self.user, "additionalGids": [USER] });
            process["noNewPrivileges"] = true.into();
            let url = format!("DOTENV_API_URL={}", machine.url());
            process["env"] = json!(["PATH=/usr/local/bin:/bin", "SSL_CERT_FILE=/etc/ca.pem", url]);
            configuration["root"]["readonly"] = self.read_only.into();
            let all = configuration["mounts"].as_array_mut().expect("an array");
            all.extend(mounts);
        });
        container.start().wait()
    }

    /// Its last words are a program of the user's own, which is started with the secrets.
    fn assert_runs(&self, machine: &Machine, program: &[String]) {
        assert!(self.words.ends_with(program), "{:?}", self.words);
        let outcome = self.run(machine, &[(&program[0], Finds::Secrets)]);
        machine.assert_ran(&outcome, &[&program.join(" ")]);
    }
}

/// A key file of the host that only one user can read.
fn key_of(machine: &Machine, path: &str, user: u32) -> PathBuf {
    let file = machine.key_file(&format!("root{path}"));
    chown(&file, Some(user), Some(user)).expect("another owner");
    file
}

fn checked(snippet: &Snippet) -> Vec<Instruction> {
    let file = dockerfile::read(&snippet.text);
    file.unwrap_or_else(|defect| panic!("{defect}\n{}", snippet.text))
}

/// The words that a container is started with.
fn entrypoint(file: &[Instruction]) -> Vec<String> {
    [
        dockerfile::words(file, "ENTRYPOINT"),
        dockerfile::words(file, "CMD"),
    ]
    .concat()
}

/// The identifier of the secret that an instruction asks for, if it asks for one and does not go on without.
fn secret_of(instruction: &Instruction) -> Option<String> {
    let (_, value) = instruction.flags.iter().find(|(flag, _)| flag == "mount")?;
    let parts: Vec<_> = value.split(',').collect();
    assert!(
        parts.contains(&"type=secret") && parts.contains(&"required=true"),
        "{value}"
    );
    let id = parts.iter().find_map(|part| part.strip_prefix("id="));
    Some(id.expect("an identifier").to_owned())
}

pub fn dockerfile(snippet: &Snippet) {
    let file = checked(snippet);
    dockerfile::check(&file).expect("stages");
    let machine = Machine::new();
    let key = machine.key_file("key");
    for instruction in file.iter().filter(|it| it.name == "RUN") {
        let Some(id) = secret_of(instruction) else {
            assert!(
                !instruction.rest.contains("dotenv-run my-app"),
                "{}",
                instruction.rest
            );
            continue;
        };
        let start = Start {
            words: ["/bin/sh", "-c", &instruction.rest]
                .map(String::from)
                .to_vec(),
            user: 0,
            read_only: false,
            mounts: vec![(key.clone(), format!("/run/secrets/{id}"))],
        };
        let finds = Finds::Also("[ -z \"${DB_URL-}\" ]");
        let outcome = start.run(&machine, &[("npm", finds)]);
        machine.assert_ran(&outcome, &["npm ci --ignore-scripts"]);
    }
    assert_starts(&machine, &file);
}

/// The user that an image is run as.
fn user_of(file: &[Instruction]) -> u32 {
    let user = file.iter().rfind(|it| it.name == "USER");
    let user = user.and_then(|it| it.rest.split(':').next());
    user.map_or(0, |user| user.parse().expect("a number"))
}

/// The entrypoint and the command of an image start the program with the secrets.
fn assert_starts(machine: &Machine, file: &[Instruction]) {
    let user = user_of(file);
    let start = Start {
        words: entrypoint(file),
        user,
        read_only: false,
        mounts: vec![(
            key_of(machine, "/key", user),
            "/run/secrets/dotenv_api_key".into(),
        )],
    };
    start.assert_runs(machine, &dockerfile::words(file, "CMD"));
}

/// The example of the manual: two instructions of a file.
pub fn entrypoint_alone(snippet: &Snippet) {
    assert_starts(&Machine::new(), &checked(snippet));
}

/// What `docker` is asked to do for the image of the snippet before: to build, and to run with the key.
pub fn docker(snippet: &Snippet) {
    let image = snippet.number - 1;
    let file = checked(&Snippet::find(snippet.document, &snippet.section, image));
    let machine = Machine::new();
    let [build, run] = calls_of_docker(&machine, snippet);

    let mut secrets = file
        .iter()
        .filter(|it| it.name == "RUN")
        .filter_map(secret_of);
    let wanted = secrets
        .next()
        .map(|id| format!("id={id},env=DOTENV_API_KEY"));
    assert_eq!(option(&build, "--secret"), wanted.as_deref());
    let name = option(&build, "-t").expect("a name");
    assert_eq!([build[0].as_str(), &build[build.len() - 1]], ["build", "."]);
    assert_eq!([run[0].as_str(), &run[run.len() - 1]], ["run", name]);

    let here = machine.path("work").display().to_string();
    let (source, destination) = mount_of(&run);
    let source = source.strip_prefix(&here).unwrap_or(&source);
    let user = user_of(&file);
    let start = Start {
        words: entrypoint(&file),
        user,
        read_only: run.contains(&"--read-only".into()),
        mounts: vec![(key_of(&machine, source, user), destination)],
    };
    start.assert_runs(&machine, &dockerfile::words(&file, "CMD"));
}

/// The words of the two calls.
fn calls_of_docker(machine: &Machine, snippet: &Snippet) -> [Vec<String>; 2] {
    let shows = "#!/bin/sh\nfor word; do echo \"$word\"; done; echo\n";
    machine.executable("bin/docker", shows);
    let run = machine.shell(snippet);
    let outcome = run.env("DOTENV_API_KEY", machine.api_key()).finish();
    outcome.assert_status(0);
    machine.assert_silent(&outcome.to_string());
    let calls = outcome.text().split_terminator("\n\n");
    let calls = calls.map(|call| call.lines().map(str::to_owned).collect());
    <[_; 2]>::try_from(calls.collect::<Vec<_>>()).expect("two calls")
}

/// The word behind an option.
fn option<'a>(words: &'a [String], name: &str) -> Option<&'a str> {
    let at = words.iter().position(|word| word == name)?;
    words.get(at + 1).map(String::as_str)
}

/// Source and destination of the one mount that `docker run` is asked for, which nobody can write through.
fn mount_of(words: &[String]) -> (String, String) {
    let parts: Vec<_> = match option(words, "--mount") {
        Some(mount) => mount.split(',').collect(),
        None => {
            let parts = option(words, "-v").expect("a mount").split(':');
            return match &parts.collect::<Vec<_>>()[..] {
                [source, destination, "ro"] => ((*source).into(), (*destination).into()),
                other => panic!("no mount: {other:?}"),
            };
        }
    };
    assert!(
        parts.contains(&"type=bind") && parts.contains(&"readonly"),
        "{parts:?}"
    );
    let part = |name: &str| {
        let mut parts = parts.iter();
        let found = parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        found.expect("a part of a mount").to_owned()
    };
    (part("src"), part("dst"))
}

pub fn compose(snippet: &Snippet) {
    let machine = Machine::new();
    COMPOSE.check(&snippet.text).expect("a Compose file");
    let document = load(&snippet.text);
    let service = &document["services"]["api"];
    let secret = service["secrets"][0].as_str().expect("a secret");
    let file = document["secrets"][secret]["file"]
        .as_str()
        .expect("a file");
    let user = service["user"]
        .as_str()
        .and_then(|user| user.split(':').next());
    let program = texts(&service["command"]);
    let start = Start {
        words: [texts(&service["entrypoint"]), program.clone()].concat(),
        user: user.and_then(|user| user.parse().ok()).expect("a user"),
        read_only: service["read_only"].as_bool().expect("read_only"),
        mounts: vec![(
            key_of(&machine, file, USER),
            format!("/run/secrets/{secret}"),
        )],
    };
    assert_eq!(start.user, USER);
    start.assert_runs(&machine, &program);
}

fn texts(node: &saphyr::Yaml<'_>) -> Vec<String> {
    let items = node.as_vec().expect("a list").iter();
    items
        .map(|item| item.as_str().expect("a text").to_owned())
        .collect()
}

/// With the secret that the commands behind it make.
pub fn kubernetes(snippet: &Snippet) {
    let machine = Machine::new();
    KUBERNETES.check(&snippet.text).expect("a Deployment");
    let document = load(&snippet.text);
    let pod = &document["spec"]["template"]["spec"];
    let labels = &document["spec"]["template"]["metadata"]["labels"];
    assert_eq!(&document["spec"]["selector"]["matchLabels"], labels);
    let (container, volume) = (&pod["containers"][0], &pod["volumes"][0]);
    let mount = &container["volumeMounts"][0];
    assert_eq!(mount["name"], volume["name"]);
    assert_eq!(mount["readOnly"].as_bool(), Some(true));
    let secret = volume["secret"]["secretName"].as_str().expect("a name");
    // YAML 1.1, which Kubernetes reads, has octal numbers with a leading zero.
    assert!(snippet.text.contains("defaultMode: 0440"));

    let directory = secret_made_by(
        &machine,
        &Snippet::find(snippet.document, &snippet.section, 2),
        secret,
    );
    for file in fs::read_dir(&directory).expect("a volume") {
        let file = file.expect("a file").path();
        set_mode(&file, 0o440);
        chown(file, Some(0), Some(USER)).expect("another group");
    }
    let id = pod["securityContext"]["runAsUser"]
        .as_integer()
        .expect("a user");
    assert_eq!(pod["securityContext"]["fsGroup"].as_integer(), Some(id));
    let destination = mount["mountPath"].as_str().expect("a path").to_owned();
    let start = Start {
        words: [texts(&container["command"]), texts(&container["args"])].concat(),
        user: u32::try_from(id).expect("a user"),
        read_only: container["securityContext"]["readOnlyRootFilesystem"].as_bool() == Some(true),
        mounts: vec![(directory, destination)],
    };
    start.assert_runs(&machine, &["node".into(), "/app/server.js".into()]);
}

/// The files of a generic secret of that name, as `kubectl create secret` is told to make it.
fn secret_made_by(machine: &Machine, commands: &Snippet, name: &str) -> PathBuf {
    let volume = machine.path("volume");
    fs::create_dir(&volume).expect("a directory of ours");
    set_mode(&volume, 0o755);
    machine.stub_pass();
    let kubectl = format!(
        "#!/bin/sh
[ \"$1 $2 $3 $4\" = 'create secret generic {name}' ] && [ $# = 5 ] || exit 1
pair=${{5#--from-file=}}
cat \"${{pair#*=}}\" >\"{}/${{pair%%=*}}\"
",
        volume.display()
    );
    machine.executable("bin/kubectl", &kubectl);
    let outcome = machine.shell(commands).finish();
    outcome.assert_status(0);
    machine.assert_silent(&outcome.to_string());
    volume
}

/// The commands by themselves, which need no container.
pub fn commands_for_kubernetes(snippet: &Snippet) {
    let machine = Machine::new();
    let volume = secret_made_by(&machine, snippet, "my-app-dotenv");
    let files: Vec<_> = fs::read_dir(volume).expect("a volume").flatten().collect();
    assert_eq!(files.len(), 1);
    assert_eq!(
        fs::read_to_string(files[0].path()).expect("a file").trim(),
        machine.api_key()
    );
}
