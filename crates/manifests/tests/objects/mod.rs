//! Objects as users write them, and one body of each sort made from them.

pub mod look;

use std::collections::BTreeMap;

use k8s_openapi::api::{apps::v1::Deployment, batch::v1::Job, core::v1::Service};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use switchyard_api::{
    Build, CommitId, Pipeline, Revision, Rollout,
    check::{JobCheck, Moment},
    rollout::ReleaseRef,
};
use switchyard_manifests::{
    Settings, build,
    check::{self, Run},
    pipeline, rollout,
};

const COMMIT: &str = "7f3a91c0d4b8e2f6a1c3957d80e4b2f6a1c3957d";

pub fn settings() -> Settings {
    Settings {
        worker_image: "ghcr.io/switchyard/switchyard:0.1.0".into(),
        kaniko_image: "ghcr.io/osscontainertools/kaniko:v1.27.5".into(),
        insecure_registries: vec!["registry.lab:5000".into()],
        image_pull_secrets: vec!["mirror".into()],
        trivy_image: "ghcr.io/aquasecurity/trivy:0.68.1".into(),
        trivy_db_repository: None,
        trivy_java_db_repository: None,
        default_scan: None,
        sonar_scanner_image: "sonarsource/sonar-scanner-cli:12.1.0.3225_8.0.1".into(),
    }
}

/// A Build with as little as one can write.
pub fn small_build() -> Build {
    read(json!({
        "apiVersion": "switchyard.dev/v1alpha1", "kind": "Build",
        "metadata": {"name": "shop-7f3a91c-1", "namespace": "shop", "uid": "b-uid"},
        "spec": {
            "source": {"git": {"url": "https://github.com/acme/shop.git", "commit": COMMIT}},
            "images": [{"name": "web", "repository": "ghcr.io/acme/shop"}],
        },
    }))
}

