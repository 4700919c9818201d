//! Has Trivy look into an image, and has our worker judge what it found.
//!
//! Trivy takes `trivy.yaml` and `.trivyignore` from where it runs, so it runs where no stranger writes, and is told of
//! files that say nothing.

use serde_json::json;
use switchyard_api::{
    Build,
    build::{RegistryImage, Scan},
};

use super::{
    container::{Container, Volume, option},
    image::{LAYOUT, layout},
    pod::seconds,
    pull::PullCredential,
    source::{SOURCE, of_registry, source},
};
use crate::Settings;

/// Where the report and the list of what is in the image are. In no container that runs what a user wrote.
pub const SCAN: &str = "/scan";
const CREDENTIAL: &str = "/credentials/docker";

pub fn reports() -> Volume {
    Volume::scratch("scan")
}

/// What the Build says of it, or else the installation.
pub fn wanted<'a>(build: &'a Build, settings: &'a Settings) -> Option<&'a Scan> {
    build.spec.recipe.scan.as_ref().or(settings.default_scan.as_ref())
}

/// Its database comes from where the installation says, which may want a credential.
pub fn mirrored(settings: &Settings) -> bool {
    settings.trivy_db_repository.is_some() || settings.trivy_java_db_repository.is_some()
}

/// Scans the layout. Every finding is reported, whatever its severity: which of them count is for the judge.
///
/// It runs as the user that wrote the layout, since only its owner may read it; and it has a credential where its
/// database is a mirror, which may want one.
pub fn trivy(build: &Build, scan: &Scan, pull: &PullCredential<'_>, user: i64, settings: &Settings) -> Container {
    let mut args: Vec<String> = vec!["image".to_owned(), option("--input", LAYOUT)];
    args.extend(["--format=json".to_owned(), format!("--output={SCAN}/report.json")]);
    args.extend(
        [
            "--scanners=vuln",
            // For the list of what is in the image.
            "--list-all-pkgs",
            // The pod's own: an old one hides what is wrong with a layout.
            "--cache-dir=/tmp/trivy",
            "--config=/dev/null",
            // It asks nobody about what it finds in the image.
            "--offline-scan",
            "--no-progress",
        ]
        .map(str::to_owned),
    );
    // Its own limit is five minutes, the download of its database included.
    args.push(format!("--timeout={}s", seconds(build.spec.recipe.timeout)));
    let mirrors = [
        ("--db-repository", &settings.trivy_db_repository),
        ("--java-db-repository", &settings.trivy_java_db_repository),
    ];
    for (name, repository) in mirrors {
        args.extend(repository.iter().map(|repository| option(name, repository)));
    }
    let mut repositories = mirrors.iter().filter_map(|(_, repository)| repository.as_deref());
    if repositories.any(|repository| is_insecure(repository, settings)) {
        args.push("--insecure".to_owned());
    }
    let ignored = scan.ignore_file.as_ref().filter(|_| build.spec.source.git.is_some());
    args.push(match ignored {
        Some(file) => option("--ignorefile", &format!("{SOURCE}/{file}")),
        None => "--ignorefile=/dev/null".to_owned(),
    });
    // By environment: versions that do not know these end at an unknown flag.
    let quiet = json!([
        {"name": "TRIVY_DISABLE_TELEMETRY", "value": "true"},
        {"name": "TRIVY_SKIP_VERSION_CHECK", "value": "true"},
    ]);
    let container = Container::new("scan", &settings.trivy_image)
        .with("args", json!(args))
        .environment(&quiet)
        .with("workingDir", json!("/"))
        .with("resources", json!({"requests": {"cpu": "100m", "memory": "256Mi"}}))
        .confined(user)
        .reads(&layout(), LAYOUT)
        .writes(&reports(), SCAN)
        .writes(&Volume::scratch("trivy"), "/tmp");
    let container = if mirrored(settings) { pull.give(container, CREDENTIAL) } else { container };
    match ignored {
        Some(_) => container.reads(&source(), SOURCE),
        None => container,
    }
}

/// Writes the list of what is in the image (an SBOM, in CycloneDX) from Trivy's report.
pub fn sbom(user: i64, settings: &Settings) -> Container {
    let args = [
        "convert".to_owned(),
        "--format=cyclonedx".to_owned(),
        format!("--output={SCAN}/sbom.json"),
        "--config=/dev/null".to_owned(),
        "--ignorefile=/dev/null".to_owned(),
        format!("{SCAN}/report.json"),
    ];
    Container::new("sbom", &settings.trivy_image)
        .with("args", json!(args))
        .with("workingDir", json!("/"))
        .with("resources", json!({"requests": {"cpu": "50m", "memory": "64Mi"}}))
        .confined(user)
        .writes(&reports(), SCAN)
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
