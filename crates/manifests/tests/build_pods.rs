//! The pods of a Build: what each container holds, and what it may do.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[allow(dead_code)]
mod objects;

use objects::{
    build_jobs, full_build,
    look::{args, containers, held, job, list, text},
    settings,
};
use serde_json::{Value, json};
use switchyard_api::Build;
use switchyard_manifests::build;

/// In the order they run.
const HELD: [(&str, &[&str]); 6] = [
    (
        "check-job",
        &[
            "clone: +src +steps +tmp git-credential | | shop-git",
            "service-db: | POSTGRES_PASSWORD | test-db",
            "service-queue: | | ",
            "check: +src | CI | test-settings",
            "save: push-credential src +archive steps/resolv.conf steps/hosts | | shop-registry",
        ],
    ),
    (
        "check-job-after",
        &[
            "clone: +src +steps +tmp git-credential | | shop-git",
            "fetch: push-credential +src | | shop-registry",
            "check: +src | | ",
        ],
    ),
    (
        "check-job-quality",
        &[
            "clone: +src +steps +tmp git-credential | | shop-git",
            "fetch: push-credential +src | | shop-registry",
            "check: +src +scanner | SONAR_TOKEN | sonar",
            "quality: scanner sonarqube-token steps/resolv.conf steps/hosts | | sonar",
        ],
    ),
    (
        "image-job",
        &["clone: +src +steps +tmp | | ", "build: src +out | | ", "push: out steps steps/resolv.conf steps/hosts | | "],
    ),
    (
        "image-job-full",
        &[
            "clone: +src +steps +tmp git-credential | | shop-git",
            "login: registry-credentials +pull | | base-images more-base-images shop-cache",
            "build: src +out pull | DOCKER_CONFIG | ",
            "scan: out +scan +trivy src steps/resolv.conf steps/hosts | | ",
            "sbom: +scan | | ",
            "push: push-credential out steps scan steps/resolv.conf steps/hosts | | shop-registry",
        ],
    ),
    (
        "accept-job",
        &[
            "pull: registry-credential +out | | shop-registry",
            "scan: out +scan +trivy pull-credential | DOCKER_CONFIG | base-images",
            "sbom: +scan | | ",
            "accept: registry-credential scan | | shop-registry",
        ],
    ),
];

#[test]
fn each_container_holds_what_it_needs_and_nothing_else() {
    let names: Vec<&str> = build_jobs().iter().map(|(name, _)| *name).collect();
    assert_eq!(names, HELD.map(|(name, _)| name), "every Job is in the table");
    for (name, expected) in HELD {
        assert_eq!(held(&job(name)), expected, "{name}");
    }
}

/// A stranger's container may write the files that say who resolves names, which the containers of a pod share.
#[test]
fn who_holds_something_and_comes_after_a_stranger_resolves_names_by_files_of_its_own() {
    for (name, expected) in HELD {
        let strangers = |line: &&str| ["check:", "build:", "service-"].iter().any(|start| line.starts_with(start));
        let after = expected.iter().skip_while(|line| !strangers(line)).filter(|line| !strangers(line));
        let asks = after.filter(|line| !line.starts_with("sbom:"));
        for line in asks {
            assert!(line.contains("steps/resolv.conf steps/hosts"), "{name}: {line}");
        }
    }
    let job = job("image-job");
    let push = &job["spec"]["template"]["spec"]["containers"][0]["volumeMounts"];
    let paths: Vec<&str> =
        list(push).iter().filter(|m| m["subPath"].is_string()).map(|m| text(&m["mountPath"])).collect();
    assert_eq!(paths, ["/etc/resolv.conf", "/etc/hosts"]);
}

/// What would be wrong shows: a volume too many, one that may be written, and a Secret by either way.
#[test]
fn the_table_sees_what_is_too_much() {
    let right = held(&job("image-job-full"));
    let kaniko = "/spec/template/spec/initContainers/2";
    for (at, wrong) in [
        ("volumeMounts/0", json!({"name": "src", "mountPath": "/src"})),
        ("volumeMounts/0", json!({"name": "push-credential", "mountPath": "/src", "readOnly": true})),
        (
            "env/0",
            json!({"name": "DOCKER_CONFIG", "valueFrom": {"secretKeyRef": {"name": "shop-registry", "key": "k"}}}),
        ),
        ("env", json!([{"name": "DOCKER_CONFIG"}, {"name": "LD_PRELOAD"}])),
    ] {
        let mut job = job("image-job-full");
        *job.pointer_mut(&format!("{kaniko}/{at}")).unwrap() = wrong.clone();
        let found = held(&job);
        assert_ne!(found[2], right[2], "{wrong}");
        assert_eq!((&found[..2], &found[3..]), (&right[..2], &right[3..]), "{wrong}");
    }
}

/// Names that make a program load code of somebody's choice. Whose choice it is then runs their image anyway; a
/// container that holds what they may not have never sees the name.
#[test]
fn what_a_user_puts_into_an_environment_reaches_that_users_containers_alone() {
    let names =
        ["LD_PRELOAD", "LD_LIBRARY_PATH", "BASH_ENV", "ENV", "PYTHONSTARTUP", "NODE_OPTIONS", "GIT_SSH_COMMAND"];
    let env: Vec<Value> = names.iter().map(|name| json!({"name": name, "value": "/src/evil"})).collect();
    let mut build = full_build();
    for check in &mut build.spec.recipe.checks {
        if let Some(job) = &mut check.job {
            job.env.extend(env.iter().cloned());
            job.env_from.push(json!({"configMapRef": {"name": "evil"}}));
            job.services.iter_mut().for_each(|service| service.env.extend(env.iter().cloned()));
        }
    }
    let mut seen = 0;
    for job in jobs_of(&build) {
        for container in containers(&job) {
            let name = text(&container["name"]);
            let has = container.to_string().contains("evil");
            let scanner = container["image"] == settings().sonar_scanner_image;
            assert_eq!(has, (name == "check" && !scanner) || name.starts_with("service-"), "{container}");
            seen += usize::from(has);
        }
    }
    assert_eq!(seen, 4, "two checks and two services");
}

