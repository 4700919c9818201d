//! The gate of a real SonarQube, by a real scan. `make test-all` makes the image of both and runs this; what else a server
//! may answer is in `quality.rs`, of one that stands in for it.

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use switchyard_api::build::Class::{Infrastructure, Policy, User};
use switchyard_e2e::{
    app::PULL,
    forge::Repository,
    hosted::{Hosted, Setup, without_the_installed_one},
    place::{Place, in_a_namespace},
    process::feed,
    proxy::Plan,
    rows::{Row, path, row, run},
};

/// The user that a new server has, and the password.
const ADMIN: &str = "admin:admin";
/// The gate of this test: a source without a finding.
const GATE: &str = "no-finding";

/// A server in a pod of its own, asked as its administrator.
struct Server<'a> {
    place: &'a Place,
    /// From this machine.
    address: String,
    /// From pods.
    url: String,
}

impl<'a> Server<'a> {
    /// Its database is H2, and goes with the pod.
    async fn start(place: &'a Place) -> Self {
        let labels = json!({"app": "sonarqube"});
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "sonarqube", "labels": labels},
        "spec": {
            "imagePullSecrets": [{"name": PULL}], "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": false, "enableServiceLinks": false,
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "sonarqube", "image": place.ground.setting("IMAGE_SONARQUBE"),
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                "resources": {"requests": {"memory": "2Gi"}, "limits": {"memory": "4Gi"}},
                "readinessProbe": {"httpGet": {"path": "/api/system/status", "port": 9000}, "periodSeconds": 1}}],
        }});
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "sonarqube"},
            "spec": {"selector": labels, "ports": [{"port": 9000}]}});
        for object in [pod, service] {
            place.apply(&object).await.unwrap();
        }
        let address = format!("http://{}", place.address_of("sonarqube").await);
        let url = format!("http://sonarqube.{}.svc:9000", place.namespace);
        let server = Self { place, address, url };
        let started = async || (server.ask("GET", "system/status", &[]).await.ok()?["status"] == "UP").then_some(());
        let ended = async || {
            let status = place.find::<Pod>("sonarqube").await?.status?;
            matches!(status.phase.as_deref(), Some("Failed")).then_some(())
        };
        place
            .until("SonarQube is up", 400, async || {
                assert!(ended().await.is_none(), "it ended: {}", server.log().await);
                started().await
            })
            .await;
        server
    }

    async fn log(&self) -> String {
        let mut kubectl = self.place.kubectl(&["logs", "sonarqube", "--tail=60"]);
        feed(&mut kubectl, "").await.unwrap_or_else(|error| error.to_string())
    }

    /// Of its web API.
    async fn ask(&self, method: &str, path: &str, parameters: &[(&str, &str)]) -> anyhow::Result<Value> {
        let mut curl = self.place.ground.command("curl");
        curl.args(["--silent", "--show-error", "--fail-with-body", "--max-time", "30", "--noproxy", "*"]);
        curl.args(["--config", "-", "--request", method, &format!("{}/api/{path}", self.address)]);
        for (name, value) in parameters {
            curl.args(["--data-urlencode", &format!("{name}={value}")]);
        }
        let said = feed(&mut curl, &format!("user = \"{ADMIN}\"\n")).await?;
        Ok(if said.is_empty() { Value::Null } else { serde_json::from_str(&said)? })
    }

    async fn tell(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        self.ask("POST", path, parameters).await.unwrap()
    }

    /// A project under our gate, and a token that is good for nothing else.
    async fn project(&self, key: &str) -> String {
        self.tell("projects/create", &[("project", key), ("name", key)]).await;
        self.tell("qualitygates/select", &[("projectKey", key), ("gateName", GATE)]).await;
        let token = [("name", key), ("type", "PROJECT_ANALYSIS_TOKEN"), ("projectKey", key)];
        self.tell("user_tokens/generate", &token).await["token"].as_str().unwrap().to_owned()
    }
}

/// A Build of one page, gated by the project of its name.
async fn gated(server: &Server<'_>, name: &'static str, page: &str, url: &str, token: &str) -> Row {
    let place = server.place;
    let repository = Repository::create(&place.ground, &path(place, name)).await.unwrap();
    let files = [("Dockerfile", "FROM scratch\nCOPY page.py /\n".to_owned()), ("page.py", page.to_owned())];
    let commit = repository.commit(&files, "feat: a page").await.unwrap();
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"token": token}});
    place.apply(&secret).await.unwrap();
    let sonar = json!({"url": url, "projectKey": name, "token": {"secretKeyRef": {"name": name, "key": "token"}}});
    row(place, name, &repository.url, &commit)
        .with(&json!({"timeout": "4m", "checks": [{"name": "quality", "sonarQube": sonar}]}))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn a_gate_of_the_real_server() {
    without_the_installed_one(async || {
        in_a_namespace("sonarqube", async |place| {
            place.equip().await;
            let mut setup = Setup::of_the_test_cluster(&place).await.unwrap();
            let image = place.ground.setting("IMAGE_SONARQUBE").to_owned();
            setup.variables.push(("SWITCHYARD_SONAR_SCANNER_IMAGE", image));
            let hosted = Hosted::start(setup, Plan::NEVER).await.unwrap();
            let server = Server::start(&place).await;
            server.tell("qualitygates/create", &[("name", GATE)]).await;
            let condition = [("gateName", GATE), ("metric", "violations"), ("op", "GT"), ("error", "0")];
            server.tell("qualitygates/create_condition", &condition).await;
            let (good, flawed) = (server.project("good").await, server.project("flawed").await);

            let page = "def greet(name):\n    return f\"hello {name}\"\n";
            // The scanner's own rule for Python: a comment that somebody should have taken care of.
            let unfinished = format!("{page}\n\n# FIXME: greet nobody\n");
            let rows = vec![
                gated(&server, "good", page, &server.url, &good).await.succeeds().jobs(2),
                gated(&server, "refused", page, &server.url, "squ_0123456789abcdef").await.fails(
                    User,
                    "SonarQubeUnauthorized",
                    "HTTP 401",
                ),
            ];
            run(&place, rows, async |_| ()).await;
            let rows = vec![
                gated(&server, "flawed", &unfinished, &server.url, &flawed).await.fails(
                    Policy,
                    "QualityGateFailed",
                    "quality gate no-finding: violations 1 is greater than 0",
                ),
                gated(&server, "unreachable", page, "http://127.0.0.1:9", &good).await.fails(
                    Infrastructure,
                    "SonarQubeUnavailable",
                    "127.0.0.1:9",
                ),
            ];
            run(&place, rows, async |_| ()).await;
            hosted.stop().await.unwrap();
        })
        .await;
    })
    .await;
}
