//! What runs on the source: a user's container and what it talks to, or the scanner of SonarQube and the judge of its
//! verdict.

use serde_json::{Value, json};
use switchyard_api::build::{CheckJob, CheckService, SonarQube};

use super::{
    container::{Container, Volume, option},
    pod::seconds,
    source::{SOURCE, source},
};
use crate::Settings;

/// What the scanner leaves for the judge. A volume of its own, so that nothing in the source can pass for it.
const SCANNER: &str = "/scanner";
/// Names the task on the server that computes the gate.
const TASK: &str = "/scanner/report-task.txt";
const TOKEN: &str = "/credentials/sonarqube";

/// How long a service may take until something listens on its port, in seconds: then it is started anew.
const START_SECONDS: i64 = 300;

/// The files belong to the user of `clone`, and Git refuses another's repository unless told.
fn git_trusts_the_source() -> Vec<Value> {
    vec![
        json!({"name": "GIT_CONFIG_COUNT", "value": "1"}),
        json!({"name": "GIT_CONFIG_KEY_0", "value": "safe.directory"}),
        json!({"name": "GIT_CONFIG_VALUE_0", "value": SOURCE}),
    ]
}

/// As the user wrote it: its command may use `$(NAME)` as in any container. It may be root, since most images are.
///
/// Architecture Invariant: what a user wrote as `env` and `envFrom` stands in this container and in [`service`] alone,
/// so a name that makes a program load code (`LD_PRELOAD`, `NODE_OPTIONS`) loads it where that user's code runs anyway.
pub fn user(check: &CheckJob) -> Container {
    let CheckJob { image, command, env, env_from, resources, services: _ } = check;
    let mut environment = git_trusts_the_source();
    environment.extend(env.iter().cloned());
    Container::new("check", image)
        .with("command", json!(command))
        .with("workingDir", json!(SOURCE))
        .with("env", json!(environment))
        .with("envFrom", json!(env_from))
        .with("resources", json!(resources))
        .with("securityContext", confined())
        .writes(&source(), SOURCE)
}

/// It may be root, but gains nothing by setuid, and cannot listen to what others in its pod say on the network.
fn confined() -> Value {
    json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["NET_RAW"]}})
}

/// Runs beside the check for as long as that does (a sidecar: an init container that is not waited for, but for its
/// start). It sees nothing of the source.
pub fn service(service: &CheckService) -> Container {
    let CheckService { name, image, command, env, resources, port } = service;
    let probe =
        port.map(|port| json!({"tcpSocket": {"port": port}, "periodSeconds": 1, "failureThreshold": START_SECONDS}));
    Container::new(&format!("service-{name}"), image)
        .with("restartPolicy", json!("Always"))
        .with("command", json!(command))
        .with("env", json!(env))
        .with("resources", json!(resources))
        .with("startupProbe", json!(probe))
        .with("securityContext", confined())
}

/// The scanner of SonarQube. The image's own entrypoint is passed by: it would put the token on the command line.
///
/// What stands in the source's `sonar-project.properties` counts as far as it is not said here: where the token is sent
/// to, which project it is, and where the name of the task is left.
pub fn scanner(sonar: &SonarQube, settings: &Settings) -> Container {
    let key = &sonar.token.secret_key_ref;
    let mut environment = git_trusts_the_source();
    environment.push(json!({"name": "SONAR_TOKEN", "valueFrom": {"secretKeyRef": {"name": key.name, "key": key.key}}}));
    let property = |name: &str, value: &str| option(&format!("-D{name}"), value);
    let mut args: Vec<String> = sonar.properties.iter().map(|p| property(&p.name, &p.value)).collect();
    args.extend([
        property("sonar.host.url", &sonar.url),
        property("sonar.projectKey", &sonar.project_key),
        property("sonar.projectBaseDir", SOURCE),
        property("sonar.working.directory", &format!("{SCANNER}/work")),
        property("sonar.scanner.metadataFilePath", TASK),
        // The judge waits: it says which condition is not met.
        property("sonar.qualitygate.wait", "false"),
    ]);
    Container::new("check", &settings.sonar_scanner_image)
        .with("command", json!(["sonar-scanner"]))
        .with("args", json!(args))
        .with("workingDir", json!(SOURCE))
        .with("env", json!(environment))
        .with("resources", json!(sonar.resources))
        .with("securityContext", json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}))
        .writes(&source(), SOURCE)
        .writes(&Volume::scratch("scanner"), SCANNER)
}

/// Asks the server what came of the scanner's report.
pub fn quality(sonar: &SonarQube, settings: &Settings) -> Container {
    let SonarQube { url, project_key, token, timeout, properties: _, resources: _ } = sonar;
    let args = [
        "quality".to_owned(),
        option("--url", url),
        option("--project", project_key),
        option("--task-file", TASK),
        option("--token-file", &format!("{TOKEN}/token")),
        format!("--timeout-seconds={}", seconds(*timeout)),
    ];
    Container::worker("quality", settings, &args)
        .reads(&Volume::scratch("scanner"), SCANNER)
        .reads(&Volume::key("sonarqube-token", &token.secret_key_ref, "token"), TOKEN)
}
