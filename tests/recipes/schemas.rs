//! What the published schemas say, as far as the recipes have to do with it: all keys of every object that occurs in
//! one, as none of them allows others, and the shape of every value that occurs.

use super::shape::Shape::{self, *};

const TEXTS: Shape = List(&Text);
const TEXT_OR_TEXTS: Shape = Either(&Text, &TEXTS);
const TEXT_OR_FLAG: Shape = Either(&Text, &Flag);
const SCALAR: Shape = Either(&TEXT_OR_FLAG, &Number(i64::MIN, i64::MAX));
const MINUTES: Shape = Number(1, 35 * 24 * 60);
/// A user or a group of Unix.
const ID: Shape = Number(0, u32::MAX as i64);

/// <https://json.schemastore.org/github-workflow.json>
pub const GITHUB: Shape = Keys(
    "on jobs",
    &[
        (
            "on",
            Either(&GITHUB_EVENT, &Either(&List(&GITHUB_EVENT), &GITHUB_EVENTS)),
        ),
        ("permissions", GITHUB_PERMISSIONS),
        ("concurrency", GITHUB_CONCURRENCY),
        ("env", Names(&SCALAR)),
        ("jobs", Names(&GITHUB_JOB)),
    ],
    "name run-name defaults",
);

const GITHUB_EVENT: Shape = Word(&[
    "pull_request",
    "push",
    "release",
    "schedule",
    "workflow_dispatch",
]);

const GITHUB_EVENTS: Shape = Keys(
    "",
    &[("push", GITHUB_REFS), ("pull_request", GITHUB_REFS)],
    "release schedule workflow_call workflow_dispatch workflow_run",
);

const GITHUB_REFS: Shape = Keys(
    "",
    &[
        ("branches", TEXTS),
        ("branches-ignore", TEXTS),
        ("paths", TEXTS),
        ("paths-ignore", TEXTS),
        ("tags", TEXTS),
        ("tags-ignore", TEXTS),
    ],
    "types",
);

const GITHUB_LEVEL: Shape = Word(&["read", "write", "none"]);

const GITHUB_PERMISSIONS: Shape = Either(
    &Word(&["read-all", "write-all"]),
    &Keys(
        "",
        &[
            ("actions", GITHUB_LEVEL),
            ("checks", GITHUB_LEVEL),
            ("contents", GITHUB_LEVEL),
            ("deployments", GITHUB_LEVEL),
            ("id-token", GITHUB_LEVEL),
            ("packages", GITHUB_LEVEL),
            ("pull-requests", GITHUB_LEVEL),
            ("statuses", GITHUB_LEVEL),
        ],
        "attestations discussions issues models pages repository-projects security-events",
    ),
);

const GITHUB_CONCURRENCY: Shape = Either(
    &Text,
    &Keys(
        "group",
        &[("group", Text), ("cancel-in-progress", TEXT_OR_FLAG)],
        "",
    ),
);

const GITHUB_JOB: Shape = Keys(
    "runs-on",
    &[
        (
            "runs-on",
            Either(&TEXT_OR_TEXTS, &Keys("", &[], "group labels")),
        ),
        (
            "container",
            Either(
                &Text,
                &Keys(
                    "image",
                    &[("image", Text)],
                    "credentials env ports volumes options",
                ),
            ),
        ),
        (
            "environment",
            Either(&Text, &Keys("name", &[("name", Text), ("url", Text)], "")),
        ),
        ("permissions", GITHUB_PERMISSIONS),
        ("concurrency", GITHUB_CONCURRENCY),
        ("timeout-minutes", MINUTES),
        ("env", Names(&SCALAR)),
        ("steps", List(&GITHUB_STEP)),
    ],
    "name needs outputs defaults if strategy continue-on-error services",
);

