//! Builds one image from the source, and pushes it.

use serde_json::json;
use switchyard_api::{
    Build,
    build::{Dockerfile, Image, LayerCache},
};

use super::{
    container::{Container, Volume, literal, option},
    pull::PullCredential,
    scan::{self, SCAN},
    source::{SOURCE, STEPS, of_registry, source, steps},
};
use crate::Settings;

/// Where the image is, as an OCI layout.
pub const LAYOUT: &str = "/out";
/// Where Kaniko looks for credentials: what it holds, each line of the Dockerfile can read.
const KANIKO_DOCKER_CONFIG: &str = "/kaniko/.docker";

pub fn layout() -> Volume {
    Volume::scratch("out")
}

/// Kaniko's executor: builds into `/out` and can push nowhere but to a cache of its own.
///
/// It unpacks base images over its own root with their owners and modes: hence uid 0 and these capabilities, which the
/// Pod Security level `baseline` admits.
pub fn kaniko(build: &Build, image: &Image, pull: &PullCredential<'_>, settings: &Settings) -> Container {
    let Dockerfile { path, context, target, args } = &image.dockerfile;
    let context = if context == "." { SOURCE.to_owned() } else { format!("{SOURCE}/{context}") };
    let mut arguments = vec![
        format!("--context=dir://{}", literal(&context)),
        format!("--dockerfile={SOURCE}/{}", literal(path)),
        "--no-push".to_owned(),
        format!("--oci-layout-path={LAYOUT}"),
        // The helpers of three clouds look for credentials on the network, which takes long where there are none.
        "--credential-helpers=".to_owned(),
        // Mounted by kind; it can be neither removed nor copied.
        "--ignore-path=/product_uuid".to_owned(),
        // The last lines become the message of a failure: without colours.
        "--log-format=text".to_owned(),
    ];
    arguments.extend(target.iter().map(|stage| option("--target", stage)));
    arguments.extend(args.iter().map(|arg| format!("--build-arg={}={}", arg.name, literal(&arg.value))));
    arguments.extend(image.platforms.first().map(|platform| option("--custom-platform", platform)));
    arguments.extend(image.cache.iter().flat_map(cache));
    arguments.extend(settings.insecure_registries.iter().map(|host| option("--insecure-registry", host)));
    let container = Container::new("build", &settings.kaniko_image)
        .with("args", json!(arguments))
        .with(
            "securityContext",
            json!({
                "runAsUser": 0,
                "runAsGroup": 0,
                "allowPrivilegeEscalation": false,
                "capabilities": {
                    "drop": ["ALL"],
                    "add": ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID", "SETFCAP", "KILL"],
                },
            }),
        )
        .with("resources", json!(build.spec.recipe.pod.resources))
        .reads(&source(), SOURCE)
        .writes(&layout(), LAYOUT);
    pull.give(container, KANIKO_DOCKER_CONFIG)
}

/// Where layers are kept is said, or Kaniko would refuse: it pushes no image whose repository it could use. `--no-push`
/// is about the image alone.
fn cache(cache: &LayerCache) -> [String; 4] {
    let LayerCache { repository, secret_ref: _, ttl } = cache;
    [
        "--cache=true".to_owned(),
        option("--cache-repo", repository),
        // In seconds: a Go duration, as its flags take them.
        format!("--cache-ttl={}s", ttl.as_secs()),
        // Layers of RUN are kept by default, those of COPY are not.
        "--cache-copy-layers=true".to_owned(),
    ]
}

/// Judges the image if it was scanned, and pushes the layout under its tags; the only container of its pod that sees the
/// push credential.
///
/// Kaniko leaves layers that only their owner may read (it writes them by Go's `os.CreateTemp`), and it is uid 0: so is
/// this, without any of root's capabilities.
pub fn push(build: &Build, image: &Image, settings: &Settings) -> Container {
    let mut args = ["push", "--layout", LAYOUT, "--repository"].map(str::to_owned).to_vec();
    args.push(literal(&image.repository));
    for tag in tags(build, image) {
        args.extend(["--tag".to_owned(), literal(&tag)]);
    }
    args.extend(["--steps".to_owned(), STEPS.to_owned()]);
    let scan = scan::wanted(build, settings);
    args.extend(scan.into_iter().flat_map(scan::judged));
    let container = of_registry("push", args, image.secret_ref.as_ref(), "push-credential", settings)
        .confined(0)
        .reads(&layout(), LAYOUT)
        .reads(&steps(), STEPS);
    match scan {
        Some(_) => container.reads(&scan::reports(), SCAN),
        None => container,
    }
}

/// The tags as written, or the default: `$(version)` if there is a rule for it, and `$(branch)-$(short)`.
fn tags(build: &Build, image: &Image) -> Vec<String> {
    if !image.tags.is_empty() {
        return image.tags.clone();
    }
    let version = build.spec.recipe.version.as_ref().map(|_| "$(version)".to_owned());
    version.into_iter().chain(["$(branch)-$(short)".to_owned()]).collect()
}
