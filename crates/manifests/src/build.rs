//! What a Build owns: one Job for each attempt at a step.
//!
//! A pod runs what a stranger may have written, a Dockerfile or a test, so each of its containers holds only what it
//! needs:
//!
//! | container | image    | credential          | volumes                                   |
//! |-----------|----------|---------------------|-------------------------------------------|
//! | `clone`   | worker   | Git                 | `/src`, `/steps`                          |
//! | `build`   | Kaniko   | to pull base images | `/src` read-only, `/out`                  |
//! | `push`    | worker   | to push             | `/out` and `/steps`, read-only            |
//! | `check`   | the user's | what its `env` names | `/src`                                 |
//!
//! A line of a Dockerfile reads whatever Kaniko can, hence the container of its own that pushes.

use std::fmt;

use serde_json::{Value, json};
use switchyard_api::{
    Build,
    build::{Check, CheckJob, Dockerfile, Image},
    names,
};

use crate::{
    Settings,
    pod::{
        LAYOUT, SOURCE, STEPS, Sharing, clone, clone_volumes, job, literal, mount, pod, read_only, registry_credential,
        scratch, set_unless_empty, worker,
    },
};

/// Where Kaniko looks for the credential of base images.
const KANIKO_DOCKER_CONFIG: &str = "/kaniko/.docker";
const PUSH_CREDENTIAL: &str = "/credentials/registry";
const DOCKER_CONFIG_JSON: &str = ".dockerconfigjson";

/// One step of a Build. Shown as in status and annotations: `check/unit`, `image/web`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    Check(&'a str),
    Image(&'a str),
}

impl Step<'_> {
    fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Check(name) => ("check", name),
            Self::Image(name) => ("image", name),
        }
    }

    /// The same for the same attempt, always: a crash at any point creates no second Job.
    pub fn job_name(&self, build: &str, attempt: i32) -> String {
        let (kind, name) = self.parts();
        names::child(&[build, kind, name, &attempt.to_string()])
    }
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = self.parts();
        write!(f, "{kind}/{name}")
    }
}

/// Fetches the source and runs the user's container in it.
pub fn check_job(build: &Build, check: &Check, attempt: i32, settings: &Settings) -> Value {
    let clone = clone(build, settings, Sharing::Write);
    let pod = pod(build, settings, Sharing::Write, &[clone], &user_container(&check.job), &clone_volumes(build));
    job(build, Step::Check(&check.name), attempt, &pod)
}

/// Fetches the source, builds one image from it and pushes it.
pub fn image_job(build: &Build, image: &Image, attempt: i32, settings: &Settings) -> Value {
    let mut volumes = clone_volumes(build);
    volumes.push(scratch("out"));
    if let Some(secret) = build.spec.recipe.image_pull_secrets.first() {
        volumes.push(registry_credential("pull-credential", secret, "config.json"));
    }
    if let Some(secret) = &image.secret_ref {
        volumes.push(registry_credential("push-credential", secret, DOCKER_CONFIG_JSON));
    }
    let init_containers = [clone(build, settings, Sharing::Read), kaniko(build, &image.dockerfile, settings)];
    let pod = pod(build, settings, Sharing::Read, &init_containers, &push(build, image, settings), &volumes);
    job(build, Step::Image(&image.name), attempt, &pod)
}

/// As the user wrote it: its command may use `$(NAME)` as in any container. It may be root, since most images are, but
/// gains nothing by setuid.
fn user_container(check: &CheckJob) -> Value {
    let CheckJob { image, command, env, env_from, resources } = check;
    // The files belong to the user of `clone`, and Git refuses another's repository unless told.
    let mut environment = vec![
        json!({"name": "GIT_CONFIG_COUNT", "value": "1"}),
        json!({"name": "GIT_CONFIG_KEY_0", "value": "safe.directory"}),
        json!({"name": "GIT_CONFIG_VALUE_0", "value": SOURCE}),
    ];
    environment.extend(env.iter().cloned());
    let mut container = json!({
        "name": "check",
        "image": image,
        "command": command,
        "workingDir": SOURCE,
        "env": environment,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {"allowPrivilegeEscalation": false},
        "volumeMounts": [mount("src", SOURCE)],
    });
    set_unless_empty(&mut container, "envFrom", json!(env_from));
    set_unless_empty(&mut container, "resources", json!(resources));
    container
}

