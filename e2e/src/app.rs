//! What the tests deploy: a page that needs no build, and an application that does.

use serde_json::{Value, json};
use switchyard_api::{GROUP, VERSION};

use crate::{ground::Ground, place::Place, process::feed};

/// The page's program; it runs on the image that the example application is built on.
const PAGE: &str = include_str!("page.py");

/// A Rollout of a page, with times that suit a test: blue goes as soon as it may.
pub struct Page {
    pub name: String,
    pub text: String,
    pub replicas: i32,
    pub healthy: bool,
    pub delay_ms: u32,
    pub leaves_at_once: bool,
    pub progress_deadline: String,
    pub scale_down_delay: String,
    pub drain: String,
}

impl Page {
    pub fn new(name: &str, text: &str) -> Self {
        Self {
            name: name.to_owned(),
            text: text.to_owned(),
            replicas: 1,
            healthy: true,
            delay_ms: 0,
            leaves_at_once: false,
            progress_deadline: "2m".to_owned(),
            scale_down_delay: "1s".to_owned(),
            drain: "3s".to_owned(),
        }
    }

    #[must_use]
    pub fn replicas(mut self, replicas: i32) -> Self {
        self.replicas = replicas;
        self
    }

    /// It starts, but its health check says no.
    #[must_use]
    pub fn unhealthy(mut self) -> Self {
        self.healthy = false;
        self
    }

    /// How long each answer takes.
    #[must_use]
    pub fn delay_ms(mut self, milliseconds: u32) -> Self {
        self.delay_ms = milliseconds;
        self
    }

    /// It has no manners: asked to end, it ends, in the middle of an answer; nor is there a hook that holds that up.
    #[must_use]
    pub fn leaves_at_once(mut self) -> Self {
        self.leaves_at_once = true;
        self
    }

    #[must_use]
    pub fn progress_deadline(mut self, duration: &str) -> Self {
        duration.clone_into(&mut self.progress_deadline);
        self
    }

    /// How long blue is kept after the switch, and then drained.
    #[must_use]
    pub fn blue_stays(mut self, scale_down_delay: &str, drain: &str) -> Self {
        scale_down_delay.clone_into(&mut self.scale_down_delay);
        drain.clone_into(&mut self.drain);
        self
    }

    pub fn rollout(&self, ground: &Ground) -> Value {
        self.rollout_of(ground.setting("IMAGE_BASE_PYTHON"))
    }

    /// The same of another image: where pods are only played, nothing of it runs.
    pub fn rollout_of(&self, image: &str) -> Value {
        let (leave, pre_stop) = if self.leaves_at_once { ("at once", "None") } else { ("", "Inject") };
        json!({
            "apiVersion": format!("{GROUP}/{VERSION}"), "kind": "Rollout",
            "metadata": {"name": self.name},
            "spec": {
                "replicas": self.replicas,
                "template": {"spec": {
                    "imagePullSecrets": [{"name": PULL}],
                    "terminationGracePeriodSeconds": 10,
                    "containers": [{
                        "name": "page", "image": image,
                        "command": ["python3", "-u", "-c", PAGE],
                        "env": [
                            {"name": "TEXT", "value": self.text},
                            {"name": "HEALTHY", "value": self.healthy.to_string()},
                            {"name": "DELAY_MS", "value": self.delay_ms.to_string()},
                            {"name": "LEAVE", "value": leave},
                            {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                        ],
                        "ports": [{"name": "http", "containerPort": 8080}],
                        // A share of the processor, or whatever is compiled beside it starves it.
                        "resources": {"requests": {"cpu": "50m"}},
                        "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}, "periodSeconds": 1},
                    }],
                }},
                "service": {"spec": {"ports": [{"name": "http", "port": 80, "targetPort": "http"}]}},
                "strategy": {"blueGreen": {"scaleDownDelay": self.scale_down_delay, "abortScaleDownDelay": "3s", "drain": {"duration": self.drain, "preStop": pre_stop}}},
                "progressDeadline": self.progress_deadline,
            },
        })
    }
}

/// Secrets that [`Place::equip`] makes.
pub const PULL: &str = "registry-pull";
pub const PUSH: &str = "registry-push";
pub const GIT: &str = "git-reader";

impl Place {
    /// The credential with which pods pull.
    pub async fn equip_to_pull(&self) {
        self.registry_secret(PULL, self.ground.setting("REGISTRY_PULL_AUTHFILE")).await;
    }

    /// All credentials, and the Role that lets the operator read those it must.
    pub async fn equip(&self) {
        self.equip_to_pull().await;
        self.registry_secret(PUSH, self.ground.setting("REGISTRY_PUSH_AUTHFILE")).await;
        let (user, password) = (self.ground.setting("GIT_READER_USER"), self.ground.setting("GIT_READER_PASSWORD"));
        self.git_secret(GIT, user, password).await;
        self.grant(&[GIT, PUSH]).await;
    }