/// Of this Build.
fn jobs_of(build: &Build) -> Vec<Value> {
    let recipe = &build.spec.recipe;
    let checks = recipe.checks.iter().map(|check| build::check_job(build, check, 1, &settings()).unwrap());
    let images = recipe.images.iter().map(|image| build::image_job(build, image, 1, &settings()).unwrap());
    checks.chain(images).collect()
}

/// What the Pod Security level `baseline` forbids and a pod here could have (Kubernetes, Pod Security Standards 1.34).
fn against_baseline(job: &Value) -> Vec<String> {
    const ALLOWED: [&str; 13] = [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ];
    let pod = &job["spec"]["template"]["spec"];
    let mut found = vec![];
    found.extend(["hostNetwork", "hostPID", "hostIPC"].into_iter().filter(|f| pod[*f] == true).map(str::to_owned));
    found.extend(list(&pod["volumes"]).iter().filter(|v| !v["hostPath"].is_null()).map(|_| "hostPath".to_owned()));
    for container in containers(job) {
        let security = &container["securityContext"];
        let added = list(&security["capabilities"]["add"]).iter().map(text).filter(|c| !ALLOWED.contains(c));
        found.extend(added.map(str::to_owned));
        found.extend((security["privileged"] == true).then(|| "privileged".to_owned()));
        let ports = list(&container["ports"]).iter().filter(|p| !p["hostPort"].is_null());
        found.extend(ports.map(|_| "hostPort".to_owned()));
        found.extend((!security["procMount"].is_null()).then(|| "procMount".to_owned()));
    }
    found
}

#[test]
fn every_pod_fits_pod_security_baseline() {
    for (name, job) in build_jobs() {
        assert_eq!(against_baseline(&job), [""; 0], "{name}");
    }
    let first = "/spec/template/spec/initContainers/0/securityContext";
    for (at, wrong, found) in [
        (first, json!({"privileged": true}), "privileged"),
        (first, json!({"capabilities": {"add": ["SYS_ADMIN"]}}), "SYS_ADMIN"),
        ("/spec/template/spec/volumes/0", json!({"name": "src", "hostPath": {"path": "/"}}), "hostPath"),
    ] {
        let mut job = job("check-job");
        *job.pointer_mut(at).unwrap() = wrong;
        assert_eq!(against_baseline(&job), [found]);
    }
}

#[test]
fn a_build_pod_has_nothing_of_the_cluster_and_our_containers_no_right_that_they_do_not_need() {
    let images = |name: &str| name == settings().worker_image || name == settings().trivy_image;
    for (name, job) in build_jobs() {
        let pod = &job["spec"]["template"]["spec"];
        assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
        assert_eq!(pod["enableServiceLinks"], false, "{name}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        assert_eq!((&job["spec"]["backoffLimit"], &pod["restartPolicy"]), (&json!(0), &json!("Never")), "{name}");
        for container in containers(&job) {
            let security = &container["securityContext"];
            assert_eq!(security["allowPrivilegeEscalation"], false, "{name}: {container}");
            if images(text(&container["image"])) {
                // What Kaniko wrote only its own user may read.
                let of_kaniko =
                    name.starts_with("image") && ["scan", "sbom", "push"].contains(&text(&container["name"]));
                assert_eq!(security["runAsNonRoot"], !of_kaniko, "{name}: {container}");
                assert_eq!(security["readOnlyRootFilesystem"], true, "{name}: {container}");
                assert_eq!(security["capabilities"], json!({"drop": ["ALL"]}), "{name}: {container}");
            }
            for mount in list(&container["volumeMounts"]) {
                let path = text(&mount["mountPath"]);
                assert!(!path.starts_with("/workspace"), "{name}: an image may use {path}");
            }
        }
    }
}

#[test]
fn one_credential_is_mounted_and_several_are_made_one() {
    let held = |pull: &[&str], cache: Option<&str>| {
        let mut build = full_build();
        build.spec.recipe.image_pull_secrets =
            serde_json::from_value(pull.iter().map(|name| json!({"name": name})).collect()).unwrap();
        let kept = build.spec.recipe.images[0].cache.as_mut().unwrap();
        kept.secret_ref = cache.map(|name| serde_json::from_value(json!({"name": name})).unwrap());
        let lines = held(&build::image_job(&build, &build.spec.recipe.images[0], 1, &settings()).unwrap());
        lines.into_iter().filter(|l| l.starts_with("login") || l.starts_with("build")).collect::<Vec<_>>()
    };
    assert_eq!(held(&[], None), ["build: src +out | | "]);
    assert_eq!(held(&["base"], None), ["build: src +out pull-credential | DOCKER_CONFIG | base"]);
    assert_eq!(held(&[], Some("cache")), ["build: src +out pull-credential | DOCKER_CONFIG | cache"]);
    assert_eq!(held(&["one"], Some("one")), ["build: src +out pull-credential | DOCKER_CONFIG | one"]);
    let several = ["login: registry-credentials +pull | | base cache", "build: src +out pull | DOCKER_CONFIG | "];
    assert_eq!(held(&["base"], Some("cache")), several);
    let from: Vec<String> = args(&job("image-job-full"), "login").into_iter().filter(|a| a.contains("from")).collect();
    assert_eq!(from, [0, 1, 2].map(|n| format!("--from=/credentials/registries/{n}.json")));
}
