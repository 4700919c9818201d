//! What a Build owns: one Job for each attempt at a step.
//!
//! A pod runs what a stranger may have written, a Dockerfile or a test, so each of its containers holds only what it
//! needs:
//!
//! | container   | image      | credential                        | volumes                                    |
//! |-------------|------------|-----------------------------------|--------------------------------------------|
//! | `clone`     | worker     | Git                               | `/src`, `/steps`                           |
//! | `fetch`     | worker     | to push the first image           | `/src`                                     |
//! | `service-*` | the user's | what its `env` names              |                                            |
//! | `check`     | the user's | what its `env`, `envFrom` name    | `/src`                                     |
//! | `check`     | scanner    | of SonarQube                      | `/src`, `/scanner`                         |
//! | `save`      | worker     | to push the first image           | `/src` read-only                           |
//! | `quality`   | worker     | of SonarQube                      | `/scanner` read-only                       |
//! | `login`     | worker     | to pull base images, of the cache | where it makes one file of them            |
//! | `build`     | Kaniko     | to pull base images, of the cache | `/src` read-only, `/out`                   |
//! | `scan`      | Trivy      |                                   | `/out` read-only, `/scan`                  |
//! | `sbom`      | Trivy      |                                   | `/scan`                                    |
//! | `push`      | worker     | to push                           | `/out`, `/steps` and `/scan`, read-only    |
//! | `pull`      | worker     | of the registry                   | `/out`                                     |
//! | `accept`    | worker     | of the registry                   | `/scan` read-only                          |
//!
//! Those that come after a stranger's and hold something resolve names as `clone` did ([`source::own_names`]).
//!
//! A line of a Dockerfile reads whatever Kaniko can, hence the container of its own that pushes. `scan` has `/src`
//! read-only too where the spec names an ignore file in it, and the credential to pull where its database is a mirror.

mod check;
mod container;
mod image;
mod pod;
mod pull;
mod scan;
mod source;

use std::fmt;

use serde_json::Value;
use switchyard_api::{
    Build,
    build::{Check, Image},
    names,
};

use self::{
    container::WORKER,
    pod::{job, pod},
    pull::PullCredential,
    source::{Sharing, clone, own_names},
};
use crate::Settings;

/// One step of a Build. Shown as in status and annotations: `check/unit`, `image/web`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    Check(&'a str),
    Image(&'a str),
}

impl Step<'_> {
    fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Check(name) => ("check", name),
            Self::Image(name) => ("image", name),
        }
    }

    /// The same for the same attempt, always: a crash at any point creates no second Job.
    pub fn job_name(&self, build: &str, attempt: i32) -> String {
        let (kind, name) = self.parts();
        names::child(&[build, kind, name, &attempt.to_string()])
    }
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = self.parts();
        write!(f, "{kind}/{name}")
    }
}

/// Fetches the source and what earlier checks left, and runs the check in it. None: the Build has no source to check, or
/// the check is none; the API server refuses both.
pub fn check_job(build: &Build, check: &Check, attempt: i32, settings: &Settings) -> Option<Value> {
    let git = build.spec.source.git.as_ref()?;
    let mut init_containers = vec![clone(build, git, settings, Sharing::Write)];
    init_containers.extend(source::fetch(build, check, settings));
    let last = match (&check.job, &check.sonar_qube) {
        (Some(job), _) => {
            init_containers.extend(job.services.iter().map(check::service));
            let user = check::user(job);
            match source::save(build, check, settings) {
                Some(save) => {
                    init_containers.push(user);
                    own_names(save)
                }
                None => user,
            }
        }
        (None, Some(sonar)) => {
            init_containers.push(check::scanner(sonar, settings));
            own_names(check::quality(sonar, settings))
        }
        (None, None) => return None,
    };
    let pod = pod(build, settings, Sharing::Write, &init_containers, &last);
    Some(job(build, Step::Check(&check.name), attempt, &pod))
}

/// Fetches the source, builds one image from it, has it scanned if that is wanted, and pushes it. None: the Build has no
/// source to build from; the API server refuses that.
pub fn image_job(build: &Build, image: &Image, attempt: i32, settings: &Settings) -> Option<Value> {
    /// Kaniko's, and so whose the layout is.
    const ROOT: i64 = 0;
    let git = build.spec.source.git.as_ref()?;
    let mut init_containers = vec![clone(build, git, settings, Sharing::Read)];
    let pull = PullCredential::of(build, image.cache.as_ref());
    init_containers.extend(pull.login(settings));
    init_containers.push(image::kaniko(build, image, &pull, settings));
    if let Some(scan) = scan::wanted(build, settings) {
        let trivy = scan::trivy(build, scan, &pull, ROOT, settings);
        init_containers.extend([own_names(trivy), scan::sbom(ROOT, settings)]);
    }
    let push = own_names(image::push(build, image, settings));
    let pod = pod(build, settings, Sharing::Read, &init_containers, &push);
    Some(job(build, Step::Image(&image.name), attempt, &pod))
}

/// Has an image scanned that another CI built. None: there is no such image, or nothing to scan it for.
pub fn accept_job(build: &Build, attempt: i32, settings: &Settings) -> Option<Value> {
    let image = build.spec.source.registry.as_ref()?;
    let scan = scan::wanted(build, settings)?;
    let credential = PullCredential::of(build, None);
    let mut init_containers = vec![scan::pull(image, settings)];
    init_containers.extend(credential.login(settings).filter(|_| scan::mirrored(settings)));
    let trivy = scan::trivy(build, scan, &credential, WORKER, settings);
    init_containers.extend([trivy, scan::sbom(WORKER, settings)]);
    let pod = pod(build, settings, Sharing::Read, &init_containers, &scan::accept(image, scan, settings));
    Some(job(build, Step::Image(&image.name), attempt, &pod))
}