const GITHUB_STEP: Shape = ByKey(&[
    (
        "uses",
        Keys(
            "",
            &[
                ("uses", Text),
                ("with", Names(&SCALAR)),
                ("env", Names(&SCALAR)),
                ("timeout-minutes", MINUTES),
            ],
            "id if name continue-on-error",
        ),
    ),
    (
        "run",
        Keys(
            "",
            &[
                ("run", Text),
                ("env", Names(&SCALAR)),
                ("timeout-minutes", MINUTES),
                ("working-directory", Text),
            ],
            "id if name continue-on-error shell",
        ),
    ),
]);

/// <https://gitlab.com/gitlab-org/gitlab/-/raw/master/app/assets/javascripts/editor/schema/ci.json>
pub const GITLAB: Shape = KeysOrNames(
    &[
        ("after_script", TEXT_OR_TEXTS),
        ("before_script", TEXT_OR_TEXTS),
        ("cache", Anything),
        ("default", Anything),
        ("image", Anything),
        ("include", Anything),
        ("services", Anything),
        ("spec", Anything),
        ("stages", TEXTS),
        ("variables", Names(&Anything)),
        (
            "workflow",
            Keys("", &[("rules", List(&GITLAB_RULE))], "name auto_cancel"),
        ),
    ],
    &GITLAB_JOB,
);

const GITLAB_JOB: Shape = Keys(
    "script",
    &[
        ("after_script", TEXT_OR_TEXTS),
        ("before_script", TEXT_OR_TEXTS),
        (
            "environment",
            Either(
                &Text,
                &Keys(
                    "name",
                    &[("name", Text)],
                    "action auto_stop_in deployment_tier kubernetes on_stop url",
                ),
            ),
        ),
        (
            "image",
            Either(
                &Text,
                &Keys(
                    "name",
                    &[("name", Text)],
                    "docker entrypoint kubernetes pull_policy",
                ),
            ),
        ),
        ("interruptible", Flag),
        ("resource_group", Text),
        ("rules", List(&GITLAB_RULE)),
        ("script", TEXT_OR_TEXTS),
        ("stage", Text),
        ("tags", TEXTS),
        ("timeout", Text),
        ("variables", Names(&Anything)),
    ],
    "allow_failure artifacts cache coverage dast_configuration dependencies except extends hooks \
     id_tokens identity inherit manual_confirmation needs only pages parallel publish release \
     retry run secrets services start_in trigger when",
);

const GITLAB_RULE: Shape = Keys(
    "",
    &[
        ("if", Text),
        (
            "when",
            Word(&[
                "on_success",
                "on_failure",
                "always",
                "never",
                "manual",
                "delayed",
            ]),
        ),
    ],
    "allow_failure auto_cancel changes exists interruptible needs start_in variables",
);

/// <https://github.com/microsoft/azure-pipelines-vscode/blob/main/service-schema.json>: a pipeline of one job.
pub const AZURE: Shape = Keys(
    "steps",
    &[
        (
            "trigger",
            Either(&Word(&["none"]), &Either(&TEXTS, &AZURE_TRIGGER)),
        ),
        (
            "pr",
            Either(&Word(&["none"]), &Either(&TEXTS, &AZURE_TRIGGER)),
        ),
        (
            "pool",
            Either(
                &Text,
                &Keys("", &[("vmImage", Text), ("name", Text)], "demands"),
            ),
        ),
        (
            "container",
            Either(
                &Text,
                &Keys(
                    "image",
                    &[("image", Text)],
                    "endpoint env mapDockerSocket options ports volumes",
                ),
            ),
        ),
        ("variables", List(&AZURE_VARIABLE)),
        ("steps", List(&AZURE_STEP)),
    ],
    "appendCommitMessageToRunName continueOnError lockBehavior name parameters resources \
     schedules services strategy workspace",
);

const AZURE_TRIGGER: Shape = Keys(
    "",
    &[],
    "autoCancel batch branches drafts enabled paths tags",
);