/// A Build with as much as one can write. Its first check has passed.
pub fn full_build() -> Build {
    read(json!({
        "apiVersion": "switchyard.dev/v1alpha1", "kind": "Build",
        "metadata": {"name": "shop-7f3a91c-1", "namespace": "shop", "uid": "b-uid"},
        "spec": {
            "source": {"git": {
                "url": "https://github.com/acme/shop.git", "commit": COMMIT, "branch": "main",
                "secretRef": {"name": "shop-git"}, "submodules": "Recursive",
                "base": "41c0de2b0b5e0e8c6f1f5b1c9b0f3a2d4c5e6f70",
                "paths": {"include": ["web/**"], "exclude": ["docs/**", "-odd"]},
            }},
            "version": {"conventionalCommits": {"tagPrefix": "v"}},
            "checks": [
                {"name": "unit", "artifacts": ["coverage.xml", "-reports/unit"], "job": {
                    "image": "python:3.12-slim",
                    "command": ["sh", "-c", "pip install -r requirements.txt && pytest -q"],
                    "env": [{"name": "CI", "value": "true"}],
                    "envFrom": [{"secretRef": {"name": "test-settings"}}],
                    "resources": {"limits": {"memory": "1Gi"}},
                    "services": [
                        {"name": "db", "image": "postgres:17", "port": 5432, "resources": {"limits": {"memory": "1Gi"}},
                         "env": [{"name": "POSTGRES_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "test-db", "key": "p"}}}]},
                        {"name": "queue", "image": "queue:1", "command": ["queue", "--serve"]},
                    ],
                }},
                {"name": "contract", "after": ["unit"], "job": {"image": "pact:1", "command": ["pact"]}},
                {"name": "quality", "after": ["unit"], "sonarQube": {
                    "url": "https://sonar.acme.dev/sonar", "projectKey": "shop",
                    "token": {"secretKeyRef": {"name": "sonar", "key": "for-shop"}},
                    "properties": [{"name": "sonar.exclusions", "value": "$(HOME)/**"}],
                    "timeout": "2m", "resources": {"limits": {"memory": "2Gi"}},
                }},
            ],
            "images": [{
                "name": "web", "repository": "ghcr.io/acme/shop", "secretRef": {"name": "shop-registry"},
                "dockerfile": {
                    "path": "web/Dockerfile", "context": "web", "target": "prod",
                    "args": [{"name": "FLAVOUR", "value": "$(HOME) costs 5$"}],
                },
                "platforms": ["linux/amd64"],
                "cache": {"repository": "ghcr.io/acme/shop/cache", "secretRef": {"name": "shop-cache"}, "ttl": "36h"},
            }],
            "imagePullSecrets": [{"name": "base-images"}, {"name": "more-base-images"}],
            "scan": {"failOn": ["Critical", "High"], "ignoreUnfixed": true, "ignoreFile": ".trivyignore"},
            "pod": {
                "nodeSelector": {"pool": "build"},
                "tolerations": [{"key": "build", "operator": "Exists"}],
                "annotations": {"example.com/team": "shop"},
                "priorityClassName": "builds", "runtimeClassName": "gvisor",
                "resources": {"requests": {"memory": "2Gi"}},
            },
            "timeout": "1h30m",
        },
        "status": {"memory": {"passed": ["unit"], "artifacts": {"unit": format!("sha256:{}", "a".repeat(64))}}},
    }))
}

/// A Build of an image that another CI built.
pub fn registry_build() -> Build {
    read(json!({
        "apiVersion": "switchyard.dev/v1alpha1", "kind": "Build",
        "metadata": {"name": "shop-bought-1", "namespace": "shop", "uid": "b-uid"},
        "spec": {
            "source": {"registry": {
                "name": "web", "repository": "registry.lab:5000/acme/shop", "secretRef": {"name": "shop-registry"},
                "digest": format!("sha256:{}", "b".repeat(64)),
            }},
            "imagePullSecrets": [{"name": "base-images"}],
            "scan": {"failOn": ["Critical"], "ignoreFile": ".trivyignore"},
        },
    }))
}

/// A Rollout with as little as one can write.
pub fn small_rollout() -> Rollout {
    read(json!({
        "apiVersion": "switchyard.dev/v1alpha1", "kind": "Rollout",
        "metadata": {"name": "shop", "namespace": "shop-prod", "uid": "r-uid"},
        "spec": {
            "images": [{"containers": ["web"], "pipelineRef": {"name": "shop"}}],
            "template": {"spec": {"containers": [{
                "name": "web",
                "readinessProbe": {"httpGet": {"path": "/health", "port": 8000}},
            }]}},
            "service": {"spec": {"ports": [{"port": 80, "targetPort": 8000}]}},
        },
    }))
}

/// A Rollout with what the small one leaves to defaults.
pub fn full_rollout() -> Rollout {
    read(json!({
        "apiVersion": "switchyard.dev/v1alpha1", "kind": "Rollout",
        "metadata": {"name": "shop", "namespace": "shop-prod", "uid": "r-uid"},
        "spec": {
            "replicas": 3,
            "images": [{"containers": ["web", "migrate"], "pipelineRef": {"name": "shop", "namespace": "ci"}}],
            "template": {
                "metadata": {"labels": {"app": "shop"}, "annotations": {"example.com/team": "shop"}},
                "spec": {
                    "initContainers": [{"name": "migrate", "command": ["flask", "db", "upgrade"]}],
                    "containers": [
                        {"name": "web", "readinessProbe": {"httpGet": {"path": "/health", "port": "http"}},
                         "ports": [{"name": "http", "containerPort": 8000}],
                         "fieldOfALaterKubernetes": {"kept": true}},
                        {"name": "proxy", "image": "envoy:1",
                         "lifecycle": {"preStop": {"exec": {"command": ["drain"]}}}},
                    ],
                    "terminationGracePeriodSeconds": 60,
                },
            },
            "service": {
                "metadata": {"annotations": {"lb.example.com/scheme": "internal"},
                             "labels": {"team": "shop", "switchyard.dev/rollout": "somebody-elses"}},
                "spec": {"type": "LoadBalancer", "ports": [
                    {"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP", "appProtocol": "http"},
                    {"name": "admin", "port": 9000},
                ]},
            },
            "deletionPolicy": "Orphan",
        },
    }))
}

pub fn pipeline() -> Pipeline {
    read(json!({
        "apiVersion": "switchyard.dev/v1alpha1", "kind": "Pipeline",
        "metadata": {"name": "shop", "namespace": "shop", "uid": "p-uid"},
        "spec": {
            "source": {"git": {"url": "https://github.com/acme/shop.git", "secretRef": {"name": "shop-git"}}},
            "build": {"images": [
                {"name": "web", "repository": "ghcr.io/acme/shop", "secretRef": {"name": "shop-registry"}},
            ]},
            "environments": [{"name": "production", "rolloutRefs": [{"name": "shop"}]}],
        },
    }))
}

/// A Pipeline with what the small one leaves to defaults.
pub fn full_pipeline() -> Pipeline {
    let mut full = serde_json::to_value(pipeline()).unwrap();
    full["spec"]["source"]["git"]["submodules"] = json!("Recursive");
    full["spec"]["source"]["git"]["paths"] = json!({"exclude": ["docs/**"]});
    full["spec"]["build"] = serde_json::to_value(full_build().spec.recipe).unwrap();
    read(full)
}

/// The commit that was built well before.
pub fn base() -> CommitId {
    "41c0de2b0b5e0e8c6f1f5b1c9b0f3a2d4c5e6f70".parse().unwrap()
}

pub fn commit() -> CommitId {
    COMMIT.parse().unwrap()
}

pub fn revision() -> Revision {
    "k7w2m9xq4b".parse().unwrap()
}

/// The template of a revision's Deployment with everything that a check's Job has to choose from; Pod Security
/// `restricted` allows it.
pub fn checked_template() -> Value {
    let security = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    json!({
        "metadata": {
            "labels": {"app": "shop", "switchyard.dev/rollout": "shop", "switchyard.dev/revision": "k7w2m9xq4b"},
            "annotations": {"example.com/team": "shop"},
        },
        "spec": {
            "initContainers": [
                {"name": "sidecar", "image": "proxy:1", "restartPolicy": "Always", "securityContext": security},
            ],
            "containers": [
                {
                    "name": "web", "image": "ghcr.io/acme/shop:1", "command": ["flask"], "args": ["run"],
                    "workingDir": "/app",
                    "env": [{"name": "DATABASE", "valueFrom": {"secretKeyRef": {"name": "shop", "key": "url"}}}],
                    "envFrom": [{"configMapRef": {"name": "shop"}}],
                    "ports": [{"name": "http", "containerPort": 8000}],
                    "volumeMounts": [{"name": "cache", "mountPath": "/cache"}],
                    "resources": {"requests": {"cpu": "100m"}},
                    "securityContext": security,
                    "readinessProbe": {"httpGet": {"path": "/health", "port": "http"}},
                    "livenessProbe": {"httpGet": {"path": "/health", "port": "http"}},
                    "startupProbe": {"httpGet": {"path": "/health", "port": "http"}},
                    "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
                },
                {"name": "logs", "image": "logs:1", "securityContext": security},
            ],
            "volumes": [{"name": "cache", "emptyDir": {}}, {"name": "tls", "secret": {"secretName": "shop-tls"}}],
            "serviceAccountName": "shop",
            "imagePullSecrets": [{"name": "registry"}],
            "nodeSelector": {"pool": "web"},
            "tolerations": [{"key": "web", "operator": "Exists"}],
            "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            "terminationGracePeriodSeconds": 65,
        },
    })
}

pub fn migrate() -> JobCheck {
    read(json!({
        "fromContainer": "web", "command": ["flask", "db"], "args": ["upgrade"], "retries": 2, "timeout": "5m",
    }))
}

pub fn check_run() -> Run<'static> {
    Run { revision: revision(), moment: Moment::Preview, check: "migrate", under: "4711" }
}

/// Every sort of body, by the name of its golden file.
pub fn bodies() -> Vec<(&'static str, Value)> {
    let release = ReleaseRef {
        pipeline: "ci/shop".into(),
        pipeline_uid: "p-uid".into(),
        sequence: 7,
        build: "shop-7f3a91c-1".into(),
        version: Some("1.4.0".into()),
        commit: commit(),
    };
    let image = format!("ghcr.io/acme/shop@sha256:{}", "0".repeat(64));
    let images = |names: &[&str]| names.iter().map(|n| ((*n).to_owned(), image.clone())).collect::<BTreeMap<_, _>>();
    vec![
        (
            "deployment",
            rollout::deployment(&small_rollout(), revision(), &images(&["web"]), std::slice::from_ref(&release)),
        ),
        ("deployment-full", rollout::deployment(&full_rollout(), revision(), &images(&["web", "migrate"]), &[release])),
        ("revision-service", revision_service(&small_rollout())),
        ("revision-service-full", revision_service(&full_rollout())),
        ("live-service", live_service(&small_rollout(), r#"{"live":null}"#)),
        ("live-service-full", live_service(&full_rollout(), r#"{"live":null}"#)),
        ("rollout-check-job", check::job(&small_rollout(), &checked_template(), check_run(), &migrate()).unwrap()),
        (
            "build",
            serde_json::to_value(pipeline::build(&pipeline(), "shop-7f3a91c-1", &commit(), "main", None)).unwrap(),
        ),
        (
            "build-full",
            serde_json::to_value(pipeline::build(&full_pipeline(), "shop-7f3a91c-2", &commit(), "main", Some(&base())))
                .unwrap(),
        ),
    ]
    .into_iter()
    .chain(build_jobs())
    .collect()
}

/// Every sort of Job that a Build makes, by the name of its golden file.
pub fn build_jobs() -> Vec<(&'static str, Value)> {
    let (settings, small, full) = (settings(), small_build(), full_build());
    let checks = &full.spec.recipe.checks;
    let mirrored = Settings {
        trivy_db_repository: Some("registry.lab:5000/trivy-db:2".into()),
        trivy_java_db_repository: Some("ghcr.io/acme/trivy-java-db:1".into()),
        ..settings.clone()
    };
    vec![
        ("check-job", build::check_job(&full, &checks[0], 1, &settings).unwrap()),
        ("check-job-after", build::check_job(&full, &checks[1], 1, &settings).unwrap()),
        ("check-job-quality", build::check_job(&full, &checks[2], 1, &settings).unwrap()),
        ("image-job", build::image_job(&small, &small.spec.recipe.images[0], 1, &settings).unwrap()),
        ("image-job-full", build::image_job(&full, &full.spec.recipe.images[0], 2, &settings).unwrap()),
        ("accept-job", build::accept_job(&registry_build(), 1, &mirrored).unwrap()),
    ]
}

/// `body` as Kubernetes understands it: read into the struct of its kind and written again.
pub fn understood(body: &Value) -> Value {
    fn through<T: Serialize + DeserializeOwned>(body: &Value) -> Value {
        serde_json::to_value(read::<T>(body.clone())).unwrap()
    }
    match body["kind"].as_str().unwrap() {
        "Deployment" => through::<Deployment>(body),
        "Service" => through::<Service>(body),
        "Job" => through::<Job>(body),
        "Build" => through::<Build>(body),
        other => panic!("no struct for {other}"),
    }
}

fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

pub fn revision_service(of: &Rollout) -> Value {
    rollout::revision_service(of, revision(), &rollout::ports(of.spec.ports()))
}
pub fn live_service(of: &Rollout, record: &str) -> Value {
    rollout::live_service(of, of.spec.service.as_ref().unwrap(), record)
}