/// Kaniko's executor: builds into `/out` and can push nowhere.
///
/// It unpacks base images over its own root with their owners and modes: hence uid 0 and these capabilities, which the
/// Pod Security level `baseline` admits.
fn kaniko(build: &Build, dockerfile: &Dockerfile, settings: &Settings) -> Value {
    let Dockerfile { path, context, target, args } = dockerfile;
    let context = if context == "." { SOURCE.to_owned() } else { format!("{SOURCE}/{context}") };
    let mut arguments = vec![
        format!("--context=dir://{}", literal(&context)),
        format!("--dockerfile={SOURCE}/{}", literal(path)),
        "--no-push".to_owned(),
        format!("--oci-layout-path={LAYOUT}"),
        // The helpers of three clouds look for credentials on the network, which takes long where there are none.
        "--credential-helpers=".to_owned(),
        // Mounted by kind; it can be neither removed nor copied.
        "--ignore-path=/product_uuid".to_owned(),
        // The last lines become the message of a failure: without colours.
        "--log-format=text".to_owned(),
    ];
    arguments.extend(target.iter().map(|stage| format!("--target={}", literal(stage))));
    arguments.extend(args.iter().map(|arg| format!("--build-arg={}={}", arg.name, literal(&arg.value))));
    arguments.extend(settings.insecure_registries.iter().map(|host| format!("--insecure-registry={host}")));
    let mut mounts = vec![read_only("src", SOURCE), mount("out", LAYOUT)];
    if !build.spec.recipe.image_pull_secrets.is_empty() {
        mounts.push(read_only("pull-credential", KANIKO_DOCKER_CONFIG));
    }
    let mut container = json!({
        "name": "build",
        "image": settings.kaniko_image,
        "args": arguments,
        "env": [{"name": "DOCKER_CONFIG", "value": KANIKO_DOCKER_CONFIG}],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "runAsUser": 0,
            "runAsGroup": 0,
            "allowPrivilegeEscalation": false,
            "capabilities": {
                "drop": ["ALL"],
                "add": ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID", "SETFCAP", "KILL"],
            },
        },
        "volumeMounts": mounts,
    });
    set_unless_empty(&mut container, "resources", json!(build.spec.recipe.pod.resources));
    container
}

/// Pushes the layout under its tags; the only container that sees the push credential.
///
/// Kaniko leaves layers that only their owner may read (it writes them by Go's `os.CreateTemp`), and it is uid 0: so is
/// this, without any of root's capabilities.
fn push(build: &Build, image: &Image, settings: &Settings) -> Value {
    let mut args = ["push", "--layout", LAYOUT, "--repository"].map(str::to_owned).to_vec();
    args.push(literal(&image.repository));
    for tag in tags(build, image) {
        args.extend(["--tag".to_owned(), literal(&tag)]);
    }
    args.extend(["--steps".to_owned(), STEPS.to_owned()]);
    let mut mounts = vec![read_only("out", LAYOUT), read_only("steps", STEPS)];
    if image.secret_ref.is_some() {
        args.extend(["--credentials".to_owned(), format!("{PUSH_CREDENTIAL}/{DOCKER_CONFIG_JSON}")]);
        mounts.push(read_only("push-credential", PUSH_CREDENTIAL));
    }
    for host in &settings.insecure_registries {
        args.extend(["--insecure-registry".to_owned(), host.clone()]);
    }
    worker("push", settings, 0, &json!(["switchyard-worker"]), &args, &mounts)
}

/// The tags as written, or the default: `$(version)` if there is a rule for it, and `$(branch)-$(short)`.
fn tags(build: &Build, image: &Image) -> Vec<String> {
    if !image.tags.is_empty() {
        return image.tags.clone();
    }
    let version = build.spec.recipe.version.as_ref().map(|_| "$(version)".to_owned());
    version.into_iter().chain(["$(branch)-$(short)".to_owned()]).collect()
}
