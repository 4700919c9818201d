//! Values of Secrets that a test knows, and the search for them wherever they must not be.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::Value;

use crate::{
    ground::SYSTEM,
    place::{Place, suffix},
    process::run,
};

/// The value of a Secret, by a name for people, in each form in which it could be written down.
#[derive(Clone, Debug)]
pub struct Known {
    pub name: &'static str,
    forms: Vec<String>,
}

impl Known {
    pub fn value(name: &'static str, value: &str) -> Self {
        Self { name, forms: vec![value.to_owned(), base64(value)] }
    }

    /// A password, which also goes over the network with its user in front.
    pub fn password(name: &'static str, user: &str, password: &str) -> Self {
        let mut known = Self::value(name, password);
        known.forms.push(base64(&format!("{user}:{password}")));
        known
    }

    /// A new one, which nobody else has.
    pub fn random(name: &'static str) -> Self {
        Self::value(name, &format!("{}{}{}", suffix(), suffix(), suffix()))
    }

    pub fn plain(&self) -> &str {
        &self.forms[0]
    }

    pub fn is_in(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        self.forms.iter().any(|form| text.contains(&form.to_lowercase()))
    }
}

/// Somewhere that was searched, and what was found there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub place: String,
    pub known: &'static str,
}

/// Everything of a namespace but its Secrets: objects with their statuses and annotations, Events, what containers said on
/// ending, the logs of our own containers, the operator's log, and all that lies in the registry under the namespace's
/// name. How many places those are, and where which value was found.
pub async fn search(place: &Place, known: &[Known]) -> Result<(usize, BTreeSet<Finding>)> {
    let mut texts = objects(place).await?;
    texts.extend(logs(place).await?);
    let mut found = BTreeSet::new();
    for (place, text) in &texts {
        let here = known.iter().filter(|k| k.is_in(text)).map(|k| Finding { place: place.clone(), known: k.name });
        found.extend(here);
    }
    let blobs = blobs(place).await?;
    for (name, path) in &blobs {
        for value in known {
            if is_in_blob(place, value, path).await? {
                found.insert(Finding { place: name.clone(), known: value.name });
            }
        }
    }
    Ok((texts.len() + blobs.len(), found))
}

const KINDS: [&str; 8] = [
    "/api/v1/namespaces/{}/pods",
    "/api/v1/namespaces/{}/events",
    "/api/v1/namespaces/{}/configmaps",
    "/apis/batch/v1/namespaces/{}/jobs",
    "/apis/switchyard.dev/v1alpha1/namespaces/{}/builds",
    "/apis/switchyard.dev/v1alpha1/namespaces/{}/pipelines",
    "/apis/switchyard.dev/v1alpha1/namespaces/{}/rollouts",
    "/apis/switchyard.dev/v1alpha1/namespaces/{}/commands",
];

async fn objects(place: &Place) -> Result<Vec<(String, String)>> {
    let mut texts = vec![];
    for path in KINDS {
        let list = place.get(&path.replace("{}", &place.namespace)).await?;
        let kind = path.rsplit('/').next().unwrap_or_default();
        for object in list["items"].as_array().into_iter().flatten() {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            texts.push((format!("{kind}/{name}"), object.to_string()));
        }
    }
    Ok(texts)
}

/// The containers in which somebody else's program ran say what they like.
const THEIRS: [&str; 3] = ["check", "build", "scan"];

async fn logs(place: &Place) -> Result<Vec<(String, String)>> {
    let operator = ["-n", SYSTEM, "logs", "deployment/switchyard", "--tail=-1"];
    let mut texts = vec![("the operator's log".to_owned(), run(&mut place.ground.kubectl(&operator)).await?)];
    let pods = place.get(&format!("/api/v1/namespaces/{}/pods", place.namespace)).await?;
    for pod in pods["items"].as_array().into_iter().flatten() {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let of = |list: &str| pod["spec"][list].as_array().cloned().unwrap_or_default();
        let is_ours = pod["metadata"]["labels"]["switchyard.dev/build"].is_string();
        for container in of("initContainers").into_iter().chain(of("containers")).filter(|_| is_ours) {
            let container = container["name"].as_str().unwrap_or_default().to_owned();
            if !THEIRS.contains(&container.as_str()) && !container.starts_with("service-") {
                texts.push((format!("log of {name}/{container}"), log(place, name, &container).await));
            }
        }
    }
    Ok(texts)
}

/// What a container said; nothing if it never ran.
pub async fn log(place: &Place, pod: &str, container: &str) -> String {
    run(&mut place.kubectl(&["logs", pod, "--container", container, "--tail=-1"])).await.unwrap_or_default()
}

/// Each blob that the registry keeps for a repository of this namespace, tagged or not, where it lies.
async fn blobs(place: &Place) -> Result<BTreeSet<(String, String)>> {
    let root = format!("{}/forge/registry/docker/registry/v2", place.ground.setting("STATE"));
    let repositories = format!("{root}/repositories/{}", place.namespace);
    if !std::path::Path::new(&repositories).is_dir() {
        return Ok(BTreeSet::new());
    }
    let links = ["-type", "f", "-name", "link", "-exec", "cat", "{}", ";", "-printf", "\n"];
    let links = run(place.ground.command("find").arg(&repositories).args(links)).await?;
    let digests = links.split_whitespace().filter_map(|link| link.strip_prefix("sha256:"));
    Ok(digests.map(|d| (format!("blob {}", &d[..12]), format!("{root}/blobs/sha256/{}/{d}/data", &d[..2]))).collect())
}

/// In a blob as it is, or in what it is packed of. The value goes through the environment, for arguments are for
/// everybody to read.
async fn is_in_blob(place: &Place, known: &Known, path: &str) -> Result<bool> {
    let script = r#"zcat --force -- "$1" | LC_ALL=C grep --quiet --text --ignore-case --fixed-strings --file=<(printf '%s\n' "$FORMS") && echo found || true"#;
    let mut search = place.ground.command("bash");
    search.args(["-c", script, "search", path]).env("FORMS", known.forms.join("\n"));
    Ok(run(&mut search).await?.trim() == "found")
}

fn base64(text: &str) -> String {
    let bytes = k8s_openapi::ByteString(text.as_bytes().to_vec());
    serde_json::to_value(bytes).ok().and_then(|v: Value| v.as_str().map(str::to_owned)).expect("bytes are a string")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_known_in_each_of_its_forms() {
        let known = Known::password("git", "reader", "hunter2");
        for text in ["url = http://reader:hunter2@host/", "HUNTER2", "aHVudGVyMg==", "Basic cmVhZGVyOmh1bnRlcjI="] {
            assert!(known.is_in(text), "{text}");
        }
        assert!(!known.is_in("reader:hunter3"));
        assert_eq!(known.plain(), "hunter2");
    }
}