    pub async fn git_secret(&self, name: &str, user: &str, password: &str) {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
            "type": "kubernetes.io/basic-auth", "stringData": {"username": user, "password": password}});
        self.apply(&secret).await.unwrap();
    }

    async fn registry_secret(&self, name: &str, file: &str) {
        self.dockerconfig_secret(name, &std::fs::read_to_string(file).unwrap()).await;
    }

    pub async fn dockerconfig_secret(&self, name: &str, config: &str) {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
            "type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": config}});
        self.apply(&secret).await.unwrap();
    }

    /// Lets the operator read these Secrets of this namespace, by name: the one Role that users apply.
    pub async fn grant(&self, secrets: &[&str]) {
        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": "switchyard-secrets"},
            "rules": [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": secrets, "verbs": ["get"]}]});
        let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "switchyard-secrets"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "switchyard-secrets"},
            "subjects": [{"kind": "ServiceAccount", "name": "switchyard", "namespace": crate::ground::SYSTEM}]});
        for object in [role, binding] {
            self.apply(&object).await.unwrap();
        }
    }

    /// Creates an object in trial only: what the API server would say.
    pub async fn would_accept(&self, object: &Value) -> Result<(), String> {
        let mut kubectl = self.kubectl(&["create", "--dry-run=server", "-f", "-"]);
        feed(&mut kubectl, &object.to_string()).await.map(drop).map_err(|e| e.to_string())
    }
}

/// An application that is built from source: files of a repository.
pub struct Source;

impl Source {
    /// Passes its test and serves `text`.
    pub fn good(ground: &Ground, text: &str) -> Vec<(&'static str, String)> {
        vec![
            ("page.py", PAGE.replace("\"page\"", &format!("{text:?}"))),
            ("test_page.py", format!("def test_text():\n    assert {text:?} in open('page.py').read()\n")),
            ("Dockerfile", Self::dockerfile(ground, "RUN python3 -m py_compile page.py")),
        ]
    }

    pub fn dockerfile(ground: &Ground, step: &str) -> String {
        let base = ground.setting("IMAGE_BASE_PYTHON");
        format!("FROM {base}\nWORKDIR /app\nCOPY page.py .\n{step}\nENTRYPOINT [\"python3\", \"-u\", \"page.py\"]\n")
    }
}

/// What a Build does with such a source. Each test pushes to a repository of its own: two that push the same commit at the
/// same time would move each other's tag.
fn recipe(place: &Place, name: &str) -> Value {
    let ground = &place.ground;
    json!({
        "imagePullSecrets": [{"name": PULL}],
        "checks": [{"name": "unit", "job": {
            "image": ground.setting("IMAGE_BASE_PYTHON"),
            "command": ["python3", "-m", "pytest", "-q", "-p", "no:cacheprovider"]}}],
        "images": [{
            "name": "web", "repository": format!("{}/{}/{name}", ground.setting("REGISTRY"), place.namespace),
            "secretRef": {"name": PUSH}}],
    })
}

/// A Rollout that runs what a Pipeline builds.
pub fn released_rollout(ground: &Ground, page: &Page, pipeline: &str) -> Value {
    let mut rollout = page.rollout(ground);
    rollout["spec"]["images"] = json!([{"containers": ["page"], "pipelineRef": {"name": pipeline}}]);
    let container = rollout["spec"]["template"]["spec"]["containers"][0].as_object_mut().unwrap();
    for written in ["image", "command"] {
        container.remove(written);
    }
    // What it says comes with the image.
    container["env"].as_array_mut().unwrap().retain(|variable| variable["name"] != "TEXT");
    rollout
}

/// A Pipeline of such a source into these Rollouts, each an environment of its own, in order.
pub fn pipeline(place: &Place, name: &str, url: &str, rollouts: &[&str]) -> Value {
    let environments: Vec<Value> =
        rollouts.iter().map(|rollout| json!({"name": rollout, "rolloutRefs": [{"name": rollout}]})).collect();
    json!({
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": "Pipeline",
        "metadata": {"name": name},
        "spec": {
            "source": {"git": {"url": url, "ref": {"branch": "main"}, "secretRef": {"name": GIT}, "interval": "2s"}},
            "build": recipe(place, name),
            "environments": environments,
        },
    })
}

/// A Build of one commit, as a person makes it.
pub fn build(place: &Place, name: &str, url: &str, commit: &str) -> Value {
    let mut spec = recipe(place, name);
    spec["source"] = json!({"git": {"url": url, "commit": commit, "branch": "main", "secretRef": {"name": GIT}}});
    json!({"apiVersion": format!("{GROUP}/{VERSION}"), "kind": "Build", "metadata": {"name": name}, "spec": spec})
}
