//! Stories of a Build: of a check and an image, whose pods are played.

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::ResourceExt as _;
use serde_json::{Map, Value, json};
use switchyard_api::{
    Build, Command, GROUP, VERSION,
    build::{Class, Phase},
    command::CommandState,
    condition::{READY, State},
    names::ANNOTATION_RESULT,
    report::{Cloned, Pushed, Report},
};

use super::{
    registry::Registry,
    scene::{LOOK, STEP, Scene},
    workload::NAME,
};
use crate::place::Place;

const COMMIT: &str = "7f3a91c000000000000000000000000000000000";
/// As the worker makes one of branch and commit.
pub const TAG: &str = "main-7f3a91c";
/// What somebody says who pushed something else than the registry serves.
const ANOTHER: &str = "sha256:00000000000000000000000000000000000000000000000000000000000000ff";
const CANCEL: &str = "cancel";

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// Everything is as it should be.
    Good,
    /// The first attempt at the image is lost to the infrastructure.
    Evicted,
    /// The check fails that all else waits for.
    CheckFails,
    /// While the image builds, which it does for ever, a person ends it.
    Cancelled,
    /// Before anything of it runs, a person ends it.
    Withdrawn,
    /// The worker says it pushed what the registry does not serve.
    Mistaken,
}

impl Course {
    /// Which container ends otherwise than well, and how; see `e2e/faults/stages.yaml`.
    fn turn(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Good | Self::Withdrawn | Self::Mistaken => None,
            Self::Evicted => Some(("image/web/1/build", "evicted")),
            Self::CheckFails => Some(("check/unit/1/check", "fails")),
            Self::Cancelled => Some(("image/web/1/build", "lasts")),
        }
    }

    pub async fn tell(self, scene: &Scene<'_>) -> Result<()> {
        let registry = scene.registry.context("the pods of a Build are played, on a control plane with a registry")?;
        let path = format!("/apis/{GROUP}/{VERSION}/namespaces/{}/builds", scene.place.namespace);
        scene.place.post(&path, &self.build(registry).await?).await?;
        match self {
            Self::Good | Self::Evicted | Self::CheckFails | Self::Mistaken => Ok(()),
            Self::Cancelled => {
                until(async || scene.place.list::<Pod>("").await.iter().any(builds)).await?;
                cancel(scene).await
            }
            Self::Withdrawn => {
                until(async || has_begun(&scene.place).await).await?;
                cancel(scene).await
            }
        }
    }

    async fn build(self, registry: &Registry) -> Result<Value> {
        let digest = match self {
            Self::Mistaken => ANOTHER.to_owned(),
            Self::Good | Self::Evicted | Self::CheckFails | Self::Cancelled | Self::Withdrawn => {
                registry.served().await?
            }
        };
        let cloned = Cloned {
            commit: COMMIT.to_owned(),
            branch: Some("main".to_owned()),
            version: None,
            committed: 1_700_000_000,
            subject: "feat: sell shoes".to_owned(),
        };
        let pushed = Pushed { digest, tags: vec![TAG.to_owned()], size_bytes: 1, scan: None };
        let mut notes = Map::new();
        let mut note = |name: &str, text: String| notes.insert(format!("faults.test/{name}"), text.into());
        note("says-clone", Report::Cloned(cloned).to_message());
        note("says-push", Report::Pushed(pushed).to_message());
        if let Some((at, then)) = self.turn() {
            note("at", at.to_owned());
            note("then", then.to_owned());
        }
        let mut checks = vec![json!({"name": "unit", "job": {"image": "played", "command": ["test"]}})];
        if self == Self::CheckFails {
            checks.push(json!({"name": "lint", "after": ["unit"], "job": {"image": "played", "command": ["lint"]}}));
        }
        Ok(json!({"apiVersion": format!("{GROUP}/{VERSION}"), "kind": "Build", "metadata": {"name": NAME}, "spec": {
            "source": {"git": {"url": "https://git.example.com/shop.git", "commit": COMMIT, "branch": "main"}},
            "checks": checks,
            "images": [{"name": "web", "repository": registry.repository()}],
            "pod": {"annotations": notes},
            // No fault may take so long that it looks like a bad Build.
            "timeout": "10m",
            "retries": 1,
        }}))
    }

    /// It has come to that, and nothing of it runs any more.
    pub async fn is_over(self, place: &Place) -> bool {
        let Some(build) = place.find::<Build>(NAME).await else { return false };
        let Some(status) = &build.status else { return false };
        let reads = |phase: Phase, class: Option<Class>, reason: Option<&str>| {
            let failure = status.failure.as_ref();
            status.phase == Some(phase)
                && failure.map(|f| f.class) == class
                && reason.is_none_or(|reason| failure.is_some_and(|f| f.reason == reason))
        };
        let ended = match self {
            Self::Good | Self::Evicted => reads(Phase::Succeeded, None, None) && status.images.len() == 1,
            Self::CheckFails => reads(Phase::Failed, Some(Class::User), Some("CheckFailed")),
            Self::Mistaken => reads(Phase::Failed, Some(Class::User), Some("DigestMismatch")),
            Self::Cancelled | Self::Withdrawn => {
                reads(Phase::Cancelled, Some(Class::Cancelled), None)
                    && place.find::<Command>(CANCEL).await.and_then(|c| c.status).map(|s| s.state)
                        == Some(CommandState::Done)
            }
        };
        let good = status.conditions.iter().any(|c| c.kind == READY && c.status == State::True);
        ended
            && good == status.failure.is_none()
            && build.metadata.generation == Some(status.observed_generation)
            && build.annotations().contains_key(ANNOTATION_RESULT)
            && place.list::<Job>("").await.iter().all(has_ended)
            && place.list::<Pod>("").await.iter().all(|pod| matches!(phase(pod), "Succeeded" | "Failed"))
    }
}

fn has_ended(job: &Job) -> bool {
    let conditions = job.status.iter().flat_map(|s| s.conditions.iter().flatten());
    conditions.into_iter().any(|c| matches!(c.type_.as_str(), "Complete" | "Failed") && c.status == "True")
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|s| s.phase.as_deref()).unwrap_or_default()
}

/// Its start is remembered, and a Job of it is about to be made.
async fn has_begun(place: &Place) -> bool {
    let build = place.find::<Build>(NAME).await;
    build.and_then(|build| build.status).is_some_and(|status| status.memory.started.is_some())
}

/// An image is being built in it.
fn builds(pod: &Pod) -> bool {
    let containers = pod.status.iter().flat_map(|s| s.init_container_statuses.iter().flatten());
    containers.into_iter().any(|c| c.name == "build" && c.state.as_ref().is_some_and(|s| s.running.is_some()))
}

async fn cancel(scene: &Scene<'_>) -> Result<()> {
    let build = scene.place.find::<Build>(NAME).await.context("the Build is there")?;
    scene.order(CANCEL, "Cancel", &build, None).await
}

async fn until(there: impl AsyncFn() -> bool) -> Result<()> {
    let looking = async {
        while !there().await {
            tokio::time::sleep(LOOK).await;
        }
    };
    match tokio::time::timeout(STEP, looking).await {
        Ok(()) => Ok(()),
        Err(_) => bail!("nobody could cancel the Build at that point within {} s", STEP.as_secs()),
    }
}
