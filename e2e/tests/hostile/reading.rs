//! What a test and a line of a Dockerfile can read.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::{Value, json};
use switchyard_api::names::LABEL_BUILD;
use switchyard_e2e::{
    app::{GIT, PULL, PUSH},
    forge::Repository,
    ground::root,
    known::{Known, log},
    place::{Place, in_a_namespace},
    process::run as run_program,
    rows::{row, run},
    tell::table,
};

use crate::credentials;

const ATTEMPTS: &str = include_str!("attempts.py");

/// Each attempt, what it gets where nothing guards, in a check, and in a RUN of a Dockerfile.
///
/// Kaniko needs the pull credential, and a RUN reads what Kaniko can: `docs/security.md` says so. The network of the test
/// cluster enforces no NetworkPolicy, so there the metadata address answers everybody.
const WANTED: [(&str, &str, &str, &str); 11] = [
    ("credential files", "git push", "", ""),
    ("docker configs", "pull", "", "pull"),
    ("git's own files", "git", "", ""),
    ("mounted volumes", "git pull push", "", "pull"),
    ("links in the source", "git push", "", ""),
    ("environments", "neighbour", "", ""),
    ("other containers' files", "beside", "", ""),
    ("service account", "token", "", ""),
    ("another namespace", "other", "", ""),
    ("the node's agent", "pods", "", ""),
    ("metadata address", "metadata", "metadata", "metadata"),
];

/// By attempt, the names of what it got.
type Got = BTreeMap<String, String>;

fn got(output: &str, known: &[Known]) -> Got {
    let lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line.trim()).ok());
    let attempts = lines.filter_map(|line| Some((line["attempt"].as_str()?.to_owned(), line["got"].to_string())));
    attempts
        .map(|(attempt, text)| {
            let mut names: BTreeSet<&str> = known.iter().filter(|k| k.is_in(&text)).map(|k| k.name).collect();
            // A token is made for its pod, and known by its form: three parts, the first a header in JSON.
            if attempt == "service account" && text.contains("\"eyJ") {
                names.insert("token");
            }
            if attempt == "the node's agent" && text.contains("PodList") {
                names.insert("pods");
            }
            (attempt, names.into_iter().collect::<Vec<_>>().join(" "))
        })
        .collect()
}

/// A stand-in for a cloud's metadata server, in the network of the node.
struct Metadata<'a> {
    place: &'a Place,
}

impl<'a> Metadata<'a> {
    const ADDRESS: &'static str = "169.254.169.254/32";

    async fn start(place: &'a Place, value: &Known) -> Self {
        let metadata = Self { place };
        metadata.address("replace").await;
        let program = "import http.server, os\n\
            class Page(http.server.BaseHTTPRequestHandler):\n\
            \x20   def do_GET(self):\n\
            \x20       self.send_response(200); self.end_headers(); self.wfile.write(os.environ['VALUE'].encode())\n\
            http.server.HTTPServer(('169.254.169.254', 80), Page).serve_forever()\n";
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "metadata"},
            "spec": {"hostNetwork": true, "terminationGracePeriodSeconds": 0, "imagePullSecrets": [{"name": PULL}],
                "containers": [{"name": "server", "image": place.ground.setting("IMAGE_BASE_PYTHON"),
                    "command": ["python3", "-c", program], "env": [{"name": "VALUE", "value": value.plain()}],
                    "readinessProbe": {"exec": {"command": ["python3", "-c",
                        "import urllib.request; urllib.request.urlopen('http://169.254.169.254/')"]}, "periodSeconds": 1}}]}});
        place.apply(&pod).await.unwrap();
        metadata
    }

    async fn address(&self, verb: &str) {
        let ground = &self.place.ground;
        let mut ip = ground.command("nsenter");
        ip.arg(format!("--net={}", ground.setting("NETNS"))).args([
            "--",
            "ip",
            "address",
            verb,
            Self::ADDRESS,
            "dev",
            "lo",
        ]);
        run_program(&mut ip).await.unwrap();
    }
}

