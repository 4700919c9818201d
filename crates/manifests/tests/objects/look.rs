//! Looks into the Job of a build step.

use std::collections::BTreeSet;

use serde_json::Value;

use super::build_jobs;

pub fn job(name: &str) -> Value {
    build_jobs().into_iter().find(|(n, _)| *n == name).map(|(_, body)| body).unwrap()
}

pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

pub fn containers(job: &Value) -> Vec<&Value> {
    let spec = &job["spec"]["template"]["spec"];
    list(&spec["initContainers"]).iter().chain(list(&spec["containers"])).collect()
}

pub fn container<'a>(job: &'a Value, name: &str) -> &'a Value {
    containers(job).into_iter().find(|c| c["name"] == name).unwrap_or_else(|| panic!("no container {name}"))
}

pub fn args(job: &Value, name: &str) -> Vec<String> {
    list(&container(job, name)["args"]).iter().map(|a| text(a).to_owned()).collect()
}

/// Every Secret that is named anywhere below.
pub fn secrets(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (key, below) in members {
                let name = match key.as_str() {
                    "secretKeyRef" | "secretRef" => below["name"].as_str(),
                    // As a volume, and as a part of one.
                    "secret" => below["secretName"].as_str().or_else(|| below["name"].as_str()),
                    _ => None,
                };
                found.extend(name.map(str::to_owned));
                secrets(below, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| secrets(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What these say is in the golden files, and is no secret.
const OURS: [&str; 2] = ["GIT_CONFIG_", "TRIVY_"];

/// One line for each container: its volumes (`+` it may write), the names in its environment, and the Secrets that it
/// sees by either.
pub fn held(job: &Value) -> Vec<String> {
    let volumes = list(&job["spec"]["template"]["spec"]["volumes"]);
    let line = |container: &&Value| {
        let mounts = list(&container["volumeMounts"]);
        let mut seen = BTreeSet::new();
        for mount in mounts {
            secrets(volumes.iter().find(|v| v["name"] == mount["name"]).unwrap(), &mut seen);
        }
        for field in ["env", "envFrom"] {
            secrets(&container[field], &mut seen);
        }
        let mounted = mounts.iter().map(|m| {
            let file = m["subPath"].as_str().map(|file| format!("/{file}")).unwrap_or_default();
            format!("{}{}{file}", if m["readOnly"] == true { "" } else { "+" }, text(&m["name"]))
        });
        let environment = list(&container["env"])
            .iter()
            .map(|e| text(&e["name"]))
            .filter(|n| !OURS.iter().any(|ours| n.starts_with(ours)));
        let words = |words: Vec<String>| words.join(" ");
        format!(
            "{}: {} | {} | {}",
            text(&container["name"]),
            words(mounted.collect()),
            words(environment.map(str::to_owned).collect()),
            words(seen.into_iter().collect()),
        )
        .replace("  ", " ")
    };
    containers(job).iter().map(line).collect()
}
