//! A strict reader of Dockerfiles, for what the documents use of them
//! (<https://docs.docker.com/reference/dockerfile/>).

/// One instruction, with its flags and the rest of its line.
pub struct Instruction {
    pub name: String,
    pub flags: Vec<(String, String)>,
    pub rest: String,
}

/// The instructions, each on one line. The error names what is wrong.
pub fn read(text: &str) -> Result<Vec<Instruction>, String> {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let joined = lines.fold(String::new(), |joined, line| {
        match line.strip_suffix('\\') {
            Some(begun) => joined + begun,
            None => joined + line + "\n",
        }
    });
    let lines = joined
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    lines.map(instruction).collect()
}

fn instruction(line: &str) -> Result<Instruction, String> {
    let (name, rest) = line.split_once(' ').ok_or(format!("{line} says nothing"))?;
    let (mut flags, mut rest) = (Vec::new(), rest.trim_start());
    while let Some(behind) = rest.strip_prefix("--") {
        let (flag, after) = behind
            .split_once(' ')
            .ok_or(format!("{line} has flags only"))?;
        let (flag, value) = flag
            .split_once('=')
            .ok_or(format!("--{flag} has no value"))?;
        flags.push((flag.to_owned(), value.to_owned()));
        rest = after.trim_start();
    }
    let words = rest.split_whitespace().count();
    let (allowed, fits): (&[&str], bool) = match name {
        "FROM" => (
            &["platform"],
            words == 1 || words == 3 && rest.contains(" AS "),
        ),
        "COPY" => (&["from", "chown", "chmod"], words >= 2),
        "RUN" => (&["mount", "network"], true),
        "WORKDIR" | "USER" => (&[], words == 1),
        // An array of strings, which are JSON.
        "ENTRYPOINT" | "CMD" => (&[], serde_json::from_str::<Vec<String>>(rest).is_ok()),
        _ => return Err(format!("{name} is no instruction")),
    };
    let unknown = flags
        .iter()
        .find(|(flag, _)| !allowed.contains(&flag.as_str()));
    match unknown {
        Some((flag, _)) => Err(format!("--{flag} does not belong to {name}")),
        None if !fits => Err(format!("{line} is not understood")),
        None => Ok(Instruction {
            name: name.to_owned(),
            flags,
            rest: rest.to_owned(),
        }),
    }
}

/// Checks what concerns more than one line: stages are named before they are used, and there is one to be in.
pub fn check(file: &[Instruction]) -> Result<(), String> {
    if file.first().is_none_or(|first| first.name != "FROM") {
        return Err("there is no FROM to begin with".into());
    }
    let mut stages = Vec::new();
    for instruction in file {
        if let Some((_, stage)) = instruction
            .rest
            .split_once(" AS ")
            .filter(|_| instruction.name == "FROM")
        {
            stages.push(stage);
        }
        let from = instruction.flags.iter().find(|(flag, _)| flag == "from");
        match from.map(|(_, from)| from.as_str()) {
            Some(from) if !stages.contains(&from) && !from.contains(['/', ':']) => {
                return Err(format!("there is no stage {from}"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The words of an instruction that is an array.
pub fn words(file: &[Instruction], name: &str) -> Vec<String> {
    let found = file.iter().rfind(|instruction| instruction.name == name);
    let found = found.unwrap_or_else(|| panic!("no {name}"));
    serde_json::from_str(&found.rest).expect("an array of strings")
}
