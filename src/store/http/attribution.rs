//! Who asks the service: the User-Agent with what a CI runner, Kubernetes or systemd publishes about the process, so
//! that the service's log tells which pipeline read what.

#![forbid(unsafe_code)]

/// The product alone.
pub const PRODUCT: &str = concat!("dotenv-run/", env!("CARGO_PKG_VERSION"));

/// The longest User-Agent in bytes.
const MAX_AGENT: usize = 256;

/// The longest part of it in bytes.
const MAX_FIELD: usize = 64;

/// What is around the process, read by name; what is missing or not UTF-8 is `None`.
pub struct Surroundings<'a> {
    /// A variable of the environment that the process was started with.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// The content of a file.
    pub file: &'a dyn Fn(&str) -> Option<String>,
}

/// A CI system: the variable that says it is there, its name, and what is told, each with the word in front and the
/// variables that it is made of.
struct System {
    mark: &'static str,
    name: &'static str,
    fields: [(&'static str, &'static [&'static str]); 3],
}

/// Every CI system. None of these variables is a secret.
const SYSTEMS: [System; 6] = [
    System {
        mark: "GITHUB_ACTIONS",
        name: "github-actions",
        fields: [
            ("", &["GITHUB_REPOSITORY"]),
            ("run ", &["GITHUB_RUN_ID"]),
            ("job ", &["GITHUB_JOB"]),
        ],
    },
    System {
        mark: "GITLAB_CI",
        name: "gitlab-ci",
        fields: [
            ("", &["CI_PROJECT_PATH"]),
            ("pipeline ", &["CI_PIPELINE_ID"]),
            ("job ", &["CI_JOB_NAME"]),
        ],
    },
    System {
        mark: "TF_BUILD",
        name: "azure-pipelines",
        fields: [
            ("", &["SYSTEM_TEAMPROJECT", "BUILD_DEFINITIONNAME"]),
            ("run ", &["BUILD_BUILDID"]),
            ("job ", &["SYSTEM_JOBNAME"]),
        ],
    },
    System {
        mark: "CIRCLECI",
        name: "circleci",
        fields: [
            ("", &["CIRCLE_PROJECT_USERNAME", "CIRCLE_PROJECT_REPONAME"]),
            ("build ", &["CIRCLE_BUILD_NUM"]),
            ("job ", &["CIRCLE_JOB"]),
        ],
    },
    System {
        mark: "BUILDKITE",
        name: "buildkite",
        fields: [
            (
                "",
                &["BUILDKITE_ORGANIZATION_SLUG", "BUILDKITE_PIPELINE_SLUG"],
            ),
            ("build ", &["BUILDKITE_BUILD_NUMBER"]),
            ("job ", &["BUILDKITE_LABEL"]),
        ],
    },
    System {
        mark: "JENKINS_URL",
        name: "jenkins",
        fields: [
            ("", &["JOB_NAME"]),
            ("build ", &["BUILD_NUMBER"]),
            ("stage ", &["STAGE_NAME"]),
        ],
    },
];

/// Where a pod finds the namespace that it is in.
const NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// The User-Agent of a process in these surroundings.
pub fn user_agent(around: &Surroundings<'_>) -> String {
    let fields = ci(around)
        .or_else(|| kubernetes(around))
        .or_else(|| systemd(around))
        .unwrap_or_default();
    let mut comment = String::new();
    for field in fields {
        let separator = if comment.is_empty() { "" } else { "; " };
        let added = separator.len() + field.len();
        if PRODUCT.len() + " ()".len() + comment.len() + added <= MAX_AGENT {
            comment.extend([separator, &field]);
        }
    }
    if comment.is_empty() {
        PRODUCT.to_owned()
    } else {
        format!("{PRODUCT} ({comment})")
    }
}

fn ci(around: &Surroundings<'_>) -> Option<Vec<String>> {
    let is_marked = |system: &&System| {
        (around.variable)(system.mark).is_some_and(|value| !matches!(&*value, "" | "false"))
    };
    let system = SYSTEMS.iter().find(is_marked)?;
    let fields = system.fields.iter().filter_map(|(word, variables)| {
        let parts: Option<Vec<_>> = variables
            .iter()
            .map(|name| (around.variable)(name))
            .collect();
        field(word, &parts?.join("/"))
    });
    Some([system.name.to_owned()].into_iter().chain(fields).collect())
}

fn kubernetes(around: &Surroundings<'_>) -> Option<Vec<String>> {
    (around.variable)("KUBERNETES_SERVICE_HOST")?;
    let namespace = (around.file)(NAMESPACE).and_then(|name| field("namespace ", &name));
    let pod = (around.variable)("HOSTNAME").and_then(|name| field("pod ", &name));
    Some(
        ["kubernetes".to_owned()]
            .into_iter()
            .chain(namespace)
            .chain(pod)
            .collect(),
    )
}

/// The innermost service of the control group: `0::/system.slice/my-app.service`.
fn systemd(around: &Surroundings<'_>) -> Option<Vec<String>> {
    (around.variable)("INVOCATION_ID")?;
    let groups = (around.file)("/proc/self/cgroup")?;
    // The unified hierarchy, or systemd's own beside those of version 1 (cgroups(7)).
    let unit = ["0::", ":name=systemd:"].iter().find_map(|hierarchy| {
        let line = groups.lines().find(|line| line.contains(hierarchy))?;
        line.rsplit('/').find(|part| part.ends_with(".service"))
    });
    let unit = unit?;
    Some(vec!["systemd".to_owned(), field("unit ", unit)?])
}

/// A part of a comment in a header: printable ASCII without what ends or splits it, and not longer than it may be.
fn field(word: &str, value: &str) -> Option<String> {
    let plain = |character: char| match character {
        '(' | ')' | ';' | '\\' | '"' => '_',
        ' '..='~' => character,
        _ => '_',
    };
    let value: String = value.trim().chars().map(plain).take(MAX_FIELD).collect();
    (!value.is_empty()).then(|| format!("{word}{value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(variables: &[(&str, &str)], files: &[(&str, &str)]) -> String {
        let look_up = |pairs: &[(&str, &str)], name: &str| {
            let pair = pairs.iter().find(|(known, _)| *known == name);
            pair.map(|(_, value)| (*value).to_owned())
        };
        user_agent(&Surroundings {
            variable: &|name| look_up(variables, name),
            file: &|name| look_up(files, name),
        })
    }

    #[test]
    fn what_ends_a_comment_or_a_header_is_replaced() {
        let hostile = "a) Bearer (b; c\\\"\r\nX-Evil: 1\u{e9}\0\u{7f}";
        let agent = agent(&[("GITHUB_ACTIONS", "true"), ("GITHUB_JOB", hostile)], &[]);
        let expected = "(github-actions; job a_ Bearer _b_ c____X-Evil: 1___)";
        assert_eq!(agent, format!("{PRODUCT} {expected}"));
    }

    #[test]
    fn each_field_and_the_whole_are_bounded() {
        let long = "x".repeat(10_000);
        let names = ["GITHUB_REPOSITORY", "GITHUB_RUN_ID", "GITHUB_JOB"];
        let mut variables: Vec<_> = names.map(|name| (name, long.as_str())).into();
        variables.push(("GITHUB_ACTIONS", "true"));
        let agent = agent(&variables, &[]);
        let x = "x".repeat(64);
        assert_eq!(
            agent,
            format!("{PRODUCT} (github-actions; {x}; run {x}; job {x})")
        );
        assert!(agent.len() <= 256);
    }

    #[test]
    fn only_the_innermost_service_is_the_unit() {
        let group =
            "1:name=systemd:/x.service\n0::/user.slice/user@7.service/app.slice/a.service/b\n";
        let agent = agent(&[("INVOCATION_ID", "x")], &[("/proc/self/cgroup", group)]);
        assert_eq!(agent, format!("{PRODUCT} (systemd; unit a.service)"));
    }

    #[test]
    fn nothing_around_leaves_the_product_alone() {
        assert_eq!(agent(&[], &[]), PRODUCT);
        assert_eq!(agent(&[("GITHUB_ACTIONS", "false")], &[]), PRODUCT);
        assert_eq!(agent(&[("INVOCATION_ID", "x")], &[]), PRODUCT);
    }
}
