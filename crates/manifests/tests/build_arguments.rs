//! What the containers of a Build's pods are told.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

#[allow(dead_code)]
mod objects;

use objects::{
    full_build,
    look::{args, container, containers, held, job, list, text},
    registry_build, settings, small_build,
};
use serde_json::{Value, json};
use switchyard_api::Build;
use switchyard_manifests::{Settings, build};

/// Of `$(NAME)` in an argument Kubernetes makes a variable's value, and of `$$` one dollar.
#[test]
fn arguments_reach_the_container_as_written() {
    let (image, quality) = (job("image-job-full"), job("check-job-quality"));
    assert!(args(&image, "build").contains(&"--build-arg=FLAVOUR=$$(HOME) costs 5$$".to_owned()));
    assert!(args(&image, "push").contains(&"$$(version)".to_owned()));
    assert!(args(&image, "push").contains(&"$$(branch)-$$(short)".to_owned()));
    assert!(args(&quality, "check").contains(&"-Dsonar.exclusions=$$(HOME)/**".to_owned()));
    for job in [&image, &quality] {
        for argument in containers(job).iter().flat_map(|c| list(&c["args"])) {
            // The shell of `clone` names its arguments by `$@`; that is its command, which is not looked at here.
            assert_eq!(text(argument).matches('$').count() % 2, 0, "{argument}");
        }
    }
}

#[test]
fn kaniko_cannot_push_the_image_and_keeps_layers_where_it_is_told() {
    let full = args(&job("image-job-full"), "build");
    assert!(full.contains(&"--no-push".to_owned()) && !full.iter().any(|a| a.contains("destination")), "{full:?}");
    for argument in [
        "--context=dir:///src/web",
        "--dockerfile=/src/web/Dockerfile",
        "--custom-platform=linux/amd64",
        "--cache=true",
        "--cache-repo=ghcr.io/acme/shop/cache",
        "--cache-ttl=129600s",
        "--cache-copy-layers=true",
    ] {
        assert!(full.contains(&argument.to_owned()), "{argument} is not in {full:?}");
    }
    let small = args(&job("image-job"), "build");
    assert!(!small.iter().any(|a| a.contains("cache") || a.contains("platform")), "{small:?}");
}

#[test]
fn the_installation_says_how_a_build_is_scanned_that_does_not_say_it_itself() {
    let names = |build: &Build, settings: &Settings| {
        let job = build::image_job(build, &build.spec.recipe.images[0], 1, settings).unwrap();
        containers(&job).iter().map(|c| text(&c["name"]).to_owned()).collect::<Vec<_>>()
    };
    let scan = serde_json::from_value(json!({"failOn": ["Low"]})).unwrap();
    let scanning = Settings { default_scan: Some(scan), ..settings() };
    assert_eq!(names(&small_build(), &settings()), ["clone", "build", "push"]);
    assert_eq!(names(&small_build(), &scanning), ["clone", "build", "scan", "sbom", "push"]);
    let job = |build: &Build| build::image_job(build, &build.spec.recipe.images[0], 1, &scanning).unwrap();
    let told = |build: &Build| {
        args(&job(build), "push")
            .into_iter()
            .filter(|a| a.contains("fail-on") || a.contains("unfixed"))
            .collect::<Vec<_>>()
    };
    assert_eq!(told(&small_build()), ["--fail-on=LOW"]);
    assert_eq!(told(&full_build()), ["--fail-on=CRITICAL", "--fail-on=HIGH", "--ignore-unfixed"]);
}

#[test]
fn no_file_of_the_source_waives_a_finding_unless_the_spec_names_it() {
    let scan = |build: &Build| {
        let job = build::image_job(build, &build.spec.recipe.images[0], 1, &settings()).unwrap();
        (args(&job, "scan"), held(&job)[3].clone())
    };
    let (told, mounted) = scan(&full_build());
    assert!(told.contains(&"--ignorefile=/src/.trivyignore".to_owned()), "{told:?}");
    assert!(mounted.contains(" src "), "{mounted}");
    let mut build = full_build();
    build.spec.recipe.scan.as_mut().unwrap().ignore_file = None;
    let (told, mounted) = scan(&build);
    assert!(told.contains(&"--ignorefile=/dev/null".to_owned()) && !mounted.contains(" src "), "{told:?} {mounted}");
}