/// A pod where nothing is guarded: the same attempts, in the same image, with everything at hand that the containers of a
/// Build have between them, and more.
fn unguarded(place: &Place, other: &Place) -> Value {
    let image = place.ground.setting("IMAGE_BASE_PYTHON");
    let secret = |name: &str, secret: &str| json!({"name": name, "secret": {"secretName": secret}});
    let script = "mkdir -p /src/.git && ln -s /credentials/git/password /src/link-to-git && \
        ln -s /credentials/registry/.dockerconfigjson /src/link-to-push && \
        printf 'url = http://reader:%s@git.forge.svc/shop.git\\n' \"$(cat /credentials/git/password)\" >/src/.git/config && \
        exec python3 -c \"$0\" \"$@\"";
    let node = place.ground.setting("NODE_ADDRESS");
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "unguarded"},
        "spec": {"restartPolicy": "Never", "serviceAccountName": "careless", "shareProcessNamespace": true,
            "terminationGracePeriodSeconds": 0, "imagePullSecrets": [{"name": PULL}],
            "volumes": [secret("git", GIT), secret("push", PUSH), secret("beside", "beside"),
                {"name": "pull", "secret": {"secretName": PULL, "items": [{"key": ".dockerconfigjson", "path": "config.json"}]}}],
            "containers": [
                {"name": "neighbour", "image": image, "command": ["sleep", "300"], "env": neighbour_env(),
                    "volumeMounts": [{"name": "beside", "mountPath": "/credentials/beside"}]},
                {"name": "attempts", "image": image,
                    "command": ["sh", "-c", script, ATTEMPTS, other.namespace, node],
                    "volumeMounts": [{"name": "git", "mountPath": "/credentials/git"},
                        {"name": "push", "mountPath": "/credentials/registry"},
                        {"name": "pull", "mountPath": "/root/.docker"}]}]}})
}

/// What the container beside the hostile one holds.
fn neighbour_env() -> Value {
    json!([{"name": "NEIGHBOUR", "valueFrom": {"secretKeyRef": {"name": "neighbour", "key": "value"}}}])
}

async fn secret(place: &Place, name: &str, data: &Value) {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data});
    place.apply(&secret).await.unwrap();
}

/// An account that may read the Secrets of both namespaces, and ask the node's agent.
async fn careless_account(place: &Place, other: &Place) {
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "careless"}});
    place.apply(&account).await.unwrap();
    let subject = json!([{"kind": "ServiceAccount", "name": "careless", "namespace": place.namespace}]);
    let of = |kind: &str, name: &str| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name});
    let may_read = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "careless"}, "roleRef": of("ClusterRole", "admin"), "subjects": subject});
    let may_ask = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {"name": place.namespace}, "roleRef": of("ClusterRole", "system:kubelet-api-admin"), "subjects": subject});
    other.apply(&may_read).await.unwrap();
    place.ground.apply(&may_ask.to_string()).await.unwrap();
}

/// What the step of a Build said while its attempts were made.
async fn output(place: &Place, build: &str, container: &str) -> String {
    let pods: Vec<Pod> = place.list(&format!("switchyard.dev/build={build}")).await;
    let has = |pod: &&Pod| {
        let spec = pod.spec.clone().unwrap_or_default();
        spec.init_containers.iter().flatten().chain(&spec.containers).any(|c| c.name == container)
    };
    let pod = pods.iter().find(has).expect("its pod is kept for an hour");
    log(place, &pod.name_any(), container).await
}

