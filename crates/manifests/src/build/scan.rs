//! Has Trivy look into an image, and has our worker judge what it found: what Trivy is told, it cannot be told otherwise
//! by the source or by the image.

use serde_json::json;
use switchyard_api::{
    Build,
    build::{RegistryImage, Scan},
};

use super::{
    container::{Container, Volume, option},
    image::{LAYOUT, layout},
    source::{SOURCE, of_registry, source},
};
use crate::Settings;

/// Where the report and the list of what is in the image are. In no container that runs what a user wrote.
pub const SCAN: &str = "/scan";
/// Where Trivy unpacks its database, and keeps what it works on.
const TRIVY: &str = "/trivy";

pub fn reports() -> Volume {
    Volume::scratch("scan")
}

/// What the Build says of it, or else the installation.
pub fn wanted<'a>(build: &'a Build, settings: &'a Settings) -> Option<&'a Scan> {
    build.spec.recipe.scan.as_ref().or(settings.default_scan.as_ref())
}

/// Scans the layout. Every finding is reported, whatever its severity: which of them count is for the judge.
///
/// It runs as the user that wrote the layout, since only its owner may read it.
pub fn trivy(build: &Build, scan: &Scan, user: i64, settings: &Settings) -> Container {
    let mut args: Vec<String> = vec!["image".to_owned(), option("--input", LAYOUT)];
    args.extend(["--format=json".to_owned(), format!("--output={SCAN}/report.json")]);
    args.extend(
        [
            "--scanners=vuln",
            "--cache-dir=/trivy/cache",
            // Its own limit is five minutes, the download of its database included; the Job has the Build's.
            "--timeout=24h",
            "--no-progress",
            // It asks nobody about what it finds in the image.
            "--offline-scan",
            "--skip-version-check",
            "--disable-telemetry",
        ]
        .map(str::to_owned),
    );
    let repositories = [
        ("--db-repository", &settings.trivy_db_repository),
        ("--java-db-repository", &settings.trivy_java_db_repository),
    ];
    for (name, repository) in repositories {
        args.extend(repository.iter().map(|repository| option(name, repository)));
    }
    if repositories.iter().filter_map(|(_, repository)| repository.as_deref()).any(|r| is_insecure(r, settings)) {
        args.push("--insecure".to_owned());
    }
    let container = trivy_container("scan", settings, user)
        .with("env", json!([{"name": "TMPDIR", "value": TRIVY}]))
        .with("resources", json!({"requests": {"cpu": "100m", "memory": "256Mi"}}))
        .reads(&layout(), LAYOUT)
        .writes(&reports(), SCAN)
        .writes(&Volume::scratch("trivy"), TRIVY);
    match scan.ignore_file.as_ref().filter(|_| build.spec.source.git.is_some()) {
        Some(file) => {
            args.push(option("--ignorefile", &format!("{SOURCE}/{file}")));
            container.with("args", json!(args)).reads(&source(), SOURCE)
        }
        None => container.with("args", json!(args)),
    }
}

/// Writes the list of what is in the image (an SBOM, in CycloneDX) from Trivy's report.
pub fn sbom(user: i64, settings: &Settings) -> Container {
    let args = [
        "convert".to_owned(),
        "--format=cyclonedx".to_owned(),
        format!("--output={SCAN}/sbom.json"),
        format!("{SCAN}/report.json"),
    ];
    trivy_container("sbom", settings, user)
        .with("args", json!(args))
        .with("resources", json!({"requests": {"cpu": "50m", "memory": "64Mi"}}))
        .writes(&reports(), SCAN)
}

/// Trivy reads `trivy.yaml` and `.trivyignore` where it runs: in the root of its own image, where none of ours writes.
fn trivy_container(name: &str, settings: &Settings, user: i64) -> Container {
    Container::new(name, &settings.trivy_image)
        .with("command", json!(["trivy"]))
        .with("workingDir", json!("/"))
        .confined(user)
}

fn is_insecure(repository: &str, settings: &Settings) -> bool {
    repository.split('/').next().is_some_and(|host| settings.insecure_registries.iter().any(|i| i == host))
}

/// What the judge is told.
pub fn judged(scan: &Scan) -> Vec<String> {
    let Scan { fail_on, ignore_unfixed, ignore_file: _ } = scan;
    let mut args = vec![option("--scan", SCAN)];
    args.extend(fail_on.iter().map(|severity| option("--fail-on", severity.as_trivy())));
    if *ignore_unfixed {
        args.push("--ignore-unfixed".to_owned());
    }
    args
}

/// Brings an image that another CI built into the pod.
pub fn pull(image: &RegistryImage, settings: &Settings) -> Container {
    let args =
        ["pull".to_owned(), option("--repository", &image.repository), option("--digest", image.digest.as_str())];
    let args = args.into_iter().chain([option("--layout", LAYOUT)]).collect();
    of_registry("pull", args, image.secret_ref.as_ref(), "registry-credential", settings).writes(&layout(), LAYOUT)
}

/// Judges that image, and attaches what was found.
pub fn accept(image: &RegistryImage, scan: &Scan, settings: &Settings) -> Container {
    let mut args =
        vec!["accept".to_owned(), option("--repository", &image.repository), option("--digest", image.digest.as_str())];
    args.extend(judged(scan));
    of_registry("accept", args, image.secret_ref.as_ref(), "registry-credential", settings).reads(&reports(), SCAN)
}