const AZURE_VARIABLE: Shape = ByKey(&[
    ("group", Keys("", &[("group", Text)], "")),
    (
        "name",
        Keys(
            "name value",
            &[("name", Text), ("value", SCALAR), ("readonly", Flag)],
            "",
        ),
    ),
    ("template", Keys("", &[("template", Text)], "parameters")),
]);

const AZURE_STEP: Shape = ByKey(&[
    (
        "checkout",
        Keys(
            "",
            &[
                ("checkout", Text),
                ("persistCredentials", Flag),
                ("fetchDepth", Number(0, i64::MAX)),
                ("clean", Flag),
            ],
            "condition continueOnError displayName enabled env fetchFilter fetchTags lfs name \
             path retryCountOnTaskFailure sparseCheckoutDirectories sparseCheckoutPatterns \
             submodules target timeoutInMinutes workspaceRepo",
        ),
    ),
    (
        "script",
        Keys(
            "",
            &[
                ("script", Text),
                ("displayName", Text),
                ("env", Names(&Text)),
                ("failOnStderr", Flag),
                ("workingDirectory", Text),
            ],
            "condition continueOnError enabled name retryCountOnTaskFailure target \
             timeoutInMinutes",
        ),
    ),
]);

/// <https://github.com/compose-spec/compose-spec/blob/main/schema/compose-spec.json>
pub const COMPOSE: Shape = Keys(
    "",
    &[
        ("services", Names(&COMPOSE_SERVICE)),
        ("secrets", Names(&COMPOSE_SECRET)),
    ],
    "configs include models name networks version volumes",
);

const COMPOSE_SERVICE: Shape = Keys(
    "",
    &[
        ("cap_add", TEXTS),
        ("cap_drop", TEXTS),
        ("command", TEXT_OR_TEXTS),
        ("entrypoint", TEXT_OR_TEXTS),
        ("image", Text),
        ("init", TEXT_OR_FLAG),
        ("read_only", TEXT_OR_FLAG),
        ("restart", Text),
        (
            "secrets",
            List(&Either(&Text, &Keys("", &[], "gid mode source target uid"))),
        ),
        ("security_opt", TEXTS),
        ("stop_grace_period", Text),
        ("user", Text),
    ],
    "annotations attach blkio_config build cgroup cgroup_parent configs container_name cpu_count \
     cpu_percent cpu_period cpu_quota cpu_rt_period cpu_rt_runtime cpu_shares cpus cpuset \
     credential_spec depends_on deploy develop device_cgroup_rules devices dns dns_opt dns_search \
     domainname env_file environment expose extends external_links extra_hosts gpus group_add \
     healthcheck hostname ipc isolation label_file labels links logging mac_address mem_limit \
     mem_reservation mem_swappiness memswap_limit models network_mode networks oom_kill_disable \
     oom_score_adj pid pids_limit platform ports post_start pre_stop privileged profiles provider \
     pull_policy pull_refresh_after runtime scale shm_size stdin_open stop_signal storage_opt \
     sysctls tmpfs tty ulimits use_api_socket userns_mode uts volumes volumes_from working_dir",
);

const COMPOSE_SECRET: Shape = Keys(
    "",
    &[("environment", Text), ("file", Text), ("name", Text)],
    "driver driver_opts external labels template_driver",
);

/// `io.k8s.api.apps.v1.Deployment` of <https://github.com/kubernetes/kubernetes/tree/master/api/openapi-spec>.
pub const KUBERNETES: Shape = Keys(
    "apiVersion kind metadata spec",
    &[
        ("apiVersion", Word(&["apps/v1"])),
        ("kind", Word(&["Deployment"])),
        ("metadata", METADATA),
        (
            "spec",
            Keys(
                "selector template",
                &[
                    ("replicas", Number(0, i32::MAX as i64)),
                    (
                        "selector",
                        Keys("", &[("matchLabels", Names(&Text))], "matchExpressions"),
                    ),
                    (
                        "template",
                        Keys(
                            "metadata spec",
                            &[("metadata", METADATA), ("spec", POD)],
                            "",
                        ),
                    ),
                ],
                "minReadySeconds paused progressDeadlineSeconds revisionHistoryLimit strategy",
            ),
        ),
    ],
    "status",
);