/// What the chart makes for a network that enforces it, read back from the API server: it selects the pods of the Build, and
/// leaves the address out of what they reach.
async fn closes_the_metadata_address(place: &Place) {
    let chart = root().join("charts/switchyard").display().to_string();
    let only = format!("networkPolicy.namespaces={{{}}}", place.namespace);
    let mut helm = place.ground.helm(&["template", "switchyard", &chart, "--set", &only]);
    helm.args(["--show-only", "templates/networkpolicy.yaml", "--kube-version", "1.34.0"]);
    place.apply_all(&run_program(&mut helm).await.unwrap()).await.unwrap();
    let path = format!("/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies", place.namespace);
    let policy = place.get(&path).await.unwrap()["items"][0]["spec"].take();
    assert_eq!(policy["podSelector"], json!({"matchExpressions": [{"key": LABEL_BUILD, "operator": "Exists"}]}));
    assert_eq!(place.list::<Pod>(LABEL_BUILD).await.len(), 2, "the pods of the check and of the image, and no others");
    assert_eq!((&policy["policyTypes"], &policy["ingress"]), (&json!(["Ingress", "Egress"]), &Value::Null));
    let blocks = policy["egress"][0]["to"].as_array().unwrap();
    let all = blocks.iter().find(|block| block["ipBlock"]["cidr"] == "0.0.0.0/0").unwrap();
    assert!(all["ipBlock"]["except"].as_array().unwrap().contains(&json!(Metadata::ADDRESS)), "{policy}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn a_test_and_a_dockerfile_get_nothing_that_is_not_theirs() {
    in_a_namespace("hostile-other", async |other| {
        in_a_namespace("hostile-reading", async |place| reading(&place, &other).await).await;
    })
    .await;
}

async fn reading(place: &Place, other: &Place) {
    place.equip().await;
    let ground = &place.ground;
    let [elsewhere, neighbour, beside, metadata] = ["other", "neighbour", "beside", "metadata"].map(Known::random);
    secret(other, "theirs", &json!({"value": elsewhere.plain()})).await;
    secret(place, "neighbour", &json!({"value": neighbour.plain()})).await;
    secret(place, "beside", &json!({"value": beside.plain()})).await;
    careless_account(place, other).await;
    let server = Metadata::start(place, &metadata).await;
    let mut known = credentials(ground).to_vec();
    known.extend([elsewhere, neighbour, beside, metadata]);

    let repository = Repository::create(ground, &format!("{}/shop", place.namespace)).await.unwrap();
    let (base, node) = (ground.setting("IMAGE_BASE_PYTHON"), ground.setting("NODE_ADDRESS"));
    let dockerfile = format!("FROM {base}\nRUN python3 /src/attempts.py {} {node}\n", other.namespace);
    repository.symlink("link-to-git", "/credentials/git/password").await.unwrap();
    repository.symlink("link-to-push", "/credentials/registry/.dockerconfigjson").await.unwrap();
    let files = [("Dockerfile", dockerfile), ("attempts.py", ATTEMPTS.to_owned())];
    let commit = repository.commit(&files, "feat: look around").await.unwrap();

    place.apply(&unguarded(place, other)).await.unwrap();
    let service = json!([{"name": "neighbour", "image": base, "command": ["sleep", "300"], "env": neighbour_env()}]);
    let hostile = row(place, "hostile", &repository.url, &commit)
        .check(place, &["python3", "attempts.py", &other.namespace, node], &json!({"services": service}))
        .succeeds()
        .jobs(2);
    let ready = async || {
        let status = place.find::<Pod>("metadata").await?.status?;
        status.container_statuses?.first()?.ready.then_some(())
    };
    place.until("the metadata server answers", 60, ready).await;
    run(place, vec![hostile], async |_| ()).await;
    let all = async || {
        let output = log(place, "unguarded", "attempts").await;
        (got(&output, &known).len() == WANTED.len()).then_some(output)
    };
    let unguarded = place.until("all attempts were made where nothing guards", 90, all).await;
    let (check, build) = (output(place, "hostile", "check").await, output(place, "hostile", "build").await);
    server.address("delete").await;
    let mut kubectl = ground.kubectl(&["delete", "clusterrolebinding", &place.namespace]);
    run_program(&mut kubectl).await.unwrap();

    closes_the_metadata_address(place).await;

    let [unguarded, check, build] = [&unguarded, &check, &build].map(|output| got(output, &known));
    let of = |got: &Got, attempt: &str| got.get(attempt).cloned().unwrap_or_else(|| "NOT MADE".to_owned());
    let found = WANTED
        .map(|(attempt, ..)| [attempt.to_owned(), of(&unguarded, attempt), of(&check, attempt), of(&build, attempt)]);
    let rows: Vec<Vec<String>> = found.iter().map(|row| row.to_vec()).collect();
    println!("{}", table(&["attempt", "where nothing guards", "a test", "a RUN"], &rows));
    let wanted = WANTED.map(|(attempt, bare, check, run)| [attempt, bare, check, run].map(str::to_owned));
    assert_eq!(found, wanted);
}
