//! How the source gets into a pod, and what a check leaves of it for the next.

use serde_json::json;
use switchyard_api::{
    Build,
    build::{Check, GitCommit, Image, SecretRef, Submodules},
    names,
};

use super::container::{Container, DOCKER_CONFIG_JSON, Volume, literal, option};
use crate::Settings;

/// Where the source is. Never `/workspace` or another path that images use: Kaniko unpacks base images over `/` and
/// leaves out every mount point.
pub const SOURCE: &str = "/src";
/// Where our own containers leave notes for each other. In no container that runs what a user wrote.
pub const STEPS: &str = "/steps";
/// Where a registry credential of ours is, as the worker reads it.
pub const REGISTRY_CREDENTIAL: &str = "/credentials/registry";
const GIT_CREDENTIAL: &str = "/credentials/git";

/// What the containers after `clone` may do with the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Read it, with the modes that Git gave: Kaniko copies them into the image. (So no `fsGroup` here, which would give
    /// every folder the setgid bit.)
    Read,
    /// Write into it too, whatever user they run as: every file belongs to the group that all containers of a pod
    /// share, and the group may write.
    Write,
}

impl Sharing {
    /// So that the group may write what this container does.
    fn on(self, container: Container) -> Container {
        match self {
            Self::Read => container,
            Self::Write => {
                container.with("command", json!(["/bin/sh", "-c", r#"umask 002 && exec switchyard-worker "$@""#, "sh"]))
            }
        }
    }
}

pub fn source() -> Volume {
    Volume::scratch("src")
}

pub fn steps() -> Volume {
    Volume::scratch("steps")
}

/// The container that fetches the source; the only one that sees the Git credential.
pub fn clone(build: &Build, git: &GitCommit, settings: &Settings, sharing: Sharing) -> Container {
    let GitCommit { url, commit, branch, secret_ref, submodules, base, paths } = git;
    let mut args = vec!["clone".to_owned(), "--url".to_owned(), literal(url)];
    args.extend(["--commit".to_owned(), commit.to_string()]);
    if let Some(branch) = branch {
        args.extend(["--branch".to_owned(), literal(branch)]);
    }
    args.extend(["--into".to_owned(), SOURCE.to_owned()]);
    if secret_ref.is_some() {
        args.extend(["--credentials".to_owned(), GIT_CREDENTIAL.to_owned()]);
    }
    if let Some(version) = &build.spec.recipe.version {
        args.extend(["--tag-prefix".to_owned(), literal(&version.conventional_commits.tag_prefix)]);
    }
    match submodules {
        Submodules::None => {}
        Submodules::Recursive => args.push("--submodules".to_owned()),
    }
    args.extend(base.iter().map(|base| option("--base", base.as_str())));
    args.extend(paths.include.iter().map(|pattern| option("--include", pattern)));
    args.extend(paths.exclude.iter().map(|pattern| option("--exclude", pattern)));
    args.extend(["--steps".to_owned(), STEPS.to_owned()]);
    let container = Container::worker("clone", settings, &args)
        .writes(&source(), SOURCE)
        .writes(&steps(), STEPS)
        .writes(&Volume::scratch("tmp"), "/tmp");
    sharing.on(match secret_ref {
        Some(secret) => container.reads(&Volume::secret("git-credential", secret), GIT_CREDENTIAL),
        None => container,
    })
}

/// For a container that holds something and comes after a stranger's. The containers of a pod share the files that say who
/// resolves names and what they resolve to, and whoever is root in one may write them: the next would take the stranger's
/// machine for its registry. So it has those that `clone` kept.
pub fn own_names(container: Container) -> Container {
    names::RESOLVERS.into_iter().fold(container, |container, (path, file)| container.reads_file(&steps(), file, path))
}

/// Where a Build keeps artifacts: beside its first image, by that image's push credential.
fn kept(build: &Build) -> Option<&Image> {
    build.spec.recipe.images.first()
}

/// Puts what earlier checks left where they left it. None: they left nothing.
pub fn fetch(build: &Build, check: &Check, settings: &Settings) -> Option<Container> {
    let artifacts = &build.status.as_ref()?.memory.artifacts;
    let digests: Vec<String> =
        check.after.iter().filter_map(|name| artifacts.get(name)).map(|d| option("--digest", d.as_str())).collect();
    let image = kept(build).filter(|_| !digests.is_empty())?;
    let args = ["fetch".to_owned(), option("--repository", &image.repository)].into_iter().chain(digests);
    let args = args.chain([option("--into", SOURCE)]).collect();
    let container = of_registry("fetch", args, image.secret_ref.as_ref(), "push-credential", settings);
    Some(Sharing::Write.on(container.writes(&source(), SOURCE)))
}

/// Keeps what the check left. None: it is to leave nothing.
pub fn save(build: &Build, check: &Check, settings: &Settings) -> Option<Container> {
    let image = kept(build).filter(|_| !check.artifacts.is_empty())?;
    let mut args = vec!["save".to_owned(), option("--repository", &image.repository), option("--from", SOURCE)];
    args.extend(check.artifacts.iter().map(|path| option("--path", path)));
    let container = of_registry("save", args, image.secret_ref.as_ref(), "push-credential", settings);
    // It packs before it sends.
    Some(container.reads(&source(), SOURCE).writes(&Volume::scratch("archive"), "/tmp"))
}

/// A worker that speaks to one registry, with one credential.
pub fn of_registry(
    name: &str,
    mut args: Vec<String>,
    credential: Option<&SecretRef>,
    volume: &'static str,
    settings: &Settings,
) -> Container {
    if credential.is_some() {
        args.push(option("--credentials", &format!("{REGISTRY_CREDENTIAL}/{DOCKER_CONFIG_JSON}")));
    }
    args.extend(settings.insecure_registries.iter().map(|host| option("--insecure-registry", host)));
    let container = Container::worker(name, settings, &args);
    match credential {
        Some(secret) => container.reads(&Volume::registry(volume, secret, DOCKER_CONFIG_JSON), REGISTRY_CREDENTIAL),
        None => container,
    }
}