const METADATA: Shape = Keys(
    "",
    &[
        ("name", Text),
        ("namespace", Text),
        ("labels", Names(&Text)),
        ("annotations", Names(&Text)),
    ],
    "finalizers generateName",
);

const POD: Shape = Keys(
    "containers",
    &[
        ("automountServiceAccountToken", Flag),
        ("containers", List(&CONTAINER)),
        ("initContainers", List(&CONTAINER)),
        ("securityContext", POD_SECURITY),
        ("terminationGracePeriodSeconds", Number(0, i64::MAX)),
        ("volumes", List(&VOLUME)),
    ],
    "activeDeadlineSeconds affinity dnsConfig dnsPolicy enableServiceLinks ephemeralContainers \
     hostAliases hostIPC hostNetwork hostPID hostUsers hostname hostnameOverride imagePullSecrets \
     nodeName nodeSelector os overhead preemptionPolicy priority priorityClassName readinessGates \
     resourceClaims resources restartPolicy runtimeClassName schedulerName schedulingGates \
     serviceAccount serviceAccountName setHostnameAsFQDN shareProcessNamespace subdomain \
     tolerations topologySpreadConstraints",
);

const POD_SECURITY: Shape = Keys(
    "",
    &[
        ("fsGroup", ID),
        ("runAsGroup", ID),
        ("runAsNonRoot", Flag),
        ("runAsUser", ID),
        ("seccompProfile", SECCOMP),
    ],
    "appArmorProfile fsGroupChangePolicy seLinuxChangePolicy seLinuxOptions supplementalGroups \
     supplementalGroupsPolicy sysctls windowsOptions",
);

const SECCOMP: Shape = Keys(
    "type",
    &[
        ("type", Word(&["Localhost", "RuntimeDefault", "Unconfined"])),
        ("localhostProfile", Text),
    ],
    "",
);

const CONTAINER: Shape = Keys(
    "name",
    &[
        ("args", TEXTS),
        ("command", TEXTS),
        ("image", Text),
        ("name", Text),
        (
            "securityContext",
            Keys(
                "",
                &[
                    ("allowPrivilegeEscalation", Flag),
                    (
                        "capabilities",
                        Keys("", &[("add", TEXTS), ("drop", TEXTS)], ""),
                    ),
                    ("privileged", Flag),
                    ("readOnlyRootFilesystem", Flag),
                    ("runAsGroup", ID),
                    ("runAsNonRoot", Flag),
                    ("runAsUser", ID),
                    ("seccompProfile", SECCOMP),
                ],
                "appArmorProfile procMount seLinuxOptions windowsOptions",
            ),
        ),
        (
            "volumeMounts",
            List(&Keys(
                "mountPath name",
                &[("mountPath", Text), ("name", Text), ("readOnly", Flag)],
                "mountPropagation recursiveReadOnly subPath subPathExpr",
            )),
        ),
    ],
    "env envFrom imagePullPolicy lifecycle livenessProbe ports readinessProbe resizePolicy \
     resources restartPolicy startupProbe stdin stdinOnce terminationMessagePath \
     terminationMessagePolicy tty volumeDevices workingDir",
);

const VOLUME: Shape = Keys(
    "name",
    &[
        ("name", Text),
        (
            "secret",
            Keys(
                "",
                &[
                    ("secretName", Text),
                    ("defaultMode", Number(0, 0o777)),
                    ("optional", Flag),
                ],
                "items",
            ),
        ),
    ],
    "configMap csi downwardAPI emptyDir ephemeral hostPath image nfs persistentVolumeClaim \
     projected",
);