#[test]
fn plain_http_is_spoken_to_a_database_where_its_registry_is_named_for_that() {
    let told = |repository: &str| {
        let settings = Settings { trivy_db_repository: Some(repository.to_owned()), ..settings() };
        args(&build::accept_job(&registry_build(), 1, &settings).unwrap(), "scan")
    };
    assert!(told("registry.lab:5000/trivy-db:2").contains(&"--insecure".to_owned()));
    assert!(!told("registry.lab/trivy-db:2").contains(&"--insecure".to_owned()));
    assert!(!told("registry.lab:50001/trivy-db:2").contains(&"--insecure".to_owned()));
}

#[test]
fn a_service_is_waited_for_at_its_port_and_never_to_end() {
    let job = job("check-job");
    let (db, queue) = (container(&job, "service-db"), container(&job, "service-queue"));
    assert_eq!((&db["restartPolicy"], &queue["restartPolicy"]), (&json!("Always"), &json!("Always")));
    assert_eq!(db["startupProbe"]["tcpSocket"]["port"], 5432);
    assert!(queue["startupProbe"].is_null() && db["command"].is_null());
    let last = &job["spec"]["template"]["spec"]["containers"];
    assert_eq!((last[0]["name"].clone(), list(last).len()), (json!("save"), 1), "the check ends before `save` begins");
}

#[test]
fn only_what_earlier_checks_left_is_fetched() {
    let told = args(&job("check-job-after"), "fetch");
    assert!(told.contains(&format!("--digest=sha256:{}", "a".repeat(64))), "{told:?}");
    let mut build = full_build();
    build.status.as_mut().unwrap().memory.artifacts.clear();
    let names = |job: &Value| containers(job).iter().map(|c| text(&c["name"]).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        names(&build::check_job(&build, &build.spec.recipe.checks[1], 1, &settings()).unwrap()),
        ["clone", "check"]
    );
}

/// The source cannot say where the token is sent to: what is said later wins.
#[test]
fn what_the_scanner_must_be_told_comes_after_what_a_user_says() {
    let told = args(&job("check-job-quality"), "check");
    let at =
        |start: &str| told.iter().position(|a| a.starts_with(start)).unwrap_or_else(|| panic!("{start}: {told:?}"));
    for ours in
        ["-Dsonar.host.url=https://sonar.acme.dev/sonar", "-Dsonar.projectKey=shop", "-Dsonar.qualitygate.wait=false"]
    {
        assert!(at(ours) > at("-Dsonar.exclusions"), "{told:?}");
    }
    let judge = args(&job("check-job-quality"), "quality");
    let task = judge.iter().find_map(|a| a.strip_prefix("--task-file=")).unwrap();
    assert!(told.contains(&format!("-Dsonar.scanner.metadataFilePath={task}")), "{told:?} {judge:?}");
    assert!(!task.starts_with("/src"), "a file of the source would pass for the scanner's: {task}");
    assert!(judge.contains(&"--timeout-seconds=120".to_owned()), "{judge:?}");
}

#[test]
fn what_the_api_server_refuses_makes_no_job() {
    let bought = registry_build();
    let full = full_build();
    assert_eq!(build::check_job(&bought, &full.spec.recipe.checks[0], 1, &settings()), None);
    assert_eq!(build::image_job(&bought, &full.spec.recipe.images[0], 1, &settings()), None);
    assert_eq!(build::accept_job(&full, 1, &settings()), None);
    let mut unscanned = bought;
    unscanned.spec.recipe.scan = None;
    assert_eq!(build::accept_job(&unscanned, 1, &settings()), None, "there is nothing to do");
}
