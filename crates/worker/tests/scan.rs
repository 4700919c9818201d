//! A scan before the push, and of an image that is in its registry already: judged, refused or attached.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod pod;
#[path = "../../registry/tests/support/mod.rs"]
mod registry;

use std::path::Path;

use pod::{Pod, reason};
use serde_json::{Value, json};
use switchyard_api::report::{Failed, Findings, Pushed, Reason, Report};

const CONFIG: &[u8] = br#"{"architecture":"amd64","os":"linux"}"#;

/// What a scan of the stand-in's image leaves: one critical finding that is mended, one high that is not.
fn scanned(pod: &Pod) -> String {
    let finding = |id: &str, severity: &str, fixed: Option<&str>| {
        let mut finding = json!({"VulnerabilityID": id, "PkgName": "openssl", "InstalledVersion": "3.0.1",
            "Severity": severity, "Status": "affected"});
        if let Some(fixed) = fixed {
            finding["FixedVersion"] = json!(fixed);
        }
        finding
    };
    let findings = [finding("CVE-1", "CRITICAL", Some("3.0.2")), finding("CVE-2", "HIGH", None)];
    write(pod, &registry::digest(CONFIG), &json!([{"Target": "x", "Vulnerabilities": findings}]));
    pod.path("scan")
}

fn write(pod: &Pod, image: &str, results: &Value) {
    let report = json!({"SchemaVersion": 2, "Metadata": {"ImageID": image}, "Results": results});
    pod.write("scan/report.json", &report.to_string());
    pod.write("scan/sbom.json", r#"{"bomFormat":"CycloneDX","specVersion":"1.6"}"#);
}

fn ready() -> Pod {
    let pod = Pod::new();
    pod.write("steps/clone.json", &format!(r#"{{"commit":"{}"}}"#, "7".repeat(40)));
    registry::layout(Path::new(&pod.path("out")), &[b"one"]);
    pod
}

/// The artifact types of what is attached to images.
fn attached(standin: &registry::Standin) -> Vec<String> {
    let stored = standin.stored.lock().unwrap();
    let manifests = stored.manifests.iter().filter(|(name, _)| name.starts_with("sha256:")).map(|(_, content)| content);
    let parsed = manifests.map(|content| serde_json::from_slice::<Value>(content).unwrap());
    let mut types: Vec<String> =
        parsed.filter_map(|manifest| Some(manifest.get("artifactType")?.as_str()?.to_owned())).collect();
    types.sort();
    types
}

fn pushed(report: Report) -> Pushed {
    let Report::Pushed(pushed) = report else { panic!("{report:?}") };
    pushed
}

const BOTH: [&str; 2] = ["application/vnd.aquasec.trivy.report+json", "application/vnd.cyclonedx+json"];

#[test]
fn an_image_with_findings_that_count_is_not_pushed() {
    let (pod, standin) = (ready(), registry::start(registry::Manner::default()));
    let scan = scanned(&pod);
    let (code, report, said) =
        pod.push(&standin.host, &["--scan", &scan, "--fail-on", "CRITICAL", "--fail-on", "HIGH"]);
    let Report::Failed(Failed { reason, message, scan: Some(findings) }) = report else { panic!("{said}") };
    assert_eq!((code, reason), (1, Reason::VulnerableImage));
    assert_eq!(
        message,
        "1 critical and 1 high vulnerability: CVE-1 in openssl 3.0.1 (mended in 3.0.2), CVE-2 in openssl 3.0.1 (not \
         mended yet)"
    );
    assert_eq!(findings, Findings { critical: 1, high: 1, fixable: 1, ..Findings::default() });
    let stored = standin.stored.lock().unwrap();
    assert!(stored.requests.is_empty() && stored.blobs.is_empty(), "{:?}", stored.requests);
}

#[test]
fn an_image_that_is_good_enough_is_pushed_with_its_report_and_its_sbom() {
    for (rule, findings) in [
        (&["--fail-on", "LOW"][..], Findings { critical: 1, high: 1, fixable: 1, ..Findings::default() }),
        (&[], Findings { critical: 1, high: 1, fixable: 1, ..Findings::default() }),
        (&["--fail-on", "HIGH", "--ignore-unfixed"], Findings { critical: 1, fixable: 1, ..Findings::default() }),
    ] {
        let (pod, standin) = (ready(), registry::start(registry::Manner::default()));
        let scan = scanned(&pod);
        let (_, report, _) = pod.push(&standin.host, &[&["--scan", &scan], rule].concat());
        assert_eq!(pushed(report).scan, Some(findings), "{rule:?}");
        assert_eq!(attached(&standin), BOTH);
        let stored = standin.stored.lock().unwrap();
        assert!(stored.blobs.values().any(|blob| blob == br#"{"bomFormat":"CycloneDX","specVersion":"1.6"}"#));
    }
    let (pod, standin) = (ready(), registry::start(registry::Manner::default()));
    assert_eq!(pushed(pod.push(&standin.host, &[]).1).scan, None);
    assert!(attached(&standin).is_empty());
}

#[test]
fn what_the_scan_left_must_be_about_this_image() {
    let left = |damage: &dyn Fn(&Pod)| {
        let (pod, standin) = (ready(), registry::start(registry::Manner::default()));
        let scan = scanned(&pod);
        damage(&pod);
        let (_, report, _) = pod.push(&standin.host, &["--scan", &scan]);
        assert!(standin.stored.lock().unwrap().requests.is_empty());
        reason(report)
    };
    let remove = |pod: &Pod, file: &str| std::fs::remove_file(pod.path(file)).unwrap();
    let link = |pod: &Pod, file: &str| {
        std::fs::rename(pod.path(file), pod.path("elsewhere")).unwrap();
        std::os::unix::fs::symlink(pod.path("elsewhere"), pod.path(file)).unwrap();
    };
    assert_eq!(left(&|pod| write(pod, &registry::digest(b"another"), &json!([]))), Reason::ScanInvalid);
    assert_eq!(left(&|pod| remove(pod, "scan/report.json")), Reason::ScanInvalid);
    assert_eq!(left(&|pod| remove(pod, "scan/sbom.json")), Reason::ScanInvalid);
    assert_eq!(left(&|pod| drop(pod.write("scan/report.json", "{"))), Reason::ScanInvalid);
    assert_eq!(left(&|pod| drop(pod.write("scan/sbom.json", r#"{"bomFormat":"x"}"#))), Reason::ScanInvalid);
    assert_eq!(left(&|pod| link(pod, "scan/report.json")), Reason::ScanInvalid);
    assert_eq!(left(&|pod| link(pod, "scan/sbom.json")), Reason::ScanInvalid);
    assert_eq!(left(&|pod| std::fs::remove_dir_all(pod.path("scan")).unwrap()), Reason::ScanInvalid);
}

#[test]
fn a_registry_that_keeps_nothing_beside_images_is_no_reason_to_fail() {
    let push = |status| {
        let manner = registry::Manner { no_artifacts: Some(status), ..registry::Manner::default() };
        let (pod, standin) = (ready(), registry::start(manner));
        let scan = scanned(&pod);
        let (_, report, said) = pod.push(&standin.host, &["--scan", &scan]);
        (report, said)
    };
    let (report, said) = push("400 Bad Request");
    assert!(pushed(report).scan.is_some() && said.contains("are not attached to the image"), "{said}");
    assert_eq!(reason(push("503 Later").0), Reason::RegistryUnavailable);
    assert_eq!(reason(push("429 Slow").0), Reason::RegistryRateLimited);
}

#[test]
fn an_image_of_another_ci_is_pulled_scanned_and_accepted() {
    let (pod, standin) = (ready(), registry::start(registry::Manner { bearer: true, ..registry::Manner::default() }));
    let config = format!(r#"{{"auths":{{"{}":{{"username":"ann","password":"secret"}}}}}}"#, standin.host);
    let config = pod.write("docker/.dockerconfigjson", &config);
    let digest = pushed(pod.push(&standin.host, &["--credentials", &config]).1).digest;
    let (repository, host) = (format!("{}/acme/shop", standin.host), standin.host.as_str());
    let scan = scanned(&pod);
    let back = pod.path("back");
    let step = |name: &str, digest: &str, more: &[&str]| {
        let fixed = [name, "--repository", &repository, "--insecure-registry", host, "--digest", digest];
        pod.run(&[&fixed, more].concat())
    };

    let (code, report, said) = step("pull", &digest, &["--layout", &back, "--credentials", &config]);
    assert!(matches!(report, Report::Passed(_)) && code == 0, "{said}");
    let manifest = Path::new(&back).join("blobs/sha256").join(&digest[7..]);
    assert!(manifest.exists() && Path::new(&back).join("index.json").exists());

    let rule = ["--scan", &scan, "--fail-on", "CRITICAL"];
    let accept = |digest: &str, more: &[&str]| step("accept", digest, &[&["--credentials", &config], more].concat()).1;
    assert_eq!(reason(accept(&digest, &rule)), Reason::VulnerableImage);
    assert!(attached(&standin).is_empty());
    let accepted = pushed(accept(&digest, &["--scan", &scan, "--fail-on", "LOW"]));
    assert_eq!((accepted.digest.as_str(), accepted.tags.len()), (digest.as_str(), 0));
    assert_eq!(attached(&standin), BOTH);

    let none = format!("sha256:{}", "0".repeat(64));
    assert_eq!(reason(accept(&none, &rule)), Reason::ImageNotFound);
    assert_eq!(reason(step("pull", &none, &["--layout", &back, "--credentials", &config]).1), Reason::ImageNotFound);
    assert_eq!(reason(step("pull", &digest, &["--layout", &back]).1), Reason::RegistryUnauthorized);
    assert_eq!(reason(step("pull", "latest", &["--layout", &back]).1), Reason::ImageNameInvalid);
}

#[test]
fn whoever_may_only_read_accepts_without_attaching() {
    let (pod, standin) = (ready(), registry::start(registry::Manner::default()));
    let digest = pushed(pod.push(&standin.host, &[]).1).digest;
    let manner = registry::Manner { refuse: Some(("POST", "403 Forbidden", "")), ..registry::Manner::default() };
    let reader = registry::start(manner);
    std::mem::swap(&mut *reader.stored.lock().unwrap(), &mut *standin.stored.lock().unwrap());
    let scan = scanned(&pod);
    let repository = format!("{}/acme/shop", reader.host);
    let arguments = [
        "accept",
        "--repository",
        &repository,
        "--insecure-registry",
        &reader.host,
        "--digest",
        &digest,
        "--scan",
        &scan,
    ];
    let (code, report, said) = pod.run(&arguments);
    assert_eq!((code, pushed(report).digest), (0, digest));
    assert!(said.contains("are not attached to the image"), "{said}");
}
