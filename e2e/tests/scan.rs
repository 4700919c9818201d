//! Images are scanned by the real Trivy before they are pushed. Its database is a small one of our own, so what it finds
//! is known: see e2e/cluster/README.md. `make test-all` builds both and runs these.

use k8s_openapi::api::batch::v1::Job;
use serde_json::{Value, json};
use switchyard_api::{
    Build, GROUP, VERSION,
    build::{Class, Phase, ScanStatus},
};
use switchyard_e2e::{
    app::{PULL, PUSH, build},
    forge::Repository,
    hosted::{Hosted, Setup, without_the_installed_one},
    place::{Place, in_a_namespace},
    proxy::Plan,
    registry::Registry,
};
use tokio::sync::Mutex;

/// One of them takes the installed operator away.
static ALONE: Mutex<()> = Mutex::const_new(());

/// As the database has them: mended in 2.0.0, never mended.
const CRITICAL: &str = "sample-critical";
const CRITICAL_UNFIXED: &str = "sample-critical-unfixed";
const HIGH: &str = "sample-high";
const MEDIUM: &str = "sample-medium";
/// What the database says of `CRITICAL`.
const CRITICAL_ID: &str = "SWITCHYARD-2026-0001";

/// Files of an image that holds nothing but these packages of Python's.
fn packages(base: &str, packages: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut files =
        vec![("Dockerfile".to_owned(), format!("FROM {base}\nCOPY packages /usr/lib/python3/site-packages\n"))];
    for (name, version) in packages {
        let path = format!("packages/{}-{version}.dist-info/METADATA", name.replace('-', "_"));
        files.push((path, format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")));
    }
    files
}

/// A repository with one commit of such files.
async fn source<'a>(place: &'a Place, name: &str, files: &[(String, String)]) -> (Repository<'a>, String) {
    let repository = Repository::create(&place.ground, &format!("{}/{name}", place.namespace)).await.unwrap();
    let files: Vec<(&str, String)> = files.iter().map(|(path, text)| (path.as_str(), text.clone())).collect();
    let commit = repository.commit(&files, "feat: an image").await.unwrap();
    (repository, commit)
}

/// A Build of them without checks.
async fn scanned(place: &Place, name: &str, files: &[(String, String)], scan: &Value) {
    let (repository, commit) = source(place, name, files).await;
    let mut object = build(place, name, &repository.url, &commit);
    object["spec"]["checks"] = json!([]);
    if !scan.is_null() {
        object["spec"]["scan"] = scan.clone();
    }
    place.apply(&object).await.unwrap();
}

/// A Build of an image that is in the registry, as this Build left it there.
fn accepted(name: &str, built: &Build, scan: &Value) -> Value {
    let image = &built.status.as_ref().unwrap().images[0];
    json!({
        "apiVersion": format!("{GROUP}/{VERSION}"), "kind": "Build", "metadata": {"name": name},
        "spec": {
            "source": {"registry": {
                "repository": image.repository, "digest": image.digest, "secretRef": {"name": PUSH}}},
            "imagePullSecrets": [{"name": PULL}],
            "scan": scan,
        },
    })
}

/// It has ended, well or badly.
async fn ended(place: &Place, name: &str) -> Build {
    let over = |build: &Build| {
        let phase = build.status.as_ref().and_then(|s| s.phase);
        matches!(phase, Some(Phase::Failed | Phase::Succeeded))
    };
    let build = place.until_object::<Build>(name, "it has ended", 180, over).await;
    println!("{}", place.table().await);
    build
}

async fn succeeds(place: &Place, name: &str) -> Build {
    let build = ended(place, name).await;
    let status = build.status.as_ref().unwrap();
    assert_eq!(status.phase, Some(Phase::Succeeded), "{name}: {:?}", status.failure);
    build
}

/// It ended as a violated policy, its findings are counted, and nothing is in the registry.
async fn is_refused(place: &Place, name: &str, counts: &ScanStatus) -> Build {
    let build = ended(place, name).await;
    let status = build.status.as_ref().unwrap();
    let failure = status.failure.as_ref().unwrap_or_else(|| panic!("{name} passed"));
    println!("{}", json!(failure));
    assert_eq!((failure.class, failure.reason.as_str()), (Class::Policy, "VulnerableImage"), "{name}");
    assert_eq!(status.scans, std::slice::from_ref(counts), "{name}");
    assert!(status.images.is_empty(), "{name}: {:?}", status.images);
    build
}

/// What is in the registry of a Build's image.
async fn tags(place: &Place, name: &str) -> Vec<String> {
    Registry::of(&place.ground).tags(&format!("{}/{name}", place.namespace)).await.unwrap()
}

fn counts(image: &str) -> ScanStatus {
    ScanStatus { image: image.to_owned(), ..ScanStatus::default() }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn a_critical_finding_ends_the_build_and_nothing_is_pushed() {
    let _alone = ALONE.lock().await;
    in_a_namespace("scan-critical", async |place| {
        place.equip().await;
        let found = packages("scratch", &[(CRITICAL, "1.0.0"), (MEDIUM, "1.5")]);
        scanned(&place, "shop", &found, &json!({})).await;
        // The control: the same image where nobody asks for a scan.
        scanned(&place, "unscanned", &found, &Value::Null).await;

        let build =
            is_refused(&place, "shop", &ScanStatus { critical: 1, medium: 1, fixable: 2, ..counts("web") }).await;
        let failure = build.status.unwrap().failure.unwrap();
        // The container that would have pushed: it judges first.
        assert_eq!(failure.step, "image/web: push");
        for word in ["1 critical", CRITICAL_ID, CRITICAL, "2.0.0"] {
            assert!(failure.message.contains(word), "{word} is not in: {}", failure.message);
        }
        assert_eq!(tags(&place, "shop").await, [""; 0]);

        let unscanned = succeeds(&place, "unscanned").await.status.unwrap();
        assert_eq!(unscanned.scans, []);
        assert_eq!(tags(&place, "unscanned").await.len(), 1);
        assert_eq!(place.list::<Job>("").await.len(), 2, "what was found stays found: nothing is tried again");
    })
    .await;
}

/// What counts, for one image each: all side by side.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn the_spec_says_what_counts() {
    let _alone = ALONE.lock().await;
    in_a_namespace("scan-rules", async |place| {
        place.equip().await;
        let refused = [
            ("unfixed", CRITICAL_UNFIXED, json!({}), ScanStatus { critical: 1, ..counts("web") }),
            (
                "fixed",
                CRITICAL,
                json!({"ignoreUnfixed": true}),
                ScanStatus { critical: 1, fixable: 1, ..counts("web") },
            ),
            ("high", HIGH, json!({}), ScanStatus { high: 1, fixable: 1, ..counts("web") }),
            ("medium", MEDIUM, json!({"failOn": ["Medium"]}), ScanStatus { medium: 1, fixable: 1, ..counts("web") }),
        ];
        let passed = [
            ("ignored", CRITICAL_UNFIXED, json!({"ignoreUnfixed": true}), counts("web")),
            ("lenient", HIGH, json!({"failOn": ["Critical"]}), ScanStatus { high: 1, fixable: 1, ..counts("web") }),
            ("reported", CRITICAL, json!({"failOn": []}), ScanStatus { critical: 1, fixable: 1, ..counts("web") }),
        ];
        for (name, package, scan, _) in refused.iter().chain(&passed) {
            scanned(&place, name, &packages("scratch", &[(package, "1.5")]), scan).await;
        }
        for (name, .., counts) in refused {
            is_refused(&place, name, &counts).await;
            assert_eq!(tags(&place, name).await, [""; 0], "{name}");
        }
        for (name, .., counts) in passed {
            let status = succeeds(&place, name).await.status.unwrap();
            assert_eq!(status.scans, [counts], "{name}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn report_and_bill_of_materials_are_attached_to_the_image() {
    let _alone = ALONE.lock().await;
    in_a_namespace("scan-clean", async |place| {
        place.equip().await;
        // On Debian, one of whose packages has a low finding that nobody has mended.
        let mended = packages(place.ground.setting("IMAGE_BASE_PYTHON"), &[(CRITICAL, "2.0.0"), (HIGH, "2.1")]);
        scanned(&place, "shop", &mended, &json!({})).await;
        let status = succeeds(&place, "shop").await.status.unwrap();
        assert_eq!(status.scans, [ScanStatus { low: 1, ..counts("web") }]);

        let registry = Registry::of(&place.ground);
        let repository = format!("{}/shop", place.namespace);
        let digest = status.images[0].digest.to_string();
        let attached = registry.referrers(&repository, &digest).await.unwrap();
        println!("{}", json!(attached));
        assert_eq!(attached.len(), 2, "{attached:?}");
        let mut contents = Vec::new();
        for artifact in &attached {
            let manifest = registry.manifest(&repository, artifact["digest"].as_str().unwrap()).await.unwrap().unwrap();
            assert_eq!(manifest["subject"]["digest"], digest, "{manifest}");
            assert_eq!(manifest["artifactType"], artifact["artifactType"], "the list says what it is: {artifact}");
            contents.push(registry.content(&repository, artifact).await.unwrap());
        }
        let report = contents.iter().find(|c| c["SchemaVersion"] == 2).expect("Trivy's report");
        let config = registry.manifest(&repository, &digest).await.unwrap().unwrap()["config"]["digest"].clone();
        assert_eq!(report["Metadata"]["ImageID"], config, "it is about this image");
        let findings: Vec<&Value> = (report["Results"].as_array().unwrap().iter())
            .flat_map(|result| result["Vulnerabilities"].as_array().into_iter().flatten())
            .collect();
        let found: Vec<&str> = findings.iter().map(|f| f["PkgName"].as_str().unwrap()).collect();
        assert_eq!(found, ["hostname"]);
        let bill = contents.iter().find(|c| c["bomFormat"] == "CycloneDX").expect("a bill of materials");
        let components: Vec<&str> =
            bill["components"].as_array().unwrap().iter().filter_map(|c| c["purl"].as_str()).collect();
        for purl in ["pkg:pypi/sample-critical@2.0.0", "pkg:pypi/sample-high@2.1"] {
            assert!(components.contains(&purl), "{components:?}");
        }
        assert!(components.iter().any(|purl| purl.starts_with("pkg:deb/debian/python3")), "{components:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn who_commits_waives_no_finding_unless_the_spec_says_so() {
    let _alone = ALONE.lock().await;
    in_a_namespace("scan-waive", async |place| {
        place.equip().await;
        let mut files = packages("scratch", &[(CRITICAL, "1.0.0")]);
        files.push((".trivyignore".to_owned(), format!("{CRITICAL_ID}\n")));
        // Trivy reads one where it runs: here it would pass everything.
        files.push(("trivy.yaml".to_owned(), "severity: [UNKNOWN]\n".to_owned()));
        scanned(&place, "strict", &files, &json!({})).await;
        scanned(&place, "waived", &files, &json!({"ignoreFile": ".trivyignore"})).await;
        is_refused(&place, "strict", &ScanStatus { critical: 1, fixable: 1, ..counts("web") }).await;
        assert_eq!(succeeds(&place, "waived").await.status.unwrap().scans, [counts("web")]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn an_image_of_another_ci_is_scanned_and_accepted_by_digest() {
    let _alone = ALONE.lock().await;
    in_a_namespace("scan-registry", async |place| {
        place.equip().await;
        // Nobody scans what the other CI builds.
        scanned(&place, "clean", &packages("scratch", &[(CRITICAL, "2.0.0")]), &Value::Null).await;
        scanned(&place, "vulnerable", &packages("scratch", &[(CRITICAL, "1.0.0")]), &Value::Null).await;
        let (clean, vulnerable) = (succeeds(&place, "clean").await, succeeds(&place, "vulnerable").await);
        for (name, built) in [("accept", &clean), ("refuse", &vulnerable)] {
            place.apply(&accepted(name, built, &json!({}))).await.unwrap();
        }

        let status = succeeds(&place, "accept").await.status.unwrap();
        let (image, built) = (&status.images[0], &clean.status.as_ref().unwrap().images[0]);
        assert_eq!(
            (image.name.as_str(), &image.repository, &image.digest),
            ("image", &built.repository, &built.digest)
        );
        assert_eq!(status.scans, [counts("image")]);
        let registry = Registry::of(&place.ground);
        let repository = format!("{}/clean", place.namespace);
        let attached = registry.referrers(&repository, &image.digest.to_string()).await.unwrap();
        assert_eq!(attached.len(), 2, "report and bill of materials: {attached:?}");

        is_refused(&place, "refuse", &ScanStatus { critical: 1, fixable: 1, ..counts("image") }).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn without_a_database_nothing_passes() {
    let _alone = ALONE.lock().await;
    without_the_installed_one(async || {
        in_a_namespace("scan-blind", async |place| {
            place.equip().await;
            let mut setup = Setup::of_the_test_cluster(&place).await.unwrap();
            for (name, value) in &mut setup.variables {
                if *name == "SWITCHYARD_TRIVY_DB_REPOSITORY" {
                    "nowhere.forge.svc/trivy-db:2".clone_into(value);
                }
            }
            let hosted = Hosted::start(setup, Plan::NEVER).await.unwrap();
            let clean = packages("scratch", &[(CRITICAL, "2.0.0")]);
            let (repository, commit) = source(&place, "shop", &clean).await;
            let mut object = build(&place, "shop", &repository.url, &commit);
            object["spec"]["checks"] = json!([]);
            object["spec"]["scan"] = json!({});
            object["spec"]["retries"] = json!(1);
            place.apply(&object).await.unwrap();

            let status = ended(&place, "shop").await.status.unwrap();
            let failure = status.failure.expect("who cannot look does not let pass");
            println!("{}", json!(failure));
            assert_eq!((failure.class, failure.reason.as_str()), (Class::Infrastructure, "ScanUnavailable"));
            assert_eq!(failure.step, "image/web: scan");
            assert!(failure.message.contains("nowhere.forge.svc"), "which one? {}", failure.message);
            assert_eq!(place.list::<Job>("").await.len(), 2, "tried again once, as `retries` says");
            assert_eq!(tags(&place, "shop").await, [""; 0]);
            hosted.stop().await.unwrap();
        })
        .await;
    })
    .await;
}
